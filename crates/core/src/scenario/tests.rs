use std::sync::Arc;

use super::*;
use crate::call::HangupReason;

const APPOINTMENT: &str = include_str!("../../../../scenarios/appointment-reminder.yaml");
const LEAD: &str = include_str!("../../../../scenarios/lead-qualification.yaml");
const VOICEMAIL: &str = include_str!("../../../../scenarios/voicemail-drop.yaml");

fn parse(yaml: &str) -> Scenario {
    Scenario::parse(yaml, "test.yaml").unwrap_or_else(|error| panic!("{error}"))
}

fn run_of(yaml: &str) -> ScenarioRun {
    ScenarioRun::new(Arc::new(parse(yaml)), &BTreeMap::new()).unwrap()
}

fn key(key: char) -> Digit {
    Digit::new(key).unwrap()
}

/// An action in a few words.
fn say(action: &Action) -> String {
    match action {
        Action::Play { prompt, barge_in, then_listen } => {
            let file = prompt.file.rsplit('/').next().unwrap().trim_end_matches(".wav");
            let how = [(barge_in.is_some(), " barge-in"), (*then_listen, " then-listen")];
            let how: String = how.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
            format!("play {file}{how}")
        }
        Action::Listen(spec) => format!("listen {:?}", spec.no_input),
        Action::AwaitMessageStart { max_wait } => format!("await {max_wait:?}"),
        Action::AwaitScreener => "await screener".to_owned(),
        Action::Transfer { target } => format!("transfer {target}"),
        Action::Hangup { reason, outcome, disposition } => {
            format!("hang up {reason:?} {outcome} {disposition:?}")
        }
    }
}

