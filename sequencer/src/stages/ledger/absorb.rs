//! The state as a fold of the journal's entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use bodies::{BodyEpoch, EntryPlace};
use model::{
    Action, BatchNumber, ChainScope, Claim, ClaimKind, Digest, Interval, Millis, Position,
    PractitionerId, Word, with_causes,
};
use statement::batch::{RefusedAccess, Requester};
use statement::operation::SignedOperation;
use statement::{c1, scope};
use thiserror::Error;
use wire::{
    AccessRequest, Decision, Entry, ErasureEntry, ErasureOf, FrameEntry, HoldEntry, Holder,
    RefusalCount, RefusalEntry, RefusalReason, RefusedItem, RefusedKind, SealedFrame, Sealing,
    SignedAccessRequest, SignedErasure, StoredOperation, StreamName,
};

use super::bodies::BodySeal;
use super::collected::{Collected, FrameOf};
use super::consent::Consent;
use super::erasures::{Erasures, NotErased, Tombstone};
use super::frames::StoredFrame;
use super::index::FrameNodes;
use super::refuse::Refusing;
use super::registry::{Assignment, Registry};
use super::seal::EnrolmentSeal;
use super::segment::{FrameContent, FrameFacts};
use super::streams::Streams;
use super::window::{Begin, OpenWindow};
use crate::window::{Cadence, OperationScope, WindowContents, WindowLimits};

/// What a ledger is bound to and bounded by.
#[derive(Clone, Debug)]
pub struct LedgerConfig {
    /// Chain and contract.
    pub scope: ChainScope,
    /// Hash of the registrar's key.
    pub registrar_key_hash: Word,
    /// t1 of genesis: the first window begins here.
    pub genesis_time: Millis,
    /// When a window is closed early.
    pub limits: WindowLimits,
    /// When one is closed by the clock.
    pub cadence: Cadence,
    /// Most frames that one access releases.
    pub released_frames_max: usize,
    /// How far ahead of the node's clock a reading or signature may be, milliseconds.
    pub clock_skew_ms_max: u64,
    /// What seals enrolments in this journal.
    pub seal: EnrolmentSeal,
    /// What seals readings in it.
    pub bodies: BodySeal,
}

/// Where an entry stands in the journal, and when it was appended.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Its position.
    pub position: Position,
    /// When.
    pub time: Millis,
    /// Where in its group.
    pub place: EntryPlace,
}

/// What a stored frame adds to streams and window besides.
struct Stored<'a> {
    of: Collected<'a>,
    stream: &'a StreamName,
    /// What its segment's digest takes in.
    content: FrameContent<'a>,
}

/// An entry of the journal that does not follow from those before it: the journal is from another
/// deployment, or a bug wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the journal entry at position {position} does not follow from those before: {detail}")]
pub struct BrokenEntry {
    /// Where.
    pub position: u64,
    /// What was expected and found.
    pub detail: String,
}

/// A request to read that was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedBefore {
    pub(super) valid_until: Millis,
    /// Which bytes: the nonce alone names no request.
    pub(super) digest: Digest,
    /// Where: its claim's position, if it was permitted.
    pub(super) position: Position,
    pub(super) permitted: bool,
}

/// Consent, registry, streams and the open window.
#[derive(Debug)]
pub struct Ledger {
    pub(super) config: LedgerConfig,
    pub(super) operation_scope: OperationScope,
    /// Shared with states that are being written down, like the registry.
    pub(super) consent: Arc<Consent>,
    pub(super) registry: Arc<Registry>,
    pub(super) erasures: Arc<Erasures>,
    pub(super) streams: Streams,
    pub(super) window: OpenWindow,
    /// Requests that are still valid, by practitioner and nonce.
    pub(super) asked: BTreeMap<(PractitionerId, u64), AskedBefore>,
    /// Append time of the last entry.
    pub(super) last_time: Millis,
    /// Losses of the journal's end that an operator accepted.
    pub(super) term: u32,
    /// Frames that were absorbed without their readings because their key was not there.
    pub(super) unopened: u64,
    /// The same because it was destroyed.
    pub(super) erased: u64,
}

impl Ledger {
    /// The state before the first entry, with the index of stored frames in memory, all of it.
    ///
    /// # Panics
    /// If the registrar's key hash is no canonical word, which [`Word`] excludes.
    pub fn new(config: LedgerConfig) -> Ledger {
        Ledger::indexed(config, FrameNodes::in_memory())
    }

