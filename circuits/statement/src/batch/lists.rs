//! The lists of a public file against its header: what must hold before one leaf is read.
//!
//! ```text
//!   header -> total root -> root of each chunk -> leaves
//!                                 ^ key id -> layout: how many leaves, and which are tags
//! ```
//! A file is served by whoever wants to hide something in it. Every reader therefore passes by
//! [`check_lists`], auditors and patients alike, and reads leaves from the [`Lists`] that it gives.

use model::{BatchHeader, PatientIndex, Word};
use thiserror::Error;

use super::layout::{Layout, Layouts};
use super::public::{ClaimsChunk, OperationsChunk, PublicFile};
use super::segment::data_root;
use crate::c2::Capacity;
use crate::claim::{self, SlotPlace};
use crate::domain::Domain;
use crate::field::{from_word, to_word};
use crate::scope::{self, Circuit};

/// One of the two lists that a header commits to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum List {
    /// Operations, proven by C1.
    Operations,
    /// Claims, proven by C2.
    Claims,
}

impl List {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            List::Operations => "operations",
            List::Claims => "claims",
        }
    }

    const fn circuit(self) -> Circuit {
        match self {
            List::Operations => Circuit::C1,
            List::Claims => Circuit::C2,
        }
    }
}

/// What of a file's lists is not as its header says.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ListsError {
    /// The file holds another header than the one that was settled.
    #[error("expected the settled header in the public file, found another")]
    Header,
    /// A chunk under a key of no known shape, or of the other circuit.
    #[error(
        "{} chunk {chunk}: expected the id of a key of circuit {} that the deployment file \
             names, found another", list.name(), list.circuit() as u8
    )]
    Key {
        /// Which list.
        list: List,
        /// Index of the chunk.
        chunk: usize,
        /// Id found.
        found: [u8; 32],
    },
    /// A list that is longer or shorter than its shape.
    #[error("{} chunk {chunk}: expected {expected} leaves, found {found}", list.name())]
    Length {
        /// Which list.
        list: List,
        /// Index of the chunk.
        chunk: usize,
        /// Leaves of the shape.
        expected: usize,
        /// Leaves found.
        found: usize,
    },
    /// Leaves with another root than the chunk's.
    #[error("{} chunk {chunk}: expected leaves under its root, found others", list.name())]
    Root {
        /// Which list.
        list: List,
        /// Index of the chunk.
        chunk: usize,
        /// Root that the chunk names.
        expected: Word,
        /// Root of the leaves.
        found: Word,
    },
    /// A leaf behind the end of what is in use: padding stands last.
    #[error("{} chunk {chunk}, leaf {leaf}: expected padding to its end, found a leaf",
            list.name())]
    Padding {
        /// Which list.
        list: List,
        /// Index of the chunk.
        chunk: usize,
        /// Index of the leaf.
        leaf: usize,
    },
    /// A tag without claims, or claims without a tag.
    #[error("claims chunk {chunk}, leaf {leaf}: expected a tag if and only if its slot has claims")]
    Tag {
        /// Index of the chunk.
        chunk: usize,
        /// Index of the tag's leaf.
        leaf: usize,
        /// What stands there.
        found: Word,
    },
    /// A counter of a chunk that its leaves contradict.
    #[error("{} chunk {chunk}: expected {expected} {what}, found {found}", list.name())]
    Count {
        /// Which list.
        list: List,
        /// Index of the chunk.
        chunk: usize,
        /// What is counted.
        what: &'static str,
        /// Number by the chunk's counters.
        expected: u64,
        /// Number by its leaves.
        found: u64,
    },
    /// A sum over all chunks that is not the header's.
    #[error("all {} chunks: expected {expected} {what}, found {found}", list.name())]
    Total {
        /// Which list.
        list: List,
        /// What is counted.
        what: &'static str,
        /// Number in the header.
        expected: u64,
        /// Sum over the chunks.
        found: u64,
    },
    /// The chunks' roots together are not what the header names.
    #[error("all {} chunks: expected the roots that the header names, found others", list.name())]
    TotalRoot {
        /// Which list.
        list: List,
        /// Hash in the header.
        expected: [u8; 32],
        /// Hash of the roots found.
        found: [u8; 32],
    },
    /// Chunks of nothing: the contract takes none then.
    #[error("expected no chunk of {}, since there is nothing to prove, found {found}", list.name())]
    Idle {
        /// Which list.
        list: List,
        /// Chunks found.
        found: usize,
    },
    /// Segments with another root than the header's.
    #[error("expected segments under the header's data root, found others")]
    DataRoot {
        /// Root in the header.
        expected: [u8; 32],
        /// Root of the segments.
        found: [u8; 32],
    },
}

