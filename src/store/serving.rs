//! `serve` and those who ask things of it: the heartbeat and the wishes.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use sidetone_core::call::CallId;
use sqlx::Row;

use super::{
    AdHoc, Origin, Store, StoreError, WriteTx, attempts::insert_adhoc, suppressions::suppressed, words,
};

/// A heartbeat older than this is of a dead process.
pub const HEARTBEAT_DEAD_MS: i64 = 5_000;

/// A wish older than this is not carried out any more: nobody wants to be called by what was asked an hour ago of
/// a `serve` that then died. Long enough for one that still loads its model.
const WISH_STALE_MS: i64 = 60_000;

/// A `serve` that lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serving {
    pub instance: String,
    pub pid: i64,
    pub started_ms: i64,
    pub beat_ms: i64,
}

/// A call that `sidetone call` asks for. One of `number` and `dial_string` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallWish {
    pub number: Option<String>,
    pub dial_string: Option<String>,
    /// A path that `serve` can read.
    pub scenario: String,
    pub language: Option<String>,
    pub caller_id: Option<String>,
    pub variables: BTreeMap<String, String>,
}

/// A wish to carry out; its attempt is in the database already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenWish {
    pub id: i64,
    pub call: CallId,
    pub wish: CallWish,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WishAnswer {
    /// No `serve` has taken it yet.
    Waiting,
    /// It is this call.
    Call(CallId),
    /// It was refused; the words are for the user.
    Refused(String),
}

impl Store {
    /// Takes the instance's name for this process. Another's whose heart stopped, or whose process is gone, is taken
    /// over.
    ///
    /// # Errors
    /// [`StoreError::AlreadyServing`], or the database's.
    pub async fn start_serving(&self, instance: &str, now_ms: i64) -> Result<(), StoreError> {
        let pid = i64::from(std::process::id());
        let mut tx = self.write().await?;
        let before = sqlx::query("select host, pid, beat_ms from heartbeats where instance = $1")
            .bind(instance.to_owned())
            .fetch_optional(&mut *tx.tx)
            .await?;
        if let Some(row) = before {
            let (other, beat_ms): (i64, i64) = (row.try_get("pid")?, row.try_get("beat_ms")?);
            let here = row.try_get::<String, _>("host")? == host();
            let gone = here && (other == pid || !may_live(other));
            if beat_ms > now_ms - HEARTBEAT_DEAD_MS && !gone {
                return Err(StoreError::AlreadyServing { instance: instance.to_owned(), pid: other });
            }
        }
        sqlx::query(
            "insert into heartbeats (instance, host, pid, started_ms, beat_ms) values ($1, $2, $3, $4, $4) \
             on conflict (instance) do update set host = excluded.host, pid = excluded.pid, \
             started_ms = excluded.started_ms, beat_ms = excluded.beat_ms",
        )
        .bind(instance.to_owned())
        .bind(host())
        .bind(pid)
        .bind(now_ms)
        .execute(&mut *tx.tx)
        .await?;
        tx.commit().await?;
        self.lease_taken(now_ms);
        Ok(())
    }

    /// Says that the instance lives: once a second. Where another process has taken its name meanwhile, this one no
    /// longer holds its lease.
    ///
    /// # Errors
    /// The database's.
    pub async fn heartbeat(&self, instance: &str, now_ms: i64) -> Result<(), StoreError> {
        let asked = tokio::time::Instant::now();
        let mut tx = self.write().await?;
        let beat = sqlx::query("update heartbeats set beat_ms = $1 where instance = $2 and started_ms = $3")
            .bind(now_ms)
            .bind(instance.to_owned())
            .bind(self.lease_since())
            .execute(&mut *tx.tx)
            .await?;
        tx.commit().await?;
        match beat.rows_affected() {
            0 => tracing::error!(instance, "another process serves under this name: no call starts here"),
            _ => self.lease_renewed(asked),
        }
        Ok(())
    }

    /// The instance ends in good order.
    ///
    /// # Errors
    /// The database's.
    pub async fn stop_serving(&self, instance: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("delete from heartbeats where instance = $1 and pid = $2 and started_ms = $3")
            .bind(instance.to_owned())
            .bind(i64::from(std::process::id()))
            .bind(self.lease_since())
            .execute(&mut *tx.tx)
            .await?;
        tx.commit().await
    }

