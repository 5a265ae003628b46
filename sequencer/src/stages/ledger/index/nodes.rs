//! Where the nodes of the index stand: in its file, or in memory until they are written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use model::{DecodeError, Reader};
use thiserror::Error;

/// Longest node: one of the upper levels, of frames, is the longest by far.
pub(in crate::stages::ledger) const NODE_BYTES_MAX: usize = 8 << 10;
/// Most bytes that wait to be written. Reached: frames are refused until the disk has taken some.
const WAITING_BYTES_MAX: u64 = 64 << 20;
/// Bytes that are written by one call.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes of a node's hash that are kept: they tell damage, and nobody chooses nodes.
const HASH_BYTES: usize = 16;

/// The file that nodes are appended to. Places are offsets into it.
pub trait IndexFile: Send + Sync + 'static {
    /// Reads as many bytes as there is room for.
    ///
    /// # Errors
    /// What the medium says; fewer bytes are an error.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Writes all bytes.
    ///
    /// # Errors
    /// What the medium says.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    ///
    /// # Errors
    /// What the medium says.
    fn sync(&self) -> io::Result<()>;
}

/// Why nothing is found in the index.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The file cannot be read.
    #[error("the index of stored frames cannot be read at offset {offset}")]
    Medium {
        /// Where.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// It holds other bytes than were written.
    #[error(
        "expected the {bytes} bytes of the index of stored frames at offset {offset} that were \
         written there, found others: the scrub makes them anew from the journal; if it says that \
         it cannot, stop the node, remove its folder snapshots/, and start it again"
    )]
    Damaged {
        /// Where.
        offset: u64,
        /// How many.
        bytes: u32,
    },
    /// It is of a ledger that keeps none.
    #[error("expected a ledger that keeps an index of stored frames")]
    NotKept,
    /// The bytes are those that were written, and no node.
    #[error("the index of stored frames does not decode at offset {offset}")]
    Decode {
        /// Where.
        offset: u64,
        /// Why not.
        source: DecodeError,
    },
}

/// A node: where its bytes stand and what they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::stages::ledger) struct NodeRef {
    offset: u64,
    bytes: u32,
    hash: [u8; HASH_BYTES],
}

impl NodeRef {
    /// Length of the canonical bytes.
    pub(in crate::stages::ledger) const BYTES: usize = 8 + 4 + HASH_BYTES;

    pub(in crate::stages::ledger) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.offset.to_be_bytes());
        out.extend(self.bytes.to_be_bytes());
        out.extend(self.hash);
    }

    pub(in crate::stages::ledger) fn read(from: &mut Reader<'_>) -> Result<NodeRef, DecodeError> {
        let offset = from.u64()?;
        let most = |bytes: u32| (bytes as usize <= NODE_BYTES_MAX).then_some(bytes);
        let bytes = from.map("a node of at most 8 KiB", Reader::u32, most)?;
        Ok(NodeRef { offset, bytes, hash: from.array()? })
    }

    /// Where it stands, for errors.
    pub(in crate::stages::ledger) fn offset(&self) -> u64 {
        self.offset
    }
}

/// A node that cannot be read as it was written: where it stands and what its bytes were.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DamagedNode(NodeRef);

impl DamagedNode {
    pub(super) fn new(node: NodeRef) -> DamagedNode {
        DamagedNode(node)
    }

    /// Where it begins.
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.0.offset + u64::from(self.0.bytes)
    }

    /// Whether these are the bytes that were written.
    pub fn had(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.0.bytes as usize && hash(bytes) == self.0.hash
    }
}

/// Prints where it is.
impl fmt::Debug for DamagedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DamagedNode({}..{})", self.offset(), self.end())
    }
}

fn hash(bytes: &[u8]) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&blake3::hash(bytes).as_bytes()[..HASH_BYTES]);
    hash
}

/// The nodes of one ledger. Clones are of the same ones: one appends, everybody reads.
#[derive(Clone)]
pub struct FrameNodes(Arc<Shared>);

