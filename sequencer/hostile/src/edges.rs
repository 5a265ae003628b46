//! What comes to the edges: tokens that systems show, and files that patients hand on.

use accounting::{Asker, Entry, Export, Page, Search};
use model::{ChainScope, Millis};
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

/// A file that a log was written to, the settled claim that the bytes may be instead, and the
/// search for events that they may be.
///
/// # Panics
/// If one that is read has other bytes than it would be written with, or if the link of a search's
/// page is another search.
pub fn export(bytes: &[u8]) {
    if let Ok(export) = Export::read(bytes) {
        assert_eq!(export.to_text().as_bytes(), bytes, "one file, one text");
    }
    if let Ok(entry) = Entry::from_bytes(bytes) {
        assert_eq!(entry.to_bytes(), bytes, "one claim, one encoding");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        search(text);
    }
}

fn search(query: &str) {
    let Ok(search) = Search::parse(&parameters(query)) else { return };
    assert_eq!(search.allow(&Asker::Patient(search.patient)), Ok(()), "the own record");
    assert!((1..=200).contains(&search.count), "a page within its limit");
    let scope = ChainScope { chain_id: 31_337, contract: [9; 20] };
    let page = Page { entries: Vec::new(), next: None, base: "https://node.example.org", scope };
    let bundle = search.bundle(&page);
    let link = bundle["link"][0]["url"].as_str().expect("a link to itself");
    let (_, query) = link.split_once('?').expect("with its parameters");
    assert!(query.bytes().all(|byte| byte.is_ascii_graphic()), "an address: {query}");
    assert!(Search::parse(&parameters(query)).is_ok_and(|again| again == search), "{query}");
}

/// Names and values of a query, decoded.
fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.extend([&[byte][..], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
