//! What tells one deployment from every other, short enough to be read out.
//!
//! A deployment file says which contract is meant, and whoever hands out another file hands out
//! another contract. So every program shows the fingerprint of the deployment it works with, takes
//! one to compare (`--fingerprint`), and a hospital prints its own where its patients see it.

use std::fmt;
use std::str::FromStr;

use model::{ChainScope, Millis, Word};
use sha3::{Digest as _, Keccak256};
use thiserror::Error;

use crate::batch::{Layout, SHAPES};
use crate::c2::Capacity;

/// What to do with a deployment that proves a shape which this release does not know.
pub const OTHER_RELEASE: &str =
    "nothing is wrong with it; use the release that deployed it, or deploy anew with this one";

/// Everything that a deployment fixes for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentFacts {
    /// Chain and contract.
    pub scope: ChainScope,
    /// keccak256 of the code at the contract's address: what runs there, its constants included.
    pub runtime_hash: [u8; 32],
    /// The verifying keys, in any order.
    pub keys: Vec<KeyFact>,
    /// Who signs receipts.
    pub receipt_signer: [u8; 20],
    /// Hash of the registrar's key.
    pub registrar: Word,
    /// Who may settle.
    pub sequencer: [u8; 20],
    /// Begin of the first window.
    pub genesis_time: Millis,
}

/// A verifying key: for which circuit and shape, and which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyFact {
    /// 1 for C1, 2 for C2.
    pub circuit: u8,
    /// keccak256 of its words.
    pub id: [u8; 32],
    /// The shape that it proves, by name. No chain knows it, and it says what the leaves of a list
    /// are: under another one a patient would look for tags where none are.
    pub shape: &'static str,
    /// The numbers of that shape.
    pub layout: Layout,
}

impl KeyFact {
    /// A key of the shape with this name; `None` of a shape that this release does not know.
    pub fn of_shape(name: &str, circuit: u8, id: [u8; 32]) -> Option<KeyFact> {
        let (shape, layout) = *SHAPES.iter().find(|(shape, _)| *shape == name)?;
        Some(KeyFact { circuit, id, shape, layout })
    }

    /// Circuit, id, name with its length, and two numbers: rows and zero, or slots and claims of
    /// each.
    fn update(&self, hasher: &mut Keccak256) {
        let KeyFact { circuit, id, shape, layout } = self;
        let numbers = match layout {
            Layout::Operations(rows) => [*rows, 0],
            Layout::Claims(Capacity { slots, claims_per_slot }) => [*slots, *claims_per_slot],
        };
        hasher.update([*circuit]);
        hasher.update(id);
        hasher.update((shape.len() as u64).to_be_bytes());
        hasher.update(shape);
        for number in numbers {
            hasher.update((number as u64).to_be_bytes());
        }
    }
}

/// 160 bits of keccak256 over a deployment's facts, as ten groups of four hex digits. So many that
/// even an operator who makes both cannot find two deployments with one fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fingerprint([u8; Fingerprint::BYTES]);

/// Text that is no fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "expected a fingerprint of 40 hex digits (ten groups of four), found {digits} hex digits and \
     {others} other characters"
)]
pub struct FingerprintError {
    /// Hex digits found.
    pub digits: usize,
    /// Characters found that are neither digits nor what may stand between groups.
    pub others: usize,
}

/// A deployment that is not the expected one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "expected the deployment with fingerprint {expected}, found {found}: this is another contract, \
     with other keys or other roles; use it for nothing, and ask whoever gave you the deployment \
     file"
)]
pub struct OtherDeployment {
    /// Given by whoever compares.
    pub expected: Fingerprint,
    /// Of the deployment at hand.
    pub found: Fingerprint,
}

impl DeploymentFacts {
    /// The fingerprint. Each fact has a fixed width or says its length, and the keys are counted
    /// and sorted, so that no two deployments give the hash the same bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        // Taken apart whole, so that a new fact cannot be left out.
        let DeploymentFacts { scope, runtime_hash, keys, .. } = self;
        let DeploymentFacts { receipt_signer, registrar, sequencer, genesis_time, .. } = self;
        let mut hasher = Keccak256::new_with_prefix(b"vitals deployment v2");
        hasher.update(scope.chain_id.to_be_bytes());
        hasher.update(scope.contract);
        hasher.update(runtime_hash);
        hasher.update(receipt_signer);
        hasher.update(registrar.to_bytes());
        hasher.update(sequencer);
        hasher.update(genesis_time.get().to_be_bytes());
        let mut keys = keys.clone();
        keys.sort_unstable_by_key(|key| (key.circuit, key.id, key.shape));
        hasher.update((keys.len() as u64).to_be_bytes());
        keys.iter().for_each(|key| key.update(&mut hasher));
        let whole: [u8; 32] = hasher.finalize().into();
        let mut short = [0; Fingerprint::BYTES];
        short.copy_from_slice(&whole[..Fingerprint::BYTES]);
        Fingerprint(short)
    }
}

