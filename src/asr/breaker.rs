//! Whether a model is worth asking. Pure: it is told the time.

use std::time::Duration;

use tokio::time::Instant;

/// Failed batches in a row that open it.
const FAILURES: u32 = 3;
/// How long it stays open before the model is tried again; doubled each time that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Open: jobs are answered as failed at once, so that calls go on without waiting for nothing.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    failures: u32,
    pause: Duration,
    opened: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    /// A trial of our own making runs; no call waits for it.
    Probing,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { state: State::Closed, failures: 0, pause: FIRST_PAUSE, opened: 0 }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// How often it opened (again after a failed trial counts too).
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// A batch was answered. `true`: this closed it.
    pub(super) fn succeeded(&mut self) -> bool {
        let recovered = !self.is_closed();
        *self = Self { opened: self.opened, ..Self::new() };
        recovered
    }

    /// A batch failed. `true`: this opened it.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.failures += 1;
        match self.state {
            State::Closed if self.failures < FAILURES => false,
            State::Closed => {
                self.open(now);
                true
            }
            State::Probing => {
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.open(now);
                false
            }
            State::Open { .. } => false,
        }
    }

    /// A batch does not come back. `true`: this opened it.
    pub(super) fn stuck(&mut self, now: Instant) -> bool {
        self.failures = self.failures.max(FAILURES - 1);
        self.failed(now)
    }

    /// Whether to try the model now; the trial's end is told by `succeeded` or `failed`.
    pub(super) fn probe(&mut self, now: Instant) -> bool {
        let due = matches!(self.state, State::Open { until } if until <= now);
        if due {
            self.state = State::Probing;
        }
        due
    }

    fn open(&mut self, now: Instant) {
        self.opened += 1;
        self.state = State::Open { until: now + self.pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_open_it_and_a_good_trial_closes_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut breaker = Breaker::new();
        assert!(!breaker.failed(at(0)) && !breaker.failed(at(1)));
        assert!(!breaker.succeeded(), "it was closed");
        assert!(!breaker.failed(at(2)) && !breaker.failed(at(3)));
        assert!(breaker.failed(at(4)) && !breaker.is_closed());
        assert!(!breaker.probe(at(900)));
        assert!(breaker.probe(at(1004)) && !breaker.probe(at(1005)), "one trial at a time");
        assert!(!breaker.is_closed(), "calls wait for the trial's end");
        assert!(breaker.succeeded() && breaker.is_closed());
        assert_eq!(breaker.opened(), 1);
    }

    #[test]
    fn failed_trials_come_less_and_less_often() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        assert!(breaker.stuck(now), "what hangs opens it at once");
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let since = now;
            while !breaker.probe(now) {
                now += Duration::from_millis(500);
            }
            pauses.push((now - since).as_secs());
            assert!(!breaker.failed(now));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    }
}
