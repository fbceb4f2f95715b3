//! `sidetone bench`: measure this machine.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};

use super::{
    Context,
    output::{document, say},
};
use crate::bench::load;

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Many live calls through the media server, without a recogniser.
    Load(Load),
    /// A process that a measurement starts.
    #[command(hide = true)]
    Part(Part),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sidetone bench load --calls 1000 --json")]
pub struct Load {
    /// Calls at once.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
    /// How long each server is measured, after a warm-up.
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Measure no Python peer (which is fetched at the first use).
    #[arg(long)]
    no_peer: bool,
}

#[derive(Debug, Args)]
pub struct Part {
    part: PartName,
    arguments: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PartName {
    LoadServer,
    LoadBare,
    LoadGenerator,
}

impl Bench {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let json = ctx.json;
        tokio::task::spawn_blocking(move || match self {
            Self::Load(load) => load.run(json),
            Self::Part(part) => part.run(),
        })
        .await?
    }
}

impl Part {
    fn run(self) -> anyhow::Result<ExitCode> {
        drop(self.arguments);
        load::part(match self.part {
            PartName::LoadServer => load::Part::Server,
            PartName::LoadBare => load::Part::Bare,
            PartName::LoadGenerator => load::Part::Generator,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Load {
    fn run(&self, json: bool) -> anyhow::Result<ExitCode> {
        let plan = load::Plan { calls: self.calls as usize, seconds: self.seconds, skip_peer: self.no_peer };
        let report = load::run(&plan)?;
        if json {
            document(&report)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "",
            "CALLS",
            "DROPPED",
            "P50 MS",
            "P99 MS",
            "CPU MS/CALL/S",
            "CORES",
            "KB/CALL",
        ]);
        let rows = [
            ("sidetone", Some(&report.sidetone)),
            ("bare loop", Some(&report.bare)),
            ("python", report.peer.as_ref()),
        ];
        for (name, row) in rows.into_iter().filter_map(|(name, row)| Some((name, row?))) {
            let delay = |ms: f64| if ms > 0.0 { format!("{ms:.2}") } else { "-".to_owned() };
            table.add_row([
                name.to_owned(),
                row.calls.to_string(),
                row.frames_dropped.to_string(),
                delay(row.p50_ms),
                delay(row.p99_ms),
                format!("{:.3}", row.cpu_ms_per_call_second),
                format!("{:.2}", row.cores),
                format!("{:.0}", row.memory_kb_per_call),
            ]);
        }
        say(&table)?;
        say(format_args!("\nCPU a call: {:.2} times the bare loop's", report.cpu_over_bare))?;
        if let Some(ratio) = report.peer_cpu_ratio {
            say(format_args!("the Python peer needs {ratio:.1} times as much"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
