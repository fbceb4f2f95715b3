use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sidetone_core::{
    call::{CallId, Disposition, HangupReason},
    campaign::{CampaignState, Control, Policy, Rule},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::{CallWish, NewCampaign, NewContact, Terms, WishAnswer};

/// Takes calls, lets them last and says what they came to.
struct FakeSwitch {
    store: Store,
    lasts: Duration,
    refuse: Mutex<Option<PlaceError>>,
    ready: Mutex<Result<(), NotReady>>,
    placed: Mutex<Vec<(CallSpec, Instant)>>,
    live: Arc<Mutex<BTreeMap<CallId, i64>>>,
    most: Mutex<usize>,
    ended: Mutex<Vec<i64>>,
}

impl FakeSwitch {
    fn placed(&self) -> usize {
        self.placed.lock().unwrap().len()
    }
}

impl PlaceCall for FakeSwitch {
    fn ready(&self) -> Result<(), NotReady> {
        self.ready.lock().unwrap().clone()
    }

    fn place(&self, spec: CallSpec, line: Line) -> Result<(), PlaceError> {
        if let Some(error) = self.refuse.lock().unwrap().clone() {
            return Err(error);
        }
        let mut live = self.live.lock().unwrap();
        live.insert(spec.call.clone(), spec.campaign.unwrap_or_default());
        let mut most = self.most.lock().unwrap();
        *most = (*most).max(live.len());
        self.placed.lock().unwrap().push((spec.clone(), Instant::now()));
        let (store, lasts, live) = (self.store.clone(), self.lasts, Arc::clone(&self.live));
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            let finished = FinishedCall::new(Disposition::Completed, now_ms());
            store.finish_attempt(&spec.call, &finished, &spec.retries).await.unwrap();
            line.ended(None);
            drop(line);
            live.lock().unwrap().remove(&spec.call);
        });
        Ok(())
    }

    fn is_live(&self, call: &CallId) -> bool {
        self.live.lock().unwrap().contains_key(call)
    }

    fn end_campaign_calls(&self, campaign: i64, _reason: HangupReason) {
        self.ended.lock().unwrap().push(campaign);
    }
}

fn new_campaign() -> NewCampaign {
    NewCampaign {
        name: "c".to_owned(),
        scenario: "/s.yaml".to_owned(),
        language: None,
        caller_id: None,
        max_concurrent: 3,
        cps: 20.0,
        max_attempts: 3,
    }
}

fn contacts(n: usize) -> Vec<NewContact> {
    (0..n).map(|i| NewContact::new(format!("+3361234{i:04}"), BTreeMap::new())).collect()
}

struct Bench {
    store: Store,
    switch: Arc<FakeSwitch>,
    shutdown: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
    lines: LineLimits,
    _folder: Option<tempfile::TempDir>,
}

impl Bench {
    /// A campaign `c` of so many contacts, not running yet.
    async fn new(contacts: usize, lasts: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let bench = Self::on(&url, contacts, lasts).await;
        Self { _folder: Some(folder), ..bench }
    }

    /// The same in a database that others use too; there the first makes the campaign.
    async fn on(url: &str, some: usize, lasts: Duration) -> Self {
        let store = Store::open(url).await.unwrap();
        if let Ok(made) = store.create_campaign(&new_campaign(), now_ms()).await {
            store.import_contacts(made.id, &contacts(some), now_ms()).await.unwrap();
        }
        let switch = Arc::new(FakeSwitch {
            store: store.clone(),
            lasts,
            refuse: Mutex::default(),
            ready: Mutex::new(Ok(())),
            placed: Mutex::default(),
            live: Arc::default(),
            most: Mutex::default(),
            ended: Mutex::default(),
        });
        let lines = LineLimits::one("sofia/gateway/gw/{digits}");
        Self { store, switch, lines, shutdown: CancellationToken::new(), task: None, _folder: None }
    }

    fn dial(&mut self) {
        self.dial_as("one");
    }

    fn dial_as(&mut self, instance: &str) {
        let settings = DialSettings {
            instance: instance.to_owned(),
            caller_id: "+33100000000".to_owned(),
            lines: self.lines.clone(),
        };
        let dialer =
            Dialer::new(self.store.clone(), Arc::clone(&self.switch) as Arc<dyn PlaceCall>, settings);
        self.task = Some(tokio::spawn(dialer.run(self.shutdown.clone())));
    }

