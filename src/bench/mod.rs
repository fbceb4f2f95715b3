//! `sidetone bench`: what this machine carries, beside a peer in the same run.

pub mod load;
mod meter;
mod peer;
mod process;

pub use peer::PeerError;
