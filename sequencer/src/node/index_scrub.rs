//! The index of stored frames, looked through and mended.
//!
//! Where a node of the index stands and what is in it follows from the journal. So what is damaged
//! is made again by whoever absorbs the journal from its first entry on, and written over what
//! stands there, if it has the hash that the index itself names: readers beside find the node or
//! the damage, and never another one.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use journal::ReadError;
use model::Position;
use thiserror::Error;

use super::recover::{RecoverError, absorb_next};
use super::replay::Replay;
use crate::folder::snapshots::{Binding, INDEX, SnapshotMedium};
use crate::stages::ledger::{DamagedNode, FrameNodes, IndexFile, Ledger, Look};

/// Nodes that are read between two pauses, and how long those are: frames have the disk.
const NODES_AT_ONCE: u32 = 64;
const PAUSE: Duration = Duration::from_millis(1);
/// Nodes are held against those that are damaged once so many bytes of them wait.
const MADE_BYTES: u64 = 256 << 10;
/// Looks at most in a round: below a node that is mended others may be damaged, level by level.
const LOOKS_MAX: usize = 12;

/// Why damaged nodes stay as they are.
#[derive(Debug, Error)]
pub(super) enum IndexScrubError {
    /// The journal cannot be read where a snapshot stands.
    #[error("the journal cannot be asked which snapshot stands")]
    Journal(#[from] ReadError),
    /// The journal cannot be absorbed.
    #[error("the nodes cannot be made anew from the journal")]
    Absorb(#[from] RecoverError),
    /// What was made cannot be written.
    #[error("a node that was made anew cannot be written")]
    Write(#[source] io::Error),
    /// There are more than a round mends.
    #[error(
        "{damaged} nodes of the index and more, from offset {first} on, wait for the next round"
    )]
    Left {
        /// How many were found.
        damaged: usize,
        /// The first one.
        first: u64,
    },
    /// Other nodes came out.
    #[error(
        "expected the journal to make the {damaged} damaged nodes of the index from offset {first} \
         on as they were written, made others"
    )]
    Differs {
        /// How many.
        damaged: usize,
        /// The first one.
        first: u64,
    },
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mended {
    /// Nodes that were made anew.
    pub(super) nodes: u64,
    /// Nodes that were found damaged by the last look, and are.
    pub(super) damaged: u64,
}

/// A round that ended early: what it came to, and why.
#[derive(Debug)]
pub(super) struct Unmended {
    pub(super) mended: Mended,
    pub(super) error: IndexScrubError,
}

/// Looks through the index that the last snapshot refers to, and mends it. Blocks, for as long as
/// reading all of it takes, and if anything is damaged, absorbing the journal. `go_on` is asked
/// with every node and entry; once it says no, what was found until then is all.
pub(super) fn look_and_mend(
    replay: &Replay,
    go_on: &dyn Fn() -> bool,
) -> Result<Mended, Box<Unmended>> {
    let mut mended = Mended::default();
    let unmended = |mended, error| Box::new(Unmended { mended, error });
    mended.nodes += mend_header(replay).map_err(|error| unmended(mended, error))?;
    for _ in 0..LOOKS_MAX {
        let damaged = look(replay, go_on);
        let damaged = damaged.map_err(|error| unmended(mended, error))?;
        mended.damaged = damaged.len() as u64;
        if damaged.is_empty() {
            return Ok(mended);
        }
        let nodes = damaged.len();
        tracing::warn!(nodes, "nodes of the index of stored frames are damaged");
        let made = mend(replay, damaged, go_on).map_err(|error| unmended(mended, error))?;
        tracing::info!(nodes = made, "damaged nodes of the index were made anew");
        mended.nodes += made;
    }
    // Once more behind the last mending, or as it was left where there were too many.
    let damaged = look(replay, go_on);
    let damaged = damaged.map_err(|error| unmended(mended, error))?;
    mended.damaged = damaged.len() as u64;
    match damaged.first() {
        None => Ok(mended),
        Some(first) => {
            let (damaged, first) = (damaged.len(), first.offset());
            let error = IndexScrubError::Left { damaged, first };
            Err(unmended(mended, error))
        }
    }
}

