//! `sidetone campaign export`: every contact and what came of it.

use std::{collections::BTreeSet, io::Write, process::ExitCode};

use serde::Serialize;

use crate::{
    cli::{Context, output::document},
    store::{ReportRow, Store},
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
#[command(after_help = "Example:\n  sidetone campaign export spring --format jsonl > spring.jsonl\n\n\
    Times are unix milliseconds; verdict_ms counts from the answer. With --json: one array.")]
pub(super) struct Export {
    /// The campaign.
    name: String,
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

impl Export {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let store = Store::open(&ctx.config.store.url).await?;
        let campaign = store.campaign(&self.name).await?.id;
        let mut pages = Pages { store: &store, campaign, after: 0 };
        if ctx.json {
            let mut all = Vec::new();
            while let Some(page) = pages.next().await? {
                all.extend(page);
            }
            document(&all)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut out = std::io::BufWriter::new(std::io::stdout());
        match self.format {
            Format::Jsonl => {
                while let Some(page) = pages.next().await? {
                    for row in page {
                        writeln!(out, "{}", serde_json::to_string(&row)?)?;
                    }
                }
            }
            Format::Csv => {
                let mut names = BTreeSet::new();
                while let Some(page) = pages.next().await? {
                    names.extend(page.into_iter().flat_map(|row| row.variables.into_keys()));
                }
                let mut csv = csv::Writer::from_writer(&mut out);
                csv.write_record(header(&names))?;
                pages.after = 0;
                while let Some(page) = pages.next().await? {
                    for row in &page {
                        csv.write_record(fields(row, &names))?;
                    }
                }
                csv.flush()?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Pages<'a> {
    store: &'a Store,
    campaign: i64,
    after: i64,
}

impl Pages<'_> {
    async fn next(&mut self) -> anyhow::Result<Option<Vec<ReportRow>>> {
        let page = self.store.report_rows(self.campaign, self.after, PAGE).await?;
        match page.last() {
            None => Ok(None),
            Some(last) => {
                self.after = last.contact;
                Ok(Some(page))
            }
        }
    }
}

const FIXED: [&str; 14] = [
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
];

/// A variable that is called like one of our columns is told apart.
fn header(names: &BTreeSet<String>) -> Vec<String> {
    let ours = FIXED.iter().map(|name| (*name).to_owned());
    let theirs = names.iter().map(|name| match FIXED.contains(&name.as_str()) {
        true => format!("variable_{name}"),
        false => name.clone(),
    });
    ours.chain(theirs).collect()
}

fn fields(row: &ReportRow, names: &BTreeSet<String>) -> Vec<String> {
    let ms = |value: Option<i64>| value.map_or_else(String::new, |value| value.to_string());
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut fields = vec![
        row.number.clone(),
        row.state.clone(),
        row.attempts.to_string(),
        text(&row.call),
        ms(row.started_ms),
        ms(row.answered_ms),
        ms(row.ended_ms),
        word(row.verdict),
        word(row.cause),
        ms(row.verdict_ms),
        ms(row.after_speech_ms),
        ms(row.barge_in_ms),
        word(row.disposition),
        text(&row.outcome),
    ];
    fields.extend(names.iter().map(|name| row.variables.get(name).cloned().unwrap_or_default()));
    fields
}

fn word<T: Serialize>(value: Option<T>) -> String {
    match value.map(serde_json::to_value) {
        Some(Ok(serde_json::Value::String(word))) => word,
        Some(_) | None => String::new(),
    }
}
