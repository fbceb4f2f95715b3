//! Bytes to frames: the only place that knows what the stream modules put into a binary message.
//!
//! Both modules send headerless interleaved 16-bit little-endian PCM. A message holds any whole number of samples
//! (20 ms, 1000 ms, a part of a frame), so what does not fill a frame waits for the next message.

use sidetone_core::frame::{Frame, SampleRate};

/// How many voices are interleaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    Mono,
    /// Left is the person, right is what is played to them; only the left is kept.
    Stereo,
}

impl Channels {
    fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }
}

/// A message of `length` bytes is no whole number of samples: everything after it would be noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes is no whole number of samples")]
pub struct OddLength {
    pub length: usize,
}

/// Cuts one connection's messages into frames.
#[derive(Debug)]
pub struct Wire {
    rate: SampleRate,
    channels: Channels,
    /// Samples of a frame that is not full yet.
    partial: Vec<i16>,
}

impl Wire {
    #[must_use]
    pub fn new(rate: SampleRate, channels: Channels) -> Self {
        Self { rate, channels, partial: Vec::with_capacity(rate.samples_per_frame()) }
    }

    /// Takes one message and hands every frame it completes to `frame`. An empty message is none.
    ///
    /// # Errors
    /// [`OddLength`]: nothing of the message was taken.
    pub fn push(&mut self, message: &[u8], mut frame: impl FnMut(Frame)) -> Result<(), OddLength> {
        let step = 2 * self.channels.count();
        if !message.len().is_multiple_of(step) {
            return Err(OddLength { length: message.len() });
        }
        let full = self.rate.samples_per_frame();
        // Nearly every message is one whole frame.
        if self.partial.is_empty() && message.len() == 2 * full && self.channels == Channels::Mono {
            let samples = message.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]]));
            if let Some(whole) = Frame::collect(self.rate, samples) {
                frame(whole);
            }
            return Ok(());
        }
        for sample in message.chunks_exact(step) {
            self.partial.push(i16::from_le_bytes([sample[0], sample[1]]));
            if self.partial.len() == full {
                if let Some(whole) = Frame::new(self.rate, &self.partial) {
                    frame(whole);
                }
                self.partial.clear();
            }
        }
        Ok(())
    }
}
