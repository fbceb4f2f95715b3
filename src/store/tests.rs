//! The store's contract, checked against SQLite and against a PostgreSQL server of its own.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use sidetone_core::{
    amd::{Cause, Verdict},
    call::{Account, CallId, Disposition, Event, HangupCause},
    campaign::{CampaignState, Control, RetryTable},
};

use super::*;

const NOW: i64 = 1_700_000_000_000;

/// A database of its own; [`Self::open`] opens it again, as another process would.
struct Db {
    url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Db {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("new/test.db").display());
        Self { url, _folder: Some(folder) }
    }

    /// On the one server that this test binary starts.
    async fn postgres() -> Self {
        static SERVER: OnceLock<scratch::ScratchPostgres> = OnceLock::new();
        let server = SERVER.get_or_init(|| scratch::ScratchPostgres::start().unwrap());
        Self { url: server.database().await.unwrap(), _folder: None }
    }

    async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }
}

/// Runs every check against both databases.
macro_rules! contract {
    ($($check:ident),* $(,)?) => {
        mod sqlite {
            use super::Db;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                super::$check(Db::sqlite()).await;
            })*
        }
        mod postgres {
            use super::Db;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                super::$check(Db::postgres().await).await;
            })*
        }
    };
}

mod claims;
mod imports;
mod ledger;
mod webhooks;

contract! {
    campaigns_are_made_found_and_controlled,
    a_second_campaign_of_the_same_name_is_refused,
    a_number_is_in_a_campaign_once,
    a_claim_writes_the_attempt_before_anybody_dials,
    only_a_running_campaign_is_claimed_from,
    no_contact_is_claimed_twice_by_many_at_once,
    an_outcome_is_kept_whole_and_only_once,
    a_retry_waits_and_the_cap_ends_it,
    a_call_that_was_never_placed_does_not_count,
    after_a_crash_the_attempt_is_an_orphan_and_its_contact_stays_claimed,
    a_suppressed_number_is_passed_over,
    events_of_many_calls_are_all_written_before_an_outcome,
    the_heart_of_serve,
    a_living_process_keeps_its_name_and_a_dead_one_does_not,
    a_wish_becomes_one_call_and_a_stale_or_suppressed_one_none,
    forgetting_leaves_the_count_and_the_do_not_call_entry,
    the_sweep_takes_what_is_old,
    many_may_open_a_fresh_database_at_once,
    the_campaigns_limits_hold_for_all_who_claim,
    a_silent_instance_is_seen_and_its_calls_are_given_back,
    a_lease_taken_over_is_no_longer_held,
    a_campaigns_own_list_holds_for_it_alone,
    who_asks_in_a_call_is_not_called_again,
    a_retry_table_of_its_own_is_kept_and_decides,
    a_number_at_its_cap_waits_whoever_called,
    somebody_is_called_back_when_they_asked,
}

fn new_campaign(name: &str) -> NewCampaign {
    NewCampaign {
        name: name.to_owned(),
        scenario: "/scenarios/reminder.yaml".to_owned(),
        language: None,
        caller_id: Some("+33100000000".to_owned()),
        max_concurrent: 100,
        cps: 200.5,
        max_attempts: 3,
    }
}

async fn campaign(store: &Store, name: &str, contacts: usize) -> Campaign {
    let made = store.create_campaign(&new_campaign(name), NOW).await.unwrap();
    let batch: Vec<_> = (0..contacts).map(|i| contact(&format!("+336000000{i:02}"))).collect();
    assert_eq!(store.import_contacts(made.id, &batch, NOW).await.unwrap().added, contacts);
    made
}

fn contact(number: &str) -> NewContact {
    let variables = BTreeMap::from([("kind".to_owned(), "human".to_owned())]);
    NewContact::new(number.to_owned(), variables)
}

async fn running(store: &Store, contacts: usize) -> Campaign {
    campaign(store, "spring", contacts).await;
    store.control_campaign("spring", Control::Run, NOW).await.unwrap()
}

fn ended(disposition: Disposition) -> FinishedCall {
    FinishedCall::new(disposition, NOW + 60_000)
}

fn record(call: &CallId, seq: i64, event: Event) -> EventRecord {
    EventRecord { call: call.clone(), seq, at_ms: NOW + seq, media_ms: Some(seq), event }
}

