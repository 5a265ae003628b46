//! Rows and their canonical bytes: big-endian, fixed order, a version first, a check last.
//!
//! The database trusts what it reads back from the disk, so each row says itself whether it is
//! what was written, and under which key.

use model::{BatchNumber, DecodeError, Millis, Reader};

const VERSION: u8 = 2;
/// Rows that have no check, as the version before wrote them.
const UNCHECKED: u8 = 1;
/// First bytes of the blake3 of key and row: they tell damage, not intent.
const CHECK_BYTES: usize = 16;
/// Most bytes of a signed transaction: what a public node relays.
const SIGNED_BYTES_MAX: usize = 128 * 1024;

/// Length and blake3 of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileDigest {
    /// blake3 of the file.
    pub blake3: [u8; 32],
    /// Its length in bytes.
    pub bytes: u64,
}

impl FileDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> FileDigest {
        FileDigest { blake3: *blake3::hash(bytes).as_bytes(), bytes: bytes.len() as u64 }
    }
}

/// Where and how a batch was settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// Hash of the transaction.
    pub transaction: [u8; 32],
    /// Number of its block.
    pub block: u64,
    /// How long after the end of its window, milliseconds.
    pub lateness_ms: u64,
    /// Gas of the whole transaction, which may hold several batches.
    pub gas: u64,
}

/// An assembled batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchRow {
    /// Hash of its header.
    pub header_hash: [u8; 32],
    /// When it was saved first.
    pub assembled_at: Millis,
    /// End of its window.
    pub t1: Millis,
    /// Its public file.
    pub public: FileDigest,
    /// Its private file.
    pub private: FileDigest,
    /// Where it was settled, if the chain says so.
    pub settled: Option<Settled>,
}

/// How far a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutboxState {
    /// Signed and written, and these bytes not given to anybody.
    Built,
    /// Given to the chain's node, or about to be.
    Sent {
        /// When the last time.
        at: Millis,
        /// How often it took these bytes.
        times: u32,
    },
    /// In a block that may still go away.
    Mined {
        /// Which of the row's transactions.
        hash: [u8; 32],
        /// Number of the block.
        block: u64,
        /// Hash of the block.
        block_hash: [u8; 32],
    },
    /// In a block that the chain calls final.
    Final {
        /// Which of the row's transactions.
        hash: [u8; 32],
        /// Number of the block.
        block: u64,
    },
    /// Never to be mined with effect: it failed, or the account used the nonce otherwise.
    Void,
}

/// One nonce of the settling account and the transactions signed for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutboxRow {
    /// First batch that it settles.
    pub first: u64,
    /// Last batch that it settles.
    pub last: u64,
    /// Hash of `signed`.
    pub hash: [u8; 32],
    /// The transaction to send, signed, EIP-2718 bytes.
    pub signed: Vec<u8>,
    /// Hashes of the transactions that it replaced: each may still be mined.
    pub replaced: Vec<[u8; 32]>,
    /// How far it is.
    pub state: OutboxState,
}

impl BatchRow {
    /// The time of the block that settled it, if one did.
    pub fn settled_at(&self) -> Option<Millis> {
        self.settled.map(|settled| self.t1.plus(settled.lateness_ms))
    }

    pub(super) fn to_bytes(&self, number: u64) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.header_hash);
        out.extend(self.assembled_at.get().to_be_bytes());
        out.extend(self.t1.get().to_be_bytes());
        for file in [&self.public, &self.private] {
            out.extend(file.blake3);
            out.extend(file.bytes.to_be_bytes());
        }
        out.push(u8::from(self.settled.is_some()));
        if let Some(settled) = &self.settled {
            out.extend(settled.transaction);
            for number in [settled.block, settled.lateness_ms, settled.gas] {
                out.extend(number.to_be_bytes());
            }
        }
        with_check(number, out)
    }

    pub(super) fn from_bytes(number: u64, bytes: &[u8]) -> Result<BatchRow, DecodeError> {
        let reader = &mut read_check(number, bytes)?;
        let row = BatchRow {
            header_hash: reader.array()?,
            assembled_at: reader.millis()?,
            t1: reader.millis()?,
            public: FileDigest { blake3: reader.array()?, bytes: reader.u64()? },
            private: FileDigest { blake3: reader.array()?, bytes: reader.u64()? },
            settled: match reader.map("0 or 1", Reader::u8, |n| (n < 2).then_some(n))? {
                0 => None,
                _ => Some(Settled {
                    transaction: reader.array()?,
                    block: reader.u64()?,
                    lateness_ms: reader.u64()?,
                    gas: reader.u64()?,
                }),
            },
        };
        reader.finish()?;
        Ok(row)
    }
}

impl OutboxRow {
    /// Whether it settles this batch.
    pub fn carries(&self, number: BatchNumber) -> bool {
        (self.first..=self.last).contains(&number.0)
    }

    /// Every transaction that may be mined for this nonce, the latest first.
    pub fn hashes(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        std::iter::once(self.hash).chain(self.replaced.iter().rev().copied())
    }

    /// Whether nobody but this store ever had a transaction of the row.
    pub fn never_left(&self) -> bool {
        self.state == OutboxState::Built && self.replaced.is_empty()
    }

    /// Whether a transaction of the row is still to be mined.
    pub fn is_open(&self) -> bool {
        matches!(self.state, OutboxState::Built | OutboxState::Sent { .. })
    }

