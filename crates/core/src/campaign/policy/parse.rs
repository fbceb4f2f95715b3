//! A policy's YAML: everything wrong with a file is said in one go, each with its line.

use std::{sync::LazyLock, time::Duration};

use super::{Policy, Rule};
use crate::{
    call::{CONNECT_WITHIN, millis},
    campaign::{
        AbandonLimit,
        hours::{Holiday, Hours, Window},
    },
    yaml::{At, Fields, Finding, Findings, Key, Node, suggestion},
};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MS: u64 = 24 * 3600 * 1000;
const TOP: &[&str] = &[
    "name",
    "title",
    "dated",
    "source",
    "notice",
    "hours",
    "holidays",
    "ring",
    "connect",
    "abandoned",
    "attempts",
    "recall",
    "refusal",
    "consent",
    "ours",
];

const SHIPPED: [(&str, &str); 3] = [
    ("policies/fr-d223-9.yaml", include_str!("../../../../../policies/fr-d223-9.yaml")),
    ("policies/uk-ofcom.yaml", include_str!("../../../../../policies/uk-ofcom.yaml")),
    ("policies/us-tsr.yaml", include_str!("../../../../../policies/us-tsr.yaml")),
];

/// A policy that cannot be used: every finding, with file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines().join("\n"))]
pub struct PolicyError {
    pub file: String,
    pub findings: Vec<Finding>,
}

impl PolicyError {
    /// `file:line:column: key: message`, one each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.findings.iter().map(|finding| finding.line(&self.file)).collect()
    }
}

/// Those that can be read; a test holds them all to it.
pub(super) fn presets() -> &'static [Policy] {
    static PRESETS: LazyLock<Vec<Policy>> =
        LazyLock::new(|| SHIPPED.iter().filter_map(|(file, yaml)| Policy::parse(yaml, file).ok()).collect());
    &PRESETS
}

impl Policy {
    /// Reads a policy; `file_name` is for the messages.
    ///
    /// # Errors
    /// All mistakes of the file, each with line, key and what would be right.
    pub fn parse(yaml: &str, file_name: &str) -> Result<Self, PolicyError> {
        let fail = |findings| PolicyError { file: file_name.to_owned(), findings };
        let node = Node::parse(yaml).map_err(|finding| fail(vec![finding]))?;
        let findings = Findings::default();
        let policy = Reader(&findings).policy(&At::root(&node));
        match findings.any_error() {
            true => Err(fail(findings.into_sorted())),
            false => Ok(policy),
        }
    }
}

/// Hours as they are written on a command line: `mon-fri 09:00-12:00,14:00-18:00; sat 10:00-12:00`.
///
/// # Errors
/// What is wrong with them, and what would be right.
pub fn hours_of(text: &str) -> Result<Hours, String> {
    let mut hours = Hours::default();
    for part in text.split(';').map(str::trim) {
        let (days, windows) = part
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("`{part}`: write days and windows, such as mon-fri 09:00-18:00"))?;
        let days = days_of(days)?;
        let windows = windows.split(',').map(|window| window_of(window.trim())).collect::<Result<_, _>>()?;
        put(&mut hours, &days, windows)?;
    }
    Ok(hours)
}

struct Reader<'f>(&'f Findings);

