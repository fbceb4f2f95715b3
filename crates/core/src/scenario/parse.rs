//! YAML to [`Scenario`]: everything wrong with a file is said in one go, each with its line.

use std::{collections::BTreeMap, time::Duration};

use super::{MachineAction, PromptFile, Scenario, Step, StepId, Variable, check, opt_out::OPT_OUT};
use crate::{
    amd::Verdict,
    text::{PhrasePack, PhraseSet},
    yaml::{At, Finding, Findings, Key, Kind, Node, Place, Severity, suggestion},
};

/// A scenario that cannot be used: every finding, with file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines().join("\n"))]
pub struct ScenarioError {
    pub file: String,
    pub findings: Vec<Finding>,
    /// The files it would play so far as it could be read, for whoever can see whether they are there.
    pub prompts: Vec<PromptFile>,
}

impl ScenarioError {
    /// `file:line:column: key: message`, one each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.findings.iter().map(|finding| finding.line(&self.file)).collect()
    }
}

impl Scenario {
    /// Reads a scenario; `file_name` is for the messages.
    ///
    /// # Errors
    /// All mistakes of the file, each with line, key and what would be right.
    pub fn parse(yaml: &str, file_name: &str) -> Result<Self, ScenarioError> {
        let fail = |findings| ScenarioError { file: file_name.to_owned(), findings, prompts: Vec::new() };
        let node = Node::parse(yaml).map_err(|finding| fail(vec![finding]))?;
        let findings = Findings::default();
        let scenario = Reader::new(&findings).scenario(&At::root(&node));
        let failed = findings.any_error();
        let findings = findings.into_sorted();
        match scenario {
            Some(scenario) if !failed => Ok(Self { warnings: findings, ..scenario }),
            Some(scenario) => Err(ScenarioError { prompts: scenario.prompt_files(), ..fail(findings) }),
            None => Err(fail(findings)),
        }
    }
}

const TOP: &[&str] =
    &["name", "description", "language", "variables", "intents", "start", "machine", "max_visits", "steps"];
pub(super) const MACHINES: [(&str, Verdict); 8] = [
    ("voicemail", Verdict::Voicemail),
    ("mailbox_full", Verdict::MailboxFull),
    ("screening", Verdict::Screening),
    ("ivr", Verdict::Ivr),
    ("sit", Verdict::Sit),
    ("fax", Verdict::Fax),
    ("tone", Verdict::Tone),
    ("music", Verdict::Music),
];
const MACHINE_KEYS: &[&str] =
    &["voicemail", "mailbox_full", "screening", "ivr", "sit", "fax", "tone", "music"];

/// Intents by name: their phrases and weights.
type Intents = BTreeMap<String, Vec<(String, f32)>>;

pub(super) struct Reader<'f> {
    pub(super) findings: &'f Findings,
    pub(super) step_names: Vec<String>,
    pub(super) intents: Intents,
    pub(super) intent_names: Vec<String>,
    /// Phrases that are no answer though they hold a word of one.
    pub(super) neither: Vec<(String, f32)>,
    pub(super) used_intents: std::cell::RefCell<Vec<String>>,
    pub(super) variables: BTreeMap<String, Variable>,
}

impl<'f> Reader<'f> {
    fn new(findings: &'f Findings) -> Self {
        Self {
            findings,
            step_names: Vec::new(),
            intents: Intents::new(),
            intent_names: Vec::new(),
            neither: Vec::new(),
            used_intents: std::cell::RefCell::default(),
            variables: BTreeMap::new(),
        }
    }

