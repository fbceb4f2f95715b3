//! Real Whisper on real recordings. Needs the models tiny.en, base.en, base and small, which `make test` fetches.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use sidetone::{
    asr::{
        self, AsrHandle, Context, Job, JobDone, RecognizeError, Recognizer, Segment,
        ct2::{Options, Whisper},
        models,
    },
    audio, config,
};
use sidetone_core::call::{CallId, Gate, Purpose, UtteranceId};
use tokio::{sync::mpsc, time::Instant};

static TINY_EN: LazyLock<Arc<Whisper>> = LazyLock::new(|| load("tiny.en", Context::Fitted));

fn load(name: &str, context: Context) -> Arc<Whisper> {
    let asr = config::Asr { model: name.to_owned(), ..Default::default() };
    let path = models::find(&asr).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Whisper::load(&path, Options { context, ..Options::default() }).expect("the model loads"))
}

/// The first `seconds` of a recording, as a call's session hands it over.
fn segment(file: &str, seconds: f64) -> Segment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let mut pcm =
        audio::read(&path).expect("the clip is there").at_rate(asr::SAMPLE_RATE).expect("8 kHz becomes 16");
    pcm.truncate((seconds * f64::from(asr::SAMPLE_RATE)) as usize);
    let voiced = Duration::from_secs_f64(pcm.len() as f64 / f64::from(asr::SAMPLE_RATE));
    Segment { pcm: pcm.into(), voiced }
}

fn words(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace() || *c == '\'');
    kept.collect::<String>().to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn hear(whisper: &Whisper, language: &str, segment: Segment) -> String {
    words(&whisper.recognize(language, &[segment]).expect("a transcript")[0].text)
}

#[test]
fn english_recordings_are_understood() {
    assert!(TINY_EN.is_fast(), "the self-check of the silence tail failed");
    assert_eq!(hear(&TINY_EN, "en", segment("hello_en.wav", 30.0)), "hello");
    assert_eq!(hear(&TINY_EN, "en", segment("question_en.wav", 30.0)), "what's the weather like");
    let voicemail = hear(&TINY_EN, "en", segment("voicemail_en.wav", 30.0));
    assert!(voicemail.contains("leave your message after the tone"), "{voicemail}");
}

#[test]
fn the_silence_tail_hears_what_the_full_context_hears() {
    let full = load("tiny.en", Context::Full);
    assert!(!full.is_fast());
    for file in ["hello_en.wav", "question_en.wav", "voicemail_en.wav"] {
        assert_eq!(
            hear(&TINY_EN, "en", segment(file, 30.0)),
            hear(&full, "en", segment(file, 30.0)),
            "{file}"
        );
    }
}

#[test]
fn clips_decoded_together_give_what_each_gives_alone() {
    let batch = ["hello_en.wav", "question_en.wav", "voicemail_en.wav"].map(|file| segment(file, 2.3));
    let together = TINY_EN.recognize("en", &batch).unwrap();
    for (segment, heard) in batch.into_iter().zip(together) {
        assert_eq!(hear(&TINY_EN, "en", segment), words(&heard.text));
    }
}

#[test]
fn more_than_one_context_is_heard_to_its_end() {
    let once = segment("voicemail_en.wav", 30.0);
    let pcm: Arc<[i16]> = once.pcm.repeat(4).into();
    let text = hear(&TINY_EN, "en", Segment { pcm, voiced: once.voiced * 4 });
    assert_eq!(text.matches("leave your message after the tone").count(), 4, "{text}");
}

#[test]
fn an_english_model_refuses_french() {
    assert!(TINY_EN.recognize("fr", &[segment("hello_en.wav", 1.0)]).is_err());
}

#[test]
fn french_is_understood_by_a_multilingual_model() {
    let base = load("base", Context::Fitted);
    assert!(base.is_fast(), "the self-check of the silence tail failed");
    let text = hear(&base, "fr", segment("voicemail_fr.wav", 30.0));
    assert!(text.contains("prendre votre appel en ce moment"), "{text}");
    assert!(text.contains("votre message après le"), "{text}");
}

