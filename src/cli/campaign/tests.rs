//! Commands against a real database and a dialer whose calls end at once.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use clap::Parser as _;
use sidetone_core::{
    amd::{Cause, Verdict},
    call::{CallId, Disposition, Event, HangupReason},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{Cli, Command, Context, exit},
    config::Config,
    dialer::{CallSpec, DialSettings, Dialer, Line, LineLimits, NotReady, PlaceCall, PlaceError},
    store::{EventRecord, FinishedCall, Store, now_ms},
};

const SCENARIO: &str = "name: test\nlanguage: en\nvariables:\n  day: {values: [monday, friday], default: monday}\n\
                        start: bye\nsteps:\n  bye:\n    hang_up: {outcome: done, disposition: completed}\n";

/// Answers every call as a person and hangs up.
struct EndsAtOnce {
    store: Store,
}

impl PlaceCall for EndsAtOnce {
    fn ready(&self) -> Result<(), NotReady> {
        Ok(())
    }

    fn place(&self, spec: CallSpec, _line: Line) -> Result<(), PlaceError> {
        if spec.dial_string.contains("nowhere") {
            return Err(PlaceError::Contact("no such gateway".to_owned()));
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            let mut finished = FinishedCall::new(Disposition::Failed, now_ms());
            let verdict = Event::Verdict {
                verdict: Verdict::Human,
                cause: Cause::ShortGreeting,
                confidence: 0.9,
                evidence: Vec::new(),
                at_ms: 850,
                after_speech_ms: Some(400),
            };
            let ended =
                Event::Ended { disposition: Disposition::Completed, outcome: Some("done".to_owned()) };
            for (seq, event) in (1..).zip([Event::Answered, verdict, ended]) {
                let at_ms = now_ms();
                finished.observe(at_ms, None, &event);
                let record = EventRecord { call: spec.call.clone(), seq, at_ms, media_ms: None, event };
                store.record_event(record).await;
            }
            store.finish_attempt(&spec.call, &finished, &spec.retries).await.unwrap();
        });
        Ok(())
    }

    fn is_live(&self, _call: &CallId) -> bool {
        true
    }

    fn end_campaign_calls(&self, _campaign: i64, _reason: HangupReason) {}
}

