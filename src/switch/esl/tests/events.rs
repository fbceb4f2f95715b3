//! Real events, as a FreeSWITCH 1.10.12 sent them.

use std::time::Duration;

use freeswitch_esl_tokio::EslEvent;
use sidetone_core::call::{CallId, Digit, HangupCause, PlayId, PlaybackEnd};

use crate::switch::esl::{
    Adopted, channels_in,
    event::{Job, Seen, What, cause_of_refusal},
};

/// The captured call.
pub(super) const CALL: &str = "14d625d2-7444-4d7f-8f05-dce0402bddc5";

macro_rules! capture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/esl/", $name, ".json"))
    };
}
pub(super) use capture;

/// An event as the library reads it, with headers added.
fn event(json: &str, more: &[(&str, &str)]) -> EslEvent {
    let headers: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
    let mut event = EslEvent::new();
    for (name, value) in &headers {
        match name.as_str() {
            "_body" => event.set_body(value.as_str().unwrap()),
            _ => event.set_header(name.as_str(), value.as_str().unwrap()),
        }
    }
    for (name, value) in more {
        event.set_header(*name, *value);
    }
    event
}

fn what(json: &str, more: &[(&str, &str)]) -> Option<What> {
    let seen = Seen::read(&event(json, more), "one")?;
    assert_eq!(seen.call, CallId::new(CALL).unwrap());
    Some(seen.what)
}

#[test]
fn a_captured_call_reads() {
    let cause = || HangupCause::new("NORMAL_CLEARING");
    assert_eq!(what(capture!("channel_answer"), &[]), Some(What::Answered));
    assert_eq!(what(capture!("stream_connect"), &[]), Some(What::StreamConnected));
    assert_eq!(what(capture!("channel_hangup"), &[]), Some(What::HangingUp(cause())));
    assert_eq!(what(capture!("channel_hangup_complete"), &[]), Some(What::HungUp(cause())));
    assert_eq!(
        what(capture!("background_job"), &[]),
        Some(What::JobDone { job: Job::Originate, result: Ok(()) })
    );
    let seen = Seen::read(&event(capture!("channel_answer"), &[]), "one").unwrap();
    assert_eq!(seen.rate, Some(8000));
}

#[test]
fn a_refused_originate_names_its_call_and_cause() {
    let seen = Seen::read(&event(capture!("background_job_busy"), &[]), "one").unwrap();
    assert_eq!(seen.call.as_str(), "95cd4d17-c0a8-4f7b-9f90-a014dc9116a0");
    assert_eq!(seen.what, What::JobDone { job: Job::Originate, result: Err("-ERR USER_BUSY".to_owned()) });
    assert_eq!(cause_of_refusal("-ERR USER_BUSY\n"), HangupCause::new("USER_BUSY"));
    assert_eq!(cause_of_refusal("-ERR permission denied"), HangupCause::new("UNSPECIFIED"));
    assert_eq!(cause_of_refusal("-ERR"), HangupCause::new("UNSPECIFIED"));
}

#[test]
fn a_value_cannot_pose_as_another_calls_job() {
    let argument = format!("{{origination_uuid={CALL},name='origination_uuid=other'}}user/1 &park()");
    assert!(what(capture!("background_job"), &[("Job-Command-Arg", &argument)]).is_some());
}

#[test]
fn stream_jobs_are_told_apart() {
    for (argument, job) in [("start ws://h/x mono 8k", Job::StartStream), ("stop", Job::StopStream)] {
        for command in ["uuid_audio_stream", "uuid_audio_fork"] {
            let argument = format!("{CALL} {argument}");
            let more = [("Job-Command", command), ("Job-Command-Arg", argument.as_str())];
            assert_eq!(what(capture!("background_job"), &more), Some(What::JobDone { job, result: Ok(()) }));
        }
    }
    assert_eq!(what(capture!("background_job"), &[("Job-Command", "status")]), None);
}

