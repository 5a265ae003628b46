//! Operations over HTTP: for a wallet without a certificate, or where UDP does not get through.
//!
//! The node answers with its receipt, which is verified here; nothing else that it says counts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use files::Audience;
use serde_json::Value;
use statement::field;
use statement::operation::SignedOperation;
use thiserror::Error;
use wire::{DecodeError, Holder, ReceiptError};

use crate::at_door::{ReceiptOf, Tried};
use crate::connection::Applied;
use crate::http::{Address, hidden};
use crate::identity::Deployment;
use crate::patience::{Busy, LetPass, StayedBusy, Waits};

/// Where operations are handed in: `http://HOST[:PORT][/PATH]` of a node, or https.
#[derive(Clone, PartialEq, Eq)]
pub struct Door(Address);

/// Hides the path, which may hold a key.
impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/operations", self.0.peer(), hidden(&self.0.path))
    }
}

/// As it may be shown.
impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({self})")
    }
}

/// Why there is no receipt.
#[derive(Debug, Error)]
pub enum HandInError {
    /// Not an address.
    #[error("expected http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH], without user and ?")]
    Address,
    /// It is too long to be sent.
    #[error("the operation cannot be sent")]
    Length(#[from] DecodeError),
    /// No answer came, or one that does not say: whether it took effect is not known.
    #[error(
        "whether the operation took effect is not known ({door} says: {why}): it is kept, and the \
         next command sends the same bytes first, which cannot take effect twice; once a batch \
         with it is settled, vitals log --rebuild says what became of it"
    )]
    Unknown {
        /// Who was asked.
        door: Door,
        /// What it says.
        why: String,
    },
    /// Nobody is there: nothing was sent.
    #[error("expected somebody at {door}; nothing was sent")]
    Unavailable {
        /// Who was asked.
        door: Door,
        /// Why not.
        source: io::Error,
    },
    /// The address begins with `https://`, and nobody speaks TLS there.
    #[error("expected an address that begins with http://, as {door} speaks no TLS")]
    NoTls {
        /// Who was asked.
        door: Door,
    },
    /// The node stayed busy.
    #[error("expected {door} to take the operation, found it busy ({why})")]
    Busy {
        /// Who was asked.
        door: Door,
        /// What it says.
        why: String,
        /// How long it was waited for.
        source: StayedBusy,
    },
    /// The node does not take it.
    #[error("{door} does not take the operation: {why} (status {status})")]
    Refused {
        /// Who was asked.
        door: Door,
        /// The status of its answer.
        status: u16,
        /// What it says.
        why: String,
    },
    /// The answer holds no receipt.
    #[error("expected a receipt of {door}, found none in its answer")]
    NoReceipt {
        /// Who was asked.
        door: Door,
    },
    /// The receipt does not hold.
    #[error("the receipt of {door} does not hold")]
    Receipt {
        /// Who was asked.
        door: Door,
        /// Why not.
        source: ReceiptError,
    },
    /// The receipt is of something else.
    #[error(
        "expected a receipt of {door} for this deployment that names the operation and its signer, \
         found one that does not: it promises nothing of this operation"
    )]
    OtherReceipt {
        /// Who was asked.
        door: Door,
    },
}

