//! Counts of what happened to streams, by closed enums only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sidetone_core::call::StreamEnd;

/// Why a connection was refused before the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 404: not `/media/{call_id}`, or no such call is expected.
    UnknownCall,
    /// 403: the token is missing or wrong.
    BadToken,
    /// 426: no WebSocket upgrade was asked for.
    NotUpgrade,
    /// 400: a query or WebSocket header that cannot be.
    BadRequest,
    /// Too many connections wait for their upgrade, or the request did not come in time: dropped.
    Dropped,
}

impl Refusal {
    pub const ALL: [Self; 5] =
        [Self::UnknownCall, Self::BadToken, Self::NotUpgrade, Self::BadRequest, Self::Dropped];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownCall => "unknown_call",
            Self::BadToken => "bad_token",
            Self::NotUpgrade => "not_upgrade",
            Self::BadRequest => "bad_request",
            Self::Dropped => "dropped",
        }
    }
}

/// Every way a stream ends, for those who list the counters.
pub const ENDS: [StreamEnd; 8] = [
    StreamEnd::Closed,
    StreamEnd::Lost,
    StreamEnd::Replaced,
    StreamEnd::Idle,
    StreamEnd::OddLength,
    StreamEnd::Oversize,
    StreamEnd::Refused,
    StreamEnd::Shutdown,
];

/// The name of a stream's end as a metric label.
#[must_use]
pub fn end_name(end: StreamEnd) -> &'static str {
    match end {
        StreamEnd::Closed => "closed",
        StreamEnd::Lost => "lost",
        StreamEnd::Replaced => "replaced",
        StreamEnd::Idle => "idle",
        StreamEnd::OddLength => "odd_length",
        StreamEnd::Oversize => "oversize",
        StreamEnd::Refused => "refused",
        StreamEnd::Shutdown => "shutdown",
    }
}

/// Counters since the start; readable at any time.
#[derive(Debug, Default)]
pub struct MediaStats {
    refused: [AtomicU64; Refusal::ALL.len()],
    closed: [AtomicU64; ENDS.len()],
    opened: AtomicU64,
    frames: AtomicU64,
    dropped_frames: AtomicU64,
    dropped_texts: AtomicU64,
}

impl MediaStats {
    /// Connections refused before the upgrade.
    #[must_use]
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize].load(Relaxed)
    }

    /// Streams that ended this way; `Replaced` counts the replaced.
    #[must_use]
    pub fn closed(&self, end: StreamEnd) -> u64 {
        self.closed[end as usize].load(Relaxed)
    }

    /// Streams that were upgraded.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Streams open now.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.opened().saturating_sub(ENDS.iter().map(|&end| self.closed(end)).sum())
    }

    /// Frames received.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Frames dropped because a call did not keep up.
    #[must_use]
    pub fn dropped_frames(&self) -> u64 {
        self.dropped_frames.load(Relaxed)
    }

    /// Texts dropped: too long, or too many.
    #[must_use]
    pub fn dropped_texts(&self) -> u64 {
        self.dropped_texts.load(Relaxed)
    }

    pub(super) fn count_refused(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn count_opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(super) fn count_closed(&self, end: StreamEnd) {
        self.closed[end as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn count_frames(&self, taken: u64, dropped: u64) {
        self.frames.fetch_add(taken, Relaxed);
        if dropped > 0 {
            self.dropped_frames.fetch_add(dropped, Relaxed);
        }
    }

    pub(super) fn count_dropped_text(&self) {
        self.dropped_texts.fetch_add(1, Relaxed);
    }
}
