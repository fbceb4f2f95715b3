//! Who answered: a person, or which kind of machine.

use serde::{Deserialize, Serialize};

use crate::tones::Tone;

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Human,
    Voicemail,
    MailboxFull,
    /// A call-screening assistant that asks who is calling and why.
    Screening,
    /// An interactive menu or a company's announcement.
    Ivr,
    /// Special information tones or an operator's announcement: not in service.
    Sit,
    Fax,
    /// Any other tone: beep, busy, ringback.
    Tone,
    Music,
    Silence,
    /// Nothing was sure enough. Acted on like a person.
    Unknown,
}

/// What decided a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A phrase of the language's pack.
    Phrase,
    /// How long they spoke and paused.
    Cadence,
    Tone,
    /// A person's short greeting, then silence.
    ShortGreeting,
    NoSpeech,
    /// Evidence was weighed and no single kind decided.
    Score,
    /// The recogniser was late or down.
    AsrUnavailable,
    /// Nothing spoke for or against.
    NoEvidence,
}

/// One thing a verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// What was heard, as transcribed.
    Text {
        text: String,
    },
    /// A phrase that matched, the class it speaks for and its weight.
    Phrase {
        phrase: String,
        speaks_for: Verdict,
        weight: f32,
    },
    Tone {
        tone: Tone,
        at_ms: u64,
    },
    Cadence {
        voiced_ms: u64,
        greeting_ms: u64,
        longest_pause_ms: u64,
    },
    Level {
        peak_dbfs: f32,
    },
}

mod judge;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use judge::Decision;
use judge::Judged;

use crate::{call::Heard, frame::FRAME, text::PhrasePack, tones::ToneEvent};

/// How AMD listens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AmdConfig {
    /// How much audio from the answer is buffered, then transcribed in one batch.
    pub window: Duration,
    /// Less voice than this in the window is silence, and is never transcribed.
    pub min_voiced: Duration,
    /// So is anything whose loudest frame is below this.
    pub min_peak_dbfs: f32,
}

impl Default for AmdConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_millis(2300),
            min_voiced: Duration::from_millis(200),
            min_peak_dbfs: -45.0,
        }
    }
}

/// What AMD wants after a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum AmdStep {
    /// Transcribe everything from the answer to here; the answer goes to [`Amd::transcript`].
    Transcribe {
        to: Duration,
        voiced: Duration,
    },
    Decided(Decision),
}

/// What one frame brings to AMD.
#[derive(Debug, Clone, Copy)]
pub struct AmdFrame<'a> {
    /// Media time at the frame's end.
    pub media: Duration,
    pub voiced: bool,
    pub dbfs: f32,
    pub tone: Option<&'a ToneEvent>,
    /// 0 to 1: how much all of it so far sounds like music.
    pub music: f32,
}

/// Listens from the answer on, until it can say who answered.
#[derive(Debug)]
pub struct Amd {
    config: AmdConfig,
    pack: &'static PhrasePack,
    cadence: Cadence,
    peak_dbfs: f32,
    music: f32,
    asked: bool,
}

/// How they spoke so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cadence {
    pub(crate) voiced: Duration,
    pub(crate) first_voice: Option<Duration>,
    pub(crate) last_voice: Duration,
    pub(crate) longest_pause: Duration,
    pub(crate) media: Duration,
}

impl Cadence {
    /// From the first voiced frame to the last.
    pub(crate) fn greeting(&self) -> Duration {
        self.first_voice.map_or(Duration::ZERO, |first| self.last_voice.saturating_sub(first))
    }

    /// Silence since the last voiced frame.
    pub(crate) fn trailing_silence(&self) -> Duration {
        self.media.saturating_sub(self.last_voice)
    }

    fn frame(&mut self, media: Duration, voiced: bool) {
        self.media = media;
        if !voiced {
            return;
        }
        let begin = media.saturating_sub(FRAME);
        if self.first_voice.is_none() {
            self.first_voice = Some(begin);
        } else {
            self.longest_pause = self.longest_pause.max(begin.saturating_sub(self.last_voice));
        }
        self.voiced += FRAME;
        self.last_voice = media;
    }
}

impl Amd {
    #[must_use]
    pub fn new(config: AmdConfig, pack: &'static PhrasePack) -> Self {
        Self { config, pack, cadence: Cadence::default(), peak_dbfs: -100.0, music: 0.0, asked: false }
    }

    /// Takes the next frame since the answer.
    pub fn frame(&mut self, frame: AmdFrame<'_>) -> Option<AmdStep> {
        self.cadence.frame(frame.media, frame.voiced);
        if frame.voiced {
            self.peak_dbfs = self.peak_dbfs.max(frame.dbfs);
        }
        self.music = frame.music;
        if let Some(tone) = frame.tone {
            return Some(AmdStep::Decided(self.judged().tone(tone)));
        }
        if self.asked || frame.media < self.config.window {
            return None;
        }
        self.asked = true;
        if self.audible() {
            Some(AmdStep::Transcribe { to: frame.media, voiced: self.cadence.voiced })
        } else {
            Some(AmdStep::Decided(self.judged().silence()))
        }
    }

    /// Decides with what the recogniser made of the window.
    #[must_use]
    pub fn transcript(&self, heard: &Heard) -> Decision {
        match heard {
            Heard::Text(text) => self.judged().text(text),
            Heard::Nothing(_) => self.judged().no_words(),
            Heard::Failed(_) => self.judged().without_transcript(),
        }
    }

    /// End of the last speech, where there was any.
    #[must_use]
    pub fn speech_end(&self) -> Option<Duration> {
        self.cadence.first_voice.map(|_| self.cadence.last_voice)
    }

    fn audible(&self) -> bool {
        self.cadence.voiced >= self.config.min_voiced && self.peak_dbfs > self.config.min_peak_dbfs
    }

    fn judged(&self) -> Judged<'_> {
        Judged { pack: self.pack, cadence: self.cadence, peak_dbfs: self.peak_dbfs, music: self.music }
    }
}
