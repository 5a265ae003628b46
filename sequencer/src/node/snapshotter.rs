//! Writes snapshots while the node runs: a thread of its own, off the way of every acknowledgement.
//!
//! ```text
//!   writer thread:  .. committed -> [freeze] --1--> snapshots thread: index, sync, encode, seal,
//!                      (shares, copies little)                        write, sync, rename, sync
//! ```
//! The writer hands out a frozen state, which shares what is large with the ledger that goes on. A
//! second ledger that follows the journal would cost the time and memory of absorbing it twice. The
//! same thread writes nodes of the index of stored frames, which wait in memory until then.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, iter};

use journal::{FileMedium, Group, Medium, Reader};
use prometheus::{IntCounter, IntGauge};

use super::recover::Absorbed;
use super::snapshots::Snapshots;
use crate::folder::snapshots::{SnapshotError, SnapshotHead};
use crate::folder::store::Store;
use crate::guard::{Guard, GuardedThread, Stage};
use crate::stages::ledger::{EnrolmentSeal, FrameNodes, KeepState, Kept, Ledger, LedgerState};

/// How often it is looked whether nodes wait to be written.
const LOOK: Duration = Duration::from_millis(100);
/// Nodes are written once so much of them waits, and before a snapshot.
const FLUSH_BYTES: u64 = 256 << 10;
/// With more open segments than this the next close is waited for: each copies 17 KiB.
const SEGMENTS_MAX: usize = 256;
/// But not for longer than so many times as long.
const PATIENCE: u64 = 4;
/// Bytes of the journal after which a snapshot is due however few entries they are.
const BYTES: u64 = 512 << 20;
/// Snapshots that stand: the second is there for the day on which the last one is damaged.
const KEPT: usize = 2;

/// When the next snapshot is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) every_entries: u64,
    /// A start absorbs some hundred million a second, however few entries they are.
    pub(super) every_bytes: u64,
}

/// What the journal grew by since the last one.
#[derive(Clone, Copy)]
struct Grown {
    entries: u64,
    bytes: u64,
}

impl Pace {
    /// Every so many entries, or [`BYTES`].
    pub(super) fn of(every_entries: u64) -> Pace {
        Pace { every_entries, every_bytes: BYTES }
    }

    /// Whether one is due behind the last one, which is of so many bytes, with so many segments
    /// open that it would copy.
    fn is_due(self, grown: Grown, last_bytes: u64, segments: usize) -> bool {
        // Never more to write for snapshots than for the journal itself.
        if grown.bytes < last_bytes {
            return false;
        }
        let times = if segments <= SEGMENTS_MAX { 1 } else { PATIENCE };
        grown.entries >= self.every_entries.saturating_mul(times)
            || grown.bytes >= self.every_bytes.saturating_mul(times)
    }
}

/// A state that shall become a snapshot.
pub(super) struct Frozen {
    state: LedgerState,
    head: SnapshotHead,
}

impl Frozen {
    /// The state of a ledger that has absorbed the journal up to there.
    pub(super) fn of(ledger: &Ledger, place: Behind) -> Frozen {
        let Behind { group, position, journal_hash, close_group } = place;
        let (closed, body_bytes) = (ledger.closed().0, 0);
        let version = SnapshotHead::VERSION;
        let head = SnapshotHead {
            version,
            group,
            position,
            journal_hash,
            closed,
            close_group,
            body_bytes,
        };
        Frozen { state: ledger.freeze(), head }
    }
}

/// The group behind which a state is taken.
#[derive(Clone, Copy)]
pub(super) struct Behind {
    pub(super) group: u64,
    /// Its last position.
    pub(super) position: u64,
    /// The journal's hash after it.
    pub(super) journal_hash: [u8; 32],
    /// The group that holds the last close; 0 before the first.
    pub(super) close_group: u64,
}

