//! What waits for one call: at most 5 s of audio, and everything that must not be lost.

use std::{collections::VecDeque, time::Duration};

use sidetone_core::frame::{FRAME, Frame};

use super::MediaEvent;

/// Frames that may wait for one call. Full: the oldest goes and is counted where it stood.
pub const CAPACITY: usize = 250;
/// [`CAPACITY`] in media time.
pub const CAPACITY_TIME: Duration = Duration::from_millis(CAPACITY as u64 * FRAME.as_millis() as u64);
/// Texts that may wait; a further one is dropped. They come from the peer, so they are bounded too.
const TEXTS: usize = 16;

/// A queue of [`MediaEvent`]s in which only frames (and surplus texts) are ever dropped.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<MediaEvent>,
    frames: usize,
    texts: usize,
}

impl Ring {
    /// Whether room was made by dropping the oldest frame.
    pub(super) fn push_frame(&mut self, frame: Frame) -> bool {
        let full = self.frames == CAPACITY;
        if full {
            self.drop_oldest_frame();
        }
        self.frames += 1;
        self.events.push_back(MediaEvent::Frame(frame));
        full
    }

    /// Whether it was kept.
    pub(super) fn push_text(&mut self, text: String) -> bool {
        let fits = self.texts < TEXTS;
        if fits {
            self.texts += 1;
            self.events.push_back(MediaEvent::Metadata(text));
        }
        fits
    }

    /// For `Up` and `Down`: always kept.
    pub(super) fn push_control(&mut self, event: MediaEvent) {
        self.events.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<MediaEvent> {
        let event = self.events.pop_front()?;
        match event {
            MediaEvent::Frame(_) => self.frames -= 1,
            MediaEvent::Metadata(_) => self.texts -= 1,
            MediaEvent::Up | MediaEvent::Lost(_) | MediaEvent::Down(_) => {}
        }
        Some(event)
    }

    /// Puts a gap where the frame was, so that order and media time stay right. Gaps side by side are one.
    fn drop_oldest_frame(&mut self) {
        let Some(at) = self.events.iter().position(|event| matches!(event, MediaEvent::Frame(_))) else {
            return;
        };
        self.frames -= 1;
        if let Some(MediaEvent::Lost(n)) = at.checked_sub(1).and_then(|before| self.events.get_mut(before)) {
            *n += 1;
            self.events.remove(at);
        } else {
            self.events[at] = MediaEvent::Lost(1);
        }
    }
}
