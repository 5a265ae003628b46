//! What a row does to the rules of its record.

use super::parts::{OperationKindBits, TIME_BITS};
use crate::builder::{Bit, Builder, Num};
use crate::record::RuleWords;
use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use model::{ClaimKind, RuleSlot, layout};
use statement::field::two_to;
use std::ops::Range;

/// A rule's packed word taken apart.
struct Unpacked {
    /// Access, collect, break-glass.
    kinds: [Num; 3],
    access_from: Num,
    access_until: Num,
    data_from: Num,
    data_until: Num,
}

/// What an operation wants with the rules of its record.
pub(super) struct RuleChange<'a> {
    pub(super) t0: &'a Num,
    pub(super) t_op: &'a Num,
    pub(super) kinds: &'a OperationKindBits,
    /// One-hot, or none.
    pub(super) slots: &'a [Bit],
    /// The argument words: of a write or a revocation, the rule that was signed.
    pub(super) words: &'a [Num; 3],
}

/// C1.14 to C1.21: the rules with the one in the slot written or revoked.
pub(super) fn change(
    b: &mut Builder,
    change: &RuleChange<'_>,
    rules: &[RuleWords; RuleSlot::COUNT],
) -> [RuleWords; RuleSlot::COUNT] {
    let RuleChange { t0, t_op, kinds, slots, words } = change;
    // The argument of an enrolment is no rule: unpacked is a zero in its place.
    let packed = b.rule("C1.14", |b| b.product(kinds.with_slot.num(), &words[2]));
    let rule = b.rule("C1.14", |b| unpack(b, &packed));
    b.rule("C1.18", |b| {
        let [access, collect, break_glass] = &rule.kinds;
        b.enforce_zero_if(&kinds.permit, break_glass);
        b.enforce_zero_if(&kinds.policy, &(access + collect));
    });
    enforce_parties(b, kinds, words);
    let delay = delay_start(b, t_op, kinds, &rule);
    let earlier = bring_end_forward(b, t_op, kinds, &rule);
    // Both are zero for all kinds but their own, so that one word serves a write and a revocation.
    let [from, until] = [layout::ACCESS_FROM, layout::ACCESS_UNTIL].map(two_to);
    let stored = packed + delay * from - earlier * until;
    let stored = [words[0].clone(), words[1].clone(), stored];
    let (rules, difference) = store(b, slots, rules, &stored);
    // What stood in the slot; where there is none the packed words are all zero.
    let old = &stored[2] - &difference[2];

    b.rule("C1.17", |b| {
        let stood = unpack(b, &old);
        // An empty slot unpacks to zeros: it ended at time 0 and needs no case of its own.
        let left = b.product(kinds.write.num(), &(*t0 - &stood.access_until));
        b.range(&left, TIME_BITS);
    });
    b.rule("C1.20", |b| {
        b.enforce_zero_if(&kinds.revoke, &difference[0]);
        b.enforce_zero_if(&kinds.revoke, &difference[1]);
        // The packed word differs by the earlier end alone, which is not signed.
        b.enforce_equal_if(&kinds.revoke, &old, &words[2]);
    });
    rules
}

/// C1.19, and of C1.20 that a revocation names no empty slot.
fn enforce_parties(b: &mut Builder, kinds: &OperationKindBits, words: &[Num; 3]) {
    let [no_actor, no_source] = [0, 1].map(|word| b.rule("C1.19", |b| b.is_zero(&words[word])));
    b.rule("C1.19", |b| b.enforce_zero_if(&kinds.write, &(no_actor.num() + no_source.num())));
    // One word tells an empty slot: no stored rule has actor zero (C1.19).
    b.rule("C1.20", |b| b.enforce_zero_if(&kinds.revoke, no_actor.num()));
}

