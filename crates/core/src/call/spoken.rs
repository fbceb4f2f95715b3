//! Which language a call is in, where the scenario leaves it open: heard on its first speech, decided once.

use std::time::Duration;

/// Of so much voice the language is believed where it is this likely.
const ENOUGH: Duration = Duration::from_secs(1);
const SURE: f32 = 0.8;
/// Of so much voice it is believed in any case.
const MUCH: Duration = Duration::from_millis(2300);
/// Short answers decide when so many in a row are in one language.
const IN_A_ROW: u32 = 4;

/// The likeliest of the allowed languages for a stretch of speech.
#[derive(Debug, Clone, PartialEq)]
pub struct LanguageHeard {
    /// `en`, `fr`...
    pub language: String,
    /// Its probability among those allowed, 0 to 1.
    pub probability: f32,
    /// How much of the stretch is voice.
    pub voiced: Duration,
}

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    last: Option<String>,
    in_a_row: u32,
    decided: bool,
}

impl Spoken {
    /// Whether this settles it. Nothing is heard any more once it is settled.
    pub(super) fn hear(&mut self, heard: &LanguageHeard) -> bool {
        let same = self.last.as_deref() == Some(heard.language.as_str());
        self.in_a_row = if same { self.in_a_row + 1 } else { 1 };
        self.last = Some(heard.language.clone());
        self.decided = heard.voiced >= MUCH
            || (heard.voiced >= ENOUGH && heard.probability >= SURE)
            || self.in_a_row >= IN_A_ROW;
        self.decided
    }

    pub(super) fn is_decided(&self) -> bool {
        self.decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(language: &str, probability: f32, voiced_ms: u64) -> LanguageHeard {
        LanguageHeard { language: language.to_owned(), probability, voiced: Duration::from_millis(voiced_ms) }
    }

    #[test]
    fn much_voice_or_sure_or_repeated_settles_it() {
        assert!(!Spoken::default().hear(&heard("fr", 0.99, 400)), "one short word");
        assert!(!Spoken::default().hear(&heard("fr", 0.6, 1500)), "unsure");
        assert!(Spoken::default().hear(&heard("fr", 0.9, 1000)));
        assert!(Spoken::default().hear(&heard("fr", 0.6, 2300)));
        let mut spoken = Spoken::default();
        let answers = ["en", "fr", "fr", "fr", "fr"].map(|language| spoken.hear(&heard(language, 0.7, 400)));
        assert_eq!(answers, [false, false, false, false, true]);
    }
}
