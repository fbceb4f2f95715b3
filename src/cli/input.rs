//! Arguments that several commands take: numbers, countries, scenarios, variables.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use phonenumber::{Mode, country};
use sidetone_core::scenario::Scenario;

use super::Context;
use crate::scenario_file;

/// A country's two letters, `FR`.
pub(super) fn parse_country(text: &str) -> Result<country::Id, String> {
    text.to_ascii_uppercase()
        .parse()
        .map_err(|_| format!("`{text}` is no country: write its two letters, such as FR or GB"))
}

/// `name=value`.
pub(super) fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("`{text}`: write NAME=VALUE")),
    }
}

/// A telephone number as E.164, `+33612345678`. The message says what is wrong with it and does not repeat where it
/// stands.
pub(super) fn e164(text: &str, country: Option<country::Id>) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("no number".to_owned());
    }
    // The library would read letters as a vanity number's digits.
    if let Some(letter) = text.chars().find(|c| c.is_alphabetic()) {
        return Err(format!("`{text}` is no telephone number: it has the letter `{letter}`"));
    }
    let number = phonenumber::parse(country, text).map_err(|_| match country {
        None if !text.starts_with('+') => {
            format!("`{text}` says no country: write +33..., or give --country FR")
        }
        None | Some(_) => format!("`{text}` is no telephone number"),
    })?;
    if !phonenumber::is_valid(&number) {
        let of = number.country().id().map_or_else(String::new, |id| format!(" of {id:?}"));
        return Err(format!("`{text}` is no valid number{of}"));
    }
    Ok(number.format().mode(Mode::E164).to_string())
}

/// A scenario file (or bare name) whose prompts are there: its absolute path, for another process to read, and what it says.
pub(super) fn scenario(ctx: &Context, path: &Path) -> Result<(String, Arc<Scenario>), String> {
    let path = scenario_file::resolve(&path.to_string_lossy(), &ctx.config.scenarios.dir);
    let scenario = scenario_file::load(&path, &ctx.config.prompts.dir).map_err(|error| error.to_string())?;
    let absolute = std::fs::canonicalize(&path)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?
        .into_os_string()
        .into_string()
        .map_err(|path| format!("{}: the path must be UTF-8", path.to_string_lossy()))?;
    Ok((absolute, scenario))
}

pub(super) fn variables(pairs: Vec<(String, String)>) -> BTreeMap<String, String> {
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_e164_or_say_what_is_wrong() {
        let fr = Some(country::Id::FR);
        assert_eq!(e164(" 06 12 34 56 78 ", fr).unwrap(), "+33612345678");
        assert_eq!(e164("+44 20 7946 0018", fr).unwrap(), "+442079460018");
        assert_eq!(e164("0033 6 12 34 56 78", fr).unwrap(), "+33612345678");
        for (text, country, message) in [
            ("", fr, "no number"),
            ("0612345678", None, "`0612345678` says no country: write +33..., or give --country FR"),
            ("1-800-FLOWERS", None, "`1-800-FLOWERS` is no telephone number: it has the letter `F`"),
            ("12", fr, "`12` is no valid number of FR"),
            ("+33 0", fr, "`+33 0` is no telephone number"),
            ("+999123456789", fr, "`+999123456789` is no telephone number"),
            ("06123456789999", fr, "`06123456789999` is no valid number of FR"),
            ("'; drop", fr, "`'; drop` is no telephone number: it has the letter `d`"),
        ] {
            assert_eq!(e164(text, country).unwrap_err(), message);
        }
    }

    #[test]
    fn numbers_kept_free_for_fiction_can_be_used_in_trials() {
        for number in ["+33199000001", "+442079460001", "+12025550101"] {
            assert_eq!(e164(number, None).as_deref(), Ok(number));
        }
    }

    #[test]
    fn variables_and_countries() {
        assert_eq!(parse_variable("name=a=b").unwrap(), ("name".to_owned(), "a=b".to_owned()));
        assert_eq!(parse_variable("=x").unwrap_err(), "`=x`: write NAME=VALUE");
        assert_eq!(parse_country("fr").unwrap(), country::Id::FR);
        assert!(parse_country("france").is_err());
    }
}
