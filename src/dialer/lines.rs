//! The ways out of this machine: how many calls each carries, how many may start, and how congested it is.

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use sidetone_core::{
    call::HangupCause,
    campaign::{Pace, Pacer, Throttle},
};

use crate::{config, store::GatewayStanding};

/// The limits of this sidecar and of its gateways.
#[derive(Debug, Clone, PartialEq)]
pub struct LineLimits {
    /// At least one.
    pub gateways: Vec<config::Gateway>,
    /// 0: none.
    pub max_concurrent: u32,
    /// 0: none.
    pub cps: f64,
}

impl LineLimits {
    /// Without gateways in the configuration there is one, `default`, with `switch.dial_string`.
    #[must_use]
    pub fn of(switch: &config::Switch) -> Self {
        let gateways = match switch.gateways.is_empty() {
            false => switch.gateways.clone(),
            true => Self::one(&switch.dial_string).gateways,
        };
        Self { gateways, max_concurrent: switch.max_concurrent, cps: switch.cps }
    }

    /// One gateway without limits.
    #[must_use]
    pub fn one(dial_string: &str) -> Self {
        let gateway = config::Gateway {
            name: "default".to_owned(),
            dial_string: dial_string.to_owned(),
            max_concurrent: 0,
            cps: 0.0,
        };
        Self { gateways: vec![gateway], max_concurrent: 0, cps: 0.0 }
    }
}

/// What is counted of a gateway while calls come and go.
#[derive(Debug, Default)]
pub struct Load {
    live: AtomicU32,
    ended: AtomicU32,
    congested: AtomicU32,
    /// The bits of the part of its pace that it is left.
    pace: AtomicU64,
    cause: Mutex<Option<HangupCause>>,
}

impl Load {
    /// Calls through it now.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }

    /// 1: all of its pace.
    #[must_use]
    pub fn pace(&self) -> f64 {
        f64::from_bits(self.pace.load(Ordering::Relaxed))
    }
}

/// A call's place on a gateway; dropping it frees the place.
#[derive(Debug)]
pub struct Line {
    gateway: Arc<Load>,
    machine: Arc<AtomicU32>,
    name: Arc<str>,
}

