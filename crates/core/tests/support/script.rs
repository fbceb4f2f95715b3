//! Reads and runs a call script.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc, time::Duration};

use sidetone_core::{
    call::{Digit, HangupCause, HangupReason, Input, LanguageHeard, PlayId, PlaybackEnd, StreamEnd},
    scenario::Scenario,
};

use super::sim::{Recogniser, Sim};

/// A script as it went.
pub(crate) struct Run {
    /// The script with what really happened below every input.
    pub(crate) text: String,
    pub(crate) calls: usize,
}

/// Runs every call of a script. `scenarios`: where the scenarios it names are.
pub(crate) fn run(text: &str, scenarios: &Path) -> Result<Run, String> {
    let mut out = String::new();
    let mut sim: Option<Sim> = None;
    let mut calls = 0;
    for (number, line) in text.lines().enumerate() {
        let at = |e: String| format!("line {}: {e}", number + 1);
        if let Some(input) = line.strip_prefix("> ") {
            if let Some(rest) = input.strip_prefix("call ") {
                left_over(sim.as_ref()).map_err(at)?;
                sim = Some(place(rest, scenarios).map_err(at)?);
                calls += 1;
            } else {
                let sim = sim.as_mut().ok_or_else(|| at("no call was placed before this".to_owned()))?;
                step(sim, input).map_err(at)?;
            }
            let _ = writeln!(out, "{line}");
            for said in sim.iter_mut().flat_map(|sim| std::mem::take(&mut sim.log)) {
                let _ = writeln!(out, "{said}");
            }
        } else if line.is_empty() || line.starts_with('#') || line.starts_with("===") {
            let _ = writeln!(out, "{line}");
        }
    }
    left_over(sim.as_ref())?;
    Ok(Run { text: out, calls })
}

/// A call that is not over at the end of its script was not followed to its disposition.
fn left_over(sim: Option<&Sim>) -> Result<(), String> {
    match sim {
        Some(sim) if !sim.is_over() => Err("the call before this has not ended".to_owned()),
        Some(_) | None => Ok(()),
    }
}

/// The first lines that differ.
pub(crate) fn difference(wanted: &str, got: &str) -> String {
    let mut out = String::new();
    let (wanted, got): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), got.lines().collect());
    let same = wanted.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(3);
    for line in &wanted[from..same] {
        let _ = writeln!(out, "    {line}");
    }
    for line in wanted[same..].iter().take(6) {
        let _ = writeln!(out, "  - {line}");
    }
    for line in got[same..].iter().take(6) {
        let _ = writeln!(out, "  + {line}");
    }
    out
}

fn place(rest: &str, scenarios: &Path) -> Result<Sim, String> {
    let mut words = rest.split_whitespace();
    let name = words.next().ok_or("write `call SCENARIO`")?;
    let mut variables = BTreeMap::new();
    let mut amd = true;
    for word in words {
        match word.split_once('=') {
            Some(("amd", "off")) => amd = false,
            Some((key, value)) => drop(variables.insert(key.to_owned(), value.to_owned())),
            None => return Err(format!("`{word}` is no key=value")),
        }
    }
    let file = format!("{name}.yaml");
    let path = scenarios.join(&file);
    let yaml = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let scenario = Scenario::parse(&yaml, &file).map_err(|e| e.to_string())?;
    Ok(Sim::new(Arc::new(scenario), &variables, amd))
}

fn step(sim: &mut Sim, input: &str) -> Result<(), String> {
    let (verb, rest) = input.split_once(' ').unwrap_or((input, ""));
    match verb {
        "ring" => sim.input(Input::Ringing),
        "answer" => sim.input(Input::Answered),
        "hear" => {
            for part in rest.split(',') {
                let (kind, ms) = part.trim().split_once(' ').ok_or("write KIND MS")?;
                sim.hear(kind, number(ms)?)?;
            }
        }
        "says" => {
            let (ms, text) = rest.split_once(' ').ok_or("write MS \"TEXT\"")?;
            sim.says(number(ms)?, text.trim_matches('"'))?;
        }
        "recogniser" => sim.recogniser(match rest {
            "empty" => Recogniser::Empty,
            "failed" => Recogniser::Failed,
            "off" => Recogniser::Off,
            text => Recogniser::Speaks(text.trim_matches('"').to_owned()),
        }),
        "started" => sim.input(Input::PlaybackStarted(sim.last_play())),
        "done" => done(sim, sim.last_play(), PlaybackEnd::Done, None),
        "broken" => {
            let heard = Some(Duration::from_millis(number(rest)?));
            let id = sim.stopped();
            done(sim, id, PlaybackEnd::Broken, heard);
        }
        "missing" => done(sim, sim.last_play(), PlaybackEnd::Missing, None),
        "dtmf" => {
            let key = rest.chars().next().and_then(Digit::new).ok_or("write a key")?;
            sim.input(Input::Dtmf(key));
        }
        "spoken" => sim.input(Input::LanguageHeard(language(rest)?)),
        "wait" => sim.wait(Duration::from_millis(number(rest)?)),
        "lost" => sim.input(Input::AudioLost(u32::try_from(number(rest)?).map_err(|e| e.to_string())?)),
        "stream" => sim.input(stream(rest)?),
        "hangup" => sim.input(Input::HungUp(HangupCause::new(rest))),
        "switch" => sim.input(Input::SwitchLost),
        "end" => sim.input(Input::EndRequested(reason(rest)?)),
        _ => return Err(format!("`{verb}` is nothing that happens to a call")),
    }
    Ok(())
}

fn done(sim: &mut Sim, id: PlayId, end: PlaybackEnd, heard: Option<Duration>) {
    sim.input(Input::PlaybackDone { id, end, heard });
}

fn stream(word: &str) -> Result<Input<'static>, String> {
    Ok(match word {
        "up" => Input::StreamUp,
        "lost" => Input::StreamDown(StreamEnd::Lost),
        "closed" => Input::StreamDown(StreamEnd::Closed),
        "idle" => Input::StreamDown(StreamEnd::Idle),
        _ => return Err(format!("a stream is up, lost, closed or idle, not `{word}`")),
    })
}

/// `LANGUAGE PERCENT MS`.
fn language(words: &str) -> Result<LanguageHeard, String> {
    let parts: Vec<&str> = words.split(' ').collect();
    let [language, percent, ms] = parts[..] else { return Err("write LANGUAGE PERCENT MS".to_owned()) };
    Ok(LanguageHeard {
        language: language.to_owned(),
        probability: number(percent)? as f32 / 100.0,
        voiced: Duration::from_millis(number(ms)?),
    })
}

fn reason(word: &str) -> Result<HangupReason, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|e| e.to_string())
}

fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is no number"))
}
