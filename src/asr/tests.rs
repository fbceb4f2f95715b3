use std::sync::Mutex;

use super::{scripted::Scripted, *};

fn job(utterance: u32, purpose: Purpose, reply: &mpsc::Sender<JobDone>) -> Job {
    let pcm: Vec<i16> = (0..16_000).map(|n| if n / 40 % 2 == 0 { 4000 } else { -4000 }).collect();
    Job {
        call: CallId::new("call-1").unwrap(),
        utterance: UtteranceId(utterance),
        purpose,
        language: "en-GB".into(),
        among: None,
        segment: Segment { pcm: pcm.into(), voiced: Duration::from_millis(800) },
        to: Duration::from_secs(u64::from(utterance)),
        deadline: Instant::now() + Duration::from_secs(60),
        reply: reply.clone(),
    }
}

fn engine(recognizer: Scripted, capacity: usize) -> AsrHandle {
    AsrHandle::start(recognizer.shared(), 1, capacity, None).unwrap()
}

#[tokio::test]
async fn a_job_is_answered_with_its_text() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let observer: Observer = Arc::new(move |done| log.lock().unwrap().push(done.purpose));
    let asr = AsrHandle::start(Scripted::always("hello there").shared(), 2, 8, Some(observer)).unwrap();
    let (reply, mut answers) = mpsc::channel(8);
    asr.submit(job(7, Purpose::Amd, &reply)).unwrap();
    let done = answers.recv().await.unwrap();
    assert_eq!((done.utterance, done.to), (UtteranceId(7), Duration::from_secs(7)));
    assert_eq!(done.result, Ok(Ok("hello there".to_owned())));
    assert_eq!(*seen.lock().unwrap(), [Purpose::Amd]);
    asr.shutdown();
}

#[tokio::test]
async fn invented_text_is_gated_and_an_engine_failure_is_told() {
    let mut answers_left = vec![None, Some("Thanks for watching!".to_owned())];
    let asr = engine(Scripted::new(move |_, _| answers_left.pop().flatten()), 8);
    let (reply, mut answers) = mpsc::channel(8);
    asr.submit(job(1, Purpose::EndOfTurn, &reply)).unwrap();
    assert_eq!(answers.recv().await.unwrap().result, Ok(Err(Gate::Blocklist)));
    asr.submit(job(2, Purpose::EndOfTurn, &reply)).unwrap();
    assert_eq!(answers.recv().await.unwrap().result, Err(AsrFailure::Engine));
}

#[tokio::test]
async fn a_panicking_recogniser_fails_the_job_and_the_engine_goes_on() {
    let mut first = true;
    let asr = engine(
        Scripted::new(move |_, _| {
            assert!(!std::mem::replace(&mut first, false), "the first one panics");
            Some("fine".to_owned())
        }),
        8,
    );
    let (reply, mut answers) = mpsc::channel(8);
    asr.submit(job(1, Purpose::Amd, &reply)).unwrap();
    assert_eq!(answers.recv().await.unwrap().result, Err(AsrFailure::Engine));
    asr.submit(job(2, Purpose::Amd, &reply)).unwrap();
    assert_eq!(answers.recv().await.unwrap().result, Ok(Ok("fine".to_owned())));
}

#[tokio::test]
async fn silence_is_not_decoded() {
    let scripted = Scripted::always("never").shared();
    let asr = AsrHandle::start(scripted.clone(), 1, 8, None).unwrap();
    let (reply, mut answers) = mpsc::channel(8);
    let mut quiet = job(1, Purpose::Amd, &reply);
    quiet.segment.pcm = vec![3i16; 16_000].into();
    asr.submit(quiet).unwrap();
    assert_eq!(answers.recv().await.unwrap().result, Ok(Err(Gate::NoSpeech)));
    assert_eq!(scripted.asked(), []);
}

