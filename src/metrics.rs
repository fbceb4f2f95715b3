//! What Prometheus scrapes. Fed by the one [`Event`] and a few direct hooks; labels come from closed enums only,
//! never from a number or a call id.

mod campaigns;
mod frames;
mod labels;
mod scrape;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};
use sidetone_core::{call::Event, frame::Frame};

pub use campaigns::{Braked, Delivery};
pub use labels::LivePhase;
use labels::{event_name, hangup_cause, word};

/// The process's metrics. Cloning it copies a pointer.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Series>);

/// One live call's place in the metrics: which phase it counts in. Dropping it takes the call out of the gauge.
#[derive(Debug)]
pub struct CallMeter {
    metrics: Metrics,
    phase: Option<LivePhase>,
}

#[derive(Debug)]
struct Series {
    registry: Registry,
    answer_to_verdict: Histogram,
    speech_end_to_verdict: Histogram,
    speech_to_break: Histogram,
    break_to_stop: Histogram,
    endpoint: Histogram,
    asr_queue_wait: Histogram,
    asr_compute: Histogram,
    frame_handling: Histogram,
    events: IntCounterVec,
    verdicts: IntCounterVec,
    dispositions: IntCounterVec,
    hangups: IntCounterVec,
    hangups_asked: IntCounterVec,
    barge_ins: IntCounterVec,
    tones: IntCounterVec,
    transcripts: IntCounterVec,
    asr_refusals: IntCounterVec,
    asr_failures: IntCounterVec,
    frames_lost: IntCounter,
    streams_closed: IntCounterVec,
    streams_refused: IntCounterVec,
    streams_opened: IntCounter,
    frames_received: IntCounter,
    stream_texts_dropped: IntCounter,
    switch_events_dropped: IntCounter,
    live_calls: IntGaugeVec,
    asr_queue_depth: IntGauge,
    asr_partials_dropped: IntCounterVec,
    asr_stretches: IntCounter,
    asr_breaker_opened: IntCounter,
    asr_failing: IntGauge,
    asr_cadence: Gauge,
    asr_not_admitting: IntGaugeVec,
    switch_up: IntGauge,
    streams_live: IntGauge,
    campaigns: campaigns::Series,
    gateway_pace: GaugeVec,
    gateway_live: IntGaugeVec,
    samplers: scrape::Samplers,
    frames: frames::FrameWatch,
}

