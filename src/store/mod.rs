//! Campaigns, contacts, attempts and events in a database.
//!
//! A [`Store`] is a cheap handle; every clone shares one pool and one event writer. Times are unix milliseconds
//! and handed in. Every SQL text is the same for each database; what differs is in [`Dialect`].

mod attempts;
mod campaigns;
mod claim;
mod cohorts;
mod contacts;
mod entries;
mod events;
mod files;
mod finished;
mod gateways;
mod imports;
mod lease;
mod ledger;
mod plan;
mod privacy;
mod report;
pub mod scratch;
mod seen;
mod serving;
mod suppressions;
mod terms;
mod turn;
mod webhooks;
mod words;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sidetone_core::{campaign::ControlRefused, webhook::WebhookEvent};
use sqlx::{Any, AnyConnection, AnyPool, Transaction, any::AnyPoolOptions};
use tokio::sync::mpsc;

use crate::config::hide_password;
use turn::{Turn, Turns};

pub use attempts::{AdHoc, Attempt, Origin, Orphan};
pub use campaigns::{ActiveCampaign, Campaign, CampaignCounts, NewCampaign};
pub use claim::{Claim, ClaimOrder, Claimed};
pub use cohorts::Cohort;
pub use entries::Entry;
pub use events::{EVENT_QUEUE, EventRecord, StoredEvent};
pub use files::{delete_files, record_dir};
pub use finished::FinishedCall;
pub use gateways::GatewayStanding;
pub use imports::{Import, Imported, NewContact, NewImport, Placed};
pub use lease::{LEASE, OpenElsewhere};
pub use ledger::{Ledger, Spread};
pub use plan::{CohortWaiting, Pastime};
pub use privacy::Forgotten;
pub use report::ReportRow;
pub use seen::Seen;
pub use serving::{CallWish, HEARTBEAT_DEAD_MS, Serving, TakenWish, WishAnswer};
pub use suppressions::{GLOBAL_LIST, NewSuppression, Suppression, SuppressionSource, campaign_list};
pub use terms::{PolicyEntry, Terms};
pub use webhooks::{Outbox, Replay, Tried, Webhook, WebhookState};

/// Unix milliseconds now: what the store's callers hand in.
#[must_use]
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: AnyPool,
    dialect: Dialect,
    writing: Turns,
    events: mpsc::Sender<events::Job>,
    dropped_events: Arc<AtomicU64>,
    /// Where this process serves.
    lease: std::sync::Mutex<Option<lease::Held>>,
    /// What other systems are told of.
    told: OnceLock<BTreeSet<WebhookEvent>>,
}

/// What cannot be said the same way to every database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// One writer at a time: a transaction that writes has the file to itself.
    Sqlite,
    /// Many writers, on many machines: rows are locked.
    Postgres,
}

impl Dialect {
    /// Ends a `select` whose rows this transaction is about to change.
    fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " for no key update",
        }
    }

    /// Ends a `select` of work that others look for too: what somebody else has taken is passed over.
    fn for_taking(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " for update skip locked",
        }
    }

    /// The same where only the rows of `table` are taken.
    fn for_taking_of(self, table: &str) -> String {
        match self {
            Self::Sqlite => String::new(),
            Self::Postgres => format!(" for update of {table} skip locked"),
        }
    }

    /// Unix milliseconds by the one clock that all who use the database share: SQLite's users are on one machine and
    /// take the caller's, `handed_in`.
    fn clock_or(self, handed_in: &str) -> String {
        const CLOCK: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";
        match self {
            Self::Sqlite => handed_in.to_owned(),
            Self::Postgres => format!("coalesce({CLOCK}, {handed_in})"),
        }
    }
}

