//! The engine's threads, and the handle calls use to reach them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use sidetone_core::call::{AsrFailure, CallId, Gate, LanguageHeard, Purpose, UtteranceId};
use tokio::{sync::mpsc::error::TrySendError, time::Instant};

use super::{
    Job, JobDone, Observer, RecognizeError, Recognized, Recognizer, SAMPLE_RATE, Segment,
    gates::{self, Passed},
    is_careful, is_wide, primary_language,
    queue::{TurnedAway, Waiting},
    scheduler::{NotAdmitting, Scheduler, Tuning, Work},
};

/// How often what is late, hangs or has calmed down is looked for.
const TICK: Duration = Duration::from_millis(100);

/// A model and what it is for.
#[derive(Clone)]
pub struct Model {
    pub recognizer: Arc<dyn Recognizer>,
    /// The languages that go to it (`en`, `fr`...).
    pub languages: Vec<String>,
    /// Whether every other language goes to it too.
    pub is_default: bool,
    /// It takes its time: only for the looks that ask for that.
    pub careful: bool,
}

/// The way to the recognisers; clones share their queues. Nothing here blocks but `shutdown`.
#[derive(Clone)]
pub struct AsrHandle {
    engine: Arc<Engine>,
}

struct Engine {
    models: Vec<Model>,
    observer: Option<Observer>,
    tuning: Tuning,
    state: Mutex<State>,
    work: Condvar,
    watch: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct State {
    scheduler: Scheduler,
    stopping: bool,
}

/// What the engine counted since its start, and how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineStats {
    /// Jobs that wait.
    pub depth: usize,
    /// Partials left out because too much waited.
    pub shed: u64,
    /// Partials left out because the cadence is stretched.
    pub skipped: u64,
    /// How often the cadence was stretched.
    pub stretched: u64,
    /// How often a model's breaker opened.
    pub opened: u64,
    pub is_failing: bool,
    pub cadence: Duration,
    pub admits: Result<(), NotAdmitting>,
}

impl AsrHandle {
    /// Starts `workers` threads over one recogniser, and a queue of `capacity` jobs before them.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        recognizer: Arc<dyn Recognizer>,
        workers: usize,
        capacity: usize,
        observer: Option<Observer>,
    ) -> std::io::Result<Self> {
        let model = Model { recognizer, languages: Vec::new(), is_default: true, careful: false };
        Self::launch(vec![model], Tuning { workers, capacity, ..Tuning::default() }, observer)
    }

    /// Starts the threads over several models, each with a queue of its own.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn launch(models: Vec<Model>, tuning: Tuning, observer: Option<Observer>) -> std::io::Result<Self> {
        let tuning = Tuning { workers: tuning.workers.max(1), ..tuning };
        let together: Vec<usize> = models.iter().map(|model| model.recognizer.together().max(1)).collect();
        let engine = Arc::new(Engine {
            models,
            observer,
            tuning,
            state: Mutex::new(State { scheduler: Scheduler::new(&together, tuning), stopping: false }),
            work: Condvar::new(),
            watch: Condvar::new(),
            threads: Mutex::new(Vec::new()),
        });
        for worker in 0..tuning.workers {
            let its = engine.clone();
            let name = format!("asr-{worker}");
            let thread = std::thread::Builder::new().name(name).spawn(move || its.run(worker))?;
            lock(&engine.threads).push(thread);
        }
        let its = engine.clone();
        let watch = std::thread::Builder::new().name("asr-watch".to_owned()).spawn(move || its.watch())?;
        lock(&engine.threads).push(watch);
        Ok(Self { engine })
    }

    /// Queues a job; its answer comes through `job.reply`, exactly once unless it is cancelled or a newer
    /// `Partial` of the same utterance replaces it. An answer after the deadline still comes if the job had begun.
    ///
    /// # Errors
    /// No answer will come: the queue is full of jobs at least as urgent, this partial comes too soon while the
    /// engine is behind, no model hears the language, or the model fails or has stopped.
    pub fn submit(&self, job: Job) -> Result<(), AsrFailure> {
        let now = Instant::now();
        let lane = match &job.among {
            None => self.engine.lane(&job.language, job.purpose),
            Some(languages) => self.engine.detecting_lane(languages),
        };
        let lane = lane.ok_or(AsrFailure::Engine)?;
        let away = {
            let mut state = lock(&self.engine.state);
            if state.stopping {
                return Err(AsrFailure::Engine);
            }
            state.scheduler.push(lane, job, now)?
        };
        self.engine.work.notify_one();
        self.engine.turn_away(away, now);
        Ok(())
    }

    /// Forgets what waits for an utterance. What is being computed is still answered.
    pub fn cancel(&self, call: &CallId, utterance: UtteranceId) {
        lock(&self.engine.state).scheduler.cancel(call, utterance);
    }

    /// How many jobs wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        lock(&self.engine.state).scheduler.depth()
    }

    /// How often an utterance may be looked at now: 0.5 s, and 1 or 2 s when the engine is behind. Partials that
    /// come sooner are refused as shed.
    #[must_use]
    pub fn cadence(&self) -> Duration {
        lock(&self.engine.state).scheduler.load.cadence()
    }

    /// Whether one more call can be heard.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self) -> Result<(), NotAdmitting> {
        lock(&self.engine.state).scheduler.admits(Instant::now())
    }

    /// What was counted, and how the engine is.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let State { scheduler, .. } = &mut *lock(&self.engine.state);
        EngineStats {
            depth: scheduler.depth(),
            shed: scheduler.load.shed,
            skipped: scheduler.load.skipped,
            stretched: scheduler.load.stretched,
            opened: scheduler.opened(),
            is_failing: scheduler.is_failing(),
            cadence: scheduler.load.cadence(),
            admits: scheduler.admits(Instant::now()),
        }
    }

    /// Whether a model understands a language (`fr`, `fr-CA`).
    #[must_use]
    pub fn hears(&self, language: &str) -> bool {
        let code = primary_language(language);
        let model = self.engine.lane(language, Purpose::Amd).map(|lane| &self.engine.models[lane].recognizer);
        model.is_some_and(|recognizer| recognizer.languages().iter().any(|known| *known == code))
    }

    /// Whether the language can be detected among these: by a multilingual model of this machine.
    #[must_use]
    pub fn detects(&self, languages: &[String]) -> bool {
        self.engine.detecting_lane(languages).is_some()
    }

    /// Stops the engine: what waits is answered as failed, what runs is finished. Blocks for as long as the
    /// longest running decode takes (well under a second); later jobs are refused.
    pub fn shutdown(&self) {
        let left = {
            let mut state = lock(&self.engine.state);
            state.stopping = true;
            state.scheduler.drain()
        };
        self.engine.work.notify_all();
        self.engine.watch.notify_all();
        self.engine.turn_away(left, Instant::now());
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
            .field("tuning", &self.engine.tuning)
            .field("depth", &self.depth())
            .finish()
    }
}

