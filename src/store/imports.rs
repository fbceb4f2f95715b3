//! Files read into a campaign: row by row in short transactions, seen by nobody until they are published.

mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};

use sidetone_core::campaign::zones_of;
use sqlx::{Row, any::AnyRow};

use super::{GLOBAL_LIST, Store, StoreError, WriteTx, campaign_list};
use rows::{INSERT, Known, bind_numbers, insert, known_sql};

/// An import that somebody added to less long ago than this is still being read.
const LIVE_MS: i64 = 15_000;
/// The most contacts deleted in one transaction, so that live calls' writes never wait long.
const DROP_BATCH: i64 = 250;

/// Somebody to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContact {
    /// E.164: `+33612345678`.
    pub number: String,
    pub variables: BTreeMap<String, String>,
    /// IANA names of the time zones they may be in, sorted and parted by commas; empty: not known.
    pub zones: String,
    /// They agreed beforehand to be called by an artificial voice.
    pub consent: bool,
    /// Not called before this, unix milliseconds.
    pub due_ms: i64,
    /// Where they stand in their file.
    pub line: Option<u64>,
}

impl NewContact {
    /// Somebody in the time zones of their number, who has not said that they agree.
    #[must_use]
    pub fn new(number: String, variables: BTreeMap<String, String>) -> Self {
        let zones = zones_of(&number).to_owned();
        Self { number, variables, zones, consent: false, due_ms: 0, line: None }
    }
}

/// What became of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    Added,
    /// The number stands on an earlier line of the file too.
    Repeated {
        line: u64,
    },
    /// The campaign has the number from elsewhere.
    Had,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    pub added: usize,
    /// Indices, within the batch, of contacts that the campaign had already.
    pub had: Vec<usize>,
}

/// A file to read into a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImport {
    pub campaign: i64,
    /// What reports call it.
    pub list: String,
    /// The file's content and how it is read (SHA-256, hex): the same again goes on where it was cut off.
    pub digest: String,
}

/// A file that is being read into a campaign.
#[derive(Debug)]
pub struct Import {
    id: i64,
    campaign: i64,
    rows_read: u64,
    cohorts: HashMap<(String, bool), i64>,
}

impl Import {
    /// Rows that are in the database already, whatever came of them; 0 for a fresh one.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }
}

impl Store {
    /// Begins to read a file into a campaign, or goes on with the same one where it was cut off.
    ///
    /// # Errors
    /// [`StoreError::ImportOpen`] where another file was cut off or is being read; or the database's.
    pub async fn begin_import(&self, new: &NewImport, now_ms: i64) -> Result<Import, StoreError> {
        // What somebody began to drop would keep its numbers from being added.
        let half_gone = sqlx::query("select id from imports where campaign_id = $1 and state = 'dropped'")
            .bind(new.campaign)
            .fetch_all(self.pool())
            .await?;
        self.drop_imports(&half_gone).await?;
        let mut tx = self.write().await?;
        sqlx::query(
            "insert into imports (campaign_id, list, state, digest, created_ms, touched_ms) \
             values ($1, $2, 'loading', $3, $4, $4) on conflict do nothing",
        )
        .bind(new.campaign)
        .bind(new.list.clone())
        .bind(new.digest.clone())
        .bind(now_ms)
        .execute(&mut *tx.tx)
        .await?;
        let row = sqlx::query(LOADING)
            .bind(new.campaign)
            .fetch_optional(&mut *tx.tx)
            .await?
            .ok_or(StoreError::ImportGone)?;
        let import = going_on(&row, new, now_ms)?;
        tx.commit().await?;
        Ok(import)
    }

    /// What [`Self::begin_import`] would go on with. Nothing is changed.
    ///
    /// # Errors
    /// As [`Self::begin_import`].
    pub async fn find_import(&self, new: &NewImport, now_ms: i64) -> Result<Option<Import>, StoreError> {
        let row = sqlx::query(LOADING).bind(new.campaign).fetch_optional(self.pool()).await?;
        row.map(|row| going_on(&row, new, now_ms)).transpose()
    }