/// A leaf, with its number through all chunks of its list: salts are made with that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// What is committed.
    pub committed: Word,
    /// Leaves before it.
    pub number: u64,
}

/// A patient slot that a tag was found for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaggedSlot {
    /// Index of the chunk.
    pub chunk: usize,
    /// First leaf of the slot in its chunk.
    pub first: usize,
    /// Claims in it, by its tag: they begin at `first`.
    pub claims: usize,
}

/// Whose tags to look for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TagOwner {
    /// The view key of the record.
    pub view_key: Word,
    /// Whose record.
    pub patient: PatientIndex,
}

/// The lists of a public file that agrees with its header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lists<'a> {
    header: &'a BatchHeader,
    operations: Vec<&'a [Word]>,
    claims: Vec<ClaimsList<'a>>,
}

/// The leaves of a chunk of claims and how they lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ClaimsList<'a> {
    capacity: Capacity,
    leaves: &'a [Word],
    edge_out: Word,
}

/// Checks the lists of a public file against the settled header: each chunk's key, length, root,
/// padding, tags and counters, then the header's sums and roots, and the segments' root.
///
/// `header` is what the base chain has, or what an auditor verified there. Proofs are not looked
/// at.
///
/// # Errors
/// [`ListsError`] names the first thing that does not agree.
pub fn check_lists<'a>(
    header: &'a BatchHeader,
    file: &'a PublicFile,
    layouts: &Layouts,
) -> Result<Lists<'a>, ListsError> {
    if file.header != *header {
        return Err(ListsError::Header);
    }
    let operations = file.operations.iter().enumerate();
    let operations = operations.map(|(at, chunk)| check_operations(at, chunk, layouts));
    let operations = operations.collect::<Result<_, _>>()?;
    check_operation_totals(header, &file.operations)?;
    let claims = file.claims.iter().enumerate();
    let claims = claims.map(|(at, chunk)| check_claims(at, chunk, layouts));
    let claims = claims.collect::<Result<_, _>>()?;
    check_claim_totals(header, &file.claims)?;
    let (expected, found) = (header.data_root, data_root(&file.segments));
    if expected != found {
        return Err(ListsError::DataRoot { expected, found });
    }
    Ok(Lists { header, operations, claims })
}

impl Lists<'_> {
    /// The operation in a row of a chunk.
    pub fn operation(&self, chunk: u32, row: u32) -> Option<Leaf> {
        find(self.operations.iter().copied(), chunk, row)
    }

    /// The claim at a leaf of a chunk; `None` also for the place of a tag, which is no claim
    /// although it is committed the same way.
    pub fn claim(&self, chunk: u32, leaf: u32) -> Option<Leaf> {
        let row = self.claims.get(chunk as usize)?.capacity.claims_per_slot + 1;
        if leaf as usize % row == row - 1 {
            return None;
        }
        find(self.claims.iter().map(|list| list.leaves), chunk, leaf)
    }

    /// The edges behind the chunks of claims, by the file.
    pub fn edges(&self) -> impl Iterator<Item = Word> {
        self.claims.iter().map(|list| list.edge_out)
    }

    /// The slots that are tagged as this patient's: so many claims must be opened to it, no more
    /// and no fewer.
    ///
    /// Tags are made with the edge before their chunk, which the header does not commit to: it is
    /// the file's word until its proof is verified, or the edges are compared with those that an
    /// auditor verified.
    ///
    /// Cost: a hash for each slot of the batch and each number of claims that a slot may have.
    pub fn find_slots(&self, scope: model::ChainScope, owner: TagOwner) -> Vec<TaggedSlot> {
        let BatchHeader { key_version, number, .. } = *self.header;
        let domain = scope::domain(scope, Circuit::C2, key_version, number);
        let (mut found, mut edge_in) = (Vec::new(), Word::ZERO);
        for (chunk, list) in self.claims.iter().enumerate() {
            let row = list.capacity.claims_per_slot + 1;
            for (slot, leaves) in list.leaves.chunks_exact(row).enumerate() {
                // A tag commits to the number of claims, of which there are few: all are tried.
                let counts = 1..=list.capacity.claims_per_slot;
                let is_ours = |count: &usize| {
                    let (patient, slot, count) = (owner.patient, slot as u8, *count as u32);
                    let place = SlotPlace { patient, slot, count };
                    let tag = claim::tag(&owner.view_key, domain, from_word(&edge_in), place);
                    to_word(&tag) == leaves[row - 1]
                };
                if let Some(claims) = counts.into_iter().find(is_ours) {
                    found.push(TaggedSlot { chunk, first: slot * row, claims });
                }
            }
            edge_in = list.edge_out;
        }
        found
    }
}

