//! A weak but cheap hunt for missing rows on the small shape: every column is changed alone.

use super::twins::{assigned, rows};
use super::world::*;
use crate::nullity::{nullity, nullity_without};
use circuits::builder::{Assignment, R1cs};
use model::{Category, Claim, ClaimKind, Party, Rule, RuleSlot};
use statement::c2::Chunk;
use std::collections::BTreeMap;

/// Movable columns by the rule of the first row in which they stand.
fn movable(r1cs: &R1cs, assignment: &Assignment) -> BTreeMap<&'static str, usize> {
    let mut found = BTreeMap::new();
    for column in r1cs.movable_columns(assignment) {
        let mut rows = (0..r1cs.a.len()).filter(|row| {
            [&r1cs.a, &r1cs.b, &r1cs.c].iter().any(|m| m[*row].iter().any(|t| t.1 == column))
        });
        let rule = rows.next().map_or("none", |row| r1cs.rules[row]);
        *found.entry(rule).or_default() += 1;
    }
    found
}

/// Full slots and padding, permits of which each could be chosen, denies that miss in different
/// ways, a policy, and an excluded slot.
fn chunks() -> Vec<Chunk> {
    let deny = Rule { categories: Category::Ppg.only(), ..rule(DOCTOR) };
    let other = Rule { actor: named(TEAM), source: named(DEVICE), ..rule(DOCTOR) };
    let late = Rule { access: span(T0 + 900, T1), ..rule(DOCTOR) };
    let all: Vec<(RuleSlot, Rule)> = (0..8)
        .map(|n| (RuleSlot::Permit(n), Rule { actor: Party::Any, ..rule(u64::from(n)) }))
        .enumerate()
        .map(|(n, (slot, rule))| (slot, Rule { data: span(n as u64, T1), ..rule }))
        .chain([(RuleSlot::Deny(0), deny), (RuleSlot::Deny(1), other), (RuleSlot::Deny(2), late)])
        .collect();
    let glass = Rule { kinds: ClaimKind::BreakGlass.only(), ..rule(DOCTOR) };
    let policies = [(RuleSlot::Policy(1), glass)];
    let broken = |claim: &mut Claim| claim.kind = ClaimKind::BreakGlass;
    let mut excluded = with_rules(&all, |_| (), 2);
    excluded.slots[0].excluded = true;
    vec![
        plain(4),
        plain(1),
        with_rules(&all, |_| (), 4),
        with_rules(&policies, broken, 2),
        excluded,
    ]
}

/// The assignments of honest chunks that differ in what their rows ask.
pub(crate) fn honest() -> Vec<Assignment> {
    chunks().iter().map(|chunk| assigned(chunk, &chunk.inputs())).collect()
}

/// What may move, and why it may:
/// * C2.15: of each claim and deny, a factor times a product that is 0 whatever the factor (two:
///   one for the actor, one for the source);
/// * C2.14: a bit that chooses between two slots that hold the same rule, or none;
/// * C2.8, C2.11, C2.22: the inverse that a padding claim does not have;
/// * C2.3: the inverse of the step to a patient who continues.
#[test]
fn single_columns_move_only_where_a_hint_has_nothing_to_multiply() {
    let r1cs = rows(ONE);
    for (chunk, assignment) in chunks().iter().zip(honest()) {
        let padding = 4 - chunk.slots[0].claims.len();
        let found = movable(&r1cs, &assignment);
        let allowed = [
            ("C2.15", 4 * 4 * 2),
            ("C2.14", 4 * 3),
            ("C2.8", padding),
            ("C2.11", padding),
            ("C2.22", padding),
        ];
        for (rule, count) in found {
            let most = allowed.iter().find(|(name, _)| *name == rule).map_or(0, |(_, most)| *most);
            assert!(count <= most, "{count} columns of {rule} move, at most {most} may");
        }
    }
}

/// The rows before the claims leave: 63 nodes of the cap, the edge that is not opened (position,
/// salt) and the salt of the next, 45 words of the record and 42 siblings; less the edge, the node
/// of the cap, the closing time and the packed words of four denies.
const SLOT: usize = 63 + 2 + 1 + 45 + 42 - 1 - 1 - 1 - 4;
/// A claim leaves four actors, digest and salt, and the two factors for each deny that meets
/// nothing.
const CLAIM: usize = 6 + 8;
/// Padding leaves three inverses besides.
const PADDING: usize = CLAIM + 3;

#[test]
fn private_values_move_together_only_as_the_statement_leaves_them() {
    let r1cs = rows(ONE);
    for claims in [1, 4] {
        let chunk = plain(claims);
        let found = nullity(&r1cs, &assigned(&chunk, &chunk.inputs()));
        let claims = claims as usize;
        // Each claim ties the actor of the permit; the permit's source, its packed word and the
        // claims root are tied once.
        let expected = SLOT + claims * (CLAIM - 1) + (4 - claims) * PADDING - 3;
        assert_eq!(found, expected, "{claims} claims");
    }
}

/// One row each of six rules. Many others are pinned twice to first order (a bit of a step also by
/// the step after it), and rows forgotten there show in the tests of their rules.
#[test]
fn a_forgotten_row_shows_as_one_more_direction() {
    let r1cs = rows(ONE);
    let chunk = plain(4);
    let assignment = assigned(&chunk, &chunk.inputs());
    let whole = nullity(&r1cs, &assignment);
    let first = |rule: &str| r1cs.rules.iter().position(|own| *own == rule);
    let last = |rule: &str| r1cs.rules.iter().rposition(|own| *own == rule);
    let forgotten =
        [first("C2.1"), last("C2.2"), last("C2.9"), last("C2.12"), first("C2.15"), last("C2.16")];
    for row in forgotten.map(|row| row.expect("a row of the rule")) {
        let found = nullity_without(&r1cs, &assignment, row);
        assert_eq!(found, whole + 1, "row {row} of {}", r1cs.rules[row]);
    }
}
