//! Rows of a CSV file.

use std::{
    collections::VecDeque,
    io::{BufReader, Read},
    ops::ControlFlow,
};

use csv_core::ReadRecordResult;

use super::{
    BadRow, Cell, ListError, RawRow, Reason,
    lines::{LONGEST, Line, Lines},
};

/// A row that spans more lines than this has a quote that was never closed.
const MOST_LINES: usize = 20;

/// Comma, semicolon or tab; the first line has most of the right one.
pub(super) struct Records<R> {
    lines: Lines<BufReader<R>>,
    /// Lines that turned out to be rows of their own.
    again: VecDeque<Line>,
    parser: csv_core::Reader,
    delimiter: u8,
    text: Vec<u8>,
    text_end: usize,
    ends: Vec<usize>,
    ends_end: usize,
    /// Of the header; `None` before it was read.
    fields: Option<usize>,
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            lines: Lines::new(BufReader::with_capacity(64 * 1024, input)),
            again: VecDeque::new(),
            parser: csv_core::Reader::new(),
            delimiter: b',',
            text: vec![0; 1024],
            text_end: 0,
            ends: vec![0; 32],
            ends_end: 0,
            fields: None,
        }
    }

    pub(super) fn each(
        mut self,
        mut take: impl FnMut(Result<RawRow, BadRow>) -> Result<ControlFlow<()>, ListError>,
    ) -> Result<(), ListError> {
        while let Some(row) = self.next_row()? {
            if take(row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn next_row(&mut self) -> Result<Option<Result<RawRow, BadRow>>, ListError> {
        let mut held: Vec<Line> = Vec::new();
        loop {
            let Some(mut line) = self.next_line()? else {
                return Ok(match held.is_empty() {
                    true => None,
                    false => Some(Err(self.open_quote(held, "the file's end"))),
                });
            };
            if let Some(length) = line.too_long {
                if held.is_empty() {
                    return Ok(Some(Err(too_long(&line, length))));
                }
                let before = format!("line {}", line.number);
                held.push(line);
                return Ok(Some(Err(self.open_quote(held, &before))));
            }
            if held.is_empty() {
                if line.bytes.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                if self.fields.is_none() {
                    if line.bytes.starts_with("\u{feff}".as_bytes()) {
                        line.bytes.drain(..3);
                    }
                    self.delimiter = delimiter(&line.bytes);
                    self.parser = csv_core::ReaderBuilder::new().delimiter(self.delimiter).build();
                }
            }
            let whole = self.feed(&line.bytes);
            let next = line.number + 1;
            held.push(line);
            if whole {
                // A quote too many makes one row of several.
                let strange = self.fields.is_some_and(|fields| fields != self.ends_end);
                let joined = held.len() > 1 && (strange || !well_quoted(&held, self.delimiter));
                return Ok(Some(match joined {
                    true => Err(self.open_quote(held, &format!("line {}", next - 1))),
                    false => self.row(&held),
                }));
            }
            if held.len() > MOST_LINES || held.iter().map(|line| line.bytes.len()).sum::<usize>() > LONGEST {
                return Ok(Some(Err(self.open_quote(held, &format!("line {next}")))));
            }
        }
    }

    fn next_line(&mut self) -> Result<Option<Line>, ListError> {
        match self.again.pop_front() {
            Some(line) => Ok(Some(line)),
            None => Ok(self.lines.next_line()?),
        }
    }

    /// Whether the row ends with this line.
    fn feed(&mut self, mut line: &[u8]) -> bool {
        while !line.is_empty() {
            let (text, ends) = (&mut self.text[self.text_end..], &mut self.ends[self.ends_end..]);
            let (result, read, wrote, ended) = self.parser.read_record(line, text, ends);
            line = &line[read..];
            self.text_end += wrote;
            self.ends_end += ended;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => return true,
                ReadRecordResult::InputEmpty => return false,
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
        false
    }

    fn row(&mut self, held: &[Line]) -> Result<RawRow, BadRow> {
        let line = held.first().map_or(0, |line| line.number);
        let original = original(held);
        self.fields.get_or_insert(self.ends_end);
        let mut begin = 0;
        let cells = self.ends[..self.ends_end].iter().map(|end| {
            let cell = std::str::from_utf8(&self.text[begin..*end]);
            begin = *end;
            cell.map(|text| Cell { text: text.trim().to_owned(), numeric: false })
        });
        let cells: Result<Vec<_>, _> = cells.collect();
        (self.text_end, self.ends_end) = (0, 0);
        match cells {
            Ok(cells) => Ok(RawRow { line, cells, original }),
            Err(_) => {
                let message = "is not UTF-8: save the file as `CSV UTF-8`".to_owned();
                Err(BadRow { line, reason: Reason::Encoding, message, original })
            }
        }
    }

    /// The first of these lines opens a quote; the others are read again as rows of their own.
    fn open_quote(&mut self, mut held: Vec<Line>, before: &str) -> BadRow {
        self.parser.reset();
        (self.text_end, self.ends_end) = (0, 0);
        let rest = held.split_off(1);
        for line in rest.into_iter().rev() {
            self.again.push_front(line);
        }
        let message = format!("a quote opened here is not closed before {before}: this line is left out");
        let line = held.first().map_or(0, |line| line.number);
        BadRow { line, reason: Reason::OpenQuote, message, original: original(&held) }
    }
}

/// Whether every quote that ends a field is followed by the next field or the row's end.
fn well_quoted(held: &[Line], delimiter: u8) -> bool {
    let bytes: Vec<u8> = held.iter().flat_map(|line| line.bytes.iter().copied()).collect();
    let (mut at, mut field_begins) = (0, true);
    while at < bytes.len() {
        if !(field_begins && bytes[at] == b'"') {
            field_begins = bytes[at] == delimiter;
            at += 1;
            continue;
        }
        at += 1;
        loop {
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b'"'), Some(b'"')) => at += 2,
                (Some(b'"'), next) => {
                    if !next.is_none_or(|next| [delimiter, b'\n', b'\r', b' '].contains(next)) {
                        return false;
                    }
                    break;
                }
                (Some(_), _) => at += 1,
                (None, _) => return false,
            }
        }
        at += 1;
        field_begins = false;
    }
    true
}

fn too_long(line: &Line, length: u64) -> BadRow {
    BadRow {
        line: line.number,
        reason: Reason::TooLong,
        message: format!("has {length} bytes in one line: at most {} KiB can be a contact", LONGEST / 1024),
        original: format!("{}...", String::from_utf8_lossy(&line.bytes)),
    }
}

fn original(held: &[Line]) -> String {
    let bytes: Vec<u8> = held.iter().flat_map(|line| line.bytes.iter().copied()).collect();
    String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()
}

/// The one of comma, semicolon and tab that the line has most of.
fn delimiter(line: &[u8]) -> u8 {
    let count = |delimiter: u8| line.iter().filter(|byte| **byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}
