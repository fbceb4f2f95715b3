//! The text of every command, built so that no value can become a variable, an argument, a command or a line.
//!
//! Free text (what contacts carry) is escaped where FreeSWITCH can carry it and refused where it cannot: control
//! characters, `${` (expanded by the switch), unbalanced braces. Everything with a grammar of its own (dial
//! string, file, extension, URL, cause) is held to it.

use std::{path::Path, time::Duration};

use freeswitch_esl_tokio::{
    EslCommand, EslEvent,
    commands::{Variables, VariablesType},
};
use sidetone_core::{
    call::{CallId, HangupCause, PlayId},
    frame::SampleRate,
};

use super::options::EslOptions;
use crate::{
    config::StreamModule,
    switch::{Originate, SwitchError},
};

/// The name of our media bug; `mod_audio_fork` needs one, or it takes the next word for it.
const BUG: &str = "sidetone";
/// Marks our channels with the sidecar they belong to.
pub(super) const INSTANCE: &str = "sidetone_instance";
/// Travels with a file and comes back in its `PLAYBACK_START` and `PLAYBACK_STOP`.
pub(super) const PLAY: &str = "sidetone_play";
/// What `CHANNEL_EXECUTE_COMPLETE` names a playback by.
pub(super) const PLAY_UUID: &str = "sidetone-play-";
/// Asks a connection whether it lives.
pub(super) const ALIVE: &str = "echo alive";

/// How this sidecar speaks to its switch.
#[derive(Debug, Clone)]
pub(super) struct Dialect {
    pub(super) module: StreamModule,
    pub(super) rate: SampleRate,
    pub(super) instance: String,
    /// When the switch ends a channel that we took over.
    pub(super) adopted_limit: Duration,
}

impl Dialect {
    pub(super) fn new(options: &EslOptions) -> Self {
        Self {
            module: options.module,
            rate: options.rate,
            instance: options.instance.clone(),
            adopted_limit: options.adopted_limit,
        }
    }

    /// `originate ...`, for `bgapi`.
    pub(super) fn originate(&self, call: &CallId, order: &Originate) -> Result<String, SwitchError> {
        dial_string(&order.dial_string)?;
        let start = self.start_stream(call, &order.stream_url)?;
        let mut ours = vec![
            ("origination_uuid", call.to_string()),
            ("ignore_early_media", "true".to_owned()),
            // It fires up to a second early.
            ("originate_timeout", (seconds(order.ring_timeout) + 1).to_string()),
            ("origination_caller_id_number", number(&order.caller_id)?),
            ("park_timeout", seconds(order.park_timeout).to_string()),
            ("STREAM_BUFFER_SIZE", "20".to_owned()),
            ("STREAM_MESSAGE_DEFLATE", "true".to_owned()),
            (INSTANCE, self.instance.clone()),
            ("api_on_answer", start),
        ];
        if let Some(name) = &order.caller_name {
            ours.push(("origination_caller_id_name", name.clone()));
        }
        let mut block = Variables::new(VariablesType::Default);
        for (name, value) in &ours {
            block.insert(*name, free_text("a variable's value", value)?);
        }
        for (name, value) in &order.variables {
            variable_name(name)?;
            let value = free_text("a variable's value", value)?;
            // FreeSWITCH drops empty ones, and takes names without regard to case: ours stay ours.
            if !value.is_empty()
                && !reserved(name)
                && !ours.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
            {
                block.insert(name.as_str(), value);
            }
        }
        Ok(format!("originate {block}{} &park()", order.dial_string))
    }

    /// `uuid_audio_stream UUID start ...`, for `bgapi` and `api_on_answer`.
    pub(super) fn start_stream(&self, call: &CallId, url: &str) -> Result<String, SwitchError> {
        stream_url(url)?;
        let rate = if self.rate == SampleRate::HZ_16000 { "16k" } else { "8k" };
        Ok(match self.module {
            StreamModule::AudioStream => format!("uuid_audio_stream {call} start {url} mono {rate}"),
            StreamModule::AudioFork => format!("uuid_audio_fork {call} start {url} mono {rate} {BUG}"),
        })
    }

    /// For `bgapi`: it can block the connection it comes on.
    pub(super) fn stop_stream(&self, call: &CallId) -> String {
        match self.module {
            StreamModule::AudioStream => format!("uuid_audio_stream {call} stop"),
            StreamModule::AudioFork => format!("uuid_audio_fork {call} stop {BUG}"),
        }
    }

    /// What [`Self::originate`] sets, for a channel that somebody else made. Its park has begun, so `park_timeout` is
    /// read already: the dead man's timer is a scheduled hang-up, in place of any that the dialplan set.
    pub(super) fn take_over(&self, call: &CallId) -> Result<Vec<String>, SwitchError> {
        let instance = word("the instance's name", &self.instance)?;
        Ok(vec![
            format!("uuid_setvar {call} {INSTANCE} {instance}"),
            format!("uuid_setvar {call} STREAM_BUFFER_SIZE 20"),
            format!("uuid_setvar {call} STREAM_MESSAGE_DEFLATE true"),
            format!("sched_del {call}"),
            format!("sched_hangup +{} {call} ALLOTTED_TIMEOUT", seconds(self.adopted_limit)),
        ])
    }

