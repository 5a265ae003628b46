//! The file behind what is known of messages: `messages.log`, and `messages.before` with the
//! records before it.
//!
//! Records are only appended. A file that says enough by itself becomes the one before, and the one
//! before that goes: nothing is ever written anew, however many messages come. The disk takes it in
//! on a thread of its own, while messages go on; they wait for it only where more than
//! [`UNSYNCED_MAX`] records are not synced, and where the next file begins.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use files::Audience;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use super::record::{RECORD_BYTES, Record};

const NAME: &str = "messages.log";
const BEFORE_NAME: &str = "messages.before";
const NEXT_NAME: &str = "messages.next";

/// Records that may be unsynced when a message is answered. Below the marks of a stream, which say
/// the same.
const UNSYNCED_MAX: usize = 256;
/// The disk is asked to take in what was written once it is so many: before anybody waits for it.
const SYNC_AFTER: usize = UNSYNCED_MAX / 2;
/// Behind a hole that a power cut left there are so many at most: those, and what was written last.
const TORN_MAX: usize = 2 * UNSYNCED_MAX;
/// How much of a file is read at once.
const READ_BYTES: usize = 512 * RECORD_BYTES;
/// So many records later it is tried again to begin a file for which there was no room.
const AGAIN_AFTER: usize = 1024;

/// When a file says enough: the one behind it may go then.
#[derive(Clone, Copy)]
pub(super) struct Enough {
    /// So many messages of which it says the first.
    pub(super) messages: usize,
    /// Or so many records: a message of many parts may have many.
    pub(super) records: usize,
}

/// A file does not say what was stored.
#[derive(Debug, Error)]
#[error(
    "expected record {record} of {path} as it was written, found another: move the file away; what \
     is sent again of before is then stored once more"
)]
pub(crate) struct Damaged {
    path: String,
    record: usize,
}

/// What the disk has of a file is not known: it did not take in what was written.
#[derive(Clone, Debug, Error)]
#[error(
    "expected {path} on the disk, found that the disk failed: what it has is not known before the \
     next start"
)]
pub(in crate::bridge) struct DiskFailed {
    path: String,
    #[source]
    why: Arc<io::Error>,
}

/// The file that is written.
pub(super) struct Log {
    folder: PathBuf,
    file: Arc<File>,
    /// Of whole records.
    records: usize,
    /// Messages of which it says the first.
    messages: usize,
    enough: Enough,
    /// Records that are not known to be synced.
    unsynced: usize,
    /// What a thread does for it.
    work: Option<JoinHandle<io::Result<Done>>>,
    /// Whether that is the next file: nothing is written to this one meanwhile.
    begins_next: bool,
    /// At how many records it is tried again, where there was no room.
    again_at: usize,
    /// Whether a part of a record may stand behind them: what followed it would not be read.
    is_torn: bool,
    /// Whether a sync failed: what the disk has is not known, and nothing more is written.
    failure: watch::Sender<Option<DiskFailed>>,
}

/// What a thread has done.
enum Done {
    /// So many of the unsynced records are.
    Synced(usize),
    /// The next file is there.
    Begun(File),
    /// There was no room for it; the one before is as it was, and synced.
    NotBegun(usize),
}

