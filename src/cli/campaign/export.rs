//! `sidetone campaign export`: every contact and what came of it, or every attempt.

use std::{
    collections::BTreeSet,
    io::{BufWriter, StdoutLock, Write},
    process::ExitCode,
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::{Context, output::document},
    store::{Attempt, ReportRow, Store},
};

/// Contacts shown in a table or one JSON document; an export has no such limit.
pub(super) const MOST_IN_A_TABLE: u32 = 1000;
/// Rows read at a time.
const PAGE: u32 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sidetone campaign export spring > contacts.csv\n  \
    sidetone campaign export spring --attempts --format jsonl > attempts.jsonl\n\n\
    Times are unix milliseconds; verdict_ms and greeting_to_audio_ms are media time. With --json: one array.\n\
    In CSV a cell that a spreadsheet would take for a formula (it begins with = + - or @ and is more than a number) gets \
    a ' before it; --raw leaves it as it is.")]
pub(super) struct Export {
    /// The campaign.
    name: String,
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Every attempt instead of every contact with its latest one.
    #[arg(long)]
    attempts: bool,
    /// Write cells of CSV as they are, for programs.
    #[arg(long)]
    raw: bool,
}

impl Export {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let store = Store::open(&ctx.config.store.url).await?;
        let campaign = store.campaign(&self.name).await?.id;
        if self.attempts {
            self.write::<Attempt>(ctx, &store, campaign).await
        } else {
            self.write::<ReportRow>(ctx, &store, campaign).await
        }
    }

    async fn write<R: Row>(&self, ctx: &Context, store: &Store, campaign: i64) -> anyhow::Result<ExitCode> {
        if ctx.json {
            let mut all = Vec::new();
            let mut after = None;
            while let Some(page) = page::<R>(store, campaign, &mut after).await? {
                all.extend(page);
            }
            document(&all)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut out = BufWriter::new(std::io::stdout().lock());
        match self.format {
            Format::Jsonl => {
                let mut after = None;
                while let Some(page) = page::<R>(store, campaign, &mut after).await? {
                    for row in page {
                        writeln!(out, "{}", serde_json::to_string(&row)?)?;
                    }
                }
            }
            Format::Csv => self.csv::<R>(&mut out, store, campaign).await?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    async fn csv<R: Row>(
        &self,
        out: &mut BufWriter<StdoutLock<'_>>,
        store: &Store,
        campaign: i64,
    ) -> anyhow::Result<()> {
        let mut names = BTreeSet::new();
        let mut after = None;
        // Only who has variables is read twice: the header comes first and names them all.
        while R::HAS_VARIABLES
            && let Some(page) = page::<R>(store, campaign, &mut after).await?
        {
            for row in page {
                let Value::Object(mut row) = serde_json::to_value(&row)? else { continue };
                if let Some(Value::Object(variables)) = row.remove("variables") {
                    names.extend(variables.into_iter().map(|(name, _)| name));
                }
            }
        }
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(header(R::COLUMNS, &names).iter().map(|name| self.cell(name)))?;
        let mut after = None;
        while let Some(page) = page::<R>(store, campaign, &mut after).await? {
            for row in page {
                let row = serde_json::to_value(&row)?;
                let own = R::COLUMNS.iter().map(|name| text(&row[*name]));
                let variables = names.iter().map(|name| text(&row["variables"][name]));
                csv.write_record(own.chain(variables).map(|cell| self.cell(&cell)))?;
            }
        }
        Ok(csv.flush()?)
    }

    fn cell(&self, text: &str) -> String {
        if !self.raw && is_formula(text) { format!("'{text}") } else { text.to_owned() }
    }
}

/// Something that is exported, a page at a time.
trait Row: Serialize + Sized {
    /// Where the next page goes on.
    type After: Clone;
    /// In this order; the names are those of the JSON.
    const COLUMNS: &'static [&'static str];
    /// Whether a column for each of its `variables` follows.
    const HAS_VARIABLES: bool;

    async fn page(store: &Store, campaign: i64, after: Option<Self::After>) -> anyhow::Result<Vec<Self>>;
    fn after(&self) -> Self::After;
}

impl Row for ReportRow {
    type After = i64;
    const COLUMNS: &'static [&'static str] = &[
        "number",
        "state",
        "attempts",
        "call",
        "started_ms",
        "answered_ms",
        "ended_ms",
        "verdict",
        "cause",
        "verdict_ms",
        "after_speech_ms",
        "barge_in_ms",
        "disposition",
        "outcome",
        "hangup_cause",
        "answer",
        "abandoned",
        "ended_by",
        "greeting_to_audio_ms",
        "due_ms",
        "list",
        "contact",
    ];
    const HAS_VARIABLES: bool = true;

    async fn page(store: &Store, campaign: i64, after: Option<i64>) -> anyhow::Result<Vec<Self>> {
        Ok(store.report_rows(campaign, after.unwrap_or(0), PAGE).await?)
    }

    fn after(&self) -> i64 {
        self.contact
    }
}

