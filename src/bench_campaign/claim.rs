//! Claims with everybody waiting, and the way from a claim to its call.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use sidetone_core::{
    call::{CallId, Disposition, HangupReason},
    campaign::{Control, RetryTable},
};
use tokio_util::sync::CancellationToken;

use super::{
    import::CAMPAIGN,
    measure::{Disk, Quantiles, rounded},
};
use crate::{
    dialer::{CallSpec, DialSettings, Dialer, Line, LineLimits, NotReady, PlaceCall, PlaceError},
    store::{FinishedCall, Store, now_ms},
};

/// Contacts in one claim.
const CLAIM: u32 = 50;
/// Claims that are measured, after those to warm up.
const CLAIMS: usize = 200;
const WARM_UP: usize = 10;
/// How long the dialer dials.
const DIALING: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize)]
pub(super) struct Measured {
    /// A claim of 50 contacts in one durable transaction, with all the others waiting.
    claim: Quantiles,
    /// A page written and synced on the same disk, in between.
    fsync: Quantiles,
    claim_beyond_fsync_p99_ms: f64,
    /// From the dialer's look at the campaign, through claim and commit, to the order to dial.
    claim_to_originate: Quantiles,
    originates: usize,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { claim, fsync, claim_to_originate, .. } = self;
        write!(
            f,
            "  claim of {CLAIM}: p50 {:.1} ms, p99 {:.1} ms; the disk's own: p50 {:.1} ms, p99 {:.1} ms\n  \
             claim to originate: p50 {:.0} ms, p99 {:.0} ms",
            claim.p50_ms,
            claim.p99_ms,
            fsync.p50_ms,
            fsync.p99_ms,
            claim_to_originate.p50_ms,
            claim_to_originate.p99_ms
        )
    }
}

pub(super) async fn measure(store: &Store, campaign: i64, folder: &Path) -> anyhow::Result<Measured> {
    store.control_campaign(CAMPAIGN, Control::Run, now_ms()).await?;
    let (mut claims, mut syncs) = (Vec::new(), Vec::new());
    let mut disk = Disk::new(folder)?;
    for round in 0..WARM_UP + CLAIMS {
        let start = Instant::now();
        let claimed = store.claim_contacts(campaign, CLAIM, "bench", now_ms()).await?;
        let took = start.elapsed();
        let sync = tokio::task::block_in_place(|| disk.sync())?;
        if round >= WARM_UP && claimed.len() == CLAIM as usize {
            claims.push(took);
            syncs.push(sync);
        }
        for claim in claimed {
            let done = FinishedCall::new(Disposition::Completed, now_ms());
            store.finish_attempt(&claim.call, &done, &RetryTable::with_max_attempts(1)).await?;
        }
    }
    let (claim, fsync) = (Quantiles::of(claims), Quantiles::of(syncs));
    let (claim_to_originate, originates) = dial(store).await?;
    Ok(Measured {
        claim,
        fsync,
        claim_beyond_fsync_p99_ms: rounded(claim.p99_ms - fsync.p99_ms),
        claim_to_originate,
        originates,
    })
}

/// Notes when it was told to dial.
struct Noted {
    store: Store,
    at_ms: Arc<Mutex<BTreeMap<CallId, i64>>>,
}

impl PlaceCall for Noted {
    fn ready(&self) -> Result<(), NotReady> {
        Ok(())
    }

    fn place(&self, spec: CallSpec, line: Line) -> Result<(), PlaceError> {
        let now = now_ms();
        self.at_ms.lock().unwrap_or_else(PoisonError::into_inner).insert(spec.call.clone(), now);
        let store = self.store.clone();
        tokio::spawn(async move {
            let done = FinishedCall::new(Disposition::Completed, now_ms());
            // One that is not stored is settled as lost, and counted nowhere here.
            store.finish_attempt(&spec.call, &done, &spec.retries).await.ok();
            line.ended(None);
        });
        Ok(())
    }

    fn is_live(&self, _call: &CallId) -> bool {
        true
    }

    fn end_campaign_calls(&self, _campaign: i64, _reason: HangupReason) {}
}

async fn dial(store: &Store) -> anyhow::Result<(Quantiles, usize)> {
    store.start_serving("bench", now_ms()).await?;
    let at_ms: Arc<Mutex<BTreeMap<CallId, i64>>> = Arc::default();
    let place = Arc::new(Noted { store: store.clone(), at_ms: Arc::clone(&at_ms) });
    let settings = DialSettings {
        instance: "bench".to_owned(),
        caller_id: "+442079460000".to_owned(),
        lines: LineLimits::one("null/{digits}"),
    };
    let stop = CancellationToken::new();
    let dialing = tokio::spawn(Dialer::new(store.clone(), place, settings).run(stop.clone()));
    let until = Instant::now() + DIALING;
    while Instant::now() < until {
        store.heartbeat("bench", now_ms()).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    stop.cancel();
    dialing.await?;
    store.stop_serving("bench").await?;
    let noted = std::mem::take(&mut *at_ms.lock().unwrap_or_else(PoisonError::into_inner));
    let mut times = Vec::new();
    for (call, at) in noted.iter().take(1000) {
        let started = store.attempt(call.as_str()).await?.started_ms;
        times.push(Duration::from_millis(u64::try_from(at - started).unwrap_or_default()));
    }
    Ok((Quantiles::of(times), noted.len()))
}