async fn campaigns_are_made_found_and_controlled(db: Db) {
    let store = db.open().await;
    let made = campaign(&store, "spring", 0).await;
    assert_eq!((made.state, made.cps, made.max_concurrent), (CampaignState::Draft, 200.5, 100));
    assert_eq!(made.caller_id.as_deref(), Some("+33100000000"));
    assert_eq!(store.campaigns().await.unwrap(), std::slice::from_ref(&made));
    assert_eq!(store.campaign_by_id(made.id).await.unwrap(), Some(made));

    let unknown = store.campaign("sprnig").await.unwrap_err();
    assert_eq!(unknown.to_string(), "no campaign is called `sprnig`; did you mean `spring`?");
    assert_eq!(store.campaign("zzz").await.unwrap_err().to_string(), "no campaign is called `zzz`");

    let refused = store.control_campaign("spring", Control::Resume, NOW).await.unwrap_err();
    assert_eq!(refused.to_string(), "campaign `spring`: it is draft: start it with `run`");
    let run = store.control_campaign("spring", Control::Run, NOW + 1).await.unwrap();
    assert_eq!((run.state, run.started_ms, run.ended_ms), (CampaignState::Running, Some(NOW + 1), None));
    let stopped = store.control_campaign("spring", Control::Stop, NOW + 2).await.unwrap();
    assert_eq!((stopped.started_ms, stopped.ended_ms), (Some(NOW + 1), Some(NOW + 2)));
    let again = store.control_campaign("spring", Control::Run, NOW + 3).await.unwrap();
    assert_eq!((again.started_ms, again.ended_ms), (Some(NOW + 1), None));
}

async fn a_second_campaign_of_the_same_name_is_refused(db: Db) {
    let store = db.open().await;
    campaign(&store, "spring", 0).await;
    let new = NewCampaign {
        name: "spring".to_owned(),
        scenario: String::new(),
        language: None,
        caller_id: None,
        max_concurrent: 1,
        cps: 1.0,
        max_attempts: 1,
    };
    let error = store.create_campaign(&new, NOW).await.unwrap_err();
    assert_eq!(error.to_string(), "a campaign called `spring` exists already");
}

async fn a_number_is_in_a_campaign_once(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 2).await;
    let batch = [contact("+33600000001"), contact("+33611111111")];
    let imported = store.import_contacts(spring.id, &batch, NOW).await.unwrap();
    assert_eq!(imported, Imported { added: 1, had: vec![0] });
    let autumn = campaign(&store, "autumn", 2).await;
    assert_eq!(store.campaign_counts(autumn.id).await.unwrap().waiting, 2);
}

async fn a_claim_writes_the_attempt_before_anybody_dials(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 3).await;
    let claimed = store.claim_contacts(spring.id, 2, "one", NOW).await.unwrap();
    let numbers: Vec<_> = claimed.iter().map(|claim| claim.number.as_str()).collect();
    assert_eq!(numbers, ["+33600000000", "+33600000001"]);
    assert_eq!(claimed[0].variables["kind"], "human");
    assert_eq!(claimed[0].attempt, 1);

    let attempt = store.attempt(claimed[0].call.as_str()).await.unwrap();
    assert_eq!((attempt.origin, attempt.campaign.as_deref()), (Origin::Campaign, Some("spring")));
    assert_eq!((attempt.started_ms, attempt.ended_ms, attempt.disposition), (NOW, None, None));
    let counts = store.campaign_counts(spring.id).await.unwrap();
    assert_eq!((counts.contacts, counts.waiting, counts.live), (3, 1, 2));
}

async fn only_a_running_campaign_is_claimed_from(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 3).await;
    assert_eq!(store.claim_contacts(spring.id, 9, "one", NOW).await.unwrap(), []);
    store.control_campaign("spring", Control::Run, NOW).await.unwrap();
    store.control_campaign("spring", Control::Pause, NOW).await.unwrap();
    assert_eq!(store.claim_contacts(spring.id, 9, "one", NOW).await.unwrap(), []);
}

async fn no_contact_is_claimed_twice_by_many_at_once(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 60).await;
    let mut claimers = Vec::new();
    for i in 0..6 {
        // Half of them as another process would: with a pool of their own.
        let store = if i % 2 == 0 { store.clone() } else { db.open().await };
        claimers.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = store.claim_contacts(spring.id, 3, "one", NOW).await.unwrap();
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed.into_iter().map(|claim| claim.contact));
            }
        }));
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    all.sort_unstable();
    let total = all.len();
    all.dedup();
    assert_eq!((total, all.len()), (60, 60));
}

