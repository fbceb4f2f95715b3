//! Sound files in, sample rates changed, recordings out. Always mono PCM16 on our side.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use rubato::{
    Fft, FixedSync, Indexing, Resampler as _, WindowFunction, audioadapter_buffers::direct::InterleavedSlice,
};
use symphonia::core::{
    codecs::audio::AudioDecoderOptions,
    errors::Error as SymphoniaError,
    formats::{FormatOptions, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
};

/// What stands in a sound file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// Mono: the channels' mean.
    pub pcm: Vec<i16>,
    /// Samples a second.
    pub rate: u32,
}

impl Sound {
    /// The same sound at another rate.
    ///
    /// # Errors
    /// When either rate is zero or absurd.
    pub fn at_rate(&self, rate: u32) -> Result<Vec<i16>, ResampleError> {
        resample(&self.pcm, self.rate, rate)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: not a sound file this program knows (wav, flac, ogg, mp3): {reason}")]
    Unknown { path: PathBuf, reason: String },
    #[error("{path}: broken: {reason}")]
    Broken { path: PathBuf, reason: String },
    #[error("{path}: cannot be written: {reason}")]
    Write { path: PathBuf, reason: String },
}

#[derive(Debug, thiserror::Error)]
#[error("cannot resample {from} Hz to {to} Hz: {reason}")]
pub struct ResampleError {
    from: u32,
    to: u32,
    reason: String,
}

/// Reads a wav, flac, ogg (Vorbis) or mp3 file.
///
/// # Errors
/// Names the file and what is wrong with it. Single broken packets are skipped.
pub fn read(path: &Path) -> Result<Sound, AudioError> {
    let unknown = |reason: &dyn std::fmt::Display| AudioError::Unknown {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let broken = |reason: &dyn std::fmt::Display| AudioError::Broken {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let file = File::open(path).map_err(|source| AudioError::Read { path: path.to_owned(), source })?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| unknown(&error))?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| unknown(&"no audio in it"))?;
    let track_id = track.id;
    let parameters =
        track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| unknown(&"no codec"))?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|error| unknown(&error))?;

    let mut sound = Sound { pcm: Vec::new(), rate: parameters.sample_rate.unwrap_or(0) };
    let mut interleaved: Vec<i16> = Vec::new();
    while let Some(packet) = format.next_packet().map_err(|error| broken(&error))? {
        if packet.track_id != track_id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(decoded) => {
                let (rate, channels) = (decoded.spec().rate(), decoded.num_planes().max(1));
                sound.rate = rate;
                decoded.copy_to_vec_interleaved(&mut interleaved);
                sound.pcm.extend(interleaved.chunks_exact(channels).map(mean));
            }
            Err(SymphoniaError::DecodeError(_) | SymphoniaError::IoError(_)) => {}
            Err(error) => return Err(broken(&error)),
        }
    }
    if sound.rate == 0 || sound.pcm.is_empty() {
        return Err(broken(&"it holds no samples"));
    }
    Ok(sound)
}

/// Writes a mono PCM16 WAV file.
///
/// # Errors
/// Names the file.
pub fn write_wav(path: &Path, pcm: &[i16], rate: u32) -> Result<(), AudioError> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> Result<(), hound::Error> {
        let mut writer = hound::WavWriter::create(path, spec)?;
        let mut samples = writer.get_i16_writer(u32::try_from(pcm.len()).unwrap_or(u32::MAX));
        pcm.iter().for_each(|&sample| samples.write_sample(sample));
        samples.flush()?;
        writer.finalize()
    };
    write().map_err(|error| AudioError::Write { path: path.to_owned(), reason: error.to_string() })
}

/// Changes the rate of a whole sound: as long as before, without delay.
///
/// # Errors
/// When either rate is zero or absurd.
pub fn resample(pcm: &[i16], from: u32, to: u32) -> Result<Vec<i16>, ResampleError> {
    let mut stream = Resampler::new(from, to)?;
    let mut out = Vec::new();
    stream.push(pcm, &mut out);
    stream.finish(&mut out);
    Ok(out)
}

/// Changes the rate of a stream as it comes. Sample `n` out stands for the same instant as `n * from / to` in; the
/// last 20 to 30 ms are still inside until more comes, or `finish`.
pub struct Resampler {
    /// `None`: both rates are the same.
    inner: Option<Inner>,
}

struct Inner {
    fft: Fft<f32>,
    from: u64,
    to: u64,
    /// Input short of a whole chunk.
    pending: Vec<f32>,
    chunk_out: Vec<f32>,
    taken: u64,
    given: u64,
    /// Output samples of the filter's delay still to be dropped.
    delay: usize,
}

impl Resampler {
    /// # Errors
    /// When either rate is zero or absurd.
    pub fn new(from: u32, to: u32) -> Result<Self, ResampleError> {
        let error = |reason: String| ResampleError { from, to, reason };
        if !(1000..=768_000).contains(&from) || !(1000..=768_000).contains(&to) {
            return Err(error("rates are from 1000 to 768000".to_owned()));
        }
        if from == to {
            return Ok(Self { inner: None });
        }
        // Chunks of 20 ms: the delay is half of that. Blackman keeps 8 kHz speech up to 3.85 kHz.
        let chunk = (from / 50) as usize;
        let fft = Fft::new_custom(
            from as usize,
            to as usize,
            chunk,
            1,
            1,
            WindowFunction::Blackman,
            FixedSync::Both,
        )
        .map_err(|reason| error(reason.to_string()))?;
        let chunk_out = vec![0.0; fft.output_frames_max()];
        let delay = fft.output_delay();
        let (from, to) = (u64::from(from), u64::from(to));
        Ok(Self {
            inner: Some(Inner { fft, from, to, pending: Vec::new(), chunk_out, taken: 0, given: 0, delay }),
        })
    }

