//! Label values: every one of them from a closed set.

use serde::Serialize;
use sidetone_core::call::{Event, HangupCause};

/// Where a live call is, as the gauge counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LivePhase {
    Ringing,
    Amd,
    Speaking,
    Listening,
    HangingUp,
}

impl LivePhase {
    pub(super) const ALL: [Self; 5] =
        [Self::Ringing, Self::Amd, Self::Speaking, Self::Listening, Self::HangingUp];

    /// The phase that an event leads to: `None` no change, `Some(None)` the call is over.
    pub(super) fn after(event: &Event, now: Option<Self>) -> Option<Option<Self>> {
        let next = match event {
            Event::Ringing => Self::Ringing,
            Event::Answered => Self::Amd,
            Event::Verdict { .. } | Event::PromptStarted { .. } => Self::Speaking,
            Event::Listening { .. } => Self::Listening,
            Event::HangupAsked { .. } => Self::HangingUp,
            Event::HungUp { .. } | Event::Ended { .. } => return Some(None),
            Event::StreamUp
            | Event::StreamDown { .. }
            | Event::FramesLost { .. }
            | Event::SpeechStarted { .. }
            | Event::SpeechEnded { .. }
            | Event::Tone { .. }
            | Event::Transcript { .. }
            | Event::Language { .. }
            | Event::Step { .. }
            | Event::PromptEnded { .. }
            | Event::BargeIn { .. }
            | Event::Resumed { .. }
            | Event::BreakConfirmed { .. }
            | Event::Turn { .. }
            | Event::NoInput { .. }
            | Event::NoMatch { .. }
            | Event::Dtmf { .. }
            | Event::MessageStart { .. }
            | Event::MessageClipped { .. }
            | Event::Transfer { .. }
            | Event::StreamRestart => return None,
        };
        // Events come late and out of order: one that is ringing again, or speaks while being hung up, is not.
        match now {
            Some(Self::HangingUp) => None,
            Some(_) if next == Self::Ringing => None,
            Some(_) | None => Some(Some(next)),
        }
    }
}

/// An enum's own word for a value, as the record writes it (`mailbox_full`).
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => "other".to_owned(),
    }
}

/// An event's kind.
pub(super) fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Ringing => "ringing",
        Event::Answered => "answered",
        Event::StreamUp => "stream_up",
        Event::StreamDown { .. } => "stream_down",
        Event::FramesLost { .. } => "frames_lost",
        Event::SpeechStarted { .. } => "speech_started",
        Event::SpeechEnded { .. } => "speech_ended",
        Event::Tone { .. } => "tone",
        Event::Transcript { .. } => "transcript",
        Event::Language { .. } => "language",
        Event::Verdict { .. } => "verdict",
        Event::Step { .. } => "step",
        Event::PromptStarted { .. } => "prompt_started",
        Event::PromptEnded { .. } => "prompt_ended",
        Event::BargeIn { .. } => "barge_in",
        Event::Resumed { .. } => "resumed",
        Event::BreakConfirmed { .. } => "break_confirmed",
        Event::Listening { .. } => "listening",
        Event::Turn { .. } => "turn",
        Event::NoInput { .. } => "no_input",
        Event::NoMatch { .. } => "no_match",
        Event::Dtmf { .. } => "dtmf",
        Event::MessageStart { .. } => "message_start",
        Event::MessageClipped { .. } => "message_clipped",
        Event::Transfer { .. } => "transfer",
        Event::StreamRestart => "stream_restart",
        Event::HangupAsked { .. } => "hangup_asked",
        Event::HungUp { .. } => "hung_up",
        Event::Ended { .. } => "ended",
    }
}

/// The causes worth telling apart; the switch invents others, and those are `other`.
const CAUSES: [&str; 25] = [
    "NORMAL_CLEARING",
    "NORMAL_UNSPECIFIED",
    "NORMAL_TEMPORARY_FAILURE",
    "ORIGINATOR_CANCEL",
    "USER_BUSY",
    "NO_ANSWER",
    "NO_USER_RESPONSE",
    "CALL_REJECTED",
    "UNALLOCATED_NUMBER",
    "NO_ROUTE_DESTINATION",
    "INVALID_NUMBER_FORMAT",
    "NUMBER_CHANGED",
    "SUBSCRIBER_ABSENT",
    "DESTINATION_OUT_OF_ORDER",
    "NETWORK_OUT_OF_ORDER",
    "NORMAL_CIRCUIT_CONGESTION",
    "SWITCH_CONGESTION",
    "REQUESTED_CHAN_UNAVAIL",
    "RECOVERY_ON_TIMER_EXPIRE",
    "INCOMPATIBLE_DESTINATION",
    "BEARERCAPABILITY_NOTAUTH",
    "MANAGER_REQUEST",
    "ALLOTTED_TIMEOUT",
    "INVALID_PROFILE",
    "LOSE_RACE",
];

pub(super) fn hangup_cause(cause: &HangupCause) -> &'static str {
    CAUSES.into_iter().find(|known| *known == cause.as_str()).unwrap_or("other")
}
