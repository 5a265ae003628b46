//! Receipts of the deployment's node against the journal that it settled.

use std::io;
use std::path::Path;

use model::{BatchHeader, BatchNumber, ChainScope, Position};
use serde::Serialize;
use statement::batch::{
    GroupSummary, Inclusion, JournalEnd, NotFound, Receipted, ReceiptedGroup, WaitingReceipts,
};
use thiserror::Error;
use wire::{Address, ReceiptError, SignedReceipt};

use crate::broken::{Broken, Item, Show as _};
use crate::check::Previous;

/// Most receipt files of a folder: each stays in memory until its group is met.
const RECEIPTS_MAX: usize = 1_000_000;
/// Longest receipt file, bytes.
const RECEIPT_BYTES_MAX: u64 = 128 << 10;

/// What is compared of a receipt; the rest of it is its holder's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedReceipt {
    /// Name of its file.
    pub name: String,
    /// Chain and contract that it names.
    pub scope: ChainScope,
    /// Its group with the journal hash after it, and the last position that it acknowledges.
    pub receipted: Receipted,
    /// Whether the deployment's receipt signer signed it.
    pub signed: Result<(), ReceiptError>,
}

/// A folder of receipts that cannot be read.
#[derive(Debug, Error)]
pub enum ReceiptsError {
    /// The folder or a file in it cannot be read.
    #[error("the folder of receipts {path} is not readable")]
    Folder {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file is no receipt.
    #[error("expected a receipt in {name}")]
    Receipt {
        /// Which file.
        name: String,
        /// What is wrong.
        source: ReceiptError,
    },
    /// Nothing in the folder is a receipt by its name: a check of nothing would hold.
    #[error("expected receipts (*.receipt) in {path}, found none: give the folder that keeps them")]
    None {
        /// Which folder.
        path: String,
    },
    /// There are more than are looked at at once.
    #[error("expected at most {RECEIPTS_MAX} receipts in one folder, found more")]
    TooMany,
}

/// How many receipts were compared, and how it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ReceiptCounts {
    /// Their groups are settled with the hashes that they name.
    pub settled: u64,
    /// Their groups are later than the last settled batch.
    pub not_settled: u64,
    /// Their groups are those of batches whose files were not read.
    pub not_compared: u64,
}

/// Every `*.receipt` of a folder, by name; `signer` must have signed them.
///
/// # Errors
/// [`ReceiptsError`] that names the file.
pub fn read_receipts(folder: &Path, signer: Address) -> Result<Vec<NamedReceipt>, ReceiptsError> {
    let wrong = |source| ReceiptsError::Folder { path: folder.display().to_string(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|extension| extension == "receipt") {
            paths.push(path);
        }
        if paths.len() > RECEIPTS_MAX {
            return Err(ReceiptsError::TooMany);
        }
    }
    if paths.is_empty() {
        return Err(ReceiptsError::None { path: folder.display().to_string() });
    }
    // The order of a folder is the file system's; that of a report should be the same everywhere.
    paths.sort();
    paths.iter().map(|path| read_receipt(path, signer)).collect()
}

fn read_receipt(path: &Path, signer: Address) -> Result<NamedReceipt, ReceiptsError> {
    let wrong = |source| ReceiptsError::Folder { path: path.display().to_string(), source };
    let bytes = files::read(path, RECEIPT_BYTES_MAX, files::Audience::Owner).map_err(wrong)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match SignedReceipt::from_bytes(&bytes) {
        Ok(receipt) => Ok(NamedReceipt::of(name, &receipt, signer)),
        Err(source) => Err(ReceiptsError::Receipt { name, source }),
    }
}

impl NamedReceipt {
    /// What is compared of a receipt.
    pub fn of(name: String, receipt: &SignedReceipt, signer: Address) -> NamedReceipt {
        let group = receipt.receipt.group;
        NamedReceipt {
            name,
            scope: group.scope,
            receipted: Receipted {
                group: ReceiptedGroup { group: group.group, journal_hash: group.journal_hash },
                last: receipt.receipt.items().last_position(),
            },
            signed: receipt.verify(signer),
        }
    }
}

/// Receipts that wait for their groups, which come batch by batch.
pub(crate) struct Waiting<'a> {
    receipts: &'a [NamedReceipt],
    waiting: WaitingReceipts,
    counts: ReceiptCounts,
}

impl<'a> Waiting<'a> {
    /// Checks who signed, and of which deployment.
    pub(crate) fn new(
        receipts: &'a [NamedReceipt],
        scope: ChainScope,
    ) -> Result<Waiting<'a>, Broken> {
        for receipt in receipts {
            let item = |part| Item::Receipt { file: receipt.name.clone(), part };
            if receipt.scope != scope {
                let found = "those of another deployment";
                let expected = "chain and contract of this deployment";
                return Err(Broken::outside(item("chain and contract"), expected, found));
            }
            // Anybody can write one: unsigned it is evidence of nothing.
            if let Err(error) = &receipt.signed {
                let expected = "a signature by the deployment's receipt signer";
                return Err(Broken::outside(item("signature"), expected, error.to_string()));
            }
        }
        let waiting = WaitingReceipts::new(receipts.iter().map(|receipt| receipt.receipted));
        Ok(Waiting { receipts, waiting, counts: ReceiptCounts::default() })
    }

    /// Compares those of a batch's groups. The groups were found to be the header's.
    pub(crate) fn take(
        &mut self,
        previous: &Previous,
        header: &BatchHeader,
        groups: &[GroupSummary],
    ) -> Result<(), Broken> {
        let before = JournalEnd { position: previous.position, hash: previous.journal_hash };
        let found = self.waiting.take(before, header, groups).map_err(|error| {
            let item = Item::Journal("groups");
            Broken::inside(header.number, item, "groups of the header", error.to_string())
        })?;
        for (number, inclusion) in found {
            expect_included(header.number, &self.receipts[number], inclusion)?;
            self.counts.settled += 1;
        }
        Ok(())
    }

    /// What is left: later than the last batch, before the first that was read, or nowhere.
    pub(crate) fn conclude(self, last: Position) -> Result<ReceiptCounts, Broken> {
        let Waiting { receipts, waiting, mut counts } = self;
        for (number, found) in waiting.conclude(last) {
            match found {
                NotFound::NotSettled => counts.not_settled += 1,
                NotFound::NotCompared => counts.not_compared += 1,
                NotFound::Missing => {
                    return Err(not_included(None, &receipts[number], NOWHERE.into()));
                }
            }
        }
        Ok(counts)
    }
}

/// What the settled journal has in place of a group that no batch holds.
const NOWHERE: &str = "no group of that number";

fn expect_included(
    batch: BatchNumber,
    receipt: &NamedReceipt,
    found: Inclusion,
) -> Result<(), Broken> {
    match found {
        Inclusion::Included => Ok(()),
        Inclusion::OtherHash { settled, .. } => {
            Err(not_included(Some(batch), receipt, settled.show()))
        }
        Inclusion::NotInBatch => Err(not_included(Some(batch), receipt, NOWHERE.into())),
    }
}

/// Both hashes stand in it: they are the evidence.
fn not_included(batch: Option<BatchNumber>, receipt: &NamedReceipt, settled: String) -> Broken {
    let ReceiptedGroup { group, journal_hash } = receipt.receipted.group;
    let item = Item::Receipt { file: receipt.name.clone(), part: "settled journal hash" };
    let expected = format!("group {group} with the receipted hash {}", journal_hash.show());
    Broken { batch, item, expected, found: settled }
}
