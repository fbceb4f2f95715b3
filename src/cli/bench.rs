//! `sidetone bench`: measure this machine.

mod clips;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};

use self::clips::{Asr, Tune};
use super::{
    Context,
    output::{document, say},
};
use crate::{
    bench::{load, run, stream},
    bench_campaign::CampaignArgs,
    bench_chaos::ChaosArgs,
    config,
};

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  sidetone bench load --calls 1000")]
pub enum Bench {
    /// Many live calls through the media server, without a recogniser.
    Load(Load),
    /// The recogniser on labelled clips: CPU, errors.
    Asr(Asr),
    /// Which silence tail, batch size, copies and instructions are best on this machine.
    Tune(Tune),
    /// How many people are followed word by word before words come late.
    Stream(Stream),
    /// Twice as many talkers as are followed in time: what waits, what is shed, how soon it recovers.
    Overload(Overload),
    /// Break three sidecars on one PostgreSQL at random, and account for every call.
    Chaos(ChaosArgs),
    /// Lists read, contacts claimed, and a day of calls in virtual time whose books must balance.
    Campaign(CampaignArgs),
    /// A process that a measurement starts.
    #[command(hide = true)]
    Part(Part),
}

/// A generator so late spoils the delays that it measures.
const LATE_MS: f64 = 5.0;

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
#[command(after_help = "Example:\n  sidetone bench stream --peer whisperlivekit --json")]
pub struct Stream {
    /// Measure this one too (several gigabytes are fetched at the first use), with the same model and talkers.
    #[arg(long, value_name = "NAME")]
    peer: Option<StreamPeer>,
    /// Then hold the number found for so long, to see whether the lag grows: 600 is ten minutes.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    hold: u64,
    #[command(flatten)]
    talkers: Talkers,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sidetone bench overload --talkers 8 --json")]
pub struct Overload {
    #[command(flatten)]
    talkers: Talkers,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StreamPeer {
    Whisperlivekit,
}

#[derive(Debug, Args)]
struct Talkers {
    /// A model's name or directory [default: the configured one].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The talkers' language: en, fr, es, it, ru.
    #[arg(long, default_value = "en", value_name = "CODE")]
    language: String,
    /// How long a step lasts, after a warm-up.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..))]
    seconds: u64,
    /// This many that are followed in time, instead of searching for the number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    talkers: Option<u32>,
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
    Asr,
    Stream,
}

impl Bench {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let (json, asr) = (ctx.json, ctx.config.asr.clone());
        if let Self::Chaos(chaos) = self {
            return chaos.run(json).await;
        }
        if let Self::Campaign(campaign) = self {
            return campaign.run(json).await;
        }
        tokio::task::spawn_blocking(move || match self {
            Self::Load(load) => load.run(json),
            Self::Asr(bench) => bench.run(asr, json),
            Self::Tune(bench) => bench.run(asr, json),
            Self::Stream(bench) => bench.talkers.stream(asr, bench.peer.is_some(), bench.hold, json),
            Self::Overload(bench) => bench.talkers.overload(asr, json),
            Self::Part(part) => part.run(),
            // Carried out above: they need no thread of their own.
            Self::Chaos(_) | Self::Campaign(_) => Ok(ExitCode::SUCCESS),
        })
        .await?
    }
}

impl Part {
    fn run(self) -> anyhow::Result<ExitCode> {
        match self.part {
            PartName::LoadServer => load::part(load::Part::Server)?,
            PartName::LoadBare => load::part(load::Part::Bare)?,
            PartName::LoadGenerator => load::part(load::Part::Generator)?,
            PartName::Asr => {
                let task = self.arguments.first().context("which task?")?;
                run::part(task.as_ref())?;
            }
            PartName::Stream => {
                let task = self.arguments.first().context("which task?")?;
                stream::part(task.as_ref())?;
            }
        }
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
            "SENT LATE P99 MS",
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
                format!("{:.2}", row.generator_late_p99_ms),
            ]);
        }
        say(&table)?;
        say(format_args!("\nCPU a call: {:.2} times the bare loop's", report.cpu_over_bare))?;
        if let (Some(ratio), Some(bare)) = (report.peer_cpu_ratio, report.peer_cpu_over_bare) {
            say(format_args!(
                "the Python peer needs {ratio:.1} times as much, {bare:.1} times the bare loop's"
            ))?;
        }
        if report.sidetone.generator_late_p99_ms > LATE_MS {
            say(
                "the generator itself was late: something else runs on this machine, and the delays say little",
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Talkers {
    fn plan(self, configured: config::Asr) -> stream::Plan {
        stream::Plan {
            asr: config::Asr { model: self.model.unwrap_or_else(|| configured.model.clone()), ..configured },
            language: self.language,
            seconds: self.seconds,
            talkers: self.talkers.map(|n| n as usize),
            hold: 0,
            with_peer: false,
        }
    }

    fn stream(
        self,
        configured: config::Asr,
        with_peer: bool,
        hold: u64,
        json: bool,
    ) -> anyhow::Result<ExitCode> {
        let report = stream::run(&stream::Plan { with_peer, hold, ..self.plan(configured) })?;
        if json {
            document(&report)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "",
            "TALKERS",
            "LAG P50 MS",
            "LAG P95 MS",
            "MISSED",
            "CPU S/AUDIO S",
            "CORES",
            "LOOKS",
            "SHED",
        ]);
        let ours = report.steps.iter().map(|step| ("sidetone", step));
        let peers = report.peer_steps.iter().flatten().map(|step| ("whisperlivekit", step));
        let held = report.hold.iter().map(|step| ("sidetone, held", step));
        for (name, step) in ours.chain(held).chain(peers) {
            table.add_row([
                name.to_owned(),
                step.talkers.to_string(),
                format!("{:.0}", step.lag_p50_ms),
                format!("{:.0}", step.lag_p95_ms),
                format!("{:.3}", step.missed),
                format!("{:.3}", step.cpu_s_per_audio_s),
                format!("{:.2}", step.cores),
                step.partials.to_string(),
                step.failed.to_string(),
            ]);
        }
        say(&table)?;
        say(format_args!("\n{} talkers within 700 ms ({})", report.talkers, report.model))?;
        if let Some(held) = &report.hold {
            let fifths: Vec<String> = held.lag_p95_ms_by_fifth.iter().map(|ms| format!("{ms:.0}")).collect();
            say(format_args!("held: lag at p95 in each fifth of the time {} ms", fifths.join(", ")))?;
        }
        if let (Some(talkers), Some(ratio)) = (report.peer_talkers, report.cpu_ratio) {
            say(format_args!(
                "the peer: {talkers}; it needs {ratio:.1} times as much CPU for a second of audio"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn overload(self, configured: config::Asr, json: bool) -> anyhow::Result<ExitCode> {
        let found = stream::overload(&self.plan(configured))?;
        if json {
            document(&found)?;
            return Ok(ExitCode::SUCCESS);
        }
        say(format_args!(
            "{} talkers for {:.0} s\nverdicts: {}, of them failed: {}; wait at p95 {:.0} ms, at most {:.0} ms\n\
             looks: {}, of them shed or late: {}\nqueue: {} at most, {} at p95; empty {:.0} ms after the last word",
            found.talkers,
            found.seconds,
            found.verdicts,
            found.verdicts_failed,
            found.verdict_wait_p95_ms,
            found.verdict_wait_max_ms,
            found.partials,
            found.partials_failed,
            found.queue_depth_max,
            found.queue_depth_p95,
            found.recovery_ms
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
