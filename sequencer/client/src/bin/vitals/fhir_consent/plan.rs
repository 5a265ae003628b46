//! What an import would write and end: the difference between a document and a record.

use client::preview::{operation_sentence, rule_sentence};
use client::rule_slot::{self, OfKind};
use client::{Wallet, party};
use model::{Action, ClaimKind, Interval, Millis, Record, Rule, RuleSlot};
use pcf::{Effect, Reading, Stated};
use serde_json::{Value, json};

use crate::known::Named;
use crate::report::Usage;

/// One change.
pub(crate) struct Step {
    pub(crate) action: Action,
    /// In words.
    pub(crate) says: String,
    /// Names that the wallet learns by it.
    pub(crate) names: Vec<String>,
}

/// Every change, in the order in which they are signed: at no time is more permitted than before
/// or after all of them.
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Rules that stay as they are, in words.
    stays: Vec<String>,
    /// Rules of the document that have ended, in words.
    ended: Vec<String>,
    /// The record after all of it.
    pub(crate) after: Record,
    /// Whom new rules name.
    pub(crate) named: Vec<Named>,
}

impl Plan {
    /// What would be done, a line each.
    pub(crate) fn in_words(&self) -> String {
        let mut text = String::new();
        let mut list = |lines: &mut dyn Iterator<Item = &String>| {
            lines.for_each(|line| text += &format!("\n  {line}"));
        };
        list(&mut self.steps.iter().map(|step| &step.says));
        list(&mut self.stays.iter());
        list(&mut self.ended.iter());
        if self.steps.is_empty() {
            text += "\n  nothing is to be signed: the record says what the document says";
        }
        text
    }

    /// The same for programs.
    pub(crate) fn tell(&self, json: &mut Value) {
        let change = |step: &Step| {
            let (does, slot) = match &step.action {
                Action::Write { slot, .. } => ("write", Some(*slot)),
                Action::Revoke { slot, .. } => ("revoke", Some(*slot)),
                Action::Enrol { .. } | Action::Stop => ("other", None),
            };
            json!({"does": does, "slot": slot.map(rule_slot::name), "says": step.says})
        };
        json["changes"] = self.steps.iter().map(change).collect();
        json["stays"] = self.stays.clone().into();
        json["ended"] = self.ended.clone().into();
    }
}

/// Compares a document with the wallet's copy. A document in PCF's own words is about reading:
/// what the record says of collecting stays.
///
/// # Errors
/// [`Usage`] where the record has too few free slots; what the node would refuse.
pub(crate) fn plan(mut wallet: Wallet, reading: &Reading, now: Millis) -> anyhow::Result<Plan> {
    let named = learn(&mut wallet, reading)?;
    let mut sorted = Sorted::of(wallet.record()?, reading, now);
    let actions = sorted.actions(wallet.record()?, now)?;
    let Sorted { stays, ended, .. } = sorted;
    let mut steps = Vec::new();
    for change in actions {
        let operation = wallet.change(change.action.clone(), now, TRIAL_MS)?;
        let says = operation_sentence(&operation, &wallet.names);
        // By the rules that the node holds it against: what it would refuse is found before the
        // first of them is signed.
        wallet.record = Some(wallet.effect(&operation, now)?);
        steps.push(Step { action: change.action, says, names: change.names });
    }
    let says = |(slot, rule): &(RuleSlot, Rule)| rule_sentence(*slot, rule, &wallet.names);
    Ok(Plan {
        steps,
        stays: stays
            .iter()
            .map(|one| format!("{} stays: it {}", rule_slot::name(one.0), says(one)))
            .collect(),
        ended: ended
            .iter()
            .map(|one| format!("not written, since it has ended: it {}", says(one)))
            .collect(),
        after: wallet.record()?.clone(),
        named,
    })
}

/// How long a signature is good for that nobody makes.
const TRIAL_MS: u64 = 60 * 1000;

