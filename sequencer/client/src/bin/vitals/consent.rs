//! `vitals consent`: preview, question, signature, receipt, and the wallet's copy of the record.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use client::hand_in::{Door, Pending};
use client::preview::{operation_sentence, rule_sentence};
use client::{Applied, Deployment, Key, KeyKind, Wallet, WalletError, rule_slot};
use model::calendar::{Instant, Utc, parse_length};
use model::{
    Action, ClaimKind, ClaimKinds, ExitCode, Interval, Label, Labels, Millis, Operation,
    PatientIndex, Record, RuleSlot, Word, with_causes,
};
use recordings::Zone;
use serde_json::{Value, json};
use statement::fingerprint::Fingerprint;
use statement::operation::SignedOperation;
use statement::scope;
use wire::Role;

use crate::handed_in::{hand_in, is_unknown};
use crate::known::{self, Answer, CheckedNames, Named};
use crate::node::{Expected, Node, Standing, now, runtime, tell_deployment};
use crate::report::{Outcome, Report, Usage};
use crate::rule::{Defaults, QuestionArgs, RuleArgs};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a patient's record; the registrar signs
    ///
    /// For the registrar, with the patient's key at hand: it is in the record from then on.
    ///
    ///   vitals consent enrol --registrar-key registrar.key --patient-key anna.key --index 7 \
    ///       --node HOST:PORT --identity DIR
    #[command(verbatim_doc_comment)]
    Enrol {
        /// Key of the registrar
        #[arg(long, value_name = "FILE")]
        registrar_key: PathBuf,
        /// Key of the patient; the wallet's copy of the record is made beside it
        #[arg(long, value_name = "FILE")]
        patient_key: PathBuf,
        /// The patient's pseudonym: index of the record, below 16777216
        #[arg(long, value_name = "N", value_parser = parse_patient)]
        index: PatientIndex,
        #[command(flatten)]
        send: SendArgs,
    },
    /// Permit somebody to read or collect
    ///
    /// For a patient's wallet. Without --for or --until it holds until it is revoked. The node is
    /// asked first whether its registry knows whom the rule names, and the preview says so; for a
    /// name that it does not know --yes is not enough (--allow-unknown).
    ///
    ///   vitals consent permit --patient-key anna.key --actor practitioner:dr-001 \
    ///       --categories ecg,spo2 --purposes treatment --for 24h --node HOST:PORT --identity DIR
    #[command(verbatim_doc_comment)]
    Permit(WriteArgs),
    /// Forbid somebody to read or collect, whatever else permits it
    ///
    /// For a patient's wallet.
    ///
    ///   vitals consent deny --patient-key anna.key --actor any --categories glucose \
    ///       --purposes all --node HOST:PORT --identity DIR
    #[command(verbatim_doc_comment)]
    Deny(WriteArgs),
    /// Let somebody break the glass in an emergency: read with a reason, counted publicly
    ///
    /// For a patient's wallet.
    ///
    ///   vitals consent policy --patient-key anna.key --actor organisation:ward-3 \
    ///       --categories all --purposes emergency-treatment --node HOST:PORT --identity DIR
    #[command(verbatim_doc_comment)]
    Policy(WriteArgs),
    /// End a rule as soon as the node has it
    ///
    /// For a patient's wallet; `vitals consent show` lists the rules with their slots.
    ///
    ///   vitals consent revoke --patient-key anna.key --slot permit:0 \
    ///       --node HOST:PORT --identity DIR
    #[command(verbatim_doc_comment)]
    Revoke {
        #[command(flatten)]
        patient: PatientArgs,
        /// Which rule, as permit:0, deny:1 or policy:0
        #[arg(long, value_name = "SLOT", value_parser = parse_slot)]
        slot: RuleSlot,
    },
    /// Close the whole record as soon as the node has it
    ///
    /// For a patient's wallet. It ends every rule at once and cannot be undone.
    ///
    ///   vitals consent stop --patient-key anna.key --node HOST:PORT --identity DIR
    #[command(verbatim_doc_comment)]
    Stop {
        #[command(flatten)]
        patient: PatientArgs,
    },
    /// Show the wallet's copy of the record, and answer whether somebody would see something
    ///
    /// For a patient's wallet; it asks no node.
    ///
    ///   vitals consent show --patient-key anna.key --identity DIR
    ///   vitals consent show --patient-key anna.key --identity DIR \
    ///       --preview-actor practitioner:dr-001 --preview-category spo2
    #[command(verbatim_doc_comment)]
    Show {
        /// Key of the patient
        #[arg(long, value_name = "FILE")]
        patient_key: PathBuf,
        /// Folder with deployment.json
        #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
        identity: PathBuf,
        #[command(flatten)]
        expected: Expected,
        #[command(flatten)]
        question: QuestionArgs,
    },
}

