//! One call, driven without a clock.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use sidetone_core::{
    call::*,
    frame::{FRAME, SampleRate},
    scenario::{Scenario, ScenarioRun},
    text::PhrasePack,
};

use super::voice::Sounds;

/// The recogniser takes so long.
const COMPUTE: Duration = Duration::from_millis(60);

/// How transcripts are answered.
#[derive(Clone)]
pub(crate) enum Recogniser {
    /// The words spoken so far of this text.
    Speaks(String),
    Empty,
    Failed,
    Off,
}

pub(crate) struct Sim {
    call: Call,
    sounds: Sounds,
    now: Instant,
    start: Instant,
    recogniser: Recogniser,
    /// Media time and voice of the sentence being said, for partial transcripts.
    sentence: Option<(Duration, Duration)>,
    waiting: VecDeque<(Instant, Transcript)>,
    last_play: PlayId,
    stopped: Option<PlayId>,
    pub(crate) log: Vec<String>,
}

impl Sim {
    pub(crate) fn new(scenario: Arc<Scenario>, variables: &BTreeMap<String, String>, amd: bool) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant will do: virtual time starts from it")]
        let start = Instant::now();
        let pack = PhrasePack::for_language(&scenario.language).expect("a pack");
        let script = ScenarioRun::new(scenario, variables).expect("variables fit");
        let mut config = CallConfig::new(SampleRate::HZ_8000, pack);
        if !amd {
            config.amd = None;
        }
        let call = Call::new(config, script, start);
        Self {
            call,
            sounds: Sounds::default(),
            now: start,
            start,
            recogniser: Recogniser::Off,
            sentence: None,
            waiting: VecDeque::new(),
            last_play: PlayId(0),
            stopped: None,
            log: Vec::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.call.is_over()
    }

    pub(crate) fn recogniser(&mut self, recogniser: Recogniser) {
        self.recogniser = recogniser;
        self.sentence = None;
    }

    pub(crate) fn says(&mut self, ms: u64, text: &str) -> Result<(), String> {
        self.recogniser = Recogniser::Speaks(text.to_owned());
        self.sentence = Some((self.call.media_time(), Duration::from_millis(ms)));
        self.hear("speech", ms)
    }

    pub(crate) fn hear(&mut self, kind: &str, ms: u64) -> Result<(), String> {
        for into in (0..ms).step_by(20) {
            let frame =
                self.sounds.frame(kind, into).ok_or_else(|| format!("nobody knows the sound `{kind}`"))?;
            self.pass(FRAME);
            self.call.handle_input(self.now, Input::Audio(&frame));
            self.drain();
        }
        Ok(())
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.pass(time);
        self.drain();
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.call.handle_input(self.now, input);
        self.drain();
    }

    pub(crate) fn last_play(&self) -> PlayId {
        self.last_play
    }

    /// The playback that was told to stop, else the last one.
    pub(crate) fn stopped(&mut self) -> PlayId {
        self.stopped.take().unwrap_or(self.last_play)
    }

    /// Time passes: transcripts come and deadlines fall, in order.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let deadline = self.call.poll_timeout();
            let transcript = self.waiting.front().map(|(at, _)| *at);
            let Some(next) = deadline.into_iter().chain(transcript).min().filter(|next| *next <= until)
            else {
                break;
            };
            self.now = self.now.max(next);
            if transcript.is_some_and(|at| at <= self.now) {
                if let Some((_, transcript)) = self.waiting.pop_front() {
                    self.call.handle_input(self.now, Input::Transcript(transcript));
                }
            } else {
                self.call.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(command) = self.call.poll_command() {
            if let Command::Transcribe(request) = &command {
                self.answer(*request);
            }
            if let Command::Play { id, .. } = &command {
                self.last_play = *id;
            }
            if let Command::StopPlayback(id) = &command {
                self.stopped = Some(*id);
            }
            if let Some(line) = line(&command) {
                let at = if self.call.media_time().is_zero() {
                    self.now.duration_since(self.start)
                } else {
                    self.call.media_time()
                };
                self.log.push(format!("{} {line}", at.as_millis()));
            }
        }
    }

