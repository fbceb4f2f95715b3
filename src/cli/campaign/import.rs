//! `sidetone campaign import`.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use phonenumber::country;
use serde::Serialize;
use sidetone_core::scenario::{Scenario, ScenarioRun};

use super::contacts::{BadRow, Contacts, Row};
use crate::{
    cli::{
        Context, exit, input,
        output::{document, note, say, usage},
    },
    store::{NewContact, Placed, Store, now_ms},
};

/// Contacts added in one transaction: short enough that live calls' writes never wait long.
const BATCH: usize = 500;
/// Bad rows shown on stderr; all of them go into `--errors FILE`.
const SHOWN: usize = 50;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone campaign import spring contacts.csv --country FR --dry-run\n\n\
    The first row names the columns; `number` or `phone` is needed, the others become the contact's variables. \
    A bad row stops none of the good ones.\n\
    Exit codes: 0 every row is in, 1 some rows were bad, 2 nothing could be read.")]
pub(super) struct Import {
    /// The campaign.
    name: String,
    /// Comma, semicolon or tab; UTF-8.
    file: PathBuf,
    /// The country of numbers without one, such as FR.
    #[arg(long, value_name = "CC", value_parser = input::parse_country)]
    country: Option<country::Id>,
    /// Say what would be done and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write every bad row's line and reason into this CSV file.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
}

/// What came of a file; what `--json` prints.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    rows: u64,
    added: u64,
    /// The number stands on an earlier line too.
    repeated_in_file: u64,
    /// The campaign has the number already.
    already_in_campaign: u64,
    bad: u64,
    dry_run: bool,
}

/// Where bad rows are told.
struct Complaints {
    file: String,
    shown: usize,
    csv: Option<csv::Writer<File>>,
}

impl Import {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let store = Store::open(&ctx.config.store.url).await?;
        let campaign = store.campaign(&self.name).await?;
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) => {
                return Ok(usage(format_args!("{}: cannot be read: {error}", self.file.display())));
            }
        };
        let mut contacts = match Contacts::new(file, self.country) {
            Ok(contacts) => contacts,
            Err(message) => return Ok(usage(format_args!("{}: {message}", self.file.display()))),
        };
        let scenario = match input::scenario(ctx, Path::new(&campaign.scenario)) {
            Ok((_, scenario)) => Some(scenario),
            Err(message) => {
                note(format_args!("variables are not checked: {message}"));
                None
            }
        };
        let mut run = Running {
            store: &store,
            campaign: campaign.id,
            scenario,
            seen: HashMap::new(),
            batch: Vec::with_capacity(BATCH),
            summary: Summary { dry_run: self.dry_run, ..Summary::default() },
            complaints: Complaints::new(&self.file, self.errors.as_deref())?,
        };
        while let Some(row) = contacts.next_row() {
            run.take(row).await?;
        }
        let summary = run.finish().await?;
        if ctx.json {
            document(&summary)?;
        } else {
            say(summary.line(&self.name))?;
        }
        Ok(ExitCode::from(if summary.bad > 0 { exit::FAILED } else { exit::OK }))
    }
}

struct Running<'a> {
    store: &'a Store,
    campaign: i64,
    scenario: Option<Arc<Scenario>>,
    /// Numbers of this file and the line each first stood on.
    seen: HashMap<String, u64>,
    batch: Vec<NewContact>,
    summary: Summary,
    complaints: Complaints,
}

impl Running<'_> {
    async fn take(&mut self, row: Result<Row, BadRow>) -> anyhow::Result<()> {
        self.summary.rows += 1;
        let row = match row.and_then(|row| self.check(row)) {
            Ok(row) => row,
            Err(bad) => {
                self.summary.bad += 1;
                return self.complaints.add(&bad);
            }
        };
        if self.seen.contains_key(&row.contact.number) {
            self.summary.repeated_in_file += 1;
            return Ok(());
        }
        self.seen.insert(row.contact.number.clone(), row.line);
        self.batch.push(row.contact);
        if self.batch.len() == BATCH {
            self.write().await?;
        }
        Ok(())
    }

    /// Whether the scenario can be run with the row's variables.
    fn check(&self, row: Row) -> Result<Row, BadRow> {
        let Some(scenario) = &self.scenario else { return Ok(row) };
        match ScenarioRun::new(Arc::clone(scenario), &row.contact.variables) {
            Ok(_) => Ok(row),
            Err(error) => Err(BadRow { line: row.line, message: error.to_string() }),
        }
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let (mut added, mut had) = (0, 0);
        if self.summary.dry_run {
            for placed in self.store.placed(self.campaign, None, &self.batch).await? {
                match placed {
                    Placed::Added => added += 1,
                    Placed::Repeated { .. } | Placed::Had => had += 1,
                }
            }
        } else {
            let imported = self.store.import_contacts(self.campaign, &self.batch, now_ms()).await?;
            (added, had) = (imported.added, imported.had.len());
        }
        self.summary.added += u64::try_from(added)?;
        self.summary.already_in_campaign += u64::try_from(had)?;
        self.batch.clear();
        Ok(())
    }

    async fn finish(mut self) -> anyhow::Result<Summary> {
        self.write().await?;
        self.complaints.finish()?;
        Ok(self.summary)
    }
}

impl Complaints {
    fn new(file: &Path, errors: Option<&Path>) -> anyhow::Result<Self> {
        let mut csv = errors.map(csv::Writer::from_path).transpose()?;
        if let Some(csv) = &mut csv {
            csv.write_record(["line", "reason"])?;
        }
        Ok(Self { file: file.display().to_string(), shown: 0, csv })
    }

    fn add(&mut self, bad: &BadRow) -> anyhow::Result<()> {
        self.shown += 1;
        if self.shown <= SHOWN {
            note(format_args!("{}:{}: {}", self.file, bad.line, bad.message));
        }
        if let Some(csv) = &mut self.csv {
            csv.write_record([&bad.line.to_string(), &bad.message])?;
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if let Some(csv) = &mut self.csv {
            csv.flush()?;
        }
        if self.shown > SHOWN {
            let hint = if self.csv.is_some() { "" } else { "; --errors FILE keeps them all" };
            note(format_args!("{}: and {} more bad rows{hint}", self.file, self.shown - SHOWN));
        }
        Ok(())
    }
}

impl Summary {
    fn line(&self, campaign: &str) -> String {
        let verb = if self.dry_run { "would be added" } else { "added" };
        format!(
            "{} rows: {} {verb} to `{campaign}`, {} repeated in the file, {} already in the campaign, {} bad",
            self.rows, self.added, self.repeated_in_file, self.already_in_campaign, self.bad
        )
    }
}
