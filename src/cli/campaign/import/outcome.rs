//! What came of a file's rows: counted, shown, and written down.

use std::{collections::BTreeMap, fs::File, path::Path};

use serde::Serialize;

use crate::{
    cli::{
        output::{document, note, say},
        table,
    },
    contacts::{BadRow, Reason},
    store::{NewContact, Placed},
};

/// Bad rows shown on stderr; all that are not taken go into `--errors FILE`.
const SHOWN: usize = 50;
/// Examples kept of each reason.
const EXAMPLES: usize = 3;
/// Rows that a rehearsal shows as they are understood.
const PREVIEW: usize = 5;

/// What `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Summary {
    list: String,
    dry_run: bool,
    rows: u64,
    added: u64,
    /// Of those added: they agreed to be called by an artificial voice.
    with_consent: u64,
    /// The number stands on an earlier line too.
    repeated_in_file: u64,
    /// The campaign has the number already.
    already_in_campaign: u64,
    bad: u64,
    /// Why rows are not taken, those repeated and there already among them.
    reasons: BTreeMap<Reason, Skipped>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    /// Rows that were in before it was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed_after_rows: Option<u64>,
    /// A rehearsal alone: of those added, so many will be passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_do_not_call_list: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    preview: Vec<Understood>,
}

#[derive(Debug, Default, Serialize)]
struct Skipped {
    rows: u64,
    examples: Vec<Example>,
}

#[derive(Debug, Serialize)]
struct Example {
    line: u64,
    message: String,
}

/// A row as it is understood.
#[derive(Debug, Serialize)]
struct Understood {
    line: u64,
    number: String,
    zones: String,
    consent: bool,
    /// Unix milliseconds; 0: at once.
    not_before_ms: i64,
    variables: BTreeMap<String, String>,
}

/// Under which circumstances a file was read.
pub(super) struct Circumstances<'a> {
    pub(super) campaign: &'a str,
    pub(super) json: bool,
    pub(super) dry_run: bool,
    pub(super) resumed: Option<u64>,
    pub(super) encoding: Option<&'static str>,
}

pub(super) struct Outcome {
    file: String,
    summary: Summary,
    shown: usize,
    errors: Option<csv::Writer<File>>,
}

impl Outcome {
    /// # Errors
    /// The errors file cannot be made.
    pub(super) fn new(file: &Path, list: &str, errors: Option<&Path>) -> anyhow::Result<Self> {
        let mut csv = None;
        if let Some(path) = errors {
            let made = csv::Writer::from_path(path);
            let mut made = made.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
            made.write_record(["line", "reason", "message", "row"])?;
            csv = Some(made);
        }
        let summary = Summary { list: list.to_owned(), ..Summary::default() };
        Ok(Self { file: file.display().to_string(), summary, shown: 0, errors: csv })
    }

    pub(super) fn rows(&self) -> u64 {
        self.summary.rows
    }

    pub(super) fn listed(&mut self, n: usize) {
        *self.summary.on_do_not_call_list.get_or_insert(0) += n;
    }

    pub(super) fn bad(&mut self, bad: &BadRow) -> anyhow::Result<()> {
        self.summary.rows += 1;
        self.summary.bad += 1;
        self.shown += 1;
        if self.shown <= SHOWN {
            note(format_args!("{}:{}: {}", self.file, bad.line, bad.message));
        }
        self.skip(bad)
    }

    pub(super) fn good(
        &mut self,
        contact: &NewContact,
        placed: Placed,
        original: String,
    ) -> anyhow::Result<()> {
        self.summary.rows += 1;
        let line = contact.line.unwrap_or_default();
        let (reason, message) = match placed {
            Placed::Added => {
                self.summary.added += 1;
                self.summary.with_consent += u64::from(contact.consent);
                if self.summary.preview.len() < PREVIEW {
                    self.summary.preview.push(Understood::of(contact));
                }
                return Ok(());
            }
            Placed::Repeated { line: first } => {
                self.summary.repeated_in_file += 1;
                (Reason::RepeatedInFile, format!("{} stands on line {first} already", contact.number))
            }
            Placed::Had => {
                self.summary.already_in_campaign += 1;
                (Reason::AlreadyInCampaign, format!("the campaign has {} already", contact.number))
            }
        };
        self.skip(&BadRow { line, reason, message, original })
    }

