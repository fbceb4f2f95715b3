//! Spoken words made comparable, and phrases found in them.
//!
//! Everything is compared *folded*: lower case, accents off, punctuation gone, single spaces. An apostrophe
//! joins an English contraction ("don't" is "dont") and parts a French or Italian elision ("c'est" is "c est").

mod fuzzy;
mod pack;
mod phrases;
#[cfg(test)]
mod tests;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

pub use self::{
    pack::{PackError, PhraseHit, PhrasePack},
    phrases::{Hit, PhraseSet},
};

/// Lower case, accents and punctuation off, words parted by single spaces.
#[must_use]
pub fn fold(text: &str) -> String {
    let letters: Vec<char> =
        text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    let mut folded = String::with_capacity(text.len());
    for (i, &c) in letters.iter().enumerate() {
        match c {
            'ß' => folded.push_str("ss"),
            'œ' => folded.push_str("oe"),
            'æ' => folded.push_str("ae"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            _ if is_apostrophe(c) => {
                if !joins(&letters, i) {
                    part(&mut folded);
                }
            }
            // A second fold must change nothing: what only now became a mark is dropped as well.
            _ if is_combining_mark(c) => {}
            _ if c.is_alphanumeric() => folded.push(c),
            _ => part(&mut folded),
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// The folded words of a text.
#[must_use]
pub fn tokens(text: &str) -> Vec<String> {
    fold(text).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn part(folded: &mut String) {
    if !folded.is_empty() && !folded.ends_with(' ') {
        folded.push(' ');
    }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | '‘' | 'ʼ' | '`' | '´' | '′')
}

/// Whether the apostrophe at `i` stands in a contraction: what follows it is `t`, `s`, `re`, `ve`, `ll`, `d`, `m`.
fn joins(letters: &[char], i: usize) -> bool {
    let before = i > 0 && letters[i - 1].is_alphanumeric();
    let after: String = letters[i + 1..].iter().take_while(|c| c.is_alphanumeric()).collect();
    before && matches!(after.as_str(), "t" | "s" | "re" | "ve" | "ll" | "d" | "m" | "em")
}
