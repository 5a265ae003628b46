//! A change of a record on its way: drafted, shown in words, signed, and taken over into the
//! wallet's copy once its receipt is there. Who asks whether it is meant, and over which way it
//! goes, is decided elsewhere: the same for a command line and for the patient's page.

use std::io::{BufRead as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use client::hand_in::Pending;
use client::preview::operation_sentence;
use client::{Applied, Key, Wallet, WalletError, rule_slot};
use model::calendar::{Instant, Utc};
use model::{
    Action, ClaimKind, ClaimKinds, ExitCode, Interval, Label, Labels, Millis, Operation, Record,
    RuleSlot, with_causes,
};
use recordings::Zone;
use serde_json::{Value, json};
use statement::operation::SignedOperation;
use statement::scope;

use crate::handed_in::{Way, forget};
use crate::known::{CheckedNames, Named};
use crate::node::now;
use crate::report::{Report, Usage};
use crate::rule::{Defaults, QuestionArgs, RuleArgs};

/// One kind of rule, and what it covers unless it is told otherwise.
#[derive(Clone, Copy)]
pub(crate) struct RuleKind {
    slot: rule_slot::OfKind,
    defaults: Defaults,
}

// What a rule covers that says little: a permit then permits little, and a deny denies all.
pub(crate) const PERMIT: RuleKind = RuleKind {
    slot: RuleSlot::Permit,
    defaults: Defaults { kinds: ClaimKind::Access.only(), labels: Label::Normal.only() },
};
pub(crate) const DENY: RuleKind = RuleKind {
    slot: RuleSlot::Deny,
    defaults: Defaults { kinds: ClaimKinds::ALL, labels: Labels::ALL },
};
pub(crate) const POLICY: RuleKind = RuleKind {
    slot: RuleSlot::Policy,
    defaults: Defaults { kinds: ClaimKind::BreakGlass.only(), labels: Label::Normal.only() },
};

/// The slots there are, for whoever names another.
const SLOTS: &str = "expected permit:0 to 7, deny:0 to 3, or policy:0 to 1";

/// Reads the name of a slot.
pub(crate) fn parse_slot(text: &str) -> Result<RuleSlot, &'static str> {
    rule_slot::from_name(text).ok_or(SLOTS)
}

