//! Carries out a patient's request to erase their readings, and legal holds.
//!
//! ```text
//!   request -> stop settled? -> [ledger: signed by the patient, no hold] -> tombstone, durable
//!                                                                              |
//!                     keys destroyed, told until when a copy may be <----------/
//! ```
//! The tombstone before the keys: whatever fails behind it, and whoever puts an older key folder
//! back, a look once a minute and the next start destroy them for it ([`destroy_again`]).

use std::sync::Arc;

use model::{BatchNumber, Clock as _, IdError, Millis, PatientIndex, calendar, with_causes};
use serde_json::{Value, json};
use thiserror::Error;
use wire::{DecodeError, HoldChange, HoldEntry, Reason, SignedErasure};

use crate::clock::NodeClock;
use crate::doors::codes::ORDER_PANICKED;
use crate::doors::key_desk::KeyDesk;
use crate::folder::erasure_requests::ErasureRequests;
use crate::folder::store::{Store, StoreError};
use crate::folder::who::Who;
use crate::stages::deliver::ReceiptHub;
use crate::stages::ingest::{Admit, AdmitError};
use crate::stages::ledger::{Answer, Erasures, Item, LedgerView, NotErased, Tombstone};

/// Patients whose keys one order destroys at most: it has to fit into a line.
const DESTROYED_MAX: usize = 1_000;

/// Why nothing is erased, or no hold is changed.
#[derive(Debug, Error)]
pub(super) enum ErasingError {
    #[error("expected a patient index below 2^24")]
    Patient(#[from] IdError),
    #[error("expected 1 to {DESTROYED_MAX} patients, found {0}")]
    Patients(usize),
    #[error("expected no legal hold on patient {patient}, found one since {}", calendar::Utc(*since))]
    Held { patient: u32, since: Millis },
    #[error("expected a signed request to erase, as `vitals consent erase` writes it")]
    Hex(#[from] hex::FromHexError),
    #[error("expected a signed request to erase, as `vitals consent erase` writes it")]
    Request(#[from] DecodeError),
    #[error(
        "expected a request that this patient handed in, found none: --request FILE names one that \
         came another way"
    )]
    NotAsked,
    #[error("expected a request of the patient that is named, found one of another")]
    OtherPatient,
    #[error(
        "expected the stop of {} and all that was collected before it on the chain, found batches \
         settled until {}: `sequencer seal now` ends the window, `sequencer status` says how far \
         batches are; ask again then",
        calendar::Utc(*stopped), calendar::Utc(*settled)
    )]
    NotSettled { stopped: Millis, settled: Millis },
    #[error(transparent)]
    NotErased(#[from] NotErased),
    #[error("{0}")]
    Refused(String),
    #[error(
        "expected --reason TEXT of at least 4 letters, and at most 256 bytes each of it and of --as"
    )]
    Words,
    #[error("it is not taken now")]
    Admit(#[from] AdmitError),
    #[error("how far batches are settled cannot be read")]
    Store(#[from] StoreError),
    #[error(
        "the erasure stands in the journal, and the keys are not all destroyed: {0}; the node tries \
         again once a minute, or when it is asked again"
    )]
    Keys(String),
}

/// What erasing reaches. Cheap to clone.
#[derive(Clone)]
pub(super) struct Erasing {
    pub(super) admit: Admit,
    pub(super) view: LedgerView,
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<NodeClock>,
    pub(super) hub: ReceiptHub,
    pub(super) keys: KeyDesk,
    pub(super) requests: ErasureRequests,
}

impl Erasing {
    /// Erases the readings of a patient: the answer says until when a copy of their keys may exist,
    /// and has the receipt of the tombstone. Asked again with the same request it does the rest.
    /// Without a request it takes the one that the patient handed in over HTTP.
    pub(super) async fn erase(
        &self,
        patient: u32,
        request: Option<&str>,
    ) -> Result<Value, ErasingError> {
        let patient = PatientIndex::new(patient)?;
        let signed = match request {
            Some(request) => SignedErasure::from_bytes(&hex::decode(request)?)?,
            None => self.requests.of(patient).ok_or(ErasingError::NotAsked)?,
        };
        if signed.request.patient != patient {
            return Err(ErasingError::OtherPatient);
        }
        let digest = signed.digest()?;
        let tombstone = match self.view.erasures().tombstone(patient).copied() {
            Some(tombstone) if tombstone.digest == digest => tombstone,
            Some(Tombstone { time: at, .. }) => return Err(NotErased::Erased { at }.into()),
            None => self.journal(signed).await?,
        };
        let erasing = self.clone();
        let done = tokio::task::spawn_blocking(move || erasing.destroy(patient, &tombstone)).await;
        done.unwrap_or_else(|_| Err(ErasingError::Keys(ORDER_PANICKED.code.into())))
    }

