//! Is what comes in our own prompt coming back?
//!
//! The prompt being played is known. Its echo is the prompt again, late and weak: where the two correlate, delay
//! and gain are learned; from then on the prompt itself says how loud its echo is at every moment. What is no
//! louder than that is echo, what stands well above it is somebody talking over it. Nothing is subtracted: the
//! recogniser hears the line as it is.

use std::{sync::Arc, time::Duration};

use crate::frame::Frame;

#[cfg(test)]
mod tests;

/// Correlation works on 2000 samples a second: the band up to 1 kHz holds most of a voice.
const LOW_HZ: usize = 2000;
const LOW_PER_FRAME: usize = LOW_HZ / 50;
/// Levels are kept per 5 ms, ten low samples.
const HOP: usize = LOW_HZ / 200;
const PRE_EMPHASIS: f32 = 0.9;
/// From 60 ms before the switch said that it plays (its word comes late) to 500 ms after.
const EARLIEST: i64 = -120;
const LATEST: i64 = 1000;
const LAGS: usize = (LATEST - EARLIEST + 1) as usize;
/// Delays looked at side by side.
const ABREAST: usize = 16;
/// The correlation forgets with a time constant of half a second of sound.
const KEEP: f32 = 0.96;
/// Frames of sound before the correlation says anything, and between two looks at it.
const ENOUGH: u32 = 12;
const EVERY: u32 = 4;
/// Two looks in a row must see so much correlation at the same delay.
const ALIKE: f32 = 0.6;
const SAME_DELAY: i64 = 3;
/// Quieter than this (mean square of full scale; -58 dBFS) is no echo worth learning from.
const AUDIBLE: f32 = 1.6e-6;
/// An echo's frames lie this much around what its gain says; above is somebody else. 7 dB.
const SPREAD: f32 = 5.0;
/// Rooms and codecs smear an echo: so much of what was played in the last 100 ms still sounds. -12 dB.
const TAIL: f32 = 0.063;
const TAIL_HOPS: i64 = 20;
/// How far off the delay may be, in hops: found in this prompt, or known from an earlier one.
const SURE: i64 = 3;
const UNSURE: i64 = 12;
/// Weight of one frame in the learned gain.
const LEARN: f32 = 0.05;
/// What was played just before a break still comes back, and the break takes its time.
const BREAK_SLACK: i64 = 120;

/// A prompt's sound as its echo is sought: computed once a file, shared by all calls that play it.
#[derive(Debug, PartialEq)]
pub struct PromptAudio {
    low: Vec<f32>,
    power: Vec<f32>,
}

impl PromptAudio {
    /// `pcm`: mono at 8000 samples a second.
    #[must_use]
    pub fn new(pcm: &[i16]) -> Self {
        let mut last = 0.0;
        let low = pcm.chunks_exact(8000 / LOW_HZ).map(|chunk| emphasised(chunk, &mut last)).collect();
        let power = pcm.chunks_exact(40).map(power).collect();
        Self { low, power }
    }

    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.power.len() as u64 * 5)
    }
}

/// What is known in a call about its echo.
#[derive(Debug)]
pub struct Echo {
    played: Option<Played>,
    path: Option<Path>,
    correlation: Correlation,
    last: f32,
}

/// The prompt being played, in low samples.
#[derive(Debug)]
struct Played {
    audio: Arc<PromptAudio>,
    /// Media time of its first sample.
    origin: i64,
    /// Where in it the playback was stopped.
    until: i64,
}

/// The way an echo takes.
#[derive(Debug, Clone, Copy)]
struct Path {
    lag: i64,
    /// Power of the echo by that of the prompt.
    gain: f32,
    /// Whether this prompt's own echo was found at this delay.
    seen: bool,
}

#[derive(Debug)]
struct Correlation {
    /// By delay, the longest first.
    product: Vec<f32>,
    reference: Vec<f32>,
    own: f32,
    frames: u32,
    /// The best delay at the last look, if it was good.
    candidate: Option<i64>,
    window: Vec<f32>,
}

impl Default for Echo {
    fn default() -> Self {
        Self { played: None, path: None, correlation: Correlation::new(), last: 0.0 }
    }
}

