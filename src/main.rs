use std::process::ExitCode;

use clap::Parser as _;
use sidetone::cli::{self, Cli};

fn main() -> ExitCode {
    sidetone::reexec::ensure_environment();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(cli::exit::FAILED);
        }
    };
    runtime.block_on(cli::run(cli)).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(cli::exit::FAILED)
    })
}
