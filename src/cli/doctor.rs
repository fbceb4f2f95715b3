//! `sidetone doctor`: is everything that a call needs there? Each line is ok or says what to do.

mod call;
mod finding;
mod local;
mod model;
mod switch;
#[cfg(test)]
mod tests;
mod webhooks;

use std::process::ExitCode;

use super::{Context, exit};
use crate::config::Config;

use finding::Report;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone doctor\n  sidetone --json doctor --no-call")]
pub struct Doctor {
    /// Place no test call.
    #[arg(long)]
    no_call: bool,
    /// What the test call dials; something that answers and echoes.
    #[arg(long, value_name = "DIAL_STRING", default_value = "loopback/sidetone_test/sidetone")]
    dial: String,
}

impl Doctor {
    /// Runs every check and prints the report; exit code 1 where one failed.
    ///
    /// # Errors
    /// When the report cannot be written as JSON.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let report = self.examine(&ctx.config).await;
        if ctx.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
    }

    async fn examine(&self, config: &Config) -> Report {
        let mut findings = vec![local::configuration(config), local::file_limit(), local::prompts(config)];
        findings.push(local::database(config).await);
        findings.push(webhooks::examine(config).await);
        findings.extend(model::examine(config).await);
        let reached = switch::examine(config, &mut findings).await;
        if self.no_call {
            findings.extend(call::skipped("not asked for (--no-call)"));
        } else if reached {
            findings.extend(call::examine(config, &self.dial).await);
        } else {
            findings.extend(call::skipped("needs the switch and its stream module"));
        }
        Report::new(findings)
    }
}
