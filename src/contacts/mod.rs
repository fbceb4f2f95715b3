//! Lists of people to call, in files: CSV and spreadsheets, read in constant memory, one result a row, so that a bad row
//! stops none of the good ones.

mod batches;
mod columns;
mod lines;
mod records;
mod row;
mod scan;
mod sheet;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use encoding_rs::Encoding;
use encoding_rs_io::DecodeReaderBytesBuilder;
use phonenumber::country;
use serde::Serialize;
use sidetone_core::{campaign::NumberError, scenario::Scenario};

use crate::store::NewContact;
use records::Records;
use scan::Kind;

pub use batches::Batches;
pub use columns::Mapping;
pub use lines::LONGEST;
pub use row::zone;
pub use sheet::{MOST_RATIO, MOST_ROWS, MOST_UNPACKED};

/// How a file is read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Instead of what the file itself says.
    pub encoding: Option<&'static Encoding>,
    /// Of a spreadsheet; otherwise its first visible one.
    pub sheet: Option<String>,
}

/// How its rows are understood.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// That of numbers without one.
    pub country: Option<country::Id>,
    pub mapping: Mapping,
    /// Of contacts whose number says none.
    pub default_zone: Option<String>,
    /// Nothing but the number is looked at.
    pub number_only: bool,
    /// Variables have to be ones it can be run with.
    pub scenario: Option<Arc<Scenario>>,
    /// Unix milliseconds: dates before are past.
    pub now_ms: i64,
}

/// A good row.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it begins in the file; the header is on line 1.
    pub line: u64,
    pub contact: NewContact,
    pub original: String,
}

/// A bad one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    pub line: u64,
    pub reason: Reason,
    /// What is wrong with it, and what would be right.
    pub message: String,
    /// As it stands in the file; of one that is too long the beginning.
    pub original: String,
}

/// Why a row is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    NoNumber,
    NotANumber,
    NoCountry,
    InvalidNumber,
    /// Emergency, short, premium, shared-cost and toll-free numbers, and those of no person.
    NeverDialled,
    FieldCount,
    TooLong,
    OpenQuote,
    Encoding,
    /// A spreadsheet's `#N/A` and the like.
    BrokenCell,
    BadZone,
    UnknownZone,
    BadConsent,
    BadDate,
    PastDate,
    BadVariable,
    RepeatedInFile,
    AlreadyInCampaign,
}

impl Reason {
    fn of(error: &NumberError) -> Self {
        match error {
            NumberError::Missing => Self::NoNumber,
            NumberError::Letter { .. } | NumberError::NotANumber(_) => Self::NotANumber,
            NumberError::NoCountry(_) => Self::NoCountry,
            NumberError::Invalid { .. } => Self::InvalidNumber,
            NumberError::NeverDialled { .. } => Self::NeverDialled,
        }
    }

    /// As people read it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NoNumber => "no number",
            Self::NotANumber => "no telephone number",
            Self::NoCountry => "a number without its country",
            Self::InvalidNumber => "a number that its country does not have",
            Self::NeverDialled => "a number that is never dialled",
            Self::FieldCount => "more or fewer fields than the header",
            Self::TooLong => "too long",
            Self::OpenQuote => "a quote that is not closed",
            Self::Encoding => "not in the file's encoding",
            Self::BrokenCell => "a cell that holds an error",
            Self::BadZone => "no time zone",
            Self::UnknownZone => "a time zone that is not known",
            Self::BadConsent => "neither yes nor no",
            Self::BadDate => "no date",
            Self::PastDate => "a date in the past",
            Self::BadVariable => "a variable that the scenario refuses",
            Self::RepeatedInFile => "the number stands further up too",
            Self::AlreadyInCampaign => "the campaign has the number already",
        }
    }
}

/// Why a file cannot be read at all. The words do not say which.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Not a file we can read, or more than we read.
    #[error("{0}")]
    Refused(String),
    #[error("line 1: {0}")]
    Header(String),
}

/// A file that was looked at.
#[derive(Debug)]
pub struct ListFile {
    path: PathBuf,
    kind: Kind,
    reading: Reading,
    digest: String,
    bytes: u64,
    done: Arc<AtomicU64>,
}

impl ListFile {
    /// Reads the file once: what it is, its encoding and its digest.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn open(path: &Path, reading: Reading) -> Result<Self, ListError> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(ListError::Refused(
                "is not a file: it is read twice, so a pipe will not do".to_owned(),
            ));
        }
        let scan::Scanned { kind, digest } = scan::scan(&mut File::open(path)?)?;
        if let (Kind::Text { .. }, Some(_)) = (&kind, &reading.sheet) {
            return Err(ListError::Refused("is no spreadsheet: --sheet is for .xlsx files".to_owned()));
        }
        let (path, bytes) = (path.to_owned(), metadata.len());
        Ok(Self { path, kind, reading, digest, bytes, done: Arc::default() })
    }

    /// SHA-256 of the content, hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The encoding of a text.
    #[must_use]
    pub fn encoding(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Text { encoding, .. } => Some(self.reading.encoding.unwrap_or(encoding).name()),
            Kind::Sheet => None,
        }
    }

    /// What the user had better know of how it is read.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        match self.kind {
            Kind::Text { guessed: true, encoding } if self.reading.encoding.is_none() => Some(format!(
                "is not UTF-8 and read as {}; --encoding says otherwise, or save it as `CSV UTF-8`",
                encoding.name()
            )),
            Kind::Text { .. } | Kind::Sheet => None,
        }
    }

    /// Bytes in all, and a count of those read so far.
    #[must_use]
    pub fn progress(&self) -> (u64, Arc<AtomicU64>) {
        (self.bytes, Arc::clone(&self.done))
    }

    /// Hands over each row in turn, until `each` says to stop.
    ///
    /// # Errors
    /// [`ListError`] where the header is of no use or the file cannot be read on.
    pub fn rows(
        &self,
        rules: &Rules,
        mut each: impl FnMut(Result<Row, BadRow>) -> ControlFlow<()>,
    ) -> Result<(), ListError> {
        let counted = Counted { file: File::open(&self.path)?, done: Arc::clone(&self.done) };
        let mut reader = row::Reader::new(rules);
        let take = |raw: Result<RawRow, BadRow>| match reader.take(raw)? {
            Some(row) => Ok(each(row)),
            None => Ok(ControlFlow::Continue(())),
        };
        match self.kind {
            Kind::Sheet => sheet::rows(counted, self.reading.sheet.as_deref(), take),
            Kind::Text { encoding, .. } => {
                let encoding = self.reading.encoding.unwrap_or(encoding);
                // What is UTF-8 stays as it is: a row that is not is found out and named.
                let decoded = (encoding != encoding_rs::UTF_8).then_some(encoding);
                let text = DecodeReaderBytesBuilder::new()
                    .encoding(decoded)
                    .utf8_passthru(true)
                    .strip_bom(true)
                    .bom_override(decoded.is_none())
                    .build(counted);
                Records::new(text).each(take)
            }
        }?;
        reader.end()
    }
}

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
struct RawRow {
    line: u64,
    cells: Vec<Cell>,
    original: String,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Cell {
    text: String,
    /// A spreadsheet's number: a `+` or zeros before it are lost.
    numeric: bool,
}

/// Counts what is read of a file.
#[derive(Debug)]
struct Counted {
    file: File,
    done: Arc<AtomicU64>,
}

impl io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.done.fetch_add(u64::try_from(read).unwrap_or_default(), Ordering::Relaxed);
        Ok(read)
    }
}

impl io::Seek for Counted {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// What a contact's row brings for its scenario.
type Variables = BTreeMap<String, String>;
