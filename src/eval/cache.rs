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

use crate::asr::{Reading, Recognized};

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
    /// With a beam search.
    #[serde(default)]
    pub(super) wide: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    key: Key,
    text: String,
    score: f32,
    no_speech: f32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<Reading>,
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
                    let Entry { key, text, score, no_speech, others, compute_us } = entry;
                    let heard = Recognized { text, score, no_speech, others };
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
            others: heard.others.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beam_search_is_kept_with_its_readings_and_apart_from_the_quick_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.jsonl");
        // As a line was before there was a beam search.
        let old = r#"{"clip":"c","from_ms":0,"to_ms":2320,"voiced_ms":900,"language":"en","model":"base.en","text":"it was","score":-0.5,"no_speech":0.1,"compute_us":7}"#;
        std::fs::write(&path, format!("{old}\n")).unwrap();
        let key = |wide| Key {
            clip: "c".to_owned(),
            from_ms: 0,
            to_ms: 2320,
            voiced_ms: 900,
            language: "en".to_owned(),
            model: "base.en".to_owned(),
            wide,
        };
        let others = vec![Reading { text: "it is".to_owned(), score: -0.75 }];
        let wide = Recognized { text: "it was cold".to_owned(), score: -0.25, no_speech: 0.5, others };
        Cache::open(&path).unwrap().put(key(true), &wide, Duration::from_micros(9));
        let cache = Cache::open(&path).unwrap();
        assert_eq!(cache.get(&key(true)), Some((wide, Duration::from_micros(9))));
        let (quick, took) = cache.get(&key(false)).unwrap();
        assert_eq!((quick.text.as_str(), quick.others.len(), took), ("it was", 0, Duration::from_micros(7)));
    }
}