async fn an_outcome_is_kept_whole_and_only_once(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 1).await;
    let call = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    let finished = FinishedCall {
        ended_ms: NOW + 9000,
        answered_ms: Some(NOW + 4000),
        disposition: Disposition::Completed,
        verdict: Some(Verdict::Human),
        cause: Some(Cause::ShortGreeting),
        hangup_cause: Some(HangupCause::new("NORMAL_CLEARING")),
        outcome: Some("confirmed".to_owned()),
        verdict_ms: Some(850),
        after_speech_ms: Some(410),
        barge_in_ms: Some(240),
        opt_out: None,
        keyed: false,
        account: Account::default(),
    };
    let retries = RetryTable::default();
    assert!(store.finish_attempt(&call, &finished, &retries).await.unwrap());
    assert!(!store.finish_attempt(&call, &ended(Disposition::Busy), &retries).await.unwrap());

    let row = store.report_rows(spring.id, 0, 10).await.unwrap().remove(0);
    assert_eq!((row.verdict, row.cause), (Some(Verdict::Human), Some(Cause::ShortGreeting)));
    assert_eq!((row.verdict_ms, row.after_speech_ms, row.barge_in_ms), (Some(850), Some(410), Some(240)));
    assert_eq!((row.disposition, row.state.as_str()), (Some(Disposition::Completed), "done"));
    assert_eq!((row.kind(), row.outcome.as_deref()), (Some("human"), Some("confirmed")));
    assert_eq!(row.hangup_cause.as_deref(), Some("NORMAL_CLEARING"));
    assert!(store.finish_campaign(spring.id, NOW).await.unwrap());
    assert_eq!(store.campaign("spring").await.unwrap().state, CampaignState::Done);
}

async fn a_retry_waits_and_the_cap_ends_it(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 1).await;
    let retries = spring.retry_table();
    let wait = i64::try_from(retries.after_ms[&Disposition::Busy]).unwrap();
    for attempt in 1..=3 {
        let now = NOW + wait * i64::from(attempt);
        if attempt > 1 {
            assert_eq!(store.claim_contacts(spring.id, 1, "one", now - 1).await.unwrap(), []);
        }
        let claimed = store.claim_contacts(spring.id, 1, "one", now).await.unwrap().remove(0);
        assert_eq!(claimed.attempt, attempt);
        let busy = FinishedCall::new(Disposition::Busy, now);
        assert!(store.finish_attempt(&claimed.call, &busy, &retries).await.unwrap());
        assert_eq!(store.finish_campaign(spring.id, now).await.unwrap(), attempt == 3);
    }
    let counts = store.campaign_counts(spring.id).await.unwrap();
    assert_eq!((counts.done, counts.attempts, counts.by_disposition[&Disposition::Busy]), (1, 3, 3));
}

async fn a_call_that_was_never_placed_does_not_count(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 1).await;
    let call = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    store.give_back(&call, "the switch is not connected", NOW + 500, NOW).await.unwrap();
    assert_eq!(store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap(), []);
    let again = store.claim_contacts(spring.id, 1, "one", NOW + 500).await.unwrap().remove(0);
    assert_eq!(again.attempt, 1);
    assert_eq!(store.attempt(call.as_str()).await.unwrap().disposition, Some(Disposition::Failed));
}

async fn after_a_crash_the_attempt_is_an_orphan_and_its_contact_stays_claimed(db: Db) {
    let call = {
        let store = db.open().await;
        let spring = running(&store, 1).await;
        store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call
        // Dropped without a word, as by a crash.
    };
    let store = db.open().await;
    let spring = store.campaign("spring").await.unwrap();
    assert_eq!(store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap(), []);
    assert!(!store.finish_campaign(spring.id, NOW).await.unwrap());
    assert_eq!(store.orphans("another").await.unwrap(), []);
    let orphans = store.orphans("one").await.unwrap();
    assert_eq!(orphans.iter().map(|orphan| &orphan.call).collect::<Vec<_>>(), [&call]);

    assert!(store.settle_lost(&call, &RetryTable::default(), NOW + 5).await.unwrap());
    assert_eq!(store.orphans("one").await.unwrap(), []);
    let attempt = store.attempt(call.as_str()).await.unwrap();
    assert_eq!((attempt.disposition, attempt.ended_ms), (Some(Disposition::Lost), Some(NOW + 5)));
    let timeline = store.call_timeline(&call).await.unwrap();
    assert_eq!(timeline[0].event, Event::Ended { disposition: Disposition::Lost, outcome: None });
    assert_eq!(store.claim_contacts(spring.id, 1, "one", i64::MAX).await.unwrap(), []);
}