struct Shared {
    file: Option<Arc<dyn IndexFile>>,
    waiting: Mutex<Waiting>,
    /// How many frames were looked at, each time.
    #[cfg(test)]
    looks: Mutex<Vec<usize>>,
}

/// Nodes that are not in the file yet.
struct Waiting {
    /// Where the next one goes.
    end: u64,
    /// Up to where the file holds all of them.
    written: u64,
    nodes: BTreeMap<u64, Arc<[u8]>>,
    keeps: bool,
}

impl FrameNodes {
    /// Nodes in a file that holds all of them up to `end`. They go into memory until
    /// [`Self::write_waiting`] is called.
    pub fn in_file(file: Arc<dyn IndexFile>, end: u64) -> FrameNodes {
        FrameNodes::new(Some(file), end, true)
    }

    /// Nodes in memory alone, all of them.
    pub fn in_memory() -> FrameNodes {
        FrameNodes::new(None, 0, true)
    }

    /// No nodes: what is appended, from `end` on, is forgotten, and reading is an error. For a
    /// ledger that is asked about windows only.
    pub fn forgotten(end: u64) -> FrameNodes {
        FrameNodes::new(None, end, false)
    }

    fn new(file: Option<Arc<dyn IndexFile>>, end: u64, keeps: bool) -> FrameNodes {
        let nodes = BTreeMap::new();
        let waiting = Mutex::new(Waiting { end, written: end, nodes, keeps });
        FrameNodes(Arc::new(Shared {
            file,
            waiting,
            #[cfg(test)]
            looks: Mutex::default(),
        }))
    }

    /// Appends a node. No disk is asked: the writer of the journal waits for none.
    pub(in crate::stages::ledger) fn append(&self, bytes: Vec<u8>) -> NodeRef {
        debug_assert!(bytes.len() <= NODE_BYTES_MAX, "a node of {} bytes", bytes.len());
        let hash = hash(&bytes);
        let mut waiting = self.waiting();
        let node = NodeRef { offset: waiting.end, bytes: bytes.len() as u32, hash };
        waiting.end += bytes.len() as u64;
        if waiting.keeps {
            waiting.nodes.insert(node.offset, bytes.into());
        }
        node
    }

    /// Reads a node. Blocks on the disk.
    ///
    /// # Errors
    /// [`IndexError`] if it is not what was appended.
    pub(in crate::stages::ledger) fn read(&self, node: &NodeRef) -> Result<Arc<[u8]>, IndexError> {
        let NodeRef { offset, bytes, hash: expected } = *node;
        // The lock is free again before the disk is asked: what is written never changes.
        let waiting = self.waiting().nodes.get(&offset).cloned();
        let found = match (waiting, &self.0.file) {
            (Some(found), _) => found,
            (None, Some(file)) => {
                let mut found = vec![0; bytes as usize];
                let read = file.read_at(offset, &mut found);
                read.map_err(|source| IndexError::Medium { offset, source })?;
                found.into()
            }
            (None, None) => return Err(IndexError::NotKept),
        };
        if found.len() == bytes as usize && hash(&found) == expected {
            return Ok(found);
        }
        Err(IndexError::Damaged { offset, bytes })
    }

    /// Where the next node goes.
    pub fn end(&self) -> u64 {
        self.waiting().end
    }

    /// Bytes that wait to be written.
    pub fn waiting_bytes(&self) -> u64 {
        let waiting = self.waiting();
        if waiting.keeps && self.0.file.is_some() { waiting.end - waiting.written } else { 0 }
    }

    /// Whether as little waits to be written that more may be appended.
    pub fn has_room(&self) -> bool {
        self.waiting_bytes() < WAITING_BYTES_MAX
    }

