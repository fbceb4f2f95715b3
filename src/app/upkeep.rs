//! What a running service does on the side.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    asr::AsrHandle,
    config::Config,
    http::Readiness,
    metrics::Metrics,
    store::{Store, delete_files, now_ms, record_dir},
};

const BEAT: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(3600);
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Says every second that we live.
pub(super) async fn heartbeat(store: Store, instance: String, shutdown: CancellationToken) {
    while !passed(BEAT, &shutdown).await {
        if let Err(error) = store.heartbeat(&instance, now_ms()).await {
            tracing::warn!(%error, "the heartbeat could not be written");
        }
    }
}

/// Keeps gauges and readiness true.
pub(super) async fn watch(
    store: Store,
    asr: AsrHandle,
    metrics: Metrics,
    readiness: Readiness,
    shutdown: CancellationToken,
) {
    while !passed(BEAT, &shutdown).await {
        metrics.asr_queue_depth(asr.depth());
        readiness.set_hearing(asr.admits());
        readiness.set_store(store.check_writable().await.is_ok());
    }
}

/// Drops imports that were cut off and that nobody has gone on with for a day.
pub(super) async fn sweep_imports(store: Store, shutdown: CancellationToken) {
    loop {
        match store.sweep_imports(now_ms() - DAY_MS).await {
            Ok(0) => {}
            Ok(contacts) => tracing::info!(contacts, "dropped an import that was cut off a day ago"),
            Err(error) => tracing::warn!(%error, "imports that were cut off could not be dropped"),
        }
        if passed(SWEEP, &shutdown).await {
            return;
        }
    }
}

/// Deletes calls that are older than the configuration keeps them.
pub(super) async fn sweep_old(store: Store, config: Arc<Config>, shutdown: CancellationToken) {
    if config.retention.days == 0 {
        return;
    }
    let dir = record_dir(&config);
    loop {
        let before = now_ms() - i64::from(config.retention.days) * DAY_MS;
        match store.sweep(before).await {
            Ok(calls) => {
                let (dir, gone) = (dir.clone(), calls.clone());
                if let Ok(Err(error)) = tokio::task::spawn_blocking(move || delete_files(&dir, &gone)).await {
                    tracing::warn!(%error, "a recording could not be deleted");
                }
                if !calls.is_empty() {
                    tracing::info!(calls = calls.len(), "deleted what retention.days no longer keeps");
                }
            }
            Err(error) => tracing::warn!(%error, "old calls could not be deleted"),
        }
        if passed(SWEEP, &shutdown).await {
            return;
        }
    }
}

/// Waits; `true` when the service stops meanwhile.
pub(super) async fn passed(time: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => true,
        () = tokio::time::sleep(time) => false,
    }
}
