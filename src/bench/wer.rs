//! Word error rate, both texts made alike first: folded, numbers as words.

use sidetone_core::text::tokens;

/// Wrong words of many clips together.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Errors {
    pub(super) words: usize,
    pub(super) wrong: usize,
}

impl Errors {
    pub(super) fn add(&mut self, reference: &str, heard: &str, language: &str) {
        let (reference, heard) = (words(reference, language), words(heard, language));
        self.words += reference.len();
        self.wrong += distance(&reference, &heard);
    }

    /// Substituted, missing and added words over the reference's words.
    pub(super) fn rate(self) -> f64 {
        self.wrong as f64 / self.words.max(1) as f64
    }
}

/// The words compared: lower case, no accents, no punctuation, whole numbers below a hundred spelt out.
pub(super) fn words(text: &str, language: &str) -> Vec<String> {
    tokens(text).into_iter().flat_map(|word| spelt(word, language)).collect()
}

const EN: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const EN_TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const FR: [&str; 20] = [
    "zero", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze",
    "treize", "quatorze", "quinze", "seize", "dix sept", "dix huit", "dix neuf",
];
const FR_TENS: [&str; 8] = [
    "vingt",
    "trente",
    "quarante",
    "cinquante",
    "soixante",
    "soixante dix",
    "quatre vingt",
    "quatre vingt dix",
];

fn spelt(word: String, language: &str) -> Vec<String> {
    let (ones, tens) = match language {
        "en" => (&EN, &EN_TENS),
        "fr" => (&FR, &FR_TENS),
        _ => return vec![word],
    };
    let text = match word.parse::<usize>() {
        Ok(n) if n < 20 => ones[n].to_owned(),
        Ok(n) if n < 100 && n.is_multiple_of(10) => tens[n / 10 - 2].to_owned(),
        Ok(n) if n < 100 => format!("{} {}", tens[n / 10 - 2], ones[n % 10]),
        _ => return vec![word],
    };
    text.split(' ').map(str::to_owned).collect()
}

/// Levenshtein's, over words.
fn distance(a: &[String], b: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_over_words_made_alike() {
        let mut errors = Errors::default();
        errors.add("Please press 1, or hold.", "please press one or hold", "en");
        assert_eq!((errors.words, errors.wrong), (5, 0));
        errors.add("You have new messages.", "You knew messages, sir", "en");
        assert_eq!((errors.words, errors.wrong), (9, 3));
        assert!((errors.rate() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_spelt_out_and_accents_do_not_count() {
        assert_eq!(words("Appuyez sur 21", "fr"), ["appuyez", "sur", "vingt", "un"]);
        assert_eq!(words("l'été", "fr"), ["l", "ete"]);
        assert_eq!(words("42", "en"), ["forty", "two"]);
        assert_eq!(words("1234", "en"), ["1234"]);
    }
}
