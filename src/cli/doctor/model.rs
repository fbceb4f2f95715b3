//! The speech model: is it there, does it load, does it keep up?

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{finding::Finding, local};
use crate::{
    asr::{self, LoadError, Recognizer, Segment},
    audio,
    config::{Asr, AsrBackend, Config},
};

const MODEL: &str = "speech model";
/// What a verdict is made from.
const CLIP: Duration = Duration::from_millis(2300);
/// Above this a verdict comes too late even when nobody else waits.
const SLOW: Duration = Duration::from_millis(1500);

/// Loads every configured model, one after the other, and has it hear a clip.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    if config.asr.backend == AsrBackend::Openai {
        return vec![examine_one(config, &config.asr.model, SLOW).await];
    }
    let quick = config.asr.assigned().into_iter().map(|(name, ..)| (name, SLOW));
    let careful =
        config.asr.assigned_careful().into_iter().map(|(name, ..)| (name, config.amd.transcript_wait));
    let mut findings = Vec::new();
    for (name, slow) in quick.chain(careful) {
        findings.push(examine_one(config, name, slow).await);
    }
    findings
}

/// `slow`: a model that takes longer for a clip is of no use.
async fn examine_one(config: &Config, name: &str, slow: Duration) -> Finding {
    let asr = Asr { model: name.to_owned(), ..config.asr.clone() };
    let prompt = local::any_prompt(&config.prompts.dir).map(|file| config.prompts.dir.join(file));
    // Loading and hearing block for a second or two.
    let tried = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let model = asr::load(&asr)?;
        Ok((began.elapsed(), hear(&model, prompt)))
    });
    let anew = || format!("fetch it anew: `{}`", fetch(name));
    match tried.await {
        Ok(Ok((loaded, Ok(heard)))) => judge(name, loaded, heard, slow),
        Ok(Ok((_, Err(error)))) => Finding::failed(MODEL, error, anew()),
        Ok(Err(error)) => failed(name, &error),
        Err(error) => Finding::failed(MODEL, error.to_string(), anew()),
    }
}

/// The second time counts: the first one pays for what is allocated once.
fn hear(model: &Arc<dyn Recognizer>, prompt: Option<PathBuf>) -> Result<Duration, String> {
    let spoken =
        prompt.and_then(|file| audio::read(&file).ok()).and_then(|s| s.at_rate(asr::SAMPLE_RATE).ok());
    let mut pcm = spoken.unwrap_or_default();
    pcm.resize(usize::try_from(CLIP.as_millis()).unwrap_or(0) * asr::SAMPLE_RATE as usize / 1000, 0);
    let clip = [Segment { pcm: pcm.into(), voiced: CLIP }];
    let mut took = Duration::ZERO;
    for _ in 0..2 {
        let began = Instant::now();
        model.recognize("en", &clip).map_err(|error| error.to_string())?;
        took = began.elapsed();
    }
    Ok(took)
}

fn judge(name: &str, loaded: Duration, heard: Duration, slow: Duration) -> Finding {
    let detail = format!(
        "{name}: loaded in {} ms, hears {} ms of speech in {} ms",
        loaded.as_millis(),
        CLIP.as_millis(),
        heard.as_millis()
    );
    if heard > slow {
        let todo = format!(
            "slower than {} ms: too slow for calls. Take a smaller model, or build with oneDNN (`make`)",
            slow.as_millis()
        );
        return Finding::failed(MODEL, detail, todo);
    }
    Finding::ok(MODEL, detail)
}

fn failed(name: &str, error: &LoadError) -> Finding {
    let get = || format!("`{}`, or name a folder that holds one instead of `{name}`", fetch(name));
    let todo = match error {
        LoadError::NotBuilt => "build with the feature `whisper` (it is on by default)".to_owned(),
        LoadError::Threads(_) => "allow this user more threads".to_owned(),
        LoadError::Find(_) => get(),
        #[cfg(feature = "whisper")]
        LoadError::Model(_) => get(),
    };
    Finding::failed(MODEL, error.to_string(), todo)
}

fn fetch(name: &str) -> String {
    format!("sidetone models get {name}")
}
