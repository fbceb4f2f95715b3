use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::SinkExt;
use sidetone_core::call::{CallId, HangupCause, PlaybackEnd};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{interval, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};
use tokio_util::sync::CancellationToken;

use super::{
    Doctor,
    call::{Seen, TestCall, judge, with_port},
    finding::{Finding, Report, State},
    local,
};
use crate::{
    config::{Config, Secret},
    media::{self, MediaOptions, MediaRegistry, MediaStats},
    sim::{Sim, SimConfig},
    switch::{Link, Switch, SwitchCommand, SwitchError, SwitchEvent},
};

const DIAL: &str = "loopback/sidetone_test/sidetone";

/// What is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Far {
    Echoes,
    Silent,
    NoStream,
    Busy,
    NoFile,
}

/// A switch that answers as told and streams over a real socket.
struct Fake {
    far: Far,
    events: Mutex<Option<mpsc::Sender<SwitchEvent>>>,
    playing: watch::Sender<bool>,
}

impl Fake {
    fn new(far: Far) -> Self {
        Self { far, events: Mutex::new(None), playing: watch::Sender::new(false) }
    }

    fn say(&self, event: SwitchEvent) {
        let events = self.events.lock().expect("not poisoned");
        events.as_ref().expect("attached").try_send(event).expect("room");
    }

    fn stream(&self, url: String) -> JoinHandle<()> {
        let (playing, echoes) = (self.playing.subscribe(), self.far == Far::Echoes);
        tokio::spawn(async move {
            let (mut socket, _) = connect_async(url).await.expect("the stream is let in");
            let mut tick = interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                let loud = echoes && *playing.borrow();
                let sample: i16 = if loud { 8000 } else { 0 };
                let frame = sample.to_le_bytes().repeat(160);
                if socket.send(Message::Binary(frame.into())).await.is_err() {
                    break;
                }
            }
        })
    }
}

impl Switch for Fake {
    fn attach(&self, _: &CallId) -> mpsc::Receiver<SwitchEvent> {
        let (sender, receiver) = mpsc::channel(16);
        *self.events.lock().expect("not poisoned") = Some(sender);
        receiver
    }

    fn send(&self, _: &CallId, command: SwitchCommand) -> Result<(), SwitchError> {
        match command {
            SwitchCommand::Originate(_) if self.far == Far::Busy => {
                self.say(SwitchEvent::HungUp(HangupCause::new("USER_BUSY")));
            }
            SwitchCommand::Originate(order) => {
                self.say(SwitchEvent::Answered);
                if self.far != Far::NoStream {
                    self.stream(order.stream_url);
                }
            }
            SwitchCommand::Play { id, .. } if self.far == Far::NoFile => {
                self.say(SwitchEvent::PlaybackDone { id, end: PlaybackEnd::Missing, heard: None });
            }
            SwitchCommand::Play { id, .. } => {
                self.playing.send_replace(true);
                self.say(SwitchEvent::PlaybackStarted(id));
            }
            SwitchCommand::HangUp { cause } => self.say(SwitchEvent::HungUp(cause)),
            SwitchCommand::StartStream { .. }
            | SwitchCommand::RestartStream { .. }
            | SwitchCommand::StopPlayback { .. }
            | SwitchCommand::Transfer { .. } => {}
        }
        Ok(())
    }

    fn link(&self) -> watch::Receiver<Link> {
        watch::Sender::new(Link::Up).subscribe()
    }
}

/// A folder with one prompt, and a configuration that names it.
fn with_prompts() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("greetings")).expect("made");
    std::fs::write(dir.path().join("greetings/hello.wav"), b"RIFF").expect("written");
    std::fs::write(dir.path().join("notes.txt"), b"").expect("written");
    let mut config = Config::default();
    config.prompts.dir = dir.path().to_owned();
    config.store.url = format!("sqlite:{}", dir.path().join("test.db").display());
    (dir, config)
}

async fn states(far: Far) -> Vec<(State, String)> {
    let (_dir, config) = with_prompts();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("ws://{}", listener.local_addr().expect("an address"));
    let (registry, stop) = (MediaRegistry::new(), CancellationToken::new());
    let stats = Arc::new(MediaStats::default());
    let server =
        tokio::spawn(media::run(listener, registry.clone(), MediaOptions::default(), stats, stop.clone()));
    let call = TestCall::new(&config, DIAL, &base);
    let fake = Fake::new(far);
    let seen = timeout(Duration::from_secs(10), call.run(&fake, &registry)).await.expect("ends by itself");
    stop.cancel();
    server.await.expect("no panic");
    judge(&seen, &base, DIAL).map(|finding| (finding.state, finding.detail)).to_vec()
}

