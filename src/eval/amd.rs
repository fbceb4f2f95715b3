//! One clip as an answered call: who does the core say it is, when, and why?

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use sidetone_core::{
    amd::{Cause, Evidence, Verdict},
    call::{CallConfig, Event, Purpose},
    frame::{Frame, frames},
    scenario::{Scenario, ScenarioRun},
};

use super::{
    audio::{Clip, RATE},
    hearing::{Ear, Hearing},
    line::{Line, LineEnd, Noted},
    manifest::Row,
};

/// The line goes on for so long after the clip.
const SILENCE_AFTER: Duration = Duration::from_secs(15);
/// How long the opening lasts.
const OPENING: Duration = Duration::from_secs(6);
/// Longer than any clip, so that no call ends before its clip.
const MESSAGE: Duration = Duration::from_secs(3600);

/// A scenario with an opening that can be interrupted and machine actions under which listening goes on.
const SCENARIO: &str = r#"
name: evaluation
language: LANGUAGE
max_visits: 1000
machine:
  voicemail: {leave_message: message, wait: 60s}
  mailbox_full: {leave_message: message, wait: 60s}
  screening: {answer: screened}
  ivr: {leave_message: message, wait: 60s}
  sit: {leave_message: message, wait: 60s}
  fax: {leave_message: message, wait: 60s}
  tone: {leave_message: message, wait: 60s}
  music: {leave_message: message, wait: 60s}
steps:
  opening:
    play: {file: opening.wav, text: "(opening)"}
    barge_in: true
    listen:
      timeout: 60s
      on: {any: opening}
  screened:
    play: {file: opening.wav, text: "(opening)"}
    barge_in: true
    listen:
      timeout: 60s
      on: {any: opening}
  message:
    play: {file: message.wav, text: "(message)"}
    hang_up: message_left
"#;

/// A verdict as it fell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fell {
    pub verdict: Verdict,
    pub cause: Cause,
    pub confidence: f32,
    /// Since the answer, the recogniser's work included.
    pub at_ms: i64,
    pub evidence: Vec<Evidence>,
}

/// A transcript that entered the call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heard {
    pub at_ms: i64,
    pub purpose: Purpose,
    pub to_ms: u64,
    pub text: Option<String>,
    /// Which gate refused it, or why there was none.
    pub refused: Option<String>,
    pub compute_ms: u64,
}

/// What came of a clip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AmdRun {
    pub model: String,
    pub clip_ms: i64,
    /// The first is the first verdict, the last is what stood at the end.
    pub verdicts: Vec<Fell>,
    pub transcripts: Vec<Heard>,
    /// The core asked for the call's end before the line was silent for long enough.
    pub ended_early: bool,
}

/// The built-in scenario, parsed once a language.
#[derive(Debug, Default)]
pub struct Scripts {
    by_language: BTreeMap<String, Arc<Scenario>>,
}

impl Scripts {
    /// # Errors
    /// When a language has no phrases.
    pub fn new<'a>(languages: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut by_language = BTreeMap::new();
        for language in languages {
            let yaml = SCENARIO.replace("LANGUAGE", language);
            let scenario = Scenario::parse(&yaml, "evaluation.yaml").map_err(|error| error.to_string())?;
            by_language.insert(language.to_owned(), Arc::new(scenario));
        }
        Ok(Self { by_language })
    }

    fn start(&self, language: &str) -> Result<ScenarioRun, String> {
        let scenario = self.by_language.get(language);
        let scenario = scenario.ok_or_else(|| format!("no script for the language `{language}`"))?;
        ScenarioRun::new(scenario.clone(), &BTreeMap::new()).map_err(|error| error.to_string())
    }
}

/// Runs one row of a manifest.
///
/// # Errors
/// The file is no sound, or its language has no recogniser.
pub fn run(
    row: &Row,
    mut config: CallConfig,
    scripts: &Scripts,
    hearing: &Hearing,
) -> Result<AmdRun, String> {
    let clip = Clip::read(&row.path)?;
    let ear = hearing.ear(&row.language, &clip);
    let ear = ear.ok_or_else(|| format!("nothing hears the language `{}`", row.language))?;
    if let Some(amd) = &mut config.amd {
        amd.careful = ear.is_careful();
    }
    Ok(call(&clip, config, scripts.start(&row.language)?, ear))
}

fn call(clip: &Clip, config: CallConfig, script: ScenarioRun, ear: Ear<'_>) -> AmdRun {
    let model = ear.model().to_owned();
    let mut line = Line::answered(config, script, ear, length);
    let silence = Frame::silence(RATE);
    let after = (SILENCE_AFTER.as_millis() / 20) as usize;
    let mut ended_early = false;
    for frame in frames(RATE, &clip.pcm).chain(std::iter::repeat_n(silence, after)) {
        line.hear(&frame);
        if line.end() == LineEnd::Over {
            ended_early = true;
            break;
        }
    }
    AmdRun {
        model,
        clip_ms: clip.ms(),
        verdicts: line.noted().iter().filter_map(fell).collect(),
        transcripts: line.noted().iter().filter_map(heard).collect(),
        ended_early,
    }
}

fn length(prompt: &str) -> Duration {
    if prompt == "message.wav" { MESSAGE } else { OPENING }
}

fn fell(noted: &Noted) -> Option<Fell> {
    let Event::Verdict { verdict, cause, confidence, evidence, .. } = &noted.event else { return None };
    Some(Fell {
        verdict: *verdict,
        cause: *cause,
        confidence: *confidence,
        at_ms: ms(noted.at),
        evidence: evidence.clone(),
    })
}

pub(super) fn heard(noted: &Noted) -> Option<Heard> {
    let Event::Transcript { purpose, to_ms, text, gate, failure, compute_ms, .. } = &noted.event else {
        return None;
    };
    let refused = gate.map(|gate| word(&gate)).or_else(|| failure.map(|failure| word(&failure)));
    Some(Heard {
        at_ms: ms(noted.at),
        purpose: *purpose,
        to_ms: *to_ms,
        text: text.clone(),
        refused,
        compute_ms: *compute_ms,
    })
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// An enum's word.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
