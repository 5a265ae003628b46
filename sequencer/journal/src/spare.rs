//! A file that was put away and is kept for the next one to be made of: its blocks are the log's
//! already.
//!
//! At most one is kept, and none over a start: only the process that made its name durable knows
//! that it is, and what is written over a file whose old name the disk still has would be missing
//! there. Making the next file of it saves hardly any time (256 MiB of zeros took 0.25 s instead of
//! 0.27, and the same calls): it saves the allocation, and what is free stays as it is although
//! files come and go.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{FileName, FileNumber, Medium};

/// The file that is kept, if one is. Two threads come to it, one that puts files away and one that
/// makes them: its name is changed only by whoever made it [`BUSY`], so that neither takes the
/// other's file for its own, and nobody waits.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    /// Its bytes; 0 for none.
    bytes: AtomicU64,
}

/// In place of the bytes while its name is being changed. No file is as long.
const BUSY: u64 = u64::MAX;

/// A file that is to be removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    pub(crate) file: FileNumber,
    /// Bytes that it has, and that the next one is to have.
    pub(crate) bytes: u64,
    pub(crate) least: u64,
}

impl Spare {
    /// Removes a file that is in an archive, durably. If it is long enough for the next one, nobody
    /// has it under another name, and none is kept yet, it is kept.
    pub(crate) fn remove<M: Medium>(&self, medium: &M, leaving: Leaving) -> io::Result<()> {
        let Leaving { file, bytes, least } = leaving;
        let name = FileName::Log(file);
        let is_kept = bytes >= least && !medium.is_linked(name)? && self.change(0, BUSY);
        if !is_kept {
            medium.remove(name)?;
            return medium.sync_names();
        }
        let kept = medium.rename(name, FileName::Spare).and_then(|()| medium.sync_names());
        // Of a sync that failed nobody knows which name the disk has: then none is kept.
        self.bytes.store(if kept.is_ok() { bytes } else { 0 }, Ordering::SeqCst);
        kept
    }

    /// Whether it was the one and is the other now.
    fn change(&self, from: u64, to: u64) -> bool {
        self.bytes.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The bytes of the file that was kept, which is the next one from now on; none if it has fewer
    /// than these, or somebody has it under another name since: then it is removed.
    pub(crate) fn take<M: Medium>(&self, medium: &M, least: u64) -> Option<u64> {
        let bytes = self.bytes.load(Ordering::SeqCst);
        if matches!(bytes, 0 | BUSY) || !self.change(bytes, BUSY) {
            return None;
        }
        let is_long = bytes >= least && matches!(medium.is_linked(FileName::Spare), Ok(false));
        let is_taken = is_long && medium.rename(FileName::Spare, FileName::Next).is_ok();
        if !is_taken {
            // What cannot be removed goes when the next one is kept, or at the next start.
            drop(medium.remove(FileName::Spare));
        }
        // Only now may another one have the name.
        self.bytes.store(0, Ordering::SeqCst);
        is_taken.then_some(bytes)
    }
}

/// Begins the file that gets zeros: an empty one, unless one that was kept is the next one already.
pub(crate) fn begin<M: Medium>(medium: &M, spare: Option<u64>) -> io::Result<()> {
    if spare.is_some() { Ok(()) } else { medium.make_empty(FileName::Next) }
}

/// Cuts what one that was kept has behind its zeros, durably: before it has a number.
pub(crate) fn cut<M: Medium>(medium: &M, spare: Option<u64>, zeros: u64) -> io::Result<()> {
    if spare.is_some_and(|bytes| bytes > zeros) {
        medium.cut(FileName::Next, zeros)?;
        medium.sync(FileName::Next)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;
    use crate::fault::FaultMedium;

    const KEPT_LEAST: u64 = 105;
    const TAKEN_LEAST: u64 = 110;

    fn length(file: FileNumber) -> u64 {
        100 + (file * 37) % 50
    }

    /// Files of other lengths, each with its number in its first bytes.
    fn medium(files: u64) -> FaultMedium {
        let content = |file: FileNumber| {
            let mut content = file.to_be_bytes().to_vec();
            content.resize(length(file) as usize, 7);
            content
        };
        let files = (1..=files).map(|file| (FileName::Log(file), content(file)));
        FaultMedium::holding(files.collect())
    }

    fn remove(spare: &Spare, medium: &FaultMedium, file: FileNumber) {
        let leaving = Leaving { file, bytes: length(file), least: KEPT_LEAST };
        spare.remove(medium, leaving).expect("it leaves");
    }

    #[test]
    fn one_thread_puts_files_away_and_another_takes_them_and_no_file_is_taken_for_another() {
        const FILES: u64 = 3_000;
        let (spare, medium, over) = (Spare::default(), medium(FILES), AtomicBool::new(false));
        let taken = thread::scope(|scope| {
            let maker = scope.spawn(|| {
                let mut taken = BTreeSet::new();
                loop {
                    // Looked at first: what was put away before is taken.
                    let is_over = over.load(Ordering::SeqCst);
                    let Some(bytes) = spare.take(&medium, TAKEN_LEAST) else {
                        if is_over {
                            return taken;
                        }
                        thread::yield_now();
                        continue;
                    };
                    let next = medium.file(FileName::Next);
                    let file = next.first_chunk().map(|bytes| FileNumber::from_be_bytes(*bytes));
                    let file = file.expect("the number of a file");
                    assert!(bytes == next.len() as u64 && bytes == length(file), "{file}: {bytes}");
                    assert!(bytes >= TAKEN_LEAST && taken.insert(file), "{file}: {bytes}");
                    medium.remove(FileName::Next).expect("it goes");
                }
            });
            for file in 1..=FILES {
                remove(&spare, &medium, file);
                if file % 7 == 0 {
                    thread::yield_now();
                }
            }
            over.store(true, Ordering::SeqCst);
            maker.join().expect("no file was taken for another")
        });
        // At the latest at the end one was there that was long enough, or none was kept since.
        assert!(!taken.is_empty());
        assert!(medium.files().is_empty(), "neither left nor kept: {:?}", medium.names());
    }

    #[test]
    fn while_a_name_is_being_changed_neither_thread_waits_or_touches_it() {
        let (spare, medium) = (Spare { bytes: AtomicU64::new(BUSY) }, medium(3));
        assert_eq!(spare.take(&medium, TAKEN_LEAST), None);
        remove(&spare, &medium, 1);
        assert_eq!(medium.names().expect("listed"), [FileName::Log(2), FileName::Log(3)]);
        spare.bytes.store(0, Ordering::SeqCst);
        remove(&spare, &medium, 2);
        assert_eq!(medium.file(FileName::Spare).len() as u64, length(2));
        remove(&spare, &medium, 3);
        assert_eq!(medium.names().expect("listed"), [FileName::Spare], "one is kept");
        assert_eq!(spare.take(&medium, length(2) + 1), None, "too short");
        assert!(medium.files().is_empty());
    }
}
