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
    if is_closed_pipe(&error) {
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

/// Whether nobody reads our output any more. Only what writes it is asked: a database may lose its connection in the same
/// words.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = if let Some(csv) = error.downcast_ref::<csv::Error>() {
        let csv::ErrorKind::Io(error) = csv.kind() else { return false };
        Some(error.kind())
    } else if let Some(json) = error.downcast_ref::<serde_json::Error>() {
        json.io_error_kind()
    } else {
        error.downcast_ref::<io::Error>().map(io::Error::kind)
    };
    kind == Some(io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody reads.
    struct Closed;

    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_has_enough_is_no_error() {
        let line = writeln!(Closed, "x").unwrap_err();
        let json = serde_json::to_writer(Closed, "x").unwrap_err();
        let mut csv = csv::WriterBuilder::new().buffer_capacity(1).from_writer(Closed);
        let csv = csv.write_record(["more", "than", "fits"]).unwrap_err();
        for error in [anyhow::Error::new(line), json.into(), csv.into()] {
            assert!(is_closed_pipe(&error), "{error:?}");
        }
    }

    #[test]
    fn a_database_that_is_gone_is_one() {
        let lost = sqlx::Error::Io(io::ErrorKind::BrokenPipe.into());
        let error = anyhow::Error::new(StoreError::Sql(lost));
        assert!(!is_closed_pipe(&error) && settle(Err(error)).is_err());
    }
}
