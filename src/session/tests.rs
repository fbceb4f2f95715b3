use std::{collections::BTreeMap, sync::Mutex};

use sidetone_core::{call::Disposition, scenario::Scenario, text::PhrasePack};
use tokio::task::JoinHandle;

use super::*;
use crate::config::RecordAudio;

/// Notes commands and says what it is told to.
struct FakeSwitch {
    sent: Mutex<Vec<SwitchCommand>>,
    events: Mutex<Option<mpsc::Sender<SwitchEvent>>>,
    link: watch::Sender<Link>,
}

impl FakeSwitch {
    async fn says(&self, event: SwitchEvent) {
        let events = self.events.lock().unwrap().clone().unwrap();
        events.send(event).await.unwrap();
    }

    async fn asked_for(&self, wanted: impl Fn(&SwitchCommand) -> bool) {
        for _ in 0..500 {
            if self.sent.lock().unwrap().iter().any(&wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never asked; sent were {:?}", self.sent.lock().unwrap());
    }
}

impl Switch for FakeSwitch {
    fn attach(&self, _call: &CallId) -> mpsc::Receiver<SwitchEvent> {
        let (sender, receiver) = mpsc::channel(16);
        *self.events.lock().unwrap() = Some(sender);
        receiver
    }

    fn send(&self, _call: &CallId, command: SwitchCommand) -> Result<(), SwitchError> {
        if matches!(*self.link.borrow(), Link::Down(_)) {
            return Err(SwitchError::NotConnected);
        }
        self.sent.lock().unwrap().push(command);
        Ok(())
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }
}

struct Rig {
    switch: Arc<FakeSwitch>,
    end: watch::Sender<Option<HangupReason>>,
    store: Store,
    running: JoinHandle<FinishedCall>,
    _folder: tempfile::TempDir,
}

const SCENARIO: &str = "
name: test
language: en
steps:
  only:
    play: {file: only.wav, text: Hello.}
    hang_up: {disposition: completed, outcome: said}
";

impl Rig {
    async fn new() -> Self {
        Self::with_link(Link::Up).await
    }

    async fn with_link(link: Link) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let switch = Arc::new(FakeSwitch {
            sent: Mutex::default(),
            events: Mutex::default(),
            link: watch::Sender::new(link),
        });
        let shells = Shells {
            switch: switch.clone(),
            media: MediaRegistry::new(),
            asr: None,
            metrics: Metrics::new().unwrap(),
            store: store.clone(),
            public_url: "ws://127.0.0.1:1".to_owned(),
            rate: SampleRate::HZ_8000,
            prompts_dir: PathBuf::from("/prompts"),
            prompt_sounds: PromptSounds::new(folder.path()),
            recording: RecordingPlan { audio: RecordAudio::Off, dir: folder.path().to_owned() },
        };
        let scenario = Arc::new(Scenario::parse(SCENARIO, "test.yaml").unwrap());
        let (end, ended) = watch::channel(None);
        let mut config = CallConfig::new(SampleRate::HZ_8000, PhrasePack::for_language("en").unwrap());
        config.amd = None;
        let order = Order {
            call: CallId::new("call-1").unwrap(),
            config,
            script: ScenarioRun::new(scenario, &BTreeMap::new()).unwrap(),
            language: "en".into(),
            among: None,
            leg: Leg::Originate(Originate {
                dial_string: "loopback/1".to_owned(),
                caller_id: "123".to_owned(),
                caller_name: None,
                ring_timeout: Duration::from_secs(30),
                park_timeout: Duration::from_secs(60),
                stream_url: String::new(),
                variables: Vec::new(),
            }),
            end: ended,
        };
        let running = tokio::spawn(run(shells, order));
        Self { switch, end, store, running, _folder: folder }
    }
}

fn is_play(command: &SwitchCommand) -> bool {
    matches!(command, SwitchCommand::Play { .. })
}

#[tokio::test]
async fn a_call_is_placed_with_its_stream_played_and_hung_up() {
    let rig = Rig::new().await;
    let id = sidetone_core::call::PlayId(1);
    rig.switch
        .asked_for(|c| matches!(c, SwitchCommand::Originate(o) if o.stream_url.contains("/media/call-1?t=")))
        .await;
    rig.switch.says(SwitchEvent::Answered).await;
    rig.switch
        .asked_for(
            |c| matches!(c, SwitchCommand::Play { file, .. } if file.to_str() == Some("/prompts/only.wav")),
        )
        .await;
    rig.switch.says(SwitchEvent::PlaybackStarted(id)).await;
    let end = sidetone_core::call::PlaybackEnd::Done;
    rig.switch.says(SwitchEvent::PlaybackDone { id, end, heard: None }).await;
    rig.switch.asked_for(|c| matches!(c, SwitchCommand::HangUp { .. })).await;
    rig.switch.says(SwitchEvent::HungUp(HangupCause::new("NORMAL_CLEARING"))).await;
    let finished = rig.running.await.unwrap();
    assert_eq!(finished.disposition, Disposition::Completed);
    assert_eq!(finished.outcome.as_deref(), Some("said"));
    rig.store.flush_events().await;
    let events = rig.store.call_timeline(&CallId::new("call-1").unwrap()).await.unwrap();
    assert!(matches!(events.last().map(|e| &e.event), Some(Event::Ended { .. })), "{events:?}");
    let numbers: Vec<i64> = events.iter().map(|e| e.seq).collect();
    assert_eq!(numbers, (1..=events.len() as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_busy_number_is_busy() {
    let rig = Rig::new().await;
    rig.switch.asked_for(|c| matches!(c, SwitchCommand::Originate(_))).await;
    rig.switch.says(SwitchEvent::HungUp(HangupCause::new("USER_BUSY"))).await;
    assert_eq!(rig.running.await.unwrap().disposition, Disposition::Busy);
}

#[tokio::test]
async fn what_could_not_be_sent_goes_out_when_the_switch_is_back() {
    let rig = Rig::new().await;
    rig.switch.asked_for(|c| matches!(c, SwitchCommand::Originate(_))).await;
    rig.switch.link.send_replace(Link::Down(Instant::now()));
    rig.switch.says(SwitchEvent::Answered).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!rig.switch.sent.lock().unwrap().iter().any(is_play));
    rig.switch.link.send_replace(Link::Up);
    rig.switch.asked_for(is_play).await;
    rig.running.abort();
}

#[tokio::test]
async fn a_call_is_not_placed_while_the_switch_is_away() {
    let rig = Rig::with_link(Link::Down(Instant::now())).await;
    let finished = rig.running.await.unwrap();
    assert_eq!(finished.disposition, Disposition::Failed);
    assert!(rig.switch.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn ten_seconds_without_the_switch_end_a_call() {
    let rig = Rig::new().await;
    rig.switch.asked_for(|c| matches!(c, SwitchCommand::Originate(_))).await;
    rig.switch.says(SwitchEvent::Answered).await;
    rig.switch.asked_for(is_play).await;
    let long_ago = Instant::now() - Duration::from_millis(9_900);
    rig.switch.link.send_replace(Link::Down(long_ago));
    let finished = tokio::time::timeout(Duration::from_secs(5), rig.running).await.unwrap().unwrap();
    assert_eq!(finished.disposition, Disposition::Failed);
}

#[tokio::test]
async fn an_operator_ends_a_ringing_call() {
    let rig = Rig::new().await;
    rig.switch.asked_for(|c| matches!(c, SwitchCommand::Originate(_))).await;
    rig.switch.says(SwitchEvent::Ringing).await;
    rig.end.send_replace(Some(HangupReason::Operator));
    rig.switch
        .asked_for(|c| matches!(c, SwitchCommand::HangUp { cause } if cause.as_str() == "ORIGINATOR_CANCEL"))
        .await;
    rig.switch.says(SwitchEvent::HungUp(HangupCause::new("ORIGINATOR_CANCEL"))).await;
    assert_eq!(rig.running.await.unwrap().disposition, Disposition::Cancelled);
}
