//! What a durable group brings about: receipts for those who wait, windows for the batcher.
//!
//! ```text
//!   writer thread -> [groups] -> signer thread -> [receipts] -> each session of the holder
//!              \---> [windows] -> batcher
//! ```
//!
//! The writer never waits here. Whoever is too slow for a bounded queue is left out and told so: a
//! session ends, its client sends again and gets the same receipt from the log.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bodies::EntryPlace;
use journal::{Group, Medium, ReadError, Reader};
use model::{ChainScope, Millis, Position};
use thiserror::Error;
use tokio::sync::mpsc;
use wire::{
    Address, Entry, FrameEntry, FrameError, GroupIdentity, Holder, PlacedEntry, Receipt,
    ReceiptError, SignedReceipt, SigningKey, Standing, receipts_of_group, signer_address,
};

use crate::guard::{Guard, GuardedThread, Stage, UnplannedEnd};
use crate::history::{self, Comparison, HistoryError, Hold, Remembered, term_of};
use crate::setting::{LimitError, check, range, settings};
use crate::stages::ledger::{BodySeal, Deliver, IndexError, UnsealError};
use crate::window::ClosedWindow;

settings! {
    /// `[deliver]`: how much may wait between the writer and those it delivers to.
    pub struct DeliverConfig in "deliver" {
        groups_max: usize = 1024; "groups", range(1, 65_536) => {
            sets: "Groups of the journal whose receipts may wait to be signed.",
            memory: "Some hundred bytes for each holder in each of them, 64 KiB at most.",
            at_limit: "The holders' sessions end as busy; their clients come again and get the \
                       same receipts from the log.",
        }
        session_receipts_max: usize = 256; "receipts", range(1, 65_536) => {
            sets: "Receipts that may wait for one session.",
            memory: "Some hundred bytes each, 64 KiB at most.",
            at_limit: "The session ends as busy.",
        }
        windows_max: usize = 64; "windows", range(1, 65_536) => {
            sets: "Closed windows that may wait to be proven.",
            memory: "About 3 KiB for each operation and claim of a window: 5 MiB when full.",
            at_limit: "The window stays in the journal, and the batcher reads it there in its turn \
                       (`vitals_windows_read_back_total`). At a start no more are kept in memory, \
                       either.",
        }
    }
}

impl DeliverConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`LimitError`] for the first that does not hold.
    pub fn check(&self) -> Result<(), LimitError> {
        check(self, DeliverConfig::SETTINGS)
    }
}

/// What receipts are made of again: groups of a journal, on whatever medium it lies.
trait Groups: Send + Sync {
    fn head_group(&self) -> u64;
    fn group_of(&self, position: u64) -> Result<u64, ReadError>;
    fn group(&self, number: u64) -> Result<Group, ReadError>;
    fn term_of(&self, group: u64) -> Result<u32, HistoryError>;
    fn compare(&self, remembered: &Remembered) -> Result<Comparison, HistoryError>;
}

impl<M: Medium> Groups for Reader<M> {
    fn head_group(&self) -> u64 {
        self.head().group
    }

    fn group_of(&self, position: u64) -> Result<u64, ReadError> {
        Reader::group_of(self, position)
    }

    fn group(&self, number: u64) -> Result<Group, ReadError> {
        Reader::group(self, number)
    }

    fn term_of(&self, group: u64) -> Result<u32, HistoryError> {
        term_of(self, group)
    }

    fn compare(&self, remembered: &Remembered) -> Result<Comparison, HistoryError> {
        history::compare(self, remembered)
    }
}

/// Signs and routes receipts; the one place that holds the receipt key. Cheap to clone.
#[derive(Clone)]
pub struct ReceiptHub {
    shared: Arc<Shared>,
    hold: Hold,
    bodies: BodySeal,
}

struct Shared {
    key: SigningKey,
    scope: ChainScope,
    journal: Box<dyn Groups>,
    session_receipts_max: usize,
    sessions: Mutex<BTreeMap<Holder, Vec<mpsc::Sender<SignedReceipt>>>>,
    left_out: AtomicU64,
    groups_waiting: AtomicUsize,
}

