//! Turns waiting contacts into calls, at the pace allowed.
