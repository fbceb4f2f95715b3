//! The command line: one file a command.

pub mod bench;
mod call;
mod calls;
mod campaign;
pub mod config;
mod demo;
mod dnc;
pub mod doctor;
pub mod eval;
mod forget;
mod input;
pub mod models;
mod output;
pub mod policy;
pub mod scenario;
pub mod serve;
mod service;
pub mod simulate;
pub mod table;
mod timeline;
pub mod transcribe;
mod webhooks;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, Log},
    logging,
};

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
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong arguments or input, 3 something needed is not there."
)]
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
    /// Measure this machine: calls it can carry, the recogniser, its lag; beside a peer in the same run.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Call one number and watch the call.
    Call(call::Call),
    /// The record of calls.
    Calls(calls::Calls),
    /// Make, fill, run and watch campaigns.
    Campaign(campaign::Campaign),
    /// Keep the do-not-call lists.
    Dnc(dnc::Dnc),
    /// What other systems were told, and what did not reach them.
    Webhooks(webhooks::Webhooks),
    /// Delete what is known of a person.
    Forget(forget::Forget),
    /// Take calls' audio, decide, place calls: everything but the command line.
    Serve(serve::Serve),
    /// List, show and check the rules that campaigns keep to.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Check, draw and list the prompts of scenario files.
    #[command(subcommand)]
    Scenario(scenario::ScenarioCommand),
    /// Fetch speech models and list them.
    Models(models::Models),
    /// Write down what is said in sound files.
    Transcribe(transcribe::Transcribe),
    /// Stand in for FreeSWITCH: an event socket, and callees from a cast.
    Simulate(simulate::Simulate),
    /// Run twenty simulated calls and show what came of them.
    Demo(demo::Demo),
    /// Measure decisions on recorded calls.
    #[command(subcommand)]
    Eval(eval::Eval),
    /// Say whether everything that a call needs is there.
    Doctor(doctor::Doctor),
    /// Show, explain and check the configuration.
    Config(config::ConfigCommand),
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
    let config = match Config::effective(cli.config.as_deref()) {
        Ok(config) => config,
        Err(_) if cli.command.works_without_config() => Config::default(),
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(exit::USAGE));
        }
    };
    let mut log = config.log.clone();
    if matches!(cli.command, Command::Demo(_) | Command::Bench(_)) && log == Log::default() {
        // A line a call would tear the progress bar apart, and is not what is measured.
        log.level = "warn".to_owned();
    }
    logging::init(&log)?;
    let ctx = Context { config: Arc::new(config), json: cli.json };
    match cli.command {
        Command::Bench(command) => command.run(&ctx).await,
        Command::Call(command) => command.run(&ctx).await,
        Command::Calls(command) => command.run(&ctx).await,
        Command::Campaign(command) => command.run(&ctx).await,
        Command::Dnc(command) => command.run(&ctx).await,
        Command::Webhooks(command) => command.run(&ctx).await,
        Command::Forget(command) => command.run(&ctx).await,
        Command::Demo(command) => command.run(&ctx).await,
        Command::Serve(command) => command.run(&ctx).await,
        Command::Eval(command) => command.run(&ctx).await,
        Command::Policy(command) => command.run(&ctx),
        Command::Scenario(command) => command.run(&ctx).await,
        Command::Models(command) => command.run(&ctx).await,
        Command::Transcribe(command) => command.run(&ctx).await,
        Command::Simulate(command) => command.run(&ctx).await,
        Command::Doctor(command) => command.run(&ctx).await,
        Command::Config(command) => command.run(&ctx),
    }
}

impl Command {
    /// Whether it makes sense while the configuration that applies is wrong.
    fn works_without_config(&self) -> bool {
        matches!(self, Self::Config(command) if !command.needs_config())
    }
}
