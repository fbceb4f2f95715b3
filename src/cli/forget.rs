//! `sidetone forget`: delete what is known of a person.

use std::process::ExitCode;

use phonenumber::country;
use serde::Serialize;

use super::{
    Context, exit, input,
    output::{document, note, say, settle, usage},
};
use crate::store::{Store, delete_files, now_ms, record_dir};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone forget +33612345678 --suppress\n\n\
    Deletes the number and variables of its contacts, and its calls' number, events, transcripts and recordings. \
    Counts and outcomes stay, without the number. An entry on a do-not-call list stays.")]
pub struct Forget {
    /// The number, +33612345678 or with --country.
    number: String,
    /// The country of a number without one, such as FR.
    #[arg(long, value_name = "CC", value_parser = input::parse_country)]
    country: Option<country::Id>,
    /// Also put it on the do-not-call list, so that a later import does not call it again.
    #[arg(long)]
    suppress: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    contacts: u64,
    calls: usize,
    files: usize,
    live_calls: usize,
    on_do_not_call_list: bool,
}

impl Forget {
    /// # Errors
    /// What could not be done, for the user's eyes.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        settle(self.forget(ctx).await)
    }

    async fn forget(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let number = match input::e164(&self.number, self.country) {
            Ok(number) => number,
            Err(message) => return Ok(usage(message)),
        };
        let store = Store::open(&ctx.config.store.url).await?;
        if self.suppress {
            store.suppress(&number, "forgotten on request", now_ms()).await?;
        }
        let forgotten = store.forget(&number).await?;
        let report = Report {
            contacts: forgotten.contacts,
            calls: forgotten.calls.len(),
            files: delete_files(&record_dir(&ctx.config), &forgotten.calls)?,
            live_calls: forgotten.live.len(),
            on_do_not_call_list: store.is_suppressed(&number).await?,
        };
        if ctx.json {
            document(&report)?;
        } else {
            let Report { contacts, calls, files, .. } = &report;
            say(format_args!("forgotten: contacts {contacts}, calls {calls}, files {files}"))?;
            let listed = if report.on_do_not_call_list { "is" } else { "is not" };
            say(format_args!("the number {listed} on the do-not-call list"))?;
        }
        if report.live_calls > 0 {
            note("error: a call to this number has not ended: forget it again afterwards");
            return Ok(ExitCode::from(exit::FAILED));
        }
        Ok(ExitCode::SUCCESS)
    }
}
