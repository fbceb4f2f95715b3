//! A call's events on their way into the record, the metrics and the log.

use std::time::Duration;

use sidetone_core::call::{CallId, Disposition, Event};

use crate::{
    metrics::CallMeter,
    store::{EventRecord, FinishedCall, Store, now_ms},
};

pub(super) struct Journal {
    call: CallId,
    store: Store,
    meter: CallMeter,
    seq: i64,
    finished: FinishedCall,
    /// The last event, written when there is time to wait for it.
    last: Option<EventRecord>,
}

impl Journal {
    pub(super) fn new(call: &CallId, store: Store, meter: CallMeter) -> Self {
        let finished = FinishedCall::new(Disposition::Failed, now_ms());
        Self { call: call.clone(), store, meter, seq: 0, finished, last: None }
    }

    /// `media`: media time since the answer, once there was one.
    pub(super) fn note(&mut self, event: Event, media: Option<Duration>) {
        let at_ms = now_ms();
        self.seq += 1;
        let media_ms = media.and_then(|media| i64::try_from(media.as_millis()).ok());
        self.finished.observe(at_ms, media_ms, &event);
        self.meter.observe(&event);
        self.log(&event);
        let is_last = matches!(event, Event::Ended { .. });
        let record = EventRecord { call: self.call.clone(), seq: self.seq, at_ms, media_ms, event };
        if is_last {
            self.last = Some(record);
        } else if !self.store.try_record_event(record) {
            tracing::warn!(call = %self.call, "the record is behind: an event was not stored");
        }
    }

    pub(super) async fn finish(self) -> FinishedCall {
        if let Some(record) = self.last {
            self.store.record_event(record).await;
        }
        self.finished
    }

    /// What the person said is nobody's business at `info`.
    fn log(&self, event: &Event) {
        let call = &self.call;
        if let Event::Verdict { verdict, cause, confidence, at_ms, .. } = event {
            tracing::info!(%call, ?verdict, ?cause, confidence, at_ms, "verdict");
        } else if let Event::Ended { disposition, outcome } = event {
            tracing::info!(%call, ?disposition, outcome, "ended");
        } else if let Event::BargeIn { cause, at_ms, .. } = event {
            tracing::info!(%call, ?cause, at_ms, "barge-in");
        } else {
            tracing::debug!(%call, ?event, "event");
        }
    }
}
