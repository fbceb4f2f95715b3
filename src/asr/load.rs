//! How far behind the engine is, and what that costs whom. Pure: it is told the time.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use sidetone_core::call::{CallId, UtteranceId};
use tokio::time::Instant;

/// The least time between two looks at one utterance, at each level of load. At the first, calls look as often as
/// they like; this is what they like.
const CADENCE: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(2000)];
/// From one change to the next, up and down, so that one has time to show.
const UP: Duration = Duration::from_millis(500);
const DOWN: Duration = Duration::from_millis(800);
/// How far back waits are remembered, and how many.
const MEMORY: Duration = Duration::from_secs(3);
const WAITS: usize = 512;
/// Fewer waits say nothing.
const ENOUGH: usize = 5;

/// Watches sheds and waits.
#[derive(Debug)]
pub(super) struct Load {
    level: usize,
    changed: Option<Instant>,
    last_shed: Option<Instant>,
    /// The last look at each call's current utterance.
    looks: HashMap<CallId, (UtteranceId, Instant)>,
    waits: VecDeque<(Instant, Duration)>,
    pub(super) shed: u64,
    pub(super) skipped: u64,
    pub(super) stretched: u64,
}

impl Load {
    pub(super) fn new() -> Self {
        Self {
            level: 0,
            changed: None,
            last_shed: None,
            looks: HashMap::new(),
            waits: VecDeque::new(),
            shed: 0,
            skipped: 0,
            stretched: 0,
        }
    }

    /// How often calls may look now.
    pub(super) fn cadence(&self) -> Duration {
        CADENCE[self.level]
    }

    pub(super) fn is_stretched(&self) -> bool {
        self.level > 0
    }

    /// Whether a call may look at this utterance now; an utterance's first look always may.
    pub(super) fn may_look(&mut self, call: &CallId, utterance: UtteranceId, now: Instant) -> bool {
        let too_soon = self.level > 0
            && self
                .looks
                .get(call)
                .is_some_and(|(last, at)| *last == utterance && now < *at + self.cadence());
        if too_soon {
            self.skipped += 1;
        } else {
            self.looks.insert(call.clone(), (utterance, now));
        }
        !too_soon
    }

    /// Partials were shed: calls shall look less often.
    pub(super) fn shed(&mut self, count: usize, now: Instant) {
        if count == 0 {
            return;
        }
        self.shed += count as u64;
        self.last_shed = Some(now);
        if self.level + 1 < CADENCE.len() && self.may_change(UP, now) {
            self.level += 1;
            self.stretched += 1;
            self.changed = Some(now);
        }
    }

    /// To be called now and then: the cadence comes back when nothing was shed for a while, and what is old is
    /// forgotten. `calm`: little waits.
    pub(super) fn tick(&mut self, calm: bool, now: Instant) {
        let quiet = self.last_shed.is_none_or(|at| now >= at + DOWN);
        if self.level > 0 && calm && quiet && self.may_change(DOWN, now) {
            self.level -= 1;
            self.changed = Some(now);
        }
        self.looks.retain(|_, (_, at)| now < *at + CADENCE[CADENCE.len() - 1]);
        self.forget(now);
    }

    /// A job that somebody waits for was begun after waiting so long.
    pub(super) fn waited(&mut self, wait: Duration, now: Instant) {
        if self.waits.len() == WAITS {
            self.waits.pop_front();
        }
        self.waits.push_back((now, wait));
    }

    /// What 95 of 100 recent jobs waited at most; zero where few came.
    pub(super) fn wait_p95(&mut self, now: Instant) -> Duration {
        self.forget(now);
        if self.waits.len() < ENOUGH {
            return Duration::ZERO;
        }
        let mut waits: Vec<Duration> = self.waits.iter().map(|(_, wait)| *wait).collect();
        let place = (waits.len() * 95).div_ceil(100) - 1;
        *waits.select_nth_unstable(place).1
    }

    fn forget(&mut self, now: Instant) {
        while self.waits.front().is_some_and(|(at, _)| now > *at + MEMORY) {
            self.waits.pop_front();
        }
    }

    fn may_change(&self, step: Duration, now: Instant) -> bool {
        self.changed.is_none_or(|at| now >= at + step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shedding_stretches_the_cadence_step_by_step_and_calm_brings_it_back() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut load = Load::new();
        load.shed(1, at(0));
        load.shed(1, at(100));
        assert_eq!(load.cadence().as_millis(), 1000, "one step at a time");
        load.shed(1, at(600));
        load.shed(1, at(1200));
        assert_eq!(load.cadence().as_millis(), 2000, "and no further");
        assert_eq!((load.shed, load.stretched), (4, 2));
        load.tick(false, at(2000));
        assert_eq!(load.cadence().as_millis(), 2000, "much still waits");
        load.tick(true, at(2000));
        load.tick(true, at(2700));
        assert_eq!(load.cadence().as_millis(), 1000);
        load.tick(true, at(2800));
        assert_eq!(load.cadence().as_millis(), 500);
    }

    #[test]
    fn a_stretched_cadence_skips_looks_but_never_an_utterances_first() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let call = CallId::new("a").unwrap();
        let mut load = Load::new();
        for ms in [0, 250, 500] {
            assert!(load.may_look(&call, UtteranceId(1), at(ms)), "as often as it likes");
        }
        load.shed(1, at(500));
        assert!(!load.may_look(&call, UtteranceId(1), at(1000)));
        assert!(load.may_look(&call, UtteranceId(1), at(1500)));
        assert!(load.may_look(&call, UtteranceId(2), at(1600)));
        assert_eq!(load.skipped, 1);
    }

    #[test]
    fn waits_are_forgotten() {
        let start = Instant::now();
        let mut load = Load::new();
        for n in 1..=20 {
            load.waited(Duration::from_millis(n * 10), start);
        }
        assert_eq!(load.wait_p95(start).as_millis(), 190);
        assert_eq!(load.wait_p95(start + Duration::from_secs(4)), Duration::ZERO);
    }
}
