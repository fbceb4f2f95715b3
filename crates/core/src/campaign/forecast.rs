//! When a campaign will have called everybody, at its pace and within its windows.

use super::Standing;

/// It is looked ahead no further.
const HORIZON_MS: i64 = 366 * 24 * 3600 * 1000;
const MOST_STEPS: u32 = 20_000;

/// Contacts who may be called at the same times.
pub struct Waiting<'a> {
    /// Calls still to be made.
    pub calls: f64,
    /// The last of them is not due before this.
    pub due_ms: i64,
    pub standing: &'a dyn Fn(i64) -> Standing,
}

/// When the last call ends, in unix milliseconds; `None`: not within a year. `per_second`: calls that can be carried out
/// a second while any window is open; `call_ms`: how long one lasts.
#[must_use]
pub fn done_at(mut waiting: Vec<Waiting<'_>>, per_second: f64, call_ms: i64, now_ms: i64) -> Option<i64> {
    let per_ms = per_second / 1000.0;
    if !per_ms.is_finite() || per_ms <= 0.0 {
        return None;
    }
    let mut at_ms = now_ms;
    waiting.retain(|cohort| cohort.calls > 0.0);
    for _ in 0..MOST_STEPS {
        if waiting.is_empty() {
            return Some(at_ms.saturating_add(call_ms));
        }
        // Until when nothing changes, and who may be called meanwhile.
        let mut change_ms = i64::MAX;
        let mut open = Vec::new();
        for (index, cohort) in waiting.iter().enumerate() {
            match (cohort.standing)(at_ms) {
                Standing::Open { until_ms } if cohort.due_ms <= at_ms => {
                    change_ms = change_ms.min(until_ms.unwrap_or(i64::MAX));
                    open.push(index);
                }
                Standing::Open { .. } => change_ms = change_ms.min(cohort.due_ms),
                Standing::Closed { opens_ms } => change_ms = change_ms.min(opens_ms),
                Standing::UnknownZone | Standing::NeverOpen | Standing::NoConsent => return None,
            }
        }
        let left: f64 = open.iter().map(|index| waiting[*index].calls).sum();
        let needed_ms = whole_ms(left / per_ms);
        let step_ms = match open.is_empty() {
            true => change_ms.saturating_sub(at_ms),
            false => needed_ms.min(change_ms.saturating_sub(at_ms)),
        };
        let mut capacity = step_ms as f64 * per_ms;
        for index in open {
            let done = capacity.min(waiting[index].calls);
            capacity -= done;
            waiting[index].calls -= done;
        }
        waiting.retain(|cohort| cohort.calls > 1e-6);
        at_ms = at_ms.saturating_add(step_ms.max(1));
        if at_ms - now_ms > HORIZON_MS {
            return None;
        }
    }
    None
}

fn whole_ms(ms: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, as wanted")]
    let whole = ms.ceil().max(0.0) as i64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// Open for the first hour of every four.
    fn one_of_four(at_ms: i64) -> Standing {
        let into = at_ms.rem_euclid(4 * HOUR);
        match into < HOUR {
            true => Standing::Open { until_ms: Some(at_ms - into + HOUR) },
            false => Standing::Closed { opens_ms: at_ms - into + 4 * HOUR },
        }
    }

    fn always(_: i64) -> Standing {
        Standing::Open { until_ms: None }
    }

    fn cohort(calls: f64, standing: &dyn Fn(i64) -> Standing) -> Waiting<'_> {
        Waiting { calls, due_ms: 0, standing }
    }

    #[test]
    fn the_pace_and_the_windows_decide() {
        assert_eq!(done_at(vec![cohort(3600.0, &always)], 1.0, 30_000, 0), Some(HOUR + 30_000));
        assert_eq!(done_at(vec![cohort(5400.0, &one_of_four)], 1.0, 0, 0), Some(4 * HOUR + HOUR / 2));
        // It begins outside a window.
        assert_eq!(done_at(vec![cohort(1800.0, &one_of_four)], 1.0, 0, 2 * HOUR), Some(4 * HOUR + HOUR / 2));
        // While one window is closed the others go on.
        let both = vec![cohort(3600.0, &one_of_four), cohort(3600.0, &always)];
        assert_eq!(done_at(both, 1.0, 0, 0), Some(2 * HOUR));
        assert_eq!(done_at(Vec::new(), 1.0, 0, 7), Some(7));
    }

    #[test]
    fn a_later_due_time_is_waited_for() {
        let later = Waiting { due_ms: 5 * HOUR, ..cohort(3600.0, &always) };
        assert_eq!(done_at(vec![later], 1.0, 0, 0), Some(6 * HOUR));
    }

    #[test]
    fn what_never_ends_has_no_end() {
        assert_eq!(done_at(vec![cohort(1.0, &|_| Standing::NoConsent)], 1.0, 0, 0), None);
        assert_eq!(done_at(vec![cohort(1.0, &always)], 0.0, 0, 0), None);
        assert_eq!(done_at(vec![cohort(1e12, &always)], 1.0, 0, 0), None);
    }
}
