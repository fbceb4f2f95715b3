//! The recogniser as a live call has it: the same gates around the same model, answered at once, its work measured.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sidetone_core::call::{AsrFailure, Heard, Transcribe};

use super::{
    audio::Clip,
    cache::{Cache, Key},
};
use crate::{
    asr::{self, LoadError, Passed, Recognized, Recognizer, Segment, models, primary_language},
    config,
};

/// English, where it is fetched.
const ENGLISH: &str = "tiny.en";
/// Other languages, best choice first.
const MULTILINGUAL: [&str; 3] = ["base", "small", "tiny"];
/// What has a last word on who answered, where it is fetched.
const CAREFUL: [&str; 2] = ["base.en", "small"];
/// Asks for none.
pub const NONE: &str = "none";

/// Which models the user asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// For every language it understands.
    pub model: Option<String>,
    /// For one language.
    pub by_language: BTreeMap<String, String>,
    /// The careful one for a language; `none`: none.
    pub careful: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum HearingError {
    #[error("the model `{model}` does not understand `{language}`; fetch one that does: {get}")]
    Deaf { model: String, language: String, get: &'static str },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{path}: cannot be opened: {source}")]
    Cache { path: String, source: std::io::Error },
}

/// The model that hears a language: the one asked for, else `tiny.en` for English where it is fetched, else the
/// configured one, else any fetched one that understands the language.
#[must_use]
pub fn choose(
    language: &str,
    wanted: &Wanted,
    configured: &str,
    is_fetched: impl Fn(&str) -> bool,
) -> String {
    if let Some(model) = wanted.by_language.get(language) {
        return model.clone();
    }
    if let Some(model) = wanted.model.as_ref().filter(|model| models::hears(model, language)) {
        return model.clone();
    }
    if language == "en" && is_fetched(ENGLISH) {
        return ENGLISH.to_owned();
    }
    if models::hears(configured, language) {
        return configured.to_owned();
    }
    let fetched = MULTILINGUAL.into_iter().find(|name| is_fetched(name));
    fetched.unwrap_or(configured).to_owned()
}

/// The model that has a last word on who answered in a language: the one asked for, else the configured one, else a
/// fetched one, unless the models are the user's choice.
#[must_use]
pub fn choose_careful(
    language: &str,
    wanted: &Wanted,
    asr: &config::Asr,
    is_fetched: impl Fn(&str) -> bool,
) -> Option<String> {
    if let Some(model) = wanted.careful.get(language) {
        return Some(model.clone()).filter(|model| model != NONE);
    }
    if let Some(configured) = asr.careful_for(language) {
        return Some(configured.to_owned());
    }
    let chosen = wanted.model.is_some() || wanted.by_language.contains_key(language);
    let fits = |name: &&str| models::hears(name, language) && is_fetched(name);
    if chosen { None } else { CAREFUL.into_iter().find(fits).map(str::to_owned) }
}

/// A model for each language, and what is known of earlier runs.
pub struct Hearing {
    models: BTreeMap<String, Model>,
    /// Those that have a last word on who answered.
    careful: BTreeMap<String, Model>,
    cache: Option<Cache>,
    /// Every transcription takes so long, whatever it took.
    fixed: Option<Duration>,
}

#[derive(Clone)]
struct Model {
    name: String,
    recognizer: Arc<dyn Recognizer>,
}

impl Hearing {
    /// Loads a model for each language; `replicas` clips are heard side by side.
    ///
    /// # Errors
    /// When a model is missing, broken, or does not understand its language.
    pub fn load(
        asr: &config::Asr,
        wanted: &Wanted,
        languages: impl IntoIterator<Item = String>,
        replicas: usize,
    ) -> Result<Self, HearingError> {
        let mut loaded: BTreeMap<String, Arc<dyn Recognizer>> = BTreeMap::new();
        let with = |model: &str| config::Asr { model: model.to_owned(), replicas, ..asr.clone() };
        let is_fetched = |model: &str| models::find(&with(model)).is_ok();
        let mut load = |name: String, language: &str| -> Result<Model, HearingError> {
            if !models::hears(&name, language) {
                let get = models::suggestion(language);
                return Err(HearingError::Deaf { model: name, language: language.to_owned(), get });
            }
            let recognizer = match loaded.get(&name) {
                Some(recognizer) => recognizer.clone(),
                None => asr::load(&with(&name))?,
            };
            loaded.insert(name.clone(), recognizer.clone());
            Ok(Model { name, recognizer })
        };
        let mut hearing =
            Self { models: BTreeMap::new(), careful: BTreeMap::new(), cache: None, fixed: None };
        for language in languages {
            let name = choose(&language, wanted, &asr.model, is_fetched);
            let careful = choose_careful(&language, wanted, asr, is_fetched).filter(|other| *other != name);
            if let Some(careful) = careful {
                hearing.careful.insert(language.clone(), load(careful, &language)?);
            }
            let model = load(name, &language)?;
            hearing.models.insert(language, model);
        }
        Ok(hearing)
    }

    /// One recogniser for these languages: for tests.
    pub fn of(recognizer: Arc<dyn Recognizer>, languages: &[&str]) -> Self {
        let model = |language: &&str| {
            let model = Model { name: "given".to_owned(), recognizer: recognizer.clone() };
            ((*language).to_owned(), model)
        };
        let models = languages.iter().map(model).collect();
        Self { models, careful: BTreeMap::new(), cache: None, fixed: None }
    }

    /// Answers from this file what was asked before, and keeps there what was not.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn cached(mut self, path: &Path) -> Result<Self, HearingError> {
        let opened = Cache::open(path);
        let wrong = |source| HearingError::Cache { path: path.display().to_string(), source };
        self.cache = Some(opened.map_err(wrong)?);
        Ok(self)
    }

    /// Every transcription takes so long, so that runs can be compared.
    #[must_use]
    pub fn taking(mut self, fixed: Option<Duration>) -> Self {
        self.fixed = fixed;
        self
    }

    /// Which model hears which language.
    #[must_use]
    pub fn models(&self) -> BTreeMap<String, String> {
        self.models.iter().map(|(language, model)| (language.clone(), model.name.clone())).collect()
    }

    /// Which one hears it and, where there is one, which has a last word on who answered.
    #[must_use]
    pub fn models_of_verdicts(&self) -> BTreeMap<String, String> {
        let mut all = self.models();
        for (language, careful) in &self.careful {
            all.entry(language.clone()).and_modify(|name| *name = format!("{name}, then {}", careful.name));
        }
        all
    }

    /// The ear of one call; `None`: nothing was loaded for the language.
    #[must_use]
    pub fn ear(&self, language: &str, clip: &Clip) -> Option<Ear<'_>> {
        let language = primary_language(language);
        let model = self.models.get(&language)?;
        let careful = self.careful.get(&language);
        Some(Ear { hearing: self, model, careful, language, clip: clip.hash.clone() })
    }
}

