//! All models' queues under one budget of workers. Pure: it is told the time and answers nobody itself.

use std::time::Duration;

use serde::Serialize;
use sidetone_core::call::{AsrFailure, CallId, Purpose, UtteranceId};
use tokio::time::Instant;

use super::{
    Job,
    breaker::Breaker,
    load::Load,
    queue::{Queue, TurnedAway, Waiting, weight},
};

/// How the engine works and when it is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Threads that transcribe, over all models.
    pub workers: usize,
    /// Jobs that may wait for one model.
    pub capacity: usize,
    /// Compute time that may wait for each worker before partials are left out.
    pub backlog: Duration,
    /// No new call is admitted while 95 of 100 jobs do not start within this.
    pub admit_wait: Duration,
    /// A batch that takes longer hangs.
    pub stuck_after: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            workers: 1,
            capacity: 256,
            backlog: Duration::from_millis(400),
            admit_wait: Duration::from_millis(300),
            stuck_after: Duration::from_secs(10),
        }
    }
}

/// Why the engine cannot hear one more call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotAdmitting {
    #[error("the recogniser fails: it is tried again by itself")]
    Failing,
    #[error("the recogniser is behind: looks at what people say are left out")]
    Thinning,
    #[error("the recogniser is behind: transcriptions wait too long")]
    Slow,
    #[error("the recogniser is behind: its queue is half full")]
    NoSlots,
}

impl NotAdmitting {
    pub const ALL: [Self; 4] = [Self::Failing, Self::Thinning, Self::Slow, Self::NoSlots];
}

/// What a worker shall do.
#[derive(Debug)]
pub(super) enum Work {
    /// One language, like lengths, most urgent first.
    Batch { lane: usize, jobs: Vec<Waiting> },
    /// Try a model that failed.
    Probe { lane: usize },
}

#[derive(Debug)]
struct Lane {
    queue: Queue,
    breaker: Breaker,
    /// Clips its model takes together.
    together: usize,
}

/// What a worker is at.
#[derive(Debug, Clone, Copy)]
struct Running {
    lane: usize,
    since: Instant,
    audio: Duration,
    is_told_stuck: bool,
}

#[derive(Debug)]
pub(super) struct Scheduler {
    lanes: Vec<Lane>,
    pub(super) load: Load,
    tuning: Tuning,
    running: Vec<Option<Running>>,
}

impl Scheduler {
    /// One lane a model; `together`: how many clips each takes at once.
    pub(super) fn new(together: &[usize], tuning: Tuning) -> Self {
        let lane = |&together: &usize| Lane {
            queue: Queue::new(tuning.capacity),
            breaker: Breaker::new(),
            together,
        };
        Self {
            lanes: together.iter().map(lane).collect(),
            load: Load::new(),
            tuning,
            running: vec![None; tuning.workers],
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.lanes.iter().map(|lane| lane.queue.len()).sum()
    }

    /// How often a breaker opened.
    pub(super) fn opened(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.breaker.opened()).sum()
    }

