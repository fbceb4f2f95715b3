//! Whole calls with real speech, heard by real Whisper. Needs the models tiny.en and base, which `make test` fetches.

use std::sync::Arc;

use sidetone::{
    asr::{
        ct2::{Options, Whisper},
        models,
    },
    config::Asr,
};
use sidetone_core::{
    amd::Verdict,
    call::{Disposition, Event},
};

use crate::support::{ANNA, Setup, callee};

fn whisper(model: &str) -> Arc<Whisper> {
    let asr = Asr { model: model.to_owned(), ..Asr::default() };
    let path = models::find(&asr).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Whisper::load(&path, Options::default()).expect("a model"))
}

fn say(when: &str, file: &str) -> String {
    format!("{{{when}, say: {}/{file}}}", env!("CARGO_MANIFEST_DIR"))
}

/// Says hello in French, owns a house, is interested, would gladly talk to somebody.
fn french_owner() -> String {
    let does = [
        say("at: 300ms", "tests/data/allo_fr.wav"),
        say("bot_quiet: 600ms", "tests/data/proprietaire_fr.wav"),
        say("bot_quiet: 600ms", "tests/data/interesse_fr.wav"),
        say("bot_quiet: 600ms", "tests/data/je_veux_bien_fr.wav"),
    ];
    callee(ANNA, "{after: 100ms}", &does)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_french_house_owner_is_put_through_to_an_adviser() {
    let cast = french_owner();
    let rig = Setup::cast(&cast).shipped("lead-qualification").recognizer(whisper("base")).start().await;
    let (attempt, events, seen) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.disposition, Some(Disposition::Transferred), "{events:#?}");
    assert_eq!(seen.transfers, ["2000"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_english_patient_confirms_the_appointment() {
    let does = [
        say("at: 300ms", "src/sim/demo/hello-allison.wav"),
        say("bot_quiet: 600ms", "src/sim/demo/yes-ill-be-there.wav"),
    ];
    let cast = callee(ANNA, "{after: 100ms}", &does);
    let rig = Setup::cast(&cast).shipped("appointment-reminder").recognizer(whisper("tiny.en")).start().await;
    let (attempt, events, _) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.verdict, Some(Verdict::Human), "{events:#?}");
    assert_eq!(attempt.disposition, Some(Disposition::Completed), "{events:#?}");
    assert_eq!(attempt.outcome.as_deref(), Some("confirmed"), "{events:#?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_hears_no_french_takes_no_french_call() {
    let cast = callee(ANNA, "{after: 100ms}", &[]);
    let rig = Setup::cast(&cast).shipped("lead-qualification").recognizer(whisper("tiny.en")).start().await;
    let (attempt, _, _) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.disposition, Some(Disposition::Failed));
    assert!(attempt.outcome.as_deref().is_some_and(|words| words.contains("models get")), "{attempt:?}");
    assert_eq!(rig.stop().await.calls.len(), 0);
}

const FRENCH: &str = "language: fr\n";
const EITHER: &str = "language: auto\nlanguages: [en, fr]\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_language_is_detected_once_among_those_allowed() {
    let cast = french_owner();
    let setup = Setup::cast(&cast).shipped("lead-qualification").edited(FRENCH, EITHER);
    let rig = setup.recognizer(whisper("base")).start().await;
    let (attempt, events, _) = rig.whole_call(ANNA).await;
    let detected: Vec<&Event> =
        events.iter().map(|stored| &stored.event).filter(|e| matches!(e, Event::Language { .. })).collect();
    assert!(matches!(detected[..], [Event::Language { language, .. }] if language == "fr"), "{events:#?}");
    assert_eq!(attempt.disposition, Some(Disposition::Transferred), "{events:#?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_english_model_cannot_detect_languages_and_says_so() {
    let cast = callee(ANNA, "{after: 100ms}", &[]);
    let setup = Setup::cast(&cast).shipped("lead-qualification").edited(FRENCH, EITHER);
    let rig = setup.recognizer(whisper("tiny.en")).start().await;
    let (attempt, _, _) = rig.whole_call(ANNA).await;
    assert_eq!(attempt.disposition, Some(Disposition::Failed));
    let said = attempt.outcome.unwrap_or_default();
    assert!(said.contains("language: auto") && said.contains("multilingual"), "{said}");
    assert_eq!(rig.stop().await.calls.len(), 0);
}
