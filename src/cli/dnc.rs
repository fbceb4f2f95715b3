//! `sidetone dnc`: numbers that are not called.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use phonenumber::country;
use serde::Serialize;

use super::{
    Context, exit, input,
    output::{document, note, say, settle, usage},
};
use crate::{
    contacts::{Batches, ListFile, Reading, Rules},
    store::{GLOBAL_LIST, NewSuppression, Store, SuppressionSource, campaign_list, now_ms},
};

/// Entries made in one transaction.
const BATCH: usize = 500;
/// Bad rows shown on stderr.
const SHOWN: u64 = 50;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone dnc add +33612345678 --reason 'asked by letter'\n  \
    sidetone dnc import opposed.csv --country FR\n\n\
    The lists are looked at in the moment of dialling. Who says or presses in a call that they do not want to be called \
    again is put on the global list by the service.")]
pub struct Dnc {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Never call this number again.
    #[command(after_help = "Example:\n  sidetone dnc add 0612345678 --country FR --campaign spring")]
    Add {
        #[command(flatten)]
        one: One,
        /// Why, for whoever looks later.
        #[arg(long, default_value = "asked not to be called")]
        reason: String,
    },
    /// Take a number off a list.
    #[command(after_help = "Example:\n  sidetone dnc remove +33612345678")]
    Remove(One),
    /// The numbers of a list, with reason and source.
    #[command(after_help = "Example:\n  sidetone dnc list --json")]
    List(Of),
    /// Add the numbers of a file with a column `number` or `phone`.
    #[command(after_help = "Example:\n  sidetone dnc import opposed.csv --country FR\n\n\
        Exit codes: 0 every row is in, 1 some rows were bad, 2 nothing could be read.")]
    Import(Import),
}

/// Which list.
#[derive(Debug, clap::Args)]
struct Of {
    /// The list of this campaign instead of the one for all.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The number, +33612345678 or with --country.
    number: String,
    /// The country of a number without one, such as FR.
    #[arg(long, value_name = "CC", value_parser = input::parse_country)]
    country: Option<country::Id>,
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// CSV (comma, semicolon or tab) or .xlsx.
    file: PathBuf,
    /// The country of numbers without one, such as FR.
    #[arg(long, value_name = "CC", value_parser = input::parse_country)]
    country: Option<country::Id>,
    #[command(flatten)]
    of: Of,
}

/// What `import --json` prints.
#[derive(Default, Serialize)]
struct Summary {
    rows: u64,
    added: u64,
    bad: u64,
}

impl Dnc {
    /// # Errors
    /// What could not be done, for the user's eyes.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        settle(match self.command {
            Command::Add { one, reason } => add(ctx, one, reason).await,
            Command::Remove(one) => remove(ctx, one).await,
            Command::List(of) => list(ctx, of).await,
            Command::Import(args) => args.run(ctx).await,
        })
    }
}

impl Of {
    /// The list's name in the database; a campaign has to be there.
    async fn list(&self, store: &Store) -> anyhow::Result<String> {
        Ok(match &self.campaign {
            None => GLOBAL_LIST.to_owned(),
            Some(name) => campaign_list(&store.campaign(name).await?.name),
        })
    }
}

async fn add(ctx: &Context, one: One, reason: String) -> anyhow::Result<ExitCode> {
    let number = match input::e164(&one.number, one.country) {
        Ok(number) => number,
        Err(message) => return Ok(usage(message)),
    };
    let store = Store::open(&ctx.config.store.url).await?;
    let list = one.of.list(&store).await?;
    let entry =
        NewSuppression { list: list.clone(), number: number.clone(), reason, source: SuppressionSource::Cli };
    let added = store.add_suppressions(&[entry], now_ms()).await?;
    if ctx.json {
        document(&serde_json::json!({ "list": list, "number": number, "added": added > 0 }))?;
    } else {
        let was = if added > 0 { "is now" } else { "was already" };
        say(format_args!("{number} {was} on the list `{list}`"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(ctx: &Context, one: One) -> anyhow::Result<ExitCode> {
    let number = match input::e164(&one.number, one.country) {
        Ok(number) => number,
        Err(message) => return Ok(usage(message)),
    };
    let store = Store::open(&ctx.config.store.url).await?;
    let list = one.of.list(&store).await?;
    let removed = store.remove_suppression(&list, &number).await?;
    if ctx.json {
        document(&serde_json::json!({ "list": list, "number": number, "removed": removed }))?;
    } else if removed {
        say(format_args!("{number} is off the list `{list}`"))?;
    } else {
        note(format_args!("error: {number} is not on the list `{list}`"));
    }
    Ok(ExitCode::from(if removed { exit::OK } else { exit::FAILED }))
}

async fn list(ctx: &Context, of: Of) -> anyhow::Result<ExitCode> {
    let store = Store::open(&ctx.config.store.url).await?;
    let list = of.list(&store).await?;
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = store.suppressions(&list, &after, 1000).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.number);
        if ctx.json {
            all.extend(page);
            continue;
        }
        for entry in page {
            let source = serde_json::to_value(entry.source)?;
            let source = source.as_str().unwrap_or_default().to_owned();
            let since = super::table::local_time(entry.created_ms);
            say(format_args!("{:<16}  {since}  {source:<8}  {}", entry.number, entry.reason))?;
        }
    }
    if ctx.json {
        document(&all)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Import {
    async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let store = Store::open(&ctx.config.store.url).await?;
        let list = self.of.list(&store).await?;
        let path = self.file.clone();
        let opened = tokio::task::spawn_blocking(move || ListFile::open(&path, Reading::default())).await?;
        let file = match opened {
            Ok(file) => Arc::new(file),
            Err(error) => return Ok(usage(format_args!("{}: {error}", self.file.display()))),
        };
        if let Some(remark) = file.remark() {
            note(format_args!("{} {remark}", self.file.display()));
        }
        let rules = Rules { country: self.country, number_only: true, now_ms: now_ms(), ..Rules::default() };
        let mut batches = Batches::spawn(file, rules, BATCH);
        let mut summary = Summary::default();
        loop {
            let batch = match batches.next().await {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => return Ok(usage(format_args!("{}: {error}", self.file.display()))),
            };
            let mut entries = Vec::with_capacity(batch.len());
            for row in batch {
                summary.rows += 1;
                match row {
                    Ok(row) => entries.push(self.entry(&list, row.contact.number)),
                    Err(bad) => {
                        summary.bad += 1;
                        if summary.bad <= SHOWN {
                            note(format_args!("{}:{}: {}", self.file.display(), bad.line, bad.message));
                        }
                    }
                }
            }
            summary.added += store.add_suppressions(&entries, now_ms()).await?;
        }
        if ctx.json {
            document(&summary)?;
        } else {
            let Summary { rows, added, bad } = &summary;
            let had = rows - added - bad;
            say(format_args!("{rows} rows: {added} added to `{list}`, {had} there already, {bad} bad"))?;
        }
        Ok(ExitCode::from(if summary.bad > 0 { exit::FAILED } else { exit::OK }))
    }

    fn entry(&self, list: &str, number: String) -> NewSuppression {
        NewSuppression {
            list: list.to_owned(),
            number,
            reason: format!("imported from {}", self.file.display()),
            source: SuppressionSource::Import,
        }
    }
}
