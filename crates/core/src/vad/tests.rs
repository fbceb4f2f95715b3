use std::time::Duration;

use super::*;
use crate::frame::frames;

/// Deterministic noise in -1..1.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// A voice-like buzz: a 130 Hz pulse train through two formants, swelling four times a second.
fn voice(rate: SampleRate, ms: usize, amplitude: f32) -> Vec<i16> {
    let hz = rate.hz() as f32;
    let mut phase = 0.0;
    let (mut a, mut b) = ([0.0f32; 2], [0.0f32; 2]);
    (0..ms * rate.hz() as usize / 1000)
        .map(|i| {
            let t = i as f32 / hz;
            phase += (130.0 + 15.0 * (t * 6.0).sin()) / hz;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= pulse;
            let x = resonate(pulse, &mut a, 600.0, hz) + 0.5 * resonate(pulse, &mut b, 1400.0, hz);
            let swell = 0.55 + 0.45 * (t * std::f32::consts::TAU * 4.0).sin();
            (x * swell * amplitude * 6000.0).clamp(-32000.0, 32000.0) as i16
        })
        .collect()
}

fn resonate(x: f32, state: &mut [f32; 2], centre: f32, hz: f32) -> f32 {
    let r = (-std::f32::consts::PI * 90.0 / hz).exp();
    let y = x + 2.0 * r * (std::f32::consts::TAU * centre / hz).cos() * state[0] - r * r * state[1];
    state[1] = state[0];
    state[0] = y;
    y
}

fn noise(rate: SampleRate, ms: usize, amplitude: f32) -> Vec<i16> {
    let mut random = Noise(7);
    (0..ms * rate.hz() as usize / 1000).map(|_| (random.next() * amplitude) as i16).collect()
}

fn run(rate: SampleRate, samples: &[i16]) -> Vec<VadFrame> {
    let mut vad = Vad::new(rate, VadConfig::default());
    frames(rate, samples).map(|f| vad.push(&f)).collect()
}

fn edges(seen: &[VadFrame]) -> Vec<Edge> {
    seen.iter().filter_map(|f| f.edge).collect()
}

#[test]
fn speech_between_silences_has_one_start_and_one_end() {
    for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
        let mut audio = noise(rate, 600, 12.0);
        audio.extend(voice(rate, 1000, 1.0));
        audio.extend(noise(rate, 1000, 12.0));
        let found = edges(&run(rate, &audio));
        let [Edge::Start { at: start }, Edge::End { at: end, voiced }] = found[..] else {
            panic!("{found:?} at {} Hz", rate.hz());
        };
        assert!((580..=720).contains(&start.as_millis()), "start {start:?}");
        assert!((1500..=1800).contains(&end.as_millis()), "end {end:?}");
        assert!(voiced <= end - start && voiced >= Duration::from_millis(600), "voiced {voiced:?}");
    }
}

#[test]
fn the_end_is_told_one_hangover_after_the_last_voiced_frame() {
    let rate = SampleRate::HZ_8000;
    let mut audio = voice(rate, 800, 1.0);
    audio.resize(audio.len() + 8000, 0);
    let seen = run(rate, &audio);
    let told = seen.iter().find(|f| matches!(f.edge, Some(Edge::End { .. }))).expect("an end");
    let Some(Edge::End { at, .. }) = told.edge else { unreachable!() };
    assert_eq!(told.at + FRAME, at + VadConfig::default().hangover);
    let last = seen.iter().rfind(|f| f.voiced).expect("a voiced frame");
    assert_eq!(at, last.at + FRAME);
}

#[test]
fn steady_line_noise_is_not_speech_at_any_level() {
    for amplitude in [0.0, 3.0, 20.0, 100.0, 400.0, 1000.0] {
        let seen = run(SampleRate::HZ_8000, &noise(SampleRate::HZ_8000, 6000, amplitude));
        let voiced = seen.iter().filter(|f| f.voiced).count();
        assert!(voiced <= 6 && edges(&seen).is_empty(), "amplitude {amplitude}: {voiced} voiced frames");
    }
}

#[test]
fn loud_pink_noise_from_the_first_sample_on_is_not_speech() {
    // P. Kellet's economy filter, then a telephone line's high pass; about -30 dBFS.
    let mut random = Noise(3);
    let mut b = [0.0f32; 3];
    let (mut before, mut line) = (0.0, 0.0);
    let audio: Vec<i16> = (0..32_000)
        .map(|_| {
            let white = random.next();
            b[0] = 0.99765 * b[0] + white * 0.099_046;
            b[1] = 0.963 * b[1] + white * 0.296_516_4;
            b[2] = 0.57 * b[2] + white * 1.052_691_3;
            let pink = b[0] + b[1] + b[2] + white * 0.1848;
            line = 0.855 * (line + pink - before);
            before = pink;
            (line * 1100.0) as i16
        })
        .collect();
    let seen = run(SampleRate::HZ_8000, &audio);
    let voiced = seen.iter().filter(|f| f.voiced).count();
    assert!(voiced <= 16 && edges(&seen).is_empty(), "{voiced} voiced frames at {} dBFS", seen[50].dbfs);
}

#[test]
fn speech_from_the_very_first_sample_is_heard() {
    let seen = run(SampleRate::HZ_8000, &voice(SampleRate::HZ_8000, 1500, 1.0));
    let first = seen.iter().position(|f| f.speech).expect("speech");
    assert!(first < 12, "speech only after {first} frames");
}

#[test]
fn quiet_speech_is_heard_on_a_quiet_line() {
    // About -50 dBFS.
    let mut audio = noise(SampleRate::HZ_8000, 500, 5.0);
    audio.extend(voice(SampleRate::HZ_8000, 1500, 0.04));
    assert!(run(SampleRate::HZ_8000, &audio).iter().any(|f| f.speech));
}

#[test]
fn a_gap_advances_media_time_and_ends_speech() {
    let rate = SampleRate::HZ_8000;
    let mut vad = Vad::new(rate, VadConfig::default());
    for frame in frames(rate, &voice(rate, 600, 1.0)) {
        vad.push(&frame);
    }
    assert!(vad.speaking());
    assert_eq!(vad.gap(5), None);
    assert!(vad.speaking());
    let Some(Edge::End { at, .. }) = vad.gap(45) else {
        panic!("speech goes on through a second of nothing")
    };
    assert!(at <= Duration::from_millis(600));
    assert_eq!(vad.now(), Duration::from_millis(1600));
}

#[test]
fn a_click_is_not_speech() {
    let rate = SampleRate::HZ_8000;
    let mut audio = noise(rate, 1000, 10.0);
    for sample in &mut audio[4000..4160] {
        *sample = if *sample > 0 { 9000 } else { -9000 };
    }
    assert!(edges(&run(rate, &audio)).is_empty());
}

#[test]
fn a_frame_of_the_other_rate_is_taken_as_it_is() {
    let mut vad = Vad::new(SampleRate::HZ_8000, VadConfig::default());
    assert!(!vad.push(&Frame::silence(SampleRate::HZ_16000)).voiced);
    assert_eq!(vad.now(), FRAME);
}
