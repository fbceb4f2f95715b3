//! The outbox: written with the outcome, taken by one, given back by time.

use sidetone_core::webhook::{Next, WebhookEvent};

use super::*;

contract! {
    an_outcome_and_its_webhook_are_written_together_and_once,
    nothing_is_written_that_nobody_is_told,
    a_webhook_is_taken_by_one_and_comes_back_where_its_taker_dies,
    a_try_that_took_too_long_does_not_undo_a_later_one,
    a_campaign_that_is_held_or_done_is_told_of,
    what_was_told_of_a_person_is_forgotten_with_them,
    old_webhooks_are_swept,
}

const LEASE: Duration = Duration::from_secs(20);

async fn told(db: &Db) -> Store {
    let store = db.open().await;
    store.tell(&WebhookEvent::ALL.into());
    store
}

async fn one_ended(store: &Store, opt_out: Option<SuppressionSource>) -> CallId {
    let spring = running(store, 1).await;
    let call = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    let finished = FinishedCall { opt_out, ..ended(Disposition::Completed) };
    assert!(store.finish_attempt(&call, &finished, &RetryTable::default()).await.unwrap());
    assert!(!store.finish_attempt(&call, &finished, &RetryTable::default()).await.unwrap());
    call
}

async fn take(store: &Store, instance: &str, now_ms: i64) -> Vec<Webhook> {
    store.take_webhooks(instance, 10, LEASE, now_ms).await.unwrap()
}

async fn an_outcome_and_its_webhook_are_written_together_and_once(db: Db) {
    let store = told(&db).await;
    let call = one_ended(&store, Some(SuppressionSource::Voice)).await;
    let written = store.webhooks(None, 10).await.unwrap();
    let events: Vec<_> = written.iter().rev().map(|webhook| webhook.event).collect();
    assert_eq!(events, [WebhookEvent::OptedOut, WebhookEvent::CallEnded]);
    let body: serde_json::Value = serde_json::from_str(&written[0].body).unwrap();
    assert_eq!(body["id"], written[0].event_id.as_str());
    assert_eq!(body["call"]["call"], call.as_str());
    assert_eq!(body["call"]["number"], "+33600000000");
    assert_eq!(body["contact"]["state"], "done", "as it is after the outcome");
    assert_eq!(body["contact"]["variables"]["kind"], "human");
    assert_eq!(store.outbox().await.unwrap().waiting, 2);
}

async fn nothing_is_written_that_nobody_is_told(db: Db) {
    let store = db.open().await;
    one_ended(&store, Some(SuppressionSource::Voice)).await;
    assert_eq!(store.webhooks(None, 10).await.unwrap(), []);
    let few = db.open().await;
    few.tell(&[WebhookEvent::CampaignDone].into());
    let spring = few.campaign("spring").await.unwrap();
    assert!(few.finish_campaign(spring.id, NOW).await.unwrap());
    let written = few.webhooks(None, 10).await.unwrap();
    assert_eq!(written.iter().map(|webhook| webhook.event).collect::<Vec<_>>(), [WebhookEvent::CampaignDone]);
}

async fn a_webhook_is_taken_by_one_and_comes_back_where_its_taker_dies(db: Db) {
    let store = told(&db).await;
    one_ended(&store, None).await;
    let now = NOW + 60_000;
    assert_eq!(take(&store, "one", now - 1).await, [], "not before it was written");
    let taken = take(&store, "one", now).await;
    assert_eq!((taken.len(), taken[0].tries), (1, 1));
    let other = db.open().await;
    assert_eq!(take(&other, "two", now + 19_999).await, []);
    // The first one was killed.
    let again = take(&other, "two", now + 20_000).await;
    assert_eq!((again[0].tries, again[0].instance.as_deref()), (2, Some("one")));
    assert_eq!(again[0].event_id, taken[0].event_id);
    let done = Tried { next: Next::Delivered, status: Some(200), error: None };
    other.webhook_tried(&again[0], &done, now + 20_100).await.unwrap();
    assert_eq!(take(&store, "one", i64::MAX - 20_000).await, []);
    let delivered = store.webhook(taken[0].id).await.unwrap();
    assert_eq!((delivered.state, delivered.delivered_ms), (WebhookState::Delivered, Some(now + 20_100)));
}

async fn a_try_that_took_too_long_does_not_undo_a_later_one(db: Db) {
    let store = told(&db).await;
    one_ended(&store, None).await;
    let now = NOW + 60_000;
    let slow = take(&store, "one", now).await.remove(0);
    let quick = take(&store, "two", now + 20_000).await.remove(0);
    let failed =
        Tried { next: Next::Again(Duration::from_secs(5)), status: None, error: Some("timeout".to_owned()) };
    store.webhook_tried(&quick, &failed, now + 21_000).await.unwrap();
    store.webhook_tried(&slow, &Tried { next: Next::Dead, ..failed.clone() }, now + 22_000).await.unwrap();
    let kept = store.webhook(slow.id).await.unwrap();
    assert_eq!((kept.state, kept.due_ms), (WebhookState::Waiting, now + 26_000));
    assert_eq!(kept.error.as_deref(), Some("timeout"));
    assert_eq!(store.replay_webhooks(Replay::EveryDead, now).await.unwrap(), 0);
    assert_eq!(store.replay_webhooks(Replay::One(slow.id), now).await.unwrap(), 1);
    assert_eq!(take(&store, "one", now).await[0].tries, 1);
    let unknown = store.replay_webhooks(Replay::One(99), now).await.unwrap_err();
    assert_eq!(unknown.to_string(), "no webhook has the id 99: `sidetone webhooks list` shows them");
}

async fn a_campaign_that_is_held_or_done_is_told_of(db: Db) {
    let store = told(&db).await;
    let spring = running(&store, 0).await;
    assert!(store.hold_campaign(spring.id, "too many abandoned calls", NOW).await.unwrap());
    assert!(!store.hold_campaign(spring.id, "again", NOW).await.unwrap());
    store.control_campaign("spring", Control::Resume, NOW).await.unwrap();
    assert!(store.finish_campaign(spring.id, NOW).await.unwrap());
    let written = store.webhooks(None, 10).await.unwrap();
    let bodies: Vec<serde_json::Value> =
        written.iter().rev().map(|webhook| serde_json::from_str(&webhook.body).unwrap()).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0]["event"], "campaign_paused");
    assert_eq!(bodies[0]["campaign"]["note"], "too many abandoned calls");
    assert_eq!(
        (&bodies[1]["event"], &bodies[1]["campaign"]["state"]),
        (&"campaign_done".into(), &"done".into())
    );
}

async fn what_was_told_of_a_person_is_forgotten_with_them(db: Db) {
    let store = told(&db).await;
    one_ended(&store, Some(SuppressionSource::Voice)).await;
    store.forget("+33600000000").await.unwrap();
    assert_eq!(store.webhooks(None, 10).await.unwrap(), []);
}

async fn old_webhooks_are_swept(db: Db) {
    let store = told(&db).await;
    one_ended(&store, None).await;
    store.sweep(NOW + 60_000).await.unwrap();
    assert_eq!(store.webhooks(None, 10).await.unwrap().len(), 1);
    store.sweep(NOW + 60_001).await.unwrap();
    assert_eq!(store.webhooks(None, 10).await.unwrap(), []);
}
