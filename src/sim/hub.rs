//! Who listens to events, and how late and in what order they come.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::event::{Event, Format};
use crate::random::Random;

/// FreeSWITCH's own queue is so long; then it drops the newest.
const LISTENER_QUEUE: usize = 100_000;

/// How events reach their listeners.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// The chance that an event changes places with another of the same 20 ms; 1.0 turns every batch round.
    pub reorder: f64,
    /// Added to the 0 to 20 ms that polling takes.
    pub delay: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { reorder: 0.1, delay: Duration::ZERO }
    }
}

pub(super) struct Hub {
    core_uuid: String,
    sequence: AtomicU64,
    delivery: Mutex<Delivery>,
    random: Mutex<Random>,
    listeners: Mutex<Vec<Weak<Listener>>>,
}

impl Hub {
    pub(super) fn new(seed: u64, delivery: Delivery) -> Self {
        Self {
            core_uuid: uuid::Uuid::new_v4().to_string(),
            sequence: AtomicU64::new(1),
            delivery: Mutex::new(delivery),
            random: Mutex::new(Random(seed)),
            listeners: Mutex::default(),
        }
    }

    pub(super) fn set_delivery(&self, delivery: Delivery) {
        *lock(&self.delivery) = delivery;
    }

    /// A number in 0..1, the same for the same seed.
    pub(super) fn chance(&self) -> f64 {
        lock(&self.random).chance()
    }

    pub(super) fn listen(&self) -> Arc<Listener> {
        let listener = Arc::new(Listener::default());
        let mut all = lock(&self.listeners);
        all.retain(|l| l.strong_count() > 0);
        all.push(Arc::downgrade(&listener));
        listener
    }

    pub(super) fn publish(&self, event: Event) {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let event = Arc::new(event.stamped(&self.core_uuid, sequence));
        let due = Instant::now() + lock(&self.delivery).delay;
        for listener in lock(&self.listeners).iter().filter_map(Weak::upgrade) {
            listener.offer(&event, due);
        }
    }

    /// What a listener may be sent now, in the order in which it is sent.
    pub(super) fn due(&self, listener: &Listener) -> Vec<Arc<Event>> {
        let mut batch = listener.take_due(Instant::now());
        let reorder = lock(&self.delivery).reorder;
        if reorder >= 1.0 {
            batch.reverse();
        } else if batch.len() > 1 && reorder > 0.0 {
            let mut random = lock(&self.random);
            for i in 0..batch.len() {
                if random.chance() < reorder {
                    let other = (random.chance() * batch.len() as f64) as usize;
                    let last = batch.len() - 1;
                    batch.swap(i, other.min(last));
                }
            }
        }
        batch
    }
}

/// One ESL connection's subscriptions and what waits for it.
#[derive(Default)]
pub(super) struct Listener {
    wants: Mutex<Wants>,
    queue: Mutex<VecDeque<(Instant, Arc<Event>)>>,
}

#[derive(Debug, Default)]
pub(super) struct Wants {
    pub(super) format: Option<Format>,
    pub(super) all: bool,
    pub(super) names: HashSet<String>,
    pub(super) subclasses: HashSet<String>,
    pub(super) filters: Vec<(String, String)>,
}

impl Listener {
    pub(super) fn wants(&self) -> MutexGuard<'_, Wants> {
        lock(&self.wants)
    }

    /// Forgets what was not sent yet.
    pub(super) fn clear(&self) {
        lock(&self.queue).clear();
    }

    fn offer(&self, event: &Arc<Event>, due: Instant) {
        if !self.wants().takes(event) {
            return;
        }
        let mut queue = lock(&self.queue);
        if queue.len() < LISTENER_QUEUE {
            queue.push_back((due, event.clone()));
        }
    }

    fn take_due(&self, now: Instant) -> Vec<Arc<Event>> {
        let mut queue = lock(&self.queue);
        let due = queue.iter().take_while(|(due, _)| *due <= now).count();
        queue.drain(..due).map(|(_, event)| event).collect()
    }
}

impl Wants {
    fn takes(&self, event: &Event) -> bool {
        if self.format.is_none() {
            return false;
        }
        let named = match &event.subclass {
            Some(subclass) => self.subclasses.contains(subclass),
            None => self.names.contains(&event.name),
        };
        // Any filter makes a whitelist: an event without one of the headers is not sent.
        let passes = self.filters.is_empty()
            || self.filters.iter().any(|(n, v)| event.headers.iter().any(|(hn, hv)| hn == n && hv == v));
        (self.all || named) && passes
    }
}

/// A panic elsewhere does not make our plain data wrong.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