/// What went wrong in the database, or why it refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store.url: `{url}`: {message}")]
    Url { url: String, message: String },
    #[error("the database {url} cannot be opened: {source}")]
    Open { url: String, source: sqlx::Error },
    #[error("the database's tables cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Trying again later may help.
    #[error("the database: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the database holds a {what} that this version does not know: `{value}`")]
    Unreadable { what: &'static str, value: String },
    #[error("no campaign is called `{name}`{}", did_you_mean(.nearest.as_deref()))]
    UnknownCampaign { name: String, nearest: Option<String> },
    #[error("a campaign called `{0}` exists already")]
    CampaignExists(String),
    #[error("campaign `{name}`: {refused}")]
    Control { name: String, refused: ControlRefused },
    #[error("no call has the id `{0}`")]
    UnknownCall(String),
    #[error("no webhook has the id {0}: `sidetone webhooks list` shows them")]
    UnknownWebhook(i64),
    /// Another process serves under the same `switch.instance`.
    #[error("`sidetone serve` runs already as instance `{instance}` (process {pid})")]
    AlreadyServing { instance: String, pid: i64 },
    /// Another file was cut off on its way into the campaign, or is being read.
    #[error("{}", import_open(.list, *.rows_read, *.live))]
    ImportOpen { list: String, rows_read: u64, live: bool },
    #[error("the import was finished or dropped by somebody else meanwhile")]
    ImportGone,
    /// The store was closed.
    #[error("the database was closed")]
    Closed,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

fn import_open(list: &str, rows_read: u64, live: bool) -> String {
    match live {
        true => {
            format!("`{list}` is being read into it just now: wait for its end, or drop it with --restart")
        }
        false => format!(
            "the import of `{list}` was cut off after {rows_read} rows: give that file again to go on with it, or drop \
             it with --restart"
        ),
    }
}

impl Store {
    /// Opens the database, makes it where it is missing and brings its tables up to date.
    ///
    /// # Errors
    /// The URL is not understood, the file cannot be opened, or the tables are of a newer version.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with_record(url, None).await
    }

    /// Like [`Self::open`]; also appends every call's events to `record_dir/{call id}.jsonl`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with_record(url: &str, record_dir: Option<PathBuf>) -> Result<Self, StoreError> {
        let (dialect, full_url) = complete(url)?;
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(if is_memory(&full_url) { 1 } else { 8 })
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(30))
            .after_connect(move |connection, _| Box::pin(prepare(connection, dialect)))
            .connect(&full_url)
            .await
            .map_err(|source| StoreError::Open { url: hide_password(url), source })?;
        migrate(&pool, dialect).await?;

        let writing = Turns::new(sqlite_file(&full_url).as_deref());
        let dropped_events = Arc::new(AtomicU64::new(0));
        let writer = events::Writer {
            pool: pool.clone(),
            writing: writing.clone(),
            dialect,
            dropped: Arc::clone(&dropped_events),
            record_dir,
        };
        let events = events::spawn(writer);
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                dialect,
                writing,
                events,
                dropped_events,
                lease: Default::default(),
                told: OnceLock::new(),
            }),
        })
    }

    /// Whether the database can be written now.
    ///
    /// # Errors
    /// What keeps it from being written.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("update campaigns set name = name where id < 0").execute(&mut *tx.tx).await?;
        tx.commit().await
    }

    /// Events that could not be kept since the start: the queue was full, or the database refused for too long.
    #[must_use]
    pub fn dropped_events(&self) -> u64 {
        self.inner.dropped_events.load(Ordering::Relaxed)
    }

    /// Writes what waits and closes every connection.
    pub async fn close(&self) {
        self.flush_events().await;
        self.inner.pool.close().await;
    }

    fn pool(&self) -> &AnyPool {
        &self.inner.pool
    }

    async fn write(&self) -> Result<WriteTx, StoreError> {
        begin(&self.inner.pool, &self.inner.writing, self.inner.dialect).await
    }
}

/// A transaction that may write.
struct WriteTx {
    tx: Transaction<'static, Any>,
    dialect: Dialect,
    _turn: Option<Turn>,
}

