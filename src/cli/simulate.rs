//! `sidetone simulate`: the FreeSWITCH stand-in, by hand.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tokio::sync::broadcast::error::RecvError;

use super::{Context, exit};
use crate::sim::{Cast, Delivery, Sim, SimConfig, SimHandle};

const EXAMPLES: &str = "\
Examples:
  sidetone simulate                          the demo's cast, on 127.0.0.1:8021
  sidetone simulate --cast people.yaml --esl 127.0.0.1:8022 --report seen.json

Point `switch.esl` at it and start `sidetone serve`. Ctrl-C hangs up every call and ends.

A cast (sounds are looked for beside it):
  callees:
    - name: Anna
      what: human                        # for tables; optional
      number: \"+442079460101\"          # or dial: loopback/1000/default; neither: taken in turn
      answer: {after: 2s}                # or busy, no_answer, unallocated, no_route, rejected, failure,
                                         # absent, {cause: A_Q850_NAME}
      early_media: {clip: ring.wav, after: 500ms}
      background: {clip: office.wav, gain_db: -20}
      echo: {gain_db: -25, delay: 120ms} # of what the bot says
      does:                              # each: when, and what
        - {at: 300ms, say: hello.wav, gain_db: -6}     # after the answer
        - {then: 200ms, beep: {hz: 1000, for: 400ms}}  # after the act before it
        - {bot_spoken: 1s, prompt: 2, press: \"1\"}    # into any prompt, or the second
        - {prompt_done: 2, after: 500ms, say: yes.wav}
        - {bot_quiet: 700ms, say: bye.wav}             # each waits for the bot to say something new
        - {interrupted: 500ms, hang_up: true}          # after the bot was stopped; or a Q.850 name
      hang_up_after: 40s";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// Who answers and what they do (YAML) [default: the demo's cast].
    #[arg(long, value_name = "FILE")]
    cast: Option<PathBuf>,
    /// Where to listen for event socket clients.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8021")]
    esl: SocketAddr,
    /// The event socket's password.
    #[arg(long, default_value = "ClueCon", hide_default_value = true)]
    password: String,
    /// The same seed makes the same coincidences.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The chance that an event overtakes others of the same 20 ms, 0 to 1.
    #[arg(long, default_value_t = 0.1)]
    reorder: f64,
    /// Write what was seen as JSON when it ends.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Simulate {
    /// Runs until ctrl-C.
    ///
    /// # Errors
    /// A wrong cast, a taken address, a report that cannot be written.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let cast = match &self.cast {
            Some(file) => Cast::load(file),
            None => Cast::demo(),
        };
        let cast = match cast {
            Ok(cast) => cast,
            Err(error) => {
                eprintln!("{error}");
                return Ok(ExitCode::from(exit::USAGE));
            }
        };
        let callees = cast.len();
        let config = SimConfig {
            esl_listen: self.esl,
            password: self.password.clone(),
            cast,
            seed: self.seed,
            delivery: Delivery { reorder: self.reorder, delay: Duration::ZERO },
            ..SimConfig::default()
        };
        let sim = Sim::start(config).await.with_context(|| format!("cannot listen on {}", self.esl))?;
        eprintln!("{callees} callees wait on {}; ctrl-C ends", sim.esl_addr());
        watch(&sim, ctx.json).await?;
        let report = sim.shutdown().await;
        let text = serde_json::to_string_pretty(&report)?;
        if ctx.json {
            println!("{text}");
        } else {
            println!("{} calls, at most {} at once", report.calls.len(), report.peak_calls);
        }
        if let Some(file) = &self.report {
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints each event of a call until somebody asks for the end; with `--json` stdout stays free for the report.
async fn watch(sim: &SimHandle, json: bool) -> anyhow::Result<()> {
    let mut lines = sim.lines();
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Ok(line) if json => eprintln!("{line}"),
                Ok(line) => println!("{line}"),
                Err(RecvError::Lagged(lost)) => eprintln!("({lost} lines lost)"),
                Err(RecvError::Closed) => return Ok(()),
            },
            signal = tokio::signal::ctrl_c() => return Ok(signal?),
            _ = term.recv() => return Ok(()),
        }
    }
}
