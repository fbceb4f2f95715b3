//! Campaigns: made, found, controlled, counted.

use std::collections::BTreeMap;

use serde::Serialize;
use sidetone_core::{
    call::Disposition,
    campaign::{AbandonLimit, CampaignState, Control, Pace, Policy, RetryTable},
    webhook::WebhookEvent,
};
use sqlx::{Row, any::AnyRow};

use super::{
    Cohort, Store, StoreError, Terms, WriteTx,
    cohorts::published_within,
    terms::TERMS,
    words::{self, word},
};

/// A campaign to make.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCampaign {
    pub name: String,
    /// A path that `serve` can read, so an absolute one.
    pub scenario: String,
    pub language: Option<String>,
    /// Instead of `switch.caller_id`.
    pub caller_id: Option<String>,
    pub max_concurrent: u32,
    pub cps: f64,
    /// Attempts a contact in all; 1: nobody is called twice.
    pub max_attempts: u32,
}

/// A campaign as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Campaign {
    pub id: i64,
    pub name: String,
    pub state: CampaignState,
    pub scenario: String,
    pub language: Option<String>,
    pub caller_id: Option<String>,
    pub max_concurrent: u32,
    pub cps: f64,
    pub max_attempts: u32,
    pub retries: RetryTable,
    pub created_ms: i64,
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    /// Why `serve` paused it by itself.
    pub note: Option<String>,
    /// The part of its pace that it is left; 1: all of it.
    pub throttle: f64,
    /// Why it is left less than all.
    pub throttle_note: Option<String>,
    #[serde(flatten)]
    pub terms: Terms,
}

/// A campaign that the dialer has something to do for.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveCampaign {
    pub campaign: Campaign,
    /// Contacts being called now.
    pub live: u32,
}

impl Campaign {
    /// What its throttle leaves of its limits.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace { cps: self.cps, max_concurrent: self.max_concurrent }.slowed(self.throttle)
    }

    /// How many of its live answers may be abandoned, by its rules.
    #[must_use]
    pub fn abandon_limits(&self) -> Vec<AbandonLimit> {
        self.terms.policy.iter().filter_map(Policy::abandon_limit).collect()
    }

    /// What its limits come from.
    #[must_use]
    pub fn rule_name(&self) -> &str {
        self.terms.policy.as_ref().map_or("no policy", |policy| policy.name.as_str())
    }

    #[must_use]
    pub fn retry_table(&self) -> RetryTable {
        self.retries.clone()
    }
}

/// Where a campaign's contacts stand, and what its attempts came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CampaignCounts {
    pub contacts: u64,
    /// To be called, now or later.
    pub waiting: u64,
    /// When the first of the waiting may be called.
    pub next_due_ms: Option<i64>,
    /// Claimed: being called now.
    pub live: u64,
    pub done: u64,
    /// Not called: on a do-not-call list.
    pub suppressed: u64,
    pub forgotten: u64,
    /// Finished attempts.
    pub attempts: u64,
    pub by_disposition: BTreeMap<Disposition, u64>,
}

const COLUMNS: &str = "id, name, state, scenario, language, caller_id, max_concurrent, cps, max_attempts, retries, \
                       created_ms, started_ms, ended_ms, note, throttle, throttle_note";

impl Store {
    /// Makes a campaign in state `draft`, without rules.
    ///
    /// # Errors
    /// [`StoreError::CampaignExists`], or the database's.
    pub async fn create_campaign(&self, new: &NewCampaign, now_ms: i64) -> Result<Campaign, StoreError> {
        self.create_campaign_with(new, &Terms::default(), now_ms).await
    }

