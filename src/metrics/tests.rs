use std::{sync::Arc, time::Duration};

use sidetone_core::{
    amd::{Cause, Verdict},
    call::{
        AsrFailure, BargeInCause, Digit, Disposition, Event, Gate, HangupCause, HangupReason, PlayId,
        PlaybackEnd, Purpose, StreamEnd, UtteranceId,
    },
    frame::{Frame, SampleRate},
    tones::Tone,
};

use super::Metrics;
use crate::media::MediaStats;

fn transcript(text: Option<&str>, gate: Option<Gate>, failure: Option<AsrFailure>) -> Event {
    Event::Transcript {
        utterance: UtteranceId(1),
        purpose: Purpose::Amd,
        to_ms: 2300,
        text: text.map(str::to_owned),
        others: Vec::new(),
        gate,
        failure,
        queued_ms: 4,
        compute_ms: 60,
    }
}

fn verdict() -> Event {
    Event::Verdict {
        verdict: Verdict::MailboxFull,
        cause: Cause::Phrase,
        confidence: 0.9,
        evidence: Vec::new(),
        at_ms: 2400,
        after_speech_ms: Some(700),
    }
}

/// One of each kind. `event_name` matches exhaustively, so a new kind cannot be forgotten there; this list is
/// checked against the record's own names below.
fn all() -> Vec<Event> {
    let id = PlayId(1);
    vec![
        Event::Ringing,
        Event::Answered,
        Event::StreamUp,
        Event::StreamDown { end: StreamEnd::OddLength },
        Event::FramesLost { frames: 3 },
        Event::SpeechStarted { at_ms: 100 },
        Event::SpeechEnded { at_ms: 900, voiced_ms: 700 },
        Event::Tone { tone: Tone::FaxCng, at_ms: 20 },
        transcript(Some("hello"), None, None),
        Event::Language { language: "fr".to_owned(), probability: 0.9, at_ms: 900 },
        verdict(),
        Event::Step { name: "greet".to_owned() },
        Event::PromptStarted { id, file: "a.wav".to_owned() },
        Event::PromptEnded { id, end: PlaybackEnd::Done, heard_ms: None },
        Event::BargeIn { id, cause: BargeInCause::StopPhrase, at_ms: 5000, after_speech_start_ms: Some(420) },
        Event::BreakConfirmed { id, took_ms: 21 },
        Event::Listening { at_ms: 5100 },
        Event::Turn { text: "yes".to_owned(), intent: None, at_ms: 6000, endpoint_ms: 600 },
        Event::NoInput { count: 1 },
        Event::NoMatch { count: 1 },
        Event::Dtmf { digit: Digit::new('1').expect("a key") },
        Event::MessageStart { by_beep: true, at_ms: 1 },
        Event::MessageClipped { by_beep: false, at_ms: 900 },
        Event::Transfer { target: "1000".to_owned() },
        Event::StreamRestart,
        Event::HangupAsked { reason: HangupReason::ScenarioEnd },
        Event::HungUp { cause: HangupCause::new("NORMAL_CLEARING") },
        Event::Ended { disposition: Disposition::MessageLeft, outcome: None },
    ]
}

/// The value of the one line that starts with `series`.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("no `{series}` in\n{text}"));
    line[series.len() + 1..].parse().expect("a number")
}

fn rendered(events: &[Event]) -> String {
    let metrics = Metrics::new().expect("registers");
    let mut call = metrics.call();
    events.iter().for_each(|event| call.observe(event));
    metrics.render().expect("renders")
}

#[test]
fn every_event_is_counted_under_the_name_the_record_gives_it() {
    for event in all() {
        let json = serde_json::to_value(&event).expect("serialises");
        let name = json["event"].as_str().expect("tagged").to_owned();
        let text = rendered(&[event]);
        assert_eq!(value(&text, &format!("sidetone_call_events_total{{event=\"{name}\"}}")), 1.0);
    }
}

