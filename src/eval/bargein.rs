//! One track as a call in which the bot speaks all the time: when does it fall silent?

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use sidetone_core::{
    call::{BargeInCause, CallConfig, Digit, Event, Input, Purpose, Transcribe, UtteranceId},
    echo::PromptAudio,
    frame::{Frame, frames},
    scenario::{Scenario, ScenarioRun},
};

use super::{
    amd::{Heard, heard},
    audio::{Clip, RATE},
    hearing::Hearing,
    line::{Line, LineEnd, Noted},
    stats::{Count, Spread},
    tracks::{BadTrack, Track},
};
use crate::{
    asr::{SAMPLE_RATE, Segment},
    audio::resample,
};

/// The bot speaks again so long after what it was cut by ended.
const PAUSE_MS: i64 = 1000;
/// For decisions on what is said last.
const AFTER: usize = 100;
/// What makes the bot speak again.
const AGAIN: char = '1';
/// Longer than any track.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Speaks until it is interrupted, then listens until it is told to speak again.
const SCENARIO: &str = r#"
name: evaluation
language: LANGUAGE
max_visits: 1000
steps:
  speak:
    play: {file: prompt.wav, text: TEXT}
    barge_in: true
    listen:
      timeout: 600s
      on: {any: hold}
      dtmf: {1: speak}
  hold:
    listen:
      timeout: 600s
      on: {any: hold}
      dtmf: {1: speak}
"#;

/// The bot was cut off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cut {
    pub at_ms: i64,
    pub cause: BargeInCause,
    /// From the start of the interruption; `null` for a false cut.
    pub latency_ms: Option<i64>,
    /// What it was false by: `late`, `backchannel`, `tv`, `noise`, `echo`, `silence`... `null` for a true one.
    pub wrong: Option<String>,
}

/// What came of a track.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrackResult {
    pub id: String,
    pub language: String,
    pub model: String,
    pub expected: usize,
    pub detected: usize,
    pub false_cuts: usize,
    pub cuts: Vec<Cut>,
    pub transcripts: Vec<Heard>,
}

impl TrackResult {
    fn is_quiet(&self) -> bool {
        self.expected == 0
    }
}

/// Runs one track.
///
/// # Errors
/// A file is no sound, or its language has no recogniser.
pub fn run(track: &Track, mut config: CallConfig, hearing: &Hearing) -> Result<TrackResult, String> {
    config.amd = None;
    config.max_duration = ENDLESS;
    let clip = Clip::read(&track.path)?;
    let deaf = || format!("nothing hears the language `{}`", track.language);
    let ear = hearing.ear(&track.language, &clip).ok_or_else(deaf)?;
    let model = ear.model().to_owned();
    let prompt = match &track.echo {
        Some(echo) => Some(Clip::read(&echo.prompt)?),
        None => None,
    };
    let text = match (&track.echo, &prompt) {
        (Some(echo), Some(prompt)) => {
            let known = echo.text.clone();
            known.or_else(|| transcript(prompt, &track.language, hearing)).unwrap_or_default()
        }
        (None, _) | (_, None) => String::new(),
    };
    let mut line = Line::answered(config, script(&track.language, &text)?, ear, |_| ENDLESS);
    let echo = track.echo.as_ref().zip(prompt.as_ref()).map(|(echo, prompt)| (prompt, echo.starts_at_ms));
    let cuts = follow(&mut line, track, &clip, echo);
    let detected = cuts.iter().filter(|cut| cut.latency_ms.is_some()).count();
    Ok(TrackResult {
        id: track.id.clone(),
        language: track.language.clone(),
        model,
        expected: track.events.iter().filter(|said| said.should_interrupt).count(),
        detected,
        false_cuts: cuts.iter().filter(|cut| cut.wrong.is_some()).count(),
        cuts,
        transcripts: line.noted().iter().filter_map(heard).collect(),
    })
}

/// `echo`: the prompt that comes back on the track, and when it began there.
fn follow(line: &mut Line<'_>, track: &Track, clip: &Clip, echo: Option<(&Clip, i64)>) -> Vec<Cut> {
    let silence = std::iter::repeat_n(Frame::silence(RATE), AFTER);
    let (mut cuts, mut seen, mut again): (Vec<Cut>, usize, Option<i64>) = (Vec::new(), 0, None);
    for frame in frames(RATE, &clip.pcm).chain(silence) {
        line.hear(&frame);
        let fresh: Vec<Cut> =
            line.noted()[seen..].iter().filter_map(|noted| cut(noted, track, &cuts)).collect();
        let started = line.noted()[seen..].iter().rev().find_map(|noted| {
            if let Event::PromptStarted { id, .. } = noted.event { Some(id) } else { None }
        });
        seen = line.noted().len();
        if let (Some(id), Some(position), Some((prompt, from))) = (started, line.position(), echo) {
            let audio = as_played(&prompt.pcm, ms(line.time()) - from - ms(position));
            line.input(Input::PromptAudio { id, audio });
        }
        for cut in fresh {
            let event_end = track.cause(cut.at_ms).event_end_ms.unwrap_or(cut.at_ms);
            again = Some(event_end.max(cut.at_ms) + PAUSE_MS);
            cuts.push(cut);
        }
        let now = ms(line.time());
        if again.take_if(|at| *at <= now).is_some()
            && line.position().is_none()
            && let Some(key) = Digit::new(AGAIN)
        {
            line.input(Input::Dtmf(key));
        }
        if line.end() == LineEnd::Over {
            break;
        }
    }
    cuts
}

