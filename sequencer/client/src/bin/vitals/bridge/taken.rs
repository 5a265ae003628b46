//! Which messages are stored: kept over a restart, so that one that is sent again is answered as it
//! was and stored once.
//!
//! `messages.log` in the state folder has a record for each message that was stored, for each part
//! of one that was not stored whole, and where such a part is given up. What a power cut takes off
//! its end, at most 256 records, the marks of the frames in the same folder still say
//! ([`client::InputMark`], 1,024 of each stream).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::content::Said;

mod log;
mod record;

pub(super) use log::DiskFailed;
use log::{Enough, Log};
pub(crate) use record::{MessageId, ReceiptName};
pub(super) use record::{PartId, RECEIPTS_MAX};
use record::{Record, What};

/// Messages that are remembered: some 10 MiB.
pub(super) const MESSAGES_MAX: usize = 100_000;
/// So many records of a file at most: each may hold three for a message.
const RECORDS_MAX: usize = 3 * MESSAGES_MAX;

/// What is known of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) said: Said,
    pub(super) kept: Kept,
}

/// What of it is kept. As small as most are: there are many of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// All of it, by one receipt.
    ByOne(ReceiptName),
    /// All of it, by none that is at hand or by several.
    BySeveral(Box<[ReceiptName]>),
    /// The parts whose frames are kept, and others are not.
    InPart(Vec<PartId>),
    /// Perhaps: the node may have what was given up of it.
    Unsure,
}

impl Entry {
    /// By which receipts all of it is stored, if it is.
    pub(super) fn receipts(&self) -> Option<&[ReceiptName]> {
        match &self.kept {
            Kept::ByOne(receipt) => Some(slice::from_ref(receipt)),
            Kept::BySeveral(receipts) => Some(receipts),
            Kept::InPart(_) | Kept::Unsure => None,
        }
    }

    fn parts(&self) -> &[PartId] {
        match &self.kept {
            Kept::InPart(parts) => parts,
            Kept::ByOne(_) | Kept::BySeveral(_) | Kept::Unsure => &[],
        }
    }
}

/// The messages that are remembered.
pub(super) struct Taken {
    known: Mutex<Known>,
    /// Held by whoever changes what is known, so that the file says it in the same order.
    log: tokio::sync::Mutex<Log>,
    failure: watch::Receiver<Option<DiskFailed>>,
}

