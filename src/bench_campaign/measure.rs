//! Times, and what a disk takes to keep something.

use std::{fs::File, io::Write as _, os::unix::fs::FileExt as _, path::Path, time::Duration};

use serde::Serialize;

/// In milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Quantiles {
    /// Of none: zeros.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |q: f64| {
            // The smallest that so many are not above.
            let rank = (times.len() as f64 * q).ceil() as usize;
            times.get(rank.saturating_sub(1)).map_or(0.0, |time| rounded(time.as_secs_f64() * 1000.0))
        };
        Self { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A file that is written and synced, page after page, as a log is.
pub(super) struct Disk {
    file: File,
    at: u64,
}

impl Disk {
    pub(super) fn new(folder: &Path) -> std::io::Result<Self> {
        let mut file = File::create(folder.join("fsync.tmp"))?;
        file.write_all(&[0; 4096])?;
        Ok(Self { file, at: 0 })
    }

    /// How long a page takes to be kept.
    pub(super) fn sync(&mut self) -> std::io::Result<Duration> {
        self.at += 4096;
        self.file.write_all_at(&[1; 4096], self.at)?;
        let start = std::time::Instant::now();
        self.file.sync_data()?;
        Ok(start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_values_themselves() {
        let times = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(Quantiles::of(times), Quantiles { p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 });
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }
}
