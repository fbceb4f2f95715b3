//! Do-not-call lists: one for every campaign, and one for each.

use serde::{Deserialize, Serialize};
use sidetone_core::call::CallId;
use sqlx::{Row, any::AnyRow};

use super::{
    Store, StoreError, WriteTx,
    words::{self, word},
};

/// The do-not-call list that holds for every campaign.
pub const GLOBAL_LIST: &str = "global";

/// The do-not-call list of one campaign.
#[must_use]
pub fn campaign_list(campaign: &str) -> String {
    format!("campaign:{campaign}")
}

/// Where an entry came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionSource {
    Cli,
    Import,
    /// Said during a call.
    Voice,
    /// A key pressed during a call.
    Dtmf,
    /// A scenario's outcome `opted_out`, without a word or key that we know of.
    Scenario,
}

/// An entry to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSuppression {
    /// [`GLOBAL_LIST`] or a [`campaign_list`].
    pub list: String,
    /// E.164.
    pub number: String,
    pub reason: String,
    pub source: SuppressionSource,
}

/// A number that is not called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppression {
    pub list: String,
    pub number: String,
    pub reason: String,
    pub source: SuppressionSource,
    /// The call in which it was asked for.
    pub call: Option<String>,
    /// Unix milliseconds.
    pub created_ms: i64,
}

impl Store {
    /// Puts a number on the global do-not-call list; a list that has it keeps its first reason.
    ///
    /// # Errors
    /// The database's.
    pub async fn suppress(&self, number: &str, reason: &str, now_ms: i64) -> Result<(), StoreError> {
        let entry = NewSuppression {
            list: GLOBAL_LIST.to_owned(),
            number: number.to_owned(),
            reason: reason.to_owned(),
            source: SuppressionSource::Cli,
        };
        self.add_suppressions(&[entry], now_ms).await?;
        Ok(())
    }

    /// Makes entries in one transaction and says how many are new; a list that has a number keeps its first reason.
    /// A contact who waits is passed over at the moment of dialling.
    ///
    /// # Errors
    /// The database's; then none was made.
    pub async fn add_suppressions(&self, entries: &[NewSuppression], now_ms: i64) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let mut added = 0;
        for entry in entries {
            added += u64::from(insert(&mut tx, entry, None, now_ms).await?);
        }
        tx.commit().await?;
        Ok(added)
    }

    /// Takes a number off a list. `false`: it was not there. Contacts that were passed over because of it stay so.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_suppression(&self, list: &str, number: &str) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let removed = sqlx::query("delete from suppressions where list = $1 and number = $2")
            .bind(list.to_owned())
            .bind(number.to_owned())
            .execute(&mut *tx.tx)
            .await?;
        tx.commit().await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Up to `limit` entries of a list, by number, after the number `after` (empty: from the first).
    ///
    /// # Errors
    /// The database's.
    pub async fn suppressions(
        &self,
        list: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Suppression>, StoreError> {
        let rows = sqlx::query(
            "select list, number, reason, source, call_id, created_ms from suppressions \
             where list = $1 and number > $2 order by number limit $3",
        )
        .bind(list.to_owned())
        .bind(after.to_owned())
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(entry).collect()
    }

    /// Whether a number is on a do-not-call list, whichever.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_suppressed(&self, number: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("select 1 as n from suppressions where number = $1 limit 1")
            .bind(number.to_owned())
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }
}

/// Whether a number is on the global list: nobody calls it, not even by hand.
pub(super) async fn suppressed(tx: &mut WriteTx, number: &str) -> Result<bool, StoreError> {
    let row = sqlx::query("select 1 as n from suppressions where list = $1 and number = $2")
        .bind(GLOBAL_LIST.to_owned())
        .bind(number.to_owned())
        .fetch_optional(&mut *tx.tx)
        .await?;
    Ok(row.is_some())
}

/// Somebody asked in a call not to be called again: no campaign calls them.
pub(super) async fn opt_out(
    tx: &mut WriteTx,
    call: &CallId,
    source: SuppressionSource,
    now_ms: i64,
) -> Result<(), StoreError> {
    let row = sqlx::query("select number from attempts where id = $1 and number is not null")
        .bind(call.to_string())
        .fetch_optional(&mut *tx.tx)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let entry = NewSuppression {
        list: GLOBAL_LIST.to_owned(),
        number: row.try_get("number")?,
        reason: "asked in a call not to be called".to_owned(),
        source,
    };
    insert(tx, &entry, Some(call), now_ms).await?;
    Ok(())
}

async fn insert(
    tx: &mut WriteTx,
    entry: &NewSuppression,
    call: Option<&CallId>,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let made = sqlx::query(
        "insert into suppressions (list, number, reason, created_ms, source, call_id) \
         values ($1, $2, $3, $4, $5, $6) on conflict (list, number) do nothing",
    )
    .bind(entry.list.clone())
    .bind(entry.number.clone())
    .bind(entry.reason.clone())
    .bind(now_ms)
    .bind(word(entry.source))
    .bind(call.map(ToString::to_string))
    .execute(&mut *tx.tx)
    .await?;
    Ok(made.rows_affected() > 0)
}

fn entry(row: &AnyRow) -> Result<Suppression, StoreError> {
    Ok(Suppression {
        list: row.try_get("list")?,
        number: row.try_get("number")?,
        reason: row.try_get("reason")?,
        source: words::read(row, "source")?,
        call: row.try_get("call_id")?,
        created_ms: row.try_get("created_ms")?,
    })
}
