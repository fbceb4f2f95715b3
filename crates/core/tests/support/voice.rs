//! Sounds made from nothing: a voice, noise, tones. 8 kHz frames.

use sidetone_core::frame::{Frame, SampleRate};

const RATE: f64 = 8000.0;

/// Makes sounds; one a call, so that they go on where they left off.
pub(crate) struct Sounds {
    at: u64,
    noise: u64,
    pulse: f64,
    formants: [[f64; 2]; 3],
}

impl Default for Sounds {
    fn default() -> Self {
        Self { at: 0, noise: 0x2545_f491_4f6c_dd1d, pulse: 0.0, formants: [[0.0; 2]; 3] }
    }
}

impl Sounds {
    /// The next 20 ms of a kind of sound; `None` for a name nobody knows. `into`: ms since the sound began.
    pub(crate) fn frame(&mut self, kind: &str, into: u64) -> Option<Frame> {
        let mut samples = [0_i16; 160];
        for (i, sample) in samples.iter_mut().enumerate() {
            let ms = into as f64 + i as f64 / 8.0;
            let value = match kind {
                "silence" => 0.0,
                "hiss" => 60.0 * self.white(),
                "speech" => self.voice(ms),
                "beep" => 9000.0 * self.sine(1000.0),
                "fax" => 9000.0 * self.sine(2100.0),
                "sit" => 9000.0 * self.sit(ms),
                "ringback" => 4500.0 * (self.sine(440.0) + self.sine(480.0)),
                "busy" if (ms as u64 / 500).is_multiple_of(2) => {
                    4500.0 * (self.sine(480.0) + self.sine(620.0))
                }
                "busy" => 0.0,
                _ => return None,
            };
            *sample = value.clamp(-32000.0, 32000.0) as i16;
            self.at += 1;
        }
        Frame::new(SampleRate::HZ_8000, &samples)
    }

    fn sine(&self, hz: f64) -> f64 {
        (self.at as f64 / RATE * hz * std::f64::consts::TAU).sin()
    }

    fn sit(&self, ms: f64) -> f64 {
        match ms as u64 {
            0..330 => self.sine(950.0),
            330..660 => self.sine(1400.0),
            660..990 => self.sine(1800.0),
            _ => 0.0,
        }
    }

    /// xorshift64*, -1 to 1.
    fn white(&mut self) -> f64 {
        self.noise ^= self.noise >> 12;
        self.noise ^= self.noise << 25;
        self.noise ^= self.noise >> 27;
        (self.noise.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// A pulse train at a wandering pitch through three formants that glide, four syllables a second.
    fn voice(&mut self, ms: f64) -> f64 {
        let t = ms / 1000.0;
        let pitch = 115.0 + 18.0 * (t * 5.1).sin() + 7.0 * (t * 13.0).sin();
        self.pulse += pitch / RATE;
        let mut source = 0.05 * self.white();
        if self.pulse >= 1.0 {
            self.pulse -= 1.0;
            source += 1.0;
        }
        let glide = (t * 4.0 * std::f64::consts::PI).sin();
        let formants = [(560.0 + 180.0 * glide, 90.0), (1350.0 - 350.0 * glide, 120.0), (2500.0, 160.0)];
        let mut out = source;
        for (state, (hz, width)) in self.formants.iter_mut().zip(formants) {
            let r = (-std::f64::consts::PI * width / RATE).exp();
            let y = out + 2.0 * r * (hz / RATE * std::f64::consts::TAU).cos() * state[0] - r * r * state[1];
            state[1] = state[0];
            state[0] = y;
            out = y * (1.0 - r);
        }
        let syllable = 0.55 + 0.45 * (t * 4.0 * std::f64::consts::TAU).sin();
        // Loud as telephone speech is, and bent rather than cut where it would be too loud.
        14_000.0 * (out * 5_000.0 * syllable).tanh()
    }
}
