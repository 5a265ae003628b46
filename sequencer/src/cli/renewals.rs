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

use super::listed::{Registered, now, request};
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
    /// Of the certificate that asked.
    replaces: String,
    /// PKCS #10 in DER, hex digits.
    request: String,
    /// Whether it took the place of a request for another key.
    disputed: bool,
}

/// Which of them.
pub(super) struct Wanted {
    /// Of this role; without one, of those that a timer issues to.
    pub(super) role: Option<Role>,
    /// Ids whose requests took the place of others, and are meant all the same.
    pub(super) also: Vec<String>,
}

impl Wanted {
    /// Whether this request is meant, and if not, why.
    ///
    /// The list is the word of the running node: who has taken it over could list whomever it
    /// likes. So nothing is issued in passing to those who may do most.
    fn check(&self, one: &One, role: Role) -> Result<(), String> {
        let by_timer = matches!(role, Role::Gateway | Role::Wallet);
        if !self.role.map_or(by_timer, |wanted| wanted == role) {
            let role = role.name();
            return Err(format!("only with `--all --role {role}`"));
        }
        if one.disputed && !self.also.contains(&one.id) {
            let id = &one.id;
            return Err(format!(
                "it took the place of a request for another key of the same certificate: if its \
                 holder made it anew, add `--also {id}`; if not, somebody has a copy of its key: \
                 `sequencer identity revoke {id} --role {}`",
                role.name()
            ));
        }
        Ok(())
    }
}

/// What became of all of them.
#[derive(Default)]
struct Done {
    lines: Vec<String>,
    issued: Vec<Value>,
    failures: Vec<String>,
}

/// Issues those that are wanted. One that fails keeps no other one waiting.
pub(super) fn issue_all(config: &Config, wanted: &Wanted, asked: &Asked) -> Outcome {
    let layout = Layout::new(&asked.node.dir);
    let authority = Authority::load(&layout.authority()).map_err(failed)?;
    let ca = layout.authority().join("ca.pem");
    validity::check(&ca, now(), NEW_AUTHORITY).map_err(failed)?;
    let waiting = request(&asked.node, "renewals")?;
    let Waiting { renewals } = serde_json::from_value(waiting).map_err(failed)?;
    let registered = Registered::ask(&asked.node)?;
    let mut done = Done::default();
    if renewals.is_empty() {
        done.lines.push("no certificate was asked for".to_owned());
    }
    for one in renewals {
        let (role, id) = (&one.role, &one.id);
        let valid = config.authority.certificate_valid(now());
        let found = check(&one, &registered).map_err(|failure| format!("{:#}", failure.error));
        let passed_over = found.and_then(|role| wanted.check(&one, role).map(|()| role));
        let role_found = match passed_over {
            Ok(role) => role,
            Err(why) => {
                done.lines.push(format!("{role} {id}: not issued: {why}"));
                continue;
            }
        };
        match issue(&one, role_found, Signing { valid, authority: &authority, asked }) {
            Ok(fingerprint) => {
                let until = valid.until;
                done.lines.push(format!("{role} {id}: issued, good until {}", Utc(until)));
                done.issued.push(json!({
                    "role": role, "id": id, "fingerprint": fingerprint,
                    "until": until.unix_ms(),
                }));
            }
            Err(failure) => done.failures.push(format!("{role} {id}: {:#}", failure.error)),
        }
    }
    let json = json!({ "schema": "vitals-renewals-issued-1", "issued": Value::Array(done.issued) });
    asked.print(&done.lines.join("\n"), &json);
    if done.failures.is_empty() {
        return Ok(());
    }
    Err(failed(anyhow!("not issued: {}", done.failures.join("; "))))
}

/// The role of a name that is registered with the certificate that asked.
fn check(one: &One, registered: &Registered) -> Outcome<Role> {
    let role = Role::from_name(&one.role).context("expected a role").map_err(failed)?;
    let there = registered.find(role, &one.id).filter(|there| there.is_live(now()));
    let fingerprint = there.and_then(|there| there.fingerprint.as_deref());
    if fingerprint != Some(one.replaces.as_str()) {
        return Err(failed(anyhow!(
            "expected the certificate that asked to be registered, found that it is not any more"
        )));
    }
    Ok(role)
}

/// What signs, and who is told.
struct Signing<'a> {
    valid: Interval,
    authority: &'a Authority,
    asked: &'a Asked,
}

/// Issues one and hands it to the node; its fingerprint.
fn issue(one: &One, role: Role, signing: Signing<'_>) -> Outcome<String> {
    let Signing { valid, authority, asked } = signing;
    let bytes = hex::decode(&one.request).context("expected hex digits").map_err(failed)?;
    // Again: the key that signs is here, and what the node looked at is the node's word.
    let certified = CertificateRequest::check(&bytes).map_err(failed)?;
    let issued = authority.sign_request(&certified, role, &one.id, valid).map_err(failed)?;
    let der = hex::encode(issued.der());
    request(&asked.node, &format!("issued {} {} {der}", role.name(), one.id))?;
    Ok(hex::encode(issued.fingerprint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_issues_to_gateways_and_wallets_and_to_nobody_whose_request_was_replaced() {
        let one = |id: &str, disputed| One {
            role: String::new(),
            id: id.to_owned(),
            replaces: String::new(),
            request: String::new(),
            disputed,
        };
        let timer = Wanted { role: None, also: Vec::new() };
        for role in [Role::Gateway, Role::Wallet] {
            assert_eq!(timer.check(&one("a", false), role), Ok(()));
            let why = timer.check(&one("a", true), role).unwrap_err();
            assert!(why.contains("--also a") && why.contains("revoke a"), "{why}");
        }
        for role in [Role::Operator, Role::Practitioner] {
            let why = timer.check(&one("a", false), role).unwrap_err();
            assert!(why.contains("--role"), "{why}");
        }
        let named = Wanted { role: Some(Role::Operator), also: vec!["b".to_owned()] };
        assert_eq!(named.check(&one("a", false), Role::Operator), Ok(()));
        assert_eq!(named.check(&one("b", true), Role::Operator), Ok(()));
        assert!(named.check(&one("a", true), Role::Operator).is_err());
        assert!(named.check(&one("a", false), Role::Gateway).is_err());
    }
}