impl Reader<'_> {
    fn policy(&self, root: &At<'_>) -> Policy {
        let findings = self.0;
        let fields = root.fields(TOP, findings);
        let text = |name| fields.require(name, findings).and_then(|at| at.text(findings)).unwrap_or_default();
        let span = |name| fields.get(name).and_then(|at| self.span(&at));
        let (per_day, per_30_days) = self.attempts(&fields);
        let (refusal_ms, refusals) = self.refusal(&fields);
        Policy {
            name: fields.require("name", findings).and_then(|at| self.name(&at)).unwrap_or_default(),
            title: fields.get("title").and_then(|at| at.text(findings)).unwrap_or_default(),
            dated: fields.require("dated", findings).and_then(|at| self.date(&at)).unwrap_or_default(),
            source: fields.require("source", findings).map(|at| self.texts(&at)).unwrap_or_default(),
            notice: text("notice"),
            hours: self.hours(&fields).into_iter().collect(),
            ring_ms: span("ring"),
            connect_ms: fields.get("connect").and_then(|at| self.connect(&at)),
            abandoned: fields.get("abandoned").and_then(|at| self.abandoned(&at)),
            per_day,
            per_30_days,
            recall_ms: span("recall"),
            refusal_ms,
            refusals,
            // Left out is not switched off: what is played is an artificial voice.
            consent: fields.get("consent").and_then(|at| self.consent(&at)).unwrap_or(true),
            ours: fields.get("ours").map(|at| self.rules(&at)).unwrap_or_default(),
            off: Default::default(),
        }
    }

    fn name(&self, at: &At<'_>) -> Option<String> {
        let name = at.text(self.0)?;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !plain {
            self.0.error(at, format!("`{name}` may hold only letters a-z, digits, - and _"));
        }
        plain.then_some(name)
    }

    fn date(&self, at: &At<'_>) -> Option<String> {
        let text = at.text(self.0)?;
        if text.parse::<jiff::civil::Date>().is_err() {
            self.0.error(at, format!("`{text}` is no date: write 2026-11-25"));
            return None;
        }
        Some(text)
    }

    fn texts(&self, at: &At<'_>) -> Vec<String> {
        at.one_or_many().iter().filter_map(|item| item.text(self.0)).collect()
    }

    fn hours(&self, fields: &Fields<'_>) -> Option<Hours> {
        let holidays = fields.get("holidays");
        let Some(at) = fields.get("hours") else {
            if let Some(at) = holidays {
                self.0.error(&at, "means nothing without `hours`");
            }
            return None;
        };
        let mut hours = Hours::default();
        for (key, at) in at.entries(self.0) {
            self.day(key, &at, &mut hours);
        }
        hours.holidays = holidays.map(|at| self.holidays(&at)).unwrap_or_default();
        if hours.days.iter().all(Vec::is_empty) && !self.0.any_error() {
            self.0.error(&at, "opens on no day: write days and windows, such as mon-fri: [09:00-18:00]");
        }
        Some(hours)
    }

    fn day(&self, key: &Key, at: &At<'_>, hours: &mut Hours) {
        let mut windows = Vec::new();
        for item in at.one_or_many() {
            let Some(text) = item.text(self.0) else { continue };
            match window_of(&text) {
                Ok(window) => windows.push(window),
                Err(message) => self.0.error(&item, message),
            }
        }
        let put = days_of(&key.name).and_then(|days| put(hours, &days, windows));
        if let Err(message) = put {
            self.0.error(at, message);
        }
    }

    fn holidays(&self, at: &At<'_>) -> Vec<Holiday> {
        let mut holidays = Vec::new();
        for item in at.one_or_many() {
            let Some(text) = item.text(self.0) else { continue };
            match holiday_of(&text) {
                Some(holiday) => holidays.push(holiday),
                None => {
                    self.0.error(&item, format!("`{text}` is no holiday: write 05-01, easter or easter+39"))
                }
            }
        }
        holidays
    }

    fn attempts(&self, fields: &Fields<'_>) -> (Option<u32>, Option<u32>) {
        let Some(at) = fields.get("attempts") else { return (None, None) };
        let fields = at.fields(&["per_day", "per_30_days"], self.0);
        let cap = |name| {
            let at = fields.get(name)?;
            let cap = at.whole(self.0, 1000)?;
            if cap == 0 {
                self.0.error(&at, "0 would call nobody: write 1 or more, or leave it out");
            }
            Some(cap)
        };
        (cap("per_day"), cap("per_30_days"))
    }

    fn refusal(&self, fields: &Fields<'_>) -> (Option<u64>, Vec<String>) {
        let Some(at) = fields.get("refusal") else { return (None, Vec::new()) };
        let fields = at.fields(&["rest", "outcomes"], self.0);
        let rest = fields.require("rest", self.0).and_then(|at| self.span(&at));
        let outcomes = fields.require("outcomes", self.0).map(|at| self.texts(&at)).unwrap_or_default();
        (rest, outcomes)
    }

    fn abandoned(&self, at: &At<'_>) -> Option<AbandonLimit> {
        let fields = at.fields(&["most", "within", "counts_false_positives"], self.0);
        let share = fields.require("most", self.0).and_then(|at| self.share(&at));
        let within = fields.require("within", self.0).and_then(|at| self.span(&at));
        let counts = fields.get("counts_false_positives").and_then(|at| at.boolean(self.0));
        let window = Duration::from_millis(within?);
        Some(AbandonLimit { share: share?, window, counts_estimate: counts.unwrap_or(false) })
    }

    /// `3%`.
    fn share(&self, at: &At<'_>) -> Option<f64> {
        let text = at.text(self.0)?;
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        let share = percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
        if share.is_none() {
            self.0.error(at, format!("`{text}` is no share: write 3%"));
        }
        share
    }

    fn consent(&self, at: &At<'_>) -> Option<bool> {
        let text = at.text(self.0)?;
        match text.as_str() {
            "required" => Some(true),
            "not_required" => Some(false),
            _ => {
                self.0.error(at, format!("`{text}`: write required or not_required"));
                None
            }
        }
    }

    fn rules(&self, at: &At<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        for item in at.one_or_many() {
            let Some(text) = item.text(self.0) else { continue };
            match Rule::ALL.iter().find(|(word, _)| *word == text) {
                Some((_, rule)) => rules.push(*rule),
                None => {
                    let known = suggestion(&text, Rule::ALL.iter().map(|(word, _)| *word));
                    self.0.error(&item, format!("`{text}` is no rule{known}"));
                }
            }
        }
        rules
    }

    /// `2s`, `15s`, `72h`, `60d`, in milliseconds.
    /// What counts as late is the same in every campaign's ledger.
    fn connect(&self, at: &At<'_>) -> Option<u64> {
        let ms = self.span(at)?;
        let judged = ms == millis(CONNECT_WITHIN);
        if !judged {
            self.0.error(at, "the ledger counts from 2 s on: write 2s, or leave it out");
        }
        judged.then_some(ms)
    }

    fn span(&self, at: &At<'_>) -> Option<u64> {
        let text = at.text(self.0)?;
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit = match unit {
            "ms" => Some(1),
            "s" => Some(1000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(DAY_MS),
            _ => None,
        };
        let ms = number.trim().parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
        let ms = ms.filter(|ms| (1..=1000 * DAY_MS).contains(ms));
        if ms.is_none() {
            self.0.error(at, format!("`{text}` is no time: write 2s, 15s, 72h or 60d"));
        }
        ms
    }
}

