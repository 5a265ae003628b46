//! What a rule means, in words, and what a record would answer: shown before anybody signs.

use model::calendar::Utc;
use model::{
    Action, Categories, Category, Claim, ClaimKind, ClaimKinds, Digest, Interval, Label, Labels,
    Millis, Operation, Party, PatientIndex, Position, Purpose, Purposes, Record, Rule, RuleSlot,
    Uncovered, Word,
};
use statement::c2;

use crate::party::Names;

/// What somebody might want to do, to be asked of a record: "would Dr X see my SpO2 now?"
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Who: an individual, organisation or group.
    pub actor: Party,
    /// Of which device; any asks for the data of all.
    pub source: Party,
    /// What.
    pub category: Category,
    /// Why.
    pub purpose: Purpose,
    /// Read, collect, or break the glass.
    pub kind: ClaimKind,
    /// When it happens.
    pub at: Millis,
    /// When the data was measured.
    pub measured: Interval,
}

/// A word that no rule can name, since nothing known hashes to it.
const NOBODY: Word = Word::from_u64(1);

impl Question {
    /// The answer of a record, by the evaluator that the node runs and the circuit proves.
    ///
    /// # Errors
    /// The [`Uncovered`], which says what is missing.
    pub fn ask(&self, record: Option<&Record>) -> Result<RuleSlot, Uncovered> {
        c2::covers(record, &self.claim())
    }

    /// The actor stands in the individual's place: rules match it there, wherever it belongs.
    fn claim(&self) -> Claim {
        let individual = match self.actor {
            Party::Any => NOBODY,
            Party::Named(word) => word,
        };
        Claim {
            patient: PatientIndex::new(0).expect("0 is below 2^24"),
            kind: self.kind,
            individual,
            organisation: NOBODY,
            care_team: Word::ZERO,
            source: self.source,
            categories: self.category.only(),
            purpose: self.purpose,
            labels: Label::Normal.only(),
            receipt: Interval::instant(self.at),
            measured: self.measured,
            position: Position(1),
            digest: Digest([1; 31]),
        }
    }
}

/// A slot as people write it: `permit:0`, `deny:3`, `policy:1`.
pub fn slot_name(slot: RuleSlot) -> String {
    match slot {
        RuleSlot::Permit(n) => format!("permit:{n}"),
        RuleSlot::Deny(n) => format!("deny:{n}"),
        RuleSlot::Policy(n) => format!("policy:{n}"),
    }
}

/// Reads [`slot_name`].
pub fn slot_from_name(text: &str) -> Option<RuleSlot> {
    let (group, number) = text.split_once(':')?;
    let number = number.parse().ok()?;
    let slot = match group {
        "permit" => RuleSlot::Permit(number),
        "deny" => RuleSlot::Deny(number),
        "policy" => RuleSlot::Policy(number),
        _ => return None,
    };
    // A number beyond its group would spill into the next one, or beyond the last.
    let first = [RuleSlot::Permit(0), RuleSlot::Deny(0), RuleSlot::Policy(0)];
    let number =
        first.iter().find(|first| same_group(**first, slot))?.number().checked_add(number)?;
    (RuleSlot::from_number(number) == Ok(slot)).then_some(slot)
}

fn same_group(a: RuleSlot, b: RuleSlot) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// What a rule in a slot says, in one sentence without a full stop.
pub fn rule_sentence(slot: RuleSlot, rule: &Rule, names: &Names) -> String {
    let (who, verbs) = (names.of(&rule.actor), kinds(rule.kinds));
    let head = match slot {
        RuleSlot::Permit(_) => format!("permits {who} to {verbs}"),
        RuleSlot::Deny(_) => format!("forbids {who} to {verbs}"),
        RuleSlot::Policy(_) => format!("lets {who} break the glass to {verbs}"),
    };
    let source = match rule.source {
        Party::Any => String::new(),
        source => format!(" of {}", names.of(&source)),
    };
    let (what, why) = (categories(rule.categories), purposes(rule.purposes));
    let labels = match rule.labels == Labels::ALL {
        true => String::new(),
        false => format!(
            ", labelled {}",
            list(Label::ALL, rule.labels, Labels::contains, Label::only, Label::name)
        ),
    };
    let (when, data) = (window(&rule.access), measured(&rule.data));
    format!("{head} {what}{source} for {why}{labels}, {when}{data}")
}

/// What an operation would do, in one sentence without a full stop.
pub fn operation_sentence(operation: &Operation, names: &Names) -> String {
    match &operation.action {
        Action::Enrol { .. } => format!(
            "makes record {}, which permits nothing until its key signs a rule",
            operation.patient.get()
        ),
        Action::Write { slot, rule } => {
            format!("writes {}: {}", slot_name(*slot), rule_sentence(*slot, rule, names))
        }
        Action::Revoke { slot, rule } => format!(
            "ends {} as soon as the node has it: it no longer {}",
            slot_name(*slot),
            rule_sentence(*slot, rule, names)
        ),
        Action::Stop => "closes the whole record: from then on nobody may read or collect \
                         anything, and no rule can be written"
            .to_owned(),
    }
}

/// The answer to a question, in one sentence without a full stop.
pub fn answer_sentence(
    question: &Question,
    answer: Result<RuleSlot, Uncovered>,
    names: &Names,
) -> String {
    let who = names.of(&question.actor);
    let (what, why) = (question.category.name(), question.purpose.name());
    let verb = kinds(question.kind.only());
    match answer {
        Ok(slot) => format!("yes, {who} could {verb} {what} for {why}, under {}", slot_name(slot)),
        Err(refusal) => {
            format!("no, {who} could not {verb} {what} for {why}: {}", refusal.sentence())
        }
    }
}

