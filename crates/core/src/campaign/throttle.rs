//! Slower where the network is congested: additive increase, multiplicative decrease.

use std::time::Duration;

/// Calls that ended are judged together over so long.
const INTERVAL: Duration = Duration::from_secs(1);
/// Where every call met congestion the pace is cut to this part; where some did, by as much less (the way of DCTCP,
/// RFC 8257: one stray refusal among a hundred calls is no congestion).
const CUT: f64 = 0.5;
/// What each interval without congestion gives back.
const RAISE: f64 = 0.05;
/// Something is always tried, or nobody would know that the congestion is over.
const FLOOR: f64 = 0.05;

/// The part of its pace that a gateway is left. Instants are the time since any fixed moment.
#[derive(Debug, Clone)]
pub struct Throttle {
    part: f64,
    since: Duration,
    ended: u32,
    congested: u32,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { part: 1.0, since: Duration::ZERO, ended: 0, congested: 0 }
    }
}

impl Throttle {
    /// `ended` calls ended since the last look, `congested` of them by congestion.
    pub fn observe(&mut self, now: Duration, ended: u32, congested: u32) {
        self.ended = self.ended.saturating_add(ended);
        self.congested = self.congested.saturating_add(congested);
        let passed = now.saturating_sub(self.since);
        if passed < INTERVAL {
            return;
        }
        if self.congested > 0 {
            let share = f64::from(self.congested) / f64::from(self.ended.max(self.congested));
            self.part *= 1.0 - (1.0 - CUT) * share;
        } else {
            // Intervals that nobody looked at were quiet ones.
            self.part += RAISE * passed.as_secs_f64().floor();
        }
        self.part = self.part.clamp(FLOOR, 1.0);
        (self.since, self.ended, self.congested) = (now, 0, 0);
    }

    /// 1: all of the pace.
    #[must_use]
    pub fn part(&self) -> f64 {
        self.part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: &[(u32, u32)]) -> f64 {
        let mut throttle = Throttle::default();
        for (second, (ended, congested)) in (1..).zip(seconds) {
            throttle.observe(Duration::from_secs(second), *ended, *congested);
        }
        throttle.part()
    }

    #[test]
    fn congestion_halves_the_pace_and_quiet_gives_it_back_by_and_by() {
        assert_eq!(after(&[(10, 0)]), 1.0);
        assert_eq!(after(&[(10, 10)]), 0.5);
        assert_eq!(after(&[(10, 10), (5, 5)]), 0.25);
        assert!((after(&[(10, 10), (5, 0), (5, 0)]) - 0.6).abs() < 1e-9);
        assert_eq!(after(&[(1, 1); 50]), FLOOR);
        let quiet: Vec<_> = [(9, 9)].into_iter().chain([(0, 0); 20]).collect();
        assert_eq!(after(&quiet), 1.0);
    }

    #[test]
    fn one_refusal_among_many_calls_is_hardly_felt() {
        assert!((after(&[(100, 1)]) - 0.995).abs() < 1e-9);
        assert!((after(&[(4, 1)]) - 0.875).abs() < 1e-9);
    }

    #[test]
    fn looks_within_a_second_count_as_one() {
        let mut throttle = Throttle::default();
        for tick in 1..=20 {
            throttle.observe(Duration::from_millis(tick * 50), 1, 1);
        }
        assert_eq!(throttle.part(), 0.5);
        throttle.observe(Duration::from_secs(5), 0, 0);
        assert!((throttle.part() - 0.7).abs() < 1e-9, "four quiet seconds");
    }
}