/// What is told of snapshots.
#[derive(Clone)]
pub(super) struct Told {
    /// Position of the last one.
    pub(super) position: IntGauge,
    /// Its length.
    pub(super) bytes: IntGauge,
    /// How often one could not be written.
    pub(super) failures: IntCounter,
}

/// Writes snapshots and removes those that nobody needs any more.
pub(super) struct SnapshotWriter {
    snapshots: Snapshots,
    seal: EnrolmentSeal,
    store: Arc<Store>,
    told: Told,
    room: Arc<dyn Fn(u64) -> bool + Send + Sync>,
    /// Those that stand and may be believed, oldest first.
    kept: Vec<SnapshotHead>,
    /// Once a sync of the index failed nobody knows what of it is on the disk, whatever reads show:
    /// no snapshot of this run may refer to it.
    index_lost: bool,
}

impl SnapshotWriter {
    pub(super) fn new(
        snapshots: Snapshots,
        seal: EnrolmentSeal,
        store: Arc<Store>,
        told: Told,
    ) -> SnapshotWriter {
        let (room, kept) = (Arc::new(|_: u64| true), Vec::new());
        SnapshotWriter { snapshots, seal, store, told, room, kept, index_lost: false }
    }

    /// Asks before each snapshot whether there is room for so many bytes. A snapshot only saves
    /// time: what frames leave free is not for it.
    pub(super) fn asking(
        self,
        room: impl Fn(u64) -> bool + Send + Sync + 'static,
    ) -> SnapshotWriter {
        SnapshotWriter { room: Arc::new(room), ..self }
    }

    /// Takes over what stands up to the one that was started from, and removes what stands behind
    /// it: from now on nodes are written to where it expects its own.
    ///
    /// # Errors
    /// If it cannot be removed: then no node may be written.
    pub(super) fn started_from(&mut self, position: u64) -> io::Result<()> {
        let files = self.snapshots.files();
        let heads = files.groups()?.into_iter().rev().filter_map(|group| files.head(group).ok());
        self.kept = heads.filter(|head| head.position <= position).collect();
        files.keep(&self.groups())
    }

    fn groups(&self) -> Vec<u64> {
        self.kept.iter().map(|head| head.group).collect()
    }

    /// Position of the last one; 0 if there is none.
    pub(super) fn position(&self) -> u64 {
        self.kept.last().map_or(0, |head| head.position)
    }

    /// Length of its state; 0 if there is none.
    fn last_bytes(&self) -> u64 {
        self.kept.last().map_or(0, |head| head.body_bytes)
    }

    /// Writes a snapshot, durably; the index that it refers to before it.
    ///
    /// # Errors
    /// [`SnapshotError`]; what stood stands.
    fn write(&mut self, frozen: Frozen, nodes: &FrameNodes) -> Result<(), SnapshotError> {
        let Frozen { state, head } = frozen;
        // First, and dropped at once: while it is there the writer copies what it changes.
        let bytes = state.to_bytes();
        drop(state);
        let needed = bytes.len() as u64 + nodes.waiting_bytes();
        if !(self.room)(needed) {
            return Err(SnapshotError::NoRoom { needed });
        }
        self.sync_index(nodes)?;
        let files = self.snapshots.files();
        let body = self.seal.seal_state(&bytes, &files.sealed_with(&head));
        let bytes = files.write(head, &body)?;
        let head = SnapshotHead { body_bytes: body.len() as u64, ..head };
        self.kept.retain(|one| one.group != head.group);
        self.kept.push(head);
        let assembled = self.store.last_number().map_or(0, |number| number.0);
        self.kept = still_needed(&self.kept, assembled);
        files.keep(&self.groups())?;
        self.told.position.set(head.position as i64);
        self.told.bytes.set(bytes as i64);
        let (group, position) = (head.group, head.position);
        tracing::info!(group, position, bytes, "a snapshot is written");
        Ok(())
    }

