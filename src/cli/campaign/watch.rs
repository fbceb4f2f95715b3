//! `sidetone campaign run`: start it, watch it, show what came of it.

use std::{process::ExitCode, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sidetone_core::campaign::{CampaignState, Control};

use super::export::MOST_IN_A_TABLE;
use crate::{
    cli::{
        Context, exit,
        output::{document, note, say, usage},
        service::{Service, no_serve},
        table,
    },
    store::{Campaign, CampaignCounts, ReportRow, Store, now_ms},
};

/// How often the database is looked at.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone campaign run spring --with-serve\n\n\
    Ctrl-C ends the watching; the campaign goes on in `sidetone serve`.\n\
    Exit codes: 0 everybody was called, 1 it could not go on, 2 wrong arguments, 3 no `sidetone serve`.")]
pub(super) struct Run {
    /// The campaign.
    name: String,
    /// Run the service in this process where none runs.
    #[arg(long)]
    with_serve: bool,
}

/// What `--json` prints at the end.
#[derive(Serialize)]
struct Report {
    campaign: Campaign,
    counts: CampaignCounts,
    contacts: Vec<ReportRow>,
}

/// Why the watching ended.
enum End {
    /// Done, or stopped and its calls have ended.
    Over,
    Paused,
    ServiceDied,
}

impl Run {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let store = Store::open(&ctx.config.store.url).await?;
        let campaign = store.campaign(&self.name).await?;
        let counts = store.campaign_counts(campaign.id).await?;
        if counts.contacts == 0 {
            return Ok(usage(format_args!(
                "campaign `{0}` has no contacts; add some with: sidetone campaign import {0} FILE.csv",
                self.name
            )));
        }
        let service = match Service::find(ctx, &store, self.with_serve).await? {
            Ok(service) => service,
            Err(code) => return Ok(code),
        };
        store.control_campaign(&self.name, Control::Run, now_ms()).await?;
        let code = tokio::select! {
            code = watch_to_the_end(ctx, &store, &service, &self.name) => code,
            _ = tokio::signal::ctrl_c() => {
                note(format_args!(
                    "Not watched any more. The campaign goes on while a `sidetone serve` runs; \
                     `sidetone campaign pause {}` holds it.",
                    self.name
                ));
                Ok(ExitCode::from(exit::FAILED))
            }
        };
        service.end().await?;
        code
    }
}

/// Shows the progress until there is nothing more to watch, then what came of it.
pub(in crate::cli) async fn watch_to_the_end(
    ctx: &Context,
    store: &Store,
    service: &Service,
    name: &str,
) -> anyhow::Result<ExitCode> {
    let end = watch(store, service, name).await?;
    report(ctx, store, name, end).await
}

/// Shows the progress on a terminal's stderr until nothing more comes of watching.
async fn watch(store: &Store, service: &Service, name: &str) -> anyhow::Result<End> {
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len} {msg}")?.progress_chars("=> "),
    );
    let end = loop {
        let campaign = store.campaign(name).await?;
        let counts = store.campaign_counts(campaign.id).await?;
        bar.set_length(counts.contacts);
        bar.set_position(counts.contacts - counts.waiting - counts.live);
        bar.set_message(progress(&counts));
        match campaign.state {
            CampaignState::Done | CampaignState::Stopped if counts.live == 0 => break End::Over,
            CampaignState::Paused => break End::Paused,
            CampaignState::Draft | CampaignState::Running | CampaignState::Done | CampaignState::Stopped => {}
        }
        if !service.lives(store).await? {
            break End::ServiceDied;
        }
        tokio::time::sleep(LOOK).await;
    };
    bar.finish_and_clear();
    Ok(end)
}

fn progress(counts: &CampaignCounts) -> String {
    let mut line = format!("{} live, {} waiting", counts.live, counts.waiting);
    if let Some(due) = counts.next_due_ms.filter(|due| counts.live == 0 && *due > now_ms() + 2000) {
        line.push_str(&format!(", the next at {}", table::local_time(due)));
    }
    line
}

async fn report(ctx: &Context, store: &Store, name: &str, end: End) -> anyhow::Result<ExitCode> {
    let campaign = store.campaign(name).await?;
    match end {
        End::ServiceDied => return Ok(no_serve()),
        End::Paused => {
            let reason = campaign.note.as_deref().unwrap_or("somebody paused it");
            note(format_args!(
                "error: campaign `{name}` is paused: {reason}; go on with: sidetone campaign resume {name}"
            ));
            return Ok(ExitCode::from(exit::FAILED));
        }
        End::Over => {}
    }
    let counts = store.campaign_counts(campaign.id).await?;
    let contacts = store.report_rows(campaign.id, 0, MOST_IN_A_TABLE).await?;
    if ctx.json {
        document(&Report { campaign, counts, contacts })?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = u64::try_from(contacts.len())?;
    say(table::contacts(&contacts))?;
    if counts.contacts > shown {
        say(format_args!("and {} more: sidetone campaign export {name}", counts.contacts - shown))?;
    }
    say(table::counts(&counts))?;
    say(format_args!("campaign `{name}` is {}; {}", campaign.state.word(), table::summary(&counts)))?;
    if campaign.state == CampaignState::Done && counts.waiting > 0 {
        note(format_args!("{} may not be called: `sidetone campaign plan {name}` says why", counts.waiting));
    }
    Ok(ExitCode::SUCCESS)
}
