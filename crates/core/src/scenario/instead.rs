//! What a campaign has done with machines instead of what its script says.

use std::time::Duration;

use super::{MachineAction, Next, Scenario, StepId, parse::MACHINES};
use crate::{
    amd::Verdict,
    yaml::{parse_duration, suggestion},
};

const USUAL_WAIT: Duration = Duration::from_secs(30);

pub(super) fn parse(
    scenario: &Scenario,
    class: &str,
    action: &str,
) -> Result<(Verdict, MachineAction), String> {
    let verdict = MACHINES.iter().find(|(name, _)| *name == class).map(|(_, verdict)| *verdict);
    let Some(verdict) = verdict else {
        let known = suggestion(class, MACHINES.iter().map(|(name, _)| *name));
        return Err(format!("`{class}` is no class of machine{known}"));
    };
    let mut parts = action.split(':');
    let action = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("hang_up"), None, None, None) => MachineAction::HangUp,
        (Some("continue"), None, None, None) => MachineAction::Continue,
        (Some("answer"), Some(name), None, None) => MachineAction::Answer(step(scenario, name)?),
        (Some("leave_message"), Some(name), wait, None) => {
            let wait = wait.map_or(Ok(USUAL_WAIT), wait_of)?;
            MachineAction::LeaveMessage { step: message(scenario, name)?, wait }
        }
        _ => {
            return Err(format!(
                "`{action}` is nothing to do; write hang_up, continue, leave_message:STEP, leave_message:STEP:40s or \
                 answer:STEP"
            ));
        }
    };
    Ok((verdict, action))
}

fn wait_of(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("`{text}` is no time to wait: write 30s"))
}

fn step(scenario: &Scenario, name: &str) -> Result<StepId, String> {
    let found = scenario.steps().iter().position(|step| step.name == name).map(StepId);
    found.ok_or_else(|| {
        let known = suggestion(name, scenario.steps().iter().map(|step| step.name.as_str()));
        format!("scenario `{}` has no step `{name}`{known}", scenario.name)
    })
}

fn message(scenario: &Scenario, name: &str) -> Result<StepId, String> {
    let first = step(scenario, name)?;
    let listens = |id: &StepId| matches!(scenario.step(*id).next, Next::Listen(_));
    match scenario.reached_from([first]).iter().find(|id| listens(id)) {
        None => Ok(first),
        Some(id) => Err(format!(
            "`{name}` is no message to leave: step `{}` listens, and a mailbox answers nothing",
            scenario.step(*id).name
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::scenario::{Action, ScenarioRun};

    const SCRIPT: &str = "
name: short
language: en
machine: {voicemail: {leave_message: message}, screening: {answer: who}}
steps:
  ask:
    play: {file: a.wav, text: Hello}
    listen: {on: {yes: bye}, no_input: {retries: 0, then: bye}}
  who:
    play: {file: w.wav, text: It is us.}
    goto: ask
  bye:
    hang_up: {outcome: done}
  message:
    play: {file: m.wav, text: Call us.}
    hang_up: {outcome: left}
";

    fn scenario() -> Arc<Scenario> {
        Arc::new(Scenario::parse(SCRIPT, "s.yaml").unwrap())
    }

    fn run(class: &str, action: &str) -> Option<Action> {
        let scenario = scenario();
        let (verdict, instead) = scenario.machine_override(class, action).unwrap();
        let run = ScenarioRun::new(scenario, &BTreeMap::new()).unwrap();
        run.instead(BTreeMap::from([(verdict, instead)])).machine(verdict)
    }

    #[test]
    fn a_campaign_may_hang_up_on_leave_a_message_for_and_go_on_with_machines() {
        let scenario = scenario();
        let mut scripted = ScenarioRun::new(scenario, &BTreeMap::new()).unwrap();
        let waits = |wait| Some(Action::AwaitMessageStart { max_wait: Duration::from_secs(wait) });
        assert_eq!(scripted.machine(Verdict::Voicemail), waits(30), "what the script says");
        assert!(matches!(run("voicemail", "hang_up"), Some(Action::Hangup { .. })));
        assert!(matches!(run("voicemail", "continue"), Some(Action::Play { .. })));
        assert!(matches!(run("ivr", "answer:who"), Some(Action::AwaitScreener)));
        assert_eq!(run("ivr", "leave_message:message"), waits(30));
        assert_eq!(run("tone", "leave_message:message:12s"), waits(12));
    }

    #[test]
    fn what_makes_no_sense_says_what_would() {
        for (class, action, words) in [
            ("voicemial", "hang_up", "did you mean `voicemail`?"),
            ("human", "hang_up", "`human` is no class of machine"),
            ("voicemail", "hangup", "`hangup` is nothing to do; write hang_up"),
            ("voicemail", "leave_message", "is nothing to do"),
            ("voicemail", "leave_message:mesage", "has no step `mesage`; did you mean `message`?"),
            ("voicemail", "leave_message:message:soon", "`soon` is no time to wait"),
            ("voicemail", "leave_message:who", "step `ask` listens, and a mailbox answers nothing"),
            ("voicemail", "hang_up:now", "is nothing to do"),
        ] {
            let error = scenario().machine_override(class, action).unwrap_err();
            assert!(error.contains(words), "{class}={action}: {error}");
        }
    }
}
