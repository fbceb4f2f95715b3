//! What a campaign must keep to: calling hours, attempts, rests, consent. Data in `policies/*.yaml`, or a file of
//! one's own.

mod parse;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use parse::{PolicyError, hours_of};

use super::{
    AbandonLimit,
    hours::{Hours, Opening, opening_in_all},
};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A rule that can be switched off by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Windows in the callee's own time; an unknown zone is never open.
    Hours,
    /// How long a telephone must at least ring.
    Ring,
    /// How soon after the greeting the person must hear something.
    Connect,
    /// How many live answers may be abandoned.
    Abandoned,
    /// How often a number may be called.
    Attempts,
    /// No call for some time after an abandoned one.
    Recall,
    /// No call for some time after a refusal.
    Refusal,
    /// Only who agreed beforehand.
    Consent,
}

impl Rule {
    /// Every rule, with its word.
    pub const ALL: [(&'static str, Self); 8] = [
        ("hours", Self::Hours),
        ("ring", Self::Ring),
        ("connect", Self::Connect),
        ("abandoned", Self::Abandoned),
        ("attempts", Self::Attempts),
        ("recall", Self::Recall),
        ("refusal", Self::Refusal),
        ("consent", Self::Consent),
    ];

    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, rule)| *rule == self).map_or("", |(word, _)| word)
    }
}

/// A campaign's rules. Missing ones do not hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub name: String,
    pub title: String,
    /// The day it was written down, `2026-11-25`.
    pub dated: String,
    pub source: Vec<String>,
    /// `not legal advice`.
    pub notice: String,
    /// All of them must be open.
    pub hours: Vec<Hours>,
    pub ring_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub abandoned: Option<AbandonLimit>,
    /// Attempts to a number within any 24 hours.
    pub per_day: Option<u32>,
    /// Attempts to a number within any 30 days.
    pub per_30_days: Option<u32>,
    pub recall_ms: Option<u64>,
    pub refusal_ms: Option<u64>,
    /// Scenario outcomes that are a refusal.
    pub refusals: Vec<String>,
    pub consent: bool,
    /// Rules that are our caution rather than the source's word.
    pub ours: Vec<Rule>,
    /// Rules that were switched off, and why.
    #[serde(default)]
    pub off: BTreeMap<Rule, String>,
}

/// Whether contacts who share zones and consent may be called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Open {
        until_ms: Option<i64>,
    },
    Closed {
        opens_ms: i64,
    },
    /// Hours hold, and nobody knows where the number is.
    UnknownZone,
    /// Its zones' windows never meet.
    NeverOpen,
    NoConsent,
}

impl Standing {
    /// Whether waiting would help.
    #[must_use]
    pub fn may_open(self) -> bool {
        matches!(self, Self::Open { .. } | Self::Closed { .. })
    }
}

/// An earlier call to a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCall {
    pub started_ms: i64,
    pub was_abandoned: bool,
    /// The scenario's word for how it ended.
    pub outcome: Option<String>,
}

/// Why a number is not called for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resting {
    PerDay,
    #[serde(rename = "per_30_days")]
    Per30Days,
    AfterAbandoned,
    AfterRefusal,
}

/// How often and how soon again a number may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    pub per_day: Option<u32>,
    pub per_30_days: Option<u32>,
    pub recall_ms: Option<u64>,
    pub refusal_ms: Option<u64>,
    pub refusals: Vec<String>,
}

