//! Recorded calls through the very same core and recogniser as live ones, in media time, and what came of them.

pub mod amd;
mod audio;
pub mod bargein;
mod cache;
mod hearing;
pub mod html;
mod line;
mod manifest;
mod run;
mod score;
mod stats;
#[cfg(test)]
mod tests;
mod tracks;

pub use self::{
    audio::{Clip, RATE},
    hearing::{Ear, Hearing, HearingError, NONE, Wanted, choose, choose_careful},
    line::{Line, LineEnd, Noted},
    manifest::{BadRow, Label, Manifest, ManifestError, Row},
    run::{Outcome, each},
    score::{AmdReport, ClipResult, Group, report},
    stats::{Count, Spread},
    tracks::{BadTrack, IndexError, Track, tracks},
};
