//! Attempts: one row a call, from before the dialling to its outcome.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sidetone_core::{
    amd::{Cause, Verdict},
    call::{Abandoned, Answer, CallId, Disposition, EndedBy, Event, HangupCause},
    campaign::{Retry, RetryTable},
    webhook::WebhookEvent,
};
use sqlx::{Row, any::AnyRow};

use super::{
    EventRecord, FinishedCall, Store, StoreError, WriteTx,
    contacts::{new_call_id, variables},
    suppressions::opt_out,
    words::{self, word},
};

/// How often a refused outcome is tried again, each time after twice as long.
const FINISH_TRIES: u32 = 6;

/// Where a call came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Campaign,
    /// `sidetone call`.
    Call,
    /// A channel that the dialplan parked for us.
    Adopted,
}

/// A call outside any campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHoc {
    /// The channel's uuid where there is one already.
    pub call: Option<CallId>,
    pub origin: Origin,
    pub instance: String,
    pub number: Option<String>,
    pub dial_string: Option<String>,
    pub scenario: String,
}

/// An attempt that this instance started and never ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub call: CallId,
    pub campaign: Option<i64>,
    pub number: Option<String>,
    pub started_ms: i64,
}

/// An attempt as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    pub call: CallId,
    pub origin: Origin,
    pub campaign: Option<String>,
    pub contact: Option<i64>,
    pub instance: String,
    pub number: Option<String>,
    pub dial_string: Option<String>,
    pub scenario: String,
    /// The number shown where the campaign has a pool of them.
    pub caller_id: Option<String>,
    /// The way it went.
    pub gateway: Option<String>,
    pub started_ms: i64,
    /// When its contact was claimed, by the clock that all who use the database share.
    pub claimed_ms: Option<i64>,
    pub answered_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub disposition: Option<Disposition>,
    pub verdict: Option<Verdict>,
    pub cause: Option<Cause>,
    pub hangup_cause: Option<String>,
    pub outcome: Option<String>,
    pub verdict_ms: Option<i64>,
    pub after_speech_ms: Option<i64>,
    pub barge_in_ms: Option<i64>,
    /// What it was for whoever answered; `None`: nobody did.
    pub answer: Option<Answer>,
    pub abandoned: Option<Abandoned>,
    pub ended_by: Option<EndedBy>,
    pub greeting_to_audio_ms: Option<i64>,
}

/// The contact that a call is about, by way of the attempt: `last_call` has no index, and a list may be long.
pub(super) const CONTACT_OF: &str = "select id, attempts from contacts \
     where id = (select contact_id from attempts where id = $1) and last_call = $1 and state = 'claimed'";
const COLUMNS: &str = "select a.id, a.origin, c.name as campaign, a.contact_id, a.instance, a.number, a.dial_string, a.scenario, \
                       a.caller_id, a.gateway, \
                       a.started_ms, a.claimed_ms, a.answered_ms, a.ended_ms, a.disposition, a.verdict, a.verdict_cause, \
                       a.hangup_cause, a.outcome, a.verdict_media_ms, a.after_speech_ms, a.barge_in_ms, \
                       a.answer, a.abandoned, a.ended_by, a.greeting_to_audio_ms \
                       from attempts a left join campaigns c on c.id = a.campaign_id";

