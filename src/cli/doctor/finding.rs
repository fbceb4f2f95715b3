//! A check's result, and the report.

use std::fmt;

use comfy_table::{Table, presets};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    Failed,
    Skipped,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) todo: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, state: State::Ok, detail: detail.into(), todo: None }
    }

    pub(super) fn failed(check: &'static str, detail: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, state: State::Failed, detail: detail.into(), todo: Some(todo.into()) }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.state == State::Ok
    }

    pub(super) fn skipped(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, state: State::Skipped, detail: detail.into(), todo: None }
    }
}

/// All findings, and whether none failed.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) ok: bool,
    pub(super) checks: Vec<Finding>,
}

impl Report {
    pub(super) fn new(checks: Vec<Finding>) -> Self {
        Self { ok: checks.iter().all(|finding| finding.state != State::Failed), checks }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for finding in &self.checks {
            let state = match finding.state {
                State::Ok => "ok",
                State::Failed => "FAILED",
                State::Skipped => "skipped",
            };
            let text = match &finding.todo {
                Some(todo) => format!("{}\n-> {todo}", finding.detail),
                None => finding.detail.clone(),
            };
            table.add_row([finding.check, state, &text]);
        }
        writeln!(f, "{}", table.trim_fmt())?;
        match self.checks.iter().filter(|finding| finding.state == State::Failed).count() {
            0 => writeln!(f, "\nAll is well."),
            1 => writeln!(f, "\n1 check failed."),
            n => writeln!(f, "\n{n} checks failed."),
        }
    }
}
