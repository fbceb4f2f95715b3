//! Having been wrong: what is heard after the first verdict.

use std::time::Duration;

use super::{Amd, AmdFrame, AmdStep, Cause, Decision, Look, Verdict};
use crate::{call::Heard, tones::Tone};

/// Looks after the first verdict, as times since the answer.
const LOOKS: [Duration; 3] = [Duration::from_millis(3500), Duration::from_secs(5), Duration::from_secs(8)];
/// New voice that is worth a look.
const WORTH: Duration = Duration::from_millis(300);

#[derive(Debug, Default)]
pub(super) struct Late {
    first: Option<Verdict>,
    corrected: bool,
    /// The person answered a prompt: only two strong phrases make a machine of them.
    answered_prompt: bool,
    passed: usize,
    /// How much voice the last look knew.
    known_voice: Duration,
}

impl Late {
    pub(super) fn begin(&mut self, decision: &Decision, media: Duration) {
        self.first = Some(decision.verdict);
        self.passed = LOOKS.iter().take_while(|look| **look <= media).count();
    }

    fn is_open(&self) -> bool {
        !self.corrected && self.first.is_some_and(|verdict| !verdict.is_machine())
    }
}

impl Amd {
    /// Whether more of the audio since the answer may be asked for.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        !self.decided || (self.late.is_open() && self.late.passed < LOOKS.len())
    }

    /// Whether music may still weigh in a decision: one is to come, or a transcript is on its way.
    #[must_use]
    pub fn weighs_music(&self) -> bool {
        self.is_listening() || (self.late.is_open() && self.looks.in_flight > 0)
    }

    /// What we talk to said or pressed something that fits.
    pub fn answered_prompt(&mut self) {
        self.late.answered_prompt = true;
    }

    /// Somebody else found out who it is.
    pub fn corrected(&mut self) {
        self.late.corrected = true;
    }

    pub(super) fn late_frame(&mut self, frame: AmdFrame<'_>) -> Option<AmdStep> {
        if !self.late.is_open() || self.config.profile != super::AmdProfile::Anytime {
            return None;
        }
        if let Some(tone) = frame.tone
            && matches!(tone.tone, Tone::Sit | Tone::FaxCed | Tone::FaxCng)
            && !self.late.answered_prompt
        {
            self.late.corrected = true;
            return Some(AmdStep::Decided(self.judged().tone(tone)));
        }
        let due = LOOKS.get(self.late.passed).is_some_and(|at| frame.media >= *at);
        if !due {
            return None;
        }
        self.late.passed += 1;
        let new_voice = self.cadence.voiced.saturating_sub(self.late.known_voice);
        if new_voice < WORTH || !self.audible() {
            return None;
        }
        self.late.known_voice = self.cadence.voiced;
        Some(self.ask(Look::Late))
    }

    pub(super) fn late_transcript(
        &mut self,
        to: Duration,
        heard: &Heard,
        others: &[String],
    ) -> Option<Decision> {
        let newer = self.looks.heard.as_ref().is_none_or(|(known, _)| *known <= to);
        if !self.late.is_open() || !newer {
            return None;
        }
        let judged = self.judged();
        let likeliest = if let Heard::Text(text) = heard { Some(text) } else { None };
        let is_machine = |it: &Decision| it.verdict.is_machine() && it.cause == Cause::Phrase;
        let decision = if self.late.answered_prompt {
            likeliest.and_then(|text| judged.two_strong_phrases(text)).filter(is_machine)?
        } else {
            let decision = likeliest.map(|text| judged.text(text)).filter(is_machine);
            decision.or_else(|| others.iter().find_map(|text| judged.reading(text)))?
        };
        self.late.corrected = true;
        Some(decision)
    }
}
