//! What a campaign keeps to beyond its pace: its rules, zones, numbers to show, and what becomes of machines.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::Serialize;
use sidetone_core::campaign::{Limits, Policy, RetryTable, Standing};
use sqlx::{Row, any::AnyRow};

use super::{Cohort, Store, StoreError, words};

/// A campaign's terms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Terms {
    /// `None`: it is called at any hour, and nobody was asked for consent.
    pub policy: Option<Policy>,
    /// The zone of contacts of whom none is known.
    pub default_zone: Option<String>,
    /// Its share of what several campaigns have to share.
    pub weight: u32,
    /// Numbers to show; empty: the campaign's own or the configuration's.
    pub caller_ids: Vec<String>,
    /// How often one of them is shown within any 24 hours, whichever campaign shows it.
    pub caller_id_daily_cap: Option<u32>,
    /// By class of machine what to do instead of what the scenario says.
    pub machine: BTreeMap<String, String>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            policy: None,
            default_zone: None,
            weight: 1,
            caller_ids: Vec::new(),
            caller_id_daily_cap: None,
            machine: BTreeMap::new(),
        }
    }
}

/// Something that was decided about a campaign's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyEntry {
    pub at_ms: i64,
    /// `us-tsr`, `hours off`, `none`...
    pub what: String,
    pub reason: Option<String>,
    pub who: String,
}

/// The columns that [`Terms::read`] reads.
pub(super) const TERMS: &str = "policy, default_zone, weight, caller_ids, caller_id_daily_cap, machine";

impl Terms {
    pub(super) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let whole = |column| -> Result<Option<u32>, StoreError> {
            let value: Option<i64> = row.try_get(column)?;
            Ok(value.map(|value| u32::try_from(value).unwrap_or(u32::MAX)))
        };
        Ok(Self {
            policy: words::read_json(row, "policy")?,
            default_zone: row.try_get("default_zone")?,
            weight: whole("weight")?.unwrap_or(1),
            caller_ids: words::read_json(row, "caller_ids")?.unwrap_or_default(),
            caller_id_daily_cap: whole("caller_id_daily_cap")?,
            machine: words::read_json(row, "machine")?.unwrap_or_default(),
        })
    }

    /// Whether a cohort's contacts may be called now.
    #[must_use]
    pub fn is_open(&self, cohort: &Cohort, now_ms: i64) -> bool {
        let Some(policy) = &self.policy else { return true };
        policy.is_open(cohort.consent, self.zones(cohort).as_deref(), now_ms)
    }

    /// Whether a cohort's contacts may be called now, and until or from when.
    #[must_use]
    pub fn standing(&self, cohort: &Cohort, now_ms: i64) -> Standing {
        match &self.policy {
            Some(policy) => policy.standing(cohort.consent, self.zones(cohort).as_deref(), now_ms),
            None => Standing::Open { until_ms: None },
        }
    }

    /// How often a number may be called: by the rules, and by the retry table.
    #[must_use]
    pub fn limits(&self, retries: &RetryTable) -> Limits {
        let (per_day, per_30_days) = (retries.per_day, retries.per_30_days);
        match &self.policy {
            Some(policy) => policy.limits(per_day, per_30_days),
            None => Policy::default().limits(per_day, per_30_days),
        }
    }

    /// Where a cohort's numbers may lie; `None`: nobody knows, or a zone is no longer known.
    #[must_use]
    pub fn zones(&self, cohort: &Cohort) -> Option<Vec<TimeZone>> {
        let names = match (cohort.zones.as_str(), &self.default_zone) {
            ("", default) => default.as_deref()?,
            (known, _) => known,
        };
        names.split(',').map(|name| jiff::tz::db().get(name).ok()).collect()
    }
}

impl Store {
    /// Changes a campaign's rules, and keeps what was decided and why.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_policy(
        &self,
        campaign: i64,
        policy: Option<&Policy>,
        entries: &[PolicyEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("update campaigns set policy = $1 where id = $2")
            .bind(policy.map(words::json))
            .bind(campaign)
            .execute(&mut *tx.tx)
            .await?;
        for entry in entries {
            sqlx::query(
                "insert into policy_log (campaign_id, at_ms, what, reason, who) values ($1, $2, $3, $4, $5)",
            )
            .bind(campaign)
            .bind(entry.at_ms)
            .bind(entry.what.clone())
            .bind(entry.reason.clone())
            .bind(entry.who.clone())
            .execute(&mut *tx.tx)
            .await?;
        }
        tx.commit().await
    }

    /// Everything that was decided about a campaign's rules, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn policy_log(&self, campaign: i64) -> Result<Vec<PolicyEntry>, StoreError> {
        let rows = sqlx::query(
            "select at_ms, what, reason, who from policy_log where campaign_id = $1 order by at_ms, id",
        )
        .bind(campaign)
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(PolicyEntry {
                    at_ms: row.try_get("at_ms")?,
                    what: row.try_get("what")?,
                    reason: row.try_get("reason")?,
                    who: row.try_get("who")?,
                })
            })
            .collect()
    }
}
