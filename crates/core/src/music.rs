//! Is this music, not a voice?
//!
//! A note's lines stay where they are until the next note; a voice's harmonics glide with its pitch and never
//! rest for 80 ms. For each frame with sound in it: how much of the strongest spectral peaks' amplitude lies
//! within a few hertz of peaks 40 and 80 ms before? This is the continuous frequency activation of
//! K. Seyerlehner et al., "Automatic Music Detection in Television Productions" (2007), on peaks instead of
//! bins. Of people's greetings it is 0.02 in the median and never above 0.2, of music on hold 0.25 to 0.8.
//! Pauses count against music as in E. Scheirer, M. Slaney, "Construction and Evaluation of a Robust
//! Multifeature Speech/Music Discriminator" (1997): speech has many frames far below its mean level.

use crate::spectrum::{BINS, Spectrum, bin, lobe, peak_hz};

#[cfg(test)]
mod tests;

const BAND: std::ops::RangeInclusive<usize> = bin(225.0)..=bin(3200.0);
/// Peaks of a frame that are followed.
const PEAKS: usize = 8;
/// Peaks weaker than this against the strongest, in power, are noise.
const FAINTEST: f32 = 0.003;
/// How far a line may be off 40 and 80 ms later. A voice's tenth harmonic moves by more in any syllable.
const STEADY_HZ: f32 = 5.0;
/// Frames kept for comparison: 80 ms back, and half of that.
const LAG: usize = 4;
/// One line alone is a tone, which is nobody's music.
const PURE: f32 = 0.95;
/// Quieter frames are not looked at.
const QUIET_DBFS: f32 = -58.0;
/// Frames that must have been heard before anything is said: music or not, 1.2 s.
const ENOUGH: u32 = 60;
/// The average forgets what is longer ago than about this many frames, 5 s.
const MEMORY: u32 = 250;
/// Steadiness at which music is as likely as not, and how fast the odds rise with it.
const EVEN: f32 = 0.26;
const SLOPE: f32 = 27.0;
/// Share of frames far below the mean level from which on it is no music, and up to which it may be.
const PAUSES: std::ops::Range<f32> = 0.3..0.5;

type Peaks = [(f32, f32); PEAKS];

/// Follows one call's audio.
#[derive(Debug)]
pub struct MusicDetector {
    /// Peaks of the last frames, newest first; (0, 0) where there is none.
    past: [Peaks; LAG],
    steadiness: Average,
    amplitude: Average,
    /// Share of frames below half the mean amplitude.
    low: Average,
    voiced: Average,
    likelihood: f32,
}

#[derive(Debug, Default)]
struct Average {
    frames: u32,
    mean: f32,
}

impl MusicDetector {
    #[must_use]
    pub fn new() -> Self {
        Self {
            past: [[(0.0, 0.0); PEAKS]; LAG],
            steadiness: Average::default(),
            amplitude: Average::default(),
            low: Average::default(),
            voiced: Average::default(),
            likelihood: 0.0,
        }
    }

    /// Takes the next frame, which `line` has been fed, and whether the voice detector took it for a voice (music
    /// mostly is; a hum or a fan is not). Returns [`Self::likelihood`].
    pub fn push(&mut self, line: &mut Spectrum, voiced: bool) -> f32 {
        let dbfs = line.dbfs();
        let amplitude = 10f32.powf(dbfs / 20.0);
        self.amplitude.add(amplitude);
        self.low.add(if amplitude < 0.5 * self.amplitude.mean { 1.0 } else { 0.0 });
        let peaks = if dbfs > QUIET_DBFS { self.look(line.power(), voiced) } else { [(0.0, 0.0); PEAKS] };
        self.past.rotate_right(1);
        self.past[0] = peaks;
        self.likelihood = self.judge();
        self.likelihood
    }

    /// How likely all of it so far (of the last seconds, if longer) is music: 0 to 1. 0 until 1.2 s of sound
    /// were heard.
    #[must_use]
    pub fn likelihood(&self) -> f32 {
        self.likelihood
    }

    fn look(&mut self, power: &[f32; BINS], voiced: bool) -> Peaks {
        let peaks = strongest_peaks(power);
        let pure = lobe(power, bin(peaks[0].0)) > PURE * power[BAND].iter().sum::<f32>();
        if !pure {
            self.voiced.add(if voiced { 1.0 } else { 0.0 });
            let total: f32 = peaks.iter().map(|peak| peak.1).sum();
            let back = [&self.past[LAG / 2 - 1], &self.past[LAG - 1]];
            let steady: f32 = peaks
                .iter()
                .filter(|peak| {
                    back.iter().all(|past| past.iter().any(|old| (old.0 - peak.0).abs() < STEADY_HZ))
                })
                .map(|peak| peak.1)
                .sum();
            self.steadiness.add(if total > 0.0 { steady / total } else { 0.0 });
        }
        peaks
    }

    fn judge(&self) -> f32 {
        if self.steadiness.frames < ENOUGH {
            return 0.0;
        }
        let steady = 1.0 / (1.0 + (SLOPE * (EVEN - self.steadiness.mean)).exp());
        let width = PAUSES.end - PAUSES.start;
        let unbroken = ((PAUSES.end - self.low.mean) / width).clamp(0.0, 1.0);
        let sounding = (self.voiced.mean * 3.0).min(1.0);
        steady * unbroken * sounding
    }
}

impl Default for MusicDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl Average {
    fn add(&mut self, x: f32) {
        self.frames = (self.frames + 1).min(MEMORY);
        self.mean += (x - self.mean) / self.frames as f32;
    }
}

/// The strongest peaks' frequencies and amplitudes, strongest first.
fn strongest_peaks(power: &[f32; BINS]) -> Peaks {
    let mut peaks = [(0.0, 0.0); PEAKS];
    let mut bins = [0usize; PEAKS];
    let most = power[BAND].iter().copied().fold(0.0, f32::max);
    for k in BAND {
        let p = power[k];
        if p <= most * FAINTEST || p <= power[k - 1] || p < power[k + 1] {
            continue;
        }
        // Insertion into the eight strongest; a bin of 0 is a free place.
        let place = bins.iter().position(|&b| b == 0 || power[b] < p);
        if let Some(place) = place {
            bins[place..].rotate_right(1);
            bins[place] = k;
        }
    }
    for (peak, &k) in peaks.iter_mut().zip(&bins) {
        if k > 0 {
            *peak = (peak_hz(power, k), power[k].sqrt());
        }
    }
    peaks
}
