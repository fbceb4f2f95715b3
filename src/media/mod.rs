//! The WebSocket endpoint that `mod_audio_stream` connects to: `/media/{call_id}`.

use sidetone_core::{call::StreamEnd, frame::Frame};

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
