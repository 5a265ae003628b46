//! A claim, its slot's tag and the edge between chunks as committed words, twin of
//! `statement::claim`.

use crate::builder::{Builder, Num};
use crate::gadgets::poseidon;
use ark_bn254::Fr;
use ark_ff::Field;
use statement::claim::{
    COVERED_BIT, INDEX_BIT, LIST_ARITY, POSITION_BIT, TAG_COUNT_BIT, TAG_SLOT_BIT, TIME_STRIDE,
};
use statement::domain::Domain;
use statement::field::two_to;

/// The words that a claim's leaf hashes, in order.
#[derive(Clone)]
pub struct ClaimWords {
    /// Who acts.
    pub individual: Num,
    /// For which organisation.
    pub organisation: Num,
    /// For which care team.
    pub care_team: Num,
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
    Num::combination((0..).map(|lane| two_to(TIME_STRIDE * lane)).zip(times))
}

/// The committed word of a claim: 402 rows.
pub fn leaf(b: &mut Builder, claim: &ClaimWords) -> Num {
    let ClaimWords { individual, organisation, care_team, source, info, times, digest, salt } =
        claim;
    let words = [individual, organisation, care_team, source, info, times, digest, salt];
    poseidon::hash(b, Domain::Claim.tag(), &words.map(Num::clone))
}

/// Which patient slot of a chunk a tag is of, and how much is in it.
pub struct SlotPlace<'a> {
    /// The patient's index.
    pub index: &'a Num,
    /// Number of the patient slot in its chunk: a constant of the circuit.
    pub slot: u8,
    /// Number of claims in it.
    pub count: &'a Num,
}

/// The word by which the holder of `view_key` finds the patient slot: 261 rows. `chunk` is domain
/// plus edge_in.
pub fn tag(b: &mut Builder, view_key: &Num, chunk: &Num, place: &SlotPlace<'_>) -> Num {
    // Fixed by the place in the circuit, so that no prover can number a slot otherwise.
    let slot = two_to(TAG_SLOT_BIT) * Fr::from(place.slot);
    let place = place.index + Num::constant(slot) + place.count * two_to(TAG_COUNT_BIT);
    poseidon::hash(b, Domain::SlotTag.tag(), &[view_key.clone(), chunk.clone(), place])
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
    // By the number of leaves, which is the circuit's: no prover can make the list another one.
    let tag = node.tag_of_list(leaves.len());
    let mut above = |below: &[Num]| -> Vec<Num> {
        below.chunks(LIST_ARITY).map(|group| poseidon::hash(b, tag, group)).collect()
    };
    let mut nodes = above(leaves);
    while nodes.len() > 1 {
        nodes = above(&nodes);
    }
    nodes.pop().expect("a list has at least one leaf")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Bit;
    use crate::gadgets::check::check;
    use model::{
        Category, Claim, ClaimKind, Digest, Interval, Label, Millis, Party, PatientIndex, Position,
        Purpose, Word,
    };
    use statement::field::from_word;

    fn claim() -> Claim {
        let at = |ms| Millis::new(ms).unwrap();
        Claim {
            patient: PatientIndex::new((1 << 24) - 1).unwrap(),
            kind: ClaimKind::BreakGlass,
            individual: Word::from_u64(1),
            organisation: Word::from_u64(2),
            care_team: Word::ZERO,
            source: Party::Any,
            categories: Category::Ecg.only(),
            purpose: Purpose::Research,
            labels: Label::Hiv.only(),
            receipt: Interval { from: at(5), until: at(9) },
            measured: Interval::ALWAYS,
            position: Position(u64::MAX),
            digest: Digest([0xff; 31]),
        }
    }

    #[test]
    fn the_leaf_of_a_claim_equals_its_twin() {
        let native = claim();
        let salt = statement::claim::salt(&Word::from_u64(3), Fr::from(4u8), Fr::from(6u8), 5);
        for covered in [false, true] {
            let (r1cs, _, movable) = check(|b| {
                let mut word = |word: Word| b.alloc(from_word(&word));
                let individual = word(native.individual);
                let organisation = word(native.organisation);
                let care_team = word(native.care_team);
                let source = word(native.source.word());
                let digest = word(native.digest.word());
                let mut number = |number: u64| b.alloc(Fr::from(number));
                let mask = number(native.mask());
                let index = number(u64::from(native.patient.get()));
                let position = number(native.position.0);
                let receipt = [native.receipt.from, native.receipt.until];
                let measured = [native.measured.from, native.measured.until];
                let [receipt, measured] =
                    [receipt, measured].map(|times| times.map(|time| number(time.get())));
                let salt = b.alloc(salt);
                let covered_bit = b.bit(covered);
                let info = info(&mask, &index, &position, covered_bit.num());
                let times = times(&receipt, &measured);
                let words = ClaimWords {
                    individual,
                    organisation,
                    care_team,
                    source,
                    info,
                    times,
                    digest,
                    salt,
                };
                let found = leaf(b, &words);
                let public = b.input(statement::claim::leaf(&native, covered, words.salt.value()));
                b.enforce_equal(&found, &public);
            });
            assert_eq!((r1cs.a.len(), movable), (402 + 2, 0));
        }
    }

    #[test]
    fn tag_edge_and_root_equal_their_twins() {
        let Claim { patient, position, .. } = claim();
        let (view_key, salt) = (Word::from_u64(9), Fr::from(7u8));
        let (domain, edge_in) = (Fr::from(8u8), Fr::from(10u8));
        for length in [1, 5, 16, 17, 60] {
            let leaves: Vec<Fr> = (0..length).map(Fr::from).collect();
            check(|b| {
                let index = b.alloc(Fr::from(patient.get()));
                let count = Num::from(&Bit::constant(true)) + b.alloc(Fr::from(3u8));
                let [key, domain_num, edge_num] =
                    [from_word(&view_key), domain, edge_in].map(|word| b.alloc(word));
                let place = SlotPlace { index: &index, slot: 11, count: &count };
                let found = tag(b, &key, &(domain_num + edge_num), &place);
                let place = statement::claim::SlotPlace { patient, slot: 11, count: 4 };
                let native = statement::claim::tag(&view_key, domain, edge_in, place);
                assert_eq!(found.value(), native);

                let place = b.alloc(Fr::from(position.0));
                let blind = b.alloc(salt);
                let found = edge(b, &index, &place, &blind);
                assert_eq!(found.value(), statement::claim::edge(patient, position, salt));

                let list: Vec<Num> = leaves.iter().map(|leaf| b.alloc(*leaf)).collect();
                let found = root16(b, Domain::ClaimsNode, &list);
                let native = statement::claim::root16(Domain::ClaimsNode, &leaves);
                assert_eq!(found.value(), native);
            });
        }
    }
}
