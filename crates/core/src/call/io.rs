//! What goes into a [`Call`](super::Call), what comes out, and what is recorded: one page.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::LanguageHeard;
use crate::{
    amd::{Cause, Evidence, Verdict},
    echo::PromptAudio,
    frame::Frame,
    scenario::Prompt,
    tones::Tone,
};

/// The channel's uuid in FreeSWITCH (`origination_uuid`), the WebSocket path and the attempt row: one id end to
/// end. Only `[0-9a-zA-Z-]`, 1 to 64 characters, so that it can stand in a URL, a command and a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(String);

impl CallId {
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        fits.then(|| Self(id.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CallId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        Self::new(&id).ok_or_else(|| format!("`{id}` is no call id: 1 to 64 letters, digits and dashes"))
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> Self {
        id.0
    }
}

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One playback within a call: 1, 2, 3...
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlayId(pub u32);

/// One stretch of speech within a call: 1, 2, 3... Results for an older one are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UtteranceId(pub u32);

/// Something that happened to a call.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// The leg rings (or early media came).
    Ringing,
    /// The leg was answered: media time starts here.
    Answered,
    /// The next 20 ms of the person's voice.
    Audio(&'a Frame),
    /// That many frames were lost on the way; they advance media time all the same.
    AudioLost(u32),
    /// The audio stream opened (again).
    StreamUp,
    /// The audio stream ended while the call goes on.
    StreamDown(StreamEnd),
    /// The sound of a prompt that plays or will, so that its echo can be told from a person. A call does without.
    PromptAudio {
        id: PlayId,
        audio: Arc<PromptAudio>,
    },
    PlaybackStarted(PlayId),
    /// `heard`: how much of the prompt was played, counted from its file's start, where the switch said so.
    PlaybackDone {
        id: PlayId,
        end: PlaybackEnd,
        heard: Option<Duration>,
    },
    /// The language of a stretch of speech, where the call's is not known yet; comes before its transcript.
    LanguageHeard(LanguageHeard),
    Transcript(Transcript),
    Dtmf(Digit),
    /// The switch ended the leg, or never had it: its Q.850 name (`NORMAL_CLEARING`, `USER_BUSY`...).
    HungUp(HangupCause),
    /// The connection to the switch has been gone for too long.
    SwitchLost,
    /// Somebody here asks for the end of the call.
    EndRequested(HangupReason),
}

/// Something the shell must do for a call, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Play a prompt; `from` is where in the file to start.
    Play {
        id: PlayId,
        prompt: Prompt,
        from: Duration,
    },
    /// Stop this playback and whatever is queued behind it.
    StopPlayback(PlayId),
    Transcribe(Transcribe),
    /// Forget what waits or runs for this utterance: its result is of no use any more.
    CancelTranscription(UtteranceId),
    /// From now on everything is in this language: no more detection.
    FixLanguage(String),
    /// Stop the audio stream and start it again.
    RestartStream,
    Transfer(String),
    Hangup(HangupReason),
    Emit(Event),
}

/// A request to transcribe a stretch of the person's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transcribe {
    pub utterance: UtteranceId,
    pub purpose: Purpose,
    /// Media time of the first and past the last sample.
    pub from: Duration,
    pub to: Duration,
    /// Voiced time within it, for token caps and plausibility.
    pub voiced: Duration,
}

/// Why a transcript is wanted; orders the engine's queue, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Amd,
    /// By the recogniser that takes its time, where there is one: a last word on who answered.
    AmdCareful,
    /// By the same one, after the first verdict.
    AmdLate,
    EndOfTurn,
    Partial,
    PostCall,
}

/// What the recogniser made of a [`Transcribe`].
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    pub utterance: UtteranceId,
    pub purpose: Purpose,
    pub to: Duration,
    pub outcome: Heard,
    /// Other readings of the same sound that passed every gate, likeliest first: for a careful look only.
    pub others: Vec<String>,
    /// Waiting in the queue, then computing.
    pub queued: Duration,
    pub compute: Duration,
}