fn only(states: &[(State, String)]) -> Vec<State> {
    states.iter().map(|(state, _)| *state).collect()
}

#[tokio::test]
async fn an_echo_is_all_well() {
    let states = states(Far::Echoes).await;
    assert_eq!(only(&states), [State::Ok; 3], "{states:?}");
    assert!(states[2].1.contains("hello.wav played and came back at -12 dBFS"), "{states:?}");
}

#[tokio::test]
async fn silence_coming_back_fails_the_prompt_alone() {
    let states = states(Far::Silent).await;
    assert_eq!(only(&states), [State::Ok, State::Ok, State::Failed], "{states:?}");
    assert!(states[2].1.contains("only silence came back"), "{states:?}");
}

#[tokio::test]
async fn a_missing_stream_is_told_from_a_missing_answer() {
    let no_stream = states(Far::NoStream).await;
    assert_eq!(only(&no_stream), [State::Ok, State::Failed, State::Skipped], "{no_stream:?}");
    assert!(no_stream[1].1.starts_with("no stream came to ws://127.0.0.1:"), "{no_stream:?}");

    let busy = states(Far::Busy).await;
    assert_eq!(only(&busy), [State::Failed, State::Skipped, State::Skipped], "{busy:?}");
    assert!(busy[0].1.contains("USER_BUSY"), "{busy:?}");
}

#[tokio::test]
async fn a_prompt_the_switch_cannot_open_fails() {
    let states = states(Far::NoFile).await;
    assert_eq!(only(&states), [State::Ok, State::Ok, State::Failed], "{states:?}");
    assert!(states[2].1.contains("FreeSWITCH did not play"), "{states:?}");
}

#[test]
fn a_refusal_is_shown_with_its_reason() {
    let seen = Seen { refused: Some("originate: -ERR".to_owned()), ..Seen::default() };
    let [call, ..] = judge(&seen, "ws://127.0.0.1:1", DIAL);
    assert!(call.detail.contains("(originate: -ERR)"), "{call:?}");
}

#[test]
fn another_port_keeps_the_host() {
    assert_eq!(with_port("ws://10.0.0.5:8090", 9), "ws://10.0.0.5:9");
    assert_eq!(with_port("wss://sidetone", 9), "wss://sidetone:9");
}

#[tokio::test]
async fn every_check_has_its_line_without_a_switch() {
    let (_dir, mut config) = with_prompts();
    config.asr.model = "no-such-model".to_owned();
    // Nothing listens on this port: it was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    config.switch.esl = free.to_string();
    config.switch.password = Secret::new("topsecret");
    let doctor = Doctor { no_call: false, dial: DIAL.to_owned() };
    let report = doctor.examine(&config).await;
    assert!(!report.ok);
    let lines: Vec<(&str, State)> = report.checks.iter().map(|f| (f.check, f.state)).collect();
    assert_eq!(
        lines,
        [
            ("configuration", State::Failed), // no caller_id
            ("file limit", local::file_limit().state),
            ("prompts", State::Ok),
            ("database", State::Ok),
            ("webhooks", State::Skipped),
            ("speech model", State::Failed),
            ("switch", State::Failed),
            ("stream module", State::Skipped),
            ("prompts, seen by the switch", State::Skipped),
            ("test call", State::Skipped),
            ("audio stream", State::Skipped),
            ("prompt and its echo", State::Skipped),
        ]
    );
    for failed in report.checks.iter().filter(|finding| finding.state == State::Failed) {
        assert!(failed.todo.as_ref().is_some_and(|todo| !todo.is_empty()), "{failed:?}");
    }
    assert!(!report.to_string().contains("topsecret"));
}

#[tokio::test]
async fn a_database_that_cannot_be_written_fails() {
    let (dir, mut config) = with_prompts();
    assert_eq!(local::database(&config).await.state, State::Ok);
    config.store.url = format!("sqlite:{}/notes.txt/test.db", dir.path().display());
    let found = local::database(&config).await;
    assert_eq!(found.state, State::Failed, "{found:?}");
}

