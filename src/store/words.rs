//! Enums as their snake_case words, the same as in JSON.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row, any::AnyRow};

use super::StoreError;

/// An enum's word.
pub(super) fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// The enum a word stands for.
pub(super) fn meaning<T: DeserializeOwned>(what: &'static str, word: String) -> Result<T, StoreError> {
    let value = serde_json::Value::String(word);
    T::deserialize(&value)
        .map_err(|_| StoreError::Unreadable { what, value: value.as_str().unwrap_or_default().to_owned() })
}

/// A column that holds a word.
pub(super) fn read<T: DeserializeOwned>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    meaning(column, row.try_get(column)?)
}

/// A column that holds a word or null.
pub(super) fn read_optional<T: DeserializeOwned>(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<String>, _>(column)?.map(|word| meaning(column, word)).transpose()
}

/// A value as JSON text. Our own types (string keys, finite numbers) always have one.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// A column that holds JSON or null.
pub(super) fn read_json<T: DeserializeOwned>(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    let Some(text) = row.try_get::<Option<String>, _>(column)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|_| StoreError::Unreadable { what: column, value: text })
}
