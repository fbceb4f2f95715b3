//! Whether new calls may be expected to go well.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

/// Set by those who know, read by `/readyz`. Cloning it copies a pointer. At first nothing is ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    switch: AtomicBool,
    model: AtomicBool,
    store: AtomicBool,
    draining: AtomicBool,
}

/// Something that keeps the service from being ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    SwitchDown,
    ModelNotLoaded,
    StoreNotWritable,
    Draining,
}

impl NotReady {
    pub(super) fn means(self) -> &'static str {
        match self {
            Self::SwitchDown => "FreeSWITCH's event socket (switch.esl) is not connected",
            Self::ModelNotLoaded => "the speech model (asr.model) is not loaded",
            Self::StoreNotWritable => "the database (store.url) cannot be written",
            Self::Draining => "the service stops: no new calls",
        }
    }
}

impl Readiness {
    pub fn set_switch(&self, up: bool) {
        self.0.switch.store(up, Ordering::Relaxed);
    }

    pub fn set_model(&self, loaded: bool) {
        self.0.model.store(loaded, Ordering::Relaxed);
    }

    pub fn set_store(&self, writable: bool) {
        self.0.store.store(writable, Ordering::Relaxed);
    }

    pub fn set_draining(&self, draining: bool) {
        self.0.draining.store(draining, Ordering::Relaxed);
    }

    /// What is missing; empty: ready.
    #[must_use]
    pub fn missing(&self) -> Vec<NotReady> {
        let flags = &self.0;
        [
            (!flags.switch.load(Ordering::Relaxed), NotReady::SwitchDown),
            (!flags.model.load(Ordering::Relaxed), NotReady::ModelNotLoaded),
            (!flags.store.load(Ordering::Relaxed), NotReady::StoreNotWritable),
            (flags.draining.load(Ordering::Relaxed), NotReady::Draining),
        ]
        .into_iter()
        .filter_map(|(missing, why)| missing.then_some(why))
        .collect()
    }
}