    fn sync_index(&mut self, nodes: &FrameNodes) -> io::Result<()> {
        if self.index_lost {
            let why = "expected an index of stored frames whose syncs have all succeeded; the next \
                       start makes it durable, or anew";
            return Err(io::Error::other(why));
        }
        nodes.write_waiting()?;
        let synced = nodes.sync();
        // A second sync may succeed without having written what the first one was for.
        self.index_lost = synced.is_err();
        synced
    }

    /// As [`Self::write`]; a failure is said, and the next start has longer to absorb.
    pub(super) fn try_write(&mut self, frozen: Frozen, nodes: &FrameNodes) {
        if let Err(error) = self.write(frozen, nodes) {
            self.told.failures.inc();
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a snapshot cannot be written: the next start takes longer");
        }
    }
}

/// The last ones, and the one from which windows behind the last assembled batch are read back.
fn still_needed(kept: &[SnapshotHead], assembled: u64) -> Vec<SnapshotHead> {
    let last = kept.len().saturating_sub(KEPT);
    let read_back = kept.iter().rposition(|head| head.closed <= assembled);
    let needed = kept.iter().enumerate().filter(|(at, _)| *at >= last || Some(*at) == read_back);
    needed.map(|(_, head)| *head).collect()
}

/// What the thread does next.
pub(super) enum Work {
    Write(Box<Frozen>),
    Flush,
    Stop,
}

/// Does one piece of work after the other, on whichever thread that is.
pub(super) struct Worker {
    writer: Arc<Mutex<SnapshotWriter>>,
    nodes: FrameNodes,
    orders: Orders,
    /// Whether nodes could not be written the last time.
    failed: bool,
}

/// Where work is asked for.
#[derive(Clone)]
struct Orders {
    work: SyncSender<Work>,
    /// Whether a state waits or is written.
    busy: Arc<AtomicBool>,
}

impl Worker {
    /// One that does nothing yet, and where the work comes that it is asked for.
    pub(super) fn new(writer: SnapshotWriter, nodes: FrameNodes) -> (Worker, Receiver<Work>) {
        // A place for the stop beside that for a state.
        let (work, next) = sync_channel(2);
        let orders = Orders { work, busy: Arc::default() };
        let writer = Arc::new(Mutex::new(writer));
        (Worker { writer, nodes, orders, failed: false }, next)
    }

    /// What looks at each group, and asks for a snapshot where one is due.
    pub(super) fn keeper(&self, pace: Pace) -> Keeper {
        keeper(&self.writer, &self.orders, pace)
    }

    pub(super) fn work(&mut self, work: Work) {
        let Worker { writer, nodes, orders, failed } = self;
        match work {
            Work::Write(frozen) => {
                lock(writer).try_write(*frozen, nodes);
                orders.busy.store(false, Ordering::SeqCst);
            }
            Work::Flush if nodes.waiting_bytes() >= FLUSH_BYTES => match nodes.write_waiting() {
                Ok(()) => *failed = false,
                // Said once, not ten times a second. What waits is read from memory.
                Err(error) if !*failed => {
                    *failed = true;
                    tracing::error!(%error, "the index of stored frames cannot be written");
                }
                Err(_) => {}
            },
            Work::Flush | Work::Stop => {}
        }
    }
}

fn keeper(writer: &Mutex<SnapshotWriter>, orders: &Orders, pace: Pace) -> Keeper {
    let writer = lock(writer);
    let (last, written_bytes) = (writer.position(), writer.told.bytes.clone());
    let Orders { work, busy } = orders.clone();
    Keeper { pace, last, bytes: 0, written_bytes, work, busy }
}

/// The running thread.
pub(super) struct SnapshotThread {
    thread: GuardedThread,
    orders: Orders,
    writer: Arc<Mutex<SnapshotWriter>>,
    nodes: FrameNodes,
}

