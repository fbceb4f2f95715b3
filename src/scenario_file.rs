//! Scenario files: reading, and the check that every prompt is there.

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sidetone_core::{
    scenario::{PromptFile, Scenario, ScenarioError},
    yaml::{Finding, Severity},
};

/// Why a scenario file cannot be used. The message has one line a finding.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// Mistakes within the file, missing prompts included.
    #[error(transparent)]
    Wrong(#[from] ScenarioError),
}

/// The file a scenario is named by: a bare name is looked for in `dir`, anything else is a path.
#[must_use]
pub fn resolve(name: &str, dir: &Path) -> PathBuf {
    let is_bare = !name.contains('/') && Path::new(name).extension().is_none();
    if is_bare { dir.join(name).with_extension("yaml") } else { PathBuf::from(name) }
}

/// Reads a scenario whose prompts lie under `prompts_dir`.
///
/// # Errors
/// Names file, line and key of everything that is wrong, missing prompts included.
pub fn load(path: &Path, prompts_dir: &Path) -> Result<Arc<Scenario>, LoadError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let file = path.display().to_string();
    match Scenario::parse(&text, &file) {
        Ok(scenario) => {
            let findings = missing_prompts(&scenario.prompt_files(), prompts_dir);
            if findings.is_empty() {
                return Ok(Arc::new(scenario));
            }
            Err(ScenarioError { file, findings, prompts: Vec::new() }.into())
        }
        Err(mut error) => {
            error.findings.extend(missing_prompts(&error.prompts, prompts_dir));
            error.findings.sort_by_key(|finding| finding.place);
            Err(error.into())
        }
    }
}

/// One finding for each prompt file that is not there, or empty.
#[must_use]
pub fn missing_prompts(files: &[PromptFile], prompts_dir: &Path) -> Vec<Finding> {
    let wrong = |file: &Path| match std::fs::metadata(file) {
        Ok(meta) if !meta.is_file() => Some("is no file".to_owned()),
        Ok(meta) if meta.len() == 0 => Some("is empty".to_owned()),
        Ok(_) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("does not exist".to_owned()),
        Err(error) => Some(format!("cannot be read: {error}")),
    };
    files
        .iter()
        .filter_map(|file| {
            let path = prompts_dir.join(&file.prompt.file);
            let message = format!(
                "`{}` {}; prompts.dir is `{}`",
                file.prompt.file,
                wrong(&path)?,
                prompts_dir.display()
            );
            Some(Finding {
                severity: Severity::Error,
                place: file.place,
                key: "play.file".to_owned(),
                message,
            })
        })
        .collect()
}
