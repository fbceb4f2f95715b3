//! A recogniser that says what it is told to: for tests and for demonstrations without a model.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Reading, RecognizeError, Recognized, Recognizer, SAMPLE_RATE, Segment, models::LANGUAGES};

/// What it makes of a segment in a language; `None`: the engine fails.
type Answer = Box<dyn FnMut(&str, &Segment) -> Option<String> + Send>;

/// Answers from a script instead of listening.
pub struct Scripted {
    answer: Mutex<Answer>,
    takes: Duration,
    languages: Vec<&'static str>,
    spoken: Option<(String, f32)>,
    others: Vec<Reading>,
    asked: Mutex<Vec<Asked>>,
}

/// One segment it was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub language: String,
    pub duration: Duration,
    pub voiced: Duration,
}

impl Scripted {
    /// Asks `answer` about every segment.
    #[must_use]
    pub fn new(answer: impl FnMut(&str, &Segment) -> Option<String> + Send + 'static) -> Self {
        Self {
            answer: Mutex::new(Box::new(answer)),
            takes: Duration::ZERO,
            languages: LANGUAGES.to_vec(),
            spoken: None,
            others: Vec::new(),
            asked: Mutex::new(Vec::new()),
        }
    }

    /// The same text every time.
    #[must_use]
    pub fn always(text: &str) -> Self {
        let text = text.to_owned();
        Self::new(move |_, _| Some(text.clone()))
    }

    /// One text after another; after the last, nothing.
    #[must_use]
    pub fn sequence<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        let mut left: VecDeque<String> = texts.into_iter().map(Into::into).collect();
        Self::new(move |_, _| Some(left.pop_front().unwrap_or_default()))
    }

    /// By the voice's pitch: the text of the nearest `hz` wins. Test audio made of buzzes then carries its own
    /// transcript through any cutting, delay or resampling.
    #[must_use]
    pub fn by_pitch<S: Into<String>>(texts: impl IntoIterator<Item = (f64, S)>) -> Self {
        let table: Vec<(f64, String)> = texts.into_iter().map(|(hz, text)| (hz, text.into())).collect();
        Self::new(move |_, segment| {
            let hz = pitch(&segment.pcm);
            let nearest = table.iter().min_by(|a, b| (a.0 - hz).abs().total_cmp(&(b.0 - hz).abs()));
            Some(nearest.map(|(_, text)| text.clone()).unwrap_or_default())
        })
    }

    /// How long each batch takes.
    #[must_use]
    pub fn taking(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    /// Other readings of everything, for who asks for them.
    #[must_use]
    pub fn also(mut self, others: &[&str]) -> Self {
        let reading = |&text: &&str| Reading { text: text.to_owned(), score: -0.5 };
        self.others = others.iter().map(reading).collect();
        self
    }

    /// Understands these languages only.
    #[must_use]
    pub fn hearing(mut self, languages: &[&'static str]) -> Self {
        self.languages = languages.to_vec();
        self
    }

    /// Detects this language, this likely; without it, none can be detected.
    #[must_use]
    pub fn spoken(mut self, language: &str, probability: f32) -> Self {
        self.spoken = Some((language.to_owned(), probability));
        self
    }

    #[must_use]
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }

    /// What it was given so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Recognizer for Scripted {
    fn recognize(&self, language: &str, batch: &[Segment]) -> Result<Vec<Recognized>, RecognizeError> {
        if !self.languages.contains(&language) {
            return Err(RecognizeError::Language(language.to_owned()));
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.extend(batch.iter().map(|segment| Asked {
            language: language.to_owned(),
            duration: segment.duration(),
            voiced: segment.voiced,
        }));
        drop(asked);
        if !self.takes.is_zero() {
            std::thread::sleep(self.takes);
        }
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        batch
            .iter()
            .map(|segment| {
                let text = answer(language, segment);
                let text = text.ok_or_else(|| RecognizeError::Engine("so the script says".to_owned()))?;
                Ok(Recognized { text, score: -0.2, no_speech: 0.01, others: Vec::new() })
            })
            .collect()
    }

    fn recognize_widely(&self, language: &str, batch: &[Segment]) -> Result<Vec<Recognized>, RecognizeError> {
        let likeliest = self.recognize(language, batch)?;
        Ok(likeliest.into_iter().map(|it| Recognized { others: self.others.clone(), ..it }).collect())
    }

    fn detect(&self, _segment: &Segment, allowed: &[String]) -> Result<Vec<f32>, RecognizeError> {
        let (spoken, probability) = self.spoken.as_ref().ok_or(RecognizeError::CannotDetect)?;
        let rest = (1.0 - probability) / (allowed.len().max(2) - 1) as f32;
        Ok(allowed.iter().map(|language| if language == spoken { *probability } else { rest }).collect())
    }

    fn detects(&self) -> bool {
        self.spoken.is_some()
    }

    fn languages(&self) -> &[&'static str] {
        &self.languages
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").field("asked", &self.asked().len()).finish_non_exhaustive()
    }
}

/// The strongest period between 60 and 1000 Hz in the loudest 100 ms, by autocorrelation.
fn pitch(pcm: &[i16]) -> f64 {
    let rate = SAMPLE_RATE as usize;
    let loudness = |w: &&[i16]| w.iter().map(|&s| i64::from(s) * i64::from(s)).sum::<i64>();
    let Some(window) = pcm.chunks(rate / 10).max_by_key(loudness) else { return 0.0 };
    let product = |lag: usize| -> f64 {
        let pairs = window.iter().zip(&window[lag..]);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() / (window.len() - lag) as f64
    };
    let longest = (rate / 60).min(window.len() / 2);
    let scores: Vec<(usize, f64)> = (rate / 1000..=longest).map(|lag| (lag, product(lag))).collect();
    let best = scores.iter().map(|(_, score)| *score).fold(0.0, f64::max);
    // The shortest lag near the best: multiples of the period score alike.
    let period = scores.iter().find(|(_, score)| *score > 0.9 * best);
    let refined = period.and_then(|(start, _)| {
        scores.iter().filter(|(lag, _)| lag.abs_diff(*start) <= 4).max_by(|a, b| a.1.total_cmp(&b.1))
    });
    refined.map_or(0.0, |(lag, _)| rate as f64 / *lag as f64)
}
