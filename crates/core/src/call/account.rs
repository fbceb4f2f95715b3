//! What an answered call was for whoever answered it: the account that rules about abandoned and silent calls ask for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Event, HangupCause, HangupReason, millis};
use crate::amd::Verdict;

/// A person is to hear something within this after the end of their greeting. The US rule (16 CFR 310.4(b)(1)(iv))
/// and Ofcom's persistent misuse statement both say two seconds.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// What an answered call counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Somebody answered and heard us in time.
    Person,
    /// Somebody heard us too late.
    Abandoned,
    /// Somebody heard nothing at all: the worse kind of abandoned.
    Silent,
    /// A machine by our verdict.
    Machine,
    /// Nobody that we know of: they said and pressed nothing, or left before we could have spoken.
    Nobody,
}

impl Answer {
    /// Whether somebody heard us too late or not at all.
    #[must_use]
    pub fn is_abandoned(self) -> bool {
        matches!(self, Self::Abandoned | Self::Silent)
    }
}

/// Why an answered call was abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abandoned {
    /// They first heard us more than [`CONNECT_WITHIN`] after their greeting.
    Late,
    /// We ended it before they heard anything.
    HungUp,
    /// They waited for longer than [`CONNECT_WITHIN`], heard nothing and hung up.
    GivenUp,
    /// It was lost (a crash, the switch) before they heard anything that we know of.
    Lost,
}

/// Who ended an answered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    Callee,
    Us,
    /// They were put through; what came after is not ours to see.
    Transferred,
    Unknown,
}

/// What became of one call. Times are media time since the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Settled {
    pub answer: Answer,
    pub abandoned: Option<Abandoned>,
    pub ended_by: EndedBy,
    /// From the end of the greeting to the first thing they heard of us; `None`: no greeting, or nothing heard.
    pub greeting_to_audio_ms: Option<u64>,
}

/// Follows one call's events. A call of which no event is known was not answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    answered: bool,
    verdict: Option<Verdict>,
    /// Media time of the latest event.
    media: u64,
    speaking: bool,
    /// Where the last speech before our first word ended.
    speech_end: Option<u64>,
    /// Where their greeting ended, once a verdict let us speak.
    greeting_end: Option<u64>,
    /// When we were first heard after that.
    heard: Option<u64>,
    responded: bool,
    transferred: bool,
    asked: Option<HangupReason>,
    /// The switch said how the leg ended.
    ended: bool,
    lost: bool,
}

impl Account {
    /// Takes in an event; feed it every event of a call, in order. `media_ms`: media time since the answer.
    pub fn observe(&mut self, media_ms: Option<u64>, event: &Event) {
        self.media = self.media.max(media_ms.unwrap_or_default());
        if matches!(event, Event::Answered) {
            self.answered = true;
        } else if matches!(event, Event::SpeechStarted { .. }) {
            self.speaking = true;
        } else if let Event::SpeechEnded { at_ms, .. } = event {
            self.speaking = false;
            if self.heard.is_none() {
                self.speech_end = Some(*at_ms);
            }
        } else if let Event::Verdict { verdict, at_ms, after_speech_ms, .. } = event {
            self.judged(*verdict, *at_ms, *after_speech_ms);
        } else if matches!(event, Event::PromptStarted { .. } | Event::Transfer { .. }) {
            self.transferred |= matches!(event, Event::Transfer { .. });
            self.heard.get_or_insert(self.media);
        } else if matches!(event, Event::Turn { .. } | Event::Dtmf { .. }) {
            self.responded = true;
        } else if let Event::HangupAsked { reason } = event {
            self.asked.get_or_insert(*reason);
        } else if let Event::HungUp { cause } = event {
            self.ended = true;
            self.lost = cause.as_str() == HangupCause::LOST;
        }
    }

    /// The account as it stands; `None`: nobody and nothing answered.
    #[must_use]
    pub fn settle(&self) -> Option<Settled> {
        if !self.answered {
            return None;
        }
        let ended_by = self.ended_by();
        let (answer, abandoned) = self.judge(ended_by);
        let greeting_to_audio_ms = match answer {
            Answer::Machine | Answer::Nobody => None,
            Answer::Person | Answer::Abandoned | Answer::Silent => self.gap(),
        };
        Some(Settled { answer, abandoned, ended_by, greeting_to_audio_ms })
    }

    fn judged(&mut self, verdict: Verdict, at_ms: u64, after_speech_ms: Option<u64>) {
        let was_machine = self.verdict.is_some_and(Verdict::is_machine);
        self.verdict = Some(verdict);
        if !verdict.is_machine() && (self.greeting_end.is_none() || was_machine) {
            self.greeting_end = after_speech_ms.map(|ms| at_ms.saturating_sub(ms));
            // What a machine or a screener was told before, this person did not hear.
            if was_machine {
                self.heard = None;
            }
        }
    }

