//! The person's side of the call as a WAV file, where the configuration wants one.

use std::path::PathBuf;

use sidetone_core::{
    call::CallId,
    frame::{Frame, SampleRate},
};

use crate::{audio, config::RecordAudio};

/// What is recorded, and where it goes.
#[derive(Debug, Clone)]
pub struct RecordingPlan {
    pub audio: RecordAudio,
    pub dir: PathBuf,
}

pub(super) struct Recording {
    plan: RecordingPlan,
    rate: SampleRate,
    pcm: Vec<i16>,
    on: bool,
}

impl Recording {
    pub(super) fn new(plan: &RecordingPlan, rate: SampleRate) -> Self {
        Self { on: plan.audio != RecordAudio::Off, plan: plan.clone(), rate, pcm: Vec::new() }
    }

    pub(super) fn push(&mut self, frame: &Frame) {
        if self.on {
            self.pcm.extend_from_slice(frame.samples());
        }
    }

    pub(super) fn gap(&mut self, frames: u32) {
        if self.on {
            let samples = frames as usize * self.rate.samples_per_frame();
            self.pcm.extend(std::iter::repeat_n(0, samples));
        }
    }

    /// The verdict fell: what came before is what it was made from.
    pub(super) fn verdict(&mut self) {
        if self.plan.audio == RecordAudio::Amd {
            self.on = false;
        }
    }

    pub(super) async fn save(&mut self, call: &CallId) {
        let pcm = std::mem::take(&mut self.pcm);
        if pcm.is_empty() {
            return;
        }
        let (path, rate) = (self.plan.dir.join(format!("{call}.wav")), self.rate.hz());
        let dir = self.plan.dir.clone();
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
            audio::write_wav(&path, &pcm, rate).map_err(|e| e.to_string())
        })
        .await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%call, error, "the recording could not be written"),
            Err(error) => tracing::error!(%call, %error, "the recording could not be written"),
        }
    }
}
