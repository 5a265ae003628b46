//! `vitals consent`: preview, question, signature, receipt, and the wallet's copy of the record.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use client::hand_in::{Door, Pending};
use client::{Applied, Deployment, Key, KeyKind, Wallet, party};
use model::calendar::{Utc, parse_length};
use model::{Action, ExitCode, PatientIndex, RuleSlot};
use statement::fingerprint::Fingerprint;
use statement::operation::SignedOperation;
use wire::Role;

use crate::erasure::EraseArgs;
use crate::fhir_consent::{DocumentArgs, ExportArgs, Step, lint, plan};
use crate::handed_in::{Finished, HandedIn, KeyLock, Way};
use crate::known::{self, Answer, CheckedNames, Named};
use crate::node::{Expected, Node, Standing, now, runtime, tell_deployment};
use crate::record::describe;
use crate::report::{Outcome, Report, Usage};
use crate::rule::{QuestionArgs, RuleArgs};
use crate::signing::{
    DENY, Draft, PERMIT, POLICY, Preview, RuleKind, Taken, Written, ask, parse_slot, report,
};

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
        #[arg(long, value_name = "N")]
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
    /// Ask the hospital to erase every reading of a stopped record
    ///
    /// For a patient, behind `vitals consent stop`: it signs a request into a file, which the
    /// hospital carries out once all that was collected before the stop is settled and no legal
    /// hold keeps it. Who read what stays in the log.
    ///
    ///   vitals consent stop --patient-key anna.key --node HOST:PORT --identity DIR
    ///   vitals consent erase --patient-key anna.key --out anna.erasure --identity DIR
    #[command(verbatim_doc_comment)]
    Erase(EraseArgs),
    /// Sign what a FHIR Consent says: of a profile of IHE PCF, and no other
    ///
    /// For a patient's wallet. It shows each rule that would be written and each that would end,
    /// asks once, and signs them one after the other; what the record says already is not signed
    /// again. What no rule can say is refused with the element and a way to say it, and nothing is
    /// signed then. The same command goes on where one was interrupted.
    ///
    ///   vitals consent import consent.json --names names.toml --zone Europe/Berlin \
    ///       --patient-key anna.key --dry-run --identity DIR
    ///   vitals consent import consent.json --names names.toml --zone Europe/Berlin \
    ///       --patient-key anna.key --node HOST:PORT --identity DIR
    #[command(verbatim_doc_comment)]
    Import(ImportArgs),
    /// Write the live rules as a FHIR Consent of IHE PCF
    ///
    /// For a patient's wallet; it asks no node. The document reads back as the same rules.
    ///
    ///   vitals consent export --patient-key anna.key --identity DIR --names names.toml \
    ///       --out consent.json
    #[command(verbatim_doc_comment)]
    Export(ExportArgs),
    /// Say what of a FHIR Consent can be enforced, and how to say what cannot
    ///
    /// For whoever writes Consents: it needs no key and asks no node.
    ///
    ///   vitals consent lint consent.json
    ///   vitals consent lint consent.json --names names.toml --zone Europe/Berlin
    #[command(verbatim_doc_comment)]
    Lint(DocumentArgs),
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

/// A document whose rules the patient signs.
#[derive(Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    document: DocumentArgs,
    #[command(flatten)]
    patient: PatientArgs,
    /// Sign also where the registry does not know whom a rule names, which --yes alone does not
    #[arg(long)]
    allow_unknown: bool,
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
    /// Hand it in over HTTP at this address of the node, instead of --node: without a certificate.
    /// With --node as well, that is asked for names and nothing else
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

impl Command {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Command::Enrol { registrar_key, patient_key, index, send } => {
                enrol(&registrar_key, &patient_key, index, &send)
            }
            Command::Permit(write) => write.run(PERMIT),
            Command::Deny(write) => write.run(DENY),
            Command::Policy(write) => write.run(POLICY),
            Command::Revoke { patient, slot } => {
                let _lock = patient.lock()?;
                let wallet = patient.read_wallet()?;
                patient.sign(Draft::revoke(wallet, slot, patient.send.valid_for)?)
            }
            Command::Stop { patient } => {
                let _lock = patient.lock()?;
                let wallet = patient.read_wallet()?;
                patient.sign(Draft::stop(wallet, patient.send.valid_for)?)
            }
            Command::Erase(erase) => erase.run(),
            Command::Import(import) => import.run(),
            Command::Export(export) => export.run(),
            Command::Lint(document) => lint(&document),
            Command::Show { patient_key, identity, expected, question } => {
                let deployment = expected.load(&identity)?;
                show(&patient_key, &deployment, &question)
            }
        }
    }
}

