//! Which messages are stored: kept over a restart, so that one that is sent again is answered as it
//! was and stored once.
//!
//! `messages.log` in the state folder has a record of 96 bytes for each message that was stored,
//! and for each part of one that was not stored whole. What a power cut takes off its end, at most
//! [`UNSYNCED_MAX`] records, the marks of the frames in the same folder still say
//! ([`client::InputMark`], 1,024 of each stream).

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use files::Audience;
use thiserror::Error;

/// Bytes of a record.
const RECORD_BYTES: usize = 96;
/// Of them, the hash of the others.
const CHECK_BYTES: usize = 8;
/// Receipts of a message that are kept: the last ones.
pub(super) const RECEIPTS_MAX: usize = 3;
/// Records that may be unsynced. Below the marks of a stream, which say the same.
const UNSYNCED_MAX: usize = 256;
/// Messages that are remembered: some 20 MiB.
pub(super) const MESSAGES_MAX: usize = 100_000;
/// So many records at most, before the file is written anew.
const RECORDS_MAX: usize = 3 * MESSAGES_MAX;

/// A message: the hash of who sent it and of the identifier it has there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct MessageId(pub(crate) [u8; 16]);

/// The hash of what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Content(pub(crate) [u8; 16]);

/// A receipt as an answer names it: group and journal hash, cut.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ReceiptName {
    pub(crate) group: u64,
    pub(crate) journal: [u8; 8],
}

impl std::fmt::Display for ReceiptName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.group, hex::encode(self.journal))
    }
}

/// One part of a message: what goes to one stream.
pub(super) type PartId = [u8; 16];

/// What is known of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) content: Content,
    /// If all of it is stored.
    pub(super) receipts: Option<Vec<ReceiptName>>,
    /// Otherwise, the parts whose frames are kept.
    pub(super) parts: Vec<PartId>,
}

/// The file does not say what was stored.
#[derive(Debug, Error)]
#[error(
    "expected record {record} of {path} as it was written, found another: move the file away; what \
     is sent again of before is then stored once more"
)]
pub(crate) struct Damaged {
    path: String,
    record: usize,
}

enum Record {
    Stored { id: MessageId, content: Content, receipts: Vec<ReceiptName> },
    Part { id: MessageId, content: Content, part: PartId },
}

/// The messages that are remembered.
pub(super) struct Taken {
    path: PathBuf,
    file: File,
    entries: BTreeMap<MessageId, Entry>,
    /// The oldest first.
    order: VecDeque<MessageId>,
    records: usize,
    unsynced: usize,
    /// Whether a part of a record may stand behind them: what followed it would not be read.
    is_torn: bool,
}

