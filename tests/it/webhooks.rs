//! Webhooks against a receiver of our own: signed, repeated, given up, sent again.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use sha2::{Digest as _, Sha256};
use sidetone::{
    config::{Secret, Webhooks},
    store::{Replay, Webhook, WebhookState, now_ms},
};
use sidetone_core::{campaign::Control, webhook::WebhookEvent};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::support::{ANNA, PATIENCE, Rig, Setup, anna, metric};

const SECRET: &str = "nobody else knows this";

/// What was posted, and the header that signs it.
#[derive(Debug, Clone)]
struct Got {
    id: String,
    event: String,
    signature: String,
    body: String,
}

impl Got {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// As a receiver checks it, by RFC 2104 and without the crate that signs.
    fn is_signed(&self, secret: &str) -> bool {
        let Some((time, signature)) =
            self.signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1="))
        else {
            return false;
        };
        let mut key = [0_u8; 64];
        key[..secret.len()].copy_from_slice(secret.as_bytes());
        let padded = |pad: u8| key.map(|byte| byte ^ pad);
        let message = format!("{time}.{}", self.body);
        let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
        let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
        let hex: String = outer.iter().map(|byte| format!("{byte:02x}")).collect();
        let age = now_ms() / 1000 - time.parse::<i64>().unwrap_or_default();
        hex == signature && (0..300).contains(&age)
    }
}

/// Answers with the statuses in turn, the last one for ever; 0: not within the sender's patience.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    answers: Arc<Mutex<Vec<u16>>>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let answers = Arc::new(Mutex::new(answers.to_vec()));
        let receiver = Self { address, answers, got: Arc::default() };
        let routes = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(socket, routes).await });
        receiver
    }

    fn options(&self) -> Webhooks {
        Webhooks {
            url: format!("http://{}/hook", self.address),
            secret: Secret::new(SECRET),
            timeout: Duration::from_millis(500),
            ..Webhooks::default()
        }
    }

    fn answer(&self, status: u16) {
        *self.answers.lock().expect("whole") = vec![status];
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().expect("whole").clone()
    }

    async fn got_at_least(&self, n: usize) -> Vec<Got> {
        let began = Instant::now();
        loop {
            let got = self.got();
            if got.len() >= n {
                return got;
            }
            assert!(began.elapsed() < PATIENCE, "only {got:#?} came");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn take(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let got = Got {
        id: header("sidetone-id"),
        event: header("sidetone-event"),
        signature: header("sidetone-signature"),
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    };
    receiver.got.lock().expect("whole").push(got);
    let status = {
        let mut answers = receiver.answers.lock().expect("whole");
        if answers.len() > 1 { answers.remove(0) } else { answers[0] }
    };
    match StatusCode::from_u16(status) {
        Ok(status) => (status, "as told"),
        Err(_) => {
            sleep(Duration::from_secs(2)).await;
            (StatusCode::OK, "too late")
        }
    }
}

async fn rig(options: Webhooks) -> Rig {
    Setup::cast(&anna()).configure(|config| config.webhooks = options).start().await
}

async fn webhook_when(rig: &Rig, state: WebhookState) -> Webhook {
    let began = Instant::now();
    loop {
        let all = rig.store.webhooks(None, 10).await.expect("a list");
        if let Some(found) = all.iter().find(|webhook| webhook.state == state) {
            return found.clone();
        }
        assert!(began.elapsed() < PATIENCE, "{all:#?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_told_once_signed_and_whole() {
    let receiver = Receiver::start(&[204]).await;
    let rig = rig(receiver.options()).await;
    let call = rig.call(ANNA).await;
    let attempt = rig.outcome(&call).await;
    let got = receiver.got_at_least(1).await.remove(0);
    assert!(got.is_signed(SECRET) && !got.is_signed("nobody else knows thiS"), "{got:?}");
    let body = got.json();
    assert_eq!((got.event.as_str(), &body["event"]), ("call_ended", &"call_ended".into()));
    assert_eq!(body["id"], got.id.as_str());
    assert_eq!(
        body["call"],
        serde_json::to_value(&attempt).expect("JSON"),
        "the record as `calls show` has it"
    );
    assert_eq!((&body["call"]["number"], &body["call"]["outcome"]), (&ANNA.into(), &"confirmed".into()));
    assert_eq!(body["contact"], serde_json::Value::Null, "a call by hand has none");
    let delivered = webhook_when(&rig, WebhookState::Delivered).await;
    assert_eq!((delivered.tries, delivered.status), (1, Some(204)));
    assert!(
        (metric(&rig.metrics().await, "sidetone_webhook_tries_total{outcome=\"delivered\"}") - 1.0).abs()
            < 0.1
    );
    rig.stop().await;
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_tells_of_its_contacts_and_of_its_end_and_only_what_was_asked_for() {
    let receiver = Receiver::start(&[200]).await;
    let events = [WebhookEvent::CallEnded, WebhookEvent::CampaignDone].into();
    let rig = rig(Webhooks { events, ..receiver.options() }).await;
    rig.campaign(&[ANNA], 1, 10.0).await;
    rig.control(Control::Run).await;
    let got = receiver.got_at_least(2).await;
    let of = |event: &str| got.iter().find(|got| got.event == event).expect("told").json();
    let ended = of("call_ended");
    assert_eq!((&ended["contact"]["state"], &ended["contact"]["attempts"]), (&"done".into(), &1.into()));
    assert_eq!(ended["call"]["campaign"], "test");
    assert_eq!(of("campaign_done")["campaign"]["name"], "test");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_or_sleeps_is_told_again_under_the_same_id() {
    let receiver = Receiver::start(&[500, 0, 200]).await;
    let rig = rig(receiver.options()).await;
    rig.call(ANNA).await;
    let delivered = webhook_when(&rig, WebhookState::Delivered).await;
    let got = receiver.got();
    assert_eq!((got.len(), delivered.tries), (3, 3));
    assert!(got.iter().all(|got| got.id == delivered.event_id && got.is_signed(SECRET)));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_kept_and_sent_again_when_asked() {
    let receiver = Receiver::start(&[500]).await;
    let rig = rig(Webhooks { tries: 1, ..receiver.options() }).await;
    rig.call(ANNA).await;
    let dead = webhook_when(&rig, WebhookState::Dead).await;
    assert_eq!((dead.tries, dead.status, dead.error.as_deref()), (1, Some(500), Some("status 500: as told")));
    sleep(Duration::from_millis(600)).await;
    assert_eq!(receiver.got().len(), 1, "it rests");
    receiver.answer(200);
    assert_eq!(rig.store.replay_webhooks(Replay::EveryDead, now_ms()).await.expect("replayed"), 1);
    let delivered = webhook_when(&rig, WebhookState::Delivered).await;
    assert_eq!((delivered.event_id, delivered.error), (dead.event_id, None));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_before_the_service_ended_is_told_by_the_next() {
    let receiver = Receiver::start(&[503]).await;
    let rig = rig(receiver.options()).await;
    let call = rig.call(ANNA).await;
    rig.outcome(&call).await;
    receiver.got_at_least(1).await;
    receiver.answer(200);
    let rig = rig.restart().await;
    let delivered = webhook_when(&rig, WebhookState::Delivered).await;
    assert!(delivered.tries >= 2, "{delivered:?}");
    assert_eq!(delivered.call.as_deref(), Some(call.as_str()));
    rig.stop().await;
}
