//! The audio streams of both modules, as a whole call sees them.

use std::time::Duration;

use futures_util::SinkExt as _;
use sidetone::{audio, config::StreamModule};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{interval, sleep},
};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{ANNA, Rig, Setup, YES, anna, metric, names};

#[tokio::test(flavor = "multi_thread")]
async fn mod_audio_fork_does_as_well() {
    let rig = Setup::cast(&anna()).configure(|c| c.switch.module = StreamModule::AudioFork).start().await;
    let (attempt, events, seen) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{events:#?}");
    assert_eq!(seen.streams.len(), 1);
    assert!(seen.variables["api_on_answer"].starts_with("uuid_audio_fork "));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_fork_is_started_again() {
    let rig = Setup::cast(&anna()).configure(|c| c.switch.module = StreamModule::AudioFork).start().await;
    let call = rig.call(ANNA).await;
    rig.prompt(&call, 1).await;
    sleep(Duration::from_millis(500)).await;
    assert!(rig.sim.drop_stream(call.as_str(), sidetone::sim::DropStream::Reset));
    let attempt = rig.outcome(&call).await;
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{:#?}", rig.events(&call).await);
    assert_eq!(rig.seen(&call).streams.len(), 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_kilohertz_do_as_well() {
    let rig = Setup::cast(&anna()).configure(|c| c.media.sample_rate = 16_000).start().await;
    let call = rig.call(ANNA).await;
    rig.prompt(&call, 1).await;
    let start = switch_api(&rig, &format!("uuid_getvar {call} api_on_answer")).await;
    assert!(start.contains(" mono 16k"), "{start}");
    let attempt = rig.outcome(&call).await;
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{:#?}", rig.events(&call).await);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_takes_the_place_of_the_first() {
    let rig = Setup::cast(&crate::support::callee(ANNA, "{after: 100ms}", &[])).start().await;
    let call = rig.call(ANNA).await;
    rig.prompt(&call, 1).await;
    let start = switch_api(&rig, &format!("uuid_getvar {call} api_on_answer")).await;
    let url = start.split_whitespace().find(|word| word.starts_with("ws://")).expect("a URL").to_owned();
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("it is let in");
    // What only this connection carries is heard: first nothing, then, when the prompt is over, a yes.
    let yes = audio::read(&rig.folder.path().join(YES)).expect("a sound").pcm;
    let mut silence = interval(Duration::from_millis(20));
    let mut left = Vec::new();
    let mut said = false;
    loop {
        silence.tick().await;
        if left.is_empty() && !said && names(&rig.events(&call).await).contains(&"listening".to_owned()) {
            said = true;
            left = yes.clone();
        }
        let mut frame: Vec<i16> = left.drain(..left.len().min(160)).collect();
        frame.resize(160, 0);
        let bytes: Vec<u8> = frame.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        if socket.send(Message::binary(bytes)).await.is_err() {
            break;
        }
        if rig.store.attempt(call.as_str()).await.expect("there").ended_ms.is_some() {
            break;
        }
    }
    let attempt = rig.outcome(&call).await;
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{:#?}", rig.events(&call).await);
    let page = rig.metrics().await;
    assert_eq!(metric(&page, "sidetone_streams_closed_total{reason=\"replaced\"}"), 1.0, "{page}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_is_closed_and_started_again() {
    let rig = Setup::cast(&anna()).configure(|c| c.media.idle_timeout = Duration::from_secs(1)).start().await;
    let call = rig.call(ANNA).await;
    rig.prompt(&call, 1).await;
    // Somebody else pauses it: no frame comes any more, and the connection stays.
    switch_api(&rig, &format!("uuid_audio_stream {call} pause")).await;
    let attempt = rig.outcome(&call).await;
    let (events, seen) = (rig.events(&call).await, rig.seen(&call));
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{events:#?}");
    assert_eq!(seen.streams.len(), 2, "{:?}", seen.streams);
    let page = rig.metrics().await;
    assert_eq!(metric(&page, "sidetone_streams_closed_total{reason=\"idle\"}"), 1.0, "{page}");
    rig.stop().await;
}

/// Asks the stand-in as somebody else's event socket client; returns all it said.
async fn switch_api(rig: &Rig, command: &str) -> String {
    let mut esl = TcpStream::connect(rig.sim.esl_addr()).await.expect("it listens");
    let commands = format!("auth ClueCon\n\napi {command}\n\nexit\n\n");
    esl.write_all(commands.as_bytes()).await.expect("sent");
    let mut text = String::new();
    esl.read_to_string(&mut text).await.expect("answers");
    text
}
