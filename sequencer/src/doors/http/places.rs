//! Places of connections: whoever is slow gives way, and files and operations never take the places
//! of health.
//!
//! A connection that waits for its request costs little and may be anybody's, so a new one takes
//! the place of the one that has waited longest: a question for health or metrics, which is asked
//! and answered within milliseconds, always finds a place. A file may take its reader long and much
//! memory: files have places of their own, which they keep. One that is in the archive alone takes
//! none of these before it is here: however long the archive hangs, whoever asks for what is here
//! finds its place.

use std::collections::BTreeMap;
use std::net::IpAddr;
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
/// Connections whose operation is looked at or not answered yet.
pub(super) const WRITERS_MAX: usize = 64;
/// Of these, those that only an operation that protects a patient may have.
const WRITERS_PROTECTING: usize = 16;
/// Most of one network, of each urgency.
const WRITERS_OF_A_NETWORK: usize = 16;
/// Files that are waited for at once that are in the archive alone: as many as it gives at once.
pub(super) const FETCHES_MAX: usize = 4;
/// Readers that wait for the archive, or for such a place: the others are left to what is here.
const FETCHERS_MAX: usize = 16;

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    open: Mutex<Open>,
    files: Arc<Semaphore>,
    fetches: Arc<Semaphore>,
    fetchers: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    /// Of the next connection that begins to wait.
    turn: u64,
    /// Connections that may have to give way, the one that waits longest first.
    waiting: BTreeMap<u64, Arc<Notify>>,
    readers: usize,
    /// Operations by where they come from, and whether they protect.
    writers: BTreeMap<(IpAddr, bool), usize>,
}