fn find<'a>(lists: impl Iterator<Item = &'a [Word]>, chunk: u32, leaf: u32) -> Option<Leaf> {
    let mut before = 0;
    for (index, leaves) in lists.enumerate() {
        if index == chunk as usize {
            let committed = *leaves.get(leaf as usize)?;
            return Some(Leaf { committed, number: before + u64::from(leaf) });
        }
        before += leaves.len() as u64;
    }
    None
}

/// A chunk of one of the lists, as far as both kinds are alike.
struct Chunk<'a> {
    list: List,
    at: usize,
    key_id: &'a [u8; 32],
    root: Word,
    leaves: &'a [Word],
}

impl Chunk<'_> {
    /// Key, length and root. The length first: the hash of no leaves is a panic, and a file from
    /// outside must never reach one.
    fn check(&self, layouts: &Layouts) -> Result<Layout, ListsError> {
        let Chunk { list, at: chunk, key_id, root, leaves } = *self;
        let layout = layouts.of_key(key_id, list.circuit());
        let layout = layout.ok_or(ListsError::Key { list, chunk, found: *key_id })?;
        let (expected, found) = (layout.leaves(), leaves.len());
        if expected != found {
            return Err(ListsError::Length { list, chunk, expected, found });
        }
        let node = match list {
            List::Operations => Domain::OperationsNode,
            List::Claims => Domain::ClaimsNode,
        };
        let words: Vec<_> = leaves.iter().map(from_word).collect();
        let found = to_word(&claim::root16(node, &words));
        if root != found {
            return Err(ListsError::Root { list, chunk, expected: root, found });
        }
        Ok(layout)
    }

    fn count(&self, what: &'static str, expected: u64, found: u64) -> Result<(), ListsError> {
        if expected == found {
            return Ok(());
        }
        let Chunk { list, at: chunk, .. } = *self;
        Err(ListsError::Count { list, chunk, what, expected, found })
    }

    /// Of a part that cannot be more than a whole: the proof says so, and here no proof is read.
    fn at_most(&self, what: &'static str, part: u32, whole: u64) -> Result<(), ListsError> {
        let part = u64::from(part);
        if part <= whole { Ok(()) } else { self.count(what, part, whole) }
    }

    /// Leaves in use among some of the chunk, which stand before those that are not.
    fn count_used(&self, first: usize, leaves: &[Word]) -> Result<usize, ListsError> {
        let used = leaves.iter().take_while(|leaf| !leaf.is_zero()).count();
        match leaves[used..].iter().position(|leaf| !leaf.is_zero()) {
            None => Ok(used),
            Some(beyond) => {
                let Chunk { list, at: chunk, .. } = *self;
                Err(ListsError::Padding { list, chunk, leaf: first + used + beyond })
            }
        }
    }
}

fn check_operations<'a>(
    at: usize,
    chunk: &'a OperationsChunk,
    layouts: &Layouts,
) -> Result<&'a [Word], ListsError> {
    let OperationsChunk { key_id, operations_root: root, leaves, .. } = chunk;
    let of = Chunk { list: List::Operations, at, key_id, root: *root, leaves };
    of.check(layouts)?;
    // Rows that are not used have a zero leaf, and no operation hashes to zero.
    let used = of.count_used(0, leaves)? as u64;
    of.count("operations", u64::from(chunk.operations), used)?;
    of.at_most("enrolments", chunk.enrolments, used)?;
    Ok(leaves)
}

