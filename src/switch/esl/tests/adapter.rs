//! The adapter against a socket that answers like the switch.

use std::{path::PathBuf, time::Duration};

use sidetone_core::{
    call::{CallId, Digit, HangupCause, PlayId, PlaybackEnd},
    frame::SampleRate,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    events::{CALL, capture},
    fake::Fake,
};
use crate::{
    config::{Secret, StreamModule},
    switch::{
        EVENT_QUEUE, Link, Originate, Switch, SwitchCommand, SwitchError, SwitchEvent,
        esl::{
            Adopted, Esl, EslOptions, EslProbe, ORDERS, ProbeError,
            calls::{Calls, Followup},
            event::{Seen, What},
        },
    },
};

const URL: &str = "ws://127.0.0.1:8090/media/c?t=5ec2e7";

struct Rig {
    fake: Fake,
    esl: Esl,
    adopted: mpsc::Receiver<Adopted>,
    shutdown: CancellationToken,
    supervisor: tokio::task::JoinHandle<()>,
}

impl Rig {
    async fn start() -> Self {
        let fake = Fake::start().await;
        let shutdown = CancellationToken::new();
        let running = Esl::start(options(fake.port), shutdown.clone());
        let (esl, adopted, supervisor) = (running.esl, running.adopted, running.supervisor);
        let rig = Self { fake, esl, adopted, shutdown, supervisor };
        rig.linked().await;
        rig
    }

    async fn linked(&self) {
        let mut link = self.esl.link();
        timeout(Duration::from_secs(3), link.wait_for(|link| *link == Link::Up)).await.unwrap().unwrap();
    }

    async fn unlinked(&self) {
        let mut link = self.esl.link();
        let down = link.wait_for(|link| matches!(link, Link::Down(_)));
        timeout(Duration::from_secs(3), down).await.unwrap().unwrap();
    }

    fn send(&self, command: SwitchCommand) {
        self.esl.send(&call(), command).unwrap();
    }

    /// An attached call that the switch has answered.
    async fn answered(&mut self) -> mpsc::Receiver<SwitchEvent> {
        let mut events = self.esl.attach(&call());
        self.send(SwitchCommand::Originate(order()));
        assert!(self.fake.command().await.starts_with("bgapi originate {origination_uuid="));
        self.fake.emit(capture!("channel_answer"));
        assert_eq!(next(&mut events).await, SwitchEvent::Answered);
        events
    }
}

fn options(port: u16) -> EslOptions {
    EslOptions {
        host: "127.0.0.1".to_owned(),
        port,
        password: Secret::new("ClueCon"),
        module: StreamModule::AudioStream,
        rate: SampleRate::HZ_8000,
        instance: "one".to_owned(),
        timeout: Duration::from_secs(1),
        adopted_limit: Duration::from_secs(660),
        liveness: Duration::from_secs(60),
    }
}

fn order() -> Originate {
    Originate {
        dial_string: "loopback/1000/default".to_owned(),
        caller_id: "15551234".to_owned(),
        caller_name: None,
        ring_timeout: Duration::from_secs(30),
        park_timeout: Duration::from_secs(600),
        stream_url: URL.to_owned(),
        variables: Vec::new(),
    }
}

fn call() -> CallId {
    CallId::new(CALL).unwrap()
}

fn play(id: u32) -> SwitchCommand {
    SwitchCommand::Play { id: PlayId(id), file: PathBuf::from("/p/a.wav"), from: Duration::ZERO }
}

fn stop() -> SwitchCommand {
    SwitchCommand::StopPlayback { asked: Instant::now() }
}

fn cause(name: &str) -> HangupCause {
    HangupCause::new(name)
}

/// A capture with headers put in front.
fn with(json: &str, headers: &[(&str, &str)]) -> String {
    let mut event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
    for (name, value) in headers {
        event.insert((*name).to_owned(), (*value).into());
    }
    serde_json::to_string(&event).unwrap()
}

fn stream_job(words: &str, body: &str) -> String {
    let argument = format!("{CALL} {words}");
    with(
        capture!("background_job"),
        &[("Job-Command", "uuid_audio_stream"), ("Job-Command-Arg", &argument), ("_body", body)],
    )
}

async fn next(events: &mut mpsc::Receiver<SwitchEvent>) -> SwitchEvent {
    timeout(Duration::from_secs(4), events.recv()).await.expect("an event comes").expect("still attached")
}

