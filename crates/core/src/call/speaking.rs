//! The bot speaks, and may be interrupted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    BREAK_CONFIRM, BargeInCause, Call, Command, Digit, Event, HangupReason, Heard, PLAYBACK_LONGEST,
    PLAYBACK_START, PlayId, PlaybackEnd, Purpose, Transcript, millis,
    phase::{Broken, Ear, Listening, Phase, Speaking},
    timer::Timer,
};
use crate::{
    barge_in::{self, BargeIn, BargeInConfig, Look, without_prompt},
    echo::PromptAudio,
    scenario::{Action, Prompt},
    turn::{Reply, TurnEnd, TurnStep},
};

/// What was said under the prompt answers it if it ended no longer before the prompt did.
const ASIDE_COUNTS: Duration = Duration::from_millis(1500);

impl Call {
    pub(super) fn play(&mut self, now: Instant, prompt: Prompt, barge_in: Option<BargeInConfig>) {
        self.play_from(now, prompt, barge_in, Duration::ZERO);
    }

    pub(super) fn play_from(
        &mut self,
        now: Instant,
        prompt: Prompt,
        barge_in: Option<BargeInConfig>,
        from: Duration,
    ) {
        let id = PlayId(self.next_play);
        self.next_play += 1;
        self.stop_playing(now, None);
        // A break asked for again now would hit this prompt.
        self.timers.clear(Timer::BreakConfirm);
        let policy = barge_in.map(BargeIn::new);
        self.commands.push_back(Command::Play { id, prompt: prompt.clone(), from });
        self.timers.set(Timer::PlaybackOverdue, now, PLAYBACK_START);
        if let Some(turn) = &mut self.ears.turn {
            turn.configure(self.config.speaking);
        }
        self.phase = Phase::Speaking(Speaking {
            id,
            prompt,
            from,
            audio: None,
            playing: true,
            began: None,
            policy,
            aside: None,
            clash: Duration::ZERO,
        });
    }

    pub(super) fn prompt_audio(&mut self, id: PlayId, audio: Arc<PromptAudio>) {
        let Phase::Speaking(speaking) = &mut self.phase else { return };
        if speaking.id != id || speaking.audio.is_some() {
            return;
        }
        speaking.audio = Some(Arc::clone(&audio));
        if let Some(began) = speaking.began {
            self.ears.echo.play(audio, began, speaking.from);
        }
    }

    pub(super) fn playback_started(&mut self, now: Instant, id: PlayId) {
        let media = self.ears.media;
        let Phase::Speaking(speaking) = &mut self.phase else { return };
        if speaking.id != id || speaking.began.is_some() {
            return;
        }
        speaking.began = Some(media);
        let file = speaking.prompt.file.clone();
        if let Some(audio) = speaking.audio.clone() {
            self.ears.echo.play(audio, media, speaking.from);
        }
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
        if let (Phase::Listening(Listening { broken: Some(broken), .. }), Some(heard)) =
            (&mut self.phase, heard)
            && broken.id == id
        {
            broken.position = heard;
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
        if self.script.leaves_message() {
            self.message_frame(ear);
        }
        if let (Some(at), None) = (ear.person_started, &self.ears.turn) {
            self.ears.begin_turn(at, self.config.speaking);
            if let Phase::Speaking(Speaking { policy: Some(policy), .. }) = &mut self.phase {
                policy.reset();
            }
        }
        let media = self.ears.media;
        let Some(turn) = &mut self.ears.turn else { return };
        let step = turn.frame(media, ear.person, ear.dbfs);
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
        if ear.person
            && let Some(cause) = policy.speech_alone(voiced)
        {
            self.barge_in(now, cause);
        }
    }

    fn keep_aside(&mut self, end: TurnEnd) {
        self.ears.was_person(matches!(end.reply, Reply::Said(_)));
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
        let (pack, media) = (self.config.pack, self.ears.media);
        let speaks = barge_in::Speaking {
            look: if transcript.purpose == Purpose::EndOfTurn { Look::Over } else { Look::Partial },
            voiced: turn.voiced(),
            silence: media.saturating_sub(turn.last_voiced()),
        };
        let Phase::Speaking(speaking) = &mut self.phase else { return };
        let position = speaking.position(media);
        let length = speaking.audio.as_ref().map(|audio| audio.duration());
        let Speaking { policy: Some(policy), prompt, .. } = speaking else { return };
        let cause = match &transcript.outcome {
            Heard::Text(text) => {
                policy.heard(&without_prompt(text, &prompt.text, position, length), speaks, pack)
            }
            Heard::Nothing(_) => policy.heard("", speaks, pack),
            Heard::Failed(_) => None,
        };
        if let Some(cause) = cause {
            self.barge_in(now, cause);
        }
    }

    fn barge_in(&mut self, now: Instant, cause: BargeInCause) {
        let media = self.ears.media;
        let Phase::Speaking(speaking) = &self.phase else { return };
        let Some(policy) = &speaking.policy else { return };
        if !policy.past_guard(speaking.played(media)) {
            return;
        }
        let broken = Broken {
            id: speaking.id,
            prompt: speaking.prompt.clone(),
            policy: policy.config(),
            at: media,
            position: speaking.position(media),
        };
        self.ears.was_person(true);
        self.stop_playing(now, Some(cause));
        let action = self.script.interrupted();
        self.act(now, action);
        if let Phase::Listening(listening) = &mut self.phase {
            listening.broken = Some(broken);
        }
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
        self.ears.echo.stop(self.ears.media);
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