async fn a_suppressed_number_is_passed_over(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 3).await;
    store.suppress("+33600000001", "asked by letter", NOW).await.unwrap();
    store.suppress("+33600000001", "again", NOW).await.unwrap();
    assert!(store.is_suppressed("+33600000001").await.unwrap());
    let numbers: Vec<_> = store.claim_contacts(spring.id, 3, "one", NOW).await.unwrap();
    assert_eq!(numbers.len(), 2);
    assert!(numbers.iter().all(|claim| claim.number != "+33600000001"));
    assert_eq!(store.campaign_counts(spring.id).await.unwrap().suppressed, 1);
}

#[tokio::test]
async fn events_come_back_in_order_and_a_repeated_number_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let store = Store::open_with_record(&url, Some(folder.path().join("record"))).await.unwrap();
    let call = CallId::new("c-1").unwrap();
    assert!(store.try_record_event(record(&call, 1, Event::SpeechStarted { at_ms: 7 })));
    store.record_event(record(&call, 2, Event::Answered)).await;
    store.record_event(record(&call, 2, Event::StreamUp)).await;
    store.record_event(record(&call, 3, Event::StreamRestart)).await;
    store.flush_events().await;
    let events: Vec<_> = store.call_timeline(&call).await.unwrap().into_iter().map(|e| e.event).collect();
    assert_eq!(events, [Event::SpeechStarted { at_ms: 7 }, Event::Answered, Event::StreamRestart]);
    assert_eq!(store.events_after(&call, 1).await.unwrap().len(), 2);
    assert_eq!(store.dropped_events(), 1);
    let lines = std::fs::read_to_string(folder.path().join("record/c-1.jsonl")).unwrap();
    assert_eq!(
        lines.lines().next(),
        Some(
            r#"{"call":"c-1","seq":1,"unix_ms":1700000000001,"media_ms":1,"event":"speech_started","at_ms":7}"#
        )
    );
}

async fn events_of_many_calls_are_all_written_before_an_outcome(db: Db) {
    let store = db.open().await;
    let call = CallId::new("c-1").unwrap();
    let adopted = AdHoc {
        call: Some(call.clone()),
        origin: Origin::Adopted,
        instance: "one".to_owned(),
        number: None,
        dial_string: None,
        scenario: "s".to_owned(),
    };
    assert_eq!(store.begin_adhoc_attempt(&adopted, NOW).await.unwrap(), call);
    for seq in 1..=2000 {
        assert!(store.try_record_event(record(&call, seq, Event::StreamRestart)));
    }
    assert!(store.finish_attempt(&call, &ended(Disposition::HungUp), &RetryTable::default()).await.unwrap());
    assert_eq!(store.call_timeline(&call).await.unwrap().len(), 2000);
}

async fn the_heart_of_serve(db: Db) {
    let store = db.open().await;
    assert_eq!(store.live_serve(NOW).await.unwrap(), None);
    store.start_serving("one", NOW).await.unwrap();
    assert_eq!(store.live_serve(NOW + 4999).await.unwrap().unwrap().instance, "one");
    assert_eq!(store.live_serve(NOW + 5000).await.unwrap(), None);
    store.heartbeat("one", NOW + 6000).await.unwrap();
    assert!(store.live_serve(NOW + 7000).await.unwrap().is_some());
    store.stop_serving("one").await.unwrap();
    assert_eq!(store.live_serve(NOW + 7000).await.unwrap(), None);
}