impl Taken {
    /// What the folder's file says; makes it if there is none.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Taken> {
        let path = folder.join("messages.log");
        let most = (2 * RECORDS_MAX * RECORD_BYTES) as u64;
        let bytes = match files::read(&path, most, Audience::Owner) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let (entries, order) = (BTreeMap::new(), VecDeque::new());
        let file = files::append(&path)?;
        let mut taken =
            Taken { path, file, entries, order, records: 0, unsynced: 0, is_torn: false };
        let records: Vec<_> = bytes.chunks(RECORD_BYTES).map(Record::read).collect();
        let good = records.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        for (index, record) in records.into_iter().take(good).enumerate() {
            // Before a record that reads, one that does not is no torn end.
            let path = || taken.path.display().to_string();
            let record = record.ok_or_else(|| Damaged { path: path(), record: index + 1 })?;
            taken.remember(record);
        }
        // Whatever is behind was never answered for.
        taken.file.set_len((good * RECORD_BYTES) as u64)?;
        taken.records = good;
        Ok(taken)
    }

    pub(super) fn find(&self, id: MessageId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Whether a part of a message is in frames, of one that is not stored as a whole.
    pub(super) fn has_part(&self, id: MessageId, part: PartId) -> bool {
        self.find(id).is_some_and(|entry| entry.parts.contains(&part))
    }

    /// All of these messages is stored, by the same receipts: one write says it of all.
    pub(super) fn store(
        &mut self,
        messages: &[(MessageId, Content)],
        receipts: &[ReceiptName],
    ) -> io::Result<()> {
        let record = |(id, content): &(MessageId, Content)| Record::Stored {
            id: *id,
            content: *content,
            receipts: receipts.to_vec(),
        };
        self.write(messages.iter().map(record).collect())
    }

    /// A part of a message is kept, and others are not.
    pub(super) fn store_part(
        &mut self,
        id: MessageId,
        content: Content,
        part: PartId,
    ) -> io::Result<()> {
        self.write(vec![Record::Part { id, content, part }])
    }

    /// A part of these messages is no longer in frames: what the node refused is given up.
    pub(super) fn forget_part(
        &mut self,
        part: PartId,
        of: impl IntoIterator<Item = MessageId>,
    ) -> io::Result<()> {
        let mut is_found = false;
        for id in of {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let before = entry.parts.len();
            entry.parts.retain(|one| *one != part);
            is_found |= entry.parts.len() < before;
            // Of what nothing is left the content may be another one when it comes again.
            if entry.parts.is_empty() && entry.receipts.is_none() {
                self.entries.remove(&id);
            }
        }
        if is_found {
            self.order.retain(|id| self.entries.contains_key(id));
        }
        // Most refusals come before anything is placed.
        if is_found { self.rewrite() } else { Ok(()) }
    }

    /// Waits until the disk has it.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.unsynced = 0;
        self.file.sync_data()
    }

    fn write(&mut self, records: Vec<Record>) -> io::Result<()> {
        self.cut()?;
        let bytes: Vec<_> = records.iter().flat_map(Record::to_bytes).collect();
        if let Err(error) = self.file.write_all(&bytes) {
            self.is_torn = true;
            // Where this fails, too, nothing is written until it does not.
            drop(self.cut());
            return Err(error);
        }
        (self.records, self.unsynced) =
            (self.records + records.len(), self.unsynced + records.len());
        records.into_iter().for_each(|record| self.remember(record));
        if self.records > RECORDS_MAX {
            self.rewrite()?;
        }
        if self.unsynced >= UNSYNCED_MAX { self.sync() } else { Ok(()) }
    }

    /// Cuts off what a write left that failed.
    fn cut(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len((self.records * RECORD_BYTES) as u64)?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn remember(&mut self, record: Record) {
        let (id, content) = record.whose();
        if !self.entries.contains_key(&id) {
            self.order.push_back(id);
        }
        let empty = Entry { content, receipts: None, parts: Vec::new() };
        let entry = self.entries.entry(id).or_insert(empty);
        match record {
            Record::Stored { receipts, .. } => {
                *entry = Entry { content, receipts: Some(receipts), parts: Vec::new() };
            }
            Record::Part { part, .. } => entry.parts.push(part),
        }
        if self.order.len() > MESSAGES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    /// Leaves what is no longer remembered behind.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(self.order.len() * RECORD_BYTES);
        let mut records = 0;
        for id in &self.order {
            let Some(entry) = self.entries.get(id) else { continue };
            let (id, content) = (*id, entry.content);
            if let Some(receipts) = entry.receipts.clone() {
                bytes.extend(Record::Stored { id, content, receipts }.to_bytes());
                records += 1;
            }
            for part in &entry.parts {
                bytes.extend(Record::Part { id, content, part: *part }.to_bytes());
                records += 1;
            }
        }
        files::replace(&self.path, &[&bytes], Audience::Owner)?;
        self.file = files::append(&self.path)?;
        (self.records, self.unsynced, self.is_torn) = (records, 0, false);
        Ok(())
    }
}

const STORED: u8 = 1;
const PART: u8 = 2;

impl Record {
    fn whose(&self) -> (MessageId, Content) {
        match self {
            Record::Stored { id, content, .. } | Record::Part { id, content, .. } => {
                (*id, *content)
            }
        }
    }

    fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let (id, content) = self.whose();
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        match self {
            Record::Stored { receipts, .. } => {
                let last = &receipts[receipts.len().saturating_sub(RECEIPTS_MAX)..];
                bytes.extend([STORED, last.len() as u8]);
                bytes.extend([&id.0[..], &content.0].concat());
                for ReceiptName { group, journal } in last {
                    bytes.extend([&group.to_be_bytes()[..], journal].concat());
                }
            }
            Record::Part { part, .. } => {
                bytes.extend([PART, 0]);
                bytes.extend([&id.0[..], &content.0, part].concat());
            }
        }
        bytes.resize(RECORD_BYTES - CHECK_BYTES, 0);
        let check = blake3::hash(&bytes);
        bytes.extend(&check.as_bytes()[..CHECK_BYTES]);
        let mut record = [0; RECORD_BYTES];
        record.copy_from_slice(&bytes);
        record
    }

    fn read(bytes: &[u8]) -> Option<Record> {
        let (body, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        let is_whole = bytes.len() == RECORD_BYTES
            && blake3::hash(body).as_bytes().first_chunk::<CHECK_BYTES>() == Some(check);
        let ([kind, count], rest) = body.split_first_chunk().filter(|_| is_whole)?;
        let (id, rest) = rest.split_first_chunk()?;
        let (content, rest) = rest.split_first_chunk()?;
        let (id, content) = (MessageId(*id), Content(*content));
        match *kind {
            STORED => {
                let names = rest.chunks_exact(16).take(usize::from(*count).min(RECEIPTS_MAX));
                let receipts = names.map(|name| {
                    let (group, journal) = name.split_first_chunk()?;
                    let group = u64::from_be_bytes(*group);
                    Some(ReceiptName { group, journal: *journal.first_chunk()? })
                });
                Some(Record::Stored { id, content, receipts: receipts.collect::<Option<_>>()? })
            }
            PART => Some(Record::Part { id, content, part: *rest.first_chunk()? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: Content = Content([9; 16]);

    fn id(number: u8) -> MessageId {
        MessageId([number; 16])
    }

    fn receipt(group: u64) -> ReceiptName {
        ReceiptName { group, journal: [7; 8] }
    }

    #[test]
    fn what_is_stored_is_known_after_a_restart_and_a_torn_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let mut taken = Taken::open(folder.path()).unwrap();
        taken.store_part(id(1), CONTENT, [5; 16]).unwrap();
        let receipts: Vec<_> = (1..=4).map(receipt).collect();
        taken.store(&[(id(2), CONTENT)], &receipts).unwrap();
        taken.store(&[(id(3), CONTENT)], &[receipt(8)]).unwrap();
        drop(taken);
        let path = folder.path().join("messages.log");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 1);
        files::replace(&path, &[&bytes], Audience::Owner).unwrap();
        let taken = Taken::open(folder.path()).unwrap();
        let receipts = Some((2..=4).map(receipt).collect());
        let stored = Entry { content: CONTENT, receipts, parts: Vec::new() };
        assert_eq!(taken.find(id(2)), Some(&stored));
        assert_eq!(taken.find(id(1)).map(|one| &one.parts[..]), Some(&[[5; 16]][..]));
        assert_eq!((taken.find(id(3)), taken.records), (None, 2));
        drop(taken);
        // A record that does not read before one that does is no torn end.
        bytes[4] ^= 1;
        files::replace(&path, &[&bytes], Audience::Owner).unwrap();
        let error = Taken::open(folder.path()).err().expect("damage");
        assert!(error.to_string().contains("record 1 of"), "{error}");
    }

    #[test]
    fn what_follows_a_write_that_failed_in_the_middle_of_a_record_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages.log");
        let mut taken = Taken::open(folder.path()).unwrap();
        taken.store(&[(id(1), CONTENT)], &[receipt(1)]).unwrap();
        // A disk that is full, on which nothing can be cut either.
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut taken.file, full);
        for _ in 0..2 {
            assert!(taken.store(&[(id(2), CONTENT)], &[receipt(2)]).is_err());
        }
        // Some of the record went, and then there is room again.
        taken.file = file;
        files::append(&path).unwrap().write_all(&[STORED; 40]).unwrap();
        taken.store(&[(id(3), CONTENT), (id(4), CONTENT)], &[receipt(3)]).unwrap();
        drop(taken);
        let taken = Taken::open(folder.path()).unwrap();
        let found = [1, 2, 3, 4].map(|number| taken.find(id(number)).is_some());
        assert_eq!((found, taken.records), ([true, false, true, true], 3));
    }

    #[test]
    fn a_part_that_is_given_up_is_forgotten_of_its_messages_and_stays_that_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut taken = Taken::open(folder.path()).unwrap();
        for part in [5, 6] {
            taken.store_part(id(1), CONTENT, [part; 16]).unwrap();
        }
        for number in [2, 3] {
            taken.store_part(id(number), CONTENT, [5; 16]).unwrap();
        }
        taken.forget_part([5; 16], [1, 2, 4].map(id)).unwrap();
        // What was refused as a whole may be corrected.
        assert_eq!(taken.find(id(2)), None);
        drop(taken);
        let taken = Taken::open(folder.path()).unwrap();
        let parts = |number| taken.find(id(number)).map(|one| one.parts.clone());
        assert_eq!(parts(1), Some(vec![[6; 16]]));
        assert_eq!((parts(2), parts(3)), (None, Some(vec![[5; 16]])));
    }

    #[test]
    fn the_file_and_the_memory_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut taken = Taken::open(folder.path()).unwrap();
        for part in 0..10u8 {
            taken.store_part(id(part), CONTENT, [part; 16]).unwrap();
            taken.store(&[(id(part), CONTENT)], &[receipt(part.into())]).unwrap();
        }
        taken.rewrite().unwrap();
        assert_eq!(taken.records, 10, "a part of what is stored whole is needed no more");
        drop(taken);
        let taken = Taken::open(folder.path()).unwrap();
        assert_eq!((taken.entries.len(), taken.records), (10, 10));
    }
}
