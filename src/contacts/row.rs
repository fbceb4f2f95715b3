//! A row of a file into a contact.

use std::sync::Arc;

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use sidetone_core::{
    campaign::{NumberError, e164, zones_of},
    scenario::ScenarioRun,
};

use super::{
    BadRow, Cell, ListError, RawRow, Reason, Row, Rules, Variables,
    columns::{Columns, Field},
};
use crate::store::NewContact;

/// Digits of a spreadsheet's number that may be one with its country's code, its `+` lost.
const WITH_COUNTRY: usize = 11;

/// Takes the header, then rows.
pub(super) struct Reader<'a> {
    rules: &'a Rules,
    columns: Option<Columns>,
}

/// What is wrong with a row.
type Wrong = (Reason, String);

impl<'a> Reader<'a> {
    pub(super) fn new(rules: &'a Rules) -> Self {
        Self { rules, columns: None }
    }

    /// `None` for the header and for rows in which nothing stands.
    pub(super) fn take(
        &mut self,
        raw: Result<RawRow, BadRow>,
    ) -> Result<Option<Result<Row, BadRow>>, ListError> {
        let Some(columns) = &self.columns else {
            let header = raw.map_err(|bad| ListError::Header(bad.message))?;
            self.columns = Some(Columns::of(&header.cells, &self.rules.mapping).map_err(ListError::Header)?);
            return Ok(None);
        };
        let raw = match raw {
            Ok(raw) => raw,
            Err(bad) => return Ok(Some(Err(bad))),
        };
        if raw.cells.iter().all(|cell| cell.text.is_empty()) {
            return Ok(None);
        }
        let RawRow { line, cells, original } = raw;
        Ok(Some(match self.rules.contact(columns, &cells, line) {
            Ok(contact) => Ok(Row { line, contact, original }),
            Err((reason, message)) => Err(BadRow { line, reason, message, original }),
        }))
    }

    pub(super) fn end(self) -> Result<(), ListError> {
        match self.columns {
            Some(_) => Ok(()),
            None => {
                Err(ListError::Refused("is empty: a header row with a column `number` is needed".to_owned()))
            }
        }
    }
}

impl Rules {
    fn contact(&self, columns: &Columns, cells: &[Cell], line: u64) -> Result<NewContact, Wrong> {
        let (found, wanted) = (cells.len(), columns.names.len());
        if found != wanted {
            return Err((Reason::FieldCount, format!("has {found} fields where the header has {wanted}")));
        }
        let number = self.number(&cells[columns.number])?;
        if self.number_only {
            return Ok(NewContact { line: Some(line), ..NewContact::new(number, Variables::new()) });
        }
        let text = |column: Option<usize>| column.map_or("", |column| cells[column].text.as_str());
        let said = |field: Field, column: Option<usize>, (reason, words): Wrong| {
            let name = column.map_or(field.word(), |column| columns.names[column].as_str());
            (reason, format!("column `{name}`: {words}"))
        };
        let zones = self
            .zones(&number, text(columns.zone))
            .map_err(|wrong| said(Field::Zone, columns.zone, wrong))?;
        let consent = consent(text(columns.consent), self.now_ms)
            .map_err(|wrong| said(Field::Consent, columns.consent, wrong))?;
        let due_ms = not_before(text(columns.not_before), &zones, self.now_ms)
            .map_err(|wrong| said(Field::NotBefore, columns.not_before, wrong))?;
        let named = columns.names.iter().zip(cells).enumerate();
        let variables: Variables = named
            .filter(|(index, (_, cell))| columns.is_variable(*index) && !cell.text.is_empty())
            .map(|(_, (name, cell))| (name.clone(), cell.text.clone()))
            .collect();
        if let Some(scenario) = &self.scenario {
            ScenarioRun::new(Arc::clone(scenario), &variables)
                .map_err(|error| (Reason::BadVariable, error.to_string()))?;
        }
        Ok(NewContact { number, variables, zones, consent, due_ms, line: Some(line) })
    }

    fn number(&self, cell: &Cell) -> Result<String, Wrong> {
        let read = e164(&cell.text, self.country);
        let plus_lost = cell.numeric && cell.text.len() >= WITH_COUNTRY;
        match read {
            Err(NumberError::NoCountry(_) | NumberError::Invalid { .. } | NumberError::NotANumber(_))
                if plus_lost =>
            {
                e164(&format!("+{}", cell.text), None).or(read)
            }
            Ok(_) | Err(_) => read,
        }
        .map_err(|error| (Reason::of(&error), error.to_string()))
    }

