//! What a call hears from besides its audio, as one stream.
//!
//! Each source wakes only itself: a frame, which comes fifty times a second, finds nothing to ask here.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use sidetone_core::{
    call::{HangupReason, PlayId},
    echo::PromptAudio,
};
use tokio::sync::{mpsc, watch};

use crate::{
    asr::JobDone,
    switch::{Link, SwitchEvent},
};

/// What one of them says.
pub(super) enum Said {
    Switch(SwitchEvent),
    /// The adapter is gone: nothing will ever come of this call.
    SwitchGone,
    Transcript(JobDone),
    Sound(PlayId, Arc<PromptAudio>),
    EndRequested(HangupReason),
    Link(Link),
}

/// The sources.
pub(super) struct Sources {
    pub(super) switch: mpsc::Receiver<SwitchEvent>,
    pub(super) transcripts: mpsc::Receiver<JobDone>,
    pub(super) sounds: mpsc::Receiver<(PlayId, Arc<PromptAudio>)>,
    pub(super) end: watch::Receiver<Option<HangupReason>>,
    pub(super) link: watch::Receiver<Link>,
}

impl Sources {
    /// Each source's own order is kept.
    pub(super) fn merged(self) -> SelectAll<BoxStream<'static, Said>> {
        let gone = stream::once(std::future::ready(Said::SwitchGone));
        stream::select_all([
            received(self.switch).map(Said::Switch).chain(gone).boxed(),
            received(self.transcripts).map(Said::Transcript).boxed(),
            received(self.sounds).map(|(id, audio)| Said::Sound(id, audio)).boxed(),
            changes(self.end).filter_map(|end| std::future::ready(end.map(Said::EndRequested))).boxed(),
            changes(self.link).map(Said::Link).boxed(),
        ])
    }
}

fn received<T: Send + 'static>(mut from: mpsc::Receiver<T>) -> impl stream::Stream<Item = T> + Send {
    stream::poll_fn(move |cx| from.poll_recv(cx))
}

fn changes<T: Copy + Send + Sync + 'static>(of: watch::Receiver<T>) -> impl stream::Stream<Item = T> + Send {
    stream::unfold(of, |mut of| async move {
        of.changed().await.ok()?;
        let value = *of.borrow_and_update();
        Some((value, of))
    })
}
