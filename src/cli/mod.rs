//! The command line: one file a command.

pub mod models;
pub mod scenario;
pub mod transcribe;

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
pub enum Command {
    /// Check, draw and list the prompts of scenario files.
    #[command(subcommand)]
    Scenario(scenario::ScenarioCommand),
    /// Fetch speech models and list them.
    Models(models::Models),
    /// Write down what is said in sound files.
    Transcribe(transcribe::Transcribe),
}

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
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let here = PathBuf::from("sidetone.toml");
    let config = match cli.config.or_else(|| here.exists().then_some(here)) {
        Some(path) => Config::load(&path)?,
        None => Config::default(),
    };
    let ctx = Context { config: Arc::new(config), json: cli.json };
    match cli.command {
        Command::Scenario(command) => command.run(&ctx).await,
        Command::Models(command) => command.run(&ctx).await,
        Command::Transcribe(command) => command.run(&ctx).await,
    }
}