    /// Writes what waits, from the file's end on. Blocks on the disk; nobody who appends or reads
    /// waits for it.
    ///
    /// # Errors
    /// What the medium says; what could not be written waits on.
    pub fn write_waiting(&self) -> io::Result<()> {
        let Some(file) = &self.0.file else { return Ok(()) };
        loop {
            let (from, bytes) = self.next_part();
            if bytes.is_empty() {
                return Ok(());
            }
            file.write_at(from, &bytes)?;
            let mut waiting = self.waiting();
            waiting.written = from + bytes.len() as u64;
            let behind = waiting.nodes.split_off(&(from + bytes.len() as u64));
            waiting.nodes = behind;
        }
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// What the medium says.
    pub fn sync(&self) -> io::Result<()> {
        self.0.file.as_ref().map_or(Ok(()), |file| file.sync())
    }

    /// Nodes one behind the other, as many as are written at once.
    fn next_part(&self) -> (u64, Vec<u8>) {
        let waiting = self.waiting();
        let mut bytes = Vec::new();
        for node in waiting.nodes.values() {
            if !bytes.is_empty() && bytes.len() + node.len() > WRITE_BYTES {
                break;
            }
            bytes.extend_from_slice(node);
        }
        (waiting.written, bytes)
    }

    /// A panic elsewhere cannot leave it half changed: one map and two numbers are.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many frames were looked at.
    pub(in crate::stages::ledger) fn looked(&self, frames: usize) {
        #[cfg(test)]
        self.0.looks.lock().unwrap_or_else(PoisonError::into_inner).push(frames);
        let _ = frames;
    }

    /// How many frames each look had up to now.
    #[cfg(test)]
    pub(in crate::stages::ledger) fn looks(&self) -> Vec<usize> {
        self.0.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Prints lengths only.
impl fmt::Debug for FrameNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting();
        write!(f, "FrameNodes {{ end: {}, written: {} }}", waiting.end, waiting.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in memory whose writes may fail.
    #[derive(Default)]
    struct Bytes {
        bytes: Mutex<Vec<u8>>,
        fails: Mutex<bool>,
    }

    impl IndexFile for Bytes {
        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
            let all = self.bytes.lock().unwrap();
            let found = all.get(offset as usize..offset as usize + bytes.len());
            bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            if *self.fails.lock().unwrap() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let mut all = self.bytes.lock().unwrap();
            let end = offset as usize + bytes.len();
            let len = all.len().max(end);
            all.resize(len, 0);
            all[offset as usize..end].copy_from_slice(bytes);
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nodes_are_read_before_and_after_they_are_written_and_a_changed_byte_is_reported() {
        let file = Arc::new(Bytes::default());
        let nodes = FrameNodes::in_file(file.clone(), 64);
        let first = nodes.append(vec![1; 700]);
        let second = nodes.append(vec![2; 5]);
        assert_eq!((nodes.end(), nodes.waiting_bytes()), (64 + 705, 705));
        assert_eq!(*nodes.read(&second).unwrap(), [2; 5]);
        *file.fails.lock().unwrap() = true;
        assert!(nodes.write_waiting().is_err());
        assert_eq!((nodes.waiting_bytes(), nodes.read(&first).unwrap().len()), (705, 700));
        *file.fails.lock().unwrap() = false;
        nodes.write_waiting().unwrap();
        assert_eq!((nodes.waiting_bytes(), &*nodes.read(&first).unwrap()), (0, &[1; 700][..]));
        let third = nodes.append(vec![3; 9]);
        nodes.write_waiting().unwrap();
        assert_eq!(*nodes.read(&third).unwrap(), [3; 9]);

        file.bytes.lock().unwrap()[64 + 702] ^= 1;
        let found = nodes.read(&second);
        assert!(matches!(found, Err(IndexError::Damaged { offset: 764, bytes: 5 })), "{found:?}");
        assert!(nodes.read(&first).is_ok());
        file.bytes.lock().unwrap().truncate(100);
        assert!(matches!(nodes.read(&third), Err(IndexError::Medium { .. })));
        let none = FrameNodes::forgotten(0);
        let forgotten = none.append(vec![4; 4]);
        assert!(matches!(none.read(&forgotten), Err(IndexError::NotKept)));
    }
}