    /// The state before the first entry, with the index of stored frames there.
    ///
    /// # Panics
    /// As [`Ledger::new`].
    pub fn indexed(config: LedgerConfig, nodes: FrameNodes) -> Ledger {
        let consent = Consent::default();
        let key_hash = statement::field::from_bytes(&config.registrar_key_hash.to_bytes());
        let operation_scope = OperationScope {
            sig_domain: scope::sig_domain(config.scope),
            registrar_key_hash: key_hash.expect("a word is canonical"),
        };
        let begin = Begin {
            scope: config.scope,
            number: BatchNumber(1),
            t0: config.genesis_time,
            position_in: Position(0),
        };
        let window = OpenWindow::begin(begin, &consent);
        Ledger {
            last_time: config.genesis_time,
            config,
            operation_scope,
            consent: Arc::new(consent),
            registry: Arc::default(),
            erasures: Arc::default(),
            streams: Streams::new(nodes),
            window,
            asked: BTreeMap::new(),
            term: 0,
            unopened: 0,
            erased: 0,
        }
    }

    /// Frames that were absorbed without their readings because their key was not there.
    pub fn unopened(&self) -> u64 {
        self.unopened
    }

    /// Frames that were absorbed without their readings because their patient was erased.
    pub fn erased(&self) -> u64 {
        self.erased
    }

    /// Records and tree.
    pub fn consent(&self) -> &Consent {
        &self.consent
    }

    /// Who is registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whose readings are erased, and whose are held.
    pub fn erasures(&self) -> &Arc<Erasures> {
        &self.erasures
    }

    /// Losses of the journal's end that an operator accepted.
    pub fn term(&self) -> u32 {
        self.term
    }

    /// What operations are judged against.
    pub fn operation_scope(&self) -> &OperationScope {
        &self.operation_scope
    }

    /// Takes in the next entry; a close hands out what its window held.
    ///
    /// # Errors
    /// [`BrokenEntry`] if the entry does not follow from those before it.
    pub fn absorb(
        &mut self,
        entry: &Entry,
        position: Position,
        time: Millis,
    ) -> Result<Option<WindowContents>, BrokenEntry> {
        let broken = |detail: String| BrokenEntry { position: position.0, detail };
        let mut closed = None;
        match entry {
            Entry::Frame(frame) => {
                // A session has checked what is admitted; here the bytes come from a disk.
                let measured = measured(frame).map_err(broken)?;
                let FrameEntry { gateway, key, .. } = frame;
                let of = Collected { gateway, key, measured };
                let bytes = frame.frame().as_bytes();
                let content = FrameContent { bytes, epoch: None, is_read: true };
                let stored = Stored { of, stream: &frame.stream(), content };
                self.absorb_frame(stored, position, time).map_err(broken)?;
            }
            Entry::SealedFrame(_) => {
                return Err(broken("expected a sealed frame with its place in its group".into()));
            }
            Entry::Operation { operation, requester } => {
                let signed = self.read_operation(operation, *requester).map_err(broken)?;
                self.absorb_operation(signed, time).map_err(broken)?;
            }
            Entry::AccessRequest { request, decision, .. } => {
                self.absorb_access(request, *decision, position, time);
            }
            Entry::Refusal(refusal) => self.absorb_refusal(refusal, position, time),
            Entry::RegistryChange(change) => Arc::make_mut(&mut self.registry).apply(change, time),
            Entry::Close { batch, t1 } => {
                closed = Some(self.absorb_close(*batch, *t1, position).map_err(broken)?);
            }
            Entry::StreamOpen { gateway, descriptor } => {
                self.streams.open(gateway, &descriptor.name());
            }
            // What was lost changed consent, streams and the window of a state that is gone: the
            // fold goes on from what is there, and only receipts tell of the rest.
            Entry::Gap(gap) => {
                if gap.term <= self.term {
                    let (term, found) = (self.term, gap.term);
                    return Err(broken(format!("expected a term above {term}, found {found}")));
                }
                self.term = gap.term;
            }
            Entry::RefusalCount(counted) => self.absorb_count(counted, position, time),
            Entry::Erasure(erasure) => {
                self.absorb_erasure(erasure, position, time).map_err(broken)?;
            }
            Entry::Hold(hold) => {
                self.check_hold(hold).map_err(|error| broken(error.to_string()))?;
                Arc::make_mut(&mut self.erasures).take_hold(hold, position, time);
            }
            Entry::Query(query) => self.absorb_query(query, position, time),
        }
        // The greatest, not the last: an operation may be stamped ahead of what follows it.
        self.last_time = self.last_time.max(time);
        Ok(closed)
    }

