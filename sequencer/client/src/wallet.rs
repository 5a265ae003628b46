//! The wallet's own copy of its record: what it needs to sign the next operation.
//!
//! A record is not asked of the node: the wallet evolves its copy with [`statement::c1::apply`],
//! the function that the node runs and the circuit proves, at the time that the verified receipt
//! states. So it always knows nonce and rules, and trusts nobody for them. A copy that is lost or
//! behind is rebuilt from the latest opening of a settled batch (`vitals log --rebuild`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::{
    Action, ChainScope, DecodeError, Millis, Operation, PatientIndex, Record, Rule, RuleSlot, Word,
    WordError,
};
use serde::{Deserialize, Serialize};
use statement::c1::{self, C1Error, Context};
use statement::operation::SignedOperation;
use statement::{field, scope};
use thiserror::Error;

use crate::key::Key;
use crate::party::Names;
use crate::rule_slot;

const SCHEMA: &str = "vitals-record-1";
const FILE_BYTES_MAX: u64 = 1 << 20;
/// By how much [`date_back`] does.
const CLOCK_SLACK_MS: u64 = 5_000;

/// The copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wallet {
    /// Which deployment the record is of.
    pub scope: ChainScope,
    /// Which record.
    pub patient: PatientIndex,
    /// The record; `None` before the enrolment.
    pub record: Option<Record>,
    /// Names of those whom its rules name.
    pub names: Names,
}

