//! Which prefix of the partial hypotheses is stable.
//!
//! LocalAgreement-2, as in D. Machacek, R. Dabre, O. Bojar, "Turning Whisper into Real-Time Transcription System"
//! (2023), after D. Liu et al. (2020): the live stretch is transcribed again and again while it grows, and the
//! words on which the last two transcripts agree, from the first uncommitted one on, are committed. Words are
//! compared folded (case, accents, punctuation off) and kept as written. What is committed is never taken back.

use std::time::Duration;

use crate::text;

#[cfg(test)]
mod tests;

/// Longest run of words looked for where two stretches meet.
const SEAM_WORDS: usize = 5;
/// A stretch that begins this soon after the committed words may repeat their last ones.
const SEAM: Duration = Duration::from_secs(1);
/// How many words a later transcript may have split or merged within what is committed already.
const SLACK: usize = 3;

/// One word as the recogniser wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// Media time at which the audio ended that it was first heard in: it was said by then, and not much before the
    /// look before that.
    pub heard: Duration,
    folded: String,
}

/// What one more transcript changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Newly certain; to be appended to what was committed before.
    pub committed: Vec<Word>,
    /// What follows in the newest transcript and may still change.
    pub unstable: Vec<Word>,
}

/// The transcripts so far of one utterance.
#[derive(Debug, Clone, Default)]
pub struct Hypothesis {
    committed: Vec<Word>,
    /// How many of the committed words lie before the audio that is still transcribed.
    closed: usize,
    unstable: Vec<Word>,
    /// Where the audio of the newest transcript ended.
    to: Duration,
    /// Where the audio ended that the last committed word was heard in.
    committed_to: Duration,
    /// The stretch begins right after committed words and may repeat them.
    seam: bool,
}

impl Hypothesis {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a transcript of the whole stretch up to `to`. One that is older than the last is ignored.
    pub fn update(&mut self, transcript: &str, to: Duration) -> Delta {
        if to < self.to {
            return Delta { committed: Vec::new(), unstable: self.unstable.clone() };
        }
        self.to = to;
        let mut fresh = words(transcript, to);
        fresh.drain(..self.already_committed(&fresh));
        let agreed = fresh.iter().zip(&self.unstable).take_while(|(a, b)| a.folded == b.folded).count();
        for (word, before) in fresh.iter_mut().zip(&self.unstable[..agreed]) {
            word.heard = before.heard;
        }
        let unstable = fresh.split_off(agreed);
        if agreed > 0 {
            self.committed_to = to;
        }
        self.committed.extend(fresh.iter().cloned());
        self.unstable.clone_from(&unstable);
        Delta { committed: fresh, unstable }
    }

    /// From here on transcripts begin at `from`: the audio before it was dropped, and with it the words that
    /// were still unstable there. The next transcripts' first words are dropped where they repeat the last
    /// committed ones.
    pub fn cut(&mut self, from: Duration) {
        self.closed = self.committed.len();
        self.unstable.clear();
        self.seam = from <= self.committed_to + SEAM;
    }

    /// The certain words, in order.
    #[must_use]
    pub fn committed(&self) -> &[Word] {
        &self.committed
    }

    /// The newest transcript's words that may still change.
    #[must_use]
    pub fn unstable(&self) -> &[Word] {
        &self.unstable
    }

    /// Everything heard, certain or not.
    #[must_use]
    pub fn text(&self) -> String {
        let all: Vec<&str> =
            self.committed.iter().chain(&self.unstable).map(|word| word.text.as_str()).collect();
        all.join(" ")
    }

    /// Nothing more will come: everything heard. Starts afresh.
    pub fn finish(&mut self) -> String {
        let text = self.text();
        self.reset();
        text
    }

    /// Forgets everything, for the next utterance.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// How many words at the transcript's beginning were committed before.
    fn already_committed(&self, fresh: &[Word]) -> usize {
        let open = &self.committed[self.closed..];
        let repeated = if self.seam { repeated_tail(&self.committed[..self.closed], fresh) } else { 0 };
        let fresh = &fresh[repeated..];
        if open.is_empty() {
            return repeated;
        }
        if fresh.len() >= open.len() && same(&fresh[..open.len()], open) {
            return repeated + open.len();
        }
        // The recogniser changed its mind about a committed word: go on behind the longest run of them that
        // it still says at about the same place.
        let anchored = (1..=SEAM_WORDS.min(open.len())).rev().find_map(|n| {
            let tail = &open[open.len() - n..];
            (n..=fresh.len())
                .filter(|&end| end.abs_diff(open.len()) <= SLACK && same(&fresh[end - n..end], tail))
                .min_by_key(|end| end.abs_diff(open.len()))
        });
        repeated + anchored.unwrap_or(open.len()).min(fresh.len())
    }
}

/// Two texts that follow each other, the second's first words left out where they repeat the first's last ones; the
/// very last may have been cut in two and is then the second's.
#[must_use]
pub fn joined(first: &str, second: &str) -> String {
    let (mut before, after) = (words(first, Duration::ZERO), words(second, Duration::ZERO));
    let whole = repeated_tail(&before, &after);
    let mut repeated = whole;
    if whole == 0 && before.len() > 1 {
        repeated = repeated_tail(&before[..before.len() - 1], &after);
        if repeated > 0 {
            before.pop();
        }
    }
    let all: Vec<&str> = before.iter().chain(&after[repeated..]).map(|word| word.text.as_str()).collect();
    all.join(" ")
}

/// How many of the first words, five down to one, repeat the last committed ones.
fn repeated_tail(committed: &[Word], fresh: &[Word]) -> usize {
    let longest = SEAM_WORDS.min(committed.len()).min(fresh.len());
    (1..=longest).rev().find(|&n| same(&committed[committed.len() - n..], &fresh[..n])).unwrap_or(0)
}

fn same(a: &[Word], b: &[Word]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.folded == b.folded)
}

/// The words of a text; what folds to nothing (a dash, a note sign) is none.
fn words(transcript: &str, heard: Duration) -> Vec<Word> {
    transcript
        .split_whitespace()
        .map(|word| Word { text: word.to_owned(), heard, folded: text::fold(word) })
        .filter(|word| !word.folded.is_empty())
        .collect()
}