#[tokio::test]
async fn a_late_job_is_answered_late_and_a_full_queue_refuses() {
    let asr = engine(Scripted::always("slow").taking(Duration::from_millis(200)), 2);
    let (reply, mut answers) = mpsc::channel(8);
    asr.submit(job(1, Purpose::Amd, &reply)).unwrap();
    while asr.depth() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut late = job(2, Purpose::EndOfTurn, &reply);
    late.deadline = Instant::now() + Duration::from_millis(20);
    asr.submit(late).unwrap();
    asr.submit(job(3, Purpose::Amd, &reply)).unwrap();
    assert_eq!(asr.submit(job(4, Purpose::EndOfTurn, &reply)), Err(AsrFailure::QueueFull));
    let mut got = Vec::new();
    for _ in 0..3 {
        let done = answers.recv().await.unwrap();
        got.push((done.utterance.0, done.result));
    }
    let slow = || Ok(Ok("slow".to_owned()));
    // The late one is told so while the first is still being transcribed.
    assert_eq!(got, [(2, Err(AsrFailure::Late)), (1, slow()), (3, slow())]);
}

#[tokio::test]
async fn stopping_fails_what_waits() {
    let asr = engine(Scripted::always("slow").taking(Duration::from_millis(100)), 8);
    let (reply, mut answers) = mpsc::channel(8);
    for n in 1..=3 {
        asr.submit(job(n, Purpose::Amd, &reply)).unwrap();
        while n == 1 && asr.depth() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let stopping = asr.clone();
    tokio::task::spawn_blocking(move || stopping.shutdown()).await.unwrap();
    drop(reply);
    let mut failed = 0;
    while let Some(done) = answers.recv().await {
        failed += usize::from(done.result == Err(AsrFailure::Engine));
    }
    assert_eq!(failed, 2);
    assert_eq!(asr.submit(job(4, Purpose::Amd, &mpsc::channel(1).0)), Err(AsrFailure::Engine));
}

#[test]
fn a_region_does_not_change_the_language() {
    let asr = engine(Scripted::always("").hearing(&["fr"]), 1);
    assert!(asr.hears("fr-CA") && asr.hears("FR") && !asr.hears("en"));
}

#[test]
fn a_buzz_is_known_by_its_pitch() {
    let scripted = Scripted::by_pitch([(110.0, "low"), (220.0, "high")]);
    let buzz = |hz: f64| {
        let pcm: Vec<i16> = (0..16_000)
            .map(|n| if (f64::from(n) * hz / 16_000.0).fract() < 0.3 { 6000 } else { -2000 })
            .collect();
        [Segment { pcm: pcm.into(), voiced: Duration::from_secs(1) }]
    };
    assert_eq!(scripted.recognize("en", &buzz(112.0)).unwrap()[0].text, "low");
    assert_eq!(scripted.recognize("en", &buzz(216.0)).unwrap()[0].text, "high");
}

#[tokio::test]
async fn a_broken_model_is_given_up_and_comes_back_by_itself() {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let its = broken.clone();
    let asr = engine(
        Scripted::new(move |_, _| {
            (!its.load(std::sync::atomic::Ordering::Relaxed)).then(|| "well again".to_owned())
        }),
        8,
    );
    let (reply, mut answers) = mpsc::channel(8);
    for n in 1..=3 {
        asr.submit(job(n, Purpose::Amd, &reply)).unwrap();
        assert_eq!(answers.recv().await.unwrap().result, Err(AsrFailure::Engine));
    }
    while asr.admits() != Err(NotAdmitting::Failing) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(asr.submit(job(4, Purpose::Amd, &reply)), Err(AsrFailure::Engine), "at once");
    assert!(asr.stats().is_failing);
    broken.store(false, std::sync::atomic::Ordering::Relaxed);
    while asr.admits().is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asr.submit(job(5, Purpose::Amd, &reply)).unwrap();
    assert_eq!(answers.recv().await.unwrap().result, Ok(Ok("well again".to_owned())));
    assert_eq!(asr.stats().opened, 1);
    asr.shutdown();
}

#[tokio::test]
async fn each_language_goes_to_its_model() {
    let english = Scripted::always("english model").hearing(&["en"]).shared();
    let other = Scripted::always("other model").shared();
    let models = vec![
        Model { recognizer: english, languages: vec!["en".to_owned()], is_default: false, careful: false },
        Model { recognizer: other, languages: Vec::new(), is_default: true, careful: false },
    ];
    let asr = AsrHandle::launch(models, Tuning { workers: 2, ..Tuning::default() }, None).unwrap();
    assert!(asr.hears("en-US") && asr.hears("fr-CA") && !asr.hears("tlh"));
    let (reply, mut answers) = mpsc::channel(8);
    for (language, expected) in [("en-US", "english model"), ("fr-CA", "other model")] {
        asr.submit(Job { language: language.into(), ..job(1, Purpose::Amd, &reply) }).unwrap();
        assert_eq!(answers.recv().await.unwrap().result, Ok(Ok(expected.to_owned())));
    }
}

#[tokio::test]
async fn the_last_word_on_who_answered_goes_to_the_careful_model() {
    let model = |text: &str, language: &str, careful| Model {
        recognizer: Scripted::always(text).shared(),
        languages: vec![language.to_owned()],
        is_default: false,
        careful,
    };
    let models = vec![model("quick", "en", false), model("quick", "fr", false), model("careful", "fr", true)];
    let asr = AsrHandle::launch(models, Tuning::default(), None).unwrap();
    let (reply, mut answers) = mpsc::channel(8);
    for (language, purpose, expected) in [
        ("fr", Purpose::AmdCareful, "careful"),
        ("fr", Purpose::AmdLate, "careful"),
        ("fr-CA", Purpose::Amd, "quick"),
        ("fr", Purpose::Partial, "quick"),
        ("en", Purpose::AmdCareful, "quick"),
    ] {
        asr.submit(Job { language: language.into(), ..job(1, purpose, &reply) }).unwrap();
        assert_eq!(answers.recv().await.unwrap().result, Ok(Ok(expected.to_owned())), "{language}");
    }
}

#[tokio::test]
async fn other_readings_go_through_the_gates_and_to_the_last_word_only() {
    let others = [
        "It was cold!",
        "the number you have dialed",
        "thanks for watching",
        "one two three four five six seven eight",
        "The number you have dialed.",
    ];
    let asr = AsrHandle::start(Scripted::always("it was cold").also(&others).shared(), 1, 8, None).unwrap();
    let (reply, mut answers) = mpsc::channel(8);
    for (purpose, expected) in [
        (Purpose::Amd, &[][..]),
        (Purpose::AmdLate, &[][..]),
        (Purpose::AmdCareful, &["the number you have dialed"]),
    ] {
        // So little voice cannot be eight words, one of these is an invention, and two say what is known.
        let segment = Segment { voiced: Duration::from_millis(700), ..job(1, purpose, &reply).segment };
        asr.submit(Job { segment, ..job(1, purpose, &reply) }).unwrap();
        let done = answers.recv().await.unwrap();
        assert_eq!(done.result, Ok(Ok("it was cold".to_owned())));
        assert_eq!(done.others, expected, "{purpose:?}");
    }
}

#[tokio::test]
async fn an_open_language_is_detected_by_the_model_that_can() {
    let english = Scripted::always("english model").hearing(&["en"]).shared();
    let other = Scripted::new(|language, _| Some(format!("heard {language}"))).spoken("fr", 0.9).shared();
    let models = vec![
        Model {
            recognizer: english.clone(),
            languages: vec!["en".to_owned()],
            is_default: false,
            careful: false,
        },
        Model { recognizer: other, languages: Vec::new(), is_default: true, careful: false },
    ];
    let asr = AsrHandle::launch(models, Tuning::default(), None).unwrap();
    let among: Arc<[String]> = ["en".to_owned(), "fr".to_owned()].into();
    assert!(asr.detects(&among) && !asr.detects(&["tlh".to_owned(), "en".to_owned()]));
    let (reply, mut answers) = mpsc::channel(8);
    asr.submit(Job { among: Some(among.clone()), ..job(1, Purpose::Amd, &reply) }).unwrap();
    let done = answers.recv().await.unwrap();
    assert_eq!(done.result, Ok(Ok("heard fr".to_owned())));
    let heard = done.detected.unwrap();
    assert_eq!((heard.language.as_str(), heard.probability), ("fr", 0.9));
    assert!(english.asked().is_empty());
    let deaf = AsrHandle::start(english, 1, 8, None).unwrap();
    assert!(!deaf.detects(&among));
    assert_eq!(
        deaf.submit(Job { among: Some(among), ..job(1, Purpose::Amd, &reply) }),
        Err(AsrFailure::Engine)
    );
}
