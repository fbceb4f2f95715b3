//! What a script's shape gives away: steps nobody reaches, circles, messages that wait for an answer.

use std::collections::{BTreeMap, BTreeSet};

use super::{MachineAction, Next, Prompt, PromptTemplate, Scenario, StepId, parse::step_key};
use crate::yaml::{Findings, Place, Severity};

/// A file that a script may play: its variables put in, one for each value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptFile {
    pub prompt: Prompt,
    pub place: Place,
}

impl Scenario {
    /// Every file that a call may play, each once, in the script's order.
    #[must_use]
    pub fn prompt_files(&self) -> Vec<PromptFile> {
        let mut seen = BTreeSet::new();
        let all = self.steps.iter().flat_map(|step| match &step.next {
            Next::Listen(listen) => {
                let retries = listen.no_input.prompts.iter().chain(&listen.no_match.prompts);
                step.prompts.iter().chain(retries).collect::<Vec<_>>()
            }
            Next::Goto(_) | Next::Transfer(_) | Next::HangUp(_) => step.prompts.iter().collect(),
        });
        let files = all.flat_map(|template| self.expand(template));
        files.filter(|file| seen.insert(file.prompt.file.clone())).collect()
    }

    fn expand(&self, template: &PromptTemplate) -> Vec<PromptFile> {
        let mut choices = vec![BTreeMap::new()];
        let names: BTreeSet<&str> = template.file.variables().collect();
        for (name, variable) in self.variables.iter().filter(|(name, _)| names.contains(name.as_str())) {
            choices = choices
                .iter()
                .flat_map(|choice: &BTreeMap<String, String>| {
                    variable.values.iter().map(move |value| {
                        let mut choice = choice.clone();
                        choice.insert(name.clone(), value.clone());
                        choice
                    })
                })
                .collect();
        }
        let fill = |values: &BTreeMap<String, String>| PromptFile {
            prompt: Prompt { file: template.file.fill(values), text: template.text.fill(values) },
            place: template.place,
        };
        choices.iter().map(fill).collect()
    }

    /// The steps that can follow this one, in the script's order.
    #[must_use]
    pub fn followers(&self, id: StepId) -> Vec<StepId> {
        match &self.step(id).next {
            Next::Listen(listen) => {
                let branches = listen.branches.iter().map(|branch| branch.to);
                let retries = listen.no_input.then.into_iter().chain(listen.no_match.then);
                branches.chain(listen.keys.values().copied()).chain(retries).collect()
            }
            Next::Goto(to) => vec![*to],
            Next::Transfer(_) | Next::HangUp(_) => Vec::new(),
        }
    }

    pub(super) fn reached_from(&self, from: impl IntoIterator<Item = StepId>) -> BTreeSet<StepId> {
        let mut open: Vec<StepId> = from.into_iter().collect();
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(self.followers(id));
            }
        }
        reached
    }
}

pub(super) fn check(scenario: &Scenario, findings: &Findings) {
    unreachable(scenario, findings);
    circles(scenario, findings);
    one_text_a_file(scenario, findings);
    for action in scenario.machine.values() {
        if let MachineAction::LeaveMessage { step, .. } = action {
            listening_messages(scenario, *step, findings);
        }
    }
}

fn unreachable(scenario: &Scenario, findings: &Findings) {
    let machines = scenario.machine.values().filter_map(|action| match action {
        MachineAction::LeaveMessage { step, .. } | MachineAction::Answer(step) => Some(*step),
        MachineAction::HangUp | MachineAction::Continue => None,
    });
    let reached = scenario.reached_from(machines.chain([scenario.start]));
    for (i, step) in scenario.steps.iter().enumerate() {
        if !reached.contains(&StepId(i)) {
            let (place, key) = step_key(step);
            findings.push(Severity::Error, place, key, "nothing leads to this step".to_owned());
        }
    }
}

/// Steps that only go on to one another would never end.
fn circles(scenario: &Scenario, findings: &Findings) {
    for (i, step) in scenario.steps.iter().enumerate() {
        let mut id = StepId(i);
        for _ in 0..scenario.steps.len() {
            let Next::Goto(to) = scenario.step(id).next else { break };
            id = to;
            if id == StepId(i) {
                let (place, key) = step_key(step);
                let message = "comes back to itself without ever listening or hanging up".to_owned();
                findings.push(Severity::Error, place, key, message);
                break;
            }
        }
    }
}

/// A recording says one thing only.
fn one_text_a_file(scenario: &Scenario, findings: &Findings) {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let listens = scenario.steps.iter().filter_map(|step| match &step.next {
        Next::Listen(listen) => Some(listen),
        Next::Goto(_) | Next::Transfer(_) | Next::HangUp(_) => None,
    });
    let retries = listens.flat_map(|listen| listen.no_input.prompts.iter().chain(&listen.no_match.prompts));
    let all = scenario.steps.iter().flat_map(|step| &step.prompts).chain(retries);
    for template in all {
        for PromptFile { prompt, place } in scenario.expand(template) {
            let first = texts.entry(prompt.file.clone()).or_insert_with(|| prompt.text.clone());
            if *first != prompt.text {
                let message = format!("`{}` already says \"{first}\"; one file says one text", prompt.file);
                findings.push(Severity::Error, place, "file".to_owned(), message);
                break;
            }
        }
    }
}

fn listening_messages(scenario: &Scenario, message: StepId, findings: &Findings) {
    for id in scenario.reached_from([message]) {
        let step = scenario.step(id);
        if matches!(step.next, Next::Listen(_)) {
            let (place, key) = step_key(step);
            let message = "listens, but a `leave_message` leads here: a mailbox answers nothing".to_owned();
            findings.push(Severity::Error, place, key, message);
        }
    }
}
