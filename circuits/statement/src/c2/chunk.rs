//! What one C2 proof is about: slots of claims with the records that cover them.

use std::fmt;

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::{Claim, ClaimKind, PatientIndex, Position, Record, Window};

use crate::claim::SlotPlace;
use crate::domain::Domain;
use crate::inputs::C2Inputs;
use crate::tree::{CAP, CAP_DEPTH, Children, Path};
use crate::{claim, record};

/// How much a chunk holds; fixed by its shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Patient slots.
    pub slots: usize,
    /// Claims in each slot.
    pub claims_per_slot: usize,
}

impl Capacity {
    /// Places for claims.
    pub const fn places(self) -> usize {
        self.slots * self.claims_per_slot
    }

    /// Leaves of the claims list: each slot's claims and its tag.
    pub const fn leaves(self) -> usize {
        self.slots * (self.claims_per_slot + 1)
    }
}

/// The lowest six levels of a path: they lead from a leaf to the cap.
pub type CapPath = [Children; CAP_DEPTH];

/// The part of a whole path that a slot needs.
pub fn cap_path(path: &Path) -> CapPath {
    std::array::from_fn(|level| path[level])
}

/// A patient slot: claims of one patient that are proven together.
#[derive(Clone, PartialEq, Eq)]
pub struct Slot {
    /// Whose.
    pub patient: PatientIndex,
    /// The record under the chunk's root.
    pub record: Record,
    /// From the record's leaf to the cap.
    pub path: CapPath,
    /// Whether the claims are counted as not covered, all of them.
    pub excluded: bool,
    /// By ascending position; at least one.
    pub claims: Vec<Claim>,
}

/// Where the previous chunk of the batch ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Edge {
    /// Its last patient.
    pub patient: PatientIndex,
    /// Its last position.
    pub position: Position,
    /// Blinds the edge; known to the operator alone.
    pub salt: Fr,
}

impl Edge {
    /// The committed word.
    pub fn word(&self) -> Fr {
        claim::edge(self.patient, self.position, self.salt)
    }
}

/// Everything that one C2 proof is about.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What the shape holds.
    pub capacity: Capacity,
    /// Consent root after the batch's operations.
    pub root: Fr,
    /// The 64 nodes two levels below the root.
    pub cap: Box<[Fr; CAP]>,
    /// The batch's time span.
    pub window: Window,
    /// Number of leaves in the chunks of this batch before this one; salts depend on it.
    pub first_leaf: u64,
    /// Journal position of the previous batch.
    pub position_in: Position,
    /// Journal position of this batch.
    pub position_out: Position,
    /// What the proof is bound to: [`crate::scope::domain`].
    pub domain: Fr,
    /// Where the previous chunk ended; none for the first.
    pub edge_in: Option<Edge>,
    /// Blinds the edge after this chunk.
    pub edge_salt: Fr,
    /// By ascending patient and position; at least one, the rest of the capacity is padding.
    pub slots: Vec<Slot>,
}

impl Chunk {
    /// The salt of claim `at` of slot `slot`.
    pub fn salt(&self, slot: usize, at: usize) -> Fr {
        // Counted over all of the batch, so that no two leaves under one view key share a salt.
        let leaf = slot * (self.capacity.claims_per_slot + 1) + at;
        let view_key = &self.slots[slot].record.view_key;
        claim::salt(view_key, self.domain, self.root, self.first_leaf + leaf as u64)
    }

    /// The tag of slot `slot`.
    pub fn tag(&self, slot: usize) -> Fr {
        let Slot { patient, record, claims, .. } = &self.slots[slot];
        let count = claims.len() as u32;
        // Eight bits number the slots of a chunk (SPEC.md section 6); no shape comes near them.
        let place = SlotPlace { patient: *patient, slot: slot as u8, count };
        claim::tag(&record.view_key, self.domain, self.edge_in_word(), place)
    }

    /// The leaves of the claims list, padding included.
    pub fn leaves(&self) -> Vec<Fr> {
        let mut leaves = vec![Fr::ZERO; self.capacity.leaves()];
        let rows = leaves.chunks_mut(self.capacity.claims_per_slot + 1);
        for ((number, slot), row) in self.slots.iter().enumerate().zip(rows) {
            for (at, claim) in slot.claims.iter().enumerate() {
                // Whether it is covered is committed with the claim, so that whoever opens it sees
                // what was excluded.
                row[at] = claim::leaf(claim, !slot.excluded, self.salt(number, at));
            }
            row[self.capacity.claims_per_slot] = self.tag(number);
        }
        leaves
    }

    /// The committed word of the edge before this chunk; 0 for the first.
    fn edge_in_word(&self) -> Fr {
        self.edge_in.as_ref().map_or(Fr::ZERO, Edge::word)
    }

    /// The edge after this chunk.
    pub fn edge_out(&self) -> Edge {
        let before = self.edge_in.as_ref().map(|edge| (edge.patient, edge.position));
        // Only without any claim so far, which `check` refuses; shapes learn their rows from such a
        // chunk.
        let nobody = (first_patient(), self.position_in);
        // A slot without claims is padding and moves no edge.
        let last = self
            .slots
            .iter()
            .rev()
            .find_map(|slot| slot.claims.last().map(|claim| (slot.patient, claim.position)));
        let (patient, position) = last.or(before).unwrap_or(nobody);
        Edge { patient, position, salt: self.edge_salt }
    }

    /// The public inputs, whether or not the statement holds for them.
    pub fn inputs(&self) -> C2Inputs {
        let claims = || self.slots.iter().flat_map(|slot| &slot.claims);
        // Excluded claims count here as well: `excluded` says how many of all are not covered.
        let of_kind = |kind| claims().filter(|claim| claim.kind == kind).count() as u32;
        let excluded = self.slots.iter().filter(|slot| slot.excluded);
        C2Inputs {
            root: self.root,
            t0: self.window.t0(),
            t1: self.window.t1(),
            claims_root: claim::root16(Domain::ClaimsNode, &self.leaves()),
            access: of_kind(ClaimKind::Access),
            collect: of_kind(ClaimKind::Collect),
            break_glass: of_kind(ClaimKind::BreakGlass),
            excluded: excluded.map(|slot| slot.claims.len() as u32).sum(),
            edge_in: self.edge_in_word(),
            edge_out: self.edge_out().word(),
            position_in: self.position_in,
            position_out: self.position_out,
            domain: self.domain,
        }
    }
}

/// Prints sizes only: claims, records and salts are not for logs.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({} claims, excluded: {})", self.claims.len(), self.excluded)
    }
}

/// Prints nothing: whoever knows the salt can link the edge to a patient.
impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edge(..)")
    }
}

/// Prints the slots' sizes.
impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("capacity", &self.capacity)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// The index that everybody follows.
pub(super) fn first_patient() -> PatientIndex {
    PatientIndex::new(0).expect("0 has no more than 24 bits")
}

impl Slot {
    /// The leaf of the slot's record.
    pub fn leaf(&self) -> Fr {
        record::leaf(&self.record)
    }
}
