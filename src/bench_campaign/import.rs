//! A list read by the program itself, in a process of its own, while a live call writes now and then.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::measure::{Quantiles, rounded};
use crate::store::{NewCampaign, Store, now_ms};

/// The campaign's name.
pub(super) const CAMPAIGN: &str = "bench";
/// How often somebody else writes.
const LIVE_WRITE: Duration = Duration::from_millis(20);
const SCENARIO: &str = "name: bench\nlanguage: fr\nstart: bye\nsteps:\n  bye:\n    hang_up: {outcome: done, \
                        disposition: completed}\n";

#[derive(Debug, Serialize)]
pub(super) struct Measured {
    import_s: f64,
    import_rows_per_s: f64,
    /// Of the process that reads the list.
    import_max_rss_mb: f64,
    /// What another process's write of one row waited and took meanwhile.
    live_write: Quantiles,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "  list read: {:.0} rows a second, at most {:.0} MB; another's write meanwhile: p99 {:.1} ms, at most {:.1} ms",
            self.import_rows_per_s, self.import_max_rss_mb, self.live_write.p99_ms, self.live_write.max_ms
        )
    }
}

/// So many French mobiles that exist, each once, with a name and a consent.
pub(super) fn write_list(folder: &Path, contacts: u32) -> anyhow::Result<PathBuf> {
    let path = folder.join("list.csv");
    let mut out = BufWriter::new(File::create(&path)?);
    writeln!(out, "number,name,consent")?;
    for i in 0..contacts {
        // Not in order, as in real lists: 7919 has no factor in common with the size of the range.
        let subscriber = (u64::from(i) * 7919) % 30_000_000;
        writeln!(out, "06{subscriber:08},Person {i},yes")?;
    }
    out.flush()?;
    Ok(path)
}

pub(super) async fn campaign(store: &Store, folder: &Path) -> anyhow::Result<i64> {
    let scenario = folder.join("bench.yaml");
    std::fs::write(&scenario, SCENARIO)?;
    let new = NewCampaign {
        name: CAMPAIGN.to_owned(),
        scenario: scenario.to_string_lossy().into_owned(),
        language: None,
        caller_id: None,
        max_concurrent: 1000,
        cps: 1000.0,
        max_attempts: 3,
    };
    Ok(store.create_campaign(&new, now_ms()).await?.id)
}

pub(super) async fn measure(
    store: &Store,
    url: &str,
    folder: &Path,
    list: &Path,
) -> anyhow::Result<Measured> {
    let config = folder.join("bench.toml");
    std::fs::write(&config, format!("[store]\nurl = {url:?}\n[prompts]\ndir = {folder:?}\n"))?;
    store.start_serving("bench", now_ms()).await?;
    let start = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .args(["campaign", "import", CAMPAIGN])
        .arg(list)
        .args(["--country", "FR", "--json", "--config"])
        .arg(&config)
        .env_remove("DATABASE_URL")
        .stdout(Stdio::piped())
        .spawn()
        .context("the program cannot be started again")?;
    let (mut waits, mut rss_kb) = (Vec::new(), 0);
    let status = loop {
        let before = Instant::now();
        store.heartbeat("bench", now_ms()).await?;
        waits.push(before.elapsed());
        rss_kb = rss_kb.max(peak_kb(child.id()));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tokio::time::sleep(LIVE_WRITE).await;
    };
    let took = start.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    if !status.success() {
        bail!("the import failed: {status}");
    }
    store.stop_serving("bench").await?;
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).context("the import's report")?;
    let added = summary["added"].as_u64().context("`added` is missing")?;
    Ok(Measured {
        import_s: rounded(took),
        import_rows_per_s: (added as f64 / took).round(),
        import_max_rss_mb: rounded(rss_kb as f64 / 1024.0),
        live_write: Quantiles::of(waits),
    })
}

/// The most memory that a process ever had resident; 0 once it is gone.
fn peak_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
