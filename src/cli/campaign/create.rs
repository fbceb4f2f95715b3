//! `sidetone campaign create`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use sidetone_core::{
    campaign::{Policy, RetryTable, hours_of},
    scenario::Scenario,
};

use super::{policy::entry, retries};
use crate::{
    cli::{
        Context, input,
        output::{document, note, say, usage},
        policy,
    },
    store::{NewCampaign, PolicyEntry, Store, Terms, now_ms},
};

const DAY_MS: i64 = 24 * 3600 * 1000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  sidetone campaign create spring --scenario scenarios/lead-qualification.yaml \
    --policy us-tsr --max-concurrent 20 --cps 5 --on voicemail=hang_up\n\n\
    `sidetone policy list` has the shipped policies. Not legal advice."
)]
pub(super) struct Create {
    /// What it is called.
    name: String,
    /// What each call says and does.
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// The rules it keeps to: a shipped policy's name, or a file.
    #[arg(long, value_name = "POLICY", conflicts_with = "no_policy")]
    policy: Option<String>,
    /// No rules, and why: the reason is kept.
    #[arg(long, value_name = "REASON")]
    no_policy: Option<String>,
    /// Only within these hours of the callee's own, such as `mon-fri 09:00-12:00,14:00-18:00; sat 10:00-12:00`.
    #[arg(long, value_name = "HOURS", value_parser = hours_of)]
    hours: Option<sidetone_core::campaign::Hours>,
    /// The time zone of contacts of whom none is known, such as Europe/Paris. Without it they are not called where hours
    /// hold.
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    default_zone: Option<String>,
    /// Calls at once.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    max_concurrent: u32,
    /// Calls started a second; 0.5 is one every two seconds.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = parse_cps)]
    cps: f64,
    /// Its share where several campaigns want more calls than there may be.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    weight: u32,
    /// Attempts a contact in all; 1: nobody is called twice [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "retries")]
    max_attempts: Option<u32>,
    /// Who is called again, when and how often, as in retries/default.yaml.
    #[arg(long, value_name = "FILE")]
    retries: Option<PathBuf>,
    /// Instead of the scenario's.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Instead of `switch.caller_id`; several: a contact is always shown the same one.
    #[arg(long, value_name = "NUMBER", value_parser = parse_caller_id)]
    caller_id: Vec<String>,
    /// Numbers to show, one a line.
    #[arg(long, value_name = "FILE")]
    caller_ids: Option<PathBuf>,
    /// How often one number is shown within any 24 hours, whichever campaign shows it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    caller_id_daily_cap: Option<u32>,
    /// What to do with a class of machine instead of what the scenario says: `voicemail=hang_up`,
    /// `voicemail=continue`, `voicemail=leave_message:STEP`, `screening=answer:STEP`.
    #[arg(long, value_name = "CLASS=ACTION", value_parser = input::parse_variable)]
    on: Vec<(String, String)>,
}

