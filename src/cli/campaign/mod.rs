//! `sidetone campaign`: make, fill, run and watch campaigns.

mod export;
mod import;
mod ledger;
mod retries;
mod watch;

pub(super) use watch::watch_to_the_end;

use std::{path::PathBuf, process::ExitCode};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use phonenumber::country;
use serde::Serialize;
use sidetone_core::campaign::{CampaignState, Control, RetryTable};

use super::{
    Context, exit, input,
    output::{document, note, say, settle, usage},
    table,
};
use crate::store::{Campaign as Stored, CampaignCounts, NewCampaign, Store, now_ms};

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
    Create(Create),
    /// Add contacts from a CSV or .xlsx file.
    Import(import::Import),
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
    #[command(after_help = "Example:\n  sidetone campaign status spring --json")]
    Status(Name),
    /// Every contact and what came of it, on stdout.
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
#[command(
    after_help = "Example:\n  sidetone campaign create spring --scenario scenarios/lead-qualification.yaml \
    --max-concurrent 20 --cps 5"
)]
struct Create {
    /// What it is called.
    name: String,
    /// What each call says and does.
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// Calls at once.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    max_concurrent: u32,
    /// Calls started a second; 0.5 is one every two seconds.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = parse_cps)]
    cps: f64,
    /// Attempts a contact in all; 1: nobody is called twice [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "retries")]
    max_attempts: Option<u32>,
    /// Who is called again, when and how often, as in retries/default.yaml.
    #[arg(long, value_name = "FILE")]
    retries: Option<PathBuf>,
    /// Instead of the scenario's.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Instead of `switch.caller_id`.
    #[arg(long, value_name = "NUMBER")]
    caller_id: Option<String>,
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

fn parse_cps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cps) if cps > 0.0 && cps <= 1000.0 => Ok(cps),
        Ok(_) | Err(_) => Err(format!("`{text}`: write a number above 0, at most 1000")),
    }
}

/// What `status --json` prints, and one of `list --json`.
#[derive(Serialize)]
struct Standing {
    #[serde(flatten)]
    campaign: Stored,
    counts: CampaignCounts,
}

impl Campaign {
    /// # Errors
    /// What could not be done, for the user's eyes.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let done = match self.command {
            Command::Create(args) => create(ctx, args).await,
            Command::Import(args) => args.run(ctx).await,
            Command::Run(args) => args.run(ctx).await,
            Command::Pause(args) => control(ctx, &args.name, Control::Pause).await,
            Command::Resume(args) => control(ctx, &args.name, Control::Resume).await,
            Command::Stop(args) => control(ctx, &args.name, Control::Stop).await,
            Command::Status(args) => status(ctx, &args.name).await,
            Command::Export(args) => args.run(ctx).await,
            Command::Ledger(args) => args.run(ctx).await,
            Command::Callback(args) => callback(ctx, args).await,
            Command::List => list(ctx).await,
        };
        settle(done)
    }
}

async fn create(ctx: &Context, args: Create) -> anyhow::Result<ExitCode> {
    let name = args.name.trim();
    if name.is_empty() || name.chars().any(char::is_control) || name.chars().count() > 100 {
        return Ok(usage("a campaign's name has 1 to 100 characters and no line breaks"));
    }
    let (scenario, parsed) = match input::scenario(ctx, &args.scenario) {
        Ok(found) => found,
        Err(message) => return Ok(usage(message)),
    };
    let retries = match &args.retries {
        None => RetryTable::with_max_attempts(args.max_attempts.unwrap_or(3)),
        Some(file) => match retries::read(file) {
            Ok(table) => table,
            Err(message) => return Ok(usage(message)),
        },
    };
    let new = NewCampaign {
        name: name.to_owned(),
        scenario,
        language: args.language,
        caller_id: args.caller_id,
        max_concurrent: args.max_concurrent,
        cps: args.cps,
        max_attempts: retries.max_attempts,
    };
    let store = Store::open(&ctx.config.store.url).await?;
    let made = store.create_campaign(&new, now_ms()).await?;
    store.set_retries(made.id, &retries).await?;
    let made = store.campaign(&made.name).await?;
    if ctx.json {
        document(&made)?;
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!("campaign `{}` made, scenario `{}`", made.name, parsed.name))?;
    say(format_args!("next: sidetone campaign import {} CONTACTS.csv", made.name))?;
    Ok(ExitCode::SUCCESS)
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

async fn status(ctx: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let campaign = store.campaign(name).await?;
    let counts = store.campaign_counts(campaign.id).await?;
    if ctx.json {
        document(&Standing { campaign, counts })?;
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!("campaign `{}` is {}", campaign.name, campaign.state.word()))?;
    if let Some(reason) = &campaign.note {
        say(format_args!("paused by the service: {reason}"))?;
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

async fn list(ctx: &Context) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let mut rows = Vec::new();
    for campaign in store.campaigns().await? {
        let counts = store.campaign_counts(campaign.id).await?;
        rows.push((campaign, counts));
    }
    if ctx.json {
        let rows: Vec<_> = rows.into_iter().map(|(campaign, counts)| Standing { campaign, counts }).collect();
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