    fn answer(&mut self, request: Transcribe) {
        let outcome = match &self.recogniser {
            Recogniser::Off => return,
            Recogniser::Empty => Heard::Nothing(Gate::Empty),
            Recogniser::Failed => Heard::Failed(AsrFailure::Engine),
            Recogniser::Speaks(text) => self.spoken(text, request.to),
        };
        let transcript = Transcript {
            utterance: request.utterance,
            purpose: request.purpose,
            to: request.to,
            outcome,
            others: Vec::new(),
            queued: Duration::ZERO,
            compute: COMPUTE,
        };
        self.waiting.push_back((self.now + COMPUTE, transcript));
    }

    /// So many of the words as fit into what was heard of the sentence.
    fn spoken(&self, text: &str, to: Duration) -> Heard {
        let words: Vec<&str> = text.split_whitespace().collect();
        let share = self.sentence.map_or(1.0, |(from, length)| {
            (to.saturating_sub(from).as_secs_f64() / length.as_secs_f64()).clamp(0.0, 1.0)
        });
        let count = (words.len() as f64 * share).round() as usize;
        if count == 0 { Heard::Nothing(Gate::Empty) } else { Heard::Text(words[..count].join(" ")) }
    }
}

/// A command as the scripts write it; `None` for events that only repeat an input.
fn line(command: &Command) -> Option<String> {
    Some(match command {
        Command::Play { id, prompt, from } if from.is_zero() => format!("play {} {}", id.0, prompt.file),
        Command::Play { id, prompt, from } => {
            format!("play {} {} from {}", id.0, prompt.file, from.as_millis())
        }
        Command::StopPlayback(id) => format!("stop {}", id.0),
        Command::Transcribe(t) => {
            format!("transcribe {} {}..{}", word(&t.purpose), t.from.as_millis(), t.to.as_millis())
        }
        Command::CancelTranscription(id) => format!("cancel {}", id.0),
        Command::FixLanguage(language) => format!("speak {language}"),
        Command::RestartStream => "restart-stream".to_owned(),
        Command::Transfer(target) => format!("transfer {target}"),
        Command::Hangup(reason) => format!("hangup {}", word(reason)),
        Command::Emit(event) => return event_line(event),
    })
}

fn event_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::PromptStarted { .. }
        | Event::PromptEnded { .. }
        | Event::SpeechStarted { .. }
        | Event::SpeechEnded { .. }
        | Event::Transcript { .. }
        | Event::Listening { .. }
        | Event::HangupAsked { .. }
        | Event::Transfer { .. }
        | Event::StreamRestart
        | Event::Dtmf { .. } => return None,
        Event::Ringing => "* ringing".to_owned(),
        Event::Answered => "* answered".to_owned(),
        Event::StreamUp => "* stream up".to_owned(),
        Event::StreamDown { end } => format!("* stream {}", word(end)),
        Event::FramesLost { frames } => format!("* lost {frames}"),
        Event::Tone { tone, .. } => format!("* tone {}", word(tone)),
        Event::Language { language, .. } => format!("* language {language}"),
        Event::Verdict { verdict, cause, after_speech_ms, .. } => {
            let after = after_speech_ms.map(|ms| format!(", {ms} after speech")).unwrap_or_default();
            format!("* verdict {} by {}{after}", word(verdict), word(cause))
        }
        Event::Step { name } => format!("* step {name}"),
        Event::BargeIn { cause, after_speech_start_ms, .. } => {
            let after = after_speech_start_ms.map(|ms| format!(", {ms} after it began")).unwrap_or_default();
            format!("* barge-in by {}{after}", word(cause))
        }
        Event::Resumed { .. } => return None,
        Event::BreakConfirmed { took_ms, .. } => format!("* break confirmed in {took_ms}"),
        Event::Turn { text, intent, endpoint_ms, .. } => {
            format!("* turn {text:?} = {} after {endpoint_ms}", intent.as_deref().unwrap_or("?"))
        }
        Event::NoInput { count } => format!("* no input {count}"),
        Event::NoMatch { count } => format!("* no match {count}"),
        Event::MessageClipped { by_beep, .. } => {
            format!("* message clipped{}", if *by_beep { " by beep" } else { "" })
        }
        Event::MessageStart { by_beep, .. } => {
            format!("* message start{}", if *by_beep { " by beep" } else { "" })
        }
        Event::HungUp { cause } => format!("* hung up {}", cause.as_str()),
        Event::Ended { disposition, outcome } => {
            format!(
                "* ended {}{}",
                word(disposition),
                outcome.as_ref().map(|o| format!(" ({o})")).unwrap_or_default()
            )
        }
    })
}

/// A closed enum's name as it is stored.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
