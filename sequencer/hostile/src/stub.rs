//! What stands in a journal's folder for a file that is in an archive.

use std::sync::{Arc, OnceLock};

use journal::fault::{FaultArchive, FaultMedium, Files, salts};
use journal::{ArchivedFile, Entry, FileName, Log, Position, Reader};

use crate::journal::{
    FILE_BYTES, GENESIS, base, check_served, numbered, put_checksum, read, seed, written,
};
use crate::source::Source;

/// Bytes of a stub, where its checksum stands, and where in it the header of its file, as
/// `journal.md` has them.
const STUB_BYTES: usize = 1_024;
const CHECKSUM_AT: usize = STUB_BYTES - 4;
const HEADER_AT: usize = 48;

/// A stub: the bytes as they are, and changes of one that is right behind a right checksum, which
/// no damage brings about and another version of the program may.
///
/// # Panics
/// If a log that opens with it serves anything that was not appended, says of the file what the
/// stub does not, or does not open a second time.
pub fn journal_stub(bytes: &[u8]) {
    check(bytes.to_vec());
    let mut source = Source::new(bytes);
    let mut stub = away().files[&FileName::Archived(1)].clone();
    while let Some(step) = source.step(2) {
        stub = match step {
            0 => written(stub, &mut source),
            _ => numbered(stub, &mut source),
        };
    }
    check(summed(stub));
}

/// A log of which all files that were left are in an archive.
struct Away {
    files: Files,
    archive: FaultArchive,
    before: Vec<(Position, Entry)>,
}

fn away() -> &'static Away {
    static AWAY: OnceLock<Away> = OnceLock::new();
    AWAY.get_or_init(|| {
        let medium = FaultMedium::holding(base().clone()).with_lengths(FILE_BYTES, FILE_BYTES);
        let opened = Log::open(medium.clone(), GENESIS, salts());
        let reader = opened.expect("an undamaged log opens").0.reader();
        let before = read(&reader).expect("an undamaged log is read");
        let archive = FaultArchive::default();
        archive.put_files_away(&reader).expect("left, and indexed");
        Away { files: medium.files(), archive, before }
    })
}

fn summed(mut stub: Vec<u8>) -> Vec<u8> {
    let seed = seed(&stub[HEADER_AT..]);
    put_checksum(&mut stub, CHECKSUM_AT, seed);
    stub
}

fn check(stub: Vec<u8>) {
    let mut files = away().files.clone();
    files.insert(FileName::Archived(1), stub.clone());
    let open = |files: Files| {
        let medium = FaultMedium::holding(files).with_lengths(FILE_BYTES, FILE_BYTES);
        let medium = medium.with_archive(Arc::new(away().archive.clone()));
        let opened = Log::open(medium.clone(), GENESIS, salts());
        opened.map(|(log, _)| (medium.files(), log.reader()))
    };
    let Ok((files, reader)) = open(files) else { return };
    check_log(&reader, &stub);
    let (_, reader) = open(files).expect("what opened opens again");
    check_log(&reader, &stub);
}

fn check_log(reader: &Reader<FaultMedium>, stub: &[u8]) {
    check_served(reader, &away().before);
    let archived = reader.archived_files().expect("what was opened with is read again");
    let said = archived.into_iter().find(|archived| archived.file == 1);
    let number = |at: usize| stub.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let digest = stub.get(16..HEADER_AT).and_then(|bytes| bytes.try_into().ok());
    let expected = number(8).zip(digest);
    let expected = expected.map(|(length, digest)| ArchivedFile { file: 1, length, digest });
    assert_eq!(said, expected, "a file is what its stub says");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_that_is_untouched_is_what_a_right_checksum_makes_of_it_and_its_file_is_read() {
        let stub = &away().files[&FileName::Archived(1)];
        assert_eq!((stub.len(), summed(stub.clone())), (STUB_BYTES, stub.clone()));
        let reads = away().archive.reads();
        check(stub.clone());
        assert!(away().archive.reads() > reads, "of the archive");
    }

    #[test]
    fn another_digest_behind_a_right_checksum_is_reached_and_nothing_is_served_for_it() {
        let mut stub = away().files[&FileName::Archived(1)].clone();
        stub[20] ^= 1;
        let mut files = away().files.clone();
        files.insert(FileName::Archived(1), summed(stub));
        let medium = FaultMedium::holding(files).with_archive(Arc::new(away().archive.clone()));
        let (log, _) = Log::open(medium, GENESIS, salts()).expect("the digest is nobody's here");
        let error = log.read(1).expect_err("there is no such object");
        assert!(matches!(error, journal::ReadError::Archived(_)), "{error}");
    }
}
