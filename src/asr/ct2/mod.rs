//! Whisper through CTranslate2. The only folder that names ct2rs.

mod check;
mod mel;
#[cfg(all(feature = "onednn", target_os = "linux"))]
mod narrow;
mod view;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ct2rs::{
    Tokenizer as _,
    sys::{self, ComputeType, StorageView, WhisperOptions},
    tokenizers::hf::Tokenizer,
};

use self::mel::{FULL, HOP, LogMel};
use super::{Context, Reading, Recipe, RecognizeError, Recognized, Recognizer, Segment, models::LANGUAGES};
use crate::config::{ComputeType as Compute, Device};

/// From this width on a model's encoder is slow, and loses a word's ending where little silence follows (`small`).
const WIDE: usize = 768;
/// Encoder frames (20 ms each) of 30 s.
const FULL_CONTEXT: usize = FULL / 2;
/// Clips are cut at a quiet moment between these ends (seconds) when they are longer than a context holds.
const CUT: (usize, usize) = (20, 25);

/// How a model is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Copies that work side by side, sharing their weights.
    pub replicas: usize,
    /// Threads of each.
    pub threads: usize,
    pub context: Context,
    pub device: Device,
    pub compute: Compute,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            replicas: 1,
            threads: 1,
            context: Context::Fitted,
            device: Device::Cpu,
            compute: Compute::Int8,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{path}: no Whisper model for CTranslate2: `{file}` is missing")]
    Missing { path: PathBuf, file: &'static str },
    #[error(
        "{path}: the model cannot be loaded: {reason}; if a file is damaged, delete the folder and fetch the model again"
    )]
    Broken { path: PathBuf, reason: String },
    #[error("asr.device: `cuda` needs a program built with the feature `cuda`; this one was not")]
    NoCuda,
}

/// A Whisper model in memory.
pub struct Whisper {
    model: sys::Whisper,
    tokenizer: Tokenizer,
    mel: LogMel,
    languages: Vec<&'static str>,
    /// `None`: this model is given full contexts.
    tail: Option<Tail>,
}

/// What stands in for the rest of 30 s behind a clip.
struct Tail {
    /// The encoder's output for 30 s of silence, `[1500, width]`.
    encoded: Vec<f32>,
    width: usize,
    recipe: Recipe,
    /// Encoder frames of silence behind a clip whose reading is waited for.
    brief: usize,
}

/// How a text is looked for.
#[derive(Debug, Clone, Copy)]
struct Search {
    /// Hypotheses followed side by side.
    beam: usize,
    /// At most so many encoder frames of silence behind the clip.
    margin: usize,
    /// Tokens a second of voice, and beyond: nobody says more, so a loop ends there at the latest.
    tokens: (f64, usize),
}

impl Search {
    const GREEDY: Self = Self { beam: 1, margin: usize::MAX, tokens: (12.0, 16) };
    /// For what must be in time although it takes longer: less silence, fewer tokens.
    const BEAM: Self = Self { beam: 5, margin: usize::MAX, tokens: (7.0, 8) };

    /// The most tokens that so much voice can be.
    fn token_cap(self, voiced: Duration) -> usize {
        let (a_second, beyond) = self.tokens;
        ((voiced.as_secs_f64() * a_second) as usize + beyond).min(224)
    }
}