/// Whom the document names: each once, as the wallet knows them before it learns their names.
fn learn(wallet: &mut Wallet, reading: &Reading) -> anyhow::Result<Vec<Named>> {
    let before = wallet.names.clone();
    let mut words: Vec<String> = reading.rules.iter().flat_map(names_of).collect();
    words.sort();
    words.dedup();
    let mut named = Vec::new();
    for words in words {
        named.extend(Named::of(&words, &before)?);
        wallet.names.learn(&words, &party::actor(&words)?);
    }
    Ok(named)
}

fn names_of(stated: &Stated) -> Vec<String> {
    [&stated.actor, &stated.source].into_iter().flatten().map(ToString::to_string).collect()
}

/// An action, and the names that go with it.
struct Change {
    action: Action,
    names: Vec<String>,
}

/// A rule that the record lacks.
struct Wanted {
    kind: OfKind,
    rule: Rule,
    names: Vec<String>,
}

/// The rules of both sides, by what becomes of each.
#[derive(Default)]
struct Sorted {
    wanted: Vec<Wanted>,
    /// What the document does not say any more.
    ends: Vec<(RuleSlot, Rule)>,
    stays: Vec<(RuleSlot, Rule)>,
    /// What the document says of a time that is over.
    ended: Vec<(RuleSlot, Rule)>,
}

impl Sorted {
    fn of(record: &Record, reading: &Reading, now: Millis) -> Sorted {
        let mut sorted = Sorted::default();
        let live = rule_slot::all().filter_map(|slot| Some((slot, *record.rule(slot)?)));
        let live: Vec<_> = live.filter(|(_, rule)| rule.access.until > now).collect();
        for stated in &reading.rules {
            let kind = of_effect(stated.effect);
            let is_same =
                |one: &&(RuleSlot, Rule)| is_of(kind, one.0) && is_same(&one.1, &stated.rule, now);
            if live.iter().any(|one| is_same(&one)) {
                continue;
            }
            if stated.rule.access.until <= now {
                sorted.ended.push((kind(0), stated.rule));
            } else {
                let (rule, names) = (stated.rule, names_of(stated));
                sorted.wanted.push(Wanted { kind, rule, names });
            }
        }
        for (slot, rule) in live {
            let is_said =
                |one: &Stated| is_of(of_effect(one.effect), slot) && is_same(&rule, &one.rule, now);
            if reading.rules.iter().any(is_said) {
                sorted.stays.push((slot, rule));
            } else {
                sorted.take_unsaid(slot, rule, reading.speaks_of_collection);
            }
        }
        sorted
    }

    /// A rule that the document does not say. Of collecting PCF says nothing: what is about that
    /// alone stays, and what is about both goes on for that alone.
    fn take_unsaid(&mut self, slot: RuleSlot, rule: Rule, speaks_of_collection: bool) {
        let collect = ClaimKind::Collect.only();
        if speaks_of_collection || !rule.kinds.contains(collect) {
            self.ends.push((slot, rule));
        } else if rule.kinds == collect {
            self.stays.push((slot, rule));
        } else {
            self.ends.push((slot, rule));
            let (kind, names) = (kind_of(slot), Vec::new());
            self.wanted.push(Wanted { kind, rule: Rule { kinds: collect, ..rule }, names });
        }
    }

    /// Everything to sign, in order: new denies first and old ones last, so that what both forbid
    /// is never open in between; and what permits is ended before anything else permits.
    fn actions(&mut self, record: &Record, now: Millis) -> Result<Vec<Change>, Usage> {
        let (mut denies, mut permits) = (Vec::new(), Vec::new());
        for (slot, wanted) in place(record, std::mem::take(&mut self.wanted), now)? {
            let action = Action::Write { slot, rule: wanted.rule };
            let change = Change { action, names: wanted.names };
            if is_deny(slot) { denies.push(change) } else { permits.push(change) }
        }
        let (old, ended): (Vec<_>, Vec<_>) = self.ends.iter().partition(|one| is_deny(one.0));
        let end = |(slot, rule): &(RuleSlot, Rule)| Change {
            action: Action::Revoke { slot: *slot, rule: *rule },
            names: Vec::new(),
        };
        let actions = denies.into_iter().chain(ended.into_iter().map(end));
        Ok(actions.chain(permits).chain(old.into_iter().map(end)).collect())
    }
}

