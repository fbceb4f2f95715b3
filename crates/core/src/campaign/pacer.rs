//! How many calls may start now: calls a second and calls at once.

use std::{collections::VecDeque, time::Duration};

/// A campaign's limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Calls started a second; below 1, one call every `1 / cps` seconds.
    pub cps: f64,
    /// Calls at once.
    pub max_concurrent: u32,
}

impl Pace {
    /// A part of it, 0 to 1; what is not 0 leaves one call at once.
    #[must_use]
    pub fn slowed(self, part: f64) -> Self {
        let part = part.clamp(0.0, 1.0);
        let at_once = whole((f64::from(self.max_concurrent) * part).ceil());
        Self { cps: self.cps * part, max_concurrent: at_once }
    }

    /// So many starts in so long, in any window; `None`: a pace that starts nobody.
    #[must_use]
    pub fn window(self) -> Option<(u32, Duration)> {
        if !self.cps.is_finite() || self.cps <= 0.0 {
            return None;
        }
        if self.cps >= 1.0 {
            return Some((whole(self.cps), Duration::from_secs(1)));
        }
        Some((1, Duration::try_from_secs_f64(1.0 / self.cps).unwrap_or(Duration::MAX)))
    }
}

/// Never more than `cps` starts in any window of one second (a fractional `cps` counts as its whole part there),
/// spread over the second rather than at its beginning.
///
/// Instants are given as the time since any fixed moment and must not go back; one that does counts as the latest
/// seen.
#[derive(Debug, Clone)]
pub struct Pacer {
    pace: Pace,
    /// The latest starts, oldest first; never more than a window's worth.
    starts: VecDeque<Duration>,
    /// Calls that may start at `refilled`; fills at the pace, to a tenth of a second's worth.
    tokens: f64,
    refilled: Duration,
}

impl Pacer {
    /// A `cps` that is no positive number starts nobody.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, starts: VecDeque::new(), tokens: 1.0, refilled: Duration::ZERO }
    }

    /// Changes the limits; what was started under the old ones still counts.
    pub fn set(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// How many calls may start at `now` while `live` go on. Asking changes nothing: tell [`Self::started`].
    #[must_use]
    pub fn allowed(&mut self, now: Duration, live: u32) -> u32 {
        let Some((most, window)) = self.pace.window() else { return 0 };
        let now = self.refill(now, most, window);
        while self.starts.front().is_some_and(|start| now.saturating_sub(*start) >= window) {
            self.starts.pop_front();
        }
        let in_window = most.saturating_sub(u32::try_from(self.starts.len()).unwrap_or(u32::MAX));
        let at_once = self.pace.max_concurrent.saturating_sub(live);
        in_window.min(at_once).min(whole(self.tokens))
    }

    /// A call starts at `now`.
    pub fn started(&mut self, now: Duration) {
        let now = now.max(self.starts.back().copied().unwrap_or_default());
        self.starts.push_back(now);
        self.tokens -= 1.0;
    }

    fn refill(&mut self, now: Duration, most: u32, window: Duration) -> Duration {
        let now = now.max(self.refilled).max(self.starts.back().copied().unwrap_or_default());
        let gained = (now - self.refilled).as_secs_f64() * f64::from(most) / window.as_secs_f64();
        let full = (f64::from(most) / 10.0).max(1.0);
        self.tokens = (self.tokens + gained).min(full);
        self.refilled = now;
        now
    }
}

/// The whole part of a number that is not negative.
fn whole(value: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, as wanted"
    )]
    let whole = value.max(0.0) as u32;
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Runs a dialer that starts all it may, at every tick, and says when calls started.
    fn starts(pace: Pace, ticks: impl Iterator<Item = u64>) -> Vec<Duration> {
        let mut pacer = Pacer::new(pace);
        let mut starts = Vec::new();
        for tick in ticks {
            for _ in 0..pacer.allowed(ms(tick), 0) {
                pacer.started(ms(tick));
                starts.push(ms(tick));
            }
        }
        starts
    }

    #[test]
    fn reaches_the_pace_and_spreads_it() {
        let pace = Pace { cps: 10.0, max_concurrent: 100 };
        let starts = starts(pace, (0..10_000).step_by(50));
        assert!((95..=100).contains(&starts.len()), "{}", starts.len());
        let first_second = starts.iter().filter(|start| **start < ms(500)).count();
        assert!(first_second <= 6, "a burst of {first_second} in half a second");
    }

    #[test]
    fn a_part_of_a_pace_still_starts_somebody_and_none_of_it_nobody() {
        let pace = Pace { cps: 4.0, max_concurrent: 3 };
        assert_eq!(pace.slowed(1.0), pace);
        assert_eq!(pace.slowed(0.25), Pace { cps: 1.0, max_concurrent: 1 });
        assert_eq!(Pacer::new(pace.slowed(0.0)).allowed(ms(9000), 0), 0);
    }

    #[test]
    fn below_one_a_second_waits_between_calls() {
        let starts = starts(Pace { cps: 0.5, max_concurrent: 9 }, (0..9000).step_by(50));
        assert_eq!(starts, [ms(0), ms(2000), ms(4000), ms(6000), ms(8000)]);
    }

    #[test]
    fn no_more_at_once_than_allowed() {
        let mut pacer = Pacer::new(Pace { cps: 100.0, max_concurrent: 3 });
        assert_eq!(pacer.allowed(ms(5000), 2), 1);
        assert_eq!(pacer.allowed(ms(5000), 3), 0);
        assert_eq!(pacer.allowed(ms(5000), 9), 0);
    }

    #[test]
    fn a_pace_that_is_no_pace_starts_nobody() {
        for cps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Pacer::new(Pace { cps, max_concurrent: 9 }).allowed(ms(1000), 0), 0, "{cps}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_cps_in_any_second(
            cps in prop_oneof![0.05..1.0f64, 1.0..60.0f64],
            gaps in prop::collection::vec(0..400u64, 1..300),
        ) {
            let mut clock = 0;
            let ticks: Vec<u64> = gaps.iter().map(|gap| { clock += gap; clock }).collect();
            let starts = starts(Pace { cps, max_concurrent: 1000 }, ticks.into_iter());
            let most = if cps < 1.0 { 1 } else { cps.floor() as usize };
            for (i, from) in starts.iter().enumerate() {
                let within = starts[i..].iter().take_while(|start| **start < *from + Duration::from_secs(1)).count();
                prop_assert!(within <= most, "{within} within a second at {cps} cps");
            }
        }

        #[test]
        fn a_new_pace_counts_what_was_started_under_the_old_one(before in 1..40u32, after in 1..40u32) {
            let mut pacer = Pacer::new(Pace { cps: f64::from(before), max_concurrent: 1000 });
            let mut started = 0;
            for tick in 0..10 {
                for _ in 0..pacer.allowed(ms(tick * 50), 0) {
                    pacer.started(ms(tick * 50));
                    started += 1;
                }
            }
            pacer.set(Pace { cps: f64::from(after), max_concurrent: 1000 });
            prop_assert!(pacer.allowed(ms(500), 0) <= after.saturating_sub(started));
        }
    }
}
