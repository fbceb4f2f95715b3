//! One task per call: it owns the call's state machine and its streams, and is the only place where they meet.

pub(crate) mod history;
mod journal;
mod prompts;
mod recording;
mod streams;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::StreamExt;
use sidetone_core::{
    call::{
        Call, CallConfig, CallId, Command, Event, HangupCause, HangupReason, Heard, Input, PlayId, Purpose,
        StreamEnd, Transcribe, Transcript,
    },
    echo::PromptAudio,
    frame::{Frame, SampleRate},
    scenario::ScenarioRun,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::{
    asr::{AsrHandle, Job, JobDone},
    media::{MediaEvent, MediaReceiver, MediaRegistry, stream_url},
    metrics::Metrics,
    store::{FinishedCall, Store},
    switch::{Link, Originate, Switch, SwitchCommand, SwitchError, SwitchEvent},
};
use history::History;
use journal::Journal;
pub use prompts::PromptSounds;
use recording::Recording;
pub use recording::RecordingPlan;
use streams::{Said, Sources};

/// A call without its switch for so long is over.
const SWITCH_LOST: Duration = Duration::from_secs(10);
/// Where no deadline is.
const FAR: Duration = Duration::from_secs(3600);
/// Frames taken in one go before the other streams are looked at: a burst at connect is up to 50.
const BURST: usize = 50;
/// Transcripts on their way to one call. Jobs of a call are few; a full channel makes the engine drop the result.
const TRANSCRIPTS: usize = 16;
/// Prompts' sounds on their way; a full channel drops one, and that prompt's echo is not known.
const SOUNDS: usize = 4;
/// Commands kept while the switch is away; further ones are dropped, and the call ends as `switch_lost` anyway.
const UNSENT: usize = 8;

/// What all sessions share.
#[derive(Clone)]
pub struct Shells {
    pub switch: Arc<dyn Switch>,
    pub media: MediaRegistry,
    /// `None`: calls go on by voice activity alone.
    pub asr: Option<AsrHandle>,
    pub metrics: Metrics,
    pub store: Store,
    /// The WebSocket base that the switch is given.
    pub public_url: String,
    pub rate: SampleRate,
    /// The prompts folder as the switch sees it.
    pub prompts_dir: PathBuf,
    /// The same prompts as we see them, for their echo.
    pub prompt_sounds: PromptSounds,
    pub recording: RecordingPlan,
}

/// A call to run.
pub struct Order {
    pub call: CallId,
    pub config: CallConfig,
    pub script: ScenarioRun,
    pub language: Arc<str>,
    /// Detect the language among these; `language` is assumed until then.
    pub among: Option<Arc<[String]>>,
    pub leg: Leg,
    /// Ends the call when something arrives.
    pub end: watch::Receiver<Option<HangupReason>>,
}

/// Where the leg comes from.
pub enum Leg {
    /// To be placed. The stream's URL is filled in here.
    Originate(Originate),
    /// Parked by the dialplan, answered already.
    Adopted,
}

/// Runs a call to its end and returns what it came to. Every event but none of the outcome is stored by then.
pub async fn run(shells: Shells, order: Order) -> FinishedCall {
    let events = shells.switch.attach(&order.call);
    let (token, media) = shells.media.expect(&order.call);
    let url = stream_url(&shells.public_url, &order.call, &token, shells.rate);
    let (transcripts, arrived) = mpsc::channel(TRANSCRIPTS);
    let (sounds, sounds_arrived) = mpsc::channel(SOUNDS);
    let link = shells.switch.link();
    let sources =
        Sources { switch: events, transcripts: arrived, sounds: sounds_arrived, end: order.end, link };
    let mut session = Session {
        journal: Journal::new(&order.call, shells.store.clone(), shells.metrics.call()),
        history: History::new(shells.rate, shells.asr.is_some()),
        recording: Recording::new(&shells.recording, shells.rate),
        call: Call::new(order.config, order.script, Instant::now().into_std()),
        id: order.call,
        shells,
        language: order.language,
        among: order.among,
        transcripts,
        sounds,
        unsent: Vec::new(),
        answered: false,
    };
    session.begin(order.leg, url);
    session.follow(sources, media).await;
    session.finish().await
}

struct Session {
    id: CallId,
    call: Call,
    shells: Shells,
    language: Arc<str>,
    among: Option<Arc<[String]>>,
    journal: Journal,
    history: History,
    recording: Recording,
    transcripts: mpsc::Sender<JobDone>,
    sounds: mpsc::Sender<(PlayId, Arc<PromptAudio>)>,
    unsent: Vec<SwitchCommand>,
    answered: bool,
}

impl Session {
    fn begin(&mut self, leg: Leg, url: String) {
        match leg {
            Leg::Originate(mut originate) => {
                originate.stream_url = url;
                self.send(SwitchCommand::Originate(originate));
            }
            Leg::Adopted => {
                self.send(SwitchCommand::StartStream { url });
                self.answered();
            }
        }
    }

    async fn follow(&mut self, sources: Sources, mut media: MediaReceiver) {
        let mut sources = sources.merged();
        let mut link_lost = None;
        let mut alarm = std::pin::pin!(sleep_until(Instant::now() + FAR));
        loop {
            self.carry_out();
            if self.call.is_over() {
                return;
            }
            // Every frame puts the nearest deadline off: the alarm is moved when it is too late, not when it is early.
            let timeout = self.call.poll_timeout().map(Instant::from_std).into_iter().chain(link_lost).min();
            if let Some(at) = timeout.filter(|&at| at < alarm.deadline()) {
                alarm.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                Some(said) = sources.next() => match said {
                    Said::Switch(event) => self.switch_event(event),
                    Said::SwitchGone => self.input(Input::SwitchLost),
                    Said::Transcript(done) => self.transcript(done),
                    Said::Sound(id, audio) => self.input(Input::PromptAudio { id, audio }),
                    Said::EndRequested(reason) => self.input(Input::EndRequested(reason)),
                    Said::Link(link) => link_lost = self.link_changed(link),
                },
                Some(event) = media.recv() => self.media(event, &mut media),
                () = &mut alarm => {
                    let now = Instant::now();
                    alarm.as_mut().reset(now + FAR);
                    if link_lost.is_some_and(|at| at <= now) {
                        self.input(Input::SwitchLost);
                    }
                    self.call.handle_timeout(now.into_std());
                }
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.call.handle_input(Instant::now().into_std(), input);
    }

    fn link_changed(&mut self, link: Link) -> Option<Instant> {
        match link {
            Link::Down(since) => Some(since + SWITCH_LOST),
            Link::Up => {
                for command in std::mem::take(&mut self.unsent) {
                    self.send(command);
                }
                None
            }
        }
    }

    fn switch_event(&mut self, event: SwitchEvent) {
        match event {
            SwitchEvent::Ringing => self.input(Input::Ringing),
            SwitchEvent::Answered => self.answered(),
            // Our own end of the stream says so too, and first.
            SwitchEvent::StreamConnected => {}
            SwitchEvent::StreamFailed { code, reason } => {
                tracing::warn!(call = %self.id, ?code, reason, "the switch could not stream");
                self.input(Input::StreamDown(StreamEnd::Refused));
            }
            SwitchEvent::PlaybackStarted(id) => self.input(Input::PlaybackStarted(id)),
            SwitchEvent::PlaybackDone { id, end, heard } => {
                self.input(Input::PlaybackDone { id, end, heard })
            }
            SwitchEvent::Dtmf(digit) => self.input(Input::Dtmf(digit)),
            SwitchEvent::HungUp(cause) => self.input(Input::HungUp(cause)),
            SwitchEvent::CommandFailed { what, reply } => {
                tracing::warn!(call = %self.id, what, reply, "the switch refused a command");
            }
        }
    }

    fn answered(&mut self) {
        if !self.answered {
            self.answered = true;
            self.history.answered();
            self.input(Input::Answered);
        }
    }

    fn media(&mut self, first: MediaEvent, media: &mut MediaReceiver) {
        self.media_event(first);
        for _ in 1..BURST {
            self.carry_out();
            let Some(event) = media.try_recv() else { return };
            self.media_event(event);
        }
    }

    fn media_event(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Frame(frame) => self.frame(&frame),
            MediaEvent::Lost(frames) => {
                self.history.gap(frames);
                self.recording.gap(frames);
                self.input(Input::AudioLost(frames));
            }
            MediaEvent::Up => self.input(Input::StreamUp),
            MediaEvent::Down(end) => self.input(Input::StreamDown(end)),
            MediaEvent::Metadata(_) => {}
        }
    }

    fn frame(&mut self, frame: &Frame) {
        let begun = Instant::now();
        self.history.push(frame);
        self.recording.push(frame);
        self.call.handle_input(begun.into_std(), Input::Audio(frame));
        self.history.forget_before(self.call.audio_needed_from());
        self.shells.metrics.frame_handled(frame, begun.elapsed());
    }

    fn transcript(&mut self, done: JobDone) {
        let outcome = match done.result {
            Ok(Ok(text)) => Heard::Text(text),
            Ok(Err(gate)) => Heard::Nothing(gate),
            Err(failure) => Heard::Failed(failure),
        };
        let JobDone { utterance, purpose, to, others, queued, compute, detected, .. } = done;
        if let Some(heard) = detected.filter(|_| self.among.is_some()) {
            self.input(Input::LanguageHeard(heard));
        }
        let transcript = Transcript { utterance, purpose, to, outcome, others, queued, compute };
        self.input(Input::Transcript(transcript));
    }

    /// Carries out what the call wants, in order.
    fn carry_out(&mut self) {
        while let Some(command) = self.call.poll_command() {
            match command {
                Command::Play { id, prompt, from } => {
                    self.shells.prompt_sounds.send(id, &prompt.file, self.sounds.clone());
                    let file = self.shells.prompts_dir.join(prompt.file);
                    self.send(SwitchCommand::Play { id, file, from });
                }
                Command::StopPlayback(_) => self.send(SwitchCommand::StopPlayback { asked: Instant::now() }),
                Command::Transcribe(request) => self.transcribe(request),
                Command::CancelTranscription(utterance) => {
                    if let Some(asr) = &self.shells.asr {
                        asr.cancel(&self.id, utterance);
                    }
                }
                Command::FixLanguage(language) => {
                    self.language = language.into();
                    self.among = None;
                }
                Command::RestartStream => self.restart_stream(),
                Command::Transfer(target) => self.send(SwitchCommand::Transfer { target }),
                Command::Hangup(reason) => self.hang_up(reason),
                Command::Emit(event) => self.note(event),
            }
        }
    }

    fn note(&mut self, event: Event) {
        if matches!(event, Event::Verdict { .. }) {
            self.recording.verdict();
        }
        let media = self.answered.then(|| self.call.media_time());
        self.journal.note(event, media);
    }

    fn hang_up(&mut self, reason: HangupReason) {
        tracing::debug!(call = %self.id, ?reason, "hanging up");
        let cause = if self.answered { "NORMAL_CLEARING" } else { "ORIGINATOR_CANCEL" };
        self.send(SwitchCommand::HangUp { cause: HangupCause::new(cause) });
    }

    fn restart_stream(&mut self) {
        if let Some(token) = self.shells.media.renew(&self.id) {
            let url = stream_url(&self.shells.public_url, &self.id, &token, self.shells.rate);
            self.send(SwitchCommand::RestartStream { url });
        }
    }

    fn send(&mut self, command: SwitchCommand) {
        match self.shells.switch.send(&self.id, command.clone()) {
            Ok(()) => {}
            Err(SwitchError::NotConnected | SwitchError::Busy) if self.keeps(&command) => {
                self.unsent.push(command)
            }
            Err(error) => {
                tracing::error!(call = %self.id, %error, "a command could not be sent");
                let unplaced = matches!(command, SwitchCommand::Originate(_));
                if unplaced {
                    self.input(Input::SwitchLost);
                } else {
                    self.input(Input::EndRequested(HangupReason::SwitchError));
                }
            }
        }
    }

    /// Whether a command still makes sense when the switch comes back. An originate does not: nobody knows by
    /// then whether it was placed.
    fn keeps(&self, command: &SwitchCommand) -> bool {
        let placing = matches!(command, SwitchCommand::Originate(_));
        !placing && self.unsent.len() < UNSENT
    }

    fn transcribe(&mut self, request: Transcribe) {
        let refused = match &self.shells.asr {
            None => Some(sidetone_core::call::AsrFailure::Engine),
            Some(asr) => asr
                .submit(Job {
                    call: self.id.clone(),
                    utterance: request.utterance,
                    purpose: request.purpose,
                    language: self.language.clone(),
                    among: self.among.clone(),
                    segment: self.history.segment(&request),
                    to: request.to,
                    deadline: Instant::now() + patience(request.purpose),
                    reply: self.transcripts.clone(),
                })
                .err(),
        };
        if let Some(failure) = refused {
            self.input(Input::Transcript(Transcript {
                utterance: request.utterance,
                purpose: request.purpose,
                to: request.to,
                outcome: Heard::Failed(failure),
                others: Vec::new(),
                queued: Duration::ZERO,
                compute: Duration::ZERO,
            }));
        }
    }

    async fn finish(mut self) -> FinishedCall {
        self.carry_out();
        self.shells.media.release(&self.id);
        self.recording.save(&self.id).await;
        self.journal.finish().await
    }
}

/// How long a result is of use.
fn patience(purpose: Purpose) -> Duration {
    match purpose {
        Purpose::Amd | Purpose::AmdCareful | Purpose::AmdLate => Duration::from_millis(400),
        Purpose::EndOfTurn => Duration::from_millis(1500),
        Purpose::Partial => Duration::from_millis(1000),
        Purpose::PostCall => Duration::from_secs(60),
    }
}
