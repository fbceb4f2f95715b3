//! How many answered calls were abandoned, and what follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::Answer;

/// A share is judged as if at least so many people had answered: one mishap among the first few calls is no rate.
const FEWEST: u64 = 100;
/// From this part of the limit on calls start more slowly.
const SOFT: f64 = 2.0 / 3.0;
/// The slowest pace, just below the limit.
const SLOWEST: f64 = 0.2;

/// How many calls counted as what, within some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// People who heard us in time.
    pub persons: u64,
    /// People who heard us too late.
    pub abandoned: u64,
    /// People who heard nothing.
    pub silent: u64,
    pub machines: u64,
    /// Answered, but by nobody that we know of.
    pub nobody: u64,
}

impl Tally {
    /// Takes in `n` calls of a kind.
    pub fn add(&mut self, answer: Answer, n: u64) {
        let count = match answer {
            Answer::Person => &mut self.persons,
            Answer::Abandoned => &mut self.abandoned,
            Answer::Silent => &mut self.silent,
            Answer::Machine => &mut self.machines,
            Answer::Nobody => &mut self.nobody,
        };
        *count += n;
    }

    /// Calls that a person answered.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.persons + self.all_abandoned()
    }

    /// Live answers that were abandoned, silent ones included.
    #[must_use]
    pub fn all_abandoned(&self) -> u64 {
        self.abandoned + self.silent
    }

    /// How many of those taken for machines were people, where this share of such verdicts is wrong. Ofcom's method
    /// counts them as abandoned live calls.
    #[must_use]
    pub fn false_positives(&self, rate: f64) -> f64 {
        self.machines as f64 * rate
    }

    /// Abandoned of live answers; with `false_positives` taken for both where they count. `None`: nobody answered.
    #[must_use]
    pub fn abandoned_share(&self, false_positives: f64) -> Option<f64> {
        let live = self.live() as f64 + false_positives;
        (live > 0.0).then(|| (self.all_abandoned() as f64 + false_positives) / live)
    }
}

/// How many live answers a rule lets be abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AbandonLimit {
    /// 0.03: three of a hundred.
    pub share: f64,
    /// Counted over the latest so long.
    pub window: Duration,
    /// Whether the estimate of people taken for machines counts.
    pub counts_estimate: bool,
}

/// What a limit means for a campaign's pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Brake {
    Free,
    /// Start calls at this part of the pace only.
    Slow(f64),
    /// Start none.
    Hold,
}

impl AbandonLimit {
    /// Judges what was counted over the window. The pace falls evenly from two thirds of the limit on; at the limit,
    /// not only beyond it, no more calls start.
    #[must_use]
    pub fn judge(&self, tally: &Tally, false_positive_rate: f64) -> Brake {
        let estimate = if self.counts_estimate { tally.false_positives(false_positive_rate) } else { 0.0 };
        let abandoned = tally.all_abandoned() as f64 + estimate;
        let live = (tally.live() as f64 + estimate).max(FEWEST as f64);
        let used = abandoned / (live * self.share);
        if abandoned == 0.0 || used <= SOFT {
            return Brake::Free;
        }
        if used >= 1.0 {
            return Brake::Hold;
        }
        Brake::Slow(1.0 - (used - SOFT) / (1.0 - SOFT) * (1.0 - SLOWEST))
    }
}

impl Brake {
    /// The stricter of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if other.pace() < self.pace() { other } else { self }
    }

    /// The part of the pace that is left.
    #[must_use]
    pub fn pace(self) -> f64 {
        match self {
            Self::Free => 1.0,
            Self::Slow(part) => part,
            Self::Hold => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn limit(counts_estimate: bool) -> AbandonLimit {
        AbandonLimit { share: 0.03, window: DAY, counts_estimate }
    }

    fn tally(persons: u64, silent: u64, machines: u64) -> Tally {
        Tally { persons, silent, machines, ..Tally::default() }
    }

    #[test]
    fn every_answer_is_counted_where_it_belongs() {
        let mut all = Tally::default();
        for (answer, n) in [
            (Answer::Person, 90),
            (Answer::Abandoned, 2),
            (Answer::Silent, 8),
            (Answer::Machine, 200),
            (Answer::Nobody, 7),
        ] {
            all.add(answer, n);
        }
        assert_eq!((all.live(), all.all_abandoned()), (100, 10));
        assert_eq!(all.abandoned_share(0.0), Some(0.1));
        // Two hundred machines, one of a hundred a person: 12 of 102.
        assert_eq!(all.abandoned_share(all.false_positives(0.01)), Some(12.0 / 102.0));
        assert_eq!(Tally::default().abandoned_share(0.0), None);
    }

    #[test]
    fn the_pace_falls_before_the_limit_and_ends_at_it() {
        let judge = |silent| limit(false).judge(&tally(1000 - silent, silent, 5000), 0.01);
        assert_eq!(judge(0), Brake::Free);
        assert_eq!(judge(20), Brake::Free);
        let paces: Vec<f64> = (20..=30).map(|silent| judge(silent).pace()).collect();
        assert!(paces.windows(2).all(|pair| pair[1] < pair[0]), "{paces:?}");
        assert!((judge(29).pace() - 0.28).abs() < 0.001, "{:?}", judge(29));
        assert_eq!(judge(30), Brake::Hold);
    }

    #[test]
    fn people_taken_for_machines_count_where_the_rule_says_so() {
        // 10 of 1,000 live and 30 more by estimate: 40 of 1,030.
        let counted = tally(990, 10, 3000);
        assert_eq!(limit(true).judge(&counted, 0.01), Brake::Hold);
        assert_eq!(limit(false).judge(&counted, 0.01), Brake::Free);
        assert_eq!(limit(true).judge(&counted, 0.0), Brake::Free);
    }

    #[test]
    fn one_mishap_among_the_first_calls_is_no_rate() {
        assert_eq!(limit(false).judge(&tally(1, 1, 0), 0.01), Brake::Free);
        assert_ne!(limit(false).judge(&tally(7, 3, 0), 0.01), Brake::Free);
        assert_eq!(limit(false).judge(&tally(0, 3, 0), 0.01), Brake::Hold);
        let none = AbandonLimit { share: 0.0, ..limit(false) };
        assert_eq!(none.judge(&tally(500, 0, 0), 0.01), Brake::Free);
        assert_eq!(none.judge(&tally(500, 1, 0), 0.01), Brake::Hold);
    }

    #[test]
    fn the_stricter_brake_holds() {
        assert_eq!(Brake::Free.and(Brake::Slow(0.5)), Brake::Slow(0.5));
        assert_eq!(Brake::Slow(0.5).and(Brake::Slow(0.8)), Brake::Slow(0.5));
        assert_eq!(Brake::Slow(0.5).and(Brake::Hold).and(Brake::Free), Brake::Hold);
    }
}
