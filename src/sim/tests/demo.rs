use std::collections::BTreeSet;

use super::*;

#[test]
fn the_demo_calls_its_twenty_callees() {
    let cast = Cast::demo().unwrap();
    let numbers: Vec<String> = cast.contacts().filter_map(|c| c.number).collect();
    let listed: Vec<&str> = DEMO_CONTACTS.lines().skip(1).filter_map(|l| l.split(',').next()).collect();
    assert_eq!(numbers, listed);
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 20);
    assert!(cast.contacts().all(|c| !c.what.is_empty()));
    for number in &numbers {
        assert!(phonenumber::is_valid(&phonenumber::parse(None, number).unwrap()), "{number}");
    }
}

#[test]
fn the_demo_has_every_manner_that_it_promises() {
    let cast = Cast::demo().unwrap();
    let all: Vec<String> = cast.contacts().map(|c| c.what).collect();
    for what in [
        "human, short hello",
        "human, asks who it is",
        "human, interrupts",
        "human, says nothing",
        "human, presses a key",
        "voicemail with beep",
        "voicemail without beep",
        "mailbox full",
        "call screening",
        "ivr",
        "fax",
        "busy",
        "no answer",
        "unallocated",
        "silence",
    ] {
        assert!(all.iter().any(|w| w == what), "{what}");
    }
}

#[test]
fn no_recording_lies_about_unused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim/demo");
    let cast = std::fs::read_to_string(folder.join("cast.yaml")).unwrap();
    let licences = std::fs::read_to_string(folder.join("LICENSE.md")).unwrap();
    let words = std::fs::read_to_string(folder.join("words.json")).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".wav") {
            assert!(cast.contains(&name), "{name} is used by nobody");
            assert!(licences.contains(&name) || words.contains(&name), "{name} has no licence");
        }
    }
}
