use std::{path::Path, sync::Arc, time::Duration};

use sidetone_core::{
    amd::Verdict,
    call::{CallConfig, Purpose},
    text::PhrasePack,
};

use super::{amd::Scripts, *};
use crate::{asr::scripted::Scripted, audio};

const ALL: [&str; 5] = ["en", "fr", "de", "es", "it"];

/// A buzz with a voice's pitch, `voiced` long, `before` it silence.
fn voice(before: usize, voiced: usize) -> Vec<i16> {
    let buzz = (0..voiced * 8).map(|n| {
        let into = (n % 66) as f64 / 66.0;
        let swell = 0.6 + 0.4 * (n as f64 / 1200.0).sin();
        ((-8.0 * into).exp() * (into * 40.0).sin() * 12_000.0 * swell) as i16
    });
    std::iter::repeat_n(0, before * 8).chain(buzz).collect()
}

fn clip(folder: &Path, name: &str, pcm: &[i16]) {
    audio::write_wav(&folder.join(name), pcm, 8000).unwrap();
}

fn config() -> CallConfig {
    CallConfig::new(RATE, PhrasePack::for_language("en").unwrap())
}

fn read(folder: &Path, text: &str) -> Manifest {
    let path = folder.join("manifest.tsv");
    std::fs::write(&path, text).unwrap();
    Manifest::read(&path, "en").unwrap()
}

#[test]
fn wilson_intervals_are_those_of_the_books() {
    let near = |count: Count, low: f64, high: f64| {
        let [a, b] = count.ci95.unwrap();
        assert!((a - low).abs() < 5e-4 && (b - high).abs() < 5e-4, "{a} {b}");
    };
    near(Count::new(0, 10), 0.0, 0.2775);
    near(Count::new(5, 10), 0.2366, 0.7634);
    near(Count::new(10, 10), 0.7225, 1.0);
    near(Count::new(1, 213), 0.0008, 0.0261);
    assert_eq!(Count::new(0, 0).rate, None);
    assert_eq!(Count::new(0, 0).to_string(), "0/0");
    assert_eq!(Count::new(5, 10).to_string(), "5/10 50.0 % (23.7-76.3)");
}

#[test]
fn percentiles_are_values_that_occurred() {
    let spread = Spread::new((1..=100).rev());
    assert_eq!((spread.n, spread.p50, spread.p95), (100, Some(50), Some(95)));
    assert_eq!(Spread::new([7]).p95, Some(7));
    assert_eq!(Spread::new([]).p50, None);
}

#[test]
fn labels_know_their_verdicts() {
    for verdict in [Verdict::Voicemail, Verdict::MailboxFull, Verdict::Screening, Verdict::Ivr, Verdict::Sit]
    {
        assert!(Label::Machine.is(verdict), "{verdict:?}");
    }
    for missed in [Verdict::Unknown, Verdict::Silence, Verdict::Human, Verdict::Tone, Verdict::Music] {
        assert!(!Label::Machine.is(missed), "{missed:?}");
    }
    assert!(Label::Ringback.is(Verdict::Tone) && Label::Busy.is(Verdict::Tone));
    assert!(Label::Beep.is(Verdict::Tone) && !Label::Beep.is(Verdict::Voicemail));
    assert!(Label::Sit.is(Verdict::Sit) && !Label::Human.is(Verdict::Unknown));
}

#[test]
fn bad_rows_are_named_by_their_line() {
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "a.wav", &voice(0, 500));
    let manifest = read(
        folder.path(),
        "file\tlabel\tlang\tspeech_end_s\n\
         a.wav\tHUMAN\ten-GB\t0.5\n\
         gone.wav\tHUMAN\ten\t\n\
         a.wav\tROBOT\ten\t\n\
         a.wav\tMACHINE\ttlh\t\n\
         a.wav\tMACHINE\tfr\tsoon\n\
         a.wav\n\
         a.wav\tmachine\tzxx\t-1\n",
    );
    let lines: Vec<u64> = manifest.bad.iter().map(|row| row.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7]);
    for (row, says) in manifest.bad.iter().zip(["gone.wav", "`ROBOT`", "`tlh`", "`soon`", "`label`"]) {
        assert!(row.reason.contains(says), "{} lacks {says}", row.reason);
    }
    assert_eq!(manifest.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 8]);
    assert_eq!(manifest.rows[0].language, "en");
    assert_eq!(manifest.rows[1].language, "en", "zxx is the default language");
    assert_eq!(manifest.rows[1].lang, "zxx");
    assert_eq!(manifest.rows[1].speech_ms, None, "-1 is unknown");
}

#[test]
fn a_manifest_without_its_columns_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.csv");
    std::fs::write(&path, "file,lang\na.wav,en\n").unwrap();
    let message = Manifest::read(&path, "en").unwrap_err().to_string();
    assert!(message.contains("m.csv") && message.contains("`label`"), "{message}");
}

