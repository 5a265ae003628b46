//! `vitals consent lint`: what of a document can be enforced, and what not.

use client::party::{self, Names};
use client::preview::rule_sentence;
use client::rule_slot::OfKind;
use model::RuleSlot;
use pcf::{Effect, Stated};
use serde_json::{Value, json};

use super::document::{Consent, DocumentArgs, findings_in_words, findings_object};
use crate::report::{Outcome, Report};

/// Reads a document and says what it says, which rules it becomes, and what was found.
pub(crate) fn lint(document: &DocumentArgs) -> Outcome {
    let Consent { reading, lines } = document.read()?;
    let refused = reading.clone().compiled().is_err();
    let mut text = format!("the document says\n  {}", lines.join("\n  "));
    let rules: Vec<Value> = reading.rules.iter().map(object).collect();
    if refused {
        text += "\nit becomes no rules";
    } else if rules.is_empty() {
        text += "\nit becomes no rules: nobody is permitted anything";
    } else {
        text += "\nas rules";
        text += &reading.rules.iter().map(|one| format!("\n  {}", says(one))).collect::<String>();
    }
    if !reading.findings.is_empty() {
        text += "\nfound";
        text += &findings_in_words(&reading.findings);
    }
    let json = json!({
        "schema": "vitals-consent-lint-1", "enforceable": !refused, "document": lines,
        "rules": rules, "findings": findings_object(&reading.findings),
    });
    let report = if refused { Report::failure } else { Report::success };
    Ok(report(text, json))
}

fn object(one: &Stated) -> Value {
    json!({"says": says(one), "element": one.element})
}

/// A rule in words, before anybody says in which slot it goes.
fn says(one: &Stated) -> String {
    let kind: OfKind = match one.effect {
        Effect::Permit => RuleSlot::Permit,
        Effect::Deny => RuleSlot::Deny,
        Effect::Policy => RuleSlot::Policy,
    };
    let mut names = Names::default();
    for party in [&one.actor, &one.source].into_iter().flatten() {
        let text = party.to_string();
        // Names of the crate `pcf` are names of the command line.
        if let Ok(party) = party::actor(&text) {
            names.learn(&text, &party);
        }
    }
    rule_sentence(kind(0), &one.rule, &names)
}