/// A copy that cannot be read, or an operation that it does not allow.
#[derive(Debug, Error)]
pub enum WalletError {
    /// The file cannot be read or written.
    #[error("the record file {path} is not accessible")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content is no copy of a record.
    #[error("expected a record file (schema {SCHEMA})")]
    Format(#[from] serde_json::Error),
    /// A field in it is malformed.
    #[error("expected {what} in the record file")]
    Field {
        /// What was expected.
        what: &'static str,
    },
    /// The record in it is malformed.
    #[error("expected the bytes of a record in the record file")]
    Record(#[from] DecodeError),
    /// A name's word is malformed.
    #[error("expected field elements as words of names in the record file")]
    Word(#[from] WordError),
    /// A copy of another deployment.
    #[error("expected a record of this chain and contract, found one of another deployment")]
    Deployment,
    /// Nothing is enrolled yet.
    #[error("expected an enrolled record, found none: vitals consent enrol comes first")]
    NotEnrolled,
    /// The slot is empty.
    #[error("expected a rule in the slot, found none")]
    EmptySlot,
    /// No slot of this kind of rule is free.
    #[error(
        "expected a slot that is empty or whose rule has ended: revoke one, and wait until the \
             window in which it ended is closed"
    )]
    NoSlot,
    /// A rule of operations is broken.
    #[error("the record does not allow it")]
    Operation(#[from] C1Error),
}

impl Wallet {
    /// A copy before the enrolment.
    pub fn new(scope: ChainScope, patient: PatientIndex) -> Wallet {
        Wallet { scope, patient, record: None, names: Names::default() }
    }

    /// Where the copy of a key's record stands: beside the key.
    pub fn path(key: &Path) -> PathBuf {
        let mut path = key.as_os_str().to_owned();
        path.push(".record");
        path.into()
    }

    /// Reads a copy.
    ///
    /// # Errors
    /// [`WalletError`] that says what the file lacks, or [`WalletError::Deployment`].
    pub fn read(path: &Path, scope: ChainScope) -> Result<Wallet, WalletError> {
        let wrong = |source| WalletError::File { path: path.to_owned(), source };
        let bytes = files::read(path, FILE_BYTES_MAX, files::Audience::Owner).map_err(wrong)?;
        let wallet = Wallet::from_json(&bytes)?;
        // A signature is good for one chain and contract: with another's nonce it would be refused,
        // and with another's rules the preview would be wrong.
        if wallet.scope == scope { Ok(wallet) } else { Err(WalletError::Deployment) }
    }

    /// Writes the copy, readable for its owner alone: it holds the view key.
    ///
    /// # Errors
    /// [`WalletError::File`].
    pub fn write(&self, path: &Path) -> Result<(), WalletError> {
        let wrong = |source| WalletError::File { path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(&self.to_file())? + "\n";
        files::replace(path, &[text.as_bytes()], files::Audience::Owner).map_err(wrong)
    }

    fn to_file(&self) -> File {
        let names = self.names.0.iter().map(|(word, name)| (word.to_hex(), name.clone()));
        File {
            schema: SCHEMA.to_owned(),
            chain_id: self.scope.chain_id,
            contract: hex::encode(self.scope.contract),
            patient: self.patient.get(),
            record: self.record.as_ref().map(|record| hex::encode(record.to_bytes())),
            names: names.collect(),
        }
    }

    fn from_json(json: &[u8]) -> Result<Wallet, WalletError> {
        let file: File = serde_json::from_slice(json)?;
        let wrong = |what| WalletError::Field { what };
        if file.schema != SCHEMA {
            return Err(wrong("schema vitals-record-1"));
        }
        let mut contract = [0; 20];
        hex::decode_to_slice(&file.contract, &mut contract)
            .map_err(|_| wrong("a contract address"))?;
        let record = file.record.map(hex::decode).transpose();
        let record = record.map_err(|_| wrong("a record in hex"))?;
        let names = file.names.into_iter();
        let names = names.map(|(word, name)| Ok((Word::from_hex(&word)?, name)));
        let patient = PatientIndex::new(file.patient);
        Ok(Wallet {
            scope: ChainScope { chain_id: file.chain_id, contract },
            patient: patient.map_err(|_| wrong("a patient below 2^24"))?,
            record: record.map(|bytes| Record::from_bytes(&bytes)).transpose()?,
            names: Names(names.collect::<Result<_, WordError>>()?),
        })
    }

    /// The record.
    ///
    /// # Errors
    /// [`WalletError::NotEnrolled`].
    pub fn record(&self) -> Result<&Record, WalletError> {
        self.record.as_ref().ok_or(WalletError::NotEnrolled)
    }

    /// The enrolment of this patient, for the registrar to sign.
    pub fn enrolment(&self, key: &Key, now: Millis, valid_for_ms: u64) -> Operation {
        // All from the one secret: the key file alone opens the log that rebuilds a lost copy.
        let (key_hash, view_key, salt) = (key.key_hash(), key.view_key(), key.record_salt());
        self.operation(Action::Enrol { key_hash, view_key, salt }, 0, now, valid_for_ms)
    }

    /// An operation on the record as it stands.
    ///
    /// # Errors
    /// [`WalletError::NotEnrolled`].
    pub fn change(
        &self,
        action: Action,
        now: Millis,
        valid_for_ms: u64,
    ) -> Result<Operation, WalletError> {
        // The nonce orders operations: signed twice for one nonce, only one takes effect.
        Ok(self.operation(action, self.record()?.nonce, now, valid_for_ms))
    }

    fn operation(&self, action: Action, nonce: u32, now: Millis, valid_for_ms: u64) -> Operation {
        Operation {
            patient: self.patient,
            nonce,
            signed_at: date_back(now),
            valid_until: now.plus(valid_for_ms),
            action,
        }
    }

    /// The end of the rule in a slot.
    ///
    /// # Errors
    /// [`WalletError::NotEnrolled`] or [`WalletError::EmptySlot`].
    pub fn revocation(&self, slot: RuleSlot) -> Result<Action, WalletError> {
        let rule = *self.record()?.rule(slot).ok_or(WalletError::EmptySlot)?;
        Ok(Action::Revoke { slot, rule })
    }

    /// Where to write a rule: the first empty slot of its kind, else the one whose rule ended
    /// first. The node refuses a slot whose rule ended within the batch window that is open, if
    /// anything happened in that window.
    ///
    /// # Errors
    /// [`WalletError::NotEnrolled`] or [`WalletError::NoSlot`].
    pub fn free_slot(&self, kind: rule_slot::OfKind, now: Millis) -> Result<RuleSlot, WalletError> {
        let record = self.record()?;
        let end = |rule: &Rule| rule.access.until;
        let free = rule_slot::of_kind(kind)
            .filter(|slot| record.rule(*slot).is_none_or(|rule| end(rule) <= now));
        // An empty slot has no end, which sorts first. The oldest end is the least likely to lie in
        // the open window.
        free.min_by_key(|slot| record.rule(*slot).map(end)).ok_or(WalletError::NoSlot)
    }

    /// The record as it would be if the operation took effect at `at`.
    ///
    /// # Errors
    /// [`WalletError::Operation`] names the broken rule of SPEC.md.
    pub fn effect(&self, operation: &Operation, at: Millis) -> Result<Record, WalletError> {
        Ok(c1::effect(self.record.as_ref(), operation, &self.context(at, Word::ZERO))?)
    }

    /// Takes a receipted operation over into the copy: signature and every rule are checked as the
    /// node did.
    ///
    /// # Errors
    /// [`WalletError::Operation`]; the copy is then unchanged, and not what the node has.
    pub fn apply(
        &mut self,
        signed: &SignedOperation,
        t_op: Millis,
        registrar: Word,
    ) -> Result<(), WalletError> {
        let context = self.context(t_op, registrar);
        // At the receipt's time and not this machine's: the node's record changed as of then, and
        // the copy has to hash to the same leaf.
        self.record = Some(c1::apply(self.record.as_ref(), signed, &context)?);
        Ok(())
    }

    /// The wallet knows neither window nor other operations: it leaves to the node what depends
    /// on them (C1.2, C1.3, and C1.17 as far as the window's begin goes).
    fn context(&self, t_op: Millis, registrar: Word) -> Context {
        Context {
            sig_domain: scope::sig_domain(self.scope),
            registrar_key_hash: field::from_word(&registrar),
            // The loosest begin; the node holds the operation against that of the open window.
            t0: t_op,
            last_time: Millis::UNBOUNDED_PAST,
            t_op,
            t1: None,
        }
    }
}

/// When to say that something was signed: 5 s before `now`, so that a node whose clock is a little
/// behind does not refuse it as from the future. Harmless: no rule begins and no request is decided
/// before the node has it.
pub fn date_back(now: Millis) -> Millis {
    // Not above a time, so it is one.
    Millis::new(now.get().saturating_sub(CLOCK_SLACK_MS)).unwrap_or(now)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    chain_id: u64,
    contract: String,
    patient: u32,
    record: Option<String>,
    names: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyKind;
    use crate::party::actor;
    use model::ClaimKind;

    const HOUR: u64 = 3_600_000;

    fn at(hour: u64) -> Millis {
        Millis::from_unix_ms(1_777_624_200_000 + hour * HOUR)
    }

    fn rule() -> Rule {
        Rule::widest(actor("practitioner:dr-001").unwrap(), ClaimKind::Access.only())
    }

    struct Case {
        wallet: Wallet,
        patient: Key,
        registrar: Key,
    }

    impl Case {
        fn enrolled() -> Case {
            let scope = ChainScope { chain_id: 5, contract: [1; 20] };
            let patient = Key::from_secret(KeyKind::Patient, [7; 32]);
            let registrar = Key::from_secret(KeyKind::Registrar, [8; 32]);
            let wallet = Wallet::new(scope, PatientIndex::new(3).unwrap());
            let mut case = Case { wallet, patient, registrar };
            let operation = case.wallet.enrolment(&case.patient, at(0), HOUR);
            let domain = scope::sig_domain(scope);
            let signed = SignedOperation::sign(operation, domain, &case.registrar.signer());
            case.wallet.apply(&signed, at(0), case.registrar.key_hash()).unwrap();
            case
        }

        fn change(&mut self, action: Action, t_op: Millis) -> Result<(), WalletError> {
            let operation = self.wallet.change(action, t_op, HOUR)?;
            let domain = scope::sig_domain(self.wallet.scope);
            let signed = SignedOperation::sign(operation, domain, &self.patient.signer());
            self.wallet.apply(&signed, t_op, self.registrar.key_hash())
        }

        fn permit(&mut self, hour: u64) -> Result<(), WalletError> {
            let slot = self.wallet.free_slot(RuleSlot::Permit, at(hour))?;
            self.change(Action::Write { slot, rule: rule() }, at(hour))
        }
    }

    #[test]
    fn a_copy_follows_its_receipts_from_enrolment_to_stop() {
        let mut case = Case::enrolled();
        case.permit(1).unwrap();
        let first = RuleSlot::Permit(0);
        let stored = *case.wallet.record().unwrap().rule(first).unwrap();
        assert_eq!(stored.access.from, at(1), "it begins when the node has it, not when signed");
        case.change(case.wallet.revocation(first).unwrap(), at(2)).unwrap();
        case.change(Action::Stop, at(3)).unwrap();
        let record = case.wallet.record().unwrap();
        assert_eq!((record.nonce, record.closed_at), (3, at(3)));
        let broken = case.permit(4).unwrap_err();
        assert!(matches!(broken, WalletError::Operation(error) if error.rule.number == 12));
    }

    #[test]
    fn a_free_slot_is_an_empty_one_then_the_one_that_ended_first() {
        let mut case = Case::enrolled();
        (1..=8).for_each(|hour| case.permit(hour).unwrap());
        assert!(matches!(case.permit(9), Err(WalletError::NoSlot)));
        for (slot, hour) in [(5, 10), (2, 11)] {
            let action = case.wallet.revocation(RuleSlot::Permit(slot)).unwrap();
            case.change(action, at(hour)).unwrap();
        }
        let free = case.wallet.free_slot(RuleSlot::Permit, at(12)).unwrap();
        assert_eq!(free, RuleSlot::Permit(5));
    }

    #[test]
    fn an_operation_signed_by_another_key_is_not_taken_over() {
        let mut case = Case::enrolled();
        let before = case.wallet.clone();
        let operation = case.wallet.change(Action::Stop, at(1), HOUR).unwrap();
        let domain = scope::sig_domain(case.wallet.scope);
        let signed = SignedOperation::sign(operation, domain, &case.registrar.signer());
        assert!(case.wallet.apply(&signed, at(1), case.registrar.key_hash()).is_err());
        assert_eq!(case.wallet, before);
    }

    #[test]
    fn the_file_comes_back_and_another_deployment_is_refused() {
        let mut case = Case::enrolled();
        case.wallet.names.learn("practitioner:dr-001", &rule().actor);
        let folder = tempfile::tempdir().unwrap();
        let path = Wallet::path(&folder.path().join("anna.key"));
        assert!(path.ends_with("anna.key.record"));
        case.wallet.write(&path).unwrap();
        assert_eq!(Wallet::read(&path, case.wallet.scope).unwrap(), case.wallet);
        let other = ChainScope { chain_id: 6, contract: [1; 20] };
        assert!(matches!(Wallet::read(&path, other), Err(WalletError::Deployment)));
        assert!(Wallet::from_json(b"{}").is_err());
    }

    #[test]
    fn nothing_is_signed_before_the_enrolment() {
        let scope = ChainScope { chain_id: 5, contract: [1; 20] };
        let wallet = Wallet::new(scope, PatientIndex::new(3).unwrap());
        let refused = wallet.change(Action::Stop, at(0), HOUR);
        assert!(matches!(refused, Err(WalletError::NotEnrolled)));
    }
}
