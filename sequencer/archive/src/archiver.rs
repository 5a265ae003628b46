//! Brings sealed files and public batch files to the archive, and writes the manifest that names
//! them: objects first, each read back, then the manifest, put where nobody may have put one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use journal::{Medium, PutAwayError, Reader, SealedFile};
use tokio::sync::RwLock;
use tokio::task::spawn_blocking;

use crate::chain::{Chain, Known};
use crate::error::ArchiveError;
use crate::manifest::{BatchEntry, FileEntry, Manifest};
use crate::objects::{Digest, ObjectName, Objects, PART_BYTES, Put};

/// Most files that one manifest names, so that a long backlog shows how far it is.
const FILES_AT_ONCE: usize = 16;

/// The public file of a settled batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicFile {
    /// The batch's number.
    pub batch: u64,
    /// Its bytes, at most what a batch file may have.
    pub bytes: Vec<u8>,
}

/// What was archived in one go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Files of the journal.
    pub files: u64,
    /// Public batch files.
    pub batches: u64,
    /// Bytes of both.
    pub bytes: u64,
}

/// Where an archive begins, and how far somebody remembers it to be.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// Journal hash before the first group.
    pub genesis: [u8; 32],
    /// The last manifest that is remembered: a place without it is another one.
    pub known: Option<Known>,
}

/// Archives one journal. Two of them for one place find out: at most one writes each manifest.
#[derive(Debug)]
pub struct Archiver<M> {
    objects: Objects,
    journal: Reader<M>,
    chain: Chain,
    /// A manifest that was put, and of which nobody said whether it is there.
    attempted: Option<Vec<u8>>,
    reads: Reads,
}

/// Reads of the journal on threads of their own: what is cut off leaves them running.
#[derive(Clone, Debug, Default)]
struct Reads {
    running: Arc<RwLock<()>>,
    cancelled: Arc<AtomicBool>,
}

impl Reads {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AtomicBool) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let (running, cancelled) =
            (Arc::clone(&self.running).read_owned().await, Arc::clone(&self.cancelled));
        let done = spawn_blocking(move || {
            let done = work(&cancelled);
            drop(running);
            done
        });
        done.await.map_err(|_| ArchiveError::Ended)?
    }
}

impl<M: Medium> Archiver<M> {
    /// Reads what is archived already, all manifests, and holds it against the journal.
    ///
    /// # Errors
    /// [`ArchiveError`]; a lasting one for a place that is another's.
    pub async fn open(
        objects: Objects,
        journal: Reader<M>,
        beginning: Beginning,
    ) -> Result<Archiver<M>, ArchiveError> {
        let Beginning { genesis, known } = beginning;
        let (mut chain, reads) = (Chain::new(genesis), Reads::default());
        let away = {
            let journal = journal.clone();
            reads.run(move |_| stubs(&journal)).await?
        };
        let away = Arc::new(away);
        while let Some(manifest) = objects.next_manifest(&mut chain).await? {
            known.map_or(Ok(()), |known| known.check_taken(&chain))?;
            let (journal, away) = (journal.clone(), Arc::clone(&away));
            let check = move |_: &AtomicBool| {
                manifest.files.iter().try_for_each(|file| check_same(&journal, file, &away))
            };
            reads.run(check).await?;
        }
        known.map_or(Ok(()), |known| known.check_end(&chain))?;
        objects.probe().await?;
        let attempted = None;
        Ok(Archiver { objects, journal, chain, attempted, reads })
    }

    /// Ends what still reads the journal after a call was cut off, and waits for that.
    pub async fn cancel(self) {
        self.reads.cancelled.store(true, Ordering::SeqCst);
        drop(self.reads.running.write().await);
    }

    /// How far the archive is.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Numbers of files that were left and are not archived yet.
    ///
    /// # Errors
    /// [`ArchiveError::NotHere`] if the next one is in another archive.
    pub async fn waiting(&self) -> Result<Vec<u64>, ArchiveError> {
        let (next, journal) = (self.chain.next_file(), self.journal.clone());
        let list = move |_: &AtomicBool| {
            let local = journal.local_files();
            let op = "list the journal";
            let local = local.map_err(|source| ArchiveError::Io { op, source })?;
            if local.first().is_some_and(|first| *first > next)
                || (local.is_empty() && journal.head().file > next)
            {
                return Err(ArchiveError::NotHere { file: next });
            }
            Ok(local.into_iter().filter(|file| *file >= next).collect())
        };
        self.reads.run(list).await
    }

