//! Which numbers of a file stood in it before: what a rehearsal of an import asks, without touching the campaign's
//! database and without holding a million numbers in memory.

use std::collections::HashMap;

use sqlx::{AnyPool, Row, any::AnyPoolOptions};
use tempfile::TempDir;

use super::StoreError;

/// Numbers and the line each first stood on, in a temporary file.
#[derive(Debug)]
pub struct Seen {
    pool: AnyPool,
    _folder: TempDir,
}

impl Seen {
    /// # Errors
    /// The temporary file cannot be made.
    pub async fn new() -> Result<Self, StoreError> {
        let folder = tempfile::Builder::new()
            .prefix("sidetone-import-")
            .tempdir()
            .map_err(|error| StoreError::Sql(sqlx::Error::Io(error)))?;
        let url = format!("sqlite:{}?mode=rwc", folder.path().join("seen.db").display());
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await?;
        for sql in [
            "pragma journal_mode = off",
            "pragma synchronous = off",
            "create table seen (number text primary key, line integer not null) without rowid",
        ] {
            sqlx::query(sql).execute(&pool).await?;
        }
        Ok(Self { pool, _folder: folder })
    }

    /// Of each number and its line, in order: the line on which it stood before; `None`: nowhere.
    ///
    /// # Errors
    /// The temporary file's.
    pub async fn before(&self, batch: &[(String, u64)]) -> Result<Vec<Option<u64>>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<_> = (0..batch.len()).map(|i| format!("(${}, ${})", 2 * i + 1, 2 * i + 2)).collect();
        let sql =
            format!("insert into seen (number, line) values {} on conflict do nothing", rows.join(", "));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (number, line) in batch {
            query = query.bind(number.clone()).bind(i64::try_from(*line).unwrap_or(i64::MAX));
        }
        query.execute(&self.pool).await?;
        let wanted: Vec<_> = (1..=batch.len()).map(|index| format!("${index}")).collect();
        let sql = format!("select number, line from seen where number in ({})", wanted.join(", "));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (number, _) in batch {
            query = query.bind(number.clone());
        }
        let mut first = HashMap::with_capacity(batch.len());
        for row in query.fetch_all(&self.pool).await? {
            let line: i64 = row.try_get("line")?;
            first.insert(row.try_get::<String, _>("number")?, u64::try_from(line).unwrap_or_default());
        }
        let stood = |(number, line): &(String, u64)| first.get(number).copied().filter(|first| first != line);
        Ok(batch.iter().map(stood).collect())
    }
}
