//! The bot is silent and waits for the person's turn.

use std::time::{Duration, Instant};

use super::{
    Call, Command, Digit, Event, Transcript, millis,
    phase::{Broken, Ear, Listening, Phase},
};
use crate::{
    scenario::ListenSpec,
    turn::{self, Pause, Reply, TurnEnd, TurnStep},
};

/// An interruption that no words follow for so long was none.
const NO_WORDS: Duration = Duration::from_secs(2);

impl Call {
    pub(super) fn listen(&mut self, now: Instant, spec: ListenSpec) {
        self.stop_playing(now, None);
        let since = self.ears.media;
        if let Some(turn) = &mut self.ears.turn {
            turn.configure(self.config.listening);
        }
        self.phase = Phase::Listening(Listening { spec, since, broken: None });
        self.emit(Event::Listening { at_ms: millis(since) });
    }

    pub(super) fn listening_frame(&mut self, now: Instant, ear: &Ear) {
        if let (Some(at), None) = (ear.person_started, &self.ears.turn) {
            self.ears.begin_turn(at, self.config.listening);
        }
        let media = self.ears.media;
        let Phase::Listening(listening) = &self.phase else { return };
        let Some(turn) = &mut self.ears.turn else {
            if listening.broken.as_ref().is_some_and(|broken| media.saturating_sub(broken.at) >= NO_WORDS)
                && self.resume(now)
            {
                return;
            }
            let Phase::Listening(listening) = &self.phase else { return };
            if media.saturating_sub(listening.since) >= listening.spec.no_input {
                self.nothing_said(now);
            }
            return;
        };
        match turn.frame(media, ear.person, ear.dbfs) {
            Some(TurnStep::Transcribe(request)) => self.commands.push_back(Command::Transcribe(request)),
            Some(TurnStep::Over(end)) => {
                self.drop_turn();
                self.turn_over(now, end);
            }
            None => self.turn_too_long(now),
        }
    }

    /// Somebody (or a television) talks on and on: what was understood so far has to do.
    fn turn_too_long(&mut self, now: Instant) {
        let (Phase::Listening(listening), Some(turn)) = (&self.phase, &self.ears.turn) else { return };
        if self.ears.media.saturating_sub(turn.started().max(listening.since)) < listening.spec.max_turn {
            return;
        }
        let said = turn.hypothesis();
        let reply = if said.is_empty() { Reply::Unheard } else { Reply::Said(said) };
        let end = TurnEnd { reply, speech_end: turn.last_voiced(), voiced: turn.voiced() };
        self.drop_turn();
        self.turn_over(now, end);
    }

    pub(super) fn listening_transcript(&mut self, transcript: &Transcript) {
        let Some(turn) = &mut self.ears.turn else { return };
        if !turn.transcript(transcript) {
            return;
        }
        let said = turn.hypothesis();
        let pause = if turn::looks_unfinished(&said, self.config.pack) {
            Pause::Long
        } else if self.script.understands(&said) {
            Pause::Short
        } else {
            Pause::Usual
        };
        turn.pause(pause);
    }

    /// Takes up the prompt that was interrupted for nothing, if it still may be.
    fn resume(&mut self, now: Instant) -> bool {
        let Phase::Listening(listening) = &mut self.phase else { return false };
        let Some(broken) = listening.broken.take() else { return false };
        if !self.script.resume() {
            return false;
        }
        let Broken { prompt, policy, position, .. } = broken;
        self.play_from(now, prompt, Some(policy), position);
        if let Phase::Speaking(speaking) = &self.phase {
            let id = speaking.id;
            self.emit(Event::Resumed { id, from_ms: millis(position) });
        }
        true
    }

    /// Interrupted by what was only a sound of listening: nothing was meant by it here.
    fn means_nothing(&self, text: &str) -> bool {
        let Phase::Listening(listening) = &self.phase else { return false };
        listening.broken.is_some() && self.config.pack.is_filler(text) && !self.script.understands(text)
    }

    pub(super) fn turn_over(&mut self, now: Instant, end: TurnEnd) {
        let text = match end.reply {
            Reply::Noise => {
                self.ears.was_person(false);
                return;
            }
            Reply::Unheard => String::new(),
            Reply::Said(text) => text,
        };
        self.ears.was_person(true);
        if self.means_nothing(&text) && self.resume(now) {
            return;
        }
        let media = self.ears.media;
        let count = self.script.no_matches() + 1;
        let (intent, action) = self.script.heard(&text);
        if intent.is_some() {
            self.responded();
        }
        let endpoint_ms = millis(media.saturating_sub(end.speech_end));
        let understood = intent.is_some();
        self.emit(Event::Turn { text, intent, at_ms: millis(media), endpoint_ms });
        if !understood {
            self.emit(Event::NoMatch { count });
        }
        self.act(now, action);
    }

    fn nothing_said(&mut self, now: Instant) {
        let count = self.script.no_inputs() + 1;
        let action = self.script.no_input();
        self.emit(Event::NoInput { count });
        self.act(now, action);
    }

    pub(super) fn listening_dtmf(&mut self, now: Instant, digit: Digit) {
        if let Some(action) = self.script.dtmf(digit) {
            self.responded();
            self.drop_turn();
            self.act(now, action);
        }
    }
}