    /// Takes samples in, and appends to `out` what is ready.
    pub fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        let Some(inner) = &mut self.inner else {
            out.extend_from_slice(pcm);
            return;
        };
        inner.taken += pcm.len() as u64;
        inner.pending.extend(pcm.iter().map(|&sample| f32::from(sample) / 32768.0));
        let chunk = inner.fft.input_frames_next();
        while inner.pending.len() >= chunk {
            inner.advance(out);
            inner.pending.drain(..chunk);
        }
    }

    /// Appends what is left, so that as much time came out as went in; then starts anew.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        let Some(inner) = &mut self.inner else { return };
        let due = (inner.taken * inner.to).div_ceil(inner.from);
        let chunk = inner.fft.input_frames_next();
        while inner.given < due {
            inner.pending.resize(chunk, 0.0);
            inner.advance(out);
            inner.pending.clear();
        }
        out.truncate(out.len() - usize::try_from(inner.given - due).unwrap_or(0));
        inner.fft.reset();
        (inner.taken, inner.given, inner.delay) = (0, 0, inner.fft.output_delay());
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rates = self.inner.as_ref().map(|inner| (inner.from, inner.to));
        f.debug_struct("Resampler").field("rates", &rates).finish_non_exhaustive()
    }
}

impl Inner {
    /// Runs one chunk from the head of `pending` through the filter.
    fn advance(&mut self, out: &mut Vec<i16>) {
        let (frames_in, frames_out) = (self.pending.len(), self.chunk_out.len());
        let processed = InterleavedSlice::new(&self.pending, 1, frames_in).ok().and_then(|input| {
            let mut output = InterleavedSlice::new_mut(&mut self.chunk_out, 1, frames_out).ok()?;
            self.fft.process_into_buffer(&input, &mut output, Some(&Indexing::new())).ok()
        });
        // The buffers are sized by the filter itself, so it cannot refuse them.
        debug_assert!(processed.is_some(), "the resampler refused its own sizes");
        let written = processed.map_or(0, |(_, written)| written);
        let skip = self.delay.min(written);
        self.delay -= skip;
        self.given += (written - skip) as u64;
        out.extend(self.chunk_out[skip..written].iter().map(|&sample| to_i16(sample)));
    }
}

fn to_i16(sample: f32) -> i16 {
    (sample * 32768.0).round().clamp(-32768.0, 32767.0) as i16
}

fn mean(frame: &[i16]) -> i16 {
    let sum: i32 = frame.iter().map(|&sample| i32::from(sample)).sum();
    (sum / frame.len() as i32) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..samples).map(|n| ((n as f64 * step).sin() * 8000.0) as i16).collect()
    }

    /// The largest difference, the first and last 10 ms (the filter's edges) apart.
    fn worst(a: &[i16], b: &[i16], edge: usize) -> i32 {
        let inside = edge..a.len().min(b.len()) - edge;
        inside.map(|n| (i32::from(a[n]) - i32::from(b[n])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn a_tone_keeps_its_place_length_and_level() {
        for (from, to) in [(8000, 16_000), (44_100, 16_000), (48_000, 8000), (16_000, 8000)] {
            let out = resample(&sine(440.0, from, from as usize), from, to).unwrap();
            assert_eq!(out.len(), to as usize, "{from} to {to}");
            let off = worst(&out, &sine(440.0, to, to as usize), to as usize / 20);
            assert!(off < 120, "{from} to {to}: off by {off} of 8000");
        }
    }

    #[test]
    fn a_stream_in_any_pieces_gives_what_the_whole_gives() {
        let tone = sine(700.0, 8000, 4111);
        let whole = resample(&tone, 8000, 16_000).unwrap();
        let mut stream = Resampler::new(8000, 16_000).unwrap();
        let mut out = Vec::new();
        for piece in tone.chunks(37) {
            stream.push(piece, &mut out);
        }
        assert!(whole.len() - out.len() <= 30 * 16, "held back {} samples", whole.len() - out.len());
        stream.finish(&mut out);
        assert_eq!(out, whole);
        assert_eq!(out.len(), 8222);
    }

    #[test]
    fn frames_of_20_ms_come_out_as_they_go_in() {
        let mut stream = Resampler::new(8000, 16_000).unwrap();
        let mut out = Vec::new();
        for n in 1..=10 {
            stream.push(&[100; 160], &mut out);
            assert_eq!(out.len(), n * 320 - 160, "10 ms behind");
        }
    }

    #[test]
    fn the_same_rate_passes_through_and_absurd_rates_are_refused() {
        assert_eq!(resample(&[1, -2, 3], 16_000, 16_000).unwrap(), [1, -2, 3]);
        assert!(Resampler::new(0, 16_000).is_err());
    }

    #[test]
    fn a_written_wav_reads_back_and_stereo_becomes_mono() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mono.wav");
        let pcm = sine(300.0, 8000, 800);
        write_wav(&path, &pcm, 8000).unwrap();
        assert_eq!(read(&path).unwrap(), Sound { pcm, rate: 8000 });

        let path = dir.path().join("stereo.wav");
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in [100i16, 300, -50, 50] {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        assert_eq!(read(&path).unwrap(), Sound { pcm: vec![200, 0], rate: 16_000 });
    }

    #[test]
    fn what_is_no_sound_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.wav");
        std::fs::write(&path, "these are notes").unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("notes.wav") && message.contains("wav, flac, ogg, mp3"), "{message}");
        assert!(matches!(read(&dir.path().join("none.wav")), Err(AudioError::Read { .. })));
    }
}