    /// Makes a campaign in state `draft`.
    ///
    /// # Errors
    /// [`StoreError::CampaignExists`], or the database's.
    pub async fn create_campaign_with(
        &self,
        new: &NewCampaign,
        terms: &Terms,
        now_ms: i64,
    ) -> Result<Campaign, StoreError> {
        let mut tx = self.write().await?;
        let made = sqlx::query(
            "insert into campaigns (name, state, scenario, language, caller_id, max_concurrent, cps, \
             max_attempts, created_ms, policy, default_zone, weight, caller_ids, caller_id_daily_cap, machine) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
             on conflict (name) do nothing",
        )
        .bind(new.name.clone())
        .bind(CampaignState::Draft.word())
        .bind(new.scenario.clone())
        .bind(new.language.clone())
        .bind(new.caller_id.clone())
        .bind(i64::from(new.max_concurrent))
        .bind(new.cps)
        .bind(i64::from(new.max_attempts))
        .bind(now_ms)
        .bind(terms.policy.as_ref().map(words::json))
        .bind(terms.default_zone.clone())
        .bind(i64::from(terms.weight))
        .bind((!terms.caller_ids.is_empty()).then(|| words::json(&terms.caller_ids)))
        .bind(terms.caller_id_daily_cap.map(i64::from))
        .bind((!terms.machine.is_empty()).then(|| words::json(&terms.machine)))
        .execute(&mut *tx.tx)
        .await?;
        tx.commit().await?;
        if made.rows_affected() == 0 {
            return Err(StoreError::CampaignExists(new.name.clone()));
        }
        self.campaign(&new.name).await
    }

