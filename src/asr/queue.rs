//! The jobs that wait for one model, and which goes next. Pure: it is told the time and answers nobody itself.

use std::{collections::HashMap, time::Duration};

use sidetone_core::call::{AsrFailure, CallId, Purpose, UtteranceId};
use tokio::time::Instant;

use super::Job;

/// How much longer the longest clip of a batch may be than its shortest: all are padded to the longest.
const LIKE: Duration = Duration::from_millis(1500);
/// A batch that takes longer would keep the next verdict waiting; one clip alone may.
const LONGEST_BATCH: Duration = Duration::from_millis(300);
/// Calls whose transcribed audio differs by less are equals, and the deadline decides between them.
const QUANTUM: Duration = Duration::from_secs(4);
/// What a clip costs beside its length, as audio: the silence encoded with it, and the decoder's start.
const OVERHEAD: Duration = Duration::from_secs(2);
/// Compute for a second of audio until the first batch has shown it.
const FIRST_GUESS: f64 = 0.02;
/// The newest batch's weight in the estimate.
const LEARN: f64 = 0.2;

/// A job and when it came.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) job: Job,
    pub(super) since: Instant,
}

/// A job that will not be done, and what to answer it.
pub(super) type TurnedAway = (Waiting, AsrFailure);

/// What decides between two jobs, least first: why it is wanted, how much more than others its call has had,
/// its deadline.
pub(super) type Rank = (Purpose, u32, Instant);

/// Jobs in the order they came; a few hundred at most, so the most urgent is found by looking.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    capacity: usize,
    shares: Shares,
    /// Compute seconds for a second of audio, learned.
    cost: f64,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: Vec::new(), capacity: capacity.max(1), shares: Shares::default(), cost: FIRST_GUESS }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes a job in. A newer `Partial` takes the place of one of the same utterance that has not started, which
    /// is not answered: the newer answer serves. When full, what is past its deadline goes first, then the least
    /// urgent job if the new one is more urgent.
    pub(super) fn push(&mut self, job: Job, now: Instant) -> Result<Vec<TurnedAway>, AsrFailure> {
        if job.purpose == Purpose::Partial {
            self.waiting.retain(|old| !is_stale_partial(&old.job, &job));
        }
        let mut away = Vec::new();
        if self.waiting.len() >= self.capacity {
            away = self.remove_late(now);
        }
        if self.waiting.len() >= self.capacity {
            away.push((self.displace(&job)?, AsrFailure::QueueFull));
        }
        self.waiting.push(Waiting { job, since: now });
        Ok(away)
    }

    /// Forgets what waits for an utterance: nobody wants its answer.
    pub(super) fn cancel(&mut self, call: &CallId, utterance: UtteranceId) {
        self.waiting.retain(|w| w.job.utterance != utterance || w.job.call != *call);
    }

    /// The rank of the job that goes next.
    pub(super) fn head(&self) -> Option<Rank> {
        self.waiting.iter().map(|w| self.rank(&w.job)).min()
    }

    /// The most urgent job, and up to `most - 1` that can be decoded together with it: of one language and like
    /// lengths, as far as the batch is done before the first of their deadlines.
    pub(super) fn take(&mut self, most: usize, now: Instant) -> Vec<Waiting> {
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by_key(|&i| self.rank(&self.waiting[i].job));
        let mut chosen: Vec<usize> = Vec::new();
        for &i in &order {
            if chosen.len() < most.max(1) && self.fits_batch(&chosen, i, now) {
                chosen.push(i);
            }
        }
        let mut places = vec![None; self.waiting.len()];
        chosen.iter().enumerate().for_each(|(place, &i)| places[i] = Some(place));
        let mut batch: Vec<(usize, Waiting)> = Vec::new();
        for (waiting, place) in std::mem::take(&mut self.waiting).into_iter().zip(places) {
            match place {
                Some(place) => batch.push((place, waiting)),
                None => self.waiting.push(waiting),
            }
        }
        batch.sort_by_key(|(place, _)| *place);
        let batch: Vec<Waiting> = batch.into_iter().map(|(_, waiting)| waiting).collect();
        batch.iter().for_each(|w| self.shares.serve(&w.job.call, weight(&w.job)));
        self.shares.advance(self.waiting.iter().map(|w| &w.job.call));
        batch
    }

    /// Removes what is past its deadline.
    pub(super) fn remove_late(&mut self, now: Instant) -> Vec<TurnedAway> {
        self.waiting.extract_if(.., |w| w.job.deadline < now).map(|w| (w, AsrFailure::Late)).collect()
    }

    pub(super) fn has_partials(&self) -> bool {
        self.waiting.iter().any(|w| w.job.purpose == Purpose::Partial)
    }

    /// Removes the partial that can be spared best: of the call that had most, with the latest deadline.
    pub(super) fn shed(&mut self) -> Option<TurnedAway> {
        let spare = (0..self.waiting.len())
            .filter(|&i| self.waiting[i].job.purpose == Purpose::Partial)
            .max_by_key(|&i| self.rank(&self.waiting[i].job))?;
        Some((self.waiting.remove(spare), AsrFailure::Shed))
    }

    /// Everything that waits, in no order.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.waiting)
    }

    /// Compute time of what calls wait for, on one worker.
    pub(super) fn backlog(&self) -> Duration {
        let live = self.waiting.iter().filter(|w| w.job.purpose != Purpose::PostCall);
        live.map(|w| self.expected(&w.job)).sum()
    }

    /// How long the job that has waited longest has waited, of those somebody waits for.
    pub(super) fn longest_wait(&self, now: Instant) -> Duration {
        let live = self.waiting.iter().filter(|w| w.job.purpose != Purpose::PostCall);
        live.map(|w| now.saturating_duration_since(w.since)).max().unwrap_or_default()
    }

    /// Learns from a finished batch what audio costs.
    pub(super) fn learn(&mut self, audio: Duration, compute: Duration) {
        if !audio.is_zero() {
            let seen = compute.as_secs_f64() / audio.as_secs_f64();
            self.cost += LEARN * (seen - self.cost);
        }
    }

    fn expected(&self, job: &Job) -> Duration {
        weight(job).mul_f64(self.cost)
    }

    fn rank(&self, job: &Job) -> Rank {
        (job.purpose, self.shares.ahead(&job.call), job.deadline)
    }

    fn displace(&mut self, newcomer: &Job) -> Result<Waiting, AsrFailure> {
        let least = (0..self.waiting.len())
            .max_by_key(|&i| self.rank(&self.waiting[i].job))
            .ok_or(AsrFailure::QueueFull)?;
        if newcomer.purpose < self.waiting[least].job.purpose {
            Ok(self.waiting.remove(least))
        } else {
            Err(AsrFailure::QueueFull)
        }
    }

    fn fits_batch(&self, chosen: &[usize], candidate: usize, now: Instant) -> bool {
        let Some(&first) = chosen.first() else { return true };
        let (first, job) = (&self.waiting[first].job, &self.waiting[candidate].job);
        let length = job.segment.duration();
        let all = || chosen.iter().chain([&candidate]).map(|&i| &self.waiting[i].job);
        let takes: Duration = all().map(|job| self.expected(job)).sum();
        // Nothing that a person waits for is held up by a transcript for the record.
        (first.purpose == Purpose::PostCall) == (job.purpose == Purpose::PostCall)
            && first.language == job.language
            && first.among == job.among
            && all().all(|other| other.segment.duration().abs_diff(length) <= LIKE)
            && takes <= LONGEST_BATCH
            && all().all(|other| now + takes <= other.deadline)
    }
}