impl Echo {
    /// A prompt's sound starts at media time `began`, `from` into its file.
    pub fn play(&mut self, audio: Arc<PromptAudio>, began: Duration, from: Duration) {
        let origin = low_samples(began) - low_samples(from);
        self.played = Some(Played { audio, origin, until: i64::MAX });
        self.correlation.reset();
        if let Some(path) = &mut self.path {
            path.seen = false;
        }
    }

    /// The prompt is stopped now.
    pub fn stop(&mut self, media: Duration) {
        if let Some(played) = &mut self.played {
            played.until = played.until.min(low_samples(media) - played.origin + BREAK_SLACK);
        }
    }

    /// Takes the frame that ends at `media`: whether it is no more than the prompt's echo.
    pub fn explains(&mut self, media: Duration, frame: &Frame) -> bool {
        let Some(played) = &self.played else { return false };
        let per = frame.samples().len() / LOW_PER_FRAME;
        let mut low = [0.0; LOW_PER_FRAME];
        for (to, chunk) in low.iter_mut().zip(frame.samples().chunks_exact(per)) {
            *to = emphasised(chunk, &mut self.last);
        }
        let level = power(frame.samples());
        let at = low_samples(media) - LOW_PER_FRAME as i64 - played.origin;
        if at - LATEST > played.audio.low.len() as i64 + LOW_PER_FRAME as i64 {
            self.played = None;
            return false;
        }
        if level > AUDIBLE && self.correlation.add(played, at, &low) {
            let found = self.correlation.look();
            self.path = self.path_found(found, at, level);
        }
        self.expected(at).is_some_and(|expected| {
            if level < expected * SPREAD {
                self.learn(at, level);
                return true;
            }
            false
        })
    }

    /// The echo's delay behind the switch's word (negative: before it) in milliseconds and its gain in dB.
    #[must_use]
    pub fn learned(&self) -> Option<(i64, f32)> {
        self.path.map(|path| (path.lag * 1000 / LOW_HZ as i64, 10.0 * path.gain.log10()))
    }

    fn path_found(&self, found: Option<(i64, f32)>, at: i64, level: f32) -> Option<Path> {
        let Some((lag, gain)) = found else { return self.path };
        let _ = (at, level);
        match self.path {
            Some(path) if path.seen && (path.lag - lag).abs() <= SAME_DELAY => Some(path),
            // Known from another prompt: the line has not changed, the gain stands until frames say otherwise.
            Some(path) if !path.seen && ratio(path.gain, gain) < SPREAD => {
                Some(Path { lag, gain: path.gain, seen: true })
            }
            Some(_) | None => Some(Path { lag, gain, seen: true }),
        }
    }

    /// Power of the echo in the frame that begins at `at`.
    fn expected(&self, at: i64) -> Option<f32> {
        let (path, played) = (self.path?, self.played.as_ref()?);
        let hop = (at - path.lag).div_euclid(HOP as i64);
        let (before, after) = if path.seen { (SURE, SURE) } else { (UNSURE, UNSURE) };
        let frame_hops = (LOW_PER_FRAME / HOP) as i64;
        let direct = played.loudest(hop - before, hop + frame_hops + after);
        let tail = played.loudest(hop - before - TAIL_HOPS, hop - before) * TAIL;
        Some(direct.max(tail) * path.gain)
    }

    /// An echo that is heard alone says how strong it is.
    fn learn(&mut self, at: i64, level: f32) {
        let (Some(path), Some(played)) = (&mut self.path, &self.played) else { return };
        let hop = (at - path.lag).div_euclid(HOP as i64);
        let reference = played.loudest(hop, hop + (LOW_PER_FRAME / HOP) as i64);
        // Where the prompt is all but silent the line's noise would be taken for a strong echo.
        if path.seen && level > AUDIBLE && reference * path.gain > AUDIBLE {
            let seen = level / reference;
            if ratio(seen, path.gain) < SPREAD {
                path.gain *= (seen / path.gain).powf(LEARN);
            }
        }
    }
}

impl Played {
    fn loudest(&self, from: i64, to: i64) -> f32 {
        let to = to.min(self.until.div_euclid(HOP as i64)).min(self.audio.power.len() as i64).max(0) as usize;
        let from = (from.max(0) as usize).min(to);
        self.audio.power[from..to].iter().copied().fold(0.0, f32::max)
    }
}

