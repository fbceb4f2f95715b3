//! Recordings of people while a bot speaks, and what they should do to it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sidetone_core::text::PhrasePack;

use crate::asr::primary_language;

/// A cut so long after an interruption began still is because of it.
const WINDOW_MS: i64 = 1500;
/// What the bot did that late after something else was said is still put down to it.
const AFTERMATH_MS: i64 = 1000;

/// One recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// In the index, from 1.
    pub number: usize,
    pub id: String,
    pub language: String,
    pub path: PathBuf,
    pub events: Vec<Said>,
    pub echo: Option<Echo>,
    /// What is heard all the time: `tv`, `noise`, `echo` or `silence`.
    pub background: &'static str,
}

/// Something the person does.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub start_ms: i64,
    pub end_ms: i64,
    pub kind: String,
    pub should_interrupt: bool,
}

/// The prompt that comes back on the line.
#[derive(Debug, Clone, PartialEq)]
pub struct Echo {
    pub prompt: PathBuf,
    pub starts_at_ms: i64,
    /// The words of the prompt, where the index knows them.
    pub text: Option<String>,
}

/// A track that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadTrack {
    /// In the index, from 1.
    pub number: usize,
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: no list of tracks: {reason}")]
    Json { path: PathBuf, reason: String },
}

/// The tracks of an index, and those that cannot be used. Files are relative to the index.
///
/// # Errors
/// It cannot be read or is no JSON list.
pub fn tracks(path: &Path) -> Result<(Vec<Track>, Vec<BadTrack>), IndexError> {
    let text = std::fs::read(path).map_err(|source| IndexError::Read { path: path.into(), source })?;
    let items: Vec<serde_json::Value> = serde_json::from_slice(&text)
        .map_err(|error| IndexError::Json { path: path.into(), reason: error.to_string() })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut tracks, mut bad) = (Vec::new(), Vec::new());
    for (n, item) in items.into_iter().enumerate() {
        let entry = serde_json::from_value::<Entry>(item).map_err(|error| error.to_string());
        match entry.and_then(|entry| entry.track(folder)) {
            Ok(track) => tracks.push(Track { number: n + 1, ..track }),
            Err(reason) => bad.push(BadTrack { number: n + 1, reason }),
        }
    }
    Ok((tracks, bad))
}

impl Track {
    /// What a cut at this time was made by.
    pub(super) fn cause(&self, cut_ms: i64) -> Blame {
        // In time, or while it lasts.
        let due = |said: &&Said| {
            let until = said.end_ms.max(said.start_ms + WINDOW_MS);
            said.should_interrupt && (said.start_ms..=until).contains(&cut_ms)
        };
        if let Some(said) = self.events.iter().rfind(due) {
            let is_timely = cut_ms - said.start_ms <= WINDOW_MS;
            let kind = if is_timely { None } else { Some("late".to_owned()) };
            return Blame {
                wrong: kind,
                event_end_ms: Some(said.end_ms),
                event_start_ms: Some(said.start_ms),
            };
        }
        let other = self.events.iter().rev().find(|said| {
            !said.should_interrupt && said.start_ms <= cut_ms && cut_ms <= said.end_ms + AFTERMATH_MS
        });
        match other {
            Some(said) => Blame {
                wrong: Some(said.kind.clone()),
                event_end_ms: Some(said.end_ms),
                event_start_ms: Some(said.start_ms),
            },
            None => {
                Blame { wrong: Some(self.background.to_owned()), event_end_ms: None, event_start_ms: None }
            }
        }
    }
}

/// Why the bot fell silent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blame {
    /// `None`: an interruption that was to be, in time. Else the kind of false cut.
    pub(super) wrong: Option<String>,
    pub(super) event_start_ms: Option<i64>,
    pub(super) event_end_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    lang: String,
    file_8k: String,
    #[serde(default)]
    events: Vec<EventEntry>,
    bot_echo: Option<EchoEntry>,
    tv: Option<serde::de::IgnoredAny>,
    background: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct EventEntry {
    start: f64,
    end: f64,
    #[serde(default)]
    kind: String,
    should_interrupt: bool,
}

#[derive(Deserialize)]
struct EchoEntry {
    prompt_file: Option<String>,
    prompt_text: Option<String>,
    #[serde(default)]
    starts_at_s: f64,
}

impl Entry {
    fn track(self, folder: &Path) -> Result<Track, String> {
        let id = self.id;
        let found = |file: String| {
            let path = folder.join(file);
            if path.is_file() { Ok(path) } else { Err(format!("{id}: {}: no such file", path.display())) }
        };
        let language = if self.lang.is_empty() { "en".to_owned() } else { primary_language(&self.lang) };
        if PhrasePack::for_language(&language).is_none() {
            return Err(format!("{id}: no phrases are known for the language `{language}`"));
        }
        let background = match (&self.tv, &self.background, &self.bot_echo) {
            (Some(_), _, _) => "tv",
            (None, Some(_), _) => "noise",
            (None, None, Some(_)) => "echo",
            (None, None, None) => "silence",
        };
        let path = found(self.file_8k)?;
        let echo = match self.bot_echo {
            Some(EchoEntry { prompt_file: Some(file), prompt_text, starts_at_s }) => {
                Some(Echo { prompt: found(file)?, starts_at_ms: ms(starts_at_s), text: prompt_text })
            }
            Some(EchoEntry { prompt_file: None, .. }) | None => None,
        };
        let said = |event: EventEntry| Said {
            start_ms: ms(event.start),
            end_ms: ms(event.end.max(event.start)),
            kind: event.kind,
            should_interrupt: event.should_interrupt,
        };
        let events = self.events.into_iter().map(said).collect();
        Ok(Track { number: 0, id, language, path, events, echo, background })
    }
}

fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
