//! The outbox: what another system is to hear of, until it has.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sidetone_core::{
    call::CallId,
    webhook::{Next, WebhookEvent},
};
use sqlx::{Row, any::AnyRow};

use super::{Store, StoreError, WriteTx, campaigns::unsigned, words};

/// Where a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    Waiting,
    Delivered,
    /// Given up; `sidetone webhooks replay` tries it again.
    Dead,
}

/// A webhook as the database has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Webhook {
    pub id: i64,
    pub event_id: String,
    pub event: WebhookEvent,
    pub call: Option<String>,
    pub state: WebhookState,
    pub tries: u32,
    pub due_ms: i64,
    pub created_ms: i64,
    pub delivered_ms: Option<i64>,
    /// Which sidecar tried last.
    pub instance: Option<String>,
    /// The receiver's latest HTTP status.
    pub status: Option<i64>,
    pub error: Option<String>,
    /// The document as it is sent.
    #[serde(serialize_with = "as_document")]
    pub body: String,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub next: Next,
    pub status: Option<u16>,
    /// In words, where it failed.
    pub error: Option<String>,
}

/// How many webhooks wait, and how many were given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outbox {
    pub waiting: u64,
    pub dead: u64,
}

/// Which webhooks are to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    One(i64),
    EveryDead,
}

const COLUMNS: &str = "select id, event_id, event, call_id, state, tries, due_ms, created_ms, delivered_ms, instance, \
                       status, error, body from webhooks";

impl Store {
    /// Has this process write a webhook for each of these events, in the transaction that makes them so. Without it
    /// none is written.
    pub fn tell(&self, events: &BTreeSet<WebhookEvent>) {
        // Told twice, the first holds: a process serves once.
        self.inner.told.set(events.clone()).ok();
    }

    /// Up to `n` webhooks that are due, for this instance to try now; others may take them `lease` later. Each counts
    /// as tried.
    ///
    /// # Errors
    /// The database's; then none was taken.
    pub async fn take_webhooks(
        &self,
        instance: &str,
        n: usize,
        lease: Duration,
        now_ms: i64,
    ) -> Result<Vec<Webhook>, StoreError> {
        const DUE: &str = "where state = 'waiting' and due_ms <= $1 order by due_ms, id limit $2";
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let any = sqlx::AssertSqlSafe(format!("select id from webhooks {DUE}"));
        if sqlx::query(any).bind(now_ms).bind(n).fetch_optional(self.pool()).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut tx = self.write().await?;
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {DUE}{}", tx.dialect.for_taking()));
        let rows = sqlx::query(sql).bind(now_ms).bind(n).fetch_all(&mut *tx.tx).await?;
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut due = webhook(row)?;
            due.tries += 1;
            due.due_ms = now_ms.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
            sqlx::query("update webhooks set tries = $1, due_ms = $2, instance = $3 where id = $4")
                .bind(i64::from(due.tries))
                .bind(due.due_ms)
                .bind(instance.to_owned())
                .bind(due.id)
                .execute(&mut *tx.tx)
                .await?;
            taken.push(due);
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Stores what came of a try. A try whose lease ran out, and that somebody has repeated since, changes nothing.
    ///
    /// # Errors
    /// The database's: then it is tried again when its lease is over.
    pub async fn webhook_tried(&self, tried: &Webhook, what: &Tried, now_ms: i64) -> Result<(), StoreError> {
        let (state, due_ms) = match what.next {
            Next::Delivered => (WebhookState::Delivered, now_ms),
            Next::Dead => (WebhookState::Dead, now_ms),
            Next::Again(wait) => {
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                (WebhookState::Waiting, now_ms.saturating_add(wait))
            }
        };
        let delivered_ms = (state == WebhookState::Delivered).then_some(now_ms);
        let mut tx = self.write().await?;
        sqlx::query(
            "update webhooks set state = $1, due_ms = $2, delivered_ms = $3, status = $4, error = $5 \
             where id = $6 and tries = $7 and state = 'waiting'",
        )
        .bind(words::word(state))
        .bind(due_ms)
        .bind(delivered_ms)
        .bind(what.status.map(i64::from))
        .bind(what.error.clone())
        .bind(tried.id)
        .bind(i64::from(tried.tries))
        .execute(&mut *tx.tx)
        .await?;
        tx.commit().await
    }

    /// The latest webhooks, newest first; those in one state where it is given.
    ///
    /// # Errors
    /// The database's.
    pub async fn webhooks(
        &self,
        state: Option<WebhookState>,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        let only = if state.is_some() { "where state = $1" } else { "where $1 = ''" };
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {only} order by id desc limit $2"));
        let rows = sqlx::query(sql)
            .bind(state.map(words::word).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(webhook).collect()
    }

    /// One webhook.
    ///
    /// # Errors
    /// [`StoreError::UnknownWebhook`], or the database's.
    pub async fn webhook(&self, id: i64) -> Result<Webhook, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} where id = $1"));
        let row = sqlx::query(sql).bind(id).fetch_optional(self.pool()).await?;
        row.as_ref().map(webhook).transpose()?.ok_or(StoreError::UnknownWebhook(id))
    }

