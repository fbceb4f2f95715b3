//! Rows of an .xlsx file. Its parts are compressed: what they unpack to is bounded before anything is built from them.

use std::{
    io::{self, BufReader, Read, Seek},
    ops::ControlFlow,
};

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Xlsx};

use super::{BadRow, Cell, ListError, RawRow, Reason};

/// Rows of a sheet, the header among them.
pub const MOST_ROWS: u32 = 200_000;
/// Bytes that all parts together unpack to.
pub const MOST_UNPACKED: u64 = 256 * 1024 * 1024;
/// How many times its size a file may unpack to.
pub const MOST_RATIO: u64 = 100;
/// Smaller ones may have any ratio.
const SMALL: u64 = 4 * 1024 * 1024;
const MOST_PARTS: usize = 1000;
const MOST_COLUMNS: u32 = 1000;

fn refused(words: impl Into<String>) -> ListError {
    ListError::Refused(words.into())
}

/// `sheet`: its name; otherwise the first visible one.
pub(super) fn rows<F: Read + Seek>(
    mut file: F,
    sheet: Option<&str>,
    mut take: impl FnMut(Result<RawRow, BadRow>) -> Result<ControlFlow<()>, ListError>,
) -> Result<(), ListError> {
    let bytes = file.seek(io::SeekFrom::End(0))?;
    file.rewind()?;
    check(&mut file, bytes)?;
    file.rewind()?;
    let mut workbook = Xlsx::new(BufReader::new(file))
        .map_err(|error| refused(format!("is no spreadsheet that can be read (.xlsx): {error}")))?;
    let name = choose(&workbook, sheet)?;
    let broken = |error: calamine::XlsxError| refused(format!("sheet `{name}`: {error}"));
    let mut cells = workbook.worksheet_cells_reader(&name).map_err(broken)?;
    let mut row = Gathered::default();
    while let Some(cell) = cells.next_cell().map_err(broken)? {
        let (at, column) = cell.get_position();
        if at >= MOST_ROWS {
            return Err(refused(format!(
                "sheet `{name}` has more than {MOST_ROWS} rows: save it as `CSV UTF-8`, which has no such limit"
            )));
        }
        if at != row.at && row.give(&mut take)?.is_break() {
            return Ok(());
        }
        row.at = at;
        row.put(column, cell.get_value())?;
    }
    row.give(&mut take).map(drop)
}

/// The limits, first by what the directory says, then by what really comes out.
fn check<F: Read + Seek>(file: F, bytes: u64) -> Result<(), ListError> {
    let unreadable =
        |error: zip::result::ZipError| refused(format!("is no zip archive that can be read: {error}"));
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
    if zip.len() > MOST_PARTS {
        return Err(refused(format!("has {} parts, at most {MOST_PARTS} are read", zip.len())));
    }
    let most =
        if bytes.saturating_mul(MOST_RATIO) < SMALL { SMALL } else { bytes.saturating_mul(MOST_RATIO) };
    let most = most.min(MOST_UNPACKED);
    let bomb = || {
        refused(format!(
            "unpacks to more than it may ({} MiB, and {MOST_RATIO} times its size): if it is a real list, save it as `CSV UTF-8`",
            MOST_UNPACKED / (1024 * 1024)
        ))
    };
    let mut said: u64 = 0;
    for index in 0..zip.len() {
        said = said.saturating_add(zip.by_index_raw(index).map_err(unreadable)?.size());
    }
    if said > most {
        return Err(bomb());
    }
    let mut left = most;
    for index in 0..zip.len() {
        let part = zip.by_index(index).map_err(unreadable)?;
        let unpacked = io::copy(&mut part.take(left.saturating_add(1)), &mut io::sink());
        let unpacked = unpacked
            .map_err(|error| refused(format!("its part {} cannot be unpacked: {error}", index + 1)))?;
        left = left.checked_sub(unpacked).ok_or_else(bomb)?;
    }
    Ok(())
}

fn choose<F: Read + Seek>(workbook: &Xlsx<F>, wanted: Option<&str>) -> Result<String, ListError> {
    let sheets = || workbook.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let chosen = match wanted {
        Some(name) => sheets().find(|sheet| sheet.name == name),
        None => sheets().find(|sheet| sheet.visible == SheetVisible::Visible),
    };
    let names = || sheets().map(|sheet| format!("`{}`", sheet.name)).collect::<Vec<_>>().join(", ");
    match (chosen, wanted) {
        (Some(sheet), _) => Ok(sheet.name.clone()),
        (None, Some(name)) => Err(refused(format!("has no sheet `{name}`; its sheets are: {}", names()))),
        (None, None) => Err(refused("has no sheet that can be seen")),
    }
}

/// A row as its cells come.
#[derive(Default)]
struct Gathered {
    /// 0 for the first.
    at: u32,
    cells: Vec<Cell>,
    broken: Option<String>,
    /// Columns of the header: a row's last cells may be missing.
    width: usize,
}

impl Gathered {
    fn put(&mut self, column: u32, value: &DataRef<'_>) -> Result<(), ListError> {
        if matches!(value, DataRef::Empty) {
            return Ok(());
        }
        if column >= MOST_COLUMNS {
            return Err(refused(format!("row {} has more than {MOST_COLUMNS} columns", self.at + 1)));
        }
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if self.cells.len() <= column {
            self.cells.resize(column + 1, Cell::default());
        }
        if let DataRef::Error(error) = value {
            self.broken.get_or_insert(format!("column {}: the cell holds the error {error}", column + 1));
        }
        self.cells[column] = cell(value);
        Ok(())
    }

    fn give(
        &mut self,
        take: &mut impl FnMut(Result<RawRow, BadRow>) -> Result<ControlFlow<()>, ListError>,
    ) -> Result<ControlFlow<()>, ListError> {
        let mut cells = std::mem::take(&mut self.cells);
        if cells.iter().all(|cell| cell.text.is_empty()) {
            return Ok(ControlFlow::Continue(()));
        }
        // Cells that were emptied stand there all the same.
        while cells.last().is_some_and(|cell| cell.text.is_empty()) {
            cells.pop();
        }
        match self.width {
            0 => self.width = cells.len(),
            width if cells.len() < width => cells.resize(width, Cell::default()),
            _ => {}
        }
        let line = u64::from(self.at) + 1;
        let texts: Vec<_> = cells.iter().map(|cell| cell.text.as_str()).collect();
        let original = texts.join(",");
        take(match self.broken.take() {
            None => Ok(RawRow { line, cells, original }),
            Some(message) => Err(BadRow { line, reason: Reason::BrokenCell, message, original }),
        })
    }
}

fn cell(value: &DataRef<'_>) -> Cell {
    let text = match value {
        DataRef::Int(number) => return Cell { text: number.to_string(), numeric: true },
        DataRef::Float(number) => return Cell { text: plain(*number), numeric: true },
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTime(at) if at.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            match (hour, minute, second) {
                (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"),
            }
        }
        DataRef::DateTime(span) => plain(span.as_f64()),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    };
    Cell { text, numeric: false }
}

/// `33612345678.0` without its fraction and without an exponent.
fn plain(number: f64) -> String {
    format!("{number}")
}