    /// How many rows of a file that is not published yet are in; `None`: there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn loading_rows(&self, campaign: i64) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query(LOADING).bind(campaign).fetch_optional(self.pool()).await?;
        row.map(|row| Ok(u64::try_from(row.try_get::<i64, _>("rows_read")?).unwrap_or_default())).transpose()
    }

    /// Adds a batch in one transaction, after which `rows_read` rows of the file are dealt with. A number that the
    /// campaign has already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::ImportGone`], or the database's; then nothing of the batch was added.
    pub async fn add_to_import(
        &self,
        import: &mut Import,
        batch: &[NewContact],
        rows_read: u64,
        now_ms: i64,
    ) -> Result<Vec<Placed>, StoreError> {
        let mut tx = self.write().await?;
        let touched = sqlx::query(
            "update imports set rows_read = $1, touched_ms = $2 where id = $3 and state = 'loading'",
        )
        .bind(i64::try_from(rows_read).unwrap_or(i64::MAX))
        .bind(now_ms)
        .bind(import.id)
        .execute(&mut *tx.tx)
        .await?;
        if touched.rows_affected() == 0 {
            return Err(StoreError::ImportGone);
        }
        let mut placed = Vec::with_capacity(batch.len());
        for part in batch.chunks(INSERT) {
            let inserted = insert(&mut tx, import, part, now_ms).await;
            // Cohorts made by what is now rolled back are no more.
            placed.extend(inserted.inspect_err(|_| import.cohorts.clear())?);
        }
        tx.commit().await?;
        import.rows_read = rows_read;
        Ok(placed)
    }

    /// What became of rows that were added before, and what would become of others. Nothing is changed.
    ///
    /// # Errors
    /// The database's.
    pub async fn placed(
        &self,
        campaign: i64,
        import: Option<&Import>,
        batch: &[NewContact],
    ) -> Result<Vec<Placed>, StoreError> {
        let mut placed = Vec::with_capacity(batch.len());
        for part in batch.chunks(INSERT) {
            let refs: Vec<_> = part.iter().collect();
            let sql = sqlx::AssertSqlSafe(known_sql(refs.len()));
            let rows = bind_numbers(sqlx::query(sql).bind(campaign), &refs).fetch_all(self.pool()).await?;
            let known = Known::of(&rows)?;
            placed.extend(part.iter().map(|contact| known.placed(contact, import.map(|import| import.id))));
        }
        Ok(placed)
    }

    /// Which of these stand on a do-not-call list that holds for the campaign, as indices. They are added all the same
    /// and passed over when they would be dialled.
    ///
    /// # Errors
    /// The database's.
    pub async fn on_lists(&self, campaign: &str, batch: &[NewContact]) -> Result<Vec<usize>, StoreError> {
        let mut found = HashSet::new();
        for part in batch.chunks(INSERT) {
            let wanted: Vec<_> = (3..part.len() + 3).map(|index| format!("${index}")).collect();
            let sql = format!(
                "select number from suppressions where list in ($1, $2) and number in ({})",
                wanted.join(", ")
            );
            let query = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(GLOBAL_LIST.to_owned())
                .bind(campaign_list(campaign));
            let refs: Vec<_> = part.iter().collect();
            for row in bind_numbers(query, &refs).fetch_all(self.pool()).await? {
                found.insert(row.try_get::<String, _>("number")?);
            }
        }
        let listed = batch.iter().enumerate().filter(|(_, contact)| found.contains(&contact.number));
        Ok(listed.map(|(index, _)| index).collect())
    }

    /// Makes an import's contacts visible, all at once: they may be called from now on.
    ///
    /// # Errors
    /// [`StoreError::ImportGone`], or the database's.
    pub async fn publish_import(&self, import: &Import, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let published = sqlx::query(
            "update imports set state = 'published', published_ms = $1, touched_ms = $1 where id = $2 and state = 'loading'",
        )
        .bind(now_ms)
        .bind(import.id)
        .execute(&mut *tx.tx)
        .await?;
        tx.commit().await?;
        match published.rows_affected() {
            0 => Err(StoreError::ImportGone),
            _ => Ok(()),
        }
    }

    /// Drops what is being read into a campaign, or was cut off. Says how many contacts were dropped with it.
    ///
    /// # Errors
    /// The database's; what was dropped before stays dropped.
    pub async fn drop_import(&self, campaign: i64) -> Result<u64, StoreError> {
        let open = sqlx::query("select id from imports where campaign_id = $1 and state = 'loading'")
            .bind(campaign)
            .fetch_all(self.pool())
            .await?;
        self.drop_imports(&open).await
    }

    /// Drops imports that were never published and that nobody has added to since `before_ms`.
    ///
    /// # Errors
    /// The database's; what was dropped before stays dropped.
    pub async fn sweep_imports(&self, before_ms: i64) -> Result<u64, StoreError> {
        let old =
            sqlx::query("select id from imports where state in ('loading', 'dropped') and touched_ms < $1")
                .bind(before_ms)
                .fetch_all(self.pool())
                .await?;
        self.drop_imports(&old).await
    }

    async fn drop_imports(&self, imports: &[AnyRow]) -> Result<u64, StoreError> {
        let mut dropped = 0;
        for row in imports {
            let id: i64 = row.try_get("id")?;
            // First of all nobody can add to it any more, nor publish it.
            let mut tx = self.write().await?;
            sqlx::query("update imports set state = 'dropped' where id = $1 and state = 'loading'")
                .bind(id)
                .execute(&mut *tx.tx)
                .await?;
            tx.commit().await?;
            loop {
                let mut tx = self.write().await?;
                let gone = sqlx::query(
                    "delete from contacts where id in (select contacts.id from contacts \
                     join cohorts on cohorts.id = contacts.cohort_id join imports on imports.id = cohorts.import_id \
                     where imports.id = $1 and imports.state = 'dropped' limit $2)",
                )
                .bind(id)
                .bind(DROP_BATCH)
                .execute(&mut *tx.tx)
                .await?
                .rows_affected();
                if gone == 0 {
                    sqlx::query("delete from imports where id = $1 and state = 'dropped'")
                        .bind(id)
                        .execute(&mut *tx.tx)
                        .await?;
                }
                tx.commit().await?;
                if gone == 0 {
                    break;
                }
                dropped += gone;
                tokio::task::yield_now().await;
            }
        }
        Ok(dropped)
    }

    /// Adds contacts that come from no file, in one transaction; they may be called at once. Those whose number the
    /// campaign has already are left as they are.
    ///
    /// # Errors
    /// The database's; then nothing of the batch was added.
    pub async fn import_contacts(
        &self,
        campaign: i64,
        batch: &[NewContact],
        now_ms: i64,
    ) -> Result<Imported, StoreError> {
        let mut imported = Imported::default();
        let mut tx = self.write().await?;
        let id = loose(&mut tx, campaign, now_ms).await?;
        let mut import = Import { id, campaign, rows_read: 0, cohorts: HashMap::new() };
        for (part, contacts) in batch.chunks(INSERT).enumerate() {
            for (index, placed) in
                insert(&mut tx, &mut import, contacts, now_ms).await?.into_iter().enumerate()
            {
                match placed {
                    Placed::Added => imported.added += 1,
                    Placed::Repeated { .. } | Placed::Had => imported.had.push(part * INSERT + index),
                }
            }
        }
        tx.commit().await?;
        Ok(imported)
    }
}

