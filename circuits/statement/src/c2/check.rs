//! The statement as a check on a whole chunk, rule by rule.

use ark_bn254::Fr;
use model::limits::{BATCH_ENTRIES_MAX, WINDOW_MS_MAX};
use model::{Claim, Position, Record, RuleNumber, Uncovered, Word};
use thiserror::Error;

use super::chunk::{Chunk, Slot, first_patient};
use super::covers::{best_rule, is_covered_by_wrong_kind_only, meets_but_for_time};
use super::hull::Hull;
use crate::inputs::C2Inputs;
use crate::tree;

/// Why a chunk has no proof. Slots and claims are counted from zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum C2Error {
    /// A rule of the statement does not hold.
    #[error("rule {rule} does not hold{}", place(.slot, .claim))]
    Broken {
        /// The rule of SPEC.md.
        rule: RuleNumber,
        /// In which slot, if in one.
        slot: Option<usize>,
        /// At which of its claims, if at one.
        claim: Option<usize>,
    },
    /// The chunk does not fit its shape.
    #[error("expected 1 to {expected} {what}, found {found}")]
    Size {
        /// Slots, or claims in a slot.
        what: &'static str,
        /// The capacity.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A claim stands in another patient's slot.
    #[error("expected claims of the slot's patient, found another's at slot {slot}, claim {claim}")]
    OtherPatient {
        /// Which slot.
        slot: usize,
        /// Which claim.
        claim: usize,
    },
}

fn place(slot: &Option<usize>, claim: &Option<usize>) -> String {
    let part = |what: &str, at: &Option<usize>| at.map_or(String::new(), |n| format!("{what}{n}"));
    part(" at slot ", slot) + &part(", claim ", claim)
}

impl C2Error {
    /// The rule that does not hold, if it is a rule.
    pub fn rule(&self) -> Option<RuleNumber> {
        match self {
            C2Error::Broken { rule, .. } => Some(*rule),
            C2Error::Size { .. } | C2Error::OtherPatient { .. } => None,
        }
    }
}

/// Checks the whole statement on a chunk and returns its public inputs.
///
/// # Errors
/// [`C2Error`] with the first rule that does not hold.
pub fn check(chunk: &Chunk) -> Result<C2Inputs, C2Error> {
    // Sizes first: everything behind indexes by them.
    check_size(chunk)?;
    // The cap before the slots, which open their records against its nodes and not against the
    // root.
    require(tree::cap_root(&chunk.cap) == chunk.root, 1, None, None)?;
    check_order(chunk)?;
    for (number, slot) in chunk.slots.iter().enumerate() {
        check_record(chunk, number, slot)?;
        for (at, claim) in slot.claims.iter().enumerate() {
            check_form(chunk, claim).map_err(|rule| broken(rule, Some(number), Some(at)))?;
        }
        // Whether claims are rightly excluded is not proven (SPEC.md section 12).
        if !slot.excluded {
            check_covered(number, slot)?;
        }
    }
    Ok(chunk.inputs())
}

/// Checks the statement for given public inputs, as the circuit sees it.
///
/// # Errors
/// [`C2Error`] as [`check`], or with the rule that an input breaks.
pub fn check_inputs(chunk: &Chunk, inputs: &C2Inputs) -> Result<(), C2Error> {
    let expected = check(chunk)?;
    // Each input goes under the rule whose rows read it in the circuit, so that both twins name the
    // same rule for the same wrong input.
    let counts = |i: &C2Inputs| [i.access, i.collect, i.break_glass];
    let window = |i: &C2Inputs| (i.t0, i.t1);
    let positions = |i: &C2Inputs| (i.position_in, i.position_out);
    let edges = |i: &C2Inputs| (i.edge_in, i.edge_out);
    let same = [
        (expected.root == inputs.root, 1),
        (positions(&expected) == positions(inputs), 4),
        (window(&expected) == window(inputs), 5),
        (expected.claims_root == inputs.claims_root, 17),
        (counts(&expected) == counts(inputs), 18),
        (expected.excluded == inputs.excluded, 19),
        (edges(&expected) == edges(inputs), 21),
        (expected.domain == inputs.domain, 23),
    ];
    same.into_iter().try_for_each(|(same, rule)| require(same, rule, None, None))
}

/// Checks the leaves that a chunk publishes against its claims and tags, padding included.
///
/// # Errors
/// [`C2Error`] with C2.17 and the claim, or C2.20 and the slot whose tag is another.
pub fn check_leaves(chunk: &Chunk, leaves: &[Fr]) -> Result<(), C2Error> {
    let expected = chunk.leaves();
    // The number first, since the comparison below ends with the shorter list.
    require(leaves.len() == expected.len(), 17, None, None)?;
    let tag = chunk.capacity.claims_per_slot;
    for (number, (expected, found)) in expected.iter().zip(leaves).enumerate() {
        let (slot, at) = (number / (tag + 1), number % (tag + 1));
        let (rule, claim) = if at == tag { (20, None) } else { (17, Some(at)) };
        require(expected == found, rule, Some(slot), claim)?;
    }
    Ok(())
}

