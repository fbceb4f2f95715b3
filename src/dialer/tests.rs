use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sidetone_core::{
    call::{CallId, Disposition, HangupReason},
    campaign::{CampaignState, Control},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::{CallWish, NewCampaign, NewContact, WishAnswer};

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

    fn place(&self, spec: CallSpec) -> Result<(), PlaceError> {
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

struct Bench {
    store: Store,
    switch: Arc<FakeSwitch>,
    shutdown: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A campaign `c` of so many contacts, not running yet.
    async fn new(contacts: usize, lasts: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let new = NewCampaign {
            name: "c".to_owned(),
            scenario: "/s.yaml".to_owned(),
            language: None,
            caller_id: None,
            max_concurrent: 3,
            cps: 20.0,
            max_attempts: 3,
        };
        let made = store.create_campaign(&new, now_ms()).await.unwrap();
        let batch: Vec<_> =
            (0..contacts).map(|i| NewContact::new(format!("+3361234567{i}"), BTreeMap::new())).collect();
        store.import_contacts(made.id, &batch, now_ms()).await.unwrap();
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
        Self { store, switch, shutdown: CancellationToken::new(), task: None, _folder: folder }
    }

    fn dial(&mut self) {
        let settings = DialSettings {
            instance: "one".to_owned(),
            dial_string: "sofia/gateway/gw/{digits}".to_owned(),
            caller_id: "+33100000000".to_owned(),
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
    assert_eq!(placed[0].0.dial_string, "sofia/gateway/gw/33612345670");
    assert_eq!(placed[0].0.caller_id, "+33100000000");
    assert!(!format!("{:?}", placed[0].0).contains("33612345670"), "a number in a log");
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
    let settings =
        DialSettings { instance: "one".to_owned(), dial_string: String::new(), caller_id: String::new() };
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
