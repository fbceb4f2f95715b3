use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn texts(words: &[Word]) -> Vec<&str> {
    words.iter().map(|word| word.text.as_str()).collect()
}

#[test]
fn words_are_committed_when_two_transcripts_agree() {
    let mut hypothesis = Hypothesis::new();
    let first = hypothesis.update("I would", at(500));
    assert_eq!((texts(&first.committed), texts(&first.unstable)), (vec![], vec!["I", "would"]));
    let second = hypothesis.update("I would like too", at(1000));
    assert_eq!(
        (texts(&second.committed), texts(&second.unstable)),
        (vec!["I", "would"], vec!["like", "too"])
    );
    let third = hypothesis.update("I would like to cancel", at(1500));
    assert_eq!((texts(&third.committed), texts(&third.unstable)), (vec!["like"], vec!["to", "cancel"]));
    assert_eq!(hypothesis.text(), "I would like to cancel");
    assert_eq!(hypothesis.finish(), "I would like to cancel");
    assert_eq!(hypothesis.text(), "");
}

#[test]
fn a_words_time_is_that_of_the_look_it_first_stood_in() {
    let mut hypothesis = Hypothesis::new();
    hypothesis.update("I would", at(500));
    hypothesis.update("I would like to", at(1000));
    hypothesis.update("I would like too much", at(1500));
    hypothesis.update("I would like too much of it", at(2000));
    let times: Vec<(&str, u128)> =
        hypothesis.committed().iter().map(|word| (word.text.as_str(), word.heard.as_millis())).collect();
    let expected = [("I", 500), ("would", 500), ("like", 1000), ("too", 1500), ("much", 1500)];
    assert_eq!(times, expected, "a word that changed is heard anew");
}

#[test]
fn what_a_cut_was_heard_twice_of_is_written_once() {
    assert_eq!(
        joined("I have an appointment", "an appointment, on Monday"),
        "I have an appointment on Monday"
    );
    assert_eq!(joined("I have an appoint", "an appointment on Monday"), "I have an appointment on Monday");
    assert_eq!(joined("yes please", "on Monday"), "yes please on Monday");
    assert_eq!(joined("", "on Monday"), "on Monday");
}

#[test]
fn case_accents_and_punctuation_do_not_count() {
    let mut hypothesis = Hypothesis::new();
    hypothesis.update("bonjour. c'est", at(500));
    let delta = hypothesis.update("Bonjour, c\u{2019}est André", at(1000));
    assert_eq!(texts(&delta.committed).first(), Some(&"Bonjour,"));
    hypothesis.update("Bonjour, c'est andre", at(1500));
    assert_eq!(hypothesis.committed().len(), 3);
}

#[test]
fn a_changed_mind_does_not_take_back_or_repeat() {
    let mut hypothesis = Hypothesis::new();
    hypothesis.update("yes I can hear", at(500));
    hypothesis.update("yes I can hear you", at(1000));
    // The beginning is written otherwise now, in one word more.
    hypothesis.update("yes well I can hear you fine", at(1500));
    hypothesis.update("yes well I can hear you fine thanks", at(2000));
    assert_eq!(hypothesis.text(), "yes I can hear you fine thanks");
    assert_eq!(texts(hypothesis.committed()), ["yes", "I", "can", "hear", "you", "fine"]);
}

#[test]
fn a_shorter_transcript_takes_nothing_back() {
    let mut hypothesis = Hypothesis::new();
    hypothesis.update("one two three", at(500));
    hypothesis.update("one two three four", at(1000));
    let delta = hypothesis.update("one two", at(1500));
    assert_eq!(delta, Delta::default());
    assert_eq!(hypothesis.text(), "one two three");
}

#[test]
fn a_late_transcript_is_ignored() {
    let mut hypothesis = Hypothesis::new();
    hypothesis.update("no", at(1000));
    hypothesis.update("no thank you", at(1500));
    let delta = hypothesis.update("go away", at(1200));
    assert!(delta.committed.is_empty());
    assert_eq!(hypothesis.text(), "no thank you");
}

#[test]
fn words_repeated_where_the_audio_was_cut_are_dropped() {
    let mut hypothesis = Hypothesis::new();
    for to in [11_000, 12_000] {
        hypothesis.update("my number is four two seven", at(to));
    }
    hypothesis.cut(at(11_500));
    hypothesis.update("two, seven nine", at(13_000));
    hypothesis.update("Two seven nine one", at(13_500));
    assert_eq!(hypothesis.text(), "my number is four two seven nine one");
}

#[test]
fn words_repeated_long_after_the_cut_are_kept() {
    let mut hypothesis = Hypothesis::new();
    for to in [1000, 2000] {
        hypothesis.update("yes", at(to));
    }
    hypothesis.cut(at(4000));
    hypothesis.update("yes", at(5000));
    assert_eq!(hypothesis.text(), "yes yes");
}

#[test]
fn what_folds_to_nothing_is_no_word() {
    let mut hypothesis = Hypothesis::new();
    assert_eq!(hypothesis.update(" - ... ", at(100)), Delta::default());
    assert_eq!(hypothesis.text(), "");
}

fn transcript() -> impl Strategy<Value = String> {
    // Few words, so that transcripts agree and repeat themselves often.
    prop::collection::vec(prop::sample::select(vec!["yes", "No,", "the", "été", "don't", "-", "stop."]), 0..9)
        .prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn committed_text_is_never_taken_back(
        steps in prop::collection::vec((transcript(), 0u64..3000, prop::bool::weighted(0.1)), 0..20)
    ) {
        let mut hypothesis = Hypothesis::new();
        let mut before: Vec<Word> = Vec::new();
        for (transcript, to, cut) in steps {
            if cut {
                hypothesis.cut(at(to));
            }
            let delta = hypothesis.update(&transcript, at(to));
            let after = hypothesis.committed();
            prop_assert!(after.starts_with(&before));
            prop_assert_eq!(&after[before.len()..], &delta.committed[..]);
            prop_assert_eq!(hypothesis.unstable(), &delta.unstable[..]);
            before = after.to_vec();
        }
    }

    #[test]
    fn a_transcript_that_only_grows_is_heard_as_it_is(
        said in prop::collection::vec("[a-z]{1,6}", 1..15),
        mut lengths in prop::collection::vec(0usize..15, 1..8),
    ) {
        lengths.sort_unstable();
        lengths.push(said.len());
        let mut hypothesis = Hypothesis::new();
        for (i, length) in (1..).zip(lengths) {
            hypothesis.update(&said[..length.min(said.len())].join(" "), at(i * 500));
        }
        prop_assert_eq!(hypothesis.finish(), said.join(" "));
    }
}