fn check_size(chunk: &Chunk) -> Result<(), C2Error> {
    let within = |what, found, expected| match (1..=expected).contains(&found) {
        true => Ok(()),
        false => Err(C2Error::Size { what, expected, found }),
    };
    within("slots", chunk.slots.len(), chunk.capacity.slots)?;
    for (number, slot) in chunk.slots.iter().enumerate() {
        within("claims in a slot", slot.claims.len(), chunk.capacity.claims_per_slot)?;
        // This has no rule: the circuit has one index a slot and cannot even be given such a claim.
        let other = slot.claims.iter().position(|claim| claim.patient != slot.patient);
        if let Some(claim) = other {
            return Err(C2Error::OtherPatient { slot: number, claim });
        }
    }
    Ok(())
}

/// C2.3 and C2.4. A step of 2^28 positions is more than a batch may hold.
fn check_order(chunk: &Chunk) -> Result<(), C2Error> {
    let near = |from: Position, to: Position| {
        to.0.checked_sub(from.0).is_some_and(|step| step < BATCH_ENTRIES_MAX)
    };
    let mut last = chunk.edge_in.as_ref().map(|edge| (edge.patient, edge.position));
    for (number, slot) in chunk.slots.iter().enumerate() {
        let before = last.map_or(first_patient(), |(patient, _)| patient);
        require(before <= slot.patient, 3, Some(number), None)?;
        // A patient's positions go on from the slot before; another patient's begin anew at the
        // batch's own, because each position belongs to one patient.
        let continued = last.filter(|(patient, _)| *patient == slot.patient);
        let mut position = continued.map_or(chunk.position_in, |(_, position)| position);
        for (at, claim) in slot.claims.iter().enumerate() {
            // No journal comes near 2^64 entries: saturating only spares this check a panic.
            let next = Position(position.0.saturating_add(1));
            require(near(next, claim.position), 4, Some(number), Some(at))?;
            position = claim.position;
        }
        // Of the last alone: the slot's other positions are lower.
        require(near(position, chunk.position_out), 4, Some(number), None)?;
        last = Some((slot.patient, position));
    }
    Ok(())
}

/// C2.2.
fn check_record(chunk: &Chunk, number: usize, slot: &Slot) -> Result<(), C2Error> {
    let index = slot.patient.get();
    // In bounds: of the 24 bits of an index the path takes 18, and the other 6 number the cap's 64
    // nodes.
    let node = chunk.cap[(index >> (tree::ARITY_BITS * tree::CAP_DEPTH)) as usize];
    let opened = tree::open(slot.leaf(), index, &slot.path);
    require(opened == Some(node), 2, Some(number), None)
}

/// What also an excluded claim must fulfil; the number of the rule that it breaks.
fn check_form(chunk: &Chunk, claim: &Claim) -> Result<(), u8> {
    let Claim { receipt, measured, categories, labels, .. } = claim;
    let words = [claim.individual, claim.organisation, claim.source.word(), claim.digest.word()];
    let in_window = receipt.from < receipt.until && chunk.window.interval().contains(receipt);
    // Purpose and kind are not asked for: their types hold exactly one each (C2.9, C2.10).
    let rules = [
        (in_window && measured.from < measured.until, 5),
        (!categories.is_empty(), 8),
        (!labels.is_empty(), 11),
        (!words.iter().any(Word::is_zero), 22),
    ];
    rules.into_iter().try_for_each(|(holds, rule)| if holds { Ok(()) } else { Err(rule) })
}

/// What a slot that is not excluded must fulfil beside.
fn check_covered(number: usize, slot: &Slot) -> Result<(), C2Error> {
    let hull = Hull::of_claims(&slot.claims);
    for (at, claim) in slot.claims.iter().enumerate() {
        let break_rule_of =
            |uncovered: Uncovered| broken(uncovered.rule().number, Some(number), Some(at));
        require(is_open_through(&slot.record, claim), 16, Some(number), Some(at))?;
        // Asked before the best rule, which looks only at rules of the right kind and would answer
        // with what those lack.
        let wrong_kind = is_covered_by_wrong_kind_only(&slot.record, claim);
        require(!wrong_kind, 14, Some(number), Some(at))?;
        best_rule(&slot.record, claim).1.map_or(Ok(()), |lack| Err(break_rule_of(lack)))?;
        // By the hull and not by the claim's own times, as the circuit does: a deny that misses the
        // claim but not the hull has no proof, and the packer is to keep the two apart.
        let mut denies = slot.record.denies();
        let denied = denies.find(|(_, deny)| {
            meets_but_for_time(deny, claim) && !hull.is_some_and(|hull| hull.misses(deny))
        });
        denied.map_or(Ok(()), |(deny, _)| Err(break_rule_of(Uncovered::Denied(deny))))?;
    }
    Ok(())
}

/// C2.16. The circuit spends 27 bits on the time from a claim to the record's end: a stop that
/// takes effect later than that is of a later batch and not under this root.
pub(super) fn is_open_through(record: &Record, claim: &Claim) -> bool {
    let end = record.closed_at;
    // An open record has the end 2^44 - 1, which 27 bits do not reach: it needs the case of its
    // own.
    record.is_open() || claim.receipt.until <= end && end.since(claim.receipt.until) < WINDOW_MS_MAX
}

fn require(
    holds: bool,
    rule: u8,
    slot: Option<usize>,
    claim: Option<usize>,
) -> Result<(), C2Error> {
    if holds { Ok(()) } else { Err(broken(rule, slot, claim)) }
}

fn broken(rule: u8, slot: Option<usize>, claim: Option<usize>) -> C2Error {
    C2Error::Broken { rule: RuleNumber::c2(rule), slot, claim }
}