impl Log {
    /// Opens the files of a folder, or makes them; `take` gets all records, the oldest first, and
    /// says whether its message is new.
    pub(super) fn open(
        folder: &Path,
        enough: Enough,
        mut take: impl FnMut(Record) -> bool,
    ) -> anyhow::Result<Log> {
        match files::open_existing(&folder.join(BEFORE_NAME), Audience::Owner) {
            Ok(before) => {
                let found = read(&before, |record| {
                    take(record);
                })?;
                // It was synced before another one followed it.
                found.check(&folder.join(BEFORE_NAME), true)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let path = folder.join(NAME);
        let file = files::append(&path)?;
        let mut messages = 0;
        let kept = files::open_existing(&path, Audience::Owner)?;
        let found = read(&kept, |record| messages += usize::from(take(record)))?;
        found.check(&path, false)?;
        // Whatever is behind was never answered for.
        file.set_len((found.good * RECORD_BYTES) as u64)?;
        // Its name is kept, too.
        files::sync_folder(folder)?;
        Ok(Log {
            folder: folder.to_owned(),
            file: Arc::new(file),
            records: found.good,
            messages,
            enough,
            unsynced: 0,
            work: None,
            begins_next: false,
            again_at: 0,
            is_torn: false,
            failure: watch::Sender::new(None),
        })
    }

    /// Writes records behind the others, which say the first of so many messages. What is not
    /// written to its end is as if it never was.
    pub(super) async fn append(&mut self, records: &[Record], messages: usize) -> io::Result<()> {
        if self.begins_next {
            self.end_work().await?;
        }
        self.check()?;
        self.cut()?;
        let bytes: Vec<_> = records.iter().flat_map(Record::to_bytes).collect();
        if let Err(error) = (&*self.file).write_all(&bytes) {
            self.is_torn = true;
            // Where this fails, too, nothing is written until it does not.
            drop(self.cut());
            return Err(error);
        }
        (self.records, self.messages) = (self.records + records.len(), self.messages + messages);
        self.unsynced += records.len();
        Ok(())
    }

    /// Has the disk take in what was written, and begins the next file where this one says enough;
    /// waits where it has to.
    pub(super) async fn keep_up(&mut self) -> io::Result<()> {
        if self.work.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end_work().await?;
        }
        let Enough { messages, records } = self.enough;
        let is_enough = self.messages >= messages || self.records >= records;
        if is_enough && self.records >= self.again_at {
            self.end_work().await?;
            self.begin_next();
            return self.end_work().await;
        }
        if self.work.is_none() && self.unsynced >= SYNC_AFTER {
            self.begin_sync();
        }
        while self.unsynced > UNSYNCED_MAX {
            self.end_work().await?;
            self.begin_sync();
        }
        Ok(())
    }

    /// Waits until the disk has all that was written.
    pub(super) async fn sync(&mut self) -> io::Result<()> {
        self.end_work().await?;
        self.begin_sync();
        self.end_work().await
    }

    fn begin_sync(&mut self) {
        let (file, count) = (self.file.clone(), self.unsynced);
        self.work = Some(spawn_blocking(move || file.sync_data().map(|()| Done::Synced(count))));
    }

    fn begin_next(&mut self) {
        let (file, count, folder) = (self.file.clone(), self.unsynced, self.folder.clone());
        self.begins_next = true;
        self.work = Some(spawn_blocking(move || {
            file.sync_data()?;
            // Made before anything is renamed: a full disk leaves all as it is.
            let Ok(next) = make_next(&folder) else { return Ok(Done::NotBegun(count)) };
            files::rename(&folder.join(NAME), &folder.join(BEFORE_NAME))?;
            // In this order on the disk, too: the second name alone would leave what this one says
            // behind.
            files::sync_folder(&folder)?;
            files::rename(&folder.join(NEXT_NAME), &folder.join(NAME))?;
            files::sync_folder(&folder)?;
            Ok(Done::Begun(next))
        }));
    }

    /// Waits for what a thread does. Whoever stops waiting leaves it to the next one.
    async fn end_work(&mut self) -> io::Result<()> {
        self.check()?;
        let Some(work) = &mut self.work else { return Ok(()) };
        let done = work.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        (self.work, self.begins_next) = (None, false);
        match done.map_err(|error| self.fail(error))? {
            Done::Synced(count) => self.unsynced -= count,
            Done::NotBegun(count) => {
                self.unsynced -= count;
                self.again_at = self.records + AGAIN_AFTER;
            }
            Done::Begun(file) => {
                self.file = Arc::new(file);
                (self.records, self.messages, self.unsynced, self.again_at) = (0, 0, 0, 0);
            }
        }
        Ok(())
    }

    fn fail(&self, error: io::Error) -> io::Error {
        let (path, why) = (self.folder.join(NAME).display().to_string(), Arc::new(error));
        let failed = DiskFailed { path, why };
        self.failure.send_replace(Some(failed.clone()));
        io::Error::other(failed)
    }

    /// Whether the disk failed, once it has.
    pub(super) fn failure(&self) -> watch::Receiver<Option<DiskFailed>> {
        self.failure.subscribe()
    }

    fn check(&self) -> io::Result<()> {
        self.failure.borrow().clone().map_or(Ok(()), |failed| Err(io::Error::other(failed)))
    }

    /// Cuts off what a write left that failed.
    fn cut(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len((self.records * RECORD_BYTES) as u64)?;
            self.is_torn = false;
        }
        Ok(())
    }
}

fn make_next(folder: &Path) -> io::Result<File> {
    let path = folder.join(NEXT_NAME);
    files::replace(&path, &[], Audience::Owner)?;
    files::append(&path)
}

/// What stands in a file.
struct Found {
    /// Records that read, before the first that does not.
    good: usize,
    /// How many records follow them, a cut one included.
    behind: usize,
    /// Whether some of those read.
    has_good_behind: bool,
}

/// Reads the records of a file in turn, without holding it.
fn read(file: &File, mut take: impl FnMut(Record)) -> io::Result<Found> {
    let mut reader = BufReader::with_capacity(READ_BYTES, file);
    let mut found = Found { good: 0, behind: 0, has_good_behind: false };
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    loop {
        bytes.clear();
        if reader.by_ref().take(RECORD_BYTES as u64).read_to_end(&mut bytes)? == 0 {
            return Ok(found);
        }
        match Record::read(&bytes) {
            Some(record) if found.behind == 0 => {
                found.good += 1;
                take(record);
            }
            record => {
                found.behind += 1;
                found.has_good_behind |= record.is_some();
            }
        }
    }
}

impl Found {
    /// A record that does not read is a torn end, with what follows it: the disk may have taken in
    /// what was not synced in any order, and the marks of the frames say the same of it. Not before
    /// more good ones than may be unsynced; nor is there one where another file `follows`.
    fn check(&self, path: &Path, follows: bool) -> Result<(), Damaged> {
        let is_torn = !self.has_good_behind || self.behind <= TORN_MAX;
        match !is_torn || follows && self.behind > 0 {
            true => Err(Damaged { path: path.display().to_string(), record: self.good + 1 }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
impl Log {
    /// Writes to another file from now on; gives the one before.
    pub(super) fn replace_file(&mut self, file: File) -> Arc<File> {
        std::mem::replace(&mut self.file, Arc::new(file))
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn unsynced(&self) -> usize {
        self.unsynced
    }
}
