//! What a patient signed as Consents of IHE PCF.

use model::{Action, Interval, Millis, Operation, Party, Record, Rule, RuleSlot, Word};
use serde_json::Value;

use super::named::Named;
use crate::line::OperationLine;

/// The Consent of one rule, active unless a later operation of the record ended it. What rules say
/// together is not in one Consent: a deny wins over each permit.
///
/// Nothing of a line that opens no operation that writes a rule.
pub(super) fn consent(named: &Named<'_>, line: &OperationLine, is_ended: bool) -> Option<Value> {
    let operation = Operation::from_bytes(&line.proof.operation.0).ok()?;
    let Action::Write { slot, rule } = &operation.action else { return None };
    let at = Millis::new(line.proof.t_op).ok()?;
    // As it is stored: it held no sooner than it was written, whatever was signed (C1.15).
    let from = rule.access.from.max(at);
    let rule = &Rule { access: Interval { from, ..rule.access }, ..*rule };
    let signed = format!("operation {} of the record, which its patient signed", operation.nonce);
    let party = |party| of_party(named, party);
    let names = names(named, rule);
    let document = pcf::Document {
        patient: named.patient.get(),
        at,
        signed: &signed,
        party: &party,
        names: &names,
    };
    let mut made = pcf::write(&alone(*slot, rule), &document).ok()?;
    // With the references of this Bundle beside the identifiers.
    made["patient"] = named.subject();
    made["performer"] = vec![named.subject()].into();
    made["organization"] = vec![named.operator()].into();
    if is_ended {
        made["status"] = "inactive".into();
    }
    Some(made)
}

/// A record with nothing in it but one rule.
fn alone(slot: RuleSlot, rule: &Rule) -> Record {
    let mut record = Record::enrolled(Word::ZERO, Word::ZERO, Word::ZERO);
    if let Some(place) = record.rules.get_mut(usize::from(slot.number())) {
        *place = Some(*rule);
    }
    record
}

/// A party by its registered name; where nobody says one, by its word.
fn of_party(named: &Named<'_>, party: Party) -> Option<pcf::Party> {
    let Party::Named(word) = party else { return None };
    let known = pcf::Party::parse(&named.head.names.of(word));
    Some(known.unwrap_or_else(|| pcf::Party::unnamed(word)))
}

/// Everybody as the other resources call them.
fn names(named: &Named<'_>, rule: &Rule) -> pcf::Names {
    let text = |identifier: &Value| {
        let part = |name: &str| identifier[name].as_str().unwrap_or_default().to_owned();
        format!("{}|{}", part("system"), part("value"))
    };
    let actors = [rule.actor, rule.source].into_iter().filter_map(|party| {
        let known = of_party(named, party)?;
        let name = named.head.names.of(party.word());
        let (kind, _) = name.split_once(':')?;
        let reference = named.reference(kind, party.word());
        Some((text(&reference["identifier"]), known))
    });
    let actors: Vec<_> = actors.collect();
    let patient = text(&accounting::identifier::patient(named.scope, named.patient));
    let deployment = accounting::identifier::deployment(named.scope);
    // The rules of a deployment are its contract's: what a Consent leaves open is refused there.
    let policy = format!("urn:vitals:deployment:{}", deployment["value"].as_str().unwrap_or(""));
    pcf::Names::of_document((named.patient.get(), patient), actors, [named.operator_url(), policy])
}