impl Whisper {
    /// Loads a directory with `model.bin`, `config.json`, `tokenizer.json` and a vocabulary.
    ///
    /// # Errors
    /// Names the directory and the file that is missing or broken.
    pub fn load(path: &Path, options: Options) -> Result<Self, LoadError> {
        for file in ["model.bin", "config.json", "tokenizer.json"] {
            if !path.join(file).is_file() {
                return Err(LoadError::Missing { path: path.to_owned(), file });
            }
        }
        if !["vocabulary.txt", "vocabulary.json"].iter().any(|file| path.join(file).is_file()) {
            return Err(LoadError::Missing { path: path.to_owned(), file: "vocabulary.txt" });
        }
        let broken =
            |reason: anyhow::Error| LoadError::Broken { path: path.to_owned(), reason: reason.to_string() };
        let config = sys::Config {
            device: match options.device {
                Device::Cpu => sys::Device::CPU,
                Device::Cuda if cfg!(feature = "cuda") => sys::Device::CUDA,
                Device::Cuda => return Err(LoadError::NoCuda),
            },
            compute_type: compute_type(options.compute),
            device_indices: vec![0; options.replicas.max(1)],
            num_threads_per_replica: options.threads.max(1),
            ..Default::default()
        };
        let model = sys::Whisper::new(path, config).map_err(broken)?;
        let tokenizer = Tokenizer::new(path).map_err(broken)?;
        let mel = LogMel::new(model.n_mels());
        let languages = if model.is_multilingual() { LANGUAGES.to_vec() } else { vec!["en"] };
        let mut whisper = Self { model, tokenizer, mel, languages, tail: None };
        let fitted = match options.context {
            Context::Full => return Ok(whisper),
            Context::Fitted => whisper.fit_tail(),
            Context::Tail(recipe) => whisper.set_tail(recipe),
        };
        if let Err(why) = fitted {
            tracing::warn!(model = %path.display(), "{why}: every clip is encoded as 30 s, many times slower");
        }
        Ok(whisper)
    }

    /// Whether short clips are encoded as they are, which is what makes them cheap.
    #[must_use]
    pub fn is_fast(&self) -> bool {
        self.tail.is_some()
    }

    fn encode(&self, pcm: &[i16], frames: usize) -> Result<Vec<f32>, RecognizeError> {
        let mut spectrogram = self.mel.spectrogram(pcm, frames);
        let input = StorageView::new(&[1, self.mel.mels(), frames], &mut spectrogram, Default::default());
        let output = input.and_then(|input| self.model.encode(&input, true)).map_err(engine)?;
        let floats = view::floats(&output).map(<[f32]>::to_vec);
        floats.ok_or_else(|| RecognizeError::Engine("the encoder's output is no floats in memory".to_owned()))
    }

