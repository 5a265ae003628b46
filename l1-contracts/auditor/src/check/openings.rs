//! What patients opened, evaluated natively: records, claims, coverage, operations, segments.
//!
//! No error of this module shows a value of an opening: items are named by file and number.

use std::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;
use model::{Action, BatchHeader, ClaimKind, Digest, Position, Word};
use statement::batch::{
    ClaimOpening, ClaimsChunk, Layout, OperationOpening, PatientOpening, PublicFile,
};
use statement::c2::{Capacity, covers};
use statement::field::{from_word, to_word};
use statement::operation::{self, SignedOperation};
use statement::scope::{self, Circuit};
use statement::tree::{Path, verify_path};
use statement::{claim, eddsa, record};
use wire::SignedAccessRequest;

use super::parts::{Context, within};
use crate::broken::{Broken, Item, equal};

/// A batch whose public file was found sound by [`batch`](super::batch()).
#[derive(Clone, Copy, Debug)]
pub struct SoundBatch<'a> {
    /// The deployment's.
    pub context: &'a Context,
    /// Its header, as the chain has it.
    pub header: &'a BatchHeader,
    /// Its public file.
    pub file: &'a PublicFile,
}

/// An opening with the name of its file, by which errors call it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedOpening {
    /// The file's name.
    pub name: String,
    /// What the patient opens.
    pub opening: PatientOpening,
}

/// What one opening opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Name of its file.
    pub file: String,
    /// Chunk and leaf of each claim.
    pub claims: Vec<(usize, usize)>,
    /// Chunk and row of each operation.
    pub operations: Vec<(usize, usize)>,
    /// Number in the opening and digest of each collection.
    pub collected: Vec<(usize, Digest)>,
    /// Journal position of each claim.
    pub positions: Vec<Position>,
}

/// How much of a batch the openings open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coverage {
    /// Some patients.
    Some,
    /// Every patient: then no leaf and no segment may be left over.
    All,
}

/// One opening against its batch.
struct Evaluation<'a> {
    context: &'a Context,
    header: &'a BatchHeader,
    file: &'a PublicFile,
    name: &'a str,
    opening: &'a PatientOpening,
}

/// Evaluates an opening against its batch.
///
/// # Errors
/// [`Broken`] names the first thing that is not as committed, or not as the rules say.
pub fn opening(batch: SoundBatch<'_>, named: &NamedOpening) -> Result<Opened, Broken> {
    let SoundBatch { context, header, file } = batch;
    let NamedOpening { name, opening } = named;
    let this = Evaluation { context, header, file, name, opening };
    // The record first: view key and signer's key are taken from it below.
    this.check_record()?;
    let (mut claims, mut operations) = (Vec::new(), Vec::new());
    for (number, opened) in opening.claims.iter().enumerate() {
        claims.push(this.check_claim(number, opened)?);
    }
    for (number, opened) in opening.operations.iter().enumerate() {
        operations.push(this.check_operation(number, opened)?);
    }
    // After the claims: it counts places that are known to hold claims of this patient.
    this.check_slots(&claims)?;
    let collect = |(_, opened): &(usize, &ClaimOpening)| opened.claim.kind == ClaimKind::Collect;
    let collected = opening.claims.iter().enumerate().filter(collect);
    let collected = collected.map(|(number, opened)| (number, opened.claim.digest)).collect();
    let positions = opening.claims.iter().map(|opened| opened.claim.position).collect();
    Ok(Opened { file: name.to_owned(), claims, operations, collected, positions })
}

/// What the openings of one batch say together: nothing is opened twice, no two claims are of one
/// journal position, every opened collection has its segment, and, if all patients opened, nothing
/// is left over.
///
/// # Errors
/// [`Broken`] names the claim without data, the segment without a claim, or the leaf.
pub fn coverage(
    batch: SoundBatch<'_>,
    opened: &[Opened],
    coverage: Coverage,
) -> Result<(), Broken> {
    let header = batch.header;
    let (mut claims, mut operations) = (BTreeSet::new(), BTreeSet::new());
    for opened in opened {
        let claims_are_new = opened.claims.iter().all(|place| claims.insert(*place));
        let operations_are_new = opened.operations.iter().all(|place| operations.insert(*place));
        // Else a collection that is opened twice would be called a claim without data.
        if !claims_are_new || !operations_are_new {
            let item = Item::Opening { file: opened.file.clone(), part: "places" };
            let found = "a place that is opened twice";
            return Err(Broken::inside(header.number, item, "each place opened once", found));
        }
    }
    check_positions(header, opened)?;
    let unclaimed = match_segments(batch, opened)?;
    match coverage {
        Coverage::Some => Ok(()),
        Coverage::All => {
            expect_all_operations(batch, &operations)?;
            expect_all_claims(batch, &claims)?;
            expect_all_segments(batch, &unclaimed)
        }
    }
}

