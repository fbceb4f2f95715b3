//! One call, from the originate to its disposition.

mod io;

pub use io::*;

/// Placeholder for the state machine.
#[derive(Debug)]
pub struct Call;
