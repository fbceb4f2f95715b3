//! When somebody may be called: weekly windows in the callee's own civil time, without public holidays.
//!
//! Zones are handed in. Whether it is open is asked of the civil time itself, so that neither a skipped nor a repeated
//! hour can open what is closed.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

const MINUTES: u16 = 24 * 60;
/// The next opening is looked for so many days ahead.
const LOOK_DAYS: u32 = 400;
/// Zones are followed through at most so many of each other's openings.
const MOST_STEPS: u32 = 2000;

/// A part of a day: minutes since midnight, the last one excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    pub from: u16,
    pub to: u16,
}

/// A day of every year on which nobody is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holiday {
    Fixed {
        month: i8,
        day: i8,
    },
    /// So many days after Easter Sunday.
    Easter(i16),
}

/// A week's windows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Monday first; each day's windows in order.
    pub days: [Vec<Window>; 7],
    pub holidays: Vec<Holiday>,
}

/// Whether it is open, and until or from when. Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// `None`: as far as one can see.
    Open {
        until_ms: Option<i64>,
    },
    Closed {
        opens_ms: i64,
    },
    /// Not within a year: these zones' windows never meet.
    Never,
}

impl Hours {
    /// Whether the civil time of `zone` lies within a window.
    #[must_use]
    pub fn is_open(&self, zone: &TimeZone, now_ms: i64) -> bool {
        let Ok(now) = Timestamp::from_millisecond(now_ms) else { return false };
        let local = zone.to_datetime(now);
        let minute =
            u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(MINUTES);
        self.on(local.date()).iter().any(|window| (window.from..window.to).contains(&minute))
    }

    /// Whether it is open in `zone`, and until or from when.
    #[must_use]
    pub fn opening(&self, zone: &TimeZone, now_ms: i64) -> Opening {
        match self.is_open(zone, now_ms) {
            true => Opening::Open { until_ms: self.next_edge(zone, now_ms, false) },
            false => self
                .next_edge(zone, now_ms, true)
                .map_or(Opening::Never, |opens_ms| Opening::Closed { opens_ms }),
        }
    }

    /// The first instant after `now_ms` at which it is open, or closed. It changes only at a window's end or where the
    /// zone's offset does.
    fn next_edge(&self, zone: &TimeZone, now_ms: i64, open: bool) -> Option<i64> {
        let now = Timestamp::from_millisecond(now_ms).ok()?;
        let fits = |at: &i64| *at > now_ms && self.is_open(zone, *at) == open;
        let at_offset =
            zone.following(now).take(8).map(|transition| transition.timestamp().as_millisecond()).find(fits);
        let today = zone.to_datetime(now).date();
        let mut date = today.yesterday().unwrap_or(today);
        for _ in 0..=LOOK_DAYS {
            let edges = self.on(date).iter().map(|window| if open { window.from } else { window.to });
            let first = edges.flat_map(|minute| instants(zone, date, minute)).flatten().filter(fits).min();
            if let Some(first) = first {
                return Some(at_offset.map_or(first, |at| at.min(first)));
            }
            date = date.tomorrow().ok()?;
        }
        at_offset
    }

    fn on(&self, date: Date) -> &[Window] {
        if self.holidays.iter().any(|holiday| holiday.is(date)) {
            return &[];
        }
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
        self.days.get(day).map_or(&[], Vec::as_slice)
    }
}

/// The instants of a civil time: two where the hour is repeated, none where it is skipped.
fn instants(zone: &TimeZone, date: Date, minute: u16) -> [Option<i64>; 2] {
    let (date, minute) = match minute {
        MINUTES.. => (date.tomorrow().unwrap_or(date), 0),
        within => (date, within),
    };
    let hour = i8::try_from(minute / 60).unwrap_or_default();
    let civil = date.at(hour, i8::try_from(minute % 60).unwrap_or_default(), 0, 0);
    let at = |found: Result<Timestamp, jiff::Error>| {
        let at = found.ok()?;
        (zone.to_datetime(at) == civil).then(|| at.as_millisecond())
    };
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    [at(ambiguous.earlier()), at(ambiguous.later())]
}

/// Whether every one of these hours is open in every one of these zones, and until or from when.
#[must_use]
pub(super) fn opening_in_all(hours: &[Hours], zones: &[TimeZone], now_ms: i64) -> Opening {
    let mut at_ms = now_ms;
    for _ in 0..MOST_STEPS {
        let mut until: Option<i64> = None;
        let mut opens = at_ms;
        for opening in hours.iter().flat_map(|hours| zones.iter().map(move |zone| hours.opening(zone, at_ms)))
        {
            match opening {
                Opening::Open { until_ms } => until = earlier(until, until_ms),
                Opening::Closed { opens_ms } => opens = opens.max(opens_ms),
                Opening::Never => return Opening::Never,
            }
        }
        if opens > at_ms {
            at_ms = opens;
            continue;
        }
        return match at_ms == now_ms {
            true => Opening::Open { until_ms: until },
            false => Opening::Closed { opens_ms: at_ms },
        };
    }
    Opening::Never
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

impl Holiday {
    fn is(self, date: Date) -> bool {
        match self {
            Self::Fixed { month, day } => (date.month(), date.day()) == (month, day),
            Self::Easter(days) => {
                easter(date.year()).and_then(|easter| easter.checked_add(jiff::Span::new().days(days)).ok())
                    == Some(date)
            }
        }
    }
}

/// Easter Sunday of the Gregorian calendar (the anonymous algorithm, as in Meeus, Astronomical Algorithms, chapter 8).
#[must_use]
pub(super) fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

#[cfg(test)]
mod tests;
