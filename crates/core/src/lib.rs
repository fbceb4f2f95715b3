//! Every decision Sidetone takes about a call or a campaign, and no I/O.
//!
//! The contract, for [`call::Call`] and everything like it:
//! 1. hand it one thing that happened with `handle_input(now, input)`, or that its deadline passed with
//!    `handle_timeout(now)`;
//! 2. drain `poll_command()` until it is `None` and carry every command out, in order;
//! 3. ask `poll_timeout()` for the next deadline; go to 1.
//!
//! Nothing here reads a clock, a socket, a file or a random number. A panic in this crate is our bug, never
//! the answer to bad input. The same inputs at the same instants give the same commands.

pub mod amd;
pub mod background;
pub mod barge_in;
pub mod call;
pub mod campaign;
pub mod echo;
pub mod frame;
pub mod hypothesis;
pub mod music;
pub mod scenario;
pub mod spectrum;
pub mod text;
pub mod tones;
pub mod turn;
pub mod vad;
pub mod webhook;
pub mod yaml;
