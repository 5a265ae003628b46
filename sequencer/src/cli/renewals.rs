//! `sequencer identity renew --all`: issues the certificates that were asked for over connections.
//!
//! The authority's key is used here and nowhere else: the node that runs has the requests, and gets
//! the certificates to hand out.

use anyhow::{Context as _, anyhow};
use model::Interval;
use model::calendar::Utc;
use sequencer::doors::config::Config;
use sequencer::folder::authority::Authority;
use sequencer::folder::layout::Layout;
use sequencer::folder::request::CertificateRequest;
use sequencer::folder::validity;
use serde::Deserialize;
use serde_json::{Value, json};
use wire::Role;

use super::listed::{now, request};
use super::outcome::{Asked, Outcome, failed};

/// What to do about an authority that has ended.
pub(super) const NEW_AUTHORITY: &str =
    "move authority/ and server/ away, run `sequencer init`, and issue anew";

/// What a running node says is waiting.
#[derive(Deserialize)]
struct Waiting {
    renewals: Vec<One>,
}

/// One name's request.
#[derive(Deserialize)]
struct One {
    role: String,
    id: String,
    /// PKCS #10 in DER, hex digits.
    request: String,
}

/// Issues all of them. One that fails keeps no other one waiting.
pub(super) fn issue_all(config: &Config, asked: &Asked) -> Outcome {
    let layout = Layout::new(&asked.node.dir);
    let authority = Authority::load(&layout.authority()).map_err(failed)?;
    let ca = layout.authority().join("ca.pem");
    validity::check(&ca, now(), NEW_AUTHORITY).map_err(failed)?;
    let waiting = request(&asked.node, "renewals")?;
    let Waiting { renewals } = serde_json::from_value(waiting).map_err(failed)?;
    let (mut lines, mut issued, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for one in renewals {
        let (role, id) = (&one.role, &one.id);
        let valid = config.authority.certificate_valid(now());
        match issue(&one, valid, &authority, asked) {
            Ok(fingerprint) => {
                let until = valid.until;
                lines.push(format!("{role} {id}: issued, good until {}", Utc(until)));
                issued.push(json!({
                    "role": role, "id": id, "fingerprint": fingerprint,
                    "until": until.unix_ms(),
                }));
            }
            Err(failure) => failures.push(format!("{role} {id}: {:#}", failure.error)),
        }
    }
    if lines.is_empty() {
        lines.push("no certificate was asked for".to_owned());
    }
    let json = json!({ "schema": "vitals-renewals-issued-1", "issued": Value::Array(issued) });
    asked.print(&lines.join("\n"), &json);
    if failures.is_empty() {
        return Ok(());
    }
    Err(failed(anyhow!("not issued: {}", failures.join("; "))))
}

/// Issues one and hands it to the node; its fingerprint.
fn issue(one: &One, valid: Interval, authority: &Authority, asked: &Asked) -> Outcome<String> {
    let role = Role::from_name(&one.role).context("expected a role").map_err(failed)?;
    let bytes = hex::decode(&one.request).context("expected hex digits").map_err(failed)?;
    // Again: the key that signs is here, and what the node looked at is the node's word.
    let certified = CertificateRequest::check(&bytes).map_err(failed)?;
    let issued = authority.sign_request(&certified, role, &one.id, valid).map_err(failed)?;
    let der = hex::encode(issued.der());
    request(&asked.node, &format!("issued {} {} {der}", role.name(), one.id))?;
    Ok(hex::encode(issued.fingerprint()))
}
