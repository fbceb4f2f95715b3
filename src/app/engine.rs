//! The recogniser the configuration names, behind its queue.

use std::sync::Arc;

use crate::{
    asr::{AsrHandle, Recognizer},
    config::Config,
};

/// Why there is no recogniser.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The words say how to get the model.
    #[error("asr.model: {0}")]
    Model(String),
    #[error("this build has no Whisper: build it with the feature `whisper` (`cargo build --release`)")]
    NotBuilt,
    #[error("the recogniser's threads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
}

/// Loads the model (blocking for a second or so, off the runtime) and starts the engine.
pub(super) async fn start(
    config: &Config,
    given: Option<Arc<dyn Recognizer>>,
) -> Result<AsrHandle, EngineError> {
    let recognizer = match given {
        Some(recognizer) => recognizer,
        None => {
            let asr = config.asr.clone();
            tokio::task::spawn_blocking(move || load_recognizer(&asr))
                .await
                .map_err(|error| EngineError::Model(error.to_string()))??
        }
    };
    Ok(AsrHandle::start(recognizer, replicas(&config.asr), config.asr.queue_length, None)?)
}

/// How many copies of the model work side by side, each on a thread of its own.
#[must_use]
pub fn replicas(asr: &crate::config::Asr) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if asr.replicas == 0 { cores.min(4) } else { asr.replicas }
}

/// Loads the configured model. Blocks.
///
/// # Errors
/// The model is not there, or broken; the message says what to do.
#[cfg(feature = "whisper")]
pub fn load_recognizer(asr: &crate::config::Asr) -> Result<Arc<dyn Recognizer>, EngineError> {
    use crate::asr::{ct2, models};
    let path = models::find(asr).map_err(|error| EngineError::Model(error.to_string()))?;
    let options = ct2::Options { replicas: replicas(asr), ..ct2::Options::default() };
    let begun = std::time::Instant::now();
    let model = ct2::Whisper::load(&path, options).map_err(|error| EngineError::Model(error.to_string()))?;
    tracing::info!(model = %path.display(), took = ?begun.elapsed(), "model loaded");
    Ok(Arc::new(model))
}

/// Without Whisper there is nothing to load.
///
/// # Errors
/// Always.
#[cfg(not(feature = "whisper"))]
pub fn load_recognizer(_asr: &crate::config::Asr) -> Result<Arc<dyn Recognizer>, EngineError> {
    Err(EngineError::NotBuilt)
}
