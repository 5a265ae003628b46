//! Reads what is archived, files of a journal and public files of batches: whole objects, held
//! against their hash when they come and by every read, from a bounded cache.
//!
//! ```text
//!   reader's thread: kept? --yes--> read        fetch thread: parts -> file without a name, hash
//!                      \--no--> ask, and wait ------------>/          -> kept, whoever waits told
//! ```
//! The thread has its own runtime, so that a reader may be anywhere: on a thread of tokio, which
//! must not wait for a future, or in a program without one. A file that is fetched loses its name
//! at once: whatever ends the process, nothing of a patient is left in the folder.

use std::collections::HashMap;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io, thread};

use files::Audience;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use journal::{Archive, ArchivedFile, FetchError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::cache::{Cache, CacheLimits, NoPlace, Room};
use crate::error::ArchiveError;
use crate::fetched::{Fetched, Fetching};
use crate::objects::{Digest, ObjectName, Objects};

/// Most objects that are fetched at once; each takes the memory of one part.
const AT_ONCE: usize = 4;
/// Most reads that wait, and most objects that are fetched or wait to be.
const WAITING_MAX: usize = 64;
/// How long a read waits. The file goes on being fetched, and the next read may find it.
const WAIT: Duration = Duration::from_secs(120);

/// What the fetch of one object came to, for each who waits.
type Told = Result<Arc<Fetched>, NotFetched>;

/// Why nothing of an object is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// The archive has none.
    #[error("expected it in the archive, found none: put it back from a copy")]
    Missing,
    /// It has other bytes.
    #[error("expected the bytes that its name says, found others: put it back from a copy")]
    Damaged,
    /// As many wait as may.
    #[error("expected at most {most} reads that wait for the archive: come again later")]
    Busy {
        /// How many may.
        most: usize,
    },
    /// It goes on being fetched.
    #[error("it takes longer than a read may wait: come again")]
    Late,
    /// All of the cache is promised to others.
    #[error("other files are being fetched, and all of `[archive] cache_bytes` is theirs")]
    Promised,
    /// What was fetched changed since.
    #[error("what was fetched reads as other bytes here: come again")]
    Changed,
    /// The archive does not answer, or here is nowhere to keep what it gives.
    #[error("{0}")]
    Failed(String),
}

/// An object, and what it holds.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    name: ObjectName,
    digest: Digest,
}

impl Wanted {
    fn file(archived: &ArchivedFile) -> Wanted {
        let ArchivedFile { length, digest, .. } = *archived;
        Wanted { name: ObjectName::Log(digest), digest: Digest { bytes: length, blake3: digest } }
    }
}

/// Fetches files; see the module. Clones share the cache.
#[derive(Clone)]
pub struct Fetcher {
    shared: Arc<Shared>,
    /// The thread ends with the last sender.
    work: UnboundedSender<Wanted>,
    wait: Duration,
}

struct Shared {
    objects: Objects,
    folder: PathBuf,
    room: Room,
    state: Mutex<State>,
}

struct State {
    cache: Cache<Arc<Fetched>>,
    /// Who waits for what is being fetched.
    waiting: HashMap<[u8; 32], Vec<Waiter>>,
    fetched: u64,
    failed: u64,
    /// Numbers of files and of waiters that were given so far.
    made: u64,
}

/// A read that waits.
struct Waiter {
    number: u64,
    tell: SyncSender<Told>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetcher {{ {:?} }}", self.shared.objects)
    }
}

impl Fetcher {
    /// Starts the thread that fetches. Files are kept in `folder`, which is made if it is not
    /// there; `room` is asked before each.
    ///
    /// # Errors
    /// If the folder cannot be made, or the system starts no further thread.
    pub fn start(
        objects: Objects,
        folder: &Path,
        limits: CacheLimits,
        room: Room,
    ) -> io::Result<Fetcher> {
        files::make_folder(folder, Audience::Owner)?;
        let (cache, waiting) = (Cache::new(limits), HashMap::new());
        let state = Mutex::new(State { cache, waiting, fetched: 0, failed: 0, made: 0 });
        let folder = folder.to_owned();
        let shared = Arc::new(Shared { objects, folder, room, state });
        let (work, next) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let fetches = Arc::clone(&shared);
        let run = move || runtime.block_on(fetch_all(&fetches, next));
        // Whoever waits is told by the time that is over, if this thread were to end.
        thread::Builder::new().name("archive-fetch".into()).spawn(run)?;
        Ok(Fetcher { shared, work, wait: WAIT })
    }

