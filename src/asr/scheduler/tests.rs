use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use tokio::sync::mpsc;

use super::*;
use crate::asr::Segment;

/// One worker under virtual time; a clip costs 20 ms for each second of it and of overhead.
struct Bench {
    scheduler: Scheduler,
    start: Instant,
    now: u64,
    /// When the running batch ends.
    busy_until: Option<u64>,
    running: Vec<Waiting>,
    /// Waits of begun jobs in ms, by what they were for.
    waits: BTreeMap<Purpose, Vec<u64>>,
    away: BTreeMap<String, usize>,
    deepest: usize,
    slowest: Duration,
    refused: usize,
}

static AUDIO: LazyLock<Arc<[i16]>> = LazyLock::new(|| vec![0; 16_000 * 12].into());

impl Bench {
    fn new(tuning: Tuning) -> Self {
        Self {
            scheduler: Scheduler::new(&[4], tuning),
            start: Instant::now(),
            now: 0,
            busy_until: None,
            running: Vec::new(),
            waits: BTreeMap::new(),
            away: BTreeMap::new(),
            deepest: 0,
            slowest: Duration::ZERO,
            refused: 0,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn submit(&mut self, call: &str, purpose: Purpose, length_ms: usize) -> Result<(), AsrFailure> {
        let patience = match purpose {
            Purpose::Amd | Purpose::AmdCareful | Purpose::AmdLate => 400,
            Purpose::EndOfTurn => 1500,
            Purpose::Partial => 1000,
            Purpose::PostCall => 60_000,
        };
        let job = Job {
            call: CallId::new(call).unwrap(),
            utterance: UtteranceId(1),
            purpose,
            language: "en".into(),
            among: None,
            segment: Segment { pcm: AUDIO[..length_ms * 16].into(), voiced: Duration::from_secs(1) },
            to: Duration::ZERO,
            deadline: self.at(self.now + patience),
            reply: mpsc::channel(1).0,
        };
        let away = self.scheduler.push(0, job, self.at(self.now))?;
        self.turn_away(away);
        Ok(())
    }

    fn turn_away(&mut self, away: Vec<TurnedAway>) {
        for (waiting, why) in away {
            assert!(
                waiting.job.purpose != Purpose::Amd || why != AsrFailure::Shed,
                "a verdict is never shed"
            );
            *self.away.entry(format!("{:?} {why:?}", waiting.job.purpose)).or_default() += 1;
        }
    }

    /// Lets a millisecond pass.
    fn step(&mut self) {
        self.now += 1;
        let now = self.at(self.now);
        if self.busy_until.is_some_and(|until| until <= self.now) {
            self.busy_until = None;
            self.running.clear();
            let away = self.scheduler.finished(0, true, now);
            self.turn_away(away);
        }
        if self.busy_until.is_none() {
            let (work, late) = self.scheduler.take(0, now);
            self.turn_away(late);
            if let Some(Work::Batch { jobs, .. }) = work {
                for w in &jobs {
                    let waited = now.saturating_duration_since(w.since).as_millis() as u64;
                    self.waits.entry(w.job.purpose).or_default().push(waited);
                }
                let takes: Duration = jobs.iter().map(|w| weight(&w.job)).sum();
                self.busy_until = Some(self.now + takes.as_millis() as u64 / 50);
                self.running = jobs;
            }
        }
        if self.now.is_multiple_of(100) {
            let away = self.scheduler.tick(now);
            self.turn_away(away);
            self.refused += usize::from(self.scheduler.admits(now).is_err());
        }
        self.slowest = self.slowest.max(self.scheduler.load.cadence());
        self.deepest = self.deepest.max(self.scheduler.depth());
    }

    fn p95(&self, purpose: Purpose) -> u64 {
        let mut waits = self.waits[&purpose].clone();
        waits.sort_unstable();
        waits[(waits.len() * 95).div_ceil(100) - 1]
    }

    /// `talkers` people talk without end, each looked at twice a second; five calls a second want a verdict.
    fn talk(&mut self, talkers: u64, seconds: u64) {
        for _ in 0..seconds * 1000 {
            for n in 0..talkers {
                let phase = self.now + n * 337;
                if phase.is_multiple_of(500) {
                    let length = 1000 + (phase / 500 % 8) as usize * 500;
                    self.submit(&format!("talker-{n}"), Purpose::Partial, length).ok();
                }
                if phase.is_multiple_of(4000) {
                    self.submit(&format!("talker-{n}"), Purpose::EndOfTurn, 4000).unwrap();
                }
            }
            if self.now.is_multiple_of(200) {
                self.submit(&format!("new-{}", self.now), Purpose::Amd, 2300).unwrap();
            }
            self.step();
        }
    }
}

#[test]
fn under_twice_the_load_verdicts_are_in_time_partials_thin_out_and_it_recovers() {
    let mut bench = Bench::new(Tuning::default());
    // Two talkers and the verdicts take four fifths of the worker; twelve would take thrice what it has.
    bench.talk(2, 5);
    assert_eq!(bench.away, BTreeMap::new(), "nothing is left out within what it can do");
    assert_eq!(bench.scheduler.admits(bench.at(bench.now)), Ok(()));
    bench.waits.clear();
    bench.talk(12, 20);
    assert!(bench.p95(Purpose::Amd) < 400, "{} ms", bench.p95(Purpose::Amd));
    assert!(bench.p95(Purpose::EndOfTurn) < 1500, "{} ms", bench.p95(Purpose::EndOfTurn));
    assert!(
        !bench.away.contains_key("Amd Late") && !bench.away.contains_key("EndOfTurn Late"),
        "{:?}",
        bench.away
    );
    assert!(bench.deepest < 30, "{} waited", bench.deepest);
    let load = &bench.scheduler.load;
    assert!(load.shed > 0 && load.skipped > load.shed && load.stretched >= 2, "{load:?}");
    assert_eq!(bench.slowest.as_millis(), 2000);
    assert!(bench.refused > 150, "new calls were admitted in {} of 200 tenths", 200 - bench.refused);
    bench.talk(1, 2);
    assert_eq!(bench.scheduler.load.cadence().as_millis(), 500, "two seconds later it is as before");
    bench.talk(1, 2);
    assert_eq!(bench.scheduler.admits(bench.at(bench.now)), Ok(()));
}

#[test]
fn a_failing_model_fails_jobs_at_once_and_is_tried_again() {
    let mut bench = Bench::new(Tuning::default());
    for n in 0..8 {
        bench.submit(&format!("c{n}"), Purpose::Amd, 2300).unwrap();
    }
    for _ in 0..3 {
        let (work, _) = bench.scheduler.take(0, bench.at(0));
        assert!(matches!(work, Some(Work::Batch { .. })));
        let away = bench.scheduler.finished(0, false, bench.at(0));
        bench.turn_away(away);
        bench.submit("more", Purpose::EndOfTurn, 2300).ok();
    }
    assert!(bench.scheduler.is_failing());
    assert_eq!(bench.scheduler.depth(), 0, "what waited was told");
    assert!(bench.away["EndOfTurn Engine"] > 0, "{:?}", bench.away);
    assert_eq!(bench.submit("x", Purpose::Amd, 2300), Err(AsrFailure::Engine));
    assert_eq!(bench.scheduler.admits(bench.at(10)), Err(NotAdmitting::Failing));
    assert!(bench.scheduler.take(0, bench.at(900)).0.is_none());
    assert!(matches!(bench.scheduler.take(0, bench.at(1001)).0, Some(Work::Probe { lane: 0 })));
    bench.scheduler.finished(0, true, bench.at(1010));
    assert_eq!(bench.submit("x", Purpose::Amd, 2300), Ok(()));
    assert_eq!(bench.scheduler.opened(), 1);
}

#[test]
fn a_model_that_hangs_is_given_up_until_it_comes_back() {
    let mut bench = Bench::new(Tuning { stuck_after: Duration::from_secs(2), ..Tuning::default() });
    bench.submit("a", Purpose::Amd, 2300).unwrap();
    assert!(bench.scheduler.take(0, bench.at(0)).0.is_some());
    bench.now = 1900;
    bench.submit("b", Purpose::EndOfTurn, 2300).unwrap();
    let away = bench.scheduler.tick(bench.at(2000));
    bench.turn_away(away);
    assert_eq!(bench.away["EndOfTurn Engine"], 1);
    assert!(bench.scheduler.is_failing());
    bench.scheduler.finished(0, true, bench.at(5000));
    assert!(!bench.scheduler.is_failing(), "it came back by itself");
}

#[test]
fn the_most_urgent_job_of_all_models_goes_first() {
    let mut bench = Bench::new(Tuning::default());
    bench.scheduler = Scheduler::new(&[4, 4], Tuning::default());
    bench.submit("slow", Purpose::EndOfTurn, 2300).unwrap();
    let now = bench.at(0);
    let mut job = |purpose| {
        bench.submit("x", purpose, 2300).unwrap();
        bench.scheduler.lanes[0].queue.drain().pop().unwrap().job
    };
    let (turn, amd) = (job(Purpose::EndOfTurn), job(Purpose::Amd));
    bench.scheduler.push(0, turn, now).unwrap();
    bench.scheduler.push(1, amd, now).unwrap();
    assert!(matches!(bench.scheduler.take(0, now).0, Some(Work::Batch { lane: 1, .. })));
    bench.scheduler.abandoned(0);
    assert!(matches!(bench.scheduler.take(0, now).0, Some(Work::Batch { lane: 0, .. })));
}

#[test]
fn long_waits_admit_no_new_call() {
    let mut bench = Bench::new(Tuning::default());
    bench.submit("a", Purpose::EndOfTurn, 2300).unwrap();
    assert_eq!(bench.scheduler.admits(bench.at(200)), Ok(()));
    assert_eq!(bench.scheduler.admits(bench.at(301)), Err(NotAdmitting::Slow));
    let mut full = Bench::new(Tuning { capacity: 4, ..Tuning::default() });
    for n in 0..3 {
        full.submit(&format!("c{n}"), Purpose::Amd, 2300).unwrap();
    }
    assert_eq!(full.scheduler.admits(full.at(0)), Err(NotAdmitting::NoSlots));
}
