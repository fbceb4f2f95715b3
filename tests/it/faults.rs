//! What breaks in mid-call: the audio stream, the event socket, the service's own end.

use std::time::Duration;

use sidetone::sim::{DropStream, EndedBy};
use sidetone_core::call::{Disposition, Event, HangupReason};
use tokio::time::{sleep, timeout};

use crate::support::{ANNA, HELLO, PATIENCE, Setup, YES, anna, callee, metric, names, person};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_started_again() {
    let breaks = |how| async move {
        let rig = Setup::cast(&anna()).start().await;
        let call = rig.call(ANNA).await;
        rig.prompt(&call, 1).await;
        sleep(Duration::from_millis(500)).await;
        assert!(rig.sim.drop_stream(call.as_str(), how));
        let attempt = rig.outcome(&call).await;
        let (events, seen) = (rig.events(&call).await, rig.seen(&call));
        assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{how:?} {events:#?}");
        assert!(names(&events).iter().any(|name| name == "stream_restart"), "{events:#?}");
        assert_eq!(seen.streams.len(), 2, "{:?}", seen.streams);
        assert!(seen.streams[0].ended_ms < Some(seen.streams[1].started_ms), "{:?}", seen.streams);
        assert!(!seen.streams.iter().any(|stream| stream.hung_stop));
        rig.stop().await;
    };
    tokio::join!(breaks(DropStream::Reset), breaks(DropStream::Eof));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_socket_that_comes_back_costs_no_call() {
    // The prompt is cut short then: its end might have been missed.
    let does = [format!("{{at: 150ms, say: {HELLO}}}"), format!("{{bot_quiet: 300ms, say: {YES}}}")];
    let rig = Setup::cast(&callee(ANNA, "{after: 100ms}", &does)).start().await;
    let call = rig.call(ANNA).await;
    rig.prompt(&call, 1).await;
    rig.sim.refuse_esl(true);
    sleep(Duration::from_millis(1500)).await;
    rig.sim.refuse_esl(false);
    let attempt = rig.outcome(&call).await;
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{:#?}", rig.events(&call).await);
    let report = rig.stop().await;
    assert!(report.esl_connections >= 2);
    assert_eq!(report.times_called(ANNA), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_that_ends_while_the_event_socket_is_away_is_noticed() {
    let rig = Setup::cast(&anna()).start().await;
    let call = rig.call(ANNA).await;
    rig.prompt(&call, 1).await;
    rig.sim.refuse_esl(true);
    sleep(Duration::from_millis(300)).await;
    assert!(rig.sim.kill_channel(call.as_str(), "NORMAL_CLEARING"));
    sleep(Duration::from_millis(300)).await;
    rig.sim.refuse_esl(false);
    let attempt = rig.outcome(&call).await;
    assert!(attempt.disposition.is_some());
    let took = attempt.ended_ms.unwrap_or_default() - attempt.answered_ms.unwrap_or_default();
    assert!(took < 9_000, "noticed only after {took} ms: {:#?}", rig.events(&call).await);
    assert_eq!(rig.stop().await.times_called(ANNA), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_its_event_socket_for_ten_seconds_is_over() {
    let rig = Setup::cast(&callee(ANNA, "{after: 100ms}", &[])).start().await;
    let call = rig.call(ANNA).await;
    rig.prompt(&call, 1).await;
    rig.sim.refuse_esl(true);
    let attempt = rig.outcome(&call).await;
    let events = rig.events(&call).await;
    let lost = |e: &Event| matches!(e, Event::HangupAsked { reason: HangupReason::SwitchLost });
    assert!(events.iter().any(|stored| lost(&stored.event)), "{events:#?}");
    assert_eq!(attempt.disposition, Some(Disposition::Failed));
    let page = rig.metrics().await;
    assert_eq!(metric(&page, "sidetone_switch_up"), 0.0);
    assert_eq!(metric(&page, "sidetone_hangups_asked_total{reason=\"switch_lost\"}"), 1.0, "{page}");
    // What the switch still has of it is ended as soon as it is back.
    assert_eq!(rig.sim.channels().len(), 1);
    rig.sim.refuse_esl(false);
    timeout(PATIENCE, rig.sim.idle()).await.expect("the ghost is hung up");
    assert_eq!(rig.seen(&call).ended_by, Some(EndedBy::Command));
    assert_eq!(rig.stop().await.times_called(ANNA), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_dialled_while_the_switch_is_away() {
    let rig = Setup::cast(&anna()).start().await;
    rig.connected().await;
    rig.sim.refuse_esl(true);
    sleep(Duration::from_millis(300)).await;
    rig.campaign(&[ANNA], 1, 5.0).await;
    rig.control(sidetone_core::campaign::Control::Run).await;
    sleep(Duration::from_millis(700)).await;
    assert_eq!(rig.sim.report().calls.len(), 0);
    rig.sim.refuse_esl(false);
    rig.campaign_when(|_, counts| counts.done == 1).await;
    assert_eq!(rig.stop().await.times_called(ANNA), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_lets_its_calls_end() {
    const BEN: &str = "+442079460102";
    let rig = Setup::cast(&(person(ANNA) + &person(BEN))).start().await;
    rig.campaign(&[ANNA, BEN], 1, 5.0).await;
    rig.control(sidetone_core::campaign::Control::Run).await;
    let call = rig.live_call().await;
    rig.prompt(&call, 1).await;
    rig.service.ask_to_stop();
    sleep(Duration::from_millis(100)).await;
    assert!(crate::support::get(rig.service.addresses.http, "/readyz").await.contains("draining"));
    let attempt = rig.outcome(&call).await;
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{:#?}", rig.events(&call).await);
    let took = rig.service.stopped().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    let report = rig.sim.shutdown().await;
    assert_eq!((report.times_called(ANNA), report.times_called(BEN)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_the_grace_is_ended() {
    let rig = Setup::cast(&anna()).configure(|c| c.shutdown.grace = Duration::from_millis(500)).start().await;
    let call = rig.call(ANNA).await;
    rig.prompt(&call, 1).await;
    rig.service.ask_to_stop();
    let attempt = rig.outcome(&call).await;
    assert_eq!(attempt.disposition, Some(Disposition::Cancelled), "{:#?}", rig.events(&call).await);
    let took = rig.service.stopped().await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(rig.sim.channels().len(), 0);
    assert_eq!(rig.sim.shutdown().await.call(call.as_str()).and_then(|c| c.ended_by), Some(EndedBy::Command));
}
