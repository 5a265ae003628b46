//! What jobs, leases and workers are called.

use std::fmt;

use ark_bn254::Fr;
use thiserror::Error;

/// Which statement a job proves: the key and the public inputs. Jobs with one hash are one job,
/// because a proof of either serves the other; the private columns are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputHash([u8; 32]);

impl InputHash {
    /// Keeps these hashes apart from all others; a job of another form would get another text.
    const CONTEXT: &str = "vitals 2026 proving job";

    /// `BLAKE3-derive-key(context, key id || each input as a big-endian word)`, without the
    /// constant one.
    pub fn of(key_id: &[u8; 32], inputs: &[Fr]) -> InputHash {
        let mut hasher = blake3::Hasher::new_derive_key(InputHash::CONTEXT);
        hasher.update(key_id);
        for input in inputs {
            hasher.update(&statement::field::to_bytes(input));
        }
        InputHash(*hasher.finalize().as_bytes())
    }

    /// As a job and its answer carry it.
    pub fn from_bytes(bytes: [u8; 32]) -> InputHash {
        InputHash(bytes)
    }

    /// The bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for InputHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// One lease of one job. Never given twice, also not by another run of the node: what a lease of
/// the run before answers is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseToken([u8; 16]);

impl LeaseToken {
    /// Lease `number` of the run with this random epoch.
    pub(super) fn new(epoch: u64, number: u64) -> LeaseToken {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&epoch.to_be_bytes());
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        LeaseToken(bytes)
    }

    /// As a job and its answer carry it.
    pub fn from_bytes(bytes: [u8; 16]) -> LeaseToken {
        LeaseToken(bytes)
    }

    /// The bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Who works on jobs: a thread of the node, or another machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerName(String);

/// The text names no worker.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected the name of a worker: 1 to {} of a-z, 0-9, dot, dash and underscore, not beginning \
     with `local-`; found {found:?}",
    WorkerName::BYTES_MAX
)]
pub struct WrongWorkerName {
    /// What was found, cut to what a name may have.
    pub found: String,
}

impl WorkerName {
    /// Longest name.
    pub const BYTES_MAX: usize = 64;
    /// What the names of the node's own threads begin with.
    const LOCAL: &str = "local-";

    /// The name of a worker elsewhere.
    ///
    /// # Errors
    /// [`WrongWorkerName`], also for a name of the node's own threads: only what those find can
    /// fail a job for good.
    pub fn new(name: &str) -> Result<WorkerName, WrongWorkerName> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
        let length = (1..=WorkerName::BYTES_MAX).contains(&name.len());
        if length && name.chars().all(allowed) && !name.starts_with(WorkerName::LOCAL) {
            return Ok(WorkerName(name.into()));
        }
        Err(WrongWorkerName { found: name.chars().take(WorkerName::BYTES_MAX).collect() })
    }

    /// The name of the node's own thread of this number.
    pub(in crate::stages::prove) fn local(number: usize) -> WorkerName {
        WorkerName(format!("{}{number}", WorkerName::LOCAL))
    }

    /// Whether it is a thread of the node.
    pub fn is_local(&self) -> bool {
        self.0.starts_with(WorkerName::LOCAL)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_hash_is_of_key_and_inputs_in_their_order() {
        let inputs = [Fr::from(1), Fr::from(2)];
        let hash = InputHash::of(&[7; 32], &inputs);
        let words = [[0; 31].as_slice(), &[1], &[0; 31], &[2]].concat();
        let whole = [[7; 32].as_slice(), &words].concat();
        let expected = blake3::derive_key("vitals 2026 proving job", &whole);
        assert_eq!(hash.to_bytes(), expected);
        assert_eq!(InputHash::from_bytes(expected), hash);
        assert_ne!(InputHash::of(&[8; 32], &inputs), hash);
        assert_ne!(InputHash::of(&[7; 32], &[Fr::from(2), Fr::from(1)]), hash);
    }

    #[test]
    fn nobody_elsewhere_has_the_name_of_a_thread_of_the_node() {
        assert!(WorkerName::local(0).is_local());
        for name in ["rack-3.gpu_1", "nats", &"a".repeat(64)] {
            let worker = WorkerName::new(name).unwrap();
            assert_eq!((worker.as_str(), worker.is_local()), (name, false));
        }
        for name in ["", "local-0", "local-", "Rack", "a b", "a/b", "\u{e4}", &"a".repeat(65)] {
            let wrong = WorkerName::new(name).unwrap_err();
            assert!(wrong.found.len() <= 64, "{wrong}");
        }
    }
}
