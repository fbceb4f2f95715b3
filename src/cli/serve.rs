//! `sidetone serve`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Context, exit};
use crate::{app, asr::LoadError};

/// Runs until SIGTERM or ctrl-C: then no call starts and live ones may end within `shutdown.grace`. A second
/// signal ends at once; calls are then settled at the next start.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone --config /etc/sidetone/sidetone.toml serve")]
pub struct Serve {}

impl Serve {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let shutdown = CancellationToken::new();
        tokio::spawn(stop_on_signal(shutdown.clone()));
        match app::serve(ctx.config.clone(), shutdown).await {
            Ok(()) => Ok(ExitCode::from(exit::OK)),
            Err(error) if error.downcast_ref::<LoadError>().is_some() => {
                eprintln!("error: {error:#}");
                Ok(ExitCode::from(exit::UNAVAILABLE))
            }
            Err(error) => Err(error),
        }
    }
}

/// The first signal asks for a quiet end, the second ends the process.
pub(super) async fn stop_on_signal(shutdown: CancellationToken) {
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    for first in [true, false] {
        tokio::select! {
            _ = term.recv() => {}
            interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() { return },
        }
        if first {
            tracing::info!("asked to stop; a second signal ends at once");
            shutdown.cancel();
        } else {
            std::process::exit(i32::from(exit::FAILED));
        }
    }
}
