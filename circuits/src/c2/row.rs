//! One claim: selected rule, times, masks, denies and leaf.

use super::deny::{Deny, Meets, RESERVED_BIT, Who, refute};
use super::order::Place;
use super::parts::{HullNums, RECEIPT_BITS, Shared, TIME_BITS, fr, ranged};
use crate::builder::{Bit, Builder, Num};
use crate::claim::{ClaimWords, info, leaf, times, two_to};
use crate::record::{RuleWords, Rules};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use model::{Claim, ClaimKind, Interval, Millis, Party, Rule, RuleSlot};
use statement::c2::best_rule;
use statement::field::from_word;

/// First bit of each group of a mask, and behind the last.
const CATEGORIES: usize = 0;
const PURPOSES: usize = 32;
const KINDS: usize = 48;
const LABELS: usize = 52;
const MASK_BITS: usize = Rule::MASK_BITS as usize;
/// Bits that tell one of 16 purposes.
const PURPOSE_BITS: usize = 4;
/// Bits of the number of categories, and of labels, in which two masks meet.
const CATEGORY_COUNT_BITS: usize = 6;
const LABEL_COUNT_BITS: usize = 4;
/// Permits, and bits that tell one.
const PERMITS: usize = 8;
const PERMIT_BITS: usize = 3;
const POLICIES: [usize; 2] = [12, 13];
/// Rows of the list of denies.
const DENIES: usize = 4;

/// What a slot gives to the totals.
pub(super) struct Done {
    /// Of its claims, then its tag.
    pub(super) leaves: Vec<Num>,
    /// How many accesses, collections and break-glass accesses.
    pub(super) kinds: [Num; 3],
    /// How many excluded claims.
    pub(super) excluded: Num,
}

/// What the claims of a slot read.
pub(super) struct Open {
    /// The record's words.
    pub(super) rules: Rules,
    pub(super) denies: [Deny; 4],
    pub(super) hull: HullNums,
    /// Whether the slot's claims are not covered.
    pub(super) excluded: Bit,
    /// Whether they are; neither in a padding slot.
    pub(super) covered: Bit,
}

