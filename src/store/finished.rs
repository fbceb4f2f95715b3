//! What a call came to, gathered from its events.

use sidetone_core::{
    amd::{Cause, Verdict},
    call::{Account, Disposition, Event, HangupCause},
};

use super::SuppressionSource;

/// The built-in intent of who does not want to be called again, and the outcome of a scenario that heard so.
const OPT_OUT_INTENT: &str = "opt_out";
const OPTED_OUT: &str = "opted_out";

/// What a call came to. Times in `*_ms` without "unix" are media time since the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedCall {
    /// Unix milliseconds.
    pub ended_ms: i64,
    /// Unix milliseconds.
    pub answered_ms: Option<i64>,
    pub disposition: Disposition,
    pub verdict: Option<Verdict>,
    pub cause: Option<Cause>,
    pub hangup_cause: Option<HangupCause>,
    /// The scenario's own word.
    pub outcome: Option<String>,
    pub verdict_ms: Option<i64>,
    /// From the end of the last speech to the verdict.
    pub after_speech_ms: Option<i64>,
    /// From the start of the first interrupting speech to the decision to fall silent.
    pub barge_in_ms: Option<i64>,
    /// The person asked not to be called again, in this way: their number goes onto the do-not-call list.
    pub opt_out: Option<SuppressionSource>,
    /// The latest answer was a key.
    pub keyed: bool,
    /// What it was for whoever answered.
    pub account: Account,
}

impl FinishedCall {
    /// A call of which nothing but its end is known.
    #[must_use]
    pub fn new(disposition: Disposition, ended_ms: i64) -> Self {
        Self {
            ended_ms,
            answered_ms: None,
            disposition,
            verdict: None,
            cause: None,
            hangup_cause: None,
            outcome: None,
            verdict_ms: None,
            after_speech_ms: None,
            barge_in_ms: None,
            opt_out: None,
            keyed: false,
            account: Account::default(),
        }
    }

    /// Takes from an event what the attempt's row keeps; feed it every event of a call, in order, starting from
    /// [`Self::new`] with [`Disposition::Failed`]. `at_ms`: unix; `media_ms`: since the answer.
    pub fn observe(&mut self, at_ms: i64, media_ms: Option<i64>, event: &Event) {
        self.ended_ms = at_ms;
        self.account.observe(media_ms.and_then(|ms| u64::try_from(ms).ok()), event);
        if matches!(event, Event::Answered) {
            self.answered_ms.get_or_insert(at_ms);
        } else if let Event::Verdict { verdict, cause, at_ms, after_speech_ms, .. } = event {
            self.verdict = Some(*verdict);
            self.cause = Some(*cause);
            self.verdict_ms = i64::try_from(*at_ms).ok();
            self.after_speech_ms = after_speech_ms.and_then(|ms| i64::try_from(ms).ok());
        } else if let Event::BargeIn { after_speech_start_ms, .. } = event {
            let ms = after_speech_start_ms.and_then(|ms| i64::try_from(ms).ok());
            self.barge_in_ms = self.barge_in_ms.or(ms);
        } else if let Event::Turn { intent, .. } = event {
            self.keyed = false;
            if intent.as_deref() == Some(OPT_OUT_INTENT) {
                self.opt_out = Some(SuppressionSource::Voice);
            }
        } else if let Event::Dtmf { .. } = event {
            self.keyed = true;
        } else if let Event::HungUp { cause } = event {
            self.hangup_cause = Some(cause.clone());
        } else if let Event::Ended { disposition, outcome } = event {
            self.disposition = *disposition;
            self.outcome.clone_from(outcome);
            if outcome.as_deref() == Some(OPTED_OUT) {
                let how = if self.keyed { SuppressionSource::Dtmf } else { SuppressionSource::Scenario };
                self.opt_out.get_or_insert(how);
            }
        }
    }
}
