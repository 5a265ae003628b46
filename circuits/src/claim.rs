//! A claim, its slot's tag and the edge between chunks as committed words, twin of
//! `statement::claim`.

use crate::builder::{Builder, Num};
use crate::gadgets::poseidon;
use ark_bn254::Fr;
use ark_ff::Field;
use statement::claim::{COVERED_BIT, INDEX_BIT, POSITION_BIT, TIME_BITS};
use statement::domain::Domain;
use statement::tree::CHUNK_ARITY;

/// The words that a claim's leaf hashes, in order.
#[derive(Clone)]
pub struct ClaimWords {
    /// Who acts.
    pub individual: Num,
    /// For which organisation.
    pub organisation: Num,
    /// For which group.
    pub group: Num,
    /// Whose data.
    pub source: Num,
    /// Mask, index, position, covered: [`info`].
    pub info: Num,
    /// Receipt and measured interval: [`times`].
    pub times: Num,
    /// What the claim is about.
    pub digest: Num,
    /// Blinds the leaf.
    pub salt: Num,
}

/// Mask, index, position and whether the claim is covered, as one word: no row.
pub fn info(mask: &Num, index: &Num, position: &Num, covered: &Num) -> Num {
    let parts = [
        (Fr::ONE, mask),
        (two_to(INDEX_BIT), index),
        (two_to(POSITION_BIT), position),
        (two_to(COVERED_BIT), covered),
    ];
    Num::combination(parts)
}

/// Two intervals as one word: no row.
pub fn times(receipt: &[Num; 2], measured: &[Num; 2]) -> Num {
    let times = receipt.iter().chain(measured);
    Num::combination((0..).map(|lane| two_to(TIME_BITS * lane)).zip(times))
}

/// The committed word of a claim: 402 rows.
pub fn leaf(b: &mut Builder, claim: &ClaimWords) -> Num {
    let ClaimWords { individual, organisation, group, source, info, times, digest, salt } = claim;
    let words = [individual, organisation, group, source, info, times, digest, salt];
    poseidon::hash(b, Domain::Claim.tag(), &words.map(Num::clone))
}

/// The word by which the holder of `view_key` finds the slot: 261 rows.
pub fn tag(
    b: &mut Builder,
    view_key: &Num,
    domain: &Num,
    index: &Num,
    slot: u8,
    count: &Num,
) -> Num {
    let place = index + Num::from(u64::from(slot) << 24) + count * two_to(32);
    poseidon::hash(b, Domain::SlotTag.tag(), &[view_key.clone(), domain.clone(), place])
}

/// The salted commitment to the last patient and position of a chunk: 261 rows.
pub fn edge(b: &mut Builder, index: &Num, position: &Num, salt: &Num) -> Num {
    poseidon::hash(b, Domain::Edge.tag(), &[index.clone(), position.clone(), salt.clone()])
}

/// The root of a list whose nodes hash up to 16 children, as few as are there.
///
/// # Panics
/// If there is no leaf.
pub fn root16(b: &mut Builder, node: Domain, leaves: &[Num]) -> Num {
    let groups = leaves.chunks(CHUNK_ARITY);
    let mut above: Vec<Num> = groups.map(|group| poseidon::hash(b, node.tag(), group)).collect();
    match above.len() {
        0 => panic!("a list has at least one leaf"),
        1 => above.swap_remove(0),
        _ => root16(b, node, &above),
    }
}

/// A power of two.
pub(crate) fn two_to(bits: u32) -> Fr {
    Fr::from(2u8).pow([u64::from(bits)])
}
