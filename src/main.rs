use std::process::ExitCode;

use clap::Parser as _;
use sidetone::cli::{self, Cli, exit};

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sidetone: {error:#}");
            ExitCode::from(exit::FAILED)
        }
    }
}
