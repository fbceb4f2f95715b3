use super::*;

fn pack() -> &'static PhrasePack {
    PhrasePack::for_language("en").expect("a pack")
}

fn policy(profile: Profile) -> BargeIn {
    BargeIn::new(profile.config())
}

#[test]
fn two_words_at_once_or_one_word_twice() {
    let mut responsive = policy(Profile::Responsive);
    assert_eq!(responsive.heard("large coffee", Look::Speaking, pack()), Some(BargeInCause::Words));
    responsive.reset();
    assert_eq!(responsive.heard("coffee", Look::Speaking, pack()), None);
    assert_eq!(responsive.heard("", Look::Speaking, pack()), None, "an empty look breaks the row");
    assert_eq!(responsive.heard("coffee", Look::Speaking, pack()), None);
    assert_eq!(responsive.heard("coffee", Look::Speaking, pack()), Some(BargeInCause::Words));
}

#[test]
fn listening_sounds_never_interrupt_and_a_stop_phrase_does_at_once() {
    let mut responsive = policy(Profile::Responsive);
    for text in ["Mm-hmm.", "Yeah, okay, right.", "uh", "Mm-hmm. Mm-hmm. I see."] {
        assert_eq!(responsive.heard(text, Look::Speaking, pack()), None, "{text}");
    }
    assert_eq!(responsive.heard("Stop.", Look::Speaking, pack()), Some(BargeInCause::StopPhrase));
    assert_eq!(
        policy(Profile::Patient).heard("Who is this?", Look::Speaking, pack()),
        Some(BargeInCause::StopPhrase)
    );
}

#[test]
fn a_short_sound_heard_in_two_ways_is_no_word() {
    let mut responsive = policy(Profile::Responsive);
    assert_eq!(responsive.heard("annoyance", Look::Speaking, pack()), None);
    assert_eq!(responsive.heard("on the end", Look::Over, pack()), None);
    responsive.reset();
    responsive.heard("large", Look::Speaking, pack());
    assert_eq!(responsive.heard("large coffee", Look::Over, pack()), Some(BargeInCause::Words));
    responsive.reset();
    responsive.heard("brood", Look::Speaking, pack());
    assert_eq!(responsive.heard("brew a double", Look::Over, pack()), None, "not alike enough");
    responsive.reset();
    responsive.heard("brew", Look::Speaking, pack());
    assert_eq!(responsive.heard("brewing a double", Look::Over, pack()), Some(BargeInCause::Words));
}

#[test]
fn the_patient_want_three() {
    let mut patient = policy(Profile::Patient);
    assert_eq!(patient.heard("large coffee", Look::Speaking, pack()), None);
    assert_eq!(patient.heard("large black coffee", Look::Speaking, pack()), Some(BargeInCause::Words));
    assert!(!patient.past_guard(Duration::from_millis(300)));
}

#[test]
fn voice_alone_counts_only_where_nothing_was_answered() {
    let long = Duration::from_secs(2);
    let mut responsive = policy(Profile::Responsive);
    assert_eq!(responsive.speech_alone(long), Some(BargeInCause::Speech));
    responsive.heard("", Look::Speaking, pack());
    assert_eq!(responsive.speech_alone(long), None);
    let mut reference = policy(Profile::Reference);
    assert_eq!(reference.heard("stop it", Look::Speaking, pack()), None);
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
    assert_eq!(left("the dental practice who is this", 2), "who is this");
    assert_eq!(left("this is wrong", 2), "wrong", "what is not the prompt's stays");
}

#[test]
fn the_prompts_words_elsewhere_are_the_persons() {
    let prompt = format!("{PROMPT} {}", "and so on ".repeat(20));
    let heard = without_prompt("dental practice", &prompt, Duration::from_secs(25), None);
    assert_eq!(heard, "dental practice");
    assert_eq!(left("can i come on friday", 1), "can i come on friday");
}
