//! A folder of the journal that somebody changed, and a file of its version before.

use std::sync::OnceLock;

use journal::fault::{FaultMedium, Files, salts};
use journal::{
    Entry, EntryKind, FileName, Genesis, GroupSummary, Log, Medium, Position, journal_hash,
};

use crate::source::Source;

pub(crate) const GENESIS: Genesis = Genesis { log_id: [0xa5; 16], journal_hash: [0x11; 32] };
const START_MS: u64 = 3_976_214_400_000;
/// Files are this long, so that a few groups fill several.
pub(crate) const FILE_BYTES: u64 = 4096;
/// Longest file after a change.
const CHANGED_BYTES_MAX: usize = 1 << 16;
/// Room on the medium: a length that lies is met by a disk that is full.
const ROOM_BYTES: u64 = 1 << 20;

/// Bytes of a file's header, of a group's, and of a group's mark, as `journal.md` has them.
const HEADER_BYTES: usize = 128;
const GROUP_BYTES: usize = 136;
const MARK_BYTES: usize = 8;

/// One file of a log, as it stands in a folder and as it is converted.
///
/// # Panics
/// As [`journal_folder`].
pub fn journal_file(bytes: &[u8]) {
    // Both are asked of a file that somebody names on a command line.
    let _ = journal::is_one_file(&bytes[..bytes.len().min(HEADER_BYTES)]);
    open([(FileName::Log(1), bytes.to_vec())].into());
}

/// A folder with changes: bytes, lengths, files that are missing or stand for another, checksums
/// and hashes made right again so that what is behind them is reached.
///
/// # Panics
/// If a log that opens serves its entries out of order, or does not open a second time with the
/// same ones, or loses a group that it says it has committed.
pub fn journal_folder(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mut files = base().clone();
    while let Some(step) = source.step(8) {
        change(&mut files, step, &mut source);
    }
    open(files);
}

/// A log of some files that are sealed and have an index, and one that is not.
pub(crate) fn base() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let medium = FaultMedium::default().with_lengths(FILE_BYTES, FILE_BYTES);
        let opened = Log::open(medium.clone(), GENESIS, salts());
        let (mut log, _) = opened.expect("an empty medium becomes a log");
        for group in 0..7_u8 {
            let entry = Entry::new(EntryKind::FRAME, START_MS, vec![group; 400]);
            log.append(&[entry.clone(), entry]).expect("the medium does not fail");
            log.make_ahead().expect("the medium does not fail");
        }
        medium.files()
    })
}

/// A log whose files are damaged while it is open, and after that.
///
/// # Panics
/// If anything is served that was not appended.
pub fn journal_damage(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let medium = FaultMedium::holding(base().clone()).with_lengths(FILE_BYTES, FILE_BYTES);
    let opened = Log::open(medium.clone(), GENESIS, salts());
    let (log, _) = opened.expect("an undamaged log opens");
    let reader = log.reader();
    let before = read(&reader).expect("an undamaged log is read");
    let names: Vec<FileName> = medium.files().into_keys().collect();
    while let Some(chosen) = source.step(names.len() as u8) {
        let name = names[usize::from(chosen)];
        let content = written(medium.file(name), &mut source);
        medium.write_at(name, 0, &content).expect("the medium does not fail");
    }
    check_served(&reader, &before);
    drop(log);
    if let Ok((log, _)) = Log::open(medium, GENESIS, salts()) {
        check_served(&log.reader(), &before);
    }
}

pub(crate) fn check_served(reader: &journal::Reader<FaultMedium>, before: &[(Position, Entry)]) {
    for (position, entry) in before {
        if let Ok(served) = reader.read(*position) {
            assert_eq!(served, *entry, "position {position}: damage is not served");
        }
    }
    for item in reader.iter_from(1) {
        let Ok((position, served)) = item else { break };
        let found = before.iter().find(|(other, _)| *other == position);
        assert_eq!(found.map(|(_, entry)| entry), Some(&served), "damage is not served");
    }
}

fn change(files: &mut Files, step: u8, source: &mut Source<'_>) {
    let names: Vec<FileName> = files.keys().copied().collect();
    let Some(name) = names.get(usize::from(source.below(8))).copied() else { return };
    let content = files.get_mut(&name).map(std::mem::take).unwrap_or_default();
    let changed = match step {
        0 => written(content, source),
        1 => numbered(content, source),
        2 => cut(content, source),
        3 => {
            files.remove(&name);
            return;
        }
        4 => {
            let other = FileName::Log(source.number().max(1));
            files.insert(other, content.clone());
            content
        }
        5 => {
            let other = FileName::Index(source.number().max(1));
            files.insert(other, content.clone());
            content
        }
        step => match (name, step) {
            (FileName::Index(number), _) => {
                let of = files.get(&FileName::Log(number)).map_or(&[][..], Vec::as_slice);
                index_summed(content, of)
            }
            (_, 6) => summed(content),
            _ => hashed(content),
        },
    };
    files.insert(name, changed);
}