#[test]
fn prompts_are_looked_for_in_folders_within() {
    let (dir, mut config) = with_prompts();
    assert_eq!(local::any_prompt(dir.path()), Some(PathBuf::from("greetings/hello.wav")));
    assert_eq!(local::prompts(&config).state, State::Ok);
    config.prompts.dir = dir.path().join("nowhere");
    assert_eq!(local::prompts(&config).state, State::Failed);
    config.prompts.dir = tempfile::tempdir().expect("a folder").path().to_owned();
    assert_eq!(local::prompts(&config).state, State::Failed);
}

#[test]
fn the_configuration_must_be_able_to_place_calls() {
    let mut config = Config::default();
    let found = local::configuration(&config);
    assert!(found.state == State::Failed && found.detail.contains("switch.caller_id"), "{found:?}");
    config.switch.caller_id = "+33612345678".to_owned();
    assert_eq!(local::configuration(&config).state, State::Ok);
    config.media.sample_rate = 1;
    assert_eq!(local::configuration(&config).state, State::Failed);
}

#[test]
fn the_report_says_what_to_do() {
    let report = Report::new(vec![
        Finding::ok("one", "fine"),
        Finding::failed("two", "broken", "mend it"),
        Finding::skipped("three", "needs two"),
    ]);
    let text = report.to_string();
    for words in ["ok", "fine", "FAILED", "-> mend it", "skipped", "1 check failed."] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    let json = serde_json::to_value(&report).expect("serialises");
    assert_eq!(json["ok"], false);
    assert_eq!(json["checks"][1]["state"], "failed");
    assert_eq!(json["checks"][1]["todo"], "mend it");
    assert!(json["checks"][0].get("todo").is_none());
    assert!(Report::new(vec![Finding::ok("one", "fine"), Finding::skipped("two", "")]).ok);
}

/// The whole doctor against the stand-in: everything but the model, which this build may not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_the_stand_in_only_the_model_can_fail() {
    let (dir, mut config) = with_prompts();
    write_tone(&dir.path().join("greetings/hello.wav"));
    let sim = Sim::start(SimConfig::default()).await.expect("starts");
    config.switch.esl = sim.esl_addr().to_string();
    config.switch.caller_id = "+33612345678".to_owned();
    config.media.listen =
        TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    config.asr.model = "no-such-model".to_owned();

    let doctor = Doctor { no_call: false, dial: DIAL.to_owned() };
    let report = timeout(Duration::from_secs(30), doctor.examine(&config)).await.expect("ends by itself");
    let failed: Vec<&str> =
        report.checks.iter().filter(|f| f.state == State::Failed).map(|f| f.check).collect();
    assert_eq!(failed, ["speech model"], "{report}");
    let call = report.checks.iter().rev().take(3);
    assert!(call.clone().all(|finding| finding.state == State::Ok), "{report}");
    assert_eq!(sim.channels(), Vec::<String>::new(), "the test call was hung up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_without_the_module_and_a_wrong_password_are_told_apart() {
    let (_dir, mut config) = with_prompts();
    config.asr.model = "no-such-model".to_owned();
    let sim = Sim::start(SimConfig { modules: Vec::new(), ..SimConfig::default() }).await.expect("starts");
    config.switch.esl = sim.esl_addr().to_string();
    let doctor = Doctor { no_call: false, dial: DIAL.to_owned() };

    let report = doctor.examine(&config).await;
    let of = |report: &Report, check: &str| {
        let found = report.checks.iter().find(|finding| finding.check == check);
        found.cloned().unwrap_or_else(|| panic!("no {check} in {report}"))
    };
    assert_eq!(of(&report, "switch").state, State::Ok, "{report}");
    let module = of(&report, "stream module");
    assert!(module.todo.is_some_and(|todo| todo.contains("load mod_audio_stream")), "{report}");
    assert_eq!(of(&report, "test call").state, State::Skipped, "{report}");

    config.switch.password = Secret::new("another");
    let report = doctor.examine(&config).await;
    let switch = of(&report, "switch");
    assert!(switch.todo.is_some_and(|todo| todo.contains("switch.password")), "{report}");
}

/// Two seconds of 440 Hz, as a prompt would be.
fn write_tone(path: &std::path::Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).expect("made");
    for n in 0..16_000_u16 {
        let sample = (f32::from(n) * 440.0 / 8000.0 * std::f32::consts::TAU).sin() * 8000.0;
        file.write_sample(sample as i16).expect("written");
    }
    file.finalize().expect("written");
}
