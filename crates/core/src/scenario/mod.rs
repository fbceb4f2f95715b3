//! A call's script.

use serde::{Deserialize, Serialize};

/// Something to play: the file, relative to the prompts folder, and the words it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub file: String,
    pub text: String,
}