fn heard(run: &mut ScenarioRun, text: &str) -> (String, String) {
    let (intent, action) = run.heard(text);
    (intent.unwrap_or_else(|| "-".to_owned()), say(&action))
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn shipped_scenarios_parse_and_their_prompts_are_there() {
    let prompts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/prompts");
    for (yaml, steps) in [(APPOINTMENT, 12), (LEAD, 12), (VOICEMAIL, 4)] {
        let scenario = parse(yaml);
        assert_eq!(scenario.warnings(), [], "{}", scenario.name);
        assert_eq!(scenario.steps().len(), steps);
        for file in scenario.prompt_files() {
            let wav = hound::WavReader::open(prompts.join(&file.prompt.file));
            let wav = wav.unwrap_or_else(|error| panic!("{}: {error}", file.prompt.file));
            assert_eq!(
                (wav.spec().channels, wav.spec().sample_rate, wav.spec().bits_per_sample),
                (1, 8000, 16)
            );
            let seconds = f64::from(wav.duration()) / 8000.0;
            let words = file.prompt.text.split_whitespace().count() as f64;
            let pace = words / seconds;
            assert!((1.2..6.0).contains(&pace), "{}: {pace} words a second", file.prompt.file);
        }
    }
}

#[test]
fn a_person_confirms() {
    let mut run = run_of(APPOINTMENT);
    assert_eq!(run.step_name(), None);
    assert_eq!(
        run.machine(Verdict::Human).map(|a| say(&a)).unwrap(),
        "play greeting-tomorrow barge-in then-listen"
    );
    assert_eq!(run.step_name(), Some("greeting"));
    assert_eq!(run.machine(Verdict::Unknown), None);
    assert_eq!(say(&run.prompt_done()), "listen 6s");
    assert_eq!(heard(&mut run, "Yes, I'll be there."), pair("yes", "play confirmed"));
    assert_eq!(say(&run.prompt_done()), "hang up ScenarioEnd confirmed Completed");
    assert_eq!(run.machine(Verdict::Voicemail), None);
}

#[test]
fn a_person_interrupts_asks_who_is_there_and_refuses() {
    let mut run = run_of(APPOINTMENT);
    run.start();
    assert_eq!(say(&run.interrupted()), "listen 6s");
    assert_eq!(heard(&mut run, "Wait, who is this?"), pair("who", "play explain barge-in then-listen"));
    assert_eq!(
        heard(&mut run, "Oh. No, I can't make it."),
        pair("no", "play reschedule barge-in then-listen")
    );
    run.prompt_done();
    assert_eq!(heard(&mut run, "Yes please"), pair("yes", "play will-call"));
    assert_eq!(say(&run.prompt_done()), "hang up ScenarioEnd reschedule Completed");
}

#[test]
fn nothing_is_said() {
    let mut run = run_of(APPOINTMENT);
    run.start();
    run.prompt_done();
    assert_eq!(say(&run.no_input()), "play no-input barge-in then-listen");
    assert_eq!(run.no_inputs(), 1);
    assert_eq!(say(&run.prompt_done()), "listen 6s");
    assert_eq!(say(&run.no_input()), "play goodbye");
    assert_eq!(say(&run.prompt_done()), "hang up ScenarioEnd no_input NoInput");
}

#[test]
fn nothing_is_understood() {
    let mut run = run_of(APPOINTMENT);
    run.start();
    run.prompt_done();
    for text in ["I had an espresso", ""] {
        assert_eq!(heard(&mut run, text), pair("-", "play no-match barge-in then-listen"));
        run.prompt_done();
    }
    assert_eq!(heard(&mut run, "the weather is nice"), pair("-", "play call-you-back"));
    assert_eq!(say(&run.prompt_done()), "hang up ScenarioEnd not_understood Completed");
}

#[test]
fn keys_count_also_while_the_prompt_plays() {
    let mut run = run_of(APPOINTMENT);
    run.start();
    assert_eq!(run.dtmf(key('2')).map(|a| say(&a)).unwrap(), "play reschedule barge-in then-listen");
    assert_eq!(run.dtmf(key('7')).map(|a| say(&a)).unwrap(), "play reschedule barge-in then-listen");
    assert_eq!(run.no_matches(), 1);
    assert_eq!(run.dtmf(key('1')).map(|a| say(&a)).unwrap(), "play will-call");
    assert_eq!(run.dtmf(key('1')), None);
}

#[test]
fn answers_in_many_words() {
    for (text, intent) in [
        ("Yes.", "yes"),
        ("Yeah, sure, no problem.", "yes"),
        ("Okay, that works for me", "yes"),
        ("No.", "no"),
        ("No, I'm okay, thanks", "no"),
        ("Okay, no.", "no"),
        ("I can't confirm that, I have to cancel", "no"),
        ("Yes... no wait, no", "no"),
        ("Of course not!", "no"),
        ("Who's calling please?", "who"),
        ("Sorry, can you repeat?", "again"),
        ("Please stop calling me", "opt_out"),
        ("I'm not sure", "-"),
        ("I have no idea", "-"),
        ("okay but who is this", "who"),
        ("nobody knows", "-"),
    ] {
        let mut run = run_of(APPOINTMENT);
        run.start();
        run.prompt_done();
        assert_eq!(heard(&mut run, text).0, intent, "{text}");
    }
}

#[test]
fn french_answers() {
    for (text, intent) in [
        ("Oui, bien sûr.", "yes"),
        ("Oui, je suis propriétaire.", "yes"),
        ("Non, je suis locataire.", "no"),
        ("Non non, ça ne m'intéresse pas", "no"),
        ("Pas du tout", "no"),
        ("C'est de la part de qui ?", "who"),
        ("Ne m'appelez plus !", "opt_out"),
        ("Rappelez-moi demain", "callback"),
        ("Je ne sais pas", "-"),
    ] {
        let mut run = run_of(LEAD);
        run.start();
        run.prompt_done();
        assert_eq!(heard(&mut run, text).0, intent, "{text}");
    }
}

#[test]
fn a_lead_is_put_through() {
    let mut run = run_of(LEAD);
    run.start();
    assert_eq!(heard(&mut run, "oui"), pair("yes", "play interest barge-in then-listen"));
    assert_eq!(heard(&mut run, "oui pourquoi pas"), pair("yes", "play adviser barge-in then-listen"));
    assert_eq!(heard(&mut run, "d'accord"), pair("yes", "play transfer"));
    assert_eq!(say(&run.prompt_done()), "transfer 2000 XML default");
}

#[test]
fn a_message_is_left_after_the_beep_also_when_the_machine_shows_late() {
    let mut run = run_of(APPOINTMENT);
    run.start();
    assert_eq!(run.message_ready(), None);
    assert_eq!(run.machine(Verdict::Voicemail).map(|a| say(&a)).unwrap(), "await 40s");
    assert_eq!(run.machine(Verdict::Voicemail), None);
    assert_eq!(run.message_ready().map(|a| say(&a)).unwrap(), "play message");
    assert_eq!(run.dtmf(key('1')), None);
    assert_eq!(say(&run.prompt_done()), "hang up ScenarioEnd message_left MessageLeft");
}

#[test]
fn machines_are_hung_up_on_with_their_own_disposition() {
    for (verdict, disposition) in [
        (Verdict::MailboxFull, Disposition::MailboxFull),
        (Verdict::Ivr, Disposition::Ivr),
        (Verdict::Sit, Disposition::NotInService),
        (Verdict::Fax, Disposition::Fax),
        (Verdict::Music, Disposition::Machine),
    ] {
        let action = run_of(APPOINTMENT).machine(verdict).unwrap();
        let Action::Hangup { reason, disposition: got, .. } = action else { panic!("{action:?}") };
        assert_eq!((reason, got), (HangupReason::Machine, disposition));
    }
    let action = run_of(LEAD).machine(Verdict::Voicemail).unwrap();
    assert_eq!(say(&action), "hang up Machine voicemail Machine");
    assert!(matches!(run_of(LEAD).machine(Verdict::Silence), Some(Action::Play { .. })));
}

#[test]
fn a_screener_is_answered_and_the_person_behind_it_hears_the_opening() {
    let mut run = run_of(VOICEMAIL);
    let ready = |run: &mut ScenarioRun| run.message_ready().map(|action| say(&action)).unwrap();
    assert_eq!(run.machine(Verdict::Screening).map(|a| say(&a)).unwrap(), "await screener");
    assert_eq!(run.machine(Verdict::Screening), None);
    assert_eq!(ready(&mut run), "play screened barge-in then-listen");
    assert!(!run.leaves_message());
    assert_eq!(say(&run.prompt_done()), "listen 15s");
    assert_eq!(heard(&mut run, "uh"), pair("-", "play screened barge-in then-listen"));
    assert_eq!(heard(&mut run, "Yeah, hello?"), pair("any", "play person"));
    assert_eq!(say(&run.prompt_done()), "hang up ScenarioEnd told Completed");
    let mut run = run_of(VOICEMAIL);
    run.machine(Verdict::Screening);
    ready(&mut run);
    run.prompt_done();
    assert_eq!(say(&run.no_input()), "hang up ScenarioEnd screened Screened");
}

#[test]
fn variables_choose_files_and_fill_texts() {
    let values = |day: &str| BTreeMap::from([("day".to_owned(), day.to_owned())]);
    let scenario = Arc::new(parse(APPOINTMENT));
    let mut run = ScenarioRun::new(Arc::clone(&scenario), &values(" Monday ")).unwrap();
    let Action::Play { prompt, .. } = run.start() else { panic!("no prompt") };
    assert_eq!(prompt.file, "appointment-reminder/greeting-monday.wav");
    assert!(prompt.text.contains("your appointment monday."));
    let error = ScenarioRun::new(scenario, &values("sunday")).unwrap_err().to_string();
    let listed = "tomorrow, monday, tuesday, wednesday, thursday, friday";
    assert_eq!(error, format!("`day` is `sunday`; the scenario has prompts for: {listed}"));
    let needed = "name: t\nlanguage: en\nvariables: {day: [mon, tue]}\nsteps:\n  a: {play: {file: '{day}.wav', text: '{day}'}, hang_up: }\n";
    let scenario = parse(needed);
    let files: Vec<_> = scenario.prompt_files().into_iter().map(|file| file.prompt.file).collect();
    assert_eq!(files, ["mon.wav", "tue.wav"]);
    let error = ScenarioRun::new(Arc::new(scenario), &BTreeMap::new()).unwrap_err().to_string();
    assert_eq!(error, "the scenario needs `day`, one of: mon, tue");
}

/// Two prompts, an explanation that leads on, and the bound on repetitions.
const LOOP: &str = "
name: loop
language: en
max_visits: 3
steps:
  ask:
    play: [{file: a.wav, text: A}, {file: b.wav, text: B}]
    listen: {on: {yes: told, no: ask}, no_input: {retries: 0}, no_match: {retries: 0}}
  told: {play: {file: c.wav, text: C}, goto: ask}
";

#[test]
fn prompts_follow_one_another_and_an_interruption_drops_the_rest() {
    let mut run = run_of(LOOP);
    assert_eq!(say(&run.start()), "play a barge-in");
    assert_eq!(say(&run.prompt_done()), "play b barge-in then-listen");
    assert_eq!(say(&run.prompt_done()), "listen 6s");
    assert_eq!(heard(&mut run, "no"), pair("no", "play a barge-in"));
    assert_eq!(say(&run.interrupted()), "listen 6s");
    assert_eq!(heard(&mut run, "yes"), pair("yes", "play c barge-in"));
    // Said over the explanation: an answer to the question it leads to.
    assert_eq!(say(&run.interrupted()), "listen 6s");
    assert_eq!(heard(&mut run, "no"), pair("no", "play a barge-in"));
    assert_eq!(heard(&mut run, "no"), pair("no", "hang up ScenarioEnd too_many_turns NoInput"));
}

#[test]
fn without_a_target_giving_up_hangs_up() {
    let mut run = run_of(LOOP);
    run.start();
    assert_eq!(heard(&mut run, "bananas"), pair("-", "hang up ScenarioEnd no_match NoInput"));
    let mut run = run_of(LOOP);
    run.start();
    assert_eq!(say(&run.no_input()), "hang up ScenarioEnd no_input NoInput");
}

#[test]
fn what_is_said_over_an_explanation_and_not_understood_leads_to_the_question() {
    let mut run = run_of(LOOP);
    run.start();
    run.heard("yes");
    assert_eq!(heard(&mut run, "bananas"), pair("-", "play a barge-in"));
    assert_eq!(run.no_matches(), 0);
}

#[test]
fn mermaid_shows_every_step_and_way() {
    let drawing = mermaid(&parse(LOOP));
    assert_eq!(
        drawing,
        "flowchart TD\n  answer([answered])\n  answer -->|\"a person\"| s0\n  s0[\"ask<br/>A B\"]\n  s1[\"told<br/>C\"]\n  \
         s0 -->|\"yes\"| s1\n  s0 -->|\"no\"| s0\n  s0 -->|\"no input x1\"| s0n([\"hang up\"])\n  \
         s0 -->|\"no match x1\"| s0n([\"hang up\"])\n  s1 --> s0\n"
    );
    assert!(mermaid(&parse(APPOINTMENT)).contains("answer -->|\"voicemail, after its beep\"| s11"));
}

const HEAD: &str = "name: t\nlanguage: en\nsteps:\n";

#[test]
fn mistakes_name_line_column_key_and_remedy() {
    let mut wrong = Vec::new();
    for (steps, expected) in [
        ("  a: {hang_upp: }", "t:4:7: steps.a.hang_upp: unknown key `hang_upp`; did you mean `hang_up`?"),
        (
            "  a: {barge_in: true}",
            "t:4:3: steps.a: does not say what comes next: add one of listen, goto, transfer, hang_up",
        ),
        (
            "  a: {transfer: x, hang_up: }",
            "t:4:3: steps.a: goes several ways: keep one of listen, goto, transfer, hang_up",
        ),
        ("  a: {goto: a}", "t:4:3: steps.a: comes back to itself without ever listening or hanging up"),
        ("  a: {hang_up: }\n  b: {hang_up: }", "t:5:3: steps.b: nothing leads to this step"),
        (
            "  a: {barge_in: maybe, hang_up: }",
            "t:4:17: steps.a.barge_in: `maybe` is no way to be interrupted; known are responsive, patient, reference, true, false",
        ),
        ("  a: {play: {file: x.wav}, hang_up: }", "t:4:13: steps.a.play: `text` is missing"),
        (
            "  a: {play: {file: x.wav, text: ''}, hang_up: }",
            "t:4:33: steps.a.play.text: is empty; a text belongs here",
        ),
        (
            "  a: {play: {file: ../x.wav, text: X}, hang_up: }",
            "t:4:20: steps.a.play.file: `../x.wav` must stay within the prompts folder: a relative path without `..`",
        ),
        (
            "  a: {play: {file: 'x y.wav', text: X}, hang_up: }",
            "t:4:20: steps.a.play.file: `x y.wav` may hold only letters a-z, digits and . _ - /",
        ),
        (
            "  a: {play: {file: '{day}.wav', text: X}, hang_up: }",
            "t:4:20: steps.a.play.file: `{day}` has no list of values; add it under `variables`",
        ),
        (
            "  a: {play: {file: '{day.wav', text: X}, hang_up: }",
            "t:4:20: steps.a.play.file: a `{` without its `}`",
        ),
        (
            "  a: {play: [{file: x.wav, text: X}, {file: x.wav, text: Y}], hang_up: }",
            "t:4:45: file: `x.wav` already says \"X\"; one file says one text",
        ),
        (
            "  a: {hang_up: compleated}",
            "t:4:16: steps.a.hang_up: `compleated` is no disposition a scenario can end with; did you mean `completed`?",
        ),
        (
            "  a: {transfer: \"1;2\"}",
            "t:4:17: steps.a.transfer: `1;2` may hold only letters, digits, spaces and + * # _ . / : @ -",
        ),
        ("  a: {listen: {timeout: 5s}}", "t:4:15: steps.a.listen: listens for nothing: add `on` or `dtmf`"),
        (
            "  a: {listen: {timeout: soon, on: {yes: a}}}",
            "t:4:25: steps.a.listen.timeout: `soon` is no duration; write 800ms, 8s, 1.5s or 2m",
        ),
        (
            "  a: {listen: {on: {yess: a}}}",
            "t:4:21: steps.a.listen.on.yess: there is no intent `yess`; did you mean `yes`?",
        ),
        (
            "  a: {listen: {dtmf: {12: a}}}",
            "t:4:23: steps.a.listen.dtmf.12: `12` is no telephone key: 0-9, *, #, A-D",
        ),
        (
            "  a: {listen: {on: {yes: a}, no_input: {retries: 99}}}",
            "t:4:50: steps.a.listen.no_input.retries: `99` must be a whole number from 0 to 10",
        ),
        (
            "  a: {hang_up: }\nmachine: {voicemail: shout}",
            "t:5:22: machine.voicemail: `shout` is nothing to do; write hang_up, continue, {leave_message: STEP} or {answer: STEP}",
        ),
        (
            "  a: {listen: {on: {yes: a}}}\nmachine: {voicemail: {leave_message: a}}",
            "t:4:3: steps.a: listens, but a `leave_message` leads here: a mailbox answers nothing",
        ),
        (
            "  a: {hang_up: }\nmachine: {voicemail: {wait: 3s}}",
            "t:5:22: machine.voicemail: needs either `leave_message` or `answer` with the name of a step",
        ),
        (
            "  a: {listen: {on: {maybe: a}}}\nintents: {maybe: {fr: [peut-être]}}",
            "t:5:18: intents.maybe: has no phrase for the scenario's language `en`",
        ),
        (
            "  a: {hang_up: }\nvariables: {day: [a b]}",
            "t:5:19: variables.day[0]: `a b` may hold only letters a-z, digits, - and _",
        ),
        (
            "  a: {hang_up: }\nvariables: {day: {values: [mon], default: tue}}",
            "t:5:43: variables.day.default: `tue` is not one of the values; known are mon",
        ),
        ("  a: {hang_up: }\nstart: b", "t:5:8: start: there is no step `b`; known are a"),
    ] {
        let lines = Scenario::parse(&format!("{HEAD}{steps}\n"), "t").map_err(|error| error.lines()).err();
        if lines != Some(vec![expected.to_owned()]) {
            wrong.push(format!("{steps}\n  expected {expected}\n  got {lines:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_missing_target_hides_neither_unreachable_steps_nor_prompts() {
    let yaml = format!("{HEAD}  a: {{play: {{file: no.wav, text: X}}, goto: bee}}\n  bees: {{hang_up: }}\n");
    let error = Scenario::parse(&yaml, "t").unwrap_err();
    assert_eq!(
        error.lines(),
        [
            "t:4:44: steps.a.goto: there is no step `bee`; did you mean `bees`?",
            "t:5:3: steps.bees: nothing leads to this step",
        ]
    );
    assert_eq!(error.prompts.iter().map(|file| file.prompt.file.as_str()).collect::<Vec<_>>(), ["no.wav"]);
}

#[test]
fn all_mistakes_are_told_at_once_and_top_level_ones_too() {
    let error = Scenario::parse("name: t\nlanguage: xx\nstepps: {}\n", "s.yaml").unwrap_err();
    assert_eq!(
        error.to_string(),
        "s.yaml:1:1: `steps` is missing\n\
         s.yaml:2:11: language: no phrases for the language `xx`; known are de, en, es, fr, it\n\
         s.yaml:3:1: stepps: unknown key `stepps`; did you mean `steps`?"
    );
    let error = Scenario::parse("name: t\nlanguage: en\nsteps: {}\n", "s.yaml").unwrap_err();
    assert_eq!(error.lines(), ["s.yaml:3:8: steps: has no step"]);
    for broken in ["", "[", "- a\n- b", "steps:\n  a: {hang_up: }\n  a: {hang_up: }", "\u{0}"] {
        assert!(Scenario::parse(broken, "s.yaml").is_err(), "{broken}");
    }
}

#[test]
fn warnings_do_not_stop_a_scenario() {
    let yaml = "name: t\nlanguage: en\nintents: {maybe: [maybe]}\nsteps:\n  a: {play: {file: x.wav, text: 'Hi {name}'}, hang_up: }\n";
    let lines: Vec<String> = parse(yaml).warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "3:11: warning: intents.maybe: no step listens for it",
            "5:33: warning: steps.a.play.text: says `{name}`, but the file name does not hold it: all hear the same recording",
        ]
    );
}

/// A scenario with something of everything, to spoil.
const WHOLE: &str = "\
name: whole
language: en
variables: {day: {values: [monday, tuesday], default: monday}}
intents: {later: [call later, another time]}
machine: {voicemail: {leave_message: note, wait: 40s}, ivr: {answer: ask}, fax: hang_up}
start: ask
steps:
  ask:
    play: [{file: 'hi-{day}.wav', text: 'Hello, {day}'}, {file: b.wav, text: Yes or no}]
    barge_in: {profile: patient, guard: 300ms, words: 2}
    listen:
      timeout: 4s
      on: {yes: done, later: done}
      dtmf: {1: done, 2: note}
      no_input: {retries: 1, play: {file: c.wav, text: Again}, then: done}
      no_match: {retries: 2, then: done}
  note: {play: {file: d.wav, text: Note}, hang_up: {disposition: message_left, outcome: noted}}
  done: {transfer: '1000'}
";

proptest::proptest! {
    #[test]
    fn any_text_parses_or_says_why(yaml in "[a-z{}\\[\\]:,&*\n -]{0,80}") {
        let _ = Scenario::parse(&yaml, "s.yaml");
    }

    /// Parts taken out and put elsewhere, as editing leaves them.
    #[test]
    fn a_spoilt_scenario_parses_or_says_why(
        from in 0..WHOLE.len(),
        length in 0_usize..60,
        to in 0..WHOLE.len(),
        between in "[\\PC\n]{0,6}",
    ) {
        let part = &WHOLE[from..(from + length).min(WHOLE.len())];
        let spoilt = format!("{}{between}{part}{}", &WHOLE[..to], &WHOLE[(to + length).min(WHOLE.len())..]);
        if let Ok(scenario) = Scenario::parse(&spoilt, "s.yaml") {
            let scenario = std::sync::Arc::new(scenario);
            let _ = crate::scenario::ScenarioRun::new(scenario, &Default::default());
        }
    }
}

const SPOKEN: &str = "
name: open
SPOKEN
intents:
  later: {en: [call me later], fr: [rappelez-moi]}
steps:
  ask:
    play: {file: ask.wav, text: Now?}
    listen: {on: {yes: done, later: done, any: other}}
  done: {play: {file: done.wav, text: Done.}, hang_up: {disposition: completed}}
  other: {play: {file: other.wav, text: Hm.}, hang_up: {disposition: completed}}
";

fn spoken(head: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(&SPOKEN.replace("SPOKEN", head), "test.yaml")
}

#[test]
fn a_scenario_may_leave_the_language_open_among_some() {
    let scenario = spoken("language: auto\nlanguages: [en, fr]").unwrap();
    assert_eq!((scenario.language.as_str(), scenario.languages.len()), ("en", 2));
    let scenario = Arc::new(scenario);
    for (language, text, intent) in [
        ("en", "yes please", "yes"),
        ("fr", "oui bien sûr", "yes"),
        ("fr", "rappelez-moi demain", "later"),
        ("en", "call me later", "later"),
    ] {
        let mut run = ScenarioRun::new(Arc::clone(&scenario), &BTreeMap::new()).unwrap();
        run.start();
        run.speaks(language);
        run.prompt_done();
        assert_eq!(run.heard(text).0.as_deref(), Some(intent), "{text}");
    }
    assert_eq!(spoken("language: fr").unwrap().languages, ["fr"]);
}

#[test]
fn what_is_wrong_with_open_languages_is_said() {
    for (head, wrong) in [
        ("language: auto", "needs `languages`"),
        ("language: auto\nlanguages: [en]", "two languages at least"),
        ("language: auto\nlanguages: [en, en]", "given twice"),
        ("language: auto\nlanguages: [en, tlh]", "no phrases for the language `tlh`"),
        ("language: auto\nlanguages: [en, de]", "has no phrase for the scenario's language `de`"),
        ("language: fr\nlanguages: [en, fr]", "only where `language` is `auto`"),
    ] {
        let error = spoken(head).unwrap_err().to_string();
        assert!(error.contains(wrong), "{head}: {error}");
    }
}
