//! `sidetone bench`: what this machine carries, beside a peer in the same run.

pub mod asr;
mod clips;
mod line;
pub mod load;
mod meter;
mod peer;
mod process;
pub mod run;
pub mod stream;
pub mod tune;
mod wer;

pub use peer::PeerError;
