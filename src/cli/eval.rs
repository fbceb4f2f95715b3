//! `sidetone eval`: recorded calls through the same core and recogniser as live ones, and what came of them.

mod amd;
mod bargein;
mod tables;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use super::{
    Context,
    output::{unavailable, usage},
};
use crate::eval::{Hearing, HearingError, NONE, Wanted};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  sidetone eval amd --help")]
pub enum Eval {
    Amd(amd::Amd),
    #[command(name = "bargein")]
    BargeIn(bargein::BargeIn),
}

impl Eval {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Amd(command) => command.run(ctx).await,
            Self::BargeIn(command) => command.run(ctx).await,
        }
    }
}

/// How it is heard: the same for every evaluation.
#[derive(Debug, Clone, clap::Args)]
pub struct Listening {
    /// Speech model for every language it understands [default: tiny.en for English, else the configured one or
    /// a fetched multilingual one].
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Speech model for one language: `fr=base`. May be repeated.
    #[arg(long = "model-for", value_name = "LANG=MODEL", value_parser = language_model)]
    model_for: Vec<(String, String)>,
    /// Speech model with a last word on who answered, for one language: `fr=small`, or `fr=none`. May be repeated
    /// [default: `asr.careful`, else base.en and small where they are fetched and no other model is asked for].
    #[arg(long = "careful-for", value_name = "LANG=MODEL", value_parser = language_model)]
    careful_for: Vec<(String, String)>,
    /// Let every transcription take so long instead of what it took: repeatable runs.
    #[arg(long, value_name = "N")]
    compute_ms: Option<u64>,
    /// Keep transcripts in this file and take them from there in later runs.
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
    /// Clips heard at the same time.
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// Hear only so many, spread over the list.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Hear only those whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

impl Listening {
    /// Loads a model a language; an exit code where that cannot be.
    fn load(&self, ctx: &Context, languages: Vec<String>) -> anyhow::Result<Result<Hearing, ExitCode>> {
        let wanted = Wanted {
            model: self.model.clone(),
            by_language: self.model_for.iter().cloned().collect(),
            careful: self.careful_for.iter().cloned().collect(),
        };
        let hearing = Hearing::load(&ctx.config.asr, &wanted, languages, self.jobs);
        let hearing = hearing.map(|hearing| hearing.taking(self.compute_ms.map(Duration::from_millis)));
        let hearing = hearing.and_then(|hearing| match &self.cache {
            Some(path) => hearing.cached(path),
            None => Ok(hearing),
        });
        Ok(match hearing {
            Ok(hearing) => Ok(hearing),
            Err(error @ HearingError::Deaf { .. }) if self.names_models() => Err(usage(error)),
            Err(error @ (HearingError::Deaf { .. } | HearingError::Load(_) | HearingError::Cache { .. })) => {
                Err(unavailable(error))
            }
        })
    }

    /// Where nobody asks who answered, no model has a last word on it.
    fn without_verdicts<'a>(&self, languages: impl IntoIterator<Item = &'a String>) -> Self {
        let careful_for = languages.into_iter().map(|language| (language.clone(), NONE.to_owned())).collect();
        Self { careful_for, ..self.clone() }
    }

    fn names_models(&self) -> bool {
        let careful = self.careful_for.iter().any(|(_, model)| model != NONE);
        self.model.is_some() || !self.model_for.is_empty() || careful
    }

    /// Those the filter lets through, thinned out to the limit.
    fn pick<T>(&self, items: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
        let filtered: Vec<T> = items
            .into_iter()
            .filter(|item| self.filter.as_deref().is_none_or(|text| name(item).contains(text)))
            .collect();
        let total = filtered.len();
        let Some(limit) = self.limit.filter(|limit| *limit < total) else { return filtered };
        let spread: Vec<usize> = (0..limit).map(|n| n * total / limit).collect();
        filtered
            .into_iter()
            .enumerate()
            .filter(|(n, _)| spread.binary_search(n).is_ok())
            .map(|(_, item)| item)
            .collect()
    }
}

fn language_model(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(language, model)| !language.is_empty() && !model.is_empty());
    let (language, model) = parts.ok_or_else(|| format!("`{text}`: write LANG=MODEL, such as fr=base"))?;
    Ok((crate::asr::primary_language(language), model.to_owned()))
}
