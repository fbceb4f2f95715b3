//! Who is claimed: by cohort, rules, caps and numbers to show.

use sidetone_core::{
    call::HangupReason,
    campaign::{Policy, Resting, Rule},
};

use super::{ledger::human, *};

contract! {
    only_cohorts_that_are_open_are_claimed_from,
    who_is_promised_a_time_comes_first,
    who_did_not_agree_waits_and_holds_no_campaign_up,
    a_contact_keeps_its_number_and_none_is_shown_too_often,
    many_suppressed_ones_do_not_hide_those_behind,
    a_refusal_rests_for_every_campaign_with_the_rule,
    rules_are_changed_with_a_reason,
    nobody_is_called_again_soon_after_an_abandoned_call,
    terms_are_kept,
    a_plan_counts_everybody_once,
    gateways_are_shown_while_their_sidecar_lives,
}

/// 15:00 in Paris, 09:00 in New York, a Wednesday.
const AFTERNOON: i64 = 1_795_615_200_000;
const HOUR: i64 = 3_600_000;

fn preset(name: &str) -> Policy {
    Policy::presets().iter().find(|policy| policy.name == name).unwrap().clone()
}

fn rules(policy: Policy) -> Terms {
    Terms { policy: Some(policy), ..Terms::default() }
}

fn someone(number: &str, zones: &str, consent: bool) -> NewContact {
    NewContact { zones: zones.to_owned(), consent, ..contact(number) }
}

async fn started(store: &Store, name: &str, terms: &Terms, contacts: &[NewContact]) -> Campaign {
    let made = store.create_campaign_with(&new_campaign(name), terms, NOW).await.unwrap();
    store.import_contacts(made.id, contacts, NOW).await.unwrap();
    store.control_campaign(name, Control::Run, NOW).await.unwrap()
}

async fn numbers(store: &Store, campaign: &Campaign, now: i64) -> Vec<String> {
    let claimed = store.claim_contacts(campaign.id, 99, "one", now).await.unwrap();
    claimed.into_iter().map(|claim| claim.number).collect()
}

async fn only_cohorts_that_are_open_are_claimed_from(db: Db) {
    let store = db.open().await;
    let list = [
        someone("+12125550101", "America/New_York", true),
        someone("+13105550101", "America/Los_Angeles", true),
        someone("+18005550101", "America/Los_Angeles,America/New_York", true),
        someone("+15005550101", "", true),
        someone("+12125550102", "America/New_York", false),
    ];
    let spring = started(&store, "spring", &rules(preset("us-tsr")), &list).await;
    assert_eq!(numbers(&store, &spring, AFTERNOON).await, ["+12125550101"]);
    assert_eq!(numbers(&store, &spring, AFTERNOON + 1).await, [""; 0]);
    assert!(!store.finish_campaign(spring.id, AFTERNOON).await.unwrap());
    // 08:00 on the west coast.
    let west = numbers(&store, &spring, AFTERNOON + 2 * HOUR).await;
    assert_eq!(west.iter().map(String::as_str).collect::<Vec<_>>(), ["+13105550101", "+18005550101"]);

    let somewhere = Terms { default_zone: Some("America/New_York".to_owned()), ..rules(preset("us-tsr")) };
    let autumn = started(&store, "autumn", &somewhere, &list[3..]).await;
    assert_eq!(numbers(&store, &autumn, AFTERNOON).await, ["+15005550101"]);
}

async fn who_is_promised_a_time_comes_first(db: Db) {
    let store = db.open().await;
    let fresh: Vec<_> = (0..5).map(|i| contact(&format!("+3361000000{i}"))).collect();
    let spring = started(&store, "spring", &Terms::default(), &fresh).await;
    let late = someone("+33620000001", "Europe/Paris", true);
    store.import_contacts(spring.id, &[NewContact { due_ms: NOW + 9, ..late }], NOW).await.unwrap();
    assert!(store.call_back(spring.id, "+33610000004", NOW + 5).await.unwrap());
    let first = store.claim_contacts(spring.id, 3, "one", NOW + 10).await.unwrap();
    let first: Vec<_> = first.iter().map(|claim| claim.number.as_str()).collect();
    assert_eq!(first, ["+33610000004", "+33620000001", "+33610000000"]);
}

async fn who_did_not_agree_waits_and_holds_no_campaign_up(db: Db) {
    let store = db.open().await;
    let list = [someone("+33612345678", "Europe/Paris", false), someone("+33612345679", "", true)];
    let spring = started(&store, "spring", &rules(preset("fr-d223-9")), &list).await;
    assert_eq!(numbers(&store, &spring, AFTERNOON).await, [""; 0]);
    assert!(store.finish_campaign(spring.id, AFTERNOON).await.unwrap(), "nobody may ever be called");
    assert_eq!(store.campaign_counts(spring.id).await.unwrap().waiting, 2);
}

