//! Does the sound repeat itself 75 to 400 times a second, as a voice does and noise does not?

use crate::frame::Frame;

/// Samples of one frame at the analysis rate, 4 kHz: a pitch needs no more.
const HOP: usize = 80;
const WINDOW: usize = 2 * HOP;
/// 400 Hz to 75 Hz.
const LAGS: std::ops::RangeInclusive<usize> = 10..=53;
/// Least normalised autocorrelation of a voice; a voice 10 dB over its noise has 0.6 and more, noise 0.3.
const PERIODIC: f32 = 0.4;
/// A frame stays voice-like so long after its pitch was heard: words end and begin without one.
const HELD: u32 = 4;

#[derive(Debug)]
pub(super) struct Pitch {
    history: [f32; WINDOW],
    since: u32,
}

impl Default for Pitch {
    fn default() -> Self {
        Self { history: [0.0; WINDOW], since: HELD }
    }
}

impl Pitch {
    pub(super) fn feed(&mut self, frame: &Frame) {
        self.history.copy_within(HOP.., 0);
        let samples = frame.samples();
        let each = samples.len() / HOP;
        for (to, chunk) in self.history[HOP..].iter_mut().zip(samples.chunks_exact(each)) {
            *to = chunk.iter().map(|&x| f32::from(x)).sum::<f32>() / each as f32;
        }
        self.since = self.since.saturating_add(1);
    }

    /// Looks at the last 40 ms only when asked.
    pub(super) fn heard(&mut self) -> bool {
        if self.periodic() {
            self.since = 0;
        }
        self.since < HELD
    }

    fn periodic(&self) -> bool {
        let mean = self.history.iter().sum::<f32>() / WINDOW as f32;
        // Differences, so that the low end of pink noise does not look like a slow wave.
        let mut x = [0.0f32; WINDOW];
        for (to, pair) in x[1..].iter_mut().zip(self.history.windows(2)) {
            *to = (pair[1] - mean) - 0.9 * (pair[0] - mean);
        }
        LAGS.map(|lag| {
            let (a, b) = (&x[lag..], &x[..WINDOW - lag]);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1.0)
        })
        .fold(0.0, f32::max)
            > PERIODIC
    }
}
