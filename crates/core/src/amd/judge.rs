//! From evidence to a verdict. Weights are log-odds of a machine; a confidence is their logistic.

use std::time::Duration;

use super::{AmdProfile, Cadence, Cause, Evidence, Prior, Verdict};
use crate::{
    text::{PhraseHit, PhrasePack, tokens},
    tones::{Tone, ToneEvent},
};

/// A verdict with its grounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub verdict: Verdict,
    pub cause: Cause,
    /// 0.5 (a guess) to 1.
    pub confidence: f32,
    pub evidence: Vec<Evidence>,
}

/// Before anything is heard, a person is a little likelier than a machine.
const PRIOR: f32 = -0.6;
/// From here on it is a machine, where one person in a hundred may be taken for one: a wrong "machine" hangs up on a
/// person, a wrong "human" only talks to a machine.
const MACHINE: f32 = 1.7;
/// A phrase that hardly anybody says who is not a machine.
const STRONG: f32 = 0.9;
/// What a reading that is not the likeliest must have of machines' phrases.
const READING: f32 = 0.7;
/// Log-odds of a phrase of weight 1, which a pack calls enough alone.
const MACHINE_PHRASE: f32 = 3.0;
/// What a person says at the telephone starts many a recorded greeting too.
const HUMAN_PHRASE: f32 = 1.2;
/// Below this it is a person.
const HUMAN: f32 = -1.0;
/// So many words in 2.3 s are a recorded announcement's pace.
const MANY_WORDS: usize = 9;
const MUSIC: f32 = 0.9;
/// Whoever still speaks now did not only say hello.
const LONG: Duration = Duration::from_millis(2000);
/// Behind the window, where a machine is a correction.
const LATE: Duration = Duration::from_millis(3000);

/// What has been heard, ready to be judged.
pub(super) struct Judged<'a> {
    pub(super) pack: &'a PhrasePack,
    pub(super) profile: AmdProfile,
    pub(super) cadence: Cadence,
    pub(super) peak_dbfs: f32,
    pub(super) music: f32,
    /// The score from which on it is a machine.
    pub(super) threshold: f32,
    pub(super) prior: Prior,
}

/// A smaller budget of people taken for machines asks for more evidence: log-odds, as the score is.
pub(super) fn threshold(max_human_as_machine: f32) -> f32 {
    let budget = max_human_as_machine.clamp(0.0005, 0.2);
    MACHINE + 0.5 * (0.01 / budget).ln()
}

