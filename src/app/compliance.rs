//! Keeps campaigns within what their rules let be abandoned.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use sidetone_core::campaign::{AbandonLimit, Brake, CampaignState, Tally};
use tokio_util::sync::CancellationToken;

use super::upkeep::passed;
use crate::{
    config::Config,
    metrics::{Braked, Metrics},
    store::{Campaign, Store, StoreError, now_ms},
};

/// How often running campaigns are judged. Calls that end meanwhile count at the next look.
const LOOK: Duration = Duration::from_secs(5);
/// A throttle that differs by less is left as it is.
const STEP: f64 = 0.02;

/// Judges every running campaign until `shutdown`. Several sidecars do it at once and come to the same.
pub(super) async fn watch(store: Store, config: Arc<Config>, metrics: Metrics, shutdown: CancellationToken) {
    while !passed(LOOK, &shutdown).await {
        if let Err(error) = look(&store, config.amd.false_positive_rate, &metrics, now_ms()).await {
            tracing::warn!(%error, "the campaigns' abandoned calls could not be counted");
        }
    }
}

async fn look(store: &Store, rate: f64, metrics: &Metrics, now_ms: i64) -> Result<(), StoreError> {
    let (mut slowed, mut held) = (0, 0);
    for campaign in store.campaigns().await? {
        let limits = campaign.abandon_limits();
        if campaign.state != CampaignState::Running || (limits.is_empty() && campaign.throttle >= 1.0) {
            continue;
        }
        match judge(store, &campaign, &limits, (rate, now_ms)).await? {
            Brake::Free => {}
            Brake::Slow(_) => slowed += 1,
            Brake::Hold => held += 1,
        }
    }
    metrics.campaigns_braked(Braked::Slowed, slowed);
    metrics.campaigns_braked(Braked::Held, held);
    Ok(())
}

async fn judge(
    store: &Store,
    campaign: &Campaign,
    limits: &[AbandonLimit],
    (rate, now_ms): (f64, i64),
) -> Result<Brake, StoreError> {
    let (mut brake, mut why) = (Brake::Free, String::new());
    for limit in limits {
        let window = i64::try_from(limit.window.as_millis()).unwrap_or(i64::MAX);
        let tally = store.tally(campaign.id, now_ms.saturating_sub(window)).await?;
        let judged = limit.judge(&tally, rate);
        if judged.pace() < brake.pace() {
            (brake, why) = (judged, reason(campaign, limit, &tally, rate));
        }
    }
    match brake {
        Brake::Hold => {
            if store.hold_campaign(campaign.id, &why, now_ms).await? {
                tracing::error!(campaign = campaign.name, why, "paused");
            }
        }
        Brake::Free | Brake::Slow(_) => {
            let differs = (brake.pace() - campaign.throttle).abs();
            if differs > STEP || (differs > 0.0 && brake == Brake::Free) {
                tracing::warn!(campaign = campaign.name, pace = brake.pace(), why, "the pace changes");
                store.throttle_campaign(campaign.id, brake, &why).await?;
            }
        }
    }
    Ok(brake)
}

/// `abandoned calls: 3 of 100 live answers in 24 h, rule uk-ofcom allows 3 %`.
fn reason(campaign: &Campaign, limit: &AbandonLimit, tally: &Tally, rate: f64) -> String {
    let mut text = format!("abandoned calls: {} of {} live answers", tally.all_abandoned(), tally.live());
    if limit.counts_estimate {
        let estimate = tally.false_positives(rate);
        text.push_str(&format!(" and an estimated {estimate:.1} people taken for machines"));
    }
    let hours = limit.window.as_secs() / 3600;
    let window = if hours > 48 { format!("{} days", hours / 24) } else { format!("{hours} h") };
    let rule = campaign.rule_name();
    text.push_str(&format!(" in {window}; {rule} allows {:.1} %", limit.share * 100.0));
    text
}
