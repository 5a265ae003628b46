//! Holds every object that the manifests name against its hash.

use journal::ArchivedFile;

use crate::chain::{Chain, Known};
use crate::error::ArchiveError;
use crate::manifest::Manifest;
use crate::objects::{Digest, ObjectName, Objects};

/// Most findings that are kept; further ones are counted.
const FINDINGS_MAX: usize = 100;

/// An object that is not what a manifest says.
#[derive(Debug)]
pub struct Finding {
    /// Which.
    pub object: ObjectName,
    /// What is wrong.
    pub error: ArchiveError,
}

/// What a node expects of its archive.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The last manifest that it remembers.
    pub known: Option<Known>,
    /// Files that it has nowhere else.
    pub files: Vec<ArchivedFile>,
}

/// What an archive holds.
#[derive(Debug, Default)]
pub struct Verified {
    /// Manifests.
    pub manifests: u64,
    /// Files of the journal that they name.
    pub files: u64,
    /// Public batch files.
    pub batches: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Objects that are not there or damaged.
    pub wrong: u64,
    /// The first hundred of them.
    pub findings: Vec<Finding>,
}

impl Verified {
    async fn look(
        &mut self,
        objects: &Objects,
        name: ObjectName,
        digest: Digest,
    ) -> Result<(), ArchiveError> {
        // What a manifest says, whoever wrote it.
        self.bytes = self.bytes.saturating_add(digest.bytes);
        match objects.confirm(name, &digest).await {
            Ok(()) => Ok(()),
            Err(error @ (ArchiveError::Missing { .. } | ArchiveError::Damaged { .. })) => {
                self.wrong += 1;
                if self.findings.len() < FINDINGS_MAX {
                    self.findings.push(Finding { object: name, error });
                }
                Ok(())
            }
            // A store that does not answer says nothing of what it holds.
            Err(error) => Err(error),
        }
    }
}

/// Reads every manifest, and every object that one names or somebody relies on, all of it.
///
/// # Errors
/// [`ArchiveError`] if the store does not answer, or the row of manifests does not hold: what is
/// archived nobody can tell then.
pub async fn verify(
    objects: &Objects,
    genesis: [u8; 32],
    expected: &Expected,
    mut each: impl FnMut(&Manifest),
) -> Result<Verified, ArchiveError> {
    let mut chain = Chain::new(genesis);
    let mut verified = Verified::default();
    let mut alone = expected.files.clone();
    while let Some(manifest) = objects.next_manifest(&mut chain).await? {
        expected.known.map_or(Ok(()), |known| known.check_taken(&chain))?;
        // Those that manifests name are looked at once.
        alone.retain(|one| manifest.files.iter().all(|file| file.digest != one.digest));
        verified.manifests += 1;
        verified.files += manifest.files.len() as u64;
        verified.batches += manifest.batches.len() as u64;
        for file in &manifest.files {
            let digest = Digest { bytes: file.bytes, blake3: file.digest };
            verified.look(objects, ObjectName::Log(file.digest), digest).await?;
        }
        for batch in &manifest.batches {
            let digest = Digest { bytes: batch.bytes, blake3: batch.digest };
            verified.look(objects, ObjectName::Batch(batch.digest), digest).await?;
        }
        each(&manifest);
    }
    expected.known.map_or(Ok(()), |known| known.check_end(&chain))?;
    for file in alone {
        let digest = Digest { bytes: file.length, blake3: file.digest };
        verified.look(objects, ObjectName::Log(file.digest), digest).await?;
    }
    Ok(verified)
}
