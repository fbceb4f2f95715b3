//! Contacts claimed for a call.

use std::collections::BTreeMap;

use sidetone_core::{
    call::CallId,
    campaign::{CampaignState, Pace, RetryTable},
};
use sqlx::{Row, any::AnyRow};

use super::{
    GLOBAL_LIST, Store, StoreError, WriteTx, campaign_list,
    campaigns::retry_table,
    words::{self, word},
};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A contact to call now; its attempt is in the database already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub call: CallId,
    pub contact: i64,
    pub number: String,
    pub variables: BTreeMap<String, String>,
    /// 1 for the first.
    pub attempt: u32,
}

impl Store {
    /// Has a contact called at a time they asked for, though nobody would have been called again. `false`: the campaign
    /// has no such contact, or they are being called now, suppressed or forgotten.
    ///
    /// # Errors
    /// The database's.
    pub async fn call_back(&self, campaign: i64, number: &str, at_ms: i64) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let set = sqlx::query(
            "update contacts set state = 'waiting', due_ms = $1 \
             where campaign_id = $2 and number = $3 and state in ('waiting', 'done')",
        )
        .bind(at_ms)
        .bind(campaign)
        .bind(number.to_owned())
        .execute(&mut *tx.tx)
        .await?;
        tx.commit().await?;
        Ok(set.rows_affected() > 0)
    }

    /// Takes up to `n` contacts that are due from a running campaign and inserts their attempts, all in one
    /// transaction: what is returned may be dialled, and what is not returned was not claimed. Contacts on a
    /// do-not-call list are marked `suppressed` and passed over. The campaign's limits hold for all who claim from it
    /// together: never more than `max_concurrent` claimed, never more than `cps` claims in a second.
    ///
    /// # Errors
    /// The database's; then nobody was claimed.
    pub async fn claim_contacts(
        &self,
        campaign: i64,
        n: u32,
        instance: &str,
        now_ms: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let mut claimed = Vec::new();
        let mut tx = self.write().await?;
        let Some(running) = running(&mut tx, campaign).await? else {
            return Ok(claimed);
        };
        let clock_ms = tx.clock_ms(now_ms).await?;
        let allowed = n.min(room(&mut tx, campaign, running.pace, clock_ms).await?);
        let wanted = usize::try_from(allowed).unwrap_or(usize::MAX);
        while claimed.len() < wanted {
            let missing = i64::try_from(wanted - claimed.len()).unwrap_or(i64::MAX);
            let due = due_contacts(&mut tx, (campaign, &running.name), (missing, now_ms)).await?;
            if due.is_empty() {
                break;
            }
            for row in &due {
                if row.try_get::<i64, _>("suppressed")? != 0 {
                    suppress(&mut tx, row.try_get("id")?).await?;
                    continue;
                }
                let claim = claim(row)?;
                if let Some(due_ms) = capped(&mut tx, &claim.number, &running.retries, now_ms).await? {
                    put_off(&mut tx, claim.contact, due_ms).await?;
                    continue;
                }
                let by = Claimer { campaign, instance, scenario: &running.scenario, now_ms, clock_ms };
                insert_attempt(&mut tx, &claim, &by).await?;
                claimed.push(claim);
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }
}

/// A campaign that runs, as a claim needs it.
struct Running {
    name: String,
    scenario: String,
    pace: Pace,
    retries: RetryTable,
}

/// Who claims, and when.
struct Claimer<'a> {
    campaign: i64,
    instance: &'a str,
    scenario: &'a str,
    now_ms: i64,
    clock_ms: i64,
}

