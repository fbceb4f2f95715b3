//! Speech to text: a queue in front of a recogniser's own threads.

mod breaker;
mod gates;
mod load;
pub mod models;
mod queue;
pub mod remote;
mod scheduler;
pub mod scripted;
mod worker;

#[cfg(feature = "whisper")]
pub mod ct2;

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use sidetone_core::call::{AsrFailure, CallId, Gate, LanguageHeard, Purpose, UtteranceId};
use tokio::{sync::mpsc, time::Instant};

use crate::config;

pub use self::{
    gates::{Passed, before, gate, pass},
    scheduler::{NotAdmitting, Tuning},
    worker::{AsrHandle, EngineStats, Model},
};

/// Samples a second of everything a recogniser is given.
pub const SAMPLE_RATE: u32 = 16_000;

/// Turns speech into text. Calls block: they run on the engine's own threads, never on tokio's.
pub trait Recognizer: Send + Sync + 'static {
    /// Transcribes segments of one language together: one answer a segment, in order.
    ///
    /// # Errors
    /// When the whole batch failed.
    fn recognize(&self, language: &str, batch: &[Segment]) -> Result<Vec<Recognized>, RecognizeError>;

    /// The same with a beam search, and other readings of each segment with it, where the recogniser has any. It takes
    /// about half as long again.
    ///
    /// # Errors
    /// As [`Recognizer::recognize`].
    fn recognize_widely(&self, language: &str, batch: &[Segment]) -> Result<Vec<Recognized>, RecognizeError> {
        self.recognize(language, batch)
    }

    /// One or the other.
    ///
    /// # Errors
    /// As [`Recognizer::recognize`].
    fn read(&self, language: &str, batch: &[Segment], wide: bool) -> Result<Vec<Recognized>, RecognizeError> {
        if wide { self.recognize_widely(language, batch) } else { self.recognize(language, batch) }
    }

    /// How likely each of these languages is the one spoken, in their order; they add up to 1.
    ///
    /// # Errors
    /// When it cannot tell ([`Recognizer::detects`]), or failed.
    fn detect(&self, _segment: &Segment, _allowed: &[String]) -> Result<Vec<f32>, RecognizeError> {
        Err(RecognizeError::CannotDetect)
    }

    /// Whether it can tell languages apart.
    fn detects(&self) -> bool {
        false
    }

    /// The languages it understands, as Whisper's codes (`en`, `fr`...).
    fn languages(&self) -> &[&'static str];

    /// How many segments it takes together at most: more cost the first of them more than the rest gain.
    fn together(&self) -> usize {
        4
    }
}

/// A stretch of one person's audio.
#[derive(Debug, Clone)]
pub struct Segment {
    /// 16 kHz mono PCM16.
    pub pcm: Arc<[i16]>,
    /// How much of it is voiced; bounds the number of tokens.
    pub voiced: Duration,
}

impl Segment {
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.pcm.len() as u64 * 1_000_000 / u64::from(SAMPLE_RATE))
    }
}

/// What the model made of one segment, before any gate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recognized {
    pub text: String,
    /// Mean log probability of the tokens (0 is certain).
    pub score: f32,
    /// Whisper's own probability that nobody speaks.
    pub no_speech: f32,
    /// What else it may have been (the rest of an n-best list), likeliest first.
    pub others: Vec<Reading>,
}

/// One reading of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub text: String,
    /// As [`Recognized::score`].
    pub score: f32,
}

/// Whether the careful model is asked, where there is one.
#[must_use]
pub fn is_careful(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::AmdCareful | Purpose::AmdLate)
}

/// Whether a look is worth the beam search: the first verdict is waited for, and may come of any reading.
#[must_use]
pub fn is_wide(purpose: Purpose) -> bool {
    purpose == Purpose::AmdCareful
}

#[derive(Debug, thiserror::Error)]
pub enum RecognizeError {
    #[error("the recogniser does not know the language `{0}`")]
    Language(String),
    #[error("the recogniser cannot tell which language is spoken")]
    CannotDetect,
    #[error("the recogniser failed: {0}")]
    Engine(String),
}

/// A transcription wanted by a call.
#[derive(Debug)]
pub struct Job {
    pub call: CallId,
    pub utterance: UtteranceId,
    pub purpose: Purpose,
    pub language: Arc<str>,
    /// Detect the language among these first: which it is is not known yet.
    pub among: Option<Arc<[String]>>,
    pub segment: Segment,
    /// Media time of the segment's end, handed back with the result.
    pub to: Duration,
    /// A job not started by then is answered `Late`.
    pub deadline: Instant,
    /// Must have room for every job the call may have outstanding: an answer that finds it full is dropped.
    pub reply: mpsc::Sender<JobDone>,
}

/// A job's result, sent back to the call that asked.
#[derive(Debug, Clone)]
pub struct JobDone {
    pub utterance: UtteranceId,
    pub purpose: Purpose,
    pub to: Duration,
    /// The language it was heard in, where it was to be detected.
    pub detected: Option<LanguageHeard>,
    pub result: Result<Result<String, Gate>, AsrFailure>,
    /// Other readings that passed every gate, likeliest first.
    pub others: Vec<String>,
    pub queued: Duration,
    pub compute: Duration,
}

