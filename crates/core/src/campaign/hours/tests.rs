use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;

fn zone(name: &str) -> TimeZone {
    jiff::tz::db().get(name).unwrap()
}

fn daily(windows: &[(u16, u16)]) -> Hours {
    let day: Vec<_> = windows.iter().map(|(from, to)| Window { from: from * 60, to: to * 60 }).collect();
    Hours { days: std::array::from_fn(|_| day.clone()), holidays: Vec::new() }
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

#[test]
fn easter_of_many_years() {
    for (year, month, day) in
        [(1961, 4, 2), (2000, 4, 23), (2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2038, 4, 25)]
    {
        assert_eq!(easter(year), Some(date(year, month, day)));
    }
}

#[test]
fn a_window_is_the_callees_and_not_ours() {
    let hours = daily(&[(8, 21)]);
    // 08:30 in New York is 05:30 in Los Angeles.
    let now = ms("2026-11-25T13:30:00Z");
    assert!(hours.is_open(&zone("America/New_York"), now));
    assert!(!hours.is_open(&zone("America/Los_Angeles"), now));
    let opens_ms = ms("2026-11-25T16:00:00Z");
    assert_eq!(hours.opening(&zone("America/Los_Angeles"), now), Opening::Closed { opens_ms });
    let until_ms = Some(ms("2026-11-26T02:00:00Z"));
    assert_eq!(hours.opening(&zone("America/New_York"), now), Opening::Open { until_ms });
    let both = [zone("America/New_York"), zone("America/Los_Angeles")];
    assert_eq!(opening_in_all(std::slice::from_ref(&hours), &both, now), Opening::Closed { opens_ms });
    assert_eq!(opening_in_all(std::slice::from_ref(&hours), &both, opens_ms), Opening::Open { until_ms });
}

#[test]
fn the_first_minute_is_in_and_the_last_is_out() {
    let (hours, paris) = (daily(&[(10, 13), (14, 20)]), zone("Europe/Paris"));
    for (at, open) in [
        ("08:59", false),
        ("09:00", true),
        ("11:59", true),
        ("12:00", false),
        ("13:00", true),
        ("19:00", false),
    ] {
        assert_eq!(hours.is_open(&paris, ms(&format!("2026-11-25T{at}:00Z"))), open, "{at} UTC");
    }
}

#[test]
fn weekends_and_holidays_are_passed_over() {
    let mut hours = daily(&[(10, 13), (14, 20)]);
    (hours.days[5], hours.days[6]) = (Vec::new(), Vec::new());
    hours.holidays = vec![Holiday::Fixed { month: 5, day: 1 }, Holiday::Easter(1), Holiday::Easter(39)];
    let paris = zone("Europe/Paris");
    // Good Friday evening: Saturday, Sunday and Easter Monday are closed.
    let opens_ms = ms("2026-04-07T08:00:00Z");
    assert_eq!(hours.opening(&paris, ms("2026-04-03T18:00:00Z")), Opening::Closed { opens_ms });
    // The first of May is a Friday, Ascension Day the fourteenth.
    assert!(!hours.is_open(&paris, ms("2026-05-01T10:00:00Z")));
    assert!(!hours.is_open(&paris, ms("2026-05-14T10:00:00Z")));
    assert!(hours.is_open(&paris, ms("2026-05-15T10:00:00Z")));
}

#[test]
fn windows_that_never_meet_never_open() {
    let zones = [zone("Europe/Paris"), zone("Pacific/Auckland")];
    assert_eq!(opening_in_all(&[daily(&[(9, 12)])], &zones, ms("2026-11-25T09:00:00Z")), Opening::Never);
    assert_eq!(daily(&[]).opening(&zones[0], 0), Opening::Never);
    assert_eq!(daily(&[(0, 24)]).opening(&zones[0], 0), Opening::Open { until_ms: None });
}

#[test]
fn a_skipped_hour_opens_nothing_early_and_a_repeated_one_nothing_twice_as_long() {
    let paris = zone("Europe/Paris");
    // 29 March 2026: 02:00 becomes 03:00 (01:00 UTC). 25 October: 03:00 becomes 02:00 (01:00 UTC).
    let (spring, autumn) = (ms("2026-03-29T00:30:00Z"), ms("2026-10-25T00:30:00Z"));
    let early = daily(&[(3, 6)]);
    assert_eq!(early.opening(&paris, spring), Opening::Closed { opens_ms: spring + HOUR / 2 });
    assert_eq!(early.opening(&paris, autumn), Opening::Closed { opens_ms: autumn + HOUR / 2 + HOUR });
    // Its beginning is skipped: it opens where the clock goes on.
    assert_eq!(daily(&[(2, 6)]).opening(&paris, spring), Opening::Closed { opens_ms: spring + HOUR / 2 });
    // Its end is skipped.
    assert_eq!(daily(&[(1, 3)]).opening(&paris, spring), Opening::Open { until_ms: Some(spring + HOUR / 2) });
    // 02:00 to 03:00 comes twice: open both times.
    let twice = Opening::Open { until_ms: Some(autumn + HOUR / 2 + HOUR) };
    assert_eq!(daily(&[(2, 3)]).opening(&paris, autumn), twice);
}

/// Within a few days of a change of offset, minute by minute against the civil time.
#[derive(Debug, Clone)]
struct Around {
    zone: &'static str,
    change: &'static str,
}

fn around() -> impl Strategy<Value = Around> {
    prop::sample::select(vec![
        Around { zone: "Europe/Paris", change: "2026-03-29T01:00:00Z" },
        Around { zone: "Europe/Paris", change: "2026-10-25T01:00:00Z" },
        Around { zone: "America/New_York", change: "2026-03-08T07:00:00Z" },
        Around { zone: "America/New_York", change: "2026-11-01T06:00:00Z" },
        // Half an hour.
        Around { zone: "Australia/Lord_Howe", change: "2026-04-04T15:00:00Z" },
        // A whole day was skipped.
        Around { zone: "Pacific/Apia", change: "2011-12-30T10:00:00Z" },
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_opening_is_the_first_minute_that_is_open(
        around in around(),
        from in 0..47_u16,
        length in 1..20_u16,
        before in -2000..600_i64,
    ) {
        let window = Window { from: from * 30, to: (from + length).min(48) * 30 };
        let hours = Hours { days: std::array::from_fn(|_| vec![window]), holidays: Vec::new() };
        let zone = zone(around.zone);
        let now = ms(around.change) + before * 60_000;
        let minutes = || (1..).map(|i| now + i * 60_000);
        let changes = |open| minutes().find(|at| hours.is_open(&zone, *at) == open).unwrap();
        match hours.opening(&zone, now) {
            Opening::Open { until_ms } => {
                prop_assert!(hours.is_open(&zone, now));
                // Open all day and night where the window is the whole day.
                if window != (Window { from: 0, to: 1440 }) {
                    prop_assert_eq!(until_ms, Some(changes(false)));
                }
            }
            Opening::Closed { opens_ms } => {
                prop_assert!(!hours.is_open(&zone, now));
                prop_assert_eq!(opens_ms, changes(true));
            }
            Opening::Never => prop_assert!(false, "never"),
        }
    }

    #[test]
    fn never_open_outside_the_civil_window(around in around(), at in -3000..3000_i64) {
        let hours = daily(&[(8, 21)]);
        let zone = zone(around.zone);
        let at = ms(around.change) + at * 60_000;
        let local = zone.to_datetime(Timestamp::from_millisecond(at).unwrap());
        prop_assert_eq!(hours.is_open(&zone, at), (8..21).contains(&local.hour()));
    }

    #[test]
    fn in_all_zones_or_in_none(at in 0..2_000_000_i64, months in 0..600_i64) {
        let zones = [zone("America/New_York"), zone("America/Denver"), zone("Pacific/Honolulu")];
        let hours = [daily(&[(8, 21)])];
        let now = ms("2026-01-01T00:00:00Z") + at * 60_000 / 40 + months * 24 * HOUR;
        let open = |at: i64| zones.iter().all(|zone| hours[0].is_open(zone, at));
        match opening_in_all(&hours, &zones, now) {
            Opening::Open { until_ms } => {
                let until = until_ms.unwrap();
                prop_assert!(open(now) && open(until - 1) && !open(until));
            }
            Opening::Closed { opens_ms } => {
                prop_assert!(!open(now) && open(opens_ms) && !open(opens_ms - 1));
            }
            Opening::Never => prop_assert!(false, "never"),
        }
    }
}
