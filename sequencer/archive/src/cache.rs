//! Which fetched files are kept, and which go when another one needs their room. Opens nothing.

use std::collections::VecDeque;
use std::fmt;

/// Most files that are kept: each takes a descriptor.
const FILES_MAX: usize = 64;

/// What fetched files may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Bytes of all of them.
    pub bytes_max: u64,
}

/// Says whether so many bytes may be written, before they are.
pub struct Room(Box<dyn Fn(u64) -> bool + Send + Sync>);

impl Room {
    /// Asks `leaves` each time.
    pub fn new(leaves: impl Fn(u64) -> bool + Send + Sync + 'static) -> Room {
        Room(Box::new(leaves))
    }

    pub(crate) fn leaves(&self, bytes: u64) -> bool {
        (self.0)(bytes)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}

/// What was fetched, the one used last first; and room that is promised to what is being fetched.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    limits: CacheLimits,
    kept: VecDeque<Kept<T>>,
    promised: u64,
}

#[derive(Debug)]
struct Kept<T> {
    digest: [u8; 32],
    bytes: u64,
    file: T,
}

/// Why nothing is fetched for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    /// The file is longer than all that may be kept.
    #[error("expected files of at most {bytes_max} bytes (`[archive] cache_bytes`), found {found}")]
    TooLong { bytes_max: u64, found: u64 },
    /// Others are being fetched.
    #[error("other files are being fetched, and all of `[archive] cache_bytes` is theirs")]
    Promised,
}

impl<T: Clone> Cache<T> {
    pub(crate) fn new(limits: CacheLimits) -> Cache<T> {
        Cache { limits, kept: VecDeque::new(), promised: 0 }
    }

    /// A file that is kept; it is the last one to go from now on.
    pub(crate) fn find(&mut self, digest: &[u8; 32]) -> Option<T> {
        let at = self.kept.iter().position(|kept| kept.digest == *digest)?;
        let kept = self.kept.remove(at)?;
        let file = kept.file.clone();
        self.kept.push_front(kept);
        Some(file)
    }

    /// Promises room for a file; those that were used the longest time ago go for it.
    pub(crate) fn promise(&mut self, bytes: u64) -> Result<(), NoPlace> {
        let bytes_max = self.limits.bytes_max;
        if bytes > bytes_max {
            return Err(NoPlace::TooLong { bytes_max, found: bytes });
        }
        if self.promised + bytes > bytes_max {
            return Err(NoPlace::Promised);
        }
        while self.kept_bytes() + self.promised + bytes > bytes_max || self.kept.len() >= FILES_MAX
        {
            // Whoever still reads it has it open, and its room is free once that is over.
            self.kept.pop_back();
        }
        self.promised += bytes;
        Ok(())
    }

    /// Takes a promise back.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.promised = self.promised.saturating_sub(bytes);
    }

    /// Keeps a file for which room was promised.
    pub(crate) fn keep(&mut self, digest: [u8; 32], bytes: u64, file: T) {
        self.give_back(bytes);
        self.kept.push_front(Kept { digest, bytes, file });
    }

    /// Keeps a file no more, if it is this one still.
    pub(crate) fn forget(&mut self, digest: &[u8; 32], is_it: impl Fn(&T) -> bool) {
        self.kept.retain(|kept| kept.digest != *digest || !is_it(&kept.file));
    }

    /// Bytes of what is kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &mut Cache<u64>, one: u8, bytes: u64) {
        cache.promise(bytes).unwrap();
        cache.keep([one; 32], bytes, one.into());
    }

    #[test]
    fn the_file_that_was_used_the_longest_time_ago_goes_first() {
        let mut cache = Cache::new(CacheLimits { bytes_max: 10 });
        keep(&mut cache, 1, 4);
        keep(&mut cache, 2, 4);
        assert_eq!(cache.find(&[1; 32]), Some(1));
        keep(&mut cache, 3, 4);
        assert_eq!([1, 2, 3].map(|one| cache.find(&[one; 32])), [Some(1), None, Some(3)]);
        assert_eq!(cache.kept_bytes(), 8);
        cache.forget(&[1; 32], |file| *file == 7);
        assert_eq!(cache.kept_bytes(), 8, "somebody has fetched it again since");
        cache.forget(&[1; 32], |file| *file == 1);
        assert_eq!((cache.find(&[1; 32]), cache.kept_bytes()), (None, 4));
        keep(&mut cache, 1, 4);
        keep(&mut cache, 4, 10);
        assert_eq!((cache.find(&[3; 32]), cache.kept_bytes()), (None, 10));
    }

    #[test]
    fn what_is_being_fetched_has_its_room_and_no_more_than_there_is() {
        let mut cache = Cache::<u64>::new(CacheLimits { bytes_max: 10 });
        assert_eq!(cache.promise(11), Err(NoPlace::TooLong { bytes_max: 10, found: 11 }));
        cache.promise(6).unwrap();
        assert_eq!(cache.promise(6), Err(NoPlace::Promised));
        cache.give_back(6);
        cache.promise(6).unwrap();
        cache.keep([1; 32], 6, 1);
        // Kept, it goes for another one; promised, it does not.
        cache.promise(6).unwrap();
        assert_eq!(cache.find(&[1; 32]), None);
    }

    #[test]
    fn many_small_files_are_bounded_by_their_number() {
        let mut cache = Cache::new(CacheLimits { bytes_max: 1_000 });
        (0..100).for_each(|one| keep(&mut cache, one, 1));
        assert_eq!(cache.kept_bytes(), FILES_MAX as u64);
    }
}