/// `daily`, `mon`, `mon-fri`.
fn days_of(text: &str) -> Result<Vec<usize>, String> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let wrong = || {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let strange = [first, last].into_iter().find(|name| day(name).is_none()).unwrap_or(text);
        format!("`{strange}` is no day{}", suggestion(strange, DAYS.into_iter().chain(["daily"])))
    };
    if text == "daily" {
        return Ok((0..7).collect());
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = day(first).zip(day(last)).ok_or_else(wrong)?;
    if last < first {
        return Err(format!(
            "`{text}` runs backwards: write {}-sun and mon-{} apart",
            DAYS[first], DAYS[last]
        ));
    }
    Ok((first..=last).collect())
}

/// `09:00-18:00`; `24:00` is the end of the day.
fn window_of(text: &str) -> Result<Window, String> {
    let minutes = |time: &str| {
        let (hour, minute) = time.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour <= 24 && minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
    };
    let window = text.split_once('-').and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
    match window {
        Some((from, to)) if from < to => Ok(Window { from, to }),
        Some(_) => {
            Err(format!("`{text}` ends before it begins; a window does not cross midnight: write two"))
        }
        None => Err(format!("`{text}` is no window: write 09:00-18:00")),
    }
}

fn put(hours: &mut Hours, days: &[usize], mut windows: Vec<Window>) -> Result<(), String> {
    windows.sort_unstable();
    if windows.windows(2).any(|pair| pair[1].from < pair[0].to) {
        return Err("has windows that overlap".to_owned());
    }
    for day in days {
        if !hours.days[*day].is_empty() {
            return Err(format!("{} is given twice", DAYS[*day]));
        }
        hours.days[*day].clone_from(&windows);
    }
    Ok(())
}

/// `05-01`, `easter`, `easter+39`, `easter-2`.
fn holiday_of(text: &str) -> Option<Holiday> {
    if let Some(days) = text.strip_prefix("easter") {
        let days = if days.is_empty() { 0 } else { days.parse().ok()? };
        return (-100..=100).contains(&days).then_some(Holiday::Easter(days));
    }
    let (month, day) = text.split_once('-')?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    // A leap year has every day.
    jiff::civil::Date::new(2024, month, day).ok()?;
    Some(Holiday::Fixed { month, day })
}
