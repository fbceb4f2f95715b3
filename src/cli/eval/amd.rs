//! `sidetone eval amd`: are people taken for people and machines for machines?

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sidetone_core::{amd::AmdProfile, call::CallConfig};

use super::{Listening, tables};
use crate::{
    app::call_config,
    cli::{
        Context, exit,
        output::{document, note, say, usage},
    },
    config::Config,
    eval::{self, BadRow, ClipResult, Hearing, Manifest, RATE, Row, amd},
};

/// Measures who is taken for whom, on recorded calls.
///
/// MANIFEST is a table (tabs or commas) with the columns `file` (relative to it), `label` (HUMAN, MACHINE, BEEP,
/// BUSY, RINGBACK, SIT, FAX, MUSIC, SILENCE) and `lang` (the campaign's language; `zxx`: the default one), and
/// optionally `speech_start_s`, `speech_end_s`, `effect`, `subtype`, `real_or_tts`. Every clip is a call answered
/// at its start, with silence on the line for 15 s behind it; time is media time, the recogniser's work included.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sidetone eval amd corpus/manifest.tsv --out clips.jsonl --html amd.html\n\n\
    Exits with 2 where rows of the manifest cannot be used; the others are measured all the same."
)]
pub struct Amd {
    #[arg(value_name = "MANIFEST")]
    manifest: PathBuf,
    #[command(flatten)]
    listening: Listening,
    /// The campaign's language where a row's is `zxx`.
    #[arg(long, value_name = "LANG", default_value = "en")]
    default_language: String,
    /// How the verdict is reached.
    #[arg(long, value_enum, value_name = "NAME")]
    profile: Option<Profile>,
    /// Write one JSON line a clip, with its evidence.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write everything with its curves as one HTML file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// How the verdict is reached.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Profile {
    /// As soon as the evidence allows.
    Anytime,
    /// The whole window at once, then keywords.
    Batch,
    /// Without the recogniser: how long they speak and pause.
    Cadence,
}

impl From<Profile> for AmdProfile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Anytime => Self::Anytime,
            Profile::Batch => Self::Batch,
            Profile::Cadence => Self::Cadence,
        }
    }
}

impl Amd {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let ctx = ctx.clone();
        tokio::task::spawn_blocking(move || self.evaluate(&ctx)).await?
    }

    fn evaluate(&self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let manifest = match Manifest::read(&self.manifest, &self.default_language) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(usage(error)),
        };
        let Manifest { rows, mut bad } = manifest;
        let rows = self.listening.pick(rows, |row| &row.file);
        let languages: BTreeSet<String> = rows.iter().map(|row| row.language.clone()).collect();
        let hearing = match self.listening.load(ctx, languages.iter().cloned().collect())? {
            Ok(hearing) => hearing,
            Err(code) => return Ok(code),
        };
        let (clips, broken) = self.hear(&ctx.config, &rows, &languages, &hearing)?;
        bad.extend(broken);
        bad.sort_by_key(|row| row.line);
        for BadRow { line, reason } in &bad {
            note(format_args!("{}, line {line}: {reason}", self.manifest.display()));
        }
        if let Some(path) = &self.out {
            write_lines(path, &clips)?;
        }
        let code = if bad.is_empty() && !clips.is_empty() { exit::OK } else { exit::USAGE };
        let report = eval::report(&clips, hearing.models_of_verdicts(), bad);
        if let Some(path) = &self.html {
            let page = eval::html::page(&report, &clips).map_err(anyhow::Error::msg)?;
            std::fs::write(path, page).with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        if ctx.json {
            document(&report)?;
        } else {
            say(tables::amd(&report))?;
        }
        Ok(ExitCode::from(code))
    }

    fn hear(
        &self,
        config: &Arc<Config>,
        rows: &[Row],
        languages: &BTreeSet<String>,
        hearing: &Hearing,
    ) -> anyhow::Result<(Vec<ClipResult>, Vec<BadRow>)> {
        let scripts = amd::Scripts::new(languages.iter().map(String::as_str)).map_err(anyhow::Error::msg)?;
        let bar = progress(rows.len());
        let one = |row: &Row| -> Result<ClipResult, BadRow> {
            let config = call_config(config, RATE, &row.language, true).map(|call| self.with_profile(call));
            let run = config.and_then(|config| amd::run(row, config, &scripts, hearing));
            run.map(|run| ClipResult::new(row, run)).map_err(|reason| BadRow { line: row.line, reason })
        };
        let results = eval::each(rows, self.listening.jobs, one, || bar.inc(1));
        bar.finish_and_clear();
        let (mut clips, mut broken) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(clip) => clips.push(clip),
                Err(row) => broken.push(row),
            }
        }
        Ok((clips, broken))
    }

    fn with_profile(&self, mut call: CallConfig) -> CallConfig {
        if let (Some(amd), Some(profile)) = (&mut call.amd, self.profile) {
            amd.profile = profile.into();
        }
        call
    }
}

pub(super) fn progress(total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta} left");
    let bar = ProgressBar::new(total as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(super) fn write_lines<T: Serialize>(path: &Path, items: &[T]) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for item in items {
            serde_json::to_writer(&mut file, item)?;
            file.write_all(b"\n")?;
        }
        Ok(file.flush()?)
    };
    write().with_context(|| format!("{}: cannot be written", path.display()))
}
