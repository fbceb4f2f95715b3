//! `bench stream`: how many people the recogniser follows word by word before words come late; and what happens
//! when twice as many speak.
//!
//! A talker speaks half the time, in utterances of 2 to 6 s. A word's lag is from its end in the audio to the first
//! text it stands in. Where words end is found once by faster-whisper's alignment, for every side the same.

mod lag;
mod overload;
mod peer_server;
mod talker;

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use overload::Overload;

use super::{
    asr::FASTER_WHISPER,
    clips::{self, Clip},
    meter, peer,
    process::{Worker, myself, tell},
};
use crate::{
    asr::{self, models},
    config,
};
use talker::{Stage, Timeline};

/// Words later than this (95 of 100 must be earlier) end the search.
const LATE_MS: f64 = 700.0;
/// The first seconds are not counted.
const WARM_UP: Duration = Duration::from_secs(5);
/// More talkers than this are not tried.
const MOST: usize = 512;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    pub asr: config::Asr,
    pub language: String,
    /// Of one step.
    pub seconds: u64,
    /// This many talkers only, instead of a search.
    pub talkers: Option<usize>,
    /// The number found is then held for so many seconds; 0: it is not.
    pub hold: u64,
    pub with_peer: bool,
}

/// A clip and when its words end, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Utterance {
    clip: Clip,
    words: Vec<(f64, String)>,
}

/// What a process is told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Task {
    asr: config::Asr,
    language: String,
    seconds: u64,
    talkers: usize,
    utterances: Vec<Utterance>,
    overload: bool,
}

/// One number of talkers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    pub talkers: usize,
    pub lag_p50_ms: f64,
    pub lag_p95_ms: f64,
    /// The 95th percentile in each fifth of the time: flat, or the lag grows.
    pub lag_p95_ms_by_fifth: Vec<f64>,
    pub words: usize,
    /// Words that never appeared, as a fraction.
    pub missed: f64,
    pub cpu_s_per_audio_s: f64,
    pub cores: f64,
    pub partials: u64,
    pub failed: u64,
}

/// The whole measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub model: String,
    pub language: String,
    pub seconds: u64,
    /// The most talkers whose words come within 700 ms at the 95th percentile.
    pub talkers: usize,
    /// At that number, or at one talker where it is 0.
    pub cpu_s_per_audio_s: f64,
    pub steps: Vec<Step>,
    /// That number, held for longer.
    pub hold: Option<Step>,
    pub peer: Option<&'static str>,
    pub peer_talkers: Option<usize>,
    pub peer_cpu_s_per_audio_s: Option<f64>,
    /// The peer's CPU for a second of audio over ours.
    pub cpu_ratio: Option<f64>,
    /// Our talkers over the peer's; none where the peer follows nobody.
    pub talkers_ratio: Option<f64>,
    pub peer_steps: Option<Vec<Step>>,
}

/// Measures with more and more talkers. Blocks.
///
/// # Errors
/// When something cannot be fetched, or a process fails.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let task = task(plan)?;
    let program = plan.with_peer.then(peer_server::fetch).transpose()?;
    eprintln!("sidetone");
    let ours = search(plan, &task, process)?;
    let hold = match plan.hold {
        0 => None,
        seconds => {
            eprintln!("{} talkers for {seconds} s", ours.talkers.max(1));
            Some(process(&Task { talkers: ours.talkers.max(1), seconds, ..task.clone() })?)
        }
    };
    let peer = match program {
        None => None,
        Some(program) => {
            eprintln!("whisperlivekit");
            Some(search(plan, &task, |task| peer_server::step(&program, task))?)
        }
    };
    Ok(Report {
        model: plan.asr.model.clone(),
        language: plan.language.clone(),
        seconds: plan.seconds,
        peer: peer.is_some().then_some("whisperlivekit 0.2.26"),
        peer_talkers: peer.as_ref().map(|peer| peer.talkers),
        peer_cpu_s_per_audio_s: peer.as_ref().map(|peer| peer.cpu_s_per_audio_s),
        cpu_ratio: peer.as_ref().map(|peer| peer.cpu_s_per_audio_s / ours.cpu_s_per_audio_s),
        talkers_ratio: peer
            .as_ref()
            .filter(|peer| peer.talkers > 0)
            .map(|peer| ours.talkers as f64 / peer.talkers as f64),
        peer_steps: peer.map(|peer| peer.steps),
        hold,
        talkers: ours.talkers,
        cpu_s_per_audio_s: ours.cpu_s_per_audio_s,
        steps: ours.steps,
    })
}

