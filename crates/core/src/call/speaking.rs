//! The bot speaks, and may be interrupted.

use std::time::{Duration, Instant};

use super::{
    BREAK_CONFIRM, BargeInCause, Call, Command, Digit, Event, HangupReason, Heard, PLAYBACK_LONGEST,
    PLAYBACK_START, PlayId, PlaybackEnd, Transcript, millis,
    phase::{Ear, Phase, Speaking},
    timer::Timer,
};
use crate::{
    barge_in::BargeIn,
    scenario::{Action, Prompt},
    turn::{Reply, TurnEnd, TurnStep},
};

/// What was said under the prompt answers it if it ended no longer before the prompt did.
const ASIDE_COUNTS: Duration = Duration::from_millis(1500);

impl Call {
    pub(super) fn play(&mut self, now: Instant, prompt: Prompt, barge_in: bool) {
        let id = PlayId(self.next_play);
        self.next_play += 1;
        self.stop_playing(now, None);
        // A break asked for again now would hit this prompt.
        self.timers.clear(Timer::BreakConfirm);
        let policy = barge_in.then(|| BargeIn::new(self.config.barge_in));
        let file = prompt.file.clone();
        self.commands.push_back(Command::Play { id, prompt, from: Duration::ZERO });
        self.timers.set(Timer::PlaybackOverdue, now, PLAYBACK_START);
        if let Some(turn) = &mut self.ears.turn {
            turn.configure(self.config.speaking);
        }
        self.phase = Phase::Speaking(Speaking { id, file, playing: true, began: None, policy, aside: None });
    }

    pub(super) fn playback_started(&mut self, now: Instant, id: PlayId) {
        let media = self.ears.media;
        let Phase::Speaking(speaking) = &mut self.phase else { return };
        if speaking.id != id || speaking.began.is_some() {
            return;
        }
        speaking.began = Some(media);
        let file = speaking.file.clone();
        self.timers.set(Timer::PlaybackOverdue, now, PLAYBACK_LONGEST);
        self.emit(Event::PromptStarted { id, file });
    }

    pub(super) fn playback_done(
        &mut self,
        now: Instant,
        id: PlayId,
        end: PlaybackEnd,
        heard: Option<Duration>,
    ) {
        self.emit(Event::PromptEnded { id, end, heard_ms: heard.map(millis) });
        if let Some((_, asked)) = self.breaking.take_if(|(breaking, _)| *breaking == id) {
            self.timers.clear(Timer::BreakConfirm);
            let took_ms = millis(now.saturating_duration_since(asked));
            self.emit(Event::BreakConfirmed { id, took_ms });
        }
        let Phase::Speaking(speaking) = &mut self.phase else { return };
        if speaking.id != id || !speaking.playing {
            return;
        }
        speaking.playing = false;
        if end == PlaybackEnd::Missing {
            self.hang_up(now, HangupReason::PromptMissing);
            return;
        }
        let aside = speaking.aside.take();
        self.timers.clear(Timer::PlaybackOverdue);
        let action = self.script.prompt_done();
        let listens = matches!(action, Action::Listen(_));
        self.act(now, action);
        if let (true, Some(turn)) = (listens, aside) {
            self.answer_given_early(now, turn);
        }
    }

    /// The prompt is over and the person has just answered it.
    fn answer_given_early(&mut self, now: Instant, turn: TurnEnd) {
        let recent = self.ears.media.saturating_sub(turn.speech_end) <= ASIDE_COUNTS;
        if recent && self.ears.turn.is_none() && matches!(self.phase, Phase::Listening(_)) {
            self.turn_over(now, turn);
        }
    }

    pub(super) fn playback_overdue(&mut self, now: Instant) {
        let Phase::Speaking(speaking) = &self.phase else { return };
        let (id, began) = (speaking.id, speaking.began);
        if began.is_some() {
            self.playback_done(now, id, PlaybackEnd::Done, None);
        } else {
            self.hang_up(now, HangupReason::SwitchError);
        }
    }

