//! Which models there are, where they are kept, and what they understand.

mod clients;
mod fetch;

use std::path::{Path, PathBuf};

use crate::config;

pub use self::{
    clients::{FetchError, Progress},
    fetch::get,
};

/// Whisper's language codes.
pub const LANGUAGES: &[&str] = &[
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su",
];

/// Whisper's multilingual vocabularies have at least so many tokens; the English ones one less.
const MULTILINGUAL_TOKENS: usize = 51_865;

/// A model that `sidetone models get` knows by name.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub name: &'static str,
    /// English only, or every language of [`LANGUAGES`].
    pub is_english: bool,
    /// What is fetched, in megabytes.
    pub download_mb: u32,
    pub about: &'static str,
    recipe: fetch::Recipe,
}

/// The models known by name, smallest first.
pub const KNOWN: &[Known] = &[
    Known {
        name: "tiny.en",
        is_english: true,
        download_mb: 71,
        about: "English; fastest, and enough for answering machines",
        recipe: fetch::TINY_EN,
    },
    Known {
        name: "base.en",
        is_english: true,
        download_mb: 205,
        about: "English; twice the work of tiny.en, fewer errors",
        recipe: fetch::BASE_EN,
    },
    Known {
        name: "tiny",
        is_english: false,
        download_mb: 99,
        about: "all languages; fastest, many errors outside English",
        recipe: fetch::TINY,
    },
    Known {
        name: "base",
        is_english: false,
        download_mb: 52,
        about: "all languages; twice the work of tiny",
        recipe: fetch::BASE,
    },
    Known {
        name: "small",
        is_english: false,
        download_mb: 166,
        about: "all languages; few errors, about half a second of one core per look",
        recipe: fetch::SMALL,
    },
];

/// No model where one was looked for; the message holds the line that fetches it.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("the model `{name}` is not in {dir}: fetch it with `sidetone models get {name}`")]
    NotFetched { name: String, dir: PathBuf },
    #[error(
        "the model `{name}` is not in {dir}, nor known: name one of {known}, or a folder with a converted model"
    )]
    Unknown { name: String, dir: PathBuf, known: String },
    #[error("{path} holds no Whisper model for CTranslate2 (no model.bin in it)")]
    NoModel { path: PathBuf },
    #[error("no home directory, so no place for models: set `asr.models_dir`")]
    NoHome,
}

/// The folder that holds fetched models: `asr.models_dir`, or `sidetone/models` in the user's data folder.
///
/// # Errors
/// When neither is known.
pub fn directory(asr: &config::Asr) -> Result<PathBuf, FindError> {
    if !asr.models_dir.is_empty() {
        return Ok(PathBuf::from(&asr.models_dir));
    }
    let dirs = directories::ProjectDirs::from("", "", "sidetone").ok_or(FindError::NoHome)?;
    Ok(dirs.data_dir().join("models"))
}

/// The folder of the configured model: a path as it is, a name within [`directory`].
///
/// # Errors
/// Says how to get it where it is not there.
pub fn find(asr: &config::Asr) -> Result<PathBuf, FindError> {
    let given = Path::new(&asr.model);
    if given.join("model.bin").is_file() {
        return Ok(given.to_owned());
    }
    if given.components().count() > 1 {
        return Err(FindError::NoModel { path: given.to_owned() });
    }
    let dir = directory(asr)?;
    let path = dir.join(given);
    if path.join("model.bin").is_file() {
        Ok(path)
    } else {
        let name = asr.model.clone();
        if KNOWN.iter().any(|known| known.name == name) {
            return Err(FindError::NotFetched { name, dir });
        }
        let known = KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
        Err(FindError::Unknown { name, dir, known })
    }
}

/// The folder of the configured model, fetched where it is not there yet.
///
/// # Errors
/// When it cannot be fetched.
pub fn find_or_get(asr: &config::Asr) -> Result<PathBuf, FetchError> {
    find(asr).or_else(|_| get(&asr.model, asr, &Progress::shown()))
}

/// Whether a model understands a language. For one known by name, or named as Whisper's are (`*.en` is English),
/// the name says it; for a directory its vocabulary does.
#[must_use]
pub fn hears(model: &str, language: &str) -> bool {
    let code = super::primary_language(language);
    if code == "en" {
        return true;
    }
    let is_english = match KNOWN.iter().find(|known| known.name == model) {
        Some(known) => known.is_english,
        None => match vocabulary_size(Path::new(model)) {
            Some(tokens) => tokens < MULTILINGUAL_TOKENS,
            None => model.trim_end_matches('/').ends_with(".en"),
        },
    };
    !is_english && LANGUAGES.contains(&code.as_str())
}

/// The line that fetches a model for a language.
#[must_use]
pub fn suggestion(language: &str) -> &'static str {
    if super::primary_language(language) == "en" {
        "sidetone models get tiny.en"
    } else {
        "sidetone models get small"
    }
}

fn vocabulary_size(model: &Path) -> Option<usize> {
    if let Ok(lines) = std::fs::read_to_string(model.join("vocabulary.txt")) {
        return Some(lines.lines().count());
    }
    let json = std::fs::read(model.join("vocabulary.json")).ok()?;
    serde_json::from_slice::<Vec<String>>(&json).ok().map(|tokens| tokens.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_models_hear_english_only() {
        assert!(hears("tiny.en", "en-US") && !hears("tiny.en", "fr"));
        assert!(hears("small", "fr-CA") && !hears("small", "tlh"));
        assert!(!hears("/models/my-whisper.en/", "fr") && hears("/models/my-whisper", "fr"));
        assert_eq!(suggestion("fr"), "sidetone models get small");
        assert_eq!(suggestion("en"), "sidetone models get tiny.en");
    }

    #[test]
    fn a_directorys_vocabulary_says_what_it_hears() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        std::fs::write(dir.path().join("vocabulary.txt"), "x\n".repeat(51_864)).unwrap();
        assert!(!hears(path, "fr"));
        std::fs::write(dir.path().join("vocabulary.txt"), "x\n".repeat(51_865)).unwrap();
        assert!(hears(path, "fr"));
    }

    #[test]
    fn a_missing_model_says_how_to_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let asr = config::Asr { models_dir: dir.path().to_str().unwrap().to_owned(), ..Default::default() };
        let message = find(&asr).unwrap_err().to_string();
        assert!(message.ends_with("fetch it with `sidetone models get tiny.en`"), "{message}");
        std::fs::create_dir(dir.path().join("tiny.en")).unwrap();
        std::fs::write(dir.path().join("tiny.en/model.bin"), "").unwrap();
        assert_eq!(find(&asr).unwrap(), dir.path().join("tiny.en"));
        let unknown =
            find(&config::Asr { model: "tyny.en".to_owned(), ..asr.clone() }).unwrap_err().to_string();
        assert!(unknown.contains("tyny.en") && unknown.contains("one of tiny.en, base.en"), "{unknown}");
        let elsewhere = config::Asr { model: "/nowhere/whisper".to_owned(), ..asr };
        assert!(matches!(find(&elsewhere), Err(FindError::NoModel { .. })));
    }
}