    /// Archives the files that wait, the first ones, and these batch files, which follow the last
    /// one that is archived; `None` if there is nothing.
    ///
    /// # Errors
    /// [`ArchiveError`]; what was put is found there by the next try.
    pub async fn push(
        &mut self,
        mut batches: Vec<PublicFile>,
    ) -> Result<Option<Pushed>, ArchiveError> {
        if let Some(bytes) = self.attempted.clone() {
            self.learn(&bytes, Learn::Attempt).await?;
            // They were in it, perhaps.
            batches.retain(|file| file.batch > self.chain.last_batch());
        }
        let mut waiting = self.waiting().await?;
        waiting.truncate(FILES_AT_ONCE);
        if waiting.is_empty() && batches.is_empty() {
            return Ok(None);
        }
        let mut pushed = Pushed::default();
        let mut files = Vec::new();
        for file in waiting {
            let entry = self.put_file(file).await?;
            (pushed.files, pushed.bytes) = (pushed.files + 1, pushed.bytes + entry.bytes);
            files.push(entry);
        }
        let mut entries = Vec::new();
        for file in batches.into_iter().take(Manifest::BATCHES_MAX) {
            let entry = self.put_batch(file).await?;
            (pushed.batches, pushed.bytes) = (pushed.batches + 1, pushed.bytes + entry.bytes);
            entries.push(entry);
        }
        self.put_manifest(self.chain.next(files, entries)).await?;
        Ok(Some(pushed))
    }

    async fn put_file(&self, file: u64) -> Result<FileEntry, ArchiveError> {
        let journal = self.journal.clone();
        let checked = self.reads.run(move |cancelled| check_file(&journal, file, cancelled));
        let (sealed, blake3) = checked.await?;
        let (name, digest) = (ObjectName::Log(blake3), Digest { bytes: sealed.length, blake3 });
        // What an earlier try put is not put again, if it is whole.
        if self.objects.confirm(name, &digest).await.is_err() {
            self.upload(name, &sealed, &blake3).await?;
            self.objects.confirm(name, &digest).await?;
        }
        Ok(entry_of(&sealed, blake3))
    }

