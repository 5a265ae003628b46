//! The patient's side of the page: the key, and what is done with it. A log is read beside
//! everything else, however slow whoever serves batch files is: a rule can be taken back meanwhile.
//!
//! Each answer is made by the code of the command of the same name: the page gets the objects that
//! `vitals log --json`, `consent show --json` and `consent permit --json` print.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use client::hand_in::{Door, Pending};
use client::preview::operation_sentence;
use client::{Deployment, Key, Wallet, headers, promised};
use model::calendar::Utc;
use model::{Category, ClaimKind, ExitCode, Label, Millis, PatientIndex, Purpose, Record};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::handed_in::{self, Finished, HandedIn, KeyLock, Way};
use crate::known::{Answer, CheckedNames, Named};
use crate::log::{LogRead, Sources, read_copy};
use crate::node::{now, tell_deployment};
use crate::record::describe;
use crate::report::Report;
use crate::signing::{Draft, Preview};

use super::fault::{PageFault, object};
use super::wanted::{Rule, Wanted};

/// How long a signature is good for: as `vitals consent` without more words.
const VALID_FOR_MS: u64 = 10 * 60 * 1000;

/// Whether a registry knows names, asked before anybody signs them.
pub(crate) type AskNames = dyn Fn(&[Named]) -> Answer + Send + Sync;

/// What was named on the command line.
pub(crate) struct Given {
    pub(crate) key_path: PathBuf,
    pub(crate) identity: PathBuf,
    pub(crate) deployment: Deployment,
    pub(crate) door: Door,
    pub(crate) data: String,
    pub(crate) headers: PathBuf,
    pub(crate) receipts: Receipts,
    pub(crate) frames: Vec<PathBuf>,
    pub(crate) know: Vec<String>,
    pub(crate) patient: Option<PatientIndex>,
    pub(crate) ask_names: Box<AskNames>,
}

/// Where receipts are kept.
pub(crate) struct Receipts {
    pub(crate) folder: PathBuf,
    /// Whether somebody named it: then it has to be there.
    pub(crate) is_named: bool,
}

/// Who has the key.
pub(crate) struct Patient {
    key: Key,
    given: Given,
    previews: Mutex<Previews>,
    /// Held by the one who reads the log.
    reading: Mutex<()>,
    /// What the last log said against a copy.
    doubt: Mutex<Option<Doubt>>,
    /// Whether the page has ended: what still waits is not signed any more.
    has_ended: AtomicBool,
}

/// A copy that is not the record that the log shows.
#[derive(Clone, Copy)]
struct Doubt {
    /// Which copy: by how many operations it has seen.
    nonce: u32,
    found: Misfit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Misfit {
    /// It lacks operations: what is signed on it is refused.
    Behind,
    /// No signed operation explains it: evidence, which nothing is to be written over.
    Unexplained,
}

impl Misfit {
    const ALL: [Misfit; 2] = [Misfit::Behind, Misfit::Unexplained];

    /// As a log's report calls it.
    fn name(self) -> &'static str {
        match self {
            Misfit::Behind => "behind",
            Misfit::Unexplained => "unexplained",
        }
    }
}

#[derive(Default)]
struct Previews {
    /// The one that was shown last.
    shown: Option<Shown>,
    count: u64,
}

struct Shown {
    number: u64,
    draft: Draft,
    preview: Preview,
}

/// What a page asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    /// What holds now, the log aside.
    State,
    /// The log.
    Log,
    /// What would be signed; the bytes that say it.
    Preview(Vec<u8>),
    /// The signature under a preview.
    Sign(Agreed),
    /// What became of an operation without an answer.
    Finish,
    /// A copy of the record from the log.
    Rebuild,
}

/// To what somebody agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agreed {
    /// The number of the preview that was shown.
    pub(crate) preview: u64,
    /// That it is signed although the registry does not know whom it names.
    #[serde(default)]
    pub(crate) allow_unknown: bool,
}