async fn a_living_process_keeps_its_name_and_a_dead_one_does_not(db: Db) {
    let store = db.open().await;
    let (gone, here) = (i64::from(u32::MAX), serving::host());
    for (host, pid, refused) in [(&here, 1, true), (&here, gone, false), (&"other".to_owned(), gone, true)] {
        sqlx::query("delete from heartbeats").execute(store.pool()).await.unwrap();
        sqlx::query("insert into heartbeats (instance, host, pid, started_ms, beat_ms) values ('one', $3, $1, $2, $2)")
            .bind(pid)
            .bind(NOW)
            .bind(host.clone())
            .execute(store.pool())
            .await
            .unwrap();
        assert_eq!(store.start_serving("one", NOW + 1000).await.is_err(), refused, "process {pid} on {host}");
    }
    store.start_serving("one", NOW + 9000).await.unwrap();
}

fn wish(number: Option<&str>) -> CallWish {
    CallWish {
        number: number.map(str::to_owned),
        dial_string: number.is_none().then(|| "loopback/1000/default".to_owned()),
        scenario: "/s.yaml".to_owned(),
        language: None,
        caller_id: None,
        variables: BTreeMap::from([("name".to_owned(), "Zoé, \"x\"\n".to_owned())]),
    }
}

async fn a_wish_becomes_one_call_and_a_stale_or_suppressed_one_none(db: Db) {
    let store = db.open().await;
    store.suppress("+33600000001", "asked", NOW).await.unwrap();
    let id = store.place_wish(&wish(None), NOW).await.unwrap();
    let barred = store.place_wish(&wish(Some("+33600000001")), NOW).await.unwrap();
    let stale = store.place_wish(&wish(None), NOW - 61_000).await.unwrap();
    assert_eq!(store.wish_answer(id).await.unwrap(), WishAnswer::Waiting);

    let withdrawn = store.place_wish(&wish(None), NOW).await.unwrap();
    store.withdraw_wish(withdrawn, NOW).await.unwrap();
    assert_eq!(store.take_wishes("one", NOW - 61_000, NOW).await.unwrap(), [], "too young");

    let taken = store.take_wishes("one", i64::MAX, NOW + 100).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].wish, wish(None));
    assert_eq!(store.take_wishes("one", i64::MAX, NOW + 100).await.unwrap(), []);
    assert_eq!(store.wish_answer(id).await.unwrap(), WishAnswer::Call(taken[0].call.clone()));
    assert_eq!(store.attempt(taken[0].call.as_str()).await.unwrap().origin, Origin::Call);
    for (id, words) in [(barred, "do-not-call"), (stale, "in time")] {
        let WishAnswer::Refused(error) = store.wish_answer(id).await.unwrap() else { panic!("not refused") };
        assert!(error.contains(words), "{error}");
    }
}

async fn forgetting_leaves_the_count_and_the_do_not_call_entry(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 2).await;
    let call = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    store.record_event(record(&call, 1, Event::Answered)).await;
    let number = "+33600000000";
    store.suppress(number, "asked", NOW).await.unwrap();

    let early = store.forget(number).await.unwrap();
    assert_eq!((early.contacts, early.calls, early.live), (0, vec![], vec![call.clone()]));
    store.finish_attempt(&call, &ended(Disposition::Completed), &RetryTable::default()).await.unwrap();
    let forgotten = store.forget(number).await.unwrap();
    assert_eq!((forgotten.contacts, forgotten.calls), (1, vec![call.clone()]));

    assert!(store.is_suppressed(number).await.unwrap());
    assert_eq!(store.attempt(call.as_str()).await.unwrap().number, None);
    assert_eq!(store.call_timeline(&call).await.unwrap(), []);
    let row = store.report_rows(spring.id, 0, 1).await.unwrap().remove(0);
    assert!(row.number.starts_with("forgotten-") && row.variables.is_empty(), "{row:?}");
    assert_eq!(row.disposition, Some(Disposition::Completed));
    assert_eq!(store.campaign_counts(spring.id).await.unwrap().forgotten, 1);
}

async fn the_sweep_takes_what_is_old(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 2).await;
    let claimed = store.claim_contacts(spring.id, 2, "one", NOW).await.unwrap();
    for (claim, ended_ms) in claimed.iter().zip([NOW, NOW + 1000]) {
        store.record_event(record(&claim.call, 1, Event::Answered)).await;
        let finished = FinishedCall::new(Disposition::Completed, ended_ms);
        store.finish_attempt(&claim.call, &finished, &RetryTable::default()).await.unwrap();
    }
    assert_eq!(store.sweep(NOW + 1).await.unwrap(), [claimed[0].call.clone()]);
    let left: Vec<_> = store.recent_calls(None, 9).await.unwrap().into_iter().map(|call| call.call).collect();
    assert_eq!(left, [claimed[1].call.clone()]);
    assert_eq!(store.recent_calls(Some(spring.id), 9).await.unwrap().len(), 1);
    assert_eq!(store.call_timeline(&claimed[0].call).await.unwrap(), []);
    assert_eq!(store.campaign_counts(spring.id).await.unwrap().contacts, 2);
}

