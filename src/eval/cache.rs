//! What the recogniser said before, so that tuning a rule does not cost a night of transcribing.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::asr::Recognized;

/// What a transcript depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Key {
    /// The clip's samples.
    pub(super) clip: String,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    /// Bounds the number of tokens.
    pub(super) voiced_ms: u64,
    pub(super) language: String,
    pub(super) model: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    key: Key,
    text: String,
    score: f32,
    no_speech: f32,
    compute_us: u64,
}

/// A file of JSON lines, added to as it grows.
pub(super) struct Cache {
    state: Mutex<State>,
}

struct State {
    known: HashMap<Key, (Recognized, Duration)>,
    file: File,
}

impl Cache {
    /// Opens or makes the file. A line cut short by a kill is passed over.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let mut known = HashMap::new();
        if path.exists() {
            for line in BufReader::new(File::open(path)?).lines() {
                if let Ok(entry) = serde_json::from_str::<Entry>(&line?) {
                    let Entry { key, text, score, no_speech, compute_us } = entry;
                    let heard = Recognized { text, score, no_speech };
                    known.insert(key, (heard, Duration::from_micros(compute_us)));
                }
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { state: Mutex::new(State { known, file }) })
    }

    pub(super) fn get(&self, key: &Key) -> Option<(Recognized, Duration)> {
        self.lock().known.get(key).cloned()
    }

    pub(super) fn put(&self, key: Key, heard: &Recognized, compute: Duration) {
        let entry = Entry {
            key: key.clone(),
            text: heard.text.clone(),
            score: heard.score,
            no_speech: heard.no_speech,
            compute_us: u64::try_from(compute.as_micros()).unwrap_or(u64::MAX),
        };
        let mut state = self.lock();
        state.known.insert(key, (heard.clone(), compute));
        let written = serde_json::to_string(&entry)
            .map_err(std::io::Error::from)
            // A line in one write, led by a line's end: another process adding to the file, or a line cut short,
            // costs no more than itself.
            .and_then(|line| state.file.write_all(format!("\n{line}\n").as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, "a transcript could not be kept");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