struct Found {
    talkers: usize,
    cpu_s_per_audio_s: f64,
    steps: Vec<Step>,
}

/// Twice as many talkers until words come late, then halving the distance to within a tenth.
fn search(
    plan: &Plan,
    task: &Task,
    measure: impl Fn(&Task) -> anyhow::Result<Step>,
) -> anyhow::Result<Found> {
    let mut steps: Vec<Step> = Vec::new();
    let mut range = Range { good: 0, late: None };
    let mut next = Some(plan.talkers.unwrap_or(1));
    while let Some(talkers) = next {
        eprintln!("{talkers} talkers for {} s", plan.seconds);
        let step = measure(&Task { talkers, ..task.clone() })?;
        eprintln!("  95 of 100 words within {:.0} ms", step.lag_p95_ms);
        range.learn(talkers, step.is_late());
        steps.push(step);
        next = if plan.talkers.is_some() { None } else { range.next() };
    }
    steps.sort_by_key(|step| step.talkers);
    let best = steps.iter().rev().find(|step| step.talkers == range.good);
    let cpu_s_per_audio_s = best.or(steps.first()).map_or(0.0, |step| step.cpu_s_per_audio_s);
    Ok(Found { talkers: range.good, cpu_s_per_audio_s, steps })
}

/// What a search knows: so many come in time, so many do not.
#[derive(Debug)]
struct Range {
    good: usize,
    late: Option<usize>,
}

impl Range {
    fn learn(&mut self, talkers: usize, is_late: bool) {
        if is_late {
            self.late = Some(talkers);
        } else {
            self.good = talkers;
        }
    }

    /// How many to try next; `None`: it is known well enough.
    fn next(&self) -> Option<usize> {
        match self.late {
            None => (self.good < MOST).then_some(2 * self.good.max(1)),
            Some(late) => (late - self.good > (self.good / 10).max(1)).then_some(self.good.midpoint(late)),
        }
    }
}

/// Twice as many talkers as it follows, and verdicts wanted meanwhile. Blocks.
///
/// # Errors
/// As [`run`].
pub fn overload(plan: &Plan) -> anyhow::Result<Overload> {
    let sustained = match plan.talkers {
        Some(talkers) => talkers,
        None => run(&Plan { with_peer: false, ..plan.clone() })?.talkers.max(1),
    };
    eprintln!("{} talkers, twice what is sustained, for {} s", 2 * sustained, plan.seconds);
    process(&Task { talkers: 2 * sustained, overload: true, ..task(plan)? })
}

fn task(plan: &Plan) -> anyhow::Result<Task> {
    let model = models::find_or_get(&plan.asr)?;
    let model = std::path::absolute(model)?;
    let model_name = model.to_str().context("the model's folder must be UTF-8")?.to_owned();
    Ok(Task {
        utterances: aligned(&plan.language, &model)?,
        asr: config::Asr { model: model_name, ..plan.asr.clone() },
        language: plan.language.clone(),
        seconds: plan.seconds,
        talkers: 1,
        overload: false,
    })
}

fn process<T: serde::de::DeserializeOwned>(task: &Task) -> anyhow::Result<T> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), serde_json::to_vec(task)?)?;
    Worker::start("sidetone", myself("stream")?.arg(file.path()))?.report()
}

/// Utterances of 2 to 6 s with their words' ends, aligned once and kept.
fn aligned(language: &str, model: &Path) -> anyhow::Result<Vec<Utterance>> {
    let kept = peer::cache()?.join(format!("aligned-{language}.json"));
    if let Ok(bytes) = fs::read(&kept) {
        return Ok(serde_json::from_slice(&bytes)?);
    }
    let clips = clips::between(language, 2.0..6.0, 80)?;
    eprintln!("aligning the words of {} clips (once)", clips.len());
    let python = peer::python("faster-whisper", FASTER_WHISPER)?;
    let script = peer::script("align.py", include_str!("../../../scripts/bench/align.py"))?;
    let file = tempfile::NamedTempFile::new()?;
    fs::write(
        file.path(),
        serde_json::to_vec(&serde_json::json!({"model": model, "language": language, "clips": clips}))?,
    )?;
    let mut command = std::process::Command::new(python);
    command.arg(script).arg(file.path()).env("HF_HUB_OFFLINE", "1");
    let words: Vec<Vec<(f64, String)>> = Worker::start("the alignment", &mut command)?.report()?;
    let utterances: Vec<Utterance> = clips
        .into_iter()
        .zip(words)
        .filter(|(_, words)| !words.is_empty())
        .map(|(clip, words)| Utterance { clip, words })
        .collect();
    fs::write(kept, serde_json::to_vec(&utterances)?)?;
    Ok(utterances)
}