    /// Gives a campaign a retry table of its own; it holds from the next outcome on.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_retries(&self, id: i64, table: &RetryTable) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("update campaigns set retries = $1, max_attempts = $2 where id = $3")
            .bind(words::json(table))
            .bind(i64::from(table.max_attempts))
            .bind(id)
            .execute(&mut *tx.tx)
            .await?;
        tx.commit().await
    }

    /// Every campaign, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS}, {TERMS} from campaigns order by name"));
        sqlx::query(sql).fetch_all(self.pool()).await?.iter().map(campaign).collect()
    }

    /// A campaign by its name.
    ///
    /// # Errors
    /// [`StoreError::UnknownCampaign`] with the nearest name there is, or the database's.
    pub async fn campaign(&self, name: &str) -> Result<Campaign, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS}, {TERMS} from campaigns where name = $1"));
        if let Some(row) = sqlx::query(sql).bind(name.to_owned()).fetch_optional(self.pool()).await? {
            return campaign(&row);
        }
        let names = sqlx::query("select name from campaigns order by name").fetch_all(self.pool()).await?;
        let names = names.iter().map(|row| row.try_get("name")).collect::<Result<Vec<String>, _>>()?;
        let is_empty = names.is_empty();
        Err(StoreError::UnknownCampaign { name: name.to_owned(), nearest: nearest(name, names), is_empty })
    }

    /// A campaign by its id.
    ///
    /// # Errors
    /// The database's.
    pub async fn campaign_by_id(&self, id: i64) -> Result<Option<Campaign>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS}, {TERMS} from campaigns where id = $1"));
        sqlx::query(sql).bind(id).fetch_optional(self.pool()).await?.as_ref().map(campaign).transpose()
    }

    /// Asks something of a campaign; every process sees it at once.
    ///
    /// # Errors
    /// [`StoreError::Control`] where its state does not allow it, [`StoreError::UnknownCampaign`], or the database's.
    pub async fn control_campaign(
        &self,
        name: &str,
        control: Control,
        now_ms: i64,
    ) -> Result<Campaign, StoreError> {
        let found = self.campaign(name).await?;
        let mut tx = self.write().await?;
        let sql = format!("select state from campaigns where id = $1{}", tx.dialect.for_update());
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(found.id).fetch_one(&mut *tx.tx).await?;
        let before: CampaignState = words::read(&row, "state")?;
        let after = before
            .after(control)
            .map_err(|refused| StoreError::Control { name: name.to_owned(), refused })?;
        if after != before {
            let ended = matches!(after, CampaignState::Done | CampaignState::Stopped).then_some(now_ms);
            let started = (after == CampaignState::Running).then_some(now_ms);
            sqlx::query(
                "update campaigns set state = $1, started_ms = coalesce(started_ms, $2), ended_ms = $3, \
                 note = null where id = $4",
            )
            .bind(word(after))
            .bind(started)
            .bind(ended)
            .bind(found.id)
            .execute(&mut *tx.tx)
            .await?;
        }
        tx.commit().await?;
        self.campaign(name).await
    }

    /// Ends a running campaign where nobody is being called and nobody waits who will ever be allowed to be called. Says
    /// whether it did.
    ///
    /// # Errors
    /// The database's.
    pub async fn finish_campaign(&self, id: i64, now_ms: i64) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        // Locked before anything is counted: nobody claims meanwhile.
        let sql =
            format!("select {COLUMNS}, {TERMS} from campaigns where id = $1{}", tx.dialect.for_update());
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *tx.tx).await?;
        let Some(row) = row else { return Ok(false) };
        let terms = campaign(&row)?.terms;
        let ended = sqlx::query(
            "update campaigns set state = $1, ended_ms = $2 where id = $3 and state = $4 and not exists \
             (select 1 from contacts where campaign_id = $3 and state = 'claimed')",
        )
        .bind(word(CampaignState::Done))
        .bind(now_ms)
        .bind(id)
        .bind(word(CampaignState::Running))
        .execute(&mut *tx.tx)
        .await?;
        let cohorts = published_within(&mut tx.tx, id).await?;
        let to_call = |cohort: &Cohort| cohort.waits() && terms.standing(cohort, now_ms).may_open();
        if ended.rows_affected() == 0 || cohorts.iter().any(to_call) {
            // What was written goes with the transaction.
            return Ok(false);
        }
        self.tell_campaign(&mut tx, WebhookEvent::CampaignDone, id, now_ms).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Pauses a running campaign that cannot go on, and says why to whoever looks. Says whether it did.
    ///
    /// # Errors
    /// The database's.
    pub async fn hold_campaign(&self, id: i64, note: &str, now_ms: i64) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let held = sqlx::query("update campaigns set state = $1, note = $2 where id = $3 and state = $4")
            .bind(word(CampaignState::Paused))
            .bind(note.to_owned())
            .bind(id)
            .bind(word(CampaignState::Running))
            .execute(&mut *tx.tx)
            .await?;
        let held = held.rows_affected() > 0;
        if held {
            self.tell_campaign(&mut tx, WebhookEvent::CampaignPaused, id, now_ms).await?;
        }
        tx.commit().await?;
        Ok(held)
    }

    async fn tell_campaign(
        &self,
        tx: &mut WriteTx,
        event: WebhookEvent,
        id: i64,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        if !self.is_told(event) {
            return Ok(());
        }
        let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS}, {TERMS} from campaigns where id = $1"));
        let row = sqlx::query(sql).bind(id).fetch_one(&mut *tx.tx).await?;
        let about = serde_json::json!({ "campaign": campaign(&row)? });
        self.put_webhook(tx, (event, None), about, now_ms).await
    }

    /// The campaigns that run, and those stopped whose calls have not ended.
    ///
    /// # Errors
    /// The database's.
    pub async fn active_campaigns(&self) -> Result<Vec<ActiveCampaign>, StoreError> {
        let sql = format!(
            "select {COLUMNS}, {TERMS}, \
             (select count(*) from contacts where campaign_id = campaigns.id and state = 'claimed') as live \
             from campaigns where state = $1 or (state = $2 and exists \
             (select 1 from contacts where campaign_id = campaigns.id and state = 'claimed')) order by id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(word(CampaignState::Running))
            .bind(word(CampaignState::Stopped))
            .fetch_all(self.pool())
            .await?;
        rows.iter()
            .map(|row| {
                let live = u32::try_from(unsigned(row, "live")?).unwrap_or(u32::MAX);
                Ok(ActiveCampaign { campaign: campaign(row)?, live })
            })
            .collect()
    }

    /// Where a campaign stands.
    ///
    /// # Errors
    /// The database's.
    pub async fn campaign_counts(&self, id: i64) -> Result<CampaignCounts, StoreError> {
        let mut counts = CampaignCounts::default();
        // Contacts of a file that is still being read are not there yet.
        const UNPUBLISHED: &str = "select cohorts.id from cohorts join imports on imports.id = cohorts.import_id \
                                   where imports.campaign_id = $1 and imports.state <> 'published'";
        let hidden = sqlx::query(UNPUBLISHED).bind(id).fetch_optional(self.pool()).await?.is_some();
        let visible = if hidden { format!("and cohort_id not in ({UNPUBLISHED})") } else { String::new() };
        let states = sqlx::query(sqlx::AssertSqlSafe(format!(
            "select state, count(*) as n, min(due_ms) as due from contacts where campaign_id = $1 {visible} \
             group by state"
        )))
        .bind(id)
        .fetch_all(self.pool())
        .await?;
        for row in &states {
            let n = unsigned(row, "n")?;
            counts.contacts += n;
            match row.try_get::<String, _>("state")?.as_str() {
                "waiting" => {
                    counts.waiting = n;
                    counts.next_due_ms = row.try_get("due")?;
                }
                "claimed" => counts.live = n,
                "done" => counts.done = n,
                "suppressed" => counts.suppressed = n,
                "forgotten" => counts.forgotten = n,
                other => {
                    return Err(StoreError::Unreadable { what: "contact state", value: other.to_owned() });
                }
            }
        }
        let dispositions = sqlx::query(
            "select disposition, count(*) as n from attempts \
             where campaign_id = $1 and disposition is not null group by disposition",
        )
        .bind(id)
        .fetch_all(self.pool())
        .await?;
        for row in &dispositions {
            let n = unsigned(row, "n")?;
            counts.attempts += n;
            counts.by_disposition.insert(words::read(row, "disposition")?, n);
        }
        Ok(counts)
    }
}