#[test]
fn events_reach_their_series() {
    let text = rendered(&all());
    for (series, expected) in [
        ("sidetone_answer_to_verdict_seconds_sum", 2.4),
        ("sidetone_speech_end_to_verdict_seconds_sum", 0.7),
        ("sidetone_speech_start_to_break_seconds_sum", 0.42),
        ("sidetone_break_to_playback_stopped_seconds_sum", 0.021),
        ("sidetone_endpoint_seconds_sum", 0.6),
        ("sidetone_asr_queue_wait_seconds_sum", 0.004),
        ("sidetone_asr_compute_seconds_sum", 0.06),
        ("sidetone_verdicts_total{cause=\"phrase\",verdict=\"mailbox_full\"}", 1.0),
        ("sidetone_calls_ended_total{disposition=\"message_left\"}", 1.0),
        ("sidetone_hangups_total{cause=\"NORMAL_CLEARING\"}", 1.0),
        ("sidetone_hangups_asked_total{reason=\"scenario_end\"}", 1.0),
        ("sidetone_barge_ins_total{cause=\"stop_phrase\"}", 1.0),
        ("sidetone_tones_total{tone=\"fax_cng\"}", 1.0),
        ("sidetone_asr_transcripts_total{outcome=\"text\",purpose=\"amd\"}", 1.0),
        ("sidetone_frames_lost_total", 3.0),
    ] {
        assert!((value(&text, series) - expected).abs() < 1e-9, "{series}\n{text}");
    }
}

#[test]
fn refused_and_failed_transcripts_are_told_apart() {
    let text = rendered(&[
        transcript(None, Some(Gate::Blocklist), None),
        transcript(None, None, Some(AsrFailure::QueueFull)),
    ]);
    assert_eq!(value(&text, "sidetone_asr_refused_total{gate=\"blocklist\"}"), 1.0);
    assert_eq!(value(&text, "sidetone_asr_failures_total{failure=\"queue_full\"}"), 1.0);
    assert_eq!(value(&text, "sidetone_asr_transcripts_total{outcome=\"refused\",purpose=\"amd\"}"), 1.0);
    assert_eq!(value(&text, "sidetone_asr_transcripts_total{outcome=\"failed\",purpose=\"amd\"}"), 1.0);
    assert_eq!(value(&text, "sidetone_asr_compute_seconds_count"), 1.0, "a failure has no compute time");
}

#[test]
fn causes_the_switch_invents_share_one_label() {
    let text = rendered(&[
        Event::HungUp { cause: HangupCause::new("+33612345678") },
        Event::HungUp { cause: HangupCause::new("SOMETHING_NEW") },
    ]);
    assert_eq!(value(&text, "sidetone_hangups_total{cause=\"other\"}"), 2.0);
    assert!(!text.contains("33612345678"));
}

#[test]
fn a_live_call_is_counted_in_one_phase_at_a_time() {
    let metrics = Metrics::new().expect("registers");
    let live = |phase: &str| {
        value(&metrics.render().expect("renders"), &format!("sidetone_live_calls{{phase=\"{phase}\"}}"))
    };
    let total =
        || ["ringing", "amd", "speaking", "listening", "hanging_up"].iter().map(|p| live(p)).sum::<f64>();
    let mut call = metrics.call();
    assert_eq!(total(), 0.0);
    for (event, phase) in [
        (Event::Ringing, "ringing"),
        (Event::Answered, "amd"),
        (Event::Ringing, "amd"),
        (Event::StreamUp, "amd"),
        (verdict(), "speaking"),
        (Event::Listening { at_ms: 1 }, "listening"),
        (Event::PromptStarted { id: PlayId(2), file: "b.wav".to_owned() }, "speaking"),
        (Event::HangupAsked { reason: HangupReason::Machine }, "hanging_up"),
        (Event::Listening { at_ms: 2 }, "hanging_up"),
    ] {
        call.observe(&event);
        assert_eq!(live(phase), 1.0, "after {event:?}");
        assert_eq!(total(), 1.0, "after {event:?}");
    }
    call.observe(&Event::HungUp { cause: HangupCause::new("NORMAL_CLEARING") });
    assert_eq!(total(), 0.0);
    call.observe(&Event::Ended { disposition: Disposition::Machine, outcome: None });
    assert_eq!(total(), 0.0);
}

