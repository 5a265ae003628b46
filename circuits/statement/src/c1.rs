//! C1 natively: what an operation may do to a record (SPEC.md section 9).
//!
//! [`apply`] holds every rule of one operation. The sequencer runs it at admission, when the end of
//! the window is not known yet, and the wallet before it shows what an operation will do. [`check`]
//! holds those of a chunk; the batcher runs it before it queues a proof. The circuit of the same
//! name enforces the same rules: whatever passes here can be proven, and nothing else.

use crate::claim::root16;
use crate::domain::Domain;
use crate::inputs::C1Inputs;
use crate::operation::{self, SignedOperation};
use crate::tree::{self, Path};
use crate::{field, record};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::calendar::Utc;
use model::{
    Action, ClaimKind, ClaimKinds, Interval, Millis, Operation, OperationKind, Party, Record,
    RejectCode, Rule, RuleNumber, RuleSlot, Window, Word,
};
use std::fmt::Display;

/// What an operation meets beside its record.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The word that binds signatures to chain and contract.
    pub sig_domain: Fr,
    /// Hash of the registrar's key, as the contract stores it.
    pub registrar_key_hash: Fr,
    /// Begin of the window.
    pub t0: Millis,
    /// Time of the operation before; of the first in the window, `t0`.
    pub last_time: Millis,
    /// When the operation takes effect.
    pub t_op: Millis,
    /// End of the window; `None` at admission, while the window is open.
    pub t1: Option<Millis>,
}

/// One operation of a chunk with what opens its record.
#[derive(Clone, Debug)]
pub struct Row {
    /// The operation.
    pub signed: SignedOperation,
    /// When it takes effect.
    pub t_op: Millis,
    /// The record before it; `None` before an enrolment.
    pub old: Option<Record>,
    /// What opens the index under the root before it.
    pub path: Path,
    /// Consent root after it.
    pub root_out: Fr,
    /// Blinds its leaf, [`operation::salt`].
    pub op_salt: Fr,
}

/// Operations that one proof applies in order.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Consent root before the first row.
    pub root_in: Fr,
    /// Time of the last operation before the chunk; `t0` for the first chunk of a batch.
    pub time_in: Millis,
    /// Time span of the batch.
    pub window: Window,
    /// Binds the proof to chain, contract, circuit, key version and batch.
    pub domain: Fr,
    /// Binds signatures to chain and contract.
    pub sig_domain: Fr,
    /// Hash of the registrar's key, as the contract stores it.
    pub registrar_key_hash: Fr,
    /// Rows of the shape; those beyond the operations are padding.
    pub capacity: usize,
    /// The operations, at most `capacity`.
    pub rows: Vec<Row>,
}

/// An operation that breaks a rule. No key, salt, actor or index stands in the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: expected {expected}, found {found}")]
pub struct C1Error {
    /// The rule of SPEC.md.
    pub rule: RuleNumber,
    /// The row of the chunk; `None` outside a chunk.
    pub row: Option<usize>,
    /// What the rule asks.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl C1Error {
    /// What the peer that sent the operation is told.
    pub fn code(&self) -> RejectCode {
        match self.rule.number {
            4 | 5 => RejectCode::Validity,
            6 => RejectCode::Nonce,
            // To the sender a key that is not the record's is the same as a signature that fails:
            // it has to sign with another key.
            7 | 8 | 27 => RejectCode::Signature,
            _ => RejectCode::Operation,
        }
    }
}

/// The record after `signed` took effect on `record` (`None`: there is none at the index yet).
///
/// # Errors
/// [`C1Error`] names the first rule that is broken; the signature is looked at last, because it
/// costs most.
pub fn apply(
    record: Option<&Record>,
    signed: &SignedOperation,
    context: &Context,
) -> Result<Record, C1Error> {
    let after = effect(record, &signed.operation, context)?;
    authorise(record, signed, context)?;
    Ok(after)
}

