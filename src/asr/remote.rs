//! A speech service behind an OpenAI-compatible `/audio/transcriptions`, asked segment by segment from the engine's
//! own threads.

#[cfg(test)]
mod tests;

use std::{
    io::Cursor,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde::Deserialize;
use ureq::Agent;

use super::{RecognizeError, Recognized, Recognizer, SAMPLE_RATE, Segment, models::LANGUAGES};
use crate::config::{OpenAi, Secret};

/// Before another try, so that a service that restarts is not hammered.
const PAUSE: Duration = Duration::from_millis(50);
/// Longer answers are no transcripts.
const LONGEST_ANSWER: u64 = 1024 * 1024;
/// Parts the form's fields. Audio holding it by chance is as likely as guessing a key.
const BOUNDARY: &str = "sidetone-5f1e8c0a6d7b4932b8a40c1d2e3f4a5b";

/// The client of one service.
#[derive(Debug)]
pub struct Remote {
    agent: Agent,
    endpoint: String,
    key: Secret,
    model: String,
    retries: u32,
    /// The service knows `verbose_json`, which tells how sure it is; those that do not get `json`.
    is_verbose: AtomicBool,
}

/// What one request came to.
enum Outcome {
    Heard(Recognized),
    /// Another try may help.
    Again(String),
    Refused(String),
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    #[serde(default)]
    segments: Vec<AnswerSegment>,
}

#[derive(Deserialize)]
struct AnswerSegment {
    #[serde(default)]
    avg_logprob: f32,
    #[serde(default)]
    no_speech_prob: f32,
}

impl Remote {
    /// Connects to nothing yet: a service that is down at the start is found out by the first segment.
    #[must_use]
    pub fn new(options: &OpenAi) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_idle_connections_per_host(options.connections)
            .build();
        Self {
            agent: agent.into(),
            endpoint: format!("{}/audio/transcriptions", options.url.trim_end_matches('/')),
            key: options.key.clone(),
            model: options.model.clone(),
            retries: options.retries,
            is_verbose: AtomicBool::new(true),
        }
    }

    fn transcribe(&self, language: &str, segment: &Segment) -> Result<Recognized, RecognizeError> {
        let audio = wav(&segment.pcm).map_err(|error| RecognizeError::Engine(error.to_string()))?;
        let mut left = self.retries;
        loop {
            match self.ask(language, &audio) {
                Outcome::Heard(heard) => return Ok(heard),
                Outcome::Again(why) if left > 0 => {
                    left -= 1;
                    tracing::debug!(why, "the speech service is asked again");
                    std::thread::sleep(PAUSE);
                }
                Outcome::Again(why) | Outcome::Refused(why) => return Err(RecognizeError::Engine(why)),
            }
        }
    }

    fn ask(&self, language: &str, audio: &[u8]) -> Outcome {
        let is_verbose = self.is_verbose.load(Ordering::Relaxed);
        let format = if is_verbose { "verbose_json" } else { "json" };
        let fields = [
            ("model", self.model.as_str()),
            ("language", language),
            ("temperature", "0"),
            ("response_format", format),
        ];
        let mut request = self
            .agent
            .post(&self.endpoint)
            .header("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}"));
        if !self.key.reveal().is_empty() {
            request = request.header("Authorization", format!("Bearer {}", self.key.reveal()));
        }
        let mut response = match request.send(&form(&fields, audio)[..]) {
            Ok(response) => response,
            Err(error) => return Outcome::Again(format!("{}: {error}", self.endpoint)),
        };
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
        match (status, body) {
            (200, Ok(body)) => self.read(&body),
            (400 | 422, _) if is_verbose => {
                self.is_verbose.store(false, Ordering::Relaxed);
                self.ask(language, audio)
            }
            (429 | 500.., _) => Outcome::Again(format!("{}: status {status}", self.endpoint)),
            (200, Err(error)) => Outcome::Again(format!("{}: {error}", self.endpoint)),
            (_, Ok(body)) => Outcome::Refused(format!(
                "{}: status {status}: {}",
                self.endpoint,
                body.chars().take(200).collect::<String>()
            )),
            (_, Err(_)) => Outcome::Refused(format!("{}: status {status}", self.endpoint)),
        }
    }

    fn read(&self, body: &str) -> Outcome {
        match serde_json::from_str::<Answer>(body) {
            Ok(Answer { text, segments }) => {
                let count = segments.len().max(1) as f32;
                Outcome::Heard(Recognized {
                    text: text.trim().to_owned(),
                    score: segments.iter().map(|s| s.avg_logprob).sum::<f32>() / count,
                    no_speech: segments.iter().map(|s| s.no_speech_prob).reduce(f32::min).unwrap_or(0.0),
                    others: Vec::new(),
                })
            }
            Err(error) => Outcome::Refused(format!("{}: no transcript: {error}", self.endpoint)),
        }
    }
}

impl Recognizer for Remote {
    fn recognize(&self, language: &str, batch: &[Segment]) -> Result<Vec<Recognized>, RecognizeError> {
        batch.iter().map(|segment| self.transcribe(language, segment)).collect()
    }

    fn languages(&self) -> &[&'static str] {
        LANGUAGES
    }

    /// The service batches by itself; here one would only wait for the other.
    fn together(&self) -> usize {
        1
    }
}

fn form(fields: &[(&str, &str)], audio: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(audio.len() + 1024);
    let mut head = |disposition: &str, value: &[u8]| {
        let line = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    };
    for (name, value) in fields {
        head(&format!("name=\"{name}\""), value.as_bytes());
    }
    head("name=\"file\"; filename=\"audio.wav\"\r\nContent-Type: audio/wav", audio);
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn wav(pcm: &[i16]) -> Result<Vec<u8>, hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::with_capacity(pcm.len() * 2 + 64));
    let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
    for &sample in pcm {
        writer.write_sample(sample)?;
    }
    writer.finalize()?;
    Ok(bytes.into_inner())
}
