//! Whether, and when, somebody is called again.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::call::Disposition;

/// What becomes of a contact after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Never again in this campaign.
    Done,
    /// Again after so long.
    After(Duration),
}

/// Which disposition is tried again, after how long, and how often in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryTable {
    /// Attempts in all, the first included. 1: nobody is called twice.
    pub max_attempts: u32,
    /// Attempts to a number within any 24 hours, whoever made them.
    pub per_day: Option<u32>,
    /// Attempts to a number within any 30 days, whoever made them.
    pub per_30_days: Option<u32>,
    /// Milliseconds to wait; a disposition that is not here is never tried again.
    pub after_ms: BTreeMap<Disposition, u64>,
}

impl Default for RetryTable {
    fn default() -> Self {
        const MINUTE: u64 = 60_000;
        const DAY: u64 = 24 * 60 * MINUTE;
        let after_ms = [
            (Disposition::Busy, 5 * MINUTE),
            (Disposition::NoAnswer, 60 * MINUTE),
            (Disposition::Machine, DAY),
            (Disposition::MailboxFull, DAY),
            (Disposition::Screened, DAY),
            (Disposition::Ivr, DAY),
            (Disposition::Congestion, 2 * MINUTE),
            (Disposition::Failed, 5 * MINUTE),
            (Disposition::Cancelled, 5 * MINUTE),
            // Not `lost`: nobody knows whether it rang or was spoken to, and a second call could be a double dial.
        ];
        Self { max_attempts: 3, per_day: None, per_30_days: None, after_ms: after_ms.into() }
    }
}

impl RetryTable {
    /// The default waits with another cap.
    #[must_use]
    pub fn with_max_attempts(max_attempts: u32) -> Self {
        Self { max_attempts, ..Self::default() }
    }

    /// Decides after `attempts` attempts, this one included. `answered`: somebody or something picked up.
    #[must_use]
    pub fn decide(&self, disposition: Disposition, attempts: u32, answered: bool) -> Retry {
        // Somebody who has picked up once is not called again for our own fault.
        let our_fault = matches!(disposition, Disposition::Failed | Disposition::Cancelled);
        if attempts >= self.max_attempts || (answered && our_fault) {
            return Retry::Done;
        }
        self.after_ms.get(&disposition).map_or(Retry::Done, |ms| Retry::After(Duration::from_millis(*ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_what_may_go_better_and_stops_at_the_cap() {
        let table = RetryTable::default();
        assert_eq!(table.decide(Disposition::Busy, 1, false), Retry::After(Duration::from_secs(300)));
        assert_eq!(table.decide(Disposition::NoAnswer, 2, false), Retry::After(Duration::from_secs(3600)));
        assert_eq!(table.decide(Disposition::NoAnswer, 3, false), Retry::Done);
        assert_eq!(table.decide(Disposition::Machine, 1, true), Retry::After(Duration::from_secs(86_400)));
        for never in [Disposition::Lost, Disposition::Completed, Disposition::Unreachable, Disposition::Fax] {
            assert_eq!(table.decide(never, 1, false), Retry::Done, "{never:?}");
        }
    }

    #[test]
    fn our_own_fault_is_mended_only_before_anybody_picked_up() {
        let table = RetryTable::default();
        assert_eq!(table.decide(Disposition::Failed, 1, false), Retry::After(Duration::from_secs(300)));
        assert_eq!(table.decide(Disposition::Failed, 1, true), Retry::Done);
    }

    #[test]
    fn a_cap_of_one_never_calls_twice() {
        assert_eq!(RetryTable::with_max_attempts(1).decide(Disposition::Busy, 1, false), Retry::Done);
    }
}
