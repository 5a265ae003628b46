//! The open window: operations and claims since the last close.

pub(super) mod codec;

use std::collections::{BTreeMap, BTreeSet};

use model::{
    BatchNumber, ChainScope, Claim, DeviceId, Digest, Millis, PatientIndex, Position, Window,
    limits,
};
use statement::batch::{RefusedAccess, SegmentEntry, SegmentKey, sort_segments};
use statement::c2;

use super::consent::Consent;
use super::refused::RefusedAccesses;
use super::segment::{FrameContent, FrameFacts, OpenSegment};
use crate::stages::rows::count_protecting;
use crate::window::{AppliedOperation, PatientState, WindowContents, WindowLimits};

/// Where a window begins, and in which deployment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin {
    /// Chain and contract.
    pub(super) scope: ChainScope,
    /// Number of its batch.
    pub(super) number: BatchNumber,
    /// t1 of the window before.
    pub(super) t0: Millis,
    /// Journal position of the close before.
    pub(super) position_in: Position,
}

/// Everything since the last close.
#[derive(Clone, Debug)]
pub(super) struct OpenWindow {
    begin: Begin,
    root_in: ark_bn254::Fr,
    operations: Vec<AppliedOperation>,
    claims: Vec<Claim>,
    requests: BTreeMap<Position, Vec<u8>>,
    segments: Vec<SegmentEntry>,
    refused: RefusedAccesses,
    open: BTreeMap<(PatientIndex, DeviceId), OpenSegment>,
    first: Option<Millis>,
    /// Claims of segments whose digests are others than those of their readings.
    unread: BTreeSet<Position>,
}

/// Segments of an open window that hold a frame as it is stored, without its readings, or one that
/// came behind readings which were not to be had: their digests are others than those of the node
/// that collected them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    claims: BTreeSet<Position>,
    open: BTreeSet<(PatientIndex, DeviceId)>,
}

impl Unread {
    /// Those of either.
    pub fn or(mut self, other: Unread) -> Unread {
        self.claims.extend(other.claims);
        self.open.extend(other.open);
        self
    }

    /// How many.
    pub fn segments(&self) -> usize {
        self.claims.len() + self.open.len()
    }
}

impl OpenWindow {
    pub(super) fn begin(begin: Begin, consent: &Consent) -> OpenWindow {
        OpenWindow {
            begin,
            root_in: consent.root(),
            operations: Vec::new(),
            claims: Vec::new(),
            requests: BTreeMap::new(),
            segments: Vec::new(),
            refused: RefusedAccesses::default(),
            open: BTreeMap::new(),
            first: None,
            unread: BTreeSet::new(),
        }
    }

    pub(super) fn position_in(&self) -> Position {
        self.begin.position_in
    }

    pub(super) fn number(&self) -> BatchNumber {
        self.begin.number
    }

    pub(super) fn t0(&self) -> Millis {
        self.begin.t0
    }

    /// When the first thing happened that a batch would prove. Refused accesses are told with the
    /// next batch: were they reason enough for one, whoever is refused could make the node settle.
    /// Only those of thousands of patients do, since their private file would be too long to read.
    pub(super) fn first(&self) -> Option<Millis> {
        self.first
    }

    /// Whether nothing happened that a batch would prove.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How many segments are open.
    pub(super) fn open_segments(&self) -> usize {
        self.open.len()
    }

    /// Open segments whose last readings were not to be had when they were read.
    pub(super) fn shut_segments(&self) -> usize {
        self.open.values().filter(|segment| segment.is_shut()).count()
    }

    /// What is not the hash of readings.
    pub(super) fn unread(&self) -> Unread {
        let open = self.open.iter().filter(|(_, segment)| segment.is_unread());
        let open = open.map(|(key, _)| key.clone()).collect();
        Unread { claims: self.unread.clone(), open }
    }

    /// The same without the digests and contents of these segments.
    pub(super) fn without(&self, unread: &Unread) -> OpenWindow {
        let mut window = self.clone();
        window.unread.retain(|position| !unread.claims.contains(position));
        let (none, mut digests) = (Digest([0; 31]), BTreeSet::new());
        for claim in window.claims.iter_mut().filter(|it| unread.claims.contains(&it.position)) {
            digests.insert(std::mem::replace(&mut claim.digest, none).0);
        }
        for segment in window.segments.iter_mut().filter(|it| digests.contains(&it.digest.0)) {
            // Its length, too, is that of what is stored.
            *segment = SegmentEntry::new(none, 0);
        }
        for (key, segment) in &mut window.open {
            match unread.open.contains(key) {
                true => segment.blank(),
                // As it is read, and not as it is sealed.
                false => segment.forget_epoch(),
            }
        }
        window
    }

