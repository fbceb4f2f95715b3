//! Telephone numbers: what is one, and which are never dialled.

use std::sync::OnceLock;

use phonenumber::{
    Mode, PhoneNumber,
    country::{self, Source},
    metadata::{DATABASE, Descriptor},
};

/// `FR 112 15 17 18` a line.
const EMERGENCY: &str = include_str!("../../data/emergency.txt");
/// Digits of the longest short number (behind a country's code, if there is one).
const LONGEST_SHORT: usize = 6;

/// Why a text is no number that we call. The words do not say where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("no number")]
    Missing,
    #[error("`{text}` is no telephone number: it has the letter `{letter}`")]
    Letter { text: String, letter: char },
    #[error("`{0}` says no country: write +33..., or give --country FR")]
    NoCountry(String),
    #[error("`{0}` is no telephone number")]
    NotANumber(String),
    #[error("`{text}` is no valid number{}", .country.map(|id| format!(" of {id:?}")).unwrap_or_default())]
    Invalid { text: String, country: Option<country::Id> },
    #[error("`{text}` is {}: never dialled", .kind.words())]
    NeverDialled { text: String, kind: NeverDialled },
}

/// Numbers that nobody is called at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeverDialled {
    Emergency,
    Short,
    PremiumRate,
    SharedCost,
    TollFree,
    /// Follow-me numbers, charged like premium ones.
    Personal,
    Pager,
    Voicemail,
}

impl NeverDialled {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Emergency => "an emergency number",
            Self::Short => "a short number",
            Self::PremiumRate => "a premium-rate number",
            Self::SharedCost => "a shared-cost number",
            Self::TollFree => "a toll-free number",
            Self::Personal => "a personal (follow-me) number",
            Self::Pager => "a pager's number",
            Self::Voicemail => "a voicemail's own number",
        }
    }
}

/// A number as E.164, `+33612345678`, if it is one that may be called. `country`: that of numbers without one.
///
/// # Errors
/// [`NumberError`] says what is wrong with it.
pub fn e164(text: &str, country: Option<country::Id>) -> Result<String, NumberError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NumberError::Missing);
    }
    // The library would read letters as a vanity number's digits.
    if let Some(letter) = text.chars().find(|c| c.is_alphabetic()) {
        return Err(NumberError::Letter { text: text.to_owned(), letter });
    }
    let never = |kind| Err(NumberError::NeverDialled { text: text.to_owned(), kind });
    // Before it is parsed: the library takes the zeros of `000` for prefixes.
    if country.is_some_and(|country| emergency(country.as_ref()).any(|known| known == text)) {
        return never(NeverDialled::Emergency);
    }
    let Ok(number) = phonenumber::parse(country, text) else {
        return match (country, text.starts_with('+')) {
            (None, false) => Err(NumberError::NoCountry(text.to_owned())),
            (None | Some(_), _) => Err(NumberError::NotANumber(text.to_owned())),
        };
    };
    if let Some(kind) = short(&number, country) {
        return never(kind);
    }
    if !phonenumber::is_valid(&number) {
        return Err(NumberError::Invalid { text: text.to_owned(), country: number.country().id() });
    }
    if let Some(kind) = charged(&number) {
        return never(kind);
    }
    Ok(number.format().mode(Mode::E164).to_string())
}

/// Whether a number may be dialled, asked again in the moment before it is: what is in a database may be old, or of
/// another's making. `number` is E.164.
///
/// # Errors
/// [`NumberError`] says why not.
pub fn dialable(number: &str) -> Result<(), NumberError> {
    let read = e164(number, None)?;
    match read == number {
        true => Ok(()),
        false => Err(NumberError::NotANumber(number.to_owned())),
    }
}

/// An emergency number or another that only one country's own network knows.
fn short(number: &PhoneNumber, default: Option<country::Id>) -> Option<NeverDialled> {
    let national = number.national().to_string();
    if national.len() > LONGEST_SHORT {
        return None;
    }
    let of_default = default.filter(|_| number.code().source() == Source::Default);
    let countries = match &of_default {
        Some(country) => vec![country.as_ref()],
        None => DATABASE.region(&number.code().value()).unwrap_or_default(),
    };
    if countries.into_iter().any(|country| emergency(country).any(|known| known == national)) {
        return Some(NeverDialled::Emergency);
    }
    // Some countries' ordinary numbers are as short.
    (!phonenumber::is_valid(number)).then_some(NeverDialled::Short)
}

fn emergency(country: &str) -> impl Iterator<Item = &'static str> {
    static BY_COUNTRY: OnceLock<Vec<(&'static str, &'static str)>> = OnceLock::new();
    let table = BY_COUNTRY.get_or_init(|| {
        let lines = EMERGENCY.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once(' ')).collect()
    });
    let found = table.binary_search_by_key(&country, |(country, _)| country).ok();
    found.map_or("", |at| table[at].1).split(' ')
}

