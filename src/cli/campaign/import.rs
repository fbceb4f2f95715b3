//! `sidetone campaign import`: a file into a campaign, or a rehearsal of it.

mod outcome;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use encoding_rs::Encoding;
use indicatif::{ProgressBar, ProgressStyle};
use phonenumber::country;
use sha2::{Digest as _, Sha256};

use crate::{
    cli::{
        Context, exit, input,
        output::{note, usage},
    },
    contacts::{BadRow, Batches, ListError, ListFile, Mapping, Reading, Row, Rules, zone},
    store::{Campaign, Import as Open, NewContact, NewImport, Placed, Seen, Store, now_ms},
};
use outcome::Outcome;

/// Rows in one transaction: short enough that live calls' writes never wait long.
const BATCH: usize = 250;
/// Others may write in between.
const YIELD: Duration = Duration::from_millis(1);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sidetone campaign import spring contacts.csv --country FR --dry-run\n  \
    sidetone campaign import spring crm.xlsx --column number=Mobile --column consent=OptIn --errors bad.csv\n\n\
    The first row names the columns. `number` or `phone` is needed; `zone` (an IANA name), `consent` (yes, no, or the \
    date of it) and `not_before` (a date or time) are understood; every other column is a variable of the scenario. \
    A bad row stops none of the good ones. Nobody of the file is called before all of it is in; an import that was cut \
    off goes on when the same command is given again.\n\n\
    Exit codes: 0 every row is in, 1 some rows were bad or it was cut off, 2 nothing could be read."
)]
pub(super) struct Import {
    /// The campaign.
    name: String,
    /// CSV (comma, semicolon or tab) or .xlsx.
    file: PathBuf,
    /// The country of numbers without one, such as FR.
    #[arg(long, value_name = "CC", value_parser = input::parse_country)]
    country: Option<country::Id>,
    /// Which column is what: number, zone, consent, not_before, or a variable's name; may be given several times.
    #[arg(long = "column", value_name = "FIELD=COLUMN")]
    columns: Vec<String>,
    /// The time zone of numbers that say none, such as Europe/Paris.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    default_zone: Option<String>,
    /// The sheet of an .xlsx file [default: the first].
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// The encoding of a CSV file, such as windows-1252 [default: what the file looks like].
    #[arg(long, value_name = "NAME", value_parser = parse_encoding)]
    encoding: Option<&'static Encoding>,
    /// What reports call this list [default: the file's name].
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
    /// Say what would be done and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write every row that is not taken into this CSV file: its line, why, and the row itself.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Drop what an earlier import left that was cut off, and begin anew.
    #[arg(long, conflicts_with = "dry_run")]
    restart: bool,
}

fn parse_encoding(text: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(text.as_bytes()).ok_or_else(|| {
        format!("`{text}` is no encoding: write utf-8, utf-16le, windows-1252, iso-8859-15...")
    })
}

