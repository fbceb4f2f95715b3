//! Fits the silence tail to a model at load, and proves that the model hears with it what it hears in 30 s.

use std::time::Duration;

use super::{Clip, FULL, FULL_CONTEXT, Search, Tail, WIDE, Whisper};
use crate::{
    asr::{Recipe, SAMPLE_RATE},
    audio::resample,
};

/// "What's the weather like?", 8 kHz mono: `whatstheweatherlike.wav` of Azure's `cognitive-services-speech-sdk`
/// samples, MIT, Copyright (c) Microsoft Corporation, resampled.
const CLIP: &[u8] = include_bytes!("check.wav");
/// Tried in this order; `sidetone bench tune` says what each costs and how often it errs.
const ENGLISH: [Recipe; 2] = [Recipe::new(75, 100, 100, 1), Recipe::new(200, 100, 100, 1)];
const MULTILINGUAL: [Recipe; 2] = [Recipe::new(200, 100, 100, 1), Recipe::new(400, 100, 100, 1)];
const WIDE_MULTILINGUAL: [Recipe; 2] = [Recipe::new(300, 100, 100, 1), Recipe::new(500, 100, 100, 1)];

/// Silence behind a clip whose reading is waited for, the first that works; else as much as ever.
const BRIEF: [usize; 2] = [75, 150];

/// Why clips must be encoded as 30 s.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the encoder's output cannot be read as expected")]
    Unreadable,
    #[error("with a silence tail the model reads the test clip as {tail:?}, in 30 s as {full:?}")]
    Misread { tail: String, full: String },
    #[error("the test clip cannot be transcribed")]
    Untried,
}

impl Whisper {
    /// Sets the cheapest tail that works.
    pub(super) fn fit_tail(&mut self) -> Result<(), Unfit> {
        let (encoded, width) = self.checked_silence().ok_or(Unfit::Unreadable)?;
        let pcm = clip().ok_or(Unfit::Untried)?;
        let full = self.read(&pcm, usize::MAX).ok_or(Unfit::Untried)?;
        let recipes = match self.languages.len() {
            0 | 1 => ENGLISH,
            _ if width >= WIDE => WIDE_MULTILINGUAL,
            _ => MULTILINGUAL,
        };
        let mut tail = Tail { encoded, width, recipe: recipes[0], brief: usize::MAX };
        let mut read = String::new();
        for recipe in recipes {
            tail.recipe = recipe;
            self.tail = Some(tail);
            read = self.read(&pcm, usize::MAX).unwrap_or_default();
            if !full.is_empty() && read == full {
                let works = |margin: &usize| self.read(&pcm, *margin).is_some_and(|read| read == full);
                let brief = BRIEF.into_iter().find(works).unwrap_or(usize::MAX);
                if let Some(tail) = &mut self.tail {
                    tail.brief = brief;
                }
                tracing::debug!(
                    width,
                    margin = recipe.margin,
                    brief,
                    "silence behind a clip, encoder frames"
                );
                return Ok(());
            }
            let Some(misfit) = self.tail.take() else { break };
            tail = misfit;
        }
        self.tail = None;
        Err(Unfit::Misread { tail: read, full })
    }

    /// Sets this tail, whatever becomes of the words: to measure it.
    pub(super) fn set_tail(&mut self, recipe: Recipe) -> Result<(), Unfit> {
        let (encoded, width) = self.checked_silence().ok_or(Unfit::Unreadable)?;
        self.tail = Some(Tail { encoded, width, recipe, brief: usize::MAX });
        Ok(())
    }

    /// Encodes silence, and proves that what we read of it is what it should be: of the expected shape, the same
    /// twice, of finite and various values, and shorter for shorter audio.
    fn checked_silence(&self) -> Option<(Vec<f32>, usize)> {
        let encoded = self.encode(&[], FULL).ok()?;
        let short = self.encode(&[], 400).ok()?;
        let again = self.encode(&[], 400).ok()?;
        let width = encoded.len() / FULL_CONTEXT;
        let is_stable = short.len() == again.len()
            && short.iter().zip(&again).all(|(a, b)| a.is_finite() && (a - b).abs() <= 1e-3);
        let is_shaped = width >= 64 && encoded.len() == width * FULL_CONTEXT && short.len() == width * 200;
        let is_various = encoded.iter().any(|v| (v - encoded[0]).abs() > 1e-3);
        let is_finite = encoded.iter().all(|v| v.is_finite());
        (is_stable && is_shaped && is_various && is_finite).then_some((encoded, width))
    }

    /// The clip's words with what tail there is, and at most so much silence, in small letters.
    fn read(&self, pcm: &[i16], margin: usize) -> Option<String> {
        let voiced = Duration::from_secs_f64(pcm.len() as f64 / f64::from(SAMPLE_RATE));
        let heard =
            self.decode("en", &[Clip { pcm, voiced }], Search { margin, ..Search::GREEDY }).ok()?.pop()?;
        let words = heard.text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        Some(words.map(str::to_lowercase).collect::<Vec<_>>().join(" "))
    }
}

fn clip() -> Option<Vec<i16>> {
    let mut reader = hound::WavReader::new(CLIP).ok()?;
    let samples: Vec<i16> = reader.samples::<i16>().collect::<Result<_, _>>().ok()?;
    resample(&samples, reader.spec().sample_rate, SAMPLE_RATE).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_test_clip_is_there() {
        let pcm = super::clip().unwrap();
        assert!((16_000..64_000).contains(&pcm.len()), "{} samples", pcm.len());
    }
}