impl Fingerprint {
    /// Length in bytes.
    pub const BYTES: usize = 20;

    /// Compares with the one that somebody was told.
    ///
    /// # Errors
    /// [`OtherDeployment`] if they differ.
    pub fn expect(self, expected: Fingerprint) -> Result<(), OtherDeployment> {
        if self == expected { Ok(()) } else { Err(OtherDeployment { expected, found: self }) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pair) in self.0.chunks(2).enumerate() {
            let between = if at == 0 { "" } else { "-" };
            write!(f, "{between}{:02x}{:02x}", pair[0], pair[1])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As people type it: any case, with or without `0x`, and dashes, colons or spaces wherever.
impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Fingerprint, FingerprintError> {
        let text = text.trim();
        let text = text.strip_prefix("0x").unwrap_or(text);
        let (mut bytes, mut digits, mut others) = ([0; Fingerprint::BYTES], 0, 0);
        for character in text.chars().filter(|c| !matches!(c, '-' | ':' | ' ')) {
            let Some(digit) = character.to_digit(16) else {
                others += 1;
                continue;
            };
            if let Some(byte) = bytes.get_mut(digits / 2) {
                *byte = *byte << 4 | digit as u8;
            }
            digits += 1;
        }
        let whole = digits == 2 * Fingerprint::BYTES && others == 0;
        if whole { Ok(Fingerprint(bytes)) } else { Err(FingerprintError { digits, others }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(shape: &str, circuit: u8, id: u8) -> KeyFact {
        KeyFact::of_shape(shape, circuit, [id; 32]).expect("a shape that there is")
    }

    fn facts() -> DeploymentFacts {
        DeploymentFacts {
            scope: ChainScope { chain_id: 31_337, contract: [0x5e; 20] },
            runtime_hash: [1; 32],
            keys: vec![key("c1-17", 1, 2), key("c2-17", 2, 3)],
            receipt_signer: [4; 20],
            registrar: Word::from_u64(5),
            sequencer: [6; 20],
            genesis_time: Millis::new(7).unwrap(),
        }
    }

    #[test]
    fn every_fact_is_in_it_and_the_order_of_keys_is_not() {
        let same = facts().fingerprint();
        let mut turned = facts();
        turned.keys.reverse();
        assert_eq!(turned.fingerprint(), same);
        let changes: [fn(&mut DeploymentFacts); 13] = [
            |facts| facts.scope.chain_id += 1,
            |facts| facts.scope.contract[0] ^= 1,
            |facts| facts.runtime_hash[31] ^= 1,
            |facts| facts.keys[1].circuit = 1,
            |facts| facts.keys[0].id[0] ^= 1,
            |facts| facts.keys[1] = key("c2-test", 2, 3),
            |facts| facts.keys[0].shape = "c1-test",
            |facts| facts.keys[0].layout = Layout::Operations(9),
            |facts| {
                let capacity = Capacity { slots: 12, claims_per_slot: 3 };
                facts.keys[1].layout = Layout::Claims(capacity);
            },
            |facts| facts.receipt_signer[19] ^= 1,
            |facts| facts.registrar = Word::from_u64(6),
            |facts| facts.sequencer[0] ^= 1,
            |facts| facts.genesis_time = Millis::new(8).unwrap(),
        ];
        for change in changes {
            let mut other = facts();
            change(&mut other);
            assert_ne!(other.fingerprint(), same, "{other:?}");
        }
        let mut fewer = facts();
        fewer.keys.pop();
        assert_ne!(fewer.fingerprint(), same);
        assert_eq!(KeyFact::of_shape("c9-17", 1, [0; 32]), None);
    }

    #[test]
    fn it_is_read_as_people_type_it() {
        let printed = facts().fingerprint().to_string();
        assert_eq!(printed.len(), 49);
        let plain = printed.replace('-', "");
        for text in [&printed, &plain, &format!("0x{}", plain.to_uppercase())] {
            assert_eq!(text.parse(), Ok(facts().fingerprint()), "{text}");
        }
        let spaced = format!(" {} ", printed.replace('-', " "));
        assert_eq!(spaced.parse(), Ok(facts().fingerprint()));
        let short = plain[1..].parse::<Fingerprint>();
        assert_eq!(short, Err(FingerprintError { digits: 39, others: 0 }));
        let wrong = format!("{plain}g0").parse::<Fingerprint>();
        assert_eq!(wrong, Err(FingerprintError { digits: 41, others: 1 }));
        assert!("".parse::<Fingerprint>().is_err());
    }

    #[test]
    fn another_one_is_refused_with_both() {
        let (own, mut other) = (facts(), facts());
        other.receipt_signer = [9; 20];
        let (own, other) = (own.fingerprint(), other.fingerprint());
        assert_eq!(own.expect(own), Ok(()));
        let text = own.expect(other).unwrap_err().to_string();
        assert!(text.contains(&own.to_string()) && text.contains(&other.to_string()), "{text}");
    }
}