    /// Has webhooks tried again from now on, as if they were new; delivered ones too where one is named. Says how many.
    ///
    /// # Errors
    /// [`StoreError::UnknownWebhook`], or the database's.
    pub async fn replay_webhooks(&self, which: Replay, now_ms: i64) -> Result<u64, StoreError> {
        const AGAIN: &str =
            "update webhooks set state = 'waiting', tries = 0, due_ms = $1, delivered_ms = null";
        let mut tx = self.write().await?;
        let (sql, id) = match which {
            Replay::One(id) => (format!("{AGAIN} where id = $2"), id),
            Replay::EveryDead => (format!("{AGAIN} where state = 'dead' and id > $2"), 0),
        };
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now_ms).bind(id).execute(&mut *tx.tx).await?;
        tx.commit().await?;
        match which {
            Replay::One(id) if done.rows_affected() == 0 => Err(StoreError::UnknownWebhook(id)),
            Replay::One(_) | Replay::EveryDead => Ok(done.rows_affected()),
        }
    }

    /// How many webhooks wait, and how many are dead.
    ///
    /// # Errors
    /// The database's.
    pub async fn outbox(&self) -> Result<Outbox, StoreError> {
        let row = sqlx::query(
            "select (select count(*) from webhooks where state = 'waiting') as waiting, \
             (select count(*) from webhooks where state = 'dead') as dead",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(Outbox { waiting: unsigned(&row, "waiting")?, dead: unsigned(&row, "dead")? })
    }

    pub(super) fn is_told(&self, event: WebhookEvent) -> bool {
        self.inner.told.get().is_some_and(|events| events.contains(&event))
    }

    /// Writes a webhook, where its event is told at all. `about`: the body's own part, an object.
    pub(super) async fn put_webhook(
        &self,
        tx: &mut WriteTx,
        (event, call): (WebhookEvent, Option<&CallId>),
        about: Value,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        if !self.is_told(event) {
            return Ok(());
        }
        let event_id = uuid::Uuid::new_v4().to_string();
        let mut body = json!({ "id": event_id, "event": event, "created_ms": now_ms });
        if let (Some(body), Value::Object(about)) = (body.as_object_mut(), about) {
            body.extend(about);
        }
        sqlx::query(
            "insert into webhooks (event_id, event, call_id, body, state, due_ms, created_ms) \
             values ($1, $2, $3, $4, 'waiting', $5, $5)",
        )
        .bind(event_id)
        .bind(event.word())
        .bind(call.map(ToString::to_string))
        .bind(body.to_string())
        .bind(now_ms)
        .execute(&mut *tx.tx)
        .await?;
        Ok(())
    }
}

fn webhook(row: &AnyRow) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        id: row.try_get("id")?,
        event_id: row.try_get("event_id")?,
        event: words::read(row, "event")?,
        call: row.try_get("call_id")?,
        state: words::read(row, "state")?,
        tries: u32::try_from(unsigned(row, "tries")?).unwrap_or(u32::MAX),
        due_ms: row.try_get("due_ms")?,
        created_ms: row.try_get("created_ms")?,
        delivered_ms: row.try_get("delivered_ms")?,
        instance: row.try_get("instance")?,
        status: row.try_get("status")?,
        error: row.try_get("error")?,
        body: row.try_get("body")?,
    })
}

/// The body as JSON rather than as text within JSON.
fn as_document<S: serde::Serializer>(body: &str, to: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<Value>(body) {
        Ok(document) => document.serialize(to),
        Err(_) => to.serialize_str(body),
    }
}
