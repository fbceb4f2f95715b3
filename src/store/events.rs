//! Every event of every call, written in batches by one task.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use sidetone_core::call::{CallId, Event};
use sqlx::{AnyPool, AssertSqlSafe, Row};
use tokio::sync::{Notify, mpsc, oneshot};

use super::{Dialect, Store, StoreError, begin, turn::Turns, words};

/// How many events may wait for the writer: 20 busy calls for a minute. [`Store::try_record_event`] drops and
/// counts where it is full, [`Store::record_event`] waits.
pub const EVENT_QUEUE: usize = 8192;

/// The most events in one transaction.
const BATCH: usize = 512;
/// How long an event may wait for others to share its transaction: a transaction costs a hundred times an event.
const GATHER: Duration = Duration::from_millis(100);
/// Rows of one `insert`, largest first: few texts, so that the database knows each already.
const ROWS: [usize; 3] = [16, 4, 1];
/// How often a batch that the database refuses is tried again before it is dropped and counted.
const TRIES: u32 = 6;
/// How long an outcome waits for the events before it.
const FLUSH_WAIT: Duration = Duration::from_secs(5);

/// One event of one call. `seq` counts a call's events: 1, 2, 3...
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    pub call: CallId,
    pub seq: i64,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Media time since the answer.
    pub media_ms: Option<i64>,
    pub event: Event,
}

/// An event as the database has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredEvent {
    pub seq: i64,
    /// Unix milliseconds; as JSON `unix_ms`, since events have an `at_ms` of their own.
    #[serde(rename = "unix_ms")]
    pub at_ms: i64,
    pub media_ms: Option<i64>,
    #[serde(flatten)]
    pub event: Event,
}

/// What the writer is handed.
#[derive(Debug)]
pub(super) enum Job {
    Event(Box<EventRecord>),
    /// Answered when everything before it is written or dropped.
    Flush(oneshot::Sender<()>),
}

/// The task that writes events. It ends, with nothing left to write, when every [`Store`] is gone.
pub(super) struct Writer {
    pub(super) pool: AnyPool,
    pub(super) writing: Turns,
    pub(super) dialect: Dialect,
    pub(super) dropped: Arc<AtomicU64>,
    pub(super) record_dir: Option<PathBuf>,
}

/// Where events are handed over.
#[derive(Debug)]
pub(super) struct Outbox {
    jobs: mpsc::Sender<Job>,
    /// Somebody waits, or the queue is half full: the writer gathers no longer.
    hurry: Arc<Notify>,
}

pub(super) fn spawn(writer: Writer) -> Outbox {
    let (jobs, waiting) = mpsc::channel(EVENT_QUEUE);
    let hurry = Arc::new(Notify::new());
    tokio::spawn(writer.run(waiting, Arc::clone(&hurry)));
    Outbox { jobs, hurry }
}

impl Outbox {
    fn offer(&self, job: Job) -> bool {
        let kept = self.jobs.try_send(job).is_ok();
        if self.jobs.capacity() < EVENT_QUEUE / 2 {
            self.hurry.notify_one();
        }
        kept
    }

    async fn hand(&self, job: Job) -> bool {
        if self.jobs.capacity() < EVENT_QUEUE / 2 {
            self.hurry.notify_one();
        }
        self.jobs.send(job).await.is_ok()
    }
}

