//! Contacts from CSV: one result a row, so that a bad row stops none of the good ones.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
};

use csv::ByteRecord;
use phonenumber::country;

use crate::{cli::input, store::NewContact};

/// A row that spans more lines than this has a quote that was never closed.
const MOST_LINES: u64 = 20;

/// Reads a CSV file row by row. Comma, semicolon or tab; UTF-8 with or without a byte order mark.
pub(in crate::cli) struct Contacts<R> {
    reader: csv::Reader<BufReader<R>>,
    columns: Vec<String>,
    number: usize,
    country: Option<country::Id>,
    record: ByteRecord,
}

/// A good row.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Row {
    /// Where it begins in the file; the header is on line 1.
    pub(in crate::cli) line: u64,
    pub(in crate::cli) contact: NewContact,
}

/// A bad one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct BadRow {
    pub(in crate::cli) line: u64,
    pub(in crate::cli) message: String,
}

impl<R: Read> Contacts<R> {
    /// Reads the header. `country`: that of numbers without one.
    ///
    /// # Errors
    /// What is wrong with the header, for the user's eyes: then no row can be understood.
    pub(in crate::cli) fn new(input: R, country: Option<country::Id>) -> Result<Self, String> {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let start = input.fill_buf().map_err(|error| format!("cannot be read: {error}"))?;
        if start.is_empty() {
            return Err("is empty: a header row with a column `number` is needed".to_owned());
        }
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err("is UTF-16: save it as `CSV UTF-8`".to_owned());
        }
        if start.starts_with(b"PK\x03\x04") {
            return Err("is a spreadsheet, not CSV: save it as `CSV UTF-8`".to_owned());
        }
        let delimiter = delimiter(start);
        if start.starts_with(&[0xef, 0xbb, 0xbf]) {
            input.consume(3);
        }
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(input);
        let header = reader.byte_headers().map_err(|error| format!("cannot be read: {error}"))?;
        let columns = columns(header)?;
        let number = number_column(&columns)?;
        Ok(Self { reader, columns, number, country, record: ByteRecord::new() })
    }

    /// The next row; `None` at the end.
    pub(in crate::cli) fn next_row(&mut self) -> Option<Result<Row, BadRow>> {
        let more = self.reader.read_byte_record(&mut self.record);
        let line = self.record.position().map_or(0, csv::Position::line);
        match more {
            Ok(false) => None,
            Ok(true) => Some(self.row(line).map_err(|message| BadRow { line, message })),
            Err(error) => Some(Err(BadRow { line, message: format!("cannot be read: {error}") })),
        }
    }

    fn row(&self, line: u64) -> Result<Row, String> {
        let last = self.reader.position().line();
        if last.saturating_sub(line) > MOST_LINES {
            return Err(format!(
                "a quote opened here is not closed before line {last}: all between is one row"
            ));
        }
        let fields = self.record.iter().map(std::str::from_utf8).collect::<Result<Vec<_>, _>>();
        let fields = fields.map_err(|_| "is not UTF-8: save the file as `CSV UTF-8`".to_owned())?;
        let (found, wanted) = (fields.len(), self.columns.len());
        if found != wanted {
            return Err(format!("has {found} fields where the header has {wanted}"));
        }
        let number = input::e164(fields[self.number], self.country)?;
        let variables: BTreeMap<_, _> = self
            .columns
            .iter()
            .zip(&fields)
            .enumerate()
            .filter(|(index, (_, value))| *index != self.number && !value.is_empty())
            .map(|(_, (name, value))| (name.clone(), (*value).to_owned()))
            .collect();
        Ok(Row { line, contact: NewContact::new(number, variables) })
    }
}

