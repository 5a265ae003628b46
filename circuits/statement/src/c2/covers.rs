//! Whether a record covers one claim, and if not, why.

use model::{Claim, ClaimKind, Party, Record, Rule, RuleSlot, Uncovered, Word};

/// Evaluates one claim under a record, exactly as people understand the rules: some permit (for
/// break-glass, some policy) covers it in full, no deny overlaps it, and the record was open.
///
/// The reason of a refusal is that of the permit which got furthest in the order actor, source,
/// kind, purpose, categories, labels, access period, data period.
///
/// # Errors
/// [`Uncovered`], which names the broken rule of SPEC.md.
pub fn covers(record: Option<&Record>, claim: &Claim) -> Result<RuleSlot, Uncovered> {
    let record = record.ok_or(Uncovered::NoRecord)?;
    if !is_well_formed(claim) {
        return Err(Uncovered::Malformed);
    }
    if claim.receipt.until > record.closed_at {
        return Err(Uncovered::Closed);
    }
    let (slot, missing) = best_rule(record, claim);
    if let Some(refusal) = missing {
        return Err(refusal);
    }
    match record.denies().find(|(_, deny)| denies(deny, claim)) {
        Some((deny, _)) => Err(Uncovered::Denied(deny)),
        None => Ok(slot),
    }
}

/// The permit (for break-glass, policy) that gets furthest, and what it lacks; the first of equals.
/// Denies and the end of the record are not looked at.
pub fn best_rule(record: &Record, claim: &Claim) -> (RuleSlot, Option<Uncovered>) {
    let missing = |(slot, rule): (RuleSlot, &Rule)| (slot, missing(rule, claim));
    let mut tried: Vec<_> = match claim.kind {
        ClaimKind::BreakGlass => record.policies().map(missing).collect(),
        ClaimKind::Access | ClaimKind::Collect => record.permits().map(missing).collect(),
    };
    // The sort is stable, so that of rules that get equally far the lowest slot comes first.
    tried.sort_by_key(|(_, missing)| std::cmp::Reverse(missing.map_or(usize::MAX, |m| m.step)));
    let none = match claim.kind {
        ClaimKind::BreakGlass => RuleSlot::Policy(0),
        ClaimKind::Access | ClaimKind::Collect => RuleSlot::Permit(0),
    };
    let best = tried.first().copied();
    let (slot, missing) =
        best.unwrap_or((none, Some(Missing { step: 0, refusal: Uncovered::ActorNotNamed })));
    (slot, missing.map(|missing| missing.refusal))
}

/// Whether only a rule of the wrong group covers the claim: a permit break-glass, or a policy an
/// access or collection. C1 writes no such rule.
pub(super) fn crosses(record: &Record, claim: &Claim) -> bool {
    let covers = |(_, rule): (RuleSlot, &Rule)| missing(rule, claim).is_none();
    let (permit, policy) = (record.permits().any(covers), record.policies().any(covers));
    match claim.kind {
        ClaimKind::BreakGlass => permit && !policy,
        ClaimKind::Access | ClaimKind::Collect => policy && !permit,
    }
}

/// Whether `deny` forbids `claim`: all of actor, source, masks and windows meet.
pub fn denies(deny: &Rule, claim: &Claim) -> bool {
    refutes(deny, claim).is_none()
        && deny.access.overlaps(&claim.receipt)
        && deny.data.overlaps(&claim.measured)
}

/// Why a deny does not meet a claim whatever the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refuted {
    /// It names another actor.
    Actor,
    /// It names another source, and the claim is not of all sources.
    Source,
    /// Categories, purpose, kind or labels are disjoint.
    Mask,
}

/// Why `deny` does not meet `claim` whatever the time; `None` if only its windows can.
pub fn refutes(deny: &Rule, claim: &Claim) -> Option<Refuted> {
    let source = claim.source == Party::Any || names_source(deny, claim);
    let mask = deny.categories.overlaps(claim.categories)
        && deny.purposes.contains(claim.purpose.only())
        && deny.kinds.contains(claim.kind.only())
        && deny.labels.overlaps(claim.labels);
    match (names_actor(deny, claim), source, mask) {
        (false, _, _) => Some(Refuted::Actor),
        (_, false, _) => Some(Refuted::Source),
        (_, _, false) => Some(Refuted::Mask),
        (true, true, true) => None,
    }
}

/// Whether a claim could be proven at all, covered or excluded, but for the window it lies in.
pub(super) fn is_well_formed(claim: &Claim) -> bool {
    let Claim { individual, organisation, digest, receipt, measured, .. } = claim;
    let words = [*individual, *organisation, digest.word()];
    !words.iter().any(Word::is_zero)
        && receipt.from < receipt.until
        && measured.from < measured.until
        && !claim.categories.is_empty()
        && !claim.labels.is_empty()
}

/// The first thing a rule lacks, and how far it got.
#[derive(Clone, Copy)]
struct Missing {
    step: usize,
    refusal: Uncovered,
}

fn missing(rule: &Rule, claim: &Claim) -> Option<Missing> {
    let window = match rule.access.from > claim.receipt.from {
        true => Uncovered::NotYetLive,
        false => Uncovered::Ended,
    };
    let steps = [
        (names_actor(rule, claim), Uncovered::ActorNotNamed),
        (names_source(rule, claim), Uncovered::SourceNotCovered),
        (rule.kinds.contains(claim.kind.only()), Uncovered::KindNotCovered),
        (rule.purposes.contains(claim.purpose.only()), Uncovered::PurposeNotCovered),
        (rule.categories.contains(claim.categories), Uncovered::CategoryNotCovered),
        (rule.labels.contains(claim.labels), Uncovered::LabelNotCovered),
        (rule.access.contains(&claim.receipt), window),
        (rule.data.contains(&claim.measured), Uncovered::DataPeriod),
    ];
    let step = steps.iter().position(|(holds, _)| !holds)?;
    Some(Missing { step, refusal: steps[step].1 })
}

/// The care team is zero where there is none; no rule names zero.
fn names_actor(rule: &Rule, claim: &Claim) -> bool {
    let actors = [claim.individual, claim.organisation, claim.care_team];
    rule.actor == Party::Any || actors.contains(&rule.actor.word())
}

fn names_source(rule: &Rule, claim: &Claim) -> bool {
    rule.source == Party::Any || rule.source == claim.source
}
