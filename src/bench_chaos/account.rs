//! What the stand-ins saw against what the database says.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use sidetone_core::{call::Disposition, campaign::Pace};

use crate::{sim::CallReport, store::Attempt};

/// A call that a stand-in was told to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) uuid: String,
    /// Unix milliseconds.
    pub(super) at_ms: i64,
}

impl Seen {
    pub(super) fn new(call: &CallReport, sim_started_ms: i64) -> Self {
        let after = i64::try_from(call.created_ms).unwrap_or(i64::MAX);
        Self { uuid: call.uuid.clone(), at_ms: sim_started_ms.saturating_add(after) }
    }
}

/// What came of it; the three counts that must be 0 come first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChaosReport {
    /// A call placed twice, or a contact called again while an attempt of it was open or after one that was lost.
    pub duplicate_dials: u64,
    /// Calls without a row, rows without an outcome, and rows that no switch saw but whose outcome says otherwise.
    pub unaccounted: u64,
    /// Seconds with more claims than `cps`, and looks at the database that found more than `max_concurrent` claimed.
    pub cap_violations: u64,
    pub seed: u64,
    pub seconds: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Calls that the stand-ins were told to place.
    pub originates: u64,
    /// Rows in the database.
    pub attempts: u64,
    /// Rows that no stand-in saw: `lost`, or `failed` where it was known at once.
    pub never_dialled: u64,
    pub contacts: u64,
    pub by_disposition: BTreeMap<Disposition, u64>,
    /// The most calls that reached the stand-ins within one second; information, the cap is on claims.
    pub most_originates_a_second: u64,
}

impl ChaosReport {
    pub(super) fn of(rows: &[Attempt], seen: &[Seen], cps: f64) -> Self {
        let known: HashSet<&str> = rows.iter().map(|row| row.call.as_str()).collect();
        let mut times: HashMap<&str, u64> = HashMap::new();
        for call in seen {
            *times.entry(call.uuid.as_str()).or_default() += 1;
        }
        let placed_twice: u64 = times.values().map(|n| n - 1).sum();
        let without_row = times.keys().filter(|uuid| !known.contains(*uuid)).count();
        let open = rows.iter().filter(|row| row.ended_ms.is_none()).count();
        let unseen = || rows.iter().filter(|row| !times.contains_key(row.call.as_str()));
        let untrue = unseen().filter(|row| row.ended_ms.is_some() && !may_be_unseen(row.disposition)).count();
        let mut report = Self {
            duplicate_dials: placed_twice + called_too_often(rows, &times),
            unaccounted: (without_row + open + untrue) as u64,
            cap_violations: beyond_pace(rows, cps),
            originates: seen.len() as u64,
            attempts: rows.len() as u64,
            never_dialled: unseen().count() as u64,
            contacts: rows.iter().filter_map(|row| row.number.as_ref()).collect::<HashSet<_>>().len() as u64,
            most_originates_a_second: most_within(seen.iter().map(|call| call.at_ms).collect(), 1000),
            ..Self::default()
        };
        for disposition in rows.iter().filter_map(|row| row.disposition) {
            *report.by_disposition.entry(disposition).or_default() += 1;
        }
        report
    }

    /// Whether nothing went wrong that must not.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.duplicate_dials == 0 && self.unaccounted == 0 && self.cap_violations == 0
    }
}

/// `failed`: the command could not be sent, and that was known.
fn may_be_unseen(disposition: Option<Disposition>) -> bool {
    matches!(disposition, Some(Disposition::Lost | Disposition::Failed))
}

/// Calls to a contact while an earlier attempt was open, or after one of which nobody knows whether it rang.
fn called_too_often(rows: &[Attempt], seen: &HashMap<&str, u64>) -> u64 {
    let mut by_number: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for row in rows {
        by_number.entry(row.number.as_deref().unwrap_or_default()).or_default().push(row);
    }
    let mut twice = 0;
    for attempts in by_number.values_mut() {
        attempts.sort_by_key(|row| row.claimed_ms);
        for pair in attempts.windows(2) {
            let open = pair[0].ended_ms.is_none_or(|ended| Some(ended) > pair[1].claimed_ms);
            let lost = pair[0].disposition == Some(Disposition::Lost);
            let dialled = seen.contains_key(pair[1].call.as_str());
            twice += u64::from((open || lost) && dialled);
        }
    }
    twice
}

