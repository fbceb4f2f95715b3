//! The Python that peers run in: a virtual environment a peer, pinned, in the cache folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("no home directory for the peer's environment")]
    NoHome,
    #[error("{path}: {source}")]
    Place { path: PathBuf, source: std::io::Error },
    #[error("`{program}` is needed to fetch what is measured against: {source}")]
    Program { program: String, source: std::io::Error },
    #[error("{what} failed:\n{output}")]
    Failed { what: String, output: String },
}

/// Where everything that measurements fetch is kept.
pub(super) fn cache() -> Result<PathBuf, PeerError> {
    let dirs = directories::ProjectDirs::from("", "", "sidetone").ok_or(PeerError::NoHome)?;
    let dir = dirs.cache_dir().join("bench");
    fs::create_dir_all(&dir).map_err(|source| PeerError::Place { path: dir.clone(), source })?;
    Ok(dir)
}

/// A Python with these packages (exact versions) and nothing else, made at the first use.
pub(super) fn python(name: &str, packages: &[&str]) -> Result<PathBuf, PeerError> {
    let venv = cache()?.join(name);
    let (python, ready) = (venv.join("bin/python"), venv.join(".ready"));
    let wanted = packages.join("\n");
    if python.is_file() && fs::read_to_string(&ready).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    eprintln!("fetching {} (once)", packages.join(" "));
    fs::remove_dir_all(&venv).ok();
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), "making a Python environment")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    run(pip.args(packages), "installing the peer")?;
    fs::write(&ready, wanted).map_err(|source| PeerError::Place { path: ready, source })?;
    Ok(python)
}

/// Writes a script that is part of this program beside the environments.
pub(super) fn script(name: &str, text: &str) -> Result<PathBuf, PeerError> {
    let path = cache()?.join(name);
    fs::write(&path, text).map_err(|source| PeerError::Place { path: path.clone(), source })?;
    Ok(path)
}

/// Runs a program to its end; its output is shown only when it fails.
pub(super) fn run(command: &mut Command, what: &str) -> Result<(), PeerError> {
    let program = Path::new(command.get_program()).display().to_string();
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|source| PeerError::Program { program, source })?;
    if done.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    Err(PeerError::Failed { what: what.to_owned(), output: output.into_owned() })
}
