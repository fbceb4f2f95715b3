//! Is the voice the person's, or the room's, or our own?

use std::time::Duration;

use crate::{background::Levels, frame::FRAME, vad::VadFrame};

/// Voice needed before the person has begun; shorter bursts are clicks.
const ONSET: Duration = Duration::from_millis(100);
/// Bridges the gaps between words.
const HANGOVER: Duration = Duration::from_millis(300);
/// Levels kept until it is known whose they are: ten seconds.
const PENDING: usize = 500;
const QUIET: f32 = -80.0;

/// What the call listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    /// Nobody has spoken yet, or nobody matters: every voice is the person's.
    Anyone,
    /// The bot speaks: only who is clearly nearer than the room is the person.
    Interruption,
    /// The bot waits: only what is surely the room is not.
    Answer,
}

/// Follows the person's voice among the others.
#[derive(Debug, Default)]
pub(super) struct Near {
    levels: Levels,
    state: State,
    /// Levels of the voice being followed.
    pending: Vec<f32>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Away,
    Onset {
        since: Duration,
        score: Duration,
    },
    Here {
        last: Duration,
    },
}

impl Near {
    /// Takes the frame that ends at `media`: whether it is the person's voice, and where they began if that is
    /// known now.
    pub(super) fn push(
        &mut self,
        media: Duration,
        heard: &VadFrame,
        echo: bool,
        attention: Attention,
    ) -> (bool, Option<Duration>) {
        let person = heard.voiced && !echo && heard.dbfs >= self.bar(attention);
        // Under the echo nothing is known of the room: as if it were quiet.
        let dbfs = if echo { QUIET } else { heard.dbfs };
        self.note(dbfs, heard.speech, person, attention);
        let began = self.step(media, person);
        (person && matches!(self.state, State::Here { .. }), began)
    }

    /// What was followed was the person, or was not: the levels are learned.
    pub(super) fn settle(&mut self, person: bool) {
        for dbfs in self.pending.drain(..) {
            if person {
                self.levels.person(dbfs);
            } else {
                self.levels.background(dbfs);
            }
        }
    }

    fn bar(&self, attention: Attention) -> f32 {
        match (attention, self.state) {
            (Attention::Anyone, _) => f32::MIN,
            (Attention::Interruption, State::Here { .. }) => self.levels.within(),
            (Attention::Interruption, State::Away | State::Onset { .. }) => self.levels.near(),
            (Attention::Answer, _) => self.levels.waiting(),
        }
    }

    fn note(&mut self, dbfs: f32, speech: bool, person: bool, attention: Attention) {
        match (attention, self.state) {
            (Attention::Anyone, _) if speech && person => self.levels.person(dbfs),
            (Attention::Anyone, _) => {}
            (_, State::Away) if !person => {
                if attention == Attention::Interruption {
                    self.levels.background(dbfs);
                }
            }
            (_, State::Away | State::Onset { .. } | State::Here { .. }) => {
                if person && self.pending.len() < PENDING {
                    self.pending.push(dbfs);
                }
            }
        }
    }

    fn step(&mut self, media: Duration, person: bool) -> Option<Duration> {
        let at = media.saturating_sub(FRAME);
        match (&mut self.state, person) {
            (State::Away, false) => {}
            (State::Away, true) => self.state = State::Onset { since: at, score: FRAME },
            (State::Onset { since, score }, true) => {
                *score += FRAME;
                if *score >= ONSET {
                    let since = *since;
                    self.state = State::Here { last: media };
                    return Some(since);
                }
            }
            (State::Onset { score, .. }, false) => {
                *score = score.saturating_sub(FRAME);
                if score.is_zero() {
                    self.state = State::Away;
                    self.settle(false);
                }
            }
            (State::Here { last }, true) => *last = media,
            (State::Here { last }, false) => {
                if media.saturating_sub(*last) >= HANGOVER {
                    self.state = State::Away;
                }
            }
        }
        None
    }
}
