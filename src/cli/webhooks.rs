//! `sidetone webhooks`: the outbox, and what did not reach its receiver.

use std::process::ExitCode;

use super::{
    Context,
    output::{document, note, say, settle, usage},
    table,
};
use crate::store::{Replay, Store, Webhook, WebhookState, now_ms};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sidetone webhooks list --state dead\n  sidetone webhooks show 42\n  \
    sidetone webhooks replay 42\n  sidetone webhooks replay --dead")]
pub struct Webhooks {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The latest, newest first.
    #[command(after_help = "Example:\n  sidetone webhooks list --dead --limit 200")]
    List {
        /// Only those in this state: waiting, delivered or dead.
        #[arg(long, value_parser = parse_state, conflicts_with = "dead")]
        state: Option<WebhookState>,
        /// Only those that were given up; the same as --state dead.
        #[arg(long)]
        dead: bool,
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// One, with its body and what came of its latest try.
    #[command(after_help = "Example:\n  sidetone webhooks show 42")]
    Show {
        /// Its number in the list.
        id: i64,
    },
    /// Send again, under the same id, as if it were new.
    #[command(
        override_usage = "sidetone webhooks replay <ID>\n       sidetone webhooks replay --dead",
        after_help = "Examples:\n  sidetone webhooks replay 42\n  sidetone webhooks replay --dead"
    )]
    Replay {
        /// Its number in the list; a delivered one is sent again too.
        #[arg(required_unless_present = "dead", conflicts_with = "dead")]
        id: Option<i64>,
        /// Every one that was given up.
        #[arg(long)]
        dead: bool,
    },
}

fn parse_state(text: &str) -> Result<WebhookState, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("`{text}`: write waiting, delivered or dead"))
}

impl Webhooks {
    /// # Errors
    /// What could not be done, for the user's eyes.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let done = match self.command {
            Command::List { state, dead, limit } => {
                list(ctx, if dead { Some(WebhookState::Dead) } else { state }, limit).await
            }
            Command::Show { id } => show(ctx, id).await,
            Command::Replay { id: Some(id), .. } => replay(ctx, Replay::One(id)).await,
            Command::Replay { id: None, .. } => replay(ctx, Replay::EveryDead).await,
        };
        settle(done)
    }
}

async fn list(ctx: &Context, state: Option<WebhookState>, limit: u32) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let webhooks = store.webhooks(state, limit).await?;
    if ctx.json {
        document(&webhooks)?;
    } else if webhooks.is_empty() {
        say("none")?;
    } else {
        say(table::webhooks(&webhooks))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(ctx: &Context, id: i64) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let webhook = store.webhook(id).await?;
    if ctx.json {
        document(&webhook)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Webhook { event_id, event, created_ms, tries, .. } = &webhook;
    say(format_args!("webhook {id} ({event_id}): {}, {}", event.word(), table::local_time(*created_ms)))?;
    let due = table::local_time(webhook.due_ms);
    say(match webhook.state {
        WebhookState::Waiting => format!("waiting: {tries} tries so far, the next at {due}"),
        WebhookState::Delivered => format!("delivered at {due}, tries: {tries}"),
        WebhookState::Dead => format!("given up at {due}, tries: {tries}; sidetone webhooks replay {id}"),
    })?;
    if let Some(error) = &webhook.error {
        say(format_args!("the latest try: {error}"))?;
    }
    let body: serde_json::Value = serde_json::from_str(&webhook.body)?;
    say(format_args!("{body:#}"))?;
    Ok(ExitCode::SUCCESS)
}

async fn replay(ctx: &Context, which: Replay) -> anyhow::Result<ExitCode> {
    if ctx.config.webhooks.url.is_empty() {
        return Ok(usage("webhooks.url is not set: there is nowhere to send to"));
    }
    let store = Store::open(&ctx.config.store.url).await?;
    let replayed = store.replay_webhooks(which, now_ms()).await?;
    if store.live_serve(now_ms()).await?.is_none() {
        note("no `sidetone serve` runs: they are sent when one starts");
    }
    if ctx.json {
        document(&serde_json::json!({ "replayed": replayed }))?;
    } else {
        say(format_args!("to be sent again: {replayed}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
