//! Taking contacts for a call: a few statements for any number of them, all in one transaction.

use std::collections::{BTreeMap, HashMap};

use sidetone_core::{
    call::{Answer, CallId},
    campaign::{CallerId, CallerIds, CampaignState, Limits, Pace, PastCall, RetryTable, Shown},
};
use sqlx::{Row, any::AnyRow};

use super::{
    Cohort, GLOBAL_LIST, Origin, Store, StoreError, Terms, WriteTx, campaign_list,
    campaigns::retry_table,
    cohorts::{cohort, published_sql},
    contacts::{new_call_id, variables},
    terms::TERMS,
    words::{self, word},
};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// The most contacts written by one statement.
const MOST_AT_ONCE: u32 = 200;
/// Cohorts asked in one statement; the others have their turn when these are empty.
const MOST_COHORTS: usize = 48;
/// Contacts that turn out to be on a do-not-call list or at a cap are passed over in so many looks; then the claim ends,
/// so that it never holds others up for long.
const LOOKS: u32 = 6;
/// Attempts that were not placed count for nothing.
pub(super) const PLACED: &str =
    "origin <> 'adopted' and (outcome is null or outcome not like 'not placed:%')";

/// The columns that [`past_call`] reads.
pub(super) const PAST: &str = "started_ms, outcome, answer";

/// What to claim, for whom.
#[derive(Debug, Clone, Copy)]
pub struct ClaimOrder<'a> {
    pub campaign: i64,
    pub n: u32,
    pub instance: &'a str,
    /// By contact, in the order of the claim; what is beyond its end has none.
    pub gateways: &'a [String],
    pub now_ms: i64,
}

/// A contact to call now; its attempt is in the database already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub call: CallId,
    pub contact: i64,
    pub number: String,
    pub variables: BTreeMap<String, String>,
    /// 1 for the first.
    pub attempt: u32,
    /// The number to show where the campaign has a pool of them.
    pub caller_id: Option<String>,
}

/// What came of a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    pub claimed: Vec<Claimed>,
    /// Due contacts that may not be called: suppressed, or put off.
    pub passed_over: u32,
}

/// A campaign that runs, as a claim needs it.
struct Running {
    name: String,
    scenario: String,
    pace: Pace,
    limits: Limits,
    terms: Terms,
}

/// A due contact.
struct Due {
    id: i64,
    number: String,
    variables: BTreeMap<String, String>,
    attempts: i64,
    caller_id: Option<String>,
    suppressed: bool,
}

/// A look's verdict on the contacts that were due.
#[derive(Default)]
struct Sorted {
    claimed: Vec<Claimed>,
    suppressed: Vec<i64>,
    /// Contact and when it is due instead.
    put_off: Vec<(i64, i64)>,
    none_left: bool,
}

impl Store {
    /// [`Self::claim`] of contacts alone.
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
        let order = ClaimOrder { campaign, n, instance, gateways: &[], now_ms };
        Ok(self.claim(&order).await?.claimed)
    }

    /// Takes up to `n` contacts that are due from a running campaign and inserts their attempts, all in one
    /// transaction: what is returned may be dialled, and what is not returned was not claimed. Only cohorts that are
    /// open now are looked at; who is to be called at a certain time comes before those who were never called.
    /// Contacts on a do-not-call list are marked `suppressed`, those at a cap or resting are put off. The campaign's
    /// limits hold for all who claim from it together: never more than `max_concurrent` claimed, never more than
    /// `cps` claims in a second.
    ///
    /// # Errors
    /// The database's; then nobody was claimed.
    pub async fn claim(&self, order: &ClaimOrder<'_>) -> Result<Claim, StoreError> {
        let mut claim = Claim::default();
        let mut tx = self.write().await?;
        let Some(running) = running(&mut tx, order.campaign).await? else { return Ok(claim) };
        if running.counts_others() {
            tx.claim_alone().await?;
        }
        let Scene { room, clock_ms, cohorts } = scene(&mut tx, order, running.pace).await?;
        let wanted = usize::try_from(order.n.min(room).min(MOST_AT_ONCE)).unwrap_or_default();
        let open = open_cohorts(&running.terms, cohorts, order.now_ms);
        let mut showing = caller_ids(&mut tx, &running.terms, order.now_ms).await?;
        for look in 0..LOOKS {
            let missing = wanted - claim.claimed.len();
            if missing == 0 || open.is_empty() {
                break;
            }
            let most = if look == 0 { missing } else { missing.max(MOST_AT_ONCE as usize) };
            let due = due_contacts(&mut tx, &running, &open, (most, order.now_ms)).await?;
            let found = due.len();
            let past = past_calls(&mut tx, &running.limits, &due, order.now_ms).await?;
            let sorted = sort(due, &running.limits, &past, &mut showing, (missing, order.now_ms))?;
            mark_suppressed(&mut tx, &sorted.suppressed).await?;
            put_off(&mut tx, &sorted.put_off).await?;
            let at = (order.gateways.get(claim.claimed.len()..).unwrap_or_default(), clock_ms);
            insert(&mut tx, &sorted.claimed, &running.scenario, order, at).await?;
            let passed = sorted.suppressed.len() + sorted.put_off.len();
            claim.passed_over += u32::try_from(passed).unwrap_or(u32::MAX);
            claim.claimed.extend(sorted.claimed);
            if sorted.none_left || found < most {
                break;
            }
        }
        tx.commit().await?;
        Ok(claim)
    }
}

