//! What answered calls were, kept and counted.

use sidetone_core::{
    call::{Abandoned, Answer, EndedBy, HangupReason, PlayId},
    campaign::Brake,
};

use super::*;

contract! {
    what_a_call_was_for_who_answered_is_kept,
    the_ledger_counts_a_window_and_says_how_soon_people_heard_us,
    a_throttle_holds_for_whoever_claims,
    calls_are_counted_by_what_they_have_in_common,
    a_call_whose_last_event_was_stored_is_settled_as_what_it_came_to,
    a_call_that_was_lost_before_a_word_is_a_silent_one,
}

pub(super) fn human(at_ms: u64) -> Event {
    Event::Verdict {
        verdict: Verdict::Human,
        cause: Cause::ShortGreeting,
        confidence: 0.9,
        evidence: Vec::new(),
        at_ms,
        after_speech_ms: Some(400),
    }
}

/// A person whom we speak to so long after their greeting.
fn person(heard_after_ms: i64) -> Vec<(i64, Event)> {
    vec![
        (0, Event::Answered),
        (1000, human(1000)),
        (600 + heard_after_ms, Event::PromptStarted { id: PlayId(1), file: "a.wav".to_owned() }),
        (9000, Event::HungUp { cause: HangupCause::new("NORMAL_CLEARING") }),
        (9000, Event::Ended { disposition: Disposition::HungUp, outcome: None }),
    ]
}

fn hung_up_on() -> Vec<(i64, Event)> {
    vec![
        (0, Event::Answered),
        (1000, human(1000)),
        (1100, Event::HangupAsked { reason: HangupReason::Operator }),
        (1200, Event::Ended { disposition: Disposition::Cancelled, outcome: None }),
    ]
}

fn machine() -> Vec<(i64, Event)> {
    let Event::Verdict { cause, confidence, evidence, at_ms, .. } = human(2000) else { unreachable!() };
    let verdict = Verdict::Voicemail;
    let voicemail = Event::Verdict { verdict, cause, confidence, evidence, at_ms, after_speech_ms: None };
    let ended = Event::Ended { disposition: Disposition::Machine, outcome: None };
    vec![(0, Event::Answered), (2000, voicemail), (2100, ended)]
}

fn finished(events: &[(i64, Event)], ended_ms: i64) -> FinishedCall {
    let mut finished = FinishedCall::new(Disposition::Failed, ended_ms);
    events.iter().for_each(|(media, event)| finished.observe(ended_ms, Some(*media), event));
    finished
}

/// Calls one contact after another; each call ends as given.
async fn calls(store: &Store, campaign: i64, ends: &[(Vec<(i64, Event)>, i64)]) -> Vec<CallId> {
    let table = RetryTable::with_max_attempts(1);
    let mut ids = Vec::new();
    for (events, ended_ms) in ends {
        let call = store.claim_contacts(campaign, 1, "one", NOW).await.unwrap().remove(0).call;
        store.finish_attempt(&call, &finished(events, *ended_ms), &table).await.unwrap();
        ids.push(call);
    }
    ids
}

async fn what_a_call_was_for_who_answered_is_kept(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 3).await;
    let ids = calls(&store, spring.id, &[(person(2100), NOW), (hung_up_on(), NOW), (vec![], NOW)]).await;
    let late = store.attempt(ids[0].as_str()).await.unwrap();
    assert_eq!((late.answer, late.abandoned), (Some(Answer::Abandoned), Some(Abandoned::Late)));
    assert_eq!((late.ended_by, late.greeting_to_audio_ms), (Some(EndedBy::Callee), Some(2100)));
    let silent = store.attempt(ids[1].as_str()).await.unwrap();
    assert_eq!((silent.answer, silent.abandoned), (Some(Answer::Silent), Some(Abandoned::HungUp)));
    assert_eq!((silent.ended_by, silent.greeting_to_audio_ms), (Some(EndedBy::Us), None));
    let unanswered = store.attempt(ids[2].as_str()).await.unwrap();
    assert_eq!((unanswered.answer, unanswered.ended_by), (None, None));
}

async fn the_ledger_counts_a_window_and_says_how_soon_people_heard_us(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 30).await;
    let mut ends: Vec<_> = (1..=19).map(|i| (person(100 * i), NOW + 10)).collect();
    ends.extend([(person(2500), NOW + 10), (hung_up_on(), NOW + 10), (machine(), NOW + 10)]);
    // Before the window.
    ends.push((hung_up_on(), NOW));
    calls(&store, spring.id, &ends).await;
    let ledger = store.ledger(spring.id, NOW).await.unwrap();
    let tally = ledger.tally;
    assert_eq!((tally.persons, tally.abandoned, tally.silent, tally.machines), (19, 1, 1, 1));
    assert_eq!(ledger.abandoned, BTreeMap::from([(Abandoned::Late, 1), (Abandoned::HungUp, 1)]));
    assert_eq!(ledger.greeting_to_audio_ms, Spread { n: 20, p50: Some(1000), p95: Some(1900) });
    assert_eq!(store.tally(spring.id, NOW - 1).await.unwrap().silent, 2);
    assert_eq!(store.attempts_per_contact(spring.id).await.unwrap(), BTreeMap::from([(0, 7), (1, 23)]));
    let empty = store.ledger(spring.id + 1, 0).await.unwrap();
    assert_eq!(empty, Ledger::default());
}