const LOADING: &str = "select id, list, digest, rows_read, touched_ms from imports \
                       where campaign_id = $1 and state = 'loading'";

/// The import that a file goes on with, if it is that file's.
fn going_on(row: &AnyRow, new: &NewImport, now_ms: i64) -> Result<Import, StoreError> {
    let rows_read = u64::try_from(row.try_get::<i64, _>("rows_read")?).unwrap_or_default();
    if row.try_get::<String, _>("digest")? != new.digest {
        let live = row.try_get::<i64, _>("touched_ms")? > now_ms - LIVE_MS;
        return Err(StoreError::ImportOpen { list: row.try_get("list")?, rows_read, live });
    }
    Ok(Import { id: row.try_get("id")?, campaign: new.campaign, rows_read, cohorts: HashMap::new() })
}

/// The published import of a campaign's contacts that come from no file; made where it is missing.
async fn loose(tx: &mut WriteTx, campaign: i64, now_ms: i64) -> Result<i64, StoreError> {
    let known = sqlx::query(
        "select id from imports where campaign_id = $1 and state = 'published' and digest = '' order by id limit 1",
    )
    .bind(campaign)
    .fetch_optional(&mut *tx.tx)
    .await?;
    if let Some(row) = known {
        return Ok(row.try_get("id")?);
    }
    let made = sqlx::query(
        "insert into imports (campaign_id, list, state, digest, created_ms, touched_ms, published_ms) \
         values ($1, 'contacts', 'published', '', $2, $2, $2) returning id",
    )
    .bind(campaign)
    .bind(now_ms)
    .fetch_one(&mut *tx.tx)
    .await?;
    Ok(made.try_get("id")?)
}
