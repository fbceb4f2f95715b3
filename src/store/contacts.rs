//! Contacts: called back, and what they bring along.

use std::collections::BTreeMap;

use sidetone_core::call::CallId;
use sqlx::{Row, any::AnyRow};

use super::{Store, StoreError, words};

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
