//! Who does not want to be called again is heard at every step, whatever the script asks there.

use super::{Next, Scenario, StepId};

/// The built-in intent, and the outcome of a call in which it was heard.
pub(super) const OPT_OUT: &str = "opt_out";
pub(super) const OPTED_OUT: &str = "opted_out";

impl Scenario {
    pub(super) fn opts_out(&self, text: &str) -> bool {
        !self.opt_out.hits(text).is_empty()
    }

    pub(super) fn listens_for_opt_out(&self, id: StepId) -> bool {
        self.branch_of(id).is_some()
    }

    /// Where the script goes with them at another step.
    pub(super) fn opt_out_step(&self) -> Option<StepId> {
        (0..self.steps.len()).find_map(|index| self.branch_of(StepId(index)))
    }

    fn branch_of(&self, id: StepId) -> Option<StepId> {
        match &self.step(id).next {
            Next::Listen(listen) => {
                listen.branches.iter().find(|branch| branch.intent == OPT_OUT).map(|branch| branch.to)
            }
            Next::Goto(_) | Next::Transfer(_) | Next::HangUp(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::scenario::{Action, ScenarioRun};

    fn run(language: &str, ask_on: &str, more: &str) -> ScenarioRun {
        let script = format!(
            "name: s\nlanguage: {language}\nsteps:\n  ask:\n    listen: {{on: {{{ask_on}}}}}\n{more}  bye:\n    \
             hang_up: {{outcome: done}}\n"
        );
        let scenario = Scenario::parse(&script, "s.yaml").unwrap_or_else(|error| panic!("{error}"));
        let mut run = ScenarioRun::new(Arc::new(scenario), &BTreeMap::new()).unwrap();
        let _ = run.start();
        run
    }

    fn outcome(action: Action) -> String {
        let Action::Hangup { outcome, .. } = action else { panic!("{action:?}") };
        outcome
    }

    #[test]
    fn in_every_language_whatever_the_step_asks() {
        for (language, said) in [
            ("en", "no, don't call me again"),
            ("fr", "non, ne me rappelez plus"),
            ("de", "nein, rufen sie mich nicht mehr an"),
            ("es", "no, no me llame más"),
            ("it", "no, non mi chiamate più"),
        ] {
            let (intent, action) = run(language, "yes: bye, no: bye", "").heard(said);
            assert_eq!((intent.as_deref(), outcome(action).as_str()), (Some(OPT_OUT), OPTED_OUT), "{said}");
        }
    }

    #[test]
    fn the_script_says_goodbye_its_own_way_where_it_has_one() {
        let other = "  other:\n    listen: {on: {opt_out: sorry, yes: bye}}\n  sorry:\n    hang_up: {outcome: sorry}\n";
        let mut elsewhere = run("en", "yes: bye, no: other", other);
        let (intent, action) = elsewhere.heard("please stop calling me");
        assert_eq!((intent.as_deref(), outcome(action).as_str()), (Some(OPT_OUT), "sorry"));
        let own = "  sorry:\n    hang_up: {outcome: own}\n";
        let (intent, action) = run("en", "yes: bye, opt_out: sorry", own).heard("stop calling");
        assert_eq!((intent.as_deref(), outcome(action).as_str()), (Some(OPT_OUT), "own"));
    }

    #[test]
    fn a_plain_no_is_none() {
        let (intent, action) = run("en", "yes: bye, no: bye", "").heard("no thank you");
        assert_eq!((intent.as_deref(), outcome(action).as_str()), (Some("no"), "done"));
    }
}
