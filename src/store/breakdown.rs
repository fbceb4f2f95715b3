//! A campaign's calls, counted by what they have in common.

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::{Store, StoreError, campaigns::unsigned};

/// What calls are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// A disposition's word; `not_placed` for what was claimed and never dialled.
    Disposition,
    /// Quarters of an hour since 1970 (UTC) in which calls began: every time zone begins its hours with one.
    Quarter,
    /// The list that their contacts were imported from.
    List,
    /// The number that was shown; none: the configuration's.
    CallerId,
}

/// How many calls there were, and what of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub calls: u64,
    pub answered: u64,
    /// Answered by a person.
    pub people: u64,
    pub machines: u64,
    /// Went through the scenario to an end with a person, or were put through.
    pub completed: u64,
    /// From the answers to the ends.
    pub talk_ms: u64,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.people += other.people;
        self.machines += other.machines;
        self.completed += other.completed;
        self.talk_ms += other.talk_ms;
    }
}

impl Store {
    /// Ended calls of a campaign by a dimension, by its values; the value is `None` where a call has none. Only
    /// [`Dimension::Disposition`] shows those that were never dialled.
    ///
    /// # Errors
    /// The database's.
    pub async fn breakdown(
        &self,
        campaign: i64,
        by: Dimension,
    ) -> Result<Vec<(Option<String>, Figures)>, StoreError> {
        const NOT_PLACED: &str = "coalesce(a.outcome, '') like 'not placed:%'";
        const LISTS: &str = "left join contacts c on c.id = a.contact_id left join cohorts h on h.id = c.cohort_id \
                             left join imports i on i.id = h.import_id";
        let not_placed = format!("case when {NOT_PLACED} then 'not_placed' else a.disposition end");
        let (key, join) = match by {
            Dimension::Disposition => (not_placed.as_str(), ""),
            Dimension::Quarter => ("cast(a.started_ms / 900000 as text)", ""),
            Dimension::List => ("i.list", LISTS),
            Dimension::CallerId => ("a.caller_id", ""),
        };
        let placed = match by {
            Dimension::Disposition => String::new(),
            Dimension::Quarter | Dimension::List | Dimension::CallerId => format!("and not {NOT_PLACED}"),
        };
        let sql = format!(
            "select {key} as value, count(*) as calls, count(a.answered_ms) as answered, \
             count(case when a.answer in ('person', 'abandoned', 'silent') then 1 end) as people, \
             count(case when a.answer = 'machine' then 1 end) as machines, \
             count(case when a.disposition in ('completed', 'transferred') then 1 end) as completed, \
             cast(coalesce(sum(a.ended_ms - a.answered_ms), 0) as bigint) as talk_ms \
             from attempts a {join} where a.campaign_id = $1 and a.ended_ms is not null {placed} \
             group by 1 order by 1"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(campaign).fetch_all(self.pool()).await?;
        rows.iter().map(|row| Ok((row.try_get("value")?, figures(row)?))).collect()
    }

    /// When a campaign's first ended call began, and when its last one ended.
    ///
    /// # Errors
    /// The database's.
    pub async fn called_between(&self, campaign: i64) -> Result<Option<(i64, i64)>, StoreError> {
        let row = sqlx::query(
            "select min(started_ms) as first, max(ended_ms) as last from attempts \
             where campaign_id = $1 and ended_ms is not null",
        )
        .bind(campaign)
        .fetch_one(self.pool())
        .await?;
        let (first, last): (Option<i64>, Option<i64>) = (row.try_get("first")?, row.try_get("last")?);
        Ok(first.zip(last))
    }
}

fn figures(row: &AnyRow) -> Result<Figures, StoreError> {
    Ok(Figures {
        calls: unsigned(row, "calls")?,
        answered: unsigned(row, "answered")?,
        people: unsigned(row, "people")?,
        machines: unsigned(row, "machines")?,
        completed: unsigned(row, "completed")?,
        talk_ms: unsigned(row, "talk_ms")?,
    })
}
