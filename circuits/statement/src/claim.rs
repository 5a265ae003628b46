//! A claim, its slot's tag and the edge between chunks as committed words (SPEC.md section 6).

use ark_bn254::Fr;
use ark_ff::Field;
use model::{BatchNumber, Claim, Interval, PatientIndex, Position, Word};

use crate::domain::Domain;
use crate::field::{from_u64, from_word};
use crate::poseidon;
use crate::tree::CHUNK_ARITY;

/// First bit of the patient's index in `info`, above the mask.
pub const INDEX_BIT: u32 = 60;
/// First bit of the position in `info`.
pub const POSITION_BIT: u32 = 84;
/// The bit of `info` that says that the claim was proven covered.
pub const COVERED_BIT: u32 = 148;
/// Distance of the four times in `times`.
pub const TIME_BITS: u32 = 48;

/// Mask, index, position and whether the claim is covered, as one word.
pub fn info(claim: &Claim, covered: bool) -> Fr {
    from_u64(claim.mask())
        + from_u64(u64::from(claim.patient.get())) * two_to(INDEX_BIT)
        + from_u64(claim.position.0) * two_to(POSITION_BIT)
        + Fr::from(covered) * two_to(COVERED_BIT)
}

/// Receipt and measured interval as one word.
pub fn times(receipt: &Interval, measured: &Interval) -> Fr {
    [receipt.from, receipt.until, measured.from, measured.until]
        .iter()
        .rev()
        .fold(Fr::from(0u8), |sum, time| sum * two_to(TIME_BITS) + from_u64(time.get()))
}

/// The committed word of a claim.
pub fn leaf(claim: &Claim, covered: bool, salt: Fr) -> Fr {
    let words = [
        from_word(&claim.individual),
        from_word(&claim.organisation),
        from_word(&claim.group),
        from_word(&claim.source.word()),
        info(claim, covered),
        times(&claim.receipt, &claim.measured),
        from_word(&claim.digest.word()),
        salt,
    ];
    poseidon::hash(Domain::Claim.tag(), &words)
}

/// The word by which the holder of `view_key` finds slot number `slot` of a chunk with `count`
/// claims of patient `patient`; nobody else can link it.
pub fn tag(view_key: &Word, domain: Fr, patient: PatientIndex, slot: u8, count: u32) -> Fr {
    let place =
        u64::from(patient.get()) | u64::from(slot) << PatientIndex::BITS | u64::from(count) << 32;
    poseidon::hash(Domain::SlotTag.tag(), &[from_word(view_key), domain, from_u64(place)])
}

/// The salt of the leaf with number `leaf` in its batch, leaves being counted through all C2 chunks;
/// of a C1 row, `leaf` is 2^32 + row.
pub fn salt(view_key: &Word, batch: BatchNumber, leaf: u64) -> Fr {
    let words = [from_word(view_key), from_u64(batch.0), from_u64(leaf)];
    poseidon::hash(Domain::ClaimSalt.tag(), &words)
}

/// The salted commitment to the last patient and position of a chunk.
pub fn edge(patient: PatientIndex, position: Position, salt: Fr) -> Fr {
    let words = [from_u64(u64::from(patient.get())), from_u64(position.0), salt];
    poseidon::hash(Domain::Edge.tag(), &words)
}

/// `root16` of SPEC.md section 2: a node hashes up to 16 children, as few as are there, so that the
/// shape of the list costs no more constraints than it has leaves.
///
/// # Panics
/// If there is no leaf.
pub fn root16(node: Domain, leaves: &[Fr]) -> Fr {
    let above: Vec<Fr> =
        leaves.chunks(CHUNK_ARITY).map(|group| poseidon::hash(node.tag(), group)).collect();
    match above.as_slice() {
        [] => panic!("a list has at least one leaf"),
        [root] => *root,
        nodes => root16(node, nodes),
    }
}

fn two_to(bits: u32) -> Fr {
    Fr::from(2u8).pow([u64::from(bits)])
}
