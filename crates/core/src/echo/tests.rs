use super::*;
use crate::frame::{SampleRate, frames};

struct Random(u32);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// A voice-like sound of its own: pulses at a wandering pitch through two resonances, in syllables.
fn voice(seed: u32, seconds: usize, amplitude: f32) -> Vec<i16> {
    let mut random = Random(seed);
    let (mut a, mut b) = ([0.0f32; 2], [0.0f32; 2]);
    let (mut phase, mut pitch, mut first, mut second, mut swell) = (0.0, 120.0, 500.0, 1500.0, 1.0);
    (0..seconds * 8000)
        .map(|i| {
            if i % 1200 == 0 {
                pitch = 100.0 + 60.0 * random.next().abs() + seed as f32;
                first = 350.0 + 400.0 * random.next().abs();
                second = 1000.0 + 1200.0 * random.next().abs();
                swell = if random.next() > 0.5 { 0.02 } else { 0.4 + 0.6 * random.next().abs() };
            }
            phase += pitch / 8000.0;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.02 * random.next() };
            phase = phase.fract();
            let x = resonate(pulse, &mut a, first) + 0.5 * resonate(pulse, &mut b, second);
            (x * swell * amplitude).clamp(-32000.0, 32000.0) as i16
        })
        .collect()
}

fn resonate(x: f32, state: &mut [f32; 2], centre: f32) -> f32 {
    let r = (-std::f32::consts::PI * 90.0 / 8000.0).exp();
    let y = x + 2.0 * r * (std::f32::consts::TAU * centre / 8000.0).cos() * state[0] - r * r * state[1];
    state[1] = state[0];
    state[0] = y;
    y
}

fn delayed(prompt: &[i16], delay: usize, gain: f32, noise: f32) -> Vec<i16> {
    let mut random = Random(9);
    (0..prompt.len())
        .map(|i| {
            let tap = |back: usize| i.checked_sub(delay + back).map_or(0.0, |at| f32::from(prompt[at]));
            // A direct way, a reflection, and the line's noise.
            (gain * (tap(0) + 0.4 * tap(37)) + noise * random.next()) as i16
        })
        .collect()
}

/// Which frames are explained, by number.
fn run(echo: &mut Echo, prompt: &[i16], heard: &[i16]) -> Vec<bool> {
    echo.play(Arc::new(PromptAudio::new(prompt)), Duration::ZERO, Duration::ZERO);
    frames(SampleRate::HZ_8000, heard)
        .enumerate()
        .map(|(i, frame)| echo.explains(Duration::from_millis(20 * (i as u64 + 1)), &frame))
        .collect()
}

fn loud(heard: &[i16], at: usize) -> bool {
    power(&heard[at * 160..(at + 1) * 160]) > 10.0 * AUDIBLE
}

#[test]
fn delay_and_gain_are_learned_and_the_echo_is_explained() {
    let prompt = voice(1, 8, 9000.0);
    for (delay, gain) in [(120, 0.05), (960, 0.1), (3600, 0.3)] {
        let heard = delayed(&prompt, delay, gain, 15.0);
        let mut echo = Echo::default();
        let seen = run(&mut echo, &prompt, &heard);
        let (lag_ms, gain_db) = echo.learned().expect("an echo");
        assert!((lag_ms - delay as i64 / 8).abs() <= 6, "{lag_ms} ms for {delay} samples");
        assert!((gain_db - 20.0 * gain.log10()).abs() < 4.0, "{gain_db} dB for {gain}");
        let loud: Vec<usize> = (125..400).filter(|&i| loud(&heard, i)).collect();
        let open = loud.iter().filter(|&&i| !seen[i]).count();
        assert!(open * 20 < loud.len(), "{open} of {} frames of echo stay open", loud.len());
    }
}

#[test]
fn somebody_talking_over_the_echo_is_heard() {
    let prompt = voice(1, 8, 9000.0);
    let mut heard = delayed(&prompt, 960, 0.05, 15.0);
    let person = voice(77, 3, 9000.0);
    for (at, sample) in person.iter().enumerate() {
        heard[5 * 8000 + at] = heard[5 * 8000 + at].saturating_add(*sample);
    }
    let seen = run(&mut Echo::default(), &prompt, &heard);
    let loud: Vec<usize> =
        (250..400).filter(|&i| power(&person[(i - 250) * 160..(i - 249) * 160]) > 1e-3).collect();
    let open = loud.iter().filter(|&&i| !seen[i]).count();
    assert!(open * 10 > loud.len() * 9, "only {open} of {} frames of the person are heard", loud.len());
}

#[test]
fn a_person_without_echo_is_never_taken_for_one() {
    let prompt = voice(1, 10, 9000.0);
    for seed in [2, 30, 50] {
        let heard = voice(seed, 10, 9000.0);
        let mut echo = Echo::default();
        let seen = run(&mut echo, &prompt, &heard);
        assert_eq!(echo.learned(), None, "voice {seed}");
        assert!(seen.iter().all(|explained| !explained));
    }
}

#[test]
fn the_next_prompt_profits_from_the_last() {
    let (first, second) = (voice(1, 4, 9000.0), voice(5, 2, 9000.0));
    let mut echo = Echo::default();
    run(&mut echo, &first, &delayed(&first, 960, 0.1, 15.0));
    let heard = delayed(&second, 960, 0.1, 15.0);
    let seen = run(&mut echo, &second, &heard);
    let open = (0..25).filter(|&i| loud(&heard, i) && !seen[i]).count();
    assert!(open <= 1, "{open} frames open before the delay is found again");
}

#[test]
fn nothing_is_explained_after_the_prompt_was_stopped() {
    let prompt = voice(1, 8, 9000.0);
    let mut echo = Echo::default();
    let heard = delayed(&prompt, 960, 0.1, 15.0);
    run(&mut echo, &prompt[..4 * 8000], &heard[..4 * 8000]);
    echo.play(Arc::new(PromptAudio::new(&prompt)), Duration::from_secs(4), Duration::ZERO);
    echo.stop(Duration::from_secs(5));
    let late = Frame::new(SampleRate::HZ_8000, &voice(3, 1, 3000.0)[160..320]).expect("a frame");
    assert!(!echo.explains(Duration::from_millis(5900), &late));
}
