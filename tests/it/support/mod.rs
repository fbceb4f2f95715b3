//! The whole service against the stand-in, over real sockets, with a recogniser that follows a script.

mod sounds;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sidetone::{
    app::{self, Addresses, Parts},
    asr::Recognizer,
    config::{Config, Secret},
    sim::{CallReport, Cast, Delivery, Sim, SimConfig, SimHandle, SimReport},
    store::{Attempt, CallWish, Campaign, NewCampaign, NewContact, Store, StoredEvent, WishAnswer, now_ms},
};
use sidetone_core::{
    call::{CallId, Event},
    campaign::Control,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub(crate) use sounds::{HELLO, MACHINE, STOP, YES, ears, write_sounds};

/// The longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A number from the range kept for fiction.
pub(crate) const ANNA: &str = "+442079460101";

/// A callee for [`Setup::cast`].
pub(crate) fn callee(number: &str, answer: &str, does: &[String]) -> String {
    let does = if does.is_empty() { String::new() } else { format!("    does: [{}]\n", does.join(", ")) };
    format!(
        "  - name: \"{number}\"\n    number: \"{number}\"\n    answer: {answer}\n{does}    hang_up_after: 30s\n"
    )
}

/// A person who says hello, and yes when asked.
pub(crate) fn person(number: &str) -> String {
    let does =
        [format!("{{at: 150ms, say: {HELLO}}}"), format!("{{prompt_done: 1, after: 300ms, say: {YES}}}")];
    callee(number, "{after: 100ms}", &does)
}

pub(crate) fn anna() -> String {
    person(ANNA)
}

/// Two seconds of greeting that may be interrupted, a question, an end; a message for machines.
pub(crate) const SCENARIO: &str = "
name: short
language: en
variables:
  name: {values: [anna, bob], default: anna}
machine:
  voicemail: {leave_message: message, wait: 20s}
steps:
  greeting:
    play: {file: greeting.wav, text: 'Hello, can you come?'}
    listen:
      timeout: 2s
      on: {yes: done, no: done, who: explain}
      dtmf: {1: done}
      no_input: {retries: 0, then: nobody}
      no_match: {retries: 1, then: nobody}
  explain:
    play: {file: clinic.wav, text: 'We are the clinic.'}
    listen:
      timeout: 2s
      on: {yes: done}
      no_input: {retries: 0, then: nobody}
      no_match: {retries: 0, then: nobody}
  done:
    play: {file: short.wav, text: 'Thank you.'}
    hang_up: {disposition: completed, outcome: confirmed}
  nobody:
    hang_up: {disposition: no_input, outcome: nobody}
  message:
    play: {file: message.wav, text: 'Please call us back.'}
    hang_up: {disposition: message_left, outcome: message}
intents:
  who: [who is this]
";

type Configure = Box<dyn FnOnce(&mut Config, &Path)>;

/// What a rig is made with.
pub(crate) struct Setup {
    cast: String,
    shipped: Option<&'static str>,
    edit: Option<(&'static str, &'static str)>,
    recognizer: Arc<dyn Recognizer>,
    delivery: Delivery,
    configure: Configure,
}

impl Setup {
    /// A cast's callees, without the head line; `{hello}` and the like stand for sound files.
    pub(crate) fn cast(callees: &str) -> Self {
        Self {
            cast: callees.to_owned(),
            shipped: None,
            edit: None,
            recognizer: sounds::ears().shared(),
            delivery: Delivery::default(),
            configure: Box::new(|_, _| {}),
        }
    }

    pub(crate) fn delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// A scenario of the shipped ones, with the usual AMD window, instead of [`SCENARIO`].
    #[cfg(feature = "whisper")]
    pub(crate) fn shipped(self, name: &'static str) -> Self {
        Self { shipped: Some(name), ..self }
    }

    /// The shipped scenario with some text of it replaced.
    #[cfg(feature = "whisper")]
    pub(crate) fn edited(self, text: &'static str, by: &'static str) -> Self {
        Self { edit: Some((text, by)), ..self }
    }

    #[cfg(feature = "whisper")]
    pub(crate) fn recognizer(self, recognizer: Arc<dyn Recognizer>) -> Self {
        Self { recognizer, ..self }
    }

    pub(crate) fn configure(self, configure: impl FnOnce(&mut Config) + 'static) -> Self {
        self.configure_in(|config, _| configure(config))
    }

    /// The second is the rig's own folder.
    pub(crate) fn configure_in(self, configure: impl FnOnce(&mut Config, &Path) + 'static) -> Self {
        Self { configure: Box::new(configure), ..self }
    }

    pub(crate) async fn start(self) -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let mut prompts = write_sounds(folder.path());
        let mut scenario = folder.path().join("short.yaml");
        std::fs::write(&scenario, SCENARIO).expect("written");
        if let Some(name) = self.shipped {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
            (scenario, prompts) = (root.join(name).with_extension("yaml"), root.join("prompts"));
            if let Some((text, by)) = self.edit {
                let yaml = std::fs::read_to_string(&scenario).expect("a shipped scenario");
                assert!(yaml.contains(text), "{text}");
                scenario = folder.path().join("edited.yaml");
                std::fs::write(&scenario, yaml.replace(text, by)).expect("writable");
            }
        }
        let cast = Cast::parse_in(&format!("callees:\n{}", self.cast), "cast.yaml", folder.path());
        let sim = SimConfig {
            cast: cast.unwrap_or_else(|error| panic!("{error}")),
            delivery: self.delivery,
            ..SimConfig::default()
        };
        let sim_began_ms = now_ms();
        let sim = Sim::start(sim).await.expect("the stand-in starts");
        let mut config = Config::default();
        config.media.listen = ([127, 0, 0, 1], 0).into();
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.switch.esl = sim.esl_addr().to_string();
        config.switch.password = Secret::new("ClueCon");
        config.switch.caller_id = "+442079460000".to_owned();
        config.switch.dial_string = "sofia/gateway/gw/{e164}".to_owned();
        config.store.url = format!("sqlite:{}", folder.path().join("calls.db").display());
        config.prompts.dir = prompts;
        config.scenarios.dir = folder.path().to_owned();
        if self.shipped.is_none() {
            config.amd.window = Duration::from_millis(1200);
        }
        config.call.ring_timeout = Duration::from_secs(3);
        config.shutdown.grace = Duration::from_secs(5);
        (self.configure)(&mut config, folder.path());
        let store = Store::open(&config.store.url).await.expect("a database");
        let config = Arc::new(config);
        let service = Service::start(&config, self.recognizer.clone()).await;
        Rig { config, sim, sim_began_ms, store, service, scenario, recognizer: self.recognizer, folder }
    }
}