    pub(super) fn to_bytes(&self, nonce: u64) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.first.to_be_bytes());
        out.extend(self.last.to_be_bytes());
        out.extend(self.hash);
        // Bounded by SIGNED_BYTES_MAX and by the settler's limit on replacements.
        out.extend((self.signed.len() as u32).to_be_bytes());
        out.extend(&self.signed);
        out.extend((self.replaced.len() as u32).to_be_bytes());
        self.replaced.iter().for_each(|hash| out.extend(hash));
        put_state(&mut out, &self.state);
        with_check(nonce, out)
    }

    pub(super) fn from_bytes(nonce: u64, bytes: &[u8]) -> Result<OutboxRow, DecodeError> {
        let reader = &mut read_check(nonce, bytes)?;
        let (first, last, hash) = (reader.u64()?, reader.u64()?, reader.array()?);
        let short = |len: u32| Some(len as usize).filter(|len| *len <= SIGNED_BYTES_MAX);
        // Bounded before it is taken, for the same reason as the count below.
        let len = reader.map("a transaction of at most 128 KiB", Reader::u32, short)?;
        let signed = reader.take(len)?.to_vec();
        // Against the bytes that are left, so that a damaged count reserves no memory.
        let count = reader.count(32)?;
        let replaced = (0..count).map(|_| reader.array()).collect::<Result<_, _>>()?;
        let state = read_state(reader)?;
        reader.finish()?;
        Ok(OutboxRow { first, last, hash, signed, replaced, state })
    }
}

fn check(key: u64, row: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    let hash = hasher.update(&key.to_be_bytes()).update(row).finalize();
    *hash.as_bytes().first_chunk().expect("a hash is longer")
}

fn with_check(key: u64, mut row: Vec<u8>) -> Vec<u8> {
    row.extend(check(key, &row));
    row
}

/// The fields of a row whose check holds.
fn read_check(key: u64, bytes: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let known = |version| matches!(version, UNCHECKED | VERSION).then_some(version);
    if reader.map("row version 1 or 2", Reader::u8, known)? == UNCHECKED {
        return Ok(reader);
    }
    let fields = reader.take(reader.remaining().saturating_sub(CHECK_BYTES))?;
    let expected = check(key, &bytes[..1 + fields.len()]);
    let same = |found| (found == expected).then_some(());
    reader.map("the check of its key and bytes", Reader::array, same)?;
    Ok(Reader::new(fields))
}

fn put_state(out: &mut Vec<u8>, state: &OutboxState) {
    match state {
        OutboxState::Built => out.push(0),
        OutboxState::Sent { at, times } => {
            out.push(1);
            out.extend(at.get().to_be_bytes());
            out.extend(times.to_be_bytes());
        }
        OutboxState::Mined { hash, block, block_hash } => {
            out.push(2);
            out.extend(hash);
            out.extend(block.to_be_bytes());
            out.extend(block_hash);
        }
        OutboxState::Final { hash, block } => {
            out.push(3);
            out.extend(hash);
            out.extend(block.to_be_bytes());
        }
        OutboxState::Void => out.push(4),
    }
}

fn read_state(reader: &mut Reader<'_>) -> Result<OutboxState, DecodeError> {
    Ok(match reader.map("a state 0 to 4", Reader::u8, |tag| (tag < 5).then_some(tag))? {
        0 => OutboxState::Built,
        1 => OutboxState::Sent { at: reader.millis()?, times: reader.u32()? },
        2 => OutboxState::Mined {
            hash: reader.array()?,
            block: reader.u64()?,
            block_hash: reader.array()?,
        },
        3 => OutboxState::Final { hash: reader.array()?, block: reader.u64()? },
        _ => OutboxState::Void,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 7;

    fn check<T: PartialEq + std::fmt::Debug>(
        row: &T,
        bytes: Vec<u8>,
        read: fn(u64, &[u8]) -> Result<T, DecodeError>,
    ) {
        assert_eq!(read(KEY, &bytes).as_ref(), Ok(row));
        assert!((0..bytes.len()).all(|len| read(KEY, &bytes[..len]).is_err()));
        assert!(read(KEY, &[&bytes[..], &[0]].concat()).is_err());
        let newer = [&[VERSION + 1], &bytes[1..]].concat();
        assert!(matches!(read(KEY, &newer), Err(DecodeError::Field { offset: 0, .. })));
        // Whatever byte is another one, and under whatever other key.
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(read(KEY, &damaged).is_err(), "byte {at}");
            }
        }
        assert!(read(KEY + 1, &bytes).is_err());
        let before = [&[UNCHECKED], &bytes[1..bytes.len() - CHECK_BYTES]].concat();
        assert_eq!(read(KEY, &before).as_ref(), Ok(row), "as the version before wrote it");
    }

    #[test]
    fn rows_round_trip_and_truncated_longer_or_newer_ones_are_refused() {
        let at = Millis::new(7).unwrap();
        let settled = Settled { transaction: [3; 32], block: 4, lateness_ms: 5, gas: 6 };
        for settled in [None, Some(settled)] {
            let file = FileDigest::of(b"file");
            let (public, private) = (file, FileDigest::of(b"other"));
            let header_hash = [1; 32];
            let row = BatchRow { header_hash, assembled_at: at, t1: at, public, private, settled };
            check(&row, row.to_bytes(KEY), BatchRow::from_bytes);
        }
        for state in [
            OutboxState::Built,
            OutboxState::Sent { at, times: 2 },
            OutboxState::Mined { hash: [8; 32], block: 9, block_hash: [10; 32] },
            OutboxState::Final { hash: [8; 32], block: 9 },
            OutboxState::Void,
        ] {
            let (signed, replaced) = (vec![1, 2, 3], vec![[5; 32], [6; 32]]);
            let row = OutboxRow { first: 1, last: 2, hash: [4; 32], signed, replaced, state };
            check(&row, row.to_bytes(KEY), OutboxRow::from_bytes);
            assert_eq!(row.hashes().collect::<Vec<_>>(), [[4; 32], [6; 32], [5; 32]]);
        }
    }
}
