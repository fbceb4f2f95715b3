//! A recorded call as the line would bring it.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use sidetone_core::frame::SampleRate;

use crate::audio;

/// Telephone lines carry this.
pub const RATE: SampleRate = SampleRate::HZ_8000;

/// One party's audio at 8 kHz.
#[derive(Debug, Clone)]
pub struct Clip {
    pub pcm: Vec<i16>,
    /// Names these samples: the same audio has the same name.
    pub hash: String,
}

impl Clip {
    /// Any sound file, brought to 8 kHz.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let sound = audio::read(path).map_err(|error| error.to_string())?;
        let pcm = sound.at_rate(RATE.hz()).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self::new(pcm))
    }

    #[must_use]
    pub fn new(pcm: Vec<i16>) -> Self {
        let mut hasher = Sha256::new();
        for sample in &pcm {
            hasher.update(sample.to_le_bytes());
        }
        let digest = hasher.finalize();
        let hash = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { pcm, hash }
    }

    #[must_use]
    pub fn ms(&self) -> i64 {
        self.pcm.len() as i64 * 1000 / i64::from(RATE.hz())
    }
}
