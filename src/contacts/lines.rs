//! Lines of a text, never more of one in memory than a contact can need.

use std::io::{self, BufRead};

/// Bytes of a line, and of a row that spans several.
pub const LONGEST: usize = 64 * 1024;
/// What is shown of a line that is longer.
const SHOWN: usize = 200;

/// A line and the end of line behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// 1 for the first.
    pub(super) number: u64,
    /// Its beginning, where it is too long.
    pub(super) bytes: Vec<u8>,
    /// How long it is, where that is too long.
    pub(super) too_long: Option<u64>,
}

/// Ends of line are `\n`, `\r\n` and a lone `\r`.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// The next; `None` at the end. The last one gets an end of line where it has none.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut length: u64 = 0;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                bytes.push(b'\n');
                break;
            }
            let end = memchr::memchr2(b'\n', b'\r', buffer);
            let (take, ended) = end.map_or((buffer.len(), None), |at| (at + 1, Some(buffer[at])));
            length += u64::try_from(take).unwrap_or_default();
            let room = (LONGEST + 1).saturating_sub(bytes.len());
            bytes.extend_from_slice(&buffer[..take.min(room)]);
            self.input.consume(take);
            match ended {
                Some(b'\r') => {
                    if self.input.fill_buf()?.first() == Some(&b'\n') {
                        self.input.consume(1);
                    }
                    break;
                }
                Some(_) => break,
                None => {}
            }
        }
        self.number += 1;
        let too_long = (bytes.len() > LONGEST).then_some(length);
        if too_long.is_some() {
            bytes.truncate(SHOWN);
        }
        Ok(Some(Line { number: self.number, bytes, too_long }))
    }
}