impl Policy {
    /// The shipped policies, by name.
    #[must_use]
    pub fn presets() -> &'static [Self] {
        parse::presets()
    }

    /// Whether a rule holds: it is there and was not switched off.
    #[must_use]
    pub fn holds(&self, rule: Rule) -> bool {
        let there = match rule {
            Rule::Hours => !self.hours.is_empty(),
            Rule::Ring => self.ring_ms.is_some(),
            Rule::Connect => self.connect_ms.is_some(),
            Rule::Abandoned => self.abandoned.is_some(),
            Rule::Attempts => self.per_day.is_some() || self.per_30_days.is_some(),
            Rule::Recall => self.recall_ms.is_some(),
            Rule::Refusal => self.refusal_ms.is_some(),
            Rule::Consent => self.consent,
        };
        there && !self.off.contains_key(&rule)
    }

    /// Whether contacts may be called at `now_ms`. `zones`: where their numbers may lie; `None`: unknown.
    #[must_use]
    pub fn standing(&self, consent: bool, zones: Option<&[TimeZone]>, now_ms: i64) -> Standing {
        if self.holds(Rule::Consent) && !consent {
            return Standing::NoConsent;
        }
        if !self.holds(Rule::Hours) {
            return Standing::Open { until_ms: None };
        }
        let Some(zones) = zones.filter(|zones| !zones.is_empty()) else { return Standing::UnknownZone };
        match opening_in_all(&self.hours, zones, now_ms) {
            Opening::Open { until_ms } => Standing::Open { until_ms },
            Opening::Closed { opens_ms } => Standing::Closed { opens_ms },
            Opening::Never => Standing::NeverOpen,
        }
    }

    /// [`Self::standing`] where only now matters: it does not look for the next opening.
    #[must_use]
    pub fn is_open(&self, consent: bool, zones: Option<&[TimeZone]>, now_ms: i64) -> bool {
        if self.holds(Rule::Consent) && !consent {
            return false;
        }
        if !self.holds(Rule::Hours) {
            return true;
        }
        zones.filter(|zones| !zones.is_empty()).is_some_and(|zones| {
            self.hours.iter().all(|hours| zones.iter().all(|zone| hours.is_open(zone, now_ms)))
        })
    }

    /// What the policy says about calling a number again, with the caps of a retry table.
    #[must_use]
    pub fn limits(&self, per_day: Option<u32>, per_30_days: Option<u32>) -> Limits {
        let held = |rule, value: Option<u32>| value.filter(|_| self.holds(rule));
        let fewer = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        Limits {
            per_day: fewer(held(Rule::Attempts, self.per_day), per_day),
            per_30_days: fewer(held(Rule::Attempts, self.per_30_days), per_30_days),
            recall_ms: self.recall_ms.filter(|_| self.holds(Rule::Recall)),
            refusal_ms: self.refusal_ms.filter(|_| self.holds(Rule::Refusal)),
            refusals: self.refusals.clone(),
        }
    }

    /// How many live answers may be abandoned.
    #[must_use]
    pub fn abandon_limit(&self) -> Option<AbandonLimit> {
        self.abandoned.filter(|_| self.holds(Rule::Abandoned))
    }

    /// How long a telephone must at least ring.
    #[must_use]
    pub fn ring_at_least(&self) -> Duration {
        self.ring_ms.filter(|_| self.holds(Rule::Ring)).map(Duration::from_millis).unwrap_or_default()
    }
}

impl Limits {
    /// How far back earlier calls matter; `None`: they do not.
    #[must_use]
    pub fn look_back_ms(&self) -> Option<i64> {
        let ms = |ms: Option<u64>| ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        [
            self.per_day.map(|_| DAY_MS),
            self.per_30_days.map(|_| 30 * DAY_MS),
            ms(self.recall_ms),
            ms(self.refusal_ms).filter(|_| !self.refusals.is_empty()),
        ]
        .into_iter()
        .flatten()
        .max()
    }

    /// When a number with these earlier calls may be called again, and what keeps it; `None`: now.
    #[must_use]
    pub fn rests_until(&self, past: &[PastCall], now_ms: i64) -> Option<(i64, Resting)> {
        let capped = |cap: Option<u32>, window: i64, why| {
            let cap = usize::try_from(cap?).unwrap_or(usize::MAX);
            let mut starts: Vec<i64> =
                past.iter().map(|call| call.started_ms).filter(|at| *at > now_ms - window).collect();
            starts.sort_unstable_by(|a, b| b.cmp(a));
            // The oldest of the latest `cap`: when it leaves the window there is room again.
            let oldest = starts.get(cap.checked_sub(1)?)?;
            Some((oldest.saturating_add(window), why))
        };
        let after = |rest: Option<u64>, why, is: &dyn Fn(&PastCall) -> bool| {
            let rest = i64::try_from(rest?).unwrap_or(i64::MAX);
            let latest = past.iter().filter(|call| is(call)).map(|call| call.started_ms).max()?;
            let until = latest.saturating_add(rest);
            (until > now_ms).then_some((until, why))
        };
        let refused =
            |call: &PastCall| call.outcome.as_ref().is_some_and(|outcome| self.refusals.contains(outcome));
        [
            capped(self.per_day, DAY_MS, Resting::PerDay),
            capped(self.per_30_days, 30 * DAY_MS, Resting::Per30Days),
            after(self.recall_ms, Resting::AfterAbandoned, &|call| call.was_abandoned),
            after(self.refusal_ms, Resting::AfterRefusal, &refused),
        ]
        .into_iter()
        .flatten()
        .max_by_key(|(until, _)| *until)
    }
}
