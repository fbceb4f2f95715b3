//! `sidetone transcribe`: what is said in sound files, by the model that calls are heard with.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;

use super::{Context, exit};
use crate::{
    asr::{self, Recognizer, Segment, models},
    audio, config,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sidetone transcribe greeting.wav\n  \
    sidetone transcribe --model small --language fr --json *.mp3")]
pub struct Transcribe {
    /// Sound files: wav, flac, ogg (Vorbis), mp3.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A model's name or directory [default: the configured one].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The language spoken, as a code.
    #[arg(long, default_value = "en", value_name = "CODE")]
    language: String,
}

/// One file's outcome.
struct Line {
    file: PathBuf,
    seconds: f64,
    text: Result<asr::Recognized, String>,
    took: Duration,
}

impl Transcribe {
    /// # Errors
    /// When the model cannot be loaded.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let mut asr = ctx.config.asr.clone();
        if let Some(model) = &self.model {
            asr.backend = config::AsrBackend::Whisper;
            asr.model.clone_from(model);
        } else {
            asr.model = asr.model_for(&self.language).to_owned();
        }
        let is_here = asr.backend == config::AsrBackend::Whisper;
        if is_here && let Err(error) = models::find(&asr) {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(exit::UNAVAILABLE));
        }
        if is_here && !models::hears(&asr.model, &self.language) {
            let (model, language) = (&asr.model, &self.language);
            let line = models::suggestion(language);
            eprintln!(
                "error: the model `{model}` does not understand `{language}`: fetch one that does with `{line}`"
            );
            return Ok(ExitCode::from(exit::USAGE));
        }
        let json = ctx.json;
        let lines = tokio::task::spawn_blocking(move || self.transcribe(&asr, json)).await??;
        if json {
            println!("{}", document(&lines));
        }
        let failed = lines.iter().any(|line| line.text.is_err());
        Ok(ExitCode::from(if failed { exit::FAILED } else { exit::OK }))
    }

    fn transcribe(&self, asr: &config::Asr, json: bool) -> anyhow::Result<Vec<Line>> {
        let recognizer = asr::load(&config::Asr { replicas: 1, ..asr.clone() })?;
        let language = asr::primary_language(&self.language);
        let mut lines = Vec::new();
        for file in &self.files {
            let line = one(recognizer.as_ref(), &language, file);
            match &line.text {
                Err(error) => eprintln!("error: {error}"),
                Ok(heard) if !json && self.files.len() > 1 => println!("{}: {}", file.display(), heard.text),
                Ok(heard) if !json => println!("{}", heard.text),
                Ok(_) => {}
            }
            lines.push(line);
        }
        Ok(lines)
    }
}

fn one(recognizer: &dyn Recognizer, language: &str, file: &Path) -> Line {
    let mut line =
        Line { file: file.to_owned(), seconds: 0.0, text: Err(String::new()), took: Duration::ZERO };
    let heard = || -> Result<(Segment, asr::Recognized, Duration), String> {
        let sound = audio::read(file).map_err(|error| error.to_string())?;
        let pcm = sound.at_rate(asr::SAMPLE_RATE).map_err(|error| error.to_string())?;
        let mut segment = Segment { pcm: pcm.into(), voiced: Duration::ZERO };
        segment.voiced = segment.duration();
        let begun = Instant::now();
        let mut texts = recognizer
            .recognize(language, std::slice::from_ref(&segment))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let text = texts.pop().ok_or_else(|| format!("{}: no answer", file.display()))?;
        Ok((segment, text, begun.elapsed()))
    };
    line.text = heard().map(|(segment, text, took)| {
        (line.seconds, line.took) = (segment.duration().as_secs_f64(), took);
        text
    });
    line
}

fn document(lines: &[Line]) -> serde_json::Value {
    let rows: Vec<_> = lines
        .iter()
        .map(|line| match &line.text {
            Ok(heard) => json!({
                "file": line.file,
                "seconds": line.seconds,
                "text": heard.text,
                "score": heard.score,
                "no_speech": heard.no_speech,
                "compute_ms": u64::try_from(line.took.as_millis()).unwrap_or(u64::MAX),
            }),
            Err(error) => json!({ "file": line.file, "error": error }),
        })
        .collect();
    json!({ "files": rows })
}