impl Judged<'_> {
    pub(super) fn tone(&self, event: &ToneEvent) -> Decision {
        let verdict = match event.tone {
            Tone::Sit => Verdict::Sit,
            Tone::FaxCng | Tone::FaxCed => Verdict::Fax,
            Tone::Ringback | Tone::Busy => Verdict::Tone,
            // A beep behind speech ends a greeting; alone it is only a tone.
            Tone::Beep if self.cadence.voiced >= Duration::from_millis(600) => Verdict::Voicemail,
            Tone::Beep => Verdict::Tone,
        };
        let mut evidence = vec![Evidence::Tone { tone: event.tone, at_ms: millis(event.at) }];
        evidence.extend(self.heard());
        Decision { verdict, cause: Cause::Tone, confidence: 0.97, evidence }
    }

    pub(super) fn silence(&self) -> Decision {
        Decision {
            verdict: Verdict::Silence,
            cause: Cause::NoSpeech,
            confidence: 0.9,
            evidence: self.heard(),
        }
    }

    /// There was voice, and the recogniser found no words in it. That never makes a machine.
    pub(super) fn no_words(&self) -> Decision {
        let evidence = self.heard();
        if self.music >= MUSIC {
            return Decision {
                verdict: Verdict::Music,
                cause: Cause::Cadence,
                confidence: self.music,
                evidence,
            };
        }
        // Acted on like a person, and as soon; but a bar of music sounds so too.
        let cause = if self.short_greeting() { Cause::ShortGreeting } else { Cause::NoEvidence };
        Decision { verdict: Verdict::Unknown, cause, confidence: 0.5, evidence }
    }

    /// Cadence alone takes too many people for machines to say "machine" by itself.
    pub(super) fn without_transcript(&self) -> Decision {
        let evidence = self.heard();
        let (verdict, confidence) =
            if self.short_greeting() { (Verdict::Human, 0.75) } else { (Verdict::Unknown, 0.5) };
        Decision { verdict, cause: Cause::AsrUnavailable, confidence, evidence }
    }

    pub(super) fn by_cadence(&self, verdict: Verdict) -> Decision {
        Decision { verdict, cause: Cause::Cadence, confidence: 0.6, evidence: self.heard() }
    }

    /// Against somebody who has answered a prompt.
    pub(super) fn two_strong_phrases(&self, text: &str) -> Option<Decision> {
        let strong = self.pack.machine_hits(text).iter().filter(|hit| hit.weight >= STRONG).count();
        (strong >= 2).then(|| self.text(text))
    }

    pub(super) fn text(&self, text: &str) -> Decision {
        if self.profile == AmdProfile::Batch {
            return self.keywords(text);
        }
        let mut machine = self.pack.machine_hits(text);
        machine.extend(self.pack.machine_hints(text));
        let human = self.pack.human_hits(text);
        let mut score = PRIOR + self.prior.log_odds() + MACHINE_PHRASE * weight(&machine)
            - HUMAN_PHRASE * weight(&human)
            + self.cadence_score(tokens(text).len());
        if machine.is_empty() {
            // Without a phrase that speaks for a machine, cadence may raise doubt, not decide.
            score = score.min(self.threshold - 0.1);
        }
        let (verdict, cause) = self.verdict(score, &machine, &human);
        let evidence = self.said(text, machine.iter().chain(&human));
        Decision { verdict, cause, confidence: confidence(score), evidence }
    }

    /// What was heard is not the likeliest reading, and makes a machine of them: a machine's words, not only a way to begin.
    pub(super) fn reading(&self, text: &str) -> Option<Decision> {
        let mut machine = self.pack.machine_hits(text);
        machine.extend(self.pack.machine_hints(text));
        (weight(&machine) >= READING).then(|| self.text(text)).filter(|it| it.verdict.is_machine())
    }

    /// The published rule: a machine's keyword makes a machine, else a person's makes a person.
    fn keywords(&self, text: &str) -> Decision {
        let (machine, human) = (self.pack.machine_hits(text), self.pack.human_hits(text));
        let found = heaviest(&machine).or((!human.is_empty()).then_some(Verdict::Human));
        let (verdict, cause, confidence) = match found {
            Some(verdict) => (verdict, Cause::Phrase, 0.9),
            None => (Verdict::Unknown, Cause::NoEvidence, 0.5),
        };
        Decision { verdict, cause, confidence, evidence: self.said(text, machine.iter().chain(&human)) }
    }

    fn said<'h>(&self, text: &str, hits: impl Iterator<Item = &'h PhraseHit>) -> Vec<Evidence> {
        let phrase = |hit: &PhraseHit| Evidence::Phrase {
            phrase: hit.phrase.clone(),
            speaks_for: hit.verdict,
            weight: hit.weight,
        };
        let mut evidence = vec![Evidence::Text { text: text.to_owned() }];
        evidence.extend(hits.map(phrase));
        evidence.extend(self.heard());
        evidence
    }

    fn verdict(&self, score: f32, machine: &[PhraseHit], human: &[PhraseHit]) -> (Verdict, Cause) {
        if score >= self.threshold {
            return (heaviest(machine).unwrap_or(Verdict::Voicemail), Cause::Phrase);
        }
        if score <= HUMAN && !human.is_empty() {
            return (Verdict::Human, Cause::Phrase);
        }
        if score <= HUMAN || (machine.is_empty() && self.short_greeting()) {
            return (Verdict::Human, Cause::ShortGreeting);
        }
        let cause = if machine.is_empty() { Cause::NoEvidence } else { Cause::Score };
        (Verdict::Unknown, cause)
    }

    /// How much the way they spoke speaks for a machine. An announcement that goes on without a pause when the
    /// window ends is five times as likely from a machine as from a person.
    fn cadence_score(&self, words: usize) -> f32 {
        let mut score = if words >= MANY_WORDS { 0.4 } else { 0.0 };
        let talks = self.cadence.trailing_silence() < Duration::from_millis(300);
        if self.short_greeting() {
            score -= 1.2;
        } else if self.cadence.media > LATE && talks {
            // Who talks for so long was not cut short by a "hello"; many people do.
            score += 0.7;
        } else if self.cadence.media >= LONG && talks && self.cadence.voiced >= Duration::from_millis(1100) {
            score += 1.4;
        } else if self.cadence.media >= LONG && talks && self.cadence.voiced >= Duration::from_millis(700) {
            score += 0.7;
        }
        score
    }

    /// A short greeting, then they wait for an answer.
    fn short_greeting(&self) -> bool {
        self.cadence.greeting() <= Duration::from_millis(1300)
            && self.cadence.trailing_silence() >= Duration::from_millis(400)
    }

    fn heard(&self) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        if self.cadence.first_voice.is_some() {
            evidence.push(Evidence::Cadence {
                voiced_ms: millis(self.cadence.voiced),
                greeting_ms: millis(self.cadence.greeting()),
                longest_pause_ms: millis(self.cadence.longest_pause),
            });
            evidence.push(Evidence::Level { peak_dbfs: self.peak_dbfs });
        }
        if self.prior.is_known() {
            let Prior { rang, earlier } = self.prior;
            let (rang_ms, log_odds) = (rang.map(millis), self.prior.log_odds());
            evidence.push(Evidence::Prior { rang_ms, earlier, log_odds });
        }
        evidence
    }
}

fn weight(hits: &[PhraseHit]) -> f32 {
    hits.iter().map(|hit| hit.weight).sum()
}

/// The class whose phrases weigh most together; the earlier class wins a draw.
fn heaviest(hits: &[PhraseHit]) -> Option<Verdict> {
    let mut sums: Vec<(Verdict, f32)> = Vec::new();
    for hit in hits {
        match sums.iter_mut().find(|(verdict, _)| *verdict == hit.verdict) {
            Some((_, sum)) => *sum += hit.weight,
            None => sums.push((hit.verdict, hit.weight)),
        }
    }
    sums.into_iter()
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(verdict, _)| verdict)
}

fn confidence(score: f32) -> f32 {
    let odds = 1.0 / (1.0 + (-score.abs()).exp());
    odds.clamp(0.5, 0.99)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
