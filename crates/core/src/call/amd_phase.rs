//! Who answered: the verdict, its correction, and the wait for a machine to record.

use std::time::{Duration, Instant};

use super::{
    BargeInCause, Call, Command, Event, Purpose, Transcribe, Transcript, millis,
    phase::{Ear, Phase, Speaking},
    timer::Timer,
};
use crate::{
    amd::{Amd, AmdFrame, AmdProfile, AmdStep, Cause, Decision, Evidence, Look, Verdict},
    frame::FRAME,
    text::tokens,
    tones::Tone,
    turn::{Reply, TurnConfig, TurnEnd, TurnStep},
};

/// A beep this late after the answer may still be a machine's.
const LATE_BEEP: Duration = Duration::from_secs(30);
/// So much voice in our message, from so long after its start, is a second prompt (the first one's last word is not).
const CLASH: Duration = Duration::from_millis(500);
const CLASH_GUARD: Duration = Duration::from_millis(200);
/// Who picks up during a machine's greeting says so in a few words.
const PICKUP_WORDS: usize = 4;
const PICKUP_WEIGHT: f32 = 0.4;

impl Call {
    /// `rang`: for how long, where that is known.
    pub(super) fn start_amd(&mut self, now: Instant, rang: Option<Duration>) {
        match self.config.amd {
            Some(mut config) => {
                config.prior.rang = rang;
                self.amd = Some(Amd::new(config, self.config.pack));
                self.phase = Phase::Amd;
            }
            None => {
                let action = self.script.start();
                self.act(now, action);
            }
        }
    }

    /// `true`: a verdict fell with this frame, and the call does something else now.
    pub(super) fn amd_frame(&mut self, now: Instant, ear: &Ear) -> bool {
        let talking = match &self.phase {
            Phase::Amd => false,
            Phase::Speaking(_) | Phase::Listening(_) => true,
            Phase::Ringing { .. }
            | Phase::AwaitingMessage(_)
            | Phase::Transferring
            | Phase::HangingUp { .. }
            | Phase::Ended => return false,
        };
        if talking && self.late_beep(now, ear) {
            return true;
        }
        let media = self.ears.media;
        let Some(amd) = &mut self.amd else { return false };
        let frame = AmdFrame {
            media,
            voiced: ear.voiced,
            started: ear.speech_started,
            dbfs: ear.dbfs,
            tone: ear.tone.as_ref(),
            music: ear.music,
        };
        match amd.frame(frame) {
            None => false,
            Some(AmdStep::Decided(decision)) => {
                self.decided(now, decision);
                true
            }
            Some(AmdStep::Wait) => {
                self.timers.set(Timer::TranscriptWait, now, self.config.amd_transcript_wait);
                false
            }
            Some(AmdStep::Transcribe { from, to, voiced, look }) => {
                let utterance = self.ears.utterance();
                let purpose = match look {
                    Look::Early | Look::Last => Purpose::Amd,
                    Look::Careful => Purpose::AmdCareful,
                    Look::Late => Purpose::AmdLate,
                };
                let request = Transcribe { utterance, purpose, from, to, voiced };
                self.commands.push_back(Command::Transcribe(request));
                if look == Look::Last {
                    self.timers.set(Timer::TranscriptWait, now, self.config.amd_transcript_wait);
                }
                false
            }
        }
    }

    pub(super) fn amd_transcript(&mut self, now: Instant, transcript: &Transcript) {
        let live = matches!(self.phase, Phase::Amd | Phase::Speaking(_) | Phase::Listening(_));
        let Some(amd) = self.amd.as_mut().filter(|_| live) else { return };
        if let Some(decision) = amd.transcript(transcript) {
            self.decided(now, decision);
        }
    }

    pub(super) fn amd_without_transcript(&mut self, now: Instant) {
        if let Some(decision) = self.amd.as_mut().and_then(Amd::without_transcript) {
            self.decided(now, decision);
        }
    }

    /// The first verdict, or a correction of it.
    fn decided(&mut self, now: Instant, decision: Decision) {
        self.timers.clear(Timer::TranscriptWait);
        let is_first = matches!(self.phase, Phase::Amd);
        let speech_end = self.amd.as_ref().filter(|_| is_first).and_then(Amd::speech_end);
        self.note_verdict(&decision, speech_end);
        if !is_first {
            self.stop_playing(now, Some(BargeInCause::Machine));
            self.drop_turn();
        }
        let action = if decision.verdict.is_machine() { self.script.machine(decision.verdict) } else { None };
        let action = match action {
            Some(action) => action,
            None if is_first => self.script.start(),
            None => return,
        };
        self.act(now, action);
    }

