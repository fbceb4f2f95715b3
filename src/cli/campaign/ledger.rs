//! `sidetone campaign ledger`: what answered calls were for those who answered.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use serde::Serialize;
use sidetone_core::{
    call::Abandoned,
    campaign::{AbandonLimit, Brake, Tally},
};

use crate::{
    cli::{
        Context,
        output::{document, say, usage},
        table,
    },
    store::{Campaign, Ledger as Counted, Spread, Store, now_ms},
};

const HOUR_MS: i64 = 3_600_000;
/// What rules ask for, and everything.
const WINDOWS: [(&str, Option<i64>); 3] =
    [("24h", Some(24 * HOUR_MS)), ("30d", Some(30 * 24 * HOUR_MS)), ("all", None)];

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sidetone campaign ledger spring\n  sidetone campaign ledger spring --csv > ledger.csv\n\n\
    Live answers: a person by our verdict, or whoever said or pressed something; all who were abandoned. Abandoned: \
    heard us more than 2 s after their greeting. Silent: heard nothing, because we hung up, the call was lost, or they \
    gave up after 2 s. Estimate: machine verdicts times amd.false_positive_rate, counted as people we hung up on."
)]
pub(super) struct Ledger {
    /// The campaign.
    name: String,
    /// Comma-separated values, one line a window.
    #[arg(long)]
    csv: bool,
}

/// One window, as `--json` and `--csv` have it. Rates are fractions.
#[derive(Debug, Serialize)]
struct Window {
    window: &'static str,
    /// Unix milliseconds; `None`: from the first call on.
    since_ms: Option<i64>,
    live_answers: u64,
    abandoned: u64,
    silent: u64,
    machine_verdicts: u64,
    answered_by_nobody: u64,
    estimated_false_positives: f64,
    abandoned_rate: Option<f64>,
    abandoned_rate_with_estimate: Option<f64>,
    greeting_to_audio_ms: Spread,
    abandoned_by: BTreeMap<Abandoned, u64>,
}

