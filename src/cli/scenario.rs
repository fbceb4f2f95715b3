//! `sidetone scenario`: check, draw and list the prompts of scenario files.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;
use sidetone_core::{
    scenario::{Scenario, mermaid},
    yaml::{Finding, Severity},
};

use super::{Context, exit, output::usage};
use crate::scenario_file::{missing_prompts, resolve};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  sidetone scenario check scenarios/*.yaml")]
pub enum ScenarioCommand {
    /// Check scenario files: keys, targets, unreachable steps, prompts.
    ///
    /// Every finding names the file, the line and the key. Exits with 2 where a file cannot be used.
    #[command(after_help = "Example:\n  sidetone scenario check scenarios/*.yaml")]
    Check {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print a scenario as a Mermaid flowchart.
    #[command(
        after_help = "Example:\n  sidetone scenario graph scenarios/appointment-reminder.yaml > reminder.mmd"
    )]
    Graph {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// List the prompt files that scenarios play, and the words each must say.
    ///
    /// One line a prompt: language, file, text, parted by tabs.
    #[command(after_help = "Example:\n  sidetone scenario prompts scenarios/lead-qualification.yaml")]
    Prompts {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

impl ScenarioCommand {
    /// # Errors
    /// A file that cannot be read.
    #[expect(clippy::unused_async, reason = "every command is run the same way")]
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let found = |files: Vec<PathBuf>| {
            let dir = &ctx.config.scenarios.dir;
            files.iter().map(|file| resolve(&file.to_string_lossy(), dir)).collect::<Vec<_>>()
        };
        let done = match self {
            Self::Check { files } => check(&found(files), ctx),
            Self::Graph { file } => graph(&found(vec![file]), ctx),
            Self::Prompts { files } => prompts(&found(files), ctx),
        };
        match done {
            Err(error) if error.is::<Unreadable>() => Ok(usage(error)),
            done => done,
        }
    }
}

/// A wrong argument rather than a failure.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {source}", path.display())]
struct Unreadable {
    path: PathBuf,
    source: std::io::Error,
}

/// A file, and what was found in it.
struct Checked {
    file: String,
    scenario: Option<Scenario>,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

fn check(files: &[PathBuf], ctx: &Context) -> anyhow::Result<ExitCode> {
    let checked =
        files.iter().map(|file| check_file(file, &ctx.config.prompts.dir)).collect::<Result<Vec<_>, _>>()?;
    let failed = checked.iter().any(|one| !one.errors.is_empty());
    if ctx.json {
        let files: Vec<_> = checked.iter().map(to_json).collect();
        println!("{:#}", json!({ "ok": !failed, "files": files }));
    } else {
        checked.iter().for_each(print_checked);
    }
    Ok(ExitCode::from(if failed { exit::USAGE } else { exit::OK }))
}

fn check_file(path: &Path, prompts_dir: &Path) -> anyhow::Result<Checked> {
    let text = read(path)?;
    let file = path.display().to_string();
    Ok(match Scenario::parse(&text, &file) {
        Ok(scenario) => {
            let errors = missing_prompts(&scenario.prompt_files(), prompts_dir);
            let warnings = scenario.warnings().to_vec();
            Checked { file, scenario: Some(scenario), errors, warnings }
        }
        Err(error) => {
            let missing = missing_prompts(&error.prompts, prompts_dir);
            let all = error.findings.into_iter().chain(missing);
            let (mut errors, warnings): (Vec<_>, Vec<_>) = all.partition(|f| f.severity == Severity::Error);
            errors.sort_by_key(|finding| finding.place);
            Checked { file, scenario: None, errors, warnings }
        }
    })
}

fn print_checked(one: &Checked) {
    for finding in one.errors.iter().chain(&one.warnings) {
        eprintln!("{}", finding.line(&one.file));
    }
    match &one.scenario {
        Some(scenario) if one.errors.is_empty() => println!(
            "{}: ok: {}, {}, {} steps, {} prompts",
            one.file,
            scenario.name,
            scenario.language,
            scenario.steps().len(),
            scenario.prompt_files().len()
        ),
        Some(_) | None => println!("{}: {} to mend", one.file, one.errors.len()),
    }
}

fn to_json(one: &Checked) -> serde_json::Value {
    json!({
        "file": one.file,
        "ok": one.errors.is_empty(),
        "name": one.scenario.as_ref().map(|scenario| scenario.name.clone()),
        "language": one.scenario.as_ref().map(|scenario| scenario.language.clone()),
        "steps": one.scenario.as_ref().map(|scenario| scenario.steps().len()),
        "prompts": one.scenario.as_ref().map(|scenario| scenario.prompt_files().len()),
        "errors": one.errors,
        "warnings": one.warnings,
    })
}

fn graph(files: &[PathBuf], ctx: &Context) -> anyhow::Result<ExitCode> {
    for file in files {
        let Some(scenario) = parse_or_tell(file)? else { return Ok(ExitCode::from(exit::USAGE)) };
        let drawing = mermaid(&scenario);
        if ctx.json {
            println!("{:#}", json!({ "name": scenario.name, "mermaid": drawing }));
        } else {
            print!("{drawing}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn prompts(files: &[PathBuf], ctx: &Context) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    for file in files {
        let Some(scenario) = parse_or_tell(file)? else { return Ok(ExitCode::from(exit::USAGE)) };
        let prompts = scenario.prompt_files().into_iter();
        all.extend(prompts.map(|file| (scenario.language.clone(), file.prompt.file, file.prompt.text)));
    }
    if ctx.json {
        let prompts: Vec<_> = all
            .iter()
            .map(|(language, file, text)| json!({ "language": language, "file": file, "text": text }))
            .collect();
        println!("{:#}", json!({ "prompts": prompts }));
    } else {
        for (language, file, text) in all {
            println!("{language}\t{file}\t{}", text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse_or_tell(path: &Path) -> anyhow::Result<Option<Scenario>> {
    let text = read(path)?;
    match Scenario::parse(&text, &path.display().to_string()) {
        Ok(scenario) => Ok(Some(scenario)),
        Err(error) => {
            eprintln!("{error}");
            Ok(None)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(path).map_err(|source| Unreadable { path: path.to_owned(), source })?)
}
