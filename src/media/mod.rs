//! The WebSocket endpoint that `mod_audio_stream` (or `mod_audio_fork`) connects to: `/media/{call_id}`.
//!
//! A call is [expected](MediaRegistry::expect) before its stream starts; the one-time [`Token`] in the URL is all
//! that a connection proves itself with. Everything of one call arrives, in order, at its [`MediaReceiver`].

mod registry;
mod ring;
mod server;
mod socket;
mod stats;
#[cfg(test)]
mod tests;
mod wire;

use sidetone_core::{call::StreamEnd, frame::Frame};

pub use self::{
    registry::{MediaReceiver, MediaRegistry, Token, stream_url},
    ring::{CAPACITY, CAPACITY_TIME},
    server::{MediaOptions, run},
    stats::{ENDS, MediaStats, Refusal, end_name},
    wire::{Channels, OddLength, Wire},
};

/// What a call's stream delivers, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaEvent {
    Up,
    Frame(Frame),
    /// That many frames were dropped here because the call did not keep up.
    Lost(u32),
    /// Text the switch sent with the stream.
    Metadata(String),
    Down(StreamEnd),
}
