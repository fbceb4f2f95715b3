//! Tables on the terminal, the same for every command that shows them.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::store::{Attempt, Campaign, CampaignCounts, ReportRow, Webhook};

/// One row a contact: who it was, what was found, how fast, what came of it.
#[must_use]
pub fn contacts(rows: &[ReportRow]) -> Table {
    let mut table = plain(&[
        "contact",
        "what it was",
        "verdict",
        "cause",
        "ms from answer",
        "ms from end of speech",
        "barge-in ms",
        "disposition",
    ]);
    for row in rows {
        table.add_row([
            Cell::new(&row.number),
            Cell::new(row.kind().unwrap_or("-")),
            Cell::new(word(row.verdict)),
            Cell::new(word(row.cause)),
            number(row.verdict_ms),
            number(row.after_speech_ms),
            number(row.barge_in_ms),
            Cell::new(disposition(row)),
        ]);
    }
    table
}

/// How many attempts came to what, and where the contacts stand.
#[must_use]
pub fn counts(counts: &CampaignCounts) -> Table {
    let mut table = plain(&["disposition", "calls"]);
    for (disposition, n) in &counts.by_disposition {
        table.add_row([Cell::new(word(Some(*disposition))), right(n.to_string())]);
    }
    table.add_row([Cell::new("total"), right(counts.attempts.to_string())]);
    table
}

/// What there is how much of.
#[must_use]
pub fn pairs(header: [&str; 2], rows: &[(&'static str, u64)]) -> Table {
    let mut table = plain(&header);
    for (what, n) in rows {
        table.add_row([Cell::new(what), right(n.to_string())]);
    }
    table
}

/// Where the contacts stand, in one line.
#[must_use]
pub fn summary(counts: &CampaignCounts) -> String {
    let mut line = format!(
        "{} contacts: {} done, {} being called, {} waiting",
        counts.contacts, counts.done, counts.live, counts.waiting
    );
    for (n, what) in [(counts.suppressed, "on a do-not-call list"), (counts.forgotten, "forgotten")] {
        if n > 0 {
            line.push_str(&format!(", {n} {what}"));
        }
    }
    line
}

/// One row a campaign.
#[must_use]
pub fn campaigns(rows: &[(Campaign, CampaignCounts)]) -> Table {
    let mut table =
        plain(&["campaign", "state", "contacts", "waiting", "live", "done", "cps", "at once", "scenario"]);
    for (campaign, counts) in rows {
        table.add_row([
            Cell::new(&campaign.name),
            Cell::new(campaign.state.word()),
            right(counts.contacts.to_string()),
            right(counts.waiting.to_string()),
            right(counts.live.to_string()),
            right(counts.done.to_string()),
            right(campaign.cps.to_string()),
            right(campaign.max_concurrent.to_string()),
            Cell::new(&campaign.scenario),
        ]);
    }
    table
}

/// One row a call.
#[must_use]
pub fn calls(rows: &[Attempt]) -> Table {
    let mut table = plain(&["call", "started", "to", "campaign", "verdict", "disposition", "seconds"]);
    for row in rows {
        let to = row.number.as_ref().or(row.dial_string.as_ref());
        let seconds = row.ended_ms.map(|ended| (ended - row.answered_ms.unwrap_or(ended)) / 1000);
        table.add_row([
            Cell::new(&row.call),
            Cell::new(local_time(row.started_ms)),
            Cell::new(to.map_or("-", String::as_str)),
            Cell::new(row.campaign.as_deref().unwrap_or("-")),
            Cell::new(word(row.verdict)),
            Cell::new(if row.ended_ms.is_none() { "live".to_owned() } else { word(row.disposition) }),
            number(seconds),
        ]);
    }
    table
}

/// One row a webhook.
#[must_use]
pub fn webhooks(rows: &[Webhook]) -> Table {
    let mut table = plain(&["id", "created", "event", "call", "state", "tries", "latest try"]);
    for row in rows {
        let latest = row.error.clone().or(row.status.map(|status| format!("status {status}")));
        table.add_row([
            right(row.id.to_string()),
            Cell::new(local_time(row.created_ms)),
            Cell::new(row.event.word()),
            Cell::new(row.call.as_deref().unwrap_or("-")),
            Cell::new(word(Some(row.state))),
            right(row.tries.to_string()),
            Cell::new(latest.as_deref().unwrap_or("-")),
        ]);
    }
    table
}

/// A name in the first column, figures in the others.
#[must_use]
pub fn figures(header: &[&str], rows: &[Vec<String>]) -> Table {
    let mut table = plain(header);
    for row in rows {
        let cells = row.iter().enumerate();
        table.add_row(cells.map(|(i, text)| if i == 0 { Cell::new(text) } else { right(text.clone()) }));
    }
    table
}

/// `2026-03-01 14:05:09`, in the machine's zone.
#[must_use]
pub fn local_time(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map_or_else(
        |_| "-".to_owned(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// A table with this header and nothing in it.
pub fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table
}

/// An enum's word, or a dash.
fn word<T: Serialize>(value: Option<T>) -> String {
    match value.map(serde_json::to_value) {
        Some(Ok(serde_json::Value::String(word))) => word,
        Some(_) | None => "-".to_owned(),
    }
}

/// What came of the contact: the disposition and the scenario's own word, or where it stands.
fn disposition(row: &ReportRow) -> String {
    match (row.disposition, &row.outcome) {
        (Some(disposition), Some(outcome)) => format!("{} ({outcome})", word(Some(disposition))),
        (Some(disposition), None) => word(Some(disposition)),
        (None, _) => row.state.clone(),
    }
}

fn number(value: Option<i64>) -> Cell {
    right(value.map_or_else(|| "-".to_owned(), |value| value.to_string()))
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
