//! `bench tune`: what the engine's defaults were chosen from, measured again here.
//!
//! Which silence tail a model needs: each is measured on clean and on bad lines beside full contexts of 30 s. First the
//! margin, then what is put behind it, then how lengths are rounded; each with the best of the step before. Then how
//! many copies, threads and clips at once, and which instructions.

use serde::Serialize;

use super::{
    clips,
    line::Line,
    process::myself,
    run::{self, Side, Task},
};
use crate::{
    asr::{Context, Recipe, models},
    config::{self, ComputeType},
};

/// A tail may err so much more than 30 s do, over all lines, and go round in circles so many times more often.
const WORSE: f64 = 0.005;
const MORE_LOOPS: usize = 1;
/// How much of the CPU a cheaper tail must save to be taken.
const SAVES: f64 = 0.01;
const MARGINS: [usize; 7] = [15, 30, 50, 75, 100, 150, 200];
/// What is put behind: as it follows, and as it stands before 30 s.
const BEHIND: [(usize, usize); 6] = [(100, 100), (50, 100), (100, 50), (50, 50), (25, 50), (25, 25)];
const STEPS: [usize; 4] = [1, 8, 16, 25];

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    pub asr: config::Asr,
    pub language: String,
    pub clips: usize,
}

/// One tail, or full contexts.
#[derive(Debug, Clone, Serialize)]
pub struct Tail {
    /// `None`: 30 s.
    pub recipe: Option<Recipe>,
    pub cpu_ms_per_clip: f64,
    /// On clean lines.
    pub wer: f64,
    /// The mean over bad ones.
    pub bad_wer: f64,
    /// The mean over all.
    pub all_wer: f64,
    /// Texts that go round in a circle, on all lines.
    pub loops: usize,
    /// Errs no more than 30 s do.
    pub passes: bool,
}

/// One way to run the model.
#[derive(Debug, Clone, Serialize)]
pub struct Way {
    pub replicas: usize,
    pub threads: usize,
    pub together: usize,
    pub compute: ComputeType,
    /// `None`: as CTranslate2 chooses.
    pub isa: Option<&'static str>,
    pub cpu_ms_per_clip: f64,
    pub clips_per_s: f64,
    pub wer: f64,
}

/// The whole measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub model: String,
    pub language: String,
    pub clips: usize,
    pub words: usize,
    pub tails: Vec<Tail>,
    /// The cheapest that passes; none where only 30 s do.
    pub chosen: Option<Recipe>,
    pub ways: Vec<Way>,
}

/// Measures; fetches what is missing. Blocks, for minutes.
///
/// # Errors
/// When something cannot be fetched, or a process fails.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let model = models::find_or_get(&plan.asr)?;
    let task = Task::new(&model, &plan.language, clips::prepare(&plan.language, plan.clips)?)?;
    let (full, words) = tail(&task, None, None)?;
    let mut tails = vec![full];
    let mut best: Option<usize> = None;
    for margin in MARGINS {
        consider(&task, &mut tails, &mut best, Recipe::new(margin, 100, 100, 1))?;
    }
    for (next, last) in BEHIND {
        if let Some(recipe) = recipe_of(&tails, best) {
            consider(&task, &mut tails, &mut best, Recipe { next, last, ..recipe })?;
        }
    }
    for step in STEPS {
        if let Some(recipe) = recipe_of(&tails, best) {
            consider(&task, &mut tails, &mut best, Recipe { step, ..recipe })?;
        }
    }
    Ok(Report {
        model: plan.asr.model.clone(),
        language: plan.language.clone(),
        clips: task.clips.len(),
        words,
        chosen: recipe_of(&tails, best),
        tails,
        ways: ways(&task)?,
    })
}

fn recipe_of(tails: &[Tail], best: Option<usize>) -> Option<Recipe> {
    best.and_then(|at| tails[at].recipe)
}

