//! One claim: selected rule, times, masks, denies and leaf.

use super::deny::{Deny, Meetings, Who, refute};
use super::order::Place;
use super::parts::{HullNums, RECEIPT_BITS, Shared, TIME_BITS, alloc_in_range, fr};
use crate::builder::{Bit, Builder, Num};
use crate::claim::{ClaimWords, info, leaf, times};
use crate::record::{RuleWords, Rules};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use model::layout::{self, CATEGORIES, DENIES, KINDS, LABELS, LANE_STRIDE, MASK_BITS, PURPOSES};
use model::{Claim, ClaimKind, Interval, Millis, Party, RuleSlot, Word};
use statement::c2::best_rule;
use statement::field::{from_word, two_to};

/// Bits that tell one of 16 purposes.
const PURPOSE_BITS: usize = 4;
/// Bits of the number of categories, and of labels, in which two masks meet.
const CATEGORY_COUNT_BITS: usize = 6;
const LABEL_COUNT_BITS: usize = 4;
/// Bits that tell one of 8 permits.
const PERMIT_BITS: usize = 3;

const _: () = {
    assert!(1 << PURPOSE_BITS == layout::PURPOSES.width && 1 << PERMIT_BITS == layout::PERMITS);
    assert!(layout::POLICIES == 2, "one bit tells a policy");
    assert!(1 << CATEGORY_COUNT_BITS > layout::CATEGORIES.width);
    assert!(1 << LABEL_COUNT_BITS > layout::LABELS.width);
};

/// What a slot gives to the totals.
pub(super) struct SlotTotals {
    /// Of its claims, then its tag.
    pub(super) leaves: Vec<Num>,
    /// How many accesses, collections and break-glass accesses.
    pub(super) kinds: [Num; 3],
    /// How many excluded claims.
    pub(super) excluded: Num,
}

/// What the claims of a slot read.
pub(super) struct OpenSlot<'a> {
    /// Its number in the chunk.
    pub(super) number: usize,
    pub(super) place: &'a Place,
    /// The record's words.
    pub(super) rules: Rules,
    pub(super) denies: [Deny; DENIES],
    pub(super) hull: HullNums,
    /// Whether the slot's claims are not covered.
    pub(super) excluded: Bit,
    /// Whether they are; neither in a padding slot.
    pub(super) covered: Bit,
}

/// All claims of a slot.
pub(super) fn enforce_all(b: &mut Builder, shared: &Shared<'_>, open: &OpenSlot<'_>) -> SlotTotals {
    let capacity = shared.chunk.capacity.claims_per_slot;
    let rows: Vec<Row> = (0..capacity).map(|at| row(b, shared, open, at)).collect();
    SlotTotals {
        leaves: rows.iter().map(|row| row.leaf.clone()).collect(),
        kinds: [0, 1, 2].map(|kind| Num::sum(rows.iter().map(|row| &row.kinds[kind]))),
        excluded: Num::sum(rows.iter().map(|row| &row.excluded)),
    }
}

struct Row {
    leaf: Num,
    kinds: [Num; 3],
    excluded: Num,
}

/// A claim, whether it is there, and its kind as one-hot bits: access, collect, break-glass.
struct Given<'a> {
    claim: Option<&'a Claim>,
    active: &'a Bit,
    kinds: [Num; 3],
}

/// The masks of a claim.
struct Masks {
    /// By bit of the packed word; without purposes and the reserved bit.
    bits: Vec<(usize, Num)>,
    packed: Num,
    /// Whether each deny has the claim's purpose.
    denied_purpose: [Num; DENIES],
}