/// Sees every answer as it leaves, for the metrics. Called on the engine's threads: it must not block.
pub type Observer = Arc<dyn Fn(&JobDone) + Send + Sync>;

/// Why there is no recogniser.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Find(#[from] models::FindError),
    #[cfg(feature = "whisper")]
    #[error(transparent)]
    Model(#[from] ct2::LoadError),
    #[error("this program was built without the feature `whisper`, so it hears nothing")]
    NotBuilt,
    #[error("the recogniser's threads cannot be started: {0}")]
    Threads(std::io::Error),
}

/// What a model is given behind a clip in place of the rest of 30 s, in encoder frames of 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Silence encoded with the clip: with too little, models lose words.
    pub margin: usize,
    /// Encoded silence put behind it, as it would follow.
    pub next: usize,
    /// And as it stands just before 30 s: from it the decoder knows that the speech is over.
    pub last: usize,
    /// Lengths are rounded up to a multiple of this, so that few shapes are calculated with.
    pub step: usize,
}

impl Recipe {
    #[must_use]
    pub const fn new(margin: usize, next: usize, last: usize, step: usize) -> Self {
        Self { margin, next, last, step }
    }
}

/// How much of 30 s a model is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// The recipe for its kind, where the model reads a test clip as it does in 30 s; otherwise all of it.
    Fitted,
    /// All of it, as Whisper was trained: many times slower.
    Full,
    /// This, whatever becomes of the words.
    Tail(Recipe),
}

/// Loads the configured model. Takes a second or two and blocks.
///
/// # Errors
/// When it is not there (with the line that fetches it) or broken.
pub fn load(asr: &config::Asr) -> Result<Arc<dyn Recognizer>, LoadError> {
    load_as(asr, Context::Fitted, 1)
}

/// As [`load`], with this context and so many threads a copy: to measure what they do.
///
/// # Errors
/// As [`load`].
pub fn load_as(
    asr: &config::Asr,
    context: Context,
    threads: usize,
) -> Result<Arc<dyn Recognizer>, LoadError> {
    match asr.backend {
        config::AsrBackend::Whisper => load_whisper(asr, context, threads),
        config::AsrBackend::Openai => Ok(Arc::new(remote::Remote::new(&asr.openai))),
    }
}

fn load_whisper(
    asr: &config::Asr,
    context: Context,
    threads: usize,
) -> Result<Arc<dyn Recognizer>, LoadError> {
    let path = models::find(asr)?;
    #[cfg(feature = "whisper")]
    {
        let options = ct2::Options {
            replicas: replicas(asr),
            threads,
            context,
            device: asr.device,
            compute: asr.compute_type,
        };
        Ok(Arc::new(ct2::Whisper::load(&path, options)?))
    }
    #[cfg(not(feature = "whisper"))]
    {
        drop((path, context, threads));
        Err(LoadError::NotBuilt)
    }
}

/// Loads every configured model and starts the threads they share. Blocks as [`load`] does.
///
/// # Errors
/// As [`load`].
pub fn start(asr: &config::Asr, observer: Option<Observer>) -> Result<AsrHandle, LoadError> {
    let (mut assigned, mut careful) = (asr.assigned(), asr.assigned_careful());
    if asr.backend == config::AsrBackend::Openai {
        // The service knows its own models.
        (assigned, careful) = (vec![(asr.openai.model.as_str(), Vec::new(), true)], Vec::new());
    }
    let quick = assigned.into_iter().map(|each| (each, false));
    let careful = careful.into_iter().map(|each| (each, true));
    let mut loaded: HashMap<&str, Arc<dyn Recognizer>> = HashMap::new();
    let models = quick.chain(careful).map(|((name, languages, is_default), careful)| {
        let recognizer = match loaded.get(name) {
            Some(known) => known.clone(),
            None => load(&config::Asr { model: name.to_owned(), ..asr.clone() })?,
        };
        loaded.insert(name, recognizer.clone());
        let languages = languages.into_iter().map(str::to_owned).collect();
        Ok(Model { recognizer, languages, is_default, careful })
    });
    let models = models.collect::<Result<Vec<_>, LoadError>>()?;
    AsrHandle::launch(models, Tuning::from(asr), observer).map_err(LoadError::Threads)
}

impl From<&config::Asr> for Tuning {
    fn from(asr: &config::Asr) -> Self {
        let tries = asr.openai.timeout * (asr.openai.retries + 1);
        let (workers, stuck_after) = match asr.backend {
            config::AsrBackend::Whisper => (replicas(asr), Self::default().stuck_after),
            config::AsrBackend::Openai => (asr.openai.connections, tries + Duration::from_secs(1)),
        };
        Self {
            workers,
            stuck_after,
            capacity: asr.queue_length,
            backlog: asr.backlog,
            admit_wait: asr.admit_wait,
        }
    }
}

/// How many copies of the model work side by side: as configured, else one a core, at most four.
#[must_use]
pub fn replicas(asr: &config::Asr) -> usize {
    match asr.replicas {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(4),
        set => set,
    }
}

/// `fr-CA` and `FR_ca` are `fr` to a recogniser.
#[must_use]
pub fn primary_language(tag: &str) -> String {
    tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