    /// Destroys every key of these patients, which needs no request of theirs; not of one whom a
    /// legal hold is on, nor then of the others.
    pub(super) async fn destroy_named(&self, patients: &[u32]) -> Result<Value, ErasingError> {
        if !(1..=DESTROYED_MAX).contains(&patients.len()) {
            return Err(ErasingError::Patients(patients.len()));
        }
        let patients = patients.iter().map(|index| PatientIndex::new(*index));
        let patients = patients.collect::<Result<Vec<_>, _>>()?;
        let erasures = self.view.erasures();
        let held = |patient: &PatientIndex| Some((*patient, erasures.hold(*patient)?.since));
        if let Some((patient, since)) = patients.iter().find_map(held) {
            return Err(ErasingError::Held { patient: patient.get(), since });
        }
        let erasing = self.clone();
        let done = move || {
            let destroyed = erasing.keys.destroy(&patients, erasing.clock.now())?;
            Ok(json!({
                "schema": "vitals-keys-destroyed-1",
                "patients": patients.len(),
                "keys": destroyed.keys,
                "last_copy_expires_ms": destroyed.copies_until.map(Millis::unix_ms),
                "unsealed_frames": erasing.unsealed_frames(),
            }))
        };
        let done = tokio::task::spawn_blocking(done).await;
        let done = done.unwrap_or_else(|_| Err(ORDER_PANICKED.code.into()));
        done.map_err(ErasingError::Refused)
    }

    /// Whether the journal has readings that no key was ever over; none where nobody can tell,
    /// because its first files are not here. Blocks for as long as the disk takes.
    fn unsealed_frames(&self) -> Option<bool> {
        self.hub.has_unsealed_frames().ok()
    }

    async fn journal(&self, signed: SignedErasure) -> Result<Tombstone, ErasingError> {
        self.check_settled(signed.request.patient)?;
        match self.admit.submit(Item::Erase(Box::new(signed))).await? {
            Answer::Erased(tombstone) => Ok(tombstone),
            Answer::Refused(refusal) => Err(ErasingError::Refused(refusal.detail)),
            other => Err(ErasingError::Refused(format!("expected an erasure, found {other:?}"))),
        }
    }

    /// No claim of the patient comes behind their stop, so that with its window all of theirs are
    /// on the chain; and no window that is still to be proven needs a reading that is gone.
    fn check_settled(&self, patient: PatientIndex) -> Result<(), ErasingError> {
        let stopped = self.view.owner(patient).ok_or(NotErased::NotEnrolled)?.closed_at;
        if stopped == Millis::UNBOUNDED_FUTURE {
            return Err(NotErased::NotStopped.into());
        }
        let settled = settled_until(&self.store)?;
        match is_settled(stopped, settled) {
            true => Ok(()),
            false => Err(ErasingError::NotSettled { stopped, settled }),
        }
    }

    /// Blocks for as long as the disk takes.
    fn destroy(&self, patient: PatientIndex, of: &Tombstone) -> Result<Value, ErasingError> {
        let destroyed = self.keys.destroy(&[patient], self.clock.now());
        let destroyed = destroyed.map_err(ErasingError::Keys)?;
        // It is erased all the same; what waits of it is told as done, and forgotten the next time.
        if let Err(error) = self.requests.forget(patient) {
            tracing::warn!(%error, "a request to erase that was carried out is still kept");
        }
        let receipt = self.hub.receipt_at(of.position, of.requester);
        let (receipt, why) = match receipt {
            Ok(receipt) => (Some(hex::encode(receipt.to_bytes())), None),
            // It is erased all the same, and whoever asks again gets it.
            Err(error) => (None, Some(with_causes(&error))),
        };
        Ok(json!({
            "schema": "vitals-erased-1",
            "position": of.position.0,
            "at_ms": of.time.unix_ms(),
            "request": hex::encode(of.digest.0),
            "keys": destroyed.keys,
            "last_copy_expires_ms": destroyed.copies_until.map(Millis::unix_ms),
            "unsealed_frames": self.unsealed_frames(),
            "receipt": receipt,
            "not_receipted": why,
        }))
    }

