//! `sidetone calls`: the record.

use std::process::ExitCode;

use serde::Serialize;
use sidetone_core::call::CallId;

use super::{
    Context,
    digest::digest,
    output::{document, say, settle},
    table, timeline,
};
use crate::store::{Attempt, Store, StoreError, StoredEvent};

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  sidetone calls --limit 20\n  sidetone calls --campaign spring --json\n  \
                  sidetone calls show 0f8fad5b-d9cb-469f-a165-70867728950e"
)]
pub struct Calls {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The latest calls, newest first; also what `calls` alone does.
    #[command(after_help = "Example:\n  sidetone calls list --campaign spring --limit 100")]
    List(List),
    /// One call's timeline.
    #[command(after_help = "Example:\n  sidetone calls show 0f8fad5b-d9cb-469f-a165-70867728950e")]
    Show {
        /// The call's id.
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Only those of this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
}

/// What `calls show --json` prints.
#[derive(Serialize)]
struct Shown {
    call: Attempt,
    events: Vec<StoredEvent>,
}

impl Calls {
    /// # Errors
    /// What could not be done, for the user's eyes.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let done = match self.command {
            None => list(ctx, self.list).await,
            Some(Command::List(args)) => list(ctx, args).await,
            Some(Command::Show { id }) => show(ctx, &id).await,
        };
        settle(done)
    }
}

async fn list(ctx: &Context, args: List) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let campaign = match &args.campaign {
        Some(name) => Some(store.campaign(name).await?.id),
        None => None,
    };
    let calls = store.recent_calls(campaign, args.limit).await?;
    if ctx.json {
        document(&calls)?;
    } else if calls.is_empty() {
        say("no calls yet")?;
    } else {
        say(table::calls(&calls))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(ctx: &Context, id: &str) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let call = store.attempt(id).await?;
    let id = CallId::new(id).ok_or_else(|| StoreError::UnknownCall(id.to_owned()))?;
    let events = store.call_timeline(&id).await?;
    if ctx.json {
        document(&Shown { call, events })?;
        return Ok(ExitCode::SUCCESS);
    }
    let to = call.number.as_ref().or(call.dial_string.as_ref()).map_or("(forgotten)", String::as_str);
    let started = table::local_time(call.started_ms);
    say(format_args!("{id} to {to}, {started}, scenario {}", call.scenario))?;
    for event in &events {
        say(timeline::line(call.started_ms, event))?;
    }
    say("")?;
    for (label, text) in digest(&call, &events) {
        say(format_args!("{label:<13}{text}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