/// Measures a recipe that was not yet, and remembers the cheapest that passes.
fn consider(
    task: &Task,
    tails: &mut Vec<Tail>,
    best: &mut Option<usize>,
    recipe: Recipe,
) -> anyhow::Result<()> {
    if tails.iter().any(|known| known.recipe == Some(recipe)) {
        return Ok(());
    }
    let (measured, _) = tail(task, Some(recipe), tails.first())?;
    let is_cheaper =
        best.is_none_or(|at| measured.cpu_ms_per_clip < tails[at].cpu_ms_per_clip * (1.0 - SAVES));
    if measured.passes && is_cheaper {
        *best = Some(tails.len());
    }
    tails.push(measured);
    Ok(())
}

/// One tail on all lines, and the words it was measured on. `full`: what it must not fall behind.
fn tail(task: &Task, recipe: Option<Recipe>, full: Option<&Tail>) -> anyhow::Result<(Tail, usize)> {
    let context = recipe.map_or(Context::Full, Context::Tail);
    let on = |line: Line| measure(&Task { context, line, ..task.clone() }, None);
    let clean = on(Line::Clean)?;
    let bad = Line::BAD.into_iter().map(on).collect::<anyhow::Result<Vec<Side>>>()?;
    let bad_wer = bad.iter().map(|side| side.wer).sum::<f64>() / bad.len() as f64;
    let lines = (Line::BAD.len() + 1) as f64;
    let all_wer = (clean.wer + bad_wer * (lines - 1.0)) / lines;
    let loops = clean.loops + bad.iter().map(|side| side.loops).sum::<usize>();
    let passes = full.is_none_or(|full| all_wer <= full.all_wer + WORSE && loops <= full.loops + MORE_LOOPS);
    eprintln!(
        "{recipe:?}: {:.1} ms, WER {:.4}, on bad lines {bad_wer:.4}, {loops} loops",
        clean.cpu_ms_per_clip, clean.wer
    );
    let tail = Tail {
        recipe,
        cpu_ms_per_clip: clean.cpu_ms_per_clip,
        wer: clean.wer,
        bad_wer,
        all_wer,
        loops,
        passes,
    };
    Ok((tail, clean.words))
}

fn measure(task: &Task, isa: Option<&str>) -> anyhow::Result<Side> {
    let mut command = myself("asr")?;
    if let Some(isa) = isa {
        command.env("CT2_FORCE_CPU_ISA", isa);
    }
    run::measure(task, "sidetone", command)
}

/// The model with its own recipe, run in different ways.
fn ways(task: &Task) -> anyhow::Result<Vec<Way>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut wanted: Vec<(usize, usize, usize)> = vec![(1, 1, 1), (1, 1, 2), (1, 1, 4), (1, 1, 8)];
    if cores > 1 {
        wanted.extend([(1, 2, 1), (1, 2, 4), (2, 1, 1), (2, 1, 4)]);
    }
    let mut ways = Vec::new();
    let mut add = |(replicas, threads, together), compute, isa: Option<&'static str>| -> anyhow::Result<()> {
        let task = Task { replicas, threads, together, compute, ..task.clone() };
        let side = measure(&task, isa)?;
        let clips_per_s = task.clips.len() as f64 / side.wall_s;
        let cpu_ms_per_clip = side.cpu_ms_per_clip;
        ways.push(Way {
            replicas,
            threads,
            together,
            compute,
            isa,
            cpu_ms_per_clip,
            clips_per_s,
            wer: side.wer,
        });
        Ok(())
    };
    for way in wanted {
        add(way, ComputeType::Int8, None)?;
    }
    add((1, 1, 1), ComputeType::Float32, None)?;
    for isa in isas() {
        add((1, 1, 1), ComputeType::Int8, Some(isa))?;
        add((1, 1, 4), ComputeType::Int8, Some(isa))?;
    }
    Ok(ways)
}

/// Instructions that CTranslate2 can be told to use and this processor has.
fn isas() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("AVX", std::arch::is_x86_feature_detected!("avx")),
            ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
            ("AVX512", std::arch::is_x86_feature_detected!("avx512bw")),
        ];
        known.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}
