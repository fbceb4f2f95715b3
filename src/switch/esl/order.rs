//! A command on its way to the switch.

use std::time::Duration;

use freeswitch_esl_tokio::EslCommand;
use sidetone_core::call::{CallId, HangupCause, PlayId};
use tokio::time::Instant;

/// No `Debug`: the texts hold numbers and tokens.
pub(super) struct Order {
    pub(super) call: CallId,
    pub(super) asked: Instant,
    pub(super) act: Act,
}

/// What to do, in the switch's words.
pub(super) enum Act {
    Originate(String),
    Start {
        take_over: Vec<String>,
        start: String,
    },
    /// With this URL.
    Restart(String),
    /// The two halves of a restart.
    Stop(String),
    StartAgain(String),
    Play {
        id: PlayId,
        message: Box<EslCommand>,
    },
    StopPlayback,
    Transfer(String),
    HangUp {
        text: String,
        cause: HangupCause,
    },
}

impl Act {
    pub(super) fn is_voice(&self) -> bool {
        matches!(self, Self::Play { .. } | Self::StopPlayback)
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Originate(_) => "originate",
            Self::Start { .. } | Self::StartAgain(_) => "start stream",
            Self::Restart(_) | Self::Stop(_) => "restart stream",
            Self::Play { .. } => "play",
            Self::StopPlayback => "stop playback",
            Self::Transfer(_) => "transfer",
            Self::HangUp { .. } => "hang up",
        }
    }

    /// How old it may be when it is sent; it can have waited for a connection. `None`: it never gets too old.
    pub(super) fn max_age(&self) -> Option<Duration> {
        match self {
            // By then it would stop what was played since.
            Self::StopPlayback => Some(Duration::from_millis(500)),
            Self::Play { .. } => Some(Duration::from_secs(1)),
            Self::Originate(_)
            | Self::Start { .. }
            | Self::Restart(_)
            | Self::StartAgain(_)
            | Self::Transfer(_) => Some(Duration::from_secs(5)),
            Self::Stop(_) | Self::HangUp { .. } => None,
        }
    }
}
