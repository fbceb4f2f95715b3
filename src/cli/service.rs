//! `serve` owns the calls; the other commands need one that lives.

use std::{process::ExitCode, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Context, output::unavailable};
use crate::store::{HEARTBEAT_DEAD_MS, Store, now_ms};

/// How long the service may take to be ready in this process: a model has to load.
const START_WAIT: Duration = Duration::from_secs(120);

/// The `serve` that does the work.
pub(super) enum Service {
    Elsewhere,
    Here { task: JoinHandle<anyhow::Result<()>>, shutdown: CancellationToken },
}

impl Service {
    /// Finds a live `serve`, or runs one here where that is wanted. `Err`: there is none; it was said, with the
    /// command that starts it.
    pub(super) async fn find(
        ctx: &Context,
        store: &Store,
        with_serve: bool,
    ) -> anyhow::Result<Result<Self, ExitCode>> {
        if store.live_serve(now_ms()).await?.is_some() {
            return Ok(Ok(Self::Elsewhere));
        }
        if !with_serve {
            return Ok(Err(no_serve()));
        }
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(crate::app::serve(ctx.config.clone(), shutdown.clone()));
        let service = Self::Here { task, shutdown };
        let deadline = tokio::time::Instant::now() + START_WAIT;
        while store.live_serve(now_ms()).await?.is_none() {
            if service.ended() || tokio::time::Instant::now() > deadline {
                service.end().await?;
                anyhow::bail!("the service did not start");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Ok(service))
    }

    /// Whether it still does the work.
    pub(super) async fn lives(&self, store: &Store) -> anyhow::Result<bool> {
        match self {
            Self::Elsewhere => Ok(store.live_serve(now_ms()).await?.is_some()),
            Self::Here { .. } => Ok(!self.ended()),
        }
    }

    /// Ends the one in this process and waits for it; leaves another alone.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Elsewhere => Ok(()),
            Self::Here { task, shutdown } => {
                shutdown.cancel();
                task.await?
            }
        }
    }

    fn ended(&self) -> bool {
        match self {
            Self::Elsewhere => false,
            Self::Here { task, .. } => task.is_finished(),
        }
    }
}

/// Says which command starts a `serve` of the same configuration.
pub(super) fn no_serve() -> ExitCode {
    unavailable(format_args!(
        "no `sidetone serve` runs on this database (no sign of life for {} s). Start it with:\n  {}\nor add \
         --with-serve to run it in this process.",
        HEARTBEAT_DEAD_MS / 1000,
        serve_command(std::env::args()),
    ))
}

fn serve_command(mut args: impl Iterator<Item = String>) -> String {
    let program = args.next().unwrap_or_else(|| "sidetone".to_owned());
    while let Some(arg) = args.next() {
        let file = match arg.strip_prefix("--config=") {
            Some(file) => Some(file.to_owned()),
            None if arg == "--config" => args.next(),
            None => None,
        };
        if let Some(file) = file {
            return format!("{program} --config {} serve", quoted(&file));
        }
    }
    format!("{program} serve")
}

fn quoted(word: &str) -> String {
    match word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c)) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_same_configuration() {
        let command = |args: &[&str]| serve_command(args.iter().map(|&arg| arg.to_owned()));
        assert_eq!(command(&["sidetone", "campaign", "run", "x"]), "sidetone serve");
        assert_eq!(
            command(&["./sidetone", "call", "--config", "a b.toml"]),
            "./sidetone --config 'a b.toml' serve"
        );
        assert_eq!(
            command(&["sidetone", "--config=/etc/s.toml", "call"]),
            "sidetone --config /etc/s.toml serve"
        );
    }
}