    fn ended_by(&self) -> EndedBy {
        match self.asked {
            _ if self.transferred => EndedBy::Transferred,
            _ if self.lost => EndedBy::Unknown,
            Some(HangupReason::SwitchLost) => EndedBy::Unknown,
            Some(
                HangupReason::ScenarioEnd
                | HangupReason::Machine
                | HangupReason::RingTimeout
                | HangupReason::MaxDuration
                | HangupReason::MediaLost
                | HangupReason::PromptMissing
                | HangupReason::SwitchError
                | HangupReason::Operator
                | HangupReason::Shutdown,
            ) => EndedBy::Us,
            None if self.ended => EndedBy::Callee,
            None => EndedBy::Unknown,
        }
    }

    fn judge(&self, ended_by: EndedBy) -> (Answer, Option<Abandoned>) {
        let somebody_came = self.verdict == Some(Verdict::Screening) && self.responded;
        if self.verdict.is_some_and(Verdict::is_machine) && !somebody_came {
            return (Answer::Machine, None);
        }
        if self.heard.is_some() {
            if self.gap().is_some_and(|gap| gap > millis(CONNECT_WITHIN)) {
                return (Answer::Abandoned, Some(Abandoned::Late));
            }
            let is_person = self.verdict == Some(Verdict::Human) || self.responded;
            return (if is_person { Answer::Person } else { Answer::Nobody }, None);
        }
        match ended_by {
            EndedBy::Us => (Answer::Silent, Some(Abandoned::HungUp)),
            EndedBy::Unknown => (Answer::Silent, Some(Abandoned::Lost)),
            EndedBy::Callee if self.waited() > millis(CONNECT_WITHIN) => {
                (Answer::Silent, Some(Abandoned::GivenUp))
            }
            EndedBy::Callee | EndedBy::Transferred => (Answer::Nobody, None),
        }
    }

    fn gap(&self) -> Option<u64> {
        Some(self.heard?.saturating_sub(self.greeting_end?))
    }

