//! What an ESL event says of a call. Nothing here depends on the order in which events come.

use std::time::Duration;

use freeswitch_esl_tokio::EslEvent;
use sidetone_core::call::{CallId, Digit, HangupCause, PlayId, PlaybackEnd};

use super::command::{INSTANCE, PLAY, PLAY_UUID};

/// The context whose parked channels are ours to take.
const CONTEXT: &str = "sidetone";
const SCENARIO: &str = "sidetone_scenario";

/// One event, understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) call: CallId,
    /// Samples a second of the channel, where the event says so.
    pub(super) rate: Option<u32>,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Created,
    Ringing,
    Answered,
    /// Parked in the context `sidetone` by the dialplan, with a scenario to run.
    Adoptable(Adopted),
    Dtmf(Digit),
    PlaybackStarted(PlayId),
    PlaybackStopped {
        id: PlayId,
        end: PlaybackEnd,
        heard: Option<Duration>,
    },
    /// The application ended without playing: it could not open or read the file.
    PlaybackFailed(PlayId),
    StreamConnected,
    StreamDisconnected,
    StreamFailed {
        code: Option<i64>,
        reason: String,
    },
    /// A `bgapi` command has run; `Err` is what it said.
    JobDone {
        job: Job,
        result: Result<(), String>,
    },
    /// The leg is ending; more of its events may come.
    HangingUp(HangupCause),
    HungUp(HangupCause),
}

/// What was asked of `bgapi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Originate,
    StartStream,
    StopStream,
}

/// A channel that the dialplan handed to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    pub call: CallId,
    /// The value of `sidetone_scenario`.
    pub scenario: String,
    pub caller: String,
    pub destination: String,
    /// Channel variables named `sidetone_...`.
    pub variables: Vec<(String, String)>,
}

impl Seen {
    /// `None`: not about a call, or nothing we act on. `instance`: our own name.
    pub(super) fn read(event: &EslEvent, instance: &str) -> Option<Self> {
        let name = event.header_str("Event-Name")?;
        if name == "BACKGROUND_JOB" {
            let (call, job, result) = read_job(event)?;
            return Some(Self { call, rate: None, what: What::JobDone { job, result } });
        }
        let call = CallId::new(event.header_str("Unique-ID")?)?;
        let rate = rate_of(event);
        let what = match name {
            "CHANNEL_CREATE" => What::Created,
            "CHANNEL_PROGRESS" | "CHANNEL_PROGRESS_MEDIA" => What::Ringing,
            "CHANNEL_ANSWER" => What::Answered,
            "CHANNEL_PARK" => What::Adoptable(read_park(event, &call, instance)?),
            "DTMF" => What::Dtmf(read_digit(event)?),
            "PLAYBACK_START" => What::PlaybackStarted(read_play(event)?),
            "PLAYBACK_STOP" => read_playback_stop(event, rate)?,
            "CHANNEL_EXECUTE_COMPLETE" => read_execute_complete(event)?,
            // A channel that never came to be is destroyed with no cause of its own; the job says it.
            "CHANNEL_HANGUP" | "CHANNEL_DESTROY" => What::HangingUp(read_cause(event)),
            "CHANNEL_HANGUP_COMPLETE" => What::HungUp(read_cause(event)),
            "CUSTOM" => read_stream(event)?,
            _ => return None,
        };
        Some(Self { call, rate, what })
    }
}

/// The Q.850 name in a refusal such as `-ERR USER_BUSY`.
pub(super) fn cause_of_refusal(reply: &str) -> HangupCause {
    let word = reply.trim_start_matches("-ERR").split_whitespace().next().unwrap_or_default();
    let fits =
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    HangupCause::new(if fits { word } else { "UNSPECIFIED" })
}

/// Positions are counted in samples of what is written to the channel.
fn rate_of(event: &EslEvent) -> Option<u32> {
    let rate =
        event.header_str("Channel-Write-Codec-Rate").or_else(|| event.header_str("Channel-Read-Codec-Rate"));
    rate?.parse().ok().filter(|&rate| rate > 0)
}