/// A running service.
pub(crate) struct Service {
    pub(crate) addresses: Addresses,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Service {
    async fn start(config: &Arc<Config>, recognizer: Arc<dyn Recognizer>) -> Self {
        let shutdown = CancellationToken::new();
        let (ready, listening) = oneshot::channel();
        let parts = Parts { recognizer: Some(recognizer), ready: Some(ready) };
        let task = tokio::spawn(app::serve_with(config.clone(), parts, shutdown.clone()));
        let Ok(addresses) = listening.await else { panic!("{:?}", task.await) };
        Self { addresses, shutdown, task }
    }

    /// Asks it to stop, as SIGTERM does.
    pub(crate) fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until it has stopped; returns how long that took.
    pub(crate) async fn stopped(self) -> Duration {
        let began = Instant::now();
        timeout(PATIENCE, self.task).await.expect("it stops").expect("no panic").expect("in good order");
        began.elapsed()
    }
}

pub(crate) struct Rig {
    pub(crate) config: Arc<Config>,
    pub(crate) sim: SimHandle,
    sim_began_ms: i64,
    pub(crate) store: Store,
    pub(crate) service: Service,
    scenario: PathBuf,
    recognizer: Arc<dyn Recognizer>,
    pub(crate) folder: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn scenario(&self) -> String {
        self.scenario.display().to_string()
    }

    /// Asks for a call and returns its id once it is placed.
    pub(crate) async fn call(&self, number: &str) -> CallId {
        self.call_with(number, []).await
    }

    pub(crate) async fn call_with<const N: usize>(
        &self,
        number: &str,
        variables: [(&str, &str); N],
    ) -> CallId {
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.wish(CallWish { number: Some(number.to_owned()), variables, ..self.nobody() }).await
    }

    /// Calls by a dial string.
    pub(crate) async fn dial(&self, dial_string: &str, caller_id: Option<&str>) -> CallId {
        let caller_id = caller_id.map(str::to_owned);
        self.wish(CallWish { dial_string: Some(dial_string.to_owned()), caller_id, ..self.nobody() }).await
    }

    fn nobody(&self) -> CallWish {
        CallWish {
            number: None,
            dial_string: None,
            scenario: self.scenario(),
            language: None,
            caller_id: None,
            variables: [].into(),
        }
    }

    async fn wish(&self, wish: CallWish) -> CallId {
        match self.answer(wish).await {
            Ok(call) => call,
            // The newest attempt: a wish that was refused names none.
            Err(_) => self.store.recent_calls(None, 1).await.expect("a list").remove(0).call,
        }
    }

    /// Asks for a call that must not be; returns why.
    pub(crate) async fn refused_call(&self, number: &str) -> String {
        let answer = self.answer(CallWish { number: Some(number.to_owned()), ..self.nobody() }).await;
        answer.expect_err("it must be refused")
    }