/// What a job costs, as audio.
pub(super) fn weight(job: &Job) -> Duration {
    job.segment.duration() + OVERHEAD
}

/// Who has had how much: a start-time fair queue over calls. What a call has had beyond the one that waits with
/// least puts it behind; a call that was silent saves nothing up.
#[derive(Debug, Default)]
struct Shares {
    had: HashMap<CallId, Duration>,
    least: Duration,
}

impl Shares {
    /// By how many quanta a call is ahead of the others.
    fn ahead(&self, call: &CallId) -> u32 {
        let ahead = self.had(call) - self.least;
        u32::try_from(ahead.as_millis() / QUANTUM.as_millis()).unwrap_or(u32::MAX)
    }

    fn serve(&mut self, call: &CallId, weight: Duration) {
        let had = self.had(call) + weight;
        self.had.insert(call.clone(), had);
    }

    /// Only those who wait compete; when nobody does, all begin anew.
    fn advance<'a>(&mut self, waiting: impl Iterator<Item = &'a CallId>) {
        match waiting.map(|call| self.had(call)).min() {
            Some(least) => {
                self.least = least;
                self.had.retain(|_, had| *had > least);
            }
            None => *self = Self::default(),
        }
    }

    fn had(&self, call: &CallId) -> Duration {
        self.had.get(call).copied().unwrap_or_default().max(self.least)
    }
}

fn is_stale_partial(old: &Job, new: &Job) -> bool {
    old.purpose == Purpose::Partial && old.utterance == new.utterance && old.call == new.call
}

#[cfg(test)]
mod tests;