impl Door {
    /// Reads an address.
    ///
    /// # Errors
    /// [`HandInError::Address`].
    pub fn parse(text: &str) -> Result<Door, HandInError> {
        match Address::parse(text) {
            Some(Ok(address)) => Ok(Door(address)),
            Some(Err(_)) | None => Err(HandInError::Address),
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0
    }

    /// Hands an operation in and verifies its receipt. A busy node is waited for as `let_pass` lets
    /// time pass.
    ///
    /// # Errors
    /// [`HandInError`].
    pub fn hand_in(
        &self,
        deployment: &Deployment,
        signed: &SignedOperation,
        let_pass: LetPass<'_>,
    ) -> Result<Applied, HandInError> {
        let operation = wire::SignedOperation::new(signed.to_bytes().to_vec())?;
        let body = self.send(operation.as_bytes(), &mut Waits::begin(let_pass))?;
        let receipt = receipt_in(&body).ok_or(HandInError::NoReceipt { door: self.clone() })?;
        let expected = ReceiptOf {
            deployment,
            holder: Some(Holder::signer(&field::to_word(&signed.signer.hash()))),
            digest: operation.digest(),
        };
        let wrong = |source| HandInError::Receipt { door: self.clone(), source };
        let other = || HandInError::OtherReceipt { door: self.clone() };
        expected.read(&receipt).map_err(wrong)?.ok_or_else(other)
    }

    /// Sends the same bytes until there is an answer, as often as a busy host is waited for: they
    /// cannot take effect twice.
    fn send(&self, bytes: &[u8], waits: &mut Waits<'_>) -> Result<Vec<u8>, HandInError> {
        let (peer, door) = (self.0.peer(), || self.clone());
        let path = format!("{}/operations", self.0.path);
        // Whether one of the tries may have come to the node.
        let mut may_have = false;
        loop {
            let (busy, why) = match Tried::once(peer, &path, bytes) {
                Tried::Taken(body) => return Ok(body),
                Tried::Refused { status, why } => {
                    return Err(match may_have {
                        true => HandInError::Unknown { door: door(), why },
                        false => HandInError::Refused { door: door(), status, why },
                    });
                }
                Tried::NoTls(_) => return Err(HandInError::NoTls { door: door() }),
                Tried::Unreached(source) if !may_have => {
                    return Err(HandInError::Unavailable { door: door(), source });
                }
                Tried::Unreached(source) => (Busy::silent(), source.to_string()),
                Tried::Unsaid { busy, why } => (busy, why),
            };
            // What the node says of itself is no effect; of a silence or a gateway nobody knows.
            may_have |= busy.is_gateway() && !why.starts_with("operations-");
            if let Err(source) = waits.wait(&peer.to_string(), busy) {
                return Err(match may_have {
                    true => HandInError::Unknown { door: door(), why },
                    false => HandInError::Busy { door: door(), why, source },
                });
            }
        }
    }
}

/// An operation that was sent and not answered, kept beside the wallet's copy of the record: the
/// next command sends the same bytes first, so that nothing is signed on a nonce that was used.
pub struct Pending(PathBuf);

impl Pending {
    /// Where it is kept for a key.
    pub fn of_key(key: &Path) -> Pending {
        let mut path = key.as_os_str().to_owned();
        path.push(".pending");
        Pending(path.into())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The operation, if one is kept.
    ///
    /// # Errors
    /// What the file system says, or that the bytes are no operation.
    pub fn read(&self) -> io::Result<Option<SignedOperation>> {
        let bytes = match files::read(&self.0, SignedOperation::BYTES as u64, Audience::Owner) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        SignedOperation::from_bytes(&bytes).map(Some).map_err(wrong)
    }

    /// Keeps one, before it is sent.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep(&self, signed: &SignedOperation) -> io::Result<()> {
        files::replace(&self.0, &[&signed.to_bytes()], Audience::Owner)
    }

