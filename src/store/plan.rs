//! What a campaign's waiting contacts wait for.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use serde::Serialize;
use sidetone_core::campaign::{PastCall, Resting};
use sqlx::{Row, any::AnyRow};

use super::{
    Campaign, GLOBAL_LIST, Store, StoreError, campaign_list,
    campaigns::unsigned,
    claim::{PAST, PLACED, past_call},
};

/// The waiting contacts of a cohort. Times are unix milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CohortWaiting {
    /// Due now, those below included.
    pub due: u64,
    /// Due later: again, or as they asked.
    pub later: u64,
    /// When the first and the last of those is.
    pub first_later_ms: Option<i64>,
    pub last_later_ms: Option<i64>,
    /// Due, but on a do-not-call list.
    pub suppressed: u64,
    /// Due, but called too often or too lately, by what keeps them.
    pub resting: BTreeMap<Resting, u64>,
}

/// How a campaign's calls went so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pastime {
    pub calls: u64,
    /// From the dialling to the end, all of them together.
    pub total_ms: u64,
    pub contacts_done: u64,
    /// What those took in all.
    pub attempts: u64,
}

impl Store {
    /// What a campaign's contacts wait for, by cohort; those of imports that are not published are in it.
    ///
    /// # Errors
    /// The database's.
    pub async fn waiting(
        &self,
        campaign: &Campaign,
        now_ms: i64,
    ) -> Result<BTreeMap<i64, CohortWaiting>, StoreError> {
        let rows = sqlx::query(
            "select cohort_id, count(case when due_ms <= $2 then 1 end) as due, \
             count(case when due_ms > $2 then 1 end) as later, \
             min(case when due_ms > $2 then due_ms end) as first_later, \
             max(case when due_ms > $2 then due_ms end) as last_later \
             from contacts where campaign_id = $1 and state = 'waiting' group by cohort_id",
        )
        .bind(campaign.id)
        .bind(now_ms)
        .fetch_all(self.pool())
        .await?;
        let mut waiting = BTreeMap::new();
        for row in &rows {
            let cohort = CohortWaiting {
                due: unsigned(row, "due")?,
                later: unsigned(row, "later")?,
                first_later_ms: row.try_get("first_later")?,
                last_later_ms: row.try_get("last_later")?,
                ..CohortWaiting::default()
            };
            waiting.insert(row.try_get("cohort_id")?, cohort);
        }
        self.count_suppressed(campaign, now_ms, &mut waiting).await?;
        self.count_resting(campaign, now_ms, &mut waiting).await?;
        Ok(waiting)
    }

    async fn count_suppressed(
        &self,
        campaign: &Campaign,
        now_ms: i64,
        waiting: &mut BTreeMap<i64, CohortWaiting>,
    ) -> Result<(), StoreError> {
        let rows = sqlx::query(
            "select cohort_id, count(*) as n from contacts where campaign_id = $1 and state = 'waiting' \
             and due_ms <= $2 and number in (select number from suppressions where list in ($3, $4)) \
             group by cohort_id",
        )
        .bind(campaign.id)
        .bind(now_ms)
        .bind(GLOBAL_LIST.to_owned())
        .bind(campaign_list(&campaign.name))
        .fetch_all(self.pool())
        .await?;
        for row in &rows {
            waiting.entry(row.try_get("cohort_id")?).or_default().suppressed = unsigned(row, "n")?;
        }
        Ok(())
    }

    async fn count_resting(
        &self,
        campaign: &Campaign,
        now_ms: i64,
        waiting: &mut BTreeMap<i64, CohortWaiting>,
    ) -> Result<(), StoreError> {
        let limits = campaign.terms.limits(&campaign.retry_table());
        let Some(back) = limits.look_back_ms() else { return Ok(()) };
        let sql = format!(
            "select c.id, c.cohort_id, {PAST} from contacts c join attempts on attempts.number = c.number \
             where c.campaign_id = $1 and c.state = 'waiting' and c.due_ms <= $2 and started_ms > $3 and {PLACED} \
             and c.number not in (select number from suppressions where list in ($4, $5)) order by c.id"
        );
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(campaign.id)
            .bind(now_ms)
            .bind(now_ms.saturating_sub(back))
            .bind(GLOBAL_LIST.to_owned())
            .bind(campaign_list(&campaign.name))
            .fetch(self.pool());
        // One contact at a time: there may be millions.
        let mut at: Option<(i64, i64)> = None;
        let mut past: Vec<PastCall> = Vec::new();
        let mut settle = |at: Option<(i64, i64)>, past: &mut Vec<PastCall>| {
            let rests = limits.rests_until(past, now_ms);
            past.clear();
            if let (Some((_, cohort)), Some((_, why))) = (at, rests) {
                *waiting.entry(cohort).or_default().resting.entry(why).or_default() += 1;
            }
        };
        while let Some(row) = rows.try_next().await? {
            let key = Some(key(&row)?);
            if key != at {
                settle(at, &mut past);
                at = key;
            }
            past.push(past_call(&row)?);
        }
        settle(at, &mut past);
        Ok(())
    }

    /// How a campaign's calls went so far.
    ///
    /// # Errors
    /// The database's.
    pub async fn pastime(&self, campaign: i64) -> Result<Pastime, StoreError> {
        let sql = format!(
            "select count(*) as calls, cast(coalesce(sum(ended_ms - started_ms), 0) as bigint) as total \
             from attempts where campaign_id = $1 and ended_ms is not null and {PLACED}"
        );
        let calls = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(campaign).fetch_one(self.pool()).await?;
        let done = sqlx::query(
            "select count(*) as n, cast(coalesce(sum(attempts), 0) as bigint) as attempts from contacts \
             where campaign_id = $1 and state = 'done' and attempts > 0",
        )
        .bind(campaign)
        .fetch_one(self.pool())
        .await?;
        Ok(Pastime {
            calls: unsigned(&calls, "calls")?,
            total_ms: unsigned(&calls, "total")?,
            contacts_done: unsigned(&done, "n")?,
            attempts: unsigned(&done, "attempts")?,
        })
    }
}

fn key(row: &AnyRow) -> Result<(i64, i64), StoreError> {
    Ok((row.try_get("id")?, row.try_get("cohort_id")?))
}
