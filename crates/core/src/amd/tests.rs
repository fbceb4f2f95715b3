use std::time::Duration;

use super::{judge::Judged, *};
use crate::text::PhrasePack;

fn judged(profile: AmdProfile, prior: Prior) -> Judged<'static> {
    Judged {
        pack: PhrasePack::for_language("en").unwrap(),
        profile,
        cadence: Cadence::default(),
        peak_dbfs: -20.0,
        music: 0.0,
        threshold: judge::threshold(0.01),
        prior,
    }
}

fn verdict(profile: AmdProfile, text: &str) -> Verdict {
    judged(profile, Prior::default()).text(text).verdict
}

#[test]
fn the_published_rule_is_keywords_and_nothing_else() {
    // One keyword decides, however little it proves.
    assert_eq!(verdict(AmdProfile::Batch, "thanks for calling this is Tony"), Verdict::Ivr);
    assert_eq!(verdict(AmdProfile::Batch, "Hello, who is this?"), Verdict::Human);
    assert_eq!(verdict(AmdProfile::Batch, "The weather was cold"), Verdict::Unknown);
    // Neither a misheard phrase nor an opening counts.
    assert_eq!(verdict(AmdProfile::Batch, "please leaf your massage after the tome"), Verdict::Unknown);
    assert_eq!(verdict(AmdProfile::Anytime, "thanks for calling this is Tony"), Verdict::Unknown);
}

#[test]
fn a_smaller_budget_asks_for_more() {
    let text = "I'll get back to you";
    let at = |budget: f32| {
        let judged =
            Judged { threshold: judge::threshold(budget), ..judged(AmdProfile::Anytime, Prior::default()) };
        judged.text(text).verdict
    };
    assert_eq!(at(0.1), Verdict::Voicemail);
    assert_ne!(at(0.001), Verdict::Voicemail);
}

#[test]
fn what_is_known_before_tips_but_never_decides() {
    let worst = Prior { rang: Some(Duration::from_millis(300)), earlier: Some(Verdict::Voicemail) };
    let best = Prior { rang: Some(Duration::from_secs(5)), earlier: Some(Verdict::Human) };
    assert!(worst.log_odds() > 0.0 && best.log_odds() < 0.0);
    assert!(worst.log_odds() <= 0.6);
    for text in ["Hello?", "Five five five, one two", "It was cold and the old man walked slowly home"] {
        let decision = judged(AmdProfile::Anytime, worst).text(text);
        assert!(!decision.verdict.is_machine(), "{text}");
    }
    let known = judged(AmdProfile::Anytime, worst).text("Hello?");
    assert!(known.evidence.iter().any(|e| matches!(e, Evidence::Prior { rang_ms: Some(300), .. })));
    assert!(Prior { rang: Some(Duration::from_secs(20)), earlier: None }.log_odds() > 0.0);
}

#[test]
fn people_who_speak_long_are_not_machines() {
    for (language, text) in [
        ("en", "Dr. Miller's office, this is Sarah, how can I help you?"),
        ("en", "Thanks for calling Mario's Pizza, this is Tony, what can I get you?"),
        ("en", "Hi, this is Laura from the bank. Please call me back when you get this."),
        ("en", "Hello, Green Valley Animal Hospital, please hold one moment."),
        ("fr", "Bonjour, vous êtes chez Martin Assurances, Isabelle à l'appareil."),
        ("fr", "Ne quittez pas, je vous le passe."),
        ("de", "Ich bin gerade im Auto, kann ich Sie zurückrufen?"),
        ("es", "Ahora no puedo hablar, estoy conduciendo."),
        ("it", "Sto guidando, posso richiamarla più tardi?"),
    ] {
        // In mid-sentence at the window's end: what cadence can add.
        let mut cadence = Cadence::default();
        for frame in 1..=115 {
            cadence.frame(Duration::from_millis(frame * 20), true, None);
        }
        let pack = PhrasePack::for_language(language).unwrap();
        let judged = Judged { pack, cadence, ..judged(AmdProfile::Anytime, Prior::default()) };
        let decision = judged.text(text);
        assert!(!decision.verdict.is_machine(), "{text}: {decision:?}");
    }
}