/// A transcription's outcome.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Text that passed every hallucination gate.
    Text(String),
    /// Whisper said nothing, or something that a gate refused.
    Nothing(Gate),
    /// The engine could not do it in time or at all.
    Failed(AsrFailure),
}

/// Which gate refused a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The recogniser returned no words.
    Empty,
    /// High no-speech probability with a low score.
    NoSpeech,
    /// More words than the voiced time can hold.
    TooFast,
    /// The same words over and over.
    Repetition,
    /// A phrase Whisper is known to invent.
    Blocklist,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsrFailure {
    QueueFull,
    /// A partial left out because the engine is behind: verdicts and ends of turns go first.
    Shed,
    Late,
    Engine,
}

/// One key of a telephone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "char", into = "char")]
pub struct Digit(char);

impl Digit {
    /// `0` to `9`, `*`, `#`, `A` to `D`.
    #[must_use]
    pub fn new(key: char) -> Option<Self> {
        matches!(key, '0'..='9' | '*' | '#' | 'A'..='D').then_some(Self(key))
    }

    #[must_use]
    pub fn key(self) -> char {
        self.0
    }
}

impl TryFrom<char> for Digit {
    type Error = String;

    fn try_from(key: char) -> Result<Self, String> {
        Self::new(key).ok_or_else(|| format!("`{key}` is no telephone key: 0-9, *, #, A-D"))
    }
}

impl From<Digit> for char {
    fn from(digit: Digit) -> Self {
        digit.0
    }
}

/// How a playback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaybackEnd {
    /// Played to its end.
    Done,
    /// Stopped before its end, by us or by a hangup.
    Broken,
    /// The switch could not open the file.
    Missing,
}

/// Why the audio stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// The switch closed it (a hangup, or a `stop`).
    Closed,
    /// The socket broke.
    Lost,
    /// A second stream with a valid token took over.
    Replaced,
    /// No audio for too long: we closed it.
    Idle,
    /// A message that is no whole number of samples.
    OddLength,
    /// A message over the size limit.
    Oversize,
    /// The switch could not connect.
    Refused,
    /// We are stopping.
    Shutdown,
}

/// Why we asked for the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangupReason {
    /// The scenario reached its end.
    ScenarioEnd,
    /// A machine answered and the scenario hangs up on it.
    Machine,
    /// No answer within the ring time.
    RingTimeout,
    /// The call lasted too long.
    MaxDuration,
    /// No audio came and a restart did not mend it.
    MediaLost,
    /// The switch could not be reached for too long.
    SwitchLost,
    /// A prompt's file is missing.
    PromptMissing,
    /// A command to the switch failed.
    SwitchError,
    /// An operator or a stopping campaign asked.
    Operator,
    /// The service stops.
    Shutdown,
}

/// The Q.850 name the switch gives, such as `NORMAL_CLEARING` or `USER_BUSY`: `[A-Z0-9_]`, kept as it came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HangupCause(pub String);

impl HangupCause {
    /// Our own word for a channel that ended while nobody watched.
    pub const LOST: &'static str = "SIDETONE_LOST";

    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the network had no room for the call: Q.850 34, 42 and 44, and 41, which FreeSWITCH makes of SIP 503.
    #[must_use]
    pub fn is_congestion(&self) -> bool {
        matches!(
            self.as_str(),
            "NORMAL_CIRCUIT_CONGESTION"
                | "SWITCH_CONGESTION"
                | "REQUESTED_CHAN_UNAVAIL"
                | "NORMAL_TEMPORARY_FAILURE"
        )
    }
}

/// What decided that the bot must fall silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BargeInCause {
    /// Enough words, none of them fillers.
    Words,
    /// A phrase such as "stop" or "who is this".
    StopPhrase,
    /// Long speech while the recogniser is late or down.
    Speech,
    /// A key was pressed.
    Dtmf,
    /// The one we talk to proved to be a machine.
    Machine,
}

