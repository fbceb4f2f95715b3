//! Every deadline of a call, by name.

use std::time::{Duration, Instant};

/// A deadline on the wall clock. What is counted in media time (AMD's window, endpointing, no-input) has none:
/// [`Timer::MediaLost`] ends it when no media comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Nobody answered: the switch's own timeout has whole seconds and may be lost with its connection.
    Ring,
    /// No audio since the answer or for a while: the stream is started again, then the call ends.
    MediaLost,
    /// The recogniser is late: decide without it.
    TranscriptWait,
    /// The switch has not said that a prompt started or ended: go on as if it had.
    PlaybackOverdue,
    /// A requested break is not confirmed: ask again.
    BreakConfirm,
    /// A requested hangup is not confirmed: ask again, then stop waiting.
    HangupConfirm,
    /// A transfer is not followed by the end of our part of the call.
    TransferConfirm,
    /// No call lasts for ever.
    MaxCall,
}

const COUNT: usize = 8;

/// The table of armed deadlines: at most one a name.
#[derive(Debug, Default)]
pub struct Timers([Option<Instant>; COUNT]);

impl Timers {
    const ALL: [Timer; COUNT] = [
        Timer::Ring,
        Timer::MediaLost,
        Timer::TranscriptWait,
        Timer::PlaybackOverdue,
        Timer::BreakConfirm,
        Timer::HangupConfirm,
        Timer::TransferConfirm,
        Timer::MaxCall,
    ];

    /// Arms a timer, or moves it.
    pub fn set(&mut self, timer: Timer, now: Instant, after: Duration) {
        self.0[timer as usize] = now.checked_add(after);
    }

    pub fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub fn clear_all(&mut self) {
        self.0 = Default::default();
    }

    #[must_use]
    pub fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Disarms and returns the earliest timer that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let due = Self::ALL
            .into_iter()
            .filter(|&t| self.0[t as usize].is_some_and(|at| at <= now))
            .min_by_key(|&t| self.0[t as usize])?;
        self.clear(due);
        Some(due)
    }
}