/// The recogniser of one call.
pub struct Ear<'a> {
    hearing: &'a Hearing,
    model: &'a Model,
    careful: Option<&'a Model>,
    language: String,
    clip: String,
}

impl Ear<'_> {
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model.name
    }

    /// Whether another model has a last word on who answered.
    #[must_use]
    pub fn is_careful(&self) -> bool {
        self.careful.is_some()
    }

    /// Transcribes a stretch of the call: the outcome, other readings of it, and how long that took.
    #[must_use]
    pub fn hear(&self, request: &Transcribe, segment: &Segment) -> (Heard, Vec<String>, Duration) {
        if let Some(gate) = asr::before(segment) {
            return (Heard::Nothing(gate), Vec::new(), Duration::ZERO);
        }
        let Some((heard, took)) = self.recognized(request, segment) else {
            return (Heard::Failed(AsrFailure::Engine), Vec::new(), Duration::ZERO);
        };
        let Passed { first, others } = asr::pass(&self.language, heard, segment.voiced, request.purpose);
        let outcome = first.map_or_else(Heard::Nothing, Heard::Text);
        (outcome, others, self.hearing.fixed.unwrap_or(took))
    }

    fn recognized(&self, request: &Transcribe, segment: &Segment) -> Option<(Recognized, Duration)> {
        let careful = self.careful.filter(|_| asr::is_careful(request.purpose));
        let model = careful.unwrap_or(self.model);
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let key = Key {
            clip: self.clip.clone(),
            from_ms: ms(request.from),
            to_ms: ms(request.to),
            voiced_ms: ms(segment.voiced),
            language: self.language.clone(),
            model: model.name.clone(),
            wide: asr::is_wide(request.purpose),
        };
        if let Some(known) = self.hearing.cache.as_ref().and_then(|cache| cache.get(&key)) {
            return Some(known);
        }
        let begun = Instant::now();
        let heard = model.recognizer.read(&self.language, std::slice::from_ref(segment), key.wide);
        let took = begun.elapsed();
        match heard {
            Ok(mut texts) => {
                let heard = texts.pop()?;
                if let Some(cache) = &self.hearing.cache {
                    cache.put(key, &heard, took);
                }
                Some((heard, took))
            }
            Err(error) => {
                tracing::error!(%error, "transcription failed");
                None
            }
        }
    }
}
