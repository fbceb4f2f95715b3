//! What one 20 ms frame costs in each detector and in a whole call: `cargo bench -p sidetone-core`.

use std::{
    collections::BTreeMap,
    f32::consts::TAU,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use sidetone_core::{
    call::{Call, CallConfig, Command, Input, PlayId, PlaybackEnd},
    echo::{Echo, PromptAudio},
    frame::{FRAME, Frame, SampleRate, frames},
    music::MusicDetector,
    scenario::{Scenario, ScenarioRun},
    spectrum::Spectrum,
    text::PhrasePack,
    tones::ToneDetector,
    vad::{Vad, VadConfig},
};

const SCENARIO: &str = "
name: bench
language: en
max_visits: 1000000
steps:
  talk:
    play: {file: talk.wav, text: Hello.}
    listen:
      timeout: 5s
      on: {any: talk}
      no_input: {retries: 0, then: talk}
      no_match: {retries: 0, then: talk}
";

/// Ten seconds of these frequencies, gliding and swelling as a voice does, with pauses, over a line's noise.
fn sound(rate: SampleRate, hz: &[f32]) -> Vec<i16> {
    let mut noise = 1u32;
    (0..rate.hz() * 10)
        .map(|i| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = (noise >> 16) as f32 / 32768.0 - 1.0;
            let t = i as f32 / rate.hz() as f32;
            let speaks = if t % 4.0 < 2.0 { 1.0 } else { 0.0 };
            let glide = 1.0 + 0.02 * (TAU * 3.0 * t).sin();
            let voice = hz.iter().map(|hz| (TAU * hz * t * glide).sin()).sum::<f32>();
            (voice * speaks * (0.6 + 0.4 * (TAU * 4.0 * t).sin()) * 4000.0 + hiss * 24.0) as i16
        })
        .collect()
}

/// Measures `push` over the same frames again and again.
fn each(c: &mut Criterion, name: &str, frames: &[Frame], mut push: impl FnMut(&Frame)) {
    let mut all = frames.iter().cycle();
    c.bench_function(name, |b| b.iter(|| all.next().into_iter().for_each(&mut push)));
}

fn detectors(c: &mut Criterion) {
    for (name, rate) in [("8k", SampleRate::HZ_8000), ("16k", SampleRate::HZ_16000)] {
        let samples = sound(rate, &[180.0, 360.0, 540.0, 900.0]);
        let heard: Vec<Frame> = frames(rate, &samples).collect();
        let mut vad = Vad::new(rate, VadConfig::default());
        each(c, &format!("{name}/vad"), &heard, |frame| _ = black_box(vad.push(frame)));
        let (mut line, mut tones) = (Spectrum::new(), ToneDetector::new());
        each(c, &format!("{name}/spectrum and tones"), &heard, |frame| {
            line.feed(frame);
            _ = black_box(tones.push(&mut line));
        });
        let (mut line, mut music) = (Spectrum::new(), MusicDetector::new());
        each(c, &format!("{name}/spectrum and music"), &heard, |frame| {
            line.feed(frame);
            _ = black_box(music.push(&mut line, true));
        });
        let prompt = Arc::new(PromptAudio::new(&sound(SampleRate::HZ_8000, &[210.0, 420.0, 770.0])));
        let mut echo = Echo::default();
        let mut media = prompt.duration();
        each(c, &format!("{name}/echo"), &heard, |frame| {
            if media >= prompt.duration() {
                media = Duration::ZERO;
                echo.play(prompt.clone(), media, Duration::ZERO);
            }
            media += FRAME;
            _ = black_box(echo.explains(media, frame));
        });
    }
}

/// A call that greets, is interrupted, listens and begins again, and what its switch would say.
struct Talk {
    call: Call,
    now: Instant,
    playing: Option<PlayId>,
}

impl Talk {
    fn new(amd: bool) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant will do: virtual time starts from it")]
        let now = Instant::now();
        let scenario = Arc::new(Scenario::parse(SCENARIO, "bench.yaml").expect("a scenario"));
        let script = ScenarioRun::new(scenario, &BTreeMap::new()).expect("no variables");
        let pack = PhrasePack::for_language("en").expect("English");
        let mut config = CallConfig::new(SampleRate::HZ_8000, pack);
        config.max_duration = Duration::from_secs(1 << 30);
        config.amd = config.amd.filter(|_| amd);
        let mut talk = Self { call: Call::new(config, script, now), now, playing: None };
        talk.input(Input::Answered);
        talk
    }

    fn input(&mut self, input: Input<'_>) {
        self.call.handle_input(self.now, input);
        while let Some(command) = self.call.poll_command() {
            if let Command::Play { id, .. } = command {
                self.playing = Some(id);
                self.call.handle_input(self.now, Input::PlaybackStarted(id));
            } else if let (Command::StopPlayback(_), Some(id)) = (&command, self.playing.take()) {
                let done = Input::PlaybackDone { id, end: PlaybackEnd::Broken, heard: None };
                self.call.handle_input(self.now, done);
            }
        }
    }

    fn hear(&mut self, frame: &Frame) {
        self.now += FRAME;
        self.input(Input::Audio(frame));
        if self.call.poll_timeout().is_some_and(|at| at <= self.now) {
            self.call.handle_timeout(self.now);
        }
    }
}

fn calls(c: &mut Criterion) {
    let samples = sound(SampleRate::HZ_8000, &[180.0, 360.0, 540.0, 900.0]);
    let heard: Vec<Frame> = frames(SampleRate::HZ_8000, &samples).collect();
    for (name, amd) in [("call/conversation", false), ("call/with answer detection", true)] {
        let mut talk = Talk::new(amd);
        each(c, name, &heard, |frame| talk.hear(frame));
    }
}

criterion_group!(benches, detectors, calls);
criterion_main!(benches);
