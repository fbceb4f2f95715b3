//! Where a telephone number lies.

use std::sync::OnceLock;

use super::number::country_of_placeless;

/// `Zone,Zone|prefix prefix...` a line; the longest prefix decides.
const DATA: &str = include_str!("../../data/zones.txt");

/// The IANA time zones that a number may lie in, sorted and parted by commas; empty where that is not known. As in
/// libphonenumber: of a number given out to a place its longest known prefix says it; a mobile of most countries may be
/// anywhere in its country.
#[must_use]
pub fn zones_of(e164: &str) -> &'static str {
    let digits = e164.strip_prefix('+').unwrap_or(e164);
    let table = table();
    let of_country = country_of_placeless(e164).and_then(|code| table.zones(&code.to_string()));
    let known = digits.bytes().take(table.longest).take_while(u8::is_ascii_digit).count();
    let by_prefix = || (1..=known).rev().find_map(|length| table.zones(&digits[..length]));
    of_country.or_else(by_prefix).unwrap_or_default()
}

struct Table {
    /// Sorted by prefix.
    by_prefix: Vec<(&'static str, &'static str)>,
    /// Digits of the longest prefix.
    longest: usize,
}

impl Table {
    fn zones(&self, prefix: &str) -> Option<&'static str> {
        let at = self.by_prefix.binary_search_by_key(&prefix, |(prefix, _)| prefix).ok()?;
        Some(self.by_prefix[at].1)
    }
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let lines = DATA.lines().filter_map(|line| line.split_once('|'));
        let mut by_prefix: Vec<_> = lines
            .flat_map(|(zones, prefixes)| prefixes.split(' ').map(move |prefix| (prefix, zones)))
            .collect();
        by_prefix.sort_unstable();
        let longest = by_prefix.iter().map(|(prefix, _)| prefix.len()).max().unwrap_or_default();
        Table { by_prefix, longest }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_says_where_a_number_lies() {
        for (number, zones) in [
            ("+33612345678", "Europe/Paris"),
            ("+12015550123", "America/New_York"),
            ("+12125550123", "America/New_York"),
            ("+13105550123", "America/Los_Angeles"),
            ("+262262123456", "Indian/Reunion"),
            ("+262692123456", "Indian/Mayotte,Indian/Reunion"),
            ("+390236618300", "Europe/Rome"),
            ("+442079460018", "Europe/London"),
            ("+59899123456", "America/Montevideo"),
            ("+999", ""),
            ("", ""),
            ("forgotten-1", ""),
        ] {
            assert_eq!(zones_of(number), zones, "{number}");
        }
        for mobile in ["+61412345678", "+79161234567"] {
            assert!(zones_of(mobile).split(',').count() > 5, "anywhere in the country: {mobile}");
        }
    }

    #[test]
    fn the_data_is_whole() {
        let table = table();
        assert!(table.by_prefix.len() > 3000);
        assert!(table.by_prefix.windows(2).all(|pair| pair[0].0 < pair[1].0), "each prefix once");
        for (prefix, zones) in &table.by_prefix {
            let mut sorted: Vec<_> = zones.split(',').collect();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.join(","), *zones, "{prefix}");
        }
    }
}
