//! What keeps invented text away from calls: Whisper writes something for silence and noise, in every language.

use std::{io::Write, time::Duration};

use flate2::{Compression, write::ZlibEncoder};
use sidetone_core::{
    call::{Gate, Purpose},
    text::PhrasePack,
};

use super::{Reading, Recognized, Segment};

/// Less voice than this is a click or a breath.
const LEAST_VOICED: Duration = Duration::from_millis(200);
/// The loudest 100 ms must reach this RMS (of full scale): -50 dBFS. Calls that come in 30 dB down are people too.
const LEAST_RMS: f64 = 0.003_162;
const NO_SPEECH: f32 = 0.6;
const LOW_SCORE: f32 = -1.0;
/// With so much voice, the voice activity detector knows better than Whisper that somebody speaks.
const MUCH_VOICE: Duration = Duration::from_secs(1);
const LOW_SCORE_OF_VOICE: f32 = -1.5;
/// A partial looks at a voice that already stood out of what else is heard on the call: so much of it is a person's,
/// however little of it was understood.
const LOW_SCORE_OF_SPEAKER: f32 = -2.75;
const SPEAKER: Duration = Duration::from_millis(500);
/// Faster than anybody speaks.
const WORDS_PER_SECOND: f64 = 7.0;
/// The VAD cuts a word's soft ends off, so short answers get this much grace; the first look at an interruption, in the
/// middle of it, less.
const SPARE_WORDS: f64 = 2.0;
const SPARE_WORDS_BEGUN: f64 = 1.0;
const COMPRESSION_RATIO: f64 = 2.4;
/// "No no no" and "hello? hello? hello?" are people; five and more in a row is a loop.
const WORD_LOOP: usize = 5;
const PHRASE_LOOP: usize = 3;

/// Refuses audio that cannot hold speech, before anything is computed.
#[must_use]
pub fn before(segment: &Segment) -> Option<Gate> {
    (segment.voiced < LEAST_VOICED || peak_rms(&segment.pcm) < LEAST_RMS).then_some(Gate::NoSpeech)
}

/// Refuses text that the audio cannot have said. `voiced`: how much of the audio is voice. `purpose`: what it was asked
/// for.
#[must_use]
pub fn gate(language: &str, heard: &Recognized, voiced: Duration, purpose: Purpose) -> Option<Gate> {
    let words = words(&heard.text);
    if words.is_empty() {
        return Some(Gate::Empty);
    }
    if heard.no_speech > NO_SPEECH && heard.score < lowest_score(voiced, purpose) {
        return Some(Gate::NoSpeech);
    }
    if is_invented(language, &words, heard) {
        return Some(Gate::Blocklist);
    }
    if is_loop(&words) || compression_ratio(&heard.text) > COMPRESSION_RATIO {
        return Some(Gate::Repetition);
    }
    let begun = purpose == Purpose::Partial && voiced < SPEAKER;
    let spare = if begun { SPARE_WORDS_BEGUN } else { SPARE_WORDS };
    let most = WORDS_PER_SECOND * voiced.as_secs_f64() + spare;
    // "c'est qu'il" is two words to whoever says it.
    (heard.text.split_whitespace().count() as f64 > most).then_some(Gate::TooFast)
}

/// What the gates let through.
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// The likeliest reading, or what refused it.
    pub first: Result<String, Gate>,
    /// Others that pass too and differ in their words, likeliest first.
    pub others: Vec<String>,
}

impl From<Gate> for Passed {
    fn from(gate: Gate) -> Self {
        Self { first: Err(gate), others: Vec::new() }
    }
}

/// Sends every reading of a segment through the gates; arguments as [`gate`]'s.
#[must_use]
pub fn pass(language: &str, heard: Recognized, voiced: Duration, purpose: Purpose) -> Passed {
    let others = others(language, &heard, voiced, purpose);
    let first = gate(language, &heard, voiced, purpose).map_or(Ok(heard.text), Err);
    Passed { first, others }
}