#[test]
fn playbacks_are_known_by_their_file_parameter() {
    let ours = [("sidetone_play", "7")];
    assert_eq!(what(capture!("playback_start"), &ours), Some(What::PlaybackStarted(PlayId(7))));
    assert_eq!(what(capture!("playback_start"), &[]), None);
    // 12160 samples at 8000 a second.
    assert_eq!(
        what(capture!("playback_stop"), &ours),
        Some(What::PlaybackStopped {
            id: PlayId(7),
            end: PlaybackEnd::Broken,
            heard: Some(Duration::from_millis(1520))
        })
    );
    let wide = [("sidetone_play", "7"), ("Playback-Status", "done"), ("Channel-Write-Codec-Rate", "16000")];
    assert_eq!(
        what(capture!("playback_stop"), &wide),
        Some(What::PlaybackStopped {
            id: PlayId(7),
            end: PlaybackEnd::Done,
            heard: Some(Duration::from_millis(760))
        })
    );
}

#[test]
fn a_missing_file_is_told_by_its_application() {
    let json = capture!("channel_execute_complete");
    let uuid = ("Application-UUID", "sidetone-play-7");
    assert_eq!(what(json, &[uuid]), None);
    assert_eq!(
        what(json, &[uuid, ("Application-Response", "FILE NOT FOUND")]),
        Some(What::PlaybackFailed(PlayId(7)))
    );
    assert_eq!(what(json, &[("Application-Response", "FILE NOT FOUND")]), None);
}

#[test]
fn a_parked_channel_is_taken_only_with_a_scenario_in_our_context() {
    let json = capture!("channel_park");
    let scenario = ("variable_sidetone_scenario", "reminder");
    let context = ("Caller-Context", "sidetone");
    assert_eq!(what(json, &[]), None);
    assert_eq!(what(json, &[scenario]), None);
    assert_eq!(what(json, &[context]), None);
    assert_eq!(what(json, &[scenario, context, ("variable_sidetone_instance", "two")]), None);
    assert_eq!(
        what(json, &[scenario, context, ("variable_sidetone_name", "Anna, B.")]),
        Some(What::Adoptable(Adopted {
            call: CallId::new(CALL).unwrap(),
            scenario: "reminder".to_owned(),
            caller: "default".to_owned(),
            destination: "1000".to_owned(),
            variables: vec![
                ("sidetone_scenario".to_owned(), "reminder".to_owned()),
                ("sidetone_name".to_owned(), "Anna, B.".to_owned())
            ],
        }))
    );
}

#[test]
fn stream_faults_and_keys_read() {
    let json = capture!("stream_connect");
    let told = |subclass: &str, body: &str| {
        let mut event = event(json, &[("Event-Subclass", subclass)]);
        event.set_body(body);
        Seen::read(&event, "one").map(|seen| seen.what)
    };
    let failed = |code, reason: &str| Some(What::StreamFailed { code, reason: reason.to_owned() });
    let body = r#"{"status":"error","message":{"code":10,"error":"Timeout"}}"#;
    assert_eq!(told("mod_audio_stream::error", body), failed(Some(10), "Timeout"));
    assert_eq!(
        told("mod_audio_fork::connect_failed", r#"{"reason":"HS: ws upgrade response not 101"}"#),
        failed(None, "HS: ws upgrade response not 101")
    );
    assert_eq!(told("mod_audio_fork::connect", ""), Some(What::StreamConnected));
    assert_eq!(told("mod_audio_stream::disconnect", "not json"), Some(What::StreamDisconnected));
    assert_eq!(told("mod_audio_stream::json", "{}"), None);
    assert_eq!(told("sofia::register", "{}"), None);

    let dtmf = |digit| what(capture!("channel_answer"), &[("Event-Name", "DTMF"), ("DTMF-Digit", digit)]);
    assert_eq!(dtmf("5"), Some(What::Dtmf(Digit::new('5').unwrap())));
    assert_eq!(dtmf("#"), Some(What::Dtmf(Digit::new('#').unwrap())));
    assert_eq!(dtmf("55"), None);
    assert_eq!(dtmf("x"), None);
}

#[test]
fn listings_of_channels_read() {
    assert_eq!(channels_in("{\"row_count\":0}\n"), Some(vec![]));
    let two = r#"{"row_count":2,"rows":[{"uuid":"a-1","direction":"outbound"},{"uuid":"b-2"}]}"#;
    assert_eq!(channels_in(two).unwrap().len(), 2);
    assert_eq!(channels_in("-ERR no"), None);
}