/// Which call and what: told by the command itself, so that a job is known whatever connection it was asked on.
fn read_job(event: &EslEvent) -> Option<(CallId, Job, Result<(), String>)> {
    let argument = event.header_str("Job-Command-Arg")?;
    let mut words = argument.split_whitespace();
    let (call, job) = match event.header_str("Job-Command")? {
        "originate" => {
            // Ours comes first in the block: a value that holds the same text comes later.
            let (_, id) = argument.split_once("origination_uuid=")?;
            let end = id.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(id.len());
            (CallId::new(&id[..end])?, Job::Originate)
        }
        "uuid_audio_stream" | "uuid_audio_fork" => {
            let call = CallId::new(words.next()?)?;
            match words.next()? {
                "start" => (call, Job::StartStream),
                "stop" => (call, Job::StopStream),
                _ => return None,
            }
        }
        _ => return None,
    };
    let reply = event.body().unwrap_or_default().trim();
    let result = if reply.starts_with('-') { Err(reply.to_owned()) } else { Ok(()) };
    Some((call, job, result))
}

fn read_park(event: &EslEvent, call: &CallId, instance: &str) -> Option<Adopted> {
    let scenario = event.variable_str(SCENARIO).filter(|name| !name.is_empty())?;
    if event.header_str("Caller-Context") != Some(CONTEXT) {
        return None;
    }
    if event.variable_str(INSTANCE).is_some_and(|other| other != instance) {
        return None;
    }
    let text = |header| event.header_str(header).unwrap_or_default().to_owned();
    let variables = event.headers().iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("variable_")?;
        name.starts_with("sidetone_").then(|| (name.to_owned(), value.clone()))
    });
    Some(Adopted {
        call: call.clone(),
        scenario: scenario.to_owned(),
        caller: text("Caller-Caller-ID-Number"),
        destination: text("Caller-Destination-Number"),
        variables: variables.collect(),
    })
}

fn read_digit(event: &EslEvent) -> Option<Digit> {
    let mut keys = event.header_str("DTMF-Digit")?.chars();
    let key = keys.next().filter(|_| keys.next().is_none())?;
    Digit::new(key.to_ascii_uppercase())
}

fn read_play(event: &EslEvent) -> Option<PlayId> {
    event.header_str(PLAY)?.parse().ok().map(PlayId)
}

fn read_playback_stop(event: &EslEvent, rate: Option<u32>) -> Option<What> {
    let id = read_play(event)?;
    let end = match event.header_str("Playback-Status") {
        Some("done") => PlaybackEnd::Done,
        _ => PlaybackEnd::Broken,
    };
    let samples: Option<u64> =
        event.variable_str("playback_last_offset_pos").and_then(|samples| samples.parse().ok());
    let heard = samples.and_then(|samples| {
        Some(Duration::from_micros(samples.checked_mul(1_000_000)? / u64::from(rate.unwrap_or(8000))))
    });
    Some(What::PlaybackStopped { id, end, heard })
}

fn read_execute_complete(event: &EslEvent) -> Option<What> {
    let id = event.header_str("Application-UUID")?.strip_prefix(PLAY_UUID)?.parse().ok().map(PlayId)?;
    // `FILE PLAYED` also follows a break; its `PLAYBACK_STOP` says more.
    (event.header_str("Application-Response")? != "FILE PLAYED").then_some(What::PlaybackFailed(id))
}

fn read_cause(event: &EslEvent) -> HangupCause {
    let cause = event.header_str("Hangup-Cause").or_else(|| event.variable_str("hangup_cause"));
    cause.map_or_else(|| HangupCause::new("UNSPECIFIED"), HangupCause::new)
}

fn read_stream(event: &EslEvent) -> Option<What> {
    let (module, kind) = event.header_str("Event-Subclass")?.split_once("::")?;
    if !matches!(module, "mod_audio_stream" | "mod_audio_fork") {
        return None;
    }
    let body: serde_json::Value =
        event.body().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    Some(match kind {
        "connect" => What::StreamConnected,
        "disconnect" => What::StreamDisconnected,
        "error" => {
            let message = &body["message"];
            let reason = message["error"].as_str().or_else(|| message["reason"].as_str());
            What::StreamFailed {
                code: message["code"].as_i64(),
                reason: reason.unwrap_or("unknown").to_owned(),
            }
        }
        "connect_failed" => {
            let reason = body["reason"].as_str().unwrap_or("could not connect").to_owned();
            What::StreamFailed { code: None, reason }
        }
        _ => return None,
    })
}
