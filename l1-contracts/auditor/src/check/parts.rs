//! What several checks share: what a deployment is checked against, and what a batch continues.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use model::{BatchHeader, BatchNumber, ChainScope, Millis, Position, Word};
use statement::batch::{Layout, Layouts};
use statement::fingerprint::Fingerprint;
use statement::proof::VerifyingKey;
use statement::{field, journal as groups, scope, tree};

/// What every batch of a deployment is checked against.
#[derive(Clone, Debug)]
pub struct Context {
    /// Chain and contract.
    pub scope: ChainScope,
    /// What tells the deployment from every other, computed from the chain.
    pub fingerprint: Fingerprint,
    /// What signatures are bound to.
    pub sig_domain: Fr,
    /// Hash of the registrar's key.
    pub registrar: Word,
    /// The accepted keys by id.
    pub keys: BTreeMap<[u8; 32], AcceptedKey>,
    /// What stands before the first batch.
    pub genesis: Previous,
    /// Whether some key was made from public constants: then its proofs prove nothing.
    pub dev_insecure: bool,
}

impl Context {
    /// How long the lists of a batch are, by its keys.
    pub(super) fn layouts(&self) -> Layouts {
        self.keys.iter().map(|(id, key)| (*id, key.layout)).collect()
    }
}

/// A verifying key that the contract accepts.
#[derive(Clone, Debug)]
pub struct AcceptedKey {
    /// The shape that it proves, by name.
    pub shape: &'static str,
    /// The leaves of its chunks.
    pub layout: Layout,
    /// The key.
    pub key: VerifyingKey,
}

/// What a batch continues.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Previous {
    /// Number; 0 before the first batch.
    pub number: u64,
    /// Hash of the header.
    pub hash: [u8; 32],
    /// End of the window.
    pub t1: Millis,
    /// Consent root.
    pub root: Word,
    /// Journal position of the close.
    pub position: Position,
    /// Journal hash after the group that holds the close.
    pub journal_hash: [u8; 32],
    /// That group; `None` if the public file was not read.
    pub tail: Option<Tail>,
}

/// The last journal group of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tail {
    /// Its number.
    pub group: u64,
    /// Position of its last entry.
    pub last: Position,
}

impl Previous {
    /// What stands before the first batch of a deployment.
    pub fn genesis(scope: ChainScope, time: Millis) -> Previous {
        Previous {
            number: 0,
            hash: scope::genesis_hash(scope, time),
            t1: time,
            // Always: consents that nobody signed could stand in any other tree.
            root: field::to_word(&tree::EMPTY_ROOT),
            position: Position(0),
            journal_hash: groups::genesis(scope),
            // The journal begins with group 1 and position 1, which follow these.
            tail: Some(Tail { group: 0, last: Position(0) }),
        }
    }

    /// What the batch after this one continues.
    pub fn after(header: &BatchHeader, tail: Option<Tail>) -> Previous {
        Previous {
            number: header.number.0,
            hash: scope::header_hash(header),
            t1: header.window.t1(),
            root: header.root_out,
            position: header.journal_position,
            journal_hash: header.journal_hash,
            tail,
        }
    }
}

/// A batch and what it is checked against.
#[derive(Clone, Copy, Debug)]
pub struct BatchContext<'a> {
    /// The deployment's.
    pub context: &'a Context,
    /// What the batch continues.
    pub previous: &'a Previous,
    /// Its header, as the chain has it.
    pub header: &'a BatchHeader,
}

/// The batch in which something is.
pub(super) fn within(header: &BatchHeader) -> Option<BatchNumber> {
    Some(header.number)
}
