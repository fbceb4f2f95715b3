//! What became of one call and why, in a few lines: for whoever asks at night what went wrong.

use sidetone_core::{
    amd::Verdict,
    call::{Abandoned, Answer, EndedBy, Event, HangupReason, StreamEnd},
};

use super::table::word;
use crate::store::{Attempt, StoredEvent};

/// A label and what is to be said under it.
pub(super) type Line = (&'static str, String);

/// The call in lines, the most telling ones last: what to look at.
pub(super) fn digest(call: &Attempt, events: &[StoredEvent]) -> Vec<Line> {
    let mut lines = vec![("came to", came_to(call))];
    lines.extend(answered(call).map(|text| ("answered", text)));
    lines.extend(verdicts(events).into_iter().map(|text| ("verdict", text)));
    lines.extend(heard(call).map(|text| ("heard us", text)));
    lines.extend(turns(events));
    lines.extend(ended(call, events).map(|text| ("ended", text)));
    lines.extend(trouble(call, events).into_iter().map(|text| ("look at", text)));
    lines
}

fn came_to(call: &Attempt) -> String {
    match (call.disposition, &call.outcome) {
        (None, _) => "it lives".to_owned(),
        (Some(disposition), Some(outcome)) => format!("{} ({outcome})", word(Some(disposition))),
        (Some(disposition), None) => word(Some(disposition)),
    }
}

fn answered(call: &Attempt) -> Option<String> {
    let Some(answered_ms) = call.answered_ms else {
        let rang = (call.ended_ms? - call.started_ms) / 1000;
        return Some(format!("not; it ended after {rang} s"));
    };
    let whom = match call.answer {
        Some(Answer::Person | Answer::Abandoned | Answer::Silent) => " by a person",
        Some(Answer::Machine) => " by a machine",
        Some(Answer::Nobody) => ", by nobody that we know of",
        None => "",
    };
    Some(format!("after {:.1} s{whom}", (answered_ms - call.started_ms) as f64 / 1000.0))
}

fn verdicts(events: &[StoredEvent]) -> Vec<String> {
    let mut texts = Vec::new();
    for stored in events {
        let Event::Verdict { verdict, cause, confidence, evidence, at_ms, .. } = &stored.event else {
            continue;
        };
        let evidence: Vec<String> = evidence
            .iter()
            .filter_map(|piece| serde_json::to_value(piece).ok())
            .map(|piece| super::timeline::show(&piece))
            .filter(|piece| !piece.is_empty())
            .collect();
        let because = if evidence.is_empty() { String::new() } else { format!(": {}", evidence.join("; ")) };
        let (verdict, cause) = (word(Some(*verdict)), word(Some(*cause)));
        texts.push(format!("{verdict} at {at_ms} ms by {cause}, {:.0} % sure{because}", confidence * 100.0));
    }
    texts
}

fn heard(call: &Attempt) -> Option<String> {
    let after = call.greeting_to_audio_ms.map(|ms| format!("{ms} ms after the greeting"));
    match call.abandoned {
        None => after,
        Some(Abandoned::Late) => Some(format!("too late, {}: abandoned", after.unwrap_or_default())),
        Some(Abandoned::HungUp) => Some("not: we hung up first (a silent call)".to_owned()),
        Some(Abandoned::GivenUp) => Some("not: they gave up waiting (a silent call)".to_owned()),
        Some(Abandoned::Lost) => Some("not that we know of: the call was lost (a silent call)".to_owned()),
    }
}

fn turns(events: &[StoredEvent]) -> Vec<Line> {
    let mut lines = Vec::new();
    for stored in events {
        if let Event::Turn { text, intent, .. } = &stored.event {
            let meant = intent.as_deref().unwrap_or("nothing that the scenario knows");
            lines.push(("they said", format!("\"{text}\": {meant}")));
        } else if let Event::BargeIn { cause, after_speech_start_ms, .. } = &stored.event {
            let after =
                after_speech_start_ms.map_or_else(String::new, |ms| format!(", {ms} ms after it began"));
            lines.push(("interrupted", format!("by {}{after}", word(Some(*cause)))));
        } else if let Event::Dtmf { digit } = &stored.event {
            lines.push(("they pressed", digit.key().to_string()));
        } else if let Event::NoInput { count } = &stored.event {
            lines.push(("silence", format!("no answer, time {count}")));
        }
    }
    lines
}

fn ended(call: &Attempt, events: &[StoredEvent]) -> Option<String> {
    let reason = events.iter().find_map(|stored| {
        let Event::HangupAsked { reason } = &stored.event else { return None };
        Some(word(Some(*reason)))
    });
    let by = match call.ended_by {
        Some(EndedBy::Callee) => "by them",
        Some(EndedBy::Us) => "by us",
        Some(EndedBy::Transferred) => "by being put through",
        Some(EndedBy::Unknown) => "nobody knows how",
        None => "before an answer",
    };
    let cause = call.hangup_cause.as_deref()?;
    Some(match reason {
        Some(reason) => format!("{by} ({reason}), {cause}"),
        None => format!("{by}, {cause}"),
    })
}

/// What may have gone wrong, and where to look.
fn trouble(call: &Attempt, events: &[StoredEvent]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let asked = |wanted: HangupReason| {
        events.iter().any(|stored| matches!(stored.event, Event::HangupAsked { reason } if reason == wanted))
    };
    for (reason, text) in [
        (HangupReason::MediaLost, "no audio reached us: firewall, media.public_url, FreeSWITCH's log"),
        (
            HangupReason::PromptMissing,
            "FreeSWITCH could not open a prompt: switch.prompts_dir, file permissions",
        ),
        (HangupReason::SwitchError, "FreeSWITCH refused a command: its log, and ours at `debug`"),
        (HangupReason::SwitchLost, "the event socket was gone for 10 s: is FreeSWITCH up? `sidetone doctor`"),
        (HangupReason::MaxDuration, "it was ended at call.max_duration"),
    ] {
        if asked(reason) {
            found.push(text.to_owned());
        }
    }
    let (mut transcripts, mut failed, mut frames, mut refused) = (0_u32, 0_u32, 0_u32, false);
    for stored in events {
        if let Event::Transcript { failure, .. } = &stored.event {
            transcripts += 1;
            failed += u32::from(failure.is_some());
        } else if let Event::FramesLost { frames: lost } = &stored.event {
            frames = frames.saturating_add(*lost);
        } else if let Event::StreamDown { end: StreamEnd::Refused } = &stored.event {
            refused = true;
        }
    }
    if failed > 0 {
        found.push(format!(
            "{failed} of {transcripts} transcriptions failed: the recogniser is behind or broken (readyz)"
        ));
    }
    if frames > 0 {
        found.push(format!("{} ms of audio were dropped: the machine is overloaded", u64::from(frames) * 20));
    }
    if refused {
        found.push("FreeSWITCH could not connect to media.public_url".to_owned());
    }
    let spoke = events.iter().any(|stored| matches!(stored.event, Event::SpeechStarted { .. }));
    if call.verdict == Some(Verdict::Silence) && !spoke {
        found.push("nothing was heard: if that is so everywhere, one-way audio (RTP, NAT)".to_owned());
    }
    if call.hangup_cause.as_deref() == Some("SIDETONE_LOST") {
        let instance = &call.instance;
        found.push(format!("the sidecar `{instance}` died or lost its database in mid-call: its log"));
    }
    if events.is_empty() && call.ended_ms.is_some() {
        found.push("no event of it is stored: it was never placed, or its events were forgotten".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use sidetone_core::{
        amd::{Cause, Evidence},
        call::{AsrFailure, CallId, Disposition, Purpose, UtteranceId},
    };

    use super::*;
    use crate::store::{AdHoc, FinishedCall, Origin, Store};

    async fn stored(events: &[Event]) -> Vec<Line> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let adhoc = AdHoc {
            call: CallId::new("c-1"),
            origin: Origin::Call,
            instance: "one".to_owned(),
            number: None,
            dial_string: None,
            scenario: "s".to_owned(),
        };
        let call = store.begin_adhoc_attempt(&adhoc, 0).await.unwrap();
        let mut finished = FinishedCall::new(Disposition::Failed, 0);
        let stored: Vec<StoredEvent> = (1..)
            .zip(events)
            .map(|(seq, event)| {
                finished.observe(seq * 1000, Some((seq - 1) * 1000), event);
                StoredEvent { seq, at_ms: seq * 1000, media_ms: Some((seq - 1) * 1000), event: event.clone() }
            })
            .collect();
        let once = sidetone_core::campaign::RetryTable::with_max_attempts(1);
        store.finish_attempt(&call, &finished, &once).await.unwrap();
        digest(&store.attempt("c-1").await.unwrap(), &stored)
    }

    #[tokio::test]
    async fn a_call_that_went_wrong_says_how_and_where_to_look() {
        let transcript = Event::Transcript {
            utterance: UtteranceId(1),
            purpose: Purpose::Amd,
            to_ms: 900,
            text: None,
            others: Vec::new(),
            gate: None,
            failure: Some(AsrFailure::Engine),
            queued_ms: 0,
            compute_ms: 0,
        };
        let verdict = Event::Verdict {
            verdict: Verdict::Human,
            cause: Cause::ShortGreeting,
            confidence: 0.9,
            evidence: vec![Evidence::Text { text: "Hello?".to_owned() }],
            at_ms: 1050,
            after_speech_ms: Some(450),
        };
        let ended = Event::Ended { disposition: Disposition::Failed, outcome: None };
        let hung_up = Event::HungUp { cause: sidetone_core::call::HangupCause::new("NORMAL_CLEARING") };
        let asked = Event::HangupAsked { reason: HangupReason::PromptMissing };
        let lines = stored(&[Event::Answered, transcript, verdict, asked, hung_up, ended]).await;
        let expected = [
            ("came to", "failed"),
            ("answered", "after 1.0 s by a person"),
            ("verdict", "human at 1050 ms by short_greeting, 90 % sure: text Hello?"),
            ("heard us", "not: we hung up first (a silent call)"),
            ("ended", "by us (prompt_missing), NORMAL_CLEARING"),
            ("look at", "FreeSWITCH could not open a prompt: switch.prompts_dir, file permissions"),
            ("look at", "1 of 1 transcriptions failed: the recogniser is behind or broken (readyz)"),
        ];
        let lines: Vec<_> = lines.iter().map(|(label, text)| (*label, text.as_str())).collect();
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn a_call_that_nobody_answered_says_for_how_long_it_rang() {
        let hung_up = Event::HungUp { cause: sidetone_core::call::HangupCause::new("NO_ANSWER") };
        let ended = Event::Ended { disposition: Disposition::NoAnswer, outcome: None };
        let lines = stored(&[Event::Ringing, hung_up, ended]).await;
        let lines: Vec<_> = lines.iter().map(|(label, text)| (*label, text.as_str())).collect();
        let expected = [
            ("came to", "no_answer"),
            ("answered", "not; it ended after 3 s"),
            ("ended", "before an answer, NO_ANSWER"),
        ];
        assert_eq!(lines, expected);
    }
}