impl Line {
    /// The gateway's name.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.name
    }

    /// The call ended. `cause`: the switch's, where nobody had picked up.
    pub fn ended(&self, cause: Option<&HangupCause>) {
        self.gateway.ended.fetch_add(1, Ordering::Relaxed);
        if let Some(cause) = cause.filter(|cause| cause.is_congestion()) {
            self.gateway.congested.fetch_add(1, Ordering::Relaxed);
            *self.gateway.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause.clone());
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.gateway.live.fetch_sub(1, Ordering::Relaxed);
        self.machine.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Every way out.
pub(super) struct Lines {
    gateways: Vec<Gateway>,
    live: Arc<AtomicU32>,
    max_concurrent: u32,
    /// Where the sidecar has a pace of its own.
    pacer: Option<Pacer>,
}

struct Gateway {
    name: Arc<str>,
    dial_string: String,
    max_concurrent: Option<u32>,
    cps: Option<f64>,
    pacer: Pacer,
    throttle: Throttle,
    load: Arc<Load>,
}

/// What every gateway could start now.
pub(super) struct Room {
    /// Of each: how many more, how many live, how many at most.
    gateways: Vec<(u32, u32, Option<u32>)>,
    total: u32,
}

impl Lines {
    pub(super) fn new(limits: &LineLimits) -> Self {
        let gateways = limits.gateways.iter().map(|gateway| {
            let (max_concurrent, cps) = (some(gateway.max_concurrent), positive(gateway.cps));
            let load = Arc::new(Load::default());
            load.pace.store(1.0_f64.to_bits(), Ordering::Relaxed);
            Gateway {
                name: gateway.name.as_str().into(),
                dial_string: gateway.dial_string.clone(),
                max_concurrent,
                cps,
                pacer: Pacer::new(Pace { cps: cps.unwrap_or(1.0), max_concurrent: u32::MAX }),
                throttle: Throttle::default(),
                load,
            }
        });
        Self {
            gateways: gateways.collect(),
            live: Arc::default(),
            max_concurrent: some(limits.max_concurrent).unwrap_or(u32::MAX),
            pacer: positive(limits.cps).map(|cps| Pacer::new(Pace { cps, max_concurrent: u32::MAX })),
        }
    }

    /// What is counted of each gateway, by name.
    pub(super) fn loads(&self) -> Vec<(Arc<str>, Arc<Load>)> {
        self.gateways.iter().map(|gateway| (gateway.name.clone(), gateway.load.clone())).collect()
    }

    /// Takes in what calls came to. `wanted_cps`: what the campaigns together would start; a gateway without a pace of
    /// its own is slowed from there.
    pub(super) fn observe(&mut self, now: Duration, wanted_cps: f64) {
        for gateway in &mut self.gateways {
            let ended = gateway.load.ended.swap(0, Ordering::Relaxed);
            let congested = gateway.load.congested.swap(0, Ordering::Relaxed);
            let before = gateway.throttle.part();
            gateway.throttle.observe(now, ended, congested);
            let part = gateway.throttle.part();
            gateway.load.pace.store(part.to_bits(), Ordering::Relaxed);
            let base = gateway.cps.unwrap_or(wanted_cps.max(1.0));
            gateway.pacer.set(Pace { cps: base * part, max_concurrent: u32::MAX });
            if part < before {
                tracing::warn!(gateway = %gateway.name, pace = part, "congestion: slowed down");
            } else if part == 1.0 && before < 1.0 {
                tracing::info!(gateway = %gateway.name, "at full pace again");
                *gateway.load.cause.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
    }

    /// How many calls may start now. Asking changes nothing.
    pub(super) fn room(&mut self, now: Duration) -> Room {
        let gateways: Vec<_> = self
            .gateways
            .iter_mut()
            .map(|gateway| {
                let live = gateway.load.live();
                let free = gateway.max_concurrent.map_or(u32::MAX, |most| most.saturating_sub(live));
                let paced = match gateway.cps.is_some() || gateway.throttle.part() < 1.0 {
                    true => gateway.pacer.allowed(now, 0),
                    false => u32::MAX,
                };
                (free.min(paced), live, gateway.max_concurrent)
            })
            .collect();
        let here = self.max_concurrent.saturating_sub(self.live.load(Ordering::Relaxed));
        let paced = self.pacer.as_mut().map_or(u32::MAX, |pacer| pacer.allowed(now, 0));
        let ways = gateways.iter().fold(0_u32, |sum, (free, ..)| sum.saturating_add(*free));
        Room { gateways, total: ways.min(here).min(paced) }
    }

    /// A call starts through a gateway that [`Room::take`] gave.
    pub(super) fn start(&mut self, gateway: usize, now: Duration) -> Option<Line> {
        let gateway = self.gateways.get_mut(gateway)?;
        gateway.pacer.started(now);
        if let Some(pacer) = &mut self.pacer {
            pacer.started(now);
        }
        gateway.load.live.fetch_add(1, Ordering::Relaxed);
        self.live.fetch_add(1, Ordering::Relaxed);
        Some(Line { gateway: gateway.load.clone(), machine: self.live.clone(), name: gateway.name.clone() })
    }

    pub(super) fn name(&self, gateway: usize) -> &str {
        self.gateways.get(gateway).map_or("", |gateway| &gateway.name)
    }

    /// What the switch is told to dial. `{e164}` is `+33612345678`, `{digits}` `33612345678`.
    pub(super) fn dial(&self, gateway: usize, e164: &str) -> String {
        let dial_string = self.gateways.get(gateway).map_or("", |gateway| &gateway.dial_string);
        dial_string.replace("{e164}", e164).replace("{digits}", e164.trim_start_matches('+'))
    }

    pub(super) fn standing(&self, instance: &str) -> Vec<GatewayStanding> {
        let of = |gateway: &Gateway| GatewayStanding {
            instance: instance.to_owned(),
            name: gateway.name.to_string(),
            live: gateway.load.live(),
            max_concurrent: gateway.max_concurrent,
            cps: gateway.cps,
            pace: gateway.throttle.part(),
            cause: gateway
                .load
                .cause
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map(|cause| cause.as_str().to_owned()),
        };
        self.gateways.iter().map(of).collect()
    }
}

impl Room {
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// The gateways for the next `n` calls, each the one with most room: by the share of its limit that is taken, then
    /// by calls. Fewer where there is no more room.
    pub(super) fn take(&mut self, n: u32) -> Vec<usize> {
        let mut taken = Vec::new();
        while taken.len() < n.min(self.total) as usize {
            let filled =
                |live: u32, most: Option<u32>| most.map_or(0.0, |most| f64::from(live) / f64::from(most));
            let next = (0..self.gateways.len()).filter(|i| self.gateways[*i].0 > 0).min_by(|a, b| {
                let ((_, live_a, most_a), (_, live_b, most_b)) = (self.gateways[*a], self.gateways[*b]);
                filled(live_a, most_a).total_cmp(&filled(live_b, most_b)).then(live_a.cmp(&live_b))
            });
            let Some(next) = next else { break };
            let (free, live, _) = &mut self.gateways[next];
            (*free, *live) = (free.saturating_sub(1), live.saturating_add(1));
            taken.push(next);
        }
        self.total -= u32::try_from(taken.len()).unwrap_or(u32::MAX).min(self.total);
        taken
    }
}

fn some(limit: u32) -> Option<u32> {
    (limit > 0).then_some(limit)
}

fn positive(cps: f64) -> Option<f64> {
    (cps > 0.0).then_some(cps)
}