    /// As [`Ledger::absorb`], of an entry whose readings may be sealed. Where they do not open the
    /// state follows all the same, from what stands beside them: only the digest of their segment
    /// is then of what is stored, and not of what was collected.
    ///
    /// # Errors
    /// As [`Ledger::absorb`].
    pub fn absorb_stored(
        &mut self,
        entry: &Entry,
        at: Placed,
    ) -> Result<Option<WindowContents>, BrokenEntry> {
        let Placed { position, time, place } = at;
        let Entry::SealedFrame(sealed) = entry else { return self.absorb(entry, position, time) };
        let absorbed = self.absorb_sealed(sealed, at, &place);
        absorbed.map_err(|detail| BrokenEntry { position: position.0, detail })?;
        self.last_time = self.last_time.max(time);
        Ok(None)
    }

    fn absorb_sealed(
        &mut self,
        sealed: &SealedFrame,
        at: Placed,
        place: &EntryPlace,
    ) -> Result<(), String> {
        // As the open frame would be: its signal decides the category.
        sealed.key.signal().ok_or("expected a known signal")?;
        let opened = match self.config.bodies.open(sealed, place) {
            Ok(frame) => Some(frame),
            Err(error) if error.is_erased() => {
                self.erased += 1;
                None
            }
            Err(error) if error.is_absent() => {
                self.unopened += 1;
                None
            }
            // Damage, which is reported and not passed over.
            Err(error) => return Err(with_causes(&error)),
        };
        let read = opened.as_ref().map(|frame| &frame.frame().as_bytes()[..]);
        let content = FrameContent {
            bytes: read.unwrap_or(sealed.stored()),
            epoch: Some(BodyEpoch(sealed.sealing.body_epoch)),
            is_read: read.is_some(),
        };
        let of = Collected {
            gateway: &sealed.gateway,
            key: &sealed.key,
            measured: sealed.sealing.measured,
        };
        self.absorb_frame(Stored { of, stream: &sealed.stream(), content }, at.position, at.time)
    }

    /// Takes in a frame that was decided to be stored, with the facts that this was decided by, and
    /// was sealed. Of an entry of the journal they are looked up again ([`Ledger::absorb`]), with
    /// the same result: the state in between is the same.
    pub(super) fn absorb_decided(
        &mut self,
        frame: &FrameOf<'_>,
        facts: &FrameFacts,
        sealing: Sealing,
    ) {
        let stored = frame.frame.as_stored();
        let epoch = Some(BodyEpoch(sealing.body_epoch));
        let content = FrameContent { bytes: stored.as_bytes(), epoch, is_read: true };
        self.take_stored(Stored { of: frame.collected, stream: &frame.stream, content }, facts);
        self.last_time = self.last_time.max(facts.at);
    }

    fn absorb_frame(
        &mut self,
        stored: Stored<'_>,
        position: Position,
        at: Millis,
    ) -> Result<(), String> {
        let facts = self.frame_facts(stored.of, position, at);
        let facts = facts.ok_or("expected a registered gateway and device")?;
        self.take_stored(stored, &facts);
        Ok(())
    }

    fn take_stored(&mut self, stored: Stored<'_>, facts: &FrameFacts) {
        let Stored { of: Collected { gateway, key, measured }, stream, content } = stored;
        self.window.take_frame(&self.consent, &key.device, facts, content);
        let FrameFacts { position, categories, device, .. } = *facts;
        let stored = StoredFrame { position, categories, measured, device };
        self.streams.store(gateway, stream, key.patient, stored);
    }

    /// What consent is asked about a frame; `None` if gateway, device or organisation are not
    /// registered at that time, or not for each other.
    pub(super) fn frame_facts(
        &self,
        of: Collected<'_>,
        position: Position,
        at: Millis,
    ) -> Option<FrameFacts> {
        let Collected { gateway, key, measured } = of;
        let Assignment { gateway, device } = self.registry.assignment(gateway, key, at)?;
        Some(FrameFacts {
            holder: gateway.holder,
            patient: key.patient,
            device: device.word,
            organisation: self.registry.organisation(&gateway.organisation, at)?,
            categories: key.signal()?.category.only(),
            measured,
            at,
            position,
        })
    }