#[tokio::test]
async fn a_bad_url_says_what_would_be_right() {
    for (url, words) in [
        ("mysql://x", "write `sqlite:` and a file's path"),
        ("sqlite:", "the file's path is missing"),
        ("sqlite:/proc/none/x.db", "cannot be made"),
    ] {
        let error = Store::open(url).await.unwrap_err().to_string();
        assert!(error.contains(words), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_store_is_durable_and_open_to_several() {
    let db = Db::sqlite();
    let store = db.open().await;
    let row = sqlx::query("pragma synchronous").fetch_one(store.pool()).await.unwrap();
    assert_eq!(sqlx::Row::try_get::<i64, _>(&row, 0).unwrap(), 2, "full");
    let row = sqlx::query("pragma journal_mode").fetch_one(store.pool()).await.unwrap();
    assert_eq!(sqlx::Row::try_get::<String, _>(&row, 0).unwrap(), "wal");
    store.check_writable().await.unwrap();
    store.close().await;
    tokio::time::timeout(Duration::from_secs(5), store.flush_events()).await.unwrap();
    assert!(store.campaigns().await.is_err());
}

async fn many_may_open_a_fresh_database_at_once(db: Db) {
    let db = std::sync::Arc::new(db);
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let db = std::sync::Arc::clone(&db);
            tokio::spawn(async move { db.open().await.campaigns().await.unwrap() })
        })
        .collect();
    for opened in opening {
        assert_eq!(opened.await.unwrap(), []);
    }
}

async fn the_campaigns_limits_hold_for_all_who_claim(db: Db) {
    let (one, two) = (db.open().await, db.open().await);
    let new = NewCampaign { max_concurrent: 5, cps: 3.0, ..new_campaign("autumn") };
    let autumn = one.create_campaign(&new, NOW).await.unwrap();
    let batch: Vec<_> = (0..20).map(|i| contact(&format!("+336111111{i:02}"))).collect();
    one.import_contacts(autumn.id, &batch, NOW).await.unwrap();
    one.control_campaign("autumn", Control::Run, NOW).await.unwrap();
    let start = now_ms();
    let (first, second) = tokio::join!(
        one.claim_contacts(autumn.id, 9, "one", start),
        two.claim_contacts(autumn.id, 9, "two", start)
    );
    assert_eq!(first.unwrap().len() + second.unwrap().len(), 3, "three a second between them");
    assert_eq!(two.claim_contacts(autumn.id, 9, "two", start + 10).await.unwrap(), []);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let later = two.claim_contacts(autumn.id, 9, "two", now_ms()).await.unwrap();
    assert_eq!(later.len(), 2, "five at once between them");
}

async fn a_silent_instance_is_seen_and_its_calls_are_given_back(db: Db) {
    let (one, two) = (db.open().await, db.open().await);
    let spring = running(&one, 3).await;
    one.start_serving("one", NOW).await.unwrap();
    let call = one.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    two.claim_contacts(spring.id, 1, "two", NOW).await.unwrap();
    let open = two.open_elsewhere("two").await.unwrap();
    assert_eq!(open, [OpenElsewhere { instance: "one".to_owned(), beat_ms: Some(NOW) }]);
    one.heartbeat("one", NOW + 1000).await.unwrap();
    assert_eq!(two.open_elsewhere("two").await.unwrap()[0].beat_ms, Some(NOW + 1000));

    let retries = RetryTable::default();
    let (by_one, by_two) =
        tokio::join!(one.settle_lost(&call, &retries, NOW), two.settle_lost(&call, &retries, NOW));
    assert!(by_one.unwrap() ^ by_two.unwrap(), "settled once");
    assert_eq!(two.call_timeline(&call).await.unwrap().len(), 1);
    assert_eq!(two.open_elsewhere("two").await.unwrap(), []);
    assert_eq!(two.claim_contacts(spring.id, 9, "two", i64::MAX).await.unwrap().len(), 1, "never redialled");
}

async fn a_lease_taken_over_is_no_longer_held(db: Db) {
    let (one, two) = (db.open().await, db.open().await);
    assert!(one.holds_lease(), "nobody took one: nothing is shared");
    one.start_serving("one", NOW).await.unwrap();
    two.start_serving("one", NOW + 60_000).await.unwrap();
    one.heartbeat("one", NOW + 60_001).await.unwrap();
    assert_eq!(two.live_serve(NOW + 60_002).await.unwrap().unwrap().beat_ms, NOW + 60_000);
    one.stop_serving("one").await.unwrap();
    assert!(two.live_serve(NOW + 60_002).await.unwrap().is_some());
    assert!(one.holds_lease() && two.holds_lease());
    one.let_lease_age(LEASE);
    one.heartbeat("one", NOW + 60_003).await.unwrap();
    two.let_lease_age(LEASE);
    two.heartbeat("one", NOW + 60_003).await.unwrap();
    assert!(!one.holds_lease() && two.holds_lease());
}

fn entry(list: &str, number: &str) -> NewSuppression {
    NewSuppression {
        list: list.to_owned(),
        number: number.to_owned(),
        reason: "asked".to_owned(),
        source: SuppressionSource::Import,
    }
}

async fn a_campaigns_own_list_holds_for_it_alone(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 2).await;
    let autumn = campaign(&store, "autumn", 2).await;
    store.control_campaign("autumn", Control::Run, NOW).await.unwrap();
    let (own, number) = (campaign_list("spring"), "+33600000001");
    assert_eq!(store.add_suppressions(&[entry(&own, number), entry(&own, number)], NOW).await.unwrap(), 1);
    assert_eq!(store.claim_contacts(spring.id, 9, "one", NOW).await.unwrap().len(), 1);
    assert_eq!(store.claim_contacts(autumn.id, 9, "one", NOW).await.unwrap().len(), 2);

    let listed = store.suppressions(&own, "", 9).await.unwrap();
    assert_eq!(
        (listed.len(), listed[0].source, listed[0].call.clone()),
        (1, SuppressionSource::Import, None)
    );
    assert_eq!(store.suppressions(GLOBAL_LIST, "", 9).await.unwrap(), []);
    assert_eq!(store.suppressions(&own, number, 9).await.unwrap(), [], "a page begins after the last one");
    assert!(store.remove_suppression(&own, number).await.unwrap());
    assert!(!store.remove_suppression(&own, number).await.unwrap());
}

