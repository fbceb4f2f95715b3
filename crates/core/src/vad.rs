//! Frame by frame: is somebody speaking?
//!
//! Three layers. WebRTC's voice activity detector (`webrtc-vad`: a Gaussian mixture over six bands) says
//! whether a frame looks like a voice. An energy gate over an adaptive noise floor (the minimum of the
//! smoothed level over the last two seconds, after R. Martin, "Noise power spectral density estimation based
//! on optimal smoothing and minimum statistics", 2001) overrules it for line noise; until that floor is
//! known, only a sound with a pitch is a voice. An onset debounce and a hangover turn frames into speech with
//! a start and an end, in media time.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::frame::{FRAME, Frame, SampleRate};

pub(crate) use floor::NoiseFloor;
use pitch::Pitch;

mod floor;
mod pitch;
#[cfg(test)]
mod tests;

/// How readily the detector takes a frame for noise: WebRTC's modes 0 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VadMode {
    Quality,
    LowBitrate,
    #[default]
    Aggressive,
    VeryAggressive,
}

/// What counts as speech.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VadConfig {
    pub mode: VadMode,
    /// Voice needed before speech has started; shorter bursts are clicks.
    pub min_speech: Duration,
    /// Silence needed before speech has ended; bridges the gaps between words.
    pub hangover: Duration,
    /// Quieter than this is never a voice, whatever the noise floor says.
    pub min_dbfs: f32,
    /// How far above the noise floor a voice must be, in dB.
    pub margin_db: f32,
}

impl Default for VadConfig {
    fn default() -> Self {
        Self {
            mode: VadMode::default(),
            min_speech: Duration::from_millis(100),
            hangover: Duration::from_millis(300),
            min_dbfs: -62.0,
            margin_db: 5.0,
        }
    }
}

/// What one frame showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VadFrame {
    /// Media time at which the frame begins.
    pub at: Duration,
    /// This frame alone sounds like a voice.
    pub voiced: bool,
    /// Somebody is speaking: voiced long enough, and not yet silent for the hangover.
    pub speech: bool,
    /// Speech started or ended with this frame.
    pub edge: Option<Edge>,
    /// The frame's level.
    pub dbfs: f32,
}

/// Speech starts or ends. Both are known late (by the debounce and the hangover); `at` is when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// `at`: where the first voiced frame begins.
    Start { at: Duration },
    /// `at`: where the last voiced frame ends. `voiced`: how much of the speech was voiced.
    End { at: Duration, voiced: Duration },
}

/// One call's voice activity detector.
pub struct Vad {
    voice: WebRtc,
    rate: SampleRate,
    config: VadConfig,
    floor: NoiseFloor,
    pitch: Pitch,
    now: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Silent,
    /// Voiced frames came, not yet enough of them. `score` rises with a voiced frame and falls with another.
    Onset {
        since: Duration,
        last: Duration,
        voiced: Duration,
        score: Duration,
    },
    Speech {
        last: Duration,
        voiced: Duration,
    },
}

impl Vad {
    #[must_use]
    pub fn new(rate: SampleRate, config: VadConfig) -> Self {
        Self {
            voice: WebRtc::new(rate, config.mode),
            rate,
            config,
            floor: NoiseFloor::new(),
            pitch: Pitch::default(),
            now: Duration::ZERO,
            state: State::Silent,
        }
    }

    /// Takes the next frame.
    pub fn push(&mut self, frame: &Frame) -> VadFrame {
        if frame.rate() != self.rate {
            self.rate = frame.rate();
            self.voice = WebRtc::new(self.rate, self.config.mode);
        }
        let at = self.now;
        let dbfs = frame.dbfs();
        let gate = (self.floor.dbfs() + self.config.margin_db).max(self.config.min_dbfs);
        if !self.floor.settled() {
            self.pitch.feed(frame);
        }
        // As long as the line's noise is unknown, only what has a pitch is a voice.
        let voiced = self.voice.is_voice(frame) && dbfs > gate && (self.floor.known() || self.pitch.heard());
        self.floor.push(dbfs);
        let edge = self.step(voiced);
        VadFrame { at, voiced, speech: self.speaking(), edge, dbfs }
    }

    /// Media time passes for `frames` lost frames. They count as silence: speech can end in a gap.
    pub fn gap(&mut self, frames: u32) -> Option<Edge> {
        let mut edge = None;
        for _ in 0..frames {
            edge = self.step(false).or(edge);
        }
        edge
    }

    /// Somebody is speaking now.
    #[must_use]
    pub fn speaking(&self) -> bool {
        matches!(self.state, State::Speech { .. })
    }

    /// Media time: how much was pushed so far, gaps included.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The line's noise, as far as it is known.
    #[must_use]
    pub fn noise_dbfs(&self) -> f32 {
        self.floor.dbfs()
    }

    fn step(&mut self, voiced: bool) -> Option<Edge> {
        let at = self.now;
        self.now += FRAME;
        let now = self.now;
        match (&mut self.state, voiced) {
            (State::Silent, false) => None,
            (State::Silent, true) => {
                self.state = State::Onset { since: at, last: now, voiced: FRAME, score: FRAME };
                self.onset_done()
            }
            (State::Onset { last, voiced, score, .. }, true) => {
                *last = now;
                *voiced += FRAME;
                *score += FRAME;
                self.onset_done()
            }
            (State::Onset { score, .. }, false) => {
                *score = score.saturating_sub(FRAME);
                if score.is_zero() {
                    self.state = State::Silent;
                }
                None
            }
            (State::Speech { last, voiced }, true) => {
                *last = now;
                *voiced += FRAME;
                None
            }
            (State::Speech { last, voiced }, false) => {
                let (at, voiced) = (*last, *voiced);
                if now - at < self.config.hangover {
                    return None;
                }
                self.state = State::Silent;
                Some(Edge::End { at, voiced })
            }
        }
    }

    fn onset_done(&mut self) -> Option<Edge> {
        let State::Onset { since, last, voiced, score } = self.state else { return None };
        if score < self.config.min_speech {
            return None;
        }
        self.state = State::Speech { last, voiced };
        Some(Edge::Start { at: since })
    }
}

impl fmt::Debug for Vad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vad").field("now", &self.now).field("state", &self.state).finish_non_exhaustive()
    }
}

/// The C detector behind a door that lets it move between threads.
struct WebRtc(webrtc_vad::Vad);

#[expect(unsafe_code, reason = "the C detector is a pointer to its own allocation, shared with nobody")]
// SAFETY: `webrtc_vad::Vad` owns the one pointer to its state, which holds no thread-local data, and every use
// of it here goes through `&mut self`, so it may be used from whichever thread owns it.
unsafe impl Send for WebRtc {}

impl WebRtc {
    fn new(rate: SampleRate, mode: VadMode) -> Self {
        let rate = match rate.hz() {
            16000 => webrtc_vad::SampleRate::Rate16kHz,
            _ => webrtc_vad::SampleRate::Rate8kHz,
        };
        let mode = match mode {
            VadMode::Quality => webrtc_vad::VadMode::Quality,
            VadMode::LowBitrate => webrtc_vad::VadMode::LowBitrate,
            VadMode::Aggressive => webrtc_vad::VadMode::Aggressive,
            VadMode::VeryAggressive => webrtc_vad::VadMode::VeryAggressive,
        };
        Self(webrtc_vad::Vad::new_with_rate_and_mode(rate, mode))
    }

    /// It refuses only wrong lengths, and a `Frame` has none.
    fn is_voice(&mut self, frame: &Frame) -> bool {
        self.0.is_voice_segment(frame.samples()).unwrap_or(false)
    }
}
