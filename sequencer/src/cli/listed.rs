//! What a running node says is registered.

use model::calendar::Utc;
use model::{Clock as _, Millis, SystemClock};
use sequencer::doors::admin::{Given, ask, change_request};
use sequencer::folder::layout::Layout;
use sequencer::folder::validity::{DAY_MS, WARNING_DAYS};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::{RegistryChange, Role};

use super::outcome::{NodeFolder, Outcome, failed, runtime, usage};

/// Every record, ended ones included.
#[derive(Deserialize)]
pub(super) struct Registered {
    pub(super) organisations: Vec<Listed>,
    practitioners: Vec<Listed>,
    gateways: Vec<Listed>,
    pub(super) devices: Vec<Listed>,
    wallets: Vec<Listed>,
    operators: Vec<Listed>,
}

/// One record. What its kind does not have is left out.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organisation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patient: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signals: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gateways: Option<Vec<String>>,
    valid: Span,
}

/// Milliseconds since 1970; none for unbounded.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Span {
    from: Option<u64>,
    until: Option<u64>,
}

/// How a record stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// It holds.
    Good,
    /// It ends within the days of a warning.
    EndsSoon,
    /// It was revoked, or its time is over.
    Ended,
}

impl Registered {
    /// Asks the running node.
    pub(super) fn ask(node: &NodeFolder) -> Outcome<Registered> {
        let answer = request(node, "list")?;
        serde_json::from_value(answer).map_err(failed)
    }

    /// The records of everybody with this role.
    pub(super) fn of_role(&self, role: Role) -> &[Listed] {
        match role {
            Role::Gateway => &self.gateways,
            Role::Practitioner => &self.practitioners,
            Role::Wallet => &self.wallets,
            Role::Operator => &self.operators,
        }
    }

    /// The record of one of them.
    pub(super) fn find(&self, role: Role, id: &str) -> Option<&Listed> {
        self.of_role(role).iter().find(|one| one.id == id)
    }

    /// One sentence for each certificate that ends within the days of a warning.
    pub(super) fn endings(&self, now: Millis) -> Vec<String> {
        let mut sentences = Vec::new();
        for role in Role::ALL {
            let soon = self.of_role(role).iter().filter(|one| one.state(now) == State::EndsSoon);
            sentences.extend(soon.map(|one| {
                let role = role.name();
                format!("the certificate of {role} {} ends {}", one.id, one.end_words(now))
            }));
        }
        sentences
    }
}

impl Listed {
    fn until(&self) -> Option<Millis> {
        self.valid.until.map(Millis::from_unix_ms)
    }

    pub(super) fn state(&self, now: Millis) -> State {
        match self.until() {
            Some(until) if until <= now => State::Ended,
            Some(until) if until.since(now) < WARNING_DAYS * DAY_MS => State::EndsSoon,
            _ => State::Good,
        }
    }

    /// Whether it has not ended.
    pub(super) fn is_live(&self, now: Millis) -> bool {
        self.state(now) != State::Ended
    }

    /// When it ends, or ended, as the end of a sentence.
    pub(super) fn end_words(&self, now: Millis) -> String {
        let Some(until) = self.until() else { return "when it is revoked".to_owned() };
        let days = until.since(now) / DAY_MS;
        match self.state(now) {
            State::Ended => format!("at {}: it is over", Utc(until)),
            _ => format!("at {}, in {days} days", Utc(until)),
        }
    }
}

/// Now, by the clock that certificates are made by.
pub(super) fn now() -> Millis {
    SystemClock.now()
}

/// Submits a change; the position at which it is journaled.
pub(super) fn change(node: &NodeFolder, change: &RegistryChange) -> Outcome<u64> {
    change_if(node, change, Given::Nothing)
}

/// Submits a change that the node makes only if this holds then.
pub(super) fn change_if(node: &NodeFolder, change: &RegistryChange, given: Given) -> Outcome<u64> {
    let answer = request(node, &change_request(change, given).map_err(usage)?)?;
    let position = answer["position"].as_u64();
    position.ok_or_else(|| failed(anyhow::anyhow!("expected a position, found {answer}")))
}

pub(super) fn request(node: &NodeFolder, request: &str) -> Outcome<Value> {
    let socket = Layout::new(&node.dir).admin_socket();
    runtime()?.block_on(ask(&socket, request)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn certificates_that_end_soon_are_told_by_role_and_id() {
        let now = Millis::from_unix_ms(1_800_000_000_000);
        let record = |id: &str, days: u64| {
            let until = now.unix_ms() + days * DAY_MS;
            json!({ "id": id, "valid": { "from": 0, "until": until } })
        };
        let forever = json!({ "id": "org", "valid": { "from": null, "until": null } });
        let ended = json!({ "id": "gone", "valid": { "from": 0, "until": 1 } });
        let registered = json!({
            "schema": "vitals-registry-2", "organisations": [forever],
            "practitioners": [], "devices": [forever], "wallets": [], "operators": [],
            "gateways": [record("gw-1", 31), record("gw-2", 29), ended],
        });
        let registered: Registered = serde_json::from_value(registered).unwrap();
        let told = registered.endings(now);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("the certificate of gateway gw-2 ends at 20"), "{told:?}");
        assert!(told[0].ends_with("in 29 days"), "{told:?}");
        let states = registered.of_role(Role::Gateway).iter().map(|one| one.state(now));
        assert_eq!(states.collect::<Vec<_>>(), [State::Good, State::EndsSoon, State::Ended]);
        assert_eq!(registered.organisations[0].end_words(now), "when it is revoked");
    }
}
