use sha2::Digest as _;

use super::*;

/// HMAC-SHA256 as RFC 2104 writes it down, without the crate that signs.
fn hmac_by_hand(key: &[u8], message: &[u8]) -> String {
    let mut block = [0_u8; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_signature_is_what_anybody_computes_from_time_and_body() {
    // RFC 4231, test case 2.
    assert_eq!(
        hmac_by_hand(b"Jefe", b"what do ya want for nothing?"),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    for secret in ["a secret of sixteen", &"long ".repeat(40)] {
        let body = r#"{"id":"1","text":"déjà vu"}"#;
        let expected = hmac_by_hand(secret.as_bytes(), format!("1700000000.{body}").as_bytes());
        assert_eq!(signature(secret, 1_700_000_000, body), Some(format!("t=1700000000,v1={expected}")));
    }
}

#[test]
fn another_time_body_or_secret_has_another_signature() {
    let signed = signature("a secret of sixteen", 1_700_000_000, "{}");
    assert_ne!(signed, signature("a secret of sixteen", 1_700_000_001, "{}"));
    assert_ne!(signed, signature("a secret of sixteen", 1_700_000_000, "{} "));
    assert_ne!(signed, signature("a secret of sixteeN", 1_700_000_000, "{}"));
}

#[test]
fn jitter_stays_within_its_bounds() {
    assert!((0..100).all(|_| (0.0..=1.0).contains(&jitter())));
}