/// The proofs order the positions of one patient (C2.4): that one journal entry is not shown to two
/// as the claim of each, only their openings together tell.
fn check_positions(header: &BatchHeader, opened: &[Opened]) -> Result<(), Broken> {
    let mut seen = BTreeSet::new();
    for Opened { file, positions, .. } in opened {
        if let Some(claim) = positions.iter().position(|position| !seen.insert(*position)) {
            let item = Item::OpenedClaim { file: file.clone(), claim, part: "position" };
            let expected = "a journal position that no other claim is of";
            return Err(Broken::inside(header.number, item, expected, "one that is opened twice"));
        }
    }
    Ok(())
}

/// Matches collections with segments; gives the segments that no claim names.
fn match_segments(batch: SoundBatch<'_>, opened: &[Opened]) -> Result<BTreeSet<usize>, Broken> {
    let SoundBatch { header, file, .. } = batch;
    // No two segments have one digest: a reader of the file refuses that.
    let segments = file.segments.iter().enumerate();
    let mut by_digest: BTreeMap<[u8; 31], usize> =
        segments.map(|(number, segment)| (segment.digest.0, number)).collect();
    for opened in opened {
        for (number, digest) in &opened.collected {
            if by_digest.remove(&digest.0).is_none() {
                let (file, claim) = (opened.file.clone(), *number);
                let item = Item::OpenedClaim { file, claim, part: "claim without data" };
                let expected = "a segment of its digest under the data root";
                return Err(Broken::inside(header.number, item, expected, "none"));
            }
        }
    }
    Ok(by_digest.into_values().collect())
}

fn expect_all_operations(
    batch: SoundBatch<'_>,
    opened: &BTreeSet<(usize, usize)>,
) -> Result<(), Broken> {
    let SoundBatch { header, file, .. } = batch;
    for (chunk, committed) in file.operations.iter().enumerate() {
        let mut rows = committed.leaves.iter().enumerate().filter(|(_, leaf)| !leaf.is_zero());
        if let Some((row, _)) = rows.find(|(row, _)| !opened.contains(&(chunk, *row))) {
            let (item, found) =
                (Item::OperationLeaf { chunk, row }, "an operation that nobody opened");
            return Err(Broken::inside(header.number, item, "an opening of it", found));
        }
    }
    Ok(())
}

fn expect_all_claims(
    batch: SoundBatch<'_>,
    claims: &BTreeSet<(usize, usize)>,
) -> Result<(), Broken> {
    let SoundBatch { header, file, .. } = batch;
    // Tags stand beside claims; that each slot was opened as a whole follows from its tag.
    for (chunk, committed) in file.claims.iter().enumerate() {
        let opened = claims.range((chunk, 0)..(chunk + 1, 0)).count() as u64;
        let counted = [committed.access, committed.collect, committed.break_glass];
        let counted: u64 = counted.into_iter().map(u64::from).sum();
        if opened < counted {
            let found = format!("{opened} opened of {counted} claims");
            let item = Item::Claims { chunk, part: "claims" };
            return Err(Broken::inside(header.number, item, "an opening of each", found));
        }
    }
    Ok(())
}

fn expect_all_segments(batch: SoundBatch<'_>, unclaimed: &BTreeSet<usize>) -> Result<(), Broken> {
    match unclaimed.first() {
        None => Ok(()),
        Some(segment) => {
            let expected = "a claim of its digest: all openings were said to be given";
            let item = Item::Segment { segment: *segment };
            Err(Broken::inside(batch.header.number, item, expected, "an unclaimed segment"))
        }
    }
}

