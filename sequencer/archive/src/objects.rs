//! Objects by name: put once, read in parts, held against the hash that their name says.

use std::sync::Arc;
use std::{fmt, io};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Error as StoreFault, GetOptions, GetResultPayload, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload,
};

use crate::chain::Chain;
use crate::error::{ArchiveError, ObjectError};
use crate::manifest::Manifest;

/// Bytes that are put or read at once: the memory of one transfer. S3 takes parts of 5 MiB and
/// more, 10,000 of them.
pub(crate) const PART_BYTES: u64 = 8 << 20;

/// An object of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectName {
    /// A sealed file of the journal, by the blake3 of its bytes.
    Log([u8; 32]),
    /// The public file of a batch, likewise.
    Batch([u8; 32]),
    /// A manifest, by its number.
    Manifest(u64),
    /// What shows that a name is given once.
    Probe,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (folder, digest, end) = match self {
            ObjectName::Log(digest) => ("journal", digest, "log"),
            ObjectName::Batch(digest) => ("batches", digest, "bin"),
            ObjectName::Manifest(number) => return write!(f, "manifests/{number:08}"),
            ObjectName::Probe => return f.write_str("probe"),
        };
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{folder}/{hex}.{end}")
    }
}

/// What putting an object did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there now, and was not before.
    New,
    /// There was one of that name.
    Taken,
}

/// Length and blake3 of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Bytes.
    pub bytes: u64,
    /// blake3 of them.
    pub blake3: [u8; 32],
}

/// The objects below one place of a store. Clones share the connection.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// What opens the store is not shown.
impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects below {:?}", self.prefix.as_ref())
    }
}

fn failed(op: &'static str, name: ObjectName) -> impl Fn(StoreFault) -> ObjectError {
    move |source| ObjectError { op, object: name.to_string(), source: source.into() }
}

