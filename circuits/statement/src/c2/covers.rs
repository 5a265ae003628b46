//! Whether a record covers one claim, and if not, why.

use model::{Claim, ClaimKind, Party, Record, Rule, RuleSlot, Uncovered, Word};

/// Evaluates one claim under a record, exactly as people understand the rules: some permit (for
/// break-glass, some policy) covers it in full, no deny overlaps it, and the record was open.
///
/// Where no rule covers it, the reason is that of the rule which got furthest in the order actor,
/// source, kind, purpose, categories, labels, access period, data period.
///
/// ```
/// use model::{
///     Category, Claim, ClaimKind, Digest, Interval, Label, Millis, Party, PatientIndex, Position,
///     Purpose, Record, Rule, RuleSlot, Uncovered, Word,
/// };
/// use statement::{c2, scope};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let doctor = scope::actor(scope::ActorKind::Practitioner, "dr-001");
/// let hospital = scope::actor(scope::ActorKind::Organisation, "st-anne-hospital");
/// // The patient lets the doctor read ECGs for treatment.
/// let [key_hash, view_key, salt] = [1, 2, 3].map(Word::from_u64);
/// let mut record = Record::enrolled(key_hash, view_key, salt);
/// record.rules[usize::from(RuleSlot::Permit(0).number())] = Some(Rule {
///     actor: Party::Named(doctor),
///     source: Party::Any,
///     categories: Category::Ecg.only(),
///     purposes: Purpose::Treatment.only(),
///     kinds: ClaimKind::Access.only(),
///     labels: Label::Normal.only(),
///     access: Interval::ALWAYS,
///     data: Interval::ALWAYS,
/// });
///
/// let claim = Claim {
///     patient: PatientIndex::new(7)?,
///     kind: ClaimKind::Access,
///     individual: doctor,
///     organisation: hospital,
///     care_team: Word::ZERO,
///     source: Party::Any,
///     categories: Category::Ecg.only(),
///     purpose: Purpose::Treatment,
///     labels: Label::Normal.only(),
///     receipt: Interval::instant(Millis::from_unix_ms(1_777_624_200_000)),
///     measured: Interval::ALWAYS,
///     position: Position(1),
///     digest: Digest([7; 31]),
/// };
/// assert_eq!(c2::covers(Some(&record), &claim), Ok(RuleSlot::Permit(0)));
///
/// let research = Claim { purpose: Purpose::Research, ..claim };
/// let uncovered = c2::covers(Some(&record), &research).unwrap_err();
/// assert_eq!(uncovered, Uncovered::PurposeNotCovered);
/// assert_eq!(uncovered.rule().to_string(), "C2.9");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Uncovered`], which names the broken rule of SPEC.md.
pub fn covers(record: Option<&Record>, claim: &Claim) -> Result<RuleSlot, Uncovered> {
    let record = record.ok_or(Uncovered::NoRecord)?;
    // Before the rules: a malformed claim is not provable even as an excluded one, so no rule would
    // help.
    if !is_well_formed(claim) {
        return Err(Uncovered::Malformed);
    }
    // A stop outweighs every rule, so that it is the reason to name, whatever the rules lack.
    if claim.receipt.until > record.closed_at {
        return Err(Uncovered::Closed);
    }
    let (slot, lacks) = best_rule(record, claim);
    if let Some(uncovered) = lacks {
        return Err(uncovered);
    }
    // Denies come last: a claim that nothing permits needs no deny to be refused.
    match record.denies().find(|(_, deny)| denies(deny, claim)) {
        Some((deny, _)) => Err(Uncovered::Denied(deny)),
        None => Ok(slot),
    }
}

/// The permit (for break-glass, policy) that gets furthest, and what it lacks; the first of equals.
/// Denies and the end of the record are not looked at.
pub fn best_rule(record: &Record, claim: &Claim) -> (RuleSlot, Option<Uncovered>) {
    // The kind alone decides which rules count (C2.14), so that a permit never stands in for a
    // policy.
    let (none, furthest) = match claim.kind {
        ClaimKind::BreakGlass => (RuleSlot::Policy(0), furthest(record.policies(), claim)),
        ClaimKind::Access | ClaimKind::Collect => {
            (RuleSlot::Permit(0), furthest(record.permits(), claim))
        }
    };
    // A record without any rule of the kind names nobody.
    let none = (none, Some(Lack { step: 0, uncovered: Uncovered::ActorNotNamed }));
    let (slot, lack) = furthest.unwrap_or(none);
    (slot, lack.map(|lack| lack.uncovered))
}

