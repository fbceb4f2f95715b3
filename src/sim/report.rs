//! What the stand-in saw, for tests and for reading afterwards. Times are milliseconds since it started.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::broadcast;

use super::{hub::lock, player::BreakEffect};

/// How many printed lines may wait for a slow reader; then the oldest are lost.
const LINES: usize = 1024;

/// Everything seen so far.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SimReport {
    pub calls: Vec<CallReport>,
    /// The most calls that were up at once, ringing ones included.
    pub peak_calls: usize,
    pub esl_connections: u32,
    pub failed_logins: u32,
    /// Commands that got `-ERR`, in order.
    pub refused_commands: Vec<String>,
}

impl SimReport {
    #[must_use]
    pub fn call(&self, uuid: &str) -> Option<&CallReport> {
        self.calls.iter().find(|c| c.uuid == uuid)
    }

    /// How often this number was called.
    #[must_use]
    pub fn times_called(&self, number: &str) -> usize {
        let digits = |n: &str| n.trim_start_matches('+').to_owned();
        self.calls.iter().filter(|c| digits(&c.number) == digits(number)).count()
    }
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct CallReport {
    pub uuid: String,
    pub number: String,
    pub dial_string: String,
    /// The cast's name for who was called.
    pub callee: String,
    /// And its word for what they are.
    pub what: String,
    pub inbound: bool,
    pub variables: BTreeMap<String, String>,
    pub created_ms: u64,
    pub answered_ms: Option<u64>,
    pub ended_ms: Option<u64>,
    pub hangup_cause: Option<String>,
    pub ended_by: Option<EndedBy>,
    pub plays: Vec<PlayReport>,
    pub breaks: Vec<BreakReport>,
    pub said: Vec<SaidReport>,
    pub keys: String,
    pub kills: Vec<String>,
    pub transfers: Vec<String>,
    pub streams: Vec<StreamReport>,
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    Callee,
    Command,
    RingTimeout,
    ParkTimeout,
    /// A test, or the end of the stand-in.
    Fault,
}

#[derive(Debug, Clone, Serialize)]
pub struct PlayReport {
    pub file: String,
    pub from_ms: u64,
    pub started_ms: u64,
    pub stopped_ms: Option<u64>,
    /// In milliseconds from the file's start.
    pub position_ms: Option<u64>,
    pub broken: bool,
    pub not_found: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct BreakReport {
    pub at_ms: u64,
    pub all: bool,
    pub effect: BreakEffect,
}

#[derive(Debug, Clone, Serialize)]
pub struct SaidReport {
    pub clip: String,
    pub at_ms: u64,
    /// When the first voiced sample was sent.
    pub voice_ms: Option<u64>,
    pub until_ms: u64,
    /// The bot was speaking when the voice began...
    pub interrupts: bool,
    /// ...and so long it went on.
    pub bot_silent_after_ms: Option<u64>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamReport {
    /// Without its query: tokens stay out of reports.
    pub url: String,
    pub started_ms: u64,
    pub connected_ms: Option<u64>,
    pub messages: u64,
    pub ended_ms: Option<u64>,
    /// `stopped`, `closed 1000`, `error 10`...
    pub end: Option<String>,
    /// `stop` came before the stream was up: FreeSWITCH would hang.
    pub hung_stop: bool,
}

/// Collects the report and prints as it goes.
pub(super) struct Recorder {
    started: Instant,
    report: Mutex<SimReport>,
    lines: broadcast::Sender<String>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), report: Mutex::default(), lines: broadcast::channel(LINES).0 }
    }

    pub(super) fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(super) fn lines(&self) -> broadcast::Receiver<String> {
        self.lines.subscribe()
    }

    pub(super) fn snapshot(&self) -> SimReport {
        lock(&self.report).clone()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut SimReport)) {
        change(&mut lock(&self.report));
    }

    /// Changes one call's report; `None` prints nothing.
    pub(super) fn call(&self, uuid: &str, line: Option<String>, change: impl FnOnce(&mut CallReport, u64)) {
        let now = self.now();
        let mut report = lock(&self.report);
        let Some(call) = report.calls.iter_mut().rev().find(|c| c.uuid == uuid) else { return };
        change(call, now);
        if let Some(line) = line {
            let who = if call.callee.is_empty() { &call.number } else { &call.callee };
            self.print(&format!("{now:>8} ms  {}  {who}: {line}", uuid.get(..8).unwrap_or(uuid)));
        }
    }

    pub(super) fn open(&self, mut call: CallReport, up: usize) {
        let now = self.now();
        call.created_ms = now;
        let short = call.uuid.get(..8).unwrap_or(&call.uuid).to_owned();
        self.print(&format!("{now:>8} ms  {short}  {}: called at {}", call.callee, call.number));
        let mut report = lock(&self.report);
        report.peak_calls = report.peak_calls.max(up);
        report.calls.push(call);
    }

    /// Nobody need listen.
    pub(super) fn print(&self, line: &str) {
        let _ = self.lines.send(line.to_owned());
    }
}

impl CallReport {
    /// The bot stopped: how long did it talk over each voice that began meanwhile?
    pub(super) fn bot_stopped(&mut self, now: u64, started: u64) {
        for said in &mut self.said {
            let Some(voice) = said.voice_ms else { continue };
            if said.bot_silent_after_ms.is_none() && voice >= started && voice <= now {
                said.interrupts = true;
                said.bot_silent_after_ms = Some(now - voice);
            }
        }
    }
}

pub(super) fn ms(samples: usize) -> u64 {
    samples as u64 / 8
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