impl Store {
    /// Inserts the attempt of a call outside any campaign, before it is dialled.
    ///
    /// # Errors
    /// The database's; then the call must not be placed.
    pub async fn begin_adhoc_attempt(&self, call: &AdHoc, now_ms: i64) -> Result<CallId, StoreError> {
        let mut tx = self.write().await?;
        let id = insert_adhoc(&mut tx, call, now_ms).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Stores what a call came to and decides, by `retries`, whether its contact waits again: one transaction. The
    /// call's events that wait are written first. `false`: it had an outcome already, which stays.
    ///
    /// A database that is busy or full is tried again for some seconds.
    ///
    /// # Errors
    /// The database's: the attempt then stays open and is settled as lost at the next start.
    pub async fn finish_attempt(
        &self,
        call: &CallId,
        finished: &FinishedCall,
        retries: &RetryTable,
    ) -> Result<bool, StoreError> {
        self.flush_events().await;
        let mut wait = Duration::from_millis(100);
        for _ in 1..FINISH_TRIES {
            match self.try_finish(call, finished, retries).await {
                Err(StoreError::Sql(error)) => {
                    tracing::warn!(%call, %error, "the outcome could not be stored; trying again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                settled => return settled,
            }
        }
        self.try_finish(call, finished, retries).await
    }

    /// Gives a claimed contact back because its call was never placed: the attempt is closed as `failed` and does
    /// not count against the contact, who waits until `due_ms`.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_back(
        &self,
        call: &CallId,
        reason: &str,
        due_ms: i64,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let mut finished = FinishedCall::new(Disposition::Failed, now_ms);
        finished.outcome = Some(format!("not placed: {reason}"));
        let mut tx = self.write().await?;
        if write_outcome(&mut tx, call, &finished).await? {
            sqlx::query(
                "update contacts set state = 'waiting', attempts = attempts - 1, due_ms = $1 \
                 where id = (select contact_id from attempts where id = $2) and last_call = $2 \
                 and state = 'claimed'",
            )
            .bind(due_ms)
            .bind(call.to_string())
            .execute(&mut *tx.tx)
            .await?;
        }
        tx.commit().await
    }

    /// Attempts that this instance started and never ended: at the start, those of the process before.
    ///
    /// # Errors
    /// The database's.
    pub async fn orphans(&self, instance: &str) -> Result<Vec<Orphan>, StoreError> {
        let rows = sqlx::query(
            "select id, campaign_id, number, started_ms from attempts \
             where instance = $1 and ended_ms is null order by started_ms, id",
        )
        .bind(instance.to_owned())
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Orphan {
                    call: call_id(row)?,
                    campaign: row.try_get("campaign_id")?,
                    number: row.try_get("number")?,
                    started_ms: row.try_get("started_ms")?,
                })
            })
            .collect()
    }

    /// Settles an orphan by what is stored of it: as its outcome where its last event was written, else as `lost`, with
    /// a last event that says so. `false`: somebody else did meanwhile.
    ///
    /// # Errors
    /// The database's.
    pub async fn settle_lost(
        &self,
        call: &CallId,
        retries: &RetryTable,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        self.flush_events().await;
        let events = self.call_timeline(call).await?;
        let mut finished = FinishedCall::new(Disposition::Lost, now_ms);
        events.iter().for_each(|stored| finished.observe(stored.at_ms, stored.media_ms, &stored.event));
        let has_ended = events.iter().any(|stored| matches!(stored.event, Event::Ended { .. }));
        if !has_ended {
            finished.ended_ms = now_ms;
            finished.hangup_cause.get_or_insert_with(|| HangupCause::new(HangupCause::LOST));
        }
        if !self.finish_attempt(call, &finished, retries).await? {
            return Ok(false);
        }
        if has_ended {
            return Ok(true);
        }
        let event = Event::Ended { disposition: Disposition::Lost, outcome: None };
        let seq = events.last().map_or(0, |stored| stored.seq) + 1;
        self.record_event(EventRecord { call: call.clone(), seq, at_ms: now_ms, media_ms: None, event })
            .await;
        self.flush_events().await;
        Ok(true)
    }

    /// One attempt.
    ///
    /// # Errors
    /// [`StoreError::UnknownCall`], or the database's.
    pub async fn attempt(&self, call: &str) -> Result<Attempt, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} where a.id = $1"));
        let row = sqlx::query(sql).bind(call.to_owned()).fetch_optional(self.pool()).await?;
        row.as_ref().map(attempt).transpose()?.ok_or_else(|| StoreError::UnknownCall(call.to_owned()))
    }

    /// The latest attempts, newest first; of one campaign where it is given.
    ///
    /// # Errors
    /// The database's.
    pub async fn recent_calls(&self, campaign: Option<i64>, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        let sql = match campaign {
            None => format!("{COLUMNS} order by a.started_ms desc, a.id limit $2"),
            Some(_) => {
                format!("{COLUMNS} where a.campaign_id = $1 order by a.started_ms desc, a.id limit $2")
            }
        };
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(campaign.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(attempt).collect()
    }

    /// Up to `limit` attempts of a campaign in the order they began, after the one that began at `after.0` with the id
    /// `after.1`.
    ///
    /// # Errors
    /// The database's.
    pub async fn attempts_after(
        &self,
        campaign: i64,
        after: (i64, &str),
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError> {
        let sql = format!(
            "{COLUMNS} where a.campaign_id = $1 and a.started_ms >= $2 and (a.started_ms > $2 or a.id > $3) \
             order by a.started_ms, a.id limit $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(campaign)
            .bind(after.0)
            .bind(after.1.to_owned())
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(attempt).collect()
    }

    /// Who answered this number the last time it was called.
    ///
    /// # Errors
    /// The database's.
    pub async fn last_verdict(&self, number: &str) -> Result<Option<Verdict>, StoreError> {
        let row = sqlx::query(
            "select verdict from attempts where number = $1 and verdict is not null \
             order by started_ms desc limit 1",
        )
        .bind(number.to_owned())
        .fetch_optional(self.pool())
        .await?;
        row.map_or(Ok(None), |row| words::read_optional(&row, "verdict"))
    }

    async fn try_finish(
        &self,
        call: &CallId,
        finished: &FinishedCall,
        retries: &RetryTable,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        // Even where the attempt was given up as lost meanwhile: what the person asked for holds.
        if let Some(source) = finished.opt_out {
            opt_out(&mut tx, call, source, finished.ended_ms).await?;
        }
        let settled = write_outcome(&mut tx, call, finished).await?;
        if settled {
            release_contact(&mut tx, call, finished, retries).await?;
            self.tell_outcome(&mut tx, call, finished).await?;
        }
        tx.commit().await?;
        Ok(settled)
    }

    /// Webhooks about an outcome, in its transaction: none is lost, and none is sent of what was rolled back.
    async fn tell_outcome(
        &self,
        tx: &mut WriteTx,
        call: &CallId,
        finished: &FinishedCall,
    ) -> Result<(), StoreError> {
        let told = [WebhookEvent::CallEnded, WebhookEvent::OptedOut].map(|event| self.is_told(event));
        if told == [false, false] {
            return Ok(());
        }
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} where a.id = $1"));
        let row = sqlx::query(sql).bind(call.to_string()).fetch_one(&mut *tx.tx).await?;
        let attempt = attempt(&row)?;
        if let Some(source) = finished.opt_out {
            let about = json!({ "number": attempt.number, "call": attempt.call, "source": source });
            self.put_webhook(tx, (WebhookEvent::OptedOut, Some(call)), about, finished.ended_ms).await?;
        }
        let contact = sqlx::query(
            "select id, state, variables, attempts, due_ms from contacts \
             where id = (select contact_id from attempts where id = $1)",
        )
        .bind(call.to_string())
        .fetch_optional(&mut *tx.tx)
        .await?;
        let contact = contact.map(|row| -> Result<_, StoreError> {
            let (id, state) = (row.try_get::<i64, _>("id")?, row.try_get::<String, _>("state")?);
            let (attempts, due_ms) = (row.try_get::<i64, _>("attempts")?, row.try_get::<i64, _>("due_ms")?);
            let variables = variables(&row)?;
            Ok(json!({ "id": id, "state": state, "attempts": attempts, "due_ms": due_ms, "variables": variables }))
        });
        let about = json!({ "call": attempt, "contact": contact.transpose()? });
        self.put_webhook(tx, (WebhookEvent::CallEnded, Some(call)), about, finished.ended_ms).await
    }
}

pub(super) async fn insert_adhoc(tx: &mut WriteTx, call: &AdHoc, now_ms: i64) -> Result<CallId, StoreError> {
    let id = match &call.call {
        Some(id) => id.clone(),
        None => new_call_id()?,
    };
    sqlx::query(
        "insert into attempts (id, instance, origin, number, dial_string, scenario, started_ms) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id.to_string())
    .bind(call.instance.clone())
    .bind(word(call.origin))
    .bind(call.number.clone())
    .bind(call.dial_string.clone())
    .bind(call.scenario.clone())
    .bind(now_ms)
    .execute(&mut *tx.tx)
    .await?;
    Ok(id)
}

/// `false`: the attempt has an outcome already, or there is none of this id.
async fn write_outcome(tx: &mut WriteTx, call: &CallId, finished: &FinishedCall) -> Result<bool, StoreError> {
    let settled = finished.account.settle();
    let written = sqlx::query(
        "update attempts set ended_ms = $1, answered_ms = $2, disposition = $3, verdict = $4, \
         verdict_cause = $5, hangup_cause = $6, outcome = $7, verdict_media_ms = $8, after_speech_ms = $9, \
         barge_in_ms = $10, answer = $11, abandoned = $12, ended_by = $13, greeting_to_audio_ms = $14 \
         where id = $15 and ended_ms is null",
    )
    .bind(finished.ended_ms)
    .bind(finished.answered_ms)
    .bind(word(finished.disposition))
    .bind(finished.verdict.map(word))
    .bind(finished.cause.map(word))
    .bind(finished.hangup_cause.as_ref().map(|cause| cause.as_str().to_owned()))
    .bind(finished.outcome.clone())
    .bind(finished.verdict_ms)
    .bind(finished.after_speech_ms)
    .bind(finished.barge_in_ms)
    .bind(settled.map(|settled| word(settled.answer)))
    .bind(settled.and_then(|settled| settled.abandoned).map(word))
    .bind(settled.map(|settled| word(settled.ended_by)))
    .bind(settled.and_then(|settled| i64::try_from(settled.greeting_to_audio_ms?).ok()))
    .bind(call.to_string())
    .execute(&mut *tx.tx)
    .await?;
    Ok(written.rows_affected() > 0)
}

/// The contact waits again or is done with.
async fn release_contact(
    tx: &mut WriteTx,
    call: &CallId,
    finished: &FinishedCall,
    retries: &RetryTable,
) -> Result<(), StoreError> {
    let claimed = sqlx::query(CONTACT_OF).bind(call.to_string()).fetch_optional(&mut *tx.tx).await?;
    let Some(contact) = claimed else { return Ok(()) };
    let attempts = u32::try_from(contact.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX);
    let retry = match finished.opt_out {
        Some(_) => Retry::Done,
        None => retries.decide(finished.disposition, attempts, finished.answered_ms.is_some()),
    };
    let (state, due_ms) = match retry {
        Retry::Done => ("done", finished.ended_ms),
        Retry::After(wait) => {
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            ("waiting", finished.ended_ms.saturating_add(wait))
        }
    };
    sqlx::query("update contacts set state = $1, due_ms = $2 where id = $3")
        .bind(state)
        .bind(due_ms)
        .bind(contact.try_get::<i64, _>("id")?)
        .execute(&mut *tx.tx)
        .await?;
    Ok(())
}

fn attempt(row: &AnyRow) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        call: call_id(row)?,
        origin: words::read(row, "origin")?,
        campaign: row.try_get("campaign")?,
        contact: row.try_get("contact_id")?,
        instance: row.try_get("instance")?,
        number: row.try_get("number")?,
        dial_string: row.try_get("dial_string")?,
        scenario: row.try_get("scenario")?,
        caller_id: row.try_get("caller_id")?,
        gateway: row.try_get("gateway")?,
        started_ms: row.try_get("started_ms")?,
        claimed_ms: row.try_get("claimed_ms")?,
        answered_ms: row.try_get("answered_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        disposition: words::read_optional(row, "disposition")?,
        verdict: words::read_optional(row, "verdict")?,
        cause: words::read_optional(row, "verdict_cause")?,
        hangup_cause: row.try_get("hangup_cause")?,
        outcome: row.try_get("outcome")?,
        verdict_ms: row.try_get("verdict_media_ms")?,
        after_speech_ms: row.try_get("after_speech_ms")?,
        barge_in_ms: row.try_get("barge_in_ms")?,
        answer: words::read_optional(row, "answer")?,
        abandoned: words::read_optional(row, "abandoned")?,
        ended_by: words::read_optional(row, "ended_by")?,
        greeting_to_audio_ms: row.try_get("greeting_to_audio_ms")?,
    })
}

pub(super) fn call_id(row: &AnyRow) -> Result<CallId, StoreError> {
    words::meaning("call id", row.try_get("id")?)
}
