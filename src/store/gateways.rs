//! How the sidecars' gateways do, for whoever looks from another process.

use serde::Serialize;
use sqlx::{Row, any::AnyRow};

use super::{HEARTBEAT_DEAD_MS, Store, StoreError};

/// A gateway of one sidecar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GatewayStanding {
    pub instance: String,
    pub name: String,
    /// Calls through it now.
    pub live: u32,
    pub max_concurrent: Option<u32>,
    pub cps: Option<f64>,
    /// The part of the pace that congestion leaves it; 1: all.
    pub pace: f64,
    /// The cause of the latest congestion while it is slowed.
    pub cause: Option<String>,
}

impl Store {
    /// Writes how this instance's gateways do.
    ///
    /// # Errors
    /// The database's.
    pub async fn report_gateways(&self, gateways: &[GatewayStanding], now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for gateway in gateways {
            sqlx::query(
                "insert into gateways (instance, name, live, max_concurrent, cps, pace, cause, changed_ms) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (instance, name) do update set \
                 live = excluded.live, max_concurrent = excluded.max_concurrent, cps = excluded.cps, \
                 pace = excluded.pace, cause = excluded.cause, changed_ms = excluded.changed_ms",
            )
            .bind(gateway.instance.clone())
            .bind(gateway.name.clone())
            .bind(i64::from(gateway.live))
            .bind(gateway.max_concurrent.map(i64::from))
            .bind(gateway.cps)
            .bind(gateway.pace)
            .bind(gateway.cause.clone())
            .bind(now_ms)
            .execute(&mut *tx.tx)
            .await?;
        }
        tx.commit().await
    }

    /// The gateways of every sidecar that lives.
    ///
    /// # Errors
    /// The database's.
    pub async fn gateways(&self, now_ms: i64) -> Result<Vec<GatewayStanding>, StoreError> {
        let rows = sqlx::query(
            "select g.instance, g.name, g.live, g.max_concurrent, g.cps, g.pace, g.cause from gateways g \
             join heartbeats h on h.instance = g.instance where h.beat_ms > $1 and g.changed_ms >= h.started_ms \
             order by g.instance, g.name",
        )
        .bind(now_ms - HEARTBEAT_DEAD_MS)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(standing).collect()
    }
}

fn standing(row: &AnyRow) -> Result<GatewayStanding, StoreError> {
    let whole = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    Ok(GatewayStanding {
        instance: row.try_get("instance")?,
        name: row.try_get("name")?,
        live: whole(row.try_get("live")?),
        max_concurrent: row.try_get::<Option<i64>, _>("max_concurrent")?.map(whole),
        cps: row.try_get("cps")?,
        pace: row.try_get("pace")?,
        cause: row.try_get("cause")?,
    })
}