    pub(super) fn speaking_frame(&mut self, now: Instant, ear: &Ear) {
        if let (Some(at), None) = (ear.speech_started, &self.ears.turn) {
            self.ears.begin_turn(at, self.config.speaking);
            if let Phase::Speaking(Speaking { policy: Some(policy), .. }) = &mut self.phase {
                policy.reset();
            }
        }
        let media = self.ears.media;
        let Some(turn) = &mut self.ears.turn else { return };
        let step = turn.frame(media, ear.voiced, ear.dbfs);
        let voiced = turn.voiced();
        match step {
            Some(TurnStep::Transcribe(request)) => self.commands.push_back(Command::Transcribe(request)),
            Some(TurnStep::Over(end)) => {
                self.drop_turn();
                self.keep_aside(end);
                return;
            }
            None => {}
        }
        let Phase::Speaking(Speaking { policy: Some(policy), .. }) = &self.phase else { return };
        if ear.voiced
            && let Some(cause) = policy.speech_alone(voiced)
        {
            self.barge_in(now, cause);
        }
    }

    fn keep_aside(&mut self, end: TurnEnd) {
        if let Phase::Speaking(speaking) = &mut self.phase
            && matches!(end.reply, Reply::Said(_))
        {
            speaking.aside = Some(end);
        }
    }

    pub(super) fn speaking_transcript(&mut self, now: Instant, transcript: &Transcript) {
        let Some(turn) = &mut self.ears.turn else { return };
        if !turn.transcript(transcript) {
            return;
        }
        let pack = self.config.pack;
        let Phase::Speaking(Speaking { policy: Some(policy), .. }) = &mut self.phase else { return };
        let cause = match &transcript.outcome {
            Heard::Text(text) => policy.heard(text, pack),
            Heard::Nothing(_) => policy.heard("", pack),
            Heard::Failed(_) => None,
        };
        if let Some(cause) = cause {
            self.barge_in(now, cause);
        }
    }

    fn barge_in(&mut self, now: Instant, cause: BargeInCause) {
        let media = self.ears.media;
        let Phase::Speaking(Speaking { began, policy: Some(policy), .. }) = &self.phase else { return };
        let played = began.map_or(Duration::ZERO, |began| media.saturating_sub(began));
        if !policy.past_guard(played) {
            return;
        }
        self.stop_playing(now, Some(cause));
        let action = self.script.interrupted();
        self.act(now, action);
    }

    /// Stops the prompt being played, if one is.
    pub(super) fn stop_playing(&mut self, now: Instant, cause: Option<BargeInCause>) {
        let Phase::Speaking(Speaking { id, playing: playing @ true, .. }) = &mut self.phase else { return };
        let id = *id;
        *playing = false;
        self.timers.clear(Timer::PlaybackOverdue);
        self.breaking = Some((id, now));
        self.timers.set(Timer::BreakConfirm, now, BREAK_CONFIRM);
        self.commands.push_back(Command::StopPlayback(id));
        if let Some(cause) = cause {
            let media = self.ears.media;
            let started = self.ears.turn.as_ref().map(|turn| media.saturating_sub(turn.started()));
            let after_speech_start_ms = started.map(millis);
            self.emit(Event::BargeIn { id, cause, at_ms: millis(media), after_speech_start_ms });
        }
    }

    pub(super) fn break_unconfirmed(&mut self) {
        // One more try: the first may have fallen into a reconnect. A third could only hit the next prompt.
        if let Some((id, _)) = self.breaking {
            self.commands.push_back(Command::StopPlayback(id));
        }
    }

    pub(super) fn speaking_dtmf(&mut self, now: Instant, digit: Digit) {
        if let Some(action) = self.script.dtmf(digit) {
            self.stop_playing(now, Some(BargeInCause::Dtmf));
            self.drop_turn();
            self.responded();
            self.act(now, action);
        }
    }
}
