//! Shares with their uncertainty, and percentiles.

use serde::Serialize;

/// `k` of `n`, with the 95 % Wilson interval of the rate. Without any, the rate is unknown: `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Count {
    pub k: usize,
    pub n: usize,
    pub rate: Option<f64>,
    pub ci95: Option<[f64; 2]>,
}

impl Count {
    #[must_use]
    pub fn new(k: usize, n: usize) -> Self {
        let rate = (n > 0).then(|| k as f64 / n as f64);
        Self { k, n, rate, ci95: wilson(k, n) }
    }

    /// How many of `items` are so.
    pub fn of<T>(items: impl IntoIterator<Item = T>, is: impl Fn(&T) -> bool) -> Self {
        let (k, n) = items.into_iter().fold((0, 0), |(k, n), item| (k + usize::from(is(&item)), n + 1));
        Self::new(k, n)
    }
}

/// `3/213 1.4 % (0.5-4.1)`.
impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.k, self.n)?;
        if let (Some(rate), Some([low, high])) = (self.rate, self.ci95) {
            write!(f, " {:.1} % ({:.1}-{:.1})", rate * 100.0, low * 100.0, high * 100.0)?;
        }
        Ok(())
    }
}

/// The normal distribution's 97.5 % point.
const Z: f64 = 1.959_963_984_540_054;

fn wilson(k: usize, n: usize) -> Option<[f64; 2]> {
    if n == 0 {
        return None;
    }
    let (n, p) = (n as f64, k as f64 / n as f64);
    let z2 = Z * Z;
    let middle = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    Some([((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0)])
}

/// How values are spread: milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub n: usize,
    pub p50: Option<i64>,
    pub p95: Option<i64>,
}

impl Spread {
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = i64>) -> Self {
        let mut sorted: Vec<i64> = values.into_iter().collect();
        sorted.sort_unstable();
        Self { n: sorted.len(), p50: percentile(&sorted, 50), p95: percentile(&sorted, 95) }
    }
}

/// `p50 620, p95 1240`.
impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.p50, self.p95) {
            (Some(p50), Some(p95)) => write!(f, "{p50} / {p95}"),
            (None, _) | (_, None) => f.write_str("-"),
        }
    }
}

/// Nearest rank: a value that occurred.
fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