    async fn answer(&self, wish: CallWish) -> Result<CallId, String> {
        let id = self.store.place_wish(&wish, now_ms()).await.expect("placed");
        let began = Instant::now();
        loop {
            match self.store.wish_answer(id).await.expect("an answer") {
                WishAnswer::Call(call) => return Ok(call),
                WishAnswer::Refused(reason) => return Err(reason),
                WishAnswer::Waiting => assert!(began.elapsed() < PATIENCE, "nobody took the wish"),
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The attempt, once its outcome is stored.
    pub(crate) async fn outcome(&self, call: &CallId) -> Attempt {
        let began = Instant::now();
        loop {
            let attempt = self.store.attempt(call.as_str()).await.expect("an attempt");
            if attempt.ended_ms.is_some() {
                return attempt;
            }
            if began.elapsed() > PATIENCE {
                panic!("no outcome; {:#?}; {:#?}", self.events(call).await, self.seen(call));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A whole call: what was stored of it, its events, and what the stand-in saw.
    pub(crate) async fn whole_call(&self, number: &str) -> (Attempt, Vec<StoredEvent>, CallReport) {
        let call = self.call(number).await;
        let attempt = self.outcome(&call).await;
        (attempt, self.events(&call).await, self.seen(&call))
    }

    pub(crate) async fn events(&self, call: &CallId) -> Vec<StoredEvent> {
        self.store.call_timeline(call).await.expect("a timeline")
    }

    /// Waits for such an event.
    pub(crate) async fn event(&self, call: &CallId, wanted: impl Fn(&Event) -> bool) -> StoredEvent {
        let began = Instant::now();
        loop {
            let events = self.events(call).await;
            if let Some(event) = events.iter().find(|stored| wanted(&stored.event)) {
                return event.clone();
            }
            assert!(began.elapsed() < PATIENCE, "it never came: {events:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until this prompt (1 is the first) plays.
    pub(crate) async fn prompt(&self, call: &CallId, number: u32) {
        self.event(call, |e| matches!(e, Event::PromptStarted { id, .. } if id.0 == number)).await;
    }

    pub(crate) fn seen(&self, call: &CallId) -> CallReport {
        self.sim.report().call(call.as_str()).cloned().unwrap_or_default()
    }

    /// A time of the stand-in's, as unix milliseconds; right to a millisecond or two.
    pub(crate) fn unix_ms(&self, sim_ms: u64) -> i64 {
        self.sim_began_ms + i64::try_from(sim_ms).expect("fits")
    }

    /// A campaign of these numbers, not yet running.
    pub(crate) async fn campaign(&self, numbers: &[&str], max_concurrent: u32, cps: f64) -> Campaign {
        let new = NewCampaign {
            name: "test".to_owned(),
            scenario: self.scenario(),
            language: None,
            caller_id: None,
            max_concurrent,
            cps,
            max_attempts: 3,
        };
        let campaign = self.store.create_campaign(&new, now_ms()).await.expect("made");
        let contacts: Vec<NewContact> =
            numbers.iter().map(|number| NewContact::new((*number).to_owned(), [].into())).collect();
        self.store.import_contacts(campaign.id, &contacts, now_ms()).await.expect("imported");
        campaign
    }

    pub(crate) async fn control(&self, control: Control) {
        self.store.control_campaign("test", control, now_ms()).await.expect("allowed");
    }

    /// Waits until the campaign `test` is so.
    pub(crate) async fn campaign_when(
        &self,
        wanted: impl Fn(&Campaign, &sidetone::store::CampaignCounts) -> bool,
    ) {
        let began = Instant::now();
        loop {
            let campaign = self.store.campaign("test").await.expect("there");
            let counts = self.store.campaign_counts(campaign.id).await.expect("counts");
            if wanted(&campaign, &counts) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{campaign:?} {counts:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for a call that is up.
    pub(crate) async fn live_call(&self) -> CallId {
        let began = Instant::now();
        loop {
            let calls = self.store.recent_calls(None, 10).await.expect("a list");
            if let Some(live) = calls.into_iter().find(|call| call.ended_ms.is_none()) {
                return live.call;
            }
            assert!(began.elapsed() < PATIENCE, "no call");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until calls can be placed and taken.
    pub(crate) async fn connected(&self) {
        let began = Instant::now();
        while get(self.service.addresses.http, "/readyz").await.contains("switch_down") {
            assert!(began.elapsed() < PATIENCE, "never ready");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        get(self.service.addresses.http, "/metrics").await
    }

    /// Stops the service as SIGTERM does and starts it anew on the same database.
    pub(crate) async fn restart(self) -> Self {
        let Self { config, sim, sim_began_ms, store, service, scenario, recognizer, folder } = self;
        service.ask_to_stop();
        service.stopped().await;
        let service = Service::start(&config, recognizer.clone()).await;
        Self { config, sim, sim_began_ms, store, service, scenario, recognizer, folder }
    }

    /// Stops everything in good order.
    pub(crate) async fn stop(self) -> SimReport {
        self.service.ask_to_stop();
        self.service.stopped().await;
        let report = self.sim.shutdown().await;
        self.store.close().await;
        report
    }
}

/// A page's body.
pub(crate) async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    socket.read_to_string(&mut text).await.expect("an answer");
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// The value of a line of the metrics page, 0 where there is none.
pub(crate) fn metric(page: &str, name: &str) -> f64 {
    let line = page.lines().find(|line| line.split_once(' ').is_some_and(|(n, _)| n == name));
    line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

/// The names of events, in order, as JSON has them.
pub(crate) fn names(events: &[StoredEvent]) -> Vec<String> {
    events
        .iter()
        .map(|stored| {
            serde_json::to_value(&stored.event).expect("JSON")["event"].as_str().unwrap_or("").to_owned()
        })
        .collect()
}