/// Why a stored entry gives no receipt again.
#[derive(Debug, Error)]
pub enum AgainError {
    /// The journal does not serve the group.
    #[error("the group cannot be read")]
    Journal(#[from] ReadError),
    /// The index of stored frames does not say where it is.
    #[error("where it is stored cannot be told")]
    Index(#[from] IndexError),
    /// An entry of the group does not decode.
    #[error("the entry at position {position} does not decode")]
    Entry {
        /// Where.
        position: u64,
        /// Why not.
        source: FrameError,
    },
    /// The readings of a stored frame do not open.
    #[error("a sealed frame does not open")]
    Sealed(#[from] UnsealError),
    /// The group's receipts cannot be built.
    #[error("the receipts of the group cannot be built")]
    Receipt(#[from] ReceiptError),
    /// Reading it back panicked.
    #[error("the group was not read back")]
    Panicked(#[from] UnplannedEnd),
    /// The journal's losses cannot be told.
    #[error("the term of the group cannot be told")]
    Term(#[from] HistoryError),
    /// Somebody showed what the journal lacks: nothing is signed any more.
    #[error("the node is held: its journal lacks what it promised")]
    Held,
    /// The group acknowledges nothing to this holder.
    #[error("expected something of the holder in group {group}, found nothing")]
    NotConcerned {
        /// Which group.
        group: u64,
    },
}

impl AgainError {
    /// Whether the archive does not give the group: everything else is served.
    pub fn is_of_archive(&self) -> bool {
        matches!(self, AgainError::Journal(ReadError::Archived(_)))
    }
}

impl ReceiptHub {
    /// Signs with `key` for the deployment `scope`, and reads groups again from `journal`.
    pub fn new<M: Medium>(
        key: SigningKey,
        scope: ChainScope,
        journal: Reader<M>,
        config: &DeliverConfig,
    ) -> ReceiptHub {
        let session_receipts_max = config.session_receipts_max.max(1);
        let (sessions, left_out) = (Mutex::default(), AtomicU64::new(0));
        let bodies = BodySeal::keyless(journal.log_id());
        let journal: Box<dyn Groups> = Box::new(journal);
        let groups_waiting = AtomicUsize::new(0);
        let shared = Shared {
            key,
            scope,
            journal,
            session_receipts_max,
            sessions,
            left_out,
            groups_waiting,
        };
        ReceiptHub { shared: Arc::new(shared), hold: Hold::default(), bodies }
    }

    /// Opens readings with these keys; without them every sealed frame is one whose key is absent.
    pub fn with_bodies(self, bodies: BodySeal) -> ReceiptHub {
        ReceiptHub { bodies, ..self }
    }

    /// Signs nothing while `hold` is set.
    pub fn held_by(self, hold: Hold) -> ReceiptHub {
        ReceiptHub { hold, ..self }
    }

    /// What holds the node.
    pub fn hold(&self) -> &Hold {
        &self.hold
    }

    /// How far the journal is, for welcomes.
    ///
    /// # Errors
    /// [`HistoryError`] if the journal cannot be read.
    pub fn standing(&self) -> Result<Standing, HistoryError> {
        let journal = &self.shared.journal;
        let head_group = journal.head_group();
        Ok(Standing { term: journal.term_of(head_group)?, head_group })
    }

    /// Holds the node if the journal lacks what this receipt, whose signature was verified,
    /// promises; `false` then.
    ///
    /// # Errors
    /// [`HistoryError`] if the journal cannot be read.
    pub fn compare(&self, receipt: &SignedReceipt) -> Result<bool, HistoryError> {
        let remembered = Remembered::by_receipt(receipt);
        match self.shared.journal.compare(&remembered)? {
            Comparison::Holds | Comparison::LossAccepted => Ok(true),
            Comparison::Contradicted(contradiction) => {
                self.hold.set_by(contradiction, receipt);
                Ok(false)
            }
        }
    }

    /// Chain and contract that receipts are bound to.
    pub fn scope(&self) -> ChainScope {
        self.shared.scope
    }

    /// Who signs, as registered in the contract.
    pub fn signer(&self) -> Address {
        signer_address(&self.shared.key)
    }

    /// Every receipt of a holder from now on. The channel ends when its reader is too slow.
    pub fn subscribe(&self, holder: Holder) -> mpsc::Receiver<SignedReceipt> {
        let (sender, receiver) = mpsc::channel(self.shared.session_receipts_max);
        let mut sessions = self.shared.sessions();
        // A holder may have several sessions: one that was lost is often still open on this side
        // when its gateway comes again. Each gets every receipt.
        let of_holder = sessions.entry(holder).or_default();
        of_holder.retain(|session| !session.is_closed());
        of_holder.push(sender);
        receiver
    }

    /// Sessions whose channel was ended because they were too slow, since the start.
    pub fn left_out(&self) -> u64 {
        self.shared.left_out.load(Ordering::Relaxed)
    }

    /// Groups whose receipts wait to be signed now.
    pub fn groups_waiting(&self) -> usize {
        self.shared.groups_waiting.load(Ordering::Relaxed)
    }

    /// The group that holds a position, read and decoded. Blocks on the disk.
    ///
    /// # Errors
    /// [`AgainError::Journal`] or [`AgainError::Entry`].
    pub fn stored_group(&self, position: Position) -> Result<StoredGroup, AgainError> {
        let number = self.shared.journal.group_of(position.0)?;
        let group = self.shared.journal.group(number)?;
        let decode = |(at, entry): (u64, &journal::Entry)| {
            let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
            let decoded = decoded.map_err(|source| AgainError::Entry { position: at, source })?;
            // The journal stores 44-bit times; one beyond would fail its own check.
            let time = Millis::new(entry.time).unwrap_or(Millis::UNBOUNDED_FUTURE);
            Ok(PlacedEntry { position: Position(at), time, entry: decoded })
        };
        let entries = (group.first..).zip(&group.entries).map(decode);
        let entries = entries.collect::<Result<Vec<_>, AgainError>>()?;
        let scope = self.shared.scope;
        let term = self.shared.journal.term_of(number)?;
        let journal_hash = group.journal_hash;
        let identity = GroupIdentity { scope, group: number, term, journal_hash };
        let (first, salt) = (Position(group.first), group.salt);
        Ok(StoredGroup { identity, first, salt, entries })
    }

    /// Whether readings stand in the journal in the clear, as a release before they were sealed
    /// wrote them: the first frame tells, because no release goes back. Blocks on the disk.
    ///
    /// # Errors
    /// As [`ReceiptHub::stored_group`]: what is archived or given up tells nothing.
    pub fn has_unsealed_frames(&self) -> Result<bool, AgainError> {
        let last = self.shared.journal.head_group();
        let (mut position, mut number) = (Position(1), 0);
        while number < last {
            let group = self.stored_group(position)?;
            for placed in &group.entries {
                match placed.entry {
                    Entry::Frame(_) => return Ok(true),
                    Entry::SealedFrame(_) => return Ok(false),
                    _ => {}
                }
            }
            number = group.identity.group;
            position = Position(group.first.0 + group.entries.len() as u64);
        }
        Ok(false)
    }

    /// The frame at a position, its readings in the clear; none if something else stands there.
    ///
    /// # Errors
    /// [`UnsealError`] where they do not open.
    pub fn frame(
        &self,
        group: &StoredGroup,
        position: Position,
    ) -> Result<Option<FrameEntry>, UnsealError> {
        let Some((index, placed)) = group.placed(position) else { return Ok(None) };
        match &placed.entry {
            Entry::Frame(frame) => Ok(Some(frame.clone())),
            Entry::SealedFrame(sealed) => {
                // A group has at most 65,536 entries.
                let (index, time) = (index as u32, placed.time.get());
                let place = EntryPlace { salt: group.salt, index, time };
                self.bodies.open(sealed, &place).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The receipt of the group that holds a position: the same bytes as the first time. Blocks on
    /// the disk and on one signature.
    ///
    /// # Errors
    /// [`AgainError`].
    pub fn receipt_at(
        &self,
        position: Position,
        holder: Holder,
    ) -> Result<SignedReceipt, AgainError> {
        self.sign_stored(&self.stored_group(position)?, holder)
    }

    /// The receipt of a group that was read back.
    ///
    /// # Errors
    /// [`AgainError::Receipt`] or [`AgainError::NotConcerned`].
    pub fn sign_stored(
        &self,
        group: &StoredGroup,
        holder: Holder,
    ) -> Result<SignedReceipt, AgainError> {
        // Here and where a new group is signed, so that no receipt leaves by another way.
        if self.hold.is_set() {
            return Err(AgainError::Held);
        }
        // Built from the log and not kept: the bytes are the same, because a receipt is a function
        // of its group and the signature is deterministic.
        let mut receipts = receipts_of_group(group.identity, &group.entries)?;
        let group = group.identity.group;
        let receipt = receipts.remove(&holder).ok_or(AgainError::NotConcerned { group })?;
        Ok(receipt.sign(&self.shared.key))
    }

    fn is_awaited(&self, holder: &Holder) -> bool {
        self.shared.sessions().contains_key(holder)
    }

    fn sign_and_route(&self, receipt: Receipt) {
        let holder = receipt.holder;
        // Whoever waits learns from its session, which ends with the code that says why.
        if self.hold.is_set() {
            return;
        }
        self.route(holder, &receipt.sign(&self.shared.key));
    }

    fn route(&self, holder: Holder, receipt: &SignedReceipt) {
        let mut sessions = self.shared.sessions();
        let Some(of_holder) = sessions.get_mut(&holder) else { return };
        of_holder.retain(|session| match session.try_send(receipt.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            // Dropping the sender ends the session: with a receipt missing its client could not
            // tell what is acknowledged, and a thread that waited here would hold up everybody.
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.shared.left_out.fetch_add(1, Ordering::Relaxed);
                false
            }
        });
        if of_holder.is_empty() {
            sessions.remove(&holder);
        }
    }

    /// Ends the channels of a holder that will miss a receipt.
    fn leave_out(&self, holder: &Holder) {
        let ended = self.shared.sessions().remove(holder).map_or(0, |ended| ended.len());
        self.shared.left_out.fetch_add(ended as u64, Ordering::Relaxed);
    }
}

/// Prints the signer's address; the key stays hidden.
impl std::fmt::Debug for ReceiptHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiptHub {{ signer: {:?} }}", self.signer())
    }
}

impl Shared {
    /// No caller's code runs under the lock, so a panic cannot leave the map half changed.
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<Holder, Vec<mpsc::Sender<SignedReceipt>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A durable group, read back and decoded.
#[derive(Debug)]
pub struct StoredGroup {
    identity: GroupIdentity,
    first: Position,
    salt: [u8; 32],
    entries: Vec<PlacedEntry>,
}

impl StoredGroup {
    /// Which group it is.
    pub fn identity(&self) -> GroupIdentity {
        self.identity
    }

    /// The entry at a position, if it is in this group.
    pub fn entry(&self, position: Position) -> Option<&Entry> {
        self.placed(position).map(|(_, placed)| &placed.entry)
    }

    fn placed(&self, position: Position) -> Option<(usize, &PlacedEntry)> {
        let index = usize::try_from(position.0.checked_sub(self.first.0)?).ok()?;
        Some((index, self.entries.get(index)?))
    }
}

/// Who signs the receipts of a group.
#[derive(Debug)]
enum Signer {
    /// A thread, and the way to it.
    Thread { groups: SyncSender<Vec<Receipt>>, thread: GuardedThread },
    /// The writer itself, before its answers.
    Writer,
}

/// What admission delivers to: who signs, and the batcher. Dropping it waits for a signer's thread,
/// which holds the journal open.
#[derive(Debug)]
pub struct NodeDelivery {
    hub: ReceiptHub,
    signer: Option<Signer>,
    windows: mpsc::Sender<ClosedWindow>,
    /// Number of the last window that found no room.
    left_out: Arc<AtomicU64>,
}

impl NodeDelivery {
    /// Starts the signer thread, which ends with this value; the receiver is the batcher's.
    ///
    /// # Errors
    /// If the system starts no further thread.
    pub fn start(
        hub: ReceiptHub,
        config: &DeliverConfig,
        guard: &Guard,
    ) -> io::Result<(NodeDelivery, mpsc::Receiver<ClosedWindow>)> {
        let (groups, waiting) = sync_channel(config.groups_max.max(1));
        let (windows, closed) = mpsc::channel(config.windows_max.max(1));
        let signs = hub.clone();
        // One thread signs, so that a holder's receipts leave in the order of their groups.
        let sign = move |receipts: Vec<Receipt>| {
            signs.shared.groups_waiting.fetch_sub(1, Ordering::Relaxed);
            receipts.into_iter().for_each(|receipt| signs.sign_and_route(receipt));
            Ok::<_, Infallible>(())
        };
        let thread = guard.thread(Stage::Receipts, "receipt-signer", waiting.into_iter(), sign)?;
        let signer = Some(Signer::Thread { groups, thread });
        Ok((NodeDelivery { hub, signer, windows, left_out: Arc::default() }, closed))
    }

    /// Without a thread: the writer signs, and waits for it. For whoever needs one order of all
    /// that happens, as a simulation does.
    pub fn by_writer(
        hub: ReceiptHub,
        config: &DeliverConfig,
    ) -> (NodeDelivery, mpsc::Receiver<ClosedWindow>) {
        let (windows, closed) = mpsc::channel(config.windows_max.max(1));
        let signer = Some(Signer::Writer);
        (NodeDelivery { hub, signer, windows, left_out: Arc::default() }, closed)
    }

    /// Number of the last window that found no room; whoever takes windows reads it from the
    /// journal once it has taken what waits.
    pub fn left_out(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.left_out)
    }
}

impl Drop for NodeDelivery {
    fn drop(&mut self) {
        if let Some(Signer::Thread { groups, thread }) = self.signer.take() {
            // What waits is signed first: the thread ends when its queue is closed and empty.
            thread.stop(|| drop(groups));
        }
    }
}

impl Deliver for NodeDelivery {
    /// Only receipts that somebody waits for are signed: any other is built again when asked for.
    fn deliver_receipts(&mut self, mut receipts: Vec<Receipt>) {
        receipts.retain(|receipt| self.hub.is_awaited(&receipt.holder));
        let Some(signer) = self.signer.as_ref().filter(|_| !receipts.is_empty()) else { return };
        let groups = match signer {
            Signer::Thread { groups, .. } => groups,
            Signer::Writer => {
                return receipts.into_iter().for_each(|receipt| self.hub.sign_and_route(receipt));
            }
        };
        // Before it is sent, so that whoever takes it counts off what was counted.
        let waiting = &self.hub.shared.groups_waiting;
        waiting.fetch_add(1, Ordering::Relaxed);
        // The writer must not wait for signatures: the next group is admitted meanwhile.
        if let Err(refused) = groups.try_send(receipts) {
            waiting.fetch_sub(1, Ordering::Relaxed);
            let (TrySendError::Full(receipts) | TrySendError::Disconnected(receipts)) = refused;
            receipts.iter().for_each(|receipt| self.hub.leave_out(&receipt.holder));
        }
    }

    fn deliver_window(&mut self, window: ClosedWindow) {
        let number = window.contents.number.0;
        // The journal has the window either way.
        let Err(refused) = self.windows.try_send(window) else { return };
        // Said before it is tried once more: if there is still no room, something waits that will
        // be taken, and whoever takes it looks here after the last of what waits.
        self.left_out.fetch_max(number, Ordering::SeqCst);
        match self.windows.try_send(refused.into_inner()) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::info!(number, "too many windows wait; it is read back later");
            }
            // Whoever saw the batcher end has told why.
            Err(mpsc::error::TrySendError::Closed(_)) => {
                tracing::info!(number, "the batcher has ended; the next start proves this window");
            }
        }
    }
}
