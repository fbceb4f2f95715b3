//! Phrases found in a text, on word boundaries only; where they overlap the longest wins.

use aho_corasick::{AhoCorasick, BuildError};

use super::fold;

/// Stands in a phrase for any run of digits, written or spoken: "you have reached <digits>".
const DIGITS: &str = "<digits>";
/// What a run of digits becomes in the text; no folded word can be this.
const DIGITS_WORD: &str = "#";

/// A phrase that was found. `start` and `end` count words of the text; `end` is past the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<'s, T> {
    pub phrase: &'s str,
    pub value: &'s T,
    pub weight: f32,
    pub start: usize,
    pub end: usize,
}

/// A set of phrases, each with a value and a weight.
#[derive(Debug, Clone)]
pub struct PhraseSet<T> {
    entries: Vec<Entry<T>>,
    plain: Automaton,
    /// Phrases with `<digits>` in them; they are sought in the text with its digit runs replaced.
    digits: Automaton,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    phrase: String,
    value: T,
    weight: f32,
}

#[derive(Debug, Clone)]
struct Automaton {
    search: Option<AhoCorasick>,
    /// Pattern number to entry number.
    entries: Vec<usize>,
}

impl<T> PhraseSet<T> {
    /// Compiles phrases; those that fold to nothing are left out.
    ///
    /// # Errors
    /// More phrases than the automaton can hold.
    pub fn new(phrases: impl IntoIterator<Item = (String, T, f32)>) -> Result<Self, BuildError> {
        let mut entries = Vec::new();
        let (mut plain, mut digits) = (Vec::new(), Vec::new());
        for (phrase, value, weight) in phrases {
            let folded = fold_phrase(&phrase);
            if folded.is_empty() {
                continue;
            }
            let list = if phrase.contains(DIGITS) { &mut digits } else { &mut plain };
            list.push((format!(" {folded} "), entries.len()));
            entries.push(Entry { phrase, value, weight });
        }
        Ok(Self { entries, plain: Automaton::new(plain)?, digits: Automaton::new(digits)? })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The phrases in `text`, in its order, none overlapping: the one with most words (then letters) wins.
    #[must_use]
    pub fn hits(&self, text: &str) -> Vec<Hit<'_, T>> {
        let folded = fold(text);
        let words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
        let mut found: Vec<(usize, usize, usize)> =
            self.plain.find(&words, &(0..=words.len()).collect::<Vec<_>>());
        if self.digits.search.is_some() {
            let (run_words, starts) = join_digits(&words);
            found.extend(self.digits.find(&run_words, &starts));
        }
        found.sort_by_key(|&(entry, start, end)| {
            let letters = self.entries[entry].phrase.len();
            (std::cmp::Reverse(end - start), std::cmp::Reverse(letters), start, entry)
        });
        let mut kept: Vec<(usize, usize, usize)> = Vec::new();
        for (entry, start, end) in found {
            if kept.iter().all(|&(_, s, e)| end <= s || e <= start) {
                kept.push((entry, start, end));
            }
        }
        kept.sort_by_key(|&(_, start, _)| start);
        kept.into_iter().map(|(entry, start, end)| self.hit(entry, start, end)).collect()
    }

    /// Whether the text is nothing but phrases of this set.
    #[must_use]
    pub fn covers(&self, text: &str) -> bool {
        let words = fold(text).split(' ').filter(|word| !word.is_empty()).count();
        words > 0 && self.uncovered(text).is_empty()
    }

    /// The words of the text, folded, that belong to no phrase of this set.
    #[must_use]
    pub fn uncovered(&self, text: &str) -> Vec<String> {
        let hits = self.hits(text);
        let words = fold(text);
        let words = words.split(' ').filter(|word| !word.is_empty()).enumerate();
        words
            .filter(|(at, _)| hits.iter().all(|hit| *at < hit.start || hit.end <= *at))
            .map(|(_, word)| word.to_owned())
            .collect()
    }

    /// The phrases, folded.
    pub fn phrases(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.phrase.as_str())
    }

    fn hit(&self, entry: usize, start: usize, end: usize) -> Hit<'_, T> {
        let Entry { phrase, value, weight } = &self.entries[entry];
        Hit { phrase, value, weight: *weight, start, end }
    }
}

impl Automaton {
    fn new(patterns: Vec<(String, usize)>) -> Result<Self, BuildError> {
        let (patterns, entries): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        let search = if patterns.is_empty() { None } else { Some(AhoCorasick::new(&patterns)?) };
        Ok(Self { search, entries })
    }

    /// Entry, first word, past the last word. `starts[i]` is the text's word number at `words[i]`.
    fn find(&self, words: &[&str], starts: &[usize]) -> Vec<(usize, usize, usize)> {
        let Some(search) = &self.search else { return Vec::new() };
        let padded = format!(" {} ", words.join(" "));
        let word_at: Vec<usize> = padded
            .bytes()
            .scan(0, |spaces, byte| {
                *spaces += usize::from(byte == b' ');
                Some(*spaces - 1)
            })
            .collect();
        search
            .find_overlapping_iter(&padded)
            .map(|m| {
                let first = word_at[m.start()];
                let past = word_at[m.end() - 1];
                (self.entries[m.pattern().as_usize()], starts[first], starts[past])
            })
            .collect()
    }
}

fn fold_phrase(phrase: &str) -> String {
    let parts: Vec<String> = phrase.split(DIGITS).map(fold).collect();
    let joined = parts.join(&format!(" {DIGITS_WORD} "));
    joined.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words with every run of digits as one word, and each one's number in the original.
fn join_digits<'w>(words: &[&'w str]) -> (Vec<&'w str>, Vec<usize>) {
    let (mut out, mut starts) = (Vec::new(), Vec::new());
    for (i, word) in words.iter().enumerate() {
        if is_number(word) {
            if out.last() != Some(&DIGITS_WORD) {
                out.push(DIGITS_WORD);
                starts.push(i);
            }
        } else {
            out.push(*word);
            starts.push(i);
        }
    }
    starts.push(words.len());
    (out, starts)
}

/// Written digits, or the digits' names in the languages we speak.
fn is_number(word: &str) -> bool {
    const NAMES: [&str; 57] = [
        "zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "double", "triple", "un", "deux", "trois", "quatre", "cinq", "sept", "huit", "neuf", "dix", "null",
        "eins", "zwei", "zwo", "drei", "vier", "funf", "sechs", "sieben", "acht", "neun", "zehn", "cero",
        "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "due", "tre",
        "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "vingt", "hundred",
    ];
    word.bytes().all(|b| b.is_ascii_digit()) || NAMES.contains(&word)
}
