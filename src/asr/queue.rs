//! The jobs that wait, and which goes next. Pure: it is told the time and answers nobody itself.

use std::time::Duration;

use sidetone_core::call::{AsrFailure, CallId, Purpose, UtteranceId};
use tokio::time::Instant;

use super::Job;

/// The queue holds as many jobs as it may, none of them less urgent: the call goes on without this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the speech recogniser's queue is full")]
pub struct QueueFull;

/// How much longer the longest clip of a batch may be than its shortest: all are padded to the longest.
const LIKE: Duration = Duration::from_millis(1500);

/// A job and when it came.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) job: Job,
    pub(super) since: Instant,
}

/// A job that will not be done, and what to answer it.
pub(super) type TurnedAway = (Waiting, AsrFailure);

/// What a worker is given.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// One language, like lengths, most urgent first.
    pub(super) batch: Vec<Waiting>,
    pub(super) late: Vec<TurnedAway>,
}

/// Jobs in the order they came; a few hundred at most, so the most urgent is found by looking.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    capacity: usize,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: Vec::new(), capacity: capacity.max(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a job in. A newer `Partial` takes the place of one of the same utterance that has not started, which
    /// is not answered: the newer answer serves. When full, what is past its deadline goes first, then the least
    /// urgent job if the new one is more urgent.
    pub(super) fn push(&mut self, job: Job, now: Instant) -> Result<Vec<TurnedAway>, QueueFull> {
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

    /// The most urgent job, and up to `most - 1` that can be decoded together with it.
    pub(super) fn take(&mut self, most: usize, now: Instant) -> Taken {
        let late = self.remove_late(now);
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by_key(|&i| urgency(&self.waiting[i].job));
        let mut chosen: Vec<usize> = Vec::new();
        for i in order {
            if chosen.len() < most.max(1) && self.fits_batch(&chosen, i) {
                chosen.push(i);
            }
        }
        let mut index = 0..;
        let is_chosen = |_: &mut Waiting| index.next().is_some_and(|i: usize| chosen.contains(&i));
        let mut batch: Vec<Waiting> = self.waiting.extract_if(.., is_chosen).collect();
        batch.sort_by_key(|w| urgency(&w.job));
        Taken { batch, late }
    }

    /// Everything that waits, in no order: the engine stops.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.waiting)
    }

    fn remove_late(&mut self, now: Instant) -> Vec<TurnedAway> {
        self.waiting.extract_if(.., |w| w.job.deadline < now).map(|w| (w, AsrFailure::Late)).collect()
    }

    fn displace(&mut self, newcomer: &Job) -> Result<Waiting, QueueFull> {
        let least =
            (0..self.waiting.len()).max_by_key(|&i| urgency(&self.waiting[i].job)).ok_or(QueueFull)?;
        if newcomer.purpose < self.waiting[least].job.purpose {
            Ok(self.waiting.remove(least))
        } else {
            Err(QueueFull)
        }
    }

    fn fits_batch(&self, chosen: &[usize], candidate: usize) -> bool {
        let Some(&first) = chosen.first() else { return true };
        let (first, job) = (&self.waiting[first].job, &self.waiting[candidate].job);
        let length = job.segment.duration();
        // Nothing that a person waits for is held up by a transcript for the record.
        (first.purpose == Purpose::PostCall) == (job.purpose == Purpose::PostCall)
            && first.language == job.language
            && chosen.iter().all(|&i| self.waiting[i].job.segment.duration().abs_diff(length) <= LIKE)
    }
}

fn urgency(job: &Job) -> (Purpose, Instant) {
    (job.purpose, job.deadline)
}