    fn skip(&mut self, row: &BadRow) -> anyhow::Result<()> {
        let skipped = self.summary.reasons.entry(row.reason).or_default();
        skipped.rows += 1;
        if skipped.examples.len() < EXAMPLES {
            skipped.examples.push(Example { line: row.line, message: row.message.clone() });
        }
        if let Some(csv) = &mut self.errors {
            let reason = serde_json::to_value(row.reason)?;
            let reason = reason.as_str().unwrap_or_default();
            csv.write_record([&row.line.to_string(), reason, &row.message, &row.original])?;
        }
        Ok(())
    }

    /// Says what came of it, and how many rows were bad.
    pub(super) fn finish(mut self, of: Circumstances<'_>) -> anyhow::Result<u64> {
        if let Some(csv) = &mut self.errors {
            csv.flush()?;
        }
        if self.shown > SHOWN {
            let hint = if self.errors.is_some() { "" } else { "; --errors FILE keeps them all" };
            note(format_args!("{}: and {} more bad rows{hint}", self.file, self.shown - SHOWN));
        }
        let mut summary = self.summary;
        summary.dry_run = of.dry_run;
        summary.resumed_after_rows = of.resumed;
        summary.encoding = of.encoding;
        if !of.dry_run {
            summary.preview.clear();
        }
        if summary.added > 0 && summary.with_consent == 0 {
            note(
                "no row says that its contact agreed to be called by an artificial voice: a campaign that needs consent \
                 will call none of them (a column `consent`, or --column consent=NAME)",
            );
        }
        match of.json {
            true => document(&summary)?,
            false => summary.say(of.campaign)?,
        }
        Ok(summary.bad)
    }
}

impl Understood {
    fn of(contact: &NewContact) -> Self {
        Self {
            line: contact.line.unwrap_or_default(),
            number: contact.number.clone(),
            zones: contact.zones.clone(),
            consent: contact.consent,
            not_before_ms: contact.due_ms,
            variables: contact.variables.clone(),
        }
    }
}

impl Summary {
    fn say(&self, campaign: &str) -> anyhow::Result<()> {
        if self.dry_run {
            if !self.preview.is_empty() {
                say("the first rows, as they are understood:")?;
                say(self.understood())?;
            }
            if !self.reasons.is_empty() {
                say("rows that would not be taken:")?;
                say(self.skipped())?;
            }
        }
        let verb = if self.dry_run { "would be added" } else { "added" };
        say(format_args!(
            "{} rows: {} {verb} to `{campaign}`, {} repeated in the file, {} already in the campaign, {} bad",
            self.rows, self.added, self.repeated_in_file, self.already_in_campaign, self.bad
        ))?;
        if let Some(listed) = self.on_do_not_call_list.filter(|listed| *listed > 0) {
            say(format_args!("{listed} of them are on a do-not-call list and will not be called"))?;
        }
        Ok(())
    }

    fn understood(&self) -> comfy_table::Table {
        let mut table = table::plain(&["line", "number", "time zones", "consent", "not before", "variables"]);
        for row in &self.preview {
            let variables: Vec<_> =
                row.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let not_before = match row.not_before_ms {
                0 => "-".to_owned(),
                at => table::local_time(at),
            };
            table.add_row([
                row.line.to_string(),
                row.number.clone(),
                row.zones.replace(',', ", "),
                if row.consent { "yes" } else { "no" }.to_owned(),
                not_before,
                variables.join(", "),
            ]);
        }
        table
    }

    fn skipped(&self) -> comfy_table::Table {
        let mut table = table::plain(&["why", "rows", "for example"]);
        for (reason, skipped) in &self.reasons {
            let examples: Vec<_> = skipped
                .examples
                .iter()
                .map(|example| format!("line {}: {}", example.line, example.message))
                .collect();
            table.add_row([reason.words().to_owned(), skipped.rows.to_string(), examples.join("\n")]);
        }
        table
    }
}