#[test]
fn languages_are_told_apart_among_those_allowed_only() {
    let base = load("base", Context::Fitted);
    let likeliest = |file: &str, allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(|&language| language.to_owned()).collect();
        let shares = base.detect(&segment(file, 30.0), &allowed).unwrap();
        assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{shares:?}");
        let best = shares.iter().zip(&allowed).max_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map(|(_, language)| language.clone()).unwrap()
    };
    assert_eq!(likeliest("voicemail_fr.wav", &["en", "fr"]), "fr");
    assert_eq!(likeliest("proprietaire_fr.wav", &["en", "fr", "es"]), "fr");
    assert_eq!(likeliest("voicemail_en.wav", &["en", "fr"]), "en");
    assert_eq!(likeliest("question_en.wav", &["fr", "en"]), "en");
    assert_ne!(likeliest("voicemail_en.wav", &["fr", "de"]), "en", "only those allowed");
    assert!(!TINY_EN.detects());
    let allowed = ["en".to_owned(), "fr".to_owned()];
    assert!(matches!(
        TINY_EN.detect(&segment("hello_en.wav", 1.0), &allowed),
        Err(RecognizeError::CannotDetect)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_gated_and_speech_comes_through_the_queue() {
    let engine = AsrHandle::start(TINY_EN.clone(), 1, 8, None).unwrap();
    let mut random = 1_u32;
    let noise: Vec<i16> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) as i16 / 16
    })
    .take(32_000)
    .collect();
    let noise = Segment { pcm: noise.into(), voiced: Duration::from_millis(600) };
    let heard = ask(&engine, noise).await;
    assert!(matches!(heard.result, Ok(Err(_))), "{:?}", heard.result);
    let heard = ask(&engine, segment("voicemail_en.wav", 2.3)).await;
    let text = words(&heard.result.unwrap().unwrap());
    assert!(text.starts_with("nobody is available to take your"), "{text}");
    engine.shutdown();
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_music_and_silence_are_never_words() {
    let engine = AsrHandle::start(TINY_EN.clone(), 1, 8, None).unwrap();
    for file in ["hiss.wav", "noise.wav", "music.wav"] {
        for seconds in [1.0, 2.3, 3.0] {
            for purpose in [Purpose::Amd, Purpose::EndOfTurn, Purpose::Partial] {
                let heard = ask_for(&engine, ("en", purpose), segment(file, seconds)).await.result;
                assert!(matches!(heard, Ok(Err(_))), "{seconds} s of {file}, {purpose:?}: {heard:?}");
            }
        }
    }
    let silence = Segment { pcm: vec![0; 48_000].into(), voiced: Duration::from_secs(3) };
    assert_eq!(ask(&engine, silence).await.result, Ok(Err(Gate::NoSpeech)));
    engine.shutdown();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_on_who_answered_has_the_careful_model() {
    let careful = [("en".to_owned(), "base.en".to_owned()), ("fr".to_owned(), "small".to_owned())];
    let asr = config::Asr { careful: careful.into(), replicas: 1, ..Default::default() };
    let engine = tokio::task::spawn_blocking(move || asr::start(&asr, None).expect("the models load"));
    let engine = engine.await.unwrap();
    let heard = ask_for(&engine, ("fr", Purpose::AmdCareful), segment("voicemail_fr.wav", 30.0)).await;
    assert!(!heard.others.is_empty(), "a beam search has several readings");
    let text = words(&heard.result.unwrap().unwrap());
    assert!(text.contains("votre message"), "{text}");
    let quick = ask_for(&engine, ("fr", Purpose::Amd), segment("voicemail_fr.wav", 2.3)).await;
    assert!(quick.result.is_err(), "tiny.en hears no French: {:?}", quick.result);
    let heard = ask_for(&engine, ("en", Purpose::AmdLate), segment("voicemail_en.wav", 30.0)).await;
    assert!(heard.others.is_empty(), "later looks take the likeliest");
    let text = words(&heard.result.unwrap().unwrap());
    assert!(text.contains("leave your message after the tone"), "{text}");
    for name in ["base.en", "small"] {
        assert!(load(name, Context::Fitted).is_fast(), "{name}: the self-check of the silence tail failed");
    }
    tokio::task::spawn_blocking(move || engine.shutdown()).await.unwrap();
}

async fn ask(engine: &AsrHandle, segment: Segment) -> JobDone {
    ask_for(engine, ("en", Purpose::Amd), segment).await
}

async fn ask_for(engine: &AsrHandle, (language, purpose): (&str, Purpose), segment: Segment) -> JobDone {
    let (reply, mut answers) = mpsc::channel(1);
    let job = Job {
        call: CallId::new("call").expect("an id"),
        utterance: UtteranceId(1),
        purpose,
        language: language.into(),
        among: None,
        segment,
        to: Duration::ZERO,
        deadline: Instant::now() + Duration::from_secs(60),
        reply,
    };
    engine.submit(job).expect("there is room");
    answers.recv().await.expect("an answer")
}

#[test]
fn a_damaged_model_is_refused_with_what_is_wrong() {
    let path = models::find(&config::Asr { model: "tiny.en".to_owned(), ..Default::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let why = |left_out: &str, damaged: &str| {
        let copy = folder.path().join(format!("without-{left_out}-half-{damaged}"));
        std::fs::create_dir(&copy).unwrap();
        for file in ["model.bin", "config.json", "tokenizer.json", "vocabulary.txt"] {
            if file == damaged {
                let bytes = std::fs::read(path.join(file)).unwrap();
                std::fs::write(copy.join(file), &bytes[..bytes.len() / 4]).unwrap();
            } else if file != left_out {
                std::os::unix::fs::symlink(path.join(file), copy.join(file)).unwrap();
            }
        }
        let error = Whisper::load(&copy, Options::default()).unwrap_err().to_string();
        assert!(error.contains(copy.to_str().unwrap()), "{error}");
        error
    };
    for file in ["model.bin", "config.json", "tokenizer.json", "vocabulary.txt"] {
        let error = why(file, "");
        assert!(error.contains(&format!("`{file}` is missing")), "{error}");
    }
    for file in ["model.bin", "tokenizer.json"] {
        let error = why("", file);
        assert!(error.contains("cannot be loaded") && error.contains("fetch the model again"), "{error}");
    }
}
