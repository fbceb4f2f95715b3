//! Call-progress and machine tones.

use serde::{Deserialize, Serialize};

/// A tone somebody's equipment makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// The single tone of an answering machine.
    Beep,
    /// The three rising tones before "the number you have dialled...".
    Sit,
    /// A calling fax: 1100 Hz, 0.5 s every 3 s.
    FaxCng,
    /// An answering fax or modem: 2100 Hz.
    FaxCed,
    Ringback,
    Busy,
}
