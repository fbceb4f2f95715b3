//! Who still holds what they claimed: an instance whose heart has stopped does not.

use std::{sync::PoisonError, time::Duration};

use sidetone_core::campaign::RetryTable;
use sqlx::Row as _;
use tokio::time::Instant;

use super::{HEARTBEAT_DEAD_MS, Orphan, Store, StoreError};

/// An instance whose heart was silent for so long has lost what it claimed. It stops dialling by itself well before.
pub const LEASE: Duration = Duration::from_millis(HEARTBEAT_DEAD_MS.unsigned_abs());

/// Without a heartbeat for so long an instance dials nobody: less than [`LEASE`], so that it has stopped before
/// others give its contacts back.
const SAFE: Duration = Duration::from_millis(HEARTBEAT_DEAD_MS.unsigned_abs() / 2);

/// This process's lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Tells this process's lease from that of another under the same name.
    since_ms: i64,
    renewed: Instant,
}

/// Another instance with open attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenElsewhere {
    pub instance: String,
    /// Its latest heartbeat, by its own clock; `None`: it ended without settling them.
    pub beat_ms: Option<i64>,
}

impl Store {
    /// Whether what this process claims is its own to dial: it beat lately, or never took a lease.
    #[must_use]
    pub fn holds_lease(&self) -> bool {
        self.lease().is_none_or(|held| held.renewed.elapsed() < SAFE)
    }

    /// Other instances that have open attempts.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_elsewhere(&self, instance: &str) -> Result<Vec<OpenElsewhere>, StoreError> {
        let rows = sqlx::query(
            "select distinct a.instance, h.beat_ms from attempts a \
             left join heartbeats h on h.instance = a.instance \
             where a.ended_ms is null and a.instance <> $1 order by a.instance",
        )
        .bind(instance.to_owned())
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(OpenElsewhere { instance: row.try_get("instance")?, beat_ms: row.try_get("beat_ms")? })
            })
            .collect()
    }

    /// [`Self::settle_lost`] with what the orphan's campaign says about retries.
    ///
    /// # Errors
    /// The database's.
    pub async fn settle_orphan(&self, orphan: &Orphan, now_ms: i64) -> Result<bool, StoreError> {
        let campaign = match orphan.campaign {
            Some(id) => self.campaign_by_id(id).await?,
            None => None,
        };
        let retries =
            campaign.map_or_else(|| RetryTable::with_max_attempts(1), |campaign| campaign.retry_table());
        self.settle_lost(&orphan.call, &retries, now_ms).await
    }

    pub(super) fn lease_taken(&self, since_ms: i64) {
        self.set_lease(Held { since_ms, renewed: Instant::now() });
    }

    /// `asked`: when the heartbeat set out; others may have seen it at once.
    pub(super) fn lease_renewed(&self, asked: Instant) {
        if let Some(held) = self.lease() {
            self.set_lease(Held { renewed: asked, ..held });
        }
    }

    pub(super) fn lease_since(&self) -> i64 {
        self.lease().map_or(0, |held| held.since_ms)
    }

    #[cfg(test)]
    pub(super) fn let_lease_age(&self, by: Duration) {
        if let Some(held) = self.lease() {
            self.set_lease(Held { renewed: held.renewed - by, ..held });
        }
    }

    fn lease(&self) -> Option<Held> {
        *self.inner.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_lease(&self, held: Held) {
        *self.inner.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }
}
