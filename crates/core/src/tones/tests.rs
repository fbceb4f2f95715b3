use std::{f32::consts::TAU, path::PathBuf};

use super::*;
use crate::frame::{FRAME, SampleRate, frames};

/// People, each cut to a second or three.
const CLIPS: [&str; 6] = [
    "human-en-short.wav",
    "human-en-long.wav",
    "human-en-digits.wav",
    "human-fr-short.wav",
    "human-fr-voice.wav",
    "human-de-short.wav",
];

/// A line being recorded, sample by sample.
struct Line {
    rate: SampleRate,
    samples: Vec<i16>,
    random: u32,
}

impl Line {
    fn new(rate: SampleRate) -> Self {
        Self { rate, samples: Vec::new(), random: 11 }
    }

    fn narrow() -> Self {
        Self::new(SampleRate::HZ_8000)
    }

    /// The sum of the given frequencies, each 12 dB below full scale.
    fn tone(mut self, hz: &[f32], ms: u32) -> Self {
        let rate = self.rate.hz();
        for i in 0..(ms * rate / 1000) {
            let t = i as f32 / rate as f32;
            let x: f32 = hz.iter().map(|hz| (TAU * hz * t).sin() * 8192.0).sum();
            self.samples.push(x as i16);
        }
        self
    }

    fn quiet(mut self, ms: u32) -> Self {
        self.samples.resize(self.samples.len() + (ms * self.rate.hz() / 1000) as usize, 0);
        self
    }

    fn clip(mut self, name: &str) -> Self {
        self.samples.extend(clip(name));
        self
    }

    fn times(self, n: u32, part: impl Fn(Self) -> Self) -> Self {
        (0..n).fold(self, |line, _| part(line))
    }

    /// White noise of this amplitude over everything.
    fn noisy(mut self, amplitude: f32) -> Self {
        let mut random = self.random;
        for sample in &mut self.samples {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = ((random >> 8) as f32 / 8_388_608.0 - 1.0) * amplitude;
            *sample = (f32::from(*sample) + noise) as i16;
        }
        self.random = random;
        self
    }

    /// Through G.711 mu-law and back.
    fn ulaw(mut self) -> Self {
        for sample in &mut self.samples {
            *sample = ulaw_round_trip(*sample);
        }
        self
    }

    fn quieter(mut self, db: f32) -> Self {
        let gain = 10f32.powf(-db / 20.0);
        for sample in &mut self.samples {
            *sample = (f32::from(*sample) * gain) as i16;
        }
        self
    }

    fn events(&self) -> Vec<(Duration, ToneEvent)> {
        let (mut line, mut detector) = (Spectrum::new(), ToneDetector::new());
        let mut told = Vec::new();
        for (i, frame) in (1..).zip(frames(self.rate, &self.samples)) {
            line.feed(&frame);
            told.extend(detector.push(&mut line).map(|event| (FRAME * i, event)));
        }
        told
    }

    fn tones(&self) -> Vec<Tone> {
        let mut tones: Vec<Tone> = self.events().iter().map(|(_, event)| event.tone).collect();
        tones.dedup();
        tones
    }
}

fn ulaw_round_trip(sample: i16) -> i16 {
    const BIAS: i32 = 132;
    let magnitude = i32::from(sample).abs().min(32635) + BIAS;
    let exponent = 31 - (magnitude as u32).leading_zeros() as i32 - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0F;
    let back = (((mantissa << 3) + BIAS) << exponent) - BIAS;
    (if sample < 0 { -back } else { back }) as i16
}

fn clip(name: &str) -> Vec<i16> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let mut reader = hound::WavReader::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(reader.spec().sample_rate, 8000, "{name}");
    reader.samples::<i16>().collect::<Result<_, _>>().unwrap()
}

fn millis(at: Duration) -> i64 {
    at.as_millis() as i64
}

/// The beep's start and end are each told once, near the truth and soon.
fn assert_beep(line: &Line, start_ms: i64, end_ms: i64) {
    let told = line.events();
    let (at, last) = told.last().unwrap_or_else(|| panic!("no beep at {start_ms} ms"));
    let ended: Vec<bool> = told.iter().map(|(_, event)| event.ended).collect();
    assert!(told.iter().all(|(_, event)| event.tone == Tone::Beep) && ended == [false, true], "{told:?}");
    assert!((millis(last.at) - start_ms).abs() <= 40, "start {start_ms}: {last:?}");
    let until = millis(last.until);
    assert!((until - end_ms).abs() <= 40, "end {end_ms}: {last:?}");
    assert!(millis(*at) - end_ms <= 260, "end {end_ms} told at {at:?}");
}