    /// A whole scenario also where findings were made: what could not be read stands as a hang-up, so that one
    /// look finds everything.
    fn scenario(mut self, root: &At<'_>) -> Option<Scenario> {
        let findings = self.findings;
        let fields = root.fields(TOP, findings);
        let name = fields.require("name", findings).and_then(|at| at.text(findings));
        let description = fields.get("description").and_then(|at| at.text(findings)).unwrap_or_default();
        let language = fields.require("language", findings).and_then(|at| self.language(&at));
        if let Some(at) = fields.get("variables") {
            self.variables =
                at.entries(findings).iter().filter_map(|(key, at)| self.variable(key, at)).collect();
        }
        let pack = language.as_deref().and_then(PhrasePack::for_language);
        let declared = fields.get("intents").map(|at| at.entries(findings)).unwrap_or_default();
        self.intents(&declared, pack);
        let steps_at = fields.require("steps", findings);
        let entries = steps_at.as_ref().map(|at| at.entries(findings)).unwrap_or_default();
        if let (Some(at), true) = (&steps_at, entries.is_empty()) {
            findings.error(at, "has no step");
        }
        self.step_names = entries.iter().map(|(key, _)| key.name.clone()).collect();
        let steps: Vec<Step> = entries.iter().map(|(key, at)| self.step(key, at)).collect();
        let start = match fields.get("start") {
            Some(at) => self.target(&at),
            None => (!steps.is_empty()).then_some(StepId(0)),
        };
        let machine = fields.get("machine").map(|at| self.machine(&at)).unwrap_or_default();
        let max_visits =
            fields.get("max_visits").and_then(|at| at.whole(findings, 1000)).unwrap_or(10).max(1);
        self.unused_intents(&declared);
        if steps.is_empty() {
            return None;
        }
        let opt_out = self.intents.get(OPT_OUT).cloned().unwrap_or_default();
        let opt_out = PhraseSet::new(opt_out.into_iter().map(|(phrase, weight)| (phrase, (), weight)));
        let scenario = Scenario {
            name: name.unwrap_or_default(),
            description,
            language: language.unwrap_or_default(),
            variables: self.variables,
            steps,
            start: start.unwrap_or(StepId(0)),
            machine,
            opt_out: opt_out.map_err(|error| findings.error(root, error.to_string())).ok()?,
            max_visits,
            warnings: Vec::new(),
        };
        check::check(&scenario, findings);
        Some(scenario)
    }

    fn language(&self, at: &At<'_>) -> Option<String> {
        let language = at.text(self.findings)?;
        if PhrasePack::for_language(&language).is_none() {
            let known = suggestion(&language, PhrasePack::LANGUAGES.into_iter());
            self.findings.error(at, format!("no phrases for the language `{language}`{known}"));
            return None;
        }
        Some(language)
    }

