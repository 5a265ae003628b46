//! What a rule means, in words, and what a record would answer: shown before anybody signs.

use model::calendar::Utc;
use model::{
    Action, Categories, Category, Claim, ClaimKind, ClaimKinds, Digest, Interval, Label, Labels,
    Millis, Operation, Party, PatientIndex, Position, Purpose, Purposes, Record, Rule, RuleSlot,
    Uncovered, Word,
};
use statement::c2;

use crate::party::Names;
use crate::rule_slot;

/// What somebody might want to do, to be asked of a record: "would Dr X see my SpO2 now?"
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Who: an individual, organisation, care team or device.
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
            // "Would anybody ...": only a rule that names anybody covers somebody unknown.
            Party::Any => NOBODY,
            Party::Named(word) => word,
        };
        Claim {
            // Whose record is asked is not part of what rules cover.
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

/// What a rule in a slot says, in one sentence without a full stop.
pub fn rule_sentence(slot: RuleSlot, rule: &Rule, names: &Names) -> String {
    let (who, verbs) = (names.of(&rule.actor), verbs(rule.kinds));
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
    let labels = labels(rule.labels);
    let (access, data) = (access_period(&rule.access), data_period(&rule.data));
    format!("{head} {what}{source} for {why}{labels}, {access}{data}")
}

/// What an operation would do, in one sentence without a full stop.
pub fn operation_sentence(operation: &Operation, names: &Names) -> String {
    match &operation.action {
        // Neither keys nor salt: a person cannot compare them, and the salt is secret.
        Action::Enrol { .. } => format!(
            "makes record {}, which permits nothing until its key signs a rule",
            operation.patient.get()
        ),
        Action::Write { slot, rule } => {
            format!("writes {}: {}", rule_slot::name(*slot), rule_sentence(*slot, rule, names))
        }
        Action::Revoke { slot, rule } => format!(
            "ends {} as soon as the node has it: it no longer {}",
            rule_slot::name(*slot),
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
    let verb = verbs(question.kind.only());
    match answer {
        Ok(slot) => {
            format!("yes, {who} could {verb} {what} for {why}, under {}", rule_slot::name(slot))
        }
        Err(uncovered) => {
            format!("no, {who} could not {verb} {what} for {why}: {}", uncovered.sentence())
        }
    }
}

fn verbs(kinds: ClaimKinds) -> String {
    let verb = |kind: &&ClaimKind| match kind {
        ClaimKind::Access => "read",
        ClaimKind::Collect => "collect",
        ClaimKind::BreakGlass => "read in an emergency",
    };
    let verbs = ClaimKind::ALL.iter().filter(|kind| kinds.contains(kind.only()));
    verbs.map(|kind| verb(&kind)).collect::<Vec<_>>().join(" and ")
}

fn categories(categories: Categories) -> String {
    if categories == Categories::ALL {
        return "every category".to_owned();
    }
    // In the order of the table, so that one rule always reads the same.
    let members = Category::ALL.iter().filter(|one| categories.contains(one.only()));
    list(members.map(|one| one.name()))
}

fn purposes(purposes: Purposes) -> String {
    if purposes == Purposes::ALL {
        return "every purpose".to_owned();
    }
    let members = Purpose::ALL.iter().filter(|one| purposes.contains(one.only()));
    list(members.map(|one| one.name()))
}

fn labels(labels: Labels) -> String {
    // Most rules are about data of every label: then the sentence is shorter without them.
    if labels == Labels::ALL {
        return String::new();
    }
    let members = Label::ALL.iter().filter(|one| labels.contains(one.only()));
    format!(", labelled {}", list(members.map(|one| one.name())))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    // A mask may hold only bits without a name yet; to leave the place empty would read as "all".
    if names.is_empty() { "nothing that has a name".to_owned() } else { names.join(", ") }
}

fn access_period(access: &Interval) -> String {
    // A rule that was revoked before it began keeps its begin, so its end lies before it.
    if access.until <= access.from {
        return "never (it ended before it began)".to_owned();
    }
    let until = match access.until {
        Millis::UNBOUNDED_FUTURE => "for ever".to_owned(),
        until => end(until),
    };
    format!("from {} {until}", Utc(access.from))
}

/// The end of a period. Most people would take the first instant after a day for a part of it.
fn end(until: Millis) -> String {
    let day = Utc(until.before()).to_string();
    match day.strip_suffix("T23:59:59.999Z") {
        Some(day) => format!("up to and including {day} (UTC)"),
        None => format!("until {}", Utc(until)),
    }
}

fn data_period(data: &Interval) -> String {
    match (data.from, data.until) {
        (Millis::UNBOUNDED_PAST, Millis::UNBOUNDED_FUTURE) => String::new(),
        (from, Millis::UNBOUNDED_FUTURE) => format!(", measured from {} on", Utc(from)),
        (Millis::UNBOUNDED_PAST, until) => format!(", measured {}", end(until)),
        (from, until) => format!(", measured from {} {}", Utc(from), end(until)),
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
             1970-01-01T00:00:00.000Z up to and including 1970-01-01 (UTC)"
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
}