impl WriteTx {
    /// Waits for the claims that count what others do, as this one does, and makes the next ones wait.
    async fn claim_alone(&mut self) -> Result<(), StoreError> {
        // Any number that only this is locked by.
        const LOCK: &str = "select pg_advisory_xact_lock(5001) is null as locked";
        match self.dialect {
            Dialect::Sqlite => {}
            Dialect::Postgres => {
                sqlx::query(LOCK).fetch_one(&mut *self.tx).await?;
            }
        }
        Ok(())
    }

    async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }
}

/// Begins as a writer at once: a transaction that turns into one later can fail where it need not.
async fn begin(pool: &AnyPool, writing: &Turns, dialect: Dialect) -> Result<WriteTx, StoreError> {
    match dialect {
        Dialect::Sqlite => {
            let turn = writing.take().await;
            let tx = pool.begin_with("begin immediate").await?;
            Ok(WriteTx { tx, dialect, _turn: Some(turn) })
        }
        Dialect::Postgres => Ok(WriteTx { tx: pool.begin().await?, dialect, _turn: None }),
    }
}

/// Several processes may start at once on a fresh database. Postgres makes them wait for one another (an advisory
/// lock); on a SQLite file both can begin, and the one that comes second finds the tables made when it tries again.
async fn migrate(pool: &AnyPool, dialect: Dialect) -> Result<(), StoreError> {
    use sqlx::migrate::MigrateError;
    let migrations = match dialect {
        Dialect::Sqlite => sqlx::migrate!("./migrations/sqlite"),
        Dialect::Postgres => sqlx::migrate!("./migrations/postgres"),
    };
    for wait_ms in [50, 200, 1000] {
        match migrations.run(pool).await {
            Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)) => {
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            done => return Ok(done?),
        }
    }
    Ok(migrations.run(pool).await?)
}

/// What every connection is told first. An attempt that was written must survive a power cut (`full`), and what a
/// person asked us to forget must not linger in the file (`secure_delete`). A machine that vanished must not keep its
/// locks: Postgres ends its transaction.
async fn prepare(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), sqlx::Error> {
    const SQLITE: [&str; 5] = [
        "pragma busy_timeout = 10000",
        "pragma journal_mode = wal",
        "pragma synchronous = full",
        "pragma foreign_keys = on",
        "pragma secure_delete = on",
    ];
    const POSTGRES: [&str; 3] = [
        "set idle_in_transaction_session_timeout = '10s'",
        "set lock_timeout = '10s'",
        "set tcp_user_timeout = '10s'",
    ];
    let settings = match dialect {
        Dialect::Sqlite => &SQLITE[..],
        Dialect::Postgres => &POSTGRES[..],
    };
    for setting in settings {
        sqlx::query(*setting).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The kind of database and the URL with what we add to it; makes the file's folder.
fn complete(url: &str) -> Result<(Dialect, String), StoreError> {
    let bad = |message: &str| StoreError::Url { url: hide_password(url), message: message.to_owned() };
    if is_postgres(url) {
        return Ok((Dialect::Postgres, url.to_owned()));
    }
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return Err(bad("write `sqlite:` and a file's path, or `postgres://user:password@host/database`"));
    };
    if is_memory(url) {
        return Ok((Dialect::Sqlite, url.to_owned()));
    }
    let Some(path) = sqlite_file(url) else {
        return Err(bad("the file's path is missing: write `sqlite:sidetone.db`"));
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| bad(&format!("the folder {} cannot be made: {error}", folder.display())))?;
    }
    let full = match rest.contains("mode=") {
        true => url.to_owned(),
        false => format!("{url}{}mode=rwc", if rest.contains('?') { '&' } else { '?' }),
    };
    Ok((Dialect::Sqlite, full))
}

/// Whether a URL names a PostgreSQL database.
pub(crate) fn is_postgres(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
}

/// The file of a SQLite URL, where there is one.
fn sqlite_file(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:").filter(|_| !is_memory(url))?;
    let path = rest.strip_prefix("//").unwrap_or(rest).split('?').next()?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

fn is_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

#[cfg(test)]
mod tests;
