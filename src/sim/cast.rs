//! Who answers and what they do.

use std::{sync::Arc, time::Duration};

use super::audio::Clip;

mod parse;

pub use parse::CastError;

/// The people, machines and dead lines that can be called.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    pub(super) callees: Vec<Arc<Callee>>,
}

#[derive(Debug, Clone)]
pub(super) struct Callee {
    pub(super) name: String,
    /// What it is, in a word or two, for tables: `human`, `voicemail with beep`.
    pub(super) what: String,
    pub(super) number: Option<String>,
    pub(super) dial: Option<String>,
    pub(super) pickup: Pickup,
    pub(super) early: Option<Early>,
    pub(super) background: Option<(Clip, f32)>,
    pub(super) echo: Option<Echo>,
    pub(super) acts: Vec<Act>,
    pub(super) hang_up_after: Option<Duration>,
}

/// A callee as a table shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub name: String,
    pub number: Option<String>,
    pub what: String,
}

/// What becomes of the ringing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pickup {
    Answers {
        after: Duration,
    },
    /// A Q.850 name, after so long.
    Refuses {
        cause: String,
        after: Duration,
    },
    /// Rings until the caller gives up.
    Rings,
    /// Not even a channel comes into being.
    Absent {
        cause: String,
    },
}

/// Sound before the answer: the network's own ringback or announcement.
#[derive(Debug, Clone)]
pub(super) struct Early {
    pub(super) clip: Option<Clip>,
    pub(super) after: Duration,
}

/// The bot's voice coming back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echo {
    pub(super) gain: f32,
    pub(super) delay: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) when: When,
    pub(super) what: What,
}

/// When an act begins. Each happens once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// So long after the answer.
    At(Duration),
    /// So long after the act before it was over.
    Then(Duration),
    /// When the bot has spoken for so long, in any prompt or in the one with this number.
    BotSpoken { long: Duration, prompt: Option<u32> },
    /// So long after this prompt was played to its end; the first is 1.
    PromptDone { prompt: u32, after: Duration },
    /// When the bot, having said something new, has been quiet for so long.
    BotQuiet(Duration),
    /// So long after the bot was made to stop.
    Interrupted(Duration),
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Say { name: String, clip: Clip, gain: f32 },
    Press(char),
    HangUp(String),
}

impl Cast {
    /// Who is meant by a number or dial string; those without either are taken in turn.
    pub(super) fn pick(&self, number: &str, dial: &str, turn: &mut usize) -> Option<Arc<Callee>> {
        let digits = |n: &str| n.trim_start_matches('+').to_owned();
        let by_name = self.callees.iter().find(|c| {
            c.dial.as_deref() == Some(dial)
                || c.number.as_deref().is_some_and(|n| digits(n) == digits(number))
        });
        if let Some(callee) = by_name {
            return Some(callee.clone());
        }
        let free: Vec<_> = self.callees.iter().filter(|c| c.number.is_none() && c.dial.is_none()).collect();
        let callee = free.get(*turn % free.len().max(1)).map(|c| Arc::clone(c));
        *turn += 1;
        callee
    }

    /// Who can be called, in the cast's order.
    pub fn contacts(&self) -> impl Iterator<Item = Contact> + '_ {
        self.callees.iter().map(|c| Contact {
            name: c.name.clone(),
            number: c.number.clone(),
            what: c.what.clone(),
        })
    }

    /// How many callees there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.callees.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.callees.is_empty()
    }
}

impl Callee {
    /// The extension `sidetone_test`: answers and gives back what it hears.
    pub(super) fn echo_test() -> Self {
        Self {
            echo: Some(Echo { gain: 1.0, delay: Duration::from_millis(20) }),
            ..Self::answering("sidetone_test", Duration::ZERO)
        }
    }

    /// Picks up and says nothing.
    pub(super) fn answering(name: &str, after: Duration) -> Self {
        Self {
            name: name.to_owned(),
            what: String::new(),
            number: None,
            dial: None,
            pickup: Pickup::Answers { after },
            early: None,
            background: None,
            echo: None,
            acts: Vec::new(),
            hang_up_after: None,
        }
    }
}