/// Everything worth keeping about a call, in the field's words. It feeds the record, the metrics, the log and
/// whatever comes later. Times named `*_ms` are media time since the answer unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Ringing,
    Answered,
    StreamUp,
    StreamDown {
        end: StreamEnd,
    },
    FramesLost {
        frames: u32,
    },
    SpeechStarted {
        at_ms: u64,
    },
    SpeechEnded {
        at_ms: u64,
        voiced_ms: u64,
    },
    Tone {
        tone: Tone,
        at_ms: u64,
    },
    Transcript {
        utterance: UtteranceId,
        purpose: Purpose,
        to_ms: u64,
        text: Option<String>,
        /// Other readings of the same sound, likeliest first: of a careful look.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<String>,
        gate: Option<Gate>,
        failure: Option<AsrFailure>,
        queued_ms: u64,
        compute_ms: u64,
    },
    /// The call's language, detected among those the scenario allows; once a call. `probability`: among those.
    Language {
        language: String,
        probability: f32,
        at_ms: u64,
    },
    /// `after_speech_ms`: from the end of the last speech before the verdict, if there was any.
    Verdict {
        verdict: Verdict,
        cause: Cause,
        confidence: f32,
        evidence: Vec<Evidence>,
        at_ms: u64,
        after_speech_ms: Option<u64>,
    },
    Step {
        name: String,
    },
    PromptStarted {
        id: PlayId,
        file: String,
    },
    PromptEnded {
        id: PlayId,
        end: PlaybackEnd,
        heard_ms: Option<u64>,
    },
    /// `after_speech_start_ms`: from the start of the interrupting speech to the decision.
    BargeIn {
        id: PlayId,
        cause: BargeInCause,
        at_ms: u64,
        after_speech_start_ms: Option<u64>,
    },
    /// No words followed an interruption: the prompt goes on where it was broken.
    Resumed {
        id: PlayId,
        from_ms: u64,
    },
    /// `took_ms`: wall time from the request to the switch's confirmation.
    BreakConfirmed {
        id: PlayId,
        took_ms: u64,
    },
    Listening {
        at_ms: u64,
    },
    /// The person's turn ended and this is what they said. `intent`: what the scenario made of it.
    Turn {
        text: String,
        intent: Option<String>,
        at_ms: u64,
        endpoint_ms: u64,
    },
    NoInput {
        count: u32,
    },
    NoMatch {
        count: u32,
    },
    Dtmf {
        digit: Digit,
    },
    /// The far side is ready to record: its beep ended, or its greeting did.
    MessageStart {
        by_beep: bool,
        at_ms: u64,
    },
    /// A second prompt, a voice or a beep from the far side fell into our message: its beginning may be lost.
    MessageClipped {
        by_beep: bool,
        at_ms: u64,
    },
    Transfer {
        target: String,
    },
    StreamRestart,
    HangupAsked {
        reason: HangupReason,
    },
    HungUp {
        cause: HangupCause,
    },
    /// The last event of every call. `outcome`: the scenario's own word for how it ended.
    Ended {
        disposition: Disposition,
        outcome: Option<String>,
    },
}

/// What a call came to, in business words; decides retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// The scenario ran to one of its ends with a person.
    Completed,
    /// The person was put through.
    Transferred,
    /// A person was there and hung up before the scenario's end.
    HungUp,
    /// A person (or silence) was there and never said anything useful.
    NoInput,
    /// The voicemail message was left in full.
    MessageLeft,
    /// A machine, and nothing was left.
    Machine,
    MailboxFull,
    Screened,
    Ivr,
    Fax,
    /// A SIT or an operator's announcement: the number is not in service.
    NotInService,
    Busy,
    NoAnswer,
    Rejected,
    /// The number does not exist or cannot be routed.
    Unreachable,
    /// The network or the gateway had no room.
    Congestion,
    /// We ended it: stopped, drained, shut down.
    Cancelled,
    /// Something of ours or the switch's broke.
    Failed,
    /// Nobody knows how it ended: the sidecar died and the switch no longer has it.
    Lost,
}
