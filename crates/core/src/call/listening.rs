//! The bot is silent and waits for the person's turn.

use std::time::Instant;

use super::{
    Call, Command, Digit, Event, Transcript, millis,
    phase::{Ear, Listening, Phase},
};
use crate::{
    scenario::ListenSpec,
    turn::{Reply, TurnEnd, TurnStep},
};

impl Call {
    pub(super) fn listen(&mut self, now: Instant, spec: ListenSpec) {
        self.stop_playing(now, None);
        let since = self.ears.media;
        if let Some(turn) = &mut self.ears.turn {
            turn.configure(self.config.listening);
        }
        self.phase = Phase::Listening(Listening { spec, since });
        self.emit(Event::Listening { at_ms: millis(since) });
    }

    pub(super) fn listening_frame(&mut self, now: Instant, ear: &Ear) {
        if let (Some(at), None) = (ear.speech_started, &self.ears.turn) {
            self.ears.begin_turn(at, self.config.listening);
        }
        let media = self.ears.media;
        let Phase::Listening(listening) = &self.phase else { return };
        let Some(turn) = &mut self.ears.turn else {
            if media.saturating_sub(listening.since) >= listening.spec.no_input {
                self.nothing_said(now);
            }
            return;
        };
        match turn.frame(media, ear.voiced, ear.dbfs) {
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
        if let Some(turn) = &mut self.ears.turn {
            turn.transcript(transcript);
        }
    }

    pub(super) fn turn_over(&mut self, now: Instant, end: TurnEnd) {
        let text = match end.reply {
            Reply::Noise => return,
            Reply::Unheard => String::new(),
            Reply::Said(text) => text,
        };
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