    /// Lets each read by this one wait so long, instead of two minutes.
    pub fn waiting(self, most: Duration) -> Fetcher {
        Fetcher { wait: most, ..self }
    }

    /// Files that were fetched since the start, and fetches that came to nothing.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.shared.state();
        (state.fetched, state.failed)
    }

    /// Bytes of files that are kept.
    pub fn kept_bytes(&self) -> u64 {
        self.shared.state().cache.kept_bytes()
    }

    /// The public file of a batch, fetched if it is not kept, without its bytes in memory. Blocks.
    ///
    /// # Errors
    /// [`NotFetched`].
    pub fn bring(&self, digest: Digest) -> Result<Brought, NotFetched> {
        let wanted = Wanted { name: ObjectName::Batch(digest.blake3), digest };
        let file = self.object(wanted)?;
        Ok(Brought { shared: Arc::clone(&self.shared), digest, file })
    }

    /// As [`Fetcher::bring`], and all bytes of it. Takes the memory of them.
    ///
    /// # Errors
    /// [`NotFetched`]; never other bytes.
    pub fn batch(&self, digest: Digest) -> Result<Vec<u8>, NotFetched> {
        match self.bring(digest)?.read() {
            // Fetched again, once.
            Err(NotFetched::Changed) => self.bring(digest)?.read(),
            read => read,
        }
    }

    /// Fills `out` with what the object has from `offset` on. Blocks.
    fn read(&self, wanted: Wanted, offset: u64, out: &mut [u8]) -> Result<(), NotFetched> {
        let mut read = || {
            let file = self.object(wanted)?;
            self.shared.read(&file, &wanted.digest, (offset, &mut *out))
        };
        match read() {
            // Fetched again, once.
            Err(NotFetched::Changed) => read(),
            read => read,
        }
    }

    /// The object as a file, fetched if it is not kept. Blocks.
    fn object(&self, wanted: Wanted) -> Told {
        let Digest { bytes, blake3 } = wanted.digest;
        let (tell, told) = sync_channel(1);
        let number = {
            let mut state = self.shared.state();
            if let Some(kept) = state.cache.find(&blake3) {
                return Ok(kept);
            }
            let waiting: usize = state.waiting.values().map(Vec::len).sum();
            // Of those for which nobody waits any more there are as many at most: a store that
            // hangs shall gather none.
            let is_new = !state.waiting.contains_key(&blake3);
            if waiting >= WAITING_MAX || is_new && state.waiting.len() >= WAITING_MAX {
                return Err(NotFetched::Busy { most: WAITING_MAX });
            }
            state.made += 1;
            let number = state.made;
            let waiter = Waiter { number, tell };
            match state.waiting.get_mut(&blake3) {
                Some(others) => others.push(waiter),
                None => {
                    state.cache.promise(bytes).map_err(|error| match error {
                        NoPlace::Promised => NotFetched::Promised,
                        NoPlace::TooLong { .. } => NotFetched::Failed(error.to_string()),
                    })?;
                    state.waiting.insert(blake3, vec![waiter]);
                    // Where the thread is gone nobody tells: the wait below ends by itself.
                    let _ = self.work.send(wanted);
                }
            }
            number
        };
        match told.recv_timeout(self.wait) {
            Ok(told) => told,
            Err(RecvTimeoutError::Timeout) => {
                // Its place is another's; the file goes on being fetched.
                if let Some(others) = self.shared.state().waiting.get_mut(&blake3) {
                    others.retain(|waiter| waiter.number != number);
                }
                Err(NotFetched::Late)
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(NotFetched::Failed("the thread that fetches has ended".to_owned()))
            }
        }
    }
}

impl Archive for Fetcher {
    fn read_at(
        &self,
        archived: &ArchivedFile,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), FetchError> {
        let wanted = Wanted::file(archived);
        let (file, object) = (archived.file, wanted.name.to_string());
        self.read(wanted, offset, bytes).map_err(|fault| match fault {
            NotFetched::Missing => FetchError::Missing { file, object },
            NotFetched::Damaged => {
                let (length, expected) = (archived.length, archived.digest);
                FetchError::Damaged { file, object, length, expected }
            }
            NotFetched::Busy { most } => FetchError::Busy { file, most },
            fault @ (NotFetched::Late
            | NotFetched::Promised
            | NotFetched::Changed
            | NotFetched::Failed(_)) => {
                FetchError::Unavailable { file, object, source: fault.into() }
            }
        })
    }
}

