//! The row of manifests: each continues the one before it, and so do the files that they name.

use crate::error::ArchiveError;
use crate::manifest::{BatchEntry, FileEntry, Manifest};

/// A manifest that somebody remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its number.
    pub number: u64,
    /// blake3 of it.
    pub hash: [u8; 32],
}

impl Known {
    /// Refuses a row that has another manifest of this number.
    pub(crate) fn check_taken(&self, chain: &Chain) -> Result<(), ArchiveError> {
        let Known { number, hash } = *self;
        if chain.number == number && chain.hash != hash {
            return Err(ArchiveError::OtherWriter { number });
        }
        Ok(())
    }

    /// Refuses a row that ends before it.
    pub(crate) fn check_end(&self, chain: &Chain) -> Result<(), ArchiveError> {
        let (known, found) = (self.number, chain.number);
        if found < known { Err(ArchiveError::Lost { known, found }) } else { Ok(()) }
    }
}

/// How far an archive is, after some manifests. Opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    genesis: [u8; 32],
    number: u64,
    hash: [u8; 32],
    last_file: Option<FileEntry>,
    last_batch: u64,
}

impl Chain {
    /// Before the first manifest of a deployment's journal.
    pub fn new(genesis: [u8; 32]) -> Chain {
        Chain { genesis, number: 0, hash: [0; 32], last_file: None, last_batch: 0 }
    }

    /// The number of the last manifest; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The last manifest, for whoever remembers it; `None` before the first.
    pub fn last(&self) -> Option<Known> {
        (self.number > 0).then_some(Known { number: self.number, hash: self.hash })
    }

    /// The last file that is archived.
    pub fn last_file(&self) -> Option<&FileEntry> {
        self.last_file.as_ref()
    }

    /// The number of the file that comes next.
    pub fn next_file(&self) -> u64 {
        self.last_file.map_or(1, |last| last.file + 1)
    }

    /// The number of the last batch whose public file is archived; 0 before the first.
    pub fn last_batch(&self) -> u64 {
        self.last_batch
    }

    /// The manifest that names these next.
    pub fn next(&self, files: Vec<FileEntry>, batches: Vec<BatchEntry>) -> Manifest {
        let (genesis, previous) = (self.genesis, self.hash);
        Manifest { genesis, number: self.number + 1, previous, files, batches }
    }

    /// Takes in the next manifest as it is stored.
    ///
    /// # Errors
    /// [`ArchiveError`] if it is damaged, or does not continue the row: then nothing changed.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Manifest, ArchiveError> {
        let number = self.number + 1;
        let manifest = Manifest::from_bytes(bytes);
        let manifest = manifest.map_err(|source| ArchiveError::Manifest { number, source })?;
        let broken = |what| ArchiveError::Broken { number, what };
        if manifest.genesis != self.genesis {
            return Err(ArchiveError::OtherDeployment);
        }
        if manifest.number != number {
            return Err(broken("its own number"));
        }
        if manifest.previous != self.hash {
            return Err(broken("the hash of the manifest before it"));
        }
        let mut last = self.last_file;
        for file in &manifest.files {
            if !follows(last.as_ref(), file, &self.genesis) {
                return Err(broken("files that continue each other"));
            }
            last = Some(*file);
        }
        let mut last_batch = self.last_batch;
        for BatchEntry { batch, .. } in &manifest.batches {
            if *batch != last_batch + 1 {
                return Err(broken("batches in order"));
            }
            last_batch = *batch;
        }
        (self.number, self.last_file, self.last_batch) = (number, last, last_batch);
        self.hash = *blake3::hash(bytes).as_bytes();
        Ok(manifest)
    }
}

/// Whether a file is the next one, and goes on where the one before it ended. Numbers that were
/// given up lie within a file, so the first of one follows the last of the one before.
fn follows(last: Option<&FileEntry>, file: &FileEntry, genesis: &[u8; 32]) -> bool {
    let (number, group, position, hash) = match last {
        None => (1, 1, 1, *genesis),
        Some(last) => (last.file + 1, last.last_group + 1, last.last_position + 1, last.hash_after),
    };
    let found = (file.file, file.first_group, file.first_position, file.hash_before);
    found == (number, group, position, hash)
        && file.last_group.checked_add(1).is_some_and(|next| next > group)
        && file.last_position.checked_add(1).is_some_and(|next| next > position)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENESIS: [u8; 32] = [9; 32];

    fn file(file: u64) -> FileEntry {
        let hash = |file: u64| if file == 0 { GENESIS } else { [file as u8; 32] };
        FileEntry {
            file,
            bytes: 1,
            digest: [7; 32],
            first_group: file * 10 - 9,
            last_group: file * 10,
            first_position: file * 100 - 99,
            last_position: file * 100,
            last_time: 1,
            hash_before: hash(file - 1),
            hash_after: hash(file),
        }
    }

    fn batch(batch: u64) -> BatchEntry {
        BatchEntry { batch, bytes: 1, digest: [8; 32] }
    }

    #[test]
    fn manifests_that_continue_each_other_are_taken_and_others_are_named() {
        let mut chain = Chain::new(GENESIS);
        let first = chain.next(vec![file(1), file(2)], vec![batch(1)]).to_bytes();
        chain.take(&first).unwrap();
        assert_eq!((chain.number(), chain.next_file(), chain.last_batch()), (1, 3, 1));
        let broken = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = chain.next(vec![file(3)], vec![batch(2)]);
            change(&mut manifest);
            let mut chain = chain.clone();
            let error = chain.take(&manifest.to_bytes()).unwrap_err().to_string();
            assert_eq!(chain.number(), 1, "nothing changed");
            error
        };
        assert!(broken(&|manifest| manifest.number = 3).contains("its own number"));
        assert!(broken(&|manifest| manifest.previous = [0; 32]).contains("the hash of"));
        assert!(broken(&|manifest| manifest.genesis = [0; 32]).contains("another deployment"));
        assert!(broken(&|manifest| manifest.batches[0].batch = 3).contains("batches in order"));
        for change in [
            &(|file: &mut FileEntry| file.file = 4) as &dyn Fn(&mut FileEntry),
            &|file| file.hash_before = [0; 32],
            &|file| file.first_group += 1,
            &|file| file.first_position += 1,
            &|file| file.last_group = u64::MAX,
            &|file| file.last_position = 0,
        ] {
            let error = broken(&|manifest| change(&mut manifest.files[0]));
            assert!(error.contains("continue each other"), "{error}");
        }
        let second = chain.next(vec![file(3)], vec![]).to_bytes();
        chain.take(&second).unwrap();
        assert_eq!(chain.last_file().map(|last| last.file), Some(3));
        // The first one again.
        assert!(chain.take(&first).is_err());
    }
}
