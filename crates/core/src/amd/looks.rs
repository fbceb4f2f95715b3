//! Which transcripts AMD asked for, and what came of them.

use std::time::Duration;

use crate::call::Heard;

/// Which transcripts were asked for and came.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// How many of the looks before the window's end have passed.
    pub(super) passed: usize,
    /// Where the last request ended.
    pub(super) asked_to: Option<Duration>,
    pub(super) in_flight: u32,
    /// The transcript that reaches furthest.
    pub(super) heard: Option<(Duration, Heard)>,
    /// Where the window's last request ended, once it was made.
    pub(super) last_to: Option<Duration>,
    /// It was answered.
    pub(super) last_came: bool,
    pub(super) careful: Careful,
}

/// The careful look at the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Careful {
    #[default]
    NotAsked,
    Asked,
    Came,
    Failed,
}

impl Looks {
    /// Whether it says more than what is known: it reaches as far, and words are not given up for none.
    pub(super) fn is_news(&self, to: Duration, heard: &Heard, careful: bool) -> bool {
        let Some((known_to, known)) = &self.heard else { return !matches!(heard, Heard::Failed(_)) };
        match heard {
            Heard::Failed(_) => false,
            Heard::Nothing(_) if careful => !matches!(known, Heard::Text(_)) && *known_to <= to,
            // The careful recogniser may have answered first.
            Heard::Nothing(_) | Heard::Text(_) if !careful && self.careful == Careful::Came => false,
            Heard::Nothing(_) | Heard::Text(_) => *known_to <= to,
        }
    }
}
