//! Who transcribes, and with which models.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Secret, duration, duration_text};

/// Who transcribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsrBackend {
    /// Whisper in this process.
    Whisper,
    /// A service of one's own, see [`OpenAi`].
    Openai,
}

impl AsrBackend {
    /// As the configuration writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whisper => "whisper",
            Self::Openai => "openai",
        }
    }
}

/// What a model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    Cpu,
    /// Needs a program built with the feature `cuda`.
    Cuda,
}

/// CTranslate2's words for how a model calculates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputeType {
    /// As the model was converted.
    Default,
    /// The fastest that the device offers.
    Auto,
    Float32,
    Float16,
    Bfloat16,
    Int16,
    Int8,
    Int8Float32,
    Int8Float16,
    Int8Bfloat16,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asr {
    pub backend: AsrBackend,
    /// A known name (`sidetone models list`) or a directory with a CTranslate2 Whisper model.
    pub model: String,
    /// Models by language (`en`, `fr`), and `default` for every other; empty: `model` alone.
    pub models: BTreeMap<String, String>,
    /// Better and slower models, by language and `default`, that have a last word on who answered.
    pub careful: BTreeMap<String, String>,
    /// Where fetched models are kept; empty: the user's data folder.
    pub models_dir: String,
    /// Where models run.
    pub device: Device,
    /// The numbers models calculate with.
    pub compute_type: ComputeType,
    /// Model copies, each with one thread; 0: one a core, at most four.
    pub replicas: usize,
    /// Jobs that may wait, for each model.
    pub queue_length: usize,
    /// Compute time that may wait for each worker before partial looks are left out.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub backlog: Duration,
    /// No new call starts while 95 of 100 transcriptions do not begin within this.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub admit_wait: Duration,
    pub openai: OpenAi,
}

/// An OpenAI-compatible speech service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAi {
    /// Up to and with `/v1`.
    pub url: String,
    /// Sent as `Authorization: Bearer`; empty: not sent.
    pub key: Secret,
    /// The service's name for the model.
    pub model: String,
    /// For one try.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub timeout: Duration,
    /// Further tries when the service is busy, broken or not reached.
    pub retries: u32,
    /// Segments sent at once.
    pub connections: usize,
}

impl Default for OpenAi {
    fn default() -> Self {
        Self {
            url: String::new(),
            key: Secret::default(),
            model: "whisper-1".to_owned(),
            timeout: Duration::from_secs(2),
            retries: 1,
            connections: 16,
        }
    }
}

impl Default for Asr {
    fn default() -> Self {
        Self {
            backend: AsrBackend::Whisper,
            model: "tiny.en".to_owned(),
            models: BTreeMap::new(),
            careful: BTreeMap::new(),
            models_dir: String::new(),
            device: Device::Cpu,
            compute_type: ComputeType::Int8,
            replicas: 0,
            queue_length: 256,
            backlog: Duration::from_millis(400),
            admit_wait: Duration::from_millis(300),
            openai: OpenAi::default(),
        }
    }
}

impl Asr {
    /// The key in `models` for languages that are not named.
    pub const DEFAULT_MODEL: &str = "default";

    /// Every model with the languages that go to it, and whether all others do too. `model` is the default where
    /// `models` names none.
    #[must_use]
    pub fn assigned(&self) -> Vec<(&str, Vec<&str>, bool)> {
        by_model(&self.models, Some(&self.model))
    }

    /// The same of the careful ones.
    #[must_use]
    pub fn assigned_careful(&self) -> Vec<(&str, Vec<&str>, bool)> {
        by_model(&self.careful, None)
    }

    /// Every model that is loaded.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.assigned().into_iter().chain(self.assigned_careful()).map(|(name, ..)| name).collect()
    }

    /// The careful model that a language (`fr`, `fr-CA`) goes to.
    #[must_use]
    pub fn careful_for(&self, language: &str) -> Option<&str> {
        let of_here = Some(&self.careful).filter(|_| self.backend == AsrBackend::Whisper)?;
        for_language(of_here, language)
    }

    /// The model that a language (`fr`, `fr-CA`) goes to.
    #[must_use]
    pub fn model_for(&self, language: &str) -> &str {
        for_language(&self.models, language).unwrap_or(&self.model)
    }
}

fn for_language<'a>(models: &'a BTreeMap<String, String>, language: &str) -> Option<&'a str> {
    let named = models.get(&crate::asr::primary_language(language));
    named.or_else(|| models.get(Asr::DEFAULT_MODEL)).map(String::as_str)
}

/// Models by what goes to each. `default`: what hears the languages that are not named, where the map does not say.
fn by_model<'a>(
    models: &'a BTreeMap<String, String>,
    default: Option<&'a String>,
) -> Vec<(&'a str, Vec<&'a str>, bool)> {
    let default = models.get(Asr::DEFAULT_MODEL).or(default);
    let mut all: Vec<(&str, Vec<&str>, bool)> =
        default.map(|model| (model.as_str(), Vec::new(), true)).into_iter().collect();
    for (language, model) in models.iter().filter(|(key, _)| *key != Asr::DEFAULT_MODEL) {
        match all.iter_mut().find(|(known, ..)| known == model) {
            Some((_, languages, _)) => languages.push(language),
            None => all.push((model, vec![language], false)),
        }
    }
    all
}