/// A rule's limit and how it stands.
#[derive(Debug, Serialize)]
struct Limit {
    rule: String,
    most: f64,
    within_ms: u64,
    counts_estimate: bool,
    /// `free`, `slow`, `hold`.
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct Report {
    campaign: String,
    false_positive_rate: f64,
    windows: Vec<Window>,
    limits: Vec<Limit>,
    throttle: f64,
    throttle_note: Option<String>,
    note: Option<String>,
    /// How many contacts were tried how often.
    attempts_per_contact: BTreeMap<u64, u64>,
}

impl Ledger {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        if self.csv && ctx.json {
            return Ok(usage("--csv and --json are two ways to write it: choose one"));
        }
        let store = Store::open(&ctx.config.store.url).await?;
        let campaign = store.campaign(&self.name).await?;
        let report = gather(&store, campaign, ctx.config.amd.false_positive_rate, now_ms()).await?;
        if ctx.json {
            document(&report)?;
        } else if self.csv {
            csv(&report)?;
        } else {
            show(&report)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn gather(store: &Store, campaign: Campaign, rate: f64, now_ms: i64) -> anyhow::Result<Report> {
    let mut windows = Vec::new();
    for (name, length) in WINDOWS {
        let since_ms = length.map(|length| now_ms - length);
        let counted = store.ledger(campaign.id, since_ms.unwrap_or(0)).await?;
        windows.push(window(name, since_ms, counted, rate));
    }
    let mut limits = Vec::new();
    for limit in campaign.abandon_limits() {
        let window = i64::try_from(limit.window.as_millis()).unwrap_or(i64::MAX);
        let tally = store.tally(campaign.id, now_ms.saturating_sub(window)).await?;
        limits.push(standing(&campaign, &limit, &tally, rate));
    }
    let attempts_per_contact = store.attempts_per_contact(campaign.id).await?;
    Ok(Report {
        campaign: campaign.name,
        false_positive_rate: rate,
        windows,
        limits,
        throttle: campaign.throttle,
        throttle_note: campaign.throttle_note,
        note: campaign.note,
        attempts_per_contact,
    })
}

fn window(name: &'static str, since_ms: Option<i64>, counted: Counted, rate: f64) -> Window {
    let Counted { tally, abandoned, greeting_to_audio_ms } = counted;
    let estimate = tally.false_positives(rate);
    Window {
        window: name,
        since_ms,
        live_answers: tally.live(),
        abandoned: tally.all_abandoned(),
        silent: tally.silent,
        machine_verdicts: tally.machines,
        answered_by_nobody: tally.nobody,
        estimated_false_positives: estimate,
        abandoned_rate: tally.abandoned_share(0.0),
        abandoned_rate_with_estimate: tally.abandoned_share(estimate),
        greeting_to_audio_ms,
        abandoned_by: abandoned,
    }
}

fn standing(campaign: &Campaign, limit: &AbandonLimit, tally: &Tally, rate: f64) -> Limit {
    Limit {
        rule: campaign.rule_name().to_owned(),
        most: limit.share,
        within_ms: u64::try_from(limit.window.as_millis()).unwrap_or(u64::MAX),
        counts_estimate: limit.counts_estimate,
        state: match limit.judge(tally, rate) {
            Brake::Free => "free",
            Brake::Slow(_) => "slow",
            Brake::Hold => "hold",
        },
    }
}

const COLUMNS: [&str; 12] = [
    "window",
    "live_answers",
    "abandoned",
    "silent",
    "machine_verdicts",
    "answered_by_nobody",
    "estimated_false_positives",
    "abandoned_rate",
    "abandoned_rate_with_estimate",
    "greeting_to_audio_n",
    "greeting_to_audio_p50_ms",
    "greeting_to_audio_p95_ms",
];

fn csv(report: &Report) -> anyhow::Result<()> {
    let mut out = csv::Writer::from_writer(std::io::stdout().lock());
    out.write_record(COLUMNS)?;
    for window in &report.windows {
        let rate = |rate: Option<f64>| rate.map_or_else(String::new, |rate| format!("{rate:.6}"));
        let ms = |ms: Option<i64>| ms.map_or_else(String::new, |ms| ms.to_string());
        let Spread { n, p50, p95 } = window.greeting_to_audio_ms;
        out.write_record([
            window.window.to_owned(),
            window.live_answers.to_string(),
            window.abandoned.to_string(),
            window.silent.to_string(),
            window.machine_verdicts.to_string(),
            window.answered_by_nobody.to_string(),
            format!("{:.3}", window.estimated_false_positives),
            rate(window.abandoned_rate),
            rate(window.abandoned_rate_with_estimate),
            n.to_string(),
            ms(p50),
            ms(p95),
        ])?;
    }
    Ok(out.flush()?)
}

fn show(report: &Report) -> anyhow::Result<()> {
    let row = |name: &str, of: &dyn Fn(&Window) -> String| {
        std::iter::once(name.to_owned()).chain(report.windows.iter().map(of)).collect::<Vec<_>>()
    };
    let rate =
        |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
    let ms = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let rows = [
        row("live answers", &|w| w.live_answers.to_string()),
        row("abandoned", &|w| w.abandoned.to_string()),
        row("  of them silent", &|w| w.silent.to_string()),
        row("machine verdicts", &|w| w.machine_verdicts.to_string()),
        row("  people among them (estimate)", &|w| format!("{:.1}", w.estimated_false_positives)),
        row("abandoned rate", &|w| rate(w.abandoned_rate)),
        row("  with the estimate", &|w| rate(w.abandoned_rate_with_estimate)),
        row("greeting to first audio, p50", &|w| ms(w.greeting_to_audio_ms.p50)),
        row("greeting to first audio, p95", &|w| ms(w.greeting_to_audio_ms.p95)),
    ];
    say(format_args!("campaign `{}`", report.campaign))?;
    say(table::figures(&["", "24 hours", "30 days", "all"], &rows))?;
    let tried: Vec<_> = report
        .attempts_per_contact
        .iter()
        .map(|(attempts, contacts)| vec![attempts.to_string(), contacts.to_string()])
        .collect();
    say(table::figures(&["attempts", "contacts"], &tried))?;
    for limit in &report.limits {
        let hours = Duration::from_millis(limit.within_ms).as_secs() / 3600;
        let estimate = if limit.counts_estimate { " with the estimate" } else { "" };
        let (rule, most, state) = (&limit.rule, limit.most * 100.0, limit.state);
        say(format_args!("{rule}: at most {most:.1} % abandoned{estimate} in {hours} h: {state}"))?;
    }
    if report.limits.is_empty() {
        say("no rule limits its abandoned calls")?;
    }
    if let Some(note) = &report.throttle_note {
        say(format_args!("slowed to {:.0} % of its pace: {note}", report.throttle * 100.0))?;
    }
    if let Some(note) = &report.note {
        say(format_args!("paused by the service: {note}"))?;
    }
    Ok(())
}
