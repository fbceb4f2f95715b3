use super::{filter, mask_number};

#[test]
fn numbers_are_masked() {
    for (number, shown) in [
        ("+33612345678", "+336******78"),
        ("33612345678", "3361*****78"),
        ("1000", "**00"),
        ("+3361234", "******34"),
        ("12", "**"),
        ("", ""),
        ("+336é2345678", "+336******78"),
    ] {
        assert_eq!(mask_number(number), shown);
    }
}

#[test]
fn the_switch_client_stays_quiet_whatever_is_asked() {
    for level in ["debug", "trace", "info,freeswitch_esl_tokio=trace"] {
        let text = filter(level).expect("a level").to_string();
        assert!(text.contains("freeswitch_esl_tokio=error"), "{text}");
        assert!(!text.contains("freeswitch_esl_tokio=trace"), "{text}");
        assert!(text.contains("sqlx::query=error"), "{text}");
    }
    assert!(filter("sidetone=loud").is_err());
}