impl Engine {
    /// The model that a language goes to.
    fn lane(&self, language: &str, purpose: Purpose) -> Option<usize> {
        let code = primary_language(language);
        let among = |careful: bool| {
            let find = |fits: &dyn Fn(&Model) -> bool| {
                self.models.iter().position(|model| model.careful == careful && fits(model))
            };
            find(&|model| model.languages.contains(&code)).or_else(|| find(&|model| model.is_default))
        };
        let careful = is_careful(purpose).then(|| among(true)).flatten();
        careful.or_else(|| among(false))
    }

    /// The first model that tells these languages apart.
    fn detecting_lane(&self, languages: &[String]) -> Option<usize> {
        self.models.iter().position(|Model { recognizer, careful, .. }| {
            !careful
                && recognizer.detects()
                && languages.iter().all(|language| recognizer.languages().contains(&language.as_str()))
        })
    }

    fn run(&self, worker: usize) {
        while let Some(work) = self.next(worker) {
            let worked = match work {
                Work::Batch { lane, jobs } => self.transcribe(&self.models[lane], jobs),
                Work::Probe { lane } => Some(self.probe(&self.models[lane])),
            };
            let now = Instant::now();
            let away = {
                let scheduler = &mut lock(&self.state).scheduler;
                match worked {
                    Some(worked) => scheduler.finished(worker, worked, now),
                    None => {
                        scheduler.abandoned(worker);
                        Vec::new()
                    }
                }
            };
            self.turn_away(away, now);
        }
    }

