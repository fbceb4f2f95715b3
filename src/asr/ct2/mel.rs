//! Whisper's log-mel spectrogram.

use std::{
    collections::VecDeque,
    f64::consts::TAU,
    sync::{Arc, Mutex, PoisonError},
};

use realfft::{RealFftPlanner, RealToComplex};

/// Samples from one frame to the next: 10 ms.
pub(super) const HOP: usize = 160;
/// Frames of the 30 s that Whisper was trained on.
pub(super) const FULL: usize = 3000;

const WINDOW: usize = 400;
const BINS: usize = WINDOW / 2 + 1;

/// The filters and tables, made once a model.
pub(super) struct LogMel {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: Vec<f32>,
    filters: Vec<Filter>,
    /// What was computed last, oldest first: the same person is heard again and again while speaking on.
    heard: Mutex<VecDeque<Heard>>,
}

/// Audio, and the frames of it that do not change when more audio follows.
struct Heard {
    pcm: Vec<i16>,
    /// `[frames, mels]`, before anything that depends on the whole.
    frames: Vec<f32>,
}

/// People who speak at once; a dozen seconds of each is a megabyte.
const SPEAKERS: usize = 64;
/// Longer audio is no live speech and comes once.
const LONGEST_LIVE: usize = 15 * 16_000;

/// One mel band: its first FFT bin, and the weights from there on.
struct Filter {
    first: usize,
    weights: Vec<f32>,
}

impl LogMel {
    pub(super) fn new(mels: usize) -> Self {
        let hann = (0..WINDOW).map(|i| (0.5 - 0.5 * (TAU * i as f64 / WINDOW as f64).cos()) as f32).collect();
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
        Self { fft, hann, filters: filters(mels), heard: Mutex::default() }
    }

    pub(super) fn mels(&self) -> usize {
        self.filters.len()
    }

    /// The spectrogram of the audio followed by silence up to `frames` frames: row-major, `[mels, frames]`.
    pub(super) fn spectrogram(&self, pcm: &[i16], frames: usize) -> Vec<f32> {
        let pcm = &pcm[..pcm.len().min(frames * HOP)];
        let mels = self.mels();
        // Windows from here on hold nothing but padding.
        let live = frames.min((pcm.len() + WINDOW / 2) / HOP + 1);
        let mut known = self.recall(pcm);
        known.truncate(live * mels);
        self.extend(pcm, &mut known, live);
        let floor = 1e-10_f32.log10();
        let mut out = vec![floor; mels * frames];
        for (frame, bands) in known.chunks_exact(mels).enumerate() {
            for (band, &value) in bands.iter().enumerate() {
                out[band * frames + frame] = value;
            }
        }
        self.remember(pcm, known);
        let loudest = out.iter().copied().fold(f32::MIN, f32::max);
        for value in &mut out {
            *value = (value.max(loudest - 8.0) + 4.0) / 4.0;
        }
        out
    }

    /// Computes the frames from the known ones up to `live`.
    fn extend(&self, pcm: &[i16], known: &mut Vec<f32>, live: usize) {
        let padded = self.padded(pcm);
        let mut windowed = vec![0.0; WINDOW];
        let mut spectrum = self.fft.make_output_vec();
        let mut power = [0.0_f32; BINS];
        for frame in known.len() / self.mels()..live {
            let audio = &padded[frame * HOP..];
            for (to, (sample, weight)) in windowed.iter_mut().zip(audio.iter().zip(&self.hann)) {
                *to = sample * weight;
            }
            if self.fft.process(&mut windowed, &mut spectrum).is_err() {
                debug_assert!(false, "the buffers have the transform's own sizes");
            }
            for (to, value) in power.iter_mut().zip(&spectrum) {
                *to = value.norm_sqr();
            }
            known.extend(self.filters.iter().map(|filter| {
                let bins = &power[filter.first..filter.first + filter.weights.len()];
                let energy: f32 = filter.weights.iter().zip(bins).map(|(a, b)| a * b).sum();
                energy.max(1e-10).log10()
            }));
        }
    }

    /// The frames known of audio that begins this one; taken out, for the longer ones come back.
    fn recall(&self, pcm: &[i16]) -> Vec<f32> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let place = heard.iter().rposition(|known| pcm.starts_with(&known.pcm));
        place.and_then(|place| heard.remove(place)).map_or_else(Vec::new, |known| known.frames)
    }

    /// Keeps the frames whose windows lie within the audio.
    fn remember(&self, pcm: &[i16], mut frames: Vec<f32>) {
        // Shorter audio has frames that its mirrored beginning reaches beyond.
        if !(WINDOW..=LONGEST_LIVE).contains(&pcm.len()) {
            return;
        }
        frames.truncate(((pcm.len() - WINDOW / 2) / HOP + 1) * self.mels());
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() == SPEAKERS {
            heard.pop_front();
        }
        heard.push_back(Heard { pcm: pcm.to_vec(), frames });
    }

    /// Half a window before the audio, mirrored as Whisper's own code does, and silence after it.
    fn padded(&self, pcm: &[i16]) -> Vec<f32> {
        let half = WINDOW / 2;
        let mut padded = vec![0.0; pcm.len() + 2 * WINDOW];
        for (to, &sample) in padded[half..].iter_mut().zip(pcm) {
            *to = f32::from(sample) / 32768.0;
        }
        for i in 0..half {
            padded[half - 1 - i] = padded[half + 1 + i];
        }
        padded
    }
}

