//! What one 20 ms frame costs in each detector: `cargo run --release -p sidetone-core --example frame_cost`.

use std::{f32::consts::TAU, hint::black_box, time::Instant};

use sidetone_core::{
    frame::{Frame, SampleRate, frames},
    music::MusicDetector,
    tones::ToneDetector,
    vad::{Vad, VadConfig},
};

const ROUNDS: usize = 200;

fn main() {
    for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
        println!("{} Hz, microseconds a frame:", rate.hz());
        let lines = [
            ("voice-like", sound(rate, &[180.0, 360.0, 540.0, 900.0], true)),
            ("440 + 480 Hz", sound(rate, &[440.0, 480.0], false)),
            ("silence", sound(rate, &[], false)),
        ];
        for (name, frames) in &lines {
            let mut vad = Vad::new(rate, VadConfig::default());
            let mut tones = ToneDetector::new(rate);
            let mut music = MusicDetector::new(rate);
            let vad = cost(frames, |frame| _ = black_box(vad.push(frame)));
            let tones = cost(frames, |frame| _ = black_box(tones.push(frame)));
            let music = cost(frames, |frame| _ = black_box(music.push(frame, true)));
            println!(
                "  {name:12}  vad {vad:5.2}  tones {tones:5.2}  music {music:5.2}  all {:5.2}",
                vad + tones + music
            );
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an example may read the clock that the core may not")]
fn cost(frames: &[Frame], mut push: impl FnMut(&Frame)) -> f64 {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        frames.iter().for_each(&mut push);
    }
    start.elapsed().as_secs_f64() * 1e6 / (ROUNDS * frames.len()) as f64
}

/// Two seconds of these frequencies, gliding and swelling where it is to be like a voice.
fn sound(rate: SampleRate, hz: &[f32], voice: bool) -> Vec<Frame> {
    let samples: Vec<i16> = (0..rate.hz() * 2)
        .map(|i| {
            let t = i as f32 / rate.hz() as f32;
            let glide = if voice { 1.0 + 0.1 * (TAU * 3.0 * t).sin() } else { 1.0 };
            let swell = if voice { 0.6 + 0.4 * (TAU * 4.0 * t).sin() } else { 1.0 };
            (hz.iter().map(|hz| (TAU * hz * t * glide).sin()).sum::<f32>() * swell * 5000.0) as i16
        })
        .collect();
    frames(rate, &samples).collect()
}
