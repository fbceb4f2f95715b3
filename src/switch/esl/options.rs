//! Where the switch is and how it is spoken to.

use std::{net::IpAddr, time::Duration};

use sidetone_core::frame::SampleRate;

use crate::config::{Config, ConfigError, Secret, StreamModule};

/// FreeSWITCH's own default: known to everybody.
const WELL_KNOWN: &str = "ClueCon";
const PORT: u16 = 8021;

#[derive(Debug, Clone)]
pub struct EslOptions {
    pub host: String,
    pub port: u16,
    pub password: Secret,
    pub module: StreamModule,
    /// The rate streams are started with.
    pub rate: SampleRate,
    /// Names this sidecar on its channels.
    pub instance: String,
    /// For connecting, and for the answer to one command.
    pub timeout: Duration,
    /// When the switch ends a channel that we took over, should nobody be left to do so.
    pub adopted_limit: Duration,
    /// How often a quiet connection is asked whether it lives.
    pub liveness: Duration,
}

impl EslOptions {
    /// # Errors
    /// Names the key that is wrong, the well-known password on a foreign host included.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let (host, port) = address(&config.switch.esl)?;
        check_password(&config.switch.esl, &config.switch.password)?;
        let instance = config.switch.instance.clone();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if instance.is_empty() || !instance.bytes().all(fits) {
            return Err(wrong("switch.instance", "takes letters, digits, `.`, `_` and `-`"));
        }
        let rate = SampleRate::new(config.media.sample_rate)
            .ok_or_else(|| wrong("media.sample_rate", "must be 8000 or 16000"))?;
        Ok(Self {
            host,
            port,
            password: config.switch.password.clone(),
            module: config.switch.module,
            rate,
            instance,
            timeout: Duration::from_secs(2),
            adopted_limit: config.call.max_duration + Duration::from_secs(60),
            liveness: Duration::from_secs(5),
        })
    }
}

/// Refuses FreeSWITCH's well-known password on anything but this machine.
///
/// # Errors
/// Names the key and what to do.
pub fn check_password(esl: &str, password: &Secret) -> Result<(), ConfigError> {
    let (host, _) = address(esl)?;
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !loopback && password.reveal() == WELL_KNOWN {
        let message = format!(
            "`{host}` is another machine and the password is FreeSWITCH's well-known default: set another in its \
             event_socket.conf.xml and here"
        );
        return Err(wrong("switch.password", &message));
    }
    Ok(())
}

/// `host`, `host:port`, `[::1]:port`.
fn address(text: &str) -> Result<(String, u16), ConfigError> {
    let bad = || wrong("switch.esl", &format!("`{text}` is no `host:port`, such as `127.0.0.1:8021`"));
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(bad)?;
        (host, port.strip_prefix(':'))
    } else if let Some((host, port)) = text.rsplit_once(':') {
        (host, Some(port))
    } else {
        (text, None)
    };
    let port = port.map_or(Ok(PORT), |port| port.parse().map_err(|_| bad()))?;
    if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c == '/') {
        return Err(bad());
    }
    Ok((host.to_owned(), port))
}

fn wrong(key: &'static str, message: &str) -> ConfigError {
    ConfigError::Value { key, message: message.to_owned() }
}
