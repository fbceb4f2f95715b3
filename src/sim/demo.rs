//! The demo's cast, built into the program: twenty callees with their voices.

use super::{
    audio::{Clip, decode_wav},
    cast::{Cast, CastError},
};

/// The same twenty as a campaign's contacts: `number,name,day`.
pub const DEMO_CONTACTS: &str = include_str!("demo/contacts.csv");

const CAST: &str = include_str!("demo/cast.yaml");

macro_rules! clips {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("demo/", $name)).as_slice())),*]
    };
}

/// Every recording in the folder; its LICENSE.md says where each comes from.
const CLIPS: &[(&str, &[u8])] = clips![
    "comfort-noise.wav",
    "fax.wav",
    "hello-allison.wav",
    "hello-rms.wav",
    "hello-who-is-this.wav",
    "hello.wav",
    "ivr-queue.wav",
    "john-speaking.wav",
    "mailbox-is-full.wav",
    "no-i-cant.wav",
    "no-thank-you.wav",
    "screening.wav",
    "smith-and-sons.wav",
    "voicemail-forwarded.wav",
    "voicemail-john.wav",
    "voicemail-nobody.wav",
    "what-is-this-about.wav",
    "yeah-hello.wav",
    "yes-ill-be-there.wav",
    "yes-please.wav",
    "yes-real.wav",
    "yes-thats-fine.wav",
];

impl Cast {
    /// The demo's twenty callees.
    ///
    /// # Errors
    /// None in a tested build: the cast and its recordings are built in.
    pub fn demo() -> Result<Self, CastError> {
        Self::parse(CAST, "demo/cast.yaml", &find)
    }
}

fn find(name: &str) -> Result<Clip, String> {
    let (_, bytes) =
        CLIPS.iter().find(|(n, _)| *n == name).ok_or_else(|| format!("there is no `{name}` in the demo"))?;
    decode_wav(bytes, name).map(Into::into).map_err(|e| e.to_string())
}
