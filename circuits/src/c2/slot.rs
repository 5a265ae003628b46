//! One slot: the record, its tag, the hull of its claims, and the end of the record.

use super::deny::unpack_deny;
use super::order::Place;
use super::parts::{HullNums, RECEIPT_BITS, Shared, TIME_BITS, alloc_in_range, fr};
use super::row::{self, OpenSlot, SlotTotals};
use crate::builder::{Bit, Builder, Num};
use crate::claim::{SlotPlace, tag};
use crate::gadgets::tree;
use crate::record::{self, Rules};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::{Interval, Millis, Record, RuleSlot, Word};
use statement::c2::{CapPath, Hull, Slot};
use statement::domain::Domain;
use statement::poseidon;
use statement::tree::{ARITY, ARITY_BITS, CAP_DEPTH};

/// Everything that is said about one slot, its claims included.
pub(super) fn enforce(
    b: &mut Builder,
    shared: &Shared<'_>,
    number: usize,
    place: &Place,
) -> SlotTotals {
    let slot = shared.chunk.slots.get(number);
    let padding = Record::enrolled(Word::ZERO, Word::ZERO, Word::ZERO);
    // Padding hashes and unpacks some record, since the rows are the same for every slot.
    let record = slot.map_or(&padding, |slot| &slot.record);
    let active = &place.active[0];
    let rules = b.rule("C2.2", |b| open_record(b, shared, slot, record, place));
    let tag = b.rule("C2.20", |b| {
        let count = Num::sum(place.active.iter().map(Bit::num));
        let slot_place = SlotPlace { index: &place.index, slot: number as u8, count: &count };
        let chunk = shared.domain + &shared.public.edge_in;
        let found = tag(b, &rules.view_key, &chunk, &slot_place);
        b.product(active.num(), &found)
    });
    let excluded = slot.is_some_and(|slot| slot.excluded);
    let excluded = b.rule("C2.19", |b| b.bit_within(excluded, active));
    // An excluded slot is active, so that the difference is 0 or 1.
    let covered = Bit::confined(active.num() - excluded.num());
    let hull = b.rule("C2.5", |b| alloc_hull(b, shared, slot));
    b.rule("C2.16", |b| {
        enforce_open_through(b, record, &rules.closed_at, &hull.receipt[1], &covered)
    });
    let denies = b.rule("C2.15", |b| {
        std::array::from_fn(|deny| {
            let deny = RuleSlot::Deny(deny as u8);
            unpack_deny(b, record.rule(deny), &rules.rules[usize::from(deny.number())], &hull)
        })
    });
    let open = OpenSlot { number, place, rules, denies, hull, excluded, covered };
    let mut totals = row::enforce_all(b, shared, &open);
    totals.leaves.push(tag);
    totals
}

/// C2.2: the record is the leaf at the slot's index. A padding slot opens a made-up path.
fn open_record(
    b: &mut Builder,
    shared: &Shared<'_>,
    slot: Option<&Slot>,
    record: &Record,
    place: &Place,
) -> Rules {
    // Of the identity only the hash: no claim reads a key or a nonce.
    let identity = b.alloc(statement::record::identity(record));
    let rules = Rules::alloc(b, record);
    let leaf = record::leaf(b, &identity, &rules);
    let made_up = || lonely_path(leaf.value(), &place.index_bits);
    let path = slot.map_or_else(made_up, |slot| slot.path);
    let (low, high) = place.index_bits.split_at(ARITY_BITS * CAP_DEPTH);
    let node = tree::open(b, &leaf, low, &path);
    let expected = b.mux(high, shared.cap);
    // Only of a slot that is there: padding opens its made-up path, whose node stands nowhere.
    b.enforce_equal_if(&place.active[0], &node, &expected);
    rules
}

/// The path of `leaf` in a tree that holds nothing else.
fn lonely_path(leaf: Fr, index_bits: &[Bit]) -> CapPath {
    let mut below = leaf;
    std::array::from_fn(|level| {
        let bits = &index_bits[ARITY_BITS * level..ARITY_BITS * (level + 1)];
        let child = bits.iter().rev().fold(0, |child, bit| 2 * child + usize::from(bit.value()));
        let mut children = [Fr::ZERO; ARITY];
        children[child] = below;
        below = poseidon::hash(Domain::TreeNode.tag(), &children);
        children
    })
}

/// Intervals that hold those of all claims: 142 rows. A padding slot has some hull that is not
/// empty.
fn alloc_hull(b: &mut Builder, shared: &Shared<'_>, slot: Option<&Slot>) -> HullNums {
    let whole = Hull { receipt: shared.chunk.window.interval(), measured: Interval::ALWAYS };
    // No row asks that it be the smallest: a wider hull only meets more denies and ends later.
    let values = slot.and_then(|slot| Hull::of_claims(&slot.claims)).unwrap_or(whole);
    let Hull { receipt, measured } = values;
    let (t0, t1) = (&shared.public.t0, &shared.public.t1);
    // From the window's ends, so that the bounds of C2.5 come with the range, for every claim
    // within.
    let after = alloc_in_range(b, fr(receipt.from) - t0.value(), RECEIPT_BITS);
    let before = alloc_in_range(b, t1.value() - fr(receipt.until), RECEIPT_BITS);
    let measured = [measured.from, measured.until];
    let measured = measured.map(|time| alloc_in_range(b, fr(time), TIME_BITS));
    HullNums { receipt: [t0 + after, t1 - before], measured, values }
}

/// C2.16: a covered slot's record is open, or was closed at the end of the hull or up to 2^27 ms
/// later. It cannot have been closed later than that, because the batch that closed it ended no
/// later than this one. 31 rows.
fn enforce_open_through(
    b: &mut Builder,
    record: &Record,
    closed_at: &Num,
    until: &Num,
    covered: &Bit,
) {
    // The prover says which: closed at most 27 bits after the hull, or open for ever; an excluded
    // slot is asked neither.
    let closed = b.bit(covered.value() && !record.is_open());
    let since = closed_at - until;
    let since_value = if closed.value() { since.value() } else { Fr::ZERO };
    let distance = alloc_in_range(b, since_value, RECEIPT_BITS);
    b.enforce(closed.num(), &since, &distance);
    let never = Num::constant(fr(Millis::UNBOUNDED_FUTURE));
    b.enforce(&(covered.num() - closed.num()), &(closed_at - never), &Num::zero());
}