    /// Recognises clips that each fit a context.
    fn decode(
        &self,
        language: &str,
        clips: &[Clip<'_>],
        search: Search,
    ) -> Result<Vec<Recognized>, RecognizeError> {
        let (shape, features) = self.features(clips, search.margin)?;
        self.generate(language, clips, search, (shape, features))
    }

    /// What the decoder is given, and the shape of one clip's.
    fn features(&self, clips: &[Clip<'_>], margin: usize) -> Result<([usize; 2], Vec<f32>), RecognizeError> {
        match &self.tail {
            Some(tail) => self.with_tail(tail, clips, margin),
            None => Ok(self.full_contexts(clips)),
        }
    }

    /// `shape`: of one clip's features, either a spectrogram or the encoder's output.
    fn generate(
        &self,
        language: &str,
        clips: &[Clip<'_>],
        search: Search,
        (shape, mut features): ([usize; 2], Vec<f32>),
    ) -> Result<Vec<Recognized>, RecognizeError> {
        let shape = [clips.len(), shape[0], shape[1]];
        let input = StorageView::new(&shape, &mut features, Default::default()).map_err(engine)?;
        let prompts = vec![self.prompt(language); clips.len()];
        let longest = clips.iter().map(|clip| clip.voiced).max().unwrap_or_default();
        let options = WhisperOptions {
            beam_size: search.beam,
            num_hypotheses: search.beam,
            return_scores: true,
            return_no_speech_prob: true,
            // CTranslate2 stops at half of this.
            max_length: 2 * search.token_cap(longest),
            ..Default::default()
        };
        let results = self.model.generate(&input, &prompts, &options).map_err(engine)?;
        results
            .into_iter()
            .map(|result| {
                let read = |(tokens, score)| {
                    let text = self.tokenizer.decode(tokens).map_err(engine)?.trim().to_owned();
                    Ok(Reading { text, score })
                };
                let mut readings = result.sequences.into_iter().zip(result.scores).map(read);
                let first = readings.next().transpose()?;
                let Reading { text, score } =
                    first.unwrap_or_else(|| Reading { text: String::new(), score: f32::MIN });
                let others = readings.collect::<Result<_, _>>()?;
                Ok(Recognized { text, score, no_speech: result.no_speech_prob, others })
            })
            .collect()
    }

    /// Each clip encoded alone (together costs more), a few seconds of silence with it, and the silence tail behind.
    fn with_tail(
        &self,
        tail: &Tail,
        clips: &[Clip<'_>],
        most: usize,
    ) -> Result<([usize; 2], Vec<f32>), RecognizeError> {
        let longest = clips.iter().map(|clip| clip.pcm.len()).max().unwrap_or(0);
        let Recipe { margin, next, last, step } = tail.recipe;
        let own =
            (longest.div_ceil(2 * HOP) + margin.min(most)).next_multiple_of(step.max(1)).min(FULL_CONTEXT);
        let frames = 2 * own;
        let width = tail.width;
        let next = own..(own + next).min(FULL_CONTEXT);
        let last = (FULL_CONTEXT - last).max(next.end)..FULL_CONTEXT;
        let mut features = Vec::with_capacity(clips.len() * (own + next.len() + last.len()) * width);
        for clip in clips {
            features.extend(self.encode(clip.pcm, frames)?);
            for range in [&next, &last] {
                features.extend_from_slice(&tail.encoded[range.start * width..range.end * width]);
            }
        }
        Ok(([own + next.len() + last.len(), width], features))
    }

    fn full_contexts(&self, clips: &[Clip<'_>]) -> ([usize; 2], Vec<f32>) {
        let features = clips.iter().flat_map(|clip| self.mel.spectrogram(clip.pcm, FULL)).collect();
        ([self.mel.mels(), FULL], features)
    }

    /// The probability of each language token for the beginning of a segment, among those allowed.
    fn language_shares(&self, pcm: &[i16], allowed: &[String]) -> Result<Vec<f32>, RecognizeError> {
        let clip =
            Clip { pcm: &pcm[..pcm.len().min(CUT.1 * super::SAMPLE_RATE as usize)], voiced: Duration::ZERO };
        let (shape, mut features) = self.features(&[clip], usize::MAX)?;
        let input = StorageView::new(&[1, shape[0], shape[1]], &mut features, Default::default());
        let found = input.and_then(|input| self.model.detect_language(&input)).map_err(engine)?;
        let found = found.into_iter().next().unwrap_or_default();
        let of = |language: &String| {
            let token = format!("<|{language}|>");
            found.iter().find(|one| one.language == token).map_or(0.0, |one| one.probability)
        };
        let shares: Vec<f32> = allowed.iter().map(of).collect();
        let all: f32 = shares.iter().sum();
        if all > 0.0 {
            Ok(shares.into_iter().map(|share| share / all).collect())
        } else {
            Err(RecognizeError::CannotDetect)
        }
    }

    fn prompt(&self, language: &str) -> Vec<String> {
        let mut prompt = vec!["<|startoftranscript|>".to_owned()];
        if self.languages.len() > 1 {
            prompt.extend([format!("<|{language}|>"), "<|transcribe|>".to_owned()]);
        }
        prompt.push("<|notimestamps|>".to_owned());
        prompt
    }

    fn hear(
        &self,
        language: &str,
        batch: &[Segment],
        search: Search,
    ) -> Result<Vec<Recognized>, RecognizeError> {
        if !self.languages.contains(&language) {
            return Err(RecognizeError::Language(language.to_owned()));
        }
        let limit = CUT.1 * super::SAMPLE_RATE as usize;
        if batch.iter().all(|segment| segment.pcm.len() <= limit) {
            let clips: Vec<Clip<'_>> =
                batch.iter().map(|segment| Clip { pcm: &segment.pcm, voiced: segment.voiced }).collect();
            return self.decode(language, &clips, search);
        }
        batch
            .iter()
            .map(|segment| {
                let parts = cut(&segment.pcm)
                    .into_iter()
                    .map(|pcm| {
                        self.decode(
                            language,
                            &[Clip { pcm, voiced: length(pcm).min(segment.voiced) }],
                            search,
                        )
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(joined(parts.into_iter().flatten().collect()))
            })
            .collect()
    }
}

impl Recognizer for Whisper {
    fn recognize(&self, language: &str, batch: &[Segment]) -> Result<Vec<Recognized>, RecognizeError> {
        self.hear(language, batch, Search::GREEDY)
    }

    fn recognize_widely(&self, language: &str, batch: &[Segment]) -> Result<Vec<Recognized>, RecognizeError> {
        let search = match &self.tail {
            Some(tail) if tail.width < WIDE => Search { margin: tail.brief, ..Search::BEAM },
            Some(tail) => Search { margin: tail.brief, beam: 3, ..Search::BEAM },
            None => Search { beam: 3, ..Search::BEAM },
        };
        self.hear(language, batch, search)
    }

    fn detect(&self, segment: &Segment, allowed: &[String]) -> Result<Vec<f32>, RecognizeError> {
        if !self.detects() {
            return Err(RecognizeError::CannotDetect);
        }
        self.language_shares(&segment.pcm, allowed)
    }

    fn detects(&self) -> bool {
        self.languages.len() > 1
    }

    fn languages(&self) -> &[&'static str] {
        &self.languages
    }
}

impl std::fmt::Debug for Whisper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whisper")
            .field("model", &self.model)
            .field("is_fast", &self.is_fast())
            .finish_non_exhaustive()
    }
}

/// Audio that fits one context.
struct Clip<'a> {
    pcm: &'a [i16],
    voiced: Duration,
}

fn compute_type(compute: Compute) -> ComputeType {
    match compute {
        Compute::Default => ComputeType::DEFAULT,
        Compute::Auto => ComputeType::AUTO,
        Compute::Float32 => ComputeType::FLOAT32,
        Compute::Float16 => ComputeType::FLOAT16,
        Compute::Bfloat16 => ComputeType::BFLOAT16,
        Compute::Int16 => ComputeType::INT16,
        Compute::Int8 => ComputeType::INT8,
        Compute::Int8Float32 => ComputeType::INT8_FLOAT32,
        Compute::Int8Float16 => ComputeType::INT8_FLOAT16,
        Compute::Int8Bfloat16 => ComputeType::INT8_BFLOAT16,
    }
}

/// Cuts long audio at the quietest 200 ms within each stretch.
fn cut(mut pcm: &[i16]) -> Vec<&[i16]> {
    let rate = super::SAMPLE_RATE as usize;
    let window = rate / 5;
    let mut parts = Vec::new();
    while pcm.len() > CUT.1 * rate {
        let energy =
            |at: &usize| -> i64 { pcm[*at..*at + window].iter().map(|&s| i64::from(s) * i64::from(s)).sum() };
        let starts = (CUT.0 * rate..CUT.1 * rate - window).step_by(window / 4);
        let quietest = starts.min_by_key(energy).unwrap_or(CUT.1 * rate - window) + window / 2;
        let (head, rest) = pcm.split_at(quietest);
        parts.push(head);
        pcm = rest;
    }
    if !pcm.is_empty() {
        parts.push(pcm);
    }
    parts
}

fn joined(parts: Vec<Recognized>) -> Recognized {
    let count = parts.len().max(1) as f32;
    let score = parts.iter().map(|part| part.score).sum::<f32>() / count;
    let no_speech = parts.iter().map(|part| part.no_speech).fold(1.0, f32::min);
    let texts: Vec<&str> =
        parts.iter().map(|part| part.text.as_str()).filter(|text| !text.is_empty()).collect();
    Recognized { text: texts.join(" "), score, no_speech, others: Vec::new() }
}

fn length(pcm: &[i16]) -> Duration {
    Duration::from_secs_f64(pcm.len() as f64 / f64::from(super::SAMPLE_RATE))
}

fn engine(error: anyhow::Error) -> RecognizeError {
    RecognizeError::Engine(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_audio_is_cut_where_it_is_quiet_and_nothing_is_lost() {
        let rate = super::super::SAMPLE_RATE as usize;
        let mut pcm = vec![5000i16; 60 * rate];
        pcm[22 * rate..22 * rate + rate / 2].fill(0);
        let parts = cut(&pcm);
        assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), pcm.len());
        assert!((22 * rate..22 * rate + rate / 2).contains(&parts[0].len()), "cut at {}", parts[0].len());
        assert!(parts.iter().all(|part| part.len() <= CUT.1 * rate));
        assert_eq!(cut(&pcm[..rate]).len(), 1);
    }

    #[test]
    fn the_token_cap_grows_with_the_voice_and_ends() {
        assert_eq!(Search::GREEDY.token_cap(Duration::from_secs(1)), 28);
        assert_eq!(Search::BEAM.token_cap(Duration::from_secs(1)), 15);
        assert_eq!(Search::GREEDY.token_cap(Duration::from_secs(600)), 224);
    }
}
