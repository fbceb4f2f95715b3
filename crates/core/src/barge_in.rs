//! When the person's speech makes the bot fall silent.
//!
//! Voice alone cannot decide: at any gate short enough to feel quick, VAD fires on "mm-hm", coughs, television
//! and echo. It decides when to look; the words decide.

use std::time::Duration;

use crate::{call::BargeInCause, text::PhrasePack};

/// How easily the bot is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BargeInConfig {
    /// Nothing interrupts so soon after the prompt started: it is the tail of what came before.
    pub guard: Duration,
    /// Words, none of them fillers, that interrupt in one hypothesis.
    pub words: usize,
    /// One word interrupts when so many hypotheses in a row have it.
    pub word_streak: u32,
    /// Voiced time that interrupts by itself while the recogniser is late or down.
    pub speech_alone: Duration,
}

impl BargeInConfig {
    /// The default: two words at once, one word twice.
    #[must_use]
    pub fn responsive() -> Self {
        Self {
            guard: Duration::from_millis(200),
            words: 2,
            word_streak: 2,
            speech_alone: Duration::from_millis(1200),
        }
    }
}

/// The policy's memory for one utterance.
#[derive(Debug, Default)]
pub struct BargeIn {
    config: BargeInConfig,
    streak: u32,
    /// Whether any transcript of this utterance came back, even an empty one.
    answered: bool,
}

impl BargeIn {
    #[must_use]
    pub fn new(config: BargeInConfig) -> Self {
        Self { config, streak: 0, answered: false }
    }

    /// A new utterance starts: words are counted afresh.
    pub fn reset(&mut self) {
        *self = Self::new(self.config);
    }

    /// A hypothesis that passed every gate (empty where a gate refused it).
    pub fn heard(&mut self, text: &str, pack: &PhrasePack) -> Option<BargeInCause> {
        self.answered = true;
        if pack.stop_hit(text).is_some() {
            return Some(BargeInCause::StopPhrase);
        }
        let words = pack.content_words(text);
        self.streak = if words > 0 { self.streak + 1 } else { 0 };
        (words >= self.config.words || self.streak >= self.config.word_streak).then_some(BargeInCause::Words)
    }

    /// So much voice, and the recogniser has said nothing about it: never against a transcript that came back
    /// empty.
    #[must_use]
    pub fn speech_alone(&self, voiced: Duration) -> Option<BargeInCause> {
        (!self.answered && voiced >= self.config.speech_alone).then_some(BargeInCause::Speech)
    }

    /// Whether the prompt has played for long enough to be interrupted.
    #[must_use]
    pub fn past_guard(&self, played: Duration) -> bool {
        played >= self.config.guard
    }
}
