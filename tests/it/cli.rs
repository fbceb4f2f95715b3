//! The program as its users meet it: examples, exit codes, one document on stdout, words for what is wrong.

use std::{path::Path, process::Command};

use clap::CommandFactory as _;
use sidetone::cli::Cli;

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs it in a folder of its own, with the shipped scenarios.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let config = format!(
            "[switch]\nesl = \"127.0.0.1:1\"\ncaller_id = \"+442079460000\"\n\
             [scenarios]\ndir = {root:?}\n[prompts]\ndir = {:?}\n",
            root.join("prompts")
        );
        std::fs::write(folder.path().join("sidetone.toml"), config).expect("written");
        std::fs::write(folder.path().join("contacts.csv"), "number,day\n+33612345678,monday\n")
            .expect("written");
        Self(folder)
    }

    fn run(&self, line: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidetone"));
        command.current_dir(self.0.path()).args(line.split_whitespace());
        for variable in ["SIDETONE_CONFIG", "SIDETONE_ESL_PASSWORD", "SIDETONE_HTTP_TOKEN", "DATABASE_URL"] {
            command.env_remove(variable);
        }
        let output = command.output().expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn campaign(&self) {
        for line in
            ["campaign create spring --scenario appointment-reminder", "campaign import spring contacts.csv"]
        {
            let ran = self.run(line);
            assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
        }
    }
}

fn each(command: &clap::Command, path: &str, seen: &mut Vec<(String, bool)>) {
    let path = format!("{path} {}", command.get_name());
    let leaf = command.get_subcommands().next().is_none();
    let example = command.get_after_help().is_some_and(|help| help.to_string().contains("Example"));
    if leaf || path.split(' ').count() == 3 {
        seen.push((path.clone(), example));
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        each(sub, &path, seen);
    }
}

#[test]
fn every_command_has_an_example_in_its_help() {
    let mut seen = Vec::new();
    each(&Cli::command(), "", &mut seen);
    assert!(seen.len() > 15, "{seen:?}");
    let without: Vec<&String> = seen.iter().filter(|(_, example)| !example).map(|(path, _)| path).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn with_json_there_is_one_document_alone_on_stdout() {
    let desk = Desk::new();
    desk.campaign();
    for (line, code) in [
        ("config show --json", 0),
        ("campaign list --json", 0),
        ("campaign status spring --json", 0),
        ("campaign export spring --json", 0),
        ("campaign export spring --attempts --json", 0),
        ("campaign ledger spring --json", 0),
        ("campaign report spring --html report.html --json", 0),
        ("campaign ledger spring --csv --json", 2),
        ("webhooks list --json", 0),
        ("campaign pause spring --json", 2),
        ("calls list --json", 0),
        ("models list --json", 0),
        ("scenario check appointment-reminder --json", 0),
        ("forget +33612345678 --json", 0),
        ("doctor --json", 1),
    ] {
        let ran = desk.run(line);
        assert_eq!(ran.code, Some(code), "{line}: {} {}", ran.stdout, ran.stderr);
        if code == 2 {
            assert_eq!(ran.stdout, "", "{line}");
            continue;
        }
        let document: Result<serde_json::Value, _> = serde_json::from_str(&ran.stdout);
        assert!(document.is_ok(), "{line}: {}", ran.stdout);
    }
}

#[test]
fn without_a_live_serve_the_command_that_starts_it_is_named() {
    let desk = Desk::new();
    desk.campaign();
    for line in ["campaign run spring", "call --to +33612345678 --scenario appointment-reminder"] {
        let ran = desk.run(line);
        assert_eq!(ran.code, Some(3), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains("sidetone serve"), "{line}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{line}");
    }
    let ran = desk.run("calls list --json");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ran.stdout).expect("JSON"), serde_json::json!([]));
}

#[test]
fn what_is_wrong_is_named() {
    let desk = Desk::new();
    desk.campaign();
    let file = |name: &str, text: &str| std::fs::write(desk.0.path().join(name), text).expect("written");
    file("typo.toml", "[switch]\ncalller_id = \"x\"\n");
    file("type.toml", "[media]\nsample_rate = \"fast\"\n");
    file("remote.toml", "[switch]\nesl = \"10.0.0.1:8021\"\ncaller_id = \"+442079460000\"\n");
    file("empty.toml", "[store]\nurl = \"sqlite:empty.db\"\n");
    file("bad.yaml", "name: x\nlanguage: en\nsteps:\n  a:\n    goto: nowhere\n");
    file("bad.csv", "number\n+3361\n");
    file("cast.yaml", "callees:\n  - {name: A, answer: {after: soon}}\n");
    for (line, code, words) in [
        ("--config typo.toml serve", 2, "calller_id"),
        ("--config type.toml serve", 2, "type.toml:2"),
        ("--config nowhere.toml serve", 2, "nowhere.toml"),
        ("--config remote.toml serve", 2, "switch.password"),
        ("scenario check bad.yaml", 2, "nowhere"),
        ("scenario check nowhere.yaml", 2, "nowhere.yaml"),
        ("campaign create other --scenario bad.yaml", 2, "bad.yaml"),
        ("campaign create spring --scenario appointment-reminder", 2, "spring"),
        ("campaign import spring bad.csv", 1, "bad.csv:2"),
        ("campaign import spring nowhere.csv", 2, "nowhere.csv"),
        ("campaign status sprung", 2, "spring"),
        ("campaign run sprung", 2, "spring"),
        ("--config empty.toml campaign status spring", 2, "store.url"),
        ("campaign ledger sprung", 2, "spring"),
        ("campaign report sprung", 2, "spring"),
        ("campaign report spring --html nowhere/report.html", 1, "nowhere/report.html"),
        ("campaign status sprung --watch", 2, "spring"),
        ("webhooks show 7", 2, "no webhook has the id 7"),
        ("webhooks replay 7", 2, "webhooks.url"),
        ("webhooks replay", 2, "--dead"),
        ("calls show nothing", 2, "nothing"),
        ("call --to 12 --scenario appointment-reminder", 2, "12"),
        ("call --scenario appointment-reminder", 2, "--to"),
        ("simulate --cast cast.yaml", 2, "soon"),
        ("models get huge", 2, "huge"),
        ("dial", 2, "dial"),
        ("serve --fast", 2, "--fast"),
    ] {
        let ran = desk.run(line);
        assert_eq!(ran.code, Some(code), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{line}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{line}: {}", ran.stderr);
    }
}