/// Shows a preview and asks.
pub(crate) fn ask(question: &str) -> anyhow::Result<bool> {
    // Standard output is for the report alone: it may be a pipe.
    let mut out = std::io::stderr();
    write!(out, "{question}").context("asking")?;
    out.flush().context("asking")?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("asking")?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// How a rule was written down.
pub(crate) struct Written {
    /// In which its dates hold.
    pub(crate) zone: Zone,
    /// Whom it names.
    pub(crate) named: Vec<Named>,
    /// Whether it is signed also where the registry does not know them, and nobody is asked.
    pub(crate) allow_unknown: bool,
}

impl Written {
    /// Of what has neither dates nor names.
    pub(crate) fn nothing() -> Written {
        Written { zone: Zone::UTC, named: Vec::new(), allow_unknown: false }
    }
}

/// What is shown before anything is signed.
pub(crate) struct Preview {
    pub(crate) text: String,
    pub(crate) json: Value,
    pub(crate) names: CheckedNames,
}

/// An operation that nobody has signed.
pub(crate) struct Draft {
    /// The wallet's copy, with the names that a new rule uses.
    pub(crate) wallet: Wallet,
    pub(crate) operation: Operation,
    pub(crate) written: Written,
}

impl Draft {
    /// A rule in the slot that it names, or in a free one.
    pub(crate) fn write(
        mut wallet: Wallet,
        kind: RuleKind,
        rule: &RuleArgs,
        valid_for_ms: u64,
    ) -> anyhow::Result<Draft> {
        let slot = match rule.slot {
            None => wallet.free_slot(kind.slot, now())?,
            Some(number) => {
                rule_slot::find(kind.slot, number).ok_or_else(|| Usage(SLOTS.to_owned()))?
            }
        };
        let named = rule.named(&wallet.names)?;
        let action = Action::Write { slot, rule: rule.to_rule(kind.defaults, &mut wallet.names)? };
        let RuleArgs { zone, allow_unknown, .. } = rule;
        let written = Written { zone: zone.clone(), named, allow_unknown: *allow_unknown };
        let operation = wallet.change(action, now(), valid_for_ms)?;
        Ok(Draft { wallet, operation, written })
    }

    /// The end of the rule in a slot.
    pub(crate) fn revoke(
        wallet: Wallet,
        slot: RuleSlot,
        valid_for_ms: u64,
    ) -> anyhow::Result<Draft> {
        let action = wallet.revocation(slot)?;
        let operation = wallet.change(action, now(), valid_for_ms)?;
        Ok(Draft { wallet, operation, written: Written::nothing() })
    }

    /// The end of the whole record.
    pub(crate) fn stop(wallet: Wallet, valid_for_ms: u64) -> anyhow::Result<Draft> {
        let operation = wallet.change(Action::Stop, now(), valid_for_ms)?;
        Ok(Draft { wallet, operation, written: Written::nothing() })
    }

    /// The record after it, by the rules that the node holds it against: what it would refuse is
    /// found before it is asked, and before anybody signs.
    pub(crate) fn effect(&self) -> Result<Record, WalletError> {
        self.wallet.effect(&self.operation, now())
    }

    /// What the operation says and does, and the answers before and after it.
    pub(crate) fn preview(
        &self,
        names: CheckedNames,
        after: &Record,
        question: Option<&QuestionArgs>,
    ) -> anyhow::Result<Preview> {
        let says = operation_sentence(&self.operation, &self.wallet.names);
        let until = Utc(self.operation.valid_until);
        let mut text = says.clone();
        if let Action::Write { rule, .. } = &self.operation.action {
            text += &self.period_in_words(&rule.access);
            text += &names.in_words();
        }
        text += &format!("\nthe signature is good until {until}");
        let mut json = json!({
            "schema": "vitals-operation-1", "patient": self.operation.patient.get(),
            "says": says, "nonce": self.operation.nonce, "applied": false,
        });
        names.tell(&mut json);
        let answers = question.map(|question| question.ask(&self.wallet, Some(after), now()));
        if let Some(answers) = answers.transpose()?.flatten() {
            text += &format!("\nnow:       {}\nafter it:  {}", answers.before, answers.after);
            json["before"] = answers.before.into();
            json["after"] = answers.after.into();
        }
        Ok(Preview { text, json, names })
    }

    /// What the sentence does not say of a rule's period: when it really begins, and its ends on
    /// the clocks of the zone in which they were written.
    fn period_in_words(&self, access: &Interval) -> String {
        let mut text = String::new();
        if access.from <= now() {
            text += "\nit begins when the node has it and not before, whatever --from says";
        }
        if self.written.zone != Zone::UTC {
            let show = |at: Millis| match at {
                Millis::UNBOUNDED_FUTURE => "for ever".to_owned(),
                at => Instant::from_micros(at.get() * 1000)
                    .map_or_else(|_| Utc(at).to_string(), |at| self.written.zone.show(at)),
            };
            let (from, until) = (show(access.from), show(access.until));
            text += &format!("\nin {}: from {from}, ends {until}", self.written.zone);
        }
        text
    }

    /// By the key of the patient, or of an enrolment the registrar's.
    pub(crate) fn sign(&self, key: &Key) -> SignedOperation {
        let domain = scope::sig_domain(self.wallet.scope);
        SignedOperation::sign(self.operation.clone(), domain, &key.signer())
    }

    /// Signs it with the key of this file, hands it in over HTTP, and takes it over.
    pub(crate) fn hand_in(
        mut self,
        key: &Key,
        path: &Path,
        way: &Way<'_>,
        preview: Preview,
    ) -> anyhow::Result<Report> {
        let signed = self.sign(key);
        let handed = way.send(path, &signed)?;
        let taken = Taken { signed: &signed, applied: &handed.applied };
        let updated = self.take_over(taken, key, path);
        if updated.is_ok() {
            forget(&Pending::of_key(path))?;
        }
        let mut report = report(&handed.applied, updated, preview);
        if let Some(why) = handed.not_kept {
            report.text += &format!("\nbut the receipt is not kept: {why}");
            report.json["not_kept"] = why.into();
            report.exit = ExitCode::Failed;
        }
        Ok(report)
    }

    /// Takes the operation over into the wallet's copy of the record.
    pub(crate) fn take_over(
        &mut self,
        Taken { signed, applied }: Taken<'_>,
        key: &Key,
        path: &Path,
    ) -> Result<(), WalletError> {
        // Of an enrolment the signer is the registrar; of anything else the word is not read.
        self.wallet.apply(signed, applied.time, key.key_hash())?;
        self.wallet.write(&Wallet::path(path))
    }
}

/// What took effect, and when.
pub(crate) struct Taken<'a> {
    pub(crate) signed: &'a SignedOperation,
    pub(crate) applied: &'a Applied,
}

/// The operation is in force whatever became of the copy, so its receipt is shown either way.
pub(crate) fn report(
    applied: &Applied,
    updated: Result<(), WalletError>,
    Preview { mut json, names, .. }: Preview,
) -> Report {
    let (at, position) = (Utc(applied.time), applied.position.0);
    let group = applied.receipt.receipt.group.group;
    let says = json["says"].as_str().unwrap_or_default().to_owned();
    json["applied"] = true.into();
    json["effective"] = at.to_string().into();
    json["position"] = position.into();
    json["group"] = group.into();
    let receipt = hex::encode(applied.receipt.to_bytes());
    json["receipt"] = receipt.as_str().into();
    let mut text = format!(
        "{says}\neffective {at}, journal position {position}, by a verified receipt of group \
         {group}{}",
        names.in_words()
    );
    let Err(error) = updated else {
        return Report::success(text, json);
    };
    let why = with_causes(&error);
    text += &format!(
        "\nreceipt {receipt}\nbut the wallet's copy of the record lacks it ({why}): rebuild it \
         with vitals log --rebuild once a batch with the operation is settled"
    );
    json["copy_error"] = why.into();
    Report::failure(text, json)
}