/// One number of talkers, in a process of its own.
///
/// # Errors
/// Whatever keeps it from working.
pub fn part(task: &Path) -> anyhow::Result<()> {
    let task: Task = serde_json::from_slice(&fs::read(task)?)?;
    let engine = asr::start(&task.asr, None)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let line = runtime.block_on(async {
        let length = Duration::from_secs(task.seconds) + WARM_UP;
        let stage = Stage::new(engine.clone(), &task.language);
        if task.overload {
            let timelines = timelines(&task, length)?;
            return Ok(serde_json::to_string(&overload::run(&stage, timelines, length).await)?);
        }
        follow(&task, &stage, length).await.and_then(|step| Ok(serde_json::to_string(&step)?))
    });
    let line: anyhow::Result<String> = line;
    tell(line?)?;
    engine.shutdown();
    Ok(())
}

fn timelines(task: &Task, length: Duration) -> anyhow::Result<Vec<Timeline>> {
    (0..task.talkers).map(|talker| Timeline::new(&task.utterances, talker, length)).collect()
}

async fn follow(task: &Task, stage: &Stage, length: Duration) -> anyhow::Result<Step> {
    let timelines = timelines(task, length)?;
    let start = Instant::now() + Duration::from_millis(100);
    let talkers: Vec<_> = timelines
        .iter()
        .map(|timeline| tokio::spawn(talker::speak(stage.clone(), timeline.clone(), start)))
        .collect();
    tokio::time::sleep_until(start + WARM_UP).await;
    let cpu = meter::cpu();
    let mut lags = lag::Lags::default();
    let (mut partials, mut failed) = (0, 0);
    let mut heard = Vec::new();
    for talker in talkers {
        let one = talker.await?;
        partials += one.partials;
        failed += one.failed;
        heard.push(one.texts);
    }
    let cpu_s = (meter::cpu() - cpu).as_secs_f64();
    for (timeline, texts) in timelines.iter().zip(&heard) {
        lags.add(timeline, texts, WARM_UP.as_secs_f64());
    }
    Ok(Step::new(task, &lags, cpu_s, (partials, failed)))
}

impl Step {
    /// Too late, or hardly anything was understood at all.
    fn is_late(&self) -> bool {
        self.lag_p95_ms > LATE_MS || self.missed > 0.5
    }

    /// `looks`: texts asked for, and those that did not come.
    fn new(task: &Task, lags: &lag::Lags, cpu_s: f64, looks: (u64, u64)) -> Self {
        let seconds = task.seconds as f64;
        Self {
            talkers: task.talkers,
            lag_p50_ms: lags.quantile_ms(0.5),
            lag_p95_ms: lags.quantile_ms(0.95),
            lag_p95_ms_by_fifth: lags.by_fifth_ms(WARM_UP.as_secs_f64(), seconds, 0.95),
            words: lags.words(),
            missed: lags.missed(),
            cpu_s_per_audio_s: cpu_s / (seconds * task.talkers as f64),
            cores: cpu_s / seconds,
            partials: looks.0,
            failed: looks.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn a_search_doubles_and_halves_until_it_knows_the_number_to_a_tenth() {
        for carried in [0, 1, 5, 47, 200] {
            let mut range = Range { good: 0, late: None };
            let (mut next, mut tries) = (Some(1), 0);
            while let Some(talkers) = next {
                range.learn(talkers, talkers > carried);
                tries += 1;
                next = range.next();
            }
            assert!(range.good <= carried && carried <= range.good + range.good / 10, "{range:?}");
            assert!(tries <= 13, "{tries} tries for {carried}");
        }
    }
}
