//! One try at the HTTP door of a node, and what the receipt that comes back has to be of: the same
//! for an operation and for a request to erase.

use std::io;

use model::{Digest, escape};
use serde_json::Value;
use wire::{Holder, ReceiptError, SignedReceipt};

use crate::connection::Applied;
use crate::http::{Answer, Peer, Sent};
use crate::identity::Deployment;
use crate::patience::Busy;
use crate::tls;

/// What came of sending the bytes once.
pub(crate) enum Tried {
    /// They are taken; the body of the answer.
    Taken(Vec<u8>),
    /// The node does not take them.
    Refused {
        /// The status of its answer.
        status: u16,
        /// What it says.
        why: String,
    },
    /// Nobody speaks TLS there.
    NoTls(io::Error),
    /// Nobody is there: nothing was sent.
    Unreached(io::Error),
    /// They are not taken now, or nobody says.
    Unsaid {
        /// How to wait.
        busy: Busy,
        /// What it says.
        why: String,
    },
}

impl Tried {
    /// Sends them.
    pub(crate) fn once(peer: Peer<'_>, path: &str, bytes: &[u8]) -> Tried {
        let silent = |why| Tried::Unsaid { busy: Busy::silent(), why };
        match peer.exchange(path, &Sent::Octets(bytes)) {
            Ok(Answer::Whole { status: 200, body }) => Tried::Taken(body),
            Ok(Answer::Whole { status, body }) if !is_unknown(status) => {
                Tried::Refused { status, why: said(&body) }
            }
            Ok(Answer::Whole { body, .. }) => silent(said(&body)),
            Ok(Answer::Other { status }) => silent(format!("status {status}")),
            Ok(Answer::Busy { busy, body }) => Tried::Unsaid { busy, why: said(&body) },
            Err(source) if tls::is_none(&source) => Tried::NoTls(source),
            Err(source) if is_unreached(&source) => Tried::Unreached(source),
            Err(source) => silent(source.to_string()),
        }
    }
}

/// Statuses after which the bytes may have been taken.
fn is_unknown(status: u16) -> bool {
    status < 200 || matches!(status, 408 | 500..=599)
}

/// Whether nothing was sent at all.
fn is_unreached(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | NotFound)
}

/// What a node says of what it does not take, as it may be shown: its code, and what it adds in
/// words.
fn said(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(code) = answer["error"].as_str() else { return "it does not say why".to_owned() };
    let detail = answer["detail"].as_str().or(answer["detail"]["meaning"].as_str());
    let text = detail.map_or_else(|| code.to_owned(), |detail| format!("{code}: {detail}"));
    escape(&text).to_string()
}

/// What a receipt has to be of.
pub(crate) struct ReceiptOf<'a> {
    /// Whose node signs it.
    pub(crate) deployment: &'a Deployment,
    /// Whom it is for; nobody where a key is none.
    pub(crate) holder: Option<Holder>,
    /// What was handed in.
    pub(crate) digest: Digest,
}

impl ReceiptOf<'_> {
    /// Where and when it took effect, by a receipt that the node signed; none by one of something
    /// else, which promises nothing.
    ///
    /// # Errors
    /// [`ReceiptError`] if it is none of the node's.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Option<Applied>, ReceiptError> {
        let receipt = SignedReceipt::from_bytes(bytes)?;
        receipt.verify(self.deployment.receipt_signer)?;
        let inside = &receipt.receipt;
        let is_theirs = Some(inside.holder) == self.holder;
        let is_here = inside.group.scope == self.deployment.scope;
        let mut items = inside.items().operations.iter();
        let item = items.find(|item| item.digest == self.digest && is_theirs && is_here);
        let found = item.map(|item| (item.position, item.time));
        Ok(found.map(|(position, time)| Applied { position, time, receipt }))
    }
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn what_a_node_says_is_its_code_and_what_it_adds_in_words_without_control_signs() {
        for (body, words) in [
            (r#"{"error":"erasure-refused","detail":"no hold"}"#, "erasure-refused: no hold"),
            (r#"{"error":"operation-refused","detail":{"meaning":"the nonce","code":1}}"#, {
                "operation-refused: the nonce"
            }),
            (r#"{"error":"operations-busy","detail":null}"#, "operations-busy"),
            (r#"{"error":"operation-long","detail":{"bytes_max":7}}"#, "operation-long"),
            (r#"{"detail":"no hold"}"#, "it does not say why"),
            ("<html>", "it does not say why"),
        ] {
            assert_eq!(said(body.as_bytes()), words);
        }
        assert!(!said(b"{\"error\":\"x\\u001b[2J\"}").contains('\u{1b}'));
    }
}
