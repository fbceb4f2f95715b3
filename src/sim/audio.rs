//! Sound at 8 kHz mono: what a channel plays and what a callee says.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Samples a second on every simulated leg.
pub(super) const RATE: u32 = 8000;
/// Samples in 20 ms.
pub(super) const FRAME: usize = 160;

/// 20 ms of one direction of a call.
pub(super) type Samples = [i16; FRAME];

pub(super) const SILENCE: Samples = [0; FRAME];

/// A sound, whole, in memory.
pub(super) type Clip = Arc<[i16]>;

/// Why a file is no clip.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClipError {
    #[error("{path}: {source}")]
    Wav { path: PathBuf, source: hound::Error },
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{0}` is nothing that can be played")]
    Unknown(String),
}

/// The clips read so far: a campaign plays the same few files again and again.
#[derive(Debug, Default)]
pub(super) struct Library(Mutex<HashMap<PathBuf, Clip>>);

impl Library {
    /// Whatever FreeSWITCH's `playback` takes: a file, `tone_stream://`, `silence_stream://`, `file_string://a!b`.
    pub(super) fn playable(&self, what: &str) -> Result<Clip, ClipError> {
        if let Some(list) = what.strip_prefix("file_string://") {
            let mut all = Vec::new();
            for part in list.split('!') {
                all.extend_from_slice(&self.playable(part)?);
            }
            return Ok(all.into());
        }
        if let Some(ms) = what.strip_prefix("silence_stream://") {
            let ms = ms.split(',').next().and_then(|ms| ms.parse::<usize>().ok());
            return ms.map(|ms| vec![0; ms * 8].into()).ok_or_else(|| ClipError::Unknown(what.to_owned()));
        }
        if let Some(spec) = what.strip_prefix("tone_stream://") {
            return tone_stream(spec).ok_or_else(|| ClipError::Unknown(what.to_owned()));
        }
        self.file(Path::new(what))
    }

    /// A file, read once.
    pub(super) fn file(&self, path: &Path) -> Result<Clip, ClipError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clip) = known.get(path) {
            return Ok(clip.clone());
        }
        let clip: Clip = read(path)?.into();
        known.insert(path.to_owned(), clip.clone());
        Ok(clip)
    }
}

/// Decodes a wav file from memory: clips that are built into the program.
pub(super) fn decode_wav(bytes: &[u8], name: &str) -> Result<Vec<i16>, ClipError> {
    hound::WavReader::new(bytes)
        .and_then(mono)
        .map_err(|source| ClipError::Wav { path: PathBuf::from(name), source })
}

/// A sine with 5 ms ramps, so that it does not click.
pub(super) fn tone(hz: f64, ms: u32) -> Vec<i16> {
    let total = ms as usize * FRAME / 20;
    let ramp = (total / 2).clamp(1, 40) as f64;
    (0..total)
        .map(|i| {
            let edge = (i.min(total - 1 - i) as f64 / ramp).min(1.0);
            let phase = 2.0 * std::f64::consts::PI * hz * i as f64 / f64::from(RATE);
            (phase.sin() * edge * 8000.0) as i16
        })
        .collect()
}

/// `gain` is linear; the sum is clipped as a codec would.
pub(super) fn mix(into: &mut Samples, from: &[i16], gain: f32) {
    for (to, sample) in into.iter_mut().zip(from) {
        let sum = f32::from(*to) + f32::from(*sample) * gain;
        *to = sum.clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16;
    }
}

/// The samples of a clip from `at`, padded with silence.
pub(super) fn frame_at(clip: &[i16], at: usize) -> Samples {
    let mut frame = SILENCE;
    let rest = clip.get(at..).unwrap_or_default();
    let some = rest.len().min(FRAME);
    frame[..some].copy_from_slice(&rest[..some]);
    frame
}

/// The first and past the last sample that is loud enough to be a voice; clips begin and end with room noise.
pub(super) fn voiced(clip: &[i16]) -> Option<(usize, usize)> {
    let loud = |frame: &[i16]| {
        let energy: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
        energy / frame.len() as f64 > 300.0 * 300.0
    };
    let mut frames = clip.chunks(FRAME).enumerate().filter(|(_, frame)| loud(frame)).map(|(i, _)| i);
    let first = frames.next()?;
    let last = frames.next_back().unwrap_or(first);
    Some((first * FRAME, ((last + 1) * FRAME).min(clip.len())))
}

fn read(path: &Path) -> Result<Vec<i16>, ClipError> {
    let raw_rate = match path.extension().and_then(|e| e.to_str()) {
        Some("raw" | "r8") => Some(8000),
        Some("r16") => Some(16000),
        Some(_) | None => None,
    };
    if let Some(rate) = raw_rate {
        let bytes =
            std::fs::read(path).map_err(|source| ClipError::Read { path: path.to_owned(), source })?;
        let samples: Vec<i16> = bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        return Ok(to_8k(&samples, rate));
    }
    hound::WavReader::open(path)
        .and_then(mono)
        .map_err(|source| ClipError::Wav { path: path.to_owned(), source })
}

fn mono<R: std::io::Read>(mut reader: hound::WavReader<R>) -> Result<Vec<i16>, hound::Error> {
    let spec = reader.spec();
    let samples: Vec<i16> = match spec.sample_format {
        hound::SampleFormat::Int => {
            let shift = i32::from(spec.bits_per_sample) - 16;
            let to_16 = |s: i32| if shift >= 0 { s >> shift } else { s << -shift };
            reader.samples::<i32>().map(|s| s.map(|s| to_16(s) as i16)).collect::<Result<_, _>>()?
        }
        hound::SampleFormat::Float => {
            reader.samples::<f32>().map(|s| s.map(|s| (s * 32767.0) as i16)).collect::<Result<_, _>>()?
        }
    };
    let channels = i32::from(spec.channels.max(1));
    let mixed: Vec<i16> = samples
        .chunks_exact(channels as usize)
        .map(|all| (all.iter().map(|s| i32::from(*s)).sum::<i32>() / channels) as i16)
        .collect();
    Ok(to_8k(&mixed, spec.sample_rate))
}

/// Linear interpolation over a moving average: enough for what only has to last the right time and sound alike.
fn to_8k(samples: &[i16], rate: u32) -> Vec<i16> {
    if rate == RATE || samples.is_empty() {
        return samples.to_vec();
    }
    let step = f64::from(rate) / f64::from(RATE);
    let width = (step.round() as usize).max(1);
    let total = (samples.len() as f64 / step).round() as usize;
    (0..total)
        .map(|i| {
            let at = ((i as f64 * step) as usize).min(samples.len() - 1);
            let window = &samples[at..(at + width).min(samples.len())];
            (window.iter().map(|s| i32::from(*s)).sum::<i32>() / window.len() as i32) as i16
        })
        .collect()
}

/// `%(on,off,hz)` or `%(on,off,hz,hz)`, optionally after `L=n;` or `v=-7;`, which are ignored.
fn tone_stream(spec: &str) -> Option<Clip> {
    let inner = spec.split_once("%(")?.1.split_once(')')?.0;
    let mut numbers = inner.split(',').map(str::trim);
    let on = numbers.next()?.parse::<u32>().ok()?;
    let off = numbers.next()?.parse::<usize>().ok()?;
    let mut sum = vec![0i16; on as usize * 8];
    for hz in numbers {
        let hz = hz.parse::<f64>().ok()?;
        for (to, sample) in sum.iter_mut().zip(tone(hz, on)) {
            *to = to.saturating_add(sample / 2);
        }
    }
    sum.extend(std::iter::repeat_n(0, off * 8));
    Some(sum.into())
}