/// Claims that are one too many within the pace's window.
fn beyond_pace(rows: &[Attempt], cps: f64) -> u64 {
    let Some((most, window)) = (Pace { cps, max_concurrent: u32::MAX }).window() else { return 0 };
    let mut claims: Vec<i64> = rows.iter().filter_map(|row| row.claimed_ms).collect();
    claims.sort_unstable();
    let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let most = most as usize;
    claims.windows(most + 1).filter(|claims| claims[most] - claims[0] < window).count() as u64
}

fn most_within(mut at: Vec<i64>, window: i64) -> u64 {
    at.sort_unstable();
    let within = |i: usize| at[i..].iter().take_while(|ms| **ms < at[i] + window).count();
    (0..at.len()).map(within).max().unwrap_or_default() as u64
}

#[cfg(test)]
mod tests {
    use sidetone_core::call::CallId;

    use super::*;
    use crate::store::Origin;

    fn row(call: &str, number: &str, claimed_ms: i64, end: Option<(i64, Disposition)>) -> Attempt {
        Attempt {
            call: CallId::new(call).unwrap(),
            origin: Origin::Campaign,
            campaign: None,
            instance: "one".to_owned(),
            number: Some(number.to_owned()),
            dial_string: None,
            scenario: String::new(),
            caller_id: None,
            gateway: None,
            started_ms: claimed_ms,
            claimed_ms: Some(claimed_ms),
            answered_ms: None,
            ended_ms: end.map(|(ms, _)| ms),
            disposition: end.map(|(_, disposition)| disposition),
            verdict: None,
            cause: None,
            hangup_cause: None,
            outcome: None,
            verdict_ms: None,
            after_speech_ms: None,
            barge_in_ms: None,
            answer: None,
            abandoned: None,
            ended_by: None,
            greeting_to_audio_ms: None,
        }
    }

    fn seen(uuid: &str) -> Seen {
        Seen { uuid: uuid.to_owned(), at_ms: 0 }
    }

    #[test]
    fn a_good_run_is_clean() {
        let rows = [
            row("a", "1", 0, Some((900, Disposition::Busy))),
            row("b", "1", 900, Some((2000, Disposition::Completed))),
            row("c", "2", 1000, Some((7000, Disposition::Lost))),
        ];
        let report = ChaosReport::of(&rows, &[seen("a"), seen("b")], 2.0);
        assert!(report.is_clean(), "{report:?}");
        assert_eq!((report.never_dialled, report.contacts), (1, 2));
    }

    #[test]
    fn every_wrong_is_counted() {
        let busy = Some((900, Disposition::Busy));
        let report = ChaosReport::of(&[row("a", "1", 0, busy)], &[seen("a"), seen("a"), seen("z")], 9.0);
        assert_eq!((report.duplicate_dials, report.unaccounted), (1, 1), "placed twice; no row");

        let report = ChaosReport::of(&[row("a", "1", 0, busy), row("b", "2", 0, None)], &[seen("b")], 9.0);
        assert_eq!(report.unaccounted, 2, "busy but never dialled; never ended");

        for first in [Some((950, Disposition::Busy)), Some((500, Disposition::Lost)), None] {
            let rows = [row("a", "1", 0, first), row("b", "1", 900, Some((2000, Disposition::Busy)))];
            let report = ChaosReport::of(&rows, &[seen("a"), seen("b")], 9.0);
            assert_eq!(report.duplicate_dials, 1, "{first:?}");
        }

        let rows = [row("a", "1", 0, busy), row("b", "2", 500, busy), row("c", "3", 999, busy)];
        let all = [seen("a"), seen("b"), seen("c")];
        assert_eq!(ChaosReport::of(&rows, &all, 2.0).cap_violations, 1);
        assert_eq!(ChaosReport::of(&rows, &all, 3.0).cap_violations, 0);
    }
}
