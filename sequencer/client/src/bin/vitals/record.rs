//! What the wallet's copy of a record says: for `vitals consent show`, and for the patient's page.

use client::preview::rule_sentence;
use client::{Wallet, rule_slot};
use model::calendar::Utc;
use model::{
    Categories, Category, ClaimKind, Interval, Label, Labels, Millis, Party, Purpose, Purposes,
    Record, Rule, RuleSlot, Word,
};
use serde_json::{Value, json};

use crate::report::Report;

/// Every rule in a sentence, and in parts for programs.
pub(crate) fn describe(wallet: &Wallet, now: Millis) -> anyhow::Result<Report> {
    let record = wallet.record()?;
    let rules = rule_slot::all().filter_map(|slot| Some((slot, record.rule(slot)?)));
    let state = state_text(record.closed_at);
    let mut text = format!("record {}, {state}, nonce {}", wallet.patient.get(), record.nonce);
    let mut list = Vec::new();
    for (slot, rule) in rules {
        let name = rule_slot::name(slot);
        let says = rule_sentence(slot, rule, &wallet.names);
        let ended = rule.access.until <= now;
        text += &format!("\n  {name:<9} {says}{}", if ended { " (ended)" } else { "" });
        let mut object = parts(slot, rule, wallet);
        object["slot"] = name.into();
        object["says"] = says.into();
        object["ended"] = ended.into();
        object["state"] = state_of(record, rule, now).into();
        list.push(object);
    }
    let json = json!({
        "schema": "vitals-record-report-1",
        "patient": wallet.patient.get(), "state": state, "nonce": record.nonce, "rules": list,
    });
    Ok(Report::success(text, json))
}

fn state_text(closed_at: Millis) -> String {
    match closed_at {
        Millis::UNBOUNDED_FUTURE => "open".to_owned(),
        at => format!("closed at {}", Utc(at)),
    }
}

/// Whether a rule counts now: after a stop none does.
fn state_of(record: &Record, rule: &Rule, now: Millis) -> &'static str {
    let Interval { from, until } = rule.access;
    match () {
        () if !record.is_open() => "closed",
        () if until <= now => "ended",
        () if from > now => "later",
        () => "live",
    }
}

/// The parts of a rule by their names; null where it leaves one open.
fn parts(slot: RuleSlot, rule: &Rule, wallet: &Wallet) -> Value {
    let kind = match slot {
        RuleSlot::Permit(_) => "permit",
        RuleSlot::Deny(_) => "deny",
        RuleSlot::Policy(_) => "policy",
    };
    let names = &wallet.names;
    let kinds = ClaimKind::ALL.iter().filter(|one| rule.kinds.contains(one.only()));
    let kinds: Vec<_> = kinds.map(|one| one.name()).collect();
    let categories = Category::ALL.iter().filter(|one| rule.categories.contains(one.only()));
    let categories: Vec<_> = categories.map(|one| one.name()).collect();
    let purposes = Purpose::ALL.iter().filter(|one| rule.purposes.contains(one.only()));
    let purposes: Vec<_> = purposes.map(|one| one.name()).collect();
    let labels = Label::ALL.iter().filter(|one| rule.labels.contains(one.only()));
    let labels: Vec<_> = labels.map(|one| one.name()).collect();
    json!({
        "kind": kind,
        "who": (rule.actor != Party::Any).then(|| names.of(&rule.actor)),
        "source": (rule.source != Party::Any).then(|| names.of(&rule.source)),
        "kinds": kinds,
        "categories": (rule.categories != Categories::ALL).then_some(categories),
        "purposes": (rule.purposes != Purposes::ALL).then_some(purposes),
        "labels": (rule.labels != Labels::ALL).then_some(labels),
        "from_ms": unix_ms(rule.access.from), "until_ms": unix_ms(rule.access.until),
        "data_from_ms": unix_ms(rule.data.from), "data_until_ms": unix_ms(rule.data.until),
        "words": rule.words().map(Word::to_hex),
    })
}

/// Milliseconds since 1970; none of a period without that end.
fn unix_ms(at: Millis) -> Option<u64> {
    let is_open = matches!(at, Millis::UNBOUNDED_PAST | Millis::UNBOUNDED_FUTURE);
    (!is_open).then(|| at.unix_ms())
}

#[cfg(test)]
mod tests {
    use client::{Key, KeyKind, party};
    use model::{ChainScope, PatientIndex};

    use super::*;

    fn at(seconds: u64) -> Millis {
        Millis::from_block_timestamp(1_777_624_200 + seconds)
    }

    fn wallet() -> Wallet {
        let key = Key::from_secret(KeyKind::Patient, [7; 32]);
        let scope = ChainScope { chain_id: 5, contract: [1; 20] };
        let mut wallet = Wallet::new(scope, PatientIndex::new(3).unwrap());
        let mut record = Record::enrolled(key.key_hash(), key.view_key(), key.record_salt());
        let doctor = party::actor("practitioner:dr-001").unwrap();
        wallet.names.learn("practitioner:dr-001", &doctor);
        let rule = Rule::widest(doctor, ClaimKind::Access.only());
        let narrow = Rule {
            categories: Category::Spo2.only(),
            purposes: Purpose::Treatment.only(),
            labels: Label::Normal.only(),
            access: Interval::new(at(0), at(100)).unwrap(),
            ..rule
        };
        record.rules[0] = Some(narrow);
        record.rules[1] = Some(Rule { access: Interval::new(at(50), at(60)).unwrap(), ..rule });
        record.rules[8] = Some(Rule { actor: Party::Any, ..rule });
        wallet.record = Some(record);
        wallet
    }

    fn states(wallet: &Wallet, now: Millis) -> Vec<String> {
        let report = describe(wallet, now).unwrap();
        let rules = report.json["rules"].as_array().unwrap();
        rules.iter().map(|rule| rule["state"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_rule_says_whether_it_counts_now_and_none_does_after_a_stop() {
        let mut wallet = wallet();
        assert_eq!(states(&wallet, at(10)), ["live", "later", "live"]);
        assert_eq!(states(&wallet, at(60)), ["live", "ended", "live"]);
        assert_eq!(states(&wallet, at(100)), ["ended", "ended", "live"]);
        wallet.record.as_mut().unwrap().closed_at = at(5);
        assert_eq!(states(&wallet, at(10)), ["closed"; 3]);
    }

    #[test]
    fn a_program_reads_every_part_and_null_where_a_rule_leaves_it_open() {
        let report = describe(&wallet(), at(10)).unwrap();
        let (permit, deny) = (&report.json["rules"][0], &report.json["rules"][2]);
        assert_eq!(permit["who"], "practitioner dr-001");
        assert_eq!(permit["categories"], json!(["spo2"]));
        assert_eq!(permit["until_ms"], 1_777_624_300_000_u64);
        assert_eq!((&deny["kind"], &deny["who"]), (&json!("deny"), &Value::Null));
        for open in ["source", "categories", "purposes", "labels", "from_ms", "until_ms"] {
            assert_eq!(deny[open], Value::Null, "{open}");
        }
        assert!(report.text.contains("permit:0  permits practitioner dr-001 to read spo2"));
    }
}
