//! Proofs, verified after everything that is cheaper to check.

use ark_bn254::Fr;
use model::BatchHeader;
use statement::proof::{self, Proof, VerifyingKey};
use statement::scope::Circuit;

use super::parts::{AcceptedKey, BatchContext};
use crate::broken::{Broken, Item, Show};

/// A proof, and what it must hold for.
pub(super) struct ProofToVerify<'a> {
    pub(super) key: &'a VerifyingKey,
    pub(super) inputs: Vec<Fr>,
    pub(super) bytes: &'a [u8; Proof::BYTES],
    pub(super) item: Item,
}

impl ProofToVerify<'_> {
    /// Decodes and verifies it.
    pub(super) fn verify(self, header: &BatchHeader) -> Result<(), Broken> {
        let held = match Proof::decode(self.bytes) {
            Err(error) => Err(error.to_string()),
            Ok(proof) => {
                proof::verify(self.key, &self.inputs, &proof).map_err(|error| error.to_string())
            }
        };
        // A proof that does not decode and one that does not hold are one finding: neither proves.
        held.map_err(|found| {
            let expected = "a proof that holds for the inputs of chain and file";
            Broken::inside(header.number, self.item, expected, found)
        })
    }
}

/// The key with this id, if it is one of this circuit.
pub(super) fn find_key<'a>(
    of: BatchContext<'a>,
    circuit: Circuit,
    id: &[u8; 32],
    item: Item,
) -> Result<&'a AcceptedKey, Broken> {
    // An accepted key of the other circuit is none: its proofs say another thing.
    let key = of.context.keys.get(id).filter(|key| key.layout.circuit() == circuit);
    key.ok_or_else(|| {
        let expected = format!("the id of an accepted key of circuit {}", circuit as u8);
        Broken::inside(of.header.number, item, expected, id.show())
    })
}
