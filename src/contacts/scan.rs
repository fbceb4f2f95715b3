//! What a file is: a first look at every byte of it.

use std::io::{self, Read};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use sha2::{Digest as _, Sha256};

use super::ListError;

/// Bytes at the start that say whether it is text.
const HEAD: usize = 4096;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text {
        encoding: &'static Encoding,
        /// Nothing in the file says so.
        guessed: bool,
    },
    /// A zip archive, so probably .xlsx.
    Sheet,
}

pub(super) struct Scanned {
    pub(super) kind: Kind,
    /// SHA-256, hex.
    pub(super) digest: String,
}

pub(super) fn scan(file: &mut impl Read) -> Result<Scanned, ListError> {
    let mut digest = Sha256::new();
    let mut utf8 = Utf8::default();
    let mut head = Vec::with_capacity(HEAD);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        head.extend_from_slice(&read[..read.len().min(HEAD - head.len())]);
        digest.update(read);
        utf8.look(read);
    }
    let digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Scanned { kind: kind(&head, &utf8)?, digest })
}

fn kind(head: &[u8], utf8: &Utf8) -> Result<Kind, ListError> {
    let refused = |words: &str| Err(ListError::Refused(words.to_owned()));
    let text = |encoding, guessed| Ok(Kind::Text { encoding, guessed });
    if head.is_empty() {
        return refused("is empty: a header row with a column `number` is needed");
    }
    if head.starts_with(b"PK\x03\x04") {
        return Ok(Kind::Sheet);
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return refused("is an old Excel file (.xls): save it as .xlsx or `CSV UTF-8`");
    }
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return text(encoding, false);
    }
    let zeros = |parity| head.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    match (zeros(0), zeros(1)) {
        (0, 0) => {}
        // Letters of most of Europe have a zero in one half.
        (even, odd) if odd > even && odd > head.len() / 8 => return text(UTF_16LE, true),
        (even, odd) if even > odd && even > head.len() / 8 => return text(UTF_16BE, true),
        (_, _) => return refused("is no text: it has bytes of zero"),
    }
    match utf8 {
        // One broken row among good ones does not make it another encoding.
        Utf8 { invalid: true, beyond_ascii: false, .. } => text(WINDOWS_1252, true),
        Utf8 { .. } => text(UTF_8, false),
    }
}

/// Whether bytes are UTF-8.
#[derive(Default)]
struct Utf8 {
    invalid: bool,
    /// Characters of several bytes that are as they should be.
    beyond_ascii: bool,
    /// The beginning of a character whose rest comes.
    begun: Vec<u8>,
}

impl Utf8 {
    fn look(&mut self, bytes: &[u8]) {
        let joined = match self.begun.is_empty() {
            true => None,
            false => Some([self.begun.as_slice(), bytes].concat()),
        };
        let mut rest = joined.as_deref().unwrap_or(bytes);
        let mut begun = Vec::new();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.beyond_ascii |= !text.is_ascii();
                    break;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    self.beyond_ascii |= !good.is_ascii();
                    let Some(length) = error.error_len() else {
                        begun = bad.to_vec();
                        break;
                    };
                    self.invalid = true;
                    rest = &bad[length..];
                }
            }
        }
        self.begun = begun;
    }
}
