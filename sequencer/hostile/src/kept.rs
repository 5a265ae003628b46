//! What a gateway keeps on its disk until it has receipts.

use bytes::Bytes;
use client::{checked_record, read_segment};

use crate::source::Source;

/// A segment of a state folder: the bytes as they are, and records made of them whose checks hold,
/// which no damage brings about and another version of the program may.
///
/// # Panics
/// If a record that is read has another encoding than its bytes.
pub fn spool_records(bytes: &[u8]) {
    check(Bytes::copy_from_slice(bytes));
    check(records_of(bytes));
}

fn records_of(bytes: &[u8]) -> Bytes {
    let (mut source, mut made) = (Source::new(bytes), Vec::new());
    // One kind more than there are, and none.
    while let Some(kind) = source.step(14) {
        made.extend(checked_record(kind, source.bytes(u8::MAX)));
    }
    made.into()
}

fn check(bytes: Bytes) {
    let read = read_segment(&bytes);
    assert_eq!(read.encoding, bytes[..read.bytes], "one record, one encoding");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_records_of_every_kind_that_are_read_to_their_end() {
        for name in ["every-kind", "frame-0"] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/spool_records");
            let sample = std::fs::read(format!("{folder}/{name}")).expect("a sample");
            let made = records_of(&sample);
            let read = read_segment(&made);
            assert_eq!(read.bytes, made.len(), "{name}");
            assert!(read.last.is_some(), "{name} begins with a head");
        }
    }
}