impl Evaluation<'_> {
    fn check_record(&self) -> Result<(), Broken> {
        let PatientOpening { patient, record, path, batch, .. } = self.opening;
        equal(within(self.header), self.item("batch"), &self.header.number.0, &batch.0)?;
        let path: Path = path.map(|children| children.map(|child| from_word(&child)));
        let root = from_word(&self.header.root_out);
        match verify_path(root, record::leaf(record), patient.get(), &path) {
            true => Ok(()),
            false => {
                let expected = "the record that stands at its index under the batch's root";
                self.broken(self.item("record"), expected, "another record or path")
            }
        }
    }

    fn check_claim(&self, number: usize, opened: &ClaimOpening) -> Result<(usize, usize), Broken> {
        let item = |part| Item::OpenedClaim { file: self.name.to_owned(), claim: number, part };
        let (chunk, leaf) = (opened.chunk as usize, opened.leaf as usize);
        let committed = self.file.claims.get(chunk);
        let place = committed.and_then(|c| Some((c.leaves.get(leaf)?, self.capacity(c)?)));
        let Some((committed, capacity)) = place else {
            return self.broken(item("place"), "a claim leaf of the batch", "none");
        };
        let row = capacity.claims_per_slot + 1;
        // Tags stand among the leaves and are no claims, although they are committed the same way.
        if leaf % row == row - 1 {
            return self.broken(item("place"), "a claim leaf of the batch", "the place of a tag");
        }
        if opened.claim.patient != self.opening.patient {
            return self.broken(item("patient"), "the opening's patient", "another");
        }
        // Leaves are numbered through the batch, so that no two salts of it are the same.
        let before: usize = self.file.claims[..chunk].iter().map(|c| c.leaves.len()).sum();
        let view_key = &self.opening.record.view_key;
        let (domain, root_out) = (self.domain(Circuit::C2), from_word(&self.header.root_out));
        let salt = claim::salt(view_key, domain, root_out, (before + leaf) as u64);
        // The leaf below takes the derived salt, so a wrong one in the file is named for itself.
        if to_word(&salt) != opened.salt {
            return self.broken(item("salt"), "the salt derived from the view key", "another");
        }
        if to_word(&claim::leaf(&opened.claim, opened.covered, salt)) != *committed {
            return self.broken(item("leaf"), "the claim that is committed there", "another");
        }
        // Withheld it says nothing; there, it is the one that the claim names.
        let named = |bytes: &[u8]| {
            SignedAccessRequest::from_bytes(bytes)
                .is_ok_and(|signed| signed.digest() == opened.claim.digest)
        };
        if !opened.request.is_empty() && !named(&opened.request) {
            return self.broken(item("request"), "the signed request that it names", "another");
        }
        self.check_asked(item("request"), opened)?;
        self.check_coverage(item("coverage"), opened)?;
        Ok((chunk, leaf))
    }

    /// The claim against what was signed: the node can withhold a request, and cannot claim
    /// something else than it says.
    fn check_asked(&self, item: Item, opened: &ClaimOpening) -> Result<(), Broken> {
        let Ok(signed) = SignedAccessRequest::from_bytes(&opened.request) else { return Ok(()) };
        let asked = signed.request();
        let words = scope::request_words(&asked.practitioner, &asked.organisation, asked.device());
        let of = self.context.scope;
        match signed.first_difference(&opened.claim, of, words, eddsa::verify_bytes) {
            None => Ok(()),
            Some(part) => {
                let found = format!("another {part}");
                self.broken(item, "the claim of the signed request that it names", found)
            }
        }
    }

    /// What the proofs of this batch are bound to.
    fn domain(&self, circuit: Circuit) -> Fr {
        let BatchHeader { key_version, number, .. } = self.header;
        scope::domain(self.context.scope, circuit, *key_version, *number)
    }

    /// The rules as people understand them against what was proven.
    fn check_coverage(&self, item: Item, opened: &ClaimOpening) -> Result<(), Broken> {
        match (covers(Some(&self.opening.record), &opened.claim), opened.covered) {
            (Ok(_), true) | (Err(_), false) => Ok(()),
            (Ok(slot), false) => {
                let found = format!("it is covered by {slot:?} and was excluded wrongly");
                self.broken(item, "an excluded claim that no rule covers", found)
            }
            (Err(refusal), true) => {
                let found = format!("{} ({}): covered wrongly", refusal.sentence(), refusal.rule());
                self.broken(item, "a covered claim that a rule covers", found)
            }
        }
    }

    fn check_operation(
        &self,
        number: usize,
        opened: &OperationOpening,
    ) -> Result<(usize, usize), Broken> {
        let file = self.name.to_owned();
        let item = |part| Item::OpenedOperation { file: file.clone(), operation: number, part };
        let (chunk, row) = (opened.chunk as usize, opened.row as usize);
        let committed = self.file.operations.get(chunk).and_then(|c| c.leaves.get(row));
        let Some(committed) = committed else {
            return self.broken(item("place"), "a row of the batch", "none");
        };
        let signed = match SignedOperation::from_bytes(&opened.signed) {
            Ok(signed) => signed,
            Err(error) => {
                let expected = "canonical bytes of a signed operation";
                return self.broken(item("encoding"), expected, error.to_string());
            }
        };
        // Said for itself: an operation of another patient would else show as a wrong leaf.
        if signed.operation.patient != self.opening.patient {
            return self.broken(item("patient"), "the opening's patient", "another");
        }
        let before: usize = self.file.operations[..chunk].iter().map(|c| c.leaves.len()).sum();
        let view_key = &self.opening.record.view_key;
        let (domain, root_out) = (self.domain(Circuit::C1), from_word(&self.header.root_out));
        let salt = operation::salt(view_key, domain, root_out, (before + row) as u32);
        if to_word(&salt) != opened.salt {
            return self.broken(item("salt"), "the salt derived from the view key", "another");
        }
        let message = operation::message(self.context.sig_domain, &signed.operation);
        if to_word(&operation::leaf(message, opened.t_op, salt)) != *committed {
            return self.broken(item("leaf"), "the operation that is committed there", "another");
        }
        self.check_signature(item("signature"), &signed)?;
        Ok((chunk, row))
    }

    fn check_signature(&self, item: Item, signed: &SignedOperation) -> Result<(), Broken> {
        let (who, key) = match signed.operation.action {
            // A patient has no key before the enrolment that writes it.
            Action::Enrol { .. } => ("the registrar's signature", self.context.registrar),
            // Of the record after the batch: after its enrolment no operation changes a key.
            _ => ("the patient's signature", self.opening.record.key_hash),
        };
        // The key before the signature: whoever else signs, signs well.
        if to_word(&signed.signer.hash()) != key {
            return self.broken(item, who, "a signature of another key");
        }
        match signed.verify(self.context.sig_domain) {
            true => Ok(()),
            false => self.broken(item, who, "a signature that does not verify"),
        }
    }

    /// Whoever holds the view key finds the patient's slots by their tags, and how many claims each
    /// holds: so a claim that the opening leaves out is noticed.
    fn check_slots(&self, opened: &[(usize, usize)]) -> Result<(), Broken> {
        let domain = self.domain(Circuit::C2);
        // The edge before the first chunk is 0.
        let mut edge_in = Word::ZERO;
        let PatientOpening { patient, record, .. } = self.opening;
        for (chunk, committed) in self.file.claims.iter().enumerate() {
            let edge_before = from_word(&edge_in);
            edge_in = committed.edge_out;
            // `check::batch` has refused chunks under other keys already.
            let Some(capacity) = self.capacity(committed) else { continue };
            let row = capacity.claims_per_slot + 1;
            for (slot, leaves) in committed.leaves.chunks_exact(row).enumerate() {
                let is_ours = |count: &u32| {
                    let (slot, count) = (slot as u8, *count);
                    let place = claim::SlotPlace { patient: *patient, slot, count };
                    let tag = claim::tag(&record.view_key, domain, edge_before, place);
                    to_word(&tag) == leaves[row - 1]
                };
                // A tag commits to the number of claims, of which there are few: all are tried.
                let counts = 1..=capacity.claims_per_slot as u32;
                // A slot that is not the patient's must hold none of what was opened.
                let expected = counts.clone().find(is_ours).unwrap_or(0);
                let here = |(c, leaf): &&(usize, usize)| *c == chunk && leaf / row == slot;
                let found = opened.iter().filter(here).count();
                if found != expected as usize {
                    let expected =
                        format!("{expected} claims of claims chunk {chunk}, slot {slot}");
                    return self.broken(self.item("claims"), expected, found.to_string());
                }
            }
        }
        Ok(())
    }

    fn capacity(&self, chunk: &ClaimsChunk) -> Option<Capacity> {
        match self.context.keys.get(&chunk.key_id)?.layout {
            Layout::Claims(capacity) => Some(capacity),
            Layout::Operations(_) => None,
        }
    }

    fn item(&self, part: &'static str) -> Item {
        Item::Opening { file: self.name.to_owned(), part }
    }

    fn broken<T>(
        &self,
        item: Item,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Result<T, Broken> {
        Err(Broken::inside(self.header.number, item, expected, found))
    }
}