    fn zones(&self, number: &str, said: &str) -> Result<String, Wrong> {
        if !said.is_empty() {
            return zone(said).map_err(|words| (Reason::BadZone, words));
        }
        match (zones_of(number), &self.default_zone) {
            ("", Some(zone)) => Ok(zone.clone()),
            ("", None) => Err((
                Reason::UnknownZone,
                "the number says no time zone: give one in the row, or --default-zone".to_owned(),
            )),
            (zones, _) => Ok(zones.to_owned()),
        }
    }
}

/// A time zone's IANA name as its database writes it.
///
/// # Errors
/// Words for the user, with the name that was probably meant.
pub fn zone(text: &str) -> Result<String, String> {
    let known = TimeZone::get(text).ok().and_then(|zone| Some(zone.iana_name()?.to_owned()));
    // Abbreviations stand in the database as places without summer time.
    if let Some(name) = known.filter(|name| name.contains('/') || name == "UTC") {
        return Ok(name);
    }
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).replace('_', " ").to_lowercase();
    let wanted = last(text);
    let names = jiff::tz::db().available().map(|name| name.as_str().to_owned());
    let likeness = |name: &String| strsim::jaro_winkler(&last(name), &wanted);
    let near = names
        .filter(|name| name.contains('/'))
        .map(|name| (likeness(&name), name))
        .filter(|(likeness, _)| *likeness > 0.9)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
    let example = near.map_or("Europe/Paris".to_owned(), |(_, name)| name);
    Err(format!("`{text}` is no time zone: write an IANA name such as {example}"))
}

/// Whether they agreed beforehand to be called by an artificial voice. The date on which they did is a yes.
fn consent(text: &str, now_ms: i64) -> Result<bool, Wrong> {
    const YES: [&str; 15] = [
        "yes", "y", "true", "1", "x", "oui", "o", "vrai", "ja", "j", "wahr", "si", "sí", "opt-in", "opted in",
    ];
    const NO: [&str; 12] =
        ["", "no", "n", "false", "0", "-", "non", "faux", "nein", "falsch", "opt-out", "opted out"];
    let folded = text.to_lowercase();
    if YES.contains(&folded.as_str()) {
        return Ok(true);
    }
    if NO.contains(&folded.as_str()) {
        return Ok(false);
    }
    match time(text, &[TimeZone::UTC]) {
        // A day's tolerance: in their time zone it may be tomorrow already.
        Some((at, _)) if at.as_millisecond() > now_ms + 24 * 3600 * 1000 => {
            Err((Reason::BadConsent, format!("`{text}` lies in the future: nobody has agreed then yet")))
        }
        Some(_) => Ok(true),
        None => Err((
            Reason::BadConsent,
            format!(
                "`{text}` is neither yes nor no: write yes, no, or the date on which they agreed, 2026-03-31"
            ),
        )),
    }
}

/// Unix milliseconds before which they are not called; 0: at once.
fn not_before(text: &str, zones: &str, now_ms: i64) -> Result<i64, Wrong> {
    if text.is_empty() {
        return Ok(0);
    }
    let known: Vec<_> = zones.split(',').filter_map(|zone| TimeZone::get(zone).ok()).collect();
    let known = if known.is_empty() { vec![TimeZone::system()] } else { known };
    let Some((at, last)) = time(text, &known) else {
        let words =
            format!("`{text}` is no date: write 2026-12-01, 2026-12-01T15:00 or 2026-12-01T15:00+01:00");
        return Err((Reason::BadDate, words));
    };
    match last.as_millisecond() < now_ms {
        true => Err((Reason::PastDate, format!("`{text}` is in the past"))),
        false => Ok(at.as_millisecond()),
    }
}

/// A time, and the last moment it may mean (a day's end). Without an offset it is that of the zone in which it comes last.
fn time(text: &str, zones: &[TimeZone]) -> Option<(Timestamp, Timestamp)> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some((at, at));
    }
    let latest = |at: DateTime| {
        zones.iter().filter_map(|zone| Some(at.to_zoned(zone.clone()).ok()?.timestamp())).max()
    };
    // Civil types read a longer text's beginning: a time is not to be taken for its date.
    if text.len() == "2026-12-01".len() {
        let date: Date = text.parse().ok()?;
        return Some((latest(date.at(0, 0, 0, 0))?, latest(date.at(23, 59, 59, 0))?));
    }
    let at = latest(text.parse().ok()?)?;
    Some((at, at))
}
