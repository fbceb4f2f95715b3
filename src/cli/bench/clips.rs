//! `sidetone bench asr` and `tune`: the recogniser on labelled clips.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};

use crate::{
    asr::{Context, Recipe, models},
    bench::{asr, tune},
    cli::output::{document, say, usage},
    config,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sidetone bench asr --peer faster-whisper --json\n  \
    sidetone bench asr --peer faster-whisper --model small --language fr")]
pub struct Asr {
    /// Measure this one too, with the same model and the same clips.
    #[arg(long, value_name = "NAME")]
    peer: Option<AsrPeer>,
    /// A model's name or directory [default: the configured one].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The clips' language: en, fr, es, it, ru.
    #[arg(long, default_value = "en", value_name = "CODE")]
    language: String,
    /// How many clips, about 2.3 s each.
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    clips: u32,
    /// Seconds of silence that are encoded with each clip, or `all`: up to 30 s, as Whisper was trained [default: as
    /// calls are heard with this model].
    #[arg(long, value_name = "SECONDS", value_parser = silence)]
    silence: Option<Context>,
    /// Write what was said and heard, a line of JSON for each clip.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A frame of the encoder is 20 ms. What is put behind is as everywhere.
fn silence(text: &str) -> Result<Context, String> {
    if text == "all" {
        return Ok(Context::Full);
    }
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=28.0).contains(&seconds) => {
            Ok(Context::Tail(Recipe::new((seconds * 50.0).round() as usize, 100, 100, 1)))
        }
        Ok(_) | Err(_) => Err("write seconds from 0 to 28, or all".to_owned()),
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AsrPeer {
    FasterWhisper,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sidetone bench tune --model small --language fr --clips 60 --json")]
pub struct Tune {
    /// A model's name or directory [default: the configured one].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The clips' language: en, fr, es, it, ru.
    #[arg(long, default_value = "en", value_name = "CODE")]
    language: String,
    /// How many clips, about 2.3 s each.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    clips: u32,
}

impl Asr {
    pub(super) fn run(self, configured: config::Asr, json: bool) -> anyhow::Result<ExitCode> {
        let model = self.model.unwrap_or_else(|| configured.model.clone());
        if let Some(deaf) = deaf(&model, &self.language) {
            return Ok(usage(deaf));
        }
        let report = asr::run(&asr::Plan {
            asr: config::Asr { model, ..configured },
            language: self.language,
            clips: self.clips as usize,
            with_peer: self.peer.is_some(),
            context: self.silence.unwrap_or(Context::Fitted),
            out: self.out,
        })?;
        if json {
            document(&report)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["", "CPU MS/CLIP", "CPU S", "WALL S", "WER"]);
        let row = |name: &str, per_clip: f64, cpu: f64, wall: f64, wer: f64| {
            [
                name.to_owned(),
                format!("{per_clip:.1}"),
                format!("{cpu:.1}"),
                format!("{wall:.1}"),
                format!("{wer:.4}"),
            ]
        };
        table.add_row(row("sidetone", report.cpu_ms_per_clip, report.cpu_s, report.wall_s, report.wer));
        table.add_row(row(
            &format!("{} together", report.together),
            report.together_cpu_ms_per_clip,
            report.together_cpu_s,
            report.together_wall_s,
            report.together_wer,
        ));
        if let (Some(name), Some(per_clip), Some(cpu), Some(wall), Some(wer)) =
            (report.peer, report.peer_cpu_ms_per_clip, report.peer_cpu_s, report.peer_wall_s, report.peer_wer)
        {
            table.add_row(row(name, per_clip, cpu, wall, wer));
        }
        say(&table)?;
        say(format_args!(
            "\n{} clips of {:.2} s, {} words, {}, {}",
            report.clips, report.mean_clip_s, report.words, report.model, report.language
        ))?;
        if let (Some(ratio), Some(together)) = (report.cpu_ratio, report.together_cpu_ratio) {
            say(format_args!(
                "{ratio:.1} times less CPU than the peer; {together:.1} times where {} are decoded together",
                report.together
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Tune {
    pub(super) fn run(self, configured: config::Asr, json: bool) -> anyhow::Result<ExitCode> {
        let model = self.model.unwrap_or_else(|| configured.model.clone());
        if let Some(deaf) = deaf(&model, &self.language) {
            return Ok(usage(deaf));
        }
        let report = tune::run(&tune::Plan {
            asr: config::Asr { model, ..configured },
            language: self.language,
            clips: self.clips as usize,
        })?;
        if json {
            document(&report)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut tails = Table::new();
        tails.load_style(presets::NOTHING).set_header([
            "MARGIN",
            "NEXT",
            "LAST",
            "STEP",
            "CPU MS/CLIP",
            "WER",
            "BAD LINES",
            "LOOPS",
            "",
        ]);
        for tail in &report.tails {
            let parts = match tail.recipe {
                Some(Recipe { margin, next, last, step }) => {
                    [margin, next, last, step].map(|n| n.to_string())
                }
                None => ["30 s", "", "", ""].map(str::to_owned),
            };
            let verdict = match tail.recipe {
                None => "",
                chosen if chosen == report.chosen => "chosen",
                Some(_) if tail.passes => "",
                Some(_) => "errs more",
            };
            tails.add_row(parts.into_iter().chain([
                format!("{:.1}", tail.cpu_ms_per_clip),
                format!("{:.4}", tail.wer),
                format!("{:.4}", tail.bad_wer),
                tail.loops.to_string(),
                verdict.to_owned(),
            ]));
        }
        let mut ways = Table::new();
        ways.load_style(presets::NOTHING).set_header([
            "COPIES",
            "THREADS",
            "TOGETHER",
            "COMPUTE",
            "INSTRUCTIONS",
            "CPU MS/CLIP",
            "CLIPS/S",
            "WER",
        ]);
        for way in &report.ways {
            ways.add_row([
                way.replicas.to_string(),
                way.threads.to_string(),
                way.together.to_string(),
                format!("{:?}", way.compute).to_lowercase(),
                way.isa.unwrap_or("-").to_owned(),
                format!("{:.1}", way.cpu_ms_per_clip),
                format!("{:.1}", way.clips_per_s),
                format!("{:.4}", way.wer),
            ]);
        }
        say(format_args!(
            "{tails}\n\n{ways}\n\n{} clips, {} words, {}",
            report.clips, report.words, report.model
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Why a model cannot be measured on a language.
fn deaf(model: &str, language: &str) -> Option<String> {
    let line = models::suggestion(language);
    (!models::hears(model, language)).then(|| {
        format!("the model `{model}` does not understand `{language}`: fetch one that does with `{line}`")
    })
}
