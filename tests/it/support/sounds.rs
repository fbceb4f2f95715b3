//! Callees' voices and the bot's prompts, made from nothing. A voice's pitch is what it says.

use std::path::{Path, PathBuf};

use sidetone::{asr::scripted::Scripted, audio};

const RATE: f64 = 8000.0;

/// "Hello?", short.
pub(crate) const HELLO: &str = "hello.wav";
/// "Yes, I'll be there."
pub(crate) const YES: &str = "yes.wav";
/// "Stop, who is this?"
pub(crate) const STOP: &str = "stop.wav";
/// A voicemail's greeting.
pub(crate) const MACHINE: &str = "machine.wav";

/// File, pitch, length in ms, words.
const VOICES: [(&str, f64, u32, &str); 4] = [
    (HELLO, 100.0, 500, "Hello?"),
    (YES, 140.0, 700, "Yes please."),
    (STOP, 190.0, 1200, "Wait, who is this?"),
    (MACHINE, 250.0, 3000, "Please leave a message after the tone."),
];

/// What the recogniser of a rig makes of these voices.
pub(crate) fn ears() -> Scripted {
    Scripted::by_pitch(VOICES.map(|(_, hz, _, text)| (hz, text)))
}

/// Writes the callees' voices into the folder and the prompts into another in it, which it returns.
pub(crate) fn write_sounds(folder: &Path) -> PathBuf {
    for (name, hz, ms, _) in VOICES {
        write(&folder.join(name), &voice(hz, ms));
    }
    let prompts = folder.join("prompts");
    std::fs::create_dir_all(&prompts).expect("a folder");
    for (name, ms) in [("greeting.wav", 2000), ("short.wav", 300), ("clinic.wav", 300), ("message.wav", 800)]
    {
        write(&prompts.join(name), &voice(120.0, ms));
    }
    prompts
}

fn write(path: &Path, pcm: &[i16]) {
    audio::write_wav(path, pcm, RATE as u32).expect("written");
}

/// A pulse train at one pitch through three formants that glide, five syllables a second.
fn voice(hz: f64, ms: u32) -> Vec<i16> {
    let mut states = [[0.0_f64; 2]; 3];
    let mut pulse = 0.0;
    (0..ms * 8)
        .map(|i| {
            let t = f64::from(i) / RATE;
            pulse += hz / RATE;
            let mut out = 0.0;
            if pulse >= 1.0 {
                pulse -= 1.0;
                out = 1.0;
            }
            let glide = (t * 5.0 * std::f64::consts::PI).sin();
            let formants = [(560.0 + 180.0 * glide, 90.0), (1350.0 - 350.0 * glide, 120.0), (2500.0, 160.0)];
            for (state, (hz, width)) in states.iter_mut().zip(formants) {
                let r = (-std::f64::consts::PI * width / RATE).exp();
                let y =
                    out + 2.0 * r * (hz / RATE * std::f64::consts::TAU).cos() * state[0] - r * r * state[1];
                state[1] = state[0];
                state[0] = y;
                out = y * (1.0 - r);
            }
            let syllable = 0.6 + 0.4 * (t * 5.0 * std::f64::consts::TAU).sin();
            (14_000.0 * (out * 5_000.0 * syllable).tanh()) as i16
        })
        .collect()
}