fn row(b: &mut Builder, shared: &Shared<'_>, open: &OpenSlot<'_>, at: usize) -> Row {
    let OpenSlot { number, place, .. } = *open;
    let slot = shared.chunk.slots.get(number);
    let claim = slot.and_then(|slot| slot.claims.get(at));
    let active = &place.active[at];
    // The slot's first claim is active with the slot, so its gate is known.
    let gate = match at {
        0 => open.covered.clone(),
        _ => b.rule("C2.19", |b| b.and(active, &open.excluded.not())),
    };
    let is_kind = |kind| Fr::from(claim.is_some_and(|claim| claim.kind == kind));
    let (collect, glass) =
        (b.alloc(is_kind(ClaimKind::Collect)), b.alloc(is_kind(ClaimKind::BreakGlass)));
    // The third follows: the bits of an active claim sum to 1, those of an absent one to 0.
    let kinds = [active.num() - &collect - &glass, collect, glass];
    // What the native check selects; the rows would take any rule that covers the claim.
    let chosen = slot.zip(claim).map(|(slot, claim)| best_rule(&slot.record, claim).0);
    let rule = b.rule("C2.14", |b| select_rule(b, open, chosen, &kinds[2], &gate));
    let who = alloc_who(b, claim);
    enforce_parties(b, &rule, &who);

    let (receipt, measured) = b.rule("C2.5", |b| alloc_intervals(b, &open.hull, claim));
    let allowed = unpack_rule(b, &rule[2], &receipt, &measured);
    let given = Given { claim, active, kinds };
    let masks = alloc_masks(b, &given, &allowed, open);
    for (deny, meetings) in open.denies.iter().zip(count_meetings(b, &masks, open)) {
        b.rule("C2.15", |b| refute(b, deny, &who, &meetings, &gate));
    }

    let digest = b.alloc(claim.map_or(Fr::ZERO, |claim| from_word(&claim.digest.word())));
    b.rule("C2.22", |b| {
        // One product for four words: it is zero if any of them is.
        let named = b.product(&who.individual, &who.organisation);
        let about = b.product(&who.source, &digest);
        let all = b.product(&named, &about);
        enforce_nonzero_if(b, active, &all);
    });
    let salt = claim.map_or(Fr::ZERO, |_| shared.chunk.salt(number, at));
    let salt = b.alloc(salt);
    // Of an absent claim it says nothing, because that leaf is multiplied to 0.
    let covered = Num::one() - open.excluded.num();
    let info = info(&masks.packed, &place.index, &place.positions[at], &covered);
    let times = times(&receipt, &measured);
    let Who { individual, organisation, care_team, source } = who;
    let words =
        ClaimWords { individual, organisation, care_team, source, info, times, digest, salt };
    let leaf = b.rule("C2.17", |b| {
        let leaf = leaf(b, &words);
        b.product(active.num(), &leaf)
    });
    // A claim that is there and has no gate is excluded: 1 in an excluded slot and 0 everywhere
    // else.
    Row { leaf, kinds: given.kinds, excluded: active.num() - gate.num() }
}

/// Individual, organisation, care team, source: bound by the leaf alone.
fn alloc_who(b: &mut Builder, claim: Option<&Claim>) -> Who {
    let mut alloc =
        |of: fn(&Claim) -> Word| b.alloc(claim.map_or(Fr::ZERO, |claim| from_word(&of(claim))));
    Who {
        individual: alloc(|claim| claim.individual),
        organisation: alloc(|claim| claim.organisation),
        care_team: alloc(|claim| claim.care_team),
        source: alloc(|claim| claim.source.word()),
    }
}

/// C2.14: a policy is selected for break-glass and a permit for everything else. Where the gate is
/// 0, a rule stands in that covers everything. 33 rows.
fn select_rule(
    b: &mut Builder,
    open: &OpenSlot<'_>,
    chosen: Option<RuleSlot>,
    glass: &Num,
    gate: &Bit,
) -> RuleWords {
    // Any number will do where nothing is chosen: the gate puts the neutral rule in its place, or a
    // row of the rule that is lacking is violated.
    let choice = match chosen {
        Some(RuleSlot::Permit(number) | RuleSlot::Policy(number)) => number,
        Some(RuleSlot::Deny(_)) | None => 0,
    };
    let bits: Vec<Bit> = (0..PERMIT_BITS).map(|bit| b.bit(choice >> bit & 1 == 1)).collect();
    // Confined to 0 and 1 by C2.10.
    let glass = Bit::confined(glass.clone());
    let neutral = neutral_rule();
    std::array::from_fn(|word| {
        let column = |slot: usize| open.rules.rules[slot][word].clone();
        let permits: Vec<Num> = layout::PERMIT_SLOTS.map(column).collect();
        let permit = b.mux(&bits, &permits);
        let policies: Vec<Num> = layout::POLICY_SLOTS.map(column).collect();
        // The lowest bit of the permit's number also tells a policy: a claim selects one of the
        // two.
        let policy = b.select(&bits[0], &policies[1], &policies[0]);
        let selected = b.select(&glass, &policy, &permit);
        b.select(gate, &selected, &Num::constant(neutral[word]))
    })
}

/// The words of a rule that covers everything.
fn neutral_rule() -> [Fr; 3] {
    let any = from_word(&Party::ANY);
    let masks = Fr::from(((1u64 << MASK_BITS) - 1) ^ (1 << layout::RESERVED_BIT));
    let end = fr(Millis::UNBOUNDED_FUTURE);
    [any, any, masks + end * (two_to(layout::ACCESS_UNTIL) + two_to(layout::DATA_UNTIL))]
}

/// C2.12 and C2.13: 4 rows.
fn enforce_parties(b: &mut Builder, rule: &RuleWords, who: &Who) {
    let any = Num::constant(from_word(&Party::ANY));
    let [actor, source, _] = rule;
    b.rule("C2.12", |b| {
        let one = b.product(&(actor - &who.individual), &(actor - &who.organisation));
        let other = b.product(&(actor - &who.care_team), &(actor - &any));
        b.enforce(&one, &other, &Num::zero());
    });
    b.rule("C2.13", |b| b.enforce(&(source - any), &(source - &who.source), &Num::zero()));
}

