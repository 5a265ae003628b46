//! Places of connections: whoever is slow gives way, and files and operations never take the places
//! of health.
//!
//! A connection that waits for its request costs little and may be anybody's, so a new one takes
//! the place of the one that has waited longest: a question for health or metrics, which is asked
//! and answered within milliseconds, always finds a place. A file may take its reader long and much
//! memory: files have places of their own, which they keep.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Connections that hold no file, at once.
pub(super) const CONNECTIONS_MAX: usize = 64;
/// Files that are read or sent at once, of up to 64 MiB each.
pub(in crate::doors) const FILES_MAX: usize = 16;
/// Connections that have a file or wait for one.
pub(super) const READERS_MAX: usize = 64;
/// Connections whose operation was signed well and is not durable yet.
pub(super) const WRITERS_MAX: usize = 64;

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    open: Mutex<Open>,
    files: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    /// Of the next connection that begins to wait.
    turn: u64,
    /// Connections that may have to give way, the one that waits longest first.
    waiting: BTreeMap<u64, Arc<Notify>>,
    readers: usize,
    writers: usize,
}

impl Places {
    /// None is taken.
    pub(super) fn new() -> Arc<Places> {
        Arc::new(Places { open: Mutex::default(), files: Arc::new(Semaphore::new(FILES_MAX)) })
    }

    /// A place for a new connection.
    pub(super) fn enter(self: &Arc<Places>) -> Arc<Place> {
        let give_way = Arc::new(Notify::new());
        let turn = self.open().wait(&give_way);
        Arc::new(Place { places: Arc::clone(self), give_way, turn: Mutex::new(Some(turn)) })
    }

    /// Plain values: a panic under the lock leaves them whole.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Takes a connection in as the last to give way; the first does, if there is one too many.
    fn wait(&mut self, give_way: &Arc<Notify>) -> u64 {
        self.turn += 1;
        self.waiting.insert(self.turn, Arc::clone(give_way));
        if self.waiting.len() > CONNECTIONS_MAX
            && let Some((_, first)) = self.waiting.pop_first()
        {
            // Kept if nobody listens yet.
            first.notify_one();
        }
        self.turn
    }
}

/// The place of one connection; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    give_way: Arc<Notify>,
    /// Its turn to give way; `None` while it has a file or waits for one.
    turn: Mutex<Option<u64>>,
}

impl Place {
    /// Waits until this connection must give way.
    pub(super) async fn gives_way(&self) {
        self.give_way.notified().await;
    }

    /// A place for a file; `None` if too many wait already, or none comes free in time.
    pub(super) async fn take_file(self: &Arc<Place>, wait: Duration) -> Option<FilePlace> {
        let reader = Kept::new(Arc::clone(self), What::File)?;
        let files = Arc::clone(&self.places.files);
        let permit = timeout(wait, files.acquire_owned()).await.ok()?;
        let permit = permit.expect("nobody closes the semaphore");
        Some(FilePlace { _reader: reader, _permit: permit })
    }

    /// Lets this connection give way to nobody, for an operation that was signed well; `None` if too
    /// many do already.
    pub(super) fn keep(self: &Arc<Place>) -> Option<Kept> {
        Kept::new(Arc::clone(self), What::Operation)
    }

    fn turn(&self) -> MutexGuard<'_, Option<u64>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(turn) = self.turn().take() {
            self.places.open().waiting.remove(&turn);
        }
    }
}

/// What a connection gives way to nobody for.
#[derive(Clone, Copy, Debug)]
enum What {
    /// It has a file or waits for one.
    File,
    /// Its operation is on its way to the disk.
    Operation,
}

impl Open {
    fn kept(&mut self, what: What) -> (&mut usize, usize) {
        match what {
            What::File => (&mut self.readers, READERS_MAX),
            What::Operation => (&mut self.writers, WRITERS_MAX),
        }
    }
}

/// A connection that gives way to nobody meanwhile.
#[derive(Debug)]
pub(super) struct Kept {
    place: Arc<Place>,
    what: What,
}

impl Kept {
    fn new(place: Arc<Place>, what: What) -> Option<Kept> {
        {
            let (mut open, mut turn) = (place.places.open(), place.turn());
            let (kept, most) = open.kept(what);
            if *kept >= most {
                return None;
            }
            *kept += 1;
            if let Some(turn) = turn.take() {
                open.waiting.remove(&turn);
            }
        }
        Some(Kept { place, what })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let (mut open, mut turn) = (self.place.places.open(), self.place.turn());
        *open.kept(self.what).0 -= 1;
        // For the next request, behind all that wait.
        *turn = Some(open.wait(&self.place.give_way));
    }
}

/// The place of a file; whoever has its bytes has it too.
#[derive(Debug)]
pub(super) struct FilePlace {
    _reader: Kept,
    _permit: OwnedSemaphorePermit,
}

/// Bytes of a file with its place: both are given up when the last byte is sent.
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    pub(super) _place: FilePlace,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn must_give_way(place: &Place) -> bool {
        let mut waits = std::pin::pin!(place.gives_way());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        waits.as_mut().poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn the_longest_wait_gives_way_and_files_do_not() {
        let places = Places::new();
        let reads = places.enter();
        let file = reads.take_file(Duration::ZERO).await.unwrap();
        let waits: Vec<_> = (0..CONNECTIONS_MAX).map(|_| places.enter()).collect();
        assert!(!waits.iter().any(|place| must_give_way(place)));
        let more = [places.enter(), places.enter()];
        let gone: Vec<_> = waits.iter().map(|place| must_give_way(place)).collect();
        assert!(gone[0] && gone[1] && !gone[2..].contains(&true), "{gone:?}");
        assert!(!must_give_way(&reads) && !more.iter().any(|place| must_give_way(place)));
        // Whose file is sent waits again, behind all others.
        drop(file);
        assert!(must_give_way(&waits[2]) && !must_give_way(&reads));
        drop((waits, more, reads));
        assert_eq!(places.open().waiting.len(), 0);
    }

    #[tokio::test]
    async fn what_was_signed_well_is_pushed_out_by_nobody_and_bounded() {
        let places = Places::new();
        let sends: Vec<_> = (0..=WRITERS_MAX).map(|_| places.enter()).collect();
        let mut kept: Vec<_> = sends.iter().map(Place::keep).collect();
        assert!(kept.pop().is_some_and(|last| last.is_none()), "one too many");
        let strangers: Vec<_> = (0..2 * CONNECTIONS_MAX).map(|_| places.enter()).collect();
        assert!(!sends[..WRITERS_MAX].iter().any(|place| must_give_way(place)));
        assert!(strangers.iter().any(|place| must_give_way(place)));
        drop(kept);
        assert_eq!(places.open().writers, 0);
    }

    #[tokio::test]
    async fn files_have_their_own_places_and_their_own_end() {
        let places = Places::new();
        let readers: Vec<_> = (0..READERS_MAX).map(|_| places.enter()).collect();
        let mut files = Vec::new();
        for reader in &readers[..FILES_MAX] {
            files.push(reader.take_file(Duration::ZERO).await.unwrap());
        }
        // The next one waits, and in vain.
        assert!(readers[FILES_MAX].take_file(Duration::ZERO).await.is_none());
        drop(files.pop());
        assert!(readers[FILES_MAX].take_file(Duration::ZERO).await.is_some());
        let waiting: Vec<_> =
            readers.iter().map(|it| Kept::new(Arc::clone(it), What::File)).collect();
        assert_eq!(waiting.iter().flatten().count(), READERS_MAX - files.len());
        assert!(places.enter().take_file(Duration::ZERO).await.is_none(), "refused at once");
    }
}
