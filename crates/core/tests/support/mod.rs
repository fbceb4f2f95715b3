//! Calls in virtual time.

pub(crate) mod script;
pub(crate) mod sim;
pub(crate) mod voice;
