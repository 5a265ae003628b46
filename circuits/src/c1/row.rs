//! One row of C1.

use super::parts::{OperationKindBits, TIME_BITS, WINDOW_BITS};
use super::rule::{self, RuleChange};
use super::values::RowValues;
use crate::builder::{Bit, Builder, Num};
use crate::gadgets::eddsa::{self, PublicKey};
use crate::gadgets::tree;
use crate::operation::{self, MessageWords};
use crate::record::{self, Identity, Rules};
use model::{Millis, PatientIndex, RuleSlot, layout};
use statement::field::from_u64;
use statement::tree::Path;

/// What all rows read.
pub(super) struct Shared {
    pub(super) t0: Num,
    pub(super) sig_domain: Num,
    pub(super) registrar: Num,
}

/// Root and time on both sides of a row.
pub(super) struct Edges {
    roots: [Num; 2],
    times: [Num; 2],
}

impl Edges {
    pub(super) fn new(roots: &[Num], times: &[Num]) -> Self {
        let pair = |nums: &[Num]| [nums[0].clone(), nums[1].clone()];
        Self { roots: pair(roots), times: pair(times) }
    }
}

/// What a row adds to its chunk.
pub(super) struct Step {
    /// 1 of an operation, 0 of padding.
    pub(super) active: Num,
    /// 1 of an enrolment.
    pub(super) enrol: Num,
    /// The operation's leaf, 0 of padding.
    pub(super) leaf: Num,
}

/// A record before and after the row.
struct Opened {
    identity: Identity,
    rules: Rules,
}

pub(super) fn row(b: &mut Builder, shared: &Shared, edges: &Edges, values: &RowValues) -> Step {
    let kinds = OperationKindBits::alloc(b, values.kind);
    let t_op = &edges.times[1];
    enforce_time(b, &kinds, edges);
    let slots = choose_slot(b, &kinds, values.slot);
    // The record before the row; an enrolment opens here the record that it makes, so that every
    // kind has one to compute with, and C1.9 takes the empty leaf instead of its hash.
    let old = Opened {
        identity: Identity::alloc(b, &values.record),
        rules: Rules::alloc(b, &values.record),
    };
    let words = values.words.map(|word| b.alloc(word));
    enforce_record_fits(b, &kinds, &old, &words);

    let change = RuleChange { t0: &shared.t0, t_op, kinds: &kinds, slots: &slots, words: &words };
    let rules = rule::change(b, &change, &old.rules.rules);
    let new = Opened {
        identity: Identity {
            nonce: &old.identity.nonce + kinds.update.num(),
            ..old.identity.clone()
        },
        rules: Rules {
            rules,
            closed_at: closing_time(b, &kinds, &old.rules.closed_at, t_op),
            ..old.rules.clone()
        },
    };
    // Bits, because they also pick the children on the path.
    let index = b.rule("C1.8", |b| {
        b.private_bits(from_u64(u64::from(values.index)), PatientIndex::BITS as usize)
    });
    let moved = RootMove { index: &index, path: &values.path, old: &old, new: &new };
    move_root(b, &kinds, edges, &moved);

    // A column of its own, so that a wrong nonce is named as one and not as a bad signature.
    let nonce = b.alloc(values.nonce);
    b.rule("C1.6", |b| b.enforce_equal(&nonce, &old.identity.nonce));
    let [signed_at, valid_until] = alloc_validity(b, t_op, values);
    let message = b.rule("C1.8", |b| {
        let head = operation::head(&kinds.one_hot, &slots, &signed_at, &valid_until);
        let argument = operation::argument(b, &words);
        let index = Num::pack(&index);
        let sig_domain = &shared.sig_domain;
        let words = MessageWords {
            sig_domain,
            index: &index,
            nonce: &nonce,
            head: &head,
            argument: &argument,
        };
        operation::message(b, &words)
    });
    let owners = Owners { registrar: &shared.registrar, patient: &old.identity.key_hash };
    verify_signature(b, &kinds, &owners, &message, values);

    let salt = b.alloc(values.op_salt);
    let leaf = b.rule("C1.24", |b| operation::leaf(b, &message, t_op, &salt));
    let leaf = b.rule("C1.1", |b| b.product(kinds.active.num(), &leaf));
    Step { active: kinds.active.num().clone(), enrol: kinds.enrol.num().clone(), leaf }
}

/// C1.1 and C1.2: time stands still in padding and moves in an operation.
fn enforce_time(b: &mut Builder, kinds: &OperationKindBits, edges: &Edges) {
    let passed = &edges.times[1] - &edges.times[0];
    b.rule("C1.1", |b| b.enforce_zero_if(&kinds.padding, &passed));
    // At least 1 ms later, so that the times alone order the operations of a batch.
    b.rule("C1.2", |b| b.range(&(passed - kinds.active.num()), WINDOW_BITS));
}

