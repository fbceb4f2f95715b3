//! What no type can say: ranges, shapes, and keys that depend on each other.

use std::{fmt, net::IpAddr, time::Duration};

use super::Config;
use crate::asr::models::{self, LANGUAGES};

/// FreeSWITCH's own default password, which everybody knows.
const DEFAULT_PASSWORD: &str = "ClueCon";
/// One second of stereo at 16 kHz: the longest message a stream module is known to send.
const LONGEST_MESSAGE: usize = 64_000;
/// A shorter one can be guessed from a single signature.
const SHORTEST_SECRET: usize = 16;

/// A value that cannot be, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub key: &'static str,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl Config {
    /// Everything that is wrong with these values; empty: all is well.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.check_media(&mut faults);
        self.check_switch(&mut faults);
        self.check_listening(&mut faults);
        self.check_service(&mut faults);
        self.check_webhooks(&mut faults);
        faults
    }

    fn check_media(&self, faults: &mut Vec<Fault>) {
        let media = &self.media;
        need(faults, matches!(media.sample_rate, 8000 | 16000), "media.sample_rate", || {
            format!("{} is not offered: write 8000 or 16000", media.sample_rate)
        });
        need(faults, media.max_message_bytes >= LONGEST_MESSAGE, "media.max_message_bytes", || {
            format!(
                "{} is too small for a second of audio: write {LONGEST_MESSAGE} or more",
                media.max_message_bytes
            )
        });
        within(faults, "media.idle_timeout", media.idle_timeout, (1, 60));
        if media.public_url.is_empty() {
            let reachable = media.listen.is_ipv4() && !media.listen.ip().is_unspecified();
            need(faults, reachable, "media.public_url", || {
                format!(
                    "FreeSWITCH cannot connect to {}: write the address it shall use, such as ws://10.0.0.5:{}",
                    media.listen,
                    media.listen.port()
                )
            });
        } else if let Err(message) = stream_url(&media.public_url) {
            faults.push(Fault { key: "media.public_url", message });
        }
    }

    fn check_switch(&self, faults: &mut Vec<Fault>) {
        let switch = &self.switch;
        match host_and_port(&switch.esl) {
            None => faults.push(Fault {
                key: "switch.esl",
                message: format!("`{}` is no host:port: write 127.0.0.1:8021", switch.esl),
            }),
            Some(host) => {
                let exposed = switch.password.reveal() == DEFAULT_PASSWORD && !is_loopback(host);
                need(faults, !exposed, "switch.password", || {
                    format!(
                        "`{DEFAULT_PASSWORD}` is refused for a switch on another host ({host}): set one of your own \
                         in FreeSWITCH's event_socket.conf.xml and here, or in SIDETONE_ESL_PASSWORD"
                    )
                });
            }
        }
        need(faults, !switch.password.reveal().contains(['\r', '\n']), "switch.password", || {
            "has a line break".to_owned()
        });
        need(faults, switch.caller_id.is_empty() || is_number(&switch.caller_id), "switch.caller_id", || {
            format!("`{}` is no number: write +33612345678 (3 to 15 digits)", switch.caller_id)
        });
        dial_string(faults, "switch.dial_string", &switch.dial_string);
        need(faults, is_pace(switch.cps), "switch.cps", || pace_words(switch.cps));
        self.check_gateways(faults);
        need(
            faults,
            switch.prompts_dir.is_empty() || switch.prompts_dir.starts_with('/'),
            "switch.prompts_dir",
            || format!("`{}` is relative: write the whole path, as FreeSWITCH sees it", switch.prompts_dir),
        );
        need(faults, is_plain(&switch.instance), "switch.instance", || {
            format!("`{}`: write 1 to 32 letters, digits, - or _", switch.instance)
        });
    }

    fn check_gateways(&self, faults: &mut Vec<Fault>) {
        const KEY: &str = "switch.gateways";
        for (index, gateway) in self.switch.gateways.iter().enumerate() {
            let name = &gateway.name;
            need(faults, is_plain(name), KEY, || {
                format!("`{name}`: a name has 1 to 32 letters, digits, - or _")
            });
            let again = self.switch.gateways[..index].iter().any(|other| other.name == *name);
            need(faults, !again, KEY, || format!("there are two called `{name}`"));
            need(faults, is_pace(gateway.cps), KEY, || format!("`{name}`: cps: {}", pace_words(gateway.cps)));
            dial_string(faults, KEY, &gateway.dial_string);
        }
    }

    fn check_listening(&self, faults: &mut Vec<Fault>) {
        need(faults, !self.asr.model.trim().is_empty(), "asr.model", || {
            "is empty: write a name from `sidetone models list` or a folder".to_owned()
        });
        let maps = [("asr.models", &self.asr.models), ("asr.careful", &self.asr.careful)];
        for (key, (language, model)) in
            maps.into_iter().flat_map(|(key, map)| map.iter().map(move |m| (key, m)))
        {
            let known = language == super::Asr::DEFAULT_MODEL || LANGUAGES.contains(&language.as_str());
            need(faults, known, key, || {
                format!("`{language}` is no language code: write en, fr... or {}", super::Asr::DEFAULT_MODEL)
            });
            need(faults, !model.trim().is_empty(), key, || format!("`{language}` has no model"));
        }
        for (language, model) in &self.asr.careful {
            // What goes to `default` is anything but English.
            let code = if language == super::Asr::DEFAULT_MODEL { "fr" } else { language };
            need(faults, !LANGUAGES.contains(&code) || models::hears(model, code), "asr.careful", || {
                format!(
                    "`{model}` hears English only: name it for en, or write a multilingual one for {language}"
                )
            });
        }
        if self.asr.backend == super::AsrBackend::Openai {
            self.check_openai(faults);
        }
        let brief = Duration::from_millis(20)..=Duration::from_secs(10);
        for (key, value) in [("asr.backlog", self.asr.backlog), ("asr.admit_wait", self.asr.admit_wait)] {
            need(faults, brief.contains(&value), key, || {
                format!("{}ms: write 20ms to 10s", value.as_millis())
            });
        }
        need(faults, self.asr.replicas <= 64, "asr.replicas", || {
            format!("{} is too many: write 0 to 64", self.asr.replicas)
        });
        need(faults, (1..=65_536).contains(&self.asr.queue_length), "asr.queue_length", || {
            format!("{}: write 1 to 65536", self.asr.queue_length)
        });
        let window = self.amd.window;
        let usual = Duration::from_millis(500)..=Duration::from_secs(10);
        need(faults, usual.contains(&window), "amd.window", || {
            format!("{}ms: write 500ms to 10s (2300ms is usual)", window.as_millis())
        });
        need(faults, self.amd.transcript_wait <= Duration::from_secs(10), "amd.transcript_wait", || {
            "is dead air for the person called: write at most 10s".to_owned()
        });
        let rate = self.amd.false_positive_rate;
        need(faults, (0.0..=1.0).contains(&rate), "amd.false_positive_rate", || {
            format!("{rate}: write a share from 0 to 1, such as 0.01 for one in a hundred")
        });
        let share = self.amd.max_human_as_machine;
        need(faults, (0.0005..=0.2).contains(&share), "amd.max_human_as_machine", || {
            format!("{share}: write a share from 0.0005 to 0.2 (0.01 is one person in a hundred)")
        });
    }

    fn check_openai(&self, faults: &mut Vec<Fault>) {
        let openai = &self.asr.openai;
        need(faults, is_http(&openai.url), "asr.openai.url", || {
            format!(
                "`{}`: write the service's address up to /v1, such as http://10.0.0.9:8000/v1",
                openai.url
            )
        });
        need(faults, !openai.key.reveal().contains(['\r', '\n']), "asr.openai.key", || {
            "has a line break".to_owned()
        });
        let timely = Duration::from_millis(100)..=Duration::from_secs(30);
        need(faults, timely.contains(&openai.timeout), "asr.openai.timeout", || {
            format!("{}ms: write 100ms to 30s", openai.timeout.as_millis())
        });
        need(faults, openai.retries <= 5, "asr.openai.retries", || {
            format!("{} is too many: write 0 to 5", openai.retries)
        });
        need(faults, (1..=256).contains(&openai.connections), "asr.openai.connections", || {
            format!("{}: write 1 to 256", openai.connections)
        });
    }

    fn check_webhooks(&self, faults: &mut Vec<Fault>) {
        let webhooks = &self.webhooks;
        let url = &webhooks.url;
        need(
            faults,
            url.is_empty() || (is_http(url) && !url.contains(char::is_whitespace)),
            "webhooks.url",
            || "is no address: write https://HOST/PATH".to_owned(),
        );
        let secret = webhooks.secret.reveal();
        need(faults, url.is_empty() || secret.len() >= SHORTEST_SECRET, "webhooks.secret", || {
            format!(
                "has {} characters: write at least {SHORTEST_SECRET}, here or in SIDETONE_WEBHOOK_SECRET \
                 (`openssl rand -hex 32` makes one)",
                secret.len()
            )
        });
        let timely = Duration::from_millis(100)..=Duration::from_secs(60);
        need(faults, timely.contains(&webhooks.timeout), "webhooks.timeout", || {
            format!("{}ms: write 100ms to 60s", webhooks.timeout.as_millis())
        });
        need(faults, (1..=100).contains(&webhooks.tries), "webhooks.tries", || {
            format!("{}: write 1 to 100", webhooks.tries)
        });
        need(faults, (1..=64).contains(&webhooks.connections), "webhooks.connections", || {
            format!("{}: write 1 to 64", webhooks.connections)
        });
    }

    fn check_service(&self, faults: &mut Vec<Fault>) {
        within(faults, "call.ring_timeout", self.call.ring_timeout, (1, 300));
        within(faults, "call.max_duration", self.call.max_duration, (5, 86_400));
        let known = self.store.url.starts_with("sqlite:") || crate::store::is_postgres(&self.store.url);
        need(faults, known, "store.url", || {
            "is no database we can use: write sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"
                .to_owned()
        });
        let guarded = self.http.listen.ip().is_loopback() || !self.http.token.reveal().is_empty();
        need(faults, guarded, "http.token", || {
            format!(
                "is required because http.listen is {}: set one here or in SIDETONE_HTTP_TOKEN, or listen on 127.0.0.1",
                self.http.listen
            )
        });
        let level = tracing_subscriber::EnvFilter::try_new(&self.log.level);
        need(faults, level.is_ok(), "log.level", || {
            format!("`{}` is no level: write info, debug or sidetone=debug", self.log.level)
        });
    }
}

