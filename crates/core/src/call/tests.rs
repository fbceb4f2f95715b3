//! Whatever happens to a call in whatever order, it does not panic, and it ends once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::{prelude::*, sample::select};

use super::*;
use crate::{
    echo::PromptAudio,
    frame::{FRAME, frames},
    scenario::Scenario,
};

const SCENARIO: &str = "
name: any
language: en
machine: {voicemail: {leave_message: message, wait: 2s}, ivr: {answer: ask}, music: continue}
steps:
  ask:
    play: {file: ask.wav, text: Hello there}
    barge_in: true
    listen:
      timeout: 1s
      max_turn: 2s
      on: {yes: through, no: bye}
      dtmf: {1: through}
      no_input: {retries: 1, then: bye}
      no_match: {retries: 1, then: bye}
  through: {transfer: '1000'}
  message: {play: {file: message.wav, text: Call us}, hang_up: {disposition: message_left}}
  bye: {play: {file: bye.wav, text: Goodbye}, hang_up: {disposition: completed}}
";

/// One thing that happens, with nothing borrowed.
#[derive(Debug, Clone)]
enum Happens {
    /// So many frames of a sound: 0 nothing, 1 a voice, 2 noise, 3 a beep.
    Sound(u8, u8),
    Input(Input<'static>),
    /// The recogniser answers what was asked last, or something nobody asked.
    Heard(Heard, bool),
    /// The switch says this of the prompt that was started last, or of any.
    Started(Option<u32>),
    Done(Option<u32>, PlaybackEnd),
    /// So many milliseconds without anything.
    Wait(u32),
}

fn happens() -> impl Strategy<Value = Happens> {
    let ends = select(vec![PlaybackEnd::Done, PlaybackEnd::Broken, PlaybackEnd::Missing]);
    let words =
        select(vec!["", "yes", "no", "hello", "please leave a message after the beep", "stop calling me"]);
    let heard = prop_oneof![
        4 => words.prop_map(|text| Heard::Text(text.to_owned())),
        1 => Just(Heard::Nothing(Gate::Empty)),
        1 => Just(Heard::Failed(AsrFailure::Late)),
    ];
    let streams =
        vec![StreamEnd::Closed, StreamEnd::Lost, StreamEnd::Idle, StreamEnd::OddLength, StreamEnd::Shutdown];
    let rare = prop_oneof![
        Just(Input::Ringing),
        Just(Input::Answered),
        Just(Input::StreamUp),
        select(streams).prop_map(Input::StreamDown),
        (0..3000_u32).prop_map(Input::AudioLost),
        select(vec!['0', '1', '#', 'D']).prop_map(|key| Input::Dtmf(Digit::new(key).unwrap())),
        any::<u32>().prop_map(|id| Input::PromptAudio { id: PlayId(id % 8), audio: prompt() }),
    ];
    let last = prop_oneof![
        select(vec!["NORMAL_CLEARING", "USER_BUSY", ""])
            .prop_map(|cause| Input::HungUp(HangupCause::new(cause))),
        Just(Input::SwitchLost),
        select(vec![HangupReason::Operator, HangupReason::Shutdown]).prop_map(Input::EndRequested),
    ];
    prop_oneof![
        12 => (0..4_u8, 1..80_u8).prop_map(|(sound, frames)| Happens::Sound(sound, frames)),
        6 => rare.prop_map(Happens::Input),
        6 => (heard, any::<bool>()).prop_map(|(heard, asked)| Happens::Heard(heard, asked)),
        4 => proptest::option::of(0..8_u32).prop_map(Happens::Started),
        4 => (proptest::option::of(0..8_u32), ends).prop_map(|(id, end)| Happens::Done(id, end)),
        2 => (0..20_000_u32).prop_map(Happens::Wait),
        1 => last.prop_map(Happens::Input),
    ]
}

fn prompt() -> Arc<PromptAudio> {
    Arc::new(PromptAudio::new(&sound(1, 40)))
}

fn sound(kind: u8, frames: u8) -> Vec<i16> {
    let mut noise = 1u32;
    (0..usize::from(frames) * 160)
        .map(|i| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let t = i as f32 / 8000.0;
            let sine = |hz: f32| (std::f32::consts::TAU * hz * t).sin();
            match kind {
                1 => (1..12).map(|n| sine(130.0 * n as f32)).sum::<f32>() as i16 * 900,
                2 => (noise >> 16) as i16 / 4,
                3 => (sine(1000.0) * 12_000.0) as i16,
                _ => 0,
            }
        })
        .collect()
}

