//! Logs: to stderr, as text or JSON, with telephone numbers masked.
//!
//! Every line of a call carries its id because the session runs inside a span that has it. Transcripts are logged
//! at debug only, by the session.

#[cfg(test)]
mod tests;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::Directive, fmt, prelude::*};

use crate::config::{Log, LogFormat};

#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("log.level: `{level}` is no level: write info, debug or sidetone=debug")]
    Level { level: String },
    #[error("logging was started twice")]
    Twice,
}

/// Starts logging for the process.
///
/// # Errors
/// A level that does not parse, or a second start.
pub fn init(config: &Log) -> Result<(), LoggingError> {
    let registry = tracing_subscriber::registry().with(filter(&config.level)?);
    let started = match config.format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Json => registry
            .with(
                fmt::layer().json().flatten_event(true).with_current_span(true).with_writer(std::io::stderr),
            )
            .try_init(),
    };
    started.map_err(|_| LoggingError::Twice)
}

/// A telephone number as it may be shown in a log: the first four characters and the last two.
/// Short ones (extensions) and everything else keep only their last two.
#[must_use]
pub fn mask_number(number: &str) -> String {
    let chars: Vec<char> = number.chars().collect();
    let head = if chars.len() >= 9 { 4 } else { 0 };
    let tail = chars.len().saturating_sub(if chars.len() > 2 { 2 } else { 0 });
    chars.iter().enumerate().map(|(i, &c)| if i < head || i >= tail { c } else { '*' }).collect()
}

/// The switch's client logs what it sends at debug, and that holds numbers and stream tokens: errors only, whatever
/// was asked for. What matters of its warnings, the adapter says itself. The database's warns of slow statements with
/// their whole text, which for a list's rows is a page.
fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    let refused = || LoggingError::Level { level: level.to_owned() };
    let mut filter = EnvFilter::try_new(level).map_err(|_| refused())?;
    for quiet in ["freeswitch_esl_tokio=error", "sqlx::query=error"] {
        filter = filter.add_directive(quiet.parse::<Directive>().map_err(|_| refused())?);
    }
    Ok(filter)
}
