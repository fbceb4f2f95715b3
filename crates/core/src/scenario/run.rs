//! Where a call is in its script, and what comes next.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    End, Listen, MachineAction, Next, Prompt, PromptTemplate, Retry, Scenario, Step, StepId,
    opt_out::{OPT_OUT, OPTED_OUT},
};
use crate::{
    amd::Verdict,
    barge_in::BargeInConfig,
    call::{Digit, Disposition, HangupReason},
    text::{PhrasePack, fold, tokens},
};

/// What the call must do now. It replaces whatever the call does at the moment: a prompt still playing is to be
/// stopped first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Play, then say [`ScenarioRun::prompt_done`]. `then_listen`: this is the last prompt before listening.
    Play {
        prompt: Prompt,
        /// How easily it may be interrupted; `None`: not at all.
        barge_in: Option<BargeInConfig>,
        then_listen: bool,
    },
    /// Wait for the person's next turn or key, or report no input.
    Listen(ListenSpec),
    /// Wait until the far side is ready to record, then say [`ScenarioRun::message_ready`]; say it after
    /// `max_wait` in any case.
    AwaitMessageStart {
        max_wait: Duration,
    },
    Transfer {
        target: String,
    },
    Hangup {
        reason: HangupReason,
        outcome: String,
        disposition: Disposition,
    },
}

/// How to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenSpec {
    /// Without speech for so long, the person said nothing.
    pub no_input: Duration,
    /// A turn is cut off after so long.
    pub max_turn: Duration,
    /// Whether keys mean something here.
    pub keys: bool,
}

impl Default for ListenSpec {
    fn default() -> Self {
        Self { no_input: Duration::from_secs(6), max_turn: Duration::from_secs(15), keys: false }
    }
}

/// Why a script cannot be run for a contact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("the scenario needs `{name}`, one of: {values}")]
    Missing { name: String, values: String },
    #[error("`{name}` is `{value}`; the scenario has prompts for: {values}")]
    NotListed { name: String, value: String, values: String },
}

/// One call's walk through a script.
#[derive(Debug)]
pub struct ScenarioRun {
    scenario: Arc<Scenario>,
    values: BTreeMap<String, String>,
    at: At,
    step: StepId,
    /// What is still to be played before the step goes on.
    queue: VecDeque<Prompt>,
    /// What an interruption cut off, in case it was none.
    cut_off: Option<VecDeque<Prompt>>,
    /// A step is taken up again once.
    resumed: bool,
    visits: Vec<u32>,
    no_inputs: u32,
    no_matches: u32,
    leaving_message: bool,
    /// What to do with machines instead of what the script says.
    instead: BTreeMap<Verdict, MachineAction>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    NotStarted,
    Playing,
    Listening,
    AwaitingMessage,
    Ended,
}

impl ScenarioRun {
    /// `variables`: what the contact brings; those that the scenario does not list only fill texts.
    ///
    /// # Errors
    /// A listed variable is missing, or its value has no prompts.
    pub fn new(scenario: Arc<Scenario>, variables: &BTreeMap<String, String>) -> Result<Self, StartError> {
        let values = check_variables(&scenario, variables)?;
        let visits = vec![0; scenario.steps().len()];
        let step = scenario.start();
        Ok(Self {
            scenario,
            values,
            at: At::NotStarted,
            step,
            queue: VecDeque::new(),
            cut_off: None,
            resumed: false,
            visits,
            no_inputs: 0,
            no_matches: 0,
            leaving_message: false,
            instead: BTreeMap::new(),
        })
    }

    /// Has machines treated otherwise than the script says; see [`Scenario::machine_override`].
    #[must_use]
    pub fn instead(self, instead: BTreeMap<Verdict, MachineAction>) -> Self {
        Self { instead, ..self }
    }

    /// The step the call is in; `None` before the start.
    #[must_use]
    pub fn step_name(&self) -> Option<&str> {
        (self.at != At::NotStarted).then(|| self.current().name.as_str())
    }

