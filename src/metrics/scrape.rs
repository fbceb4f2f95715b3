//! What is counted elsewhere and only read when Prometheus asks.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::IntCounter;

use super::{Metrics, labels::word};
use crate::{
    asr::{AsrHandle, EngineStats, NotAdmitting},
    dialer::Load,
    media::{ENDS, MediaStats, Refusal},
};

type Sampler = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Run before each scrape.
#[derive(Default)]
pub(super) struct Samplers(Mutex<Vec<Sampler>>);

impl fmt::Debug for Samplers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Samplers")
    }
}

impl Metrics {
    /// Has `sample` set gauges (a queue's depth, a link's state) before each scrape.
    /// It must not call this itself.
    pub fn before_scrape(&self, sample: impl Fn(&Self) + Send + Sync + 'static) {
        self.0.samplers.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(sample));
    }

    /// Takes over what the media server counts. Once a process: two would add up wrongly.
    pub fn watch_media(&self, stats: Arc<MediaStats>) {
        self.before_scrape(move |metrics| metrics.take_media(&stats));
    }

    /// Takes over what the recogniser's engine counts. Once a process, as above.
    pub fn watch_asr(&self, asr: AsrHandle) {
        self.before_scrape(move |metrics| metrics.take_asr(&asr.stats()));
    }

    /// Shows the gateways' loads. Their names are the configuration's: a closed list while the process lives.
    pub fn watch_gateways(&self, loads: Vec<(Arc<str>, Arc<Load>)>) {
        self.before_scrape(move |metrics| {
            for (name, load) in &loads {
                metrics.0.gateway_live.with_label_values(&[name]).set(i64::from(load.live()));
                metrics.0.gateway_pace.with_label_values(&[name]).set(load.pace());
            }
        });
    }

    fn take_asr(&self, stats: &EngineStats) {
        let series = &self.0;
        series.asr_queue_depth.set(i64::try_from(stats.depth).unwrap_or(i64::MAX));
        raise(&series.asr_partials_dropped.with_label_values(&["shed"]), stats.shed);
        raise(&series.asr_partials_dropped.with_label_values(&["cadence"]), stats.skipped);
        raise(&series.asr_stretches, stats.stretched);
        raise(&series.asr_breaker_opened, stats.opened);
        series.asr_failing.set(i64::from(stats.is_failing));
        series.asr_cadence.set(stats.cadence.as_secs_f64());
        for why in NotAdmitting::ALL {
            let holds = stats.admits == Err(why);
            series.asr_not_admitting.with_label_values(&[word(&why).as_str()]).set(i64::from(holds));
        }
    }

    pub(super) fn sample(&self) {
        // Held while they run: two scrapes at once would count the same increase twice.
        let samplers = self.0.samplers.0.lock().unwrap_or_else(PoisonError::into_inner);
        samplers.iter().for_each(|sample| sample(self));
    }

    fn take_media(&self, stats: &MediaStats) {
        let series = &self.0;
        for why in Refusal::ALL {
            raise(&series.streams_refused.with_label_values(&[why.name()]), stats.refused(why));
        }
        for end in ENDS {
            raise(&series.streams_closed.with_label_values(&[word(&end).as_str()]), stats.closed(end));
        }
        raise(&series.streams_opened, stats.opened());
        raise(&series.frames_received, stats.frames());
        raise(&series.stream_texts_dropped, stats.dropped_texts());
        series.streams_live.set(i64::try_from(stats.live()).unwrap_or(i64::MAX));
    }
}

/// Brings a counter up to a total that is counted elsewhere and never falls.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
