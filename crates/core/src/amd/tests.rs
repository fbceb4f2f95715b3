use std::time::Duration;

use super::{judge::Judged, *};
use crate::{call::UtteranceId, text::PhrasePack};

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

/// Somebody who speaks on for so long; what AMD asked for.
fn talked(amd: &mut Amd, from_ms: u64, to_ms: u64) -> Vec<(u64, Look)> {
    let mut asked = Vec::new();
    for end in (from_ms / 20 + 1)..=(to_ms / 20) {
        let frame = AmdFrame {
            media: Duration::from_millis(end * 20),
            voiced: true,
            started: None,
            dbfs: -20.0,
            tone: None,
            music: 0.0,
        };
        if let Some(AmdStep::Transcribe { to, look, .. }) = amd.frame(frame) {
            asked.push((u64::try_from(to.as_millis()).unwrap(), look));
        }
    }
    asked
}

fn said(text: &str) -> Heard {
    Heard::Text(text.to_owned())
}

/// A transcript of the first `to`.
fn came(to: Duration, heard: &Heard, careful: bool) -> Transcript {
    Transcript {
        utterance: UtteranceId(1),
        purpose: if careful { Purpose::AmdCareful } else { Purpose::Amd },
        to,
        outcome: heard.clone(),
        others: Vec::new(),
        queued: Duration::ZERO,
        compute: Duration::ZERO,
    }
}

/// What a decision rests on.
fn text(decision: &Decision) -> &str {
    let text = decision
        .evidence
        .iter()
        .find_map(|evidence| if let Evidence::Text { text } = evidence { Some(text.as_str()) } else { None });
    text.unwrap_or_default()
}

fn careful() -> Amd {
    let pack = PhrasePack::for_language("en").unwrap();
    Amd::new(AmdConfig { careful: true, ..AmdConfig::default() }, pack)
}

const UNCLEAR: &str = "it was cold and";
const CLEAR: &str = "The person you are calling is not available.";

#[test]
fn the_careful_recogniser_has_the_last_word() {
    let mut amd = careful();
    assert_eq!(talked(&mut amd, 0, 800), [(800, Look::Early)]);
    assert_eq!(amd.transcript(&came(Duration::from_millis(800), &said("the"), false)), None);
    assert_eq!(talked(&mut amd, 800, 2340), [(1400, Look::Early), (2300, Look::Last), (2320, Look::Careful)]);
    assert_eq!(
        amd.transcript(&came(Duration::from_millis(2300), &said(UNCLEAR), false)),
        None,
        "one is to come"
    );
    let decision = amd.transcript(&came(Duration::from_millis(2320), &said(CLEAR), true)).unwrap();
    assert!(decision.verdict.is_machine());
}

#[test]
fn without_the_careful_one_the_last_look_decides() {
    let window = Duration::from_millis(2300);
    let asked = || {
        let mut amd = careful();
        talked(&mut amd, 0, 2340);
        amd
    };
    let mut failed = asked();
    let broken = Heard::Failed(crate::call::AsrFailure::Engine);
    assert_eq!(
        failed.transcript(&came(Duration::from_millis(2320), &broken, true)),
        None,
        "the last look is to come"
    );
    assert!(failed.transcript(&came(window, &said(CLEAR), false)).unwrap().verdict.is_machine());
    let mut silent = asked();
    silent.transcript(&came(window, &said("hello who is this"), false));
    assert_eq!(text(&silent.without_transcript().unwrap()), "hello who is this", "it comes too late");
    let mut sure = asked();
    assert!(sure.transcript(&came(window, &said(CLEAR), false)).is_some(), "nothing is waited for");
    let mut nothing = asked();
    nothing.transcript(&came(window, &said("hello who is this"), false));
    let refused = Heard::Nothing(crate::call::Gate::NoSpeech);
    let decision = nothing.transcript(&came(Duration::from_millis(2320), &refused, true)).unwrap();
    assert_eq!(text(&decision), "hello who is this", "words are not given up for none");
}

#[test]
fn another_reading_makes_a_machine_but_never_a_person() {
    let read = |outcome: &Heard, others: &[&str]| {
        let mut amd = careful();
        talked(&mut amd, 0, 2340);
        let others = others.iter().map(|&text| text.to_owned()).collect();
        let to = Duration::from_millis(2320);
        amd.transcript(&Transcript { others, ..came(to, outcome, true) }).unwrap()
    };
    let decision = read(&said(UNCLEAR), &["it was gold and", CLEAR]);
    assert!(decision.verdict.is_machine());
    assert_eq!(text(&decision), CLEAR, "its evidence is the reading that decided");
    let refused = Heard::Nothing(crate::call::Gate::Repetition);
    assert!(read(&refused, &[CLEAR]).verdict.is_machine(), "the likeliest was refused, not this one");
    assert!(
        !read(&said(UNCLEAR), &["the number", "welcome to"]).verdict.is_machine(),
        "a way to begin is not enough"
    );
    let decision = read(&said(UNCLEAR), &["hello who is this", "hello"]);
    assert_eq!((text(&decision), decision.verdict), (UNCLEAR, Verdict::Unknown), "the likeliest stands");
    assert_eq!(text(&read(&said("hello who is this"), &["hello"])), "hello who is this");
}

#[test]
fn later_looks_are_the_careful_ones_alone() {
    let mut amd = careful();
    talked(&mut amd, 0, 2340);
    amd.transcript(&came(Duration::from_millis(2320), &said(UNCLEAR), true)).unwrap();
    assert_eq!(talked(&mut amd, 2340, 5100), [(3500, Look::Late), (5000, Look::Late)]);
    assert!(
        amd.transcript(&came(Duration::from_millis(3500), &said(CLEAR), true)).unwrap().verdict.is_machine()
    );
    let pack = PhrasePack::for_language("en").unwrap();
    let mut plain = Amd::new(AmdConfig::default(), pack);
    talked(&mut plain, 0, 2340);
    plain.transcript(&came(Duration::from_millis(2300), &said(UNCLEAR), false)).unwrap();
    assert_eq!(talked(&mut plain, 2340, 3600), [(3500, Look::Late)]);
}