#[test]
fn a_single_beep_is_told_with_its_start_and_end() {
    for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
        for hz in [520.0, 700.0, 850.0, 950.0, 1000.0, 1400.0, 1500.0, 2000.0] {
            for ms in [160, 200, 400, 900] {
                let line = Line::new(rate).quiet(800).tone(&[hz], ms).quiet(1000);
                assert_beep(&line, 800, 800 + i64::from(ms));
            }
        }
    }
}

#[test]
fn a_beep_survives_noise_companding_and_a_quiet_line() {
    for hz in [520.0, 800.0, 1000.0, 1400.0, 2000.0] {
        let line = || Line::narrow().quiet(600).tone(&[hz], 300).quiet(1000);
        assert_beep(&line().noisy(2500.0).ulaw(), 600, 900);
        assert_beep(&line().quieter(30.0).noisy(8.0).ulaw(), 600, 900);
    }
}

#[test]
fn a_low_beep_after_a_greeting_is_a_beep_at_once() {
    let greeting =
        Line::narrow().quiet(1000).clip("human-fr-short.wav").clip("human-en-short.wav").quiet(300);
    let begin = greeting.samples.len() as i64 / 8;
    assert_beep(&greeting.tone(&[440.0], 400).quiet(600), begin, begin + 400);
}

#[test]
fn a_low_beep_alone_on_the_line_is_told_once_busy_is_ruled_out() {
    let line = Line::narrow().quiet(700).tone(&[440.0], 300).quiet(1500);
    let told = line.events();
    assert!(matches!(told[..], [(_, start), (_, end)] if !start.ended && end.ended), "{told:?}");
    assert_eq!(line.tones(), [Tone::Beep]);
}

#[test]
fn ringback_is_never_a_beep() {
    let rings: [(&[f32], u32, u32); 6] = [
        (&[440.0, 480.0], 2000, 4000),
        (&[425.0], 1000, 4000),
        (&[440.0], 1500, 3500),
        (&[450.0], 1000, 4000),
        (&[400.0, 450.0], 2000, 4000),
        (&[425.0], 1200, 4000),
    ];
    for (hz, on, off) in rings {
        for lead in [0, 330] {
            let ring = |line: Line| line.tone(hz, on).quiet(off);
            let line = Line::narrow().quiet(lead).times(2, ring);
            assert_eq!(line.tones(), [Tone::Ringback], "{hz:?} {on}/{off}");
            let first = line.events()[0];
            assert!(millis(first.0) <= i64::from(lead) + 800, "told at {:?}", first.0);
            let line = Line::narrow().quiet(lead).times(2, ring).noisy(1200.0).ulaw();
            assert_eq!(line.tones(), [Tone::Ringback], "noisy {hz:?} {on}/{off}");
        }
    }
}

#[test]
fn britain_rings_twice() {
    for hz in [&[400.0, 450.0][..], &[425.0]] {
        let ring = |line: Line| line.tone(hz, 400).quiet(200).tone(hz, 400).quiet(2000);
        assert_eq!(Line::narrow().times(2, ring).tones(), [Tone::Ringback], "{hz:?}");
    }
}

#[test]
fn busy_and_congestion_are_told_by_their_repetition() {
    let cadences: [(&[f32], u32, u32); 8] = [
        (&[480.0, 620.0], 500, 500),
        (&[480.0, 620.0], 250, 250),
        (&[425.0], 500, 500),
        (&[425.0], 250, 250),
        (&[425.0], 480, 480),
        (&[440.0], 500, 500),
        (&[400.0], 375, 375),
        (&[450.0], 350, 350),
    ];
    for (hz, on, off) in cadences {
        let busy = |line: Line| line.tone(hz, on).quiet(off);
        assert_eq!(Line::narrow().times(4, busy).tones(), [Tone::Busy], "{hz:?} {on}/{off}");
        let cut = Line::narrow().tone(hz, on / 2).quiet(off).times(3, busy);
        assert_eq!(cut.tones(), [Tone::Busy], "cut {hz:?} {on}/{off}");
        let noisy = Line::narrow().quiet(200).times(4, busy).noisy(1200.0).ulaw();
        assert_eq!(noisy.tones(), [Tone::Busy], "noisy {hz:?} {on}/{off}");
    }
}

#[test]
fn three_rising_tones_are_special_information() {
    let variants = [
        ([950.0, 1400.0, 1800.0], [330, 330, 330], 0),
        ([950.0, 1400.0, 1800.0], [330, 330, 330], 30),
        ([913.8, 1370.6, 1776.7], [274, 274, 380], 0),
        ([985.2, 1370.6, 1776.7], [380, 274, 380], 0),
        ([913.8, 1428.5, 1776.7], [380, 380, 380], 0),
        ([985.2, 1428.5, 1776.7], [276, 380, 276], 4),
        ([910.0, 1440.0, 1840.0], [280, 400, 280], 20),
    ];
    for (hz, ms, pause) in variants {
        for lead in [0, 500] {
            let line =
                (0..3).fold(Line::narrow().quiet(lead), |line, i| line.tone(&[hz[i]], ms[i]).quiet(pause));
            let line = line.quiet(800);
            assert_eq!(line.tones(), [Tone::Sit], "{hz:?} {ms:?}");
            assert!((millis(line.events()[0].1.at) - i64::from(lead)).abs() <= 40);
            assert_eq!(line.noisy(1200.0).ulaw().tones(), [Tone::Sit], "noisy {hz:?} {ms:?}");
        }
    }
}

