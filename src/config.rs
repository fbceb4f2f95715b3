//! The configuration file, parsed once into complete typed values.
//!
//! `config.example.toml` is embedded, documents every key, and is what applies where no file is given.

mod asr;
mod check;
mod load;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sidetone_core::{
    amd::{AmdConfig, AmdProfile},
    webhook::WebhookEvent,
};

pub use asr::{Asr, AsrBackend, ComputeType, Device, OpenAi};
pub use check::Fault;
pub use load::ConfigError;

/// The documented example: every key with its default.
pub const EXAMPLE: &str = include_str!("../config.example.toml");

/// Everything `sidetone` can be told. Missing keys take the example's values; unknown ones are refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub media: Media,
    pub switch: Switch,
    pub asr: Asr,
    pub amd: Amd,
    pub call: Call,
    pub prompts: Prompts,
    pub scenarios: Scenarios,
    pub store: Store,
    pub http: Http,
    pub record: Record,
    pub retention: Retention,
    pub webhooks: Webhooks,
    pub shutdown: Shutdown,
    pub log: Log,
}

/// A password or token: never shown.
#[derive(Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret itself, for the one place that sends or compares it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(hidden)" })
    }
}

/// Written as empty or `(hidden)`: what shows a configuration never shows a secret.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(if self.0.is_empty() { "" } else { "(hidden)" })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    pub listen: SocketAddr,
    /// What FreeSWITCH is told to connect to; without a path. Empty: `ws://` and `listen`.
    pub public_url: String,
    /// Samples a second asked of the stream module: 8000 or 16000.
    pub sample_rate: u32,
    /// A stream without audio for so long is closed.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub idle_timeout: Duration,
    pub max_message_bytes: usize,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8090)),
            public_url: String::new(),
            sample_rate: 8000,
            idle_timeout: Duration::from_secs(8),
            max_message_bytes: 256 * 1024,
        }
    }
}

/// Which stream module FreeSWITCH has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamModule {
    #[serde(rename = "mod_audio_stream")]
    AudioStream,
    #[serde(rename = "mod_audio_fork")]
    AudioFork,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switch {
    /// FreeSWITCH's event socket, `host:port`.
    pub esl: String,
    pub password: Secret,
    pub module: StreamModule,
    /// The number shown to those we call. Required to place calls.
    pub caller_id: String,
    /// How a number is dialled: `{e164}` is `+33612345678`, `{digits}` is `33612345678`.
    pub dial_string: String,
    /// The ways out, where there are several or they have limits; empty: `dial_string` alone.
    pub gateways: Vec<Gateway>,
    /// Calls at once through this sidecar; 0: no limit of its own.
    pub max_concurrent: u32,
    /// Calls started a second by this sidecar; 0: no limit of its own.
    pub cps: f64,
    /// The prompts folder as FreeSWITCH sees it; empty: the same as `prompts.dir`.
    pub prompts_dir: String,
    /// Names this sidecar in its channels, so that it knows them again after a crash.
    pub instance: String,
}

impl Default for Switch {
    fn default() -> Self {
        Self {
            esl: "127.0.0.1:8021".to_owned(),
            password: Secret::new("ClueCon"),
            module: StreamModule::AudioStream,
            caller_id: String::new(),
            dial_string: "sofia/gateway/default/{e164}".to_owned(),
            gateways: Vec::new(),
            max_concurrent: 0,
            cps: 0.0,
            prompts_dir: String::new(),
            instance: "sidetone".to_owned(),
        }
    }
}

/// A way out, with its limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    pub name: String,
    /// As `switch.dial_string`.
    pub dial_string: String,
    /// Calls at once through it from this sidecar; 0: no limit.
    #[serde(default)]
    pub max_concurrent: u32,
    /// Calls started a second through it from this sidecar; 0: no limit.
    #[serde(default)]
    pub cps: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Amd {
    /// How much audio from the answer is judged.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub window: Duration,
    /// How long after the window a transcript may come; then the verdict falls without it.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub transcript_wait: Duration,
    /// The share of machine verdicts that the compliance ledger takes for people.
    pub false_positive_rate: f64,
    /// The share of people that may be taken for machines.
    pub max_human_as_machine: f64,
    pub profile: AmdProfile,
}

