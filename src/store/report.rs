//! What became of each contact.

use std::collections::BTreeMap;

use serde::Serialize;
use sidetone_core::{
    amd::{Cause, Verdict},
    call::{Abandoned, Answer, Disposition, EndedBy},
};
use sqlx::{Row, any::AnyRow};

use super::{Store, StoreError, contacts::variables, words};

/// One contact and its latest attempt. `verdict_ms`: media time from the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportRow {
    pub contact: i64,
    pub number: String,
    /// waiting, claimed, done, suppressed, forgotten.
    pub state: String,
    pub variables: BTreeMap<String, String>,
    pub attempts: i64,
    pub due_ms: i64,
    pub call: Option<String>,
    pub started_ms: Option<i64>,
    pub answered_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub verdict: Option<Verdict>,
    pub cause: Option<Cause>,
    pub verdict_ms: Option<i64>,
    pub after_speech_ms: Option<i64>,
    pub barge_in_ms: Option<i64>,
    pub disposition: Option<Disposition>,
    pub hangup_cause: Option<String>,
    pub outcome: Option<String>,
    /// What the latest call was for whoever answered.
    pub answer: Option<Answer>,
    pub abandoned: Option<Abandoned>,
    pub ended_by: Option<EndedBy>,
    pub greeting_to_audio_ms: Option<i64>,
    /// What it was imported from.
    pub list: Option<String>,
}

impl ReportRow {
    /// What the contact's list says it is: its variable `kind`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.variables.get("kind").map(String::as_str)
    }
}

impl Store {
    /// Up to `limit` contacts of a campaign, in the order of import, after the contact `after` (0: from the first).
    ///
    /// # Errors
    /// The database's.
    pub async fn report_rows(
        &self,
        campaign: i64,
        after: i64,
        limit: u32,
    ) -> Result<Vec<ReportRow>, StoreError> {
        let rows = sqlx::query(
            "select c.id, c.number, c.state, c.variables, c.attempts, c.due_ms, a.id as call_id, a.started_ms, \
             a.answered_ms, a.ended_ms, a.verdict, a.verdict_cause, a.verdict_media_ms, a.after_speech_ms, \
             a.barge_in_ms, a.disposition, a.hangup_cause, a.outcome, a.answer, a.abandoned, a.ended_by, a.greeting_to_audio_ms, i.list \
             from contacts c left join attempts a on a.id = c.last_call \
             left join cohorts h on h.id = c.cohort_id left join imports i on i.id = h.import_id \
             where c.campaign_id = $1 and c.id > $2 order by c.id limit $3",
        )
        .bind(campaign)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(report_row).collect()
    }
}

fn report_row(row: &AnyRow) -> Result<ReportRow, StoreError> {
    Ok(ReportRow {
        contact: row.try_get("id")?,
        number: row.try_get("number")?,
        state: row.try_get("state")?,
        variables: variables(row)?,
        attempts: row.try_get("attempts")?,
        due_ms: row.try_get("due_ms")?,
        call: row.try_get("call_id")?,
        started_ms: row.try_get("started_ms")?,
        answered_ms: row.try_get("answered_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        verdict: words::read_optional(row, "verdict")?,
        cause: words::read_optional(row, "verdict_cause")?,
        verdict_ms: row.try_get("verdict_media_ms")?,
        after_speech_ms: row.try_get("after_speech_ms")?,
        barge_in_ms: row.try_get("barge_in_ms")?,
        disposition: words::read_optional(row, "disposition")?,
        hangup_cause: row.try_get("hangup_cause")?,
        outcome: row.try_get("outcome")?,
        answer: words::read_optional(row, "answer")?,
        abandoned: words::read_optional(row, "abandoned")?,
        ended_by: words::read_optional(row, "ended_by")?,
        greeting_to_audio_ms: row.try_get("greeting_to_audio_ms")?,
        list: row.try_get("list")?,
    })
}