#[test]
fn special_information_cut_by_the_answer_is_still_known() {
    let line = Line::narrow().tone(&[950.0], 90).tone(&[1400.0], 330).tone(&[1800.0], 330).quiet(500);
    assert_eq!(line.tones(), [Tone::Sit]);
}

#[test]
fn faxes_calling_and_answering() {
    for hz in [1062.0, 1100.0, 1138.0] {
        let cng = |line: Line| line.tone(&[hz], 500).quiet(3000);
        assert_eq!(Line::narrow().quiet(400).times(2, cng).tones(), [Tone::FaxCng], "{hz}");
        assert_eq!(Line::narrow().times(2, cng).noisy(1500.0).ulaw().tones(), [Tone::FaxCng], "{hz}");
    }
    let ced = Line::narrow().quiet(1000).tone(&[2100.0], 3000).quiet(75).tone(&[1650.0, 1850.0], 500);
    assert_eq!(ced.tones(), [Tone::FaxCed]);
    let cut = Line::narrow().tone(&[1100.0], 300).quiet(3000).tone(&[1100.0], 500).quiet(500);
    assert_eq!(cut.tones(), [Tone::FaxCng]);
}

#[test]
fn a_modem_that_reverses_its_phase_is_a_fax_answering() {
    // V.25 / V.8: 2100 Hz, the phase turned every 450 ms.
    let mut line = Line::narrow().quiet(500);
    for n in 0..6 {
        let from = line.samples.len();
        line = line.tone(&[2100.0], 450);
        if n % 2 == 1 {
            line.samples[from..].iter_mut().for_each(|x| *x = -*x);
        }
    }
    assert_eq!(line.tones(), [Tone::FaxCed]);
}

#[test]
fn keys_are_not_tones() {
    for (low, high) in [(697.0, 1209.0), (770.0, 1336.0), (852.0, 1477.0), (941.0, 1633.0)] {
        let press = |line: Line| line.tone(&[low, high], 300).quiet(100);
        assert_eq!(Line::narrow().times(4, press).tones(), [], "{low} {high}");
    }
}

#[test]
fn dial_tone_is_not_a_beep() {
    assert_eq!(Line::narrow().tone(&[350.0, 440.0], 3000).tones(), []);
}

#[test]
fn noise_and_silence_are_not_tones() {
    assert_eq!(Line::narrow().quiet(5000).tones(), []);
    assert_eq!(Line::narrow().quiet(20000).noisy(3000.0).tones(), []);
}

#[test]
fn voices_are_not_tones() {
    for name in CLIPS {
        let line = || Line::narrow().clip(name).quiet(500);
        assert_eq!(line().tones(), [], "{name}");
        assert_eq!(line().ulaw().tones(), [], "{name} through mu-law");
        assert_eq!(line().noisy(600.0).ulaw().tones(), [], "{name} in noise");
        assert_eq!(line().quieter(25.0).ulaw().tones(), [], "{name} far away");
    }
}

#[test]
fn a_lost_stretch_ends_a_beep() {
    let rate = SampleRate::HZ_8000;
    let (mut sound, mut detector) = (Spectrum::new(), ToneDetector::new());
    let line = Line::narrow().quiet(400).tone(&[850.0], 400);
    let mut hear = |frame| {
        sound.feed(&frame);
        detector.push(&mut sound)
    };
    let told: Vec<_> = frames(rate, &line.samples).filter_map(&mut hear).collect();
    assert!(matches!(told[..], [ToneEvent { tone: Tone::Beep, ended: false, .. }]), "{told:?}");
    let ended = detector.gap(10).expect("the beep's end");
    assert!(ended.ended && ended.until <= Duration::from_millis(820), "{ended:?}");
}

#[test]
fn two_lines_of_ringing_may_be_a_little_off() {
    for off in [0.99, 0.995, 1.005, 1.01] {
        let ring = Line::narrow().tone(&[440.0 * off, 480.0 * off], 2000).quiet(500);
        assert_eq!(ring.tones(), [Tone::Ringback], "{off}");
    }
    // Two notes of a piano, a fourth apart.
    assert_eq!(Line::narrow().tone(&[466.2, 622.3], 500).tones(), []);
}
