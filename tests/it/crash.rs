//! The service as a process of its own, killed in mid-campaign and started again on the same database.
//!
//! It is this test binary once more, as the ignored test [`serve_in_a_child`], so that it needs no speech model; with
//! Whisper built in, `speech.rs` does the same to the real program.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sidetone::{
    app::{self, Parts},
    config::Config,
    sim::{Cast, EndedBy, Sim, SimConfig, SimHandle},
    store::{CampaignCounts, NewCampaign, NewContact, Store, now_ms},
};
use sidetone_core::{
    call::{Disposition, Event},
    campaign::{CampaignState, Control},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, SCENARIO, ears, person, write_sounds};

/// Where the child finds its configuration.
const CONFIG: &str = "SIDETONE_IT_CONFIG";

#[tokio::test]
#[ignore = "a part of the other tests here: the process that they kill"]
async fn serve_in_a_child() {
    let Some(file) = std::env::var_os(CONFIG) else { return };
    let config = Config::effective(Some(Path::new(&file))).expect("a configuration");
    sidetone::logging::init(&config.log).expect("logs");
    let parts = Parts { recognizer: Some(ears().shared()), ready: None };
    app::serve_with(Arc::new(config), parts, CancellationToken::new()).await.expect("it serves");
}

struct Desk {
    folder: tempfile::TempDir,
    sim: SimHandle,
    store: Store,
}

impl Desk {
    async fn new(numbers: &[String], log: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let prompts = write_sounds(folder.path());
        std::fs::write(folder.path().join("short.yaml"), SCENARIO).expect("written");
        let cast: String = numbers.iter().map(|number| person(number)).collect();
        let cast = Cast::parse_in(&format!("callees:\n{cast}"), "cast.yaml", folder.path());
        let sim = SimConfig { cast: cast.expect("a cast"), ..SimConfig::default() };
        let sim = Sim::start(sim).await.expect("it starts");
        let database = format!("sqlite:{}", folder.path().join("calls.db").display());
        let config = format!(
            "[media]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [switch]\nesl = \"{}\"\ncaller_id = \"+442079460000\"\ndial_string = \"sofia/gateway/gw/{{e164}}\"\n\
             [store]\nurl = \"{database}\"\n[prompts]\ndir = \"{}\"\n[scenarios]\ndir = \"{}\"\n\
             [amd]\nwindow = \"1200ms\"\n[log]\nlevel = \"{log}\"\n",
            sim.esl_addr(),
            prompts.display(),
            folder.path().display()
        );
        std::fs::write(folder.path().join("sidetone.toml"), config).expect("written");
        let store = Store::open(&database).await.expect("a database");
        let desk = Self { folder, sim, store };
        desk.campaign(numbers).await;
        desk
    }