    /// Waits for work; `None` when the engine stops.
    fn next(&self, worker: usize) -> Option<Work> {
        let mut state = lock(&self.state);
        loop {
            if state.stopping {
                return None;
            }
            let now = Instant::now();
            let (work, late) = state.scheduler.take(worker, now);
            if !late.is_empty() {
                drop(state);
                self.turn_away(late, now);
                if work.is_some() {
                    return work;
                }
                state = lock(&self.state);
                continue;
            }
            if work.is_some() {
                return work;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn watch(&self) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let now = Instant::now();
            let away = state.scheduler.tick(now);
            let failing = state.scheduler.is_failing();
            drop(state);
            self.turn_away(away, now);
            if failing {
                // A trial may be due.
                self.work.notify_one();
            }
            state = lock(&self.state);
            if !state.stopping {
                state = self.watch.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    /// Answers a batch. Whether the model worked; `None`: it was not asked.
    fn transcribe(&self, model: &Model, batch: Vec<Waiting>) -> Option<bool> {
        let (hopeless, batch): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|w| gates::before(&w.job.segment).is_some());
        let begun = Instant::now();
        for waiting in hopeless {
            self.answer(waiting, None, Ok(Gate::NoSpeech.into()), (begun, Duration::ZERO));
        }
        let first = &batch.first()?.job;
        if let Some(among) = first.among.clone() {
            let worked =
                batch.into_iter().map(|waiting| self.detect(model, &among, waiting)).collect::<Vec<_>>();
            return Some(worked.into_iter().all(|worked| worked));
        }
        let language = primary_language(&first.language);
        let segments: Vec<Segment> = batch.iter().map(|w| w.job.segment.clone()).collect();
        // What the careful model is not asked for is looked at as quickly as it came.
        let wide = batch.iter().all(|waiting| is_wide(waiting.job.purpose));
        let outcome = recognize(model, &language, &segments, wide);
        let compute = begun.elapsed();
        match outcome {
            Ok(texts) => {
                for (waiting, heard) in batch.into_iter().zip(texts) {
                    let passed = passed(&language, heard, &waiting.job);
                    self.answer(waiting, None, Ok(passed), (begun, compute));
                }
                Some(true)
            }
            Err(failure) => {
                for waiting in batch {
                    self.answer(waiting, None, Err(AsrFailure::Engine), (begun, compute));
                }
                (failure == Failure::Model).then_some(false)
            }
        }
    }

    /// Answers one job whose language is not known yet, in the likeliest. Whether the model worked.
    fn detect(&self, model: &Model, among: &[String], waiting: Waiting) -> bool {
        let begun = Instant::now();
        let segment = waiting.job.segment.clone();
        let heard = catch_unwind(AssertUnwindSafe(|| likeliest(model, among, &segment)));
        let outcome = match heard {
            Ok(Ok(heard)) => recognize(model, &heard.language, std::slice::from_ref(&segment), false)
                .map(|texts| (heard, texts)),
            Ok(Err(error)) => {
                tracing::error!(%error, "the language could not be detected");
                Err(Failure::Model)
            }
            Err(_) => Err(Failure::Model),
        };
        let compute = begun.elapsed();
        match outcome {
            Ok((heard, texts)) => {
                let text = texts.into_iter().next().unwrap_or_default();
                let passed = passed(&heard.language, text, &waiting.job);
                self.answer(waiting, Some(heard), Ok(passed), (begun, compute));
                true
            }
            Err(_) => {
                self.answer(waiting, None, Err(AsrFailure::Engine), (begun, compute));
                false
            }
        }
    }

    /// Whether a model that failed works again.
    fn probe(&self, model: &Model) -> bool {
        let silence = Segment { pcm: vec![0; SAMPLE_RATE as usize].into(), voiced: Duration::from_secs(1) };
        let language = model.languages.first().map(String::as_str);
        let language = language.or(model.recognizer.languages().first().copied()).unwrap_or("en");
        recognize(model, language, &[silence], false).is_ok()
    }

    fn turn_away(&self, away: Vec<TurnedAway>, now: Instant) {
        for (waiting, failure) in away {
            self.answer(waiting, None, Err(failure), (now, Duration::ZERO));
        }
    }

    fn answer(
        &self,
        Waiting { job, since }: Waiting,
        detected: Option<LanguageHeard>,
        outcome: Result<Passed, AsrFailure>,
        (begun, compute): (Instant, Duration),
    ) {
        let Job { call, utterance, purpose, to, reply, .. } = job;
        let queued = begun.saturating_duration_since(since);
        let (result, others) = match outcome {
            Ok(Passed { first, others }) => (Ok(first), others),
            Err(failure) => (Err(failure), Vec::new()),
        };
        let done = JobDone { utterance, purpose, to, detected, result, others, queued, compute };
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

/// What a failed batch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Something is wrong with the model.
    Model,
    /// Something was wrong with what was asked.
    Request,
}

fn passed(language: &str, heard: Recognized, job: &Job) -> Passed {
    gates::pass(language, heard, job.segment.voiced, job.purpose)
}

/// The likeliest of the allowed languages.
fn likeliest(model: &Model, among: &[String], segment: &Segment) -> Result<LanguageHeard, RecognizeError> {
    let shares = model.recognizer.detect(segment, among)?;
    let best = among.iter().zip(shares).max_by(|(_, a), (_, b)| a.total_cmp(b));
    let (language, probability) = best.ok_or(RecognizeError::CannotDetect)?;
    Ok(LanguageHeard { language: language.clone(), probability, voiced: segment.voiced })
}

/// An error, a panic, and fewer answers than segments are all failures.
fn recognize(
    model: &Model,
    language: &str,
    segments: &[Segment],
    wide: bool,
) -> Result<Vec<Recognized>, Failure> {
    match catch_unwind(AssertUnwindSafe(|| model.recognizer.read(language, segments, wide))) {
        Ok(Ok(texts)) if texts.len() == segments.len() => Ok(texts),
        Ok(Ok(texts)) => {
            tracing::error!(asked = segments.len(), answered = texts.len(), "the recogniser lost a segment");
            Err(Failure::Model)
        }
        Ok(Err(error @ (RecognizeError::Language(_) | RecognizeError::CannotDetect))) => {
            tracing::error!(%error, "transcription failed");
            Err(Failure::Request)
        }
        Ok(Err(error @ RecognizeError::Engine(_))) => {
            tracing::error!(%error, "transcription failed");
            Err(Failure::Model)
        }
        Err(_) => {
            tracing::error!("the recogniser panicked; its thread goes on");
            Err(Failure::Model)
        }
    }
}

/// The state is whole after every statement that holds the lock, so a poisoned one is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