struct Desk {
    folder: tempfile::TempDir,
    ctx: Context,
    shutdown: CancellationToken,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.yaml"), SCENARIO).unwrap();
        let mut config = Config::default();
        config.store.url = format!("sqlite:{}", folder.path().join("t.db").display());
        config.prompts.dir = folder.path().to_owned();
        let ctx = Context { config: Arc::new(config), json: false };
        Self { folder, ctx, shutdown: CancellationToken::new() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn store(&self) -> Store {
        Store::open(&self.ctx.config.store.url).await.unwrap()
    }

    /// What `serve` does, as far as these commands can see.
    async fn serve(&self) {
        let store = self.store().await;
        store.start_serving("one", now_ms()).await.unwrap();
        let place = Arc::new(EndsAtOnce { store: store.clone() });
        let settings = DialSettings {
            instance: "one".to_owned(),
            caller_id: "+33100000000".to_owned(),
            lines: LineLimits::one("sofia/gateway/gw/{e164}"),
        };
        tokio::spawn(Dialer::new(store.clone(), place, settings).run(self.shutdown.clone()));
        let shutdown = self.shutdown.clone();
        tokio::spawn(shutdown.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                store.heartbeat("one", now_ms()).await.unwrap();
            }
        }));
    }

    /// Runs a command line; `@` stands for the folder. The exit code.
    async fn run(&self, line: &str) -> u8 {
        let line = line.replace('@', &self.folder.path().display().to_string());
        let cli = Cli::try_parse_from(std::iter::once("sidetone").chain(line.split(' '))).unwrap();
        let ctx = Context { json: cli.json, ..self.ctx.clone() };
        let code = if let Command::Call(command) = cli.command {
            command.run(&ctx).await
        } else if let Command::Calls(command) = cli.command {
            command.run(&ctx).await
        } else if let Command::Campaign(command) = cli.command {
            command.run(&ctx).await
        } else if let Command::Forget(command) = cli.command {
            command.run(&ctx).await
        } else {
            panic!("{line} is not tested here")
        };
        let code = code.unwrap();
        (0..=u8::MAX).find(|n| std::process::ExitCode::from(*n) == code).unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn a_campaign_from_its_making_to_its_table() {
    let desk = Desk::new();
    desk.file(
        "c.csv",
        "number,kind,day\n+33199000001,human,friday\n0199000002,human,\n0199000002,again,\nxyz,bad,\n\
         +33199000003,human,sunday\n",
    );
    assert_eq!(desk.run("campaign create spring --scenario @/s.yaml --cps 100").await, exit::OK);
    assert_eq!(desk.run("campaign create spring --scenario @/s.yaml").await, exit::USAGE);
    assert_eq!(desk.run("campaign run spring").await, exit::USAGE, "no contacts");
    let import = "campaign import spring @/c.csv --country fr --errors @/bad.csv";
    assert_eq!(desk.run(&format!("{import} --dry-run")).await, exit::FAILED);
    assert_eq!(desk.store().await.campaign_counts(1).await.unwrap().contacts, 0);
    assert_eq!(desk.run(import).await, exit::FAILED);
    assert_eq!(desk.store().await.campaign_counts(1).await.unwrap().contacts, 2);
    let bad = std::fs::read_to_string(desk.folder.path().join("bad.csv")).unwrap();
    let lines: BTreeSet<_> = bad.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(lines, BTreeSet::from(["4", "5", "6"]), "{bad}");

    assert_eq!(desk.run("campaign run spring").await, exit::UNAVAILABLE, "no serve");
    assert_eq!(desk.run("campaign pause spring").await, exit::USAGE, "still a draft");
    desk.serve().await;
    assert_eq!(desk.run("campaign run spring").await, exit::OK);
    for line in [
        "campaign run spring --json",
        "campaign status spring",
        "campaign status spring --json",
        "campaign list",
        "campaign export spring",
        "campaign export spring --format jsonl",
        "campaign export spring --json",
        "calls --campaign spring",
        "calls list --json",
    ] {
        assert_eq!(desk.run(line).await, exit::OK, "{line}");
    }
    let call = desk.store().await.recent_calls(None, 1).await.unwrap().remove(0).call;
    assert_eq!(desk.run(&format!("calls show {call}")).await, exit::OK);
    assert_eq!(desk.run("calls show nothing").await, exit::USAGE);
    assert_eq!(desk.run("campaign status sprong").await, exit::USAGE);
}

#[tokio::test]
async fn a_campaign_is_made_with_rules_planned_and_changed() {
    let desk = Desk::new();
    desk.file("ids", "# ours\n+33100000001\n+33100000002 # the other\n");
    desk.file("c.csv", "number,consent\n+33612345678,yes\n+33612345679,no\n");
    desk.file("bad.yaml", "name: own\nhours: {mon-fri: 9-18}\n");
    let create = "campaign create spring --scenario @/s.yaml";
    for wrong in [
        "--policy us-trs",
        "--policy @/bad.yaml",
        "--on voicemail=leave_message:nowhere",
        "--on voicemial=hang_up",
        "--on voicemail=hang_up --on voicemail=continue",
        "--caller-id-daily-cap 5",
        "--caller-id +33100000001 --caller-ids @/ids",
        "--caller-ids @/none",
    ] {
        assert_eq!(desk.run(&format!("{create} {wrong}")).await, exit::USAGE, "{wrong}");
    }
    let terms =
        "--policy fr-d223-9 --weight 3 --caller-ids @/ids --caller-id-daily-cap 5 --on voicemail=hang_up";
    assert_eq!(desk.run(&format!("{create} {terms} --default-zone Europe/Paris")).await, exit::OK);
    let store = desk.store().await;
    let made = store.campaign("spring").await.unwrap();
    assert_eq!((made.terms.weight, made.terms.caller_ids.len()), (3, 2));
    assert_eq!(made.terms.machine["voicemail"], "hang_up");
    assert_eq!(made.terms.policy.unwrap().name, "fr-d223-9");

    desk.run("campaign import spring @/c.csv").await;
    for line in ["campaign plan spring", "campaign plan spring --json", "campaign status spring"] {
        assert_eq!(desk.run(line).await, exit::OK, "{line}");
    }
    assert_eq!(desk.run("campaign policy spring --off consent --reason ours").await, exit::OK);
    assert_eq!(desk.run("campaign policy spring --off sleep --reason x").await, exit::USAGE);
    assert_eq!(desk.run("campaign policy spring --set uk-ofcom").await, exit::OK);
    assert_eq!(desk.run("campaign policy spring --json").await, exit::OK);
    let log = store.policy_log(made.id).await.unwrap();
    let log: Vec<_> = log.iter().map(|entry| (entry.what.as_str(), entry.reason.as_deref())).collect();
    assert_eq!(log, [("fr-d223-9", None), ("consent off", Some("ours")), ("uk-ofcom", None)]);

    assert_eq!(desk.run("campaign create autumn --scenario @/s.yaml --no-policy trial").await, exit::OK);
    let autumn = store.campaign("autumn").await.unwrap();
    assert_eq!(store.policy_log(autumn.id).await.unwrap()[0].reason.as_deref(), Some("trial"));
    assert_eq!(desk.run("campaign policy autumn --off --reason x").await, exit::USAGE, "it has none");
}

#[test]
fn a_rule_is_switched_off_with_a_reason_only() {
    let off = ["sidetone", "campaign", "policy", "spring", "--off", "hours"];
    assert!(Cli::try_parse_from(off).is_err());
    assert!(Cli::try_parse_from(off.into_iter().chain(["--reason", "why"])).is_ok());
    let both =
        ["sidetone", "campaign", "create", "x", "--scenario", "s", "--policy", "us-tsr", "--no-policy", "y"];
    assert!(Cli::try_parse_from(both).is_err());
    let zone = ["sidetone", "campaign", "create", "x", "--scenario", "s", "--default-zone", "Paris"];
    let error = Cli::try_parse_from(zone).unwrap_err().to_string();
    assert!(error.contains("`Paris` is no time zone"), "{error}");
}

#[tokio::test]
async fn a_call_is_wished_for_watched_and_forgotten() {
    let desk = Desk::new();
    let call = "call --to +33199000001 --scenario @/s.yaml --var day=friday";
    assert_eq!(desk.run(call).await, exit::UNAVAILABLE, "no serve");
    desk.serve().await;
    assert_eq!(desk.run(call).await, exit::OK);
    assert_eq!(
        desk.run("call --dial-string loopback/1000/default --scenario @/s.yaml --json").await,
        exit::OK
    );
    assert_eq!(desk.run("call --dial-string nowhere --scenario @/s.yaml").await, exit::FAILED);
    assert_eq!(desk.run("call --to 12 --scenario @/s.yaml").await, exit::USAGE);
    assert_eq!(desk.run("call --to +33199000001 --scenario @/none.yaml").await, exit::USAGE);
    let wrong_day = "call --to +33199000001 --scenario @/s.yaml --var day=never";
    assert_eq!(desk.run(wrong_day).await, exit::USAGE);

    assert_eq!(desk.run("forget +33199000001 --suppress").await, exit::OK);
    let calls = desk.store().await.recent_calls(None, 10).await.unwrap();
    assert!(calls.iter().all(|call| call.number.is_none()), "{calls:?}");
    assert_eq!(desk.run(call).await, exit::FAILED, "on the do-not-call list");
}

#[test]
fn every_command_has_an_example() {
    use clap::CommandFactory as _;
    for name in ["call", "calls", "campaign", "forget"] {
        let root = Cli::command();
        let command = root.find_subcommand(name).unwrap();
        for shown in std::iter::once(command).chain(command.get_subcommands()) {
            let help = shown.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{name} {}", shown.get_name());
        }
    }
}
