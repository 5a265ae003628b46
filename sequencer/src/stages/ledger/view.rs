//! What is durable, readable beside the writer.
//!
//! ```text
//!   writer thread: admit ... admit, sync, [publish], answers
//!                                          |
//!   sessions, admin door, window timer <- read
//! ```
//! A group is published whole, after its sync and before its answers leave: who has an answer finds
//! everything up to it here, and nobody finds what a power cut could still take back.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use model::{BatchNumber, Digest, GatewayId, Millis, PatientIndex};
use wire::limits::MARKS_MAX;
use wire::{Entry, FramesItem, GroupReceipts, Holder, Mark, PlacedEntry, StoredOperation};

use super::absorb::Ledger;
use super::answer::{action_of, patient_of};
use super::consent::Owner;
use super::erasures::Erasures;
use super::recent::{AppliedOperation, Recent};
use super::registry::Registry;
use super::streams::Marks;
use crate::stages::rows::Urgency;
use crate::window::{OperationScope, WindowTerms};

/// Counts of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Enrolled patients.
    pub records: usize,
    /// Number of the open window.
    pub window: BatchNumber,
    /// Its begin.
    pub t0: Millis,
    /// Whether nothing happened in it yet.
    pub window_is_empty: bool,
    /// When it ends by the clock, if nothing further happens in it.
    pub due: Millis,
    /// What it was begun with.
    pub terms: WindowTerms,
}

/// Reads the ledger as of the last durable group. Cheap to clone. Memory: a second copy of the
/// registry, and some hundred bytes a stream.
#[derive(Clone)]
pub struct LedgerView {
    operation_scope: OperationScope,
    published: Arc<RwLock<Published>>,
}

struct Published {
    status: Status,
    last_time: Millis,
    registry: Arc<Registry>,
    erasures: Arc<Erasures>,
    marks: Marks,
    /// Memory: 84 bytes a patient.
    owners: BTreeMap<PatientIndex, Owner>,
    recent: Recent,
    /// What was withdrawn, by the window that it took effect in. Memory: 16 bytes a window, of
    /// those that are not on the chain and the [`WINDOWS_KEPT`] before them.
    withdrawals: BTreeMap<u64, u64>,
}

/// Settled windows whose withdrawals are remembered, because the chain may take them back.
const WINDOWS_KEPT: u64 = 1_000;

impl LedgerView {
    /// The view of a ledger that absorbed durable entries only.
    pub(super) fn of_durable(ledger: &Ledger) -> LedgerView {
        let registry = Arc::new(ledger.registry().clone());
        let erasures = Arc::clone(ledger.erasures());
        let marks = ledger.streams.marks();
        let (status, last_time) = (status(ledger), ledger.last_time);
        let owners = ledger.consent.owners();
        let recent = Recent::default();
        let open = (ledger.window.number().0, ledger.window.withdrawals());
        let withdrawals = BTreeMap::from([open]);
        let published =
            Published { status, last_time, registry, erasures, marks, owners, recent, withdrawals };
        let operation_scope = *ledger.operation_scope();
        LedgerView { operation_scope, published: Arc::new(RwLock::new(published)) }
    }

    /// Takes in a group that is durable, its frames as their receipts name them and its other
    /// entries; `ledger` has absorbed it and nothing after it.
    pub(super) fn publish(&self, ledger: &Ledger, frames: &GroupReceipts, group: &[PlacedEntry]) {
        // One lock for the whole group, so that nobody reads half of it. Readers hold it to copy
        // out a few values; the writer never waits for a disk, a peer or a formatted list.
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        let mut window = published.status.window.0;
        (published.status, published.last_time) = (status(ledger), ledger.last_time);
        // Sequences of a stream are stored without holes, so the last is the mark.
        frames.frames().for_each(|(holder, run)| published.mark(holder, run));
        for PlacedEntry { time, entry, position } in group {
            match entry {
                // The registry is applied again rather than copied from the ledger: a copy is made
                // only while a reader still holds the one before.
                Entry::RegistryChange(change) => {
                    Arc::make_mut(&mut published.registry).apply(change, *time);
                }
                Entry::Close { batch, .. } => window = batch.0 + 1,
                Entry::Operation { operation, requester } => {
                    if withdraws(operation) {
                        *published.withdrawals.entry(window).or_default() += 1;
                    }
                    let (position, requester) = (*position, *requester);
                    let applied = AppliedOperation { position, requester };
                    published.recent.keep(operation.digest(), applied);
                    let patient = match operation {
                        StoredOperation::Plain(operation) => patient_of(operation),
                        // It was absorbed a moment ago, so that it opens.
                        StoredOperation::Sealed(_) => {
                            let opened = ledger.read_operation(operation, requester).ok();
                            opened.map(|signed| signed.operation.patient)
                        }
                    };
                    let record = patient.and_then(|patient| ledger.consent.record(patient));
                    if let (Some(patient), Some(record)) = (patient, record) {
                        published.owners.insert(patient, Owner::of(record));
                    }
                }
                // Shared with the ledger, which copies it at its next change while it is read.
                Entry::Erasure(_) | Entry::Hold(_) => {
                    published.erasures = Arc::clone(ledger.erasures());
                }
                Entry::Frame(_)
                | Entry::SealedFrame(_)
                | Entry::AccessRequest { .. }
                | Entry::Query(_)
                | Entry::Refusal(_)
                | Entry::StreamOpen { .. }
                | Entry::Gap(_)
                | Entry::RefusalCount(_) => {}
            }
        }
    }

