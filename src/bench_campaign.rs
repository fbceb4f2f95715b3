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
    /// Leave PostgreSQL out.
    #[arg(long)]
    no_postgres: bool,
    /// The same seed lets the same people answer.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
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
    sqlite: Database,
    /// Null where it is left out or not installed.
    postgres: Option<Database>,
    day: day::Day,
    /// The day's.
    #[serde(flatten)]
    books: audit::Books,
}

impl CampaignArgs {
    /// Runs it and prints what it found.
    ///
    /// # Errors
    /// What kept it from running. What it finds is in the report.
    pub async fn run(self, json: bool) -> anyhow::Result<ExitCode> {
        let folder = tempfile::Builder::new().prefix("sidetone-bench-").tempdir()?;
        progress("the list, SQLite");
        let list = import::write_list(folder.path(), self.contacts)?;
        let url = format!("sqlite:{}", folder.path().join("bench.db").display());
        let sqlite = self.database(&url, folder.path(), &list).await?;
        let mut postgres = None;
        if !self.no_postgres {
            match tokio::task::spawn_blocking(ScratchPostgres::start_durable).await? {
                Ok(server) => {
                    progress("PostgreSQL");
                    let url = server.database().await?;
                    postgres = Some(self.database(&url, folder.path(), &list).await?);
                }
                Err(error) => progress(format_args!("PostgreSQL is left out: {error}")),
            }
        }
        progress("a day");
        let plan = day::Plan { contacts: self.contacts, sidecars: self.sidecars, seed: self.seed };
        let (day, books) = day::run(&plan, folder.path()).await?;
        let report =
            Report { contacts: self.contacts, sidecars: self.sidecars, sqlite, postgres, day, books };
        report.show(json)?;
        Ok(ExitCode::from(u8::from(!report.books.balance() || report.day.outside_hours > 0)))
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
        for (name, database) in [("SQLite", Some(&self.sqlite)), ("PostgreSQL", self.postgres.as_ref())] {
            let Some(Database { import, claim }) = database else { continue };
            writeln!(out, "{name}\n{import}\n{claim}")?;
        }
        let day::Day { dialled, lost, counts, wall_s, .. } = &self.day;
        let books = &self.books;
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