/// The rules with `stored` in the slot, if there is one, and by how much that changes its words.
fn store(
    b: &mut Builder,
    slots: &[Bit],
    rules: &[RuleWords; RuleSlot::COUNT],
    stored: &RuleWords,
) -> ([RuleWords; RuleSlot::COUNT], RuleWords) {
    // Each word of each slot, whichever is chosen: the structure must not depend on the slot.
    let changes: [RuleWords; RuleSlot::COUNT] = b.rule("C1.10", |b| {
        std::array::from_fn(|slot| {
            std::array::from_fn(|word| {
                b.product(slots[slot].num(), &(&stored[word] - &rules[slot][word]))
            })
        })
    });
    let change = [0, 1, 2].map(|word| Num::sum(changes.iter().map(|change| &change[word])));
    let rules = std::array::from_fn(|slot| {
        std::array::from_fn(|word| &rules[slot][word] + &changes[slot][word])
    });
    (rules, change)
}

/// C1.15 and C1.16: by how much the access period of a written rule begins later than signed.
fn delay_start(b: &mut Builder, t_op: &Num, kinds: &OperationKindBits, rule: &Unpacked) -> Num {
    let late = t_op - &rule.access_from;
    let delay = b.rule("C1.15", |b| {
        let is_late = b.bit(at_most(&rule.access_from, t_op));
        let delay = b.product(is_late.num(), &late);
        // Late: `late >= 0`. Otherwise `-late > 0`, so that the bit is determined.
        let distance = &delay + &delay - &late - is_late.not().num();
        b.range(&distance, TIME_BITS);
        b.product(kinds.write.num(), &delay)
    });
    b.rule("C1.16", |b| {
        let access = &rule.access_until - &rule.access_from - &delay;
        let data = &rule.data_until - &rule.data_from;
        for length in [access, data] {
            // At least 1 ms long; of other kinds the product is zero, whatever the lanes hold.
            let beyond_one = b.product(kinds.write.num(), &(length - Num::one()));
            b.range(&beyond_one, TIME_BITS);
        }
    });
    delay
}

/// C1.21: by how much the access period of a revoked rule ends earlier.
fn bring_end_forward(
    b: &mut Builder,
    t_op: &Num,
    kinds: &OperationKindBits,
    rule: &Unpacked,
) -> Num {
    b.rule("C1.21", |b| {
        let earlier = b.product(kinds.revoke.num(), &(&rule.access_until - t_op));
        // At least 1 ms earlier: a revocation that changes nothing is refused by the native twin
        // too.
        b.range(&(&earlier - kinds.revoke.num()), TIME_BITS);
        earlier
    })
}

/// The parts of a packed rule, which has no other bits (C1.14): 236 rows.
fn unpack(b: &mut Builder, packed: &Num) -> Unpacked {
    let value = packed.value();
    let low = bits_at(b, value, 0..layout::RESERVED_BIT as usize);
    let high = bits_at(b, value, layout::LABELS.places());
    let lanes = layout::LANES.map(|lane| {
        let lane = lane as usize;
        Num::pack(&bits_at(b, value, lane..lane + TIME_BITS))
    });
    let masks = Num::pack(&low) + Num::pack(&high) * two_to(layout::LABELS.first);
    let lanes_in_place = lanes.iter().zip(layout::LANES).map(|(lane, first)| lane * two_to(first));
    let sum = lanes_in_place.fold(masks, |sum, lane| sum + lane);
    // The reserved bit and those above each lane have no column: a word that uses them is no sum of
    // these.
    b.enforce_equal(&sum, packed);
    let kinds = [ClaimKind::Access, ClaimKind::Collect, ClaimKind::BreakGlass]
        .map(|kind| low[(layout::KINDS.first + kind.bit()) as usize].num().clone());
    let [access_from, access_until, data_from, data_until] = lanes;
    Unpacked { kinds, access_from, access_until, data_from, data_until }
}

/// The bits of `value` at these places; [`unpack`] ties them to it.
fn bits_at(b: &mut Builder, value: Fr, places: Range<usize>) -> Vec<Bit> {
    let value = value.into_bigint();
    places.map(|place| b.bit(value.get_bit(place))).collect()
}

/// Whether the integer of `small` is no larger than that of `large`.
fn at_most(small: &Num, large: &Num) -> bool {
    small.value().into_bigint() <= large.value().into_bigint()
}