impl SnapshotThread {
    /// Starts it.
    ///
    /// # Errors
    /// If the system starts no further thread.
    pub(super) fn start(
        writer: SnapshotWriter,
        nodes: FrameNodes,
        guard: &Guard,
    ) -> io::Result<SnapshotThread> {
        let (mut worker, next) = Worker::new(writer, nodes.clone());
        let (writer, orders) = (Arc::clone(&worker.writer), worker.orders.clone());
        let works = iter::from_fn(move || match next.recv_timeout(LOOK) {
            Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => None,
            Ok(work) => Some(work),
            Err(RecvTimeoutError::Timeout) => Some(Work::Flush),
        });
        let each = move |work| {
            worker.work(work);
            Ok::<_, Infallible>(())
        };
        let thread = guard.thread(Stage::Upkeep, "snapshots", works, each)?;
        Ok(SnapshotThread { thread, orders, writer, nodes })
    }

    /// What looks at each group, and asks for a snapshot where one is due.
    pub(super) fn keeper(&self, pace: Pace) -> Keeper {
        keeper(&self.writer, &self.orders, pace)
    }

    /// Ends it, once it has written what it was asked to, and writes the last state.
    pub(super) fn stop(self, last: Option<Frozen>) {
        let SnapshotThread { thread, orders, writer, nodes } = self;
        // It is gone already if that cannot be sent.
        thread.stop(|| drop(orders.work.send(Work::Stop)));
        let mut writer = lock(&writer);
        if let Some(last) = last.filter(|last| last.head.position > writer.position()) {
            writer.try_write(last, &nodes);
        }
    }
}

/// A panic while a snapshot was written ends the node; what stands, stands.
fn lock(writer: &Mutex<SnapshotWriter>) -> std::sync::MutexGuard<'_, SnapshotWriter> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks for snapshots, on the writer thread of the journal.
pub(super) struct Keeper {
    pace: Pace,
    /// Position of the last one that was asked for.
    last: u64,
    /// Bytes of the journal since then.
    bytes: u64,
    /// Length of the last one that was written.
    written_bytes: IntGauge,
    work: SyncSender<Work>,
    busy: Arc<AtomicBool>,
}

impl KeepState for Keeper {
    fn look(&mut self, Kept { ledger, committed, close_group }: Kept<'_>) {
        let entries = committed.last.saturating_sub(self.last);
        self.bytes += committed.ranges.last().map_or(0, |range| u64::from(range.end));
        let (grown, last) = (Grown { entries, bytes: self.bytes }, self.written_bytes.get());
        if !self.pace.is_due(grown, last.unsigned_abs(), ledger.open_segments())
            || self.busy.swap(true, Ordering::SeqCst)
        {
            return;
        }
        let place = Behind {
            group: committed.group,
            position: committed.last,
            journal_hash: committed.journal_hash,
            close_group,
        };
        let frozen = Box::new(Frozen::of(ledger, place));
        (self.last, self.bytes) = (committed.last, 0);
        // There is a place while it is not busy.
        drop(self.work.try_send(Work::Write(frozen)));
    }
}

/// Writes snapshots while a long journal is absorbed, so that a start that is cut off goes on where
/// it was.
pub(super) struct WhileAbsorbing<'a, M = FileMedium> {
    journal: Reader<M>,
    writer: &'a mut SnapshotWriter,
    pace: Pace,
    /// Where the last one was tried: one that cannot be written is not tried behind every group.
    tried: u64,
    /// Bytes that were absorbed up to there.
    tried_bytes: u64,
    /// The end of the group behind which the next one is written.
    next: Option<Behind>,
}

