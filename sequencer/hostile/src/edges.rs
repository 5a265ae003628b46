//! What comes to the edges: tokens that systems show, and files that patients hand on.

use accounting::{Entry, Export};
use model::Millis;
use tokens::{Expected, Keys, Verifier};

const JWKS: &[u8] = include_bytes!("../../tokens/tests/tokens/vectors/jwks.json");
const TOKENS: [&str; 2] = [
    include_str!("../../tokens/tests/tokens/vectors/rs384.jwt"),
    include_str!("../../tokens/tests/tokens/vectors/es384.jwt"),
];

/// A bearer token, and the JWKS that the bytes may be instead.
///
/// # Panics
/// If a token is taken that the issuer did not sign.
pub fn bearer_token(bytes: &[u8]) {
    // Whatever it holds, it is no key of the issuer below.
    _ = Keys::from_jwks(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let keys = Keys::from_jwks(JWKS).expect("the issuer's keys are read");
    let expected = Expected {
        issuer: "https://auth.example.org".into(),
        audience: "https://node.example.org/fhir".into(),
        skew_ms: 0,
        lifetime_ms_max: 3_600_000,
    };
    let now = Millis::from_block_timestamp(1_764_500_010);
    if Verifier::new(keys, expected).check(text, now).is_ok() {
        assert!(TOKENS.iter().any(|token| token.trim_end() == text), "signed by nobody");
    }
}

/// A file that a log was written to, and the settled claim that the bytes may be instead.
///
/// # Panics
/// If one that is read has other bytes than it would be written with.
pub fn export(bytes: &[u8]) {
    if let Ok(export) = Export::read(bytes) {
        assert_eq!(export.to_text().as_bytes(), bytes, "one file, one text");
    }
    if let Ok(entry) = Entry::from_bytes(bytes) {
        assert_eq!(entry.to_bytes(), bytes, "one claim, one encoding");
    }
}
