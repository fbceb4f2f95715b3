//! `bench asr`: the same clips and the same model through Sidetone's engine and through a peer.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    clips, peer,
    process::myself,
    run::{self, Task},
};
use crate::{
    asr::{Context, models},
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
/// Clips decoded at once where several wait: as many as the engine takes.
const TOGETHER: usize = 4;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    pub asr: config::Asr,
    pub language: String,
    pub clips: usize,
    pub with_peer: bool,
    /// How much of 30 s our side is given.
    pub context: Context,
    /// Where to write what was said and heard, a line of JSON for each clip.
    pub out: Option<PathBuf>,
}

/// A clip in [`Plan::out`].
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: &'a Path,
    seconds: f64,
    text: &'a str,
    heard: &'a str,
    together: &'a str,
    peer: Option<&'a str>,
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
    /// A clip at a time.
    pub cpu_s: f64,
    pub wall_s: f64,
    pub cpu_ms_per_clip: f64,
    pub wer: f64,
    /// The same clips, so many decoded at once, as the engine does where so many wait.
    pub together: usize,
    pub together_cpu_s: f64,
    pub together_wall_s: f64,
    pub together_cpu_ms_per_clip: f64,
    pub together_wer: f64,
    pub peer: Option<&'static str>,
    pub peer_cpu_s: Option<f64>,
    pub peer_wall_s: Option<f64>,
    pub peer_cpu_ms_per_clip: Option<f64>,
    pub peer_wer: Option<f64>,
    /// The peer's CPU over ours, a clip at a time.
    pub cpu_ratio: Option<f64>,
    pub wall_ratio: Option<f64>,
    /// The peer's CPU over ours where ours are decoded together.
    pub together_cpu_ratio: Option<f64>,
}

/// Measures; fetches the model, the clips and the peer where they are missing. Blocks.
///
/// # Errors
/// When something cannot be fetched, or a process fails.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let model = models::find_or_get(&plan.asr)?;
    let clips = clips::prepare(&plan.language, plan.clips)?;
    let python = plan.with_peer.then(|| peer::python("faster-whisper", FASTER_WHISPER)).transpose()?;
    let task = Task { context: plan.context, ..Task::new(&model, &plan.language, clips)? };
    eprintln!("sidetone: {} clips with {}", task.clips.len(), plan.asr.model);
    let ours = run::measure(&task, "sidetone", myself("asr")?)?;
    let batched = Task { together: TOGETHER, ..task.clone() };
    let batched = run::measure(&batched, "sidetone", myself("asr")?)?;
    let peer = match python {
        None => None,
        Some(python) => {
            eprintln!("faster-whisper: the same");
            let script = peer::script("asr_peer.py", include_str!("../../scripts/bench/asr_peer.py"))?;
            let mut command = Command::new(python);
            command.arg(script).env("OMP_NUM_THREADS", "1").env("HF_HUB_OFFLINE", "1");
            Some(run::measure(&task, "faster-whisper", command)?)
        }
    };
    let peer = peer.as_ref();
    if let Some(path) = &plan.out {
        let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
        for (at, clip) in task.clips.iter().enumerate() {
            let line = Line {
                file: &clip.file,
                seconds: clip.seconds,
                text: &clip.text,
                heard: &ours.texts[at],
                together: &batched.texts[at],
                peer: peer.map(|peer| peer.texts[at].as_str()),
            };
            serde_json::to_writer(&mut file, &line)?;
            writeln!(file)?;
        }
        file.flush().with_context(|| path.display().to_string())?;
    }
    let audio_s = task.clips.iter().map(|clip| clip.seconds).sum::<f64>();
    Ok(Report {
        model: plan.asr.model.clone(),
        clips: task.clips.len(),
        words: ours.words,
        audio_s,
        mean_clip_s: audio_s / task.clips.len().max(1) as f64,
        peer: peer.is_some().then_some("faster-whisper 1.2.1"),
        peer_cpu_s: peer.map(|peer| peer.cpu_s),
        peer_wall_s: peer.map(|peer| peer.wall_s),
        peer_cpu_ms_per_clip: peer.map(|peer| peer.cpu_ms_per_clip),
        peer_wer: peer.map(|peer| peer.wer),
        cpu_ratio: peer.map(|peer| peer.cpu_s / ours.cpu_s),
        wall_ratio: peer.map(|peer| peer.wall_s / ours.wall_s),
        together_cpu_ratio: peer.map(|peer| peer.cpu_s / batched.cpu_s),
        cpu_s: ours.cpu_s,
        wall_s: ours.wall_s,
        cpu_ms_per_clip: ours.cpu_ms_per_clip,
        wer: ours.wer,
        together: TOGETHER,
        together_cpu_s: batched.cpu_s,
        together_wall_s: batched.wall_s,
        together_cpu_ms_per_clip: batched.cpu_ms_per_clip,
        together_wer: batched.wer,
        language: task.language,
    })
}
