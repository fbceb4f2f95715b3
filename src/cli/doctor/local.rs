//! What can be examined without the switch.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use rlimit::Resource;

use super::finding::Finding;
use crate::{config::Config, store::Store};

const CONFIG: &str = "configuration";
const FILES: &str = "file limit";
const PROMPTS: &str = "prompts";
const DATABASE: &str = "database";
/// Two sockets a call for a thousand calls, the database and the rest.
const ENOUGH_FILES: u64 = 4096;

/// The configuration was checked when it was read; this is what only matters once calls are placed.
pub(super) fn configuration(config: &Config) -> Finding {
    if let Some(fault) = config.check().first() {
        return Finding::failed(
            CONFIG,
            fault.to_string(),
            "mend it: `sidetone config example` explains every key",
        );
    }
    if config.switch.caller_id.is_empty() {
        let todo = "set switch.caller_id to the number to show to those you call";
        return Finding::failed(CONFIG, "switch.caller_id is empty: no call can be placed", todo);
    }
    Finding::ok(CONFIG, "valid")
}

pub(super) fn file_limit() -> Finding {
    match Resource::NOFILE.get() {
        // `serve` raises the soft limit by itself.
        Ok((_, hard)) if hard >= ENOUGH_FILES => Finding::ok(FILES, format!("{hard} files")),
        Ok((_, hard)) => Finding::failed(
            FILES,
            format!("{hard} files: enough for about {} calls", hard.saturating_sub(100) / 2),
            "LimitNOFILE=65536 in the systemd unit, or `ulimit -Hn 65536`",
        ),
        Err(error) => Finding::skipped(FILES, format!("cannot be read: {error}")),
    }
}

pub(super) fn prompts(config: &Config) -> Finding {
    let dir = &config.prompts.dir;
    match (fs::read_dir(dir), any_prompt(dir)) {
        (Err(error), _) => {
            let todo = "set prompts.dir to the folder with the scenarios' prompts";
            Finding::failed(PROMPTS, format!("{}: {error}", absolute(dir).display()), todo)
        }
        (Ok(_), None) => {
            let todo = "put the scenarios' prompts there, as WAV";
            Finding::failed(PROMPTS, format!("{} holds no .wav", absolute(dir).display()), todo)
        }
        (Ok(_), Some(_)) => Finding::ok(PROMPTS, absolute(dir).display().to_string()),
    }
}

pub(super) async fn database(config: &Config) -> Finding {
    let url = &config.store.url;
    let began = Instant::now();
    let tried = async {
        let store = Store::open(url).await?;
        let written = store.check_writable().await;
        store.close().await;
        written
    };
    match tried.await {
        Ok(()) => Finding::ok(DATABASE, format!("{url}: written in {} ms", began.elapsed().as_millis())),
        Err(error) => {
            let todo =
                "see that store.url names a file in a folder that this user can write, on a disk with room";
            Finding::failed(DATABASE, error.to_string(), todo)
        }
    }
}

/// The first WAV under a folder, relative to it.
pub(super) fn any_prompt(dir: &Path) -> Option<PathBuf> {
    first_wav(dir, 3).ok().flatten().and_then(|file| file.strip_prefix(dir).map(Path::to_owned).ok())
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn first_wav(dir: &Path, depth: u32) -> io::Result<Option<PathBuf>> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    if let Some(file) = entries.iter().find(|path| path.extension().is_some_and(|kind| kind == "wav")) {
        return Ok(Some(file.clone()));
    }
    let folders = entries.iter().filter(|path| depth > 0 && path.is_dir());
    Ok(folders.filter_map(|folder| first_wav(folder, depth - 1).ok().flatten()).next())
}
