//! A campaign's states and what may lead from one to another.

use serde::{Deserialize, Serialize};

/// Where a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// Made, never run.
    Draft,
    /// Calls start as the pace allows.
    Running,
    /// No call starts; live ones go on.
    Paused,
    /// No call starts and live ones were ended. It may be run again.
    Stopped,
    /// Nobody is left to call.
    Done,
}

impl CampaignState {
    /// As the database and the tables show it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Done => "done",
        }
    }
}

/// What somebody asks of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Run,
    Pause,
    Resume,
    Stop,
    /// The dialer: nobody waits and no call lives.
    Finish,
}

/// A control that makes no sense now; the words say what would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is {}: {}", .state.word(), .advice)]
pub struct ControlRefused {
    pub state: CampaignState,
    pub advice: &'static str,
}

impl CampaignState {
    /// The state after `control`. Asking for the state it already has changes nothing.
    ///
    /// # Errors
    /// [`ControlRefused`] where the control makes no sense in this state.
    pub fn after(self, control: Control) -> Result<Self, ControlRefused> {
        let refused = |advice| Err(ControlRefused { state: self, advice });
        match (control, self) {
            (Control::Run, _) | (Control::Resume, Self::Paused | Self::Running) => Ok(Self::Running),
            (Control::Resume, Self::Draft | Self::Stopped | Self::Done) => refused("start it with `run`"),
            (Control::Pause, Self::Running | Self::Paused) => Ok(Self::Paused),
            (Control::Pause, Self::Draft | Self::Stopped | Self::Done) => {
                refused("there is nothing to pause")
            }
            (Control::Stop, Self::Running | Self::Paused | Self::Stopped) => Ok(Self::Stopped),
            (Control::Stop, Self::Draft | Self::Done) => refused("there is nothing to stop"),
            (Control::Finish, Self::Running | Self::Done) => Ok(Self::Done),
            (Control::Finish, Self::Draft | Self::Paused | Self::Stopped) => {
                refused("only a running one ends")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CampaignState as S, Control as C};

    #[test]
    fn every_control_in_every_state() {
        let states = [S::Draft, S::Running, S::Paused, S::Stopped, S::Done];
        let table = [
            (C::Run, [Some(S::Running); 5]),
            (C::Pause, [None, Some(S::Paused), Some(S::Paused), None, None]),
            (C::Resume, [None, Some(S::Running), Some(S::Running), None, None]),
            (C::Stop, [None, Some(S::Stopped), Some(S::Stopped), Some(S::Stopped), None]),
            (C::Finish, [None, Some(S::Done), None, None, Some(S::Done)]),
        ];
        for (control, expected) in table {
            for (state, expected) in states.into_iter().zip(expected) {
                assert_eq!(state.after(control).ok(), expected, "{control:?} in {state:?}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_would_do() {
        let refused = S::Stopped.after(C::Resume).unwrap_err();
        assert_eq!(refused.to_string(), "it is stopped: start it with `run`");
    }
}