/// A call and those around it.
struct Stage {
    call: Call,
    now: Instant,
    asked: Option<Transcribe>,
    played: PlayId,
    ended: u32,
}

impl Stage {
    fn new(amd: bool) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant will do: virtual time starts from it")]
        let now = Instant::now();
        let scenario = Arc::new(Scenario::parse(SCENARIO, "any.yaml").unwrap());
        let pack = PhrasePack::for_language("en").unwrap();
        let mut config = CallConfig::new(SampleRate::HZ_8000, pack);
        config.amd = config.amd.filter(|_| amd);
        let script = ScenarioRun::new(scenario, &BTreeMap::new()).unwrap();
        Self { call: Call::new(config, script, now), now, asked: None, played: PlayId(0), ended: 0 }
    }

    fn happens(&mut self, what: &Happens) {
        match what {
            Happens::Sound(kind, count) => {
                for frame in frames(SampleRate::HZ_8000, &sound(*kind, *count)) {
                    self.wait(FRAME);
                    self.input(Input::Audio(&frame));
                }
            }
            Happens::Input(input) => self.input(input.clone()),
            Happens::Heard(outcome, asked) => {
                let nobody = Transcribe {
                    utterance: UtteranceId(7),
                    purpose: Purpose::EndOfTurn,
                    from: Duration::ZERO,
                    to: Duration::from_secs(5),
                    voiced: Duration::ZERO,
                };
                let Transcribe { utterance, purpose, to, .. } =
                    self.asked.filter(|_| *asked).unwrap_or(nobody);
                let (queued, compute) = (Duration::ZERO, Duration::from_millis(60));
                let outcome = outcome.clone();
                self.input(Input::Transcript(Transcript {
                    utterance,
                    purpose,
                    to,
                    outcome,
                    others: Vec::new(),
                    queued,
                    compute,
                }));
            }
            Happens::Started(id) => self.input(Input::PlaybackStarted(id.map_or(self.played, PlayId))),
            Happens::Done(id, end) => {
                let id = id.map_or(self.played, PlayId);
                self.input(Input::PlaybackDone { id, end: *end, heard: Some(Duration::from_millis(300)) });
            }
            Happens::Wait(ms) => self.wait(Duration::from_millis(u64::from(*ms))),
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.call.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.call.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn input(&mut self, input: Input<'_>) {
        let over = self.call.is_over();
        self.call.handle_input(self.now, input);
        let commands = self.drain();
        assert!(!over || commands == 0, "an ended call wants nothing");
    }

    fn drain(&mut self) -> usize {
        let mut count = 0;
        while let Some(command) = self.call.poll_command() {
            count += 1;
            match command {
                Command::Play { id, .. } => {
                    assert!(id > self.played, "every playback has a number of its own");
                    self.played = id;
                }
                Command::Transcribe(request) => {
                    assert!(request.from <= request.to && request.to <= self.call.media_time());
                    self.asked = Some(request);
                }
                Command::Emit(Event::Ended { .. }) => self.ended += 1,
                Command::StopPlayback(_)
                | Command::FixLanguage(_)
                | Command::CancelTranscription(_)
                | Command::RestartStream
                | Command::Transfer(_)
                | Command::Hangup(_)
                | Command::Emit(_) => {}
            }
        }
        count
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_a_call_ends_once(script in prop::collection::vec(happens(), 0..40), amd: bool, answered: bool) {
        let mut stage = Stage::new(amd);
        if answered {
            stage.input(Input::Answered);
        }
        script.iter().for_each(|what| stage.happens(what));
        // Nobody says anything any more: every call comes to its end by its own timers.
        stage.wait(Duration::from_secs(2 * 3600));
        prop_assert!(stage.call.is_over());
        prop_assert_eq!(stage.ended, 1);
    }
}