async fn who_asks_in_a_call_is_not_called_again(db: Db) {
    use sidetone_core::call::Digit;
    let store = db.open().await;
    let spring = running(&store, 4).await;
    let autumn = campaign(&store, "autumn", 4).await;
    store.control_campaign("autumn", Control::Run, NOW).await.unwrap();
    let turn = |intent: &str| Event::Turn {
        text: "please stop calling me".to_owned(),
        intent: Some(intent.to_owned()),
        at_ms: 1,
        endpoint_ms: 1,
    };
    let key = Event::Dtmf { digit: Digit::new('9').unwrap() };
    let end = |outcome: Option<&str>, disposition| Event::Ended {
        disposition,
        outcome: outcome.map(str::to_owned),
    };
    let (done, opted_out) = (Disposition::Completed, Some("opted_out"));
    let calls = [
        // Whatever the disposition: here one that would be tried again.
        (vec![turn("opt_out"), end(None, Disposition::Busy)], Some(SuppressionSource::Voice)),
        (vec![turn("yes"), key.clone(), end(opted_out, done)], Some(SuppressionSource::Dtmf)),
        (vec![key, turn("again"), end(opted_out, done)], Some(SuppressionSource::Scenario)),
        (vec![turn("yes"), end(Some("confirmed"), done)], None),
    ];
    let claimed = store.claim_contacts(spring.id, 4, "one", NOW).await.unwrap();
    for (claim, (events, source)) in claimed.iter().zip(&calls) {
        let mut finished = FinishedCall::new(Disposition::Failed, NOW);
        events.iter().for_each(|event| finished.observe(NOW, None, event));
        assert_eq!(finished.opt_out, *source);
        store.finish_attempt(&claim.call, &finished, &RetryTable::default()).await.unwrap();
        assert_eq!(store.is_suppressed(&claim.number).await.unwrap(), source.is_some());
    }
    let listed = store.suppressions(GLOBAL_LIST, "", 9).await.unwrap();
    assert_eq!(listed[0].call.as_deref(), Some(claimed[0].call.as_str()));
    assert_eq!(store.campaign_counts(spring.id).await.unwrap().done, 4);
    let left = store.claim_contacts(autumn.id, 9, "one", NOW).await.unwrap();
    assert_eq!(left.iter().map(|claim| &claim.number).collect::<Vec<_>>(), [&claimed[3].number]);
}

