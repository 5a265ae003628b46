//! A claim, its slot's tag and the edge between chunks as committed words (SPEC.md section 6).

use ark_bn254::Fr;
use model::{Claim, Interval, PatientIndex, Position, Word, layout};

use crate::domain::Domain;
use crate::field::{from_u64, from_word, two_to};
use crate::poseidon;

/// First bit of the patient's index in `info`, above the mask.
pub const INDEX_BIT: u32 = layout::MASK_BITS;
/// First bit of the position in `info`.
pub const POSITION_BIT: u32 = INDEX_BIT + PatientIndex::BITS;
/// The bit of `info` that says that the claim was proven covered, above the 64 of the position.
pub const COVERED_BIT: u32 = POSITION_BIT + u64::BITS;
/// Distance of the four times in `times`: that of the lanes of a rule.
pub const TIME_STRIDE: u32 = layout::LANE_STRIDE;
/// First bit of the slot's number in the word that a tag hashes, above the patient's index.
pub const TAG_SLOT_BIT: u32 = PatientIndex::BITS;
/// First bit of the number of claims in the word that a tag hashes, above the slot's eight.
pub const TAG_COUNT_BIT: u32 = TAG_SLOT_BIT + 8;

/// Children of a node of a list of claims or operations: twice those of the record tree, because
/// opening one entry is rare there and hashing the whole list is not.
pub const LIST_ARITY: usize = 16;

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
        .fold(Fr::from(0u8), |sum, time| sum * two_to(TIME_STRIDE) + from_u64(time.get()))
}

/// The committed word of a claim.
pub fn leaf(claim: &Claim, covered: bool, salt: Fr) -> Fr {
    let words = [
        from_word(&claim.individual),
        from_word(&claim.organisation),
        from_word(&claim.care_team),
        from_word(&claim.source.word()),
        info(claim, covered),
        times(&claim.receipt, &claim.measured),
        from_word(&claim.digest.word()),
        salt,
    ];
    poseidon::hash(Domain::Claim.tag(), &words)
}

/// Which patient slot of a chunk a tag is of, and how much is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotPlace {
    /// Whose claims.
    pub patient: PatientIndex,
    /// Number of the patient slot in its chunk.
    pub slot: u8,
    /// Number of claims in it.
    pub count: u32,
}

/// The word by which the holder of `view_key` finds a patient slot of a chunk and learns how many
/// claims are in it; nobody else can link it. `edge_in` is the edge before the chunk, 0 for the
/// first: it tells the chunks of a batch apart.
pub fn tag(view_key: &Word, domain: Fr, edge_in: Fr, place: SlotPlace) -> Fr {
    let SlotPlace { patient, slot, count } = place;
    // 24, 8 and 32 bits: they fill the 64 and do not overlap.
    let place = u64::from(patient.get())
        | u64::from(slot) << TAG_SLOT_BIT
        | u64::from(count) << TAG_COUNT_BIT;
    poseidon::hash(Domain::SlotTag.tag(), &[from_word(view_key), domain + edge_in, from_u64(place)])
}

/// The salt of the leaf with number `leaf` in its batch, leaves being counted through all C2
/// chunks; of a C1 row, `leaf` is 2^32 + row. `domain` is that of the leaf's circuit, `root_out`
/// the header's: the same place in another deployment, batch or history has another salt.
pub fn salt(view_key: &Word, domain: Fr, root_out: Fr, leaf: u64) -> Fr {
    let words = [from_word(view_key), domain, root_out, from_u64(leaf)];
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
    let tag = node.tag_of_list(leaves.len());
    let mut nodes = nodes_above(tag, leaves);
    while nodes.len() > 1 {
        nodes = nodes_above(tag, &nodes);
    }
    nodes.pop().expect("a list has at least one leaf")
}

/// One level of a list. Also a node with one child is a hash: a leaf that was passed up could be
/// taken for a node.
fn nodes_above(tag: Fr, below: &[Fr]) -> Vec<Fr> {
    below.chunks(LIST_ARITY).map(|group| poseidon::hash(tag, group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, cases, element, elements, interval, number, records, word};
    use model::{Categories, ClaimKind, Digest, Labels, Party, Purpose};
    use serde_json::Value;

    fn patient(value: &Value) -> PatientIndex {
        PatientIndex::new(number(value) as u32).unwrap()
    }

    fn claim(value: &Value) -> Claim {
        let of = |name: &str| number(&value[name]);
        Claim {
            patient: patient(&value["patient"]),
            kind: ClaimKind::ALL[of("kind") as usize],
            individual: word(&value["individual"]),
            organisation: word(&value["organisation"]),
            care_team: word(&value["group"]),
            source: Party::from_word(word(&value["source"])).unwrap(),
            categories: Categories::from_bits(of("categories")).unwrap(),
            purpose: Purpose::ALL[of("purpose") as usize],
            labels: Labels::from_bits(of("labels")).unwrap(),
            receipt: interval(&value["receipt"]),
            measured: interval(&value["measured"]),
            position: Position(of("position")),
            digest: Digest(bytes(&value["digest"])),
        }
    }

    #[test]
    fn every_word_of_a_claim_equals_the_vector() {
        for case in cases(&records()["claims"]) {
            let claim = claim(&case["claim"]);
            let covered = case["covered"].as_bool().unwrap();
            assert_eq!(info(&claim, covered), element(&case["info"]));
            assert_eq!(times(&claim.receipt, &claim.measured), element(&case["times"]));
            assert_eq!(leaf(&claim, covered, element(&case["salt"])), element(&case["leaf"]));
        }
    }

    #[test]
    fn tags_salts_and_edges_equal_the_vectors() {
        let records = records();
        for case in cases(&records["tags"]) {
            let place = SlotPlace {
                patient: patient(&case["patient"]),
                slot: number(&case["slot"]) as u8,
                count: number(&case["count"]) as u32,
            };
            let [domain, edge_in] = ["domain", "edge_in"].map(|name| element(&case[name]));
            let found = tag(&word(&case["view_key"]), domain, edge_in, place);
            assert_eq!(found, element(&case["word"]));
        }
        for case in cases(&records["salts"]) {
            let [domain, root_out] = ["domain", "root_out"].map(|name| element(&case[name]));
            let leaf = number(&case["leaf"]);
            let found = salt(&word(&case["view_key"]), domain, root_out, leaf);
            assert_eq!(found, element(&case["word"]));
        }
        for case in cases(&records["edges"]) {
            let position = Position(number(&case["position"]));
            let found = edge(patient(&case["patient"]), position, element(&case["salt"]));
            assert_eq!(found, element(&case["word"]));
        }
    }

    #[test]
    fn roots_of_lists_of_any_length_equal_the_vectors() {
        for case in cases(&records()["claims_roots"]) {
            let leaves = elements(&case["leaves"]);
            assert_eq!(root16(Domain::ClaimsNode, &leaves), element(&case["root"]));
        }
    }

    #[test]
    fn the_inner_nodes_of_a_list_are_no_list_with_its_root() {
        let leaves: Vec<Fr> = (1..=60).map(Fr::from).collect();
        let root = root16(Domain::ClaimsNode, &leaves);
        let mut nodes = leaves;
        while nodes.len() > 1 {
            nodes = nodes_above(Domain::ClaimsNode.tag_of_list(60), &nodes);
            assert_ne!(root16(Domain::ClaimsNode, &nodes), root);
        }
        assert_eq!(nodes, [root]);
    }
}
