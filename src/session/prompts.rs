//! The prompts' sound as calls need it to know their echo: read once a file, off the async threads.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use sidetone_core::{call::PlayId, echo::PromptAudio};
use tokio::sync::mpsc;

use crate::audio;

/// The core looks for the echo at this rate.
const RATE: u32 = 8000;
/// Files kept; half a minute takes 300 kB. When there are more, all are forgotten and read again as they play.
const KEPT: usize = 256;

/// A file's sound and when the file was last changed as it was read.
type Known = HashMap<PathBuf, (Option<SystemTime>, Arc<PromptAudio>)>;

/// The sounds of the prompts folder. Cloning it copies a pointer.
#[derive(Debug, Clone)]
pub struct PromptSounds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The prompts folder as we see it.
    dir: PathBuf,
    known: Mutex<Known>,
}

impl PromptSounds {
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(Arc::new(Inner { dir: dir.to_owned(), known: Mutex::default() }))
    }

    /// Sends the prompt's sound when it is there. A file that cannot be read sends nothing: the call knows no echo
    /// then, and the switch will say what is wrong with it. A full channel drops it to the same effect.
    pub(super) fn send(&self, id: PlayId, file: &str, to: mpsc::Sender<(PlayId, Arc<PromptAudio>)>) {
        let (sounds, path) = (self.clone(), self.0.dir.join(file));
        tokio::task::spawn_blocking(move || match sounds.get(&path) {
            Ok(audio) => drop(to.try_send((id, audio))),
            Err(error) => tracing::debug!(%error, "a prompt's echo cannot be known"),
        });
    }

    fn get(&self, path: &Path) -> Result<Arc<PromptAudio>, anyhow::Error> {
        let changed = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let known = || self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, audio)) = known().get(path)
            && *at == changed
        {
            return Ok(Arc::clone(audio));
        }
        let audio = Arc::new(PromptAudio::new(&audio::read(path)?.at_rate(RATE)?));
        let mut known = known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(path.to_owned(), (changed, Arc::clone(&audio)));
        Ok(audio)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_prompt_is_read_once_and_a_missing_one_sends_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        audio::write_wav(&dir.path().join("a.wav"), &[1000; 16_000], 16_000).expect("written");
        let sounds = PromptSounds::new(dir.path());
        let (to, mut from) = mpsc::channel(4);
        sounds.send(PlayId(1), "a.wav", to.clone());
        let (id, first) = from.recv().await.expect("the sound");
        assert_eq!((id, first.duration()), (PlayId(1), Duration::from_secs(1)));
        sounds.send(PlayId(2), "a.wav", to.clone());
        let (_, second) = from.recv().await.expect("the sound again");
        assert!(Arc::ptr_eq(&first, &second));
        sounds.send(PlayId(3), "none.wav", to);
        assert!(from.recv().await.is_none());
    }
}