impl Import {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let mapping = match Mapping::parse(&self.columns) {
            Ok(mapping) => mapping,
            Err(message) => return Ok(usage(format_args!("--column: {message}"))),
        };
        let store = Store::open(&ctx.config.store.url).await?;
        let campaign = store.campaign(&self.name).await?;
        let (path, reading) =
            (self.file.clone(), Reading { encoding: self.encoding, sheet: self.sheet.clone() });
        let opened = tokio::task::spawn_blocking(move || ListFile::open(&path, reading)).await?;
        let file = match opened {
            Ok(file) => Arc::new(file),
            Err(error) => return Ok(self.unreadable(&error)),
        };
        if let Some(remark) = file.remark() {
            note(format_args!("{} {remark}", self.file.display()));
        }
        let rules = self.rules(ctx, &campaign, mapping);
        let new =
            NewImport { campaign: campaign.id, list: self.list_name(), digest: self.digest(&file, &rules) };
        if self.restart {
            let dropped = store.drop_import(campaign.id).await?;
            note(format_args!("dropped {dropped} contacts of an import that was not finished"));
        }
        let place = match self.dry_run {
            true => Place::Rehearsal(store.find_import(&new, now_ms()).await?, Seen::new().await?),
            false => Place::Campaign(store.begin_import(&new, now_ms()).await?),
        };
        let outcome = match Outcome::new(&self.file, &new.list, self.errors.as_deref()) {
            Ok(outcome) => outcome,
            Err(error) => return Ok(usage(format_args!("--errors: {error}"))),
        };
        let running = Running { store: &store, campaign: &campaign, place, outcome };
        self.read(ctx, running, file, rules).await
    }

    fn unreadable(&self, error: &ListError) -> ExitCode {
        usage(format_args!("{}: {error}", self.file.display()))
    }

    fn list_name(&self) -> String {
        let of_file = || self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        self.list.clone().or_else(of_file).unwrap_or_default()
    }

    fn rules(&self, ctx: &Context, campaign: &Campaign, mapping: Mapping) -> Rules {
        let scenario = match input::scenario(ctx, Path::new(&campaign.scenario)) {
            Ok((_, scenario)) => Some(scenario),
            Err(message) => {
                note(format_args!("variables are not checked: {message}"));
                None
            }
        };
        Rules {
            country: self.country,
            mapping,
            default_zone: self.default_zone.clone(),
            number_only: false,
            scenario,
            now_ms: now_ms(),
        }
    }

    /// Of the file and of how it is read: what is cut off goes on only with the same.
    fn digest(&self, file: &ListFile, rules: &Rules) -> String {
        let how = (
            self.country,
            &rules.mapping,
            &self.default_zone,
            &self.sheet,
            file.encoding(),
            self.list_name(),
        );
        let digest = Sha256::digest(format!("{} {how:?}", file.digest()));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Rows from the file into the campaign until its end, or Ctrl-C.
    async fn read(
        &self,
        ctx: &Context,
        mut running: Running<'_>,
        file: Arc<ListFile>,
        rules: Rules,
    ) -> anyhow::Result<ExitCode> {
        if let Some(rows) = running.place.resumes_at() {
            note(format_args!("goes on after row {rows}, where it was cut off"));
        }
        let bar = Bar::new(&file)?;
        let encoding = file.encoding();
        let mut batches = Batches::spawn(file, rules, BATCH);
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        loop {
            let batch = tokio::select! {
                biased;
                _ = &mut stop => {
                    bar.clear();
                    running.cut_off("stopped");
                    return Ok(ExitCode::from(exit::FAILED));
                }
                batch = batches.next() => batch,
            };
            let batch = match batch {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => {
                    bar.clear();
                    let code = self.unreadable(&error);
                    running.give_up(&error).await?;
                    return Ok(code);
                }
            };
            if let Err(error) = running.take(batch).await {
                bar.clear();
                running.cut_off("cut off");
                return Err(error);
            }
            bar.set(running.outcome.rows());
        }
        bar.clear();
        running.finish(ctx, self, encoding).await
    }
}

/// Where rows go.
enum Place {
    Campaign(Open),
    /// Nowhere: what would become of them. With the import that the file would go on with.
    Rehearsal(Option<Open>, Seen),
}

impl Place {
    /// Rows that were read before, where it goes on.
    fn resumes_at(&self) -> Option<u64> {
        let import = match self {
            Self::Campaign(import) => Some(import),
            Self::Rehearsal(import, _) => import.as_ref(),
        };
        import.map(Open::rows_read).filter(|rows| *rows > 0)
    }
}

struct Running<'a> {
    store: &'a Store,
    campaign: &'a Campaign,
    place: Place,
    outcome: Outcome,
}