impl Objects {
    /// Objects of `store`, under names that begin with `prefix`.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Objects {
        Objects { store, prefix }
    }

    fn path(&self, name: ObjectName) -> Path {
        // The names hold nothing but digits, letters, `.` and `/`.
        self.prefix.parts().chain(Path::from(name.to_string()).parts()).collect()
    }

    /// Puts an object that nobody may have put before: at most one of several writers gets
    /// [`Put::New`].
    ///
    /// # Errors
    /// [`ObjectError`]; then it may be there or not.
    pub async fn put_new(&self, name: ObjectName, bytes: Vec<u8>) -> Result<Put, ObjectError> {
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&self.path(name), PutPayload::from(bytes), options).await {
            Ok(_) => Ok(Put::New),
            Err(StoreFault::AlreadyExists { .. } | StoreFault::Precondition { .. }) => {
                Ok(Put::Taken)
            }
            Err(error) => Err(failed("put", name)(error)),
        }
    }

    /// Puts an object, whatever was there under its name.
    ///
    /// # Errors
    /// [`ObjectError`]; then it may be there or not.
    pub(crate) async fn replace(
        &self,
        name: ObjectName,
        bytes: Vec<u8>,
    ) -> Result<(), ObjectError> {
        let put = self.store.put(&self.path(name), PutPayload::from(bytes)).await;
        put.map(drop).map_err(failed("put", name))
    }

    /// Tries whether the store gives a name once: what keeps two nodes out of one place.
    ///
    /// # Errors
    /// [`ArchiveError::Unconditional`] for one that does not.
    pub async fn probe(&self) -> Result<(), ArchiveError> {
        for _ in 0..2 {
            // There from an earlier start, it is refused at once.
            if self.put_new(ObjectName::Probe, b"a name is given once".to_vec()).await?
                == Put::Taken
            {
                return Ok(());
            }
        }
        Err(ArchiveError::Unconditional)
    }

    /// Begins to put an object part by part. It has its name once it is complete, all of it.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub(crate) async fn begin(&self, name: ObjectName) -> Result<Upload, ObjectError> {
        let upload = self.store.put_multipart(&self.path(name)).await;
        Ok(Upload { name, upload: upload.map_err(failed("put", name))? })
    }

    /// The length of an object; `None` if there is none.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn length(&self, name: ObjectName) -> Result<Option<u64>, ObjectError> {
        match self.store.head(&self.path(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(StoreFault::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("find", name)(error)),
        }
    }

    /// An object of at most `most` bytes; `None` if there is none.
    ///
    /// # Errors
    /// [`ObjectError`], also for a longer one, of which nothing is kept in memory.
    pub async fn small(
        &self,
        name: ObjectName,
        most: usize,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        self.get(name, GetOptions::new(), most).await
    }

    /// What the store sends of an object, at most so many bytes; `None` if there is none.
    async fn get(
        &self,
        name: ObjectName,
        what: GetOptions,
        most: usize,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        let found = match self.store.get_opts(&self.path(name), what).await {
            Err(StoreFault::NotFound { .. }) => return Ok(None),
            found => found.map_err(failed("get", name))?,
        };
        let too_long = || {
            let source = format!("expected at most {most} bytes, found more").into();
            ObjectError { op: "get", object: name.to_string(), source }
        };
        let said = found.range.end.saturating_sub(found.range.start);
        if said > most as u64 {
            return Err(too_long());
        }
        let mut stream = match found.payload {
            // Of a file no more is read than it says, and that at once.
            GetResultPayload::File(..) => {
                let bytes = found.bytes().await.map_err(failed("get", name))?;
                return Ok(Some(bytes.into()));
            }
            GetResultPayload::Stream(stream) => stream,
        };
        let mut bytes = Vec::with_capacity(said as usize);
        while let Some(part) = stream.try_next().await.map_err(failed("get", name))? {
            // Whatever length the store says: this is what it sends.
            if bytes.len() + part.len() > most {
                return Err(too_long());
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Some(bytes))
    }

    /// Takes the next manifest into the row; `None` if none was written yet.
    ///
    /// # Errors
    /// [`ArchiveError`] if the store does not answer, or it does not continue the row.
    pub async fn next_manifest(&self, chain: &mut Chain) -> Result<Option<Manifest>, ArchiveError> {
        let name = ObjectName::Manifest(chain.number() + 1);
        if let Some(bytes) = self.small(name, Manifest::BYTES_MAX).await? {
            return chain.take(&bytes).map(Some);
        }
        // The end, unless there is one behind it.
        match self.length(ObjectName::Manifest(chain.number() + 2)).await? {
            Some(_) => Err(ArchiveError::Missing { object: name.to_string() }),
            None => Ok(None),
        }
    }

    /// A part of an object; `None` if there is no such object.
    ///
    /// # Errors
    /// [`ObjectError`], also if the part is shorter.
    async fn part(
        &self,
        name: ObjectName,
        part: std::ops::Range<u64>,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        let expected = (part.end - part.start) as usize;
        let found = self.get(name, GetOptions::new().with_range(Some(part)), expected).await?;
        match found {
            Some(found) if found.len() != expected => {
                let why = format!("expected {expected} bytes of it, found {}", found.len());
                Err(ObjectError { op: "get", object: name.to_string(), source: why.into() })
            }
            found => Ok(found),
        }
    }

    /// Reads an object again, all of it, and holds it against what it should be.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`] or [`ArchiveError::Damaged`], else [`ArchiveError::Object`].
    pub async fn confirm(&self, name: ObjectName, expected: &Digest) -> Result<(), ArchiveError> {
        self.download(name, expected, |_| Ok(())).await
    }

    /// Reads an object, all of it, to `write`, part by part. What was written is right only if this
    /// succeeds.
    ///
    /// # Errors
    /// As [`Self::confirm`]; [`ArchiveError::Io`] for what `write` says.
    pub async fn download(
        &self,
        name: ObjectName,
        expected: &Digest,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ArchiveError> {
        let missing = || ArchiveError::Missing { object: name.to_string() };
        let damaged = || ArchiveError::Damaged { object: name.to_string() };
        // First, so that nothing is transferred of one that cannot be it.
        let length = self.length(name).await?.ok_or_else(missing)?;
        if length != expected.bytes {
            return Err(damaged());
        }
        let mut hash = blake3::Hasher::new();
        let mut at = 0;
        while at < length {
            let end = length.min(at + PART_BYTES);
            let part = self.part(name, at..end).await?.ok_or_else(missing)?;
            hash.update(&part);
            let op = "write what is fetched";
            write(&part).map_err(|source| ArchiveError::Io { op, source })?;
            at = end;
        }
        if *hash.finalize().as_bytes() == expected.blake3 { Ok(()) } else { Err(damaged()) }
    }
}

/// An object that is being put.
pub(crate) struct Upload {
    name: ObjectName,
    upload: Box<dyn object_store::MultipartUpload>,
}

impl Upload {
    /// Puts the next part.
    pub(crate) async fn put(&mut self, part: Bytes) -> Result<(), ObjectError> {
        // One after the other: what is under way is one part, whatever the store could take.
        self.upload.put_part(PutPayload::from(part)).await.map_err(failed("put", self.name))
    }

    /// Gives the object its name.
    pub(crate) async fn complete(mut self) -> Result<(), ObjectError> {
        self.upload.complete().await.map(drop).map_err(failed("put", self.name))
    }

    /// Gives it up. What a store cannot remove it removes by its own rules.
    pub(crate) async fn abort(mut self) {
        drop(self.upload.abort().await);
    }
}
