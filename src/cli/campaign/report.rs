//! `sidetone campaign report`: what came of the calls, by disposition, hour, list and caller id.

mod html;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use sidetone_core::campaign::CampaignState;

use crate::{
    cli::{
        Context, exit,
        output::{document, note, say},
        table,
    },
    store::{CampaignCounts, Dimension, Figures, Store, now_ms},
};

/// In milliseconds.
const QUARTER: i64 = 900_000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sidetone campaign report spring\n  sidetone campaign report spring --html spring.html\n\n\
    Calls that were claimed and never dialled stand under `not_placed` and count nowhere else. Hours are this machine's."
)]
pub(super) struct Report {
    /// The campaign.
    name: String,
    /// Also write one page of charts that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Calls that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Group {
    name: String,
    #[serde(flatten)]
    figures: Figures,
}

/// What `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Gathered {
    campaign: String,
    state: CampaignState,
    scenario: String,
    made_ms: i64,
    /// Of the hours.
    time_zone: String,
    first_call_ms: Option<i64>,
    last_call_ms: Option<i64>,
    counts: CampaignCounts,
    total: Figures,
    abandoned: u64,
    silent: u64,
    abandoned_rate: Option<f64>,
    by_disposition: Vec<Group>,
    /// By hour of the day.
    by_hour: Vec<Group>,
    by_list: Vec<Group>,
    by_caller_id: Vec<Group>,
}

impl Report {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let store = Store::open(&ctx.config.store.url).await?;
        let report = gather(&store, &self.name, &ctx.config.switch.caller_id).await?;
        if let Some(file) = &self.html
            && let Err(error) = std::fs::write(file, html::page(&report))
        {
            note(format_args!("error: {}: cannot be written: {error}", file.display()));
            return Ok(ExitCode::from(exit::FAILED));
        }
        if ctx.json {
            document(&report)?;
            return Ok(ExitCode::SUCCESS);
        }
        show(&report)?;
        if let Some(file) = &self.html {
            say(format_args!("charts: {}", file.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn gather(store: &Store, name: &str, own_caller_id: &str) -> anyhow::Result<Gathered> {
    let campaign = store.campaign(name).await?;
    let zone = TimeZone::system();
    let quarters = store.breakdown(campaign.id, Dimension::Quarter).await?;
    let mut total = Figures::default();
    quarters.iter().for_each(|(_, figures)| total += *figures);
    let tally = store.tally(campaign.id, 0).await?;
    let between = store.called_between(campaign.id).await?;
    let own = campaign.caller_id.clone().unwrap_or_else(|| own_caller_id.to_owned());
    let named = |groups: Vec<(Option<String>, Figures)>, none: &str| {
        groups
            .into_iter()
            .map(|(name, figures)| Group { name: name.unwrap_or_else(|| none.to_owned()), figures })
            .collect::<Vec<_>>()
    };
    Ok(Gathered {
        counts: store.campaign_counts(campaign.id).await?,
        by_disposition: most_first(named(store.breakdown(campaign.id, Dimension::Disposition).await?, "-")),
        by_hour: by_hour(&quarters, &zone),
        by_list: most_first(named(store.breakdown(campaign.id, Dimension::List).await?, "-")),
        by_caller_id: most_first(named(store.breakdown(campaign.id, Dimension::CallerId).await?, &own)),
        campaign: campaign.name,
        state: campaign.state,
        scenario: campaign.scenario,
        made_ms: now_ms(),
        time_zone: zone.iana_name().unwrap_or("local time").to_owned(),
        first_call_ms: between.map(|(first, _)| first),
        last_call_ms: between.map(|(_, last)| last),
        total,
        abandoned: tally.all_abandoned(),
        silent: tally.silent,
        abandoned_rate: tally.abandoned_share(0.0),
    })
}

/// Adds up quarters of an hour by the hour of the day they fall into; hours between the first and the last that have any
/// are there, with or without calls.
fn by_hour(quarters: &[(Option<String>, Figures)], zone: &TimeZone) -> Vec<Group> {
    let mut hours: BTreeMap<i8, Figures> = BTreeMap::new();
    for (quarter, figures) in quarters {
        let began = quarter.as_ref().and_then(|quarter| quarter.parse::<i64>().ok()?.checked_mul(QUARTER));
        let Some(began) = began.and_then(|ms| Timestamp::from_millisecond(ms).ok()) else { continue };
        *hours.entry(began.to_zoned(zone.clone()).hour()).or_default() += *figures;
    }
    let (Some((&first, _)), Some((&last, _))) = (hours.first_key_value(), hours.last_key_value()) else {
        return Vec::new();
    };
    (first..=last)
        .map(|hour| Group {
            name: format!("{hour:02}:00"),
            figures: hours.get(&hour).copied().unwrap_or_default(),
        })
        .collect()
}

fn most_first(mut groups: Vec<Group>) -> Vec<Group> {
    groups.sort_by(|a, b| b.figures.calls.cmp(&a.figures.calls).then_with(|| a.name.cmp(&b.name)));
    groups
}

fn show(report: &Gathered) -> anyhow::Result<()> {
    say(format_args!(
        "campaign `{}` is {}; {}",
        report.campaign,
        report.state.word(),
        table::summary(&report.counts)
    ))?;
    for (title, groups) in [
        ("disposition", &report.by_disposition),
        ("hour", &report.by_hour),
        ("list", &report.by_list),
        ("caller id", &report.by_caller_id),
    ] {
        let rows: Vec<Vec<String>> = groups.iter().map(|group| row(&group.name, &group.figures)).collect();
        let header = [title, "calls", "answered", "people", "machines", "completed", "minutes"];
        say(table::figures(&header, &rows))?;
    }
    let rate = report.abandoned_rate.map_or_else(|| "-".to_owned(), percent);
    say(format_args!(
        "{} calls, {} answered, {} by people; abandoned {} ({rate}), {} of them silent",
        report.total.calls, report.total.answered, report.total.people, report.abandoned, report.silent
    ))?;
    Ok(())
}

fn row(name: &str, figures: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        figures.calls.to_string(),
        figures.answered.to_string(),
        figures.people.to_string(),
        figures.machines.to_string(),
        figures.completed.to_string(),
        minutes(figures.talk_ms),
    ]
}

fn minutes(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 60_000.0)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
