//! Reading a configuration: the file, then the secrets from the environment, then the checks.

use std::path::{Path, PathBuf};

use super::{Config, Fault, Secret};

/// The file that is read where no other is named.
const DEFAULT_FILE: &str = "sidetone.toml";

/// What is wrong with a configuration; the message names the file and the line or the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}:{line}: {message}")]
    Parse { path: PathBuf, line: usize, message: String },
    /// One value, refused by the part that uses it.
    #[error("{key}: {message}")]
    Value { key: &'static str, message: String },
    #[error("{}{}", path.as_ref().map(|p| format!("{}: ", p.display())).unwrap_or_default(), list(faults))]
    Values { path: Option<PathBuf>, faults: Vec<Fault> },
}

impl Config {
    /// The configuration that applies: `path`, else `./sidetone.toml` where it exists, else the defaults; secrets
    /// from the environment; checked.
    ///
    /// # Errors
    /// Names the file, the line and the key.
    pub fn effective(path: Option<&Path>) -> Result<Self, ConfigError> {
        let default = Path::new(DEFAULT_FILE);
        let path = path.or_else(|| default.exists().then_some(default));
        let config = match path {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        config.with_env(|name| std::env::var(name).ok()).checked(path)
    }

    /// Reads and checks a file, without the environment.
    ///
    /// # Errors
    /// Names the file, the line and the key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::read(path)?.checked(Some(path))
    }

    /// Parses a configuration's text. Does not check keys against each other: [`Config::check`] does.
    ///
    /// # Errors
    /// Unknown keys and wrong types, by line.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::parse_as(text, Path::new("configuration"))
    }

    /// Takes the secrets that are set in the environment; they win over the file.
    #[must_use]
    pub fn with_env(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(password) = set("SIDETONE_ESL_PASSWORD") {
            self.switch.password = Secret::new(&password);
        }
        if let Some(token) = set("SIDETONE_HTTP_TOKEN") {
            self.http.token = Secret::new(&token);
        }
        if let Some(key) = set("SIDETONE_ASR_KEY") {
            self.asr.openai.key = Secret::new(&key);
        }
        if let Some(secret) = set("SIDETONE_WEBHOOK_SECRET") {
            self.webhooks.secret = Secret::new(&secret);
        }
        if let Some(url) = set("DATABASE_URL") {
            self.store.url = url;
        }
        self
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse_as(&text, path)
    }

    fn parse_as(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error: toml::de::Error| ConfigError::Parse {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().replace("unknown field", "unknown key").replace('\n', " "),
        })
    }

    fn checked(self, path: Option<&Path>) -> Result<Self, ConfigError> {
        let faults = self.check();
        if faults.is_empty() {
            Ok(self)
        } else {
            Err(ConfigError::Values { path: path.map(Path::to_owned), faults })
        }
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

fn list(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    lines.join("\n")
}
