//! The recogniser the configuration names, behind its queue.

use std::sync::Arc;

use crate::{
    asr::{self, AsrHandle, LoadError, Model, Recognizer, Tuning},
    config::Config,
};

/// Loads the model (blocking for a second or so, off the runtime) and starts the engine.
pub(super) async fn start(config: &Config, given: Option<Arc<dyn Recognizer>>) -> anyhow::Result<AsrHandle> {
    let asr = config.asr.clone();
    let loaded = tokio::task::spawn_blocking(move || match given {
        Some(recognizer) => {
            let model = Model { recognizer, languages: Vec::new(), is_default: true, careful: false };
            AsrHandle::launch(vec![model], Tuning::from(&asr), None).map_err(LoadError::Threads)
        }
        None => asr::start(&asr, None),
    });
    Ok(loaded.await??)
}