/// A rule to write.
#[derive(Args)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    patient: PatientArgs,
    #[command(flatten)]
    rule: RuleArgs,
}

/// An operation that the patient signs.
#[derive(Args)]
pub(crate) struct PatientArgs {
    /// Key of the patient; the wallet's copy of the record stands beside it
    #[arg(long, value_name = "FILE")]
    patient_key: PathBuf,
    #[command(flatten)]
    question: QuestionArgs,
    #[command(flatten)]
    send: SendArgs,
}

/// How an operation is sent.
#[derive(Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    node: Node,
    /// Hand it in over HTTP at this address of the node, instead of --node: without a certificate
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// Do not ask before signing
    #[arg(long)]
    yes: bool,
    /// Show what would be signed, and stop
    #[arg(long)]
    dry_run: bool,
    /// How long the signature is good for
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, default_value = "10m")]
    valid_for: u64,
}

impl SendArgs {
    /// Where it goes over HTTP, if it does.
    fn door(&self) -> Result<Option<Door>, Usage> {
        let door = self.http.as_deref().map(Door::parse).transpose();
        door.map_err(|error| Usage(format!("--http: {error}")))
    }

    /// Without a terminal nobody can answer: told before the node is asked anything.
    fn check_terminal(&self) -> Result<(), Usage> {
        if self.yes || self.dry_run || std::io::stdin().is_terminal() {
            return Ok(());
        }
        Err(Usage("expected --yes where nobody can be asked".to_owned()))
    }
}

pub(crate) fn parse_patient(text: &str) -> Result<PatientIndex, String> {
    let index = text.parse().map_err(|_| "expected a number below 16777216".to_owned())?;
    PatientIndex::new(index).map_err(|error| error.to_string())
}

/// The slots there are, for whoever names another.
const SLOTS: &str = "expected permit:0 to 7, deny:0 to 3, or policy:0 to 1";

fn parse_slot(text: &str) -> Result<RuleSlot, &'static str> {
    rule_slot::from_name(text).ok_or(SLOTS)
}

// What a command covers unless it is told otherwise: a permit that says little permits little, a
// deny that says little denies all.
const READ: Defaults = Defaults { kinds: ClaimKind::Access.only(), labels: Label::Normal.only() };
const EVERYTHING: Defaults = Defaults { kinds: ClaimKinds::ALL, labels: Labels::ALL };
const EMERGENCY: Defaults =
    Defaults { kinds: ClaimKind::BreakGlass.only(), labels: Label::Normal.only() };

impl Command {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Command::Enrol { registrar_key, patient_key, index, send } => {
                enrol(&registrar_key, &patient_key, index, &send)
            }
            Command::Permit(write) => write.run(RuleSlot::Permit, READ),
            Command::Deny(write) => write.run(RuleSlot::Deny, EVERYTHING),
            Command::Policy(write) => write.run(RuleSlot::Policy, EMERGENCY),
            Command::Revoke { patient, slot } => {
                let wallet = patient.read_wallet()?;
                let action = wallet.revocation(slot)?;
                patient.sign(wallet, action, Written::nothing())
            }
            Command::Stop { patient } => {
                let wallet = patient.read_wallet()?;
                patient.sign(wallet, Action::Stop, Written::nothing())
            }
            Command::Show { patient_key, identity, expected, question } => {
                let deployment = expected.load(&identity)?;
                show(&patient_key, &deployment, &question)
            }
        }
    }
}

