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