/// With other bytes somewhere.
pub(crate) fn written(mut content: Vec<u8>, source: &mut Source<'_>) -> Vec<u8> {
    let at = source.place();
    for (old, new) in content.iter_mut().skip(at).zip(source.bytes(64)) {
        *old = *new;
    }
    content
}

/// With another number somewhere: a small one, or one at an edge.
pub(crate) fn numbered(mut content: Vec<u8>, source: &mut Source<'_>) -> Vec<u8> {
    let at = source.place() / 4 * 4;
    let number = source.number().to_le_bytes();
    for (old, new) in content.iter_mut().skip(at).zip(number) {
        *old = new;
    }
    content
}

/// Shorter, or longer by zeros.
fn cut(mut content: Vec<u8>, source: &mut Source<'_>) -> Vec<u8> {
    content.resize(source.place().min(CHANGED_BYTES_MAX), 0);
    content
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..].first_chunk().copied().unwrap_or([0; N])
}

pub(crate) fn put_checksum(bytes: &mut [u8], at: usize, seed: u32) {
    let sum = crc32c::crc32c_append(seed, &bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// What the checksums in a file start from.
pub(crate) fn seed(content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&content[16..32]), &content[88..96])
}

/// Where the groups of a file stand.
fn groups(content: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut at) = (Vec::new(), HEADER_BYTES);
    while content.get(at..at + GROUP_BYTES).is_some_and(|head| head.starts_with(b"VGRP")) {
        let body = (u32_at(content, at + 28) as usize).next_multiple_of(8);
        let end = at + GROUP_BYTES + body + MARK_BYTES;
        if end > content.len() {
            break;
        }
        found.push(at..end);
        at = end;
    }
    found
}

/// With right checksums in its header, its groups, their marks and its seal.
fn summed(mut content: Vec<u8>) -> Vec<u8> {
    if content.len() < HEADER_BYTES {
        return content;
    }
    put_checksum(&mut content[..HEADER_BYTES], HEADER_BYTES - 4, 0);
    let seed = seed(&content);
    for place in groups(&content) {
        let record = &mut content[place];
        let mark = record.len() - MARK_BYTES;
        let sum = crc32c::crc32c_append(seed, &record[GROUP_BYTES..mark]);
        record[128..132].copy_from_slice(&sum.to_le_bytes());
        put_checksum(&mut record[..GROUP_BYTES], GROUP_BYTES - 4, seed);
        let number: [u8; 8] = array_at(record, 8);
        let sum = crc32c::crc32c_append(crc32c::crc32c_append(seed, b"durable"), &number);
        record[mark..mark + 4].copy_from_slice(b"VDUR");
        record[mark + 4..].copy_from_slice(&sum.to_le_bytes());
    }
    let seal = content.len() - content.len() % 512;
    if let Some(seal) = content[..seal].last_chunk_mut::<512>()
        && seal.starts_with(b"VITLSEAL")
    {
        put_checksum(seal, 508, seed);
    }
    content
}

/// The same, and with right digests and hashes.
fn hashed(mut content: Vec<u8>) -> Vec<u8> {
    if content.len() < HEADER_BYTES {
        return content;
    }
    let mut hash: [u8; 32] = array_at(&content, 56);
    for place in groups(&content) {
        let record = &mut content[place];
        let (number, first) = (u64_at(record, 8), u64_at(record, 16));
        let (count, bytes) = (u32_at(record, 24), u32_at(record, 28) as usize);
        let entries = &record[GROUP_BYTES..GROUP_BYTES + bytes];
        let digest = *blake3::keyed_hash(&array_at(record, 96), entries).as_bytes();
        let last = first.wrapping_add(u64::from(count)).wrapping_sub(1);
        hash = journal_hash(&hash, &GroupSummary { number, first, last, digest });
        record[32..64].copy_from_slice(&hash);
        record[64..96].copy_from_slice(&digest);
    }
    summed(content)
}