/// C2.5: both intervals lie in the hull and are not empty. 215 rows. Padding takes the whole hull.
fn alloc_intervals(
    b: &mut Builder,
    hull: &HullNums,
    claim: Option<&Claim>,
) -> ([Num; 2], [Num; 2]) {
    let values = claim.map_or((hull.values.receipt, hull.values.measured), |claim| {
        (claim.receipt, claim.measured)
    });
    let mut within = |hull: &[Num; 2], value: Interval, width: usize| {
        let after = alloc_in_range(b, fr(value.from) - hull[0].value(), width);
        let before = alloc_in_range(b, hull[1].value() - fr(value.until), width);
        let (from, until) = (&hull[0] + after, &hull[1] - before);
        // Less 1, so that an empty interval does not fit.
        b.range(&(&until - &from - Num::one()), width);
        [from, until]
    };
    (within(&hull.receipt, values.0, RECEIPT_BITS), within(&hull.measured, values.1, TIME_BITS))
}

/// The mask bits of the selected rule, and C2.6, C2.7: its periods contain the intervals. 237 rows.
///
/// Each lane is made as the time that it bounds less or plus 44 bits, so that one comparison also
/// ranges the lane; the word unpacks in one way for the reason given at denies.
fn unpack_rule(b: &mut Builder, packed: &Num, receipt: &[Num; 2], measured: &[Num; 2]) -> Vec<Num> {
    let value = packed.value().into_bigint();
    let mask: Vec<Num> = (0..MASK_BITS)
        .map(|bit| match bit {
            layout::RESERVED_BIT => Num::zero(),
            _ => b.rule(rule_of(bit), |b| Num::from(&b.bit(value.get_bit(bit as usize)))),
        })
        .collect();
    let lane = |first: u32| {
        let places = (first..first + LANE_STRIDE).rev();
        places.fold(0u64, |time, bit| time << 1 | u64::from(value.get_bit(bit as usize)))
    };
    let [access_from, access_until, data_from, data_until] = layout::LANES.map(lane);
    let access = Fr::from(access_from) + Fr::from(access_until) * two_to(LANE_STRIDE);
    // A column for both lanes of the access period: C2.6 then fails by itself, and the rest of the
    // word is for C2.7.
    let access = b.alloc(access);
    b.rule("C2.6", |b| {
        let lanes = alloc_lanes_around(b, receipt, [access_from, access_until]);
        b.enforce_equal(&access, &lanes);
    });
    let packed_mask = Num::combination((0..).map(two_to).zip(&mask));
    let rest = packed - packed_mask - access * two_to(layout::ACCESS_FROM);
    b.rule("C2.7", |b| {
        let lanes = alloc_lanes_around(b, measured, [data_from, data_until]);
        b.enforce_equal(&rest, &(lanes * two_to(layout::DATA_FROM)));
    });
    mask
}

/// Two lanes that contain an interval.
fn alloc_lanes_around(b: &mut Builder, interval: &[Num; 2], lanes: [u64; 2]) -> Num {
    let [from, until] = lanes.map(Fr::from);
    let before = alloc_in_range(b, interval[0].value() - from, TIME_BITS);
    let after = alloc_in_range(b, until - interval[1].value(), TIME_BITS);
    &interval[0] - before + (&interval[1] + after) * two_to(LANE_STRIDE)
}

/// The rule that a mask bit belongs to.
fn rule_of(bit: u32) -> &'static str {
    match bit {
        bit if bit < CATEGORIES.end() => "C2.8",
        bit if bit < PURPOSES.end() => "C2.9",
        bit if bit < KINDS.end() => "C2.10",
        _ => "C2.11",
    }
}

/// C2.8 to C2.11: the claim's masks are within the rule's. 71 rows.
fn alloc_masks(b: &mut Builder, given: &Given<'_>, allowed: &[Num], open: &OpenSlot<'_>) -> Masks {
    let Given { claim, active, kinds } = given;
    let value = claim.map_or(0, Claim::mask);
    let plain = CATEGORIES.places().chain(LABELS.places());
    let mut bits: Vec<(usize, Num)> =
        plain.map(|bit| (bit, b.alloc(Fr::from(value >> bit & 1)))).collect();
    bits.extend(KINDS.places().zip(kinds.iter().cloned()));
    for (bit, num) in &bits {
        // One row says that the bit is 0 or 1 and that the rule has it.
        b.rule(rule_of(*bit as u32), |b| b.enforce(num, &(num - &allowed[*bit]), &Num::zero()));
    }
    for (rule, mask) in [("C2.8", CATEGORIES), ("C2.11", LABELS)] {
        let members = bits.iter().filter(|(bit, _)| mask.places().contains(bit));
        let count = Num::sum(members.map(|(_, num)| num));
        // A count is at most 32, so that it is zero only if each bit is.
        b.rule(rule, |b| enforce_nonzero_if(b, active, &count));
    }
    let (purpose, denied_purpose) = b.rule("C2.9", |b| choose_purpose(b, *claim, allowed, open));
    let packed = bits.iter().map(|(bit, num)| (two_to(*bit as u32), num));
    let packed = Num::combination(packed.chain([(two_to(PURPOSES.first), &purpose)]));
    Masks { bits, packed, denied_purpose }
}