    /// What an operation that takes effect at `t_op` is judged against.
    pub(super) fn operation_context(&self, t_op: Millis) -> c1::Context {
        let t0 = self.window.t0();
        c1::Context {
            sig_domain: self.operation_scope.sig_domain,
            registrar_key_hash: self.operation_scope.registrar_key_hash,
            t0,
            // The last entry may lie before the window: its close is stamped with the true time.
            last_time: self.last_time.max(t0),
            t_op,
            // The window is open: C1 is asked again with its end when the batch is laid out.
            t1: None,
        }
    }

    /// The operation as the log holds it for a requester: an enrolment is sealed.
    pub(super) fn store_operation(
        &self,
        signed: &SignedOperation,
        operation: &wire::SignedOperation,
        requester: Holder,
    ) -> StoredOperation {
        match signed.operation.action {
            Action::Enrol { .. } => {
                StoredOperation::Sealed(self.config.seal.seal(operation, requester))
            }
            _ => StoredOperation::Plain(operation.clone()),
        }
    }

    /// An operation as it was signed, whichever way it is stored.
    pub(super) fn read_operation(
        &self,
        operation: &StoredOperation,
        requester: Holder,
    ) -> Result<SignedOperation, String> {
        let opened = match operation {
            StoredOperation::Plain(operation) => operation.clone(),
            StoredOperation::Sealed(sealed) => {
                self.config.seal.open(sealed, requester).map_err(|error| error.to_string())?
            }
        };
        let signed = SignedOperation::from_bytes(opened.as_bytes());
        let signed = signed.map_err(|error| error.to_string())?;
        // As it is written, or what a journal shows of a patient would depend on who wrote it.
        let is_enrolment = matches!(signed.operation.action, Action::Enrol { .. });
        if is_enrolment == matches!(operation, StoredOperation::Sealed(_)) {
            Ok(signed)
        } else {
            Err("expected enrolments sealed and other operations plain".into())
        }
    }

    fn absorb_operation(&mut self, signed: SignedOperation, t_op: Millis) -> Result<(), String> {
        let context = self.operation_context(t_op);
        let consent = Arc::make_mut(&mut self.consent);
        let applied = consent.apply(signed, &context).map_err(|error| error.to_string())?;
        self.window.take_operation(&self.consent, applied);
        Ok(())
    }

    fn absorb_access(
        &mut self,
        signed: &SignedAccessRequest,
        decision: Decision,
        position: Position,
        at: Millis,
    ) {
        let request = signed.request();
        let nonce = (request.practitioner.clone(), request.nonce);
        // A nonce is kept as long as its request could be sent again, so the map is bounded by what
        // is asked within a request's longest validity.
        self.asked.retain(|_, before| before.valid_until > at);
        let (digest, permitted) = (signed.digest(), matches!(decision, Decision::Permitted { .. }));
        let before = AskedBefore { valid_until: request.valid_until, digest, position, permitted };
        self.asked.insert(nonce, before);
        // As it was decided then: consent is not asked again, or a restart could decide otherwise.
        match decision {
            Decision::Permitted { .. } => {
                self.window.take_access(access_claim(signed, position, at), signed.to_bytes());
            }
            // Where nobody is enrolled there is nobody to tell.
            Decision::Refused { uncovered } if self.consent.record(request.patient).is_some() => {
                let (digest, time) = (signed.digest(), at);
                let requester = Requester::Practitioner(request.practitioner.clone());
                let uncovered = Some(uncovered);
                let refused =
                    RefusedAccess { position, time, digest, requester, uncovered, count: 1 };
                self.window.take_refused(request.patient, refused);
            }
            Decision::Refused { .. } => {}
        }
    }

    fn absorb_refusal(&mut self, refusal: &RefusalEntry, position: Position, time: Millis) {
        let RefusedItem::Frame { stream, .. } = &refusal.what else { return };
        if Refusing::of_entry(&refusal.what) != Refusing::JournalAndHalt {
            return;
        }
        // The entry names its gateway by the holder's hash. One that was never registered has no
        // stream that could go on.
        let Some(gateway) = self.registry.gateway_of(&refusal.requester).cloned() else { return };
        self.streams.halt(&gateway, stream, refusal.reason);
        // Refused by consent, so its device was assigned, to the patient of the frame. Where
        // nobody is enrolled there is nobody to tell.
        let device = self.registry.device(&stream.device, time);
        let patient = device.map(|device| device.patient);
        let patient = patient.filter(|patient| self.consent.record(*patient).is_some());
        if let (RefusalReason::Claim(uncovered), Some(patient)) = (refusal.reason, patient) {
            let (digest, requester) = (refusal.digest, Requester::Gateway(gateway));
            let uncovered = Some(uncovered);
            let refused = RefusedAccess { position, time, digest, requester, uncovered, count: 1 };
            self.window.take_refused(patient, refused);
        }
    }