impl Metrics {
    /// A registry of its own, with every series in it.
    ///
    /// # Errors
    /// Only if two series bear one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self(Arc::new(Series::new(Registry::new())?));
        metrics.show_zeros();
        Ok(metrics)
    }

    /// Takes a new call into the metrics; hand it every event of that call.
    #[must_use]
    pub fn call(&self) -> CallMeter {
        CallMeter { metrics: self.clone(), phase: None }
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// When a series cannot be written as text.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        self.sample();
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// How long one 20 ms frame took from the ring to the last command.
    pub fn frame_handled(&self, frame: &Frame, took: Duration) {
        self.0.frame_handling.observe(took.as_secs_f64());
        self.0.frames.saw(frame);
    }

    /// An event of the switch that a call did not take in time.
    pub fn switch_event_dropped(&self) {
        self.0.switch_events_dropped.inc();
    }

    pub fn asr_queue_depth(&self, waiting: usize) {
        self.0.asr_queue_depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub fn switch_link(&self, up: bool) {
        self.0.switch_up.set(i64::from(up));
    }

    /// Series that are known from the start appear at zero, so that a rate over them is right from the first count.
    fn show_zeros(&self) {
        for phase in LivePhase::ALL {
            self.0.live_calls.with_label_values(&[word(&phase).as_str()]).set(0);
        }
    }

    fn count(&self, event: &Event) {
        let series = &self.0;
        series.events.with_label_values(&[event_name(event)]).inc();
        match event {
            Event::Verdict { verdict, cause, at_ms, after_speech_ms, .. } => {
                series.verdicts.with_label_values(&[word(verdict).as_str(), word(cause).as_str()]).inc();
                series.answer_to_verdict.observe(seconds(*at_ms));
                after_speech_ms.iter().for_each(|&ms| series.speech_end_to_verdict.observe(seconds(ms)));
            }
            Event::Transcript { purpose, text, gate, failure, queued_ms, compute_ms, .. } => {
                series.asr_queue_wait.observe(seconds(*queued_ms));
                if failure.is_none() {
                    series.asr_compute.observe(seconds(*compute_ms));
                }
                let outcome = match (text, gate) {
                    (Some(_), _) => "text",
                    (None, Some(_)) => "refused",
                    (None, None) => "failed",
                };
                series.transcripts.with_label_values(&[word(purpose).as_str(), outcome]).inc();
                gate.iter()
                    .for_each(|gate| series.asr_refusals.with_label_values(&[word(gate).as_str()]).inc());
                failure
                    .iter()
                    .for_each(|why| series.asr_failures.with_label_values(&[word(why).as_str()]).inc());
            }
            Event::BargeIn { cause, after_speech_start_ms, .. } => {
                series.barge_ins.with_label_values(&[word(cause).as_str()]).inc();
                after_speech_start_ms.iter().for_each(|&ms| series.speech_to_break.observe(seconds(ms)));
            }
            Event::BreakConfirmed { took_ms, .. } => series.break_to_stop.observe(seconds(*took_ms)),
            Event::Turn { endpoint_ms, .. } => series.endpoint.observe(seconds(*endpoint_ms)),
            Event::FramesLost { frames } => series.frames_lost.inc_by(u64::from(*frames)),
            Event::Tone { tone, .. } => series.tones.with_label_values(&[word(tone).as_str()]).inc(),
            Event::HangupAsked { reason } => {
                series.hangups_asked.with_label_values(&[word(reason).as_str()]).inc()
            }
            Event::HungUp { cause } => series.hangups.with_label_values(&[hangup_cause(cause)]).inc(),
            Event::Ended { disposition, .. } => {
                series.dispositions.with_label_values(&[word(disposition).as_str()]).inc();
            }
            Event::Ringing
            | Event::Answered
            | Event::StreamUp
            | Event::StreamDown { .. }
            | Event::SpeechStarted { .. }
            | Event::SpeechEnded { .. }
            | Event::Step { .. }
            | Event::PromptStarted { .. }
            | Event::PromptEnded { .. }
            | Event::Listening { .. }
            | Event::Resumed { .. }
            | Event::NoInput { .. }
            | Event::NoMatch { .. }
            | Event::Dtmf { .. }
            | Event::MessageStart { .. }
            | Event::Transfer { .. }
            | Event::StreamRestart => {}
        }
    }
}

impl CallMeter {
    /// Counts an event of this call.
    pub fn observe(&mut self, event: &Event) {
        self.metrics.count(event);
        if let Some(next) = LivePhase::after(event, self.phase) {
            self.enter(next);
        }
    }

    fn enter(&mut self, next: Option<LivePhase>) {
        if next == self.phase {
            return;
        }
        let gauge = &self.metrics.0.live_calls;
        self.phase.iter().for_each(|phase| gauge.with_label_values(&[word(phase).as_str()]).dec());
        next.iter().for_each(|phase| gauge.with_label_values(&[word(phase).as_str()]).inc());
        self.phase = next;
    }
}

impl Drop for CallMeter {
    fn drop(&mut self) {
        self.enter(None);
    }
}

impl Series {
    fn new(registry: Registry) -> Result<Self, prometheus::Error> {
        let r = &registry;
        build_info(r)?;
        Ok(Self {
            answer_to_verdict: seconds_of(
                r,
                "answer_to_verdict",
                "From the answer to the verdict, media time",
                TURN,
            )?,
            speech_end_to_verdict: seconds_of(
                r,
                "speech_end_to_verdict",
                "From the end of the person's speech to the verdict, media time",
                TURN,
            )?,
            speech_to_break: seconds_of(
                r,
                "speech_start_to_break",
                "From the start of interrupting speech to the break sent, media time",
                TURN,
            )?,
            break_to_stop: seconds_of(
                r,
                "break_to_playback_stopped",
                "From the break sent to its confirmation",
                TURN,
            )?,
            endpoint: seconds_of(r, "endpoint", "Silence waited for before a turn was taken as ended", TURN)?,
            asr_queue_wait: seconds_of(r, "asr_queue_wait", "Time a transcription waited", WORK)?,
            asr_compute: seconds_of(r, "asr_compute", "Time a transcription took to compute", WORK)?,
            frame_handling: seconds_of(r, "frame_handling", "Time one 20 ms frame took", FRAME)?,
            events: counters(r, "call_events", "Events of calls, by kind", &["event"])?,
            verdicts: counters(r, "verdicts", "Who answered, and what decided it", &["verdict", "cause"])?,
            dispositions: counters(r, "calls_ended", "What calls came to", &["disposition"])?,
            hangups: counters(r, "hangups", "Ended legs by the switch's cause", &["cause"])?,
            hangups_asked: counters(r, "hangups_asked", "Calls we ended, and why", &["reason"])?,
            barge_ins: counters(r, "barge_ins", "Interrupted prompts, by what decided it", &["cause"])?,
            tones: counters(r, "tones", "Tones heard", &["tone"])?,
            transcripts: counters(r, "asr_transcripts", "Transcriptions", &["purpose", "outcome"])?,
            asr_refusals: counters(r, "asr_refused", "Transcripts a hallucination gate refused", &["gate"])?,
            asr_failures: counters(r, "asr_failures", "Transcriptions that failed", &["failure"])?,
            frames_lost: counter(r, "frames_lost", "Frames dropped because a call did not keep up")?,
            streams_closed: counters(r, "streams_closed", "Audio streams that ended", &["reason"])?,
            streams_refused: counters(
                r,
                "streams_refused",
                "Audio streams refused before the upgrade",
                &["reason"],
            )?,
            streams_opened: counter(r, "streams_opened", "Audio streams that were upgraded")?,
            frames_received: counter(r, "frames_received", "20 ms frames received")?,
            stream_texts_dropped: counter(
                r,
                "stream_texts_dropped",
                "Stream texts dropped: too long or too many",
            )?,
            switch_events_dropped: counter(r, "switch_events_dropped", "Switch events a call did not take")?,
            live_calls: gauges(r, "live_calls", "Live calls by phase", &["phase"])?,
            asr_queue_depth: gauge(r, "asr_queue_depth", "Transcriptions waiting")?,
            asr_partials_dropped: counters(
                r,
                "asr_partials_dropped",
                "Looks left out because the recogniser is behind",
                &["why"],
            )?,
            asr_stretches: counter(r, "asr_cadence_stretches", "Times the cadence of looks was stretched")?,
            asr_breaker_opened: counter(r, "asr_breaker_opened", "Times a failing model was given up")?,
            asr_failing: gauge(r, "asr_failing", "1 while a failing model is given up")?,
            asr_cadence: float_gauge(r, "asr_cadence_seconds", "Time between two looks at one utterance")?,
            asr_not_admitting: gauges(r, "asr_not_admitting", "1: why no new call is admitted", &["reason"])?,
            switch_up: gauge(r, "switch_up", "1 while the event socket is connected")?,
            streams_live: gauge(r, "streams_live", "Audio streams open now")?,
            campaigns: campaigns::Series::new(r)?,
            gateway_pace: float_gauges(
                r,
                "gateway_pace",
                "The part of its pace that congestion leaves a gateway",
                &["gateway"],
            )?,
            gateway_live: gauges(r, "gateway_live_calls", "Live calls by gateway", &["gateway"])?,
            samplers: scrape::Samplers::default(),
            frames: frames::FrameWatch::default(),
            registry,
        })
    }
}

/// What a person waits for: from just noticed to given up.
const TURN: &[f64] = &[0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0];
/// What a model takes.
const WORK: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0];
/// What must stay far below 20 ms.
const FRAME: &[f64] =
    &[0.000_001, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.02];

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn seconds_of(r: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
    let opts = HistogramOpts::new(format!("sidetone_{name}_seconds"), help).buckets(buckets.to_vec());
    let series = Histogram::with_opts(opts)?;
    r.register(Box::new(series.clone()))?;
    Ok(series)
}