/// A free slot for each rule. One whose rule ends by this import is none: the node frees it when
/// the window is closed in which the rule ended.
fn place(
    record: &Record,
    wanted: Vec<Wanted>,
    now: Millis,
) -> Result<Vec<(RuleSlot, Wanted)>, Usage> {
    let end = |slot: &RuleSlot| record.rule(*slot).map(|rule| rule.access.until);
    let mut placed: Vec<(RuleSlot, Wanted)> = Vec::new();
    for one in wanted {
        let is_taken = |slot: &RuleSlot| placed.iter().any(|(taken, _)| taken == slot);
        let free = rule_slot::of_kind(one.kind)
            .filter(|slot| end(slot).is_none_or(|end| end <= now) && !is_taken(slot));
        // As for a rule that is signed alone: empty ones first, then the one that ended first.
        let slot = free.min_by_key(end).ok_or_else(|| {
            let what = rule_slot::name((one.kind)(0));
            let what = what.split(':').next().unwrap_or_default();
            Usage(format!(
                "expected a free {what} slot for each rule of the document, found too few: revoke \
                 rules that it does not say, and import it again when the window is closed in \
                 which they ended"
            ))
        })?;
        placed.push((slot, one));
    }
    Ok(placed)
}

/// Whether a stored rule is the one of a document: it begins when the node got it, if the document
/// has it begin before.
fn is_same(stored: &Rule, stated: &Rule, now: Millis) -> bool {
    let (from, said) = (stored.access.from, stated.access.from);
    let begins = from == said || said <= from && from <= now;
    let as_said = Rule { access: Interval { from: said, ..stored.access }, ..*stored };
    begins && as_said == *stated
}

fn of_effect(effect: Effect) -> OfKind {
    match effect {
        Effect::Permit => RuleSlot::Permit,
        Effect::Deny => RuleSlot::Deny,
        Effect::Policy => RuleSlot::Policy,
    }
}

fn kind_of(slot: RuleSlot) -> OfKind {
    match slot {
        RuleSlot::Permit(_) => RuleSlot::Permit,
        RuleSlot::Deny(_) => RuleSlot::Deny,
        RuleSlot::Policy(_) => RuleSlot::Policy,
    }
}

fn is_of(kind: OfKind, slot: RuleSlot) -> bool {
    std::mem::discriminant(&kind(0)) == std::mem::discriminant(&slot)
}

fn is_deny(slot: RuleSlot) -> bool {
    matches!(slot, RuleSlot::Deny(_))
}

#[cfg(test)]
mod tests {
    use client::{Key, KeyKind};
    use model::{Category, ChainScope, PatientIndex, Purpose};

    use super::*;

    fn at(hour: u64) -> Millis {
        Millis::from_unix_ms(1_777_624_200_000 + hour * 3_600_000)
    }

    fn doctor() -> Rule {
        let doctor = party::actor("practitioner:dr-001").unwrap();
        let access = Interval { from: at(0), until: Millis::UNBOUNDED_FUTURE };
        Rule { access, ..Rule::widest(doctor, ClaimKind::Access.only()) }
    }

    fn wallet(rules: &[(RuleSlot, Rule)]) -> Wallet {
        let key = Key::from_secret(KeyKind::Patient, [7; 32]);
        let scope = ChainScope { chain_id: 5, contract: [1; 20] };
        let mut wallet = Wallet::new(scope, PatientIndex::new(7).unwrap());
        let mut record = Record::enrolled(key.key_hash(), key.view_key(), key.record_salt());
        for (slot, rule) in rules {
            record.rules[usize::from(slot.number())] = Some(*rule);
        }
        wallet.record = Some(record);
        wallet
    }

    fn stated(effect: Effect, rule: Rule) -> Stated {
        let actor = pcf::Party::parse("practitioner:dr-001");
        Stated { effect, rule, actor, source: None, element: "provision".to_owned() }
    }

