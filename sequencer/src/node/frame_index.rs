//! The index of stored frames as it stands on the disk, held against the one of the journal.
//!
//! Where a node of the index stands and what is in it follows from the journal. So whoever absorbs
//! the journal from its first entry on makes all of it again, and has each node compared where
//! a running node writes it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::folder::snapshots::{Binding, INDEX, SnapshotFiles, SnapshotMedium};
use crate::stages::ledger::{FrameNodes, IndexFile};

/// Nodes are compared once so many bytes of them wait.
const COMPARED_BYTES: u64 = 256 << 10;

/// What the index of stored frames says, as far as snapshots refer to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexSays {
    /// Nothing that anybody refers to.
    Unused,
    /// Its first so many bytes are those that the journal makes.
    Same {
        /// Up to where the last snapshot refers to it.
        bytes: u64,
    },
    /// From there on it holds other bytes, or none, or cannot be read.
    Differs {
        /// The first such byte.
        offset: u64,
    },
}

/// The index on a medium, of which nothing is changed.
pub(super) struct MadeAgain {
    medium: Arc<dyn SnapshotMedium>,
    differs: Mutex<Option<u64>>,
}

impl MadeAgain {
    /// That beside these snapshots.
    pub(super) fn beside(files: &SnapshotFiles) -> Arc<MadeAgain> {
        let made = MadeAgain { medium: files.medium().clone(), differs: Mutex::default() };
        made.compare(0, &files.index_header());
        Arc::new(made)
    }

    /// The nodes of the ledger that makes it again.
    pub(super) fn nodes(self: &Arc<MadeAgain>) -> FrameNodes {
        FrameNodes::in_file(self.clone(), Binding::INDEX_BYTES as u64)
    }

    /// Compares what was made, if that is much; so memory holds no more of it than of a node.
    pub(super) fn look(&self, nodes: &FrameNodes) {
        if nodes.waiting_bytes() >= COMPARED_BYTES {
            self.compare_all(nodes);
        }
    }

    /// Compares all that was made up to now, and says how it stands up to there.
    pub(super) fn says(&self, nodes: &FrameNodes) -> IndexSays {
        self.compare_all(nodes);
        match *self.differs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(offset) => IndexSays::Differs { offset },
            None => IndexSays::Same { bytes: nodes.end() },
        }
    }

    fn compare_all(&self, nodes: &FrameNodes) {
        // Never an error: what cannot be read is another content.
        drop(nodes.write_waiting());
    }

    fn compare(&self, offset: u64, expected: &[u8]) {
        let at = self.first_other(offset, expected);
        let mut differs = self.differs.lock().unwrap_or_else(PoisonError::into_inner);
        // They come in the order of their places.
        *differs = differs.or(at);
    }

    fn first_other(&self, offset: u64, expected: &[u8]) -> Option<u64> {
        let mut found = vec![0; expected.len()];
        if self.medium.read_at(INDEX, offset, &mut found).is_err() {
            // A file that ends before: up to there it may be as it should.
            let there = self.medium.len(INDEX).unwrap_or(0).saturating_sub(offset);
            found.truncate(expected.len().min(there as usize));
            if self.medium.read_at(INDEX, offset, &mut found).is_err() {
                found.clear();
            }
        }
        let equal = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
        (equal < expected.len()).then_some(offset + equal as u64)
    }
}

impl IndexFile for MadeAgain {
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        // Whoever absorbs reads nothing back.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.compare(offset, bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