impl Default for Amd {
    fn default() -> Self {
        let core = AmdConfig::default();
        Self {
            window: core.window,
            transcript_wait: Duration::from_millis(400),
            false_positive_rate: 0.01,
            max_human_as_machine: 0.01,
            profile: core.profile,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub ring_timeout: Duration,
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub max_duration: Duration,
}

impl Default for Call {
    fn default() -> Self {
        Self { ring_timeout: Duration::from_secs(30), max_duration: Duration::from_secs(600) }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompts {
    /// The folder that scenario prompt files are relative to, as we see it.
    pub dir: PathBuf,
}

impl Default for Prompts {
    fn default() -> Self {
        Self { dir: PathBuf::from("scenarios/prompts") }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenarios {
    /// Where a scenario given by its bare name is: `DIR/NAME.yaml`.
    pub dir: PathBuf,
}

impl Default for Scenarios {
    fn default() -> Self {
        Self { dir: PathBuf::from("scenarios") }
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite:PATH` (the file is made where it is missing), or `postgres://USER:PASSWORD@HOST/DATABASE` where several
    /// sidecars share the work.
    #[serde(serialize_with = "url_without_password")]
    pub url: String,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("url", &hide_password(&self.url)).finish()
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { url: "sqlite:sidetone.db".to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub listen: SocketAddr,
    /// Required (as `Authorization: Bearer`) where `listen` is not loopback.
    pub token: Secret,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), token: Secret::default() }
    }
}

/// How much of a call's audio is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordAudio {
    Off,
    /// The audio the verdict was made from.
    Amd,
    All,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    pub audio: RecordAudio,
    /// Where recordings and the events' JSON lines go; empty: no JSON lines, recordings beside the database.
    pub dir: String,
}

impl Default for Record {
    fn default() -> Self {
        Self { audio: RecordAudio::Off, dir: String::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Calls, their events and recordings are deleted after so many days; 0: kept.
    pub days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days: 90 }
    }
}

/// Whom to tell of what, by HTTP.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Where events are posted to; empty: nowhere.
    #[serde(serialize_with = "url_without_password")]
    pub url: String,
    /// Signs what is sent.
    pub secret: Secret,
    pub events: BTreeSet<WebhookEvent>,
    /// For one try.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub timeout: Duration,
    /// Tries before a webhook is given up.
    pub tries: u32,
    /// Webhooks sent at once.
    pub connections: usize,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks")
            .field("url", &hide_password(&self.url))
            .field("secret", &self.secret)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: Secret::default(),
            events: WebhookEvent::ALL.into(),
            timeout: Duration::from_secs(10),
            tries: 20,
            connections: 4,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long live calls may go on after SIGTERM.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Duration::from_secs(30) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A tracing filter: `info`, `debug`, `sidetone=debug`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Config {
    /// The WebSocket base that FreeSWITCH is given.
    #[must_use]
    pub fn public_url(&self) -> String {
        if self.media.public_url.is_empty() {
            format!("ws://{}", self.media.listen)
        } else {
            self.media.public_url.trim_end_matches('/').to_owned()
        }
    }

    /// The prompts folder as FreeSWITCH sees it: absolute, because FreeSWITCH has a working folder of its own.
    #[must_use]
    pub fn switch_prompts_dir(&self) -> PathBuf {
        if self.switch.prompts_dir.is_empty() {
            std::path::absolute(&self.prompts.dir).unwrap_or_else(|_| self.prompts.dir.clone())
        } else {
            PathBuf::from(&self.switch.prompts_dir)
        }
    }
}

/// `postgres://user:password@host/db` with the password replaced.
pub(crate) fn hide_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
    format!("{scheme}://{user}:(hidden)@{host}")
}

fn url_without_password<S: Serializer>(url: &str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&hide_password(url))
}

/// `500ms`, `8s`, `2m`, `1h`, `1m 30s`.
fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let span: jiff::SignedDuration = text.parse().map_err(|_| {
        serde::de::Error::custom(format!("`{text}` is no duration: write 500ms, 8s, 2m or 1h"))
    })?;
    Duration::try_from(span).map_err(|_| serde::de::Error::custom(format!("`{text}` is negative")))
}

fn duration_text<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    let span = jiff::SignedDuration::try_from(*value).map_err(serde::ser::Error::custom)?;
    to.collect_str(&format_args!("{span:#}"))
}