fn others(language: &str, heard: &Recognized, voiced: Duration, purpose: Purpose) -> Vec<String> {
    let passes = |Reading { text, score }: &Reading| {
        let alone =
            Recognized { text: text.clone(), score: *score, no_speech: heard.no_speech, others: Vec::new() };
        gate(language, &alone, voiced, purpose).is_none().then_some(alone.text)
    };
    let mut known = vec![words(&heard.text)];
    let mut is_new = |text: &String| {
        let words = words(text);
        let new = !known.contains(&words);
        if new {
            known.push(words);
        }
        new
    };
    heard.others.iter().filter_map(passes).filter(|text| is_new(text)).collect()
}

/// The lowest score with which a text is believed although the model hears no speech.
fn lowest_score(voiced: Duration, purpose: Purpose) -> f32 {
    if purpose == Purpose::Partial && voiced >= SPEAKER {
        LOW_SCORE_OF_SPEAKER
    } else if voiced >= MUCH_VOICE {
        LOW_SCORE_OF_VOICE
    } else {
        LOW_SCORE
    }
}

/// Beginnings of subtitle credits, which go on with a name: refused wherever they stand. Inventions that are whole
/// texts are in the phrase packs.
const CREDITS: &[&str] = &[
    "amara org",
    "subtitles by",
    "sous titres réalisés",
    "sous titrage",
    "untertitel im auftrag",
    "untertitel von",
    "untertitelung",
    "subtítulos realizados por",
    "subtítulos por la comunidad",
    "sottotitoli creati",
    "sottotitoli e revisione",
];

/// What Whisper writes for noise but people also say: refused as the whole text, and only where the model doubts.
const DOUBTFUL: &[(&str, &[&str])] = &[
    (
        "en",
        &[
            "you",
            "thank you",
            "thanks",
            "bye",
            "bye bye",
            "so",
            "the",
            "oh",
            "okay",
            "thank you very much",
            "i m sorry",
        ],
    ),
    ("fr", &["merci", "merci beaucoup", "ok", "au revoir", "c est parti", "et"]),
    ("de", &["vielen dank", "danke", "tschüss", "bis zum nächsten mal", "so"]),
    ("es", &["gracias", "muchas gracias", "adiós", "y"]),
    ("it", &["grazie", "ciao", "grazie mille"]),
];

fn is_invented(language: &str, words: &[String], heard: &Recognized) -> bool {
    let text = words.join(" ");
    let padded = format!(" {text} ");
    let is_doubted = heard.no_speech > 0.4 || heard.score < -0.9;
    let mut doubtful =
        DOUBTFUL.iter().filter(|(lang, _)| *lang == language).flat_map(|(_, phrases)| *phrases);
    PhrasePack::for_language(language).is_some_and(|pack| pack.hallucination(&heard.text))
        || CREDITS.iter().any(|phrase| padded.contains(&format!(" {phrase} ")))
        || (is_doubted && doubtful.any(|phrase| *phrase == text))
}

/// The same one to four words over and over, without a break.
fn is_loop(words: &[String]) -> bool {
    (1..=4).any(|n| {
        let times = if n == 1 { WORD_LOOP } else { PHRASE_LOOP };
        words.windows(n * times).any(|run| run.chunks(n).all(|chunk| chunk == &run[..n]))
    })
}

/// How many times smaller zlib makes the text: loops that no n-gram shows.
fn compression_ratio(text: &str) -> f64 {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    match zlib.write_all(text.as_bytes()).and_then(|()| zlib.finish()) {
        Ok(small) => text.len() as f64 / small.len().max(1) as f64,
        Err(_) => 0.0,
    }
}

