//! One call, from the originate to its disposition: events, frames and `now` go in, commands come out.

mod account;
mod amd_phase;
mod disposition;
mod io;
mod listening;
mod near;
mod phase;
mod speaking;
mod spoken;
#[cfg(test)]
mod tests;
mod timer;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub use account::{Abandoned, Account, Answer, CONNECT_WITHIN, EndedBy, Settled};
pub use disposition::Ending;
pub use io::*;
pub use phase::PhaseName;
use phase::{Attention, Ear, Ears, MessageWait, Phase};
pub use spoken::LanguageHeard;
use spoken::Spoken;
pub use timer::{Timer, Timers};

use crate::{
    amd::{Amd, AmdConfig},
    frame::{Frame, SampleRate},
    scenario::{Action, ScenarioRun},
    text::PhrasePack,
    turn::{Turn, TurnConfig},
};

/// No audio for so long after the answer, or in mid-call, is a lost stream.
const MEDIA_LOST: Duration = Duration::from_secs(3);
/// How often a lost stream is started again.
const STREAM_RESTARTS: u32 = 2;
/// The switch's ring timeout fires up to a second early and may be lost: ours only backs it up.
const RING_SLACK: Duration = Duration::from_secs(5);
const HANGUP_CONFIRM: Duration = Duration::from_secs(5);
const HANGUP_ATTEMPTS: u32 = 2;
const TRANSFER_CONFIRM: Duration = Duration::from_secs(3);
const PLAYBACK_START: Duration = Duration::from_secs(5);
const PLAYBACK_LONGEST: Duration = Duration::from_secs(180);
const BREAK_CONFIRM: Duration = Duration::from_millis(500);
/// The outcome of a message whose beginning may not have been recorded.
const CLIPPED: &str = "clipped";
/// Nobody is asked for their name for longer.
const SCREENER: Duration = Duration::from_secs(20);
/// Frames that overtake the answer event: a second and a half more than the burst seen at connect.
pub const EARLY_FRAMES: usize = 125;

/// What a call needs to know from the start.
#[derive(Debug, Clone)]
pub struct CallConfig {
    pub rate: SampleRate,
    pub ring_timeout: Duration,
    pub max_duration: Duration,
    /// `None`: we know who it is (they called us); the scenario starts with the answer.
    pub amd: Option<AmdConfig>,
    /// How long past AMD's window its transcript is waited for.
    pub amd_transcript_wait: Duration,
    /// Endpointing while the bot listens, and the cadence of looks while it speaks.
    pub listening: TurnConfig,
    pub speaking: TurnConfig,
    /// So much silence after a machine's greeting counts as its end where no beep is heard.
    pub message_silence: Duration,
    /// So much silence after a call screener's question: it waits for the answer.
    pub screener_silence: Duration,
    pub pack: &'static PhrasePack,
}

impl CallConfig {
    /// The defaults for a language's phrase pack.
    #[must_use]
    pub fn new(rate: SampleRate, pack: &'static PhrasePack) -> Self {
        let looks = Duration::from_millis(250);
        Self {
            rate,
            ring_timeout: Duration::from_secs(30),
            max_duration: Duration::from_secs(600),
            amd: Some(AmdConfig::default()),
            amd_transcript_wait: Duration::from_millis(400),
            listening: TurnConfig::default(),
            speaking: TurnConfig {
                first_look: Duration::from_millis(300),
                look_every: looks,
                ..TurnConfig::default()
            },
            message_silence: Duration::from_millis(2500),
            screener_silence: Duration::from_millis(900),
            pack,
        }
    }
}

/// The state machine of one call.
#[derive(Debug)]
pub struct Call {
    config: CallConfig,
    script: ScenarioRun,
    phase: Phase,
    /// Apart, so that a call is small where it is moved.
    ears: Box<Ears>,
    /// From the answer on; goes on listening after its verdict.
    amd: Option<Amd>,
    timers: Timers,
    commands: VecDeque<Command>,
    ending: Ending,
    outcome: Option<String>,
    spoken: Spoken,
    /// The scenario step last reported.
    step: Option<String>,
    next_play: u32,
    /// A break that the switch has not confirmed.
    breaking: Option<(PlayId, Instant)>,
    restarts: u32,
}