async fn a_contact_keeps_its_number_and_none_is_shown_too_often(db: Db) {
    let store = db.open().await;
    let terms = Terms {
        caller_ids: vec!["+33100000001".to_owned(), "+33100000002".to_owned()],
        caller_id_daily_cap: Some(2),
        ..Terms::default()
    };
    let list: Vec<_> = (0..5).map(|i| contact(&format!("+3361000000{i}"))).collect();
    let spring = started(&store, "spring", &terms, &list).await;
    let claimed = store.claim_contacts(spring.id, 9, "one", NOW).await.unwrap();
    let mut shown: Vec<_> = claimed.iter().map(|claim| claim.caller_id.clone().unwrap()).collect();
    let first = (claimed[0].number.clone(), shown[0].clone());
    shown.sort();
    assert_eq!(shown, ["+33100000001", "+33100000001", "+33100000002", "+33100000002"]);
    for claim in &claimed {
        let busy = FinishedCall::new(Disposition::Busy, NOW + 1000);
        store.finish_attempt(&claim.call, &busy, &spring.retry_table()).await.unwrap();
        assert_eq!(store.attempt(claim.call.as_str()).await.unwrap().caller_id, claim.caller_id);
    }
    assert_eq!(numbers(&store, &spring, NOW + HOUR).await, [""; 0], "shown often enough");
    // Whichever campaign shows them.
    let autumn = started(&store, "autumn", &terms, &list[4..]).await;
    assert_eq!(numbers(&store, &autumn, NOW + HOUR).await, [""; 0]);
    let next_day = store.claim_contacts(spring.id, 9, "one", NOW + 25 * HOUR).await.unwrap();
    let again = next_day.iter().find(|claim| claim.number == first.0).unwrap();
    assert_eq!(again.caller_id, Some(first.1));
}

async fn many_suppressed_ones_do_not_hide_those_behind(db: Db) {
    let store = db.open().await;
    let list: Vec<_> = (0..500).map(|i| contact(&format!("+336100{i:05}"))).collect();
    let spring = started(&store, "spring", &Terms::default(), &list).await;
    let barred: Vec<_> = list[..499].iter().map(|contact| entry(GLOBAL_LIST, &contact.number)).collect();
    store.add_suppressions(&barred, NOW).await.unwrap();
    assert_eq!(numbers(&store, &spring, NOW).await, [list[499].number.clone()]);
    assert_eq!(store.campaign_counts(spring.id).await.unwrap().suppressed, 499);
}

async fn a_refusal_rests_for_every_campaign_with_the_rule(db: Db) {
    let store = db.open().await;
    let list = [someone("+33612345678", "Europe/Paris", true)];
    let spring = started(&store, "spring", &rules(preset("fr-d223-9")), &list).await;
    let claim = store.claim_contacts(spring.id, 1, "one", AFTERNOON).await.unwrap().remove(0);
    let mut refused = FinishedCall::new(Disposition::Completed, AFTERNOON + 1000);
    refused.outcome = Some("not_interested".to_owned());
    store.finish_attempt(&claim.call, &refused, &spring.retry_table()).await.unwrap();

    let mut off = preset("fr-d223-9");
    off.off.insert(Rule::Refusal, "they asked us to call again".to_owned());
    let autumn = started(&store, "autumn", &rules(preset("fr-d223-9")), &list).await;
    let winter = started(&store, "winter", &rules(off), &list).await;
    assert_eq!(numbers(&store, &autumn, AFTERNOON + HOUR).await, [""; 0]);
    let due = store.campaign_counts(autumn.id).await.unwrap().next_due_ms;
    assert_eq!(due, Some(AFTERNOON + 60 * 24 * HOUR));
    assert_eq!(numbers(&store, &winter, AFTERNOON + HOUR).await, ["+33612345678"]);
}

async fn rules_are_changed_with_a_reason(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 1).await;
    let log = |what: &str, reason: Option<&str>, at_ms| PolicyEntry {
        at_ms,
        what: what.to_owned(),
        reason: reason.map(str::to_owned),
        who: "ann@desk".to_owned(),
    };
    let mut policy = preset("us-tsr");
    let first = log("us-tsr", None, NOW);
    store.set_policy(spring.id, Some(&policy), std::slice::from_ref(&first)).await.unwrap();
    policy.off.insert(Rule::Consent, "own customers".to_owned());
    let second = log("consent off", Some("own customers"), NOW + 1);
    store.set_policy(spring.id, Some(&policy), std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(store.policy_log(spring.id).await.unwrap(), [first, second]);
    assert_eq!(store.campaign("spring").await.unwrap().terms.policy, Some(policy));
}