    /// Puts a file part by part, and completes it only if its bytes are still those of its name.
    async fn upload(
        &self,
        name: ObjectName,
        sealed: &SealedFile,
        blake3: &[u8; 32],
    ) -> Result<(), ArchiveError> {
        let mut upload = self.objects.begin(name).await?;
        let mut hash = blake3::Hasher::new();
        let mut at = 0;
        while at < sealed.length {
            let end = sealed.length.min(at + PART_BYTES);
            let (journal, file) = (self.journal.clone(), sealed.file);
            let part = self.reads.run(move |_| read_part(&journal, file, at..end)).await;
            let put = match part {
                Ok(part) => {
                    hash.update(&part);
                    upload.put(part).await.map_err(ArchiveError::from)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = put {
                upload.abort().await;
                return Err(error);
            }
            at = end;
        }
        if hash.finalize().as_bytes() != blake3 {
            upload.abort().await;
            return Err(ArchiveError::Changed { file: sealed.file });
        }
        Ok(upload.complete().await?)
    }

    async fn put_batch(&self, file: PublicFile) -> Result<BatchEntry, ArchiveError> {
        let PublicFile { batch, bytes } = file;
        let blake3 = *blake3::hash(&bytes).as_bytes();
        let digest = Digest { bytes: bytes.len() as u64, blake3 };
        let name = ObjectName::Batch(blake3);
        // What an earlier try put is not put again, if it is whole; if it is not, it is replaced.
        if self.objects.confirm(name, &digest).await.is_err() {
            self.objects.replace(name, bytes).await?;
            self.objects.confirm(name, &digest).await?;
        }
        Ok(BatchEntry { batch, bytes: digest.bytes, digest: blake3 })
    }

    async fn put_manifest(&mut self, manifest: Manifest) -> Result<(), ArchiveError> {
        let bytes = manifest.to_bytes();
        // Refused here rather than by every later reader.
        self.chain.clone().take(&bytes)?;
        self.attempted = Some(bytes.clone());
        let name = ObjectName::Manifest(manifest.number);
        let put = self.objects.put_new(name, bytes.clone()).await?;
        self.learn(&bytes, Learn::Answer(put)).await
    }

    /// Reads the manifest that comes next, of which this is what was put.
    async fn learn(&mut self, bytes: &[u8], learn: Learn) -> Result<(), ArchiveError> {
        let number = self.chain.number() + 1;
        let name = ObjectName::Manifest(number);
        let found = self.objects.small(name, Manifest::BYTES_MAX).await?;
        self.attempted = None;
        match (found, learn) {
            // Taken by an earlier try, whose answer was lost, it is the same to the byte.
            (Some(found), _) if found == bytes => self.chain.take(bytes).map(drop),
            (Some(_), Learn::Answer(Put::New)) => {
                Err(ArchiveError::Damaged { object: name.to_string() })
            }
            (Some(_), _) => Err(ArchiveError::OtherWriter { number }),
            // It did not come there yet, and may still: the same again, so that it is the same.
            (None, Learn::Attempt) => {
                self.attempted = Some(bytes.to_vec());
                let put = self.objects.put_new(name, bytes.to_vec()).await?;
                Box::pin(self.learn(bytes, Learn::Answer(put))).await
            }
            (None, Learn::Answer(_)) => Err(ArchiveError::Missing { object: name.to_string() }),
        }
    }

    /// Reads the object of an archived file again, all of it: what leaves the folder is there.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`] or [`ArchiveError::Damaged`], else what the store says.
    pub async fn confirm(&self, file: &FileEntry) -> Result<(), ArchiveError> {
        let digest = Digest { bytes: file.bytes, blake3: file.digest };
        self.objects.confirm(ObjectName::Log(file.digest), &digest).await
    }

    /// As [`Self::confirm`], of a public batch file.
    ///
    /// # Errors
    /// Likewise.
    pub async fn confirm_batch(&self, digest: &Digest) -> Result<(), ArchiveError> {
        self.objects.confirm(ObjectName::Batch(digest.blake3), digest).await
    }

    /// What the manifests say of a file, which is here; `None` while it is not archived. Hashes it
    /// again: what is kept in memory of an archive does not grow with it.
    ///
    /// # Errors
    /// [`ArchiveError`] if it cannot be read.
    pub async fn archived(&self, file: u64) -> Result<Option<FileEntry>, ArchiveError> {
        if file >= self.chain.next_file() {
            return Ok(None);
        }
        let journal = self.journal.clone();
        let checked = self.reads.run(move |cancelled| check_file(&journal, file, cancelled));
        let (sealed, blake3) = checked.await?;
        Ok(Some(entry_of(&sealed, blake3)))
    }
}

/// What is known of a manifest that was put.
#[derive(Clone, Copy)]
enum Learn {
    /// What the store answered.
    Answer(Put),
    /// Nothing: the answer was lost.
    Attempt,
}

fn entry_of(sealed: &SealedFile, digest: [u8; 32]) -> FileEntry {
    FileEntry {
        file: sealed.file,
        bytes: sealed.length,
        digest,
        first_group: sealed.first_group,
        last_group: sealed.last_group,
        first_position: sealed.first_position,
        last_position: sealed.last_position,
        last_time: sealed.last_time,
        hash_before: sealed.hash_before,
        hash_after: sealed.hash_after,
    }
}

/// The digests of files that are in the archive alone.
fn stubs<M: Medium>(journal: &Reader<M>) -> Result<BTreeMap<u64, [u8; 32]>, ArchiveError> {
    let files = journal.archived_files().map_err(PutAwayError::from)?;
    Ok(files.into_iter().map(|file| (file.file, file.digest)).collect())
}

/// Holds what the archive says of a file against the journal.
fn check_same<M: Medium>(
    journal: &Reader<M>,
    file: &FileEntry,
    away: &BTreeMap<u64, [u8; 32]>,
) -> Result<(), ArchiveError> {
    let other = ArchiveError::OtherHistory { file: file.file };
    // A file that groups go into, or none, here: the archive knows of more than this journal.
    if file.file >= journal.head().file {
        return Err(other);
    }
    // Of one that is here nobody knows the digest without reading it; its end says as much.
    if away.get(&file.file).is_some_and(|digest| *digest != file.digest) {
        return Err(other);
    }
    let here = journal.sealed_file(file.file)?;
    if here.hash_after == file.hash_after && here.length == file.bytes {
        Ok(())
    } else {
        Err(other)
    }
}

/// Holds every group of a file against the one before it, and hashes the file.
fn check_file<M: Medium>(
    journal: &Reader<M>,
    file: u64,
    cancelled: &AtomicBool,
) -> Result<(SealedFile, [u8; 32]), ArchiveError> {
    let go_on = || match cancelled.load(Ordering::SeqCst) {
        true => Err(ArchiveError::Ended),
        false => Ok(()),
    };
    let sealed = journal.sealed_file(file)?;
    // Damage is found here, while the file can still be put back from a copy, and not once the
    // archive has nothing else.
    for found in journal.iter_from(sealed.first_position) {
        let (position, _) = found?;
        go_on()?;
        if position >= sealed.last_position {
            break;
        }
    }
    let mut hash = blake3::Hasher::new();
    let mut at = 0;
    while at < sealed.length {
        go_on()?;
        let end = sealed.length.min(at + PART_BYTES);
        hash.update(&read_part(journal, file, at..end)?);
        at = end;
    }
    Ok((sealed, *hash.finalize().as_bytes()))
}

fn read_part<M: Medium>(
    journal: &Reader<M>,
    file: u64,
    part: std::ops::Range<u64>,
) -> Result<Bytes, ArchiveError> {
    let mut bytes = vec![0; (part.end - part.start) as usize];
    let read = journal.read_file(file, part.start, &mut bytes);
    read.map_err(|source| ArchiveError::Io { op: "read a file of the journal", source })?;
    Ok(bytes.into())
}
