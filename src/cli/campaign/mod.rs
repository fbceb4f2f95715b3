//! `sidetone campaign`: make, fill, run and watch campaigns.

mod create;
mod export;
mod import;
mod ledger;
mod live;
mod plan;
mod policy;
mod report;
mod retries;
mod watch;

pub(super) use watch::watch_to_the_end;

use std::process::ExitCode;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use phonenumber::country;
use serde::Serialize;
use sidetone_core::campaign::{CampaignState, Control};

use super::{
    Context, exit, input,
    output::{document, note, say, settle, usage},
    table,
};
use crate::store::{Campaign as Stored, CampaignCounts, GatewayStanding, Store, now_ms};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    sidetone campaign create spring --scenario scenarios/appointment-reminder.yaml --max-concurrent 10 --cps 2\n  \
    sidetone campaign import spring contacts.csv --country FR\n  \
    sidetone campaign run spring\n  \
    sidetone campaign export spring --format csv > spring.csv")]
pub struct Campaign {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a campaign.
    Create(Box<create::Create>),
    /// Add contacts from a CSV or .xlsx file.
    Import(import::Import),
    /// How many can be called now, why the others cannot, and when it will be done.
    Plan(plan::Plan),
    /// Show the rules it keeps to, set them, switch one off.
    Policy(policy::Show),
    /// Start it and watch until everybody was called.
    Run(watch::Run),
    /// Start no more calls; live ones go on.
    #[command(after_help = "Example:\n  sidetone campaign pause spring")]
    Pause(Name),
    /// Go on after a pause.
    #[command(after_help = "Example:\n  sidetone campaign resume spring")]
    Resume(Name),
    /// Start no more calls and end the live ones.
    #[command(after_help = "Example:\n  sidetone campaign stop spring")]
    Stop(Name),
    /// Where it stands.
    #[command(
        after_help = "Examples:\n  sidetone campaign status spring --json\n  sidetone campaign status spring --watch\n\n\
        --watch ends when the campaign is done or stopped, or with ctrl-C, which leaves the campaign alone."
    )]
    Status {
        /// The campaign.
        name: String,
        /// Look again each second; a live view on a terminal, else a line whenever something changed.
        #[arg(long)]
        watch: bool,
    },
    /// What came of the calls, by disposition, hour, list and caller id.
    Report(report::Report),
    /// Every contact and what came of it, or every attempt, on stdout.
    Export(export::Export),
    /// What answered calls were for those who answered: abandoned and silent calls.
    Ledger(ledger::Ledger),
    /// Call a contact at a time they asked for.
    Callback(Callback),
    /// All campaigns.
    #[command(after_help = "Example:\n  sidetone campaign list")]
    List,
}

#[derive(Debug, clap::Args)]
struct Name {
    /// The campaign.
    name: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone campaign callback spring +33612345678 --at 2027-03-01T15:00")]
struct Callback {
    /// The campaign.
    name: String,
    /// The contact's number, +33612345678 or with --country.
    number: String,
    /// When: this machine's time, or with an offset such as +01:00.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Timestamp,
    /// The country of a number without one, such as FR.
    #[arg(long, value_name = "CC", value_parser = input::parse_country)]
    country: Option<country::Id>,
}

/// What `status --json` prints, and one of `list --json`.
#[derive(Serialize)]
struct Standing {
    #[serde(flatten)]
    campaign: Stored,
    counts: CampaignCounts,
    /// Of every sidecar that lives.
    gateways: Vec<GatewayStanding>,
}

impl Campaign {
    /// # Errors
    /// What could not be done, for the user's eyes.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let done = match self.command {
            Command::Create(args) => args.run(ctx).await,
            Command::Plan(args) => args.run(ctx).await,
            Command::Policy(args) => args.run(ctx).await,
            Command::Import(args) => args.run(ctx).await,
            Command::Run(args) => args.run(ctx).await,
            Command::Pause(args) => control(ctx, &args.name, Control::Pause).await,
            Command::Resume(args) => control(ctx, &args.name, Control::Resume).await,
            Command::Stop(args) => control(ctx, &args.name, Control::Stop).await,
            Command::Status { name, watch } => status(ctx, &name, watch).await,
            Command::Report(args) => args.run(ctx).await,
            Command::Export(args) => args.run(ctx).await,
            Command::Ledger(args) => args.run(ctx).await,
            Command::Callback(args) => callback(ctx, args).await,
            Command::List => list(ctx).await,
        };
        settle(done)
    }
}