    /// A `serve` whose heart beats, the freshest where there are several.
    ///
    /// # Errors
    /// The database's.
    pub async fn live_serve(&self, now_ms: i64) -> Result<Option<Serving>, StoreError> {
        let row = sqlx::query(
            "select instance, pid, started_ms, beat_ms from heartbeats where beat_ms > $1 \
             order by beat_ms desc limit 1",
        )
        .bind(now_ms - HEARTBEAT_DEAD_MS)
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| {
            Ok(Serving {
                instance: row.try_get("instance")?,
                pid: row.try_get("pid")?,
                started_ms: row.try_get("started_ms")?,
                beat_ms: row.try_get("beat_ms")?,
            })
        })
        .transpose()
    }

    /// Asks `serve` for a call; the answer comes by [`Self::wish_answer`].
    ///
    /// # Errors
    /// The database's.
    pub async fn place_wish(&self, wish: &CallWish, now_ms: i64) -> Result<i64, StoreError> {
        let mut tx = self.write().await?;
        let row =
            sqlx::query("insert into wishes (kind, body, placed_ms) values ('call', $1, $2) returning id")
                .bind(words::json(wish))
                .bind(now_ms)
                .fetch_one(&mut *tx.tx)
                .await?;
        tx.commit().await?;
        Ok(row.try_get("id")?)
    }

    /// What became of a wish.
    ///
    /// # Errors
    /// The database's.
    pub async fn wish_answer(&self, id: i64) -> Result<WishAnswer, StoreError> {
        let row = sqlx::query("select call_id, error from wishes where id = $1")
            .bind(id)
            .fetch_one(self.pool())
            .await?;
        if let Some(error) = row.try_get::<Option<String>, _>("error")? {
            return Ok(WishAnswer::Refused(error));
        }
        Ok(match row.try_get::<Option<String>, _>("call_id")? {
            Some(call) => WishAnswer::Call(words::meaning("call id", call)?),
            None => WishAnswer::Waiting,
        })
    }

    /// Takes every wish that waits since before `placed_before_ms`: each becomes an attempt in the same transaction.
    /// Those too old, or to a number on a do-not-call list, are refused here and not returned.
    ///
    /// # Errors
    /// The database's; then none was taken.
    pub async fn take_wishes(
        &self,
        instance: &str,
        placed_before_ms: i64,
        now_ms: i64,
    ) -> Result<Vec<TakenWish>, StoreError> {
        const WAITING: &str = "select id, body, placed_ms from wishes \
                               where taken_ms is null and placed_ms < $1 order by id";
        if sqlx::query(WAITING).bind(placed_before_ms).fetch_optional(self.pool()).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut taken = Vec::new();
        let mut tx = self.write().await?;
        let waiting = sqlx::AssertSqlSafe(format!("{WAITING}{}", tx.dialect.for_taking()));
        for row in sqlx::query(waiting).bind(placed_before_ms).fetch_all(&mut *tx.tx).await? {
            let id: i64 = row.try_get("id")?;
            let body: String = row.try_get("body")?;
            let wish: Result<CallWish, _> = serde_json::from_str(&body);
            let stale = row.try_get::<i64, _>("placed_ms")? < now_ms - WISH_STALE_MS;
            let answer = match wish {
                Err(_) => Err("it is not understood: are both of the same version?".to_owned()),
                Ok(_) if stale => Err("nobody took it in time".to_owned()),
                Ok(wish) => begin_wish(&mut tx, wish, instance, now_ms).await?,
            };
            let (call, error) = match &answer {
                Ok((call, _)) => (Some(call.to_string()), None),
                Err(error) => (None, Some(error.clone())),
            };
            sqlx::query(
                "update wishes set taken_ms = $1, taken_by = $2, call_id = $3, error = $4 where id = $5",
            )
            .bind(now_ms)
            .bind(instance.to_owned())
            .bind(call)
            .bind(error)
            .bind(id)
            .execute(&mut *tx.tx)
            .await?;
            if let Ok((call, wish)) = answer {
                taken.push(TakenWish { id, call, wish });
            }
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Takes a wish back that nobody has taken yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn withdraw_wish(&self, id: i64, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "update wishes set taken_ms = $1, error = 'withdrawn' where id = $2 and taken_ms is null",
        )
        .bind(now_ms)
        .bind(id)
        .execute(&mut *tx.tx)
        .await?;
        tx.commit().await
    }

    /// Refuses a wish that was taken: its call could not be placed.
    ///
    /// # Errors
    /// The database's.
    pub async fn refuse_wish(&self, id: i64, reason: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("update wishes set error = $1 where id = $2")
            .bind(reason.to_owned())
            .bind(id)
            .execute(&mut *tx.tx)
            .await?;
        tx.commit().await
    }
}

type Begun = Result<(CallId, CallWish), String>;

async fn begin_wish(
    tx: &mut WriteTx,
    wish: CallWish,
    instance: &str,
    now_ms: i64,
) -> Result<Begun, StoreError> {
    if let Some(number) = &wish.number
        && suppressed(tx, number).await?
    {
        return Ok(Err(format!("{number} is on the do-not-call list")));
    }
    let call = AdHoc {
        call: None,
        origin: Origin::Call,
        instance: instance.to_owned(),
        number: wish.number.clone(),
        dial_string: wish.dial_string.clone(),
        scenario: wish.scenario.clone(),
    };
    Ok(Ok((insert_adhoc(tx, &call, now_ms).await?, wish)))
}

/// This machine's name; empty where it cannot be read.
pub(super) fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// Whether a process of this machine may live. Where that cannot be seen, its heartbeat decides.
fn may_live(pid: i64) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}