#[test]
fn a_call_that_is_dropped_leaves_the_gauge() {
    let metrics = Metrics::new().expect("registers");
    let mut call = metrics.call();
    call.observe(&Event::Answered);
    drop(call);
    assert_eq!(value(&metrics.render().expect("renders"), "sidetone_live_calls{phase=\"amd\"}"), 0.0);
}

#[test]
fn hooks_reach_their_series() {
    let metrics = Metrics::new().expect("registers");
    let frame = Frame::silence(SampleRate::HZ_8000);
    metrics.frame_handled(&frame, Duration::from_micros(30));
    metrics.switch_event_dropped();
    metrics.asr_queue_depth(7);
    metrics.switch_link(true);
    let text = metrics.render().expect("renders");
    for (series, expected) in [
        ("sidetone_frame_handling_seconds_count", 1.0),
        ("sidetone_switch_events_dropped_total", 1.0),
        ("sidetone_asr_queue_depth", 7.0),
        ("sidetone_switch_up", 1.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
}

#[test]
fn streams_are_counted_from_the_first_scrape_on() {
    let metrics = Metrics::new().expect("registers");
    metrics.watch_media(Arc::new(MediaStats::default()));
    let text = metrics.render().expect("renders");
    for series in [
        "sidetone_streams_refused_total{reason=\"bad_token\"}",
        "sidetone_streams_refused_total{reason=\"unknown_call\"}",
        "sidetone_streams_closed_total{reason=\"idle\"}",
        "sidetone_streams_opened_total",
        "sidetone_streams_live",
        "sidetone_frames_received_total",
    ] {
        assert_eq!(value(&text, series), 0.0, "{series}");
    }
}

#[test]
fn samplers_run_before_each_scrape() {
    let metrics = Metrics::new().expect("registers");
    metrics.before_scrape(|metrics| metrics.asr_queue_depth(3));
    assert_eq!(value(&metrics.render().expect("renders"), "sidetone_asr_queue_depth"), 3.0);
}

#[test]
fn the_exposition_is_well_formed() {
    let text = rendered(&all());
    let mut typed = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let words: Vec<&str> = rest.splitn(3, ' ').collect();
            assert!(matches!(words[0], "HELP" | "TYPE") && words.len() == 3, "{line}");
            assert!(words[1].starts_with("sidetone_"), "{line}");
            if words[0] == "TYPE" {
                assert!(!typed.contains(&words[1].to_owned()), "{line} twice");
                let unit = match words[2] {
                    "histogram" => words[1].ends_with("_seconds"),
                    "counter" => words[1].ends_with("_total"),
                    other => other == "gauge",
                };
                assert!(unit, "{line}");
                typed.push(words[1].to_owned());
            }
        } else {
            let (series, value) = line.rsplit_once(' ').expect("name and value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().expect("a name");
            assert!(typed.iter().any(|known| name.starts_with(known.as_str())), "{line} has no TYPE");
        }
    }
    assert!(typed.len() > 20, "{typed:?}");
}

#[test]
fn the_recognisers_state_is_read_at_each_scrape() {
    let metrics = Metrics::new().expect("registers");
    let asr = crate::asr::AsrHandle::start(crate::asr::scripted::Scripted::always("").shared(), 1, 8, None);
    metrics.watch_asr(asr.expect("starts"));
    let text = metrics.render().expect("renders");
    for line in [
        "sidetone_asr_cadence_seconds 0.5",
        "sidetone_asr_failing 0",
        "sidetone_asr_not_admitting{reason=\"no_slots\"} 0",
        "sidetone_asr_partials_dropped_total{why=\"shed\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn each_gate_has_its_counter() {
    let metrics = Metrics::new().expect("registers");
    let mut call = metrics.call();
    for gate in [Gate::Empty, Gate::NoSpeech, Gate::TooFast, Gate::Repetition, Gate::Blocklist] {
        call.observe(&transcript(None, Some(gate), None));
        let line = format!("sidetone_asr_refused_total{{gate=\"{}\"}} 1", super::word(&gate));
        let text = metrics.render().expect("renders");
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}