/// C2.9: two to the claim's purpose, which the rule has, and whether each deny has it. 26 rows.
///
/// The purpose is a number, so that rule and denies are asked about it by one choice among 16.
fn choose_purpose(
    b: &mut Builder,
    claim: Option<&Claim>,
    allowed: &[Num],
    open: &OpenSlot<'_>,
) -> (Num, [Num; DENIES]) {
    let value = claim.map_or(0, |claim| claim.purpose.bit() as usize);
    let bits: Vec<Bit> = (0..PURPOSE_BITS).map(|bit| b.bit(value >> bit & 1 == 1)).collect();
    let denied: [Num; DENIES] = std::array::from_fn(|deny| {
        let has = open.denies[deny].mask[PURPOSES.places()][value].value() == Fr::ONE;
        Num::from(&b.bit(has))
    });
    // Rule and denies in one number, the rule lowest: one choice then asks all five.
    let together = |one: &Num, denies: Vec<&Num>| {
        let denies = (1..).map(two_to).zip(denies);
        Num::combination(denies.chain([(Fr::ONE, one)]))
    };
    let items: Vec<Num> = PURPOSES
        .places()
        .map(|bit| {
            let denies = open.denies.iter().map(|deny| &deny.mask[bit]).collect();
            together(&allowed[bit], denies)
        })
        .collect();
    b.enforce_mux(&bits, &items, &together(&Num::one(), denied.iter().collect()));
    // 2^purpose is the product of 2^(2^bit) over the bits that are set.
    let factor = |bit: usize| bits[bit].num() * (two_to(1 << bit) - Fr::ONE) + Num::one();
    let low = b.product(&factor(0), &factor(1));
    let high = b.product(&factor(2), &factor(3));
    (b.product(&low, &high), denied)
}

/// In how many categories, purposes, kinds and labels each deny meets the claim: 88 rows.
///
/// The counts of all denies stand in one number, each in bits of its own, so that a bit of the
/// claim is multiplied once for all of them.
fn count_meetings(b: &mut Builder, masks: &Masks, open: &OpenSlot<'_>) -> [Meetings; DENIES] {
    const KINDS_AT: usize = DENIES * CATEGORY_COUNT_BITS;
    const LABELS_AT: usize = KINDS_AT + DENIES;
    let place = |bit: usize, deny: usize| match bit as u32 {
        bit if bit < CATEGORIES.end() => deny * CATEGORY_COUNT_BITS,
        bit if bit < KINDS.end() => KINDS_AT + deny,
        _ => LABELS_AT + deny * LABEL_COUNT_BITS,
    };
    b.rule("C2.15", |b| {
        let products: Vec<Num> = masks
            .bits
            .iter()
            .map(|(bit, num)| {
                let denies = open.denies.iter().enumerate();
                let terms =
                    denies.map(|(deny, rule)| (two_to(place(*bit, deny) as u32), &rule.mask[*bit]));
                let all = Num::combination(terms);
                b.product(num, &all)
            })
            .collect();
        let digits = b.bits(&Num::sum(&products), LABELS_AT + DENIES * LABEL_COUNT_BITS);
        let count = |bit: usize, deny: usize, width: usize| {
            let first = place(bit, deny);
            Num::pack(&digits[first..first + width])
        };
        std::array::from_fn(|deny| Meetings {
            categories: count(CATEGORIES.first as usize, deny, CATEGORY_COUNT_BITS),
            purposes: masks.denied_purpose[deny].clone(),
            kinds: count(KINDS.first as usize, deny, 1),
            labels: count(LABELS.first as usize, deny, LABEL_COUNT_BITS),
        })
    })
}

/// Enforces `num != 0` where `condition` is 1: one row. The hint is free where both are 0.
#[track_caller]
fn enforce_nonzero_if(b: &mut Builder, condition: &Bit, num: &Num) {
    let inverse = num.value().inverse().unwrap_or(Fr::ZERO) * condition.num().value();
    let inverse = b.alloc(inverse);
    b.enforce(num, &inverse, condition.num());
}
