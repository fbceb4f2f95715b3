//! `sidetone call`: one call, watched.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use phonenumber::country;
use serde::Serialize;
use sidetone_core::{
    call::{CallId, Disposition},
    scenario::ScenarioRun,
};

use super::{
    Context, exit, input,
    output::{document, note, say, settle, usage},
    service::{Service, no_serve},
    timeline,
};
use crate::store::{Attempt, CallWish, Store, StoredEvent, WishAnswer, now_ms};

/// How often the database is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long `serve` may take to answer a wish: it may still be loading its model.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sidetone call --to +33612345678 --scenario scenarios/lead-qualification.yaml\n  \
    sidetone call --dial-string loopback/1000/default --scenario scenarios/appointment-reminder.yaml --var day=monday\n\n\
    Exit codes: 0 the call was made, 1 it failed, 2 wrong arguments, 3 no `sidetone serve`.")]
pub struct Call {
    /// The number to call, dialled as `switch.dial_string` says.
    #[arg(
        long,
        value_name = "NUMBER",
        required_unless_present = "dial_string",
        conflicts_with = "dial_string"
    )]
    to: Option<String>,
    /// What the switch shall dial, as it stands.
    #[arg(long, value_name = "STRING")]
    dial_string: Option<String>,
    /// What the call says and does.
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// A variable of the scenario; may be given several times.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = input::parse_variable)]
    variables: Vec<(String, String)>,
    /// The country of a number without one, such as FR.
    #[arg(long, value_name = "CC", value_parser = input::parse_country)]
    country: Option<country::Id>,
    /// Instead of the scenario's.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Instead of `switch.caller_id`.
    #[arg(long, value_name = "NUMBER")]
    caller_id: Option<String>,
    /// Run the service in this process where none runs.
    #[arg(long)]
    with_serve: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    call: Attempt,
    events: Vec<StoredEvent>,
}

impl Call {
    /// # Errors
    /// What could not be done, for the user's eyes.
    pub async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        settle(self.place(ctx).await)
    }

    async fn place(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let with_serve = self.with_serve;
        let wish = match self.wish(ctx) {
            Ok(wish) => wish,
            Err(message) => return Ok(usage(message)),
        };
        let store = Store::open(&ctx.config.store.url).await?;
        let service = match Service::find(ctx, &store, with_serve).await? {
            Ok(service) => service,
            Err(code) => return Ok(code),
        };
        let id = store.place_wish(&wish, now_ms()).await?;
        let done = tokio::select! {
            done = watch(ctx, &store, &service, id) => done,
            _ = tokio::signal::ctrl_c() => {
                note("Not watched any more; a call that was placed goes on while the service runs.");
                Ok(ExitCode::from(exit::FAILED))
            }
        };
        store.withdraw_wish(id, now_ms()).await?;
        service.end().await?;
        done
    }

    fn wish(self, ctx: &Context) -> Result<CallWish, String> {
        let (path, scenario) = input::scenario(ctx, &self.scenario)?;
        let variables = input::variables(self.variables);
        ScenarioRun::new(scenario, &variables).map_err(|error| format!("--var: {error}"))?;
        let number = self.to.map(|to| input::e164(&to, self.country)).transpose();
        Ok(CallWish {
            number: number.map_err(|message| format!("--to: {message}"))?,
            dial_string: self.dial_string,
            scenario: path,
            language: self.language,
            caller_id: self.caller_id,
            variables,
        })
    }
}

async fn watch(ctx: &Context, store: &Store, service: &Service, id: i64) -> anyhow::Result<ExitCode> {
    let call = match answer(store, service, id).await? {
        WishAnswer::Call(call) => call,
        WishAnswer::Refused(reason) => {
            note(format_args!("error: the call was not placed: {reason}"));
            return Ok(ExitCode::from(exit::FAILED));
        }
        WishAnswer::Waiting => return Ok(no_serve()),
    };
    let Some(report) = follow(ctx, store, service, &call).await? else { return Ok(no_serve()) };
    if let WishAnswer::Refused(reason) = store.wish_answer(id).await? {
        note(format_args!("error: the call was not placed: {reason}"));
    }
    let failed = matches!(report.call.disposition, Some(Disposition::Failed | Disposition::Lost) | None);
    if ctx.json {
        document(&report)?;
    } else {
        say(last_line(&report.call))?;
    }
    Ok(ExitCode::from(if failed { exit::FAILED } else { exit::OK }))
}

async fn answer(store: &Store, service: &Service, id: i64) -> anyhow::Result<WishAnswer> {
    let deadline = tokio::time::Instant::now() + ANSWER_WAIT;
    loop {
        let answer = store.wish_answer(id).await?;
        let over = tokio::time::Instant::now() > deadline || !service.lives(store).await?;
        if answer != WishAnswer::Waiting || over {
            return Ok(answer);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Prints events as they come, until the call's outcome is stored. `None`: the service died.
async fn follow(
    ctx: &Context,
    store: &Store,
    service: &Service,
    call: &CallId,
) -> anyhow::Result<Option<Report>> {
    if !ctx.json {
        say(format_args!("call {call}"))?;
    }
    let mut events: Vec<StoredEvent> = Vec::new();
    loop {
        // In this order: an outcome is stored after the events before it.
        let attempt = store.attempt(call.as_str()).await?;
        let seen = events.last().map_or(0, |event| event.seq);
        for event in store.events_after(call, seen).await? {
            if !ctx.json {
                say(timeline::line(attempt.started_ms, &event))?;
            }
            events.push(event);
        }
        if attempt.ended_ms.is_some() {
            return Ok(Some(Report { call: attempt, events }));
        }
        if !service.lives(store).await? {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

pub(super) fn last_line(call: &Attempt) -> String {
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|value| value.as_str().map(str::to_owned))
    };
    let mut line = word(serde_json::to_value(call.disposition)).unwrap_or_else(|| "live".to_owned());
    let verdict = word(serde_json::to_value(call.verdict)).map(|verdict| format!("verdict {verdict}"));
    let after = call.verdict_ms.map(|ms| format!("{ms} ms after the answer"));
    let hangup = call.hangup_cause.as_ref().map(|cause| format!("hangup {cause}"));
    let outcome = call.outcome.as_ref().map(|outcome| format!("outcome {outcome}"));
    for part in [outcome, verdict, after, hangup].into_iter().flatten() {
        line.push_str(", ");
        line.push_str(&part);
    }
    line
}
