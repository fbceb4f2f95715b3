//! One sidecar and its stand-in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{runtime::Runtime, sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, Parts},
    asr::scripted::Scripted,
    config::Config,
    sim::{Cast, Sim, SimConfig, SimHandle, SimReport},
    store::now_ms,
};

/// Callees without numbers: whoever is called, they take turns.
const CAST: &str = "
callees:
  - {name: quick, answer: {after: 300ms}, hang_up_after: 1s}
  - {name: busy, answer: busy}
  - {name: patient, answer: {after: 700ms}, hang_up_after: 4s}
  - {name: away, answer: no_answer}
  - {name: rejects, answer: rejected}
  - {name: listens, answer: {after: 1s}, hang_up_after: 3s}
";

const SCENARIO: &str = "
name: chaos
language: en
steps:
  greeting:
    play: {file: tone.wav, text: Hello.}
    listen:
      timeout: 3s
      on: {any: goodbye}
      no_input: {retries: 0, then: goodbye}
  goodbye:
    hang_up: {disposition: completed, outcome: told}
";

pub(super) struct Sidecar {
    pub(super) sim: SimHandle,
    sim_started_ms: i64,
    config: Arc<Config>,
    alive: Option<(Runtime, CancellationToken)>,
    /// When the dead one starts again.
    revive_at: Option<Instant>,
    /// When the stand-in takes connections again.
    accept_at: Option<Instant>,
}

impl Sidecar {
    pub(super) async fn start(number: usize, base: &Config, seed: u64) -> anyhow::Result<Self> {
        let cast = Cast::parse_in(CAST, "the chaos cast", Path::new("."))?;
        let sim_started_ms = now_ms();
        let sim = Sim::start(SimConfig { cast, seed: seed + number as u64, ..SimConfig::default() }).await?;
        let mut config = base.clone();
        let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        config.media.listen = anywhere;
        config.http.listen = anywhere;
        config.switch.esl = sim.esl_addr().to_string();
        config.switch.caller_id = "+442079460000".to_owned();
        config.switch.instance = format!("sidecar-{number}");
        let config = Arc::new(config);
        let mut made = Self { sim, sim_started_ms, config, alive: None, revive_at: None, accept_at: None };
        made.revive().await?;
        Ok(made)
    }

    /// Nothing of it gets to run once more. `false`: it was dead.
    pub(super) fn kill(&mut self, away: Duration) -> bool {
        let Some((runtime, _)) = self.alive.take() else { return false };
        runtime.shutdown_background();
        self.revive_at = Some(Instant::now() + away);
        true
    }

    pub(super) fn refuse_for(&mut self, time: Duration) {
        self.sim.refuse_esl(true);
        self.accept_at = Some(Instant::now() + time);
    }

    pub(super) async fn revive_when_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept_at = None;
            self.sim.refuse_esl(false);
        }
        if self.revive_at.is_some_and(|at| at <= now) {
            self.serve().await?;
        }
        Ok(())
    }

    /// Whole again at once.
    pub(super) async fn revive(&mut self) -> anyhow::Result<()> {
        self.accept_at = None;
        self.sim.refuse_esl(false);
        if self.alive.is_none() { self.serve().await } else { Ok(()) }
    }

    pub(super) async fn end(mut self) -> (i64, SimReport) {
        if let Some((runtime, shutdown)) = self.alive.take() {
            shutdown.cancel();
            runtime.shutdown_background();
        }
        (self.sim_started_ms, self.sim.shutdown().await)
    }

    /// Starts it; a database whose connections were cut this instant is tried again.
    async fn serve(&mut self) -> anyhow::Result<()> {
        let mut last = None;
        for _ in 0..20 {
            match self.try_serve().await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("never tried"))).context("a sidecar did not start")
    }

    async fn try_serve(&mut self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let shutdown = CancellationToken::new();
        let (ready, listening) = oneshot::channel();
        let parts = Parts { recognizer: Some(Arc::new(Scripted::always("hello"))), ready: Some(ready) };
        let served = runtime.spawn(app::serve_with(self.config.clone(), parts, shutdown.clone()));
        if listening.await.is_err() {
            let why = served.await;
            runtime.shutdown_background();
            why??;
            anyhow::bail!("it ended at once");
        }
        self.alive = Some((runtime, shutdown));
        self.revive_at = None;
        Ok(())
    }
}

/// A scenario and its one prompt; returns the scenario's path.
pub(super) fn write_scenario(folder: &Path) -> anyhow::Result<PathBuf> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut tone = hound::WavWriter::create(folder.join("tone.wav"), spec)?;
    for n in 0..4000_i32 {
        tone.write_sample(if n / 8 % 2 == 0 { 4000_i16 } else { -4000 })?;
    }
    tone.finalize()?;
    let path = folder.join("chaos.yaml");
    std::fs::write(&path, SCENARIO)?;
    Ok(path)
}