async fn a_throttle_holds_for_whoever_claims(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 90).await;
    store.throttle_campaign(spring.id, Brake::Slow(0.1), "close to the limit").await.unwrap();
    let slowed = store.campaign("spring").await.unwrap();
    assert_eq!((slowed.throttle, slowed.throttle_note.as_deref()), (0.1, Some("close to the limit")));
    assert_eq!((slowed.pace().cps, slowed.pace().max_concurrent), (20.05, 10));
    let other = db.open().await;
    assert_eq!(other.claim_contacts(spring.id, 90, "two", NOW).await.unwrap().len(), 10);
    store.throttle_campaign(spring.id, Brake::Free, "").await.unwrap();
    let free = store.campaign("spring").await.unwrap();
    assert_eq!((free.throttle, free.throttle_note), (1.0, None));
    assert_eq!(other.claim_contacts(spring.id, 90, "two", NOW + 2000).await.unwrap().len(), 80);
}

async fn calls_are_counted_by_what_they_have_in_common(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 6).await;
    let answered = |events: Vec<(i64, Event)>| (events, NOW + 8000);
    calls(
        &store,
        spring.id,
        &[answered(person(500)), answered(person(2500)), answered(machine()), answered(vec![])],
    )
    .await;
    let given_back = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    store.give_back(&given_back, "no switch", NOW, NOW).await.unwrap();
    let by = async |dimension| {
        let groups = store.breakdown(spring.id, dimension).await.unwrap();
        groups
            .into_iter()
            .map(|(value, f)| (value, f.calls, f.answered, f.people, f.machines))
            .collect::<Vec<_>>()
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        by(Dimension::Disposition).await,
        [
            (named("failed"), 1, 0, 0, 0),
            (named("hung_up"), 2, 2, 2, 0),
            (named("machine"), 1, 1, 0, 1),
            (named("not_placed"), 1, 0, 0, 0),
        ]
    );
    assert_eq!(by(Dimension::Quarter).await, [(Some((NOW / 900_000).to_string()), 4, 3, 2, 1)]);
    assert_eq!(by(Dimension::List).await.iter().map(|group| group.1).collect::<Vec<_>>(), [4]);
    assert_eq!(by(Dimension::CallerId).await.iter().map(|group| group.1).sum::<u64>(), 4);
    assert_eq!(store.called_between(spring.id).await.unwrap(), Some((NOW, NOW + 8000)));
    assert_eq!(store.breakdown(spring.id + 1, Dimension::List).await.unwrap(), []);
    let began = store.attempts_after(spring.id, (i64::MIN, ""), 3).await.unwrap();
    let after = (began[2].started_ms, began[2].call.as_str());
    let rest = store.attempts_after(spring.id, after, 9).await.unwrap();
    assert_eq!((began.len(), rest.len()), (3, 2));
}

async fn a_call_whose_last_event_was_stored_is_settled_as_what_it_came_to(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 1).await;
    let call = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    for (seq, (media, event)) in (1..).zip(person(500)) {
        let media_ms = Some(media);
        store
            .record_event(EventRecord { call: call.clone(), seq, at_ms: NOW + media, media_ms, event })
            .await;
    }
    // Killed before the outcome was stored.
    assert!(store.settle_lost(&call, &RetryTable::default(), NOW + 60_000).await.unwrap());
    let attempt = store.attempt(call.as_str()).await.unwrap();
    assert_eq!((attempt.disposition, attempt.verdict), (Some(Disposition::HungUp), Some(Verdict::Human)));
    assert_eq!((attempt.answered_ms, attempt.ended_ms), (Some(NOW), Some(NOW + 9000)));
    assert_eq!(attempt.answer, Some(Answer::Person));
    assert_eq!(store.call_timeline(&call).await.unwrap().len(), 5, "no second end");
}

async fn a_call_that_was_lost_before_a_word_is_a_silent_one(db: Db) {
    let store = db.open().await;
    let spring = running(&store, 1).await;
    let call = store.claim_contacts(spring.id, 1, "one", NOW).await.unwrap().remove(0).call;
    for (seq, event) in (1..).zip([Event::Answered, human(1000)]) {
        let media_ms = Some(seq * 500);
        store.record_event(EventRecord { call: call.clone(), seq, at_ms: NOW + seq, media_ms, event }).await;
    }
    assert!(store.settle_lost(&call, &RetryTable::default(), NOW + 60_000).await.unwrap());
    let attempt = store.attempt(call.as_str()).await.unwrap();
    assert_eq!((attempt.disposition, attempt.ended_ms), (Some(Disposition::Lost), Some(NOW + 60_000)));
    assert_eq!((attempt.answer, attempt.abandoned), (Some(Answer::Silent), Some(Abandoned::Lost)));
    assert_eq!((attempt.verdict, attempt.answered_ms), (Some(Verdict::Human), Some(NOW + 1)));
    assert_eq!(store.call_timeline(&call).await.unwrap().len(), 3);
}
