//! Contacts who may be called at the same times: of one import, with the same zones, all of them with consent or none.

use serde::Serialize;
use sqlx::{Any, AnyConnection, Executor, Row, any::AnyRow};

use super::{Store, StoreError};

/// A published cohort, and what waits in it. Times are unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cohort {
    pub id: i64,
    /// IANA names parted by commas; empty: unknown.
    pub zones: String,
    pub consent: bool,
    /// When the first of those is due who are to be called at some time: again, or as they asked.
    pub timed_ms: Option<i64>,
    /// Whether somebody waits for their first call.
    pub has_fresh: bool,
}

impl Cohort {
    /// Whether anybody waits here.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.has_fresh || self.timed_ms.is_some()
    }

    /// Whether anybody is due.
    #[must_use]
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.has_fresh || self.timed_ms.is_some_and(|due| due <= now_ms)
    }
}

impl Store {
    /// A campaign's published cohorts, in the order of import: two looks into an index for each.
    ///
    /// # Errors
    /// The database's.
    pub async fn cohorts(&self, campaign: i64) -> Result<Vec<Cohort>, StoreError> {
        published(self.pool(), campaign).await
    }
}

/// Those of a campaign, as a transaction sees them.
pub(super) async fn published_within(
    connection: &mut AnyConnection,
    campaign: i64,
) -> Result<Vec<Cohort>, StoreError> {
    published(connection, campaign).await
}

async fn published<'e>(
    from: impl Executor<'e, Database = Any>,
    campaign: i64,
) -> Result<Vec<Cohort>, StoreError> {
    let sql = format!("{} order by c.id", published_sql("$1"));
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(campaign).fetch_all(from).await?;
    rows.iter().map(cohort).collect()
}

/// The cohorts of the campaign that this parameter is, as [`cohort`] reads them.
pub(super) fn published_sql(campaign: &str) -> String {
    const FIRST: &str = "select min(due_ms) from contacts where cohort_id = c.id and state = 'waiting' and";
    format!(
        "select c.id, c.zones, c.consent, ({FIRST} due_ms > 0) as timed, ({FIRST} due_ms <= 0) as fresh \
         from cohorts c join imports i on i.id = c.import_id \
         where c.campaign_id = {campaign} and i.state = 'published'"
    )
}

pub(super) fn cohort(row: &AnyRow) -> Result<Cohort, StoreError> {
    Ok(Cohort {
        id: row.try_get("id")?,
        zones: row.try_get("zones")?,
        consent: row.try_get::<i64, _>("consent")? != 0,
        timed_ms: row.try_get("timed")?,
        has_fresh: row.try_get::<Option<i64>, _>("fresh")?.is_some(),
    })
}