/// [`apply`] before anybody signed: every rule but C1.7 and C1.27.
///
/// # Errors
/// As [`apply`].
pub fn effect(
    record: Option<&Record>,
    operation: &Operation,
    context: &Context,
) -> Result<Record, C1Error> {
    // First, because a wrong time is wrong whatever the record is, also where there is none.
    check_times(operation, context)?;
    let t_op = context.t_op;
    match (record, &operation.action) {
        (None, Action::Enrol { key_hash, view_key, salt }) => {
            // Not counted: the patient's first operation has nonce 0 as well. An enrolment cannot
            // be replayed, since its leaf is taken from then on.
            ensure(operation.nonce == 0, 6, "nonce 0 of an enrolment", operation.nonce)?;
            Ok(Record::enrolled(*key_hash, *view_key, *salt))
        }
        // Under the empty leaf there is no nonce and no key, so that nothing else can be asked.
        (None, _) => Err(broken(9, "a record at the operation's index", "none")),
        (Some(_), Action::Enrol { .. }) => {
            Err(broken(11, "no record at the index of an enrolment", "a record"))
        }
        (Some(record), Action::Write { slot, rule }) => {
            let next = count_operation(record, operation)?;
            change_rule(next, *slot, |old| write_rule(old, *slot, rule, context))
        }
        (Some(record), Action::Revoke { slot, rule }) => {
            let next = count_operation(record, operation)?;
            change_rule(next, *slot, |old| revoke_rule(old, rule, t_op))
        }
        (Some(record), Action::Stop) => {
            // The rules stay, because they still cover what was done before; C2.16 holds the
            // closing time against everything after.
            Ok(Record { closed_at: t_op, ..count_operation(record, operation)? })
        }
    }
}

/// Every rule of a chunk: the public inputs under which it can be proven.
///
/// # Errors
/// [`C1Error`] names the first rule that is broken and the row.
pub fn check(chunk: &Chunk) -> Result<C1Inputs, C1Error> {
    let (capacity, rows) = (chunk.capacity, chunk.rows.len());
    // Under C1.24, because more rows than the shape has leaves have no root.
    ensure(rows <= capacity, 24, format!("at most {capacity} operations"), rows)?;
    let (t0, t1) = (chunk.window.t0(), chunk.window.t1());
    let (mut root, mut time) = (chunk.root_in, chunk.time_in);
    ensure(
        // No row of the circuit asks this: the contract gives each chunk t0 or the time at which
        // the one before ended.
        time >= t0,
        2,
        format!("a chunk that begins no sooner than {t0:?}"),
        format!("{time:?}"),
    )?;
    // Also of a chunk without operations, whose time_out is its time_in: the circuit asks it there
    // too.
    ensure(time < t1, 3, format!("a chunk that begins before {t1:?}"), format!("{time:?}"))?;
    let mut leaves = Vec::with_capacity(capacity);
    for (number, row) in chunk.rows.iter().enumerate() {
        check_row(chunk, row, root, time)
            .map_err(|error| C1Error { row: Some(number), ..error })?;
        (root, time) = (row.root_out, row.t_op);
        let message = operation::message(chunk.sig_domain, &row.signed.operation);
        leaves.push(operation::leaf(message, row.t_op, row.op_salt));
    }
    // Padding rows have leaf 0; a list has at least one leaf.
    leaves.resize(capacity.max(1), Fr::ZERO);
    let kinds = chunk.rows.iter().map(|row| row.signed.operation.kind());
    Ok(C1Inputs {
        root_in: chunk.root_in,
        root_out: root,
        t0,
        t1,
        time_in: chunk.time_in,
        time_out: time,
        domain: chunk.domain,
        sig_domain: chunk.sig_domain,
        registrar: chunk.registrar_key_hash,
        operations: rows as u32,
        enrolments: kinds.filter(|kind| *kind == OperationKind::Enrol).count() as u32,
        operations_root: root16(Domain::OperationsNode, &leaves),
    })
}

