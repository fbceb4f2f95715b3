//! Breaks what can break while three sidecars share a campaign, then counts what the stand-ins saw against what the
//! database says.
//!
//! Every sidecar has a runtime and a FreeSWITCH stand-in of its own; they share one PostgreSQL server, started for the
//! purpose. A kill drops the runtime with every task and socket in it, between any two instructions that wait.

mod account;
mod sidecar;

use std::{collections::BTreeMap, path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use sidetone_core::campaign::Control;
use tokio::time::Instant;

pub use account::ChaosReport;
use account::Seen;
use sidecar::Sidecar;

use crate::{
    config::Config,
    random::Random,
    sim::DropStream,
    store::{LEASE, NewCampaign, NewContact, Store, now_ms, scratch::ScratchPostgres},
};

const CAMPAIGN: &str = "chaos";
/// After the last fault everything still open must be settled within this: calls end, dead leases return.
const SETTLE: Duration = Duration::from_secs(60);
/// How often the database is asked how many are claimed.
const LOOK: Duration = Duration::from_millis(20);

/// What to break, and for how long.
#[derive(Debug, Clone)]
pub struct ChaosOptions {
    pub length: Duration,
    /// The same seed chooses the same faults.
    pub seed: u64,
    pub sidecars: usize,
    pub max_concurrent: u32,
    pub cps: f64,
}

impl Default for ChaosOptions {
    fn default() -> Self {
        Self { length: Duration::from_secs(20), seed: 1, sidecars: 3, max_concurrent: 12, cps: 10.0 }
    }
}

/// Runs it and reports; blocks nobody, but wants two cores.
///
/// # Errors
/// What kept it from running: no PostgreSQL, a sidecar that does not start. What it finds is in the report.
pub async fn run(options: ChaosOptions) -> anyhow::Result<ChaosReport> {
    let server = tokio::task::spawn_blocking(ScratchPostgres::start).await??;
    let url = server.database().await?;
    let folder = tempfile::tempdir()?;
    let scenario = sidecar::write_scenario(folder.path())?;
    let store = Store::open(&url).await?;
    let campaign = fill(&store, &options, &scenario).await?;
    let mut sidecars = Vec::new();
    for number in 0..options.sidecars {
        sidecars.push(Sidecar::start(number, &base_config(&url, folder.path()), options.seed).await?);
    }
    store.control_campaign(CAMPAIGN, Control::Run, now_ms()).await?;

    let mut chaos = Chaos { random: Random(options.seed), server, url, sidecars, report: BTreeMap::new() };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let watching = tokio::spawn(watch_cap(store.clone(), campaign, options.max_concurrent, stopped));
    chaos.unleash(options.length).await?;
    retry(async || store.control_campaign(CAMPAIGN, Control::Pause, now_ms()).await.map(drop)).await?;
    chaos.settle(&store, campaign).await?;
    stop.send_replace(true);
    let over_cap = watching.await?;

    let mut seen = Vec::new();
    for sidecar in chaos.sidecars {
        let (started_ms, report) = sidecar.end().await;
        seen.extend(report.calls.iter().map(|call| Seen::new(call, started_ms)));
    }
    let rows = store.recent_calls(Some(campaign), u32::MAX >> 1).await?;
    store.close().await;
    let mut report = ChaosReport::of(&rows, &seen, options.cps);
    report.cap_violations += over_cap;
    report.seed = options.seed;
    report.seconds = options.length.as_secs();
    report.faults = chaos.report;
    Ok(report)
}

/// `sidetone bench chaos`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone bench chaos --minutes 10 --seed 3 --json\n\n\
    Needs PostgreSQL's programs (Debian: postgresql), not a server: it starts its own.\n\
    Exit code 1: something was called twice, not accounted for, or beyond a limit.")]
pub struct ChaosArgs {
    /// For how long things are broken.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// The same seed chooses the same faults.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl ChaosArgs {
    /// Runs it and prints what it found.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        let length = Duration::from_secs(self.minutes * 60);
        let report = run(ChaosOptions { length, seed: self.seed, ..ChaosOptions::default() }).await?;
        let document = serde_json::to_string_pretty(&report)?;
        let line = format!(
            "{} calls, {} attempts, {} lost or never dialled; duplicate dials {}, unaccounted {}, beyond limits {}",
            report.originates,
            report.attempts,
            report.never_dialled,
            report.duplicate_dials,
            report.unaccounted,
            report.cap_violations
        );
        let mut out = std::io::stdout();
        std::io::Write::write_all(&mut out, format!("{}\n", if json { document } else { line }).as_bytes())?;
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

struct Chaos {
    random: Random,
    server: ScratchPostgres,
    url: String,
    sidecars: Vec<Sidecar>,
    report: BTreeMap<&'static str, u64>,
}

impl Chaos {
    async fn unleash(&mut self, length: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            let pause = 300 + self.random.below(1200);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            for sidecar in &mut self.sidecars {
                sidecar.revive_when_due().await?;
            }
            let fault = self.one_fault().await?;
            *self.report.entry(fault).or_default() += 1;
        }
        Ok(())
    }

    async fn one_fault(&mut self) -> anyhow::Result<&'static str> {
        let which = usize::try_from(self.random.below(self.sidecars.len() as u64))?;
        let fault = self.random.below(100);
        // Shorter than a lease and longer: some are given back by the others, some by the sidecar's own restart.
        let away = Duration::from_millis(500 + self.random.below(LEASE.as_millis() as u64 * 2));
        let chosen = self.random.next();
        let sidecar = &mut self.sidecars[which];
        Ok(match fault {
            0..35 => match sidecar.kill(away) {
                true => "killed",
                false => "already_dead",
            },
            35..60 => {
                sidecar.sim.drop_esl();
                "event_socket_cut"
            }
            60..75 => {
                sidecar.refuse_for(away);
                "event_socket_refused"
            }
            75..90 => {
                let channels = sidecar.sim.channels();
                if let Some(uuid) = channels.get(chosen as usize % channels.len().max(1)) {
                    sidecar.sim.drop_stream(uuid, DropStream::Reset);
                }
                "stream_cut"
            }
            _ => {
                self.server.cut(&self.url).await?;
                "database_cut"
            }
        })
    }

    /// Everybody lives again and no call starts: waits until no attempt is open.
    async fn settle(&mut self, store: &Store, campaign: i64) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLE;
        for sidecar in &mut self.sidecars {
            sidecar.revive().await?;
        }
        while Instant::now() < deadline {
            let counts = store.campaign_counts(campaign).await?;
            if counts.live == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // What is still open is in the report, as unaccounted.
        Ok(())
    }
}