async fn nothing(events: &mut mpsc::Receiver<SwitchEvent>, time: Duration) {
    if let Ok(event) = timeout(time, events.recv()).await {
        panic!("not expected: {event:?}");
    }
}

#[tokio::test]
async fn a_captured_call_is_told_once_and_in_order_of_meaning() {
    let mut rig = Rig::start().await;
    let mut events = rig.esl.attach(&call());
    rig.send(SwitchCommand::Originate(order()));
    rig.fake.command().await;
    // As captured, but late, early and twice.
    for json in [
        capture!("stream_connect"),
        capture!("channel_answer"),
        capture!("background_job"),
        capture!("channel_answer"),
        capture!("channel_park"),
        capture!("channel_hangup_complete"),
        capture!("channel_hangup"),
        capture!("channel_hangup_complete"),
        capture!("channel_answer"),
    ] {
        rig.fake.emit(json);
    }
    assert_eq!(next(&mut events).await, SwitchEvent::StreamConnected);
    assert_eq!(next(&mut events).await, SwitchEvent::Answered);
    assert_eq!(next(&mut events).await, SwitchEvent::HungUp(cause("NORMAL_CLEARING")));
    nothing(&mut events, Duration::from_millis(1300)).await;
}

#[tokio::test]
async fn a_refused_originate_ends_the_call_once() {
    let mut rig = Rig::start().await;
    let busy = CallId::new("95cd4d17-c0a8-4f7b-9f90-a014dc9116a0").unwrap();
    let mut events = rig.esl.attach(&busy);
    rig.esl.send(&busy, SwitchCommand::Originate(order())).unwrap();
    rig.fake.command().await;
    let end = with(capture!("channel_hangup_complete"), &[("Unique-ID", busy.as_str())]);
    rig.fake.emit(capture!("background_job_busy"));
    rig.fake.emit(end);
    assert_eq!(next(&mut events).await, SwitchEvent::HungUp(cause("USER_BUSY")));
    nothing(&mut events, Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_hangup_whose_completion_never_comes_ends_the_call_all_the_same() {
    let mut rig = Rig::start().await;
    let mut events = rig.answered().await;
    rig.fake.emit(capture!("channel_hangup"));
    nothing(&mut events, Duration::from_millis(700)).await;
    assert_eq!(next(&mut events).await, SwitchEvent::HungUp(cause("NORMAL_CLEARING")));
}

#[tokio::test]
async fn play_and_break_keep_their_order_and_come_back_as_they_were() {
    let mut rig = Rig::start().await;
    let mut events = rig.answered().await;
    rig.send(play(7));
    rig.send(stop());
    assert!(rig.fake.command().await.contains("Execute-App-Arg: {sidetone_play=7}/p/a.wav"));
    assert_eq!(rig.fake.command().await, format!("api uuid_break {CALL} all"));
    rig.fake.emit(with(capture!("playback_start"), &[("sidetone_play", "7")]));
    rig.fake.emit(with(capture!("playback_stop"), &[("sidetone_play", "7")]));
    rig.fake.emit(with(capture!("channel_execute_complete"), &[("Application-UUID", "sidetone-play-7")]));
    assert_eq!(next(&mut events).await, SwitchEvent::PlaybackStarted(PlayId(7)));
    let done = |id, end, heard| SwitchEvent::PlaybackDone { id: PlayId(id), end, heard };
    let heard = Some(Duration::from_millis(1520));
    assert_eq!(next(&mut events).await, done(7, PlaybackEnd::Broken, heard));
    nothing(&mut events, Duration::from_millis(700)).await;

    // Broken before it began: the switch says nothing of it.
    rig.send(play(8));
    rig.send(stop());
    assert_eq!(next(&mut events).await, done(8, PlaybackEnd::Broken, Some(Duration::ZERO)));

    rig.send(play(9));
    let missing = [("Application-UUID", "sidetone-play-9"), ("Application-Response", "FILE NOT FOUND")];
    rig.fake.emit(with(capture!("channel_execute_complete"), &missing));
    assert_eq!(next(&mut events).await, done(9, PlaybackEnd::Missing, Some(Duration::ZERO)));
}

#[tokio::test]
async fn a_restart_waits_for_the_connect_and_for_the_stop() {
    let mut rig = Rig::start().await;
    let mut events = rig.answered().await;
    rig.send(SwitchCommand::RestartStream { url: format!("{URL}1") });
    // The first start is under way: a stop now could hang the switch.
    rig.fake.quiet(Duration::from_millis(300)).await;
    rig.fake.emit(capture!("stream_connect"));
    assert_eq!(next(&mut events).await, SwitchEvent::StreamConnected);
    assert_eq!(rig.fake.command().await, format!("bgapi uuid_audio_stream {CALL} stop"));
    // Asked again meanwhile: one restart, the newest URL.
    rig.send(SwitchCommand::RestartStream { url: format!("{URL}2") });
    rig.fake.quiet(Duration::from_millis(200)).await;
    rig.fake.emit(stream_job("stop", "-ERR Operation Failed\n"));
    assert_eq!(rig.fake.command().await, format!("bgapi uuid_audio_stream {CALL} start {URL}2 mono 8k"));
    rig.fake.emit(stream_job(&format!("start {URL}2 mono 8k"), "-ERR Operation Failed\n"));
    let failed = SwitchEvent::StreamFailed { code: None, reason: "-ERR Operation Failed".to_owned() };
    assert_eq!(next(&mut events).await, failed);
    // It failed, so nothing need be waited for.
    rig.send(SwitchCommand::RestartStream { url: format!("{URL}3") });
    assert_eq!(rig.fake.command().await, format!("bgapi uuid_audio_stream {CALL} stop"));
}

#[tokio::test]
async fn a_stop_comes_no_sooner_than_50_ms_after_its_start() {
    let calls = Calls::default();
    let _events = calls.attach(&call());
    let now = Instant::now();
    let seen = |what| Seen { call: call(), rate: None, what };
    assert_eq!(calls.until_stoppable(&call(), now), Some(Duration::ZERO));
    calls.see(seen(What::Answered), now);
    assert_eq!(calls.until_stoppable(&call(), now), Some(Duration::from_secs(2)));
    calls.see(seen(What::StreamConnected), now + Duration::from_millis(5));
    assert_eq!(
        calls.until_stoppable(&call(), now + Duration::from_millis(10)),
        Some(Duration::from_millis(40))
    );
    assert_eq!(calls.until_stoppable(&call(), now + Duration::from_millis(51)), Some(Duration::ZERO));
}

#[tokio::test]
async fn after_a_reconnect_the_switch_is_asked_what_it_still_has() {
    let mut rig = Rig::start().await;
    let mut kept = rig.answered().await;
    let gone = CallId::new("gone").unwrap();
    let mut lost = rig.esl.attach(&gone);
    rig.esl.send(&gone, SwitchCommand::Originate(order())).unwrap();
    rig.fake.command().await;
    rig.send(play(3));
    rig.fake.command().await;
    rig.fake.reply("uuid_exists gone", "false");
    rig.fake.reply(&format!("uuid_exists {CALL}"), "true");
    rig.fake.drop_all();
    rig.unlinked().await;
    let refused = rig.esl.send(&call(), SwitchCommand::HangUp { cause: cause("NORMAL_CLEARING") });
    assert_eq!(refused, Err(SwitchError::NotConnected));
    rig.linked().await;
    assert_eq!(next(&mut lost).await, SwitchEvent::HungUp(cause(HangupCause::LOST)));
    let mut asked = vec![rig.fake.command().await, rig.fake.command().await, rig.fake.command().await];
    asked.sort();
    let expected = [
        format!("api uuid_break {CALL} all"),
        format!("api uuid_exists {CALL}"),
        "api uuid_exists gone".into(),
    ];
    assert_eq!(asked, expected);
    // Its end may have been missed, so it was made sure of.
    let done =
        SwitchEvent::PlaybackDone { id: PlayId(3), end: PlaybackEnd::Broken, heard: Some(Duration::ZERO) };
    assert_eq!(next(&mut kept).await, done);
    rig.fake.emit(capture!("channel_hangup_complete"));
    assert_eq!(next(&mut kept).await, SwitchEvent::HungUp(cause("NORMAL_CLEARING")));
}

#[tokio::test]
async fn an_old_break_is_dropped_and_a_fresh_one_is_not() {
    let mut rig = Rig::start().await;
    let _events = rig.answered().await;
    let old = Instant::now() - Duration::from_millis(501);
    rig.send(SwitchCommand::StopPlayback { asked: old });
    rig.fake.quiet(Duration::from_millis(100)).await;
    rig.send(stop());
    assert_eq!(rig.fake.command().await, format!("api uuid_break {CALL} all"));
}

#[tokio::test]
async fn a_hangup_under_way_when_the_connection_breaks_is_sent_again() {
    let mut rig = Rig::start().await;
    let _events = rig.answered().await;
    rig.fake.reply("uuid_exists", "true");
    rig.fake.hush(true);
    sleep(Duration::from_millis(20)).await;
    rig.send(SwitchCommand::HangUp { cause: cause("NORMAL_CLEARING") });
    let kill = format!("api uuid_kill {CALL} NORMAL_CLEARING");
    assert_eq!(rig.fake.command().await, kill);
    // No answer within the limit: the adapter reconnects by itself; new connections answer.
    rig.unlinked().await;
    assert_eq!(rig.fake.command().await, format!("api uuid_exists {CALL}"));
    assert_eq!(rig.fake.command().await, kill);
}

#[tokio::test]
async fn a_call_killed_before_it_exists_is_killed_when_it_does() {
    let mut rig = Rig::start().await;
    let mut events = rig.esl.attach(&call());
    rig.send(SwitchCommand::Originate(order()));
    rig.fake.command().await;
    rig.fake.reply("uuid_kill", "-ERR No such channel!\n");
    rig.send(SwitchCommand::HangUp { cause: cause("ORIGINATOR_CANCEL") });
    let kill = format!("api uuid_kill {CALL} ORIGINATOR_CANCEL");
    assert_eq!(rig.fake.command().await, kill);
    nothing(&mut events, Duration::from_millis(1200)).await;
    rig.fake.emit(with(capture!("channel_answer"), &[("Event-Name", "CHANNEL_CREATE")]));
    assert_eq!(rig.fake.command().await, kill);
}

#[tokio::test]
async fn a_call_the_switch_does_not_know_is_over() {
    let mut rig = Rig::start().await;
    let mut events = rig.answered().await;
    rig.fake.emit(capture!("background_job"));
    sleep(Duration::from_millis(50)).await;
    rig.fake.reply("uuid_kill", "-ERR No such channel!\n");
    rig.send(SwitchCommand::HangUp { cause: cause("NORMAL_CLEARING") });
    assert_eq!(next(&mut events).await, SwitchEvent::HungUp(cause(HangupCause::LOST)));
}

#[tokio::test]
async fn a_parked_channel_is_offered_and_its_stream_started() {
    let mut rig = Rig::start().await;
    let park = [("variable_sidetone_scenario", "reminder"), ("Caller-Context", "sidetone")];
    rig.fake.emit(with(capture!("channel_park"), &park));
    let adopted = timeout(Duration::from_secs(2), rig.adopted.recv()).await.unwrap().unwrap();
    assert_eq!((adopted.call.as_str(), adopted.scenario.as_str()), (CALL, "reminder"));
    let mut events = rig.esl.attach(&adopted.call);
    rig.fake.reply("sched_del", "-ERR no such thing\n");
    rig.send(SwitchCommand::StartStream { url: URL.to_owned() });
    for name in ["sidetone_instance one", "STREAM_BUFFER_SIZE 20", "STREAM_MESSAGE_DEFLATE true"] {
        assert_eq!(rig.fake.command().await, format!("api uuid_setvar {CALL} {name}"));
    }
    // The dialplan's own limit goes, ours comes; that there was none is no reason to stop.
    assert_eq!(rig.fake.command().await, format!("api sched_del {CALL}"));
    assert_eq!(rig.fake.command().await, format!("api sched_hangup +660 {CALL} ALLOTTED_TIMEOUT"));
    assert_eq!(rig.fake.command().await, format!("bgapi uuid_audio_stream {CALL} start {URL} mono 8k"));
    // It was answered before we came.
    rig.fake.emit(capture!("channel_answer"));
    rig.fake.emit(capture!("stream_connect"));
    assert_eq!(next(&mut events).await, SwitchEvent::StreamConnected);
}

#[tokio::test]
async fn only_our_own_channels_are_listed() {
    let rig = Rig::start().await;
    rig.fake.reply("show channels", r#"{"row_count":3,"rows":[{"uuid":"a"},{"uuid":"b"},{"uuid":"c"}]}"#);
    rig.fake.reply("uuid_getvar", "_undef_");
    rig.fake.reply("uuid_getvar a", "one");
    rig.fake.reply("uuid_getvar b", "two");
    assert_eq!(rig.esl.our_channels().await, Ok(vec![CallId::new("a").unwrap()]));
}

#[tokio::test]
async fn what_cannot_be_sent_is_said_at_once() {
    let rig = Rig::start().await;
    let _events = rig.esl.attach(&call());
    let bad = Originate { dial_string: "user/1,user/2".to_owned(), ..order() };
    let refused = rig.esl.send(&call(), SwitchCommand::Originate(bad));
    assert_eq!(refused, Err(SwitchError::Unsendable { what: "the dial string", character: ',' }));
    rig.fake.hush(true);
    sleep(Duration::from_millis(20)).await;
    // One under way, and as many as may wait.
    let mut sent = 0;
    let error = loop {
        match rig.esl.send(&call(), stop()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(error, SwitchError::Busy);
    assert!((ORDERS..=ORDERS + 1).contains(&sent), "{sent}");
}

#[test]
fn a_call_that_reads_nothing_still_hears_of_its_end() {
    let calls = Calls::default();
    let mut events = calls.attach(&call());
    let seen = |what| Seen { call: call(), rate: None, what };
    let now = Instant::now();
    for _ in 0..EVENT_QUEUE + 44 {
        assert_eq!(calls.see(seen(What::Dtmf(Digit::new('1').unwrap())), now), Followup::Nothing);
    }
    calls.see(seen(What::HungUp(cause("NORMAL_CLEARING"))), now);
    assert_eq!(calls.dropped(), 44);
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(event);
    }
    assert_eq!(told.len(), EVENT_QUEUE + 1);
    assert_eq!(told.last(), Some(&SwitchEvent::HungUp(cause("NORMAL_CLEARING"))));
    drop(events);
    calls.sweep();
    assert!(calls.on_switch().is_empty());
}

#[tokio::test]
async fn no_log_line_holds_a_token_or_a_number() {
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut rig = Rig::start().await;
    let _events = rig.answered().await;
    rig.fake.emit(capture!("stream_connect"));
    rig.send(SwitchCommand::RestartStream { url: URL.to_owned() });
    rig.fake.command().await;
    rig.fake.emit(stream_job("stop", "+OK Success\n"));
    rig.fake.command().await;
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("connected to the switch"), "{logged}");
    for secret in ["5ec2e7", "15551234", "ClueCon", "loopback/1000"] {
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
    let shown = format!(
        "{:?} {:?}",
        SwitchCommand::StartStream { url: URL.to_owned() },
        SwitchCommand::Originate(order())
    );
    assert!(!shown.contains("5ec2e7"), "{shown}");
}

#[tokio::test]
async fn a_shutdown_sends_what_was_ordered_and_ends() {
    let mut rig = Rig::start().await;
    let _events = rig.answered().await;
    rig.send(SwitchCommand::HangUp { cause: cause("NORMAL_CLEARING") });
    rig.shutdown.cancel();
    timeout(Duration::from_secs(3), rig.supervisor).await.expect("it ends").unwrap();
    assert_eq!(rig.fake.command().await, format!("api uuid_kill {CALL} NORMAL_CLEARING"));
    assert!(matches!(*rig.esl.link().borrow(), Link::Down(_)));
}

#[tokio::test]
async fn the_probe_says_what_is_wrong() {
    let fake = Fake::start().await;
    let probe = EslProbe::connect(&options(fake.port)).await.unwrap();
    fake.reply("module_exists mod_audio_stream", "true");
    fake.reply("version", "FreeSWITCH Version 1.10.12\n");
    fake.reply("originate", "-ERR NO_ANSWER\n");
    assert!(probe.module_loaded().await.unwrap());
    assert_eq!(probe.version().await.unwrap(), "FreeSWITCH Version 1.10.12");
    let failed = probe.originate(&call(), &order()).await.unwrap_err();
    assert_eq!(failed.to_string(), "the call failed: NO_ANSWER");
    let wrong = EslOptions { password: Secret::new("x"), ..options(fake.port) };
    assert!(matches!(EslProbe::connect(&wrong).await, Err(ProbeError::Password)));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(matches!(EslProbe::connect(&options(nobody)).await, Err(ProbeError::Unreachable { .. })));
}
