//! The short-time spectrum of a telephone line: 40 ms windows every 20 ms, 25 Hz a bin, at either wire rate. One a
//! call, computed at most once a frame, for all detectors that look at it.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

use crate::frame::Frame;

/// Samples of one frame at the analysis rate of 8 kHz.
pub(crate) const HOP: usize = 160;
/// Samples of one window: the newest two frames.
const WINDOW: usize = 2 * HOP;
/// Hertz between two bins.
pub(crate) const BIN_HZ: f32 = 8000.0 / WINDOW as f32;
/// Bins from 0 Hz to 4 kHz.
pub(crate) const BINS: usize = WINDOW / 2 + 1;

/// One plan and one window for every call; both are read-only.
static PLAN: LazyLock<Arc<dyn RealToComplex<f32>>> =
    LazyLock::new(|| RealFftPlanner::new().plan_fft_forward(WINDOW));
static HANN: LazyLock<[f32; WINDOW]> = LazyLock::new(|| {
    std::array::from_fn(|i| 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / WINDOW as f32).cos())
});

/// Frames kept: 100 ms, for those who look more closely than one window does.
pub(crate) const KEPT: usize = 5;

/// Keeps the last frames at 8 kHz, their newest level and the power spectrum. Never allocates.
pub struct Spectrum {
    /// A ring; `newest` is where the last frame is.
    frames: [[f32; HOP]; KEPT],
    newest: usize,
    dbfs: f32,
    power: [f32; BINS],
    /// `power` is the newest frame's.
    computed: bool,
    /// Last samples of the previous 16 kHz frame, for the decimating filter.
    tail: [f32; TAPS - 1],
}

/// Half-band low pass for 16 kHz to 8 kHz; flat to 2.5 kHz, which is all the tones there are.
const HALF_BAND: [f32; TAPS] = [-0.031_25, 0.0, 0.281_25, 0.5, 0.281_25, 0.0, -0.031_25];
const TAPS: usize = 7;

impl Spectrum {
    #[must_use]
    pub fn new() -> Self {
        Self {
            frames: [[0.0; HOP]; KEPT],
            newest: 0,
            dbfs: -100.0,
            power: [0.0; BINS],
            computed: false,
            tail: [0.0; TAPS - 1],
        }
    }

    /// Takes the next frame in without looking at its spectrum.
    pub fn feed(&mut self, frame: &Frame) {
        self.newest = (self.newest + 1) % KEPT;
        self.dbfs = frame.dbfs();
        self.computed = false;
        let samples = frame.samples();
        if samples.len() == HOP {
            for (to, &from) in self.frames[self.newest].iter_mut().zip(samples) {
                *to = f32::from(from);
            }
        } else {
            self.decimate(samples);
        }
    }

    /// Level of the newest frame.
    pub(crate) fn dbfs(&self) -> f32 {
        self.dbfs
    }

    /// Power in each bin of the window that ends with the newest frame. A full-scale sine has a lobe sum of
    /// about 1.
    pub(crate) fn power(&mut self) -> &[f32; BINS] {
        if !std::mem::replace(&mut self.computed, true) {
            self.transform();
        }
        &self.power
    }

    /// The newest frames at 8 kHz, `back` = 0 being the newest; `back` below [`KEPT`].
    pub(crate) fn frame(&self, back: usize) -> &[f32; HOP] {
        &self.frames[(self.newest + KEPT - back) % KEPT]
    }

    fn transform(&mut self) {
        let (mut windowed, mut bins) = ([0.0; WINDOW], [Complex::new(0.0, 0.0); BINS]);
        let mut scratch = [Complex::new(0.0, 0.0); WINDOW];
        let window = self.frame(1).iter().chain(self.frame(0));
        for ((to, x), w) in windowed.iter_mut().zip(window).zip(HANN.iter()) {
            *to = x * w;
        }
        let done = PLAN.process_with_scratch(&mut windowed, &mut bins, &mut scratch);
        debug_assert!(done.is_ok(), "the plan's own sizes");
        // Hann's power sum is 3/8 N, a sine's two-sided power 1/4 a side: scaled so that a lobe's sum is 1.
        let scale = 32.0 / (3.0 * (WINDOW * WINDOW) as f32 * 32768.0 * 32768.0);
        for (to, bin) in self.power.iter_mut().zip(&bins) {
            *to = bin.norm_sqr() * scale;
        }
    }

    fn decimate(&mut self, samples: &[i16]) {
        let at = |i: usize, tail: &[f32; TAPS - 1]| {
            if i < TAPS - 1 { tail[i] } else { f32::from(samples[i - (TAPS - 1)]) }
        };
        for (n, to) in self.frames[self.newest].iter_mut().enumerate() {
            *to = HALF_BAND.iter().enumerate().map(|(k, tap)| tap * at(2 * n + k, &self.tail)).sum();
        }
        for (i, to) in self.tail.iter_mut().enumerate() {
            *to = f32::from(samples[samples.len() + i - (TAPS - 1)]);
        }
    }
}

impl Default for Spectrum {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Spectrum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spectrum").finish_non_exhaustive()
    }
}

/// A bin for a frequency.
pub(crate) const fn bin(hz: f32) -> usize {
    (hz / BIN_HZ + 0.5) as usize
}

/// Frequency of the peak at bin `k`, between bins, from the ratio of its neighbours' magnitudes under a Hann
/// window.
pub(crate) fn peak_hz(power: &[f32; BINS], k: usize) -> f32 {
    let (left, mid, right) = (power[k - 1].sqrt(), power[k].sqrt(), power[k + 1].sqrt());
    if mid <= 0.0 {
        return k as f32 * BIN_HZ;
    }
    let offset = if right > left {
        let a = right / mid;
        (2.0 * a - 1.0) / (1.0 + a)
    } else {
        let a = left / mid;
        -(2.0 * a - 1.0) / (1.0 + a)
    };
    (k as f32 + offset.clamp(-0.5, 0.5)) * BIN_HZ
}

/// Power of the lobe around bin `k`: a steady sine under a Hann window lies within two bins of its peak.
pub(crate) fn lobe(power: &[f32; BINS], k: usize) -> f32 {
    power[k.saturating_sub(2)..=(k + 2).min(BINS - 1)].iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{SampleRate, frames};

    #[test]
    fn a_sine_is_found_to_a_hertz_at_both_rates() {
        for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
            for hz in [440.0f32, 951.3, 1100.0, 1777.7, 2100.0] {
                let step = std::f32::consts::TAU * hz / rate.hz() as f32;
                let samples: Vec<i16> = (0..rate.samples_per_frame() * 4)
                    .map(|i| ((step * i as f32).sin() * 16384.0) as i16)
                    .collect();
                let mut spectrum = Spectrum::new();
                for frame in frames(rate, &samples) {
                    spectrum.feed(&frame);
                }
                let power = spectrum.power();
                let k = (1..BINS - 1).max_by(|&a, &b| power[a].total_cmp(&power[b])).unwrap();
                assert!((peak_hz(power, k) - hz).abs() < 1.5, "{hz} at {rate:?}: {}", peak_hz(power, k));
                let total: f32 = power.iter().sum();
                assert!((0.2..0.3).contains(&lobe(power, k)), "{} at {hz} {rate:?}", lobe(power, k));
                assert!(lobe(power, k) / total > 0.99);
            }
        }
    }
}