impl WriteArgs {
    fn run(self, kind: RuleKind) -> Outcome {
        let _lock = self.patient.lock()?;
        let wallet = self.patient.read_wallet()?;
        let valid_for = self.patient.send.valid_for;
        self.patient.sign(Draft::write(wallet, kind, &self.rule, valid_for)?)
    }
}

impl PatientArgs {
    /// From the look at the copy until it says what was signed; a command that only shows needs
    /// none.
    fn lock(&self) -> anyhow::Result<Option<KeyLock>> {
        (!self.send.dry_run).then(|| KeyLock::take(&self.patient_key)).transpose()
    }

    fn read_wallet(&self) -> anyhow::Result<Wallet> {
        let deployment = self.send.node.deployment()?;
        let path = Wallet::path(&self.patient_key);
        let mut wallet = Wallet::read(&path, deployment.scope)?;
        // A command that only shows sends nothing.
        if let Some(door) = self.send.door()?.filter(|_| !self.send.dry_run) {
            let receipts = self.send.node.receipts.as_deref();
            let way = Way { door: &door, deployment, receipts };
            tell_finished(&way.finish(&self.patient_key, &mut wallet)?);
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

    fn sign(&self, draft: Draft) -> Outcome {
        let key = Key::read(&self.patient_key, KeyKind::Patient)?;
        let signing = Signing { draft, key: &key, path: &self.patient_key };
        signing.run(&self.send, Some(&self.question))
    }
}

impl ImportArgs {
    /// Shows everything that would be signed, asks once, and signs it in the order of the plan.
    fn run(&self) -> Outcome {
        let PatientArgs { patient_key: path, question, send } = &self.patient;
        let _lock = self.patient.lock()?;
        let wallet = self.patient.read_wallet()?;
        let fingerprint = send.node.deployment()?.fingerprint;
        send.check_terminal()?;
        let consent = match self.document.read()?.signable(&wallet) {
            Ok(consent) => consent,
            Err(report) => return Ok(tell_deployment(fingerprint, report)),
        };
        let (now, before) = (now(), wallet.clone());
        let mut plan = plan(wallet, &consent.reading, now)?;
        let names = check_names(send, std::mem::take(&mut plan.named))?;
        let answers = question.ask(&before, Some(&plan.after), now)?;
        let preview = consent.preview(&plan, names, answers);
        if send.dry_run || plan.steps.is_empty() {
            let text = preview.text + "\nnothing was signed or sent";
            return Ok(tell_deployment(fingerprint, Report::success(text, preview.json)));
        }
        if let Err(text) = agree(send, &preview, self.allow_unknown, fingerprint)? {
            return Ok(tell_deployment(fingerprint, Report::failure(text, preview.json)));
        }
        let mut json = preview.json;
        let mut text = String::new();
        for (done, step) in plan.steps.iter().enumerate() {
            let all = plan.steps.len();
            let report = self.sign(step, path).with_context(|| {
                format!("{done} of {all} changes took effect: the same command goes on from there")
            })?;
            text += &format!("{}\n", report.text);
            for name in ["effective", "position"] {
                json["changes"][done][name] = report.json[name].clone();
            }
            // It took effect, and the copy or the receipt is not kept: what follows would be signed
            // on a copy that lacks it.
            if report.exit != ExitCode::Ok {
                return Ok(Report { text, json, ..report });
            }
        }
        json["applied"] = true.into();
        Ok(tell_deployment(fingerprint, Report::success(text.trim_end().to_owned(), json)))
    }

    /// Signs and sends one change on the copy as the change before left it.
    fn sign(&self, step: &Step, path: &Path) -> Outcome {
        let send = &self.patient.send;
        let mut wallet = Wallet::read(&Wallet::path(path), send.node.deployment()?.scope)?;
        for words in &step.names {
            wallet.names.learn(words, &party::actor(words)?);
        }
        let operation = wallet.change(step.action.clone(), now(), send.valid_for)?;
        let draft = Draft { wallet, operation, written: Written::nothing() };
        let after = draft.effect()?;
        // Whom it names was asked about with all the others.
        let preview = draft.preview(CheckedNames::nobody(), &after, None)?;
        let key = Key::read(path, KeyKind::Patient)?;
        Signing { draft, key: &key, path }.send(send, preview)
    }
}

/// Says what became of an operation that had no answer.
fn tell_finished(finished: &Finished) {
    match finished {
        Finished::Nothing => {}
        Finished::Applied(handed) => {
            let HandedIn { applied, not_kept } = &**handed;
            let (position, at) = (applied.position.0, Utc(applied.time));
            eprintln!(
                "vitals: what was sent before took effect {at}, at journal position {position}"
            );
            if let Some(why) = not_kept {
                eprintln!("vitals: warning: its receipt is not kept: {}", model::escape(why));
            }
        }
        Finished::Over => eprintln!(
            "vitals: what was sent before is over, and the node does not take it any more: whether \
             it took effect before, vitals log says"
        ),
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
    let draft = Draft { wallet, operation, written: Written::nothing() };
    Signing { draft, key: &registrar, path: patient_key }.run(send, None)
}

/// One operation on its way from preview to the wallet's copy.
struct Signing<'a> {
    draft: Draft,
    key: &'a Key,
    path: &'a Path,
}

impl Signing<'_> {
    fn run(mut self, send: &SendArgs, question: Option<&QuestionArgs>) -> Outcome {
        let deployment = send.node.deployment()?;
        let fingerprint = deployment.fingerprint;
        send.check_terminal()?;
        let door = send.door()?;
        if door.is_some() && matches!(self.draft.operation.action, Action::Enrol { .. }) {
            let why =
                "expected --node: enrolments hold the patient's view key and do not go over HTTP";
            return Err(Usage(why.to_owned()).into());
        }
        let after = self.draft.effect()?;
        let names = check_names(send, std::mem::take(&mut self.draft.written.named))?;
        let preview = self.draft.preview(names, &after, question)?;
        if send.dry_run {
            let text = preview.text + "\nnothing was signed or sent";
            return Ok(tell_deployment(fingerprint, Report::success(text, preview.json)));
        }
        let allow_unknown = self.draft.written.allow_unknown;
        if let Err(text) = agree(send, &preview, allow_unknown, fingerprint)? {
            return Ok(tell_deployment(fingerprint, Report::failure(text, preview.json)));
        }
        self.send(send, preview)
    }

    /// Signs it, sends it, and takes it over.
    fn send(mut self, send: &SendArgs, preview: Preview) -> Outcome {
        if let Some(door) = &send.door()? {
            let deployment = send.node.deployment()?;
            let fingerprint = deployment.fingerprint;
            let way = Way { door, deployment, receipts: send.node.receipts.as_deref() };
            let report = self.draft.hand_in(self.key, self.path, &way, preview)?;
            return Ok(tell_deployment(fingerprint, report));
        }
        let signed = self.draft.sign(self.key);
        let (applied, standing) = runtime()?.block_on(submit(&send.node, &signed))?;
        let taken = Taken { signed: &signed, applied: &applied };
        let updated = self.draft.take_over(taken, self.key, self.path);
        Ok(standing.tell(report(&applied, updated, preview)))
    }
}

/// What the node's registry knows of the names. Where something is to be sent, a node that is not
/// there ends the command here: nobody is asked to sign what cannot go out.
fn check_names(send: &SendArgs, named: Vec<Named>) -> anyhow::Result<CheckedNames> {
    let answer = match send.http.is_some() {
        true => known::ask_beside(&send.node, &named),
        false => match known::ask(&send.node, &named) {
            Err(error) if send.dry_run => Answer::Nothing(format!("{error:#}")),
            asked => asked?,
        },
    };
    Ok(CheckedNames::new(named, answer))
}

/// Whether it is to be signed; else what the report says.
fn agree(
    send: &SendArgs,
    preview: &Preview,
    allow_unknown: bool,
    fingerprint: Fingerprint,
) -> anyhow::Result<Result<(), String>> {
    let nothing = "nothing was signed or sent";
    let unknown = preview.names.unknown();
    if send.yes {
        // Said for the rule as it was meant, and not for a name that is there by mistake.
        let unanswered = unknown.filter(|_| !allow_unknown);
        return Ok(unanswered.map_or(Ok(()), |names| {
            let Preview { text, .. } = preview;
            Err(format!(
                "{text}\n{nothing}: --yes does not answer for {names}, which the registry does \
                 not know; correct the name, leave --yes out and be asked, or add --allow-unknown"
            ))
        }));
    }
    let although = unknown
        .map_or_else(String::new, |names| format!(" although the registry does not know {names}"));
    // The deployment first: a signature is good for it and for no other.
    let shown = format!("deployment {fingerprint}\n{}", preview.text);
    let agreed = ask(&format!("{shown}\nSign and send{although}? [y/N] "))?;
    Ok(if agreed { Ok(()) } else { Err(nothing.to_owned()) })
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

fn show(patient_key: &Path, deployment: &Deployment, question: &QuestionArgs) -> Outcome {
    let wallet = Wallet::read(&Wallet::path(patient_key), deployment.scope)?;
    let Report { mut text, mut json, .. } = describe(&wallet, now())?;
    if let Some(answers) = question.ask(&wallet, wallet.record.as_ref(), now())? {
        text += &format!("\nnow:  {}", answers.before);
        json["answer"] = answers.before.into();
    }
    Ok(tell_deployment(deployment.fingerprint, Report::success(text, json)))
}
