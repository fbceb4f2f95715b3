//! What the campaigns' side carries on this machine: how fast a list is read, how soon a contact is claimed and its call
//! begins, and a whole day of calls, in virtual time, whose books must balance.

mod audit;
mod claim;
mod day;
mod import;
mod measure;

use std::{path::Path, process::ExitCode};

use serde::Serialize;

use crate::store::{Store, scratch::ScratchPostgres};

/// `sidetone bench campaign`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone bench campaign --contacts 1000000 --json\n\n\
    PostgreSQL is measured where its programs are installed (Debian: postgresql); it starts a server of its own.\n\
    Exit code 1: the day's books do not balance.")]
pub struct CampaignArgs {
    /// Contacts read, waiting, and called in the day.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1000..))]
    contacts: u32,
    /// Those who share the day's campaign.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    sidecars: u32,
    /// Only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Leave PostgreSQL out.
    #[arg(long)]
    no_postgres: bool,
    /// The same seed lets the same people answer.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The list read and its contacts claimed, on each database.
    Store,
    /// The day in virtual time.
    Day,
}

/// One database's side.
#[derive(Debug, Serialize)]
struct Database {
    #[serde(flatten)]
    import: import::Measured,
    #[serde(flatten)]
    claim: claim::Measured,
}

#[derive(Debug, Serialize)]
struct Report {
    contacts: u32,
    sidecars: u32,
    /// Null where it is left out.
    sqlite: Option<Database>,
    /// Null where it is left out or not installed.
    postgres: Option<Database>,
    /// Null where it is left out.
    day: Option<day::Day>,
    /// The day's.
    #[serde(flatten)]
    books: Option<audit::Books>,
}

impl CampaignArgs {
    /// Runs it and prints what it found.
    ///
    /// # Errors
    /// What kept it from running. What it finds is in the report.
    pub async fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        let folder = tempfile::Builder::new().prefix("sidetone-bench-").tempdir()?;
        let mut report = Report {
            contacts: self.contacts,
            sidecars: self.sidecars,
            sqlite: None,
            postgres: None,
            day: None,
            books: None,
        };
        if self.only != Some(Part::Day) {
            (report.sqlite, report.postgres) = self.databases(folder.path()).await?;
        }
        let mut right = true;
        if self.only != Some(Part::Store) {
            progress("a day");
            let plan = day::Plan { contacts: self.contacts, sidecars: self.sidecars, seed: self.seed };
            let (day, books) = day::run(&plan, folder.path()).await?;
            right = books.balance() && day.outside_hours == 0;
            (report.day, report.books) = (Some(day), Some(books));
        }
        report.show(json)?;
        Ok(ExitCode::from(u8::from(!right)))
    }

    /// SQLite's side and, where it is wanted and installed, PostgreSQL's.
    async fn databases(&self, folder: &Path) -> anyhow::Result<(Option<Database>, Option<Database>)> {
        progress("the list, SQLite");
        let list = import::write_list(folder, self.contacts)?;
        let url = format!("sqlite:{}", folder.join("bench.db").display());
        let sqlite = self.database(&url, folder, &list).await?;
        let mut postgres = None;
        if !self.no_postgres {
            match tokio::task::spawn_blocking(ScratchPostgres::start_durable).await? {
                Ok(server) => {
                    progress("PostgreSQL");
                    let url = server.database().await?;
                    postgres = Some(self.database(&url, folder, &list).await?);
                }
                Err(error) => progress(format_args!("PostgreSQL is left out: {error}")),
            }
        }
        Ok((Some(sqlite), postgres))
    }

    async fn database(&self, url: &str, folder: &Path, list: &Path) -> anyhow::Result<Database> {
        let store = Store::open(url).await?;
        let campaign = import::campaign(&store, folder).await?;
        let import = import::measure(&store, url, folder, list).await?;
        let claim = claim::measure(&store, campaign, folder).await?;
        store.close().await;
        Ok(Database { import, claim })
    }
}

/// What is measured now, for whoever waits.
fn progress(what: impl std::fmt::Display) {
    eprintln!("bench campaign: {what}");
}

impl Report {
    fn show(&self, json: bool) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer_pretty(&mut out, self)?;
            return Ok(writeln!(out)?);
        }
        for (name, database) in [("SQLite", self.sqlite.as_ref()), ("PostgreSQL", self.postgres.as_ref())] {
            let Some(Database { import, claim }) = database else { continue };
            writeln!(out, "{name}\n{import}\n{claim}")?;
        }
        let (Some(day), Some(books)) = (&self.day, &self.books) else { return Ok(()) };
        let day::Day { dialled, lost, counts, wall_s, .. } = day;
        writeln!(
            out,
            "A day with {} sidecars, in {wall_s:.0} s\n  {} contacts: {} done, {} wait; {dialled} calls, {lost} lost with a \
             sidecar\n  unaccounted {}, duplicate dials {}, beyond limits {}",
            self.sidecars,
            counts.contacts,
            counts.done,
            counts.waiting,
            books.unaccounted,
            books.duplicate_dials,
            books.cap_violations
        )?;
        Ok(())
    }
}