async fn control(ctx: &Context, name: &str, control: Control) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let campaign = store.control_campaign(name, control, now_ms()).await?;
    if store.live_serve(now_ms()).await?.is_none() {
        note("no `sidetone serve` runs: it takes effect when one starts");
    }
    if ctx.json {
        document(&campaign)?;
    } else {
        say(format_args!("campaign `{}` is {}", campaign.name, campaign.state.word()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn callback(ctx: &Context, args: Callback) -> anyhow::Result<ExitCode> {
    let number = match input::e164(&args.number, args.country) {
        Ok(number) => number,
        Err(message) => return Ok(usage(message)),
    };
    if args.at.as_millisecond() < now_ms() {
        return Ok(usage(format_args!(
            "--at: {} is in the past",
            table::local_time(args.at.as_millisecond())
        )));
    }
    let store = Store::open(&ctx.config.store.url).await?;
    let campaign = store.campaign(&args.name).await?;
    if !store.call_back(campaign.id, &number, args.at.as_millisecond()).await? {
        note(format_args!(
            "error: campaign `{}` has no contact {number} that could be called: unknown, being called now, or \
             on a do-not-call list",
            campaign.name
        ));
        return Ok(ExitCode::from(exit::FAILED));
    }
    let at = table::local_time(args.at.as_millisecond());
    if ctx.json {
        document(&serde_json::json!({ "number": number, "at_ms": args.at.as_millisecond() }))?;
    } else {
        say(format_args!("{number} is called at {at}"))?;
    }
    if campaign.state != CampaignState::Running {
        let (name, state) = (&campaign.name, campaign.state.word());
        note(format_args!("the campaign is {state}: `sidetone campaign run {name}` starts it"));
    }
    Ok(ExitCode::SUCCESS)
}

/// `2027-03-01T15:00+01:00`, or without an offset in this machine's time zone.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let local = || Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::system()).ok()?.timestamp());
    text.parse()
        .ok()
        .or_else(local)
        .ok_or_else(|| format!("`{text}` is no time: write 2027-03-01T15:00 or 2027-03-01T15:00+01:00"))
}

async fn status(ctx: &Context, name: &str, watch: bool) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    if watch {
        return live::watch(ctx, &store, name).await;
    }
    let campaign = store.campaign(name).await?;
    let counts = store.campaign_counts(campaign.id).await?;
    let gateways = store.gateways(now_ms()).await?;
    if ctx.json {
        document(&Standing { campaign, counts, gateways })?;
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!("campaign `{}` is {}", campaign.name, campaign.state.word()))?;
    say(policy::line(&campaign))?;
    for gateway in gateways.iter().filter(|gateway| gateway.pace < 1.0) {
        say(slowed(gateway))?;
    }
    if let Some(reason) = &campaign.note {
        say(format_args!("paused by the service: {reason}"))?;
    }
    if let Some(note) = &campaign.throttle_note {
        say(format_args!("slowed to {:.0} % of its pace: {note}", campaign.throttle * 100.0))?;
    }
    say(table::summary(&counts))?;
    if let Some(due) = counts.next_due_ms.filter(|due| *due > now_ms()) {
        say(format_args!("the next may be called at {}", table::local_time(due)))?;
    }
    if counts.attempts > 0 {
        say(table::counts(&counts))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn slowed(gateway: &GatewayStanding) -> String {
    let cause = gateway.cause.as_deref().map_or_else(String::new, |cause| format!(" ({cause})"));
    format!(
        "gateway `{}` of `{}` is slowed to {:.0} % by congestion{cause}",
        gateway.name,
        gateway.instance,
        gateway.pace * 100.0
    )
}

async fn list(ctx: &Context) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let mut rows = Vec::new();
    for campaign in store.campaigns().await? {
        let counts = store.campaign_counts(campaign.id).await?;
        rows.push((campaign, counts));
    }
    if ctx.json {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(campaign, counts)| Standing { campaign, counts, gateways: Vec::new() })
            .collect();
        document(&rows)?;
    } else if rows.is_empty() {
        say("no campaigns yet; make one with: sidetone campaign create NAME --scenario FILE")?;
    } else {
        say(table::campaigns(&rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
