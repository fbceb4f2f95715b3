//! The attached calls: what was seen of each, and what that means to its session. Events may come in any order and
//! more than once; each call hears everything once, and nothing after its end.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sidetone_core::call::{CallId, HangupCause, PlayId, PlaybackEnd};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::event::{Adopted, Job, Seen, What, cause_of_refusal};
use crate::switch::{EVENT_QUEUE, SwitchEvent};

/// A stop within this time of a start can hang the switch.
const STOP_AFTER_START: Duration = Duration::from_millis(50);
/// A stream that has not connected by then never will: the module gives up after one second.
const CONNECTED_OR_NEVER: Duration = Duration::from_secs(2);
/// What FreeSWITCH itself runs most channels at.
const USUAL_RATE: u32 = 8000;

/// What an event asks to be done besides telling the session.
#[derive(Debug, PartialEq)]
pub(super) enum Followup {
    Nothing,
    Adopt(Adopted),
    /// It was to be hung up before it existed.
    Kill(HangupCause),
    /// The end is near: if its event does not come, say it yourself.
    EndSoon(HangupCause),
    /// If no `PLAYBACK_STOP` says otherwise, this file could not be played.
    MissingSoon(PlayId),
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    table: Mutex<HashMap<CallId, Entry>>,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    events: mpsc::Sender<SwitchEvent>,
    /// The switch was asked for this leg, or had it already.
    on_switch: bool,
    /// `originate` was asked for and has not answered.
    dialling: bool,
    ringing: bool,
    answered: bool,
    ended: bool,
    rate: u32,
    plays: Vec<Play>,
    stream: Stream,
    stopped: Option<oneshot::Sender<()>>,
    /// The URL to restart the stream with; `Some` while a restart runs.
    restart: Option<String>,
    kill: Option<HangupCause>,
}

#[derive(Debug, Clone, Copy)]
struct Play {
    id: PlayId,
    started: bool,
}

/// What is known of the switch's end of the audio stream.
#[derive(Debug, Clone, Copy)]
enum Stream {
    None,
    Starting(Instant),
    /// Connected; started then.
    Connected(Instant),
    Ended,
}

impl Calls {
    pub(super) fn attach(&self, call: &CallId) -> mpsc::Receiver<SwitchEvent> {
        // One more than promised: the place kept for the end.
        let (events, receiver) = mpsc::channel(EVENT_QUEUE + 1);
        let entry = Entry {
            events,
            on_switch: false,
            dialling: false,
            ringing: false,
            answered: false,
            ended: false,
            rate: USUAL_RATE,
            plays: Vec::new(),
            stream: Stream::None,
            stopped: None,
            restart: None,
            kill: None,
        };
        self.table().insert(call.clone(), entry);
        receiver
    }

    /// Forgets the calls whose sessions are gone.
    pub(super) fn sweep(&self) {
        self.table().retain(|_, entry| !entry.events.is_closed());
    }

    /// Calls the switch should have, with the playbacks it should have.
    pub(super) fn on_switch(&self) -> Vec<(CallId, bool)> {
        let table = self.table();
        let live = table.iter().filter(|(_, entry)| entry.on_switch && !entry.ended);
        live.map(|(call, entry)| (call.clone(), !entry.plays.is_empty())).collect()
    }

    /// Events dropped because a session took none.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Takes in what the switch said.
    pub(super) fn see(&self, seen: Seen, now: Instant) -> Followup {
        let mut table = self.table();
        let Some(entry) = table.get_mut(&seen.call) else {
            return if let What::Adoptable(adopted) = seen.what {
                Followup::Adopt(adopted)
            } else {
                Followup::Nothing
            };
        };
        if entry.events.is_closed() {
            table.remove(&seen.call);
            return Followup::Nothing;
        }
        if entry.ended {
            return Followup::Nothing;
        }
        if let Some(rate) = seen.rate {
            entry.rate = rate;
        }
        let (event, followup) = entry.take(seen.what, now);
        if let Some(event) = event {
            self.dropped.fetch_add(u64::from(!entry.tell(event)), Relaxed);
        }
        followup
    }

    /// Tells a session something that no event of the switch said.
    pub(super) fn tell(&self, call: &CallId, event: SwitchEvent) {
        self.with(call, |entry| {
            if !entry.ended {
                self.dropped.fetch_add(u64::from(!entry.tell(event)), Relaxed);
            }
        });
    }

    pub(super) fn asked_to_dial(&self, call: &CallId) {
        self.with(call, |entry| (entry.on_switch, entry.dialling) = (true, true));
    }

    /// A channel that is there already.
    pub(super) fn taken_over(&self, call: &CallId) {
        self.with(call, |entry| (entry.on_switch, entry.answered) = (true, true));
    }

    pub(super) fn rate(&self, call: &CallId) -> u32 {
        self.with(call, |entry| entry.rate).unwrap_or(USUAL_RATE)
    }

    pub(super) fn asked_to_play(&self, call: &CallId, id: PlayId) {
        self.with(call, |entry| entry.plays.push(Play { id, started: false }));
    }

    pub(super) fn plays(&self, call: &CallId) -> Vec<PlayId> {
        self.with(call, |entry| entry.plays.iter().map(|play| play.id).collect()).unwrap_or_default()
    }

    /// Ends a playback of which the switch said nothing.
    pub(super) fn end_play(&self, call: &CallId, id: PlayId, end: PlaybackEnd) {
        self.with(call, |entry| {
            if let Some(play) = entry.end_play(id) {
                let heard = (!play.started).then_some(Duration::ZERO);
                entry.tell(SwitchEvent::PlaybackDone { id, end, heard });
            }
        });
    }

