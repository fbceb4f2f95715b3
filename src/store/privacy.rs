//! Forgetting a person, and deleting what is old.

use sidetone_core::call::CallId;
use sqlx::Row;

use super::{Store, StoreError, WriteTx, attempts::call_id};

/// The most calls deleted in one transaction, so that live ones never wait long.
const SWEEP_BATCH: i64 = 200;

/// What [`Store::forget`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub contacts: u64,
    /// Their files (recordings, JSON lines) are the caller's to delete.
    pub calls: Vec<CallId>,
    /// Calls to the number that have not ended: forget again afterwards.
    pub live: Vec<CallId>,
}

impl Store {
    /// Deletes what is known of a number: its contacts' number and variables, its calls' number, dial string, events
    /// and webhooks, delivered or not. What remains (dispositions, times) says nothing of the person, and the do-not-call entry stays.
    ///
    /// # Errors
    /// The database's; then nothing was forgotten.
    pub async fn forget(&self, number: &str) -> Result<Forgotten, StoreError> {
        self.flush_events().await;
        let mut forgotten = Forgotten::default();
        let mut tx = self.write().await?;
        let calls = sqlx::query("select id, ended_ms from attempts where number = $1 order by started_ms")
            .bind(number.to_owned())
            .fetch_all(&mut *tx.tx)
            .await?;
        for row in &calls {
            let call = call_id(row)?;
            match row.try_get::<Option<i64>, _>("ended_ms")? {
                Some(_) => {
                    forget_call(&mut tx, &call).await?;
                    forgotten.calls.push(call);
                }
                None => forgotten.live.push(call),
            }
        }
        // A live call still needs its contact; it is forgotten with the call.
        let contacts = sqlx::query(
            "update contacts set number = 'forgotten-' || id, variables = '{}', state = 'forgotten' \
             where number = $1 and state <> 'claimed'",
        )
        .bind(number.to_owned())
        .execute(&mut *tx.tx)
        .await?;
        forgotten.contacts = contacts.rows_affected();
        tx.commit().await?;
        self.truncate_log().await?;
        Ok(forgotten)
    }

    /// Deletes calls that ended before `before_ms`, with their events, wishes and webhooks, and says which: their files are
    /// the caller's to delete. Contacts stay.
    ///
    /// # Errors
    /// The database's; what was deleted before stays deleted.
    pub async fn sweep(&self, before_ms: i64) -> Result<Vec<CallId>, StoreError> {
        let mut swept = Vec::new();
        loop {
            let mut tx = self.write().await?;
            let old = sqlx::query("select id from attempts where ended_ms < $1 order by ended_ms limit $2")
                .bind(before_ms)
                .bind(SWEEP_BATCH)
                .fetch_all(&mut *tx.tx)
                .await?;
            for row in &old {
                let call = call_id(row)?;
                delete_events(&mut tx, &call).await?;
                sqlx::query("delete from attempts where id = $1")
                    .bind(call.to_string())
                    .execute(&mut *tx.tx)
                    .await?;
                swept.push(call);
            }
            for sql in
                ["delete from wishes where placed_ms < $1", "delete from webhooks where created_ms < $1"]
            {
                sqlx::query(sql).bind(before_ms).execute(&mut *tx.tx).await?;
            }
            tx.commit().await?;
            if old.is_empty() {
                return Ok(swept);
            }
        }
    }

    /// Deleted pages still stand in SQLite's write-ahead log until it is emptied. Somebody reading now keeps it
    /// from being: then it is emptied later, by itself.
    async fn truncate_log(&self) -> Result<(), StoreError> {
        match self.inner.dialect {
            super::Dialect::Sqlite => {
                sqlx::query("pragma wal_checkpoint(truncate)").fetch_optional(self.pool()).await?;
            }
            // Its log is the administrator's; a deleted row is overwritten by vacuum.
            super::Dialect::Postgres => {}
        }
        Ok(())
    }
}

async fn forget_call(tx: &mut WriteTx, call: &CallId) -> Result<(), StoreError> {
    delete_events(tx, call).await?;
    sqlx::query("update attempts set number = null, dial_string = null where id = $1")
        .bind(call.to_string())
        .execute(&mut *tx.tx)
        .await?;
    Ok(())
}

async fn delete_events(tx: &mut WriteTx, call: &CallId) -> Result<(), StoreError> {
    for sql in [
        "delete from events where call_id = $1",
        "delete from wishes where call_id = $1",
        "delete from webhooks where call_id = $1",
    ] {
        sqlx::query(sql).bind(call.to_string()).execute(&mut *tx.tx).await?;
    }
    Ok(())
}
