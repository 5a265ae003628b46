//! A hospital's SMART server, whose tokens a node takes.

use model::{Clock as _, SystemClock};
use serde_json::Value;

use crate::support::Site;

#[path = "../tokens/tests/tokens/issuer.rs"]
mod issuer;

pub(crate) use issuer::Issuer;

const ISSUER: &str = "https://auth.example.org";
const AUDIENCE: &str = "https://node.example.org/fhir";

/// Whoever has a token of this issuer is answered: AuditEvents are shown, for one.
pub(crate) fn trust(site: &mut Site, issuer: &Issuer) {
    publish(site, issuer);
    site.config.tokens.jwks_file = Some(site.beside("jwks.json"));
    site.config.tokens.issuer = ISSUER.into();
    site.config.tokens.audience = AUDIENCE.into();
    site.config.fhir.audit_events = true;
}

/// Has the site's file of keys hold that of the issuer.
pub(crate) fn publish(site: &Site, issuer: &Issuer) {
    std::fs::write(site.beside("jwks.json"), issuer.jwks()).unwrap();
}

/// The line of a head that shows a token with these claims, good for five minutes.
pub(crate) fn bearer(issuer: &Issuer, mut claims: Value) -> String {
    let now = SystemClock.now().unix_ms() / 1000;
    claims["iss"] = ISSUER.into();
    claims["aud"] = AUDIENCE.into();
    claims["iat"] = now.into();
    claims["exp"] = (now + 300).into();
    format!("authorization: Bearer {}\r\n", issuer.token(&claims))
}
