//! The person's recent audio at the recogniser's rate, addressed by media time.

use std::{collections::VecDeque, time::Duration};

use sidetone_core::{
    call::{EARLY_FRAMES, Transcribe},
    frame::{Frame, SampleRate},
};

use crate::{
    asr::{SAMPLE_RATE, Segment},
    audio::Resampler,
};

/// So much may be kept beyond what is needed before it is cut off: cutting moves what is left.
const SLACK: usize = SAMPLE_RATE as usize;

/// Resampled once, as it comes; only what may still be asked for is kept.
pub(crate) struct History {
    /// `None`: nobody will transcribe anything.
    resampler: Option<Resampler>,
    rate: SampleRate,
    /// Frames that overtook the answer: media time starts with the first of them, as in the core.
    early: Option<VecDeque<Frame>>,
    pcm: Vec<i16>,
    /// Samples cut off before `pcm[0]`.
    forgotten: usize,
}

impl History {
    pub(crate) fn new(rate: SampleRate, wanted: bool) -> Self {
        let resampler = wanted.then(|| Resampler::new(rate.hz(), SAMPLE_RATE)).and_then(Result::ok);
        Self { resampler, rate, early: Some(VecDeque::new()), pcm: Vec::new(), forgotten: 0 }
    }

    pub(crate) fn answered(&mut self) {
        for frame in self.early.take().into_iter().flatten() {
            self.push(&frame);
        }
    }

    pub(crate) fn push(&mut self, frame: &Frame) {
        if let Some(early) = &mut self.early {
            if early.len() == EARLY_FRAMES {
                early.pop_front();
            }
            early.push_back(frame.clone());
        } else if let Some(resampler) = &mut self.resampler {
            resampler.push(frame.samples(), &mut self.pcm);
        }
    }

    /// Lost frames are silence, so that what follows keeps its media time.
    pub(crate) fn gap(&mut self, frames: u32) {
        let silence = Frame::silence(self.rate);
        if self.early.is_none() {
            (0..frames).for_each(|_| self.push(&silence));
        }
    }

    pub(crate) fn forget_before(&mut self, time: Duration) {
        let keep_from = sample(time).saturating_sub(self.forgotten);
        if keep_from > SLACK {
            let cut = keep_from.min(self.pcm.len());
            self.pcm.drain(..cut);
            self.forgotten += cut;
        }
    }

    pub(crate) fn segment(&self, request: &Transcribe) -> Segment {
        let end = sample(request.to).saturating_sub(self.forgotten).min(self.pcm.len());
        let start = sample(request.from).saturating_sub(self.forgotten).min(end);
        Segment { pcm: self.pcm[start..end].into(), voiced: request.voiced }
    }
}

fn sample(time: Duration) -> usize {
    usize::try_from(time.as_millis()).unwrap_or(usize::MAX) / 20 * (SAMPLE_RATE as usize / 50)
}