    /// `uuid_kill` found no such channel. Whether it is still to come (then it is killed as soon as it shows).
    pub(super) fn kill_when_seen(&self, call: &CallId, cause: &HangupCause) -> bool {
        self.with(call, |entry| {
            if entry.dialling {
                entry.kill = Some(cause.clone());
            }
            entry.dialling
        })
        .unwrap_or(false)
    }

    pub(super) fn stream_starts(&self, call: &CallId, now: Instant) {
        self.with(call, |entry| entry.stream = Stream::Starting(now));
    }

    /// Whether a restart must be begun; where one runs already it only takes the newer URL.
    pub(super) fn want_restart(&self, call: &CallId, url: String) -> bool {
        self.with(call, |entry| entry.restart.replace(url).is_none()).unwrap_or(false)
    }

    /// How long a `stop` must wait; `None`: the call is over.
    pub(super) fn until_stoppable(&self, call: &CallId, now: Instant) -> Option<Duration> {
        self.with(call, |entry| match entry.stream {
            _ if entry.ended => None,
            Stream::None | Stream::Ended => Some(Duration::ZERO),
            Stream::Starting(at) => Some((at + CONNECTED_OR_NEVER).saturating_duration_since(now)),
            Stream::Connected(at) => Some((at + STOP_AFTER_START).saturating_duration_since(now)),
        })
        .flatten()
    }

    /// Resolves when the switch has stopped the stream.
    pub(super) fn stopping(&self, call: &CallId) -> oneshot::Receiver<()> {
        let (stopped, receiver) = oneshot::channel();
        self.with(call, |entry| entry.stopped = Some(stopped));
        receiver
    }

    /// The URL to start with now; `None`: the call is over.
    pub(super) fn restarting(&self, call: &CallId) -> Option<String> {
        self.with(call, |entry| entry.restart.take().filter(|_| !entry.ended)).flatten()
    }

    fn with<T>(&self, call: &CallId, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.table().get_mut(call).map(act)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<CallId, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn take(&mut self, what: What, now: Instant) -> (Option<SwitchEvent>, Followup) {
        let event = match what {
            What::Created => None,
            What::Adoptable(_) => return (None, Followup::Nothing),
            What::Ringing => self.ringing(),
            What::Answered => self.answered(now),
            What::Dtmf(digit) => Some(SwitchEvent::Dtmf(digit)),
            What::PlaybackStarted(id) => self.start_play(id),
            What::PlaybackStopped { id, end, heard } => {
                self.end_play(id).map(|_| SwitchEvent::PlaybackDone { id, end, heard })
            }
            What::PlaybackFailed(id) => return (None, Followup::MissingSoon(id)),
            What::StreamConnected => {
                let started = if let Stream::Starting(at) = self.stream { at } else { now };
                self.stream = Stream::Connected(started);
                Some(SwitchEvent::StreamConnected)
            }
            What::StreamDisconnected => {
                // Only our own Close does that, and the media side has told why.
                self.stream = Stream::Ended;
                None
            }
            What::StreamFailed { code, reason } => {
                self.stream = Stream::Ended;
                Some(SwitchEvent::StreamFailed { code, reason })
            }
            What::JobDone { job, result } => self.job_done(job, result, now),
            What::HangingUp(cause) => return (None, Followup::EndSoon(cause)),
            What::HungUp(cause) => Some(SwitchEvent::HungUp(cause)),
        };
        let killed = if self.ended { None } else { self.kill.clone() };
        (event, killed.map_or(Followup::Nothing, Followup::Kill))
    }

    fn ringing(&mut self) -> Option<SwitchEvent> {
        let first = !std::mem::replace(&mut self.ringing, true) && !self.answered;
        first.then_some(SwitchEvent::Ringing)
    }

    fn answered(&mut self, now: Instant) -> Option<SwitchEvent> {
        if std::mem::replace(&mut self.answered, true) {
            return None;
        }
        if matches!(self.stream, Stream::None) {
            // `api_on_answer` starts it at this moment.
            self.stream = Stream::Starting(now);
        }
        Some(SwitchEvent::Answered)
    }

    fn job_done(&mut self, job: Job, result: Result<(), String>, now: Instant) -> Option<SwitchEvent> {
        match (job, result) {
            (Job::Originate, Ok(())) => {
                self.dialling = false;
                self.answered(now)
            }
            (Job::Originate, Err(reply)) => Some(SwitchEvent::HungUp(cause_of_refusal(&reply))),
            (Job::StartStream, Ok(())) => None,
            (Job::StartStream, Err(reason)) => {
                self.stream = Stream::Ended;
                Some(SwitchEvent::StreamFailed { code: None, reason })
            }
            (Job::StopStream, _) => {
                self.stream = Stream::Ended;
                if let Some(stopped) = self.stopped.take() {
                    let _ = stopped.send(());
                }
                None
            }
        }
    }

    fn start_play(&mut self, id: PlayId) -> Option<SwitchEvent> {
        let play = self.plays.iter_mut().find(|play| play.id == id)?;
        let first = !std::mem::replace(&mut play.started, true);
        first.then_some(SwitchEvent::PlaybackStarted(id))
    }

    fn end_play(&mut self, id: PlayId) -> Option<Play> {
        let at = self.plays.iter().position(|play| play.id == id)?;
        Some(self.plays.remove(at))
    }

    /// `false`: dropped, since the session takes nothing. Its last place is for the end.
    fn tell(&mut self, event: SwitchEvent) -> bool {
        let end = matches!(event, SwitchEvent::HungUp(_));
        if end {
            self.ended = true;
            self.plays.clear();
        }
        (end || self.events.capacity() > 1) && self.events.try_send(event).is_ok()
    }
}
