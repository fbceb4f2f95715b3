use std::f32::consts::TAU;

use super::*;
use crate::{
    frame::{FRAME, Frame, SampleRate, frames},
    vad::{Vad, VadConfig},
};

const RATE: SampleRate = SampleRate::HZ_8000;

/// The greatest likelihood after each second.
fn greatest(rate: SampleRate, samples: &[i16]) -> f32 {
    let mut vad = Vad::new(rate, VadConfig::default());
    let (mut line, mut music) = (Spectrum::new(), MusicDetector::new());
    let each = frames(rate, samples).map(|frame| {
        let voiced = vad.push(&frame).voiced;
        line.feed(&frame);
        music.push(&mut line, voiced)
    });
    each.fold(0.0, f32::max)
}

/// Chords of three plucked notes with overtones, a new one every 400 ms.
fn tune(rate: SampleRate, ms: u32) -> Vec<i16> {
    let chords = [[262.0, 330.0, 392.0], [294.0, 349.0, 440.0], [247.0, 294.0, 392.0], [262.0, 349.0, 440.0]];
    let length = rate.hz() * 2 / 5;
    (0..ms * rate.hz() / 1000)
        .map(|i| {
            let t = (i % length) as f32 / rate.hz() as f32;
            let chord = chords[(i / length) as usize % chords.len()];
            let note = |hz: f32| (1..6).map(|n| (TAU * hz * n as f32 * t).sin() / n as f32).sum::<f32>();
            (chord.map(note).iter().sum::<f32>() * 2500.0 * (-t * 1.5).exp()) as i16
        })
        .collect()
}

fn clip(name: &str) -> Vec<i16> {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    hound::WavReader::open(path).unwrap().samples::<i16>().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_tune_is_music_within_two_seconds() {
    for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
        assert!(greatest(rate, &tune(rate, 2300)) > 0.9, "{rate:?}: {}", greatest(rate, &tune(rate, 2300)));
    }
}

#[test]
fn nothing_is_said_before_enough_was_heard() {
    assert!(greatest(RATE, &tune(RATE, 1100)) == 0.0);
}

#[test]
fn people_are_not_music() {
    let clips = [
        "human-en-short.wav",
        "human-en-long.wav",
        "human-en-digits.wav",
        "human-fr-short.wav",
        "human-fr-voice.wav",
        "human-de-short.wav",
    ];
    for name in clips {
        let likelihood = greatest(RATE, &clip(name).repeat(3));
        assert!(likelihood < 0.2, "{name}: {likelihood}");
    }
}

#[test]
fn tones_hum_and_noise_are_not_music() {
    let tone = |hz: &[f32], amplitude: f32| -> Vec<i16> {
        (0..24_000)
            .map(|i| {
                (hz.iter().map(|hz| (TAU * hz * i as f32 / 8000.0).sin()).sum::<f32>() * amplitude) as i16
            })
            .collect()
    };
    assert!(greatest(RATE, &tone(&[440.0], 8000.0)) < 0.2);
    assert!(greatest(RATE, &tone(&[50.0, 150.0, 250.0, 350.0, 450.0], 60.0)) < 0.2);
    let mut random = 5u32;
    let noise: Vec<i16> = (0..24_000)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 20) as i16 - 2048
        })
        .collect();
    assert!(greatest(RATE, &noise) < 0.2);
}

#[test]
fn silence_is_not_music() {
    let (mut line, mut music) = (Spectrum::new(), MusicDetector::new());
    for _ in 0..(10_000 / FRAME.as_millis()) {
        line.feed(&Frame::silence(RATE));
        assert!(music.push(&mut line, false) == 0.0);
    }
}
