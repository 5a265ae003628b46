//! The bytes of a segment, for whoever looks for some that break their reader.

use bytes::Bytes;

use super::kept::Kept;
use super::record::{self, Record, Taken};

/// What was read of some bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentRead {
    /// Bytes of the whole records that they begin with.
    pub bytes: usize,
    /// The encoding of these records.
    pub encoding: Vec<u8>,
    /// The number of the frame that was given last, if a record says so.
    pub last: Option<u64>,
}

/// Reads records until one is torn or says nothing that is known, and takes each of them into the
/// state of a stream, as an opening of its folder does.
pub fn read_segment(bytes: &Bytes) -> SegmentRead {
    let (mut rest, mut encoding, mut kept) = (bytes.clone(), Vec::new(), None::<Kept>);
    let mut whole = 0;
    while let Taken::Whole(record) = record::take(&mut rest) {
        encoding.extend(record.encode());
        whole = bytes.len() - rest.len();
        match (&mut kept, &record) {
            (Some(kept), record) => kept.apply(record),
            (None, Record::Head(head)) => kept = Some(Kept::of_head(*head)),
            // Whoever opens it refuses what does not begin with one.
            (None, _) => {}
        }
    }
    // What a torn end is held against.
    let _ = record::synced(&rest);
    SegmentRead { bytes: whole, encoding, last: kept.map(|kept| kept.last) }
}

/// A record of this kind and body with the check that it has, whether or not it says anything.
pub fn checked_record(kind: u8, body: &[u8]) -> Vec<u8> {
    record::checked(kind, body)
}
