//! From a document to rules, to a document, and to the same rules.

use model::{
    Categories, Category, ClaimKind, ClaimKinds, Interval, Label, Labels, Millis, Purpose,
    Purposes, Record, Rule, RuleSlot, Word,
};
use pcf::{Document, InUtc, Names, Party, Stated, WriteError};
use serde_json::Value;

use crate::documents::{examples, names, reading, record};

/// Before everything that stands in an example, so that no rule is left out because it has ended.
const BEFORE: Millis = Millis::UNBOUNDED_PAST;

fn write(record: &Record, names: &Names) -> Result<Value, WriteError> {
    let document =
        Document { patient: 7, at: BEFORE, signed: "seven operations", party: &|_| None, names };
    pcf::write(record, &document)
}

/// What a record says, by way of a document.
pub(crate) fn again(before: &Record) -> Record {
    let document = write(before, &names()).expect("a document");
    let bytes = document.to_string().into_bytes();
    let read = pcf::read(&bytes, &names(), Some(&InUtc)).expect("a Consent");
    assert_eq!(read.patient, Some(7));
    record(&read.compiled().expect("what was written is read").rules)
}

fn sorted(stated: &[Stated]) -> Vec<String> {
    let mut rules: Vec<_> =
        stated.iter().map(|one| format!("{:?} {:?}", one.effect, one.rule)).collect();
    rules.sort();
    rules
}

#[test]
fn nineteen_examples_come_back_as_the_rules_they_were_and_four_are_refused_by_their_option() {
    let (mut lossless, mut refused) = (Vec::new(), Vec::new());
    for example in examples("ihe-pcf") {
        match reading(&example.bytes).compiled() {
            Ok(read) => {
                let before = record(&read.rules);
                assert_eq!(again(&before), before, "{}", example.name);
                lossless.push(example.name);
            }
            Err(error) => {
                let [finding] = error.findings.as_slice() else { panic!("{error}") };
                refused.push(format!("{}: {}", example.name, finding.reason.code()));
            }
        }
    }
    assert_eq!(lossless.len(), 19, "{lossless:?}");
    assert_eq!(
        refused,
        [
            "ex-consent-intermediate-data: data-by-id",
            "ex-consent-intermediate-encounter: data-relationship",
            "ex-consent-intermediate-not-data: data-by-id",
            "ex-consent-intermediate-not-encounter: data-relationship",
        ]
    );
    let reasons = reading(&crate::documents::example("ex-consent-intermediate-not-data"));
    assert_eq!(reasons.findings[0].element, "provision.provision[0].data[0].meaning");
    assert!(reasons.findings[0].to_string().contains("{Data by id}"));
}

#[test]
fn a_reference_and_a_code_of_the_names_lead_back_to_the_document() {
    let before = crate::documents::example("ex-consent-intermediate-purpose");
    let record = record(&reading(&before).compiled().unwrap().rules);
    let written = write(&record, &names()).unwrap();
    let before: Value = serde_json::from_slice(&before).unwrap();
    assert_eq!(written["provision"], before["provision"]);
    assert_eq!(
        written["meta"],
        before["meta"]
            .as_object()
            .map_or(Value::Null, |meta| { serde_json::json!({"profile": meta["profile"]}) })
    );
    assert_eq!(written["patient"], before["patient"]);
}

/// A small generator with a seed that is printed: the same in every run.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }

    /// A mask that holds something: all, or named members.
    fn mask(&mut self, all: u64, members: u64) -> u64 {
        match self.next(3) {
            0 => all,
            _ => 1 + self.next((1 << members) - 1),
        }
    }

    fn interval(&mut self) -> Interval {
        let time = |ms: u64| Millis::from_unix_ms(1_700_000_000_000 + ms);
        let (a, b) = (self.next(1 << 30), 1 + self.next(1 << 30));
        match self.next(4) {
            0 => Interval::ALWAYS,
            1 => Interval { from: time(a), until: Millis::UNBOUNDED_FUTURE },
            2 => Interval { from: Millis::UNBOUNDED_PAST, until: time(b) },
            _ => Interval { from: time(a), until: time(a + b) },
        }
    }

    fn party(&mut self, of: &[&str]) -> model::Party {
        match self.next(2) {
            0 => model::Party::Any,
            _ => {
                let name = of[self.next(of.len() as u64) as usize];
                model::Party::Named(Party::parse(name).unwrap().word())
            }
        }
    }

    fn rule(&mut self, slot: RuleSlot) -> Rule {
        let kinds = match slot {
            RuleSlot::Policy(_) => ClaimKind::BreakGlass.only(),
            RuleSlot::Permit(_) => ClaimKinds::from_bits(1 + self.next(3)).unwrap(),
            RuleSlot::Deny(_) => ClaimKinds::from_bits(1 + self.next(7)).unwrap(),
        };
        // A deny of a care team would deny nobody: it is written as it stands, and not read again.
        let actors = match slot {
            RuleSlot::Deny(_) => &ACTORS[1..],
            RuleSlot::Permit(_) | RuleSlot::Policy(_) => ACTORS,
        };
        Rule {
            actor: self.party(actors),
            source: self.party(&["device:m-1", "practitioner:dr-001"]),
            categories: Categories::from_bits(self.mask(0xffff_ffff, 11)).unwrap(),
            purposes: Purposes::from_bits(self.mask(0xffff, 7)).unwrap(),
            kinds,
            labels: Labels::from_bits(self.mask(0xff, 6)).unwrap(),
            access: self.interval(),
            data: self.interval(),
        }
    }
}

