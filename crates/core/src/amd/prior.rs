//! What is known before anything is heard. Never enough alone: without a phrase nothing makes a machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Verdict;

/// Picked up sooner than a hand can: diverted, or a network's own announcement.
const AT_ONCE: Duration = Duration::from_millis(1200);
/// People who are near their telephone take it within this.
const SOON: Duration = Duration::from_secs(12);
/// Networks divert to a mailbox after 15 to 30 s.
const DIVERTED: Duration = Duration::from_secs(17);
/// Whatever is known, it only tips what was heard.
const MOST: f32 = 0.6;

/// How the call came about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// How long it rang, where the switch said so.
    pub rang: Option<Duration>,
    /// Who answered this number the last time.
    pub earlier: Option<Verdict>,
}

impl Prior {
    /// For a machine if above 0. The sizes are judgement, not measurement: recordings do not say how long it rang.
    #[must_use]
    pub fn log_odds(self) -> f32 {
        let rang: f32 = match self.rang {
            None => 0.0,
            Some(rang) if rang < AT_ONCE => 0.3,
            Some(rang) if rang < SOON => -0.2,
            Some(rang) if rang < DIVERTED => 0.0,
            Some(_) => 0.3,
        };
        let earlier: f32 = match self.earlier {
            None | Some(Verdict::Silence | Verdict::Unknown) => 0.0,
            Some(Verdict::Human) => -0.3,
            Some(
                Verdict::Voicemail
                | Verdict::MailboxFull
                | Verdict::Screening
                | Verdict::Ivr
                | Verdict::Sit
                | Verdict::Fax
                | Verdict::Tone
                | Verdict::Music,
            ) => 0.3,
        };
        f32::clamp(rang + earlier, -MOST, MOST)
    }

    pub(super) fn is_known(self) -> bool {
        self != Self::default()
    }
}
