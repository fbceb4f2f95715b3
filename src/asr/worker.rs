//! The engine's threads, and the handle calls use to reach them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use sidetone_core::call::{AsrFailure, CallId, Gate, UtteranceId};
use tokio::{sync::mpsc::error::TrySendError, time::Instant};

use super::{
    Job, JobDone, Observer, Recognized, Recognizer, Segment, gates, primary_language,
    queue::{Queue, QueueFull, TurnedAway, Waiting},
};

/// Clips decoded together: more costs the first of them more than the rest gain.
const BATCH: usize = 4;

/// The way to the recogniser; clones share one queue. Nothing here blocks but `shutdown`.
#[derive(Clone)]
pub struct AsrHandle {
    engine: Arc<Engine>,
}

struct Engine {
    recognizer: Arc<dyn Recognizer>,
    observer: Option<Observer>,
    workers: usize,
    state: Mutex<State>,
    work: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct State {
    queue: Queue,
    stopping: bool,
}

impl AsrHandle {
    /// Starts `workers` threads over a recogniser, and a queue of `capacity` jobs before them.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        recognizer: Arc<dyn Recognizer>,
        workers: usize,
        capacity: usize,
        observer: Option<Observer>,
    ) -> std::io::Result<Self> {
        let workers = workers.max(1);
        let engine = Arc::new(Engine {
            recognizer,
            observer,
            workers,
            state: Mutex::new(State { queue: Queue::new(capacity), stopping: false }),
            work: Condvar::new(),
            threads: Mutex::new(Vec::new()),
        });
        for n in 0..workers {
            let its = engine.clone();
            let thread = std::thread::Builder::new().name(format!("asr-{n}")).spawn(move || its.run())?;
            lock(&engine.threads).push(thread);
        }
        Ok(Self { engine })
    }

    /// Queues a job; its answer comes through `job.reply`, exactly once unless it is cancelled or a newer
    /// `Partial` of the same utterance replaces it. An answer after the deadline still comes if the job had begun.
    ///
    /// # Errors
    /// When the queue is full of jobs at least as urgent, or the engine has stopped: no answer will come.
    pub fn submit(&self, job: Job) -> Result<(), QueueFull> {
        let now = Instant::now();
        let away = {
            let mut state = lock(&self.engine.state);
            if state.stopping {
                return Err(QueueFull);
            }
            state.queue.push(job, now)?
        };
        self.engine.work.notify_one();
        self.engine.turn_away(away, now);
        Ok(())
    }

    /// Forgets what waits for an utterance. What is being computed is still answered.
    pub fn cancel(&self, call: &CallId, utterance: UtteranceId) {
        lock(&self.engine.state).queue.cancel(call, utterance);
    }

    /// How many jobs wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        lock(&self.engine.state).queue.len()
    }

    /// The languages the model understands.
    #[must_use]
    pub fn languages(&self) -> &[&'static str] {
        self.engine.recognizer.languages()
    }

    /// Whether the model understands a language (`fr`, `fr-CA`).
    #[must_use]
    pub fn hears(&self, language: &str) -> bool {
        let code = primary_language(language);
        self.languages().iter().any(|known| *known == code)
    }

    /// Stops the engine: what waits is answered as failed, what runs is finished. Blocks for as long as the
    /// longest running decode takes (well under a second); later jobs are refused.
    pub fn shutdown(&self) {
        let left = {
            let mut state = lock(&self.engine.state);
            state.stopping = true;
            state.queue.drain()
        };
        self.engine.work.notify_all();
        let away = left.into_iter().map(|w| (w, AsrFailure::Engine)).collect();
        self.engine.turn_away(away, Instant::now());
        for thread in std::mem::take(&mut *lock(&self.engine.threads)) {
            if thread.join().is_err() {
                tracing::error!("a speech recogniser thread had panicked");
            }
        }
    }
}

impl std::fmt::Debug for AsrHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsrHandle")
            .field("workers", &self.engine.workers)
            .field("depth", &self.depth())
            .finish()
    }
}

impl Engine {
    fn run(&self) {
        while let Some(batch) = self.next() {
            self.transcribe(batch);
        }
    }

    /// Waits for work; `None` when the engine stops.
    fn next(&self) -> Option<Vec<Waiting>> {
        loop {
            let (taken, now) = {
                let mut state = lock(&self.state);
                while state.queue.is_empty() && !state.stopping {
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.stopping {
                    return None;
                }
                let now = Instant::now();
                // A fair share, so that one worker does not batch what another stands idle for.
                let share = state.queue.len().div_ceil(self.workers).min(BATCH);
                (state.queue.take(share, now), now)
            };
            self.turn_away(taken.late, now);
            if !taken.batch.is_empty() {
                return Some(taken.batch);
            }
        }
    }

    fn transcribe(&self, batch: Vec<Waiting>) {
        let (hopeless, batch): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|w| gates::before(&w.job.segment).is_some());
        let begun = Instant::now();
        for waiting in hopeless {
            self.answer(waiting, Ok(Err(Gate::NoSpeech)), begun, Duration::ZERO);
        }
        let Some(first) = batch.first() else { return };
        let language = primary_language(&first.job.language);
        let segments: Vec<Segment> = batch.iter().map(|w| w.job.segment.clone()).collect();
        let outcome = self.recognize(&language, &segments);
        let compute = begun.elapsed();
        match outcome {
            Some(texts) => {
                for (waiting, heard) in batch.into_iter().zip(texts) {
                    let gated = match gates::gate(&language, &heard, waiting.job.segment.voiced) {
                        Some(gate) => Err(gate),
                        None => Ok(heard.text),
                    };
                    self.answer(waiting, Ok(gated), begun, compute);
                }
            }
            None => {
                for waiting in batch {
                    self.answer(waiting, Err(AsrFailure::Engine), begun, compute);
                }
            }
        }
    }

    /// `None` when the recogniser failed, panicked, or broke its promise of an answer a segment.
    fn recognize(&self, language: &str, segments: &[Segment]) -> Option<Vec<Recognized>> {
        match catch_unwind(AssertUnwindSafe(|| self.recognizer.recognize(language, segments))) {
            Ok(Ok(texts)) if texts.len() == segments.len() => Some(texts),
            Ok(Ok(texts)) => {
                tracing::error!(
                    asked = segments.len(),
                    answered = texts.len(),
                    "the recogniser lost a segment"
                );
                None
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "transcription failed");
                None
            }
            Err(_) => {
                tracing::error!("the recogniser panicked; its thread goes on");
                None
            }
        }
    }

    fn turn_away(&self, away: Vec<TurnedAway>, now: Instant) {
        for (waiting, failure) in away {
            self.answer(waiting, Err(failure), now, Duration::ZERO);
        }
    }

    fn answer(
        &self,
        Waiting { job, since }: Waiting,
        result: Result<Result<String, Gate>, AsrFailure>,
        begun: Instant,
        compute: Duration,
    ) {
        let Job { call, utterance, purpose, to, reply, .. } = job;
        let queued = begun.saturating_duration_since(since);
        let done = JobDone { utterance, purpose, to, result, queued, compute };
        if let Some(observe) = &self.observer {
            observe(&done);
        }
        // Never waits: a session that does not read must not stop the engine for everybody else.
        match reply.try_send(done) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => tracing::warn!(%call, "transcript dropped: its call does not read"),
            Err(TrySendError::Closed(_)) => tracing::debug!(%call, "transcript for a call that has ended"),
        }
    }
}

/// The state is whole after every statement that holds the lock, so a poisoned one is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
