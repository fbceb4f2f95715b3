//! The files beside the database: recordings and JSON lines, named by call id.

use std::path::{Path, PathBuf};

use sidetone_core::call::CallId;

use crate::config::Config;

/// Where a call's files are: `record.dir`, or the folder `recordings` beside the database where that is empty
/// (in the working folder where the database is elsewhere).
#[must_use]
pub fn record_dir(config: &Config) -> PathBuf {
    if !config.record.dir.is_empty() {
        return PathBuf::from(&config.record.dir);
    }
    let path = config.store.url.strip_prefix("sqlite:").unwrap_or_default();
    let path = path.strip_prefix("//").unwrap_or(path).split('?').next().unwrap_or_default();
    Path::new(path).with_file_name("recordings")
}

/// Deletes the files of these calls, `{call id}.*` and `{call id}-*`, and says how many there were.
///
/// # Errors
/// The first file that could not be deleted, after the others were.
pub fn delete_files(dir: &Path, calls: &[CallId]) -> std::io::Result<usize> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut deleted = 0;
    let mut first_error = Ok(());
    for entry in entries {
        let entry = entry?;
        if calls.iter().any(|call| is_of(&entry.file_name().to_string_lossy(), call.as_str())) {
            match std::fs::remove_file(entry.path()) {
                Ok(()) => deleted += 1,
                Err(error) => first_error = first_error.and(Err(error)),
            }
        }
    }
    first_error.map(|()| deleted)
}

fn is_of(file: &str, call: &str) -> bool {
    let known = ["jsonl", "wav"].iter().any(|extension| file.ends_with(&format!(".{extension}")));
    known && file.strip_prefix(call).is_some_and(|rest| rest.starts_with(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_the_files_of_the_call_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["c-1.jsonl", "c-1.amd.wav", "c-12.jsonl", "c-1.db", "other.wav"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let call = CallId::new("c-1").unwrap();
        assert_eq!(delete_files(folder.path(), std::slice::from_ref(&call)).unwrap(), 2);
        assert!(folder.path().join("c-12.jsonl").exists() && folder.path().join("c-1.db").exists());
        assert_eq!(delete_files(&folder.path().join("none"), &[call]).unwrap(), 0);
    }

    #[test]
    fn recordings_lie_beside_the_database_unless_told_otherwise() {
        let mut config = Config::default();
        assert_eq!(record_dir(&config), Path::new("recordings"));
        config.store.url = "sqlite:///var/lib/sidetone/s.db?mode=rwc".to_owned();
        assert_eq!(record_dir(&config), Path::new("/var/lib/sidetone/recordings"));
        config.record.dir = "/r".to_owned();
        assert_eq!(record_dir(&config), Path::new("/r"));
    }
}
