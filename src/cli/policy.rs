//! `sidetone policy`: the rules that campaigns keep to.

use std::{path::Path, process::ExitCode, time::Duration};

use sidetone_core::campaign::{Policy, Rule};

use super::{
    Context,
    output::{document, say, settle, usage},
};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  sidetone policy show us-tsr")]
pub enum PolicyCommand {
    /// The shipped policies.
    #[command(after_help = "Example:\n  sidetone policy list")]
    List,
    /// What a policy says, where it comes from and of which day it is.
    #[command(after_help = "Example:\n  sidetone policy show uk-ofcom")]
    Show {
        /// A shipped one's name, or a file.
        policy: String,
    },
    /// Say everything that is wrong with a policy file.
    #[command(
        after_help = "Example:\n  sidetone policy check ours.yaml\n\nThe shipped ones are in policies/."
    )]
    Check {
        /// The YAML file.
        file: String,
    },
}

impl PolicyCommand {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        settle(match self {
            Self::List => list(ctx),
            Self::Show { policy } => show(ctx, &policy),
            Self::Check { file } => check(ctx, &file),
        })
    }
}

/// A shipped policy, or one from a file.
///
/// # Errors
/// Names file, line and key of what is wrong, or the policies there are.
pub(super) fn find(name: &str) -> Result<Policy, String> {
    if let Some(shipped) = Policy::presets().iter().find(|policy| policy.name == name) {
        return Ok(shipped.clone());
    }
    if !Path::new(name).exists() {
        let shipped: Vec<_> = Policy::presets().iter().map(|policy| policy.name.as_str()).collect();
        return Err(format!("`{name}` is neither a file nor a shipped policy: {}", shipped.join(", ")));
    }
    read(name)
}

fn read(file: &str) -> Result<Policy, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: cannot be read: {error}"))?;
    Policy::parse(&text, file).map_err(|error| error.to_string())
}

fn list(ctx: &Context) -> anyhow::Result<ExitCode> {
    if ctx.json {
        document(&Policy::presets())?;
        return Ok(ExitCode::SUCCESS);
    }
    for policy in Policy::presets() {
        say(format_args!("{}  {} ({})", policy.name, policy.title, policy.dated))?;
    }
    say("Not legal advice. `sidetone policy show NAME` says what is in one.")?;
    Ok(ExitCode::SUCCESS)
}

fn show(ctx: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let policy = match find(name) {
        Ok(policy) => policy,
        Err(message) => return Ok(usage(message)),
    };
    match ctx.json {
        true => document(&policy)?,
        false => {
            for line in lines(&policy) {
                say(line)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check(ctx: &Context, file: &str) -> anyhow::Result<ExitCode> {
    match read(file) {
        Ok(policy) if ctx.json => document(&policy)?,
        Ok(policy) => say(format_args!("{file}: policy `{}` is good", policy.name))?,
        Err(message) => return Ok(usage(message)),
    }
    Ok(ExitCode::SUCCESS)
}

/// A policy in words, a line a rule.
pub(super) fn lines(policy: &Policy) -> Vec<String> {
    let mut lines = vec![format!("policy `{}`: {}", policy.name, policy.title)];
    lines.push(format!("as of {}; {}", policy.dated, policy.notice));
    lines.extend(policy.source.iter().map(|source| format!("source: {source}")));
    for (word, rule) in Rule::ALL {
        let Some(words) = words(policy, rule) else { continue };
        let ours = if policy.ours.contains(&rule) { " (our own caution)" } else { "" };
        let off = policy.off.get(&rule).map_or_else(String::new, |why| format!(" -- OFF: {why}"));
        lines.push(format!("{word}: {words}{ours}{off}"));
    }
    lines
}

fn words(policy: &Policy, rule: Rule) -> Option<String> {
    let span = |ms: Option<u64>| ms.map(|ms| span(Duration::from_millis(ms)));
    match rule {
        Rule::Hours if policy.hours.is_empty() => None,
        Rule::Hours => Some(hours(policy)),
        Rule::Ring => Some(format!("at least {}", span(policy.ring_ms)?)),
        Rule::Connect => Some(format!("within {} of the greeting's end", span(policy.connect_ms)?)),
        Rule::Abandoned => {
            let rule = policy.abandoned?;
            let counted = if rule.counts_estimate { ", people taken for machines counted" } else { "" };
            let within = self::span(rule.window);
            Some(format!("at most {} % of live answers within {within}{counted}", rule.share * 100.0))
        }
        Rule::Attempts => {
            let caps = [(policy.per_day, "a day"), (policy.per_30_days, "in 30 days")];
            let caps: Vec<_> =
                caps.iter().filter_map(|(cap, what)| Some(format!("at most {} {what}", (*cap)?))).collect();
            (!caps.is_empty()).then(|| caps.join(", "))
        }
        Rule::Recall => Some(format!("none for {} after an abandoned call", span(policy.recall_ms)?)),
        Rule::Refusal => {
            let rest = span(policy.refusal_ms)?;
            Some(format!("none for {rest} after an outcome {}", policy.refusals.join(", ")))
        }
        Rule::Consent => {
            policy.consent.then(|| "only who agreed beforehand (the list's column `consent`)".to_owned())
        }
    }
}

fn hours(policy: &Policy) -> String {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let of = |hours: &sidetone_core::campaign::Hours| {
        let mut parts: Vec<(String, String)> = Vec::new();
        for (day, windows) in DAYS.iter().zip(&hours.days).filter(|(_, windows)| !windows.is_empty()) {
            let windows: Vec<_> =
                windows.iter().map(|window| format!("{}-{}", time(window.from), time(window.to))).collect();
            let windows = windows.join(",");
            match parts.last_mut() {
                Some((days, last)) if *last == windows => {
                    let first = days.split('-').next().unwrap_or_default().to_owned();
                    *days = format!("{first}-{day}");
                }
                Some(_) | None => parts.push(((*day).to_owned(), windows)),
            }
        }
        let week: Vec<_> = parts.iter().map(|(days, windows)| format!("{days} {windows}")).collect();
        let holidays = if hours.holidays.is_empty() { "" } else { ", not on public holidays" };
        format!("{}{holidays}", week.join("; "))
    };
    let all: Vec<_> = policy.hours.iter().map(of).collect();
    format!("{}, in the callee's own time", all.join(" and "))
}

fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        _ if seconds.is_multiple_of(86_400) && seconds > 86_400 => format!("{} days", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_in_words() {
        let shown = lines(&find("fr-d223-9").unwrap()).join("\n");
        for words in [
            "hours: mon-fri 10:00-13:00,14:00-20:00, not on public holidays, in the callee's own time",
            "attempts: at most 4 in 30 days",
            "refusal: none for 60 days after an outcome refused",
            "not legal advice",
        ] {
            assert!(shown.contains(words), "{shown}");
        }
        let shown = lines(&find("uk-ofcom").unwrap()).join("\n");
        let words = "at most 3 % of live answers within 24 h, people taken for machines counted";
        assert!(shown.contains(words) && shown.contains("hours: mon-sun 09:00-20:00"), "{shown}");
        assert!(shown.contains("own time (our own caution)"), "{shown}");
    }

    #[test]
    fn what_there_is_not_is_said() {
        let error = find("us-trs").unwrap_err();
        assert_eq!(error, "`us-trs` is neither a file nor a shipped policy: fr-d223-9, uk-ofcom, us-tsr");
    }
}
