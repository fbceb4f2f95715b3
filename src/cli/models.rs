//! `sidetone models`: which speech models there are, and fetching them.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};

use super::{Context, exit};
use crate::asr::models::{self, KNOWN, Progress};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sidetone models list\n  sidetone models get tiny.en")]
pub struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the known models and which are here.
    #[command(after_help = "Example:\n  sidetone models list")]
    List,
    /// Fetch models into the models folder; those already there are left as they are.
    #[command(after_help = "Examples:\n  sidetone models get tiny.en\n  \
        sidetone models get hf:Systran/faster-whisper-small\n  sidetone models get https://example.org/models/mine")]
    Get {
        /// A known name, hf:OWNER/MODEL, the https:// address of a folder with a converted model, or a directory.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

impl Models {
    /// # Errors
    /// When a model cannot be fetched.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List => list(ctx),
            Command::Get { names } => get(ctx, names).await,
        }
    }
}

fn list(ctx: &Context) -> anyhow::Result<ExitCode> {
    let dir = models::directory(&ctx.config.asr)?;
    let is_here = |name: &str| dir.join(name).join("model.bin").is_file();
    let known = KNOWN.iter().map(|known| known.name.to_owned());
    let others = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    let others = others.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| {
        !name.starts_with('.') && KNOWN.iter().all(|known| known.name != name) && is_here(name)
    });
    let mut rows = Vec::new();
    for name in known.chain(others) {
        let entry = KNOWN.iter().find(|known| known.name == name);
        let path = dir.join(&name);
        let model = if entry.is_some() { name.clone() } else { path.display().to_string() };
        rows.push(serde_json::json!({
            "name": name,
            "languages": if models::hears(&model, "fr") { "all" } else { "en" },
            "download_mb": entry.map(|known| known.download_mb),
            "about": entry.map_or("fetched by address", |known| known.about),
            "path": is_here(&name).then(|| path.display().to_string()),
            "configured": ctx.config.asr.names().contains(&name.as_str()),
        }));
    }
    if ctx.json {
        println!("{}", serde_json::json!({ "directory": dir, "models": rows }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["NAME", "LANGUAGES", "FETCH", "HERE", "ABOUT"]);
    for row in &rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let mark = if row["configured"] == true { " (configured)" } else { "" };
        let size = row["download_mb"].as_u64().map_or_else(String::new, |mb| format!("{mb} MB"));
        let here = if row["path"].is_null() { "no" } else { "yes" };
        table.add_row([text("name") + mark, text("languages"), size, here.to_owned(), text("about")]);
    }
    println!("{table}\n\nIn {}. Fetch one: sidetone models get NAME", dir.display());
    Ok(ExitCode::SUCCESS)
}

async fn get(ctx: &Context, names: Vec<String>) -> anyhow::Result<ExitCode> {
    let config = ctx.config.clone();
    let fetched = tokio::task::spawn_blocking(move || {
        let fetch = |name: &String| models::get(name, &config.asr, &Progress::shown());
        names
            .iter()
            .map(|name| Ok((name.clone(), fetch(name)?)))
            .collect::<Result<Vec<_>, models::FetchError>>()
    })
    .await?;
    match fetched {
        Ok(paths) if ctx.json => {
            let paths: Vec<_> =
                paths.iter().map(|(name, path)| serde_json::json!({"name": name, "path": path})).collect();
            println!("{}", serde_json::json!({ "models": paths }));
        }
        Ok(_) => {}
        Err(error @ models::FetchError::Unknown(_)) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(exit::USAGE));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}