/// An index with a right checksum, for the file that it is of.
fn index_summed(mut content: Vec<u8>, of: &[u8]) -> Vec<u8> {
    let sectors = of.len() / 512 * 512;
    let Some(seal) = of[..sectors].last_chunk::<512>() else { return content };
    let Some((header, rest)) = content.split_at_mut_checked(64) else { return content };
    let sum = crc32c::crc32c_append(seed(of), &seal[48..80]);
    let sum = crc32c::crc32c_append(sum, &seal[16..24]);
    let sum = crc32c::crc32c_append(sum, &header[..60]);
    let sum = crc32c::crc32c_append(sum, rest);
    header[60..].copy_from_slice(&sum.to_le_bytes());
    content
}

fn open(files: Files) {
    let medium = || {
        let medium = FaultMedium::holding(files.clone()).with_lengths(FILE_BYTES, FILE_BYTES);
        medium.limit_room(ROOM_BYTES);
        medium
    };
    // By whoever accepts the loss of its end, too.
    for opened in [Log::open(medium(), GENESIS, salts()), shortened(medium())] {
        let Ok((log, _)) = opened else { continue };
        let reader = log.reader();
        drop(log);
        let _ = read(&reader);
    }
    let medium = medium();
    let Ok((mut log, _)) = Log::open(medium.clone(), GENESIS, salts()) else { return };
    let before = read(&log.reader());
    let appended = log.append(&[Entry::new(EntryKind::CLOSE, START_MS + 60_000, "more")]);
    drop(log);
    let (log, _) = Log::open(medium, GENESIS, salts()).expect("what opened opens again");
    match (before, appended) {
        // Damage in a file that was sealed shows only when it is read.
        (None, _) => {}
        (Some(before), Ok(committed)) => {
            assert_eq!(log.head().group, committed.group, "what is committed is there");
            let after = read(&log.reader());
            assert_eq!(after.map(|after| after.len()), Some(before.len() + 1));
        }
        (Some(before), Err(_)) => assert_eq!(read(&log.reader()), Some(before)),
    }
}

type Opened = Result<(Log<FaultMedium>, journal::Recovery), journal::OpenError>;

fn shortened(medium: FaultMedium) -> Opened {
    Log::open_shortened(medium, GENESIS, salts())
}

/// Every entry, each way in which it is read; none if one of them is damaged.
pub(crate) fn read<M: Medium>(reader: &journal::Reader<M>) -> Option<Vec<(Position, Entry)>> {
    let head = reader.head();
    for position in [0, 1, head.position, head.position.saturating_add(1), Position::MAX] {
        let _ = (reader.read(position), reader.group_of(position));
        let _ = (reader.hash_tag(position), reader.group(position), reader.group_after(position));
    }
    reader.given_up();
    let mut entries = Vec::new();
    for item in reader.iter_from(1) {
        let (position, entry) = item.ok()?;
        let last = entries.last().map_or(0, |(position, _)| *position);
        assert!(position > last && position <= head.position, "in order, up to the head");
        // Not that it is no later than the head: of a file with an index its seal is believed.
        entries.push((position, entry));
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_has_several_files_with_an_index_and_opens() {
        let logs = base().keys().filter(|name| matches!(name, FileName::Log(_))).count();
        let indexes = base().keys().filter(|name| matches!(name, FileName::Index(_))).count();
        assert!(logs >= 3 && indexes >= 2, "{:?}", base().keys());
        let medium = FaultMedium::holding(base().clone());
        let (log, _) = Log::open(medium, GENESIS, salts()).expect("it opens");
        assert_eq!(read(&log.reader()).map(|entries| entries.len()), Some(14));
    }

    #[test]
    fn what_is_made_right_again_was_right() {
        for (name, content) in base().iter().filter(|(name, _)| matches!(name, FileName::Log(_))) {
            assert!(!groups(content).is_empty() || content[..8] != *b"VITALLOG", "{name}");
            if content.starts_with(b"VITALLOG") {
                assert_eq!(hashed(content.clone()), *content, "{name}");
            }
        }
        for number in 1..=2 {
            let (index, of) = (FileName::Index(number), FileName::Log(number));
            let content = &base()[&index];
            assert_eq!(index_summed(content.clone(), &base()[&of]), *content, "{index}");
        }
    }

    #[test]
    fn another_number_behind_right_checksums_is_reached_and_refused() {
        let mut files = base().clone();
        let name = FileName::Log(1);
        let mut content = files.remove(&name).expect("the first file");
        // A reserved byte of the first entry.
        content[HEADER_BYTES + GROUP_BYTES + 1] = 1;
        // Its index does not look, so the group is read.
        files.remove(&FileName::Index(1));
        files.insert(name, hashed(content));
        let error = Log::open(FaultMedium::holding(files), GENESIS, salts()).expect_err("refused");
        let text = model::with_causes(&error);
        assert!(text.contains("entry reserved") || text.contains("journal hash"), "{text}");
    }
}