impl Running<'_> {
    async fn take(&mut self, batch: Vec<Result<Row, BadRow>>) -> anyhow::Result<()> {
        let mut rows = Vec::with_capacity(batch.len());
        for row in batch {
            match row {
                Ok(row) => rows.push((row.contact, row.original)),
                Err(bad) => self.outcome.bad(&bad)?,
            }
        }
        let (contacts, originals): (Vec<NewContact>, Vec<String>) = rows.into_iter().unzip();
        let rows_read = self.outcome.rows() + u64::try_from(contacts.len())?;
        let placed = self.place_all(&contacts, rows_read).await?;
        for ((contact, original), placed) in contacts.iter().zip(originals).zip(placed) {
            self.outcome.good(contact, placed, original)?;
        }
        Ok(())
    }

    async fn place_all(&mut self, contacts: &[NewContact], rows_read: u64) -> anyhow::Result<Vec<Placed>> {
        match &mut self.place {
            Place::Campaign(import) if rows_read <= import.rows_read() => {
                Ok(self.store.placed(self.campaign.id, Some(import), contacts).await?)
            }
            Place::Campaign(import) => {
                let placed = self.store.add_to_import(import, contacts, rows_read, now_ms()).await?;
                tokio::time::sleep(YIELD).await;
                Ok(placed)
            }
            Place::Rehearsal(import, seen) => {
                let lines: Vec<_> = contacts
                    .iter()
                    .map(|contact| (contact.number.clone(), contact.line.unwrap_or(0)))
                    .collect();
                let before = seen.before(&lines).await?;
                let placed = self.store.placed(self.campaign.id, import.as_ref(), contacts).await?;
                let listed = self.store.on_lists(&self.campaign.name, contacts).await?;
                self.outcome.listed(listed.len());
                let of_both = placed.into_iter().zip(before).map(|(placed, before)| match (placed, before) {
                    (Placed::Added, Some(line)) => Placed::Repeated { line },
                    (placed, _) => placed,
                });
                Ok(of_both.collect())
            }
        }
    }

    /// What is in stays there, unseen, to go on with.
    fn cut_off(&self, how: &str) {
        match &self.place {
            Place::Rehearsal(..) => note(format_args!("{how}; nothing was done")),
            Place::Campaign(import) => note(format_args!(
                "{how} after {} rows: nobody of this file is called yet. Give the same command again to go on; \
                 --restart drops what is in and begins anew.",
                import.rows_read()
            )),
        }
    }

    /// The file cannot be read to its end. One that never will be leaves nothing behind.
    async fn give_up(self, error: &ListError) -> anyhow::Result<()> {
        match (&self.place, error) {
            (Place::Rehearsal(..), _) => {}
            (Place::Campaign(_), ListError::Read(_)) => self.cut_off("cut off"),
            (Place::Campaign(_), ListError::Refused(_) | ListError::Header(_)) => {
                self.store.drop_import(self.campaign.id).await?;
            }
        }
        Ok(())
    }

    async fn finish(
        self,
        ctx: &Context,
        args: &Import,
        encoding: Option<&'static str>,
    ) -> anyhow::Result<ExitCode> {
        let resumed = self.place.resumes_at();
        if let Place::Campaign(import) = &self.place {
            self.store.publish_import(import, now_ms()).await?;
        }
        let bad = self.outcome.finish(outcome::Circumstances {
            campaign: &args.name,
            json: ctx.json,
            dry_run: args.dry_run,
            resumed,
            encoding,
        })?;
        Ok(ExitCode::from(if bad > 0 { exit::FAILED } else { exit::OK }))
    }
}

/// How far it is, on a terminal's stderr.
struct Bar {
    bar: ProgressBar,
    done: Arc<std::sync::atomic::AtomicU64>,
}

impl Bar {
    fn new(file: &ListFile) -> anyhow::Result<Self> {
        let (bytes, done) = file.progress();
        let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {percent}% {msg}")?;
        Ok(Self { bar: ProgressBar::new(bytes).with_style(style.progress_chars("=> ")), done })
    }

    fn set(&self, rows: u64) {
        self.bar.set_position(self.done.load(Ordering::Relaxed).min(self.bar.length().unwrap_or(0)));
        self.bar.set_message(format!("{rows} rows"));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
