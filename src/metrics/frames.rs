//! A look at every frame once it is decided, for whoever measures from outside.

use std::{fmt, sync::OnceLock};

use sidetone_core::frame::Frame;

use super::Metrics;

type Watch = Box<dyn Fn(&Frame) + Send + Sync>;

/// Nobody, in service.
#[derive(Default)]
pub(super) struct FrameWatch(OnceLock<Watch>);

impl FrameWatch {
    pub(super) fn saw(&self, frame: &Frame) {
        if let Some(watch) = self.0.get() {
            watch(frame);
        }
    }
}

impl fmt::Debug for FrameWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameWatch")
    }
}

impl Metrics {
    /// Has `watch` see each frame when its call has decided about it. It runs on the call's task: it must be quick.
    /// Only the first watch counts.
    pub fn watch_frames(&self, watch: impl Fn(&Frame) + Send + Sync + 'static) {
        self.0.frames.0.set(Box::new(watch)).ok();
    }
}