#[test]
fn each_language_has_a_model() {
    let fetched = |name: &str| name != "small";
    let wanted = Wanted::default();
    assert_eq!(choose("en", &wanted, "base.en", fetched), "tiny.en");
    assert_eq!(choose("en", &wanted, "base.en", |_| false), "base.en");
    assert_eq!(choose("fr", &wanted, "tiny.en", fetched), "base");
    assert_eq!(choose("fr", &wanted, "tiny", fetched), "tiny");
    let wanted = Wanted {
        model: Some("base.en".to_owned()),
        by_language: [("fr".to_owned(), "small".to_owned())].into(),
        ..Wanted::default()
    };
    assert_eq!(choose("en", &wanted, "tiny.en", fetched), "base.en");
    assert_eq!(choose("fr", &wanted, "tiny.en", fetched), "small");
    assert_eq!(choose("de", &wanted, "tiny.en", fetched), "base", "base.en hears no German");
}

#[test]
fn the_careful_model_is_asked_for_configured_or_fetched() {
    let mut asr = crate::config::Asr::default();
    let none = Wanted::default();
    let small = Some("small".to_owned());
    assert_eq!(choose_careful("en", &none, &asr, |_| true), Some("base.en".to_owned()));
    assert_eq!(choose_careful("fr", &none, &asr, |_| true), small);
    assert_eq!(choose_careful("fr", &none, &asr, |_| false), None);
    let chosen = Wanted { model: Some("base".to_owned()), ..Wanted::default() };
    assert_eq!(choose_careful("fr", &chosen, &asr, |_| true), None, "the user's model alone");
    asr.careful = [("default".to_owned(), "small".to_owned())].into();
    assert_eq!(choose_careful("fr", &chosen, &asr, |_| false), small);
    let off = Wanted { careful: [("fr".to_owned(), "none".to_owned())].into(), ..Wanted::default() };
    assert_eq!(choose_careful("fr", &off, &asr, |_| true), None);
}

#[test]
fn a_machine_that_says_so_is_called_one_when_its_transcript_comes() {
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "vm.wav", &voice(300, 2500));
    let manifest = read(
        folder.path(),
        "file\tlabel\tlang\tspeech_start_s\tspeech_end_s\teffect\nvm.wav\tMACHINE\ten\t0.3\t9.0\tclean\n",
    );
    let scripts = Scripts::new(ALL).unwrap();
    let text = "Please leave a message after the tone.";
    let recognizer = Arc::new(Scripted::always(text));
    let hearing = Hearing::of(recognizer.clone(), &["en"]).taking(Some(Duration::from_millis(123)));
    let run = amd::run(&manifest.rows[0], config(), &scripts, &hearing).unwrap();
    let result = ClipResult::new(&manifest.rows[0], run);
    assert_eq!(result.first, Some(Verdict::Voicemail), "{:?}", result.run);
    let asked = result.run.transcripts.iter().find(|heard| heard.purpose == Purpose::Amd).unwrap();
    assert_eq!(asked.compute_ms, 123);
    assert_eq!(asked.at_ms, asked.to_ms as i64 + 123, "a transcript takes its time");
    assert!(result.verdict_ms.unwrap() >= asked.at_ms);
    assert_eq!(result.speech_ms, Some(2500), "speech ends with the clip");
    assert!(!result.run.ended_early);

    let report = report(&[result], hearing.models(), Vec::new());
    assert_eq!((report.all.machine_recall_first.k, report.all.machine_recall_final.k), (1, 1));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["machine_recall_first"]["rate"], 1.0);
    assert_eq!(json["by_language"]["en"]["machine_recall_final"]["n"], 1);
    assert_eq!(json["human_as_machine"]["n"], 0);
    assert_eq!(json["confusion"]["first"]["MACHINE"]["voicemail"], 1);
}

#[test]
fn a_person_taken_for_a_machine_counts_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "a.wav", &voice(0, 700));
    let manifest = read(folder.path(), "file\tlabel\tlang\na.wav\tHUMAN\ten\n");
    let fell = |verdict, at_ms| amd::Fell {
        verdict,
        cause: sidetone_core::amd::Cause::Score,
        confidence: 0.9,
        at_ms,
        evidence: Vec::new(),
    };
    let run = |verdicts: Vec<amd::Fell>| amd::AmdRun {
        model: "given".to_owned(),
        clip_ms: 700,
        verdicts,
        transcripts: Vec::new(),
        ended_early: false,
    };
    let of = |verdicts| ClipResult::new(&manifest.rows[0], run(verdicts));
    let clips = [
        of(vec![fell(Verdict::Human, 900)]),
        of(vec![fell(Verdict::Human, 900), fell(Verdict::Tone, 3000), fell(Verdict::Human, 4000)]),
        of(vec![fell(Verdict::Voicemail, 900), fell(Verdict::Human, 3000)]),
        of(vec![fell(Verdict::Unknown, 900), fell(Verdict::Silence, 2000)]),
        of(Vec::new()),
    ];
    let all = report(&clips, Default::default(), Vec::new()).all;
    assert_eq!((all.human_as_machine.k, all.human_as_machine.n), (2, 5));
    assert_eq!(all.human_as_machine_first.k, 1);

    let report = report(&clips, Default::default(), Vec::new());
    let page = html::page(&report, &clips).unwrap();
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("2/5") && !page.contains("NaN"), "{page}");
}