async fn nobody_is_called_again_soon_after_an_abandoned_call(db: Db) {
    let store = db.open().await;
    let number = "+442079460001";
    let list = [someone(number, "Europe/London", true)];
    let spring = started(&store, "spring", &rules(preset("uk-ofcom")), &list).await;
    let claim = store.claim_contacts(spring.id, 1, "one", AFTERNOON).await.unwrap().remove(0);
    let mut abandoned = FinishedCall::new(Disposition::Failed, AFTERNOON);
    for (media_ms, event) in [
        (0, Event::Answered),
        (1000, human(1000)),
        (1100, Event::HangupAsked { reason: HangupReason::Operator }),
        (1200, Event::Ended { disposition: Disposition::Cancelled, outcome: None }),
    ] {
        abandoned.observe(AFTERNOON, Some(media_ms), &event);
    }
    store.finish_attempt(&claim.call, &abandoned, &spring.retry_table()).await.unwrap();
    assert!(store.call_back(spring.id, number, AFTERNOON + HOUR).await.unwrap());
    assert_eq!(numbers(&store, &spring, AFTERNOON + 71 * HOUR).await, [""; 0]);
    assert_eq!(numbers(&store, &spring, AFTERNOON + 72 * HOUR).await, [number]);
}

async fn terms_are_kept(db: Db) {
    let store = db.open().await;
    let terms = Terms {
        policy: Some(preset("uk-ofcom")),
        default_zone: Some("Europe/London".to_owned()),
        weight: 7,
        caller_ids: vec!["+442079460000".to_owned()],
        caller_id_daily_cap: Some(100),
        machine: BTreeMap::from([("voicemail".to_owned(), "hang_up".to_owned())]),
    };
    let made = store.create_campaign_with(&new_campaign("spring"), &terms, NOW).await.unwrap();
    assert_eq!(made.terms, terms);
    assert_eq!(campaign(&store, "autumn", 0).await.terms, Terms::default());
}

async fn a_plan_counts_everybody_once(db: Db) {
    let store = db.open().await;
    let list: Vec<_> = (0..6).map(|i| someone(&format!("+3361000000{i}"), "Europe/Paris", true)).collect();
    let spring = started(&store, "spring", &rules(preset("fr-d223-9")), &list).await;
    store.suppress("+33610000005", "asked", NOW).await.unwrap();
    assert!(store.call_back(spring.id, "+33610000004", AFTERNOON + HOUR).await.unwrap());
    let claim = store.claim_contacts(spring.id, 1, "one", AFTERNOON).await.unwrap().remove(0);
    let mut refused = FinishedCall::new(Disposition::Completed, AFTERNOON + 10_000);
    refused.outcome = Some("refused".to_owned());
    store.finish_attempt(&claim.call, &refused, &spring.retry_table()).await.unwrap();
    let autumn = started(&store, "autumn", &rules(preset("fr-d223-9")), &list).await;

    let waiting = store.waiting(&spring, AFTERNOON + 1).await.unwrap().into_values().next().unwrap();
    let later = Some(AFTERNOON + HOUR);
    assert_eq!((waiting.due, waiting.later, waiting.suppressed), (4, 1, 1));
    assert_eq!((waiting.first_later_ms, waiting.last_later_ms), (later, later));
    let waiting = store.waiting(&autumn, AFTERNOON + 1).await.unwrap().into_values().next().unwrap();
    assert_eq!((waiting.due, waiting.resting), (6, BTreeMap::from([(Resting::AfterRefusal, 1)])));
    let past = store.pastime(spring.id).await.unwrap();
    assert_eq!((past.calls, past.total_ms, past.contacts_done, past.attempts), (1, 10_000, 1, 1));
}

async fn gateways_are_shown_while_their_sidecar_lives(db: Db) {
    let store = db.open().await;
    store.start_serving("one", NOW).await.unwrap();
    let mut gateway = GatewayStanding {
        instance: "one".to_owned(),
        name: "carrier".to_owned(),
        live: 3,
        max_concurrent: Some(30),
        cps: None,
        pace: 0.5,
        cause: Some("SWITCH_CONGESTION".to_owned()),
    };
    store.report_gateways(std::slice::from_ref(&gateway), NOW).await.unwrap();
    gateway.live = 4;
    store.report_gateways(std::slice::from_ref(&gateway), NOW + 1).await.unwrap();
    assert_eq!(store.gateways(NOW + 2).await.unwrap(), [gateway]);
    assert_eq!(store.gateways(NOW + HEARTBEAT_DEAD_MS).await.unwrap(), []);
}