    #[must_use]
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.scenario
    }

    /// How often in a row nothing came at this step.
    #[must_use]
    pub fn no_inputs(&self) -> u32 {
        self.no_inputs
    }

    /// How often in a row nothing was understood at this step.
    #[must_use]
    pub fn no_matches(&self) -> u32 {
        self.no_matches
    }

    /// Speaks to a person: the first step.
    pub fn start(&mut self) -> Action {
        self.leaving_message = false;
        self.enter(self.scenario.start())
    }

    /// Who answered is known now (or known better). `None`: the call goes on as it is.
    pub fn machine(&mut self, verdict: Verdict) -> Option<Action> {
        if self.at == At::Ended {
            return None;
        }
        let scripted = || self.scenario.machine_action(verdict);
        match self.instead.get(&verdict).copied().unwrap_or_else(scripted) {
            MachineAction::Continue => (self.at == At::NotStarted).then(|| self.start()),
            MachineAction::HangUp => Some(self.hang_up_on(verdict)),
            MachineAction::LeaveMessage { step, wait } => {
                if self.at == At::AwaitingMessage || self.leaving_message {
                    return None;
                }
                self.queue.clear();
                self.step = step;
                self.leaving_message = true;
                self.at = At::AwaitingMessage;
                Some(Action::AwaitMessageStart { max_wait: wait })
            }
            MachineAction::Answer(step) => Some(self.enter(step)),
        }
    }

    /// The far side is ready to record. `None` where nobody waits for that.
    pub fn message_ready(&mut self) -> Option<Action> {
        (self.at == At::AwaitingMessage).then(|| self.enter(self.step))
    }

    /// The prompt was played to its end (or could not be).
    pub fn prompt_done(&mut self) -> Action {
        self.advance()
    }

    /// The person interrupts: the rest of the step's prompts is dropped and the call listens.
    pub fn interrupted(&mut self) -> Action {
        self.cut_off = (!self.resumed).then(|| std::mem::take(&mut self.queue));
        self.queue.clear();
        self.at = At::Listening;
        Action::Listen(self.listen_spec())
    }

    /// Nobody said anything after all: the interrupted prompt goes on where it was cut off, once a step. `false`: the
    /// call listens as it does.
    pub fn resume(&mut self) -> bool {
        let Some(queue) = self.cut_off.take().filter(|_| self.at == At::Listening) else { return false };
        self.queue = queue;
        self.resumed = true;
        self.at = At::Playing;
        true
    }

    /// Whether the words mean one of the branches here (`any` is none).
    #[must_use]
    pub fn understands(&self, text: &str) -> bool {
        let listen = self.listening_step().and_then(|id| self.listen_of(id));
        listen
            .and_then(|listen| understand(listen, text, &self.scenario.language))
            .is_some_and(|(intent, _)| intent != "any")
    }

    /// How to listen at this step, also while its prompt plays.
    #[must_use]
    pub fn listen_spec(&self) -> ListenSpec {
        self.listening_step().and_then(|id| self.listen_of(id)).map(|listen| listen.spec).unwrap_or_default()
    }

    /// The person's turn ended. Gives the intent that was understood and what follows.
    pub fn heard(&mut self, text: &str) -> (Option<String>, Action) {
        self.queue.clear();
        if let Some(action) = self.opted_out(text) {
            return (Some(OPT_OUT.to_owned()), action);
        }
        let Some(id) = self.listening_step() else {
            return (None, self.follow());
        };
        let branch = self.listen_of(id).and_then(|listen| understand(listen, text, &self.scenario.language));
        match branch {
            Some((intent, to)) => (Some(intent), self.enter(to)),
            None if id == self.step => (None, self.no_match()),
            // What they said over an explanation was no answer yet: ask the question it leads to.
            None => (None, self.enter(id)),
        }
    }

    /// A key was pressed. `None`: keys mean nothing here.
    pub fn dtmf(&mut self, digit: Digit) -> Option<Action> {
        if !matches!(self.at, At::Playing | At::Listening) || self.leaving_message {
            return None;
        }
        let id = self.listening_step()?;
        let listen = self.listen_of(id).filter(|listen| !listen.keys.is_empty())?;
        match listen.keys.get(&digit).copied() {
            Some(to) => Some(self.enter(to)),
            None if id == self.step => Some(self.no_match()),
            None => None,
        }
    }

    /// Nothing was said in time.
    pub fn no_input(&mut self) -> Action {
        self.queue.clear();
        self.no_inputs += 1;
        let count = self.no_inputs;
        match self.listen_of(self.step).map(|listen| retry(&listen.no_input, count)) {
            None => self.follow(),
            Some(Again::Ask(prompts)) => self.ask_again(&prompts),
            Some(Again::Go(to)) => self.enter(to),
            Some(Again::HangUp) => self.give_up("no_input"),
        }
    }

    /// They do not want to be called again, at a step whose script does not ask for that.
    fn opted_out(&mut self, text: &str) -> Option<Action> {
        let asked_here = self.listening_step().is_some_and(|id| self.scenario.listens_for_opt_out(id));
        if asked_here || self.leaving_message || !self.scenario.opts_out(text) {
            return None;
        }
        Some(match self.scenario.opt_out_step() {
            Some(step) => self.enter(step),
            None => self.end(HangupReason::ScenarioEnd, OPTED_OUT, Disposition::Completed),
        })
    }

    fn no_match(&mut self) -> Action {
        self.no_matches += 1;
        let count = self.no_matches;
        match self.listen_of(self.step).map(|listen| retry(&listen.no_match, count)) {
            None => self.follow(),
            Some(Again::Ask(prompts)) => self.ask_again(&prompts),
            Some(Again::Go(to)) => self.enter(to),
            Some(Again::HangUp) => self.give_up("no_match"),
        }
    }

    fn enter(&mut self, id: StepId) -> Action {
        self.step = id;
        self.no_inputs = 0;
        self.no_matches = 0;
        (self.cut_off, self.resumed) = (None, false);
        self.visits[id.0] += 1;
        if self.visits[id.0] > self.scenario.max_visits {
            return self.give_up("too_many_turns");
        }
        self.queue = self.fill(&self.current().prompts);
        self.advance()
    }

    fn ask_again(&mut self, prompts: &[PromptTemplate]) -> Action {
        let prompts = if prompts.is_empty() { &self.scenario.step(self.step).prompts } else { prompts };
        self.queue = self.fill(prompts);
        self.advance()
    }

    fn advance(&mut self) -> Action {
        let Some(prompt) = self.queue.pop_front() else { return self.follow() };
        self.at = At::Playing;
        let then_listen = self.queue.is_empty() && matches!(self.current().next, Next::Listen(_));
        let barge_in = self.current().barge_in.filter(|_| !self.leaving_message);
        Action::Play { prompt, barge_in, then_listen }
    }

    /// What comes after the step's prompts. Bounded: a circle of steps ends at `max_visits`.
    fn follow(&mut self) -> Action {
        let scenario = Arc::clone(&self.scenario);
        match &scenario.step(self.step).next {
            Next::Listen(listen) => {
                self.at = At::Listening;
                Action::Listen(listen.spec)
            }
            Next::Goto(to) => self.enter(*to),
            Next::Transfer(target) => {
                self.at = At::Ended;
                Action::Transfer { target: target.clone() }
            }
            Next::HangUp(End { outcome, disposition }) => {
                let usual =
                    if self.leaving_message { Disposition::MessageLeft } else { Disposition::Completed };
                self.end(HangupReason::ScenarioEnd, outcome, disposition.unwrap_or(usual))
            }
        }
    }

    fn give_up(&mut self, outcome: &str) -> Action {
        self.end(HangupReason::ScenarioEnd, outcome, Disposition::NoInput)
    }

    fn hang_up_on(&mut self, verdict: Verdict) -> Action {
        let (outcome, disposition) = match verdict {
            Verdict::Voicemail => ("voicemail", Disposition::Machine),
            Verdict::MailboxFull => ("mailbox_full", Disposition::MailboxFull),
            Verdict::Screening => ("screening", Disposition::Screened),
            Verdict::Ivr => ("ivr", Disposition::Ivr),
            Verdict::Sit => ("sit", Disposition::NotInService),
            Verdict::Fax => ("fax", Disposition::Fax),
            Verdict::Tone => ("tone", Disposition::Machine),
            Verdict::Music => ("music", Disposition::Machine),
            Verdict::Silence => ("silence", Disposition::NoInput),
            Verdict::Human | Verdict::Unknown => ("hung_up", Disposition::Completed),
        };
        self.end(HangupReason::Machine, outcome, disposition)
    }

    fn end(&mut self, reason: HangupReason, outcome: &str, disposition: Disposition) -> Action {
        self.at = At::Ended;
        self.queue.clear();
        Action::Hangup { reason, outcome: outcome.to_owned(), disposition }
    }

    fn current(&self) -> &Step {
        self.scenario.step(self.step)
    }

    fn listen_of(&self, id: StepId) -> Option<&Listen> {
        match &self.scenario.step(id).next {
            Next::Listen(listen) => Some(listen),
            Next::Goto(_) | Next::Transfer(_) | Next::HangUp(_) => None,
        }
    }

    /// This step where it listens, else the one it leads to.
    fn listening_step(&self) -> Option<StepId> {
        let mut id = self.step;
        for _ in 0..self.visits.len() {
            match &self.scenario.step(id).next {
                Next::Listen(_) => return Some(id),
                Next::Goto(to) => id = *to,
                Next::Transfer(_) | Next::HangUp(_) => return None,
            }
        }
        None
    }

    fn fill(&self, prompts: &[PromptTemplate]) -> VecDeque<Prompt> {
        prompts
            .iter()
            .map(|prompt| Prompt {
                file: prompt.file.fill(&self.values),
                text: prompt.text.fill(&self.values),
            })
            .collect()
    }
}