impl<M: Medium> WhileAbsorbing<'_, M> {
    pub(super) fn new(
        journal: Reader<M>,
        writer: &mut SnapshotWriter,
        pace: Pace,
    ) -> WhileAbsorbing<'_, M> {
        let tried = writer.position();
        WhileAbsorbing { journal, writer, pace, tried, tried_bytes: 0, next: None }
    }

    /// Looks at the ledger behind an entry.
    ///
    /// # Errors
    /// If the index cannot be written, and memory has no room for more of it.
    pub(super) fn look(&mut self, ledger: &Ledger, done: Absorbed) -> io::Result<()> {
        let nodes = ledger.frame_nodes();
        // What could not be written waits, and is tried again.
        if nodes.waiting_bytes() >= FLUSH_BYTES
            && let Err(error) = nodes.write_waiting()
            && !nodes.has_room()
        {
            return Err(error);
        }
        let entries = done.position.saturating_sub(self.tried);
        let grown = Grown { entries, bytes: done.bytes.saturating_sub(self.tried_bytes) };
        // However many segments are open: nobody waits for what is copied of them.
        if self.next.is_none() && self.pace.is_due(grown, self.writer.last_bytes(), 0) {
            self.next = self.end_of_group(done.position);
        }
        if let Some(next) = self.next.take_if(|next| next.position == done.position) {
            let frozen = Frozen::of(ledger, Behind { close_group: done.close_group, ..next });
            (self.tried, self.tried_bytes) = (done.position, done.bytes);
            self.writer.try_write(frozen, nodes);
        }
        Ok(())
    }

    /// The end of the group that holds a position. What cannot be read is found by who absorbs it.
    fn end_of_group(&self, position: u64) -> Option<Behind> {
        let number = self.journal.group_of(position).ok()?;
        let Group { last: position, journal_hash, .. } = self.journal.group(number).ok()?;
        Some(Behind { group: number, position, journal_hash, close_group: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(group: u64, closed: u64) -> SnapshotHead {
        let (position, journal_hash) = (group * 10, [group as u8; 32]);
        let (version, body_bytes) = (SnapshotHead::VERSION, 0);
        SnapshotHead {
            version,
            group,
            position,
            journal_hash,
            closed,
            close_group: group,
            body_bytes,
        }
    }

    #[test]
    fn the_last_two_stand_and_the_one_that_windows_are_read_back_from() {
        let kept = [head(1, 1), head(2, 3), head(3, 5), head(4, 8)];
        for (assembled, groups) in [
            (9, vec![3, 4]),
            (8, vec![3, 4]),
            (5, vec![3, 4]),
            (4, vec![2, 3, 4]),
            (2, vec![1, 3, 4]),
            // Nothing stands before it: the journal is read from its first entry on.
            (0, vec![3, 4]),
        ] {
            let needed = still_needed(&kept, assembled);
            let needed: Vec<u64> = needed.iter().map(|head| head.group).collect();
            assert_eq!(needed, groups, "assembled {assembled}");
        }
        assert!(still_needed(&[], 7).is_empty());
    }

    #[test]
    fn a_snapshot_is_due_after_so_many_entries_and_waits_for_a_close_where_copying_is_dear() {
        let pace = Pace { every_entries: 100, every_bytes: 1_000 };
        let due = |entries, segments| pace.is_due(Grown { entries, bytes: 0 }, 0, segments);
        assert!(!due(99, 0) && due(100, 0));
        assert!(due(100, SEGMENTS_MAX) && !due(399, SEGMENTS_MAX + 1));
        assert!(due(400, SEGMENTS_MAX + 1));
    }

    #[test]
    fn bytes_count_like_entries_and_a_long_snapshot_is_not_written_for_little() {
        let pace = Pace { every_entries: 100, every_bytes: 1_000 };
        let due = |bytes, last, segments| pace.is_due(Grown { entries: 1, bytes }, last, segments);
        assert!(!due(999, 0, 0) && due(1_000, 0, 0));
        assert!(!due(3_999, 0, SEGMENTS_MAX + 1) && due(4_000, 0, SEGMENTS_MAX + 1));
        assert!(!due(1_999, 2_000, 0) && due(2_000, 2_000, 0));
        assert!(!pace.is_due(Grown { entries: 100, bytes: 49 }, 50, 0));
    }
}