/// C1.9 and C1.10 around [`apply`].
fn check_row(chunk: &Chunk, row: &Row, root: Fr, last_time: Millis) -> Result<(), C1Error> {
    let context = Context {
        sig_domain: chunk.sig_domain,
        registrar_key_hash: chunk.registrar_key_hash,
        t0: chunk.window.t0(),
        last_time,
        t_op: row.t_op,
        t1: Some(chunk.window.t1()),
    };
    let after = apply(row.old.as_ref(), &row.signed, &context)?;
    // Nobody's leaf is 0 and not the hash of some empty record, so that an enrolment opens no
    // record.
    let old = row.old.as_ref().map_or(Fr::ZERO, record::leaf);
    let index = row.signed.operation.patient.get();
    let found = tree::update(old, record::leaf(&after), index, &row.path);
    let (before, after) = found.ok_or_else(|| {
        broken(9, "a path that opens the record at its index", "one that does not")
    })?;
    ensure(before == root, 9, "a path to the root before the row", "one to another root")?;
    ensure(after == row.root_out, 10, "the root with the new record", "another root")
}

/// C1.2 to C1.5.
fn check_times(operation: &Operation, context: &Context) -> Result<(), C1Error> {
    let t_op = context.t_op;
    let later = t_op > context.last_time;
    ensure(later, 2, format!("a time after {}", Utc(context.last_time)), Utc(t_op).to_string())?;
    // At admission nobody knows the end yet; [`check`] asks again once the window is closed.
    if let Some(t1) = context.t1 {
        ensure(
            t_op < t1,
            3,
            format!("a time before the window's end {t1:?}"),
            format!("{t_op:?}"),
        )?;
    }
    let signed_at = operation.signed_at;
    let signed = format!("signed at {signed_at:?}");
    ensure(signed_at <= t_op, 4, format!("a signature no later than {t_op:?}"), signed)?;
    let valid_until = operation.valid_until;
    let ended = format!("valid until {valid_until:?}");
    ensure(t_op < valid_until, 5, format!("an operation valid at {t_op:?}"), ended)
}

/// The record with one more operation counted in its nonce, if C1.6, C1.12 and C1.23 hold.
fn count_operation(record: &Record, operation: &Operation) -> Result<Record, C1Error> {
    // Laid out for recovery and forced stops: while no statement gives them a meaning, none may be
    // set.
    let neutral = [
        record.guardians,
        record.stop_authority,
        record.replaced_authority,
        record.recovery_key,
        record.recovery_state,
        Word::from_u64(record.forced_at.get()),
    ];
    let neutral = neutral.iter().all(Word::is_zero);
    ensure(neutral, 23, "no guardian, authority, recovery or forced stop", "one")?;
    // Before the nonce: of a closed record no nonce is right.
    ensure(record.is_open(), 12, "an open record", format!("closed at {}", Utc(record.closed_at)))?;
    ensure(operation.nonce == record.nonce, 6, format!("nonce {}", record.nonce), operation.nonce)?;
    // No record sees so many operations, but a nonce that wrapped would let every old signature in
    // again.
    let nonce = record.nonce.checked_add(1);
    let nonce = nonce.ok_or_else(|| broken(6, "a nonce that can grow", "the last one"))?;
    Ok(Record { nonce, ..record.clone() })
}

/// The record with the rule in `slot` changed. C1.13 is for slots that were not read from bytes:
/// bytes with a kind that does not fit the slot are no operation.
fn change_rule(
    mut record: Record,
    slot: RuleSlot,
    change: impl FnOnce(Option<&Rule>) -> Result<Rule, C1Error>,
) -> Result<Record, C1Error> {
    // A permit beyond the eighth has the number of a deny and would overwrite that.
    let same = RuleSlot::from_number(slot.number()) == Ok(slot);
    ensure(same, 13, "a slot within its group", format!("slot {}", slot.number()))?;
    let at = usize::from(slot.number());
    record.rules[at] = Some(change(record.rules[at].as_ref())?);
    Ok(record)
}

