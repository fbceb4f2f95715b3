use super::*;

const APPOINTMENT: &str = include_str!("../../../../scenarios/appointment-reminder.yaml");

fn parse(yaml: &str) -> Scenario {
    Scenario::parse(yaml, "test.yaml").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn shipped_scenarios_parse() {
    assert!(parse(APPOINTMENT).warnings().is_empty());
}
