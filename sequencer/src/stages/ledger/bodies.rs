//! Readings are sealed where their frame is written into its group, and opened by whoever reads one
//! back: this is the one door to them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bodies::{
    BodyEpoch, BodyError, BodyKeys, EntryPlace, GroupKey, KeyId, KeyStoreError, RestAt, SealedAt,
};
use model::{DeviceId, Interval, Millis, PatientIndex, Position};
use thiserror::Error;
use wire::{FrameEntry, FrameError, SealedFrame, Sealing, StoringFrame};

/// What seals and opens the readings of one journal.
#[derive(Clone)]
pub struct BodySeal {
    keys: Option<BodyKeys>,
    log_id: [u8; 16],
}

/// Hides everything but whether there are keys.
impl fmt::Debug for BodySeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodySeal({:?})", self.keys)
    }
}

/// Whose last readings of an open segment are written down, and where they stand.
#[derive(Clone, Copy)]
pub(super) struct RestOf<'a> {
    pub(super) patient: PatientIndex,
    /// Of the segment's first frame.
    pub(super) epoch: BodyEpoch,
    /// Of its last one.
    pub(super) position: Position,
    pub(super) device: &'a DeviceId,
}

/// A sealed frame that is not to be had.
#[derive(Debug, Error)]
pub enum UnsealError {
    /// It does not open.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It opens to something that is no frame.
    #[error("expected sealed readings that are of their frame")]
    Frame(#[from] FrameError),
}

impl UnsealError {
    /// Whether its patient was erased: then nobody will ever read it, and nothing is wrong.
    pub fn is_erased(&self) -> bool {
        matches!(self, UnsealError::Body(BodyError::KeyDestroyed { .. }))
    }
}

impl UnsealError {
    /// Whether its key is not here: then it may be put back.
    pub fn is_absent(&self) -> bool {
        matches!(self, UnsealError::Body(BodyError::KeyAbsent { .. }))
    }
}

impl BodySeal {
    /// Of the journal with this id, under these keys.
    pub fn new(keys: BodyKeys, log_id: [u8; 16]) -> BodySeal {
        BodySeal { keys: Some(keys), log_id }
    }

    /// Without keys: every sealed frame is one whose key is absent, and no frame can be stored. For
    /// whoever looks at a journal that needs no reading of it.
    pub fn keyless(log_id: [u8; 16]) -> BodySeal {
        BodySeal { keys: None, log_id }
    }

    /// The frame that a sealed one was.
    ///
    /// # Errors
    /// [`UnsealError`]; everything else of the journal is served on.
    pub fn open(&self, frame: &SealedFrame, at: &EntryPlace) -> Result<FrameEntry, UnsealError> {
        let epoch = frame.sealing.body_epoch;
        let keys = self.keys.as_ref().ok_or(BodyError::KeyAbsent { epoch })?;
        let id = KeyId { patient: frame.key.patient, epoch: BodyEpoch(epoch) };
        let mut readings = frame.sealed().to_vec();
        let of = SealedAt { log_id: &self.log_id, at, clear: frame.clear() };
        keys.open_body(id, &of, &mut readings)?;
        Ok(frame.with_readings(&readings)?)
    }

    /// The newest of the patient's keys; nothing without one.
    pub(super) fn newest(&self, patient: PatientIndex) -> Option<BodyEpoch> {
        self.keys.as_ref()?.newest(patient)
    }

    /// Whether keys of the patient were ever destroyed.
    pub(super) fn was_destroyed(&self, patient: PatientIndex) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.was_destroyed(patient))
    }

    /// The last readings of an open segment, sealed; nothing where their key is not here.
    pub(super) fn seal_rest(&self, of: &RestOf<'_>, rest: &[u8]) -> Option<Vec<u8>> {
        let id = KeyId { patient: of.patient, epoch: of.epoch };
        self.keys.as_ref()?.seal_rest(id, &self.rest_at(of), rest)
    }

    /// What [`BodySeal::seal_rest`] sealed.
    ///
    /// # Errors
    /// [`BodyError`].
    pub(super) fn open_rest(&self, of: &RestOf<'_>, sealed: &[u8]) -> Result<Vec<u8>, BodyError> {
        let id = KeyId { patient: of.patient, epoch: of.epoch };
        let absent = BodyError::KeyAbsent { epoch: of.epoch.0 };
        self.keys.as_ref().ok_or(absent)?.open_rest(id, &self.rest_at(of), sealed)
    }

    fn rest_at<'a>(&'a self, of: &RestOf<'a>) -> RestAt<'a> {
        let (position, device) = (of.position.0, of.device.as_str().as_bytes());
        RestAt { log_id: &self.log_id, position, device }
    }
}

