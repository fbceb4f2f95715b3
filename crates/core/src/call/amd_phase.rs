//! From the answer to the verdict.

use std::time::{Duration, Instant};

use super::{
    AsrFailure, Call, Command, Event, Heard, Purpose, Transcribe, Transcript, millis,
    phase::{Ear, Phase},
    timer::Timer,
};
use crate::amd::{Amd, AmdFrame, AmdStep, Decision, Verdict};

impl Call {
    pub(super) fn start_amd(&mut self, now: Instant) {
        match self.config.amd {
            Some(config) => {
                self.phase = Phase::Amd { amd: Amd::new(config, self.config.pack), asked: None };
            }
            None => {
                let action = self.script.start();
                self.act(now, action);
            }
        }
    }

    pub(super) fn amd_frame(&mut self, now: Instant, ear: &Ear) {
        let media = self.ears.media;
        let Phase::Amd { amd, .. } = &mut self.phase else { return };
        let frame =
            AmdFrame { media, voiced: ear.voiced, dbfs: ear.dbfs, tone: ear.tone.as_ref(), music: ear.music };
        match amd.frame(frame) {
            None => {}
            Some(AmdStep::Decided(decision)) => self.decided(now, decision),
            Some(AmdStep::Transcribe { to, voiced }) => self.ask_amd(now, to, voiced),
        }
    }

    fn ask_amd(&mut self, now: Instant, to: Duration, voiced: Duration) {
        let id = self.ears.utterance();
        if let Phase::Amd { asked, .. } = &mut self.phase {
            *asked = Some(id);
        }
        let from = Duration::ZERO;
        let request = Transcribe { utterance: id, purpose: Purpose::Amd, from, to, voiced };
        self.commands.push_back(Command::Transcribe(request));
        self.timers.set(Timer::TranscriptWait, now, self.config.amd_transcript_wait);
    }

    pub(super) fn amd_transcript(&mut self, now: Instant, transcript: &Transcript) {
        let Phase::Amd { amd, asked } = &self.phase else { return };
        if *asked == Some(transcript.utterance) {
            let decision = amd.transcript(&transcript.outcome);
            self.decided(now, decision);
        }
    }

    pub(super) fn amd_without_transcript(&mut self, now: Instant) {
        let Phase::Amd { amd, asked } = &self.phase else { return };
        let decision = amd.transcript(&Heard::Failed(AsrFailure::Late));
        let asked = *asked;
        self.commands.extend(asked.map(Command::CancelTranscription));
        self.decided(now, decision);
    }

    fn decided(&mut self, now: Instant, decision: Decision) {
        self.timers.clear(Timer::TranscriptWait);
        let speech_end = if let Phase::Amd { amd, .. } = &self.phase { amd.speech_end() } else { None };
        self.note_verdict(&decision, speech_end);
        let action = match decision.verdict {
            Verdict::Human | Verdict::Unknown | Verdict::Silence => Some(self.script.start()),
            Verdict::Voicemail
            | Verdict::MailboxFull
            | Verdict::Screening
            | Verdict::Ivr
            | Verdict::Sit
            | Verdict::Fax
            | Verdict::Tone
            | Verdict::Music => self.script.machine(decision.verdict),
        };
        let action = action.unwrap_or_else(|| self.script.start());
        self.act(now, action);
    }

    pub(super) fn note_verdict(&mut self, decision: &Decision, speech_end: Option<Duration>) {
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

    /// The far side's greeting is on: its beep's end, or its silence, starts the message.
    pub(super) fn awaiting_message_frame(&mut self, now: Instant, ear: &Ear) {
        let media = self.ears.media;
        let silence_needed = self.config.message_silence;
        let Phase::AwaitingMessage(wait) = &mut self.phase else { return };
        if ear.voiced {
            wait.last_voice = Some(media);
        }
        let beeped = ear.beep_ended.is_some();
        // Whoever was still talking at the verdict may pause; silence counts from the later of the two.
        let quiet_since = wait.last_voice.unwrap_or(wait.since);
        let fell_silent = media.saturating_sub(quiet_since) >= silence_needed;
        let waited = media.saturating_sub(wait.since) >= wait.max_wait;
        if beeped || fell_silent || waited {
            self.emit(Event::MessageStart { by_beep: beeped, at_ms: millis(media) });
            if let Some(action) = self.script.message_ready() {
                self.act(now, action);
            }
        }
    }
}