    /// `day: [monday, tuesday]`, or `day: {values: [..], default: monday}`.
    fn variable(&self, key: &Key, at: &At<'_>) -> Option<(String, Variable)> {
        let (list, default) = match &at.node.kind {
            Kind::Map(_) => {
                let fields = at.fields(&["values", "default"], self.findings);
                (fields.require("values", self.findings)?, fields.get("default"))
            }
            Kind::Null | Kind::Scalar(_) | Kind::Seq(_) => (at.clone(), None),
        };
        let mut values = Vec::new();
        for item in list.one_or_many() {
            let value = item.text(self.findings)?;
            if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                self.findings.error(&item, format!("`{value}` may hold only letters a-z, digits, - and _"));
            } else if values.contains(&value) {
                self.findings.error(&item, format!("`{value}` is given twice"));
            }
            values.push(value);
        }
        let default = match default {
            Some(at) => {
                let value = at.text(self.findings)?;
                if !values.contains(&value) {
                    let known = suggestion(&value, values.iter().map(String::as_str));
                    self.findings.error(&at, format!("`{value}` is not one of the values{known}"));
                }
                Some(value)
            }
            None => None,
        };
        Some((key.name.clone(), Variable { values, default }))
    }

    fn intents(&mut self, declared: &[(&Key, At<'_>)], pack: Option<&PhrasePack>) {
        for name in ["yes", "no", OPT_OUT] {
            let phrases = pack.and_then(|pack| pack.intent(name)).unwrap_or_default();
            if !phrases.is_empty() {
                self.intents.insert(name.to_owned(), phrases.to_vec());
            }
        }
        self.neither = pack.map(|pack| pack.neither().to_vec()).unwrap_or_default();
        for (key, at) in declared {
            if key.name == "any" {
                self.findings.error(at, "`any` is built in: whatever no other branch understands");
                continue;
            }
            let phrases = self.intent_phrases(at, pack.map_or("", PhrasePack::language));
            self.intents.entry(key.name.clone()).or_default().extend(phrases);
        }
        self.intent_names = self.intents.keys().cloned().chain(["any".to_owned()]).collect();
    }

    /// A list for the scenario's own language, or one list a language.
    fn intent_phrases(&self, at: &At<'_>, language: &str) -> Vec<(String, f32)> {
        let list = match &at.node.kind {
            Kind::Map(_) => {
                let languages = at.entries(self.findings);
                for (key, _) in &languages {
                    if PhrasePack::for_language(&key.name).is_none() {
                        let known = suggestion(&key.name, PhrasePack::LANGUAGES.into_iter());
                        self.findings.error(at, format!("`{}` is no language with phrases{known}", key.name));
                    }
                }
                let own = languages.into_iter().find(|(key, _)| key.name == language);
                own.map(|(_, at)| at)
            }
            Kind::Null | Kind::Scalar(_) | Kind::Seq(_) => Some(at.clone()),
        };
        let phrases: Vec<(String, f32)> = match &list {
            Some(list) if list.node.kind != Kind::Null => {
                list.one_or_many().iter().filter_map(|item| Some((item.text(self.findings)?, 1.0))).collect()
            }
            Some(_) | None => Vec::new(),
        };
        if phrases.is_empty() && !language.is_empty() {
            self.findings.error(at, format!("has no phrase for the scenario's language `{language}`"));
        }
        phrases
    }

    fn unused_intents(&self, declared: &[(&Key, At<'_>)]) {
        for (key, at) in declared {
            if !self.used_intents.borrow().contains(&key.name) {
                self.findings.push(
                    Severity::Warning,
                    key.place,
                    at.path.clone(),
                    "no step listens for it".to_owned(),
                );
            }
        }
    }

    fn machine(&self, at: &At<'_>) -> BTreeMap<Verdict, MachineAction> {
        let fields = at.fields(MACHINE_KEYS, self.findings);
        let of = |(name, verdict)| Some((verdict, self.machine_action(&fields.get(name)?)?));
        MACHINES.into_iter().filter_map(of).collect()
    }

    /// `hang_up`, `continue`, `{leave_message: STEP, wait: 30s}` or `{answer: STEP}`.
    fn machine_action(&self, at: &At<'_>) -> Option<MachineAction> {
        if !matches!(at.node.kind, Kind::Map(_)) {
            return match at.text(self.findings)?.as_str() {
                "hang_up" => Some(MachineAction::HangUp),
                "continue" => Some(MachineAction::Continue),
                other => {
                    let right = "write hang_up, continue, {leave_message: STEP} or {answer: STEP}";
                    self.findings.error(at, format!("`{other}` is nothing to do; {right}"));
                    None
                }
            };
        }
        let fields = at.fields(&["leave_message", "wait", "answer"], self.findings);
        match (fields.get("leave_message"), fields.get("answer")) {
            (Some(step), None) => {
                let wait = fields.get("wait").and_then(|at| at.duration(self.findings));
                let wait = wait.unwrap_or(Duration::from_secs(30));
                Some(MachineAction::LeaveMessage { step: self.target(&step)?, wait })
            }
            (None, Some(step)) => Some(MachineAction::Answer(self.target(&step)?)),
            (None, None) | (Some(_), Some(_)) => {
                self.findings.error(at, "needs either `leave_message` or `answer` with the name of a step");
                None
            }
        }
    }
}

/// Where a finding about a whole step belongs.
pub(super) fn step_key(step: &Step) -> (Place, String) {
    (step.place, format!("steps.{}", step.name))
}