impl Call {
    /// A call that is being placed at `now`.
    #[must_use]
    pub fn new(config: CallConfig, script: ScenarioRun, now: Instant) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Ring, now, config.ring_timeout + RING_SLACK);
        Self {
            ears: Box::new(Ears::new(config.rate)),
            amd: None,
            config,
            script,
            phase: Phase::Ringing { early: VecDeque::new(), rang: None },
            timers,
            commands: VecDeque::new(),
            ending: Ending::default(),
            outcome: None,
            spoken: Spoken::default(),
            step: None,
            next_play: 1,
            breaking: None,
            restarts: 0,
        }
    }

    /// Takes one thing that happened. Drain [`Call::poll_command`] afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        match input {
            Input::Ringing => self.ringing(now),
            Input::Answered => self.answered(now),
            Input::Audio(frame) => self.audio(now, frame),
            Input::AudioLost(frames) => self.audio_lost(now, frames),
            Input::StreamUp => self.emit(Event::StreamUp),
            Input::StreamDown(end) => self.stream_down(now, end),
            Input::PromptAudio { id, audio } => self.prompt_audio(id, audio),
            Input::PlaybackStarted(id) => self.playback_started(now, id),
            Input::PlaybackDone { id, end, heard } => self.playback_done(now, id, end, heard),
            Input::LanguageHeard(heard) => self.language_heard(heard),
            Input::Transcript(transcript) => self.transcript(now, &transcript),
            Input::Dtmf(digit) => self.dtmf(now, digit),
            Input::HungUp(cause) => self.hung_up(cause),
            Input::SwitchLost => self.give_up(HangupReason::SwitchLost),
            Input::EndRequested(reason) => self.hang_up(now, reason),
        }
    }

    /// The deadline returned by [`Call::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Ring => {
                    self.ending.reason = Some(HangupReason::RingTimeout);
                    self.hang_up(now, HangupReason::RingTimeout);
                }
                Timer::MediaLost => self.media_lost(now),
                Timer::TranscriptWait => self.amd_without_transcript(now),
                Timer::PlaybackOverdue => self.playback_overdue(now),
                Timer::BreakConfirm => self.break_unconfirmed(),
                Timer::HangupConfirm => self.hangup_unconfirmed(now),
                Timer::TransferConfirm => self.end(),
                Timer::MaxCall => self.hang_up(now, HangupReason::MaxDuration),
            }
        }
    }

    /// The next thing to carry out; `None` when there is no more.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Call::handle_timeout`] next; `None`: only an input can go on.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Whether the last event is out.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// The phase's name, for gauges.
    #[must_use]
    pub fn phase(&self) -> PhaseName {
        self.phase.name()
    }

    /// Media time since the answer.
    #[must_use]
    pub fn media_time(&self) -> Duration {
        self.ears.media
    }

    /// No audio before this will be asked for again.
    #[must_use]
    pub fn audio_needed_from(&self) -> Duration {
        if self.amd.as_ref().is_none_or(Amd::is_listening) && !matches!(self.phase, Phase::Ended) {
            return Duration::ZERO;
        }
        let recent = self.ears.media.saturating_sub(self.config.listening.pre_roll * 3);
        self.ears.turn.as_ref().map_or(recent, |turn| turn.audio_from().min(recent))
    }

    fn ringing(&mut self, now: Instant) {
        if let Phase::Ringing { rang: rang @ None, .. } = &mut self.phase {
            *rang = Some(now);
            self.emit(Event::Ringing);
        }
    }

    fn answered(&mut self, now: Instant) {
        let Phase::Ringing { early, rang } = &mut self.phase else { return };
        let (early, rang) = (std::mem::take(early), rang.map(|since| now.saturating_duration_since(since)));
        self.ending.answered = true;
        self.timers.clear(Timer::Ring);
        self.timers.set(Timer::MaxCall, now, self.config.max_duration);
        self.timers.set(Timer::MediaLost, now, MEDIA_LOST);
        self.emit(Event::Answered);
        self.start_amd(now, rang);
        for frame in early {
            self.hear(now, &frame);
        }
    }

    fn audio(&mut self, now: Instant, frame: &Frame) {
        if let Phase::Ringing { early, .. } = &mut self.phase {
            if early.len() == EARLY_FRAMES {
                early.pop_front();
            }
            early.push_back(frame.clone());
            return;
        }
        if self.timers.is_set(Timer::MediaLost) {
            self.timers.set(Timer::MediaLost, now, MEDIA_LOST);
        }
        self.hear(now, frame);
    }

    fn hear(&mut self, now: Instant, frame: &Frame) {
        let attention = match &self.phase {
            Phase::Speaking(_) => Attention::Interruption,
            Phase::Listening(_) => Attention::Answer,
            Phase::Ringing { .. }
            | Phase::Amd
            | Phase::AwaitingMessage(_)
            | Phase::Transferring
            | Phase::HangingUp { .. }
            | Phase::Ended => Attention::Anyone,
        };
        let music = self.amd.as_ref().is_some_and(Amd::weighs_music);
        let ear = self.ears.frame(frame, attention, music);
        self.emit_all(&ear);
        if self.amd_frame(now, &ear) {
            return;
        }
        match &self.phase {
            Phase::Speaking(_) => self.speaking_frame(now, &ear),
            Phase::Listening(_) => self.listening_frame(now, &ear),
            Phase::AwaitingMessage(_) => self.awaiting_message_frame(now, &ear),
            Phase::Ringing { .. }
            | Phase::Amd
            | Phase::Transferring
            | Phase::HangingUp { .. }
            | Phase::Ended => {}
        }
    }

    fn emit_all(&mut self, ear: &Ear) {
        if let Some(at) = ear.speech_started {
            self.emit(Event::SpeechStarted { at_ms: millis(at) });
        }
        if let Some((at, voiced)) = ear.speech_ended {
            self.emit(Event::SpeechEnded { at_ms: millis(at), voiced_ms: millis(voiced) });
        }
        if let Some(tone) = &ear.tone {
            self.emit(Event::Tone { tone: tone.tone, at_ms: millis(tone.at) });
        }
    }

    fn audio_lost(&mut self, now: Instant, frames: u32) {
        self.emit(Event::FramesLost { frames });
        if self.ending.answered {
            self.ears.gap(frames);
            self.timers.set(Timer::MediaLost, now, MEDIA_LOST);
        }
    }

    fn stream_down(&mut self, now: Instant, end: StreamEnd) {
        self.emit(Event::StreamDown { end });
        match end {
            StreamEnd::Lost
            | StreamEnd::Refused
            | StreamEnd::Idle
            | StreamEnd::OddLength
            | StreamEnd::Oversize => {
                self.media_lost(now);
            }
            // A stream that the switch closes ends with the call, or is missed by `MediaLost`.
            StreamEnd::Closed | StreamEnd::Replaced | StreamEnd::Shutdown => {}
        }
    }

    fn media_lost(&mut self, now: Instant) {
        let over = matches!(self.phase, Phase::Transferring | Phase::HangingUp { .. } | Phase::Ended);
        if over || !self.ending.answered {
            return;
        }
        if self.restarts == STREAM_RESTARTS {
            self.hang_up(now, HangupReason::MediaLost);
            return;
        }
        self.restarts += 1;
        self.timers.set(Timer::MediaLost, now, MEDIA_LOST);
        self.emit(Event::StreamRestart);
        self.commands.push_back(Command::RestartStream);
    }

    /// What is heard now is read in this language; once it is certain, everything is.
    fn language_heard(&mut self, heard: LanguageHeard) {
        if self.spoken.is_decided() {
            return;
        }
        let decided = self.spoken.hear(&heard);
        if let Some(pack) = PhrasePack::for_language(&heard.language) {
            self.config.pack = pack;
            if let Some(amd) = &mut self.amd {
                amd.speaks(pack);
            }
            self.script.speaks(&heard.language);
        }
        if decided {
            let LanguageHeard { language, probability, .. } = heard;
            let at_ms = millis(self.ears.media);
            self.emit(Event::Language { language: language.clone(), probability, at_ms });
            self.commands.push_back(Command::FixLanguage(language));
        }
    }

    fn transcript(&mut self, now: Instant, transcript: &Transcript) {
        self.emit(transcript_event(transcript));
        if matches!(transcript.purpose, Purpose::Amd | Purpose::AmdCareful | Purpose::AmdLate) {
            self.amd_transcript(now, transcript);
            return;
        }
        match &self.phase {
            Phase::Speaking(_) => self.speaking_transcript(now, transcript),
            Phase::Listening(_) | Phase::AwaitingMessage(_) => self.listening_transcript(transcript),
            Phase::Ringing { .. }
            | Phase::Amd
            | Phase::Transferring
            | Phase::HangingUp { .. }
            | Phase::Ended => {}
        }
    }

    fn dtmf(&mut self, now: Instant, digit: Digit) {
        self.emit(Event::Dtmf { digit });
        match &self.phase {
            Phase::Speaking(_) => self.speaking_dtmf(now, digit),
            Phase::Listening(_) => self.listening_dtmf(now, digit),
            Phase::Ringing { .. }
            | Phase::Amd
            | Phase::AwaitingMessage(_)
            | Phase::Transferring
            | Phase::HangingUp { .. }
            | Phase::Ended => {}
        }
    }

    /// Does what the scenario says.
    fn act(&mut self, now: Instant, action: Action) {
        self.note_step();
        match action {
            Action::Play { prompt, barge_in, then_listen: _ } => self.play(now, prompt, barge_in),
            Action::Listen(spec) => self.listen(now, spec),
            Action::AwaitMessageStart { max_wait } => {
                self.drop_turn();
                let silence = self.config.message_silence;
                self.phase = Phase::AwaitingMessage(MessageWait::new(self.ears.media, max_wait, silence));
            }
            Action::AwaitScreener => {
                self.drop_turn();
                let silence = self.config.screener_silence;
                self.phase = Phase::AwaitingMessage(MessageWait::new(self.ears.media, SCREENER, silence));
            }
            Action::Transfer { target } => {
                self.drop_turn();
                self.ending.transferred = true;
                self.emit(Event::Transfer { target: target.clone() });
                self.commands.push_back(Command::Transfer(target));
                self.timers.clear_all();
                self.timers.set(Timer::TransferConfirm, now, TRANSFER_CONFIRM);
                self.phase = Phase::Transferring;
            }
            Action::Hangup { reason, outcome, disposition } => {
                self.outcome = Some(outcome);
                self.ending.outcome = Some(disposition);
                self.hang_up(now, reason);
            }
        }
    }

    /// They said or pressed something the scenario could use.
    fn responded(&mut self) {
        self.ending.responded = true;
        if let Some(amd) = &mut self.amd {
            amd.answered_prompt();
        }
    }

    fn note_step(&mut self) {
        let step = self.script.step_name();
        if step != self.step.as_deref() {
            self.step = step.map(str::to_owned);
            if let Some(name) = self.step.clone() {
                self.emit(Event::Step { name });
            }
        }
    }

    fn hang_up(&mut self, now: Instant, reason: HangupReason) {
        if matches!(self.phase, Phase::HangingUp { .. } | Phase::Ended) {
            return;
        }
        self.drop_turn();
        self.ending.reason.get_or_insert(reason);
        self.emit(Event::HangupAsked { reason });
        self.commands.push_back(Command::Hangup(reason));
        self.timers.clear_all();
        self.timers.set(Timer::HangupConfirm, now, HANGUP_CONFIRM);
        self.phase = Phase::HangingUp { reason, asked: 1 };
    }

    fn hangup_unconfirmed(&mut self, now: Instant) {
        let Phase::HangingUp { reason, asked } = &mut self.phase else { return };
        if *asked == HANGUP_ATTEMPTS {
            self.end();
            return;
        }
        *asked += 1;
        let reason = *reason;
        self.commands.push_back(Command::Hangup(reason));
        self.timers.set(Timer::HangupConfirm, now, HANGUP_CONFIRM);
    }

    fn hung_up(&mut self, cause: HangupCause) {
        self.ending.cause = Some(cause.clone());
        self.emit(Event::HungUp { cause });
        self.end();
    }

    /// Ends without waiting for a switch that cannot answer.
    fn give_up(&mut self, reason: HangupReason) {
        self.ending.reason.get_or_insert(reason);
        self.emit(Event::HangupAsked { reason });
        self.end();
    }

    fn end(&mut self) {
        self.drop_turn();
        self.timers.clear_all();
        self.phase = Phase::Ended;
        let disposition = Disposition::of(&self.ending);
        let clipped = self.ending.clipped && disposition == Disposition::MessageLeft;
        let outcome = if clipped { Some(CLIPPED.to_owned()) } else { self.outcome.take() };
        self.emit(Event::Ended { disposition, outcome });
    }

    /// Forgets what the person was saying, and tells the engine.
    fn drop_turn(&mut self) {
        if let Some(turn) = self.ears.end_turn().filter(Turn::in_flight) {
            self.commands.push_back(Command::CancelTranscription(turn.utterance()));
        }
    }

    fn emit(&mut self, event: Event) {
        self.commands.push_back(Command::Emit(event));
    }
}

fn transcript_event(transcript: &Transcript) -> Event {
    let (text, gate, failure) = match &transcript.outcome {
        Heard::Text(text) => (Some(text.clone()), None, None),
        Heard::Nothing(gate) => (None, Some(*gate), None),
        Heard::Failed(failure) => (None, None, Some(*failure)),
    };
    Event::Transcript {
        utterance: transcript.utterance,
        purpose: transcript.purpose,
        to_ms: millis(transcript.to),
        text,
        others: transcript.others.clone(),
        gate,
        failure,
        queued_ms: millis(transcript.queued),
        compute_ms: millis(transcript.compute),
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