impl Running {
    /// Whether what other campaigns do decides what this one may: then claims wait for one another.
    fn counts_others(&self) -> bool {
        self.limits.look_back_ms().is_some() || self.terms.caller_id_daily_cap.is_some()
    }
}

/// The campaign where it runs. Read within the claim's transaction: a pause that was committed first
/// holds. On Postgres the row stays locked until the claim is committed, so that machines claim one after another.
async fn running(tx: &mut WriteTx, campaign: i64) -> Result<Option<Running>, StoreError> {
    let sql = format!(
        "select name, scenario, cps, max_concurrent, throttle, max_attempts, retries, {TERMS} from campaigns \
         where id = $1 and state = $2{}",
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
        let retries: RetryTable = retry_table(&row)?;
        let terms = Terms::read(&row)?;
        Ok(Running {
            name: row.try_get("name")?,
            scenario: row.try_get("scenario")?,
            pace,
            limits: terms.limits(&retries),
            terms,
        })
    })
    .transpose()
}

/// What a claim finds.
#[derive(Default)]
struct Scene {
    /// How many may be claimed before the campaign's limits are reached, whoever claimed the others.
    room: u32,
    /// What time it is by the clock that all share.
    clock_ms: i64,
    cohorts: Vec<Cohort>,
}

/// All of it in one statement: on PostgreSQL each costs a way there and back.
async fn scene(tx: &mut WriteTx, order: &ClaimOrder<'_>, pace: Pace) -> Result<Scene, StoreError> {
    let Some((most, window)) = pace.window() else { return Ok(Scene::default()) };
    let sql = format!(
        "with clock as (select {} as ms), counted as (select ms, \
         (select count(*) from contacts where campaign_id = $2 and state = 'claimed') as live, \
         (select count(*) from attempts where campaign_id = $2 and claimed_ms > clock.ms - $3) as recent \
         from clock) select * from counted left join ({}) c on 1 = 1 order by c.id",
        tx.dialect.clock_or("$1"),
        published_sql("$2")
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(order.now_ms)
        .bind(order.campaign)
        .bind(i64::try_from(window.as_millis()).unwrap_or(i64::MAX / 2))
        .fetch_all(&mut *tx.tx)
        .await?;
    let Some(first) = rows.first() else { return Ok(Scene::default()) };
    let count = |column| -> Result<u32, StoreError> {
        Ok(u32::try_from(first.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
    };
    let (live, recent) = (count("live")?, count("recent")?);
    let mut cohorts = Vec::with_capacity(rows.len());
    for row in &rows {
        // Without any there is one row that has none.
        if row.try_get::<Option<i64>, _>("id")?.is_some() {
            cohorts.push(cohort(row)?);
        }
    }
    Ok(Scene {
        room: most.saturating_sub(recent).min(pace.max_concurrent.saturating_sub(live)),
        clock_ms: first.try_get("ms")?,
        cohorts,
    })
}

/// Cohorts with somebody due whose windows are open: `(id, timed)`, those with a time first.
fn open_cohorts(terms: &Terms, cohorts: Vec<Cohort>, now_ms: i64) -> Vec<(i64, bool)> {
    let open: Vec<Cohort> =
        cohorts.into_iter().filter(|cohort| cohort.is_due(now_ms) && terms.is_open(cohort, now_ms)).collect();
    let mut timed: Vec<(i64, i64)> = open
        .iter()
        .filter_map(|cohort| Some((cohort.timed_ms.filter(|due| *due <= now_ms)?, cohort.id)))
        .collect();
    timed.sort_unstable();
    let fresh = open.iter().filter(|cohort| cohort.has_fresh).map(|cohort| (cohort.id, false));
    timed.into_iter().map(|(_, id)| (id, true)).chain(fresh).take(MOST_COHORTS).collect()
}

/// The first due contacts of these cohorts: from each its own first by the index, then the first of those.
async fn due_contacts(
    tx: &mut WriteTx,
    running: &Running,
    cohorts: &[(i64, bool)],
    (n, now_ms): (usize, i64),
) -> Result<Vec<Due>, StoreError> {
    let each: Vec<String> = (5..)
        .zip(cohorts)
        .map(|(param, (_, timed))| {
            let due = if *timed { "due_ms > 0 and due_ms <= $1" } else { "due_ms <= 0" };
            format!(
                "select * from (select id, due_ms from contacts where cohort_id = ${param} and state = 'waiting' \
                 and {due} order by due_ms, id limit $2) of_{param}"
            )
        })
        .collect();
    let sql = format!(
        "select ct.id, ct.number, ct.variables, ct.attempts, ct.caller_id, \
         (select count(*) from suppressions s where s.number = ct.number and s.list in ($3, $4)) as suppressed \
         from ({}) due join contacts ct on ct.id = due.id where ct.state = 'waiting' \
         order by due.due_ms <= 0, due.due_ms, due.id limit $2{}",
        each.join(" union all "),
        tx.dialect.for_taking_of("ct")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(now_ms)
        .bind(i64::try_from(n).unwrap_or(i64::MAX))
        .bind(GLOBAL_LIST.to_owned())
        .bind(campaign_list(&running.name));
    for (cohort, _) in cohorts {
        query = query.bind(*cohort);
    }
    query.fetch_all(&mut *tx.tx).await?.iter().map(due_contact).collect()
}

fn due_contact(row: &AnyRow) -> Result<Due, StoreError> {
    Ok(Due {
        id: row.try_get("id")?,
        number: row.try_get("number")?,
        variables: variables(row)?,
        attempts: row.try_get("attempts")?,
        caller_id: row.try_get("caller_id")?,
        suppressed: row.try_get::<i64, _>("suppressed")? != 0,
    })
}

/// Earlier calls to these numbers, of every campaign and by hand, as far back as they matter.
async fn past_calls(
    tx: &mut WriteTx,
    limits: &Limits,
    due: &[Due],
    now_ms: i64,
) -> Result<HashMap<String, Vec<PastCall>>, StoreError> {
    let mut past: HashMap<String, Vec<PastCall>> = HashMap::new();
    let Some(back) = limits.look_back_ms().filter(|_| !due.is_empty()) else { return Ok(past) };
    let sql = format!(
        "select number, {PAST} from attempts where number in ({}) and started_ms > $1 and {PLACED}",
        params(2, due.len())
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now_ms.saturating_sub(back));
    for contact in due {
        query = query.bind(contact.number.clone());
    }
    for row in query.fetch_all(&mut *tx.tx).await? {
        past.entry(row.try_get("number")?).or_default().push(past_call(&row)?);
    }
    Ok(past)
}

pub(super) fn past_call(row: &AnyRow) -> Result<PastCall, StoreError> {
    Ok(PastCall {
        started_ms: row.try_get("started_ms")?,
        was_abandoned: words::read_optional::<Answer>(row, "answer")?.is_some_and(Answer::is_abandoned),
        outcome: row.try_get("outcome")?,
    })
}

/// The campaign's numbers to show, and how often each was shown lately where that matters.
async fn caller_ids(tx: &mut WriteTx, terms: &Terms, now_ms: i64) -> Result<CallerIds, StoreError> {
    let mut pool: Vec<CallerId> = terms
        .caller_ids
        .iter()
        .map(|number| CallerId { number: number.clone(), shown: 0, oldest_ms: None })
        .collect();
    if terms.caller_id_daily_cap.is_some() && !pool.is_empty() {
        let sql = format!(
            "select caller_id, count(*) as n, min(started_ms) as oldest from attempts \
             where caller_id in ({}) and started_ms > $1 and {PLACED} group by caller_id",
            params(2, pool.len())
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now_ms - DAY_MS);
        for id in &pool {
            query = query.bind(id.number.clone());
        }
        for row in query.fetch_all(&mut *tx.tx).await? {
            let number: String = row.try_get("caller_id")?;
            if let Some(id) = pool.iter_mut().find(|id| id.number == number) {
                id.shown = u32::try_from(row.try_get::<i64, _>("n")?).unwrap_or(u32::MAX);
                id.oldest_ms = row.try_get("oldest")?;
            }
        }
    }
    Ok(CallerIds::new(pool, terms.caller_id_daily_cap))
}

/// Who of the due is called, who never, who later. Those beyond `most` are left as they are.
fn sort(
    due: Vec<Due>,
    limits: &Limits,
    past: &HashMap<String, Vec<PastCall>>,
    showing: &mut CallerIds,
    (most, now_ms): (usize, i64),
) -> Result<Sorted, StoreError> {
    let mut sorted = Sorted::default();
    for contact in due {
        if contact.suppressed {
            sorted.suppressed.push(contact.id);
            continue;
        }
        let past = past.get(&contact.number).map_or(&[][..], Vec::as_slice);
        if let Some((until, _)) = limits.rests_until(past, now_ms) {
            sorted.put_off.push((contact.id, until));
            continue;
        }
        if sorted.claimed.len() == most {
            continue;
        }
        let caller_id = match showing.choose(contact.id, contact.caller_id.as_deref()) {
            Shown::Usual => None,
            Shown::Number(number) => Some(number),
            Shown::Later(until) => {
                sorted.put_off.push((contact.id, until));
                continue;
            }
            Shown::NoneLeft => {
                sorted.none_left = true;
                break;
            }
        };
        sorted.claimed.push(Claimed {
            call: new_call_id()?,
            contact: contact.id,
            number: contact.number,
            variables: contact.variables,
            attempt: u32::try_from(contact.attempts + 1).unwrap_or(u32::MAX),
            caller_id,
        });
    }
    Ok(sorted)
}

async fn mark_suppressed(tx: &mut WriteTx, contacts: &[i64]) -> Result<(), StoreError> {
    if contacts.is_empty() {
        return Ok(());
    }
    let sql = format!("update contacts set state = 'suppressed' where id in ({})", params(1, contacts.len()));
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for contact in contacts {
        query = query.bind(*contact);
    }
    query.execute(&mut *tx.tx).await?;
    Ok(())
}

async fn put_off(tx: &mut WriteTx, contacts: &[(i64, i64)]) -> Result<(), StoreError> {
    if contacts.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "update contacts set due_ms = v.column2 from (values {}) as v where contacts.id = v.column1",
        rows(contacts.len(), &["bigint", "bigint"])
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for (contact, due_ms) in contacts {
        query = query.bind(*contact).bind(*due_ms);
    }
    query.execute(&mut *tx.tx).await?;
    Ok(())
}

/// Marks the contacts and writes their attempts.
async fn insert(
    tx: &mut WriteTx,
    claimed: &[Claimed],
    scenario: &str,
    order: &ClaimOrder<'_>,
    (gateways, clock_ms): (&[String], i64),
) -> Result<(), StoreError> {
    if claimed.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "update contacts set state = 'claimed', attempts = attempts + 1, last_call = v.column2, \
         caller_id = v.column3 from (values {}) as v where contacts.id = v.column1",
        rows(claimed.len(), &["bigint", "text", "text"])
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for claim in claimed {
        query = query.bind(claim.contact).bind(claim.call.to_string()).bind(claim.caller_id.clone());
    }
    query.execute(&mut *tx.tx).await?;
    let sql = format!(
        "insert into attempts (id, contact_id, number, caller_id, gateway, campaign_id, instance, origin, scenario, \
         started_ms, claimed_ms) values {}",
        rows(
            claimed.len(),
            &["text", "bigint", "text", "text", "text", "bigint", "text", "text", "text", "bigint", "bigint"]
        )
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for (index, claim) in claimed.iter().enumerate() {
        query = query
            .bind(claim.call.to_string())
            .bind(claim.contact)
            .bind(claim.number.clone())
            .bind(claim.caller_id.clone())
            .bind(gateways.get(index).cloned())
            .bind(order.campaign)
            .bind(order.instance.to_owned())
            .bind(word(Origin::Campaign))
            .bind(scenario.to_owned())
            .bind(order.now_ms)
            .bind(clock_ms);
    }
    query.execute(&mut *tx.tx).await?;
    Ok(())
}

/// `$3, $4, $5`: so many from the first on.
fn params(first: usize, n: usize) -> String {
    (first..first + n).map(|param| format!("${param}")).collect::<Vec<_>>().join(", ")
}

/// `(cast($1 as bigint), cast($2 as text)), (..)`: so many rows of these types.
fn rows(n: usize, types: &[&str]) -> String {
    let row = |row: usize| {
        let cells =
            (1..).zip(types).map(|(cell, kind)| format!("cast(${} as {kind})", row * types.len() + cell));
        format!("({})", cells.collect::<Vec<_>>().join(", "))
    };
    (0..n).map(row).collect::<Vec<_>>().join(", ")
}