fn is_http(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

fn need(faults: &mut Vec<Fault>, holds: bool, key: &'static str, message: impl FnOnce() -> String) {
    if !holds {
        faults.push(Fault { key, message: message() });
    }
}

fn dial_string(faults: &mut Vec<Fault>, key: &'static str, text: &str) {
    let has_number = ["{e164}", "{digits}"].iter().any(|place| text.contains(place));
    need(faults, has_number, key, || {
        format!("`{text}` lacks the number: write {{e164}} or {{digits}} where it belongs")
    });
    need(faults, !text.contains(['\r', '\n']), key, || "has a line break".to_owned());
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=32).contains(&name.len()) && name.chars().all(plain)
}

fn is_pace(cps: f64) -> bool {
    (0.0..=10_000.0).contains(&cps)
}

fn pace_words(cps: f64) -> String {
    format!("{cps} is no pace: write calls a second, or 0 for no limit")
}

fn within(faults: &mut Vec<Fault>, key: &'static str, value: Duration, (low, high): (u64, u64)) {
    need(faults, (Duration::from_secs(low)..=Duration::from_secs(high)).contains(&value), key, || {
        format!("{}ms: write {low}s to {high}s", value.as_millis())
    });
}

/// The stream modules take `ws://` and `wss://`, IPv4 or a name without underscores, and a port in digits; the path
/// is ours.
fn stream_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("wss://"));
    let Some(rest) = rest else {
        return Err(format!("`{url}`: write ws://HOST:PORT"));
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = rest.split_once(':').unwrap_or((rest, "80"));
    if rest.contains(['/', '?', '#']) {
        return Err(format!("`{url}` has a path: write ws://HOST:PORT alone"));
    }
    if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')) {
        return Err(format!(
            "`{host}` is no host that FreeSWITCH's stream module takes: only letters, digits, dots and dashes (no _, no IPv6)"
        ));
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => Err(format!("`{port}` is no port: write 1 to 65535")),
    }
}

fn host_and_port(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0)).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}
