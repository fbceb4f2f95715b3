//! Whole calls over real sockets: the service against the stand-in.

use std::time::Duration;

use sidetone::{sim::Delivery, store::Origin};
use sidetone_core::{
    amd::{Cause, Verdict},
    call::{CallId, Disposition, Event},
};

use crate::support::{ANNA, HELLO, MACHINE, PATIENCE, STOP, Setup, YES, anna, callee, metric, names};

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
    let does = [
        format!("{{at: 150ms, say: {HELLO}}}"),
        format!("{{bot_spoken: 400ms, prompt: 1, say: {STOP}}}"),
        format!("{{prompt_done: 2, after: 300ms, say: {YES}}}"),
    ];
    let cast = callee(ANNA, "{after: 100ms}", &does);
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
    let does =
        [format!("{{at: 100ms, say: {MACHINE}}}"), "{then: 300ms, beep: {hz: 1000, for: 400ms}}".to_owned()];
    let cast = callee(ANNA, "{after: 100ms}", &does);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_while_the_prompt_plays() {
    let cast = callee(ANNA, "{after: 100ms}", &["{bot_spoken: 500ms, press: \"1\"}".to_owned()]);
    let rig = Setup::cast(&cast).start().await;
    let (attempt, events, seen) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.verdict, Some(Verdict::Silence), "{events:#?}");
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{events:#?}");
    assert_eq!(seen.keys, "1");
    assert!(seen.plays[0].broken, "{:?}", seen.plays);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_nobody_answers_come_to_what_the_switch_says() {
    let cast = ["busy", "no_answer", "unallocated", "rejected", "absent"]
        .iter()
        .enumerate()
        .map(|(n, answer)| callee(&format!("+44207946010{n}"), answer, &[]))
        .collect::<String>();
    let rig = Setup::cast(&cast).configure(|c| c.call.ring_timeout = Duration::from_secs(1)).start().await;
    let mut calls = Vec::new();
    for n in 0..5 {
        calls.push(rig.call(&format!("+44207946010{n}")).await);
    }
    let mut ends = Vec::new();
    for call in &calls {
        let attempt = rig.outcome(call).await;
        assert!(attempt.answered_ms.is_none());
        ends.push((attempt.disposition.expect("one"), attempt.hangup_cause.unwrap_or_default()));
    }
    let expected = [
        (Disposition::Busy, "USER_BUSY"),
        (Disposition::NoAnswer, "NO_ANSWER"),
        (Disposition::Unreachable, "UNALLOCATED_NUMBER"),
        (Disposition::Rejected, "CALL_REJECTED"),
        (Disposition::NoAnswer, "SUBSCRIBER_ABSENT"),
    ];
    for ((disposition, cause), (wanted, because)) in ends.iter().zip(expected) {
        assert_eq!(*disposition, wanted, "{ends:?}");
        // Whoever gives up first, we or the switch, gives the cause of an unanswered call.
        assert!(cause == because || wanted == Disposition::NoAnswer, "{ends:?}");
    }
    assert_eq!(rig.stop().await.calls.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callee_who_hangs_up_in_mid_prompt_has_hung_up() {
    let does = [format!("{{at: 150ms, say: {HELLO}}}"), "{bot_spoken: 600ms, hang_up: true}".to_owned()];
    let rig = Setup::cast(&callee(ANNA, "{after: 100ms}", &does)).start().await;
    let (attempt, events, _) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.disposition, Some(Disposition::HungUp), "{events:#?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbound_channel_that_the_dialplan_parks_is_taken_over() {
    let cast = callee(ANNA, "{after: 0s}", &[format!("{{prompt_done: 1, after: 300ms, say: {YES}}}")]);
    let rig = Setup::cast(&cast).start().await;
    // As soon as the event socket is up, and no earlier.
    rig.connected().await;
    let call = CallId::new(&rig.sim.inbound(ANNA, "short")).expect("a uuid");
    rig.event(&call, |e| matches!(e, Event::Answered)).await;
    let attempt = rig.outcome(&call).await;
    assert_eq!(attempt.origin, Origin::Adopted);
    assert_eq!(attempt.number.as_deref(), Some(ANNA));
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{:#?}", rig.events(&call).await);
    assert_eq!(rig.seen(&call).streams.len(), 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbound_call_for_a_scenario_that_is_not_there_is_ended() {
    let rig = Setup::cast(&callee(ANNA, "{after: 0s}", &[])).start().await;
    rig.connected().await;
    let call = CallId::new(&rig.sim.inbound(ANNA, "nowhere")).expect("a uuid");
    tokio::time::timeout(PATIENCE, rig.sim.idle()).await.expect("it is hung up");
    assert_eq!(rig.seen(&call).hangup_cause.as_deref(), Some("NORMAL_TEMPORARY_FAILURE"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_any_order_and_late_change_no_outcome() {
    let calls = |reorder, delay| async move {
        let delivery = Delivery { reorder, delay: Duration::from_millis(delay) };
        let rig = Setup::cast(&anna()).delivery(delivery).start().await;
        let (attempt, events, seen) = rig.whole_call(ANNA).await;
        assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{events:#?}");
        assert_eq!(seen.plays.len(), 2, "{:?}", seen.plays);
        assert_eq!(rig.stop().await.times_called(ANNA), 1);
    };
    tokio::join!(calls(1.0, 0), calls(0.5, 250));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contacts_carry_never_becomes_a_command() {
    let nasty = "a,b='c\\',{x=y}\n\nbgapi originate {}loopback/666 &park()";
    let rig = Setup::cast(&anna()).start().await;
    // A variable the scenario does not know goes nowhere; one it knows has a closed list.
    let call = rig.call_with(ANNA, [("note", nasty), ("sip_h_X-Evil", nasty)]).await;
    assert_eq!(rig.outcome(&call).await.outcome.as_deref(), Some("confirmed"));
    let refused = rig.call_with(ANNA, [("name", nasty)]).await;
    let attempt = rig.outcome(&refused).await;
    assert_eq!(attempt.disposition, Some(Disposition::Failed), "{attempt:?}");
    assert!(attempt.outcome.as_deref().is_some_and(|o| o.starts_with("not placed")), "{attempt:?}");
    // Nor do a wish's own words.
    for (dial, caller_id) in [
        (format!("loopback/1000,{nasty}"), None),
        ("loopback/1000/default".to_owned(), Some(nasty)),
        ("{origination_uuid=x}loopback/1000".to_owned(), None),
        ("loopback/1000 &system(id)".to_owned(), None),
    ] {
        let call = rig.dial(&dial, caller_id).await;
        let attempt = rig.outcome(&call).await;
        assert_eq!(attempt.disposition, Some(Disposition::Failed), "{dial} {caller_id:?} {attempt:?}");
    }
    let report = rig.stop().await;
    assert_eq!(report.calls.len(), 1, "{:?}", report.calls);
    assert!(report.refused_commands.is_empty(), "{:?}", report.refused_commands);
    let carried = format!("{:?}", report.calls[0].variables);
    assert!(!carried.contains("666") && !carried.contains("Evil"), "{carried}");
}
