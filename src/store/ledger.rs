//! The compliance ledger: what a campaign's answered calls were for those who answered.

use std::collections::BTreeMap;

use serde::Serialize;
use sidetone_core::{
    call::{Abandoned, Answer},
    campaign::{Brake, Tally},
};
use sqlx::Row as _;

use super::{Store, StoreError, campaigns::unsigned, words};

/// How many milliseconds half, and 95 of 100, took at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub n: u64,
    pub p50: Option<i64>,
    pub p95: Option<i64>,
}

/// What was counted of a campaign's calls that ended after some moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    pub tally: Tally,
    /// Abandoned and silent calls by why.
    pub abandoned: BTreeMap<Abandoned, u64>,
    /// From the end of a person's greeting to the first thing they heard of us.
    pub greeting_to_audio_ms: Spread,
}

impl Store {
    /// How a campaign's calls that ended after `since_ms` count.
    ///
    /// # Errors
    /// The database's.
    pub async fn tally(&self, campaign: i64, since_ms: i64) -> Result<Tally, StoreError> {
        let rows = sqlx::query(
            "select answer, count(*) as n from attempts \
             where campaign_id = $1 and answer is not null and ended_ms > $2 group by answer",
        )
        .bind(campaign)
        .bind(since_ms)
        .fetch_all(self.pool())
        .await?;
        let mut tally = Tally::default();
        for row in &rows {
            tally.add(words::read::<Answer>(row, "answer")?, unsigned(row, "n")?);
        }
        Ok(tally)
    }

    /// The ledger of a campaign's calls that ended after `since_ms`.
    ///
    /// # Errors
    /// The database's.
    pub async fn ledger(&self, campaign: i64, since_ms: i64) -> Result<Ledger, StoreError> {
        let rows = sqlx::query(
            "select abandoned, count(*) as n from attempts \
             where campaign_id = $1 and abandoned is not null and ended_ms > $2 group by abandoned",
        )
        .bind(campaign)
        .bind(since_ms)
        .fetch_all(self.pool())
        .await?;
        let mut abandoned = BTreeMap::new();
        for row in &rows {
            abandoned.insert(words::read(row, "abandoned")?, unsigned(row, "n")?);
        }
        Ok(Ledger {
            tally: self.tally(campaign, since_ms).await?,
            abandoned,
            greeting_to_audio_ms: self.greeting_to_audio(campaign, since_ms).await?,
        })
    }

    /// How many of a campaign's contacts were tried how often.
    ///
    /// # Errors
    /// The database's.
    pub async fn attempts_per_contact(&self, campaign: i64) -> Result<BTreeMap<u64, u64>, StoreError> {
        let rows = sqlx::query(
            "select attempts, count(*) as n from contacts where campaign_id = $1 group by attempts",
        )
        .bind(campaign)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok((unsigned(row, "attempts")?, unsigned(row, "n")?))).collect()
    }

    /// Lets a campaign start calls at a part of its pace only, for everybody who claims from it; `note` says why.
    ///
    /// # Errors
    /// The database's.
    pub async fn throttle_campaign(&self, id: i64, brake: Brake, note: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let note = (brake != Brake::Free).then(|| note.to_owned());
        sqlx::query("update campaigns set throttle = $1, throttle_note = $2 where id = $3")
            .bind(brake.pace())
            .bind(note)
            .bind(id)
            .execute(&mut *tx.tx)
            .await?;
        tx.commit().await
    }

    async fn greeting_to_audio(&self, campaign: i64, since_ms: i64) -> Result<Spread, StoreError> {
        const OF: &str = "from attempts where campaign_id = $1 and answer is not null and ended_ms > $2 \
                          and greeting_to_audio_ms is not null";
        let sql = sqlx::AssertSqlSafe(format!("select count(*) as n {OF}"));
        let row = sqlx::query(sql).bind(campaign).bind(since_ms).fetch_one(self.pool()).await?;
        let n = unsigned(&row, "n")?;
        let mut at = [None, None];
        for (value, percent) in at.iter_mut().zip([50, 95]) {
            // The smallest that so many of a hundred do not exceed.
            let Some(rank) = (n * percent).div_ceil(100).checked_sub(1) else { continue };
            let sql =
                format!("select greeting_to_audio_ms {OF} order by greeting_to_audio_ms limit 1 offset $3");
            let row = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(campaign)
                .bind(since_ms)
                .bind(i64::try_from(rank).unwrap_or(i64::MAX))
                .fetch_optional(self.pool())
                .await?;
            *value = row.map(|row| row.try_get("greeting_to_audio_ms")).transpose()?;
        }
        Ok(Spread { n, p50: at[0], p95: at[1] })
    }
}