impl Store {
    /// Hands an event to the writer without waiting. `false`: too many wait, this one is dropped and counted.
    pub fn try_record_event(&self, record: EventRecord) -> bool {
        let kept = self.inner.events.offer(Job::Event(Box::new(record)));
        if !kept {
            self.inner.dropped_events.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    /// Hands an event to the writer, waiting for room: for what must not be missing, such as the last one.
    pub async fn record_event(&self, record: EventRecord) {
        if !self.inner.events.hand(Job::Event(Box::new(record))).await {
            self.inner.dropped_events.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was handed over before is written, for five seconds at most.
    pub async fn flush_events(&self) {
        let (done, written) = oneshot::channel();
        let flush = async {
            if self.inner.events.hand(Job::Flush(done)).await {
                self.inner.events.hurry.notify_one();
                // An error means that the writer is gone, and with it whatever could be waited for.
                written.await.ok();
            }
        };
        if tokio::time::timeout(FLUSH_WAIT, flush).await.is_err() {
            tracing::warn!("the database is slow: events still wait to be written");
        }
    }

    /// A call's events after `seq`, in order; all of them after 0.
    ///
    /// # Errors
    /// The database's.
    pub async fn events_after(&self, call: &CallId, seq: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let rows = sqlx::query(
            "select seq, at_ms, media_ms, body from events where call_id = $1 and seq > $2 order by seq",
        )
        .bind(call.to_string())
        .bind(seq)
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let body: String = row.try_get("body")?;
                let event = serde_json::from_str(&body)
                    .map_err(|_| StoreError::Unreadable { what: "event", value: body })?;
                Ok(StoredEvent {
                    seq: row.try_get("seq")?,
                    at_ms: row.try_get("at_ms")?,
                    media_ms: row.try_get("media_ms")?,
                    event,
                })
            })
            .collect()
    }

    /// A whole call.
    ///
    /// # Errors
    /// The database's.
    pub async fn call_timeline(&self, call: &CallId) -> Result<Vec<StoredEvent>, StoreError> {
        self.events_after(call, 0).await
    }
}

impl Writer {
    async fn run(self, mut jobs: mpsc::Receiver<Job>, hurry: Arc<Notify>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = jobs.recv().await {
            batch.push(first);
            if matches!(batch[..], [Job::Event(_)]) && jobs.len() < BATCH {
                tokio::time::timeout(GATHER, hurry.notified()).await.ok();
            }
            while batch.len() < BATCH
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            let mut records = Vec::with_capacity(batch.len());
            let mut flushes = Vec::new();
            for job in batch.drain(..) {
                match job {
                    Job::Event(record) => records.push(*record),
                    Job::Flush(done) => flushes.push(done),
                }
            }
            // A call's events side by side: one page of the index, one opening of its file.
            records.sort_by(|a, b| a.call.cmp(&b.call));
            self.append_lines(&records);
            self.write(&records).await;
            for done in flushes {
                // Whoever asked may have stopped waiting.
                done.send(()).ok();
            }
        }
    }

    async fn write(&self, records: &[EventRecord]) {
        if records.is_empty() {
            return;
        }
        let mut wait = Duration::from_millis(100);
        for attempt in 1..=TRIES {
            match self.insert(records).await {
                Ok(repeated) => {
                    if repeated > 0 {
                        tracing::error!(repeated, "events repeat a number that their call used already");
                        self.dropped.fetch_add(repeated, Ordering::Relaxed);
                    }
                    return;
                }
                Err(error) if attempt < TRIES => {
                    tracing::warn!(%error, "events could not be written; trying again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(error) => tracing::error!(%error, lost = records.len(), "events could not be written"),
            }
        }
        self.dropped.fetch_add(u64::try_from(records.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Says how many were not inserted because their number was taken.
    async fn insert(&self, records: &[EventRecord]) -> Result<u64, StoreError> {
        let mut repeated = 0;
        let mut tx = begin(&self.pool, &self.writing, self.dialect).await?;
        let mut rest = records;
        while let Some(rows) = ROWS.into_iter().find(|rows| *rows <= rest.len()) {
            let (now, later) = rest.split_at(rows);
            let mut insert = sqlx::query(AssertSqlSafe(insert_sql(rows)));
            for record in now {
                insert = insert
                    .bind(record.call.to_string())
                    .bind(record.seq)
                    .bind(record.at_ms)
                    .bind(record.media_ms)
                    .bind(words::json(&record.event));
            }
            let done = insert.execute(&mut *tx.tx).await?;
            repeated += (rows as u64).saturating_sub(done.rows_affected());
            rest = later;
        }
        tx.commit().await?;
        Ok(repeated)
    }

    /// JSON lines are a convenience beside the database: a failure is logged, not tried again.
    fn append_lines(&self, records: &[EventRecord]) {
        let Some(dir) = &self.record_dir else { return };
        for of_one_call in records.chunk_by(|a, b| a.call == b.call) {
            if let Err(error) = append(dir, of_one_call) {
                tracing::warn!(%error, dir = %dir.display(), "events could not be appended to their file");
            }
        }
    }
}

/// The `insert` of so many events.
fn insert_sql(rows: usize) -> String {
    let row = |at: usize| {
        let place = |column: usize| format!("${}", at * 5 + column);
        format!("({})", [1, 2, 3, 4, 5].map(place).join(", "))
    };
    let rows = (0..rows).map(row).collect::<Vec<_>>().join(", ");
    format!(
        "insert into events (call_id, seq, at_ms, media_ms, body) values {rows} \
         on conflict (call_id, seq) do nothing"
    )
}

/// One line of a call's file.
#[derive(Serialize)]
struct Line<'a> {
    call: &'a CallId,
    seq: i64,
    #[serde(rename = "unix_ms")]
    at_ms: i64,
    media_ms: Option<i64>,
    #[serde(flatten)]
    event: &'a Event,
}

fn append(dir: &Path, records: &[EventRecord]) -> std::io::Result<()> {
    let Some(first) = records.first() else { return Ok(()) };
    std::fs::create_dir_all(dir)?;
    let path = dir.join(format!("{}.jsonl", first.call));
    let mut text = String::new();
    for EventRecord { call, seq, at_ms, media_ms, event } in records {
        text.push_str(&words::json(&Line { call, seq: *seq, at_ms: *at_ms, media_ms: *media_ms, event }));
        text.push('\n');
    }
    std::fs::File::options().create(true).append(true).open(path)?.write_all(text.as_bytes())
}
