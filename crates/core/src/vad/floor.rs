//! The line's noise level, from the quietest moments of the last two seconds.

use crate::frame::FRAME;

/// Frames of one block; the floor is the minimum over [`BLOCKS`] of them.
const BLOCK: u32 = (250 / FRAME.as_millis()) as u32;
const BLOCKS: usize = 8;
/// Until this many frames came, what was heard may be all speech, and the floor stays at [`QUIET`] or below.
const TRUSTED: u32 = (1000 / FRAME.as_millis()) as u32;
/// A quiet line.
const QUIET: f32 = -62.0;
/// Louder than this is no line noise that speech could be told from.
const LOUDEST: f32 = -30.0;
/// Digital silence (lost or muted audio) tells nothing about the line.
const MUTED: f32 = -90.0;
/// Weight of the newest frame in the smoothed level: single quiet frames are chance.
const SMOOTHING: f32 = 0.4;

#[derive(Debug)]
pub(crate) struct NoiseFloor {
    smoothed: Option<f32>,
    /// Minimum of each of the last blocks, the running one among them.
    minima: [f32; BLOCKS],
    block: usize,
    in_block: u32,
    heard: u32,
}

impl NoiseFloor {
    pub(crate) fn new() -> Self {
        Self { smoothed: None, minima: [f32::INFINITY; BLOCKS], block: 0, in_block: 0, heard: 0 }
    }

    pub(crate) fn push(&mut self, dbfs: f32) {
        if dbfs <= MUTED {
            self.smoothed = None;
            return;
        }
        self.heard = self.heard.saturating_add(1);
        let smoothed = self.smoothed.map_or(dbfs, |old| old + SMOOTHING * (dbfs - old));
        self.smoothed = Some(smoothed);
        if self.in_block == BLOCK {
            self.in_block = 0;
            self.block = (self.block + 1) % BLOCKS;
            self.minima[self.block] = f32::INFINITY;
        }
        self.in_block += 1;
        self.minima[self.block] = self.minima[self.block].min(smoothed);
    }

    /// It is [known](Self::known), and stays so.
    pub(crate) fn settled(&self) -> bool {
        self.heard >= TRUSTED
    }

    /// Enough was heard to tell the line's noise from the voices on it.
    pub(crate) fn known(&self) -> bool {
        self.settled() || self.least() < QUIET
    }

    pub(crate) fn dbfs(&self) -> f32 {
        let most = if self.settled() { LOUDEST } else { QUIET };
        self.least().min(most)
    }

    fn least(&self) -> f32 {
        self.minima.iter().copied().fold(f32::INFINITY, f32::min)
    }
}
