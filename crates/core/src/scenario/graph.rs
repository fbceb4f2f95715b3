//! A script as a Mermaid flowchart.

use std::fmt::Write as _;

use super::{MachineAction, Next, Scenario, StepId};
use crate::amd::Verdict;

/// The flowchart's text, to paste wherever Mermaid is drawn.
#[must_use]
pub fn mermaid(scenario: &Scenario) -> String {
    let mut out = String::from("flowchart TD\n");
    let name = |id: StepId| format!("s{}", id.0);
    out.push_str("  answer([answered])\n");
    edge(&mut out, "answer", "a person", &name(scenario.start));
    for (i, step) in scenario.steps.iter().enumerate() {
        let says = step.prompts.iter().map(|prompt| prompt.text.to_string()).collect::<Vec<_>>().join(" ");
        let label =
            if says.is_empty() { step.name.clone() } else { format!("{}<br/>{}", step.name, shorten(&says)) };
        let _ = writeln!(out, "  s{i}[\"{}\"]", quote(&label));
    }
    for (i, step) in scenario.steps.iter().enumerate() {
        let from = format!("s{i}");
        match &step.next {
            Next::Goto(to) => {
                let _ = writeln!(out, "  {from} --> {}", name(*to));
            }
            Next::Transfer(target) => {
                edge(&mut out, &from, "transfer", &format!("{from}t([\"{}\"])", quote(target)))
            }
            Next::HangUp(end) => {
                edge(&mut out, &from, "hang up", &format!("{from}e([\"{}\"])", quote(&end.outcome)));
            }
            Next::Listen(listen) => {
                for branch in &listen.branches {
                    edge(&mut out, &from, &branch.intent, &name(branch.to));
                }
                for (digit, to) in &listen.keys {
                    edge(&mut out, &from, &format!("key {}", digit.key()), &name(*to));
                }
                let ends = [("no input", &listen.no_input), ("no match", &listen.no_match)];
                for (word, retry) in ends {
                    let to = retry.then.map_or_else(|| format!("{from}n([\"hang up\"])"), name);
                    edge(&mut out, &from, &format!("{word} x{}", retry.retries + 1), &to);
                }
            }
        }
    }
    machines(&mut out, scenario);
    out
}

fn machines(out: &mut String, scenario: &Scenario) {
    for (verdict, action) in &scenario.machine {
        let (step, how) = match action {
            MachineAction::LeaveMessage { step, .. } => (*step, ", after its beep"),
            MachineAction::Answer(step) => (*step, ""),
            MachineAction::Continue => (scenario.start, ""),
            MachineAction::HangUp => continue,
        };
        edge(out, "answer", &format!("{}{how}", word(*verdict)), &format!("s{}", step.0));
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Human => "human",
        Verdict::Voicemail => "voicemail",
        Verdict::MailboxFull => "mailbox full",
        Verdict::Screening => "screening",
        Verdict::Ivr => "menu",
        Verdict::Sit => "not in service",
        Verdict::Fax => "fax",
        Verdict::Tone => "tone",
        Verdict::Music => "music",
        Verdict::Silence => "silence",
        Verdict::Unknown => "unknown",
    }
}

fn edge(out: &mut String, from: &str, label: &str, to: &str) {
    let _ = writeln!(out, "  {from} -->|\"{}\"| {to}", quote(label));
}

fn shorten(text: &str) -> String {
    let mut words = String::new();
    for word in text.split_whitespace() {
        if words.len() + word.len() > 60 {
            words.push_str(" ...");
            break;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    words
}

fn quote(text: &str) -> String {
    text.replace('"', "#quot;").replace('#', "#35;").replace("#35;quot;", "#quot;")
}