impl Correlation {
    fn new() -> Self {
        Self {
            product: vec![0.0; LAGS],
            reference: vec![0.0; LAGS],
            own: 0.0,
            frames: 0,
            candidate: None,
            window: vec![0.0; LAGS + LOW_PER_FRAME],
        }
    }

    fn reset(&mut self) {
        self.product.fill(0.0);
        self.reference.fill(0.0);
        (self.own, self.frames, self.candidate) = (0.0, 0, None);
    }

    /// Whether it is time for a look. `at`: where in the prompt the frame begins if it had no delay.
    fn add(&mut self, played: &Played, at: i64, low: &[f32; LOW_PER_FRAME]) -> bool {
        let first = at - LATEST;
        let end = played.until.min(played.audio.low.len() as i64);
        self.window.fill(0.0);
        let from = first.max(0);
        let to = (first + self.window.len() as i64).min(end);
        if from >= to {
            return false;
        }
        self.window[(from - first) as usize..(to - first) as usize]
            .copy_from_slice(&played.audio.low[from as usize..to as usize]);
        self.correlate(low);
        let mut energy: f32 = self.window[..LOW_PER_FRAME].iter().map(|r| r * r).sum();
        for (reference, ends) in self.reference.iter_mut().zip(self.window.windows(LOW_PER_FRAME + 1)) {
            *reference = *reference * KEEP + energy.max(0.0);
            energy += ends[LOW_PER_FRAME].powi(2) - ends[0].powi(2);
        }
        self.own = self.own * KEEP + low.iter().map(|x| x * x).sum::<f32>();
        self.frames += 1;
        self.frames >= ENOUGH && self.frames.is_multiple_of(EVERY)
    }

    /// The frame against the window at every delay, [`ABREAST`] delays at a time: a processor multiplies them side by
    /// side, where one delay's sum would wait for itself.
    fn correlate(&mut self, low: &[f32; LOW_PER_FRAME]) {
        for (block, products) in self.product.chunks_mut(ABREAST).enumerate() {
            let window = &self.window[block * ABREAST..];
            let mut sums = [0.0f32; ABREAST];
            if products.len() == ABREAST {
                for (x, window) in low.iter().zip(window.windows(ABREAST)) {
                    for (sum, r) in sums.iter_mut().zip(window) {
                        *sum += r * x;
                    }
                }
            } else {
                for (lag, sum) in sums.iter_mut().enumerate().take(products.len()) {
                    *sum = window[lag..].iter().zip(low).map(|(r, x)| r * x).sum();
                }
            }
            for (product, sum) in products.iter_mut().zip(sums) {
                *product = *product * KEEP + sum;
            }
        }
    }

    /// The delay and gain on which this look and the last agree.
    fn look(&mut self) -> Option<(i64, f32)> {
        let least = self.reference.iter().copied().fold(0.0, f32::max) * 0.05;
        let (best, alike) = (0..LAGS)
            .map(|lag| {
                let reference = self.reference[lag];
                let alike = if reference > least { self.product[lag].powi(2) / reference } else { 0.0 };
                (lag, alike / self.own.max(f32::MIN_POSITIVE))
            })
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        let lag = LATEST - best as i64;
        let last = self.candidate.take();
        if alike < ALIKE * ALIKE {
            return None;
        }
        self.candidate = Some(lag);
        last.filter(|last| (last - lag).abs() <= SAME_DELAY)?;
        Some((lag, self.own / self.reference[best]))
    }
}

fn ratio(a: f32, b: f32) -> f32 {
    if a > b { a / b } else { b / a }
}

fn low_samples(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4) * (LOW_HZ as i64 / 1000)
}

/// The next low sample, its low end weakened so that it weighs no more than the rest of the voice.
fn emphasised(chunk: &[i16], last: &mut f32) -> f32 {
    let mean = chunk.iter().map(|&x| f32::from(x)).sum::<f32>() / (chunk.len() as f32 * 32768.0);
    mean - PRE_EMPHASIS * std::mem::replace(last, mean)
}

/// Mean square, 1 being full scale.
fn power(pcm: &[i16]) -> f32 {
    let sum: f32 = pcm.iter().map(|&x| (f32::from(x) / 32768.0).powi(2)).sum();
    sum / pcm.len().max(1) as f32
}