/// Numbers whose calls cost the caller more, or that no person answers.
fn charged(number: &PhoneNumber) -> Option<NeverDialled> {
    // The library finds none for numbers that begin with zeros, as Italy's do: the country's main one will do.
    let of_code = || DATABASE.by_code(&number.code().value())?.into_iter().next();
    let known = number.metadata(&DATABASE).or_else(of_code)?.descriptors();
    let national = number.national().to_string();
    [
        (NeverDialled::PremiumRate, known.premium_rate()),
        (NeverDialled::TollFree, known.toll_free()),
        (NeverDialled::SharedCost, known.shared_cost()),
        (NeverDialled::Personal, known.personal_number()),
        (NeverDialled::Pager, known.pager()),
        (NeverDialled::Voicemail, known.voicemail()),
    ]
    .into_iter()
    .find_map(|(kind, numbers)| numbers?.is_match(&national).then_some(kind))
}

/// The country code of a number that says no more than its country: a mobile (except where they are given out by place,
/// as `libphonenumber` lists them), VoIP and the like.
pub(super) fn country_of_placeless(e164: &str) -> Option<u16> {
    const MOBILES_BY_PLACE: [u16; 5] = [52, 54, 55, 62, 86];
    let number = phonenumber::parse(None, e164).ok()?;
    let code = number.code().value();
    let known = number.metadata(&DATABASE)?.descriptors();
    let national = number.national().to_string();
    let is = |numbers: Option<&Descriptor>| numbers.is_some_and(|numbers| numbers.is_match(&national));
    let placed = is(known.fixed_line()) || (is(known.mobile()) && MOBILES_BY_PLACE.contains(&code));
    (!placed).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FR: Option<country::Id> = Some(country::Id::FR);

    #[test]
    fn numbers_become_e164_or_say_what_is_wrong() {
        assert_eq!(e164(" 06 12 34 56 78 ", FR).unwrap(), "+33612345678");
        assert_eq!(e164("+44 20 7946 0018", FR).unwrap(), "+442079460018");
        assert_eq!(e164("0033 6 12 34 56 78", FR).unwrap(), "+33612345678");
        assert_eq!(e164("+39 02 3661 8300", None).unwrap(), "+390236618300");
        for (text, country, message) in [
            ("", FR, "no number"),
            ("0612345678", None, "`0612345678` says no country: write +33..., or give --country FR"),
            ("1-800-FLOWERS", None, "`1-800-FLOWERS` is no telephone number: it has the letter `F`"),
            ("+33 0", FR, "`+33 0` is no telephone number"),
            ("+999123456789", FR, "`+999123456789` is no telephone number"),
            ("06123456789999", FR, "`06123456789999` is no valid number of FR"),
            ("'; drop", FR, "`'; drop` is no telephone number: it has the letter `d`"),
        ] {
            assert_eq!(e164(text, country).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn numbers_kept_free_for_fiction_can_be_used_in_trials() {
        for number in ["+33199000001", "+442079460001", "+12025550101"] {
            assert_eq!(dialable(number), Ok(()), "{number}");
        }
    }

    #[test]
    fn some_numbers_are_never_dialled() {
        use NeverDialled::{Emergency, Personal, PremiumRate, SharedCost, Short, TollFree};
        for (text, country, expected) in [
            ("112", "FR", Emergency),
            ("15", "FR", Emergency),
            ("911", "US", Emergency),
            ("999", "GB", Emergency),
            ("000", "AU", Emergency),
            ("+33112", "FR", Emergency),
            ("+1911", "GB", Emergency),
            ("3631", "FR", Short),
            ("12", "FR", Short),
            ("0899 12 34 56", "FR", PremiumRate),
            ("+1 900 555 1234", "FR", PremiumRate),
            ("+44 909 012 3456", "FR", PremiumRate),
            ("0800 123 456", "FR", TollFree),
            ("+1 800 723 3456", "FR", TollFree),
            ("+800 1234 5678", "FR", TollFree),
            ("0810 12 34 56", "FR", SharedCost),
            ("0180 1 234567", "DE", SharedCost),
            ("+44 70 1234 5678", "FR", Personal),
        ] {
            let found = e164(text, country.parse().ok()).unwrap_err();
            assert_eq!(found, NumberError::NeverDialled { text: text.to_owned(), kind: expected });
        }
        assert_eq!(
            dialable("+33899123456").unwrap_err().to_string(),
            "`+33899123456` is a premium-rate number: never dialled"
        );
        for wrong in ["0612345678", "+33 6 12 34 56 78", "forgotten-7", "", "+33112", "+3361234567"] {
            assert!(dialable(wrong).is_err(), "{wrong}");
        }
    }
}
