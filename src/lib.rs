//! Sidetone: the effects around `sidetone-core`. `main.rs` parses arguments and calls in here.

pub mod app;
pub mod asr;
pub mod audio;
pub mod bench;
pub mod bench_campaign;
pub mod bench_chaos;
pub mod cli;
pub mod config;
pub mod contacts;
pub mod dialer;
pub mod eval;
pub mod http;
pub mod logging;
pub mod media;
pub mod metrics;
mod random;
pub mod reexec;
pub mod scenario_file;
pub mod session;
pub mod sim;
pub mod store;
pub mod switch;
pub mod webhooks;