const ACTORS: &[&str] = &[
    "care-team:emergency",
    "practitioner:dr-001",
    "organisation:research-lab",
    "device:m-1",
    "organisation:ward-3",
];

#[test]
fn every_record_that_can_be_named_comes_back_rule_by_rule() {
    let party = |party: model::Party| {
        let known = ACTORS.iter().map(|name| Party::parse(name).unwrap());
        known.into_iter().find(|known| party == model::Party::Named(known.word()))
    };
    for seed in 0..500 {
        let mut seeded = Seeded(seed);
        let [key, view, salt] = [1, 2, 3].map(Word::from_u64);
        let mut before = Record::enrolled(key, view, salt);
        for number in 0..RuleSlot::COUNT as u8 {
            let slot = RuleSlot::from_number(number).unwrap();
            if seeded.next(3) == 0 {
                before.rules[usize::from(number)] = Some(seeded.rule(slot));
            }
        }
        let names = names();
        let document =
            Document { patient: 7, at: BEFORE, signed: "x", party: &party, names: &names };
        let written = pcf::write(&before, &document).unwrap();
        let read = pcf::read(written.to_string().as_bytes(), &names, Some(&InUtc)).unwrap();
        let read = read.compiled().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // Slots are the wallet's to choose; two equal rules are one.
        let all = (0..RuleSlot::COUNT as u8).filter_map(|n| RuleSlot::from_number(n).ok());
        let mut expected: Vec<_> = all
            .filter_map(|slot| Some((slot, *before.rule(slot)?)))
            .map(|(slot, rule)| {
                let effect = match slot {
                    RuleSlot::Permit(_) => "Permit",
                    RuleSlot::Deny(_) => "Deny",
                    RuleSlot::Policy(_) => "Policy",
                };
                format!("{effect} {rule:?}")
            })
            .collect();
        expected.sort();
        expected.dedup();
        assert_eq!(sorted(&read.rules), expected, "seed {seed}: {written}");
    }
}

#[test]
fn an_export_leaves_out_what_has_ended_and_refuses_what_it_cannot_name() {
    let at = Millis::from_unix_ms(1_700_000_000_000);
    let stranger = model::Party::Named(Word::from_u64(99));
    let mut record = record(&[]);
    let ended = Rule {
        access: Interval { from: Millis::UNBOUNDED_PAST, until: at },
        ..Rule::widest(stranger, ClaimKind::Access.only())
    };
    record.rules[0] = Some(ended);
    let names = names();
    let document = Document { patient: 7, at, signed: "x", party: &|_| None, names: &names };
    let written = pcf::write(&record, &document).unwrap();
    assert_eq!(written["provision"], serde_json::json!({"type": "deny"}));
    record.rules[0] = Some(Rule { access: Interval::ALWAYS, ..ended });
    let slot = "permit:0".to_owned();
    let refused = pcf::write(&record, &document).unwrap_err();
    assert_eq!(refused, WriteError::Unnamed { what: "actor", slot: slot.clone() });
    // A bit that has no name yet is no purpose that a document could say.
    let purposes = Purposes::from_bits(1 << 9).unwrap().with(Purpose::Treatment.only());
    record.rules[0] =
        Some(Rule { actor: model::Party::Any, access: Interval::ALWAYS, purposes, ..ended });
    let refused = pcf::write(&record, &document).unwrap_err();
    assert_eq!(refused, WriteError::Unknown { what: "purposes", slot });
    record.closed_at = at;
    let written = pcf::write(&record, &document).unwrap();
    assert_eq!(written["provision"], serde_json::json!({"type": "deny"}), "a stop ends all");
    let nothing = Names::default();
    let document = Document { names: &nothing, ..document };
    assert_eq!(pcf::write(&record, &document), Err(WriteError::Missing("organization")));
}

#[test]
fn an_export_declares_the_least_option_that_has_its_elements() {
    let profile = |rule: Rule| {
        let mut record = record(&[]);
        record.rules[0] = Some(rule);
        let written = write(&record, &names()).unwrap();
        let profile = written["meta"]["profile"][0].as_str().unwrap().to_owned();
        profile.rsplit_once("consent").unwrap().1.to_owned()
    };
    let widest = Rule::widest(model::Party::Any, ClaimKind::Access.only());
    let treat = Rule { purposes: Purpose::Treatment.only(), ..widest };
    assert_eq!(profile(treat), "Basic");
    assert_eq!(profile(Rule { purposes: Purpose::Research.only(), ..widest }), "Intermediate");
    assert_eq!(profile(Rule { labels: Label::Normal.only(), ..treat }), "Advanced");
    assert_eq!(profile(Rule { categories: Category::Ecg.only(), ..treat }), "Basic");
}