impl Places {
    /// None is taken.
    pub(super) fn new() -> Arc<Places> {
        let [files, fetches, fetchers] =
            [FILES_MAX, FETCHES_MAX, FETCHERS_MAX].map(|places| Arc::new(Semaphore::new(places)));
        Arc::new(Places { open: Mutex::default(), files, fetches, fetchers })
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

    /// Lets it have a file; `None` if as many have or wait for one as may.
    pub(super) fn read(self: &Arc<Place>) -> Option<Kept> {
        Kept::new(Arc::clone(self), What::File)
    }

    /// Lets this connection give way to nobody while its operation is looked at and answered;
    /// `None` if too many do already, or too many of its network.
    pub(super) fn keep(self: &Arc<Place>, from: IpAddr, protects: bool) -> Option<Kept> {
        Kept::new(Arc::clone(self), What::Operation { from, protects })
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It has a file or waits for one.
    File,
    /// Its operation is looked at, or on its way to the disk.
    Operation {
        /// Where it comes from.
        from: IpAddr,
        /// Whether it protects a patient.
        protects: bool,
    },
}

impl Open {
    /// Takes one in, if there is room for it.
    fn keep(&mut self, what: What) -> bool {
        match what {
            What::File => {
                let has_room = self.readers < READERS_MAX;
                self.readers += usize::from(has_room);
                has_room
            }
            What::Operation { from, protects } => {
                let most = if protects { WRITERS_MAX } else { WRITERS_MAX - WRITERS_PROTECTING };
                let of_network = self.writers.get(&(from, protects)).copied().unwrap_or(0);
                let has_room = self.writers.values().sum::<usize>() < most
                    && of_network < WRITERS_OF_A_NETWORK;
                if has_room {
                    self.writers.insert((from, protects), of_network + 1);
                }
                has_room
            }
        }
    }

    fn give_up(&mut self, what: What) {
        match what {
            What::File => self.readers -= 1,
            What::Operation { from, protects } => {
                if let Some(count) = self.writers.get_mut(&(from, protects)) {
                    *count -= 1;
                }
                self.writers.retain(|_, count| *count > 0);
            }
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
            // Told to give way already: it ends in a moment.
            if turn.is_some_and(|turn| !open.waiting.contains_key(&turn)) || !open.keep(what) {
                return None;
            }
            if let Some(turn) = turn.take() {
                open.waiting.remove(&turn);
            }
        }
        Some(Kept { place, what })
    }

    /// A place for the file; `None` if none comes free in time.
    pub(super) async fn take_file(self, wait: Duration) -> Option<FilePlace> {
        let files = Arc::clone(&self.place.places.files);
        let permit = timeout(wait, files.acquire_owned()).await.ok()?;
        let permit = permit.expect("nobody closes the semaphore");
        Some(FilePlace { _reader: self, _permit: permit })
    }

    /// A place to wait for the archive; `None` if too many wait already, or none comes free in
    /// time.
    pub(super) async fn take_fetch(&self, wait: Duration) -> Option<FetchPlace> {
        let places = &self.place.places;
        let fetcher = Arc::clone(&places.fetchers).try_acquire_owned().ok()?;
        let fetches = Arc::clone(&places.fetches);
        let permit = timeout(wait, fetches.acquire_owned()).await.ok()?;
        let permit = permit.expect("nobody closes the semaphore");
        Some(FetchPlace { _fetcher: fetcher, _permit: permit })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let (mut open, mut turn) = (self.place.places.open(), self.place.turn());
        open.give_up(self.what);
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

/// The place of a file that is brought from the archive.
#[derive(Debug)]
pub(super) struct FetchPlace {
    _fetcher: OwnedSemaphorePermit,
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

    async fn take_file(place: &Arc<Place>) -> Option<FilePlace> {
        place.read()?.take_file(Duration::ZERO).await
    }

    fn must_give_way(place: &Place) -> bool {
        let mut waits = std::pin::pin!(place.gives_way());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        waits.as_mut().poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn the_longest_wait_gives_way_and_files_do_not() {
        let places = Places::new();
        let reads = places.enter();
        let file = take_file(&reads).await.unwrap();
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

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[tokio::test]
    async fn operations_are_pushed_out_by_nobody_and_bounded_by_network_and_urgency() {
        let places = Places::new();
        let mut kept = Vec::new();
        let mut keep = |from: u8, protects: bool, count: usize| {
            let sends: Vec<_> = (0..count).map(|_| places.enter()).collect();
            let got: Vec<_> =
                sends.iter().filter_map(|it| it.keep(address(from), protects)).collect();
            let taken = got.len();
            kept.push((sends, got));
            taken
        };
        // One network has its share, of each urgency.
        assert_eq!(keep(1, false, 20), WRITERS_OF_A_NETWORK);
        assert_eq!(keep(1, true, 1), 1);
        // What can wait leaves places to what cannot.
        assert_eq!([2, 3, 4].map(|from| keep(from, false, 20)), [16, 15, 0]);
        assert_eq!(keep(5, true, 20), 16);
        assert_eq!(keep(6, true, 1), 0, "all 64 are taken");
        let strangers: Vec<_> = (0..2 * CONNECTIONS_MAX).map(|_| places.enter()).collect();
        assert!(strangers.iter().any(|place| must_give_way(place)));
        for (sends, got) in &kept {
            assert!(got.iter().all(|kept| !must_give_way(&kept.place)), "{}", sends.len());
        }
        drop((kept, strangers));
        assert!(places.open().writers.is_empty());
    }

    #[tokio::test]
    async fn who_was_told_to_give_way_keeps_nothing() {
        let places = Places::new();
        let first = places.enter();
        let others: Vec<_> = (0..CONNECTIONS_MAX).map(|_| places.enter()).collect();
        assert!(first.keep(address(1), true).is_none());
        assert!(must_give_way(&first) && others[0].keep(address(1), true).is_some());
    }

    #[tokio::test]
    async fn files_have_their_own_places_and_their_own_end() {
        let places = Places::new();
        let readers: Vec<_> = (0..READERS_MAX).map(|_| places.enter()).collect();
        let mut files = Vec::new();
        for reader in &readers[..FILES_MAX] {
            files.push(take_file(reader).await.unwrap());
        }
        // The next one waits, and in vain.
        assert!(take_file(&readers[FILES_MAX]).await.is_none());
        drop(files.pop());
        assert!(take_file(&readers[FILES_MAX]).await.is_some());
        let waiting: Vec<_> =
            readers.iter().map(|it| Kept::new(Arc::clone(it), What::File)).collect();
        assert_eq!(waiting.iter().flatten().count(), READERS_MAX - files.len());
        assert!(places.enter().read().is_none(), "refused at once");
    }

    #[tokio::test]
    async fn whoever_waits_for_the_archive_takes_no_place_of_a_file_and_waits_for_so_long() {
        let places = Places::new();
        let entered: Vec<_> = (0..READERS_MAX).map(|_| places.enter()).collect();
        let readers: Vec<_> = entered.iter().map(|place| place.read().unwrap()).collect();
        let mut fetches = Vec::new();
        for reader in &readers[..FETCHES_MAX] {
            fetches.push(reader.take_fetch(Duration::ZERO).await.unwrap());
        }
        // The next one waits, and in vain.
        assert!(readers[FETCHES_MAX].take_fetch(Duration::ZERO).await.is_none());
        let more = FETCHERS_MAX - FETCHES_MAX;
        let mut waiting: Vec<_> = readers[FETCHES_MAX..][..more]
            .iter()
            .map(|reader| Box::pin(reader.take_fetch(Duration::MAX)))
            .collect();
        for wait in &mut waiting {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(wait.as_mut().poll(&mut context).is_pending());
        }
        let next = readers[FETCHERS_MAX].take_fetch(Duration::MAX).await;
        assert!(next.is_none(), "refused at once");
        // Every place of a file is free all the same.
        drop(waiting);
        let mut files = Vec::new();
        for reader in readers.into_iter().rev().take(FILES_MAX) {
            files.push(reader.take_file(Duration::ZERO).await.unwrap());
        }
        assert_eq!((files.len(), fetches.len()), (FILES_MAX, FETCHES_MAX));
    }
}
