use jiff::Timestamp;

use super::*;

const HOUR: i64 = 3_600_000;
const DAY: Duration = Duration::from_secs(86_400);

fn preset(name: &str) -> Policy {
    Policy::presets().iter().find(|policy| policy.name == name).unwrap().clone()
}

fn zones(names: &[&str]) -> Vec<TimeZone> {
    names.iter().map(|name| jiff::tz::db().get(name).unwrap()).collect()
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn call(hours_ago: i64, was_abandoned: bool, outcome: Option<&str>) -> PastCall {
    PastCall { started_ms: -hours_ago * HOUR, was_abandoned, outcome: outcome.map(str::to_owned) }
}

#[test]
fn three_are_shipped_dated_with_a_source_and_a_notice() {
    let names: Vec<_> = Policy::presets().iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["fr-d223-9", "uk-ofcom", "us-tsr"]);
    for policy in Policy::presets() {
        assert!(!policy.source.is_empty() && policy.dated.starts_with("20"), "{}", policy.name);
        assert_eq!(policy.notice, "not legal advice");
        assert!(policy.consent && policy.off.is_empty());
    }
}

#[test]
fn the_united_states_rule() {
    let policy = preset("us-tsr");
    let rule = AbandonLimit { share: 0.03, window: 30 * DAY, counts_estimate: false };
    assert_eq!(policy.abandoned, Some(rule));
    assert_eq!((policy.connect_ms, policy.per_day, policy.per_30_days), (Some(2000), Some(3), None));
    assert_eq!(policy.ours, [Rule::Attempts]);
    assert_eq!(policy.ring_at_least(), Duration::from_secs(15));
    let zones = zones(&["America/New_York"]);
    for (at, open) in [("12:59", false), ("13:00", true), ("01:59", true), ("02:00", false)] {
        let at = ms(&format!("2026-11-25T{at}:00Z"));
        assert_eq!(policy.is_open(true, Some(&zones), at), open);
        assert_eq!(matches!(policy.standing(true, Some(&zones), at), Standing::Open { .. }), open);
    }
}

#[test]
fn the_united_kingdoms_rule() {
    let policy = preset("uk-ofcom");
    let rule = AbandonLimit { share: 0.03, window: DAY, counts_estimate: true };
    assert_eq!(policy.abandoned, Some(rule));
    assert_eq!((policy.ring_ms, policy.recall_ms), (Some(15_000), Some(72 * 3_600_000)));
    assert_eq!(policy.ours, [Rule::Hours]);
    let limits = policy.limits(None, None);
    assert_eq!(limits.rests_until(&[call(71, true, None)], 0), Some((HOUR, Resting::AfterAbandoned)));
    assert_eq!(limits.rests_until(&[call(72, true, None), call(1, false, None)], 0), None);
}

#[test]
fn the_french_rule() {
    let policy = preset("fr-d223-9");
    let paris = zones(&["Europe/Paris"]);
    for (at, open) in [
        // Wednesday, winter time.
        ("2026-11-25T08:59:00Z", false),
        ("2026-11-25T09:00:00Z", true),
        ("2026-11-25T12:30:00Z", false),
        ("2026-11-25T13:00:00Z", true),
        ("2026-11-25T18:59:00Z", true),
        ("2026-11-25T19:00:00Z", false),
        // Saturday; Easter Monday; Whit Monday; Bastille Day; All Saints' is a Sunday.
        ("2026-11-28T10:00:00Z", false),
        ("2026-04-06T10:00:00Z", false),
        ("2026-05-25T10:00:00Z", false),
        ("2026-07-14T10:00:00Z", false),
        ("2026-07-15T10:00:00Z", true),
    ] {
        assert_eq!(policy.is_open(true, Some(&paris), ms(at)), open, "{at}");
    }
    let limits = policy.limits(Some(9), None);
    assert_eq!((limits.per_day, limits.per_30_days), (Some(9), Some(4)));
    let four: Vec<_> = (1..=4).map(|days| call(days * 24, false, None)).collect();
    assert_eq!(limits.rests_until(&four, 0), Some((26 * 24 * HOUR, Resting::Per30Days)));
    assert_eq!(limits.rests_until(&four[..3], 0), None);
    let refused = [call(59 * 24, false, Some("not_interested"))];
    assert_eq!(limits.rests_until(&refused, 0), Some((24 * HOUR, Resting::AfterRefusal)));
    assert_eq!(limits.rests_until(&[call(60 * 24, false, Some("refused"))], 0), None);
    assert_eq!(limits.rests_until(&[call(2, false, Some("confirmed"))], 0), None);
    assert_eq!(limits.look_back_ms(), Some(60 * 24 * HOUR));
}