/// C1.13: one bit for the slot of a write or a revocation, none for any other kind.
fn choose_slot(b: &mut Builder, kinds: &OperationKindBits, slot: Option<usize>) -> Vec<Bit> {
    b.rule("C1.13", |b| {
        let slots: Vec<Bit> =
            (0..RuleSlot::COUNT).map(|number| b.bit(slot == Some(number))).collect();
        let any = |of: &[Bit]| Num::sum(of.iter().map(Bit::num));
        b.enforce_equal(&any(&slots), kinds.with_slot.num());
        // A revocation is free in its slot: C1.20 says which rule must stand there.
        let [permits, denies, policies] =
            [layout::PERMIT_SLOTS, layout::DENY_SLOTS, layout::POLICY_SLOTS]
                .map(|numbers| any(&slots[numbers]));
        b.enforce_zero_if(&kinds.permit, &(&denies + &policies));
        b.enforce_zero_if(&kinds.deny, &(&permits + &policies));
        b.enforce_zero_if(&kinds.policy, &(&permits + &denies));
        slots
    })
}

/// C1.11, C1.12 and C1.23; a row without argument has zeros for words (C1.8).
fn enforce_record_fits(b: &mut Builder, kinds: &OperationKindBits, old: &Opened, words: &[Num; 3]) {
    let Opened { identity, rules } = old;
    let open = &rules.closed_at - Num::from(Millis::UNBOUNDED_FUTURE.get());
    b.rule("C1.11", |b| {
        let named = [&identity.key_hash, &rules.view_key, &identity.salt];
        for (found, word) in named.into_iter().zip(words) {
            b.enforce_equal_if(&kinds.enrol, found, word);
        }
        // The leaf that C1.10 writes is hashed from these words, so that what is asked of the old
        // record here holds of the new one.
        b.enforce_zero_if(&kinds.enrol, &identity.nonce);
        b.enforce_zero_if(&kinds.enrol, &open);
        for word in rules.rules.iter().flatten() {
            b.enforce_zero_if(&kinds.enrol, word);
        }
    });
    b.rule("C1.12", |b| b.enforce_zero_if(&kinds.update, &open));
    b.rule("C1.23", |b| identity.reserved.iter().for_each(|word| b.enforce_zero(word)));
    // A stop signs the hash of three zeros, as its native twin does; the words of a padding row
    // would be free otherwise.
    let without = Bit::confined(kinds.padding.num() + kinds.stop.num());
    b.rule("C1.8", |b| words.iter().for_each(|word| b.enforce_zero_if(&without, word)));
}

/// C1.22: the closing time after the row.
fn closing_time(b: &mut Builder, kinds: &OperationKindBits, closed_at: &Num, t_op: &Num) -> Num {
    b.rule("C1.22", |b| b.select(&kinds.stop, t_op, closed_at))
}

/// The record at an index before and after.
struct RootMove<'a> {
    index: &'a [Bit],
    path: &'a Path,
    old: &'a Opened,
    new: &'a Opened,
}

/// C1.9 and C1.10: the root after the row holds the new record where the root before holds the old
/// one, or nothing if that is an enrolment's.
fn move_root(b: &mut Builder, kinds: &OperationKindBits, edges: &Edges, moved: &RootMove<'_>) {
    let [before, after] = &edges.roots;
    // An enrolment opens the place with leaf 0, whatever record stands in `moved.old`.
    let old = b.rule("C1.9", |b| {
        let leaf = leaf(b, moved.old);
        b.product(kinds.update.num(), &leaf)
    });
    let new = b.rule("C1.10", |b| leaf(b, moved.new));
    let (found, reached) = b.rule("C1.9", |b| tree::update(b, &old, &new, moved.index, moved.path));
    b.rule("C1.9", |b| b.enforce_equal_if(&kinds.active, &found, before));
    // In one row: an operation reaches the root after, padding leaves the root as it is.
    b.rule("C1.10", |b| b.enforce(kinds.active.num(), &(reached - before), &(after - before)));
}

fn leaf(b: &mut Builder, record: &Opened) -> Num {
    let identity = record::identity(b, &record.identity);
    record::leaf(b, &identity, &record.rules)
}

/// C1.4 and C1.5: `signed_at` and `valid_until`. That nothing but the signed times passes is shown
/// in SPEC.md section 5.
fn alloc_validity(b: &mut Builder, t_op: &Num, values: &RowValues) -> [Num; 2] {
    let signed_at = b.alloc(values.signed_at);
    b.rule("C1.4", |b| b.range(&(t_op - &signed_at), TIME_BITS));
    let valid_until = b.alloc(values.valid_until);
    b.rule("C1.5", |b| b.range(&(&valid_until - t_op - Num::one()), TIME_BITS));
    [signed_at, valid_until]
}

/// Whose key may sign.
struct Owners<'a> {
    /// Of an enrolment.
    registrar: &'a Num,
    /// Of everything else.
    patient: &'a Num,
}

/// C1.7 and C1.27.
fn verify_signature(
    b: &mut Builder,
    kinds: &OperationKindBits,
    owners: &Owners<'_>,
    message: &Num,
    values: &RowValues,
) {
    let signer = b.rule("C1.27", |b| {
        let signer = PublicKey::alloc(b, &values.signer);
        let hash = signer.hash(b);
        let owner = b.select(&kinds.enrol, owners.registrar, owners.patient);
        // Not in padding, whose key is nobody's: no owner has that hash.
        b.enforce_equal_if(&kinds.active, &hash, &owner);
        signer
    });
    b.rule("C1.7", |b| {
        eddsa::verify_if(b, &kinds.active, &signer, message, &values.signature);
    });
}
