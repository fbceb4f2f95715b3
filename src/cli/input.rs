//! Arguments that several commands take: numbers, countries, scenarios, variables.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use phonenumber::country;
use sidetone_core::{campaign as number, scenario::Scenario};

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
    number::e164(text, country).map_err(|error| error.to_string())
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
    fn variables_and_countries() {
        assert_eq!(parse_variable("name=a=b").unwrap(), ("name".to_owned(), "a=b".to_owned()));
        assert_eq!(parse_variable("=x").unwrap_err(), "`=x`: write NAME=VALUE");
        assert_eq!(parse_country("fr").unwrap(), country::Id::FR);
        assert!(parse_country("france").is_err());
    }
}
