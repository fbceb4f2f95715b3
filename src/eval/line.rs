//! One call on a simulated line: audio comes at its pace, prompts play, transcripts take their time. No clock.

use std::time::{Duration, Instant};

use sidetone_core::{
    call::{
        Call, CallConfig, Command, Event, Input, PhaseName, PlayId, PlaybackEnd, Transcribe, Transcript,
        UtteranceId,
    },
    frame::{FRAME, Frame},
    scenario::ScenarioRun,
};

use super::{audio::RATE, hearing::Ear};
use crate::session::history::History;

/// From the command to the first sound, and to the confirmed silence.
const SWITCH: Duration = Duration::from_millis(20);

/// Something the call reported, and when: time since the answer.
#[derive(Debug, Clone)]
pub struct Noted {
    pub at: Duration,
    pub event: Event,
}

/// How a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    Live,
    /// The core asked for its end, or for a transfer.
    Over,
}

/// A call, its recogniser and the switch it believes in.
pub struct Line<'a> {
    call: Call,
    ear: Ear<'a>,
    history: History,
    start: Instant,
    now: Instant,
    due: Vec<(Instant, Due)>,
    playing: Option<Playing>,
    /// How long the prompt of this name lasts.
    length: fn(&str) -> Duration,
    end: LineEnd,
    noted: Vec<Noted>,
}

enum Due {
    Started(PlayId),
    Done { id: PlayId, end: PlaybackEnd, heard: Duration },
    Transcript(Transcript),
}

struct Playing {
    id: PlayId,
    from: Duration,
    since: Instant,
}

impl<'a> Line<'a> {
    /// A call that is answered now. `length`: how long the prompt of a name lasts.
    #[must_use]
    pub fn answered(
        config: CallConfig,
        script: ScenarioRun,
        ear: Ear<'a>,
        length: fn(&str) -> Duration,
    ) -> Self {
        let start = Instant::now();
        let mut history = History::new(RATE, true);
        history.answered();
        let call = Call::new(config, script, start);
        let mut line = Self {
            call,
            ear,
            history,
            start,
            now: start,
            due: Vec::new(),
            playing: None,
            length,
            end: LineEnd::Live,
            noted: Vec::new(),
        };
        line.input(Input::StreamUp);
        line.input(Input::Answered);
        line
    }

    /// The next 20 ms of the far side.
    pub fn hear(&mut self, frame: &Frame) {
        self.pass(FRAME);
        self.history.push(frame);
        self.call.handle_input(self.now, Input::Audio(frame));
        self.carry_out();
        self.history.forget_before(self.call.audio_needed_from());
    }

    /// Something else that happens now.
    pub fn input(&mut self, input: Input<'_>) {
        self.call.handle_input(self.now, input);
        self.carry_out();
    }

    /// Time since the answer.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.now.duration_since(self.start)
    }

    #[must_use]
    pub fn phase(&self) -> PhaseName {
        self.call.phase()
    }

    #[must_use]
    pub fn end(&self) -> LineEnd {
        self.end
    }

    /// Where in its prompt the bot is; `None` while it is silent.
    #[must_use]
    pub fn position(&self) -> Option<Duration> {
        self.playing.as_ref().map(|playing| playing.from + self.now.duration_since(playing.since))
    }

    /// Everything reported so far, in order.
    #[must_use]
    pub fn noted(&self) -> &[Noted] {
        &self.noted
    }

    /// Time passes: what is due and the call's own deadlines, in order.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = self.due.iter().map(|(at, _)| *at).min();
            let timeout = self.call.poll_timeout();
            let Some(next) = due.into_iter().chain(timeout).min().filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            if due.is_some_and(|at| at <= self.now) {
                self.arrive(next);
            } else {
                self.call.handle_timeout(self.now);
            }
            self.carry_out();
        }
        self.now = until;
    }

    /// The first thing due by then.
    fn arrive(&mut self, at: Instant) {
        let Some(first) = self.due.iter().position(|(due, _)| *due <= at) else { return };
        match self.due.remove(first).1 {
            Due::Started(id) => self.call.handle_input(self.now, Input::PlaybackStarted(id)),
            Due::Done { id, end, heard } => {
                self.playing.take_if(|playing| playing.id == id);
                self.call.handle_input(self.now, Input::PlaybackDone { id, end, heard: Some(heard) });
            }
            Due::Transcript(transcript) => self.call.handle_input(self.now, Input::Transcript(transcript)),
        }
    }

    // Commands and events that say nothing about the line are noted or passed over, whatever they are.
    fn carry_out(&mut self) {
        while let Some(command) = self.call.poll_command() {
            if let Command::Emit(event) = command {
                self.noted.push(Noted { at: self.time(), event });
            } else if let Command::Transcribe(request) = command {
                self.transcribe(&request);
            } else if let Command::CancelTranscription(utterance) = command {
                self.cancel(utterance);
            } else if let Command::Play { id, prompt, from, .. } = command {
                self.play(id, from, (self.length)(&prompt.file));
            } else if let Command::StopPlayback(id) = command {
                self.stop(id);
            } else if matches!(command, Command::Hangup(_) | Command::Transfer(_)) {
                self.end = LineEnd::Over;
            }
        }
    }

    fn transcribe(&mut self, request: &Transcribe) {
        let (outcome, others, compute) = self.ear.hear(request, &self.history.segment(request));
        let transcript = Transcript {
            utterance: request.utterance,
            purpose: request.purpose,
            to: request.to,
            outcome,
            others,
            queued: Duration::ZERO,
            compute,
        };
        self.due.push((self.now + compute, Due::Transcript(transcript)));
    }

    fn cancel(&mut self, utterance: UtteranceId) {
        self.due.retain(|(_, due)| !matches!(due, Due::Transcript(t) if t.utterance == utterance));
    }

    fn play(&mut self, id: PlayId, from: Duration, length: Duration) {
        let since = self.now + SWITCH;
        let heard = length.max(from);
        self.playing = Some(Playing { id, from, since });
        self.due.push((since, Due::Started(id)));
        self.due.push((since + heard.saturating_sub(from), Due::Done { id, end: PlaybackEnd::Done, heard }));
    }

    fn stop(&mut self, id: PlayId) {
        self.due.retain(|(_, due)| match due {
            Due::Started(of) | Due::Done { id: of, .. } => *of != id,
            Due::Transcript(_) => true,
        });
        let Some(playing) = self.playing.take_if(|playing| playing.id == id) else { return };
        let heard = playing.from + self.now.saturating_duration_since(playing.since);
        self.due.push((self.now + SWITCH, Due::Done { id, end: PlaybackEnd::Broken, heard }));
    }
}