    /// What it counts changed nothing; the patient is told.
    fn absorb_count(&mut self, counted: &RefusalCount, position: Position, time: Millis) {
        let RefusalCount { patient, what, reason, count, first: digest, .. } = *counted;
        let (registry, holder) = (&self.registry, &counted.requester);
        let known = match what {
            RefusedKind::AccessRequest | RefusedKind::BreakGlass => {
                registry.practitioner_of(holder).cloned().map(Requester::Practitioner)
            }
            RefusedKind::Frame => registry.gateway_of(holder).cloned().map(Requester::Gateway),
            RefusedKind::Stream | RefusedKind::Operation => None,
        };
        let (RefusalReason::Claim(uncovered), Some(requester)) = (reason, known) else { return };
        if self.consent.record(patient).is_some() {
            let uncovered = Some(uncovered);
            let refused = RefusedAccess { position, time, digest, requester, uncovered, count };
            self.window.take_refused(patient, refused);
        }
    }

    /// Whether the patient signed this request behind the stop of their record, and nothing keeps
    /// their readings.
    pub(super) fn check_erasure(&self, signed: &SignedErasure) -> Result<(), NotErased> {
        let patient = signed.request.patient;
        let record = self.consent.record(patient);
        let (key_hash, nonce) =
            record.map(|record| (record.key_hash, record.nonce)).unwrap_or_default();
        let about = ErasureOf { scope: self.config.scope, patient, key_hash, nonce };
        self.erasures.check_request(signed, record, about)
    }

    /// Believed because the patient signed it, and not because it stands there: keys are destroyed
    /// for it.
    fn absorb_erasure(
        &mut self,
        erasure: &ErasureEntry,
        position: Position,
        time: Millis,
    ) -> Result<(), String> {
        let ErasureEntry { request, requester } = erasure;
        if time >= request.request.valid_until {
            return Err("expected a request to erase that was valid when it was carried out".into());
        }
        self.check_erasure(request).map_err(|error| error.to_string())?;
        let digest = request.digest().map_err(|error| error.to_string())?;
        let tombstone = Tombstone { position, time, digest, requester: *requester };
        Arc::make_mut(&mut self.erasures).take(request.request.patient, tombstone);
        Ok(())
    }

    pub(super) fn check_hold(&self, hold: &HoldEntry) -> Result<(), NotErased> {
        self.erasures.check_hold(hold, self.consent.record(hold.patient).is_some())
    }

    fn absorb_close(
        &mut self,
        batch: BatchNumber,
        t1: Millis,
        position: Position,
    ) -> Result<WindowContents, String> {
        let number = self.window.number();
        if batch != number {
            return Err(format!("expected the close of window {}, found {}", number.0, batch.0));
        }
        if model::Window::new(self.window.t0(), t1).is_err() {
            return Err("expected a close after the window's begin and within its limit".into());
        }
        let scope = self.config.scope;
        let next =
            Begin { scope, number: BatchNumber(number.0 + 1), t0: t1, position_in: position };
        let next = OpenWindow::begin(next, &self.consent);
        let window = std::mem::replace(&mut self.window, next);
        Ok(window.close(t1, position, &self.consent))
    }
}

/// When the readings of a frame were measured; each is checked.
fn measured(entry: &FrameEntry) -> Result<Interval, String> {
    let signal = entry.key.signal().ok_or("expected a known signal")?;
    entry.frame().check(signal).map_err(|error| error.to_string())
}

/// The claim of an access, decided at `at`.
pub(super) fn access_claim(signed: &SignedAccessRequest, position: Position, at: Millis) -> Claim {
    let request = signed.request();
    // One place for node, patient and auditor, who compare the claim with its request.
    let AccessRequest { practitioner, organisation, .. } = request;
    let words = scope::request_words(practitioner, organisation, request.device());
    signed.claim(words, position, at)
}

/// Whether a claim is one of those that release data.
pub(super) fn releases(claim: &Claim) -> bool {
    matches!(claim.kind, ClaimKind::Access | ClaimKind::BreakGlass)
}
