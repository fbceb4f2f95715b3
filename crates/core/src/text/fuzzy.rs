//! Phrases that a recogniser misheard by a letter or two: "muchas gracias por su pasion" for "... paciencia".
//!
//! A stretch of words is taken for a phrase when their letters differ by few edits (Damerau-Levenshtein, scaled by
//! the longer of the two). Only long phrases are sought so: short ones have too many neighbours.

use strsim::normalized_damerau_levenshtein;

use super::fold;

/// Letters and spaces of a phrase that is worth seeking.
const SHORTEST: usize = 16;
const FEWEST_WORDS: usize = 3;
/// The share of letters that must agree, in a short phrase and in one of [`LONG`] letters or more.
const ALIKE_SHORT: f64 = 0.86;
const ALIKE_LONG: f64 = 0.82;
const LONG: usize = 24;

/// Phrases with a value each.
#[derive(Debug)]
pub(super) struct FuzzySet<T> {
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    phrase: String,
    words: usize,
    letters: Letters,
    value: T,
}

/// How often each letter stands in a text: two texts differ by at least half of what these differ by.
type Letters = [u8; 27];

/// A phrase that is nearly there. `start` and `end` count words; `end` is past the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Near<'s, T> {
    pub(super) phrase: &'s str,
    pub(super) value: &'s T,
    /// The share of letters that agree.
    pub(super) similarity: f64,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<T> FuzzySet<T> {
    /// Keeps what is long enough.
    pub(super) fn new(phrases: impl IntoIterator<Item = (String, T)>) -> Self {
        let entries = phrases
            .into_iter()
            .filter(|(phrase, _)| !phrase.contains('<'))
            .map(|(phrase, value)| (fold(&phrase), value))
            .filter(|(phrase, _)| phrase.len() >= SHORTEST && phrase.split(' ').count() >= FEWEST_WORDS)
            .map(|(phrase, value)| Entry {
                words: phrase.split(' ').count(),
                letters: letters(&phrase),
                phrase,
                value,
            })
            .collect();
        Self { entries }
    }

    /// The nearest phrase for each stretch of words; stretches may overlap.
    pub(super) fn near(&self, text: &str) -> Vec<Near<'_, T>> {
        let folded = fold(text);
        let words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
        self.entries.iter().filter_map(|entry| entry.nearest(&words)).collect()
    }
}

impl<T> Entry<T> {
    fn nearest(&self, words: &[&str]) -> Option<Near<'_, T>> {
        let sizes = self.words.saturating_sub(1)..=self.words + 1;
        let (similarity, start, end) = sizes
            .flat_map(|size| {
                (0..words.len().saturating_sub(size - 1)).map(move |start| (start, start + size))
            })
            .filter_map(|(start, end)| Some((self.similarity(&words[start..end])?, start, end)))
            .max_by(|a, b| a.0.total_cmp(&b.0))?;
        let Self { phrase, value, .. } = self;
        (similarity >= self.alike()).then_some(Near { phrase, value, similarity, start, end })
    }

    fn alike(&self) -> f64 {
        if self.phrase.len() >= LONG { ALIKE_LONG } else { ALIKE_SHORT }
    }

    fn similarity(&self, words: &[&str]) -> Option<f64> {
        let text = words.join(" ");
        let longer = text.len().max(self.phrase.len());
        let differing: u32 =
            letters(&text).iter().zip(&self.letters).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let possible = 1.0 - f64::from(differing) / 2.0 / longer as f64;
        (possible >= self.alike()).then(|| normalized_damerau_levenshtein(&text, &self.phrase))
    }
}

fn letters(text: &str) -> Letters {
    let mut counts = [0_u8; 27];
    for byte in text.bytes().filter(|byte| *byte != b' ') {
        let slot = if byte.is_ascii_lowercase() { usize::from(byte - b'a') } else { 26 };
        counts[slot] = counts[slot].saturating_add(1);
    }
    counts
}
