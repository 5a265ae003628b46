//! Holds the journal's head against everybody who remembers one, before a stage is started.

use std::path::{Path, PathBuf};

use files::Audience;
use journal::{Head, Medium, Reader};
use l1_contracts::{Edge, EdgeError};
use model::{BatchHeader, BatchNumber};
use statement::batch::PublicFile;
use statement::scope;
use thiserror::Error;
use wire::{Address, SignedReceipt};

use super::witness::KeepWitness;
use crate::folder::layout::Layout;
use crate::folder::store::{Store, StoreError};
use crate::folder::witness::{Witness, WitnessError};
use crate::history::{Comparison, Contradiction, HistoryError, Keeper, Remembered, compare};

/// How often the contract is asked again until two answers are of one moment.
const STATE_TRIES: usize = 5;
/// Most receipts kept as evidence that are read at a start.
const EVIDENCE_MAX: usize = 10_000;
/// Largest receipt file.
const RECEIPT_BYTES_MAX: u64 = 128 << 10;

/// Why nobody's memory can be had.
#[derive(Debug, Error)]
pub enum HeadError {
    /// The chain does not answer.
    #[error("the contract cannot be asked how far the journal was settled")]
    Edge(#[from] EdgeError),
    /// The contract's last header is not on the chain.
    #[error("expected the header of settled batch {number} on the chain, found none with its hash")]
    Header {
        /// Which batch.
        number: u64,
    },
    /// The store cannot be read.
    #[error("the store cannot be asked how far the journal was")]
    Store(#[from] StoreError),
    /// The witness cannot be read.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// It is another journal's.
    #[error(
        "expected the witness of this deployment's journal in {path}, found another's: move it to \
         the folder that it belongs to"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Kept receipts cannot be read.
    #[error("the receipts in {path} cannot be read")]
    Receipts {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The journal cannot be compared.
    #[error(transparent)]
    Journal(#[from] HistoryError),
}

/// Everybody who remembers the journal of a folder.
pub(super) struct Memories<'a> {
    pub(super) layout: &'a Layout,
    pub(super) edge: &'a Edge,
    pub(super) store: &'a Store,
    /// Who signs receipts.
    pub(super) signer: Address,
}

impl Memories<'_> {
    /// What all of them remember: the contract first, then the store, the witness, receipts.
    pub(super) async fn all(&self) -> Result<Vec<Remembered>, HeadError> {
        let mut all = Vec::new();
        all.extend(self.contract().await?);
        all.extend(self.last_assembled()?);
        all.extend(self.witness()?);
        let receipts = read_receipts(&self.layout.evidence(), self.signer, self.edge)?;
        all.extend(receipts.iter().map(Remembered::by_receipt));
        Ok(all)
    }

    /// The last settled header, by the contract's own hash of it.
    pub(super) async fn contract(&self) -> Result<Option<Remembered>, HeadError> {
        let mut state = self.edge.state().await?;
        for _ in 0..STATE_TRIES {
            let again = self.edge.state().await?;
            if again == state {
                break;
            }
            state = again;
        }
        if state.number == 0 {
            return Ok(None);
        }
        let header = match self.stored_header(BatchNumber(state.number), &state.head_hash)? {
            Some(header) => header,
            // The store is gone, behind or damaged: the chain has every header.
            None => {
                let batches = self.edge.settled_batches().await?;
                let mut headers = batches.into_iter().map(|batch| batch.header);
                let found = headers.find(|header| scope::header_hash(header) == state.head_hash);
                found.ok_or(HeadError::Header { number: state.number })?
            }
        };
        Ok(Some(Remembered {
            by: Keeper::Contract,
            group: None,
            position: header.journal_position,
            term: None,
            journal_hash: header.journal_hash,
        }))
    }

    fn stored_header(
        &self,
        number: BatchNumber,
        expected: &[u8; 32],
    ) -> Result<Option<BatchHeader>, HeadError> {
        let Some(file) = self.stored_file(number)? else { return Ok(None) };
        Ok(Some(file.header).filter(|header| scope::header_hash(header) == *expected))
    }

    /// The public file of a batch, unless it is damaged: then others remember.
    fn stored_file(&self, number: BatchNumber) -> Result<Option<PublicFile>, HeadError> {
        match self.store.public_bytes(number) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| PublicFile::from_bytes(&bytes).ok())),
            Err(StoreError::Corrupt { .. }) => {
                tracing::warn!(
                    batch = number.0,
                    "a damaged batch file cannot be asked for the head"
                );
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The last assembled batch, settled or not.
    pub(super) fn last_assembled(&self) -> Result<Option<Remembered>, HeadError> {
        let Some((number, _)) = self.store.last_assembled()? else { return Ok(None) };
        let Some(file) = self.stored_file(number)? else { return Ok(None) };
        let last = file.groups.last();
        Ok(Some(Remembered {
            by: Keeper::Store,
            // Without a group of its own, the close stands in one that an earlier file names.
            group: last.map(|group| group.number),
            position: file.header.journal_position,
            term: None,
            journal_hash: file.header.journal_hash,
        }))
    }

    fn witness(&self) -> Result<Option<Remembered>, HeadError> {
        let path = self.layout.witness();
        let Some(found) = Witness::read(&path)? else { return Ok(None) };
        if found.genesis != statement::journal::genesis(self.edge.scope()) {
            return Err(HeadError::Foreign { path });
        }
        // Before the first group there is nothing to compare.
        Ok(Some(found).filter(|found| found.group > 0).map(|found| Remembered {
            by: Keeper::Witness,
            group: Some(found.group),
            position: model::Position(found.position),
            term: Some(found.term),
            journal_hash: found.journal_hash,
        }))
    }
}

/// Receipts of a folder that this node's key signed for this deployment; none without the folder.
pub(super) fn read_receipts(
    folder: &Path,
    signer: Address,
    edge: &Edge,
) -> Result<Vec<SignedReceipt>, HeadError> {
    let failed = |source| HeadError::Receipts { path: folder.into(), source };
    let names = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(failed)?,
    };
    let mut receipts = Vec::new();
    for name in names.take(EVIDENCE_MAX) {
        let path = name.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "receipt") {
            continue;
        }
        let bytes = files::read(&path, RECEIPT_BYTES_MAX, Audience::Owner).map_err(failed)?;
        let receipt = SignedReceipt::from_bytes(&bytes);
        let own = receipt.ok().filter(|receipt| {
            receipt.receipt.group.scope == edge.scope() && receipt.verify(signer).is_ok()
        });
        // Anybody may put a file there: what this node did not sign says nothing.
        match own {
            Some(receipt) => receipts.push(receipt),
            None => tracing::warn!(path = %path.display(), "not a receipt of this node"),
        }
    }
    Ok(receipts)
}