/// Looks how many contacts are claimed, again and again, and counts the looks that found too many.
async fn watch_cap(store: Store, campaign: i64, most: u32, stop: tokio::sync::watch::Receiver<bool>) -> u64 {
    let mut over = 0;
    while !*stop.borrow() {
        // A look that the cut of a connection spoiled is made up for by the next.
        if let Ok(counts) = store.campaign_counts(campaign).await {
            over += u64::from(counts.live > u64::from(most));
        }
        tokio::time::sleep(LOOK).await;
    }
    over
}

async fn fill(store: &Store, options: &ChaosOptions, scenario: &Path) -> anyhow::Result<i64> {
    let campaign = NewCampaign {
        name: CAMPAIGN.to_owned(),
        scenario: scenario.to_str().context("the temporary folder's name must be UTF-8")?.to_owned(),
        language: None,
        caller_id: None,
        max_concurrent: options.max_concurrent,
        cps: options.cps,
        max_attempts: 3,
    };
    let made = store.create_campaign(&campaign, now_ms()).await?;
    let enough = (options.length.as_secs_f64() * options.cps) as u64 + 100;
    let contacts: Vec<NewContact> =
        (0..enough).map(|i| NewContact::new(format!("+336{i:08}"), BTreeMap::new())).collect();
    for batch in contacts.chunks(500) {
        store.import_contacts(made.id, batch, now_ms()).await?;
    }
    Ok(made.id)
}

fn base_config(url: &str, folder: &Path) -> Arc<Config> {
    let mut config = Config::default();
    config.store.url = url.to_owned();
    config.prompts.dir = folder.to_owned();
    config.record.dir = folder.join("record").display().to_string();
    config.call.ring_timeout = Duration::from_secs(2);
    config.call.max_duration = Duration::from_secs(10);
    config.shutdown.grace = Duration::from_secs(2);
    config.retention.days = 0;
    Arc::new(config)
}

/// Through a connection that a fault has just cut.
async fn retry<E>(mut work: impl AsyncFnMut() -> Result<(), E>) -> Result<(), E> {
    for _ in 0..20 {
        if work().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    work().await
}