async fn a_retry_table_of_its_own_is_kept_and_decides(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 1).await;
    assert_eq!(spring.retries, RetryTable::default());
    let table = RetryTable {
        max_attempts: 9,
        per_day: Some(2),
        per_30_days: None,
        after_ms: BTreeMap::from([(Disposition::Rejected, 1000)]),
    };
    store.set_retries(spring.id, &table).await.unwrap();
    let spring = store.campaign("spring").await.unwrap();
    assert_eq!((spring.max_attempts, &spring.retry_table()), (9, &table));
    let call = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    let rejected = FinishedCall::new(Disposition::Rejected, NOW + 10);
    store.finish_attempt(&call, &rejected, &spring.retry_table()).await.unwrap();
    assert_eq!(store.campaign_counts(spring.id).await.unwrap().next_due_ms, Some(NOW + 1010));
}

async fn a_number_at_its_cap_waits_whoever_called(db: Db) {
    const HOUR: i64 = 3_600_000;
    let store = db.open().await;
    let spring = running(&store, 1).await;
    let autumn = campaign(&store, "autumn", 1).await;
    store.control_campaign("autumn", Control::Run, NOW).await.unwrap();
    let table = RetryTable { per_day: Some(2), per_30_days: Some(3), ..RetryTable::with_max_attempts(9) };
    store.set_retries(spring.id, &table).await.unwrap();
    let busy = async |campaign: i64, at: i64| {
        let Some(claim) = store.claim_contacts(campaign, 1, "one", at).await.unwrap().pop() else {
            return false;
        };
        store.finish_attempt(&claim.call, &FinishedCall::new(Disposition::Busy, at), &table).await.unwrap()
    };
    assert!(busy(autumn.id, NOW).await, "counts for the other campaign too");
    assert!(busy(spring.id, NOW + HOUR).await);
    assert!(!busy(spring.id, NOW + 2 * HOUR).await, "two a day");
    let due = store.campaign_counts(spring.id).await.unwrap().next_due_ms;
    assert_eq!(due, Some(NOW + 24 * HOUR));
    assert!(busy(spring.id, NOW + 24 * HOUR).await);
    assert!(!busy(spring.id, NOW + 72 * HOUR).await, "three in thirty days");
    assert!(busy(spring.id, NOW + 30 * 24 * HOUR).await);
}

async fn somebody_is_called_back_when_they_asked(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 2).await;
    let claim = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0);
    assert!(!store.call_back(spring.id, &claim.number, NOW + 500).await.unwrap(), "being called");
    store.finish_attempt(&claim.call, &ended(Disposition::Completed), &RetryTable::default()).await.unwrap();
    assert!(store.call_back(spring.id, &claim.number, NOW + 500).await.unwrap());
    assert!(!store.call_back(spring.id, "+33699999999", NOW).await.unwrap(), "nobody");
    assert_eq!(store.claim_contacts(spring.id, 9, "one", NOW + 499).await.unwrap().len(), 1, "the other one");
    let again = store.claim_contacts(spring.id, 9, "one", NOW + 500).await.unwrap().remove(0);
    assert_eq!((again.number, again.attempt), (claim.number, 2));
}

#[tokio::test]
async fn a_call_that_ends_finds_its_contact_without_reading_the_list() {
    use sqlx::Row;

    let db = Db::sqlite();
    let store = db.open().await;
    let plan: Vec<String> =
        sqlx::query(sqlx::AssertSqlSafe(format!("explain query plan {}", attempts::CONTACT_OF)))
            .bind("none")
            .fetch_all(store.pool())
            .await
            .unwrap()
            .iter()
            .map(|row| row.try_get::<String, _>("detail").unwrap())
            .collect();
    assert!(!plan.is_empty() && plan.iter().all(|step| !step.starts_with("SCAN")), "{plan:?}");
}
