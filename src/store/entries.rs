//! A campaign's attempts as bare entries, for whoever checks the books.

use sidetone_core::call::{CallId, Disposition};
use sqlx::Row;

use super::{Store, StoreError, attempts::call_id, words};

/// An attempt's row without what was heard and said. Times are unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub call: CallId,
    pub contact: Option<i64>,
    pub started_ms: i64,
    pub claimed_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub disposition: Option<Disposition>,
}

impl Store {
    /// Up to `limit` attempts of a campaign in the order of their start, after this start and call.
    ///
    /// # Errors
    /// The database's.
    pub async fn entries(
        &self,
        campaign: i64,
        after: (i64, &str),
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(
            "select id, contact_id, started_ms, claimed_ms, ended_ms, disposition from attempts \
             where campaign_id = $1 and started_ms >= $2 and (started_ms > $2 or id > $3) \
             order by started_ms, id limit $4",
        )
        .bind(campaign)
        .bind(after.0)
        .bind(after.1.to_owned())
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Entry {
                    call: call_id(row)?,
                    contact: row.try_get("contact_id")?,
                    started_ms: row.try_get("started_ms")?,
                    claimed_ms: row.try_get("claimed_ms")?,
                    ended_ms: row.try_get("ended_ms")?,
                    disposition: words::read_optional(row, "disposition")?,
                })
            })
            .collect()
    }
}
