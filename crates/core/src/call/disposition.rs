//! What a call came to, from how it went.

use super::{Disposition, HangupCause, HangupReason};
use crate::amd::Verdict;

/// Everything a disposition is decided from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    pub answered: bool,
    pub verdict: Option<Verdict>,
    /// What the scenario said when it reached an end.
    pub outcome: Option<Disposition>,
    pub transferred: bool,
    /// Whether the person said or pressed anything the scenario could use.
    pub responded: bool,
    /// The far side talked or beeped into the message left with it.
    pub clipped: bool,
    /// Why we asked for the end, if we did.
    pub reason: Option<HangupReason>,
    pub cause: Option<HangupCause>,
}

impl Disposition {
    /// The one place where a call's ending is put into business words.
    #[must_use]
    pub fn of(ending: &Ending) -> Self {
        if ending.transferred {
            return Self::Transferred;
        }
        if !ending.answered {
            return Self::unanswered(ending);
        }
        if matches!(ending.reason, Some(HangupReason::PromptMissing | HangupReason::SwitchError)) {
            return Self::Failed;
        }
        if ending.outcome == Some(Self::MessageLeft) {
            return Self::MessageLeft;
        }
        // Behind a screener somebody may have come to the telephone after all.
        let somebody_came = ending.verdict == Some(Verdict::Screening) && ending.responded;
        if let Some(machine) = ending.verdict.and_then(Self::of_machine).filter(|_| !somebody_came) {
            // A scenario that went on with a machine still reports the machine.
            return machine;
        }
        if let Some(outcome) = ending.outcome {
            return outcome;
        }
        match ending.reason {
            None => Self::hung_up_by_person(ending),
            Some(HangupReason::ScenarioEnd | HangupReason::Machine) => Self::Completed,
            Some(HangupReason::MaxDuration | HangupReason::Operator | HangupReason::Shutdown) => {
                Self::Cancelled
            }
            Some(
                HangupReason::RingTimeout
                | HangupReason::MediaLost
                | HangupReason::SwitchLost
                | HangupReason::PromptMissing
                | HangupReason::SwitchError,
            ) => Self::Failed,
        }
    }

    fn hung_up_by_person(ending: &Ending) -> Self {
        let lost = ending.cause.as_ref().is_some_and(|c| c.as_str() == HangupCause::LOST);
        if lost {
            Self::Lost
        } else if ending.verdict == Some(Verdict::Silence) && !ending.responded {
            Self::NoInput
        } else {
            Self::HungUp
        }
    }

    fn of_machine(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Voicemail | Verdict::Tone | Verdict::Music => Some(Self::Machine),
            Verdict::MailboxFull => Some(Self::MailboxFull),
            Verdict::Screening => Some(Self::Screened),
            Verdict::Ivr => Some(Self::Ivr),
            Verdict::Sit => Some(Self::NotInService),
            Verdict::Fax => Some(Self::Fax),
            Verdict::Human | Verdict::Silence | Verdict::Unknown => None,
        }
    }

    /// From the Q.850 name of a leg that was never answered.
    fn unanswered(ending: &Ending) -> Self {
        match ending.reason {
            Some(HangupReason::RingTimeout) => return Self::NoAnswer,
            Some(HangupReason::Operator | HangupReason::Shutdown) => return Self::Cancelled,
            Some(HangupReason::SwitchLost | HangupReason::SwitchError) => return Self::Failed,
            Some(
                HangupReason::ScenarioEnd
                | HangupReason::Machine
                | HangupReason::MaxDuration
                | HangupReason::MediaLost
                | HangupReason::PromptMissing,
            )
            | None => {}
        }
        match ending.cause.as_ref().map_or("", HangupCause::as_str) {
            "USER_BUSY" => Self::Busy,
            "NO_ANSWER" | "NO_USER_RESPONSE" | "ALLOTTED_TIMEOUT" | "ORIGINATOR_CANCEL"
            | "PROGRESS_TIMEOUT" | "SUBSCRIBER_ABSENT" => Self::NoAnswer,
            "CALL_REJECTED"
            | "USER_CHALLENGE"
            | "OUTGOING_CALL_BARRED"
            | "INCOMING_CALL_BARRED"
            | "DECLINE" => Self::Rejected,
            "UNALLOCATED_NUMBER"
            | "NO_ROUTE_DESTINATION"
            | "NO_ROUTE_TRANSIT_NET"
            | "INVALID_NUMBER_FORMAT"
            | "NUMBER_CHANGED"
            | "USER_NOT_REGISTERED"
            | "INVALID_URL" => Self::Unreachable,
            "DESTINATION_OUT_OF_ORDER" | "FACILITY_REJECTED" => Self::Unreachable,
            "NORMAL_CIRCUIT_CONGESTION"
            | "NORMAL_TEMPORARY_FAILURE"
            | "NETWORK_OUT_OF_ORDER"
            | "SWITCH_CONGESTION"
            | "REQUESTED_CHAN_UNAVAIL"
            | "GATEWAY_DOWN" => Self::Congestion,
            HangupCause::LOST => Self::Lost,
            // A leg that ends unanswered with a "normal" cause was given up by the far side.
            "NORMAL_CLEARING" | "NORMAL_UNSPECIFIED" => Self::NoAnswer,
            _ => Self::Failed,
        }
    }
}
