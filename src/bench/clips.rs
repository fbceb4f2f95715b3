//! Labelled speech: Debian's Asterisk prompts (CC-BY-SA-3.0), fetched with apt and kept in the cache folder.

use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::peer;
use crate::{asr::SAMPLE_RATE, audio};

/// What the recogniser is asked most: the first seconds after the answer.
const WANTED_S: f64 = 2.3;
/// Shorter ones are single words without a sentence around them: no model is sure of those.
const SHORTEST_S: f64 = 1.0;
/// As long as a context holds.
const LONGEST_S: f64 = 25.0;

/// One clip: 16 kHz PCM16 in a file, and what is said in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Clip {
    pub(super) file: PathBuf,
    pub(super) seconds: f64,
    pub(super) text: String,
}

impl Clip {
    pub(super) fn pcm(&self) -> anyhow::Result<Vec<i16>> {
        let bytes = fs::read(&self.file).with_context(|| self.file.display().to_string())?;
        Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
    }
}

/// The clips nearest to 2.3 s, in the order of their names; fewer where the packages hold no more.
pub(super) fn prepare(language: &str, most: usize) -> anyhow::Result<Vec<Clip>> {
    let mut clips = between(language, SHORTEST_S..LONGEST_S, usize::MAX)?;
    clips.sort_by(|a, b| (a.seconds - WANTED_S).abs().total_cmp(&(b.seconds - WANTED_S).abs()));
    clips.truncate(most);
    clips.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(clips)
}

/// Clips of these lengths, in the list's order.
pub(super) fn between(
    language: &str,
    lengths: std::ops::Range<f64>,
    most: usize,
) -> anyhow::Result<Vec<Clip>> {
    let root = fetch(language)?;
    let dir = root.join("clips");
    fs::create_dir_all(&dir)?;
    let mut clips = Vec::new();
    for (name, text) in texts(&root, language)? {
        let Some(pcm) = sound(&root, &name)? else { continue };
        if lengths.contains(&seconds(&pcm)) {
            clips.push(write(&dir, (name, pcm, text))?);
        }
        if clips.len() == most {
            break;
        }
    }
    Ok(clips)
}

fn write(dir: &Path, (name, pcm, text): (String, Vec<i16>, String)) -> anyhow::Result<Clip> {
    let file = dir.join(name.replace('/', "-")).with_extension("s16");
    let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    fs::write(&file, bytes)?;
    Ok(Clip { file, seconds: seconds(&pcm), text })
}

/// Fetches and unpacks a language's prompts and texts.
fn fetch(language: &str) -> anyhow::Result<PathBuf> {
    if !matches!(language, "en" | "fr" | "es" | "it" | "ru") {
        bail!("there are no clips for `{language}`: en, fr, es, it, ru");
    }
    let root = peer::cache()?.join("clips").join(language);
    let ready = root.join(".ready");
    if ready.is_file() {
        return Ok(root);
    }
    fs::create_dir_all(&root)?;
    for package in
        [format!("asterisk-core-sounds-{language}"), format!("asterisk-core-sounds-{language}-wav")]
    {
        eprintln!("fetching {package} (once)");
        peer::run(
            Command::new("apt-get").args(["download", &package]).current_dir(&root),
            "apt-get download",
        )?;
        let archive = fs::read_dir(&root)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|e| e == "deb"))
            .context("apt-get fetched nothing")?;
        peer::run(Command::new("dpkg").arg("-x").arg(&archive).arg(&root), "dpkg -x")?;
        fs::remove_file(archive)?;
    }
    fs::write(ready, "")?;
    Ok(root)
}

/// Prompts' names and words, in the list's order; sounds, single letters and remarks left out.
fn texts(root: &Path, language: &str) -> anyhow::Result<Vec<(String, String)>> {
    let packed =
        root.join(format!("usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"));
    let file = fs::File::open(&packed).with_context(|| packed.display().to_string())?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes)?;
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

fn parse(list: &str) -> Vec<(String, String)> {
    let mut seen = HashMap::new();
    list.lines()
        .filter(|line| !line.starts_with(';'))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, text)| (name.trim().to_owned(), text.trim().to_owned()))
        .filter(|(name, text)| {
            let spoken = !text.contains(['[', '(', '<', '*']) && text.chars().any(char::is_alphabetic);
            spoken && !name.starts_with("letters/") && seen.insert(name.clone(), ()).is_none()
        })
        .collect()
}

/// A prompt at the recogniser's rate; `None` where the package lacks it.
fn sound(root: &Path, name: &str) -> anyhow::Result<Option<Vec<i16>>> {
    let voices = root.join("usr/share/asterisk/sounds");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(&voices)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    for folder in folders {
        let file = folder.join(format!("{name}.wav"));
        if file.is_file() {
            return Ok(Some(audio::read(&file)?.at_rate(SAMPLE_RATE)?));
        }
    }
    Ok(None)
}

fn seconds(pcm: &[i16]) -> f64 {
    pcm.len() as f64 / f64::from(SAMPLE_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_gives_what_is_spoken_once() {
        let list = "; Core sounds\n\nbeep: [a tone]\nvm-next: Press 2: next message.\nvm-next: again\n\
                    letters/a: A\ndigits/1: one\nempty:\n";
        let texts = parse(list);
        assert_eq!(
            texts,
            [
                ("vm-next".to_owned(), "Press 2: next message.".to_owned()),
                ("digits/1".to_owned(), "one".to_owned()),
            ]
        );
    }
}