enum Again {
    Ask(Vec<PromptTemplate>),
    Go(StepId),
    HangUp,
}

fn retry(retry: &Retry, count: u32) -> Again {
    if count <= retry.retries {
        return Again::Ask(retry.prompts.clone());
    }
    retry.then.map_or(Again::HangUp, Again::Go)
}

/// The branch whose phrases weigh most; at the same weight the one said last, since people correct themselves.
/// `any` takes what no other branch does, so long as it is more than "uh".
fn understand(listen: &Listen, text: &str, language: &str) -> Option<(String, StepId)> {
    let mut scores = vec![(0.0_f32, 0_usize); listen.branches.len()];
    for hit in listen.phrases.hits(text) {
        let Some(branch) = *hit.value else { continue };
        let (weight, last) = &mut scores[branch];
        *weight += hit.weight;
        *last = hit.end;
    }
    let best = (0..scores.len())
        .filter(|i| scores[*i].0 > 0.0)
        .max_by(|a, b| scores[*a].0.total_cmp(&scores[*b].0).then(scores[*a].1.cmp(&scores[*b].1)));
    let said_something = || match PhrasePack::for_language(language) {
        Some(pack) => !tokens(text).is_empty() && !pack.is_hesitation(text),
        None => !tokens(text).is_empty(),
    };
    let branch = best
        .map(|i| &listen.branches[i])
        .or_else(|| listen.branches.iter().find(|branch| branch.intent == "any" && said_something()))?;
    Some((branch.intent.clone(), branch.to))
}

fn check_variables(
    scenario: &Scenario,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, StartError> {
    let mut values = given.clone();
    for (name, variable) in &scenario.variables {
        let wanted = given.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(wanted) = wanted.or(variable.default.as_deref()) else {
            return Err(StartError::Missing { name: name.clone(), values: variable.values.join(", ") });
        };
        let listed = variable.values.iter().find(|value| fold(value) == fold(wanted));
        let Some(listed) = listed else {
            let value = wanted.to_owned();
            return Err(StartError::NotListed {
                name: name.clone(),
                value,
                values: variable.values.join(", "),
            });
        };
        values.insert(name.clone(), listed.clone());
    }
    Ok(values)
}