    /// The events we live by. `CUSTOM` takes all that follows it.
    pub(super) fn events(&self) -> String {
        let module = match self.module {
            StreamModule::AudioStream => "mod_audio_stream",
            StreamModule::AudioFork => "mod_audio_fork",
        };
        format!(
            "CHANNEL_CREATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_PARK CHANNEL_HANGUP \
             CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY CHANNEL_EXECUTE_COMPLETE PLAYBACK_START PLAYBACK_STOP DTMF \
             BACKGROUND_JOB CUSTOM {module}::connect {module}::connect_failed {module}::disconnect {module}::error"
        )
    }
}

/// `sendmsg ... playback`: it starts within 21 ms and loses no break, unlike `uuid_broadcast`. `samples_per_second`
/// is the channel's rate, in which positions are counted.
pub(super) fn play(
    call: &CallId,
    id: PlayId,
    file: &Path,
    from: Duration,
    samples_per_second: u32,
) -> Result<EslCommand, SwitchError> {
    let file = path(file)?;
    let samples = from.as_micros() * u128::from(samples_per_second) / 1_000_000;
    let from = if samples == 0 { String::new() } else { format!("@@{samples}") };
    let mut event = EslEvent::new();
    event.set_header("call-command", "execute");
    event.set_header("execute-app-name", "playback");
    event.set_header("execute-app-arg", format!("{{{PLAY}={}}}{file}{from}", id.0));
    event.set_header("Event-UUID", format!("{PLAY_UUID}{}", id.0));
    event.set_header("event-lock", "true");
    Ok(EslCommand::SendMsg { uuid: Some(call.to_string()), event })
}

/// Stops what plays and drops what is queued.
pub(super) fn stop_playback(call: &CallId) -> String {
    format!("uuid_break {call} all")
}

pub(super) fn kill(call: &CallId, cause: &HangupCause) -> Result<String, SwitchError> {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    check("a hangup cause", cause.as_str(), fits)?;
    Ok(format!("uuid_kill {call} {cause}", cause = cause.as_str()))
}

/// `target`: an extension, or an extension, a dialplan and a context.
pub(super) fn transfer(call: &CallId, target: &str) -> Result<String, SwitchError> {
    let what = "a transfer's target";
    // A leading dash would be an option.
    if let Some(first) = target.chars().next().filter(|c| !c.is_ascii_alphanumeric() && !"+*#_".contains(*c))
    {
        return Err(SwitchError::Unsendable { what, character: first });
    }
    check(what, target, |c| c.is_ascii_alphanumeric() || " _.+*#@:/-".contains(c))?;
    Ok(format!("uuid_transfer {call} {target}"))
}

pub(super) fn exists(call: &CallId) -> String {
    format!("uuid_exists {call}")
}

pub(super) fn instance_of(call: &CallId) -> String {
    format!("uuid_getvar {call} {INSTANCE}")
}

fn dial_string(text: &str) -> Result<(), SwitchError> {
    // No braces, brackets, commas, pipes or spaces: one leg, and nothing before it.
    check("the dial string", text, |c| c.is_ascii_alphanumeric() || "/_.:@+;=~-#*%".contains(c))
}

fn number(text: &str) -> Result<String, SwitchError> {
    check("the caller id", text, |c| c.is_ascii_alphanumeric() || "+*#._-".contains(c))?;
    Ok(text.to_owned())
}

fn stream_url(url: &str) -> Result<(), SwitchError> {
    check("the stream's URL", url, |c| c.is_ascii_alphanumeric() || ":/?&=._-~%".contains(c))
}

fn word<'a>(what: &'static str, text: &'a str) -> Result<&'a str, SwitchError> {
    check(what, text, |c| c.is_ascii_alphanumeric() || "._-".contains(c))?;
    Ok(text)
}

fn variable_name(name: &str) -> Result<(), SwitchError> {
    check("a variable's name", name, |c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Names that make the switch do something, which data must not.
fn reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["api_", "exec", "originat", "session_in_hangup", "park_", "stream_", "bridge_", "sidetone_instance"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// The path of a file as the switch sees it, without the signs that mean something to it: parameters, variables,
/// lists of files, positions.
fn path(file: &Path) -> Result<&str, SwitchError> {
    let what = "a prompt's path";
    let Some(text) = file.to_str() else {
        return Err(SwitchError::Unsendable { what, character: char::REPLACEMENT_CHARACTER });
    };
    check(what, text, |c| !c.is_control() && !"{}[]$!'\"\\|".contains(c))?;
    if text.contains("@@") {
        return Err(SwitchError::Unsendable { what, character: '@' });
    }
    Ok(text)
}

/// Text from outside, for a channel variable: what is let through here, [`Variables`] escapes for the switch.
fn free_text(what: &'static str, text: &str) -> Result<String, SwitchError> {
    let refuse = |character| Err(SwitchError::Unsendable { what, character });
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return refuse(control);
    }
    if text.contains("${") || text.contains("$$") {
        return refuse('$');
    }
    // Where `:_:` stands the switch starts a new call, whatever is around it.
    if text.contains(":_:") {
        return refuse(':');
    }
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return refuse('}'),
            '}' => depth -= 1,
            _ => {}
        }
    }
    if depth > 0 { refuse('{') } else { Ok(text.to_owned()) }
}

/// Every character `fits`, and there is one.
fn check(what: &'static str, text: &str, fits: impl Fn(char) -> bool) -> Result<(), SwitchError> {
    match text.chars().find(|&c| !fits(c)) {
        Some(character) => Err(SwitchError::Unsendable { what, character }),
        // "Nothing" has no character of its own; a space is what it would look like.
        None if text.is_empty() => Err(SwitchError::Unsendable { what, character: ' ' }),
        None => Ok(()),
    }
}

/// Whole seconds, at least one.
fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}
