//! Which clips there are and what they are: a table with a header, columns parted by tabs or commas.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sidetone_core::{amd::Verdict, text::PhrasePack};

use crate::asr::primary_language;

/// What a clip is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Label {
    Human,
    Machine,
    Beep,
    Busy,
    Ringback,
    Sit,
    Fax,
    Music,
    Silence,
}

impl Label {
    pub const ALL: [Self; 9] = [
        Self::Human,
        Self::Machine,
        Self::Beep,
        Self::Busy,
        Self::Ringback,
        Self::Sit,
        Self::Fax,
        Self::Music,
        Self::Silence,
    ];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Human => "HUMAN",
            Self::Machine => "MACHINE",
            Self::Beep => "BEEP",
            Self::Busy => "BUSY",
            Self::Ringback => "RINGBACK",
            Self::Sit => "SIT",
            Self::Fax => "FAX",
            Self::Music => "MUSIC",
            Self::Silence => "SILENCE",
        }
    }

    /// Whether a verdict is right for it.
    #[must_use]
    pub fn is(self, verdict: Verdict) -> bool {
        match self {
            Self::Human => verdict == Verdict::Human,
            Self::Machine => is_machine(verdict),
            Self::Beep | Self::Busy | Self::Ringback => verdict == Verdict::Tone,
            Self::Sit => verdict == Verdict::Sit,
            Self::Fax => verdict == Verdict::Fax,
            Self::Music => verdict == Verdict::Music,
            Self::Silence => verdict == Verdict::Silence,
        }
    }
}

/// What a MACHINE clip is to be called. `unknown` and `silence` have missed it.
#[must_use]
pub(super) fn is_machine(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Voicemail | Verdict::MailboxFull | Verdict::Screening | Verdict::Ivr | Verdict::Sit => true,
        Verdict::Human
        | Verdict::Fax
        | Verdict::Tone
        | Verdict::Music
        | Verdict::Silence
        | Verdict::Unknown => false,
    }
}

/// What a person must never be called.
#[must_use]
pub(super) fn is_nobody(verdict: Verdict) -> bool {
    is_machine(verdict) || matches!(verdict, Verdict::Tone | Verdict::Fax | Verdict::Music)
}

/// One clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// In the manifest, from 1.
    pub line: u64,
    /// As the manifest writes it.
    pub file: String,
    pub path: PathBuf,
    pub label: Label,
    /// The campaign's language.
    pub language: String,
    /// As the manifest writes it; `zxx`: nobody speaks.
    pub lang: String,
    pub speech_ms: Option<(i64, i64)>,
    pub effect: String,
    pub subtype: String,
    pub real_or_tts: String,
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadRow {
    pub line: u64,
    pub reason: String,
}

#[derive(Debug, Default)]
pub struct Manifest {
    pub rows: Vec<Row>,
    pub bad: Vec<BadRow>,
}

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: the header has no column `{column}`; it needs file, label, lang")]
    Column { path: PathBuf, column: &'static str },
    #[error("{path}: {reason}")]
    Table { path: PathBuf, reason: String },
}

impl Manifest {
    /// Files are relative to the manifest's folder. `default_language`: for rows whose language is `zxx` or empty.
    ///
    /// # Errors
    /// The manifest cannot be read or lacks a column. Bad rows are no error: they are in [`Manifest::bad`].
    pub fn read(path: &Path, default_language: &str) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ManifestError::Read { path: path.into(), source })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let tabs = text.lines().next().is_some_and(|header| header.contains('\t'));
        let mut table = csv::ReaderBuilder::new()
            .delimiter(if tabs { b'\t' } else { b',' })
            // A quotation mark in a transcript is a quotation mark.
            .quoting(!tabs)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let wrong = |error: csv::Error| ManifestError::Table { path: path.into(), reason: error.to_string() };
        let header = table.headers().map_err(wrong)?.clone();
        let columns = Columns::of(&header, path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut manifest = Self::default();
        for record in table.records() {
            let record = record.map_err(wrong)?;
            let line = record.position().map_or(0, csv::Position::line);
            match columns.row(&record, folder, default_language) {
                Ok(row) => manifest.rows.push(Row { line, ..row }),
                Err(reason) => manifest.bad.push(BadRow { line, reason }),
            }
        }
        Ok(manifest)
    }
}

struct Columns {
    file: usize,
    label: usize,
    lang: usize,
    start: Option<usize>,
    end: Option<usize>,
    effect: Option<usize>,
    subtype: Option<usize>,
    real_or_tts: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord, path: &Path) -> Result<Self, ManifestError> {
        let find = |name: &str| header.iter().position(|column| column == name);
        let need = |column: &'static str| {
            find(column).ok_or_else(|| ManifestError::Column { path: path.to_owned(), column })
        };
        Ok(Self {
            file: need("file")?,
            label: need("label")?,
            lang: need("lang")?,
            start: find("speech_start_s"),
            end: find("speech_end_s"),
            effect: find("effect"),
            subtype: find("subtype"),
            real_or_tts: find("real_or_tts"),
        })
    }

    fn row(&self, record: &csv::StringRecord, folder: &Path, default: &str) -> Result<Row, String> {
        let given = |column: usize, name: &str| match record.get(column) {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) | None => Err(format!("`{name}` is missing")),
        };
        let extra = |column: Option<usize>| column.and_then(|c| record.get(c)).unwrap_or_default().to_owned();
        let file = given(self.file, "file")?;
        let path = folder.join(file);
        if !path.is_file() {
            return Err(format!("{}: no such file", path.display()));
        }
        let lang = record.get(self.lang).filter(|lang| !lang.is_empty()).unwrap_or("zxx");
        let language = if lang == "zxx" { default.to_owned() } else { primary_language(lang) };
        if PhrasePack::for_language(&language).is_none() {
            return Err(format!("`lang`: no phrases are known for the language `{lang}`"));
        }
        let (start, end) =
            (seconds(&extra(self.start), "speech_start_s")?, seconds(&extra(self.end), "speech_end_s")?);
        Ok(Row {
            line: 0,
            file: file.to_owned(),
            path,
            label: label(given(self.label, "label")?)?,
            language,
            lang: lang.to_owned(),
            speech_ms: end.map(|end| (start.unwrap_or(0).min(end), end)),
            effect: extra(self.effect),
            subtype: extra(self.subtype),
            real_or_tts: extra(self.real_or_tts),
        })
    }
}

fn label(word: &str) -> Result<Label, String> {
    let found = Label::ALL.into_iter().find(|label| label.word().eq_ignore_ascii_case(word));
    found.ok_or_else(|| {
        let known: Vec<&str> = Label::ALL.iter().map(|label| label.word()).collect();
        format!("`label`: `{word}` is none of {}", known.join(", "))
    })
}

/// Empty or negative: unknown, as in clips where nobody speaks.
fn seconds(text: &str, column: &str) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(seconds) if seconds < 0.0 => Ok(None),
        Ok(seconds) if (0.0..86_400.0).contains(&seconds) => Ok(Some((seconds * 1000.0).round() as i64)),
        Ok(_) | Err(_) => Err(format!("`{column}`: `{text}` is no number of seconds")),
    }
}