/// The track's prompt plays on whatever the call does: the file that the call would have to be playing for that to be
/// its echo, `ahead_ms` further on than its own.
fn as_played(prompt: &[i16], ahead_ms: i64) -> Arc<PromptAudio> {
    let samples = usize::try_from(ahead_ms.abs()).unwrap_or(0) * RATE.hz() as usize / 1000;
    if ahead_ms < 0 {
        let late: Vec<i16> = std::iter::repeat_n(0, samples).chain(prompt.iter().copied()).collect();
        return Arc::new(PromptAudio::new(&late));
    }
    Arc::new(PromptAudio::new(prompt.get(samples..).unwrap_or_default()))
}

/// One expectation is met once; cut again by the same words, the bot is not wrong.
fn cut(noted: &Noted, track: &Track, before: &[Cut]) -> Option<Cut> {
    let Event::BargeIn { cause, .. } = &noted.event else { return None };
    let at_ms = ms(noted.at);
    let blame = track.cause(at_ms);
    let start = blame.event_start_ms.filter(|_| blame.wrong.is_none());
    let met = before
        .iter()
        .any(|cut| cut.latency_ms.map(|latency| cut.at_ms - latency) == start && start.is_some());
    let latency_ms = start.filter(|_| !met).map(|start| at_ms - start);
    Some(Cut { at_ms, cause: *cause, latency_ms, wrong: blame.wrong })
}

fn script(language: &str, text: &str) -> Result<ScenarioRun, String> {
    // Braces would be variables.
    let plain: String = text.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    let said = if plain.trim().is_empty() { "(unknown)" } else { plain.trim() };
    let quoted = serde_json::to_string(said).map_err(|error| error.to_string())?;
    let yaml = SCENARIO.replace("LANGUAGE", language).replace("TEXT", &quoted);
    let scenario = Scenario::parse(&yaml, "evaluation.yaml").map_err(|error| error.to_string())?;
    ScenarioRun::new(Arc::new(scenario), &BTreeMap::new()).map_err(|error| error.to_string())
}

/// What the prompt says, by the recogniser: live, the scenario knows.
fn transcript(prompt: &Clip, language: &str, hearing: &Hearing) -> Option<String> {
    let ear = hearing.ear(language, prompt)?;
    let pcm = resample(&prompt.pcm, RATE.hz(), SAMPLE_RATE).ok()?;
    let mut segment = Segment { pcm: pcm.into(), voiced: Duration::ZERO };
    segment.voiced = segment.duration();
    let request = Transcribe {
        utterance: UtteranceId(0),
        purpose: Purpose::PostCall,
        from: Duration::ZERO,
        to: segment.duration(),
        voiced: segment.voiced,
    };
    match ear.hear(&request, &segment).0 {
        sidetone_core::call::Heard::Text(text) => Some(text),
        sidetone_core::call::Heard::Nothing(_) | sidetone_core::call::Heard::Failed(_) => None,
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What all tracks together say.
#[derive(Debug, Clone, Serialize)]
pub struct BargeInReport {
    /// Interruptions that cut the bot in time.
    pub detected: usize,
    pub expected: usize,
    pub detection: Count,
    pub false_cuts: usize,
    pub false_cuts_by_kind: BTreeMap<String, usize>,
    /// Tracks in which nothing should interrupt, and how many of them were cut.
    pub quiet_tracks: usize,
    pub quiet_tracks_cut: usize,
    /// From the start of the interruption, of those detected.
    pub latency_ms: Spread,
    pub models: BTreeMap<String, String>,
    pub bad_tracks: Vec<BadTrack>,
    pub tracks: Vec<TrackResult>,
}

/// Puts the results together.
#[must_use]
pub fn report(
    tracks: Vec<TrackResult>,
    models: BTreeMap<String, String>,
    bad_tracks: Vec<BadTrack>,
) -> BargeInReport {
    let cuts = || tracks.iter().flat_map(|track| &track.cuts);
    let mut false_cuts_by_kind = BTreeMap::new();
    for kind in cuts().filter_map(|cut| cut.wrong.clone()) {
        *false_cuts_by_kind.entry(kind).or_default() += 1;
    }
    let (detected, expected) =
        tracks.iter().fold((0, 0), |(k, n), track| (k + track.detected, n + track.expected));
    let quiet: Vec<&TrackResult> = tracks.iter().filter(|track| track.is_quiet()).collect();
    BargeInReport {
        detected,
        expected,
        detection: Count::new(detected, expected),
        false_cuts: cuts().filter(|cut| cut.wrong.is_some()).count(),
        false_cuts_by_kind,
        quiet_tracks: quiet.len(),
        quiet_tracks_cut: quiet.iter().filter(|track| !track.cuts.is_empty()).count(),
        latency_ms: Spread::new(cuts().filter_map(|cut| cut.latency_ms)),
        models,
        bad_tracks,
        tracks,
    }
}