/// All claims of a slot.
pub(super) fn enforce_all(
    b: &mut Builder,
    shared: &Shared<'_>,
    open: &Open,
    number: usize,
    place: &Place,
) -> Done {
    let capacity = shared.chunk.capacity.claims_per_slot;
    let rows: Vec<Row> = (0..capacity).map(|at| row(b, shared, open, number, place, at)).collect();
    Done {
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

/// The masks of a claim.
struct Masks {
    /// By bit of the packed word; without purposes and the reserved bit.
    bits: Vec<(usize, Num)>,
    kinds: [Num; 3],
    packed: Num,
    /// Whether each deny has the claim's purpose.
    denied_purpose: [Num; DENIES],
}

fn row(
    b: &mut Builder,
    shared: &Shared<'_>,
    open: &Open,
    number: usize,
    place: &Place,
    at: usize,
) -> Row {
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
    let kinds = [active.num() - &collect - &glass, collect, glass];
    let chosen = slot.zip(claim).map(|(slot, claim)| best_rule(&slot.record, claim).0);
    let rule = b.rule("C2.14", |b| select_rule(b, open, chosen, &kinds[2], &gate));
    let who = words(b, claim);
    let [individual, organisation, care_team, source] = &who;
    let who_acts = Who { individual, organisation, care_team, source };
    names(b, &rule, &who_acts);

    let (receipt, measured) = b.rule("C2.5", |b| intervals(b, &open.hull, claim));
    let allowed = unpack_rule(b, &rule[2], &receipt, &measured);
    let masks = masks(b, claim, &allowed, kinds, active, open);
    for (deny, meets) in open.denies.iter().zip(meets(b, &masks, open)) {
        b.rule("C2.15", |b| refute(b, deny, &who_acts, &meets, &gate));
    }

    let digest = b.alloc(claim.map_or(Fr::ZERO, |claim| from_word(&claim.digest.word())));
    b.rule("C2.22", |b| {
        let both = b.product(individual, organisation);
        let all = b.product(&both, &digest);
        enforce_nonzero_if(b, active, &all);
    });
    let salt = claim.map_or(Fr::ZERO, |_| shared.chunk.salt(number, at));
    let salt = b.alloc(salt);
    let covered = Num::one() - open.excluded.num();
    let info = info(&masks.packed, &place.index, &place.positions[at], &covered);
    let times = times(&receipt, &measured);
    let [individual, organisation, care_team, source] = who;
    let words =
        ClaimWords { individual, organisation, care_team, source, info, times, digest, salt };
    let leaf = b.rule("C2.17", |b| {
        let leaf = leaf(b, &words);
        b.product(active.num(), &leaf)
    });
    Row { leaf, kinds: masks.kinds, excluded: active.num() - gate.num() }
}

/// Individual, organisation, care_team, source: bound by the leaf alone.
fn words(b: &mut Builder, claim: Option<&Claim>) -> [Num; 4] {
    let values = claim.map_or([Fr::ZERO; 4], |claim| {
        let source = claim.source.word();
        [claim.individual, claim.organisation, claim.care_team, source].map(|word| from_word(&word))
    });
    values.map(|value| b.alloc(value))
}

/// C2.14: a policy is selected for break-glass and a permit for everything else. Where the gate is
/// 0, a rule stands in that covers everything. 33 rows.
fn select_rule(
    b: &mut Builder,
    open: &Open,
    chosen: Option<RuleSlot>,
    glass: &Num,
    gate: &Bit,
) -> RuleWords {
    let choice = match chosen {
        Some(RuleSlot::Permit(number) | RuleSlot::Policy(number)) => number,
        Some(RuleSlot::Deny(_)) | None => 0,
    };
    let bits: Vec<Bit> = (0..PERMIT_BITS).map(|bit| b.bit(choice >> bit & 1 == 1)).collect();
    // Confined to 0 and 1 by C2.10.
    let glass = Bit::confined(glass.clone());
    let neutral = neutral();
    std::array::from_fn(|word| {
        let column = |slot: usize| open.rules.rules[slot][word].clone();
        let permits: Vec<Num> = (0..PERMITS).map(column).collect();
        let permit = b.mux(&bits, &permits);
        let policy = b.select(&bits[0], &column(POLICIES[1]), &column(POLICIES[0]));
        let selected = b.select(&glass, &policy, &permit);
        b.select(gate, &selected, &Num::constant(neutral[word]))
    })
}

/// The words of a rule that covers everything.
fn neutral() -> [Fr; 3] {
    let any = from_word(&Party::ANY);
    let masks = Fr::from(((1u64 << MASK_BITS) - 1) ^ (1 << RESERVED_BIT));
    let end = fr(Millis::UNBOUNDED_FUTURE);
    [any, any, masks + end * (two_to(Rule::LANES[1]) + two_to(Rule::LANES[3]))]
}

/// C2.12 and C2.13: 4 rows.
fn names(b: &mut Builder, rule: &RuleWords, who: &Who<'_>) {
    let any = Num::constant(from_word(&Party::ANY));
    let [actor, source, _] = rule;
    b.rule("C2.12", |b| {
        let one = b.product(&(actor - who.individual), &(actor - who.organisation));
        let other = b.product(&(actor - who.care_team), &(actor - &any));
        b.enforce(&one, &other, &Num::zero());
    });
    b.rule("C2.13", |b| b.enforce(&(source - any), &(source - who.source), &Num::zero()));
}

/// C2.5: both intervals lie in the hull and are not empty. 215 rows. Padding takes the whole hull.
fn intervals(b: &mut Builder, hull: &HullNums, claim: Option<&Claim>) -> ([Num; 2], [Num; 2]) {
    let values = claim.map_or((hull.values.receipt, hull.values.measured), |claim| {
        (claim.receipt, claim.measured)
    });
    let mut within = |hull: &[Num; 2], value: Interval, width: usize| {
        let after = ranged(b, fr(value.from) - hull[0].value(), width);
        let before = ranged(b, hull[1].value() - fr(value.until), width);
        let (from, until) = (&hull[0] + after, &hull[1] - before);
        b.range(&(&until - &from - Num::one()), width);
        [from, until]
    };
    (within(&hull.receipt, values.0, RECEIPT_BITS), within(&hull.measured, values.1, TIME_BITS))
}

/// The mask bits of the selected rule, and C2.6, C2.7: its windows contain the intervals. 237 rows.
///
/// Each lane is made as the time that it bounds less or plus 44 bits, so that one comparison also
/// ranges the lane; the word unpacks in one way for the reason given at denies.
fn unpack_rule(b: &mut Builder, packed: &Num, receipt: &[Num; 2], measured: &[Num; 2]) -> Vec<Num> {
    let value = packed.value().into_bigint();
    let mask: Vec<Num> = (0..MASK_BITS)
        .map(|bit| match bit {
            RESERVED_BIT => Num::zero(),
            _ => b.rule(group(bit), |b| Num::from(&b.bit(value.get_bit(bit)))),
        })
        .collect();
    let lane = |lane: usize| {
        let first = Rule::LANES[lane] as usize;
        (0..48).rev().fold(0u64, |time, bit| time << 1 | u64::from(value.get_bit(first + bit)))
    };
    let access = Fr::from(lane(0)) + Fr::from(lane(1)) * two_to(48);
    let access = b.alloc(access);
    b.rule("C2.6", |b| {
        let window = window(b, receipt, [lane(0), lane(1)]);
        b.enforce_equal(&access, &window);
    });
    let packed_mask = Num::combination((0..).map(two_to).zip(&mask));
    let rest = packed - packed_mask - access * two_to(Rule::LANES[0]);
    b.rule("C2.7", |b| {
        let window = window(b, measured, [lane(2), lane(3)]);
        b.enforce_equal(&rest, &(window * two_to(Rule::LANES[2])));
    });
    mask
}

/// Two lanes that contain an interval.
fn window(b: &mut Builder, interval: &[Num; 2], lanes: [u64; 2]) -> Num {
    let [from, until] = lanes.map(Fr::from);
    let before = ranged(b, interval[0].value() - from, TIME_BITS);
    let after = ranged(b, until - interval[1].value(), TIME_BITS);
    &interval[0] - before + (&interval[1] + after) * two_to(48)
}

/// The rule that a mask bit belongs to.
fn group(bit: usize) -> &'static str {
    match bit {
        CATEGORIES..PURPOSES => "C2.8",
        PURPOSES..KINDS => "C2.9",
        KINDS..LABELS => "C2.10",
        _ => "C2.11",
    }
}

/// C2.8 to C2.11: the claim's masks are within the rule's. 71 rows.
fn masks(
    b: &mut Builder,
    claim: Option<&Claim>,
    allowed: &[Num],
    kinds: [Num; 3],
    active: &Bit,
    open: &Open,
) -> Masks {
    let mut bits: Vec<(usize, Num)> = Vec::with_capacity(43);
    let value = claim.map_or(0, Claim::mask);
    let plain = (CATEGORIES..PURPOSES).chain(LABELS..MASK_BITS);
    bits.extend(plain.map(|bit| (bit, b.alloc(Fr::from(value >> bit & 1)))));
    bits.extend((KINDS..).zip(kinds.iter().cloned()));
    for (bit, num) in &bits {
        // One row says that the bit is 0 or 1 and that the rule has it.
        b.rule(group(*bit), |b| b.enforce(num, &(num - &allowed[*bit]), &Num::zero()));
    }
    for (rule, range) in [("C2.8", CATEGORIES..PURPOSES), ("C2.11", LABELS..MASK_BITS)] {
        let members = bits.iter().filter(|(bit, _)| range.contains(bit));
        let count = Num::sum(members.map(|(_, num)| num));
        b.rule(rule, |b| enforce_nonzero_if(b, active, &count));
    }
    let (purpose, denied_purpose) = b.rule("C2.9", |b| purpose(b, claim, allowed, open));
    let packed = bits.iter().map(|(bit, num)| (two_to(*bit as u32), num));
    let packed = Num::combination(packed.chain([(two_to(PURPOSES as u32), &purpose)]));
    Masks { bits, kinds, packed, denied_purpose }
}

/// C2.9: two to the claim's purpose, which the rule has, and whether each deny has it. 26 rows.
///
/// The purpose is a number, so that rule and denies are asked about it by one choice among 16.
fn purpose(
    b: &mut Builder,
    claim: Option<&Claim>,
    allowed: &[Num],
    open: &Open,
) -> (Num, [Num; DENIES]) {
    let value = claim.map_or(0, |claim| claim.purpose.bit() as usize);
    let bits: Vec<Bit> = (0..PURPOSE_BITS).map(|bit| b.bit(value >> bit & 1 == 1)).collect();
    let denied: [Num; DENIES] = std::array::from_fn(|deny| {
        let has = open.denies[deny].mask[PURPOSES + value].value() == Fr::ONE;
        Num::from(&b.bit(has))
    });
    let together = |one: &Num, denies: Vec<&Num>| {
        let denies = (1..).map(two_to).zip(denies);
        Num::combination(denies.chain([(Fr::ONE, one)]))
    };
    let items: Vec<Num> = (PURPOSES..KINDS)
        .map(|bit| {
            let denies = open.denies.iter().map(|deny| &deny.mask[bit]).collect();
            together(&allowed[bit], denies)
        })
        .collect();
    b.enforce_mux(&bits, &items, &together(&Num::one(), denied.iter().collect()));
    let factor = |bit: usize| bits[bit].num() * (two_to(1 << bit) - Fr::ONE) + Num::one();
    let low = b.product(&factor(0), &factor(1));
    let high = b.product(&factor(2), &factor(3));
    (b.product(&low, &high), denied)
}

/// In how many categories, purposes, kinds and labels each deny meets the claim: 88 rows.
///
/// The counts of all denies stand in one number, each in bits of its own, so that a bit of the
/// claim is multiplied once for all of them.
fn meets(b: &mut Builder, masks: &Masks, open: &Open) -> [Meets; DENIES] {
    const KINDS_AT: usize = DENIES * CATEGORY_COUNT_BITS;
    const LABELS_AT: usize = KINDS_AT + DENIES;
    let place = |bit: usize, deny: usize| match bit {
        CATEGORIES..PURPOSES => deny * CATEGORY_COUNT_BITS,
        KINDS..LABELS => KINDS_AT + deny,
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
        std::array::from_fn(|deny| Meets {
            counts: [
                count(CATEGORIES, deny, CATEGORY_COUNT_BITS),
                masks.denied_purpose[deny].clone(),
                count(KINDS, deny, 1),
                count(LABELS, deny, LABEL_COUNT_BITS),
            ],
        })
    })
}

/// Enforces `num != 0` where `condition` is 1: one row. The hint is free where both are 0.
fn enforce_nonzero_if(b: &mut Builder, condition: &Bit, num: &Num) {
    let inverse = num.value().inverse().unwrap_or(Fr::ZERO) * condition.num().value();
    let inverse = b.alloc(inverse);
    b.enforce(num, &inverse, condition.num());
}