impl WriteArgs {
    fn run(self, kind: rule_slot::OfKind, defaults: Defaults) -> Outcome {
        let mut wallet = self.patient.read_wallet()?;
        let slot = match self.rule.slot {
            None => wallet.free_slot(kind, now())?,
            Some(number) => rule_slot::find(kind, number).ok_or_else(|| Usage(SLOTS.to_owned()))?,
        };
        let named = self.rule.named(&wallet.names)?;
        let rule = self.rule.to_rule(defaults, &mut wallet.names)?;
        let RuleArgs { zone, allow_unknown, .. } = self.rule;
        let written = Written { zone, named, allow_unknown };
        self.patient.sign(wallet, Action::Write { slot, rule }, written)
    }
}

impl PatientArgs {
    fn read_wallet(&self) -> anyhow::Result<Wallet> {
        let scope = self.send.node.deployment()?.scope;
        let path = Wallet::path(&self.patient_key);
        let mut wallet = Wallet::read(&path, scope)?;
        // A command that only shows sends nothing.
        if let Some(door) = self.send.door()?.filter(|_| !self.send.dry_run) {
            self.finish_pending(&door, &mut wallet)?;
        }
        let pending = Pending::of_key(&self.patient_key);
        if self.send.http.is_none() && pending.path().exists() {
            let path = pending.path().display();
            eprintln!(
                "vitals: warning: what was sent over HTTP and not answered is kept in {path}: if it \
                 took effect, this is refused; --http hears of it, or vitals log --rebuild"
            );
        }
        Ok(wallet)
    }

    /// Hears what became of an operation that was sent and not answered, before another is signed.
    fn finish_pending(&self, door: &Door, wallet: &mut Wallet) -> anyhow::Result<()> {
        let pending = Pending::of_key(&self.patient_key);
        let file = || format!("the operation that is kept in {}", pending.path().display());
        let Some(signed) = pending.read().with_context(file)? else { return Ok(()) };
        let applied = hand_in(door, &self.send.node, &signed).with_context(|| {
            format!("{}: if it took effect or is over, vitals log --rebuild says so", file())
        })?;
        let registrar = Word::ZERO;
        wallet.apply(&signed, applied.applied.time, registrar)?;
        wallet.write(&Wallet::path(&self.patient_key))?;
        pending.forget().with_context(file)?;
        let (position, at) = (applied.applied.position.0, Utc(applied.applied.time));
        eprintln!("vitals: what was sent before took effect {at}, at journal position {position}");
        Ok(())
    }

    fn sign(&self, wallet: Wallet, action: Action, written: Written) -> Outcome {
        let key = Key::read(&self.patient_key, KeyKind::Patient)?;
        let operation = wallet.change(action, now(), self.send.valid_for)?;
        let signing = Signing { wallet, operation, key: &key, path: &self.patient_key, written };
        signing.run(&self.send, Some(&self.question))
    }
}

fn enrol(registrar: &Path, patient_key: &Path, index: PatientIndex, send: &SendArgs) -> Outcome {
    let key = Key::read(patient_key, KeyKind::Patient)?;
    let registrar = Key::read(registrar, KeyKind::Registrar)?;
    // Written over, a record that is live would lose its nonce, and its wallet could sign no more.
    if Wallet::path(patient_key).exists() {
        let why = "expected a key that is not enrolled, found its record beside it";
        return Err(Usage(why.to_owned()).into());
    }
    let wallet = Wallet::new(send.node.deployment()?.scope, index);
    let operation = wallet.enrolment(&key, now(), send.valid_for);
    let path = patient_key;
    let written = Written::nothing();
    Signing { wallet, operation, key: &registrar, path, written }.run(send, None)
}

/// One operation on its way from preview to the wallet's copy.
struct Signing<'a> {
    wallet: Wallet,
    operation: Operation,
    key: &'a Key,
    path: &'a Path,
    written: Written,
}

