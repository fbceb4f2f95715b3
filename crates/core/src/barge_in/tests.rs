use super::*;

fn pack() -> &'static PhrasePack {
    PhrasePack::for_language("en").expect("a pack")
}

fn policy(profile: Profile) -> BargeIn {
    BargeIn::new(profile.config())
}

const ON: Speaking =
    Speaking { look: Look::Partial, voiced: Duration::from_millis(300), silence: Duration::ZERO };
const OVER: Speaking =
    Speaking { look: Look::Over, voiced: Duration::from_millis(600), silence: Duration::from_millis(300) };

#[test]
fn two_words_at_once_or_one_word_twice() {
    let mut responsive = policy(Profile::Responsive);
    assert_eq!(responsive.heard("large coffee", ON, pack()), Some(BargeInCause::Words));
    responsive.reset();
    assert_eq!(responsive.heard("coffee", ON, pack()), None);
    assert_eq!(responsive.heard("", ON, pack()), None, "an empty look breaks the row");
    assert_eq!(responsive.heard("coffee", ON, pack()), None);
    assert_eq!(responsive.heard("coffee", ON, pack()), Some(BargeInCause::Words));
}

#[test]
fn listening_sounds_never_interrupt_and_a_stop_phrase_does_at_once() {
    let mut responsive = policy(Profile::Responsive);
    for text in ["Mm-hmm.", "Yeah, okay, right.", "uh", "Mm-hmm. Mm-hmm. I see."] {
        assert_eq!(responsive.heard(text, ON, pack()), None, "{text}");
    }
    assert_eq!(responsive.heard("Stop.", ON, pack()), Some(BargeInCause::StopPhrase));
    assert_eq!(policy(Profile::Patient).heard("Who is this?", ON, pack()), Some(BargeInCause::StopPhrase));
}

#[test]
fn a_short_sound_heard_in_two_ways_is_no_word() {
    let mut responsive = policy(Profile::Responsive);
    assert_eq!(responsive.heard("annoyance", ON, pack()), None);
    assert_eq!(responsive.heard("on the end", OVER, pack()), None);
    responsive.reset();
    responsive.heard("large", ON, pack());
    assert_eq!(responsive.heard("large coffee", OVER, pack()), Some(BargeInCause::Words));
    responsive.reset();
    responsive.heard("brood", ON, pack());
    assert_eq!(responsive.heard("brew a double", OVER, pack()), None, "not alike enough");
    responsive.reset();
    responsive.heard("brew", ON, pack());
    assert_eq!(responsive.heard("brewing a double", OVER, pack()), Some(BargeInCause::Words));
}

#[test]
fn who_says_little_and_falls_silent_meant_no_interruption() {
    let mut responsive = policy(Profile::Responsive);
    let short = |look, silence| Speaking {
        look,
        voiced: Duration::from_millis(320),
        silence: Duration::from_millis(silence),
    };
    assert_eq!(responsive.heard("open doors", short(Look::Over, 300), pack()), None);
    responsive.reset();
    assert_eq!(responsive.heard("open doors", short(Look::Partial, 100), pack()), None);
    assert_eq!(responsive.heard("open doors", short(Look::Partial, 40), pack()), Some(BargeInCause::Words));
    responsive.reset();
    let stop = responsive.heard("stop", short(Look::Over, 300), pack());
    assert_eq!(stop, Some(BargeInCause::StopPhrase), "however short");
}

#[test]
fn the_patient_want_three() {
    let mut patient = policy(Profile::Patient);
    assert_eq!(patient.heard("large coffee", ON, pack()), None);
    assert_eq!(patient.heard("large black coffee", ON, pack()), Some(BargeInCause::Words));
    assert!(!patient.past_guard(Duration::from_millis(300)));
}

#[test]
fn voice_alone_counts_only_where_nothing_was_answered() {
    let long = Duration::from_secs(2);
    let mut responsive = policy(Profile::Responsive);
    assert_eq!(responsive.speech_alone(long), Some(BargeInCause::Speech));
    responsive.heard("", ON, pack());
    assert_eq!(responsive.speech_alone(long), None);
    let mut reference = policy(Profile::Reference);
    assert_eq!(reference.heard("stop it", ON, pack()), None);
    assert_eq!(reference.speech_alone(Duration::from_millis(1400)), None);
    assert_eq!(reference.speech_alone(long), Some(BargeInCause::Speech));
}

const PROMPT: &str =
    "Hello, this is the dental practice. You have an appointment tomorrow at ten. Can you come?";

fn left(heard: &str, seconds: u64) -> String {
    without_prompt(heard, PROMPT, Duration::from_secs(seconds), Some(Duration::from_secs(6)))
}

#[test]
fn the_prompts_own_words_are_not_the_persons() {
    assert_eq!(left("an appointment tomorrow", 4), "");
    assert_eq!(left("Appointment.", 4), "");
    assert_eq!(left("this is the dental practice who is this", 2), "who is this");
    assert_eq!(left("this is wrong", 2), "this is wrong", "two words may be anybody's");
    let unknown = |heard| without_prompt(heard, PROMPT, Duration::from_secs(2), None);
    assert_eq!(
        unknown("this is wrong"),
        "wrong",
        "where nothing is known of the prompt's sound they are its own"
    );
}

#[test]
fn the_prompts_words_elsewhere_are_the_persons() {
    let prompt = format!("{PROMPT} {}", "and so on ".repeat(20));
    let heard = without_prompt("dental practice", &prompt, Duration::from_secs(25), None);
    assert_eq!(heard, "dental practice");
    assert_eq!(left("can i come on friday", 1), "can i come on friday");
}
