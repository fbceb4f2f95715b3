//! From texts and the words' true ends to lags.

use sidetone_core::text::tokens;

use super::talker::{Text, Timeline};

/// A text may hold words that end this much past its stretch, by the alignment's reckoning.
const SLACK_S: f64 = 0.3;

/// Words' lags, with when they were said.
#[derive(Debug, Default)]
pub(super) struct Lags {
    /// (end in the timeline, lag), seconds.
    shown: Vec<(f64, f64)>,
    missed: usize,
}

impl Lags {
    /// Adds a talker's words that end after `from`.
    pub(super) fn add(&mut self, timeline: &Timeline, texts: &[Text], from: f64) {
        let words: Vec<(f64, String)> = timeline
            .words
            .iter()
            .filter_map(|(end, word)| Some((*end, tokens(word).into_iter().next()?)))
            .collect();
        let mut first: Vec<Option<f64>> = vec![None; words.len()];
        for text in texts {
            let begin = words.partition_point(|(end, _)| *end < text.from);
            let end = words.partition_point(|(end, _)| *end <= text.to + SLACK_S);
            let said: Vec<&str> = words[begin..end].iter().map(|(_, word)| word.as_str()).collect();
            for at in matched(&said, &tokens(&text.text)) {
                first[begin + at].get_or_insert(text.at);
            }
        }
        for ((end, _), first) in words.iter().zip(first).filter(|((end, _), _)| *end >= from) {
            match first {
                Some(at) => self.shown.push((*end, (at - end).max(0.0))),
                None => self.missed += 1,
            }
        }
    }

    pub(super) fn words(&self) -> usize {
        self.shown.len() + self.missed
    }

    pub(super) fn missed(&self) -> f64 {
        self.missed as f64 / self.words().max(1) as f64
    }

    pub(super) fn quantile_ms(&self, q: f64) -> f64 {
        quantile_ms(self.shown.iter().map(|(_, lag)| *lag).collect(), q)
    }

    /// The quantile in each fifth of the time from `from`.
    pub(super) fn by_fifth_ms(&self, from: f64, seconds: f64, q: f64) -> Vec<f64> {
        (0..5)
            .map(|fifth| {
                let start = from + seconds * f64::from(fifth) / 5.0;
                let within = |end: f64| (start..start + seconds / 5.0).contains(&end);
                let lags = self.shown.iter().filter(|(end, _)| within(*end)).map(|(_, lag)| *lag);
                quantile_ms(lags.collect(), q)
            })
            .collect()
    }
}

pub(super) fn quantile_ms(mut seconds: Vec<f64>, q: f64) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let at = (seconds.len() as f64 * q).ceil() as usize;
    seconds.get(at.saturating_sub(1)).map_or(0.0, |lag| lag * 1000.0)
}

/// Which of `said` stand in `heard`, in order: their longest common subsequence.
fn matched(said: &[&str], heard: &[String]) -> Vec<usize> {
    let mut best = vec![vec![0u16; heard.len() + 1]; said.len() + 1];
    for i in (0..said.len()).rev() {
        for j in (0..heard.len()).rev() {
            best[i][j] =
                if said[i] == heard[j] { best[i + 1][j + 1] + 1 } else { best[i + 1][j].max(best[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < said.len() && j < heard.len() {
        if said[i] == heard[j] {
            found.push(i);
            (i, j) = (i + 1, j + 1);
        } else if best[i + 1][j] >= best[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(at: f64, to: f64, text: &str) -> Text {
        Text { at, from: 0.0, to, text: text.to_owned() }
    }

    #[test]
    fn a_words_lag_is_to_the_first_text_it_stands_in() {
        let words = [(0.5, "Please"), (1.0, "hold"), (1.6, "the"), (2.0, "line.")];
        let words: Vec<(f64, String)> = words.map(|(end, word)| (end, word.to_owned())).into();
        let timeline = Timeline { talker: 0, pcm: [].into(), words: words.into() };
        let texts = [
            text(1.2, 1.1, "please cold"),
            text(1.9, 1.7, "Please hold the"),
            text(2.6, 2.3, "Please hold the lion."),
        ];
        let mut lags = Lags::default();
        lags.add(&timeline, &texts, 0.0);
        assert_eq!(lags.words(), 4);
        assert!((lags.missed() - 0.25).abs() < 1e-9);
        let mut shown: Vec<i64> = lags.shown.iter().map(|(_, lag)| (lag * 1000.0).round() as i64).collect();
        shown.sort_unstable();
        assert_eq!(shown, [300, 700, 900]);
        assert!((lags.quantile_ms(0.5) - 700.0).abs() < 1.0);
        assert_eq!(lags.by_fifth_ms(0.0, 2.5, 0.95).len(), 5);
    }
}
