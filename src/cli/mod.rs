//! The command line: one file a command.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};

use crate::config::Config;

/// Exit codes, the same for every command.
pub mod exit {
    /// The command did what it was asked.
    pub const OK: u8 = 0;
    /// It failed; stderr says why.
    pub const FAILED: u8 = 1;
    /// The arguments, the configuration or an input file are wrong.
    pub const USAGE: u8 = 2;
    /// Something it needs is not there: no live `serve`, no switch, no model.
    pub const UNAVAILABLE: u8 = 3;
}

#[derive(Debug, Parser)]
#[command(name = "sidetone", version, about, propagate_version = true)]
pub struct Cli {
    /// Configuration file [default: ./sidetone.toml where it exists, else built-in defaults].
    #[arg(long, global = true, value_name = "FILE", env = "SIDETONE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Put one JSON document alone on stdout.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {}

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub json: bool,
}

/// Runs a parsed command line.
///
/// # Errors
/// What the command could not do, for the user's eyes.
pub async fn run(_cli: Cli) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