impl Patient {
    pub(crate) fn new(key: Key, given: Given) -> Patient {
        Patient {
            key,
            given,
            previews: Mutex::default(),
            reading: Mutex::default(),
            doubt: Mutex::default(),
            has_ended: AtomicBool::new(false),
        }
    }

    /// From now on nothing is signed.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
    }

    /// The object of an answer; of what fails, the error's.
    pub(crate) fn answer(&self, question: Question) -> Value {
        let answered = match question {
            Question::State => Ok(self.state()),
            Question::Log => self.read_log().map(|read| read.report.json),
            Question::Preview(body) => self.preview(&body),
            Question::Sign(agreed) => self.sign(agreed).map(in_full),
            Question::Finish => self.finish(),
            Question::Rebuild => self.rebuild().map(in_full),
        };
        answered.unwrap_or_else(|error| object(&error))
    }

    fn state(&self) -> Value {
        let Given { deployment, door, .. } = &self.given;
        let copy = self.copy();
        let names: Vec<_> = copy.iter().flat_map(|wallet| wallet.names.all()).collect();
        let record = match &copy {
            Ok(wallet) => describe(wallet, now()).map_or_else(|error| object(&error), |it| it.json),
            Err(error) => object(error),
        };
        json!({
            "schema": "vitals-wallet-state-1",
            "fingerprint": deployment.fingerprint.to_string(),
            "node": door.to_string(),
            "now_ms": now().unix_ms(),
            "names": names,
            "words": words(),
            "record": record,
            "copy_misfit": copy.ok().and_then(|wallet| self.misfit(&wallet)).map(Misfit::name),
            "pending": self.pending().unwrap_or_else(|error| object(&error)),
            "headers": self.reach().unwrap_or_else(|error| object(&error)),
        })
    }

    /// The wallet's copy, which is this key's.
    fn copy(&self) -> anyhow::Result<Wallet> {
        let Given { key_path, deployment, .. } = &self.given;
        let wallet = Wallet::read(&Wallet::path(key_path), deployment.scope)?;
        wallet.record()?;
        self.check_key(&wallet)?;
        Ok(wallet)
    }

    /// Found here and not by a node that refuses: what is shown would be another's record.
    fn check_key(&self, wallet: &Wallet) -> Result<(), PageFault> {
        let of_key = |record: &Record| record.key_hash == self.key.key_hash();
        match wallet.record.as_ref().is_none_or(of_key) {
            true => Ok(()),
            false => Err(PageFault::OtherKey),
        }
    }

    /// What was sent and has no answer; null if nothing was.
    fn pending(&self) -> anyhow::Result<Value> {
        let pending = Pending::of_key(&self.given.key_path);
        let Some(signed) = handed_in::read(&pending)? else { return Ok(Value::Null) };
        let names = self.copy().map(|wallet| wallet.names).unwrap_or_default();
        let operation = signed.operation;
        Ok(json!({
            "says": operation_sentence(&operation, &names),
            "nonce": operation.nonce,
            "signed_at": Utc(operation.signed_at).to_string(),
            "valid_until": Utc(operation.valid_until).to_string(),
        }))
    }

    /// How far the saved headers go: what happened later is not in the log.
    fn reach(&self) -> anyhow::Result<Value> {
        let found = headers::read(&self.given.headers, self.given.deployment.scope)?;
        let until = found.last().map(|header| header.window.t1());
        Ok(json!({
            "batches": found.len(),
            "until": until.map(|at| Utc(at).to_string()),
            "until_ms": until.map(Millis::unix_ms),
        }))
    }

    /// What the last log said against this copy.
    fn misfit(&self, copy: &Wallet) -> Option<Misfit> {
        let nonce = copy.record.as_ref()?.nonce;
        let doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        doubt.filter(|doubt| doubt.nonce == nonce).map(|doubt| doubt.found)
    }

    /// Reads the log: one at a time, since each reads every batch.
    fn read_log(&self) -> anyhow::Result<LogRead> {
        match self.reading.try_lock() {
            Ok(one) => self.read_alone(&one),
            Err(TryLockError::Poisoned(poisoned)) => self.read_alone(&poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(PageFault::Reading.into()),
        }
    }

    /// Reads it while nobody else does.
    fn read_alone(&self, _one: &MutexGuard<'_, ()>) -> anyhow::Result<LogRead> {
        let Given { key_path, deployment, receipts, .. } = &self.given;
        let wallet = read_copy(key_path, *deployment)?;
        if let Some(wallet) = &wallet {
            self.check_key(wallet)?;
        }
        let nonce = wallet.as_ref().and_then(|wallet| Some(wallet.record.as_ref()?.nonce));
        // Before the first one was kept there is nothing to compare, and the log says that it
        // compared nothing; of a folder that somebody named it is refused, as on a command line.
        let compared = receipts.is_named || promised::has_any(&receipts.folder);
        let sources = Sources {
            data: &self.given.data,
            headers: &self.given.headers,
            identity: &self.given.identity,
            patient: self.given.patient,
            know: &self.given.know,
            receipts: compared.then_some(receipts.folder.as_path()),
            frames: &self.given.frames,
            is_exported: false,
        };
        let read = sources.read(*deployment, &self.key, wallet)?;
        let said = &read.report.json["compared"]["copy"];
        let found = Misfit::ALL.into_iter().find(|one| said == one.name());
        let doubt = nonce.zip(found).map(|(nonce, found)| Doubt { nonce, found });
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = doubt;
        Ok(read)
    }

    fn previews(&self) -> MutexGuard<'_, Previews> {
        // Whatever was left there, what is shown last is taken before anything is signed.
        self.previews.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what would be signed, and keeps it until it is signed or another one is shown.
    fn preview(&self, body: &[u8]) -> anyhow::Result<Value> {
        // Also where this one comes to nothing.
        self.previews().shown = None;
        let wanted = Wanted::parse(body)?;
        self.check_nothing_waits()?;
        let wallet = self.copy()?;
        if self.misfit(&wallet) == Some(Misfit::Behind) {
            return Err(PageFault::CopyBehind.into());
        }
        let (mut draft, question) = match wanted {
            Wanted::Write(wanted) => {
                let Rule { kind, rule, question } = *wanted;
                (Draft::write(wallet, kind, &rule, VALID_FOR_MS)?, Some(question))
            }
            Wanted::Revoke(slot) => (Draft::revoke(wallet, slot, VALID_FOR_MS)?, None),
            Wanted::Stop => (Draft::stop(wallet, VALID_FOR_MS)?, None),
        };
        let after = draft.effect()?;
        let named = std::mem::take(&mut draft.written.named);
        // Without the lock: a node that does not answer keeps nobody from taking a rule back.
        let answer = (self.given.ask_names)(&named);
        let names = CheckedNames::new(named, answer);
        let preview = draft.preview(names, &after, question.as_ref())?;
        let mut previews = self.previews();
        // Something may have been sent since; that the copy is another by now is found when this
        // is signed.
        self.check_nothing_waits()?;
        previews.count += 1;
        let mut json = preview.json.clone();
        json["preview"] = previews.count.into();
        json["text"] = preview.text.as_str().into();
        json["valid_until_ms"] = draft.operation.valid_until.unix_ms().into();
        json["fingerprint"] = self.given.deployment.fingerprint.to_string().into();
        previews.shown = Some(Shown { number: previews.count, draft, preview });
        Ok(json)
    }

    /// Signs exactly what was shown, hands it in, and takes it over by its receipt.
    fn sign(&self, Agreed { preview, allow_unknown }: Agreed) -> anyhow::Result<Report> {
        // Held until its answer is there: one after the other.
        let mut previews = self.previews();
        let shown = previews.shown.take().filter(|shown| shown.number == preview);
        let shown = shown.ok_or(PageFault::PreviewGone)?;
        if !allow_unknown && shown.preview.names.unknown().is_some() {
            // Said for the rule as it was meant, and not for a name that is there by mistake. It
            // stays shown: nothing was signed.
            previews.shown = Some(shown);
            return Err(PageFault::NameUnknown.into());
        }
        let Shown { draft, preview, .. } = shown;
        let Given { key_path, deployment, .. } = &self.given;
        let _lock = KeyLock::take(key_path)?;
        self.check_nothing_waits()?;
        // Another program of this key may have signed since.
        if self.copy()?.record != draft.wallet.record {
            return Err(PageFault::Changed.into());
        }
        if draft.operation.valid_until <= now() {
            return Err(PageFault::Over.into());
        }
        draft.effect()?;
        if self.has_ended.load(Ordering::SeqCst) {
            return Err(PageFault::Ended.into());
        }
        let report = draft.hand_in(&self.key, key_path, &self.way(), preview)?;
        Ok(tell_deployment(deployment.fingerprint, report))
    }

    fn way(&self) -> Way<'_> {
        let Given { door, deployment, receipts, .. } = &self.given;
        Way { door, deployment: *deployment, receipts: Some(receipts.folder.as_path()) }
    }

    /// Signed on top of it, an operation would have a nonce that may be used.
    fn check_nothing_waits(&self) -> anyhow::Result<()> {
        match handed_in::read(&Pending::of_key(&self.given.key_path))? {
            Some(_) => Err(PageFault::Pending.into()),
            None => Ok(()),
        }
    }

    /// Hands in again what has no answer.
    fn finish(&self) -> anyhow::Result<Value> {
        let _one = self.previews();
        let _lock = KeyLock::take(&self.given.key_path)?;
        let mut wallet = self.copy()?;
        let schema = "vitals-wallet-finished-1";
        Ok(match self.way().finish(&self.given.key_path, &mut wallet)? {
            Finished::Nothing => json!({ "schema": schema, "found": "nothing" }),
            Finished::Over => json!({ "schema": schema, "found": "over" }),
            Finished::Applied(handed) => {
                let HandedIn { applied, not_kept } = *handed;
                json!({
                    "schema": schema, "found": "applied", "not_kept": not_kept,
                    "effective": Utc(applied.time).to_string(), "position": applied.position.0,
                })
            }
        })
    }

    /// Makes the copy anew from the log, if the log has all that the copy has.
    fn rebuild(&self) -> anyhow::Result<Report> {
        let _one = self.previews();
        let _lock = KeyLock::take(&self.given.key_path)?;
        // The page asks for its log by itself when it opens: that one is waited for.
        let one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = self.read_alone(&one)?;
        let settled = read.nonce().ok_or(PageFault::NoRecord)?;
        let copy = read_copy(&self.given.key_path, self.given.deployment)?;
        let own = copy.and_then(|wallet| wallet.record);
        if own.is_some_and(|record| record.nonce > settled) {
            return Err(PageFault::Behind.into());
        }
        if read.report.json["compared"]["copy"] == Misfit::Unexplained.name() {
            return Err(PageFault::Evidence.into());
        }
        read.rebuild(&self.given.key_path)?;
        Ok(read.report)
    }
}

/// An object with what is said to people, and how the command would end.
fn in_full(report: Report) -> Value {
    let Report { text, mut json, exit, .. } = report;
    json["text"] = text.into();
    json["exit"] = exit.number().into();
    json["done"] = (exit == ExitCode::Ok).into();
    json
}

/// The words that a rule may use.
fn words() -> Value {
    let categories: Vec<_> = Category::ALL.iter().map(|one| one.name()).collect();
    let purposes: Vec<_> = Purpose::ALL.iter().map(|one| one.name()).collect();
    let kinds: Vec<_> = ClaimKind::ALL.iter().map(|one| one.name()).collect();
    let labels: Vec<_> = Label::ALL.iter().map(|one| one.name()).collect();
    json!({ "categories": categories, "purposes": purposes, "kinds": kinds, "labels": labels })
}

#[cfg(test)]
mod tests;