    async fn campaign(&self, numbers: &[String]) {
        let new = NewCampaign {
            name: "test".to_owned(),
            scenario: self.file("short.yaml").display().to_string(),
            language: None,
            caller_id: None,
            max_concurrent: 2,
            cps: 10.0,
            max_attempts: 3,
        };
        let campaign = self.store.create_campaign(&new, now_ms()).await.expect("made");
        let contacts: Vec<NewContact> =
            numbers.iter().map(|n| NewContact::new(n.clone(), [].into())).collect();
        self.store.import_contacts(campaign.id, &contacts, now_ms()).await.expect("imported");
        self.store.control_campaign("test", Control::Run, now_ms()).await.expect("allowed");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the service; what it logs is added to the file `log`.
    fn serve(&self) -> Served {
        let log = std::fs::File::options().create(true).append(true).open(self.file("log")).expect("a file");
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "crash::serve_in_a_child", "--ignored", "--nocapture"])
            .env(CONFIG, self.file("sidetone.toml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Served(child.expect("it starts"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    async fn counts(&self) -> CampaignCounts {
        self.store.campaign_counts(1).await.expect("counts")
    }

    async fn done(&self) {
        let began = Instant::now();
        while self.store.campaign("test").await.expect("there").state != CampaignState::Done {
            assert!(began.elapsed() < PATIENCE, "{:?}\n{}", self.counts().await, self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until so many calls hear the bot.
    async fn talking(&self, wanted: usize) {
        let began = Instant::now();
        while self.sim.report().calls.iter().filter(|call| !call.plays.is_empty()).count() < wanted {
            assert!(began.elapsed() < PATIENCE, "nobody is talked to\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Killed with the test, whatever becomes of it.
struct Served(Child);

impl Served {
    /// As the out-of-memory killer does it.
    fn kill(mut self) {
        self.0.kill().expect("it lives");
        self.0.wait().expect("it is gone");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("+4420794601{n:02}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_leaves_its_calls_lost_and_nobody_called_twice() {
    let numbers = numbers(4);
    let desk = Desk::new(&numbers, "info").await;
    let served = desk.serve();
    desk.talking(2).await;
    served.kill();
    assert_eq!(desk.sim.channels().len(), 2, "the switch still has them");
    let open = desk.counts().await;
    assert_eq!((open.live, open.waiting), (2, 2), "{open:?}");

    // At once, while the dead one's heartbeat is fresh: its process is gone.
    let served = desk.serve();
    desk.done().await;
    let counts = desk.counts().await;
    assert_eq!(counts.by_disposition.get(&Disposition::Lost), Some(&2), "{counts:?}");
    assert_eq!(counts.by_disposition.get(&Disposition::Completed), Some(&2), "{counts:?}");
    served.kill();
    let report = desk.sim.shutdown().await;
    for number in &numbers {
        assert_eq!(report.times_called(number), 1, "{number}");
    }
    let ghosts =
        report.calls.iter().filter(|call| call.ended_by == Some(EndedBy::Command) && call.plays.len() < 2);
    assert_eq!(ghosts.count(), 2, "{:?}", report.calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_end_while_nobody_serves_are_lost_too() {
    let numbers = numbers(1);
    let desk = Desk::new(&numbers, "info").await;
    let served = desk.serve();
    desk.talking(1).await;
    // Long enough for what was seen of it to be written.
    sleep(Duration::from_millis(500)).await;
    served.kill();
    let uuid = desk.sim.channels().remove(0);
    desk.sim.kill_channel(&uuid, "NORMAL_CLEARING");
    let _served = desk.serve();
    desk.done().await;
    assert_eq!(desk.counts().await.by_disposition.get(&Disposition::Lost), Some(&1));
    let call = sidetone_core::call::CallId::new(&uuid).expect("an id");
    let events = desk.store.call_timeline(&call).await.expect("a timeline");
    let prompt = |e: &Event| matches!(e, Event::PromptStarted { .. });
    assert!(events.iter().any(|stored| prompt(&stored.event)), "what happened before is kept: {events:#?}");
    let last = events.last().map(|stored| stored.event.clone());
    assert_eq!(last, Some(Event::Ended { disposition: Disposition::Lost, outcome: None }));
    assert_eq!(desk.sim.report().times_called(&numbers[0]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_tell_calls_apart_and_no_secrets() {
    for (level, words) in [("info", false), ("debug", true)] {
        let numbers = numbers(1);
        let desk = Desk::new(&numbers, level).await;
        let served = desk.serve();
        desk.done().await;
        let call = desk.sim.report().calls.remove(0);
        served.kill();
        let log = desk.log();
        assert!(log.lines().any(|line| line.contains(&call.uuid) && line.contains("verdict")), "{log}");
        assert!(!log.contains("79460100"), "a number: {log}");
        assert!(!log.contains("ClueCon"), "a password: {log}");
        assert!(!log.contains("?t="), "a stream's token: {log}");
        assert_eq!(log.contains("Yes please."), words, "{level}: {log}");
    }
}
