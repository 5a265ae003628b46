//! Receipts of the deployment's node against the journal that it settled.

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use model::{BatchHeader, ChainScope, Position};
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
    /// Its group with the journal hash after it, and the last position that it acknowledges.
    pub receipted: Receipted,
}

/// Whose receipts are evidence: anybody can write one that names another deployment, or that
/// nobody signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceiptsOf {
    /// Chain and contract of the deployment.
    pub scope: ChainScope,
    /// Its receipt signer.
    pub signer: Address,
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
    /// It is of another deployment.
    #[error(
        "expected receipts of this deployment, found one of another chain or contract in {name}: \
         take it out of the folder"
    )]
    OtherDeployment {
        /// Which file.
        name: String,
    },
    /// The deployment's node did not sign it.
    #[error(
        "expected a signature by the deployment's receipt signer in {name}: it is evidence of \
         nothing, take it out of the folder"
    )]
    Unsigned {
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

/// Every `*.receipt` of a folder, by name; all must be of one deployment and signed by its node.
///
/// # Errors
/// [`ReceiptsError`] that names the file.
pub fn read_receipts(folder: &Path, of: ReceiptsOf) -> Result<Vec<NamedReceipt>, ReceiptsError> {
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
    paths.iter().map(|path| read_receipt(path, of)).collect()
}

fn read_receipt(path: &Path, of: ReceiptsOf) -> Result<NamedReceipt, ReceiptsError> {
    let wrong = |source| ReceiptsError::Folder { path: path.display().to_string(), source };
    let bytes = files::read(path, RECEIPT_BYTES_MAX, files::Audience::Owner).map_err(wrong)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match SignedReceipt::from_bytes(&bytes) {
        Ok(receipt) => NamedReceipt::new(name, &receipt, of),
        Err(source) => Err(ReceiptsError::Receipt { name, source }),
    }
}

impl NamedReceipt {
    /// What is compared of a receipt, which must be of this deployment and signed by its node.
    ///
    /// # Errors
    /// [`ReceiptsError::OtherDeployment`] or [`ReceiptsError::Unsigned`].
    pub fn new(
        name: String,
        receipt: &SignedReceipt,
        of: ReceiptsOf,
    ) -> Result<NamedReceipt, ReceiptsError> {
        let group = receipt.receipt.group;
        if group.scope != of.scope {
            return Err(ReceiptsError::OtherDeployment { name });
        }
        if let Err(source) = receipt.verify(of.signer) {
            return Err(ReceiptsError::Unsigned { name, source });
        }
        let receipted = Receipted {
            group: ReceiptedGroup { group: group.group, journal_hash: group.journal_hash },
            last: receipt.receipt.items().last_position(),
        };
        Ok(NamedReceipt { name, receipted })
    }
}

/// Receipts that wait for their groups, which come batch by batch. One that is not of the settled
/// journal ends nothing: what else there is to check is checked, and all of them are told.
pub(crate) struct Waiting<'a> {
    receipts: &'a [NamedReceipt],
    waiting: WaitingReceipts,
    given_up: GivenUp,
    counts: ReceiptCounts,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(receipts: &'a [NamedReceipt]) -> Waiting<'a> {
        let waiting = WaitingReceipts::new(receipts.iter().map(|receipt| receipt.receipted));
        let (given_up, counts) = (GivenUp::default(), ReceiptCounts::default());
        Waiting { receipts, waiting, given_up, counts }
    }

    /// Compares those of a batch's groups, which were found to be the header's; returns those that
    /// are not of the settled journal.
    ///
    /// # Errors
    /// [`Broken`] if the groups are not those of the header.
    pub(crate) fn take(
        &mut self,
        previous: &Previous,
        header: &BatchHeader,
        groups: &[GroupSummary],
    ) -> Result<Vec<Broken>, Broken> {
        let before = JournalEnd { position: previous.position, hash: previous.journal_hash };
        let found = self.waiting.take(before, header, groups).map_err(|error| {
            let item = Item::Journal("groups");
            Broken::inside(header.number, item, "groups of the header", error.to_string())
        })?;
        let tail = previous.tail.map(|tail| tail.group);
        self.given_up.take(tail, groups.iter().map(|group| group.number));
        let mut broken = Vec::new();
        for (number, inclusion) in found {
            let settled = match inclusion {
                Inclusion::Included => {
                    self.counts.settled += 1;
                    continue;
                }
                Inclusion::OtherHash { settled, .. } => Some(settled),
                Inclusion::NotInBatch => None,
            };
            let broke = self.not_included(number, settled);
            broken.push(Broken { batch: Some(header.number), ..broke });
        }
        Ok(broken)
    }

    /// What is left: later than the last batch, before the first that was read, or nowhere; those
    /// of the last kind are returned.
    pub(crate) fn conclude(mut self, last: Position) -> (ReceiptCounts, Vec<Broken>) {
        let mut broken = Vec::new();
        for (number, found) in std::mem::take(&mut self.waiting).conclude(last) {
            match found {
                NotFound::NotSettled => self.counts.not_settled += 1,
                NotFound::NotCompared => self.counts.not_compared += 1,
                NotFound::Missing => broken.push(self.not_included(number, None)),
            }
        }
        (self.counts, broken)
    }

    /// Both hashes stand in it: they are the evidence.
    fn not_included(&self, number: usize, settled: Option<[u8; 32]>) -> Broken {
        let NamedReceipt { name, receipted } = &self.receipts[number];
        let ReceiptedGroup { group, journal_hash } = receipted.group;
        let item = Item::Receipt { file: name.clone(), part: "settled journal hash" };
        let expected = format!("group {group} with the receipted hash {}", journal_hash.show());
        let found = match settled {
            Some(settled) => settled.show(),
            None if self.given_up.holds(group) => format!("{NOWHERE}, {LOSS}"),
            None => NOWHERE.to_owned(),
        };
        Broken::outside(item, expected, found)
    }
}

/// What the settled journal has in place of a group that no batch holds.
const NOWHERE: &str = "no group of that number";
/// Why, where the journal itself says that entries are gone. It excuses nothing: they were
/// promised.
const LOSS: &str = "the operator accepted a loss there";

/// Numbers of groups that the settled journal jumps over: losses that the operator accepted.
#[derive(Default)]
struct GivenUp {
    last: Option<u64>,
    numbers: Vec<RangeInclusive<u64>>,
}

impl GivenUp {
    /// Adds those before and between the groups of the next batch; `before` is the last group
    /// before it, if that is known.
    fn take(&mut self, before: Option<u64>, groups: impl Iterator<Item = u64>) {
        self.last = before.or(self.last);
        for number in groups {
            // Saturating: these are numbers of a file. The journal was checked, so they ascend.
            let next = self.last.map_or(number, |last| last.saturating_add(1));
            if next < number {
                self.numbers.push(next..=number - 1);
            }
            self.last = Some(number);
        }
    }

    fn holds(&self, group: u64) -> bool {
        self.numbers.iter().any(|numbers| numbers.contains(&group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_the_journal_jumps_over_were_given_up() {
        let mut given_up = GivenUp::default();
        given_up.take(None, [4, 5, 8].into_iter());
        given_up.take(Some(8), [9, 12].into_iter());
        let held: Vec<_> = (0..15).filter(|group| given_up.holds(*group)).collect();
        assert_eq!(held, [6, 7, 10, 11]);
        // The last group is known, and the next batch begins behind a loss.
        given_up.take(Some(12), [14].into_iter());
        assert!(given_up.holds(13));
    }
}
