//! Call-progress and machine tones, told from voices and music.
//!
//! Each 20 ms frame gets a spectrum; a frame whose power lies in one narrow line is tonal. A line that stays
//! within a few hertz and a few decibels for 120 ms is a tone: no vowel does that. Two lines closer than the
//! short window resolves (440 + 480 Hz) are told apart by a bank of Goertzel filters (G. Goertzel, "An
//! algorithm for the evaluation of finite trigonometric series", 1958) over the last 100 ms, run only while
//! such a tone sounds. Lengths and pauses then say which tone it is:
//!
//! - ITU-T E.180 / Q.35: ringing 0.67 to 2.5 s on, 3 to 5 s off, 400 to 450 Hz; busy and congestion with a
//!   period of 0.3 to 1.1 s, the two halves within 0.67 to 1.5 of each other; special information tone 950,
//!   1400, 1800 Hz (+-50 Hz), 330 ms (+-70 ms) each, at most 30 ms apart (Bellcore's variants of 914 to 985,
//!   1371 to 1429 and 1777 Hz last 276 or 380 ms). E.180 Supplement 2 for the countries' own: North America
//!   rings with 440 + 480 Hz and is busy with 480 + 620 Hz, the United Kingdom rings twice with 400 + 450 Hz.
//! - ITU-T T.30: CNG 1100 Hz (+-38 Hz) for 0.5 s (+-15 %) every 3 s, CED 2100 Hz (+-15 Hz) for 2.6 to 4 s.
//! - DTMF (ITU-T Q.23/Q.24) is two lines far apart, so never one tone.
//!
//! A voicemail's beep has no standard: any other single tone from 440 to 2100 Hz. Between 385 and 460 Hz it
//! could be ringing or busy, and is taken for those until somebody has spoken on the line; after a spoken
//! greeting it is a beep at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spectrum::Spectrum;

use progress::Progress;
use track::Tracker;

mod progress;
mod track;

#[cfg(test)]
mod tests;

/// A tone somebody's equipment makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// The single tone of an answering machine.
    Beep,
    /// The three rising tones before "the number you have dialled...".
    Sit,
    /// A calling fax: 1100 Hz, 0.5 s every 3 s.
    FaxCng,
    /// An answering fax or modem: 2100 Hz.
    FaxCed,
    Ringback,
    Busy,
}

/// A tone was recognised, or a beep ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToneEvent {
    pub tone: Tone,
    /// Its frequency; of two, the lower; of the three special information tones, the first.
    pub hz: f32,
    /// Media time at which the tone began (the burst that settled it, where it repeats).
    pub at: Duration,
    /// Media time up to which it has sounded.
    pub until: Duration,
    /// A beep is told twice: when recognised (false) and when over (true). Every other tone is told once, until
    /// another kind comes, and nothing after a fax.
    pub ended: bool,
}

/// Listens to one call for tones.
#[derive(Debug)]
pub struct ToneDetector {
    tracker: Tracker,
    progress: Progress,
}

impl ToneDetector {
    #[must_use]
    pub fn new() -> Self {
        Self { tracker: Tracker::new(), progress: Progress::new() }
    }

    /// Takes the next frame, which `line` has been fed. A tone is told about 150 ms after it began at the earliest;
    /// a beep's end is told 20 to 200 ms after it, unless the beep could be a first burst of busy.
    pub fn push(&mut self, line: &mut Spectrum) -> Option<ToneEvent> {
        let heard = self.tracker.push(line);
        self.progress.step(&heard, self.tracker.now())
    }

    /// Media time passes for `frames` lost frames; a tone does not survive them.
    pub fn gap(&mut self, frames: u32) -> Option<ToneEvent> {
        let heard = self.tracker.gap(frames);
        self.progress.step(&heard, self.tracker.now())
    }
}

impl Default for ToneDetector {
    fn default() -> Self {
        Self::new()
    }
}