impl Create {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let name = self.name.trim().to_owned();
        if name.is_empty() || name.chars().any(char::is_control) || name.chars().count() > 100 {
            return Ok(usage("a campaign's name has 1 to 100 characters and no line breaks"));
        }
        let (scenario, parsed) = match input::scenario(ctx, &self.scenario) {
            Ok(found) => found,
            Err(message) => return Ok(usage(message)),
        };
        let (retries, terms) = match (self.retry_table(), self.terms(ctx, &parsed)) {
            (Ok(retries), Ok(terms)) => (retries, terms),
            (Err(message), _) | (_, Err(message)) => return Ok(usage(message)),
        };
        let new = NewCampaign {
            name,
            scenario,
            language: self.language.clone(),
            caller_id: terms.caller_ids.first().cloned(),
            max_concurrent: self.max_concurrent,
            cps: self.cps,
            max_attempts: retries.max_attempts,
        };
        let store = Store::open(&ctx.config.store.url).await?;
        let made = store.create_campaign_with(&new, &terms, now_ms()).await?;
        store.set_retries(made.id, &retries).await?;
        store.set_policy(made.id, terms.policy.as_ref(), &[self.entry(&terms)]).await?;
        let made = store.campaign(&made.name).await?;
        if made.terms.policy.is_none() && self.no_policy.is_none() {
            note(
                "no policy: it calls at any hour and asks nobody's consent; `sidetone policy list` has some, and \
                 --no-policy REASON says that none is meant",
            );
        }
        if ctx.json {
            document(&made)?;
            return Ok(ExitCode::SUCCESS);
        }
        say(format_args!("campaign `{}` made, scenario `{}`", made.name, parsed.name))?;
        say(super::policy::line(&made))?;
        say(format_args!("next: sidetone campaign import {} CONTACTS.csv", made.name))?;
        Ok(ExitCode::SUCCESS)
    }

    fn retry_table(&self) -> Result<RetryTable, String> {
        match &self.retries {
            None => Ok(RetryTable::with_max_attempts(self.max_attempts.unwrap_or(3))),
            Some(file) => retries::read(file),
        }
    }

    fn terms(&self, ctx: &Context, scenario: &Scenario) -> Result<Terms, String> {
        let mut machine = BTreeMap::new();
        for (class, action) in &self.on {
            scenario.machine_override(class, action).map_err(|message| format!("--on: {message}"))?;
            if machine.insert(class.clone(), action.clone()).is_some() {
                return Err(format!("--on: `{class}` is given twice"));
            }
        }
        let mut caller_ids = self.caller_id.clone();
        if let Some(file) = &self.caller_ids {
            caller_ids.extend(read_caller_ids(file)?);
        }
        if let Some(again) = (1..caller_ids.len()).find(|i| caller_ids[..*i].contains(&caller_ids[*i])) {
            return Err(format!("the number {} to show is given twice", caller_ids[again]));
        }
        if self.caller_id_daily_cap.is_some() && caller_ids.is_empty() {
            return Err("--caller-id-daily-cap needs numbers: --caller-id or --caller-ids".to_owned());
        }
        let policy = self.policy()?;
        if let Some(policy) = &policy {
            remembered(ctx, policy)?;
        }
        Ok(Terms {
            policy,
            default_zone: self.default_zone.clone(),
            weight: self.weight,
            caller_ids,
            caller_id_daily_cap: self.caller_id_daily_cap,
            machine,
        })
    }

    fn policy(&self) -> Result<Option<Policy>, String> {
        let named = self.policy.as_deref().map(policy::find).transpose()?;
        let Some(hours) = self.hours.clone() else { return Ok(named) };
        // Both must be open.
        let mut policy = named.unwrap_or_else(|| Policy {
            name: "hours".to_owned(),
            title: "hours given at its making".to_owned(),
            dated: jiff::Zoned::now().date().to_string(),
            notice: "not legal advice".to_owned(),
            ..Policy::default()
        });
        policy.hours.push(hours);
        Ok(Some(policy))
    }

    fn entry(&self, terms: &Terms) -> PolicyEntry {
        let what = terms.policy.as_ref().map_or("none", |policy| policy.name.as_str());
        entry(what.to_owned(), self.no_policy.clone())
    }
}

/// Earlier calls must be kept as long as the policy counts them.
pub(super) fn remembered(ctx: &Context, policy: &Policy) -> Result<(), String> {
    let kept = i64::from(ctx.config.retention.days);
    let back = policy.limits(None, None).look_back_ms().unwrap_or_default().div_euclid(DAY_MS);
    if kept > 0 && kept < back {
        return Err(format!(
            "retention.days is {kept}: policy `{}` counts the calls of {back} days; set it to {back} or more",
            policy.name
        ));
    }
    Ok(())
}

fn parse_cps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cps) if cps > 0.0 && cps <= 1000.0 => Ok(cps),
        Ok(_) | Err(_) => Err(format!("`{text}`: write a number above 0, at most 1000")),
    }
}

fn parse_zone(text: &str) -> Result<String, String> {
    match jiff::tz::db().get(text) {
        Ok(zone) => Ok(zone.iana_name().unwrap_or(text).to_owned()),
        Err(_) => Err(format!("`{text}` is no time zone: write Europe/Paris or America/New_York")),
    }
}

fn parse_caller_id(text: &str) -> Result<String, String> {
    let text = text.trim();
    let digits = text.strip_prefix('+').unwrap_or(text);
    match (3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no number to show: write +33123456789 (3 to 15 digits)")),
    }
}

fn read_caller_ids(file: &Path) -> Result<Vec<String>, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let mut numbers = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            numbers
                .push(parse_caller_id(line).map_err(|message| format!("{shown}:{}: {message}", index + 1))?);
        }
    }
    match numbers.is_empty() {
        true => Err(format!("{shown}: has no number; write one a line")),
        false => Ok(numbers),
    }
}
