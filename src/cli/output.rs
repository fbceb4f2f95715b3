//! What goes to stdout and stderr, and which exit code an error means.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde::Serialize;

use super::exit;
use crate::store::StoreError;

/// A line on stdout.
pub(super) fn say(line: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// One JSON document on stdout.
pub(super) fn document(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(writeln!(out)?)
}

/// A line on stderr.
pub(super) fn note(line: impl std::fmt::Display) {
    // Nobody is left to tell where stderr is closed.
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// The arguments or an input are wrong.
pub(super) fn usage(line: impl std::fmt::Display) -> ExitCode {
    note(format_args!("error: {line}"));
    ExitCode::from(exit::USAGE)
}

/// Something it needs is not there.
pub(super) fn unavailable(line: impl std::fmt::Display) -> ExitCode {
    note(format_args!("error: {line}"));
    ExitCode::from(exit::UNAVAILABLE)
}

/// Gives errors that lie in the arguments their exit code, and lets a closed pipe (`| head`) end in peace.
pub(super) fn settle(result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let error = match result {
        Ok(code) => return Ok(code),
        Err(error) => error,
    };
    let is_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_pipe) {
        return Ok(ExitCode::SUCCESS);
    }
    match error.downcast_ref::<StoreError>() {
        Some(
            StoreError::UnknownCampaign { .. }
            | StoreError::CampaignExists(_)
            | StoreError::Control { .. }
            | StoreError::UnknownCall(_)
            | StoreError::ImportOpen { .. }
            | StoreError::UnknownWebhook(_)
            | StoreError::Url { .. },
        ) => Ok(usage(error)),
        Some(StoreError::Open { .. }) => Ok(unavailable(error)),
        Some(
            StoreError::Migrate(_)
            | StoreError::Sql(_)
            | StoreError::Unreadable { .. }
            | StoreError::AlreadyServing { .. }
            | StoreError::ImportGone
            | StoreError::Closed,
        )
        | None => Err(error),
    }
}
