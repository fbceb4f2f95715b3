//! When the person's speech makes the bot fall silent.
//!
//! Voice alone cannot decide: at any gate short enough to feel quick, VAD fires on "mm-hm", coughs, television
//! and echo. It decides when to look; the words decide.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    call::BargeInCause,
    text::{PhrasePack, tokens},
};

#[cfg(test)]
mod tests;

/// How easily the bot is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BargeInConfig {
    /// Nothing interrupts so soon after the prompt started: it is the tail of what came before.
    pub guard: Duration,
    /// Words, none of them fillers, that interrupt in one hypothesis.
    pub words: u32,
    /// One word interrupts when so many hypotheses in a row have it.
    pub word_streak: u32,
    /// Voiced time that interrupts by itself while the recogniser is late or down.
    pub speech_alone: Duration,
    /// The words do not matter: `speech_alone` decides, whatever the recogniser says.
    pub by_voice: bool,
}

/// Ready-made answers to how easily.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Two words at once, or one word twice.
    #[default]
    Responsive,
    /// Three words at once, or one word three times: for prompts that should be heard out.
    Patient,
    /// A second and a half of speech, whatever is said.
    Reference,
}

impl Profile {
    pub const ALL: [(&'static str, Self); 3] =
        [("responsive", Self::Responsive), ("patient", Self::Patient), ("reference", Self::Reference)];

    #[must_use]
    pub fn config(self) -> BargeInConfig {
        let responsive = BargeInConfig {
            guard: Duration::from_millis(200),
            words: 2,
            word_streak: 2,
            speech_alone: Duration::from_millis(1200),
            by_voice: false,
        };
        match self {
            Self::Responsive => responsive,
            Self::Patient => BargeInConfig {
                guard: Duration::from_millis(500),
                words: 3,
                word_streak: 3,
                speech_alone: Duration::from_millis(2500),
                ..responsive
            },
            Self::Reference => {
                BargeInConfig { speech_alone: Duration::from_millis(1500), by_voice: true, ..responsive }
            }
        }
    }
}

/// The policy's memory for one utterance.
#[derive(Debug)]
pub struct BargeIn {
    config: BargeInConfig,
    streak: u32,
    /// Whether any transcript of this utterance came back, even an empty one.
    answered: bool,
    /// The words of the last look that had any.
    words: Vec<String>,
}

/// Which look a hypothesis comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// In the middle of it.
    Partial,
    /// They have fallen silent by themselves.
    Over,
}

/// How they speak when a hypothesis comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaking {
    pub look: Look,
    /// Voice so far.
    pub voiced: Duration,
    /// Silence since their last voiced frame.
    pub silence: Duration,
}

/// Whoever said less and fell silent did not want to interrupt, unless they said so.
const ASIDE: Duration = Duration::from_millis(500);
const FELL_SILENT: Duration = Duration::from_millis(80);

impl BargeIn {
    #[must_use]
    pub fn new(config: BargeInConfig) -> Self {
        Self { config, streak: 0, answered: false, words: Vec::new() }
    }

    #[must_use]
    pub fn config(&self) -> BargeInConfig {
        self.config
    }

    /// A new utterance starts: words are counted afresh.
    pub fn reset(&mut self) {
        *self = Self::new(self.config);
    }

    /// A hypothesis that passed every gate (empty where a gate refused it).
    pub fn heard(&mut self, text: &str, speaking: Speaking, pack: &PhrasePack) -> Option<BargeInCause> {
        let Speaking { look, voiced, silence } = speaking;
        self.answered = true;
        if self.config.by_voice {
            return None;
        }
        if pack.stop_hit(text).is_some() {
            return Some(BargeInCause::StopPhrase);
        }
        let before = std::mem::replace(&mut self.words, tokens(text));
        // A "mm-hm" is heard as this and then as that; when it is over, nothing has to be decided in a hurry.
        let contradicts = !before.is_empty()
            && !before.iter().any(|word| self.words.iter().any(|now| sounds_like(word, now)));
        if look == Look::Over && contradicts {
            return None;
        }
        let aside = voiced < ASIDE && (look == Look::Over || silence >= FELL_SILENT);
        let words = u32::try_from(pack.content_words(text)).unwrap_or(u32::MAX);
        self.streak = if words > 0 { self.streak + 1 } else { 0 };
        let enough = words >= self.config.words || self.streak >= self.config.word_streak;
        (enough && !aside).then_some(BargeInCause::Words)
    }

    /// So much voice, and the recogniser has said nothing about it: never against a transcript that came back
    /// empty.
    #[must_use]
    pub fn speech_alone(&self, voiced: Duration) -> Option<BargeInCause> {
        let may = self.config.by_voice || !self.answered;
        (may && voiced >= self.config.speech_alone).then_some(BargeInCause::Speech)
    }

    /// Whether the prompt has played for long enough to be interrupted.
    #[must_use]
    pub fn past_guard(&self, played: Duration) -> bool {
        played >= self.config.guard
    }
}

/// A word half heard and the whole of it begin alike.
fn sounds_like(a: &str, b: &str) -> bool {
    const ALIKE: usize = 3;
    a == b || a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count() >= ALIKE
}

/// Words a second of a prompt whose length is not known.
const WORDS_PER_SECOND: f64 = 2.6;
/// What comes back was said at most so long ago; prompts are not read evenly.
const ECHO_WORDS: f64 = 4.0;
/// A single word is an echo only if it is no short one.
const LONG_WORD: usize = 5;
/// So many words in a row as they stand in the prompt are its echo; more where its sound is known and was not found in
/// what was heard: people say "you have" too.
const ECHO_RUN: usize = 2;
const ECHO_RUN_KNOWN: usize = 4;

/// What is left of a hypothesis when the words are taken out that the prompt itself has just said: some in a row as
/// they stand in the prompt, or a lone long one. `length`: of the whole prompt, where its sound is known.
#[must_use]
pub fn without_prompt(heard: &str, prompt: &str, position: Duration, length: Option<Duration>) -> String {
    let (words, prompt) = (tokens(heard), tokens(prompt));
    let rate = length
        .filter(|length| !length.is_zero())
        .map_or(WORDS_PER_SECOND, |length| prompt.len() as f64 / length.as_secs_f64());
    let window = |seconds: f64| ((seconds * rate).max(0.0) as usize).min(prompt.len());
    let position = position.as_secs_f64();
    let said = &prompt[window(position - ECHO_WORDS)..window(position + ECHO_WORDS / 2.0)];
    let least = if length.is_some() { ECHO_RUN_KNOWN } else { ECHO_RUN };
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let run = (0..said.len())
            .map(|from| said[from..].iter().zip(&words[at..]).take_while(|(a, b)| a == b).count())
            .max()
            .unwrap_or(0);
        let lone = run == 1 && words.len() == 1 && words[at].len() >= LONG_WORD;
        if run >= least || (run == words.len() && run > 1) || lone {
            at += run;
        } else {
            kept.push(words[at].as_str());
            at += 1;
        }
    }
    kept.join(" ")
}
