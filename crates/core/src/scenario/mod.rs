//! A call's script: steps that play prompts, listen, branch, transfer and hang up.
//!
//! [`Scenario::parse`] gives a complete thing: every step a branch names exists, every prompt's file name is one
//! of a closed list, every intent has phrases. [`ScenarioRun`] then walks it and cannot fail.

mod check;
mod graph;
mod instead;
mod opt_out;
mod parse;
mod run;
mod steps;
mod template;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{
    check::PromptFile,
    graph::mermaid,
    parse::ScenarioError,
    run::{Action, ListenSpec, ScenarioRun, StartError},
    template::Template,
};
use crate::{
    amd::Verdict,
    barge_in::BargeInConfig,
    call::{Digit, Disposition},
    text::PhraseSet,
    yaml::{Finding, Place},
};

/// Something to play: the file, relative to the prompts folder, and the words it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub file: String,
    pub text: String,
}

/// A step's number in [`Scenario::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(usize);

/// A parsed and complete script.
#[derive(Debug)]
pub struct Scenario {
    pub name: String,
    pub description: String,
    /// A language with a phrase pack: `en`, `fr`...
    pub language: String,
    /// What contacts may carry and file names may hold, each a closed list.
    pub variables: BTreeMap<String, Variable>,
    steps: Vec<Step>,
    start: StepId,
    machine: BTreeMap<Verdict, MachineAction>,
    /// What people say who do not want to be called again: heard at every step.
    opt_out: PhraseSet<()>,
    /// How often one step may be entered within a call.
    max_visits: u32,
    warnings: Vec<Finding>,
}

/// A closed list of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub values: Vec<String>,
    /// Taken where a contact brings none.
    pub default: Option<String>,
}

#[derive(Debug)]
pub struct Step {
    pub name: String,
    pub place: Place,
    /// Played one after the other.
    pub prompts: Vec<PromptTemplate>,
    /// How easily the person may interrupt; `None`: not at all.
    pub barge_in: Option<BargeInConfig>,
    pub next: Next,
}

/// What follows a step's prompts.
#[derive(Debug)]
pub enum Next {
    Listen(Box<Listen>),
    Goto(StepId),
    Transfer(String),
    HangUp(End),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The scenario's own word for how it ended.
    pub outcome: String,
    /// `None`: `message_left` where a message was left, else `completed`.
    pub disposition: Option<Disposition>,
}

/// Waiting for the person.
#[derive(Debug)]
pub struct Listen {
    pub spec: ListenSpec,
    pub branches: Vec<Branch>,
    /// Phrase to branch number; `None`: it only keeps its words from the others.
    phrases: PhraseSet<Option<usize>>,
    pub keys: BTreeMap<Digit, StepId>,
    pub no_input: Retry,
    pub no_match: Retry,
}

/// An intent and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub intent: String,
    pub to: StepId,
}

/// What to do when nothing came, or nothing that was understood.
#[derive(Debug)]
pub struct Retry {
    pub retries: u32,
    /// Played before listening again; empty: the step's own prompts.
    pub prompts: Vec<PromptTemplate>,
    /// After the last retry; `None`: hang up.
    pub then: Option<StepId>,
}

/// A prompt whose file and words may hold `{variables}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate {
    pub file: Template,
    pub text: Template,
    pub place: Place,
}

/// What to do when a machine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineAction {
    HangUp,
    /// Go on as with a person.
    Continue,
    /// Wait until the far side records, at most so long, then run this step.
    LeaveMessage {
        step: StepId,
        wait: Duration,
    },
    /// Speak to it at once: a call screener that asks who is calling.
    Answer(StepId),
}

impl Scenario {
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// # Panics
    /// Never: ids come from this scenario's own parsing.
    #[must_use]
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0]
    }

    #[must_use]
    pub fn start(&self) -> StepId {
        self.start
    }

    #[must_use]
    pub fn machine_action(&self, verdict: Verdict) -> MachineAction {
        self.machine.get(&verdict).copied().unwrap_or(match verdict {
            Verdict::Human | Verdict::Silence | Verdict::Unknown => MachineAction::Continue,
            Verdict::Voicemail
            | Verdict::MailboxFull
            | Verdict::Screening
            | Verdict::Ivr
            | Verdict::Sit
            | Verdict::Fax
            | Verdict::Tone
            | Verdict::Music => MachineAction::HangUp,
        })
    }

    /// What somebody says to do with a class of machine instead of the script: `hang_up`, `continue`,
    /// `leave_message:STEP`, `leave_message:STEP:40s` or `answer:STEP`.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn machine_override(&self, class: &str, action: &str) -> Result<(Verdict, MachineAction), String> {
        instead::parse(self, class, action)
    }

    /// What could be better, though the script can run.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}
