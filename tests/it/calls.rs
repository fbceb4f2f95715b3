//! Whole calls over real sockets: the service against the stand-in.

use std::time::Duration;

use sidetone_core::{
    amd::{Cause, Verdict},
    call::{Disposition, Event},
};

use crate::support::{HELLO, MACHINE, STOP, Setup, YES, metric, names};

const ANNA: &str = "+442079460101";

/// Says hello and yes.
fn anna() -> String {
    format!(
        "  - name: Anna\n    number: \"{ANNA}\"\n    answer: {{after: 100ms}}\n    does:\n      \
         - {{at: 150ms, say: {HELLO}}}\n      - {{prompt_done: 1, after: 300ms, say: {YES}}}\n    hang_up_after: 30s\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_answers_and_says_yes() {
    let rig = Setup::cast(&anna()).start().await;
    let (attempt, events, seen) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.disposition, Some(Disposition::Completed), "{attempt:?} {events:#?}");
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"));
    assert_eq!(attempt.verdict, Some(Verdict::Human), "{events:#?}");
    assert_eq!(attempt.hangup_cause.as_deref(), Some("NORMAL_CLEARING"));
    assert_eq!(seen.plays.len(), 2, "{:?}", seen.plays);
    assert!(seen.plays.iter().all(|play| !play.broken && !play.not_found));
    assert_eq!(seen.streams.len(), 1);
    assert!(!seen.streams[0].hung_stop);
    let page = rig.metrics().await;
    assert_eq!(metric(&page, "sidetone_calls_ended_total{disposition=\"completed\"}"), 1.0, "{page}");
    assert!(page.contains("sidetone_answer_to_verdict_seconds_count 1"), "{page}");
    assert_eq!(names(&events).last().map(String::as_str), Some("ended"));
    let report = rig.stop().await;
    assert!(report.refused_commands.is_empty(), "{:?}", report.refused_commands);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_reaches_the_switch_within_milliseconds() {
    let cast = format!(
        "  - name: Emma\n    number: \"{ANNA}\"\n    answer: {{after: 100ms}}\n    does:\n      \
         - {{at: 150ms, say: {HELLO}}}\n      - {{bot_spoken: 800ms, prompt: 1, say: {STOP}}}\n      \
         - {{prompt_done: 2, after: 300ms, say: {YES}}}\n    hang_up_after: 30s\n"
    );
    let rig = Setup::cast(&cast).start().await;
    let (attempt, events, seen) = rig.whole_call(ANNA).await;
    let decided = events.iter().find(|e| matches!(e.event, Event::BargeIn { .. }));
    let decided = decided.unwrap_or_else(|| panic!("never interrupted: {events:#?}")).at_ms;
    let broken = rig.unix_ms(seen.breaks[0].at_ms);
    assert!((broken - decided).abs() <= 30, "decided at {decided}, broken at {broken}");
    assert!(seen.breaks[0].all);
    assert!(seen.plays[0].broken, "{:?}", seen.plays);
    assert!(attempt.barge_in_ms.is_some());
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{events:#?}");
    let page = rig.metrics().await;
    assert!(page.contains("sidetone_break_to_playback_stopped_seconds_count 1"), "{page}");
    assert!(page.contains("sidetone_speech_start_to_break_seconds_count 1"), "{page}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_starts_when_the_beep_is_over() {
    let cast = format!(
        "  - name: Mailbox\n    number: \"{ANNA}\"\n    answer: {{after: 100ms}}\n    does:\n      \
         - {{at: 100ms, say: {MACHINE}}}\n      - {{then: 300ms, beep: {{hz: 1000, for: 400ms}}}}\n    hang_up_after: 30s\n"
    );
    let rig = Setup::cast(&cast).configure(|c| c.amd.window = Duration::from_millis(2300)).start().await;
    let (attempt, events, seen) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.verdict, Some(Verdict::Voicemail), "{events:#?}");
    assert_eq!(attempt.cause, Some(Cause::Phrase));
    assert_eq!(attempt.disposition, Some(Disposition::MessageLeft), "{events:#?}");
    let beep = seen.said.iter().find(|said| said.clip.starts_with("beep")).expect("it beeped");
    assert_eq!(seen.plays.len(), 1, "{:?}", seen.plays);
    let after = seen.plays[0].started_ms as i64 - beep.until_ms as i64;
    assert!((0..=300).contains(&after), "{after} ms after the beep");
    rig.stop().await;
}