fn check_claims<'a>(
    at: usize,
    chunk: &'a ClaimsChunk,
    layouts: &Layouts,
) -> Result<ClaimsList<'a>, ListsError> {
    let ClaimsChunk { key_id, claims_root: root, leaves, .. } = chunk;
    let of = Chunk { list: List::Claims, at, key_id, root: *root, leaves };
    let Layout::Claims(capacity) = of.check(layouts)? else {
        // The layout was asked for by circuit: it is one of claims.
        return Err(ListsError::Key { list: List::Claims, chunk: at, found: *key_id });
    };
    let found = count_claims(&of, capacity)?;
    // That they are of these kinds is proven (C2.18); how many there are the leaves show.
    let counted = sum([chunk.access, chunk.collect, chunk.break_glass]);
    of.count("claims", counted, found)?;
    of.at_most("excluded claims", chunk.excluded, found)?;
    Ok(ClaimsList { capacity, leaves, edge_out: chunk.edge_out })
}

/// The claims of a chunk: in each slot before its padding, and a tag where there is one.
fn count_claims(of: &Chunk<'_>, capacity: Capacity) -> Result<u64, ListsError> {
    let row = capacity.claims_per_slot + 1;
    let (mut claims, mut ended) = (0, false);
    for (slot, leaves) in of.leaves.chunks_exact(row).enumerate() {
        let (first, tag) = (slot * row, leaves[row - 1]);
        let used = of.count_used(first, &leaves[..row - 1])?;
        // A tag without claims would show a patient where there is none; claims without a tag
        // could not be found by theirs.
        if tag.is_zero() != (used == 0) {
            return Err(ListsError::Tag { chunk: of.at, leaf: first + row - 1, found: tag });
        }
        if ended && used > 0 {
            return Err(ListsError::Padding { list: of.list, chunk: of.at, leaf: first });
        }
        ended = used == 0;
        claims += used as u64;
    }
    Ok(claims)
}

/// The header's sums and root over the chunks of one list.
struct Totals {
    list: List,
}

impl Totals {
    fn sum(&self, what: &'static str, expected: u32, found: u64) -> Result<(), ListsError> {
        let expected = u64::from(expected);
        if expected == found {
            return Ok(());
        }
        Err(ListsError::Total { list: self.list, what, expected, found })
    }

    fn root(&self, expected: [u8; 32], roots: &[Word]) -> Result<(), ListsError> {
        let roots: Vec<_> = roots.iter().map(from_word).collect();
        let found = scope::chunk_roots(&roots);
        if expected == found {
            return Ok(());
        }
        Err(ListsError::TotalRoot { list: self.list, expected, found })
    }
}

fn check_operation_totals(
    header: &BatchHeader,
    chunks: &[OperationsChunk],
) -> Result<(), ListsError> {
    let totals = Totals { list: List::Operations };
    totals.sum("operations", header.operations, sum(chunks.iter().map(|c| c.operations)))?;
    totals.sum("enrolments", header.enrolments, sum(chunks.iter().map(|c| c.enrolments)))?;
    let roots: Vec<_> = chunks.iter().map(|chunk| chunk.operations_root).collect();
    totals.root(header.operations_root, &roots)?;
    // The contract takes no chunk then either: a proof of nothing only costs gas.
    let idle = header.operations == 0 && header.root_in == header.root_out;
    expect_work(List::Operations, idle, chunks.len())
}

fn check_claim_totals(header: &BatchHeader, chunks: &[ClaimsChunk]) -> Result<(), ListsError> {
    let totals = Totals { list: List::Claims };
    let total = |of: fn(&ClaimsChunk) -> u32| sum(chunks.iter().map(of));
    let [access, collect] = [total(|c| c.access), total(|c| c.collect)];
    let break_glass = total(|c| c.break_glass);
    totals.sum("access claims", header.access, access)?;
    totals.sum("collect claims", header.collect, collect)?;
    totals.sum("break-glass claims", header.break_glass, break_glass)?;
    totals.sum("excluded claims", header.excluded, total(|c| c.excluded))?;
    let roots: Vec<_> = chunks.iter().map(|chunk| chunk.claims_root).collect();
    totals.root(header.claims_root, &roots)?;
    // Excluded claims are counted under their kind as well.
    expect_work(List::Claims, access + collect + break_glass == 0, chunks.len())
}

fn expect_work(list: List, idle: bool, found: usize) -> Result<(), ListsError> {
    if idle && found > 0 { Err(ListsError::Idle { list, found }) } else { Ok(()) }
}

/// Counters are 32 bits wide: no sum of them overflows 64.
fn sum(counts: impl IntoIterator<Item = u32>) -> u64 {
    counts.into_iter().map(u64::from).sum()
}
