//! Keys that are read, rolled and refused, and a SMART server for the tests of other doors.

use serde_json::json;

use super::*;

#[path = "../../../tokens/tests/tokens/issuer.rs"]
mod issuer;

use issuer::Issuer;

/// When the tokens of these tests begin, seconds.
pub(crate) const BEGIN: u64 = 1_777_624_200;
const AUDIENCE: &str = "https://node.example.org/fhir";

/// A SMART server whose public key lies in a folder.
pub(crate) struct SmartServer {
    issuer: Issuer,
    folder: tempfile::TempDir,
}

impl SmartServer {
    pub(crate) fn new() -> SmartServer {
        let server = SmartServer { issuer: Issuer::new(), folder: tempfile::tempdir().unwrap() };
        server.write(&server.issuer.jwks());
        server
    }

    fn write(&self, jwks: &str) {
        std::fs::write(self.folder.path().join("jwks.json"), jwks).unwrap();
    }

    pub(crate) fn section(&self) -> TokensSection {
        TokensSection {
            jwks_file: Some(self.folder.path().join("jwks.json")),
            issuer: "https://auth.example.org".into(),
            audience: AUDIENCE.into(),
            ..TokensSection::default()
        }
    }

    pub(crate) fn issuer(&self) -> TokenIssuer {
        TokenIssuer::open(&self.section()).unwrap().expect("keys are given")
    }

    /// The headers of a request that shows such a token.
    pub(crate) fn headers(&self, subject: &str, scope: &str) -> HeaderMap {
        let token = self.issuer.token(&json!({
            "iss": "https://auth.example.org", "aud": AUDIENCE, "sub": subject, "iat": BEGIN,
            "exp": BEGIN + 300, "scope": scope,
        }));
        let value = format!("Bearer {token}").parse().unwrap();
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }
}

fn now() -> Millis {
    Millis::from_block_timestamp(BEGIN + 1)
}

#[test]
fn without_keys_there_is_no_issuer_and_with_bad_ones_no_start() {
    assert!(TokenIssuer::open(&TokensSection::default()).unwrap().is_none());
    let server = SmartServer::new();
    let mut section = server.section();
    server.write("{\"keys\": []}");
    let refused = TokenIssuer::open(&section).unwrap_err();
    assert!(matches!(refused, TokenIssuerError::Keys { source: JwksError::NoKey, .. }));
    section.jwks_file = Some("/nowhere/jwks.json".into());
    let refused = TokenIssuer::open(&section).unwrap_err();
    assert!(refused.to_string().contains("/nowhere/jwks.json"), "{refused}");
}

#[test]
fn keys_are_rolled_without_a_restart_and_a_file_that_is_none_changes_nothing() {
    let (before, after) = (SmartServer::new(), SmartServer::new());
    let issuer = before.issuer();
    let headers = [&before, &after].map(|server| server.headers("ehr", "system/Consent.r"));
    let taken = || headers.each_ref().map(|headers| issuer.bearer(headers, now()).is_ok());
    assert_eq!(taken(), [true, false]);
    before.write("{\"keys\": [");
    assert!(issuer.read_again().is_err());
    assert_eq!(taken(), [true, false]);
    before.write(&after.issuer.jwks());
    let keys = issuer.read_again().unwrap();
    assert_eq!(taken(), [true, false], "read and not taken over");
    issuer.replace_keys(keys);
    assert_eq!(taken(), [false, true], "the key before signs nothing any more");
}

#[test]
fn of_two_tokens_in_one_request_none_is_believed() {
    let server = SmartServer::new();
    let issuer = server.issuer();
    let mut headers = server.headers("ehr", "system/Consent.r");
    assert!(issuer.bearer(&headers, now()).is_ok());
    headers.append(header::AUTHORIZATION, "Bearer a.b.c".parse().unwrap());
    assert_eq!(issuer.bearer(&headers, now()).err(), Some(TokenError::NotBearer));
    assert_eq!(issuer.bearer(&HeaderMap::new(), now()).err(), Some(TokenError::NotBearer));
}

#[test]
fn links_begin_with_the_audience_without_a_slash_behind_it() {
    let server = SmartServer::new();
    let section = TokensSection { audience: format!("{AUDIENCE}/"), ..server.section() };
    assert_eq!(TokenIssuer::open(&section).unwrap().unwrap().base(), AUDIENCE);
}
