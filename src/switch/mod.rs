//! The telephone switch, as a call sees it: commands in, events out, everything asynchronous.
//!
//! A command is accepted or refused at once; what came of it arrives as a [`SwitchEvent`] on the call's own
//! stream. Events may come in any order (FreeSWITCH's do).

pub mod esl;

use std::{path::PathBuf, time::Duration};

use sidetone_core::call::{CallId, Digit, HangupCause, PlayId, PlaybackEnd};
use tokio::sync::{mpsc, watch};

/// How many events may wait for one call. A call that reads none of so many has hung; further ones are dropped
/// and counted, except that the end of the call is always kept.
pub const EVENT_QUEUE: usize = 256;

/// A switch: FreeSWITCH over ESL in service, a script in tests.
pub trait Switch: Send + Sync + 'static {
    /// Opens the event stream of a call. Called before anything else is asked for that call; dropping the
    /// receiver forgets the call.
    fn attach(&self, call: &CallId) -> mpsc::Receiver<SwitchEvent>;

    /// Hands a command to the writer without waiting.
    ///
    /// # Errors
    /// [`SwitchError`] says whether to try again later.
    fn send(&self, call: &CallId, command: SwitchCommand) -> Result<(), SwitchError>;

    /// Whether the switch can be reached now; changes are seen by everyone who holds a receiver.
    fn link(&self) -> watch::Receiver<Link>;
}

/// The connection to the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Not connected since this instant (or never yet).
    Down(tokio::time::Instant),
    Up,
}

/// Something to do for one call.
#[derive(Clone, PartialEq)]
pub enum SwitchCommand {
    Originate(Originate),
    /// Start the audio stream of a channel that we did not originate.
    StartStream {
        url: String,
    },
    /// Stop the stream, wait until the switch has done it, start it with this URL.
    RestartStream {
        url: String,
    },
    /// `from`: where in the file to begin. `file` is the path as the switch sees it.
    Play {
        id: PlayId,
        file: PathBuf,
        from: Duration,
    },
    /// Stop the current playback and everything queued. `asked` bounds its age: after a reconnect a break
    /// older than 500 ms is dropped.
    StopPlayback {
        asked: tokio::time::Instant,
    },
    Transfer {
        target: String,
    },
    HangUp {
        cause: HangupCause,
    },
}

/// Shows what is done, and neither URLs (they hold tokens) nor numbers.
impl std::fmt::Debug for SwitchCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Originate(originate) => originate.fmt(f),
            Self::StartStream { .. } => f.write_str("StartStream"),
            Self::RestartStream { .. } => f.write_str("RestartStream"),
            Self::Play { id, file, from } => {
                f.debug_struct("Play").field("id", id).field("file", file).field("from", from).finish()
            }
            Self::StopPlayback { .. } => f.write_str("StopPlayback"),
            Self::Transfer { .. } => f.write_str("Transfer"),
            Self::HangUp { cause } => f.debug_struct("HangUp").field("cause", cause).finish(),
        }
    }
}

/// A call to place. Every value is checked or escaped by the switch adapter, never pasted.
#[derive(Clone, PartialEq)]
pub struct Originate {
    /// What to dial: `sofia/gateway/gw/33612345678`, `loopback/1000/default`.
    pub dial_string: String,
    pub caller_id: String,
    pub caller_name: Option<String>,
    pub ring_timeout: Duration,
    /// The dead man's timer: the switch hangs up a channel still parked after this.
    pub park_timeout: Duration,
    /// Where the audio goes, token included: never logged.
    pub stream_url: String,
    /// Set as channel variables.
    pub variables: Vec<(String, String)>,
}

impl std::fmt::Debug for Originate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Originate").field("ring_timeout", &self.ring_timeout).finish_non_exhaustive()
    }
}

/// Something the switch says of one call.
#[derive(Debug, Clone, PartialEq)]
pub enum SwitchEvent {
    Ringing,
    Answered,
    /// The stream module says it is connected.
    StreamConnected,
    /// The stream module gave up: its code and reason.
    StreamFailed {
        code: Option<i64>,
        reason: String,
    },
    PlaybackStarted(PlayId),
    PlaybackDone {
        id: PlayId,
        end: PlaybackEnd,
        heard: Option<Duration>,
    },
    Dtmf(Digit),
    /// The leg is gone, or could not be had.
    HungUp(HangupCause),
    /// A command was refused by the switch; the words are for the record.
    CommandFailed {
        what: &'static str,
        reply: String,
    },
}

/// Why a command was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SwitchError {
    /// Wait for [`Link::Up`], then decide again.
    #[error("the switch is not connected")]
    NotConnected,
    /// Too many commands wait for the writer; nothing was sent. Try again shortly.
    #[error("too many commands wait for the switch")]
    Busy,
    /// Trying again is of no use.
    #[error("{what} has a character that cannot be sent to the switch: {character:?}")]
    Unsendable { what: &'static str, character: char },
}