/// The campaign where it runs. Read within the claim's transaction: a pause that was committed first
/// holds. On Postgres the row stays locked until the claim is committed, so that machines claim one after another.
async fn running(tx: &mut WriteTx, campaign: i64) -> Result<Option<Running>, StoreError> {
    let sql = format!(
        "select name, scenario, cps, max_concurrent, throttle, max_attempts, retries from campaigns where id = $1 and state = $2{}",
        tx.dialect.for_update()
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(campaign)
        .bind(word(CampaignState::Running))
        .fetch_optional(&mut *tx.tx)
        .await?;
    row.map(|row| {
        let max_concurrent = u32::try_from(row.try_get::<i64, _>("max_concurrent")?).unwrap_or_default();
        let pace = Pace { cps: row.try_get("cps")?, max_concurrent }.slowed(row.try_get("throttle")?);
        Ok(Running {
            name: row.try_get("name")?,
            scenario: row.try_get("scenario")?,
            pace,
            retries: retry_table(&row)?,
        })
    })
    .transpose()
}

/// How many may be claimed before the campaign's limits are reached, whoever claimed the others.
async fn room(tx: &mut WriteTx, campaign: i64, pace: Pace, clock_ms: i64) -> Result<u32, StoreError> {
    let Some((most, window)) = pace.window() else { return Ok(0) };
    let since = clock_ms.saturating_sub(i64::try_from(window.as_millis()).unwrap_or(i64::MAX));
    let row = sqlx::query(
        "select (select count(*) from contacts where campaign_id = $1 and state = 'claimed') as live, \
         (select count(*) from attempts where campaign_id = $1 and claimed_ms > $2) as recent",
    )
    .bind(campaign)
    .bind(since)
    .fetch_one(&mut *tx.tx)
    .await?;
    let count = |column| -> Result<u32, StoreError> {
        Ok(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
    };
    let (live, recent) = (count("live")?, count("recent")?);
    Ok(most.saturating_sub(recent).min(pace.max_concurrent.saturating_sub(live)))
}

async fn due_contacts(
    tx: &mut WriteTx,
    campaign: (i64, &str),
    (n, now_ms): (i64, i64),
) -> Result<Vec<AnyRow>, StoreError> {
    let sql = format!(
        "select id, number, variables, attempts, \
         (select count(*) from suppressions s where s.number = contacts.number \
         and s.list in ($4, $5)) as suppressed \
         from contacts where campaign_id = $1 and state = 'waiting' and due_ms <= $2 \
         order by due_ms, id limit $3{}",
        tx.dialect.for_taking()
    );
    Ok(sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(campaign.0)
        .bind(now_ms)
        .bind(n)
        .bind(GLOBAL_LIST.to_owned())
        .bind(campaign_list(campaign.1))
        .fetch_all(&mut *tx.tx)
        .await?)
}

async fn suppress(tx: &mut WriteTx, contact: i64) -> Result<(), StoreError> {
    sqlx::query("update contacts set state = 'suppressed' where id = $1")
        .bind(contact)
        .execute(&mut *tx.tx)
        .await?;
    Ok(())
}

/// When the number may be called again where its caps are reached; they count calls of every campaign and by hand.
async fn capped(
    tx: &mut WriteTx,
    number: &str,
    retries: &RetryTable,
    now_ms: i64,
) -> Result<Option<i64>, StoreError> {
    let mut due_ms = None;
    for (cap, window) in [(retries.per_day, DAY_MS), (retries.per_30_days, 30 * DAY_MS)] {
        let Some(cap) = cap else { continue };
        // The oldest of the latest `cap`: when it leaves the window there is room again.
        let row = sqlx::query(
            "select count(*) as n, min(started_ms) as oldest from (select started_ms from attempts \
             where number = $1 and started_ms > $2 and origin <> 'adopted' \
             and (outcome is null or outcome not like 'not placed:%') order by started_ms desc limit $3) latest",
        )
        .bind(number.to_owned())
        .bind(now_ms - window)
        .bind(i64::from(cap))
        .fetch_one(&mut *tx.tx)
        .await?;
        if row.try_get::<i64, _>("n")? >= i64::from(cap) {
            let oldest = row.try_get::<Option<i64>, _>("oldest")?.unwrap_or(now_ms);
            due_ms = due_ms.max(Some(oldest + window));
        }
    }
    Ok(due_ms)
}

async fn put_off(tx: &mut WriteTx, contact: i64, due_ms: i64) -> Result<(), StoreError> {
    sqlx::query("update contacts set due_ms = $1 where id = $2")
        .bind(due_ms)
        .bind(contact)
        .execute(&mut *tx.tx)
        .await?;
    Ok(())
}

fn claim(row: &AnyRow) -> Result<Claimed, StoreError> {
    let attempts: i64 = row.try_get("attempts")?;
    Ok(Claimed {
        call: new_call_id()?,
        contact: row.try_get("id")?,
        number: row.try_get("number")?,
        variables: variables(row)?,
        attempt: u32::try_from(attempts + 1).unwrap_or(u32::MAX),
    })
}

async fn insert_attempt(tx: &mut WriteTx, claim: &Claimed, by: &Claimer<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "update contacts set state = 'claimed', attempts = attempts + 1, last_call = $1 where id = $2",
    )
    .bind(claim.call.to_string())
    .bind(claim.contact)
    .execute(&mut *tx.tx)
    .await?;
    sqlx::query(
        "insert into attempts (id, campaign_id, contact_id, instance, origin, number, scenario, started_ms, \
         claimed_ms) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(claim.call.to_string())
    .bind(by.campaign)
    .bind(claim.contact)
    .bind(by.instance.to_owned())
    .bind(word(super::Origin::Campaign))
    .bind(claim.number.clone())
    .bind(by.scenario.to_owned())
    .bind(by.now_ms)
    .bind(by.clock_ms)
    .execute(&mut *tx.tx)
    .await?;
    Ok(())
}

pub(super) fn variables_json(variables: &BTreeMap<String, String>) -> String {
    words::json(variables)
}

pub(super) fn variables(row: &AnyRow) -> Result<BTreeMap<String, String>, StoreError> {
    let text: String = row.try_get("variables")?;
    serde_json::from_str(&text).map_err(|_| StoreError::Unreadable { what: "variables", value: text })
}

/// A fresh channel uuid.
pub(super) fn new_call_id() -> Result<CallId, StoreError> {
    let id = uuid::Uuid::new_v4().to_string();
    CallId::new(&id).ok_or(StoreError::Unreadable { what: "call id", value: id })
}