/// Lower-cased words without punctuation; an apostrophe or a hyphen parts two words.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// RMS of the loudest 100 ms, 1 being full scale.
fn peak_rms(pcm: &[i16]) -> f64 {
    pcm.chunks(1600)
        .map(|window| {
            let power: f64 = window.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
            (power / window.len() as f64).sqrt() / 32768.0
        })
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn heard(text: &str) -> Recognized {
        Recognized { text: text.to_owned(), score: -0.3, no_speech: 0.05, others: Vec::new() }
    }

    fn judge(language: &str, text: &str, voiced_ms: u64) -> Option<Gate> {
        gate(language, &heard(text), Duration::from_millis(voiced_ms), Purpose::Amd)
    }

    #[test]
    fn what_people_say_passes() {
        for (language, text, voiced_ms) in [
            ("en", "Hello?", 250),
            ("en", "Hello? Hello? Hello?", 1200),
            ("en", "No, no, no, thank you.", 1400),
            ("en", "Thank you.", 500),
            ("en", "Press one for sales, press two for support, press three for billing.", 4000),
            ("en", "You have reached 5 5 5 1 2 1 2.", 3000),
            ("fr", "Allô, oui, bonjour.", 900),
            ("fr", "Vous êtes bien sur la messagerie vocale d'Amélie.", 2500),
        ] {
            assert_eq!(judge(language, text, voiced_ms), None, "{text}");
        }
    }

    #[test]
    fn nothing_said_is_empty() {
        assert_eq!(judge("en", " ... ", 900), Some(Gate::Empty));
        assert_eq!(judge("en", "", 900), Some(Gate::Empty));
    }

    #[test]
    fn subtitles_and_lone_inventions_are_refused() {
        assert_eq!(judge("en", "Thank you for watching!", 2000), Some(Gate::Blocklist));
        assert_eq!(judge("en", " you", 900), Some(Gate::Blocklist));
        let amara = "Sous-titres réalisés par la communauté d'Amara.org";
        assert_eq!(judge("fr", amara, 3000), Some(Gate::Blocklist));
        assert_eq!(judge("fr", "Sous-titrage Société Radio-Canada", 3000), Some(Gate::Blocklist));
        assert_eq!(judge("de", "Untertitel der Amara.org-Community", 3000), Some(Gate::Blocklist));
        let unsure = Recognized { score: -1.2, ..heard("Merci.") };
        assert_eq!(gate("fr", &unsure, Duration::from_secs(1), Purpose::EndOfTurn), Some(Gate::Blocklist));
    }

    #[test]
    fn a_doubtful_text_is_no_speech() {
        let unsure = Recognized { score: -1.4, no_speech: 0.8, ..heard("I will go there") };
        let gate = |heard: &Recognized, voiced_ms, purpose| {
            gate("en", heard, Duration::from_millis(voiced_ms), purpose)
        };
        assert_eq!(gate(&unsure, 900, Purpose::Amd), Some(Gate::NoSpeech));
        // So much voice is speech, though a worse score still says that these are not its words.
        assert_eq!(gate(&unsure, 2000, Purpose::Amd), None);
        let worse = Recognized { score: -1.6, ..unsure };
        assert_eq!(gate(&worse, 2000, Purpose::EndOfTurn), Some(Gate::NoSpeech));
        // Whoever already stands out is a person sooner; a short sound is not.
        assert_eq!(gate(&worse, 560, Purpose::Partial), None);
        assert_eq!(gate(&worse, 300, Purpose::Partial), Some(Gate::NoSpeech));
        let worst = Recognized { score: -3.0, ..worse };
        assert_eq!(gate(&worst, 2000, Purpose::Partial), Some(Gate::NoSpeech));
    }

    #[test]
    fn loops_are_repetition() {
        assert_eq!(judge("en", "no no no no no no", 3000), Some(Gate::Repetition));
        assert_eq!(judge("en", "I am here I am here I am here", 3000), Some(Gate::Repetition));
        let long = "the person you are trying to reach is busy now ".repeat(6);
        assert_eq!(judge("en", &long, 30_000), Some(Gate::Repetition));
    }

    #[test]
    fn more_words_than_the_voice_holds_are_too_fast() {
        assert_eq!(judge("en", "please leave your name and number after the tone", 500), Some(Gate::TooFast));
        assert_eq!(judge("en", "please leave your name and number after the tone", 2000), None);
    }

    #[test]
    fn faint_or_unvoiced_audio_is_not_decoded() {
        let segment = |level: i16, voiced: u64| Segment {
            pcm: Arc::from(vec![level; 16_000]),
            voiced: Duration::from_millis(voiced),
        };
        assert_eq!(before(&segment(1000, 100)), Some(Gate::NoSpeech));
        assert_eq!(before(&segment(100, 900)), Some(Gate::NoSpeech));
        assert_eq!(before(&segment(1000, 900)), None);
    }
}
