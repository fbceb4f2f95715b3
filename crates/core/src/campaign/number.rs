//! Telephone numbers as the log may show them.

/// A number with its middle hidden: `+33612345678` becomes `+3361****78`. Short ones are hidden entirely.
#[must_use]
pub fn mask(number: &str) -> String {
    const SHOWN_FIRST: usize = 5;
    const SHOWN_LAST: usize = 2;
    let length = number.chars().count();
    if length < SHOWN_FIRST + SHOWN_LAST + 2 {
        return "****".to_owned();
    }
    let first: String = number.chars().take(SHOWN_FIRST).collect();
    let last: String = number.chars().skip(length - SHOWN_LAST).collect();
    format!("{first}****{last}")
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn hides_the_middle_and_all_of_a_short_one() {
        assert_eq!(mask("+33612345678"), "+3361****78");
        assert_eq!(mask("1000"), "****");
        assert_eq!(mask(""), "****");
        assert_eq!(mask("éééééééééé"), "ééééé****éé");
    }
}