/// How a rule was written down on the command line.
struct Written {
    /// In which its dates hold.
    zone: Zone,
    /// Whom it names.
    named: Vec<Named>,
    /// Whether it is signed also where the registry does not know them, and nobody is asked.
    allow_unknown: bool,
}

/// What is shown before anything is signed.
struct Preview {
    text: String,
    json: Value,
    names: CheckedNames,
}

impl Written {
    /// Of what has neither dates nor names.
    fn nothing() -> Written {
        Written { zone: Zone::UTC, named: Vec::new(), allow_unknown: false }
    }
}

impl Signing<'_> {
    fn run(mut self, send: &SendArgs, question: Option<&QuestionArgs>) -> Outcome {
        let fingerprint = send.node.deployment()?.fingerprint;
        send.check_terminal()?;
        let door = send.door()?;
        if door.is_some() && matches!(self.operation.action, Action::Enrol { .. }) {
            let why =
                "expected --node: enrolments hold the patient's view key and do not go over HTTP";
            return Err(Usage(why.to_owned()).into());
        }
        // Finds what the node would refuse, before it is asked and before anybody signs.
        let after = self.wallet.effect(&self.operation, now())?;
        let names = self.check_names(send)?;
        let preview = self.preview(names, &after, question)?;
        if send.dry_run {
            let text = preview.text + "\nnothing was signed or sent";
            return Ok(tell_deployment(fingerprint, Report::success(text, preview.json)));
        }
        if let Err(text) = self.agree(send, &preview, fingerprint)? {
            return Ok(tell_deployment(fingerprint, Report::failure(text, preview.json)));
        }
        let domain = scope::sig_domain(self.wallet.scope);
        let signed = SignedOperation::sign(self.operation.clone(), domain, &self.key.signer());
        if let Some(door) = &door {
            let pending = Pending::of_key(self.path);
            let keeping = || format!("keeping the operation in {}", pending.path().display());
            pending.keep(&signed).with_context(keeping)?;
            let handed = match hand_in(door, &send.node, &signed) {
                // Nothing was sent, or it is known to be refused.
                Err(error) if !is_unknown(&error) => {
                    pending.forget().with_context(keeping)?;
                    return Err(error);
                }
                handed => handed?,
            };
            let updated = self.update_copy(&signed, &handed.applied);
            if updated.is_ok() {
                pending.forget().with_context(keeping)?;
            }
            let mut report = self.report(&handed.applied, updated, preview);
            if let Some(why) = handed.not_kept {
                report.text += &format!("\nbut the receipt is not kept: {why}");
                report.json["not_kept"] = why.into();
                report.exit = ExitCode::Failed;
            }
            return Ok(tell_deployment(fingerprint, report));
        }
        let (applied, standing) = runtime()?.block_on(submit(&send.node, &signed))?;
        let updated = self.update_copy(&signed, &applied);
        Ok(standing.tell(self.report(&applied, updated, preview)))
    }

    /// What the node's registry knows of the names. Where something is to be sent, a node that is
    /// not there ends the command here: nobody is asked to sign what cannot go out.
    fn check_names(&mut self, send: &SendArgs) -> anyhow::Result<CheckedNames> {
        let named = std::mem::take(&mut self.written.named);
        if send.http.is_some() {
            let why = "over HTTP no node is asked for names".to_owned();
            return Ok(CheckedNames::new(named, Answer::Nothing(why)));
        }
        let answer = match known::ask(&send.node, &named) {
            Err(error) if send.dry_run => Answer::Nothing(format!("{error:#}")),
            asked => asked?,
        };
        Ok(CheckedNames::new(named, answer))
    }

    /// Whether it is to be signed; else what the report says.
    fn agree(
        &self,
        send: &SendArgs,
        preview: &Preview,
        fingerprint: Fingerprint,
    ) -> anyhow::Result<Result<(), String>> {
        let nothing = "nothing was signed or sent";
        let unknown = preview.names.unknown();
        if send.yes {
            // Said for the rule as it was meant, and not for a name that is there by mistake.
            let unanswered = unknown.filter(|_| !self.written.allow_unknown);
            return Ok(unanswered.map_or(Ok(()), |names| {
                let Preview { text, .. } = preview;
                Err(format!(
                    "{text}\n{nothing}: --yes does not answer for {names}, which the registry does \
                     not know; correct the name, leave --yes out and be asked, or add \
                     --allow-unknown"
                ))
            }));
        }
        let although = unknown.map_or_else(String::new, |names| {
            format!(" although the registry does not know {names}")
        });
        // The deployment first: a signature is good for it and for no other.
        let shown = format!("deployment {fingerprint}\n{}", preview.text);
        let agreed = confirm(&format!("{shown}\nSign and send{although}? [y/N] "))?;
        Ok(if agreed { Ok(()) } else { Err(nothing.to_owned()) })
    }

    /// Takes the operation over into the wallet's copy of the record.
    fn update_copy(
        &mut self,
        signed: &SignedOperation,
        applied: &Applied,
    ) -> Result<(), WalletError> {
        // Of an enrolment the signer is the registrar; of anything else the word is not read.
        self.wallet.apply(signed, applied.time, self.key.key_hash())?;
        self.wallet.write(&Wallet::path(self.path))
    }

    /// What the operation says and does, and the answers before and after it.
    fn preview(
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

    /// The operation is in force whatever became of the copy, so its receipt is shown either way.
    fn report(
        &self,
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
}

async fn submit(node: &Node, signed: &SignedOperation) -> anyhow::Result<(Applied, Standing)> {
    node.check_role(&[Role::Wallet, Role::Operator])?;
    let connection = node.connect().await?;
    let operation = wire::SignedOperation::new(signed.to_bytes().to_vec())?;
    if let Some(folder) = &node.receipts {
        // Before it is sent: the receipt that may come of it names no more than its digest.
        client::keep_operation(folder, &operation)
            .with_context(|| format!("keeping the operation in {}", folder.display()))?;
    }
    let applied = connection.submit(operation).await?;
    let standing = Standing::of(node, &connection)?;
    connection.close().await;
    Ok((applied, standing))
}

/// Shows the preview and asks.
fn confirm(question: &str) -> anyhow::Result<bool> {
    // Standard output is for the report alone: it may be a pipe.
    let mut out = std::io::stderr();
    write!(out, "{question}").context("asking")?;
    out.flush().context("asking")?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("asking")?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn show(patient_key: &Path, deployment: &Deployment, question: &QuestionArgs) -> Outcome {
    let wallet = Wallet::read(&Wallet::path(patient_key), deployment.scope)?;
    let record = wallet.record()?;
    let rules = rule_slot::all().filter_map(|slot| Some((slot, record.rule(slot)?)));
    let state = state_text(record.closed_at);
    let mut text = format!("record {}, {state}, nonce {}", wallet.patient.get(), record.nonce);
    let mut json = json!({
        "schema": "vitals-record-report-1",
        "patient": wallet.patient.get(), "state": state, "nonce": record.nonce, "rules": [],
    });
    let mut list = Vec::new();
    for (slot, rule) in rules {
        let (name, says) = (rule_slot::name(slot), rule_sentence(slot, rule, &wallet.names));
        let ended = if rule.access.until <= now() { " (ended)" } else { "" };
        text += &format!("\n  {name:<9} {says}{ended}");
        let words = rule.words().map(Word::to_hex);
        list.push(
            json!({ "slot": name, "says": says, "ended": !ended.is_empty(), "words": words }),
        );
    }
    json["rules"] = list.into();
    if let Some(answers) = question.ask(&wallet, wallet.record.as_ref(), now())? {
        text += &format!("\nnow:  {}", answers.before);
        json["answer"] = answers.before.into();
    }
    Ok(tell_deployment(deployment.fingerprint, Report::success(text, json)))
}

fn state_text(closed_at: Millis) -> String {
    match closed_at {
        Millis::UNBOUNDED_FUTURE => "open".to_owned(),
        at => format!("closed at {}", Utc(at)),
    }
}
