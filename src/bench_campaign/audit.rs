//! Whether the books of a simulated day balance: what was dialled against what the database says.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use sidetone_core::call::{CallId, Disposition};

use super::day::Dialled;
use crate::store::{Campaign, CampaignCounts, Entry, Store};

/// Rows read at a time.
const PAGE: u32 = 10_000;

/// All but `attempts` have to be 0.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Books {
    /// Rows of attempts.
    pub(super) attempts: u64,
    /// Contacts missing from the sum of all states, calls without a row or with another outcome than theirs, rows
    /// without a call, rows never ended.
    pub(super) unaccounted: u64,
    /// Calls of a contact while another of the same contact went on.
    pub(super) duplicate_dials: u64,
    /// Claims beyond the pace of any second, calls beyond those at once, attempts beyond those of a contact.
    pub(super) cap_violations: u64,
}

impl Books {
    pub(super) fn balance(&self) -> bool {
        (self.unaccounted, self.duplicate_dials, self.cap_violations) == (0, 0, 0)
    }
}

pub(super) async fn balance(
    store: &Store,
    campaign: &Campaign,
    dialled: &HashMap<CallId, Dialled>,
    (contacts, counts): (u32, &CampaignCounts),
) -> anyhow::Result<Books> {
    let mut rows = Vec::with_capacity(dialled.len());
    let mut after = (i64::MIN, String::new());
    loop {
        let page = store.entries(campaign.id, (after.0, &after.1), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = (last.started_ms, last.call.to_string());
        rows.extend(page);
    }
    let in_states = counts.waiting + counts.live + counts.done + counts.suppressed + counts.forgotten;
    Ok(Books {
        attempts: u64::try_from(rows.len())?,
        unaccounted: u64::from(contacts).abs_diff(in_states) + unmatched(&rows, dialled),
        duplicate_dials: overlapping(&rows),
        cap_violations: beyond_pace(&rows, campaign.cps)
            + beyond_at_once(&rows, campaign.max_concurrent)
            + beyond_attempts(&rows, campaign.max_attempts),
    })
}

/// Rows and calls that do not say the same.
fn unmatched(rows: &[Entry], dialled: &HashMap<CallId, Dialled>) -> u64 {
    let mut found = HashSet::with_capacity(rows.len());
    let mut wrong = 0;
    for row in rows {
        let same = dialled.get(&row.call).is_some_and(|call| {
            (Some(call.contact), Some(call.disposition), Some(call.ends_ms), call.started_ms)
                == (row.contact, row.disposition, row.ended_ms, row.started_ms)
        });
        let once = found.insert(&row.call);
        wrong += u64::from(!same || !once);
    }
    wrong + dialled.keys().filter(|call| !found.contains(call)).count() as u64
}

fn overlapping(rows: &[Entry]) -> u64 {
    let mut until: HashMap<i64, i64> = HashMap::new();
    let mut twice = 0;
    // In the order of their start.
    for row in rows {
        let Some(contact) = row.contact else { continue };
        let ends = row.ended_ms.unwrap_or(i64::MAX);
        let latest = until.entry(contact).or_insert(i64::MIN);
        twice += u64::from(row.started_ms < *latest);
        *latest = ends.max(*latest);
    }
    twice
}

fn beyond_pace(rows: &[Entry], cps: f64) -> u64 {
    let most = cps.floor().max(1.0) as usize;
    let mut claims: Vec<i64> = rows.iter().filter_map(|row| row.claimed_ms).collect();
    claims.sort_unstable();
    // One too many where the claim `most` places further on is less than a second later.
    claims.windows(most + 1).filter(|window| window[most] - window[0] < 1000).count() as u64
}

fn beyond_at_once(rows: &[Entry], most: u32) -> u64 {
    let mut changes: Vec<(i64, i64)> =
        rows.iter().flat_map(|row| [(row.started_ms, 1), (row.ended_ms.unwrap_or(i64::MAX), -1)]).collect();
    // At the same moment those who end leave their place first.
    changes.sort_unstable();
    let (mut live, mut beyond) = (0, 0);
    for (_, change) in changes {
        live += change;
        beyond += u64::from(change > 0 && live > i64::from(most));
    }
    beyond
}

/// Calls that were never placed do not count; there are none here.
fn beyond_attempts(rows: &[Entry], most: u32) -> u64 {
    let mut attempts: HashMap<i64, u32> = HashMap::new();
    let mut beyond = 0;
    for row in rows.iter().filter(|row| row.disposition != Some(Disposition::Cancelled)) {
        let Some(contact) = row.contact else { continue };
        let n = attempts.entry(contact).or_default();
        *n += 1;
        beyond += u64::from(*n > most);
    }
    beyond
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(n: u32) -> CallId {
        CallId::new(&format!("00000000-0000-4000-8000-{n:012}")).unwrap()
    }

    fn row(n: u32, contact: i64, started_ms: i64, ended_ms: i64) -> Entry {
        Entry {
            call: call(n),
            contact: Some(contact),
            started_ms,
            claimed_ms: Some(started_ms),
            ended_ms: Some(ended_ms),
            disposition: Some(Disposition::Busy),
        }
    }

    #[test]
    fn calls_of_one_contact_that_overlap_are_found() {
        let one_after_another = [row(1, 7, 0, 10), row(2, 7, 10, 20), row(3, 8, 15, 30)];
        assert_eq!(overlapping(&one_after_another), 0);
        assert_eq!(overlapping(&[row(1, 7, 0, 10), row(2, 7, 9, 20)]), 1);
    }

    #[test]
    fn limits_are_counted_to_the_moment() {
        let rows = [row(1, 1, 0, 10), row(2, 2, 999, 2000), row(3, 3, 1000, 2000)];
        assert_eq!((beyond_pace(&rows, 2.0), beyond_pace(&rows, 1.0)), (0, 2));
        assert_eq!((beyond_at_once(&rows, 2), beyond_at_once(&rows, 1)), (0, 1));
        let thrice = [row(1, 1, 0, 1), row(2, 1, 2, 3), row(3, 1, 4, 5)];
        assert_eq!((beyond_attempts(&thrice, 3), beyond_attempts(&thrice, 2)), (0, 1));
    }

    #[test]
    fn a_call_without_a_row_and_a_row_without_a_call_are_found() {
        let dialled =
            |disposition| Dialled { contact: 1, started_ms: 0, ends_ms: 10, disposition, sidecar: 0 };
        let calls = HashMap::from([(call(1), dialled(Disposition::Busy))]);
        assert_eq!(unmatched(&[row(1, 1, 0, 10)], &calls), 0);
        assert_eq!(unmatched(&[], &calls), 1);
        assert_eq!(unmatched(&[row(1, 1, 0, 10), row(2, 1, 0, 10)], &calls), 1);
        let other = HashMap::from([(call(1), dialled(Disposition::NoAnswer))]);
        assert_eq!(unmatched(&[row(1, 1, 0, 10)], &other), 1);
    }
}
