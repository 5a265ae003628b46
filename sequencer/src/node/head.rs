//! Holds the journal's head against everybody who remembers one, before a stage is started.

use std::path::{Path, PathBuf};

use files::Audience;
use journal::{Head, Medium, Reader};
use l1_contracts::{Edge, EdgeError, SettlementState};
use model::{BatchHeader, BatchNumber, ChainScope};
use statement::batch::PublicFile;
use statement::scope;
use thiserror::Error;
use wire::{Address, SignedReceipt};

use super::witness::KeepWitness;
use crate::folder::backup::Restored;
use crate::folder::checked::CheckedError;
use crate::folder::layout::Layout;
use crate::folder::store::{Store, StoreError};
use crate::folder::witness::Witness;
use crate::history::{Comparison, Contradiction, HistoryError, Keeper, Remembered, compare};
use crate::stages::settle::carried_headers;

/// Most files of a folder of receipts.
const RECEIPTS_MAX: usize = 10_000;
/// Most receipts that are kept as evidence. Half of what is read, so that nothing that is put
/// beside them keeps a node from starting.
const EVIDENCE_MAX: usize = RECEIPTS_MAX / 2;
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
    Witness(#[from] CheckedError),
    /// It is another journal's.
    #[error(
        "expected the file of this deployment's journal in {path}, found another's: move it to \
         the folder that it belongs to"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Receipts cannot be read.
    #[error("the receipts in {path} cannot be read")]
    Receipts {
        /// The folder, or the file in it.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Too many to look at.
    #[error(
        "expected at most {RECEIPTS_MAX} files in {path}, found more: leave there the newest \
         receipt of each holder"
    )]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// The journal cannot be compared.
    #[error(transparent)]
    Journal(#[from] HistoryError),
}

/// What everybody remembers.
pub(super) struct Memory {
    /// The contract's first, then the store's, the witness's, those of receipts.
    pub(super) all: Vec<Remembered>,
    /// The last settled batch, of the same moment as what the contract remembers.
    pub(super) settled: BatchNumber,
}

/// Everybody who remembers the journal of a folder.
pub(super) struct Memories<'a> {
    pub(super) layout: &'a Layout,
    pub(super) edge: &'a Edge,
    pub(super) store: &'a Store,
}

