//! What is kept of calls, and that it goes when it must.

use std::path::Path;

use sidetone::{
    audio,
    config::RecordAudio,
    store::{delete_files, record_dir},
};
use sidetone_core::call::{CallId, Event};
use sqlx::{Connection as _, SqliteConnection};

use crate::support::{ANNA, Rig, Setup, anna, names};

async fn recorded(audio: RecordAudio) -> (Rig, CallId) {
    let rig = Setup::cast(&anna())
        .configure_in(move |config, folder| {
            config.record.audio = audio;
            config.record.dir = folder.join("record").display().to_string();
        })
        .start()
        .await;
    let call = rig.call(ANNA).await;
    assert_eq!(rig.outcome(&call).await.outcome.as_deref(), Some("confirmed"));
    (rig, call)
}

fn wav_ms(rig: &Rig, call: &CallId) -> Option<usize> {
    let path = Path::new(&rig.config.record.dir).join(format!("{call}.wav"));
    let sound = audio::read(&path).ok()?;
    Some(sound.pcm.len() * 1000 / sound.rate as usize)
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_is_kept_as_told_and_every_event_as_a_line() {
    let (off, amd, all) =
        tokio::join!(recorded(RecordAudio::Off), recorded(RecordAudio::Amd), recorded(RecordAudio::All));
    assert_eq!(wav_ms(&off.0, &off.1), None);
    let window = wav_ms(&amd.0, &amd.1).expect("a recording");
    let verdict = amd.0.event(&amd.1, |event| matches!(event, Event::Verdict { .. })).await;
    let Event::Verdict { at_ms: judged, .. } = verdict.event else { panic!("{verdict:?}") };
    assert_eq!(window as u64, judged, "all that was judged, and no more");
    let whole = wav_ms(&all.0, &all.1).expect("a recording");
    assert!(whole > 3500, "{whole} ms");
    for (rig, call) in [off, amd, all] {
        let lines = Path::new(&rig.config.record.dir).join(format!("{call}.jsonl"));
        let text = std::fs::read_to_string(lines).expect("a line each");
        let written: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let stored = rig.events(&call).await;
        assert_eq!(written.len(), stored.len());
        let read: Vec<&str> = written.iter().filter_map(|line| line["event"].as_str()).collect();
        assert_eq!(read, names(&stored));
        assert!(written.iter().all(|line| line["call"] == call.as_str()));
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_retention_goes_with_its_files() {
    let (rig, call) = recorded(RecordAudio::All).await;
    assert!(wav_ms(&rig, &call).is_some());
    let file = rig.config.store.url.trim_start_matches("sqlite:").to_owned();
    let mut database = SqliteConnection::connect(&file).await.expect("opens");
    sqlx::query("update attempts set ended_ms = ended_ms - 91 * 86400000")
        .execute(&mut database)
        .await
        .expect("aged");
    database.close().await.expect("closed");
    let rig = rig.restart().await;
    let gone = async {
        while rig.store.attempt(call.as_str()).await.is_ok() || wav_ms(&rig, &call).is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, gone).await.expect("swept at the start");
    assert_eq!(rig.events(&call).await, []);
    assert_eq!(std::fs::read_dir(&rig.config.record.dir).expect("a folder").count(), 0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_forgotten_is_nowhere_and_is_not_called_again() {
    let (rig, call) = recorded(RecordAudio::All).await;
    rig.store.suppress(ANNA, "asked us to", sidetone::store::now_ms()).await.expect("listed");
    assert!(database(&rig).contains("Yes please."));
    let forgotten = rig.store.forget(ANNA).await.expect("forgotten");
    assert_eq!(forgotten.calls, std::slice::from_ref(&call));
    let files = delete_files(&record_dir(&rig.config), &forgotten.calls);
    assert_eq!(files.expect("deleted"), 2, "the recording and the lines");
    let attempt = rig.store.attempt(call.as_str()).await.expect("its outcome stays");
    assert_eq!((attempt.number, attempt.dial_string), (None, None));
    assert_eq!(rig.events(&call).await, []);
    assert!(!database(&rig).contains("Yes please."), "what was said still lies in the file");
    let refused = rig.refused_call(ANNA).await;
    assert!(refused.contains("do-not-call"), "{refused}");
    assert_eq!(rig.stop().await.times_called(ANNA), 1);
}

/// The database's file and its log, as they lie on the disk.
fn database(rig: &Rig) -> String {
    let entries = std::fs::read_dir(rig.folder.path()).expect("a folder").flatten();
    let files = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("calls.db"));
    files
        .map(|file| String::from_utf8_lossy(&std::fs::read(file.path()).expect("read")).into_owned())
        .collect()
}
