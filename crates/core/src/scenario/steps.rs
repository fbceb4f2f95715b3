//! One step of a scenario's YAML: what it plays, hears and leads to.

use std::collections::BTreeMap;

use super::{
    Branch, End, Listen, ListenSpec, Next, PromptTemplate, Retry, Step, StepId, Template, parse::Reader,
};
use crate::{
    barge_in::{BargeInConfig, Profile},
    call::{Digit, Disposition},
    text::PhraseSet,
    yaml::{At, Fields, Key, Kind, Severity, suggestion},
};

const STEP: &[&str] = &["play", "barge_in", "listen", "goto", "transfer", "hang_up"];
const LISTEN: &[&str] = &["timeout", "max_turn", "on", "dtmf", "no_input", "no_match"];
const DISPOSITIONS: [(&str, Disposition); 5] = [
    ("completed", Disposition::Completed),
    ("message_left", Disposition::MessageLeft),
    ("no_input", Disposition::NoInput),
    ("machine", Disposition::Machine),
    ("screened", Disposition::Screened),
];

impl Reader<'_> {
    pub(super) fn step(&self, key: &Key, at: &At<'_>) -> Step {
        let fields = at.fields(STEP, self.findings);
        let prompts = fields.get("play").map(|at| self.prompts(&at)).unwrap_or_default();
        let ways = ["listen", "goto", "transfer", "hang_up"];
        let given: Vec<At<'_>> = ways.iter().filter_map(|way| fields.get(way)).collect();
        self.one_way(key, at, &fields, given.len());
        let next = given.first().and_then(|way| {
            match ways.iter().position(|name| way.path.ends_with(&format!(".{name}"))) {
                Some(0) => self.listen(way).map(|listen| Next::Listen(Box::new(listen))),
                Some(1) => self.target(way).map(Next::Goto),
                Some(2) => self.transfer(way).map(Next::Transfer),
                Some(_) | None => self.hang_up(way, &key.name).map(Next::HangUp),
            }
        });
        let goes_on = matches!(next, Some(Next::Listen(_) | Next::Goto(_)));
        let usual = goes_on.then(|| Profile::default().config());
        let barge_in = fields.get("barge_in").and_then(|at| self.barge_in(&at)).unwrap_or(usual);
        let next = next.unwrap_or(Next::HangUp(End { outcome: key.name.clone(), disposition: None }));
        Step { name: key.name.clone(), place: key.place, prompts, barge_in, next }
    }

    /// `true`, `false`, a profile's name, or `{profile: .., guard: .., words: ..}`.
    fn barge_in(&self, at: &At<'_>) -> Option<Option<BargeInConfig>> {
        if !matches!(at.node.kind, Kind::Map(_)) {
            let word = at.text(self.findings)?;
            return match word.as_str() {
                "true" => Some(Some(Profile::default().config())),
                "false" => Some(None),
                _ => Some(Some(self.profile(at)?.config())),
            };
        }
        let fields = at.fields(&["profile", "guard", "words"], self.findings);
        let profile = fields.get("profile").map_or(Some(Profile::default()), |at| self.profile(&at))?;
        let mut config = profile.config();
        if let Some(guard) = fields.get("guard").and_then(|at| at.duration(self.findings)) {
            config.guard = guard;
        }
        if let Some(words) = fields.get("words").and_then(|at| at.whole(self.findings, 20)) {
            config.words = words.max(1);
        }
        Some(Some(config))
    }

    fn profile(&self, at: &At<'_>) -> Option<Profile> {
        let name = at.text(self.findings)?;
        let found = Profile::ALL.iter().find(|(known, _)| *known == name).map(|(_, profile)| *profile);
        if found.is_none() {
            let known = Profile::ALL.iter().map(|(known, _)| *known).chain(["true", "false"]);
            let known = suggestion(&name, known);
            self.findings.error(at, format!("`{name}` is no way to be interrupted{known}"));
        }
        found
    }

    fn one_way(&self, key: &Key, at: &At<'_>, fields: &Fields<'_>, ways: usize) {
        let message = match ways {
            0 if fields.strange || !matches!(at.node.kind, Kind::Map(_)) => return,
            0 => "does not say what comes next: add one of listen, goto, transfer, hang_up",
            1 => return,
            _ => "goes several ways: keep one of listen, goto, transfer, hang_up",
        };
        self.findings.push(Severity::Error, key.place, at.path.clone(), message.to_owned());
    }

    fn prompts(&self, at: &At<'_>) -> Vec<PromptTemplate> {
        at.one_or_many().iter().filter_map(|item| self.prompt(item)).collect()
    }

    fn prompt(&self, at: &At<'_>) -> Option<PromptTemplate> {
        let fields = at.fields(&["file", "text"], self.findings);
        let file_at = fields.require("file", self.findings);
        let text_at = fields.require("text", self.findings);
        let file = self.template(&file_at?)?;
        let text_at = text_at?;
        let text = self.template(&text_at)?;
        let file_at = fields.get("file")?;
        let unknown: Vec<&str> =
            file.variables().filter(|name| !self.variables.contains_key(*name)).collect();
        for name in &unknown {
            let known = suggestion(name, self.variables.keys().map(String::as_str));
            let message = format!("`{{{name}}}` has no list of values; add it under `variables`{known}");
            self.findings.error(&file_at, message);
        }
        for name in text.variables().filter(|name| !file.variables().any(|in_file| in_file == *name)) {
            let message =
                format!("says `{{{name}}}`, but the file name does not hold it: all hear the same recording");
            self.findings.warning(&text_at, message);
        }
        let shown = file.to_string();
        let wrong = wrong_path(&shown);
        if let Some(wrong) = wrong {
            self.findings.error(&file_at, format!("`{shown}` {wrong}"));
        }
        if wrong.is_some() || !unknown.is_empty() {
            return None;
        }
        let place = file_at.node.place;
        Some(PromptTemplate { file, text, place })
    }

    fn template(&self, at: &At<'_>) -> Option<Template> {
        let text = at.text(self.findings)?;
        Template::parse(&text).map_err(|wrong| self.findings.error(at, wrong)).ok()
    }

    pub(super) fn target(&self, at: &At<'_>) -> Option<StepId> {
        let name = at.text(self.findings)?;
        let found = self.step_names.iter().position(|step| *step == name).map(StepId);
        if found.is_none() {
            let known = suggestion(&name, self.step_names.iter().map(String::as_str));
            self.findings.error(at, format!("there is no step `{name}`{known}"));
        }
        found
    }

    fn listen(&self, at: &At<'_>) -> Option<Listen> {
        let fields = at.fields(LISTEN, self.findings);
        let duration =
            |name, usual| fields.get(name).and_then(|at| at.duration(self.findings)).unwrap_or(usual);
        let usual = ListenSpec::default();
        let branches = fields.get("on").map(|at| self.branches(&at)).unwrap_or_default();
        let keys = fields.get("dtmf").map(|at| self.keys(&at)).unwrap_or_default();
        let given = |name| fields.get(name).is_some_and(|at| at.node.kind != Kind::Map(Vec::new()));
        if !given("on") && !given("dtmf") && matches!(at.node.kind, Kind::Map(_)) {
            self.findings.error(at, "listens for nothing: add `on` or `dtmf`");
        }
        let phrases = self.phrases(&branches);
        let phrases =
            PhraseSet::new(phrases).map_err(|error| self.findings.error(at, error.to_string())).ok()?;
        Some(Listen {
            spec: ListenSpec {
                no_input: duration("timeout", usual.no_input),
                max_turn: duration("max_turn", usual.max_turn),
                keys: !keys.is_empty(),
            },
            branches,
            phrases,
            keys,
            no_input: self.retry(fields.get("no_input"), 1),
            no_match: self.retry(fields.get("no_match"), 2),
        })
    }

    /// The phrases of the branches, then those that mean none of them.
    fn phrases(&self, branches: &[Branch]) -> Vec<(String, Option<usize>, f32)> {
        let of_branches = branches.iter().enumerate().flat_map(|(i, branch)| {
            let phrases = self.intents.get(&branch.intent).cloned().unwrap_or_default();
            phrases.into_iter().map(move |(phrase, weight)| (phrase, Some(i), weight))
        });
        let neither = self.neither.iter().map(|(phrase, weight)| (phrase.clone(), None, *weight));
        of_branches.chain(neither).collect()
    }

    fn branches(&self, at: &At<'_>) -> Vec<Branch> {
        let mut branches = Vec::new();
        for (key, at) in at.entries(self.findings) {
            if !self.intent_names.contains(&key.name) {
                let known = suggestion(&key.name, self.intent_names.iter().map(String::as_str));
                let message = format!("there is no intent `{}`{known}", key.name);
                self.findings.push(Severity::Error, key.place, at.path.clone(), message);
            }
            self.used_intents.borrow_mut().push(key.name.clone());
            if let Some(to) = self.target(&at) {
                branches.push(Branch { intent: key.name.clone(), to });
            }
        }
        branches
    }

    fn keys(&self, at: &At<'_>) -> BTreeMap<Digit, StepId> {
        let mut keys = BTreeMap::new();
        for (key, at) in at.entries(self.findings) {
            let mut letters = key.name.chars();
            let digit = letters.next().and_then(Digit::new).filter(|_| letters.next().is_none());
            if digit.is_none() {
                let message = format!("`{}` is no telephone key: 0-9, *, #, A-D", key.name);
                self.findings.push(Severity::Error, key.place, at.path.clone(), message);
            }
            if let (Some(digit), Some(to)) = (digit, self.target(&at)) {
                keys.insert(digit, to);
            }
        }
        keys
    }

    fn retry(&self, at: Option<At<'_>>, retries: u32) -> Retry {
        let Some(at) = at else { return Retry { retries, prompts: Vec::new(), then: None } };
        let fields = at.fields(&["retries", "play", "then"], self.findings);
        Retry {
            retries: fields.get("retries").and_then(|at| at.whole(self.findings, 10)).unwrap_or(retries),
            prompts: fields.get("play").map(|at| self.prompts(&at)).unwrap_or_default(),
            then: fields.get("then").and_then(|at| self.target(&at)),
        }
    }

    fn transfer(&self, at: &At<'_>) -> Option<String> {
        let target = at.text(self.findings)?;
        let fits = target.bytes().all(|b| b.is_ascii_alphanumeric() || b" +*#_./:@-".contains(&b));
        if !fits {
            let message = format!("`{target}` may hold only letters, digits, spaces and + * # _ . / : @ -");
            self.findings.error(at, message);
        }
        Some(target)
    }

    /// `hang_up: completed`, or `hang_up: {disposition: completed, outcome: confirmed}`.
    fn hang_up(&self, at: &At<'_>, step: &str) -> Option<End> {
        match &at.node.kind {
            Kind::Map(_) => {
                let fields = at.fields(&["disposition", "outcome"], self.findings);
                let outcome =
                    fields.get("outcome").map_or(Some(step.to_owned()), |at| at.text(self.findings))?;
                let disposition = match fields.get("disposition") {
                    Some(at) => Some(self.disposition(&at)?),
                    None => None,
                };
                Some(End { outcome, disposition })
            }
            Kind::Null => Some(End { outcome: step.to_owned(), disposition: None }),
            Kind::Scalar(_) | Kind::Seq(_) => {
                Some(End { outcome: step.to_owned(), disposition: Some(self.disposition(at)?) })
            }
        }
    }

    fn disposition(&self, at: &At<'_>) -> Option<Disposition> {
        let word = at.text(self.findings)?;
        let found = DISPOSITIONS.iter().find(|(name, _)| *name == word).map(|(_, disposition)| *disposition);
        if found.is_none() {
            let known = suggestion(&word, DISPOSITIONS.iter().map(|(name, _)| *name));
            self.findings.error(at, format!("`{word}` is no disposition a scenario can end with{known}"));
        }
        found
    }
}

fn wrong_path(file: &str) -> Option<&'static str> {
    if file.starts_with('/') || file.split('/').any(|part| part == ".." || part.is_empty()) {
        return Some("must stay within the prompts folder: a relative path without `..`");
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/{}".contains(&b);
    (!file.bytes().all(plain)).then_some("may hold only letters a-z, digits and . _ - /")
}
