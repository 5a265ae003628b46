//! The head of a snapshot: of which journal it is and where in it.

use super::error::SnapshotError;

const MAGIC: [u8; 8] = *b"VITLSNAP";
const INDEX_MAGIC: [u8; 8] = *b"VITLFIDX";
/// Of the index.
const INDEX_VERSION: u32 = 1;

/// Which journal snapshots are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The journal hash before the first group, which names chain and contract.
    pub genesis: [u8; 32],
    /// The identity that the journal was created with.
    pub log_id: [u8; 16],
}

impl Binding {
    /// Length of the first bytes of the index.
    pub const INDEX_BYTES: usize = 64;

    pub(super) fn index_header(&self) -> [u8; Binding::INDEX_BYTES] {
        let mut bytes = [0; Binding::INDEX_BYTES];
        bytes[..8].copy_from_slice(&INDEX_MAGIC);
        bytes[8..12].copy_from_slice(&INDEX_VERSION.to_be_bytes());
        bytes[12..44].copy_from_slice(&self.genesis);
        bytes[44..60].copy_from_slice(&self.log_id);
        bytes
    }
}

/// Where in the journal a snapshot stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotHead {
    /// Which layout the state has; [`SnapshotHead::VERSION`] of one that is written.
    pub version: u32,
    /// The group after which the state is that of the snapshot.
    pub group: u64,
    /// Position of its last entry.
    pub position: u64,
    /// Journal hash after it.
    pub journal_hash: [u8; 32],
    /// The last window that is closed; 0 before the first.
    pub closed: u64,
    /// The group that holds its close; 0 before the first.
    pub close_group: u64,
    /// Length of the sealed state.
    pub body_bytes: u64,
}

impl SnapshotHead {
    /// What is written: the last readings of open segments are sealed under their patients' keys.
    pub const VERSION: u32 = 2;
    /// Read as well: they stand in the state as they are.
    const VERSION_PLAIN: u32 = 1;
    /// Length of the canonical bytes.
    pub const BYTES: usize = SnapshotHead::SEALED_BYTES + 8;
    /// As many of them the state is sealed with: all but its own length.
    pub const SEALED_BYTES: usize = 8 + 4 + 32 + 16 + 8 + 8 + 32 + 8 + 8;

    /// Whether a file that begins so is a snapshot without a reading that is not under its
    /// patient's key.
    pub fn seals_readings(begin: &[u8; 12]) -> bool {
        let version = SnapshotHead::VERSION.to_be_bytes();
        begin[..8] == MAGIC && begin[8..] == version
    }

    pub(super) fn sealed_with(&self, of: &Binding) -> [u8; SnapshotHead::SEALED_BYTES] {
        let whole = self.encode(of);
        *whole.first_chunk().expect("the whole is longer")
    }

    pub(super) fn encode(&self, of: &Binding) -> [u8; SnapshotHead::BYTES] {
        let parts: [&[u8]; 10] = [
            &MAGIC,
            &self.version.to_be_bytes(),
            &of.genesis,
            &of.log_id,
            &self.group.to_be_bytes(),
            &self.position.to_be_bytes(),
            &self.journal_hash,
            &self.closed.to_be_bytes(),
            &self.close_group.to_be_bytes(),
            &self.body_bytes.to_be_bytes(),
        ];
        parts.concat().try_into().expect("the widths sum up to it")
    }

    /// Reads the head of a snapshot of this journal.
    pub(super) fn decode(
        bytes: &[u8; SnapshotHead::BYTES],
        of: &Binding,
    ) -> Result<SnapshotHead, SnapshotError> {
        let mut from = model::Reader::new(bytes);
        let mut fields = || {
            let (magic, version): ([u8; 8], u32) = (from.array()?, from.u32()?);
            let (genesis, log_id) = (from.array()?, from.array()?);
            let head = SnapshotHead {
                version,
                group: from.u64()?,
                position: from.u64()?,
                journal_hash: from.array()?,
                closed: from.u64()?,
                close_group: from.u64()?,
                body_bytes: from.u64()?,
            };
            Ok::<_, model::DecodeError>((magic, Binding { genesis, log_id }, head))
        };
        let (magic, binding, head) = fields().expect("as many bytes as there are fields");
        if magic != MAGIC {
            return Err(SnapshotError::Magic);
        }
        let (expected, found) = (SnapshotHead::VERSION, head.version);
        if found != expected && found != SnapshotHead::VERSION_PLAIN {
            return Err(SnapshotError::Version { expected, found });
        }
        if binding != *of {
            return Err(SnapshotError::Foreign);
        }
        Ok(head)
    }
}
