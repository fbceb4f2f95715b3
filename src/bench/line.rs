//! What a telephone line does to speech.

use serde::{Deserialize, Serialize};

use crate::{
    asr::SAMPLE_RATE,
    audio::{ResampleError, resample},
    random::Random,
};

/// The noise is so much fainter than the speech, as a ratio of amplitudes: 12 dB.
const NOISE: f64 = 0.25;
/// A call that comes in 30 dB down.
const FAINT: f64 = 0.0316;

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// None: as recorded.
    Clean,
    /// 8 kHz and 8 bits on the mu-law curve.
    Telephone,
    /// The same, with noise.
    Noisy,
    /// The same, faint.
    Faint,
}

impl Line {
    pub(super) const BAD: [Self; 3] = [Self::Telephone, Self::Noisy, Self::Faint];

    /// What arrives of 16 kHz audio; the same each time.
    pub(super) fn carry(self, pcm: &[i16]) -> Result<Vec<i16>, ResampleError> {
        if self == Self::Clean {
            return Ok(pcm.to_vec());
        }
        let narrow = resample(pcm, SAMPLE_RATE, 8000)?;
        let power: f64 =
            narrow.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / narrow.len().max(1) as f64;
        let mut noise = Pink::new();
        let sent: Vec<i16> = narrow
            .iter()
            .map(|&sample| {
                let sample = f64::from(sample);
                companded(match self {
                    Self::Clean | Self::Telephone => sample,
                    Self::Noisy => sample + noise.next() * NOISE * power.sqrt(),
                    Self::Faint => sample * FAINT,
                })
            })
            .collect();
        resample(&sent, 8000, SAMPLE_RATE)
    }
}

/// Through mu-law's curve (mu = 255) in 8 bits and back.
fn companded(sample: f64) -> i16 {
    let level = (sample.abs() / 32768.0).min(1.0);
    let code = ((1.0 + 255.0 * level).ln() / 256.0_f64.ln() * 127.0).round() / 127.0;
    let back = (256.0_f64.powf(code) - 1.0) / 255.0 * 32767.0;
    back.copysign(sample).round() as i16
}

/// Noise of 1/f, about 1 in RMS: P. Kellet's filter over white noise of a fixed seed.
struct Pink {
    random: Random,
    state: [f64; 3],
}

impl Pink {
    fn new() -> Self {
        Self { random: Random(1), state: [0.0; 3] }
    }

    fn next(&mut self) -> f64 {
        let white = (self.random.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        let [a, b, c] = &mut self.state;
        *a = 0.99765 * *a + white * 0.0990460;
        *b = 0.96300 * *b + white * 0.2965164;
        *c = 0.57000 * *c + white * 1.0526913;
        (*a + *b + *c + white * 0.1848) * 0.7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(pcm: &[i16]) -> f64 {
        (pcm.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt()
    }

    #[test]
    fn a_line_keeps_length_and_changes_level_and_noise_as_it_says() {
        let tone: Vec<i16> = (0..32_000).map(|n| ((f64::from(n) * 0.2).sin() * 8000.0) as i16).collect();
        assert_eq!(Line::Clean.carry(&tone).unwrap(), tone);
        let telephone = Line::Telephone.carry(&tone).unwrap();
        assert!(telephone.len().abs_diff(tone.len()) <= 2, "{}", telephone.len());
        assert!((rms(&telephone) / rms(&tone) - 1.0).abs() < 0.05);
        let faint = Line::Faint.carry(&tone).unwrap();
        assert!((20.0 * (rms(&faint) / rms(&tone)).log10() + 30.0).abs() < 1.0);
        let noisy = Line::Noisy.carry(&tone).unwrap();
        let noise: Vec<i16> = noisy.iter().zip(&telephone).map(|(a, b)| a - b).collect();
        let ratio = 20.0 * (rms(&noise) / rms(&tone)).log10();
        assert!((-16.0..-8.0).contains(&ratio), "{ratio} dB");
        assert_eq!(noisy, Line::Noisy.carry(&tone).unwrap(), "the same each time");
    }
}