/// The rule that gets furthest, and what it lacks. Asked twice for each frame that is collected, so
/// it makes no list of them.
fn furthest<'a>(
    rules: impl Iterator<Item = (RuleSlot, &'a Rule)>,
    claim: &Claim,
) -> Option<(RuleSlot, Option<Lack>)> {
    let mut best: Option<(RuleSlot, Lack)> = None;
    for (slot, rule) in rules {
        // Nothing gets further than all the way.
        let Some(lack) = first_lack(rule, claim) else { return Some((slot, None)) };
        // Of rules that get equally far the lowest slot stays: the prover selects the same rule as
        // whoever looks up why.
        if best.is_none_or(|(_, before)| lack.step > before.step) {
            best = Some((slot, lack));
        }
    }
    best.map(|(slot, lack)| (slot, Some(lack)))
}

/// Whether a permit alone covers a break-glass claim, or a policy alone another claim. C1 writes no
/// such rule, but a record is checked here as it stands.
pub(super) fn is_covered_by_wrong_kind_only(record: &Record, claim: &Claim) -> bool {
    let covers = |(_, rule): (RuleSlot, &Rule)| first_lack(rule, claim).is_none();
    let (permit, policy) = (record.permits().any(covers), record.policies().any(covers));
    match claim.kind {
        ClaimKind::BreakGlass => permit && !policy,
        ClaimKind::Access | ClaimKind::Collect => policy && !permit,
    }
}

/// Whether `deny` forbids `claim`: all of actor, source, masks and periods meet.
fn denies(deny: &Rule, claim: &Claim) -> bool {
    meets_but_for_time(deny, claim)
        && deny.access.overlaps(&claim.receipt)
        && deny.data.overlaps(&claim.measured)
}

/// Whether only its periods can keep `deny` off `claim`.
pub(super) fn meets_but_for_time(deny: &Rule, claim: &Claim) -> bool {
    // A claim of all sources reads from every one, hence also from the one that is denied.
    let source = claim.source == Party::Any || names_source(deny, claim);
    names_actor(deny, claim)
        && source
        && deny.categories.overlaps(claim.categories)
        && deny.purposes.contains(claim.purpose.only())
        && deny.kinds.contains(claim.kind.only())
        && deny.labels.overlaps(claim.labels)
}

/// Whether a claim could be proven at all, covered or excluded, but for the window it lies in.
fn is_well_formed(claim: &Claim) -> bool {
    let Claim { individual, organisation, source, digest, receipt, measured, .. } = claim;
    // The care team may be zero: not everybody acts for one.
    let words = [*individual, *organisation, source.word(), digest.word()];
    !words.iter().any(Word::is_zero)
        && receipt.from < receipt.until
        && measured.from < measured.until
        && !claim.categories.is_empty()
        && !claim.labels.is_empty()
}

/// The first thing that a rule lacks, and how many it has before.
#[derive(Clone, Copy)]
struct Lack {
    step: usize,
    uncovered: Uncovered,
}

fn first_lack(rule: &Rule, claim: &Claim) -> Option<Lack> {
    let not_live = match rule.access.from > claim.receipt.from {
        true => Uncovered::NotYetLive,
        // What begins in time and is not contained lasts beyond the rule.
        false => Uncovered::Ended,
    };
    // In the order in which people ask: who, about whom, what for, which data, when. The rule that
    // gets furthest down is the one that was meant, and its lack is the useful answer.
    let steps = [
        (names_actor(rule, claim), Uncovered::ActorNotNamed),
        (names_source(rule, claim), Uncovered::SourceNotCovered),
        (rule.kinds.contains(claim.kind.only()), Uncovered::KindNotCovered),
        (rule.purposes.contains(claim.purpose.only()), Uncovered::PurposeNotCovered),
        // Contained, where a deny need only overlap: one category more than the rule has is too
        // many.
        (rule.categories.contains(claim.categories), Uncovered::CategoryNotCovered),
        (rule.labels.contains(claim.labels), Uncovered::LabelNotCovered),
        (rule.access.contains(&claim.receipt), not_live),
        (rule.data.contains(&claim.measured), Uncovered::DataPeriod),
    ];
    let step = steps.iter().position(|(holds, _)| !holds)?;
    Some(Lack { step, uncovered: steps[step].1 })
}

/// The care team is zero where there is none; no rule names zero.
fn names_actor(rule: &Rule, claim: &Claim) -> bool {
    let actors = [claim.individual, claim.organisation, claim.care_team];
    rule.actor == Party::Any || actors.contains(&rule.actor.word())
}

fn names_source(rule: &Rule, claim: &Claim) -> bool {
    // A claim of ANY reads from every source, so that only a rule for ANY covers it.
    rule.source == Party::Any || rule.source == claim.source
}