#[test]
fn a_second_run_asks_the_recogniser_nothing() {
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "vm.wav", &voice(300, 2500));
    let manifest = read(folder.path(), "file\tlabel\tlang\nvm.wav\tMACHINE\ten\n");
    let scripts = Scripts::new(["en"]).unwrap();
    let cache = folder.path().join("cache.jsonl");
    let run = || {
        let recognizer = Arc::new(Scripted::always("Please leave a message after the tone."));
        let hearing = Hearing::of(recognizer.clone(), &["en"]).cached(&cache).unwrap();
        let run = amd::run(&manifest.rows[0], config(), &scripts, &hearing).unwrap();
        (recognizer.asked().len(), run)
    };
    let (asked, first) = run();
    assert!(asked > 0);
    std::fs::OpenOptions::new()
        .append(true)
        .open(&cache)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"{\"clip\": \"cut sh"))
        .unwrap();
    let (asked, second) = run();
    assert_eq!(asked, 0);
    assert_eq!(first, second);
}

#[test]
fn results_keep_the_items_order() {
    let items: Vec<u64> = (0..200).collect();
    let doubled = each(&items, 4, |n| n * 2, || ());
    assert_eq!(doubled, items.iter().map(|n| n * 2).collect::<Vec<_>>());
}

fn index(folder: &Path, events: &str, extra: &str) -> Vec<Track> {
    let path = folder.join("index.json");
    let text = format!(
        r#"[{{"id": "t", "lang": "en", "file_8k": "t.wav", "events": [{events}] {extra}}},
            {{"id": "gone", "lang": "en", "file_8k": "gone.wav"}}, {{"id": "half"}}]"#
    );
    std::fs::write(&path, text).unwrap();
    let (found, bad) = tracks(&path).unwrap();
    assert_eq!(bad.iter().map(|track| track.number).collect::<Vec<_>>(), [2, 3]);
    assert!(bad[0].reason.contains("gone.wav") && bad[1].reason.contains("file_8k"), "{bad:?}");
    found
}

fn bargein_run(track: &Track, says: &str) -> bargein::BargeInReport {
    let hearing =
        Hearing::of(Arc::new(Scripted::always(says)), &["en"]).taking(Some(Duration::from_millis(50)));
    let result = bargein::run(track, config(), &hearing).unwrap();
    bargein::report(vec![result], hearing.models(), Vec::new())
}

#[test]
fn an_interruption_is_detected_and_the_bot_speaks_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut pcm = voice(2000, 1500);
    pcm.extend(voice(4000, 1500));
    clip(folder.path(), "t.wav", &pcm);
    let event = |start: f64, end: f64| {
        format!(r#"{{"start": {start}, "end": {end}, "kind": "speech", "should_interrupt": true}}"#)
    };
    let events = [event(2.0, 3.5), event(7.5, 9.0)].join(",");
    let track = &index(folder.path(), &events, "")[0];
    let report = bargein_run(track, "I want to say something else");
    assert_eq!((report.detected, report.expected, report.false_cuts), (2, 2, 0), "{report:?}");
    assert!(report.latency_ms.p95.unwrap() < 1500);
    assert_eq!(report.quiet_tracks, 0);

    let unheard = bargein_run(track, "mm-hmm");
    assert_eq!((unheard.detected, unheard.false_cuts), (0, 0), "{unheard:?}");
}

#[test]
fn a_cut_that_nobody_asked_for_is_false() {
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path(), "t.wav", &voice(2000, 1500));
    let said = r#"{"start": 2.0, "end": 3.5, "kind": "backchannel", "should_interrupt": false}"#;
    let track = &index(folder.path(), said, r#", "tv": {}"#)[0];
    let report = bargein_run(track, "I want to say something else");
    assert_eq!((report.expected, report.false_cuts), (0, 1), "{report:?}");
    assert_eq!(report.false_cuts_by_kind["backchannel"], 1);
    assert_eq!((report.quiet_tracks, report.quiet_tracks_cut), (1, 1));

    let track = &index(folder.path(), "", r#", "tv": {}"#)[0];
    assert_eq!(bargein_run(track, "I want to say something else").false_cuts_by_kind["tv"], 1);
    let json = serde_json::to_value(bargein_run(track, "")).unwrap();
    for key in ["detected", "expected", "false_cuts", "quiet_tracks", "quiet_tracks_cut", "latency_ms"] {
        assert!(!json[key].is_null(), "{key}");
    }
}