/// Patients whose first frame is expected, at most; those of others get a key of their own.
const EXPECTED_MAX: usize = 1_024;

/// Seals on the writer thread. Holds the keys of the group that is being filled: a patient's is
/// derived once for all its frames there.
///
/// A new key is durable before the frame that needs it is in the group, and not only before the
/// group is written: where it cannot be had, that frame alone is refused, and not everybody's.
pub(super) struct BodyWriter {
    seal: BodySeal,
    salt: [u8; 32],
    /// At most one for each entry of a group.
    group: BTreeMap<PatientIndex, GroupKey>,
    /// Up to which of the times that keys were destroyed they were derived.
    destroys: u64,
    /// Whose stream was opened: when thousands of monitors come at once, the first frame makes the
    /// keys of all of them, with one write. One whose patient never consents has a key that seals
    /// nothing.
    expected: BTreeSet<PatientIndex>,
}

/// Why a frame cannot be sealed.
#[derive(Debug, Error)]
pub(super) enum NotSealed {
    /// There is no key for it.
    #[error("no key to seal it under")]
    Key(#[from] KeyStoreError),
    /// Only looked at.
    #[error("expected the keys of bodies, found none")]
    Keyless,
}

impl BodyWriter {
    pub(super) fn new(seal: BodySeal) -> BodyWriter {
        let (group, expected) = (BTreeMap::new(), BTreeSet::new());
        BodyWriter { seal, salt: [0; 32], group, destroys: 0, expected }
    }

    /// Frames of this patient are to come.
    pub(super) fn expect(&mut self, patient: PatientIndex) {
        if self.expected.len() < EXPECTED_MAX {
            self.expected.insert(patient);
        }
    }

    /// Appends the body of a frame to the record, its readings sealed there, and says how.
    pub(super) fn write(
        &mut self,
        frame: (StoringFrame<'_>, Interval),
        at: &EntryPlace,
        record: &mut Vec<u8>,
    ) -> Result<Sealing, NotSealed> {
        let (frame, measured) = frame;
        let key = self.group_key(frame.key.patient, at)?;
        let begin = record.len();
        let sealing = Sealing { body_epoch: key.epoch().0, measured };
        let readings_at = frame.write_to_seal(sealing, record);
        let (before, readings) = record.split_at_mut(readings_at);
        let tag = key.seal(at, &before[begin..], readings);
        record.extend_from_slice(&tag);
        Ok(sealing)
    }

    fn group_key(
        &mut self,
        patient: PatientIndex,
        at: &EntryPlace,
    ) -> Result<&GroupKey, NotSealed> {
        let keys = self.seal.keys.as_ref().ok_or(NotSealed::Keyless)?;
        let destroys = keys.destroys();
        // Within a group as well: what comes behind an erasure is collected anew, under a new key.
        // Under the old one it would be acknowledged, and nobody could open it.
        if (self.salt, self.destroys) != (at.salt, destroys) {
            self.group.clear();
            (self.salt, self.destroys) = (at.salt, destroys);
        }
        Ok(match self.group.entry(patient) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => {
                let now = Millis::new(at.time).unwrap_or(Millis::UNBOUNDED_FUTURE);
                if !keys.has_key(patient, now) {
                    let others = std::mem::take(&mut self.expected);
                    let all: Vec<_> = [patient].into_iter().chain(others).collect();
                    // What fails is told below, of this patient; of the others with their frames.
                    drop(keys.make(&all, now));
                }
                let in_log = (&self.seal.log_id, &at.salt);
                free.insert(keys.group_key(patient, now, in_log)?)
            }
        })
    }

    /// The group is written: no key outlives it here, also none that was destroyed meanwhile.
    pub(super) fn end_group(&mut self) {
        self.group.clear();
    }
}