impl Taken {
    /// What the folder's files say; makes them if there are none.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Taken> {
        Taken::of_at_most(folder, MESSAGES_MAX, RECORDS_MAX)
    }

    fn of_at_most(folder: &Path, messages: usize, records: usize) -> anyhow::Result<Taken> {
        let mut known = Known { most: messages, ..Known::default() };
        let log = Log::open(folder, Enough { messages, records }, |record| known.remember(record))?;
        known.tidy();
        let failure = log.failure();
        Ok(Taken { known: Mutex::new(known), log: tokio::sync::Mutex::new(log), failure })
    }

    /// Until the disk has failed, and nothing is kept any more: whoever answers messages is to end
    /// then, since only the next start reads what the disk has. None if nobody writes any more.
    pub(super) async fn disk_failed(&self) -> Option<DiskFailed> {
        self.failure.clone().wait_for(Option::is_some).await.ok()?.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: MessageId) -> Option<Entry> {
        self.lock().entries.get(&id).cloned()
    }

    /// Whether a part of a message is in frames, of one that is not stored as a whole.
    pub(super) fn has_part(&self, id: MessageId, part: PartId) -> bool {
        self.lock().has_part(id, part)
    }

    /// Whether the node may have what was given up of a message.
    pub(super) fn is_unsure(&self, id: MessageId) -> bool {
        self.lock().entries.get(&id).is_some_and(|entry| entry.kept == Kept::Unsure)
    }

    /// All of these messages is stored, by the same receipts: one write says it of all.
    pub(super) async fn store(
        &self,
        messages: &[(MessageId, Said)],
        receipts: &[ReceiptName],
    ) -> io::Result<()> {
        let what = What::Stored(receipts.to_vec());
        let record =
            |(id, said): &(MessageId, Said)| Record { id: *id, said: *said, what: what.clone() };
        let mut log = self.log.lock().await;
        self.write(&mut log, messages.iter().map(record).collect()).await
    }

    /// A part of these messages is kept, and others are not: if it still `stands` once nobody else
    /// changes what is known, so that what is given up from then on is forgotten behind this.
    pub(super) async fn store_part(
        &self,
        part: PartId,
        messages: impl Iterator<Item = (MessageId, Said)>,
        stands: impl Fn() -> bool,
    ) -> io::Result<()> {
        let mut log = self.log.lock().await;
        if !stands() {
            return Ok(());
        }
        let new = messages.filter(|(id, _)| !self.has_part(*id, part));
        let record = |(id, said)| Record { id, said, what: What::Part(part) };
        let records = new.map(record).collect();
        self.write(&mut log, records).await
    }

    /// A part of these messages is no longer in frames: what the node refused is given up. The disk
    /// has it when this returns: else a message could be answered by a part that is nowhere.
    pub(super) async fn forget_part(
        &self,
        part: PartId,
        messages: impl Iterator<Item = MessageId>,
    ) -> io::Result<()> {
        let mut log = self.log.lock().await;
        let records: Vec<_> = {
            let known = self.lock();
            let found = messages.filter(|id| known.has_part(*id, part));
            let record = |id| {
                let said = known.entries.get(&id)?.said;
                Some(Record { id, said, what: What::Forgotten(part) })
            };
            found.filter_map(record).collect()
        };
        self.write_synced(&mut log, records).await
    }

    /// The node may have a part of these messages that is given up: they are not decided anew. The
    /// disk has it when this returns.
    pub(super) async fn doubt(
        &self,
        messages: impl Iterator<Item = (MessageId, Said)>,
    ) -> io::Result<()> {
        let mut log = self.log.lock().await;
        let is_stored =
            |id| self.lock().entries.get(&id).is_some_and(|entry| entry.receipts().is_some());
        let records = messages.filter(|(id, _)| !is_stored(*id));
        let records = records.map(|(id, said)| Record { id, said, what: What::Unsure });
        let records = records.collect();
        self.write_synced(&mut log, records).await
    }

    /// Waits until the disk has all of it.
    pub(super) async fn sync(&self) -> io::Result<()> {
        self.log.lock().await.sync().await
    }

    async fn write_synced(&self, log: &mut Log, records: Vec<Record>) -> io::Result<()> {
        // Most refusals come before anything is placed.
        if records.is_empty() {
            return Ok(());
        }
        self.write(log, records).await?;
        log.sync().await
    }

    async fn write(&self, log: &mut Log, records: Vec<Record>) -> io::Result<()> {
        let new = {
            let known = self.lock();
            records.iter().filter(|record| !known.entries.contains_key(&record.id)).count()
        };
        log.append(&records, new).await?;
        {
            let mut known = self.lock();
            for record in records {
                known.remember(record);
            }
            known.tidy();
        }
        log.keep_up().await
    }
}

/// What is known of the last messages.
#[derive(Default)]
struct Known {
    entries: BTreeMap<MessageId, Entry>,
    /// The oldest first.
    order: VecDeque<MessageId>,
    /// Of that order, those that are not known any more.
    gone: BTreeSet<MessageId>,
    most: usize,
}

impl Known {
    fn has_part(&self, id: MessageId, part: PartId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.parts().contains(&part))
    }

    /// Takes a record in; says whether its message is new.
    fn remember(&mut self, record: Record) -> bool {
        let Record { id, said, what } = record;
        let is_new = !self.entries.contains_key(&id);
        match (what, self.entries.get_mut(&id).map(|entry| &mut entry.kept)) {
            (What::Part(part), Some(Kept::InPart(parts))) => parts.push(part),
            // What is known of all of it says more.
            (What::Part(_), Some(_)) => {}
            (What::Part(part), None) => self.set(id, said, Kept::InPart(vec![part])),
            (What::Forgotten(part), _) => self.forget(id, part),
            (What::Unsure, _) => self.set(id, said, Kept::Unsure),
            (What::Stored(receipts), _) => {
                let kept = match receipts[..] {
                    [receipt] => Kept::ByOne(receipt),
                    _ => Kept::BySeveral(receipts.into()),
                };
                self.set(id, said, kept);
            }
        }
        is_new
    }

    fn set(&mut self, id: MessageId, said: Said, kept: Kept) {
        let before = self.entries.insert(id, Entry { said, kept });
        if before.is_some() || self.gone.remove(&id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() <= self.most + self.gone.len() {
            return;
        }
        while let Some(oldest) = self.order.pop_front() {
            if !self.gone.remove(&oldest) {
                self.entries.remove(&oldest);
                return;
            }
        }
    }

    fn forget(&mut self, id: MessageId, part: PartId) {
        let Some(Kept::InPart(parts)) = self.entries.get_mut(&id).map(|one| &mut one.kept) else {
            return;
        };
        parts.retain(|one| *one != part);
        // Of what nothing is left the content may be another one when it comes again.
        if parts.is_empty() {
            self.entries.remove(&id);
            self.gone.insert(id);
        }
    }

    /// Takes what is gone out of the order, all of it at once.
    fn tidy(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            self.order.retain(|id| !gone.contains(id));
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