    fn reading(rules: Vec<Stated>) -> Reading {
        let (findings, patient) = (Vec::new(), Some(7));
        Reading { rules, findings, patient, speaks_of_collection: false }
    }

    /// What is signed, as verb and slot.
    fn check(rules: &[(RuleSlot, Rule)], document: Vec<Stated>, expected: &[&str]) -> Plan {
        let plan = plan(wallet(rules), &reading(document), at(5)).unwrap();
        let mut json = json!({});
        plan.tell(&mut json);
        let changes = json["changes"].as_array().unwrap().iter();
        let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
        let signed: Vec<_> =
            changes.map(|one| format!("{} {}", text(one, "does"), text(one, "slot"))).collect();
        assert_eq!(signed, expected, "{}", plan.in_words());
        plan
    }

    #[test]
    fn what_a_record_says_already_is_not_signed_again_whenever_it_began() {
        let open = Interval::ALWAYS;
        let said = stated(Effect::Permit, Rule { access: open, ..doctor() });
        let plan = check(&[(RuleSlot::Permit(3), doctor())], vec![said], &[]);
        assert!(plan.in_words().contains("permit:3 stays: it permits"));
        // A document that has it begin later says another rule.
        let later = Interval { from: at(9), until: Millis::UNBOUNDED_FUTURE };
        let later = stated(Effect::Permit, Rule { access: later, ..doctor() });
        check(
            &[(RuleSlot::Permit(3), doctor())],
            vec![later],
            &["revoke permit:3", "write permit:0"],
        );
    }

    #[test]
    fn new_denies_come_first_and_old_ones_go_last() {
        let deny = Rule { categories: Category::Ecg.only(), ..doctor() };
        let new = Rule { categories: Category::Spo2.only(), ..doctor() };
        let wider = Rule { purposes: Purpose::Research.only(), ..doctor() };
        check(
            &[(RuleSlot::Deny(0), deny), (RuleSlot::Permit(0), doctor())],
            vec![stated(Effect::Permit, wider), stated(Effect::Deny, new)],
            &["write deny:1", "revoke permit:0", "write permit:1", "revoke deny:0"],
        );
    }

    #[test]
    fn what_is_said_of_collecting_stays_where_the_document_is_about_reading() {
        let (access, collect) = (ClaimKind::Access.only(), ClaimKind::Collect.only());
        let both = Rule { kinds: access.with(collect), ..doctor() };
        let only = Rule { kinds: collect, ..doctor() };
        let plan = check(
            &[(RuleSlot::Permit(0), both), (RuleSlot::Permit(1), only)],
            Vec::new(),
            &["revoke permit:0", "write permit:2"],
        );
        let left = plan.after.rule(RuleSlot::Permit(2)).unwrap();
        assert_eq!(left.kinds, collect);
        assert_eq!(plan.stays.len(), 1);
        // One that speaks of it says all of it.
        let all = Reading { speaks_of_collection: true, ..reading(Vec::new()) };
        let plan = super::plan(wallet(&[(RuleSlot::Permit(1), only)]), &all, at(5)).unwrap();
        assert_eq!(plan.steps.len(), 1);
    }

    #[test]
    fn what_has_ended_is_told_and_what_has_no_slot_is_refused() {
        let over = Interval { from: at(0), until: at(1) };
        let over = stated(Effect::Permit, Rule { access: over, ..doctor() });
        let plan = check(&[], vec![over], &[]);
        assert!(plan.in_words().contains("not written, since it has ended: it permits"));
        let full: Vec<_> = (0..4)
            .map(|n| {
                let category = Category::ALL[usize::from(n)];
                (RuleSlot::Deny(n), Rule { categories: category.only(), ..doctor() })
            })
            .collect();
        let one_more = reading(vec![stated(Effect::Deny, doctor())]);
        let refused = super::plan(wallet(&full), &one_more, at(5)).err().unwrap().to_string();
        assert!(refused.starts_with("expected a free deny slot"), "{refused}");
    }
}