/// The one of comma, semicolon and tab that the first line has most of.
fn delimiter(start: &[u8]) -> u8 {
    let first = start.split(|byte| *byte == b'\n').next().unwrap_or(start);
    let count = |delimiter: u8| first.iter().filter(|byte| **byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

fn columns(header: &ByteRecord) -> Result<Vec<String>, String> {
    let mut columns: Vec<String> = Vec::new();
    for (index, name) in header.iter().enumerate() {
        let name = std::str::from_utf8(name)
            .map_err(|_| "the header is not UTF-8: save the file as `CSV UTF-8`".to_owned())?;
        if name.is_empty() {
            return Err(format!("line 1: column {} has no name", index + 1));
        }
        if columns.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(format!("line 1: there are two columns `{name}`"));
        }
        columns.push(name.to_owned());
    }
    Ok(columns)
}

fn number_column(columns: &[String]) -> Result<usize, String> {
    let of = |wanted: &str| columns.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    match (of("number"), of("phone")) {
        (Some(_), Some(_)) => Err("line 1: both `number` and `phone`: which one is to be called?".to_owned()),
        (Some(index), None) | (None, Some(index)) => Ok(index),
        (None, None) => {
            Err(format!("line 1: no column `number` or `phone`; the columns are: {}", columns.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<Result<Row, BadRow>> {
        let mut contacts = Contacts::new(text, Some(country::Id::FR)).unwrap();
        std::iter::from_fn(|| contacts.next_row()).collect()
    }

    fn header_error(text: &[u8]) -> String {
        Contacts::new(text, None).err().unwrap_or_else(|| panic!("accepted"))
    }

    fn numbers(text: &str) -> Vec<String> {
        read(text.as_bytes()).into_iter().map(|row| row.unwrap().contact.number).collect()
    }

    #[test]
    fn reads_what_spreadsheets_write() {
        let expected = ["+33612345678", "+33612345679"];
        for text in [
            "number\n0612345678\n0612345679\n",
            "\u{feff}Number,name\r\n06 12 34 56 78,Zoé\r\n+33612345679,Bob\r\n",
            "name;PHONE\n\"Durand, Zoé\";0612345678\nBob;0612345679",
            "name\tphone\nZoé\t0612345678\n\nBob\t0612345679\n",
        ] {
            assert_eq!(numbers(text), expected, "{text:?}");
        }
    }

    #[test]
    fn other_columns_become_variables() {
        let rows = read(b"name,number,kind,empty\n\"say \"\"hi\"\"\nthere\",0612345678,human,\n");
        let row = rows[0].as_ref().unwrap();
        let expected = [("kind", "human"), ("name", "say \"hi\"\nthere")];
        let expected = expected.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!((row.line, &row.contact.variables), (2, &expected));
    }

    #[test]
    fn a_bad_row_is_named_by_its_line_and_stops_no_other() {
        let text = b"number,name\n0612345678,Zo\xe9\n06-ABC,Bob\n,Eve\n0612345678\n12,Al\n\n0612345679,Ann\n";
        let rows = read(text);
        let bad: Vec<_> = rows
            .iter()
            .filter_map(|row| row.as_ref().err().map(|bad| (bad.line, bad.message.as_str())))
            .collect();
        assert_eq!(
            bad,
            [
                (2, "is not UTF-8: save the file as `CSV UTF-8`"),
                (3, "`06-ABC` is no telephone number: it has the letter `A`"),
                (4, "no number"),
                (5, "has 1 fields where the header has 2"),
                (6, "`12` is a short number: never dialled"),
            ]
        );
        let good = rows.iter().find_map(|row| row.as_ref().ok()).unwrap();
        assert_eq!(good.contact.number, "+33612345679");
    }

    #[test]
    fn an_open_quote_is_found_out() {
        let mut text = "number,name\n0612345678,\"Zoé\n".to_owned();
        text.push_str(&"0612345679,Bob\n".repeat(40));
        let rows = read(text.as_bytes());
        let bad = rows[0].as_ref().unwrap_err();
        assert!(bad.line == 2 && bad.message.starts_with("a quote opened here"), "{bad:?}");
    }

    #[test]
    fn a_header_that_cannot_do_says_why() {
        for (text, message) in [
            (&b""[..], "is empty: a header row with a column `number` is needed"),
            (b"\xff\xfen\0", "is UTF-16: save it as `CSV UTF-8`"),
            (b"PK\x03\x04xlsx", "is a spreadsheet, not CSV: save it as `CSV UTF-8`"),
            (b"name,mobile\n", "line 1: no column `number` or `phone`; the columns are: name, mobile"),
            (b"0612345678\n", "line 1: no column `number` or `phone`; the columns are: 0612345678"),
            (b"number,name,Name\n", "line 1: there are two columns `Name`"),
            (b"number,,name\n", "line 1: column 2 has no name"),
            (b"number,phone\n", "line 1: both `number` and `phone`: which one is to be called?"),
            (b"number,pr\xe9nom\n", "the header is not UTF-8: save the file as `CSV UTF-8`"),
        ] {
            assert_eq!(header_error(text), message);
        }
    }
}
