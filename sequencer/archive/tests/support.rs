//! What the tests share: a journal of some files, stores that fail, and the way from one to the
//! other.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use archive::{Archiver, Beginning, CacheLimits, Fetcher, ObjectName, Objects, PublicFile, Room};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use journal::fault::{FaultMedium, salts};
use journal::{Archive, Entry, EntryKind, Genesis, Log};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use tokio::sync::watch;

pub(crate) const GENESIS: Genesis = Genesis { log_id: [0xa5; 16], journal_hash: [0x11; 32] };
pub(crate) const BEGINNING: Beginning = Beginning { genesis: GENESIS.journal_hash, known: None };
const START_MS: u64 = 3_976_214_400_000;

/// What position `position` holds.
pub(crate) fn entry(position: u64) -> Entry {
    let body = vec![position as u8; 100 + (position as usize * 37) % 300];
    Entry::new(EntryKind::FRAME, START_MS + position, body)
}

/// A medium of files of 2 KiB.
pub(crate) fn small() -> FaultMedium {
    FaultMedium::default().with_lengths(2_048, 2_048)
}

/// Appends one entry a group, up to position `last`.
pub(crate) fn fill(log: &mut Log<FaultMedium>, last: u64) {
    for position in log.head().position + 1..=last {
        log.append(&[entry(position)]).expect("append");
    }
    log.make_ahead().expect("indexed");
}

pub(crate) fn open(medium: &FaultMedium) -> Log<FaultMedium> {
    Log::open(medium.clone(), GENESIS, salts()).expect("the journal opens").0
}

/// A journal of six files and more, on its medium.
pub(crate) fn journal() -> (FaultMedium, Log<FaultMedium>) {
    let medium = small();
    let mut log = open(&medium);
    fill(&mut log, 40);
    assert!(log.head().file > 5, "the tests are about some files");
    (medium, log)
}

pub(crate) fn memory() -> (Arc<InMemory>, Objects) {
    let store = Arc::new(InMemory::new());
    (store.clone(), Objects::new(store, Path::from("ward/1")))
}

pub(crate) async fn archiver(objects: &Objects, log: &Log<FaultMedium>) -> Archiver<FaultMedium> {
    let opened = Archiver::open(objects.clone(), log.reader(), BEGINNING).await;
    opened.expect("the archive is this journal's")
}

/// The public files of batches, as the tests make them up.
pub(crate) fn batches(range: Range<u64>) -> Vec<PublicFile> {
    let file = |batch: u64| PublicFile { batch, bytes: vec![batch as u8; 50] };
    range.map(file).collect()
}

/// Archives all that waits, and puts away all but the last two files that were left.
pub(crate) async fn put_away(archiver: &mut Archiver<FaultMedium>, log: &Log<FaultMedium>) {
    while archiver.push(vec![]).await.expect("archived").is_some() {}
    let local = log.reader().local_files().expect("listed");
    for file in &local[..local.len() - 2] {
        let entry = archiver.archived(*file).await.expect("read").expect("archived");
        archiver.confirm(&entry).await.expect("there");
        log.reader().put_away(*file, &entry.digest).expect("put away");
    }
}

/// A fetcher that keeps so many bytes.
pub(crate) fn fetcher(objects: &Objects, folder: &std::path::Path, bytes_max: u64) -> Fetcher {
    let room = Room::new(|_| true);
    Fetcher::start(objects.clone(), folder, CacheLimits { bytes_max }, room).expect("started")
}

/// The log again, with an archive.
pub(crate) fn reopened(medium: &FaultMedium, fetcher: &Fetcher) -> Log<FaultMedium> {
    let archive: Arc<dyn Archive> = Arc::new(fetcher.clone());
    open(&medium.clone().with_archive(archive))
}

pub(crate) fn path(name: ObjectName) -> Path {
    Path::from(format!("ward/1/{name}"))
}

/// A store whose n-th call fails, or all from there on.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) calls: AtomicU64,
    /// The first call that fails, from 1, and the last one.
    pub(crate) fails: std::sync::Mutex<Range<u64>>,
    /// Whether it sends without end whatever it is asked for.
    pub(crate) endless: AtomicBool,
    /// Objects below this path are not given before it is another one.
    pub(crate) held: watch::Sender<Option<Path>>,
}

impl Failing {
    pub(crate) fn new(inner: Arc<InMemory>, fails: Range<u64>) -> Arc<Failing> {
        let (calls, held) = (AtomicU64::new(0), watch::Sender::new(None));
        let (fails, endless) = (fails.into(), AtomicBool::new(false));
        Arc::new(Failing { inner, calls, fails, endless, held })
    }

    pub(crate) fn objects(self: &Arc<Failing>) -> Objects {
        Objects::new(self.clone(), Path::from("ward/1"))
    }

    fn call(&self) -> StoreResult<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fails.lock().expect("nobody panicked").contains(&call) {
            false => Ok(()),
            true => Err(object_store::Error::Generic { store: "test", source: "cut off".into() }),
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failing")
    }
}

/// Of an upload, each step is a call; what was put before stays as a bucket keeps it.
#[derive(Debug)]
struct FailingUpload {
    fails: StoreResult<()>,
    inner: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, part: PutPayload) -> object_store::UploadPart {
        self.inner.put_part(part)
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        std::mem::replace(&mut self.fails, Ok(()))?;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        self.call()?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.call()?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(FailingUpload { fails: self.call(), inner }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        let mut held = self.held.subscribe();
        let is_held = |held: &Path| location.prefix_matches(held);
        held.wait_for(|held| !held.as_ref().is_some_and(is_held)).await.expect("it is there");
        self.call()?;
        let is_asked_for_bytes = !options.head;
        let mut found = self.inner.get_opts(location, options).await?;
        if is_asked_for_bytes && self.endless.load(Ordering::SeqCst) {
            let zeros = stream::repeat_with(|| Ok(Bytes::from(vec![0; 1 << 20])));
            found.payload = GetResultPayload::Stream(zeros.boxed());
        }
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.call()?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
