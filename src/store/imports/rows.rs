//! Contacts of an import as rows: many in one statement.

use std::collections::HashMap;

use sqlx::{Row, any::AnyRow};

use super::{Import, NewContact, Placed};
use crate::store::{StoreError, WriteTx, contacts::variables_json};

/// Contacts in one statement.
pub(super) const INSERT: usize = 250;

/// One statement for all of them.
pub(super) async fn insert(
    tx: &mut WriteTx,
    import: &mut Import,
    batch: &[NewContact],
    now_ms: i64,
) -> Result<Vec<Placed>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut query =
        sqlx::query(sqlx::AssertSqlSafe(insert_sql(batch.len()))).bind(import.campaign).bind(now_ms);
    for contact in batch {
        query = query
            .bind(cohort(tx, import, contact).await?)
            .bind(contact.number.clone())
            .bind(variables_json(&contact.variables))
            .bind(contact.due_ms)
            .bind(contact.line.map(|line| i64::try_from(line).unwrap_or(i64::MAX)));
    }
    let rows = query.fetch_all(&mut *tx.tx).await?;
    let mut added = rows
        .iter()
        .map(|row| Ok((row.try_get("number")?, ())))
        .collect::<Result<HashMap<String, ()>, sqlx::Error>>()?;
    // Of a number that stands twice in the batch the first was added.
    let is_new: Vec<bool> = batch.iter().map(|contact| added.remove(&contact.number).is_some()).collect();
    let others: Vec<_> =
        batch.iter().zip(&is_new).filter(|(_, new)| !**new).map(|(contact, _)| contact).collect();
    let known = match others.is_empty() {
        true => Known::default(),
        false => {
            let sql = sqlx::AssertSqlSafe(known_sql(others.len()));
            let query = bind_numbers(sqlx::query(sql).bind(import.campaign), &others);
            Known::of(&query.fetch_all(&mut *tx.tx).await?)?
        }
    };
    let placed = batch.iter().zip(is_new).map(|(contact, new)| match new {
        true => Placed::Added,
        false => known.placed(contact, Some(import.id)),
    });
    Ok(placed.collect())
}

fn insert_sql(contacts: usize) -> String {
    let mut sql = "insert into contacts (campaign_id, cohort_id, number, variables, state, due_ms, created_ms, line) values "
        .to_owned();
    for index in 0..contacts {
        let first = 3 + 5 * index;
        let (number, variables, due, line) = (first + 1, first + 2, first + 3, first + 4);
        let comma = if index == 0 { "" } else { ", " };
        sql.push_str(&format!(
            "{comma}($1, ${first}, ${number}, ${variables}, 'waiting', ${due}, $2, ${line})"
        ));
    }
    sql.push_str(" on conflict (campaign_id, number) do nothing returning number");
    sql
}

pub(super) fn known_sql(numbers: usize) -> String {
    let wanted: Vec<_> = (2..numbers + 2).map(|index| format!("${index}")).collect();
    format!(
        "select contacts.number, contacts.line, cohorts.import_id from contacts \
         left join cohorts on cohorts.id = contacts.cohort_id \
         where contacts.campaign_id = $1 and contacts.number in ({})",
        wanted.join(", ")
    )
}

pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

pub(super) fn bind_numbers<'q>(query: Query<'q>, contacts: &[&NewContact]) -> Query<'q> {
    contacts.iter().fold(query, |query, contact| query.bind(contact.number.clone()))
}

/// Contacts that a campaign has: the import and the line of each.
#[derive(Default)]
pub(super) struct Known {
    by_number: HashMap<String, (Option<i64>, Option<u64>)>,
}

impl Known {
    pub(super) fn of(rows: &[AnyRow]) -> Result<Self, StoreError> {
        let mut by_number = HashMap::with_capacity(rows.len());
        for row in rows {
            let line: Option<i64> = row.try_get("line")?;
            let line = line.and_then(|line| u64::try_from(line).ok());
            by_number.insert(row.try_get("number")?, (row.try_get("import_id")?, line));
        }
        Ok(Self { by_number })
    }

    /// As the import sees it; one that is not known counts as added.
    pub(super) fn placed(&self, contact: &NewContact, import: Option<i64>) -> Placed {
        match self.by_number.get(&contact.number) {
            None => Placed::Added,
            Some((of, line)) if import.is_some() && *of == import => match (*line, contact.line) {
                (Some(first), Some(here)) if first == here => Placed::Added,
                (Some(line), _) => Placed::Repeated { line },
                (None, _) => Placed::Had,
            },
            Some(_) => Placed::Had,
        }
    }
}

/// The contact's cohort within the import; made where it is missing.
async fn cohort(tx: &mut WriteTx, import: &mut Import, contact: &NewContact) -> Result<i64, StoreError> {
    let key = (contact.zones.clone(), contact.consent);
    if let Some(id) = import.cohorts.get(&key) {
        return Ok(*id);
    }
    sqlx::query(
        "insert into cohorts (campaign_id, import_id, zones, consent) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(import.campaign)
    .bind(import.id)
    .bind(contact.zones.clone())
    .bind(i64::from(contact.consent))
    .execute(&mut *tx.tx)
    .await?;
    let row = sqlx::query("select id from cohorts where import_id = $1 and zones = $2 and consent = $3")
        .bind(import.id)
        .bind(contact.zones.clone())
        .bind(i64::from(contact.consent))
        .fetch_one(&mut *tx.tx)
        .await?;
    let id = row.try_get("id")?;
    import.cohorts.insert(key, id);
    Ok(id)
}
