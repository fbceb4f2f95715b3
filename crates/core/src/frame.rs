//! 20 ms of one party's voice.

use std::{fmt, sync::Arc, time::Duration};

/// How long one [`Frame`] lasts. Media time advances by this much a frame, whatever the wall clock says.
pub const FRAME: Duration = Duration::from_millis(20);

/// Samples a second of one channel: 8000 or 16000, the two rates Sidetone takes on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleRate(u32);

impl SampleRate {
    /// Narrowband telephony.
    pub const HZ_8000: Self = Self(8000);
    /// Wideband telephony, and what Whisper hears.
    pub const HZ_16000: Self = Self(16000);

    /// `None` for anything but 8000 and 16000.
    #[must_use]
    pub fn new(hz: u32) -> Option<Self> {
        matches!(hz, 8000 | 16000).then_some(Self(hz))
    }

    /// Samples a second.
    #[must_use]
    pub fn hz(self) -> u32 {
        self.0
    }

    /// Samples in one 20 ms frame: 160 or 320.
    #[must_use]
    pub fn samples_per_frame(self) -> usize {
        self.0 as usize / 50
    }
}

/// 20 ms of mono PCM16. Cloning it copies a pointer.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    rate: SampleRate,
    samples: Arc<[i16]>,
}

impl Frame {
    /// A frame of exactly `rate.samples_per_frame()` samples; `None` for any other length.
    #[must_use]
    pub fn new(rate: SampleRate, samples: &[i16]) -> Option<Self> {
        (samples.len() == rate.samples_per_frame()).then(|| Self { rate, samples: samples.into() })
    }

    /// As [`Self::new`], without a place where the samples lie together first.
    #[must_use]
    pub fn collect(rate: SampleRate, samples: impl ExactSizeIterator<Item = i16>) -> Option<Self> {
        (samples.len() == rate.samples_per_frame()).then(|| Self { rate, samples: samples.collect() })
    }

    /// 20 ms of digital silence.
    #[must_use]
    pub fn silence(rate: SampleRate) -> Self {
        Self { rate, samples: vec![0; rate.samples_per_frame()].into() }
    }

    #[must_use]
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// Level in dB relative to full scale (a full-scale square wave is 0); -100 for digital silence.
    #[must_use]
    pub fn dbfs(&self) -> f32 {
        // In whole numbers, which a processor adds side by side.
        let power: u64 = self.samples.iter().map(|&s| u64::from(u32::from(s.unsigned_abs()).pow(2))).sum();
        let rms = (power as f64 / self.samples.len() as f64).sqrt() / 32768.0;
        if rms < 1e-5 { -100.0 } else { 20.0 * rms.log10() as f32 }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} Hz, {:.0} dBFS)", self.rate.0, self.dbfs())
    }
}

/// Cuts mono audio into frames; the last one is filled up with silence. For files and tests.
pub fn frames(rate: SampleRate, samples: &[i16]) -> impl Iterator<Item = Frame> + '_ {
    let n = rate.samples_per_frame();
    samples.chunks(n).map(move |chunk| {
        let mut whole = vec![0; n];
        whole[..chunk.len()].copy_from_slice(chunk);
        Frame { rate, samples: whole.into() }
    })
}
