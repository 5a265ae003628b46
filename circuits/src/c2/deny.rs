//! Denies: unpacked once for a slot, refuted for each claim (C2.15).

use super::parts::{HullNums, TIME_BITS, alloc_in_range, fr};
use crate::builder::{Bit, Builder, Num};
use crate::record::RuleWords;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use model::{Party, Rule, layout};
use statement::field::{from_word, two_to};

/// A deny as the claims of its slot read it.
pub(super) struct Deny {
    actor: Num,
    source: Num,
    /// The masks by bit of the packed word.
    pub(super) mask: Vec<Num>,
    /// Not 1 unless exactly one end of a period lies beyond the hull, as a row has checked.
    missed: Num,
}

/// Unpacks a deny and says whether its periods miss the hull: 243 rows.
///
/// For each lane a bit may claim that the lane lies beyond the edge of the hull it is compared
/// with. The 44 bits of the lane hold the lane itself or, with that bit, its distance from the
/// edge: one product instead of a second range. Either way the lane lies between -2^44 and 2^45, so
/// that in lanes 48 bits apart two ways to unpack a word would differ by less than 2^47 in each
/// lane and by less than r in all, hence not at all.
pub(super) fn unpack_deny(
    b: &mut Builder,
    rule: Option<&Rule>,
    words: &RuleWords,
    hull: &HullNums,
) -> Deny {
    let [actor, source, packed] = words;
    let masks = rule.map_or(0, Rule::mask);
    let mask: Vec<Num> = (0..layout::MASK_BITS)
        .map(|bit| match bit {
            layout::RESERVED_BIT => Num::zero(),
            bit => Num::from(&b.bit(masks >> bit & 1 == 1)),
        })
        .collect();
    let packed_mask = Num::combination((0..).map(two_to).zip(&mask));
    let times = rule.map_or([Fr::ZERO; 4], |rule| {
        [rule.access.from, rule.access.until, rule.data.from, rule.data.until].map(fr)
    });
    let lanes = alloc_lanes(b, packed, &packed_mask, times);
    let ([receipt_from, receipt_until], [measured_from, measured_until]) =
        (&hull.receipt, &hull.measured);
    let distances = [
        &lanes[0] - receipt_until,
        receipt_from - &lanes[1],
        &lanes[2] - measured_until,
        measured_from - &lanes[3],
    ];
    // An empty slot reads as a deny that ended before the hull began: its `access.until` is zero.
    let chosen = rule.map_or(Some(1), |rule| lane_beyond_hull(rule, hull));
    let beyond: Vec<Bit> = lanes
        .iter()
        .zip(&distances)
        .enumerate()
        .map(|(lane, (time, distance))| {
            let beyond = b.bit(chosen == Some(lane));
            let value = if beyond.value() { distance.value() } else { time.value() };
            let either = alloc_in_range(b, value, TIME_BITS);
            b.enforce(beyond.num(), &(distance - time), &(either - time));
            beyond
        })
        .collect();
    let missed = Num::sum(beyond.iter().map(Bit::num));
    Deny { actor: actor.clone(), source: source.clone(), mask, missed }
}

/// Three lanes as columns; the fourth is what the packed word leaves.
fn alloc_lanes(b: &mut Builder, packed: &Num, mask: &Num, times: [Fr; 4]) -> [Num; 4] {
    // The fourth costs no column: it is what the masks and three lanes leave of the word, and its
    // range is checked like theirs.
    let [first, second, third, _] = times;
    let [first, second, third] = [first, second, third].map(|time| b.alloc(time));
    let [at_first, at_second, at_third, at_fourth] = layout::LANES.map(two_to);
    let taken = Num::combination([
        (Fr::ONE, mask),
        (at_first, &first),
        (at_second, &second),
        (at_third, &third),
    ]);
    let inverse = at_fourth.inverse().expect("a power of two is not zero");
    let fourth = (packed - taken) * inverse;
    [first, second, third, fourth]
}

/// The first lane that lies beyond the hull.
fn lane_beyond_hull(rule: &Rule, hull: &HullNums) -> Option<usize> {
    let (receipt, measured) = (&hull.values.receipt, &hull.values.measured);
    let beyond = [
        rule.access.from >= receipt.until,
        rule.access.until <= receipt.from,
        rule.data.from >= measured.until,
        rule.data.until <= measured.from,
    ];
    beyond.iter().position(|beyond| *beyond)
}

/// The words of a claim that rules and denies are compared with.
pub(super) struct Who {
    pub(super) individual: Num,
    pub(super) organisation: Num,
    pub(super) care_team: Num,
    pub(super) source: Num,
}

/// In how many members of each mask a deny and a claim meet.
pub(super) struct Meetings {
    pub(super) categories: Num,
    pub(super) purposes: Num,
    pub(super) kinds: Num,
    pub(super) labels: Num,
}

/// Enforces that `deny` does not meet a claim if `gate` is 1: 12 rows.
///
/// The deny is refuted if one of the four counts is 0, or it misses the hull, or it names another
/// actor or source. For the last two the prover gives a factor: times the product of differences it
/// can be 1 only if that product is not 0. The factors are free where the product is 0.
pub(super) fn refute(b: &mut Builder, deny: &Deny, who: &Who, meetings: &Meetings, gate: &Bit) {
    let Meetings { categories, purposes, kinds, labels } = meetings;
    let broad = b.product(categories, labels);
    let narrow = b.product(purposes, kinds);
    let met = b.product(&broad, &narrow);
    let met = b.product(&met, &(Num::one() - &deny.missed));
    // What the factors must add up to. Where nothing is asked they are zero, so that an assignment
    // depends on the chunk alone.
    let asked = if met.value() == Fr::ZERO { Fr::ZERO } else { gate.num().value() };

    let any = Num::constant(from_word(&Party::ANY));
    let named = b.product(&(&deny.actor - &who.individual), &(&deny.actor - &who.organisation));
    let others = b.product(&(&deny.actor - &who.care_team), &(&deny.actor - &any));
    let inverse = (named.value() * others.value()).inverse();
    let factor = b.alloc(inverse.map_or(Fr::ZERO, |inverse| asked * inverse));
    let others = b.product(&others, &factor);
    let other_actor = b.product(&named, &others);

    // One reason is enough: the source is asked only for what the actor left open.
    let asked = asked - other_actor.value();
    let specific = b.product(&(&deny.source - &any), &(&who.source - &any));
    let apart = &deny.source - &who.source;
    let inverse = (specific.value() * apart.value()).inverse();
    let factor = b.alloc(inverse.map_or(Fr::ZERO, |inverse| asked * inverse));
    let apart = b.product(&apart, &factor);
    let other_source = b.product(&specific, &apart);

    b.enforce(&met, &(gate.num() - other_actor - other_source), &Num::zero());
}