fn kinds(kinds: ClaimKinds) -> String {
    let verb = |kind: &&ClaimKind| match kind {
        ClaimKind::Access => "read",
        ClaimKind::Collect => "collect",
        ClaimKind::BreakGlass => "read in an emergency",
    };
    let verbs = ClaimKind::ALL.iter().filter(|kind| kinds.contains(kind.only()));
    verbs.map(|kind| verb(&kind)).collect::<Vec<_>>().join(" and ")
}

fn categories(categories: Categories) -> String {
    match categories {
        Categories::ALL => "every category".to_owned(),
        some => list(Category::ALL, some, Categories::contains, Category::only, Category::name),
    }
}

fn purposes(purposes: Purposes) -> String {
    match purposes {
        Purposes::ALL => "every purpose".to_owned(),
        some => list(Purpose::ALL, some, Purposes::contains, Purpose::only, Purpose::name),
    }
}

fn list<T: Copy, S: Copy>(
    all: &[T],
    set: S,
    contains: fn(S, S) -> bool,
    only: fn(T) -> S,
    name: fn(T) -> &'static str,
) -> String {
    let members = all.iter().filter(|one| contains(set, only(**one)));
    let names: Vec<_> = members.map(|one| name(*one)).collect();
    if names.is_empty() { "nothing that has a name".to_owned() } else { names.join(", ") }
}

fn window(access: &Interval) -> String {
    if access.until <= access.from {
        return "never (it ended before it began)".to_owned();
    }
    let until = match access.until {
        Millis::UNBOUNDED_FUTURE => "for ever".to_owned(),
        until => format!("until {}", Utc(until)),
    };
    format!("from {} {until}", Utc(access.from))
}

fn measured(data: &Interval) -> String {
    match (data.from, data.until) {
        (Millis::UNBOUNDED_PAST, Millis::UNBOUNDED_FUTURE) => String::new(),
        (from, Millis::UNBOUNDED_FUTURE) => format!(", measured from {} on", Utc(from)),
        (Millis::UNBOUNDED_PAST, until) => format!(", measured before {}", Utc(until)),
        (from, until) => format!(", measured from {} until {}", Utc(from), Utc(until)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::party::actor;

    fn at(unix_s: u64) -> Millis {
        Millis::from_block_timestamp(unix_s)
    }

    fn rule(who: &str) -> Rule {
        Rule {
            actor: actor(who).unwrap(),
            source: Party::Any,
            categories: Category::Ecg.only().with(Category::Spo2.only()),
            purposes: Purpose::Treatment.only(),
            kinds: ClaimKind::Access.only(),
            labels: Labels::ALL,
            access: Interval { from: at(0), until: at(86_400) },
            data: Interval::ALWAYS,
        }
    }

    fn names() -> Names {
        let mut names = Names::default();
        names.learn("practitioner:dr-001", &actor("practitioner:dr-001").unwrap());
        names
    }

    fn question(who: &str, category: Category) -> Question {
        Question {
            actor: actor(who).unwrap(),
            source: Party::Any,
            category,
            purpose: Purpose::Treatment,
            kind: ClaimKind::Access,
            at: at(60),
            measured: Interval::instant(at(30)),
        }
    }

    #[test]
    fn a_rule_reads_as_a_sentence() {
        let sentence = rule_sentence(RuleSlot::Permit(0), &rule("practitioner:dr-001"), &names());
        assert_eq!(
            sentence,
            "permits practitioner dr-001 to read ecg, spo2 for treatment, from \
             1970-01-01T00:00:00.000Z until 1970-01-02T00:00:00.000Z"
        );
        let narrow = Rule {
            source: actor("practitioner:dr-001").unwrap(),
            categories: Categories::ALL,
            purposes: Purposes::ALL,
            labels: Label::Normal.only(),
            access: Interval::ALWAYS,
            data: Interval { from: at(0), until: Millis::UNBOUNDED_FUTURE },
            ..rule("any")
        };
        assert_eq!(
            rule_sentence(RuleSlot::Deny(0), &narrow, &names()),
            "forbids anybody to read every category of practitioner dr-001 for every purpose, \
             labelled normal, from the beginning for ever, measured from \
             1970-01-01T00:00:00.000Z on"
        );
    }

    #[test]
    fn would_dr_x_see_my_spo2_now() {
        let one = Word::from_u64(1);
        let mut record = Record::enrolled(one, one, one);
        let ask = |record: &Record, who: &str, category| {
            let question = question(who, category);
            answer_sentence(&question, question.ask(Some(record)), &names())
        };
        let before = ask(&record, "practitioner:dr-001", Category::Spo2);
        assert_eq!(
            before,
            "no, practitioner dr-001 could not read spo2 for treatment: no rule names this actor"
        );
        record.rules[0] = Some(rule("practitioner:dr-001"));
        let after = ask(&record, "practitioner:dr-001", Category::Spo2);
        assert_eq!(after, "yes, practitioner dr-001 could read spo2 for treatment, under permit:0");
        assert!(ask(&record, "practitioner:dr-001", Category::Glucose).starts_with("no"));
        record.rules[8] = Some(Rule { kinds: ClaimKinds::ALL, ..rule("any") });
        assert!(ask(&record, "practitioner:dr-001", Category::Spo2).ends_with("a deny applies"));
    }

    #[test]
    fn slots_have_names_and_none_spills_into_the_next_group() {
        for number in 0..RuleSlot::COUNT as u8 {
            let slot = RuleSlot::from_number(number).unwrap();
            assert_eq!(slot_from_name(&slot_name(slot)), Some(slot));
        }
        for bad in ["permit:8", "deny:4", "policy:2", "permit", "permit:-1", "rule:0", "deny:255"] {
            assert_eq!(slot_from_name(bad), None, "{bad}");
        }
    }
}