fn counters(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let series = IntCounterVec::new(Opts::new(format!("sidetone_{name}_total"), help), labels)?;
    r.register(Box::new(series.clone()))?;
    Ok(series)
}

fn counter(r: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let series = IntCounter::new(format!("sidetone_{name}_total"), help)?;
    r.register(Box::new(series.clone()))?;
    Ok(series)
}

fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    let series = IntGaugeVec::new(Opts::new(format!("sidetone_{name}"), help), labels)?;
    r.register(Box::new(series.clone()))?;
    Ok(series)
}

fn float_gauges(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<GaugeVec, prometheus::Error> {
    let series = GaugeVec::new(Opts::new(format!("sidetone_{name}"), help), labels)?;
    r.register(Box::new(series.clone()))?;
    Ok(series)
}

fn gauge(r: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let series = IntGauge::new(format!("sidetone_{name}"), help)?;
    r.register(Box::new(series.clone()))?;
    Ok(series)
}

fn float_gauge(r: &Registry, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
    let series = Gauge::new(format!("sidetone_{name}"), help)?;
    r.register(Box::new(series.clone()))?;
    Ok(series)
}

fn build_info(r: &Registry) -> Result<(), prometheus::Error> {
    let info = gauges(r, "build_info", "1; the version is in the label", &["version"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}