    /// Counts, and the open window.
    pub fn status(&self) -> Status {
        self.read().status
    }

    /// Time of the last entry, which the clock may have fallen behind.
    pub fn last_time(&self) -> Millis {
        self.read().last_time
    }

    /// Who is registered.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.read().registry)
    }

    /// Whose readings are erased, and whose are held.
    pub fn erasures(&self) -> Arc<Erasures> {
        Arc::clone(&self.read().erasures)
    }

    /// Who signs for the record of a patient, if there is one.
    pub fn owner(&self, patient: PatientIndex) -> Option<Owner> {
        self.read().owners.get(&patient).copied()
    }

    /// The operation that this names, if it is among the last that took effect since the start.
    pub fn applied(&self, digest: &Digest) -> Option<AppliedOperation> {
        self.read().recent.find(digest)
    }

    /// Notes what was withdrawn in a window that was closed before the start.
    pub fn note_earlier(&self, window: BatchNumber, withdrawals: u64) {
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        *published.withdrawals.entry(window.0).or_default() += withdrawals;
    }

    /// Withdrawals that are in force and in no batch up to this one, which is the last on the
    /// chain.
    pub fn withdrawals_after(&self, settled: BatchNumber) -> u64 {
        self.read().withdrawals.range(settled.0 + 1..).map(|(_, count)| count).sum()
    }

    /// Forgets what was withdrawn in windows long behind this batch, which is the last on the
    /// chain. Readers wait only where there is something to forget.
    pub fn forget_withdrawals(&self, settled: BatchNumber) {
        let kept = settled.0.saturating_sub(WINDOWS_KEPT);
        let first = self.read().withdrawals.first_key_value().map(|(window, _)| *window);
        if first.is_some_and(|first| first < kept) {
            let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
            published.withdrawals = published.withdrawals.split_off(&kept);
        }
    }

    /// What signatures of operations are judged against.
    pub fn operation_scope(&self) -> &OperationScope {
        &self.operation_scope
    }

    /// Last stored frame of each stream of a gateway, of [`MARKS_MAX`] streams at most: a hint for
    /// a gateway that comes again, which sends what lies behind it.
    pub fn marks(&self, gateway: &GatewayId) -> Vec<Mark> {
        let published = self.read();
        let streams = published.marks.get(&Holder::gateway(gateway));
        let streams = streams.into_iter().flatten().take(MARKS_MAX);
        streams
            .map(|(stream, durable)| Mark { stream: stream.clone(), durable: *durable })
            .collect()
    }

    /// A writer that panicked in `publish` left what is durable, if not all of it; the node stops.
    fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    fn mark(&mut self, holder: &Holder, run: &FramesItem) {
        let (streams, last) = (self.marks.entry(*holder).or_default(), run.sequences.1);
        // Not `entry`: nearly every run finds its stream, and then no key is copied.
        match streams.get_mut(&run.stream) {
            Some(mark) => *mark = last,
            None => drop(streams.insert(run.stream.clone(), last)),
        }
    }
}

/// Whether an operation takes rights away. What is sealed enrols, and does not.
fn withdraws(operation: &StoredOperation) -> bool {
    let StoredOperation::Plain(operation) = operation else { return false };
    action_of(operation).is_some_and(|action| Urgency::of(&action) == Urgency::Protecting)
}

fn status(ledger: &Ledger) -> Status {
    Status {
        records: ledger.consent.len(),
        window: ledger.window.number(),
        t0: ledger.window.t0(),
        window_is_empty: ledger.window.is_empty(),
        due: ledger.due(),
        terms: WindowTerms { cadence: ledger.config.cadence, limits: ledger.config.limits },
    }
}

/// Prints counts only.
impl std::fmt::Debug for LedgerView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LedgerView {{ gateways with frames: {} }}", self.read().marks.len())
    }
}
