//! `sidetone campaign policy`: the rules a campaign keeps to, and what was decided about them.

use std::process::ExitCode;

use serde::Serialize;
use sidetone_core::campaign::{Policy, Rule};

use super::create::remembered;
use crate::{
    cli::{
        Context,
        output::{document, say, usage},
        policy::{find, lines},
        table,
    },
    store::{Campaign, PolicyEntry, Store, now_ms},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone campaign policy spring\n  \
    sidetone campaign policy spring --off consent --reason \"our own customers, see the contract of 2026-03-01\"\n\n\
    What is switched off, by whom and why is kept and shown. Not legal advice.")]
pub(super) struct Show {
    /// The campaign.
    name: String,
    /// Keep to this policy from now on: a shipped one's name, or a file.
    #[arg(long, value_name = "POLICY", conflicts_with_all = ["off", "on"])]
    set: Option<String>,
    /// Switch a rule off, or all of them: hours, ring, connect, abandoned, attempts, recall, refusal, consent, all.
    #[arg(long, value_name = "RULE", num_args = 0..=1, default_missing_value = "all", requires = "reason")]
    off: Option<String>,
    /// Switch a rule on again, or all of them.
    #[arg(long, value_name = "RULE", num_args = 0..=1, default_missing_value = "all", conflicts_with = "off")]
    on: Option<String>,
    /// Why: it is kept.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown {
    campaign: String,
    policy: Option<Policy>,
    log: Vec<PolicyEntry>,
}

impl Show {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let store = Store::open(&ctx.config.store.url).await?;
        let campaign = store.campaign(&self.name).await?;
        match self.change(ctx, &campaign) {
            Ok(None) => {}
            Ok(Some((policy, what))) => {
                let entry = entry(what, self.reason.clone());
                store.set_policy(campaign.id, policy.as_ref(), &[entry]).await?;
            }
            Err(message) => return Ok(usage(message)),
        }
        let campaign = store.campaign(&self.name).await?;
        let log = store.policy_log(campaign.id).await?;
        if ctx.json {
            document(&Shown { campaign: campaign.name, policy: campaign.terms.policy, log })?;
            return Ok(ExitCode::SUCCESS);
        }
        match &campaign.terms.policy {
            Some(policy) => lines(policy).iter().try_for_each(say)?,
            None => say(line(&campaign))?,
        }
        for PolicyEntry { at_ms, what, reason, who } in log {
            let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            say(format_args!("{}  {what}, by {who}{why}", table::local_time(at_ms)))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The policy from now on and what that is called; `None`: nothing changes.
    fn change(&self, ctx: &Context, campaign: &Campaign) -> Result<Option<(Option<Policy>, String)>, String> {
        if self.reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
            return Err("--reason is empty: say why, in words that will do in a year".to_owned());
        }
        if let Some(name) = &self.set {
            let policy = find(name)?;
            remembered(ctx, &policy)?;
            let what = policy.name.clone();
            return Ok(Some((Some(policy), what)));
        }
        let Some(word) = self.off.as_ref().or(self.on.as_ref()) else { return Ok(None) };
        let Some(mut policy) = campaign.terms.policy.clone() else {
            return Err(format!("campaign `{}` has no policy: give it one with --set", campaign.name));
        };
        for rule in rules(word)? {
            match &self.off {
                Some(_) => policy.off.insert(rule, self.reason.clone().unwrap_or_default()),
                None => policy.off.remove(&rule),
            };
        }
        let what = format!("{word} {}", if self.off.is_some() { "off" } else { "on" });
        Ok(Some((Some(policy), what)))
    }
}

fn rules(word: &str) -> Result<Vec<Rule>, String> {
    if word == "all" {
        return Ok(Rule::ALL.iter().map(|(_, rule)| *rule).collect());
    }
    let rule = Rule::ALL.iter().find(|(known, _)| *known == word).map(|(_, rule)| vec![*rule]);
    rule.ok_or_else(|| {
        let known: Vec<_> = Rule::ALL.iter().map(|(known, _)| *known).collect();
        format!("`{word}` is no rule; known are {}, all", known.join(", "))
    })
}

/// An entry of now, by whoever runs this.
pub(super) fn entry(what: String, reason: Option<String>) -> PolicyEntry {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let who = format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.trim());
    PolicyEntry { at_ms: now_ms(), what, reason, who }
}

/// A campaign's rules in one line.
pub(super) fn line(campaign: &Campaign) -> String {
    let Some(policy) = &campaign.terms.policy else {
        return "no policy: it calls at any hour and asks nobody's consent".to_owned();
    };
    let off: Vec<_> = policy.off.keys().map(|rule| rule.word()).collect();
    let off = if off.is_empty() { String::new() } else { format!(", switched off: {}", off.join(", ")) };
    format!("policy `{}` of {}{off}; {}", policy.name, policy.dated, policy.notice)
}
