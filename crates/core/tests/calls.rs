//! Runs every call script of `tests/calls/`: a whole call in virtual time, line by line.
//!
//! The format is described in `tests/calls/README.md`. `UPDATE_CALLS=1` rewrites the expected lines with what the
//! call really did; read the difference before committing it.

mod support;

use std::{fs, path::PathBuf};

use support::script;

#[test]
fn every_call_goes_as_written() {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("tests/calls"))
        .expect("tests/calls is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "call"))
        .collect();
    files.sort();
    let mut calls = 0;
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        let run = script::run(&text, &root().join("scenarios"))
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        calls += run.calls;
        if run.text != text {
            if std::env::var_os("UPDATE_CALLS").is_some() {
                fs::write(&file, &run.text).expect("writable");
            } else {
                wrong.push(format!("{}:\n{}", file.display(), script::difference(&text, &run.text)));
            }
        }
    }
    assert!(wrong.is_empty(), "calls went another way:\n{}", wrong.join("\n"));
    assert!(calls >= 40, "only {calls} calls are scripted");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