impl Row for Attempt {
    type After = (i64, String);
    const COLUMNS: &'static [&'static str] = &[
        "call",
        "contact",
        "number",
        "dial_string",
        "caller_id",
        "gateway",
        "campaign",
        "origin",
        "instance",
        "scenario",
        "started_ms",
        "claimed_ms",
        "answered_ms",
        "ended_ms",
        "disposition",
        "outcome",
        "hangup_cause",
        "verdict",
        "cause",
        "verdict_ms",
        "after_speech_ms",
        "barge_in_ms",
        "answer",
        "abandoned",
        "ended_by",
        "greeting_to_audio_ms",
    ];
    const HAS_VARIABLES: bool = false;

    async fn page(store: &Store, campaign: i64, after: Option<(i64, String)>) -> anyhow::Result<Vec<Self>> {
        let (started_ms, call) = after.unwrap_or((i64::MIN, String::new()));
        Ok(store.attempts_after(campaign, (started_ms, &call), PAGE).await?)
    }

    fn after(&self) -> (i64, String) {
        (self.started_ms, self.call.to_string())
    }
}

/// The page after `after`, which then points to its end; `None`: there are no more.
async fn page<R: Row>(
    store: &Store,
    campaign: i64,
    after: &mut Option<R::After>,
) -> anyhow::Result<Option<Vec<R>>> {
    let page = R::page(store, campaign, after.clone()).await?;
    let Some(last) = page.last() else { return Ok(None) };
    *after = Some(last.after());
    Ok(Some(page))
}

/// A variable that is called like one of our columns is told apart.
fn header(columns: &[&str], names: &BTreeSet<String>) -> Vec<String> {
    let ours = columns.iter().map(|name| (*name).to_owned());
    let theirs = names.iter().map(|name| match columns.contains(&name.as_str()) {
        true => format!("variable_{name}"),
        false => name.clone(),
    });
    ours.chain(theirs).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Whether a spreadsheet may run a cell: contacts' columns come from files that others wrote. Telephone numbers begin with
/// `+` and are no more than a number to it; some programs drop spaces first.
fn is_formula(text: &str) -> bool {
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || " +-.,()/:".contains(c));
    match text.trim_start_matches([' ', '\u{a0}']).chars().next() {
        Some('=' | '@' | '\t' | '\r' | '\n') => true,
        Some('+' | '-') => !is_number(text),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use sidetone_core::campaign::Control;

    use super::*;
    use crate::store::{NewCampaign, NewContact};

    #[test]
    fn formulas_are_found_and_numbers_left_alone() {
        for formula in [
            "=1+1",
            " =HYPERLINK(\"http://x\")",
            "@SUM(A1)",
            "+33612345678+cmd|' /C calc'!A0",
            "-2+A1",
            "\t=1",
            "\r=1",
        ] {
            assert!(is_formula(formula), "{formula:?}");
        }
        for harmless in
            ["+33612345678", "+1 (555) 010-0199", "-3.5", "anna", "", "a=b", "2026-11-21", "-", "'=1"]
        {
            assert!(!is_formula(harmless), "{harmless:?}");
        }
    }

    #[test]
    fn a_variable_that_is_called_like_a_column_is_told_apart() {
        let names = ["day".to_owned(), "state".to_owned()].into();
        assert_eq!(header(&["number", "state"], &names), ["number", "state", "day", "variable_state"]);
    }

    /// Every field of the JSON has its column.
    #[tokio::test]
    async fn no_field_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let new = NewCampaign {
            name: "spring".to_owned(),
            scenario: String::new(),
            language: None,
            caller_id: None,
            max_concurrent: 9,
            cps: 9.0,
            max_attempts: 1,
        };
        let id = store.create_campaign(&new, 0).await.unwrap().id;
        let contacts: Vec<_> = ["+33612345678", "+33612345679"]
            .map(|number| NewContact::new(number.to_owned(), Default::default()))
            .into();
        store.import_contacts(id, &contacts, 0).await.unwrap();
        store.control_campaign("spring", Control::Run, 0).await.unwrap();
        assert_eq!(store.claim_contacts(id, 2, "one", 1000).await.unwrap().len(), 2);
        let mut after = None;
        let row = page::<ReportRow>(&store, id, &mut after).await.unwrap().unwrap().remove(0);
        fields_are(&row, &["variables"]);
        assert!(page::<ReportRow>(&store, id, &mut after).await.unwrap().is_none());
        let mut after = None;
        let attempts = page::<Attempt>(&store, id, &mut after).await.unwrap().unwrap();
        assert_eq!(attempts.len(), 2);
        fields_are(&attempts[0], &[]);
        let first =
            store.attempts_after(id, (attempts[0].started_ms, attempts[0].call.as_str()), 9).await.unwrap();
        assert_eq!(first, attempts[1..]);
        assert!(page::<Attempt>(&store, id, &mut after).await.unwrap().is_none());
    }

    fn fields_are<R: Row>(row: &R, besides: &[&str]) {
        let Value::Object(fields) = serde_json::to_value(row).unwrap() else { panic!("no object") };
        let have: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        assert_eq!(have, R::COLUMNS.iter().chain(besides).copied().collect());
    }
}
