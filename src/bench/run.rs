//! Labelled clips through one recogniser, in a process of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use sidetone_core::call::{Gate, Purpose};

use super::{
    clips::Clip,
    line::Line,
    meter,
    process::{Worker, tell},
    wer::Errors,
};
use crate::{
    asr::{self, Context, Recognized, Segment},
    config,
};

/// What a process is told to do. A peer reads the model, the language and the clips.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) model: PathBuf,
    pub(super) language: String,
    pub(super) clips: Vec<Clip>,
    pub(super) line: Line,
    pub(super) context: Context,
    pub(super) compute: config::ComputeType,
    /// Copies of the model, each fed by a thread.
    pub(super) replicas: usize,
    /// Threads of each copy.
    pub(super) threads: usize,
    /// Clips decoded at once.
    pub(super) together: usize,
}

impl Task {
    /// The clips as they are, a clip at a time, on one copy of the model with one thread.
    pub(super) fn new(model: &Path, language: &str, clips: Vec<Clip>) -> anyhow::Result<Self> {
        Ok(Self {
            model: std::path::absolute(model)?,
            language: language.to_owned(),
            clips,
            line: Line::Clean,
            context: Context::Fitted,
            compute: config::ComputeType::Int8,
            replicas: 1,
            threads: 1,
            together: 1,
        })
    }
}

/// What it did, after loading and one clip to warm up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) cpu_s: f64,
    pub(super) wall_s: f64,
    pub(super) texts: Vec<String>,
    /// Texts that go round in a circle. A peer does not say.
    #[serde(default)]
    pub(super) loops: usize,
}

/// One run's outcome.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Side {
    pub(super) cpu_s: f64,
    pub(super) wall_s: f64,
    pub(super) cpu_ms_per_clip: f64,
    pub(super) wer: f64,
    pub(super) words: usize,
    pub(super) loops: usize,
    /// Of each clip.
    #[serde(skip)]
    pub(super) texts: Vec<String>,
}

/// Has a process do it.
pub(super) fn measure(task: &Task, name: &'static str, mut command: Command) -> anyhow::Result<Side> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), serde_json::to_vec(task)?)?;
    command.arg(file.path());
    let done: Done = Worker::start(name, &mut command)?.report()?;
    if done.texts.len() != task.clips.len() {
        bail!("{name} answered {} of {} clips", done.texts.len(), task.clips.len());
    }
    let mut errors = Errors::default();
    for (clip, heard) in task.clips.iter().zip(&done.texts) {
        errors.add(&clip.text, heard, &task.language);
    }
    Ok(Side {
        cpu_s: done.cpu_s,
        wall_s: done.wall_s,
        cpu_ms_per_clip: done.cpu_s * 1000.0 / task.clips.len().max(1) as f64,
        wer: errors.rate(),
        words: errors.words,
        loops: done.loops,
        texts: done.texts,
    })
}

/// Our side of it.
///
/// # Errors
/// Whatever keeps it from working.
pub fn part(task: &Path) -> anyhow::Result<()> {
    let task: Task = serde_json::from_slice(&fs::read(task)?)?;
    let asr = config::Asr {
        model: task.model.to_str().context("the model's folder must be UTF-8")?.to_owned(),
        replicas: task.replicas,
        compute_type: task.compute,
        ..config::Asr::default()
    };
    let recognizer = asr::load_as(&asr, task.context, task.threads)?;
    let segments =
        task.clips.iter().map(|clip| segment(clip, task.line)).collect::<anyhow::Result<Vec<_>>>()?;
    // Like lengths together, as the engine's queue puts them.
    let mut order: Vec<usize> = (0..segments.len()).collect();
    if task.together > 1 {
        order.sort_by_key(|&at| segments[at].pcm.len());
    }
    let batches: Vec<&[usize]> = order.chunks(task.together.max(1)).collect();
    let hear = |batch: &[usize]| -> anyhow::Result<Vec<(usize, Recognized)>> {
        let clips: Vec<Segment> = batch.iter().map(|&at| segments[at].clone()).collect();
        Ok(batch.iter().copied().zip(recognizer.recognize(&task.language, &clips)?).collect())
    };
    hear(batches.first().context("no clips")?)?;
    let begun = (meter::cpu(), Instant::now());
    let heard = side_by_side(task.replicas, &batches, &hear)?;
    let (cpu_s, wall_s) = ((meter::cpu() - begun.0).as_secs_f64(), begun.1.elapsed().as_secs_f64());
    let mut texts = vec![String::new(); segments.len()];
    let mut loops = 0;
    for (at, one) in heard {
        loops += usize::from(
            asr::gate(&task.language, &one, segments[at].voiced, Purpose::PostCall) == Some(Gate::Repetition),
        );
        texts[at] = one.text;
    }
    Ok(tell(serde_json::to_string(&Done { cpu_s, wall_s, texts, loops })?)?)
}

/// Everything, by so many threads; the first does it alone where it is one.
fn side_by_side<T: Send>(
    threads: usize,
    batches: &[&[usize]],
    hear: &(impl Fn(&[usize]) -> anyhow::Result<Vec<T>> + Sync),
) -> anyhow::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<Vec<T>> {
        let mut heard = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Relaxed)) {
            heard.extend(hear(batch)?);
        }
        Ok(heard)
    };
    if threads <= 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(heard) => all.extend(heard?),
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(all)
    })
}

fn segment(clip: &Clip, line: Line) -> anyhow::Result<Segment> {
    let mut segment = Segment { pcm: line.carry(&clip.pcm()?)?.into(), voiced: std::time::Duration::ZERO };
    segment.voiced = segment.duration();
    Ok(segment)
}