    pub(super) fn is_failing(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.breaker.is_closed())
    }

    /// Takes a job in, and gives back those that have to go for it.
    pub(super) fn push(
        &mut self,
        lane: usize,
        job: Job,
        now: Instant,
    ) -> Result<Vec<TurnedAway>, AsrFailure> {
        if !self.lanes[lane].breaker.is_closed() {
            return Err(AsrFailure::Engine);
        }
        if job.purpose == Purpose::Partial && !self.load.may_look(&job.call, job.utterance, now) {
            return Err(AsrFailure::Shed);
        }
        let mut away = self.lanes[lane].queue.push(job, now)?;
        away.extend(self.relieve(now));
        Ok(away)
    }

    pub(super) fn cancel(&mut self, call: &CallId, utterance: UtteranceId) {
        self.lanes.iter_mut().for_each(|lane| lane.queue.cancel(call, utterance));
    }

    /// What this worker shall do now, and the jobs whose time has passed.
    pub(super) fn take(&mut self, worker: usize, now: Instant) -> (Option<Work>, Vec<TurnedAway>) {
        let late = self.remove_late(now);
        let probed = (0..self.lanes.len()).find(|&lane| self.lanes[lane].breaker.probe(now));
        if let Some(lane) = probed {
            self.begin(worker, lane, Duration::ZERO, now);
            return (Some(Work::Probe { lane }), late);
        }
        let heads = (0..self.lanes.len()).filter_map(|lane| Some((self.lanes[lane].queue.head()?, lane)));
        let Some((_, lane)) = heads.min() else { return (None, late) };
        let Lane { queue, together, .. } = &mut self.lanes[lane];
        // A fair share, so that one worker does not batch what another stands idle for.
        let share = queue.len().div_ceil(self.tuning.workers).min(*together);
        let jobs = queue.take(share, now);
        for waiting in jobs.iter().filter(|w| w.job.purpose != Purpose::PostCall) {
            self.load.waited(now.saturating_duration_since(waiting.since), now);
        }
        let audio = jobs.iter().map(|w| weight(&w.job)).sum();
        self.begin(worker, lane, audio, now);
        (Some(Work::Batch { lane, jobs }), late)
    }

    /// A worker's batch or trial is done. A failure that opens the breaker gives back what waits for the model.
    pub(super) fn finished(&mut self, worker: usize, worked: bool, now: Instant) -> Vec<TurnedAway> {
        let Some(Running { lane, since, audio, .. }) = self.running[worker].take() else { return Vec::new() };
        let Lane { queue, breaker, .. } = &mut self.lanes[lane];
        if worked {
            queue.learn(audio, now.saturating_duration_since(since));
            if breaker.succeeded() {
                tracing::info!("the speech recogniser works again");
            }
            return Vec::new();
        }
        if !breaker.failed(now) {
            return Vec::new();
        }
        self.give_up(lane)
    }

    /// A worker's batch came to nothing that says anything about the model.
    pub(super) fn abandoned(&mut self, worker: usize) {
        self.running[worker] = None;
    }

    /// To be called ten times a second or so: what is late goes, what hangs is noticed, calm is.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<TurnedAway> {
        let mut away = self.remove_late(now);
        for worker in 0..self.running.len() {
            let Some(running) = &mut self.running[worker] else { continue };
            if running.is_told_stuck || now < running.since + self.tuning.stuck_after {
                continue;
            }
            running.is_told_stuck = true;
            let lane = running.lane;
            tracing::error!("the speech recogniser hangs");
            if self.lanes[lane].breaker.stuck(now) {
                away.extend(self.give_up(lane));
            }
        }
        let calm = self.backlog() <= self.budget() / 2;
        self.load.tick(calm, now);
        away
    }

    /// Whether one more call can be heard.
    pub(super) fn admits(&mut self, now: Instant) -> Result<(), NotAdmitting> {
        let oldest = self.lanes.iter().map(|lane| lane.queue.longest_wait(now)).max().unwrap_or_default();
        if self.is_failing() {
            Err(NotAdmitting::Failing)
        } else if self.load.is_stretched() {
            Err(NotAdmitting::Thinning)
        } else if self.load.wait_p95(now).max(oldest) > self.tuning.admit_wait {
            Err(NotAdmitting::Slow)
        } else if self.lanes.iter().any(|lane| lane.queue.len() * 2 > lane.queue.capacity()) {
            Err(NotAdmitting::NoSlots)
        } else {
            Ok(())
        }
    }

    /// Everything that waits: the engine stops.
    pub(super) fn drain(&mut self) -> Vec<TurnedAway> {
        (0..self.lanes.len()).flat_map(|lane| self.give_up(lane)).collect()
    }

    fn begin(&mut self, worker: usize, lane: usize, audio: Duration, now: Instant) {
        self.running[worker] = Some(Running { lane, since: now, audio, is_told_stuck: false });
    }

    fn give_up(&mut self, lane: usize) -> Vec<TurnedAway> {
        self.lanes[lane].queue.drain().into_iter().map(|waiting| (waiting, AsrFailure::Engine)).collect()
    }

    fn remove_late(&mut self, now: Instant) -> Vec<TurnedAway> {
        let late: Vec<TurnedAway> =
            self.lanes.iter_mut().flat_map(|lane| lane.queue.remove_late(now)).collect();
        for (waiting, _) in late.iter().filter(|(w, _)| w.job.purpose != Purpose::PostCall) {
            self.load.waited(now.saturating_duration_since(waiting.since), now);
        }
        late
    }

    fn budget(&self) -> Duration {
        self.tuning.backlog * u32::try_from(self.tuning.workers).unwrap_or(1)
    }

    fn backlog(&self) -> Duration {
        self.lanes.iter().map(|lane| lane.queue.backlog()).sum()
    }

    /// Sheds partials until what is left can be done in time. One job a worker is never too much.
    fn relieve(&mut self, now: Instant) -> Vec<TurnedAway> {
        let mut shed = Vec::new();
        while self.depth() > self.tuning.workers && self.backlog() > self.budget() {
            let fullest = (0..self.lanes.len())
                .filter(|&lane| self.lanes[lane].queue.has_partials())
                .max_by_key(|&lane| self.lanes[lane].queue.backlog());
            let Some(spared) = fullest.and_then(|lane| self.lanes[lane].queue.shed()) else { break };
            shed.push(spared);
        }
        self.load.shed(shed.len(), now);
        shed
    }
}

#[cfg(test)]
mod tests;