    fn note_verdict(&mut self, decision: &Decision, speech_end: Option<Duration>) {
        self.ending.verdict = Some(decision.verdict);
        let media = self.ears.media;
        self.emit(Event::Verdict {
            verdict: decision.verdict,
            cause: decision.cause,
            confidence: decision.confidence,
            evidence: decision.evidence.clone(),
            at_ms: millis(media),
            after_speech_ms: speech_end.map(|end| millis(media.saturating_sub(end))),
        });
    }

    /// A machine's beep under our opening: it was no person after all.
    fn late_beep(&mut self, now: Instant, ear: &Ear) -> bool {
        let Some(tone) = &ear.beep_ended else { return false };
        let corrects = self.config.amd.is_some_and(|amd| amd.profile == AmdProfile::Anytime);
        let taken_for_person = corrects && self.ending.verdict.is_some_and(|verdict| !verdict.is_machine());
        if !taken_for_person || self.ending.responded || self.ears.media > LATE_BEEP {
            return false;
        }
        let decision = Decision {
            verdict: Verdict::Voicemail,
            cause: Cause::Tone,
            confidence: 0.95,
            evidence: vec![Evidence::Tone { tone: tone.tone, at_ms: millis(tone.at) }],
        };
        if let Some(amd) = &mut self.amd {
            amd.corrected();
        }
        self.decided(now, decision);
        // The beep that told us has ended: the message may start.
        if matches!(self.phase, Phase::AwaitingMessage(_)) {
            self.awaiting_message_frame(now, ear);
        }
        true
    }

    /// The far side's greeting is on: its beep's end, or its silence, starts the message.
    pub(super) fn awaiting_message_frame(&mut self, now: Instant, ear: &Ear) {
        if self.picked_up(now, ear) {
            return;
        }
        let media = self.ears.media;
        let Phase::AwaitingMessage(wait) = &mut self.phase else { return };
        if ear.voiced {
            wait.last_voice = Some(media);
        }
        let beeped = ear.beep_ended.is_some();
        // Whoever was still talking at the verdict may pause; silence counts from the later of the two.
        let quiet_since = wait.last_voice.unwrap_or(wait.since);
        let fell_silent = media.saturating_sub(quiet_since) >= wait.silence;
        let waited = media.saturating_sub(wait.since) >= wait.max_wait;
        if beeped || fell_silent || waited {
            self.drop_turn();
            if self.script.leaves_message() {
                self.emit(Event::MessageStart { by_beep: beeped, at_ms: millis(media) });
            }
            if let Some(action) = self.script.message_ready() {
                self.act(now, action);
            }
        }
    }

    /// The far side talks or beeps into our message: what was recorded of it does not begin where we began.
    pub(super) fn message_frame(&mut self, ear: &Ear) {
        let media = self.ears.media;
        let Phase::Speaking(Speaking { began: Some(began), clash, .. }) = &mut self.phase else { return };
        if ear.person && media.saturating_sub(*began) > CLASH_GUARD {
            *clash += FRAME;
        }
        let by_beep = ear.tone.as_ref().is_some_and(|tone| tone.tone == Tone::Beep);
        if (by_beep || *clash >= CLASH) && !self.ending.clipped {
            self.ending.clipped = true;
            self.emit(Event::MessageClipped { by_beep, at_ms: millis(media) });
        }
    }

    /// Somebody picks up during the greeting: a few words of a person, none of a machine.
    fn picked_up(&mut self, now: Instant, ear: &Ear) -> bool {
        if let (Some(at), None) = (ear.speech_started, &self.ears.turn) {
            // The greeting itself is of no interest: no partials.
            let never = Duration::from_secs(3600);
            self.ears
                .begin_turn(at, TurnConfig { first_look: never, look_every: never, ..self.config.listening });
        }
        let media = self.ears.media;
        let Some(turn) = &mut self.ears.turn else { return false };
        match turn.frame(media, ear.voiced, ear.dbfs) {
            Some(TurnStep::Transcribe(request)) => self.commands.push_back(Command::Transcribe(request)),
            Some(TurnStep::Over(end)) => {
                self.drop_turn();
                return self.is_person(&end) && self.greet(now, &end);
            }
            None => {}
        }
        false
    }

    fn is_person(&self, end: &TurnEnd) -> bool {
        let Reply::Said(text) = &end.reply else { return false };
        let pack = self.config.pack;
        let human: f32 = pack.human_hits(text).iter().map(|hit| hit.weight).sum();
        tokens(text).len() <= PICKUP_WORDS && human >= PICKUP_WEIGHT && pack.machine_hits(text).is_empty()
    }

    fn greet(&mut self, now: Instant, end: &TurnEnd) -> bool {
        let Reply::Said(text) = &end.reply else { return false };
        let evidence = vec![Evidence::Text { text: text.clone() }];
        let decision = Decision { verdict: Verdict::Human, cause: Cause::Phrase, confidence: 0.8, evidence };
        self.note_verdict(&decision, Some(end.speech_end));
        let action = self.script.start();
        self.act(now, action);
        true
    }
}
