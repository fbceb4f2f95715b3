//! What is told to another system by HTTP, and when a failed delivery is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// After the first failure; doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// No longer than this between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3600);

/// Something that another system may want to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    /// A call has its outcome.
    CallEnded,
    /// Somebody asked in a call not to be called again.
    OptedOut,
    /// The service paused a campaign by itself.
    CampaignPaused,
    /// Nobody is left to call.
    CampaignDone,
}

impl WebhookEvent {
    pub const ALL: [Self; 4] = [Self::CallEnded, Self::OptedOut, Self::CampaignPaused, Self::CampaignDone];

    /// As the body and the database have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::CallEnded => "call_ended",
            Self::OptedOut => "opted_out",
            Self::CampaignPaused => "campaign_paused",
            Self::CampaignDone => "campaign_done",
        }
    }
}

/// What the receiver did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It answered with this HTTP status, and perhaps asked to be left alone for a while.
    Status { code: u16, retry_after: Option<Duration> },
    /// It could not be reached, or did not answer in time.
    Unreachable,
}

/// What follows from a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Delivered,
    Again(Duration),
    /// Not tried again by itself.
    Dead,
}

impl Next {
    /// Decides after `tries` tries, this one included, of at most `most`. `jitter`, from 0 to 1, spreads the second half
    /// of a wait, so that what failed together is not tried again together.
    ///
    /// Every 2xx is a delivery; 410 (Gone) ends it; anything else may be mended at the receiver, and is tried again. A
    /// redirection is not followed: the receiver's address is the one that was configured.
    #[must_use]
    pub fn after(reply: Reply, tries: u32, most: u32, jitter: f64) -> Self {
        let asked = match reply {
            Reply::Status { code: 200..=299, .. } => return Self::Delivered,
            Reply::Status { code: 410, .. } => return Self::Dead,
            Reply::Status { retry_after, .. } => retry_after,
            Reply::Unreachable => None,
        };
        if tries >= most {
            return Self::Dead;
        }
        let doublings = tries.saturating_sub(1).min(16);
        let wait = (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT);
        let spread = wait.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        Self::Again(asked.map_or(spread, |asked| asked.max(spread)).min(LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn status(code: u16) -> Reply {
        Reply::Status { code, retry_after: None }
    }

    fn waits(jitter: f64) -> Vec<u64> {
        let next = |tries| Next::after(status(500), tries, 20, jitter);
        (1..20)
            .map(|tries| match next(tries) {
                Next::Again(wait) => wait.as_secs(),
                Next::Delivered | Next::Dead => 0,
            })
            .collect()
    }

    #[test]
    fn what_the_receiver_took_is_delivered() {
        for code in [200, 201, 202, 204, 299] {
            assert_eq!(Next::after(status(code), 1, 20, 0.0), Next::Delivered, "{code}");
        }
    }

    #[test]
    fn failures_are_tried_again_ever_later_and_then_no_more() {
        let longest = waits(1.0);
        assert_eq!(longest[..6], [5, 10, 20, 40, 80, 160]);
        assert_eq!(longest[18], 7200);
        assert!(longest.iter().sum::<u64>() < 24 * 3600, "given up within a day");
        assert_eq!(waits(0.0)[..3], [2, 5, 10], "half of it at least");
        for reply in [status(301), status(400), status(404), status(429), status(503), Reply::Unreachable] {
            assert!(matches!(Next::after(reply, 1, 20, 0.5), Next::Again(_)), "{reply:?}");
            assert_eq!(Next::after(reply, 20, 20, 0.5), Next::Dead, "{reply:?}");
        }
    }

    #[test]
    fn a_receiver_that_is_gone_is_not_asked_again() {
        assert_eq!(Next::after(status(410), 1, 20, 0.0), Next::Dead);
    }

    #[test]
    fn a_wish_for_more_time_is_heard_within_reason() {
        let after = |secs| {
            let reply = Reply::Status { code: 503, retry_after: Some(Duration::from_secs(secs)) };
            Next::after(reply, 1, 20, 1.0)
        };
        assert_eq!(after(60), Next::Again(Duration::from_secs(60)));
        assert_eq!(after(1), Next::Again(FIRST_WAIT));
        assert_eq!(after(u64::MAX), Next::Again(LONGEST_WAIT));
    }

    #[test]
    fn words_are_those_of_the_body() {
        for event in WebhookEvent::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.word());
        }
    }
}