    async fn control(&self, control: Control) -> Campaign {
        self.store.control_campaign("c", control, now_ms()).await.unwrap()
    }

    async fn until(&self, what: &str, mut seen: impl AsyncFnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !seen(self).await {
            assert!(Instant::now() < deadline, "never: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn state(&self) -> CampaignState {
        self.store.campaign("c").await.unwrap().state
    }
}

#[tokio::test]
async fn a_campaign_is_dialled_once_within_its_limits_and_ends() {
    let mut bench = Bench::new(10, Duration::from_millis(120)).await;
    bench.control(Control::Run).await;
    bench.dial();
    bench.until("done", async |bench| bench.state().await == CampaignState::Done).await;
    let placed = bench.switch.placed.lock().unwrap();
    let numbers: BTreeSet<_> = placed.iter().map(|(spec, _)| spec.number.clone()).collect();
    assert_eq!((placed.len(), numbers.len()), (10, 10));
    assert!(*bench.switch.most.lock().unwrap() <= 3);
    assert_eq!(placed[0].0.dial_string, "sofia/gateway/gw/33612340000");
    assert_eq!(placed[0].0.caller_id, "+33100000000");
    assert!(!format!("{:?}", placed[0].0).contains("33612340000"), "a number in a log");
}

#[tokio::test]
async fn pause_starts_none_and_resume_goes_on() {
    let mut bench = Bench::new(10, Duration::from_millis(50)).await;
    bench.control(Control::Run).await;
    bench.dial();
    bench.until("a call", async |bench| bench.switch.placed() > 0).await;
    bench.control(Control::Pause).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = bench.switch.placed();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(bench.switch.placed(), before);
    bench.control(Control::Resume).await;
    bench.until("done", async |bench| bench.state().await == CampaignState::Done).await;
    assert_eq!(bench.switch.placed(), 10);
}

#[tokio::test]
async fn stop_ends_the_live_calls() {
    let mut bench = Bench::new(9, Duration::from_secs(60)).await;
    let id = bench.control(Control::Run).await.id;
    bench.dial();
    bench.until("three calls", async |bench| bench.switch.placed() == 3).await;
    let stopped = Instant::now();
    bench.control(Control::Stop).await;
    bench.until("asked", async |bench| bench.switch.ended.lock().unwrap().contains(&id)).await;
    assert!(stopped.elapsed() < Duration::from_secs(1));
    assert_eq!(bench.switch.placed(), 3);
}

/// Two sidecars on one PostgreSQL, told from a third process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_word_from_any_machine_holds_for_all_of_them() {
    let server = crate::store::scratch::ScratchPostgres::start().unwrap();
    let url = server.database().await.unwrap();
    let mut one = Bench::on(&url, 400, Duration::from_millis(300)).await;
    let mut two = Bench::on(&url, 0, Duration::from_millis(300)).await;
    one.control(Control::Run).await;
    one.dial_as("one");
    two.dial_as("two");
    let both = async |bench: &Bench| bench.switch.placed() > 1 && two.switch.placed() > 1;
    one.until("both dial", both).await;

    let told = Store::open(&url).await.unwrap();
    let paused = told.control_campaign("c", Control::Pause, now_ms()).await.unwrap();
    let before = one.store.recent_calls(Some(paused.id), 1000).await.unwrap().len();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let after = one.store.recent_calls(Some(paused.id), 1000).await.unwrap().len();
    assert_eq!(after, before, "a claim looks at the state in its own transaction");

    told.control_campaign("c", Control::Resume, now_ms()).await.unwrap();
    one.until("they go on", async |bench| bench.switch.placed() + two.switch.placed() > before).await;
    told.control_campaign("c", Control::Stop, now_ms()).await.unwrap();
    let id = paused.id;
    let ended = |bench: &Bench| bench.switch.ended.lock().unwrap().contains(&id);
    let asked = async |bench: &Bench| {
        ended(bench) || ended(&two) || told.campaign_counts(id).await.unwrap().live == 0
    };
    one.until("asked to end", asked).await;
}

#[tokio::test]
async fn weights_share_what_the_machine_can_carry() {
    let mut bench = Bench::new(0, Duration::from_millis(20)).await;
    for (name, weight) in [("light", 1), ("heavy", 4)] {
        let terms = Terms { weight, ..Terms::default() };
        let new = NewCampaign { name: name.to_owned(), cps: 500.0, max_concurrent: 50, ..new_campaign() };
        let made = bench.store.create_campaign_with(&new, &terms, now_ms()).await.unwrap();
        bench.store.import_contacts(made.id, &contacts(200), now_ms()).await.unwrap();
        bench.store.control_campaign(name, Control::Run, now_ms()).await.unwrap();
    }
    bench.lines.max_concurrent = 2;
    bench.dial();
    bench.until("fifty calls", async |bench| bench.switch.placed() >= 50).await;
    bench.shutdown.cancel();
    let placed = bench.switch.placed.lock().unwrap();
    let of = |campaign: i64| placed.iter().filter(|(spec, _)| spec.campaign == Some(campaign)).count();
    let (light, heavy) = (of(2), of(3));
    assert!(heavy >= 3 * light && light > 0, "{light} and {heavy}");
    assert!(*bench.switch.most.lock().unwrap() <= 2, "more at once than the machine may");
}

#[tokio::test]
async fn gateways_and_terms_reach_the_call() {
    let mut bench = Bench::new(0, Duration::from_millis(30)).await;
    let policy =
        Policy::presets().iter().find(|policy| policy.name == "us-tsr").cloned().map(|mut policy| {
            policy.off = [(Rule::Hours, "a test".to_owned()), (Rule::Consent, "a test".to_owned())].into();
            policy
        });
    let terms = Terms {
        policy,
        caller_ids: vec!["+33100000007".to_owned()],
        machine: [("voicemail".to_owned(), "hang_up".to_owned())].into(),
        ..Terms::default()
    };
    let new = NewCampaign { name: "rules".to_owned(), ..new_campaign() };
    let made = bench.store.create_campaign_with(&new, &terms, now_ms()).await.unwrap();
    bench.store.import_contacts(made.id, &contacts(4), now_ms()).await.unwrap();
    bench.store.control_campaign("rules", Control::Run, now_ms()).await.unwrap();
    bench.lines.gateways = ["a", "b"].map(gateway).to_vec();
    bench.dial();
    let done =
        async |bench: &Bench| bench.store.campaign("rules").await.unwrap().state == CampaignState::Done;
    bench.until("done", done).await;
    let calls = bench.store.recent_calls(Some(made.id), 9).await.unwrap();
    let placed = bench.switch.placed.lock().unwrap();
    let spec = &placed[0].0;
    assert_eq!((spec.caller_id.as_str(), spec.ring_at_least), ("+33100000007", Duration::from_secs(15)));
    assert_eq!(spec.machine["voicemail"], "hang_up");
    let through = |name: &str| placed.iter().filter(|(spec, _)| spec.dial_string.starts_with(name)).count();
    assert!(through("a/") > 0 && through("b/") > 0 && through("a/") + through("b/") == 4);
    assert!(calls.iter().all(|call| call.gateway.is_some() && call.caller_id.is_some()), "{calls:?}");
}

fn gateway(name: &str) -> crate::config::Gateway {
    let dial_string = format!("{name}/{{e164}}");
    crate::config::Gateway { name: name.to_owned(), dial_string, max_concurrent: 1, cps: 0.0 }
}

#[tokio::test]
async fn nothing_is_claimed_while_the_switch_is_away() {
    let mut bench = Bench::new(2, Duration::from_millis(10)).await;
    *bench.switch.ready.lock().unwrap() = Err(NotReady("the switch is not connected".to_owned()));
    let id = bench.control(Control::Run).await.id;
    bench.dial();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let counts = bench.store.campaign_counts(id).await.unwrap();
    assert_eq!((counts.waiting, counts.live, bench.switch.placed()), (2, 0, 0));
    *bench.switch.ready.lock().unwrap() = Ok(());
    bench.until("done", async |bench| bench.state().await == CampaignState::Done).await;
}

#[tokio::test]
async fn a_campaign_that_cannot_go_on_is_paused_with_the_reason_and_loses_nobody() {
    let mut bench = Bench::new(3, Duration::from_millis(10)).await;
    let reason = "the model tiny.en hears no fr: run `sidetone models get tiny`";
    *bench.switch.refuse.lock().unwrap() = Some(PlaceError::Campaign(reason.to_owned()));
    let id = bench.control(Control::Run).await.id;
    bench.dial();
    bench.until("paused", async |bench| bench.state().await == CampaignState::Paused).await;
    assert_eq!(bench.store.campaign("c").await.unwrap().note.as_deref(), Some(reason));
    assert_eq!(bench.store.campaign_counts(id).await.unwrap().waiting, 3);
}

#[tokio::test]
async fn a_contact_that_cannot_be_called_is_done_with_and_one_not_now_waits() {
    let mut bench = Bench::new(1, Duration::from_millis(10)).await;
    *bench.switch.refuse.lock().unwrap() = Some(PlaceError::NotNow("busy".to_owned()));
    let id = bench.control(Control::Run).await.id;
    bench.dial();
    bench
        .until("given back", async |bench| !bench.store.recent_calls(None, 1).await.unwrap().is_empty())
        .await;
    bench.until("waiting", async |b| b.store.campaign_counts(id).await.unwrap().waiting == 1).await;
    *bench.switch.refuse.lock().unwrap() = Some(PlaceError::Contact("no prompt for `Zoé`".to_owned()));
    bench.until("done", async |bench| bench.state().await == CampaignState::Done).await;
    let row = bench.store.report_rows(id, 0, 1).await.unwrap().remove(0);
    assert_eq!((row.attempts, row.disposition), (1, Some(Disposition::Failed)));
    assert_eq!(row.outcome.as_deref(), Some("not placed: no prompt for `Zoé`"));
}

#[tokio::test]
async fn a_wish_is_dialled_or_refused_with_the_reason() {
    let mut bench = Bench::new(0, Duration::from_millis(10)).await;
    bench.dial();
    let wish = CallWish {
        number: None,
        dial_string: Some("loopback/1000/default".to_owned()),
        scenario: "/s.yaml".to_owned(),
        language: None,
        caller_id: None,
        variables: BTreeMap::new(),
    };
    let id = bench.store.place_wish(&wish, now_ms()).await.unwrap();
    bench.until("taken", async |b| b.store.wish_answer(id).await.unwrap() != WishAnswer::Waiting).await;
    bench.until("placed", async |bench| bench.switch.placed() == 1).await;
    assert_eq!(bench.switch.placed.lock().unwrap()[0].0.dial_string, "loopback/1000/default");

    *bench.switch.refuse.lock().unwrap() = Some(PlaceError::NotNow("no room".to_owned()));
    let id = bench.store.place_wish(&wish, now_ms()).await.unwrap();
    let refused = WishAnswer::Refused("no room".to_owned());
    bench.until("refused", async |b| b.store.wish_answer(id).await.unwrap() == refused).await;
    bench.until("closed", async |b| b.store.orphans("one").await.unwrap().is_empty()).await;
}

#[tokio::test]
async fn an_attempt_whose_call_died_is_settled_at_the_second_audit() {
    let bench = Bench::new(1, Duration::from_secs(60)).await;
    let id = bench.control(Control::Run).await.id;
    let call = bench.store.claim_contacts(id, 1, "one", now_ms()).await.unwrap().remove(0).call;
    let (instance, caller_id) = ("one".to_owned(), String::new());
    let settings = DialSettings { instance, caller_id, lines: LineLimits::one("") };
    let mut dialer =
        Dialer::new(bench.store.clone(), Arc::clone(&bench.switch) as Arc<dyn PlaceCall>, settings);
    dialer.audit().await.unwrap();
    assert_eq!(bench.store.orphans("one").await.unwrap().len(), 1);
    dialer.audit().await.unwrap();
    assert_eq!(bench.store.attempt(call.as_str()).await.unwrap().disposition, Some(Disposition::Lost));
}

#[tokio::test]
async fn shutdown_ends_the_task() {
    let mut bench = Bench::new(0, Duration::ZERO).await;
    bench.dial();
    bench.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), bench.task.take().unwrap()).await.unwrap().unwrap();
}