/// C1.15 to C1.19: the rule as it is stored. C1.14 holds of every [`Rule`].
fn write_rule(
    old: Option<&Rule>,
    slot: RuleSlot,
    rule: &Rule,
    context: &Context,
) -> Result<Rule, C1Error> {
    // A rule begins no sooner than it is written: nobody permits what was done before.
    let (t0, from) = (context.t0, rule.access.from.max(context.t_op));
    // The data period stays as signed: what was measured before may well be opened from now on.
    let stored = Rule { access: Interval { from, ..rule.access }, ..*rule };
    let periods = [("access", stored.access), ("data", stored.data)];
    // Of the stored rule and not of the signed one: a period that is over at t_op is empty.
    for (name, Interval { from, until }) in periods {
        let expected = format!("the {name} period to end after {from:?}");
        ensure(from < until, 16, expected, format!("{until:?}"))?;
    }
    // A rule that lived in this window covers claims of this batch, which are proven under the root
    // after its operations: overwritten, they would have no rule.
    let ended = old.is_none_or(|old| old.access.until <= t0);
    ensure(ended, 17, format!("a slot that is empty or ended by {t0:?}"), "a later end")?;
    // Kept apart by slot, so that the kind of a claim alone tells whether permits or policies are
    // looked at (C2.14).
    let (fits, expected) = match slot {
        RuleSlot::Permit(_) => (!rule.kinds.overlaps(BREAK_GLASS), "no break-glass in a permit"),
        RuleSlot::Deny(_) => (true, "any kinds in a deny"),
        RuleSlot::Policy(_) => (BREAK_GLASS.contains(rule.kinds), "break-glass only in a policy"),
    };
    ensure(fits, 18, expected, format!("{:?}", rule.kinds))?;
    // A claim without a care team has zero in its place, which a rule for actor zero would cover.
    let named = [rule.actor, rule.source].iter().all(|party| *party != Party::Named(Word::ZERO));
    ensure(named, 19, "an actor and a source", "an empty word")?;
    Ok(stored)
}

const BREAK_GLASS: ClaimKinds = ClaimKind::BreakGlass.only();

/// C1.20 and C1.21: the rule as it stands after a revocation.
fn revoke_rule(old: Option<&Rule>, named: &Rule, t_op: Millis) -> Result<Rule, C1Error> {
    let Some(old) = old else {
        return Err(broken(20, "the revoked rule in the slot", "an empty slot"));
    };
    // The rule as it is stored, with the start that its time gave it: whoever revokes signs what is
    // on record, and a slot that was overwritten since is not hit.
    ensure(old == named, 20, "the revoked rule in the slot", "another rule")?;
    let until = old.access.until;
    // Of a rule that has ended, t_op would be a later end: a permission in the guise of a
    // revocation.
    ensure(until > t_op, 21, format!("a rule that ends after {t_op:?}"), format!("{until:?}"))?;
    Ok(Rule { access: old.access.ended_at(t_op), ..*old })
}

/// C1.7 and C1.27 (that the key is in the subgroup holds of every [`crate::eddsa::PublicKey`]).
fn authorise(
    record: Option<&Record>,
    signed: &SignedOperation,
    context: &Context,
) -> Result<(), C1Error> {
    let (expected, owner) = match record {
        Some(record) => (field::from_word(&record.key_hash), "the key of the record"),
        // At an empty index there is no key yet; the registrar vouches for the one that it writes.
        None => (context.registrar_key_hash, "the key of the registrar"),
    };
    // The comparison first, since verifying multiplies points.
    ensure(signed.signer.hash() == expected, 27, owner, "another key")?;
    let verified = signed.verify(context.sig_domain);
    ensure(verified, 7, "a signature of this operation", "one that does not verify")
}

fn ensure(
    holds: bool,
    rule: u8,
    expected: impl Display,
    found: impl Display,
) -> Result<(), C1Error> {
    if holds { Ok(()) } else { Err(broken(rule, expected, found)) }
}

fn broken(rule: u8, expected: impl Display, found: impl Display) -> C1Error {
    let (expected, found) = (expected.to_string(), found.to_string());
    C1Error { rule: RuleNumber::c1(rule), row: None, expected, found }
}

#[cfg(test)]
mod tests;
