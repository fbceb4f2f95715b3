use super::*;

fn gateway(name: &str, max_concurrent: u32, cps: f64) -> config::Gateway {
    let dial_string = format!("sofia/gateway/{name}/{{digits}}");
    config::Gateway { name: name.to_owned(), dial_string, max_concurrent, cps }
}

fn lines(gateways: Vec<config::Gateway>, max_concurrent: u32, cps: f64) -> Lines {
    Lines::new(&LineLimits { gateways, max_concurrent, cps })
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Starts all that may start now.
fn start_all(lines: &mut Lines, now: Duration) -> Vec<Line> {
    let mut room = lines.room(now);
    let ways = room.take(1000);
    ways.into_iter().filter_map(|way| lines.start(way, now)).collect()
}

#[test]
fn calls_go_where_most_room_is_and_no_gateway_has_more_than_it_may() {
    let mut lines = lines(vec![gateway("a", 4, 0.0), gateway("b", 2, 0.0)], 0, 0.0);
    assert_eq!(lines.room(at(0)).total(), 6);
    let held = start_all(&mut lines, at(0));
    let count = |name| held.iter().filter(|line| line.gateway() == name).count();
    assert_eq!((count("a"), count("b")), (4, 2));
    assert_eq!(lines.room(at(1)).total(), 0);
    drop(held);
    let ways = lines.room(at(2)).take(3);
    assert_eq!(ways, [0, 1, 0], "a fourth of the one is less than half of the other");
    assert_eq!(lines.dial(1, "+33612345678"), "sofia/gateway/b/33612345678");
}

#[test]
fn the_machines_own_limits_hold_for_all_gateways_together() {
    let mut lines = lines(vec![gateway("a", 0, 0.0), gateway("b", 0, 0.0)], 3, 0.0);
    let held = start_all(&mut lines, at(0));
    assert_eq!(held.len(), 3);
    assert!(start_all(&mut lines, at(5000)).is_empty());
    let mut paced = self::lines(vec![gateway("a", 0, 0.0)], 0, 5.0);
    let mut started = Vec::new();
    for tick in 0..100 {
        started.extend(start_all(&mut paced, at(tick * 50)).iter().map(|_| tick * 50));
    }
    assert!((20..=25).contains(&started.len()), "{started:?}");
    assert!(started.windows(6).all(|six| six[5] - six[0] >= 1000), "{started:?}");
}

#[test]
fn a_gateways_pace_holds_in_any_second() {
    let mut lines = lines(vec![gateway("a", 0, 4.0)], 0, 0.0);
    let mut started = Vec::new();
    for tick in 0..100 {
        lines.observe(at(tick * 50), 100.0);
        started.extend(start_all(&mut lines, at(tick * 50)).iter().map(|_| tick * 50));
    }
    assert!(started.len() >= 15, "{started:?}");
    assert!(started.windows(5).all(|five| five[4] - five[0] >= 1000), "{started:?}");
}

#[test]
fn congestion_slows_its_own_gateway_until_it_is_over() {
    let mut lines = lines(vec![gateway("a", 0, 0.0), gateway("b", 0, 0.0)], 0, 0.0);
    let line = lines.start(0, at(0)).unwrap();
    line.ended(Some(&HangupCause::new("NORMAL_CIRCUIT_CONGESTION")));
    drop(line);
    let line = lines.start(1, at(0)).unwrap();
    line.ended(Some(&HangupCause::new("USER_BUSY")));
    drop(line);
    lines.observe(at(1000), 10.0);
    let slowed = lines.standing("one");
    assert_eq!((slowed[0].pace, slowed[0].cause.as_deref()), (0.5, Some("NORMAL_CIRCUIT_CONGESTION")));
    assert_eq!((slowed[1].pace, slowed[1].cause.as_deref()), (1.0, None));
    let room = lines.room(at(1000));
    assert!(room.gateways[0].0 <= 5 && room.gateways[1].0 == u32::MAX);
    for second in 2..=12 {
        lines.observe(at(second * 1000), 10.0);
    }
    assert_eq!((lines.standing("one")[0].pace, lines.standing("one")[0].cause.clone()), (1.0, None));
}

#[test]
fn without_gateways_there_is_the_dial_string() {
    let limits = LineLimits::of(&config::Switch::default());
    assert_eq!((limits.gateways.len(), limits.gateways[0].name.as_str()), (1, "default"));
    let mut lines = Lines::new(&limits);
    assert_eq!(lines.room(at(0)).total(), u32::MAX);
}