fn is_stale_partial(old: &Job, new: &Job) -> bool {
    old.purpose == Purpose::Partial && old.utterance == new.utterance && old.call == new.call
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;
    use crate::asr::Segment;

    struct Bench {
        queue: Queue,
        start: Instant,
    }

    impl Bench {
        fn new(capacity: usize) -> Self {
            Self { queue: Queue::new(capacity), start: Instant::now() }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        /// `call utterance purpose deadline_ms language length_ms`.
        fn job(&self, text: &str) -> Job {
            let word: Vec<&str> = text.split(' ').collect();
            let purpose = match word[2] {
                "amd" => Purpose::Amd,
                "turn" => Purpose::EndOfTurn,
                "partial" => Purpose::Partial,
                _ => Purpose::PostCall,
            };
            let samples = word[5].parse::<usize>().unwrap() * 16;
            Job {
                call: CallId::new(word[0]).unwrap(),
                utterance: UtteranceId(word[1].parse().unwrap()),
                purpose,
                language: word[4].into(),
                segment: Segment { pcm: Arc::from(vec![0i16; samples]), voiced: Duration::ZERO },
                to: Duration::ZERO,
                deadline: self.at(word[3].parse().unwrap()),
                reply: mpsc::channel(1).0,
            }
        }

        fn push(&mut self, text: &str) -> Result<Vec<String>, QueueFull> {
            let away = self.queue.push(self.job(text), self.start)?;
            Ok(away.iter().map(|(w, why)| format!("{} {why:?}", w.job.call)).collect())
        }

        fn take(&mut self, most: usize, ms: u64) -> (Vec<String>, Vec<String>) {
            let now = self.at(ms);
            let taken = self.queue.take(most, now);
            let name = |w: &Waiting| format!("{}/{}", w.job.call, w.job.utterance.0);
            (taken.batch.iter().map(name).collect(), taken.late.iter().map(|(w, _)| name(w)).collect())
        }
    }

    #[test]
    fn the_most_urgent_purpose_goes_first_then_the_earliest_deadline() {
        let mut bench = Bench::new(8);
        for job in [
            "p 1 post 10 en 1000",
            "q 1 partial 20 en 1000",
            "t 1 turn 90 en 1000",
            "u 1 turn 80 en 1000",
            "a 1 amd 99 en 1000",
        ] {
            bench.push(job).unwrap();
        }
        let order: Vec<String> = (0..5).flat_map(|_| bench.take(1, 0).0).collect();
        assert_eq!(order, ["a/1", "u/1", "t/1", "q/1", "p/1"]);
    }

    #[test]
    fn a_newer_partial_replaces_the_one_of_its_own_utterance_only() {
        let mut bench = Bench::new(8);
        for job in [
            "a 1 partial 50 en 1000",
            "a 2 partial 50 en 1000",
            "b 1 partial 50 en 1000",
            "a 1 turn 50 en 1000",
            "a 1 partial 60 en 1300",
        ] {
            bench.push(job).unwrap();
        }
        assert_eq!(bench.queue.len(), 4);
        assert_eq!(bench.take(1, 0).0, ["a/1"], "the end of the turn is kept");
    }

    #[test]
    fn late_jobs_are_set_aside_and_cancelled_ones_forgotten() {
        let mut bench = Bench::new(8);
        for job in ["a 1 amd 50 en 1000", "b 1 amd 500 en 1000", "c 1 amd 500 en 1000", "c 2 amd 500 en 1000"]
        {
            bench.push(job).unwrap();
        }
        bench.queue.cancel(&CallId::new("c").unwrap(), UtteranceId(1));
        assert_eq!(bench.take(4, 100), (vec!["b/1".to_owned(), "c/2".to_owned()], vec!["a/1".to_owned()]));
        assert!(bench.queue.is_empty());
    }

    #[test]
    fn a_batch_is_of_one_language_and_like_lengths() {
        let mut bench = Bench::new(8);
        for job in [
            "a 1 amd 10 en 2300",
            "b 1 amd 20 fr 2300",
            "c 1 amd 30 en 9000",
            "d 1 partial 40 en 1200",
            "e 1 post 50 en 2300",
            "f 1 partial 60 en 3700",
        ] {
            bench.push(job).unwrap();
        }
        assert_eq!(bench.take(4, 0).0, ["a/1", "d/1"], "f is like a, but not like d");
        assert_eq!(bench.take(4, 0).0, ["b/1"]);
        assert_eq!(bench.take(4, 0).0, ["c/1"]);
        assert_eq!(bench.take(4, 0).0, ["f/1"]);
        assert_eq!(bench.take(4, 0).0, ["e/1"]);
    }

    #[test]
    fn a_full_queue_refuses_unless_something_in_it_is_late_or_less_urgent() {
        let mut bench = Bench::new(2);
        bench.push("a 1 partial 50 en 1000").unwrap();
        bench.push("b 1 post 50 en 1000").unwrap();
        assert_eq!(bench.push("c 1 amd 50 en 1000").unwrap(), ["b QueueFull"]);
        assert_eq!(bench.push("d 1 partial 50 en 1000"), Err(QueueFull));
        let (job, now) = (bench.job("e 1 partial 400 en 1000"), bench.at(100));
        let away = bench.queue.push(job, now).unwrap();
        assert_eq!(away.len(), 2, "both were late");
        assert_eq!(bench.queue.len(), 1);
    }
}
