//! What the page asks to be signed, in the words of the command line: one reader for both, so that
//! a rule that is typed here and there is the same rule.

use std::collections::BTreeMap;

use clap::Parser;
use model::RuleSlot;
use serde::Deserialize;

use crate::report::Usage;
use crate::rule::{QuestionArgs, RuleArgs};
use crate::signing::{DENY, PERMIT, POLICY, RuleKind, parse_slot};

/// Options of a rule that the page may give.
const FIELDS: [&str; 16] = [
    "actor",
    "categories",
    "purposes",
    "kinds",
    "labels",
    "source",
    "from",
    "until",
    "for",
    "data-from",
    "data-until",
    "zone",
    "preview-actor",
    "preview-category",
    "preview-purpose",
    "preview-kind",
];

/// What is wanted.
pub(crate) enum Wanted {
    Write(Box<Rule>),
    Revoke(RuleSlot),
    Stop,
}

/// A rule to write, and a question about it.
pub(crate) struct Rule {
    pub(crate) kind: RuleKind,
    pub(crate) rule: RuleArgs,
    pub(crate) question: QuestionArgs,
}

/// As the page sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "action")]
enum Sent {
    Permit { rule: BTreeMap<String, String> },
    Deny { rule: BTreeMap<String, String> },
    Policy { rule: BTreeMap<String, String> },
    Revoke { slot: String },
    Stop {},
}

/// The options of a rule, as if they stood on a line.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    rule: RuleArgs,
    #[command(flatten)]
    question: QuestionArgs,
}

impl Wanted {
    /// Reads what a page sends.
    pub(crate) fn parse(body: &[u8]) -> Result<Wanted, Usage> {
        let sent = serde_json::from_slice(body)
            .map_err(|_| Usage("expected an action that this wallet knows".to_owned()))?;
        Ok(match sent {
            Sent::Permit { rule } => Wanted::Write(Rule::parse(PERMIT, &rule)?),
            Sent::Deny { rule } => Wanted::Write(Rule::parse(DENY, &rule)?),
            Sent::Policy { rule } => Wanted::Write(Rule::parse(POLICY, &rule)?),
            Sent::Revoke { slot } => {
                Wanted::Revoke(parse_slot(&slot).map_err(|why| Usage(why.to_owned()))?)
            }
            Sent::Stop {} => Wanted::Stop,
        })
    }
}

impl Rule {
    fn parse(kind: RuleKind, fields: &BTreeMap<String, String>) -> Result<Box<Rule>, Usage> {
        if let Some(other) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(Usage(format!(
                "expected options of a rule, found {}",
                model::escape(other)
            )));
        }
        // Name and value in one word: what a value begins with makes it no option.
        let line = fields.iter().map(|(name, value)| format!("--{name}={value}"));
        let Line { rule, question } = Line::try_parse_from(line).map_err(|error| {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default().trim();
            Usage(first.strip_prefix("error: ").unwrap_or(first).replace('\n', " "))
        })?;
        Ok(Box::new(Rule { kind, rule, question }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        Wanted::parse(body.as_bytes()).err().expect("refused").to_string()
    }

    const RULE: &str = r#""actor":"practitioner:dr-001","categories":"ecg","purposes":"treatment""#;

    #[test]
    fn a_rule_is_read_as_the_command_line_reads_it() {
        let body = format!(
            r#"{{"action":"permit","rule":{{{RULE},"for":"24h","zone":"Europe/Berlin"}}}}"#
        );
        let Ok(Wanted::Write(rule)) = Wanted::parse(body.as_bytes()) else { panic!("a rule") };
        assert_eq!(rule.rule.zone.to_string(), "Europe/Berlin");
        assert!(!rule.rule.allow_unknown && rule.rule.slot.is_none());
        let slot = Wanted::parse(br#"{"action":"revoke","slot":"permit:0"}"#);
        assert!(matches!(slot, Ok(Wanted::Revoke(RuleSlot::Permit(0)))));
        assert!(matches!(Wanted::parse(br#"{"action":"stop"}"#), Ok(Wanted::Stop)));
    }

    #[test]
    fn what_is_no_rule_is_told_by_the_words_of_the_command_line() {
        let rule = |more: &str| refused(&format!(r#"{{"action":"deny","rule":{{{RULE}{more}}}}}"#));
        assert!(rule(r#","until":"soon""#).contains("--until"));
        assert!(rule(r#","for":"1d","until":"2027-01-01""#).contains("cannot be used with"));
        assert!(refused(r#"{"action":"deny","rule":{}}"#).contains("--actor"));
        for hidden in ["slot", "allow-unknown", "help", "patient-key", "actor=x --slot"] {
            assert!(rule(&format!(r#","{hidden}":"1""#)).contains("expected options of a rule"));
        }
        for body in ["", "[]", r#"{"action":"enrol"}"#, r#"{"action":"stop","slot":"permit:0"}"#] {
            assert!(refused(body).contains("expected an action"), "{body}");
        }
        assert!(refused(r#"{"action":"revoke","slot":"permit:9"}"#).contains("permit:0 to 7"));
        // A value is a value, whatever it begins with.
        let dashed = RULE.replace("ecg", "--slot=1");
        let body = format!(r#"{{"action":"deny","rule":{{{dashed}}}}}"#);
        let Ok(Wanted::Write(rule)) = Wanted::parse(body.as_bytes()) else { panic!("a rule") };
        assert_eq!(rule.rule.slot, None);
    }
}