/// The public file of a batch, here for as long as somebody has this.
pub struct Brought {
    shared: Arc<Shared>,
    digest: Digest,
    file: Arc<Fetched>,
}

impl fmt::Debug for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Brought({} bytes)", self.digest.bytes)
    }
}

impl Brought {
    /// All bytes of it. Reads the disk, and waits for no archive.
    ///
    /// # Errors
    /// [`NotFetched::Changed`] where the disk has other bytes by now; never other bytes.
    pub fn read(&self) -> Result<Vec<u8>, NotFetched> {
        let mut bytes = vec![0; self.digest.bytes as usize];
        self.shared.read(&self.file, &self.digest, (0, &mut bytes))?;
        Ok(bytes)
    }
}

impl Shared {
    /// Nothing is half done under it: what unwinds leaves a list or a count as it was.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file that nobody else finds, and that is gone with this process.
    fn nameless(&self) -> io::Result<File> {
        let made = {
            let mut state = self.state();
            state.made += 1;
            state.made
        };
        let path = self.folder.join(format!("fetched-{}-{made}", std::process::id()));
        let file = files::open(&path, Audience::Owner)?;
        std::fs::remove_file(&path)?;
        // Left by a process of the same number that was killed between the two, perhaps.
        file.set_len(0)?;
        Ok(file)
    }

    /// Reads from a file that was fetched; one that changed since is kept no longer.
    fn read(
        &self,
        file: &Arc<Fetched>,
        digest: &Digest,
        (offset, out): (u64, &mut [u8]),
    ) -> Result<(), NotFetched> {
        let length = out.len() as u64;
        file.read_at(offset, out).map_err(|error| match error.kind() {
            // A bad sector is no better than other bytes. Beyond its end nobody has more.
            io::ErrorKind::UnexpectedEof if offset.saturating_add(length) > digest.bytes => {
                NotFetched::Failed(error.to_string())
            }
            _ => {
                let is_it = |kept: &Arc<Fetched>| Arc::ptr_eq(kept, file);
                self.state().cache.forget(&digest.blake3, is_it);
                NotFetched::Changed
            }
        })
    }

    async fn fetch(&self, Wanted { name, digest }: &Wanted) -> Result<Fetched, NotFetched> {
        let failed = |error: &dyn std::error::Error| NotFetched::Failed(with_causes(error));
        let bytes = digest.bytes;
        if !self.room.leaves(bytes) {
            return Err(NotFetched::Failed(format!(
                "there is no room for its {bytes} bytes above what is kept free \
                 (`[journal] reserve_bytes`)"
            )));
        }
        let mut file = Fetching::new(self.nameless().map_err(|error| failed(&error))?);
        let fetched = self.objects.download(*name, digest, |part| file.write(part)).await;
        // Compared before anybody has it: what is kept is right.
        match fetched {
            Ok(()) => Ok(file.done()),
            Err(ArchiveError::Missing { .. }) => Err(NotFetched::Missing),
            Err(ArchiveError::Damaged { .. }) => Err(NotFetched::Damaged),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Fetches an object and tells whoever waits.
    async fn serve(&self, wanted: Wanted) {
        let Digest { bytes, blake3 } = wanted.digest;
        let fetched = AssertUnwindSafe(self.fetch(&wanted)).catch_unwind().await;
        let fetched =
            fetched.unwrap_or_else(|_| Err(NotFetched::Failed("the fetch panicked".into())));
        let mut state = self.state();
        let told: Told = match fetched {
            Ok(file) => {
                let file = Arc::new(file);
                state.cache.keep(blake3, bytes, Arc::clone(&file));
                state.fetched += 1;
                Ok(file)
            }
            Err(fault) => {
                state.cache.give_back(bytes);
                state.failed += 1;
                Err(fault)
            }
        };
        for waiter in state.waiting.remove(&blake3).unwrap_or_default() {
            // Whoever does not wait any more comes again.
            drop(waiter.tell.try_send(told.clone()));
        }
    }
}

async fn fetch_all(shared: &Shared, next: UnboundedReceiver<Wanted>) {
    let next = stream::unfold(next, async |mut next| next.recv().await.map(|one| (one, next)));
    // Bounded by what waits: of each object there is one fetch.
    next.for_each_concurrent(AT_ONCE, |one| shared.serve(one)).await;
}

/// An error and its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