    /// For how long they had been silent and heard nothing when the call ended; nobody greeted: not at all.
    fn waited(&self) -> u64 {
        let greeted = self.greeting_end.or(self.speech_end).filter(|_| !self.speaking);
        greeted.map_or(0, |end| self.media.saturating_sub(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{amd::Cause, call::PlayId};

    fn verdict(verdict: Verdict, at_ms: u64, after_speech_ms: Option<u64>) -> (u64, Event) {
        let (cause, confidence, evidence) = (Cause::ShortGreeting, 0.9, Vec::new());
        (at_ms, Event::Verdict { verdict, cause, confidence, evidence, at_ms, after_speech_ms })
    }

    fn prompt(at_ms: u64) -> (u64, Event) {
        (at_ms, Event::PromptStarted { id: PlayId(1), file: "hello.wav".to_owned() })
    }

    fn asked(at_ms: u64, reason: HangupReason) -> (u64, Event) {
        (at_ms, Event::HangupAsked { reason })
    }

    fn gone(at_ms: u64) -> (u64, Event) {
        (at_ms, Event::HungUp { cause: HangupCause::new("NORMAL_CLEARING") })
    }

    fn said(at_ms: u64) -> (u64, Event) {
        (at_ms, Event::Turn { text: "yes".to_owned(), intent: None, at_ms, endpoint_ms: 600 })
    }

    /// An answered call in which somebody says hello from 200 to 600 ms.
    fn settle(events: &[(u64, Event)]) -> Settled {
        let hello = [
            (0, Event::Answered),
            (220, Event::SpeechStarted { at_ms: 200 }),
            (800, Event::SpeechEnded { at_ms: 600, voiced_ms: 380 }),
        ];
        settle_all(&[&hello, events].concat()).unwrap()
    }

    fn settle_all(events: &[(u64, Event)]) -> Option<Settled> {
        let mut account = Account::default();
        events.iter().for_each(|(media, event)| account.observe(Some(*media), event));
        account.settle()
    }

    #[test]
    fn a_person_who_hears_us_in_time_is_a_live_answer() {
        let call = settle(&[
            verdict(Verdict::Human, 1050, Some(450)),
            prompt(1100),
            asked(9000, HangupReason::ScenarioEnd),
            gone(9020),
        ]);
        let expected = Settled {
            answer: Answer::Person,
            abandoned: None,
            ended_by: EndedBy::Us,
            greeting_to_audio_ms: Some(500),
        };
        assert_eq!(call, expected);
    }

    #[test]
    fn two_seconds_after_the_greeting_is_in_time_and_no_more() {
        let heard_at = |at| settle(&[verdict(Verdict::Human, 1050, Some(450)), prompt(at), gone(9000)]);
        assert_eq!((heard_at(2600).answer, heard_at(2600).abandoned), (Answer::Person, None));
        assert_eq!(heard_at(2620).answer, Answer::Abandoned);
        assert_eq!(heard_at(2620).abandoned, Some(Abandoned::Late));
        assert_eq!(heard_at(2620).greeting_to_audio_ms, Some(2020));
    }

    #[test]
    fn a_person_whom_we_hang_up_on_before_a_word_had_a_silent_call() {
        for reason in [HangupReason::Operator, HangupReason::Shutdown, HangupReason::PromptMissing] {
            let call = settle(&[verdict(Verdict::Human, 1050, Some(450)), asked(1200, reason), gone(1220)]);
            assert_eq!(
                (call.answer, call.abandoned),
                (Answer::Silent, Some(Abandoned::HungUp)),
                "{reason:?}"
            );
        }
        // Nor does it help that nobody could be heard: no audio came.
        let deaf = [(0, Event::Answered), asked(0, HangupReason::MediaLost), gone(0)];
        assert_eq!(settle_all(&deaf).unwrap().answer, Answer::Silent);
    }

    #[test]
    fn who_leaves_at_once_is_not_counted_and_who_waits_in_vain_is() {
        let left = |at| settle(&[gone(at)]);
        assert_eq!((left(2500).answer, left(2500).ended_by), (Answer::Nobody, EndedBy::Callee));
        assert_eq!((left(2700).answer, left(2700).abandoned), (Answer::Silent, Some(Abandoned::GivenUp)));
        // Still talking: not waiting.
        let talking = [(0, Event::Answered), (220, Event::SpeechStarted { at_ms: 200 }), gone(5000)];
        assert_eq!(settle_all(&talking).unwrap().answer, Answer::Nobody);
    }

    #[test]
    fn a_call_lost_before_a_word_is_abandoned_and_after_one_is_not() {
        let crashed = settle(&[verdict(Verdict::Unknown, 2300, Some(1700))]);
        assert_eq!((crashed.answer, crashed.abandoned), (Answer::Silent, Some(Abandoned::Lost)));
        assert_eq!(crashed.ended_by, EndedBy::Unknown);
        let later = settle(&[verdict(Verdict::Human, 1050, Some(450)), prompt(1100)]);
        assert_eq!((later.answer, later.ended_by), (Answer::Person, EndedBy::Unknown));
        let switch = settle(&[asked(1500, HangupReason::SwitchLost)]);
        assert_eq!((switch.answer, switch.abandoned), (Answer::Silent, Some(Abandoned::Lost)));
    }

    #[test]
    fn machines_are_machines_until_a_person_comes() {
        let machine = [verdict(Verdict::Voicemail, 2000, None), asked(2000, HangupReason::Machine)];
        assert_eq!(settle(&machine).answer, Answer::Machine);
        let corrected =
            [verdict(Verdict::Human, 1050, Some(450)), prompt(1100), verdict(Verdict::Voicemail, 3500, None)];
        assert_eq!(settle(&corrected).answer, Answer::Machine);
        // Picked up during the greeting; the message to the machine does not count as heard.
        let picked_up = settle(&[
            verdict(Verdict::Voicemail, 2000, None),
            prompt(4000),
            verdict(Verdict::Human, 6000, Some(400)),
            prompt(6100),
            gone(9000),
        ]);
        assert_eq!((picked_up.answer, picked_up.greeting_to_audio_ms), (Answer::Person, Some(500)));
        let screened = [verdict(Verdict::Screening, 2000, None), prompt(2100), said(9000), gone(9500)];
        assert_eq!(settle(&screened).answer, Answer::Person);
    }

    #[test]
    fn who_never_says_a_word_is_nobody_unless_they_answer_the_prompt() {
        let unsure = [verdict(Verdict::Unknown, 2300, Some(1700)), prompt(2400)];
        assert_eq!(settle(&[&unsure[..], &[gone(9000)]].concat()).answer, Answer::Nobody);
        assert_eq!(settle(&[&unsure[..], &[said(5000), gone(9000)]].concat()).answer, Answer::Person);
        let key = (5000, Event::Dtmf { digit: crate::call::Digit::new('1').unwrap() });
        let quiet = [(0, Event::Answered), verdict(Verdict::Silence, 2300, None), prompt(2400)];
        assert_eq!(settle_all(&[&quiet[..], &[gone(9000)]].concat()).unwrap().answer, Answer::Nobody);
        let pressed = settle_all(&[&quiet[..], &[key, gone(9000)]].concat()).unwrap();
        assert_eq!((pressed.answer, pressed.greeting_to_audio_ms), (Answer::Person, None));
    }

    #[test]
    fn being_put_through_is_being_heard() {
        let through = [
            verdict(Verdict::Human, 1050, Some(450)),
            (1100, Event::Transfer { target: "1000".to_owned() }),
            gone(1200),
        ];
        assert_eq!(
            (settle(&through).answer, settle(&through).ended_by),
            (Answer::Person, EndedBy::Transferred)
        );
    }

    #[test]
    fn a_call_that_nobody_answered_has_no_account() {
        assert_eq!(settle_all(&[(0, Event::Ringing), gone(0)]), None);
    }
}