    /// Sets or clears a legal hold, in the words of whoever orders it.
    pub(super) async fn hold(
        &self,
        patient: u32,
        change: HoldChange,
        who: &Who,
    ) -> Result<Value, ErasingError> {
        let patient = PatientIndex::new(patient)?;
        let words = |text: &str| Reason::new(text).map_err(|_| ErasingError::Words);
        let reason = words(who.reason.as_deref().unwrap_or_default())?;
        if !reason.says_something() {
            return Err(ErasingError::Words);
        }
        let who = words(&Who { reason: None, ..who.clone() }.to_string())?;
        let entry = HoldEntry { patient, change, reason, who };
        match self.admit.submit(Item::Hold(Box::new(entry))).await? {
            Answer::HoldChanged { position } => Ok(json!({
                "schema": "vitals-hold-1", "position": position.0,
            })),
            Answer::Refused(refusal) => Err(ErasingError::Refused(refusal.detail)),
            other => Err(ErasingError::Refused(format!("expected a hold, found {other:?}"))),
        }
    }

    /// Every legal hold, every request to erase that waits, and how many patients are erased.
    pub(super) fn holds(&self) -> Value {
        let erasures = self.view.erasures();
        let holds = erasures.holds().map(|(patient, hold)| {
            json!({
                "patient": patient.get(), "since_ms": hold.since.unix_ms(),
                "position": hold.position.0, "reason": hold.reason.as_str(),
                "who": hold.who.as_str(),
            })
        });
        let waiting = open_requests(&self.requests, &erasures, self.clock.now());
        let requests = waiting.iter().map(|signed| {
            let request = signed.request;
            json!({
                "patient": request.patient.get(),
                "requested_at_ms": request.requested_at.unix_ms(),
                "valid_until_ms": request.valid_until.unix_ms(),
                "held": erasures.hold(request.patient).is_some(),
            })
        });
        json!({
            "schema": "vitals-holds-1",
            "holds": holds.collect::<Vec<_>>(),
            "requests": requests.collect::<Vec<_>>(),
            "patients_erased": erasures.erased().count(),
        })
    }
}

/// Requests that wait and were not carried out: one that was may still be kept.
pub(super) fn open_requests(
    requests: &ErasureRequests,
    erasures: &Erasures,
    now: Millis,
) -> Vec<SignedErasure> {
    let mut waiting = requests.waiting(now);
    waiting.retain(|signed| erasures.tombstone(signed.request.patient).is_none());
    waiting
}

/// Where the last settled batch ends.
pub(super) fn settled_until(store: &Store) -> Result<Millis, StoreError> {
    Ok(match store.last_settled()? {
        BatchNumber(0) => Millis::UNBOUNDED_PAST,
        number => store.batch(number)?.map_or(Millis::UNBOUNDED_PAST, |row| row.t1),
    })
}

/// Whether a stop, and with it all claims of its patient, is on the chain: a window ends before t1.
pub(super) fn is_settled(stopped: Millis, settled: Millis) -> bool {
    stopped < settled
}

/// Destroys keys of patients whose tombstones the journal has: a node that ended between the two,
/// or a key folder or backup of keys of before that was put back. Blocks for as long as the disk
/// takes. A disk that refuses keeps nobody else from being served: nothing of an erased patient is
/// released, whatever keys there are, and it is tried again.
pub(super) fn destroy_again(keys: &KeyDesk, erasures: &Erasures, now: Millis) {
    if erasures.erased().next().is_none() {
        return;
    }
    let here: Vec<_> = erasures.erased().filter(|patient| keys.has_keys_of(*patient)).collect();
    if here.is_empty() {
        // A disk that took the keys may have refused these.
        if let Err(error) = keys.erase_states() {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a snapshot with readings of who is erased cannot be erased");
        }
        return;
    }
    let patients = here.len();
    match keys.destroy(&here, now) {
        Ok(destroyed) => tracing::warn!(
            patients,
            keys = destroyed.keys,
            "keys of patients who are erased were here, and are destroyed again"
        ),
        Err(error) => tracing::error!(
            patients,
            error,
            "keys of patients who are erased are here, and cannot be destroyed: make room in the \
             key folder"
        ),
    }
}
