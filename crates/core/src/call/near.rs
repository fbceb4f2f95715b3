//! Is the voice the person's, or the room's, or our own?

use std::time::Duration;

use crate::{background::Levels, frame::FRAME, vad::VadFrame};

/// Voice needed before the person has begun; shorter bursts are clicks.
const ONSET: Duration = Duration::from_millis(100);
/// What a frame of something else takes from that: syllables are parted by weak sounds as long as themselves.
const ONSET_LOSS: Duration = Duration::from_millis(10);
/// Bridges the gaps between words.
const HANGOVER: Duration = Duration::from_millis(300);
/// Whoever was here so shortly ago need not begin anew, only be as near as then.
const RESUME: Duration = Duration::from_millis(700);
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
        let person = heard.voiced && !echo && heard.dbfs >= self.bar(media, attention);
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

    fn bar(&self, media: Duration, attention: Attention) -> f32 {
        match (attention, self.state) {
            (Attention::Anyone, _) => f32::MIN,
            (Attention::Interruption, State::Here { last }) if media.saturating_sub(last) <= HANGOVER => {
                self.levels.within()
            }
            (Attention::Interruption, State::Away | State::Onset { .. } | State::Here { .. }) => {
                self.levels.near()
            }
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
                *score = score.saturating_sub(ONSET_LOSS);
                if score.is_zero() {
                    self.state = State::Away;
                    self.settle(false);
                }
            }
            (State::Here { last }, true) => {
                let resumed = at.saturating_sub(*last) >= HANGOVER;
                *last = media;
                return resumed.then_some(at);
            }
            (State::Here { last }, false) => {
                if media.saturating_sub(*last) >= RESUME {
                    self.state = State::Away;
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERRUPTION: Attention = Attention::Interruption;

    /// Frames of these levels, all of them voiced: when the person was noticed, and for how long they were heard.
    fn follow(near: &mut Near, from: u64, levels: &[f32]) -> (Vec<u64>, Duration) {
        let mut noticed = Vec::new();
        let mut heard = Duration::ZERO;
        for (at, &dbfs) in levels.iter().enumerate() {
            let at = Duration::from_millis(from) + FRAME * u32::try_from(at).unwrap();
            let frame = VadFrame { at, voiced: true, speech: true, edge: None, dbfs };
            let (person, began) = near.push(at + FRAME, &frame, false, INTERRUPTION);
            heard += if person { FRAME } else { Duration::ZERO };
            noticed.extend(began.map(|began| u64::try_from(began.as_millis()).unwrap()));
        }
        (noticed, heard)
    }

    /// Syllables of 80 ms, parted by weak sounds as long.
    fn staccato(frames: usize) -> Vec<f32> {
        (0..frames).map(|i| if i % 8 < 4 { -24.0 } else { -45.0 }).collect()
    }

    #[test]
    fn syllables_with_weak_sounds_between_them_are_a_voice() {
        let (noticed, heard) = follow(&mut Near::default(), 0, &staccato(50));
        assert_eq!(noticed, [0]);
        assert!(heard >= Duration::from_millis(300), "{heard:?}");
    }

    #[test]
    fn two_clicks_are_none() {
        let mut levels = vec![-60.0; 50];
        levels[3] = -20.0;
        levels[20] = -20.0;
        assert_eq!(follow(&mut Near::default(), 0, &levels).0, Vec::<u64>::new());
    }

    #[test]
    fn who_goes_on_after_a_pause_is_heard_at_once() {
        let mut near = Near::default();
        follow(&mut near, 0, &[-24.0; 10]);
        follow(&mut near, 200, &[-60.0; 20]);
        let (noticed, heard) = follow(&mut near, 600, &[-24.0; 2]);
        assert_eq!((noticed, heard), (vec![600], Duration::from_millis(40)), "400 ms later");
        follow(&mut near, 640, &[-60.0; 40]);
        let (noticed, heard) = follow(&mut near, 1440, &[-24.0; 2]);
        assert_eq!((noticed, heard), (vec![], Duration::ZERO), "800 ms later they begin anew");
    }
}
