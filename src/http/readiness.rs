//! Whether new calls may be expected to go well.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use crate::asr::NotAdmitting;

/// Set by those who know, read by `/readyz`. Cloning it copies a pointer. At first nothing is ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    switch: AtomicBool,
    model: AtomicBool,
    store: AtomicBool,
    draining: AtomicBool,
    deaf: Mutex<Option<NotAdmitting>>,
}

/// Something that keeps the service from being ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    SwitchDown,
    ModelNotLoaded,
    StoreNotWritable,
    Draining,
    AsrFailing,
    AsrThinning,
    AsrSlow,
    AsrNoSlots,
}

impl NotReady {
    pub(super) fn means(self) -> &'static str {
        match self {
            Self::SwitchDown => "FreeSWITCH's event socket (switch.esl) is not connected",
            Self::ModelNotLoaded => "the speech model (asr.model) is not loaded",
            Self::StoreNotWritable => "the database (store.url) cannot be written",
            Self::Draining => "the service stops: no new calls",
            Self::AsrFailing => {
                "the recogniser fails: live calls go on by voice activity alone, and it is tried again by itself"
            }
            Self::AsrThinning => "the recogniser is behind: looks at what people say are left out",
            Self::AsrSlow => "the recogniser is behind: transcriptions wait too long (asr.admit_wait)",
            Self::AsrNoSlots => "the recogniser is behind: its queue is half full (asr.queue_length)",
        }
    }
}

impl From<NotAdmitting> for NotReady {
    fn from(why: NotAdmitting) -> Self {
        match why {
            NotAdmitting::Failing => Self::AsrFailing,
            NotAdmitting::Thinning => Self::AsrThinning,
            NotAdmitting::Slow => Self::AsrSlow,
            NotAdmitting::NoSlots => Self::AsrNoSlots,
        }
    }
}

impl Readiness {
    /// Whether the recogniser can hear one more call.
    pub fn set_hearing(&self, admits: Result<(), NotAdmitting>) {
        *self.0.deaf.lock().unwrap_or_else(PoisonError::into_inner) = admits.err();
    }

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
        .chain(flags.deaf.lock().unwrap_or_else(PoisonError::into_inner).map(NotReady::from))
        .collect()
    }
}
