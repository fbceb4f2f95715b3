//! What a process used, and how long things took: all in constant memory.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use rustix::{
    process::setpriority_process,
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// CPU time of this process so far: every thread, user and system.
#[must_use]
pub(super) fn cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// A clock that all processes of this machine share, in nanoseconds.
#[must_use]
pub(super) fn now_ns() -> u64 {
    u64::try_from(clock(ClockId::Monotonic).as_nanos()).unwrap_or(u64::MAX)
}

/// Resident memory of this process, in kB.
#[must_use]
pub(super) fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Keeps this thread, and those it starts from now on, on one core. Where that core is not ours, nothing changes.
pub(super) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).ok();
    // Whatever else runs here is not what is measured. Allowed to root only.
    setpriority_process(None, -15).ok();
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

const BUCKET_NS: u64 = 10_000;
const BUCKETS: usize = 20_000;

/// Counts of delays in steps of 10 us up to 200 ms.
pub(super) struct Delays {
    buckets: Vec<AtomicU64>,
    longest_ns: AtomicU64,
}

impl Delays {
    pub(super) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), longest_ns: AtomicU64::new(0) }
    }

    pub(super) fn add_ns(&self, ns: u64) {
        let at = usize::try_from(ns / BUCKET_NS).unwrap_or(BUCKETS).min(BUCKETS - 1);
        self.buckets[at].fetch_add(1, Relaxed);
        self.longest_ns.fetch_max(ns, Relaxed);
    }

    pub(super) fn reset(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Relaxed));
        self.longest_ns.store(0, Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// In milliseconds, rounded up to the step; 0 for none.
    pub(super) fn quantile_ms(&self, q: f64) -> f64 {
        let wanted = (self.count() as f64 * q).ceil() as u64;
        let mut seen = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.load(Relaxed);
            if seen >= wanted && seen > 0 {
                return (at as u64 + 1) as f64 * BUCKET_NS as f64 / 1e6;
            }
        }
        0.0
    }

    pub(super) fn longest_ms(&self) -> f64 {
        self.longest_ns.load(Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_one_step() {
        let delays = Delays::new();
        assert_eq!(delays.quantile_ms(0.99), 0.0);
        (1..=100).for_each(|ms| delays.add_ns(ms * 1_000_000 - 1));
        assert!((delays.quantile_ms(0.5) - 50.0).abs() < 0.02, "{}", delays.quantile_ms(0.5));
        assert!((delays.quantile_ms(0.99) - 99.0).abs() < 0.02);
        delays.add_ns(10_000_000_000);
        assert_eq!((delays.count(), delays.longest_ms()), (101, 10_000.0));
    }

    #[test]
    fn this_process_uses_cpu_and_memory() {
        let before = cpu();
        let mut sum = 0u64;
        while cpu() - before < Duration::from_millis(2) {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        assert!(sum > 0 && resident_kb() > 1000);
    }
}