    /// Operations, and claims, open segments included.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.operations.len(), self.claims.len() + self.open.len())
    }

    /// Most bytes that the window's private file has: each claim and each operation as if it
    /// were its patient's only one.
    pub(super) fn private_bytes(&self) -> usize {
        let (operations, claims) = self.counts();
        operations * limits::OPERATION_OPENING_BYTES
            + claims * limits::CLAIM_OPENING_BYTES
            + self.refused.private_bytes()
    }

    /// Operations that took rights away.
    pub(super) fn withdrawals(&self) -> u64 {
        count_protecting(&self.operations)
    }

    pub(super) fn is_full(&self, limits: &WindowLimits) -> bool {
        let (operations, claims) = self.counts();
        limits.are_reached(operations, claims)
    }

    /// Takes a frame that is covered by itself: into its device's segment if the grown segment is
    /// still covered by one rule, else into a new one.
    pub(super) fn take_frame(
        &mut self,
        consent: &Consent,
        device: &DeviceId,
        facts: &FrameFacts,
        frame: FrameContent<'_>,
    ) {
        // By device and not by stream: one claim covers all that a device sends, so that a window
        // has few claims however many signals there are.
        let key = (facts.patient, device.clone());
        self.first.get_or_insert(facts.at);
        let record = consent.record(facts.patient);
        if let Some(segment) = self.open.get_mut(&key) {
            // Two rules may each cover their frames while none covers the hull of both in time and
            // categories: then the claim could not be proven, so the segment ends here.
            let longer = segment.claim_with(facts);
            match longer.filter(|claim| c2::covers(record, claim).is_ok()) {
                Some(claim) => return segment.extend(claim, frame),
                None => self.cut(&key, consent),
            }
        }
        self.open.insert(key, OpenSegment::begin(facts, frame));
    }

    /// Takes an operation: the patient's segments end where its record changes.
    pub(super) fn take_operation(&mut self, consent: &Consent, applied: AppliedOperation) {
        // Whatever the operation changed: a claim is proven against one record only, and comparing
        // old with new here would be a second opinion on consent.
        let patient = applied.signed.operation.patient;
        let keys: Vec<_> = self.open.keys().filter(|(p, _)| *p == patient).cloned().collect();
        keys.iter().for_each(|key| self.cut(key, consent));
        self.first.get_or_insert(applied.t_op);
        self.operations.push(applied);
    }

    /// Takes the claim of a permitted access, and the signed request that it names.
    pub(super) fn take_access(&mut self, claim: Claim, request: Vec<u8>) {
        self.first.get_or_insert(claim.receipt.from);
        self.requests.insert(claim.position, request);
        self.claims.push(claim);
    }

    /// Takes an access that was refused, or a count of such.
    pub(super) fn take_refused(&mut self, patient: PatientIndex, refused: RefusedAccess) {
        self.refused.push(patient, refused);
    }

    fn cut(&mut self, key: &(PatientIndex, DeviceId), consent: &Consent) {
        if let Some(segment) = self.open.remove(key) {
            let record = consent.record(key.0).expect("a frame is covered by a record, for ever");
            // The same key before and after any operation: none changes a record's view key.
            let key = SegmentKey::derive(&record.view_key, self.begin.scope);
            let is_unread = segment.is_unread();
            let (claim, entry) = segment.cut(&key);
            if is_unread {
                self.unread.insert(claim.position);
            }
            self.claims.push(claim);
            self.segments.push(entry);
        }
    }

    /// Closes the window at `t1`, which is later than every entry in it.
    ///
    /// # Panics
    /// If the window would be empty or too long: whoever closes keeps to
    /// [`limits::WINDOW_MS_MAX`].
    pub(super) fn close(
        mut self,
        t1: Millis,
        position_out: Position,
        consent: &Consent,
    ) -> WindowContents {
        let keys: Vec<_> = self.open.keys().cloned().collect();
        keys.iter().for_each(|key| self.cut(key, consent));
        sort_segments(&mut self.segments);
        // As C2 takes them: a slot is one patient's, and the edges between chunks prove the order.
        self.claims.sort_by_key(|claim| (claim.patient, claim.position));
        let Begin { number, t0, position_in, .. } = self.begin;
        let window = Window::new(t0, t1).unwrap_or_else(|error| {
            panic!("a window is closed within {} ms: {error}", limits::WINDOW_MS_MAX)
        });
        // Records and paths of now, under the final root: chunks of C2 open only that one.
        let concerned = self.claims.iter().map(|claim| claim.patient);
        let changed = self.operations.iter().map(|applied| applied.signed.operation.patient);
        let refused = self.refused.into_lists();
        let asked_for = refused.keys().copied();
        let state = |patient: PatientIndex| {
            let record = consent.record(patient)?.clone();
            Some((patient, PatientState { record, path: consent.tree().path(patient.get()) }))
        };
        WindowContents {
            number,
            window,
            root_in: self.root_in,
            root_out: consent.root(),
            cap: Box::new(consent.tree().cap()),
            patients: concerned.chain(changed).chain(asked_for).filter_map(state).collect(),
            operations: self.operations,
            claims: self.claims,
            requests: self.requests,
            segments: self.segments,
            refused,
            position_in,
            position_out,
        }
    }
}