impl Memories<'_> {
    /// What all of them remember.
    pub(super) async fn all(&self) -> Result<Memory, HeadError> {
        // Once, and all of it from one block: what settles meanwhile is neither half seen nor
        // taken for unsettled.
        let state = self.edge.state_of_head().await?;
        let settled = BatchNumber(state.number);
        let mut all = Vec::new();
        all.extend(self.contract(&state).await?);
        all.extend(self.here(settled)?);
        Ok(Memory { all, settled })
    }

    /// What the contract remembers.
    pub(super) async fn of_contract(&self) -> Result<Option<Remembered>, HeadError> {
        let state = self.edge.state_of_head().await?;
        self.contract(&state).await
    }

    /// What is remembered without the chain: by the store, of which `settled` is the last settled
    /// batch, by the witness and by receipts.
    pub(super) fn here(&self, settled: BatchNumber) -> Result<Vec<Remembered>, HeadError> {
        let mut all = Vec::new();
        all.extend(self.last_assembled(settled)?);
        all.extend(witness(self.layout, self.edge.scope())?);
        all.extend(behind_backup(self.layout, self.edge.scope())?);
        let kept = self.layout.evidence();
        if kept.try_exists().map_err(receipts_failed(&kept))? {
            let receipts = read_receipts(&kept, self.edge)?;
            all.extend(receipts.own.iter().map(Remembered::by_receipt));
        }
        Ok(all)
    }

    /// The last settled header, by the contract's own hash of it.
    async fn contract(&self, state: &SettlementState) -> Result<Option<Remembered>, HeadError> {
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
            Err(
                error @ (StoreError::Corrupt { .. }
                | StoreError::Archived { .. }
                | StoreError::ArchiveLate { .. }),
            ) => {
                let (batch, cause) = (number.0, model::with_causes(&error));
                tracing::warn!(batch, cause, "a batch file cannot be asked for the head");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The last assembled batch of which anything is readable, settled or not. A damaged one hides
    /// none of those before it.
    fn last_assembled(&self, settled: BatchNumber) -> Result<Option<Remembered>, HeadError> {
        let Some((last, _)) = self.store.last_assembled()? else { return Ok(None) };
        // The contract remembers what is settled.
        let first = settled.0.min(last.0);
        for number in (first..=last.0).rev() {
            if let Some(found) = self.assembled(BatchNumber(number))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// An assembled batch: by its file, or where that is damaged by the transaction that carries
    /// it; `None` if neither says anything.
    pub(super) fn assembled(&self, number: BatchNumber) -> Result<Option<Remembered>, HeadError> {
        let file = self.stored_file(number)?;
        // Without a group of its own, the close stands in one that an earlier file names.
        let group = file.as_ref().and_then(|file| file.groups.last()).map(|group| group.number);
        let header = match file {
            Some(file) => Some(file.header),
            None => self.sent_header(number)?,
        };
        Ok(header.map(|header| Remembered {
            by: Keeper::Store,
            group,
            position: header.journal_position,
            term: None,
            journal_hash: header.journal_hash,
        }))
    }

    fn sent_header(&self, number: BatchNumber) -> Result<Option<BatchHeader>, HeadError> {
        let Some(row) = self.store.batch(number)? else { return Ok(None) };
        // Those that were given up as well: what they carry was assembled all the same.
        let rows = self.store.outbox_not_final()?;
        let mut headers = rows.iter().flat_map(|(_, row)| carried_headers(row));
        Ok(headers.find(|header| scope::header_hash(header) == row.header_hash))
    }
}

/// What the witness beside a journal remembers; `None` if there is none, or if it was written
/// before the first group.
pub(super) fn witness(layout: &Layout, scope: ChainScope) -> Result<Option<Remembered>, HeadError> {
    let path = layout.witness();
    let Some(found) = Witness::read(&path)? else { return Ok(None) };
    if found.genesis != statement::journal::genesis(scope) {
        return Err(HeadError::Foreign { path });
    }
    Ok(Some(found).filter(|found| found.group > 0).map(|found| Remembered {
        by: Keeper::Witness,
        group: Some(found.group),
        position: model::Position(found.position),
        term: Some(found.term),
        journal_hash: found.journal_hash,
    }))
}

/// What the mark of a restored folder remembers: that there was a group behind the backup's end.
/// Which one it was the mark does not know, so the hash before it stands for it and fits none.
pub(super) fn behind_backup(
    layout: &Layout,
    scope: ChainScope,
) -> Result<Option<Remembered>, HeadError> {
    let path = layout.restored();
    let Some(mark) = Restored::read(&path)? else { return Ok(None) };
    if mark.genesis != statement::journal::genesis(scope) {
        return Err(HeadError::Foreign { path });
    }
    Ok(Some(Remembered {
        by: Keeper::Backup,
        group: Some(mark.group + 1),
        position: model::Position(mark.position + 1),
        term: Some(mark.term),
        journal_hash: mark.journal_hash,
    }))
}

/// Whether a journal has groups and no witness beside it, which somebody must have taken away: it
/// is written within a second of the first group.
pub(super) fn witness_is_missing(layout: &Layout, head: &Head) -> Result<bool, HeadError> {
    Ok(head.group > 0 && Witness::read(&layout.witness())?.is_none())
}

/// Receipts of a folder.
pub(super) struct ReceiptsOf {
    /// Those that this node's key signed for this deployment.
    pub(super) own: Vec<SignedReceipt>,
    /// How many files are none of these.
    pub(super) others: usize,
}

fn receipts_failed(path: &Path) -> impl Fn(std::io::Error) -> HeadError {
    move |source| HeadError::Receipts { path: path.into(), source }
}

/// Reads the receipts of a folder.
pub(super) fn read_receipts(folder: &Path, edge: &Edge) -> Result<ReceiptsOf, HeadError> {
    let signer = Address(edge.deployment().receipt_signer.0.0);
    let failed = receipts_failed(folder);
    let names: Vec<_> =
        std::fs::read_dir(folder).map_err(&failed)?.take(RECEIPTS_MAX + 1).collect();
    // Which of too many would be left out is chance; a loss must not be accepted by chance.
    if names.len() > RECEIPTS_MAX {
        return Err(HeadError::TooMany { path: folder.into() });
    }
    let mut receipts = ReceiptsOf { own: Vec::new(), others: 0 };
    for name in names {
        let path = name.map_err(&failed)?.path();
        if path.extension().is_none_or(|extension| extension != "receipt") {
            continue;
        }
        let bytes = files::read(&path, RECEIPT_BYTES_MAX, Audience::Owner)
            .map_err(receipts_failed(&path))?;
        let receipt = SignedReceipt::from_bytes(&bytes);
        let own = receipt.ok().filter(|receipt| {
            receipt.receipt.group.scope == edge.scope() && receipt.verify(signer).is_ok()
        });
        // Anybody may put a file there: what this node did not sign says nothing.
        match own {
            Some(receipt) => receipts.own.push(receipt),
            None => {
                receipts.others += 1;
                tracing::warn!(path = %path.display(), "not a receipt of this node");
            }
        }
    }
    Ok(receipts)
}

/// Keeps a receipt that the journal contradicts: the next start knows of it too. One of each
/// holder, the newest, and of at most [`EVIDENCE_MAX`] holders those that name the most, so that
/// nobody fills the folder: a loss is accepted beyond the highest number.
pub(super) fn keep_evidence(layout: &Layout, receipt: &SignedReceipt) -> std::io::Result<()> {
    keep_among(&layout.evidence(), receipt, EVIDENCE_MAX)
}

/// Keeps a receipt in a folder of at most `most`.
fn keep_among(folder: &Path, receipt: &SignedReceipt, most: usize) -> std::io::Result<()> {
    files::make_folder(folder, Audience::Owner)?;
    let path = folder.join(format!("{}.receipt", hex::encode(receipt.receipt.holder.0)));
    let own = Place::of(receipt);
    if kept_place(&path).is_some_and(|kept| kept >= own) {
        return Ok(());
    }
    let others = receipts_beside(folder, &path)?;
    let mut gives_way = None;
    if others.len() >= most && !path.try_exists()? {
        let places = others.into_iter().map(|other| (kept_place(&other), other));
        // What does not read is none and below every place.
        gives_way = places.min_by_key(|(place, _)| *place);
        if gives_way.as_ref().is_some_and(|(lowest, _)| *lowest >= Some(own)) {
            return Ok(());
        }
    }
    // The new one first: a full disk takes away none that is there.
    files::replace(&path, &[&receipt.to_bytes()], Audience::Owner)?;
    gives_way.map_or(Ok(()), |(_, path)| std::fs::remove_file(path))
}

/// Where a receipt stands among others: a later term is above every number of an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    term: u32,
    group: u64,
}

impl Place {
    fn of(receipt: &SignedReceipt) -> Place {
        let group = &receipt.receipt.group;
        Place { term: group.term, group: group.group }
    }
}

/// The place of a kept receipt. What does not read is no receipt, and gives way to one.
fn kept_place(path: &Path) -> Option<Place> {
    let bytes = files::read(path, RECEIPT_BYTES_MAX, Audience::Owner).ok()?;
    Some(Place::of(&SignedReceipt::from_bytes(&bytes).ok()?))
}

/// The other receipt files of a folder.
fn receipts_beside(folder: &Path, own: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let is_other = |path: &PathBuf| {
        path != own && path.extension().is_some_and(|extension| extension == "receipt")
    };
    paths.filter(|path| path.as_ref().map_or(true, is_other)).collect()
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

    pub(super) fn write(&self, head: &Head) -> Result<(), CheckedError> {
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

#[cfg(test)]
mod tests {
    use wire::{GroupIdentity, Holder, Items, Receipt, RefusalItem, Role, SigningKey};

    use super::*;

    fn receipt(holder: &str, term: u32, group: u64) -> SignedReceipt {
        let scope = ChainScope { chain_id: 1, contract: [3; 20] };
        let group = GroupIdentity { scope, group, term, journal_hash: [7; 32] };
        let item = RefusalItem { position: model::Position(5), digest: model::Digest([1; 31]) };
        let items = Items { refusals: vec![item], ..Items::default() };
        let receipt = Receipt::new(group, Holder::new(Role::Gateway, holder), items).unwrap();
        receipt.sign(&SigningKey::from_slice(&[9; 32]).unwrap())
    }

    /// Terms and groups of the receipts in a folder.
    fn kept(folder: &Path) -> Vec<(u32, u64)> {
        let names = std::fs::read_dir(folder).unwrap();
        let files = names.map(|name| std::fs::read(name.unwrap().path()).unwrap());
        let receipts = files.map(|bytes| SignedReceipt::from_bytes(&bytes).unwrap().receipt);
        let mut kept: Vec<_> = receipts.map(|one| (one.group.term, one.group.group)).collect();
        kept.sort_unstable();
        kept
    }

    #[test]
    fn of_many_holders_those_that_name_the_most_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let keep = |holder: &str, term: u32, group: u64| {
            keep_among(folder.path(), &receipt(holder, term, group), 2).unwrap();
            kept(folder.path())
        };
        keep("a", 0, 5);
        assert_eq!(keep("b", 0, 7), [(0, 5), (0, 7)]);
        // No room for one that is not above the lowest, and room for a newer one of a holder.
        assert_eq!(keep("c", 0, 5), [(0, 5), (0, 7)]);
        assert_eq!(keep("a", 0, 6), [(0, 6), (0, 7)]);
        assert_eq!(keep("c", 0, 9), [(0, 7), (0, 9)]);
        assert_eq!(keep("d", 1, 1), [(0, 9), (1, 1)]);
        // What does not read is the first to go.
        let damaged = folder.path().join("damaged.receipt");
        files::replace(&damaged, &[b"no receipt"], Audience::Owner).unwrap();
        assert_eq!(keep("e", 0, 1), [(0, 1), (0, 9), (1, 1)]);
    }

    #[test]
    fn of_each_holder_the_newest_receipt_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let kept = || kept(&layout.evidence());
        for (holder, term, group) in [("a", 0, 7), ("b", 0, 7), ("a", 0, 6), ("a", 0, 9)] {
            keep_evidence(&layout, &receipt(holder, term, group)).unwrap();
        }
        assert_eq!(kept(), [(0, 7), (0, 9)]);
        // A later term is newer, whatever its number.
        keep_evidence(&layout, &receipt("a", 1, 2)).unwrap();
        assert_eq!(kept(), [(0, 7), (1, 2)]);
    }
}