fn campaign(row: &AnyRow) -> Result<Campaign, StoreError> {
    let number = |column| -> Result<u32, StoreError> {
        let value: i64 = row.try_get(column)?;
        u32::try_from(value).map_err(|_| StoreError::Unreadable { what: column, value: value.to_string() })
    };
    Ok(Campaign {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        state: words::read(row, "state")?,
        scenario: row.try_get("scenario")?,
        language: row.try_get("language")?,
        caller_id: row.try_get("caller_id")?,
        max_concurrent: number("max_concurrent")?,
        cps: row.try_get("cps")?,
        max_attempts: number("max_attempts")?,
        retries: retry_table(row)?,
        created_ms: row.try_get("created_ms")?,
        started_ms: row.try_get("started_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        note: row.try_get("note")?,
        throttle: row.try_get("throttle")?,
        throttle_note: row.try_get("throttle_note")?,
        terms: Terms::read(row)?,
    })
}

pub(super) fn retry_table(row: &AnyRow) -> Result<RetryTable, StoreError> {
    if let Some(text) = row.try_get::<Option<String>, _>("retries")? {
        return serde_json::from_str(&text)
            .map_err(|_| StoreError::Unreadable { what: "retry table", value: text });
    }
    let max = row.try_get::<i64, _>("max_attempts")?;
    Ok(RetryTable::with_max_attempts(u32::try_from(max).unwrap_or(1)))
}

pub(super) fn unsigned(row: &AnyRow, column: &'static str) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| StoreError::Unreadable { what: column, value: value.to_string() })
}

fn nearest(name: &str, names: Vec<String>) -> Option<String> {
    let likeness = |other: &String| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    names
        .into_iter()
        .map(|other| (likeness(&other), other))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other)
}
