//! Twice the talkers that the machine follows: verdicts still in time, looks thinned out, nothing piling up.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use sidetone_core::call::{CallId, Purpose, Transcribe, UtteranceId};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    lag::quantile_ms,
    talker::{Stage, Timeline, speak},
};
use crate::asr::SAMPLE_RATE;

/// A new call's verdict every so often, from the first seconds of a talker's speech.
const VERDICT_EVERY: Duration = Duration::from_millis(500);
const VERDICT_CLIP: Duration = Duration::from_millis(2300);
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
/// The queue is idle again when it is this short.
const IDLE: usize = 1;
const RECOVERY: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Overload {
    pub talkers: usize,
    pub seconds: f64,
    pub verdicts: usize,
    pub verdicts_failed: usize,
    pub verdict_wait_p95_ms: f64,
    pub verdict_wait_max_ms: f64,
    pub partials: u64,
    /// Looks that were shed, refused or late.
    pub partials_failed: u64,
    pub queue_depth_max: usize,
    pub queue_depth_p95: usize,
    /// From the last word spoken until next to nothing waits.
    pub recovery_ms: f64,
}

pub(super) async fn run(stage: &Stage, timelines: Vec<Timeline>, length: Duration) -> Overload {
    let start = Instant::now() + Duration::from_millis(100);
    let end = start + length;
    let verdicts = tokio::spawn(verdicts(stage.clone(), timelines.clone(), start, end));
    let depths = tokio::spawn(depths(stage.clone(), end));
    let talkers: Vec<_> = timelines
        .iter()
        .map(|timeline| tokio::spawn(speak(stage.clone(), timeline.clone(), start)))
        .collect();
    let (mut partials, mut partials_failed) = (0, 0);
    for talker in talkers {
        if let Ok(said) = talker.await {
            partials += said.partials;
            partials_failed += said.failed;
        }
    }
    let silent = Instant::now();
    while stage.depth() > IDLE && silent.elapsed() < RECOVERY {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let recovery_ms = silent.elapsed().as_secs_f64() * 1000.0;
    let (waits, verdicts_failed) = verdicts.await.unwrap_or_default();
    let mut depths = depths.await.unwrap_or_default();
    depths.sort_unstable();
    Overload {
        talkers: timelines.len(),
        seconds: length.as_secs_f64(),
        verdicts: waits.len() + verdicts_failed,
        verdicts_failed,
        verdict_wait_p95_ms: quantile_ms(waits.clone(), 0.95),
        verdict_wait_max_ms: quantile_ms(waits, 1.0),
        partials,
        partials_failed,
        queue_depth_max: depths.last().copied().unwrap_or(0),
        queue_depth_p95: depths.get(depths.len() * 95 / 100).copied().unwrap_or(0),
        recovery_ms,
    }
}

/// New calls whose verdicts are wanted: how long each waited in the queue, in seconds, and how many failed.
async fn verdicts(stage: Stage, timelines: Vec<Timeline>, start: Instant, end: Instant) -> (Vec<f64>, usize) {
    let (replies, mut answers) = mpsc::channel(256);
    let samples = VERDICT_CLIP.as_millis() as usize * SAMPLE_RATE as usize / 1000;
    let (mut at, mut number, mut failed) = (start + VERDICT_EVERY, 0u32, 0);
    let mut waits = Vec::new();
    while at < end {
        sleep_until(at).await;
        at += VERDICT_EVERY;
        number += 1;
        let Some(call) = CallId::new(&format!("verdict-{number}")) else { break };
        let timeline = &timelines[number as usize % timelines.len()];
        let from = (number as usize * 31 * samples) % timeline.pcm.len().saturating_sub(samples).max(1);
        let pcm: Arc<[i16]> = timeline.pcm[from..from + samples].into();
        let request = Transcribe {
            utterance: UtteranceId(1),
            purpose: Purpose::Amd,
            from: Duration::ZERO,
            to: VERDICT_CLIP,
            voiced: VERDICT_CLIP,
        };
        failed += usize::from(!stage.submit(&call, &request, pcm, replies.clone()));
    }
    drop(replies);
    while let Some(done) = answers.recv().await {
        match done.result {
            Ok(_) => waits.push(done.queued.as_secs_f64()),
            Err(_) => failed += 1,
        }
    }
    (waits, failed)
}

async fn depths(stage: Stage, end: Instant) -> Vec<usize> {
    let mut depths = Vec::new();
    while Instant::now() < end {
        depths.push(stage.depth());
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
    depths
}