fn look(replay: &Replay, go_on: &dyn Fn() -> bool) -> Result<Vec<DamagedNode>, IndexScrubError> {
    // What is behind the last snapshot is in the index of the next one. Also one that the next
    // start would pass over because the index lost its end: its nodes there are damaged.
    let restored = replay.snapshots.newest_to_mend(&replay.journal, &replay.config)?;
    let Some(restored) = restored else { return Ok(Vec::new()) };
    let looked = std::cell::Cell::new(0);
    let paced = || {
        looked.set(looked.get() + 1);
        if u32::is_multiple_of(looked.get(), NODES_AT_ONCE) {
            thread::park_timeout(PAUSE);
        }
        go_on()
    };
    Ok(restored.ledger.look_through_index(Look::new(&paced)))
}

/// Writes the first bytes of the index where they are others: a start would take it for that of
/// another journal, and throw all of it away with every snapshot. 1 if they were.
fn mend_header(replay: &Replay) -> Result<u64, IndexScrubError> {
    let (files, mut found) = (replay.snapshots.files(), [0; Binding::INDEX_BYTES]);
    let expected = files.index_header();
    if files.medium().read_at(INDEX, 0, &mut found).is_ok() && found == expected {
        return Ok(0);
    }
    let written = files.medium().write_at(INDEX, 0, &expected);
    written.and_then(|()| files.medium().sync(INDEX)).map_err(IndexScrubError::Write)?;
    tracing::warn!("the first bytes of the index of stored frames were damaged: made anew");
    Ok(1)
}

/// Makes these nodes anew; how many.
fn mend(
    replay: &Replay,
    damaged: Vec<DamagedNode>,
    go_on: &dyn Fn() -> bool,
) -> Result<u64, IndexScrubError> {
    let last = damaged.iter().map(DamagedNode::end).max().unwrap_or(0);
    let (count, medium) = (damaged.len() as u64, replay.snapshots.files().medium().clone());
    let mending = Arc::new(Mending { medium, damaged: Mutex::new(damaged) });
    let nodes = FrameNodes::in_file(mending.clone(), Binding::INDEX_BYTES as u64);
    let mut ledger = Ledger::indexed(replay.config.clone(), nodes.clone());
    let mut entries = replay.journal.iter_from(1);
    while let Some(entry) = entries.next() {
        if !go_on() {
            break;
        }
        let (position, entry) = entry.map_err(RecoverError::from)?;
        let in_group = entries.in_group();
        absorb_next(&mut ledger, Position(position), &entry, in_group)?;
        if nodes.waiting_bytes() >= MADE_BYTES && mending.take(&nodes, last)?.is_break() {
            break;
        }
    }
    nodes.write_waiting().map_err(IndexScrubError::Write)?;
    mending.medium.sync(INDEX).map_err(IndexScrubError::Write)?;
    let left = mending.left();
    match left.first() {
        Some(first) if go_on() => {
            Err(IndexScrubError::Differs { damaged: left.len(), first: first.offset() })
        }
        _ => Ok(count - left.len() as u64),
    }
}

/// The index on its medium, of which nothing is changed but what is damaged.
struct Mending {
    medium: Arc<dyn SnapshotMedium>,
    damaged: Mutex<Vec<DamagedNode>>,
}

impl Mending {
    /// Takes in what was made; it ends behind the last node that is damaged.
    fn take(&self, nodes: &FrameNodes, last: u64) -> Result<ControlFlow<()>, IndexScrubError> {
        nodes.write_waiting().map_err(IndexScrubError::Write)?;
        let is_over = nodes.end() >= last || self.left().is_empty();
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn left(&self) -> MutexGuard<'_, Vec<DamagedNode>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IndexFile for Mending {
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        // Whoever absorbs reads nothing back.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut left = self.left();
        let mut kept = Vec::new();
        for node in left.drain(..) {
            let part = node.offset().checked_sub(offset).zip(node.end().checked_sub(offset));
            let made = part.and_then(|(from, to)| bytes.get(from as usize..to as usize));
            match made.filter(|made| node.had(made)) {
                Some(made) => self.medium.write_at(INDEX, node.offset(), made)?,
                None => kept.push(node),
            }
        }
        *left = kept;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.medium.sync(INDEX)
    }
}
