//! `bench asr`: the same clips and the same model through Sidetone's engine and through a peer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    clips::{self, Clip},
    meter, peer,
    process::{Worker, myself, tell},
    wer::Errors,
};
use crate::{
    asr::{self, Segment, models},
    config,
};

/// faster-whisper and everything it stands on, at the versions it was measured with.
pub(super) const FASTER_WHISPER: &[&str] = &[
    "faster-whisper==1.2.1",
    "ctranslate2==4.8.5",
    "av==18.1.0",
    "onnxruntime==1.31.1",
    "tokenizers==0.23.3",
    "huggingface_hub==2.4.0",
    "numpy==2.4.6",
];

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    pub asr: config::Asr,
    pub language: String,
    pub clips: usize,
    pub with_peer: bool,
}

/// What a process is told to do.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    model: PathBuf,
    language: String,
    clips: Vec<Clip>,
}

/// What it did, after loading and one clip to warm up.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    cpu_s: f64,
    wall_s: f64,
    texts: Vec<String>,
}

/// One side's outcome.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    pub cpu_s: f64,
    pub wall_s: f64,
    pub cpu_ms_per_clip: f64,
    pub wer: f64,
}

/// The whole measurement. Rates are fractions.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub model: String,
    pub language: String,
    pub clips: usize,
    pub words: usize,
    pub audio_s: f64,
    pub mean_clip_s: f64,
    pub cpu_s: f64,
    pub wall_s: f64,
    pub cpu_ms_per_clip: f64,
    pub wer: f64,
    pub peer: Option<&'static str>,
    pub peer_cpu_s: Option<f64>,
    pub peer_wall_s: Option<f64>,
    pub peer_cpu_ms_per_clip: Option<f64>,
    pub peer_wer: Option<f64>,
    /// The peer's CPU over ours.
    pub cpu_ratio: Option<f64>,
    pub wall_ratio: Option<f64>,
}

/// Measures; fetches the model, the clips and the peer where they are missing. Blocks.
///
/// # Errors
/// When something cannot be fetched, or a process fails.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let model = match models::find(&plan.asr) {
        Ok(path) => path,
        Err(_) => models::get(&plan.asr.model, &plan.asr, &models::Progress::shown())?,
    };
    let clips = clips::prepare(&plan.language, plan.clips)?;
    let python = plan.with_peer.then(|| peer::python("faster-whisper", FASTER_WHISPER)).transpose()?;
    let task = Task { model: std::path::absolute(model)?, language: plan.language.clone(), clips };
    eprintln!("sidetone: {} clips with {}", task.clips.len(), plan.asr.model);
    let (ours, errors) = side(&task, "sidetone", myself("asr")?)?;
    let peer = match python {
        None => None,
        Some(python) => {
            eprintln!("faster-whisper: the same");
            let script = peer::script("asr_peer.py", include_str!("../../scripts/bench/asr_peer.py"))?;
            let mut command = Command::new(python);
            command.arg(script).env("OMP_NUM_THREADS", "1").env("HF_HUB_OFFLINE", "1");
            Some(side(&task, "faster-whisper", command)?.0)
        }
    };
    let audio_s = task.clips.iter().map(|clip| clip.seconds).sum::<f64>();
    Ok(Report {
        model: plan.asr.model.clone(),
        language: task.language,
        clips: task.clips.len(),
        words: errors.words,
        audio_s,
        mean_clip_s: audio_s / task.clips.len().max(1) as f64,
        peer: peer.is_some().then_some("faster-whisper 1.2.1"),
        peer_cpu_s: peer.as_ref().map(|peer| peer.cpu_s),
        peer_wall_s: peer.as_ref().map(|peer| peer.wall_s),
        peer_cpu_ms_per_clip: peer.as_ref().map(|peer| peer.cpu_ms_per_clip),
        peer_wer: peer.as_ref().map(|peer| peer.wer),
        cpu_ratio: peer.as_ref().map(|peer| peer.cpu_s / ours.cpu_s),
        wall_ratio: peer.as_ref().map(|peer| peer.wall_s / ours.wall_s),
        cpu_s: ours.cpu_s,
        wall_s: ours.wall_s,
        cpu_ms_per_clip: ours.cpu_ms_per_clip,
        wer: ours.wer,
    })
}

fn side(task: &Task, name: &'static str, mut command: Command) -> anyhow::Result<(Side, Errors)> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), serde_json::to_vec(task)?)?;
    command.arg(file.path());
    let done: Done = Worker::start(name, &mut command)?.report()?;
    let mut errors = Errors::default();
    for (clip, heard) in task.clips.iter().zip(&done.texts) {
        errors.add(&clip.text, heard, &task.language);
    }
    let clips = task.clips.len().max(1) as f64;
    let side = Side {
        cpu_s: done.cpu_s,
        wall_s: done.wall_s,
        cpu_ms_per_clip: done.cpu_s * 1000.0 / clips,
        wer: errors.rate(),
    };
    Ok((side, errors))
}

/// Our side, in a process of its own: a clip at a time, one copy of the model, one thread.
///
/// # Errors
/// Whatever keeps it from working.
pub fn part(task: &Path) -> anyhow::Result<()> {
    let task: Task = serde_json::from_slice(&fs::read(task)?)?;
    let asr = config::Asr {
        model: task.model.to_str().context("the model's folder must be UTF-8")?.to_owned(),
        replicas: 1,
        ..config::Asr::default()
    };
    let recognizer = asr::load(&asr)?;
    let segments = task
        .clips
        .iter()
        .map(|clip| {
            let mut segment = Segment { pcm: clip.pcm()?.into(), voiced: std::time::Duration::ZERO };
            segment.voiced = segment.duration();
            Ok(segment)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let hear = |segment: &Segment| -> anyhow::Result<String> {
        let mut heard = recognizer.recognize(&task.language, std::slice::from_ref(segment))?;
        Ok(heard.pop().context("no answer")?.text)
    };
    hear(segments.first().context("no clips")?)?;
    let begun = (meter::cpu(), Instant::now());
    let texts = segments.iter().map(hear).collect::<anyhow::Result<Vec<_>>>()?;
    let done = Done {
        cpu_s: (meter::cpu() - begun.0).as_secs_f64(),
        wall_s: begun.1.elapsed().as_secs_f64(),
        texts,
    };
    Ok(tell(serde_json::to_string(&done)?)?)
}