/// Keeps a receipt that the journal contradicts: the next start knows of it too.
pub(super) fn keep_evidence(layout: &Layout, receipt: &SignedReceipt) -> std::io::Result<()> {
    let folder = layout.evidence();
    files::make_folder(&folder, Audience::Owner)?;
    let name = format!("{:020}.receipt", receipt.receipt.group.group);
    files::replace(&folder.join(name), &[&receipt.to_bytes()], Audience::Owner)
}

/// What the journal lacks of all that, first of all what is settled.
pub(super) fn contradictions<M: Medium>(
    journal: &Reader<M>,
    all: &[Remembered],
) -> Result<Vec<Contradiction>, HeadError> {
    let mut found = Vec::new();
    for remembered in all {
        if let Comparison::Contradicted(contradiction) = compare(journal, remembered)? {
            found.push(contradiction);
        }
    }
    Ok(found)
}

/// Keeps the witness file of a journal.
pub(super) struct WitnessFile {
    pub(super) path: PathBuf,
    pub(super) genesis: [u8; 32],
    pub(super) term: u32,
}

impl WitnessFile {
    pub(super) fn of(layout: &Layout, edge: &Edge, term: u32) -> WitnessFile {
        let genesis = statement::journal::genesis(edge.scope());
        WitnessFile { path: layout.witness(), genesis, term }
    }

    pub(super) fn write(&self, head: &Head) -> Result<(), WitnessError> {
        let WitnessFile { path, genesis, term } = self;
        let Head { group, position, journal_hash, .. } = *head;
        Witness { genesis: *genesis, term: *term, group, position, journal_hash }.write(path)
    }
}

impl KeepWitness for WitnessFile {
    fn keep(&mut self, head: &Head) -> Result<(), Box<dyn std::error::Error>> {
        Ok(self.write(head)?)
    }
}
