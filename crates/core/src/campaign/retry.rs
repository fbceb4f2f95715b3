//! Whether, and when, somebody is called again.

use std::time::Duration;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryTable {
    /// Attempts in all, the first included. 1: nobody is called twice.
    pub max_attempts: u32,
    pub busy: Duration,
    pub no_answer: Duration,
    /// Voicemail without a message, a menu, a screening assistant.
    pub machine: Duration,
    pub congestion: Duration,
    /// Something of ours or the switch's broke before anybody was spoken to.
    pub failed: Duration,
}

impl Default for RetryTable {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            busy: Duration::from_secs(5 * 60),
            no_answer: Duration::from_secs(60 * 60),
            machine: Duration::from_secs(24 * 60 * 60),
            congestion: Duration::from_secs(2 * 60),
            failed: Duration::from_secs(5 * 60),
        }
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
        if attempts >= self.max_attempts {
            return Retry::Done;
        }
        match disposition {
            Disposition::Busy => Retry::After(self.busy),
            Disposition::NoAnswer => Retry::After(self.no_answer),
            Disposition::Congestion => Retry::After(self.congestion),
            Disposition::Machine | Disposition::MailboxFull | Disposition::Screened | Disposition::Ivr => {
                Retry::After(self.machine)
            }
            // Somebody who has picked up once is not called again for our own fault.
            Disposition::Failed | Disposition::Cancelled => {
                if answered {
                    Retry::Done
                } else {
                    Retry::After(self.failed)
                }
            }
            // Nobody knows whether a lost call rang or was spoken to: a second one could be a double dial.
            Disposition::Lost
            | Disposition::Completed
            | Disposition::Transferred
            | Disposition::HungUp
            | Disposition::NoInput
            | Disposition::MessageLeft
            | Disposition::Fax
            | Disposition::NotInService
            | Disposition::Rejected
            | Disposition::Unreachable => Retry::Done,
        }
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
