//! What campaigns owe to those they call, and to those who wait to hear of it.

use std::time::Duration;

use prometheus::{Histogram, IntCounterVec, IntGaugeVec, Registry};
use serde::Serialize;
use sidetone_core::call::{Account, Settled};

use super::{Metrics, TURN, counters, gauges, labels::word, seconds, seconds_of};

/// Why a campaign is slower than it was told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Braked {
    /// Near its limit of abandoned calls.
    Slowed,
    /// At it: paused.
    Held,
}

/// What became of one try to deliver a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    Delivered,
    /// Tried again later.
    Failed,
    /// Not tried again by itself.
    Dead,
}

#[derive(Debug)]
pub(super) struct Series {
    answers: IntCounterVec,
    abandoned: IntCounterVec,
    greeting_to_audio: Histogram,
    braked: IntGaugeVec,
    deliveries: IntCounterVec,
    delivery_seconds: Histogram,
    outbox: IntGaugeVec,
}

impl Series {
    pub(super) fn new(r: &Registry) -> Result<Self, prometheus::Error> {
        let delivery = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        Ok(Self {
            answers: counters(
                r,
                "answers",
                "Answered calls by what they were for who answered",
                &["answer"],
            )?,
            abandoned: counters(r, "abandoned", "Abandoned and silent calls by why", &["why"])?,
            greeting_to_audio: seconds_of(
                r,
                "greeting_to_audio",
                "From the end of a person's greeting to the first thing they heard of us, media time",
                TURN,
            )?,
            braked: gauges(r, "campaigns_braked", "Campaigns near or at their abandoned limit", &["brake"])?,
            deliveries: counters(r, "webhook_tries", "Tries to deliver a webhook", &["outcome"])?,
            delivery_seconds: seconds_of(r, "webhook", "Time the receiver took to answer", &delivery)?,
            outbox: gauges(r, "webhooks", "Webhooks that wait, and dead ones", &["state"])?,
        })
    }
}

impl Metrics {
    /// A call has ended: counts what it was for whoever answered.
    pub fn settled(&self, account: &Account) {
        let Some(Settled { answer, abandoned, greeting_to_audio_ms, .. }) = account.settle() else { return };
        let series = &self.0.campaigns;
        series.answers.with_label_values(&[word(&answer).as_str()]).inc();
        abandoned.iter().for_each(|why| series.abandoned.with_label_values(&[word(why).as_str()]).inc());
        greeting_to_audio_ms.iter().for_each(|&ms| series.greeting_to_audio.observe(seconds(ms)));
    }

    /// So many campaigns are slowed, or held, because of their abandoned calls.
    pub fn campaigns_braked(&self, brake: Braked, n: u64) {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        self.0.campaigns.braked.with_label_values(&[word(&brake).as_str()]).set(n);
    }

    /// A try to deliver a webhook ended.
    pub fn webhook_tried(&self, outcome: Delivery, took: Duration) {
        self.0.campaigns.deliveries.with_label_values(&[word(&outcome).as_str()]).inc();
        self.0.campaigns.delivery_seconds.observe(took.as_secs_f64());
    }

    /// So many webhooks wait, and so many were given up.
    pub fn webhooks(&self, waiting: u64, dead: u64) {
        for (state, n) in [("waiting", waiting), ("dead", dead)] {
            self.0.campaigns.outbox.with_label_values(&[state]).set(i64::try_from(n).unwrap_or(i64::MAX));
        }
    }
}