    /// Forgets it: what became of it is known.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The receipt that an answer holds.
fn receipt_in(body: &[u8]) -> Option<Vec<u8>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    (answer["schema"] == "vitals-operation-receipt-1").then_some(())?;
    hex::decode(answer["receipt"].as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use model::{
        Action, ChainScope, Digest, Millis, Operation, PatientIndex, Position, Word, with_causes,
    };
    use statement::scope;
    use wire::{GroupIdentity, Items, OperationItem, Receipt, SigningKey, signer_address};

    use super::*;
    use crate::{Key, KeyKind};

    const SCOPE: ChainScope = ChainScope { chain_id: 31337, contract: [9; 20] };

    fn node_key() -> SigningKey {
        SigningKey::from_slice(&[9; 32]).unwrap()
    }

    fn deployment() -> Deployment {
        Deployment {
            scope: SCOPE,
            receipt_signer: signer_address(&node_key()),
            registrar: Word::ZERO,
            fingerprint: "00".repeat(20).parse().unwrap(),
        }
    }

    fn stop() -> SignedOperation {
        let operation = Operation {
            patient: PatientIndex::new(7).unwrap(),
            nonce: 3,
            signed_at: Millis::from_unix_ms(1_777_624_000_000),
            valid_until: Millis::from_unix_ms(1_777_624_200_000),
            action: Action::Stop,
        };
        let key = Key::generate(KeyKind::Patient).unwrap();
        SignedOperation::sign(operation, scope::sig_domain(SCOPE), &key.signer())
    }

    /// What a receipt is of.
    struct Of {
        holder: Holder,
        digest: Digest,
        scope: ChainScope,
    }

    fn of(signed: &SignedOperation) -> Of {
        let operation = wire::SignedOperation::new(signed.to_bytes().to_vec()).unwrap();
        let holder = Holder::signer(&field::to_word(&signed.signer.hash()));
        Of { holder, digest: operation.digest(), scope: SCOPE }
    }

    fn answer(of: &Of, key: &SigningKey) -> String {
        let item = OperationItem {
            position: Position(41),
            time: Millis::from_unix_ms(1_777_624_100_000),
            digest: of.digest,
        };
        let items = Items { operations: vec![item], ..Items::default() };
        let group = GroupIdentity { scope: of.scope, group: 5, term: 0, journal_hash: [3; 32] };
        let receipt = Receipt::new(group, of.holder, items).unwrap().sign(key);
        let receipt = hex::encode(receipt.to_bytes());
        format!(r#"{{"position":41,"receipt":"{receipt}","schema":"vitals-operation-receipt-1"}}"#)
    }

    /// Answers in turn, and gives back what came last.
    fn handed_in(
        signed: &SignedOperation,
        answers: &[(u16, String)],
    ) -> (Result<Applied, HandInError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap();
        let answers = answers.to_vec();
        let thread = std::thread::spawn(move || {
            let mut last = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                last.clear();
                let mut piece = [0; 4096];
                while !is_whole(&last) {
                    let count = stream.read(&mut piece).unwrap();
                    last.extend_from_slice(&piece[..count]);
                }
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
            }
            last
        });
        let door = Door::parse(&format!("http://{host}/hunter2")).unwrap();
        let applied = door.hand_in(&deployment(), signed, &|_| ());
        (applied, thread.join().unwrap())
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let length =
            text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let end = request.windows(4).position(|four| four == b"\r\n\r\n");
        end.zip(length).is_some_and(|(end, length)| {
            request.len() == end + 4 + length.parse::<usize>().unwrap()
        })
    }

    #[test]
    fn an_operation_is_handed_in_and_its_receipt_verified() {
        let signed = stop();
        let busy = (503, r#"{"error":"operations-busy","detail":null}"#.to_owned());
        let answers = [busy, (200, answer(&of(&signed), &node_key()))];
        let (applied, request) = handed_in(&signed, &answers);
        let applied = applied.unwrap();
        assert_eq!((applied.position, applied.receipt.receipt.group.group), (Position(41), 5));
        assert!(request.starts_with(b"POST /hunter2/operations HTTP/1.1\r\n"));
        assert!(request.ends_with(&signed.to_bytes()));
    }

    #[test]
    fn a_receipt_of_something_else_promises_nothing() {
        let signed = stop();
        let right = || of(&signed);
        let others = [
            Of { holder: of(&stop()).holder, ..right() },
            Of { digest: Digest([1; 31]), ..right() },
            Of { scope: ChainScope { chain_id: 1, ..SCOPE }, ..right() },
        ];
        for other in &others {
            let (found, _) = handed_in(&signed, &[(200, answer(other, &node_key()))]);
            assert!(matches!(found, Err(HandInError::OtherReceipt { .. })), "{found:?}");
        }
        let forged = answer(&right(), &SigningKey::from_slice(&[8; 32]).unwrap());
        let (found, _) = handed_in(&signed, &[(200, forged)]);
        assert!(matches!(found, Err(HandInError::Receipt { .. })), "{found:?}");
        for none in ["", "{}", "7", r#"{"schema":"vitals-operation-receipt-1","receipt":"xy"}"#] {
            let (found, _) = handed_in(&signed, &[(200, none.to_owned())]);
            assert!(matches!(found, Err(HandInError::NoReceipt { .. })), "{none}: {found:?}");
        }
    }

    #[test]
    fn what_the_node_says_is_shown_without_the_key_in_the_address() {
        let signed = stop();
        let refused = r#"{"error":"operation-refused","detail":{"meaning":"the nonce\u001b[2J"}}"#;
        let (found, _) = handed_in(&signed, &[(409, refused.to_owned())]);
        let text = with_causes(&found.unwrap_err());
        assert!(text.contains("operation-refused: the nonce") && text.contains("409"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains('\u{1b}'), "{text}");
        let busy = (503, r#"{"error":"operations-busy"}"#.to_owned());
        let (found, _) = handed_in(&signed, &vec![busy; 4]);
        assert!(matches!(found, Err(HandInError::Busy { .. })), "{found:?}");
        for bad in ["node:80", "http://me@node", "http://node/?key=hunter2", "ftp://node"] {
            assert!(matches!(Door::parse(bad), Err(HandInError::Address)), "{bad}");
        }
    }

    #[test]
    fn the_same_bytes_are_sent_again_until_somebody_says_what_became_of_them() {
        let signed = stop();
        let late = || (504, r#"{"error":"operation-unacknowledged"}"#.to_owned());
        let internal = (500, r#"{"error":"operation-unreceipted"}"#.to_owned());
        let answers = [late(), internal, (200, answer(&of(&signed), &node_key()))];
        let (found, request) = handed_in(&signed, &answers);
        assert!(found.is_ok() && request.ends_with(&signed.to_bytes()), "{found:?}");
        // After a silence a refusal may be that of what took effect.
        let refused = (403, r#"{"error":"operation-not-taken"}"#.to_owned());
        let (found, _) = handed_in(&signed, &[late(), refused.clone()]);
        assert!(matches!(found, Err(HandInError::Unknown { .. })), "{found:?}");
        let (found, _) = handed_in(&signed, &[refused]);
        assert!(matches!(found, Err(HandInError::Refused { status: 403, .. })), "{found:?}");
        let (found, _) = handed_in(&signed, &vec![late(); 4]);
        assert!(matches!(found, Err(HandInError::Unknown { .. })), "{found:?}");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let door = Door::parse(&format!("http://{nobody}")).unwrap();
        let found = door.hand_in(&deployment(), &signed, &|_| ());
        assert!(matches!(found, Err(HandInError::Unavailable { .. })), "{found:?}");
    }

    #[test]
    fn what_was_not_answered_is_kept_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let pending = Pending::of_key(&folder.path().join("anna.key"));
        assert!(pending.read().unwrap().is_none());
        pending.forget().unwrap();
        let signed = stop();
        pending.keep(&signed).unwrap();
        assert_eq!(pending.read().unwrap(), Some(signed));
        std::fs::write(pending.path(), b"torn").unwrap();
        assert!(pending.read().is_err());
        pending.forget().unwrap();
        assert!(pending.read().unwrap().is_none());
    }
}
