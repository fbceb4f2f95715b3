//! `sidetone config`: what applies, the documented example, a file's check.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{Context, exit};
use crate::config::{Config, EXAMPLE};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sidetone config example > sidetone.toml\n  sidetone config check sidetone.toml"
)]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the configuration that applies, secrets hidden.
    #[command(after_help = "Example:\n  sidetone --config /etc/sidetone/sidetone.toml config show")]
    Show,
    /// Print every key with its default and what it means.
    #[command(after_help = "Example:\n  sidetone config example > sidetone.toml")]
    Example,
    /// Check a file; exit code 2 where it is wrong.
    #[command(after_help = "Example:\n  sidetone config check sidetone.toml")]
    Check { file: PathBuf },
}

impl ConfigCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// When the configuration cannot be written as text.
    pub fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Show if ctx.json => println!("{}", serde_json::to_string_pretty(&*ctx.config)?),
            Action::Show => print!("{}", toml::to_string(&*ctx.config)?),
            Action::Example if ctx.json => println!("{}", json!({ "example": EXAMPLE })),
            Action::Example => print!("{EXAMPLE}"),
            Action::Check { file } => return Ok(check(&file, ctx.json)),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Whether the command must work while the configuration that applies is wrong.
    #[must_use]
    pub fn needs_config(&self) -> bool {
        matches!(self.action, Action::Show)
    }
}

fn check(file: &std::path::Path, as_json: bool) -> ExitCode {
    let result = Config::load(file).map_err(|error| error.to_string());
    if as_json {
        println!("{}", json!({ "file": file, "ok": result.is_ok(), "error": result.as_ref().err() }));
    } else if result.is_ok() {
        println!("{}: ok", file.display());
    }
    let Err(error) = result else { return ExitCode::SUCCESS };
    if !as_json {
        eprintln!("{error}");
    }
    ExitCode::from(exit::USAGE)
}