#[test]
fn who_did_not_agree_and_who_is_nowhere_is_not_called() {
    let policy = preset("us-tsr");
    let (zones, now) = (zones(&["America/New_York"]), ms("2026-11-25T15:00:00Z"));
    assert_eq!(policy.standing(false, Some(&zones), now), Standing::NoConsent);
    assert_eq!(policy.standing(true, None, now), Standing::UnknownZone);
    assert_eq!(policy.standing(true, Some(&[]), now), Standing::UnknownZone);
    assert!(!policy.is_open(false, Some(&zones), now) && !policy.is_open(true, None, now));

    let mut off = policy.clone();
    off.off.insert(Rule::Consent, "our own customers".to_owned());
    assert!(off.is_open(false, Some(&zones), now));
    off.off.insert(Rule::Hours, "they asked for a call at night".to_owned());
    assert_eq!(off.standing(false, None, now), Standing::Open { until_ms: None });
    off.off.insert(Rule::Abandoned, "a trial".to_owned());
    assert!(policy.abandon_limit().is_some() && off.abandon_limit().is_none());
    off.off.insert(Rule::Attempts, "a trial".to_owned());
    assert_eq!(off.limits(None, Some(7)).per_day, None);
    off.off.insert(Rule::Ring, "a trial".to_owned());
    assert_eq!(off.ring_at_least(), Duration::ZERO);
}

#[test]
fn a_policy_is_the_same_after_it_was_stored() {
    for policy in Policy::presets() {
        let mut policy = policy.clone();
        policy.off.insert(Rule::Consent, "why".to_owned());
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }
}

#[test]
fn what_is_wrong_is_named_by_line_and_key() {
    let head = "name: own\ndated: 2026-01-01\nsource: me\nnotice: not legal advice\n";
    for (rest, words) in [
        ("hours: {mon-fri: [18:00-09:00]}\n", "5:19: hours.mon-fri[0]: `18:00-09:00` ends before it begins"),
        ("hours: {mon-fri: 9-18}\n", "`9-18` is no window: write 09:00-18:00"),
        ("hours: {mon-fir: [09:00-18:00]}\n", "`fir` is no day; known are mon, tue"),
        ("hours: {fri-mon: [09:00-18:00]}\n", "write fri-sun and mon-mon apart"),
        ("hours: {daily: [09:00-12:00, 11:00-18:00]}\n", "has windows that overlap"),
        ("hours: {mon-fri: [09:00-12:00], mon: [13:00-14:00]}\n", "mon is given twice"),
        ("hours: {}\n", "opens on no day"),
        ("holidays: [05-01]\n", "means nothing without `hours`"),
        ("hours: {daily: [09:00-12:00]}\nholidays: [02-30]\n", "6:12: holidays[0]: `02-30` is no holiday"),
        ("connect: 3s\n", "5:10: connect: the ledger counts from 2 s on"),
        ("ring: soon\n", "5:7: ring: `soon` is no time"),
        ("abandoned: {most: 3, within: 24h}\n", "abandoned.most: `3` is no share: write 3%"),
        ("abandoned: {most: 3%}\n", "`within` is missing"),
        ("attempts: {per_day: 0}\n", "0 would call nobody"),
        ("consent: maybe\n", "write required or not_required"),
        ("refusal: {rest: 60d}\n", "`outcomes` is missing"),
        ("ours: [ours]\n", "`ours` is no rule"),
        ("hour: {daily: [09:00-12:00]}\n", "unknown key `hour`; did you mean `hours`?"),
    ] {
        let error = Policy::parse(&format!("{head}{rest}"), "own.yaml").unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with("own.yaml:"), "{rest}: {error}");
    }
    let error = Policy::parse("name: a b\ndated: soon\n", "own.yaml").unwrap_err().to_string();
    for words in ["`a b` may hold only", "`soon` is no date", "`source` is missing", "`notice` is missing"] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn hours_of_a_command_line() {
    let hours = hours_of("mon-fri 09:00-12:00,14:00-18:00; sat 10:00-12:00").unwrap();
    assert_eq!((hours.days[0].len(), hours.days[5].len(), hours.days[6].len()), (2, 1, 0));
    for (text, words) in [
        ("09:00-18:00", "write days and windows"),
        ("mon-fri nine", "is no window"),
        ("monday 09:00-18:00", "`monday` is no day; did you mean `mon`?"),
        ("", "write days and windows"),
    ] {
        let error = hours_of(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}