/// Triangles on Slaney's mel scale up to 8 kHz, each of equal area.
fn filters(mels: usize) -> Vec<Filter> {
    let top = mel_of(8000.0);
    let edges: Vec<f64> = (0..mels + 2).map(|i| hz_of(top * i as f64 / (mels + 1) as f64)).collect();
    edges.windows(3).map(|edge| filter(edge[0], edge[1], edge[2])).collect()
}

fn filter(low: f64, middle: f64, high: f64) -> Filter {
    let weight = |bin: usize| {
        let hz = bin as f64 * 8000.0 / (BINS - 1) as f64;
        let slope = ((hz - low) / (middle - low)).min((high - hz) / (high - middle));
        (slope.max(0.0) * 2.0 / (high - low)) as f32
    };
    let all: Vec<f32> = (0..BINS).map(weight).collect();
    let first = all.iter().position(|w| *w > 0.0).unwrap_or(0);
    let past = all.iter().rposition(|w| *w > 0.0).map_or(first, |last| last + 1);
    Filter { first, weights: all[first..past].to_vec() }
}

/// Linear below 1 kHz, logarithmic above.
fn mel_of(hz: f64) -> f64 {
    if hz >= 1000.0 { 15.0 + (hz / 1000.0).ln() / (6.4_f64.ln() / 27.0) } else { hz * 3.0 / 200.0 }
}

fn hz_of(mel: f64) -> f64 {
    if mel >= 15.0 { 1000.0 * ((6.4_f64.ln() / 27.0) * (mel - 15.0)).exp() } else { mel * 200.0 / 3.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_even_and_padding_changes_nothing() {
        let mel = LogMel::new(80);
        assert!(mel.spectrogram(&[], 100).iter().all(|v| (*v + 1.5).abs() < 1e-6));
        let tone: Vec<i16> = (0..8000).map(|n| ((f64::from(n) * 0.4).sin() * 9000.0) as i16).collect();
        let (short, long) = (mel.spectrogram(&tone, 60), mel.spectrogram(&tone, 200));
        for band in 0..80 {
            assert_eq!(short[band * 60..band * 60 + 60], long[band * 200..band * 200 + 60]);
        }
    }

    #[test]
    fn a_growing_clip_gives_what_it_gives_at_once_and_its_frames_are_computed_once() {
        let mut random = 7_u32;
        let pcm: Vec<i16> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as i16 / 4
        })
        .take(32_000)
        .collect();
        let growing = LogMel::new(80);
        for length in [150, 399, 400, 5000, 5001, 16_077, 32_000] {
            let at_once = LogMel::new(80).spectrogram(&pcm[..length], 250);
            assert_eq!(growing.spectrogram(&pcm[..length], 250), at_once, "{length} samples");
        }
        assert_eq!(growing.heard.lock().unwrap().len(), 1, "the longest alone is kept");
        assert_eq!(growing.recall(&pcm).len(), 199 * 80, "all but the windows that padding reaches");
        growing.spectrogram(&pcm, 250);
        assert!(growing.recall(&pcm[16..]).is_empty(), "other audio knows nothing of it");
        for n in 0..100 {
            growing.spectrogram(&pcm[n..n + 800], 100);
        }
        assert_eq!(growing.heard.lock().unwrap().len(), SPEAKERS);
    }

    #[test]
    fn a_tone_lights_its_own_band() {
        let mel = LogMel::new(80);
        let frames = 100;
        let tone: Vec<i16> =
            (0..16_000).map(|n| ((TAU * 1000.0 * f64::from(n) / 16_000.0).sin() * 9000.0) as i16).collect();
        let all = mel.spectrogram(&tone, frames);
        let brightest = (0..80).max_by(|a, b| all[a * frames + 50].total_cmp(&all[b * frames + 50])).unwrap();
        let edges: Vec<f64> = (0..82).map(|i| hz_of(mel_of(8000.0) * f64::from(i) / 81.0)).collect();
        assert!(edges[brightest] < 1000.0 && 1000.0 < edges[brightest + 2], "band {brightest}");
    }
}
