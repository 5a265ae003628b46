//! Goes on after a loss that an operator accepts: beyond every number that anybody was told.

use std::path::Path;
use std::sync::Arc;

use journal::{EntryKind, FileMedium, Head, Log, Place};
use l1_contracts::{Deployment, Edge, EdgeError};
use model::{BatchNumber, Clock};
use thiserror::Error;
use wire::{Address, Entry, GapEntry, JournalPlace, Reason};

use super::error::NodeError;
use super::head::{HeadError, Memories, WitnessFile, contradictions, read_receipts};
use super::open::open_journal;
use super::setup::BaseChain;
use crate::folder::layout::Layout;
use crate::folder::store::{Store, StoreError};
use crate::history::{Contradiction, HistoryError, Keeper, Remembered, term_of};

/// How far beyond the highest known number the journal goes on: room for what was acknowledged and
/// nobody here knows of. All jumps of a journal together stay below 2^28.
pub const BEYOND: u64 = 1 << 20;

/// What the operator gives up, and why.
pub struct LossTerms<'a> {
    /// In the operator's words; journaled.
    pub reason: Reason,
    /// A folder of receipts that others hold: their numbers are known then.
    pub receipts: Option<&'a Path>,
}

/// What was given up.
#[derive(Debug)]
pub struct AcceptedLoss {
    /// What the journal lacked.
    pub lacked: Vec<Contradiction>,
    /// The entry that says so.
    pub gap: GapEntry,
    /// Where the journal goes on.
    pub place: Place,
    /// Assembled batches that were given up with it, first and last.
    pub batches: Option<(u64, u64)>,
}

/// Why a loss is not accepted.
#[derive(Debug, Error)]
pub enum LossError {
    /// Nobody remembers more than the journal has.
    #[error("nothing is missing: the journal holds whatever anybody here remembers")]
    NothingMissing,
    /// Settled groups are lost.
    #[error(
        "settled groups are missing, and what is settled cannot be given up: a journal is not yet \
         rebuilt from chain and batch files"
    )]
    Settled(#[source] Box<Contradiction>),
    /// A transaction may still settle what would be given up.
    #[error(
        "batch {batch} is assembled from groups that are missing, and a transaction that settles it \
         may be under way: use its nonce {nonce} for another one, or wait until it is settled"
    )]
    UnderWay {
        /// The first such batch.
        batch: u64,
        /// Nonce of the settling account.
        nonce: u64,
    },
    /// The journal can give up no more numbers.
    #[error("the journal cannot go on beyond the highest known number")]
    Jump(#[from] journal::JumpError),
    /// The entry is not taken.
    #[error("the entry about the loss is not taken")]
    Entry(#[from] journal::EntryError),
    /// The entry cannot be written.
    #[error("the journal cannot be written")]
    Append(#[from] journal::AppendError),
    /// The entry is malformed.
    #[error("the entry about the loss does not encode")]
    Encode(#[from] wire::DecodeError),
    /// The journal cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Who remembers cannot be asked.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The store cannot be changed.
    #[error("the store cannot give up the batches that are lost")]
    Store(#[from] StoreError),
    /// The witness cannot be written.
    #[error(transparent)]
    Witness(#[from] crate::folder::witness::WitnessError),
    /// The chain does not fit.
    #[error("the base chain does not fit the deployment")]
    Edge(#[from] EdgeError),
    /// The folder cannot be opened.
    #[error(transparent)]
    Folder(#[from] Box<NodeError>),
}

/// A stopped node's folder, opened for a look at its journal.
pub struct Offline {
    layout: Layout,
    edge: Edge,
    store: Store,
    log: Log<FileMedium>,
}

impl Offline {
    /// Opens the folder of a stopped node.
    ///
    /// # Errors
    /// [`LossError`]; a running node keeps its folder locked.
    pub async fn open(layout: Layout, chain: BaseChain) -> Result<Offline, LossError> {
        let folder = |error: NodeError| LossError::Folder(Box::new(error));
        let deployment = Deployment::read(&layout.deployment());
        let deployment = deployment.map_err(|error| folder(NodeError::Deployment(error)))?;
        let edge = Edge::connect(chain.provider, deployment).await?;
        let store = Store::open(&layout.store())?;
        store.bind(edge.scope())?;
        let log = open_journal(&layout, &edge).map_err(folder)?;
        Ok(Offline { layout, edge, store, log })
    }

    fn signer(&self) -> Address {
        Address(self.edge.deployment().receipt_signer.0.0)
    }

    /// What the journal lacks of what anybody remembers, a folder of receipts included.
    ///
    /// # Errors
    /// [`LossError`].
    pub async fn lacks(&self, receipts: Option<&Path>) -> Result<Vec<Contradiction>, LossError> {
        Ok(contradictions(&self.log.reader(), &self.remembered(receipts).await?)?)
    }

    /// Where the journal ends.
    pub fn head(&self) -> Head {
        self.log.head()
    }

    async fn remembered(&self, receipts: Option<&Path>) -> Result<Vec<Remembered>, LossError> {
        let (layout, edge, store, signer) = (&self.layout, &self.edge, &self.store, self.signer());
        let mut all = Memories { layout, edge, store, signer }.all().await?;
        if let Some(folder) = receipts {
            let given = read_receipts(folder, signer, edge)?;
            all.extend(given.iter().map(Remembered::by_receipt));
        }
        Ok(all)
    }

    /// Gives up what is missing and not settled, and journals that.
    ///
    /// # Errors
    /// [`LossError`]; before the entry is journaled nothing is changed.
    pub async fn accept_loss(
        mut self,
        terms: LossTerms<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<AcceptedLoss, LossError> {
        let all = self.remembered(terms.receipts).await?;
        let lacked = contradictions(&self.log.reader(), &all)?;
        if lacked.is_empty() {
            return Err(LossError::NothingMissing);
        }
        if let Some(settled) = lacked.iter().find(|one| one.remembered.by == Keeper::Contract) {
            return Err(LossError::Settled(Box::new(*settled)));
        }
        let of_store = lacked.iter().any(|one| one.remembered.by == Keeper::Store);
        let settled = BatchNumber(self.edge.state().await?.number);
        if of_store {
            self.check_nothing_under_way(settled)?;
        }
        let gap = self.gap(&all, &lacked, terms.reason)?;
        let head = self.log.head();
        let place = Place {
            group: gap.known.group.max(head.group) + BEYOND,
            position: gap.known.position.max(head.position) + BEYOND,
        };
        // Time never goes back in a journal, whatever the clock says.
        let mut group = self.log.builder_beyond(clock.now().get(), place)?;
        group.append(EntryKind::GAP, &Entry::Gap(gap.clone()).to_bytes()?)?;
        // The journal first: once it stands beyond every number, a crash before the rest leaves a
        // node that is held and can be recovered again, and never one that gives a number twice.
        self.log.append_built(group)?;
        self.log.rest()?;
        let batches = if of_store { self.store.give_up_after(settled)? } else { None };
        WitnessFile::of(&self.layout, &self.edge, gap.term).write(&self.log.head())?;
        Ok(AcceptedLoss { lacked, gap, place, batches })
    }

    /// A transaction that is signed may be mined, whoever sends it.
    fn check_nothing_under_way(&self, settled: BatchNumber) -> Result<(), LossError> {
        for (nonce, row) in self.store.outbox_pending()? {
            if row.last > settled.0 {
                return Err(LossError::UnderWay { batch: row.first.max(settled.0 + 1), nonce });
            }
        }
        Ok(())
    }

    /// What is lost, up to the highest number that anybody knows of.
    fn gap(
        &self,
        all: &[Remembered],
        lacked: &[Contradiction],
        reason: Reason,
    ) -> Result<GapEntry, LossError> {
        let (reader, head) = (self.log.reader(), self.log.head());
        let own = term_of(&reader, head.group)?;
        let term = all.iter().filter_map(|one| one.term).fold(own, u32::max) + 1;
        // From the first group that another history has otherwise; else everything behind the end.
        let mut lost = JournalPlace { group: head.group + 1, position: head.position + 1 };
        for one in lacked.iter().filter(|one| one.found.is_some()) {
            let number = one.remembered.group.filter(|group| *group < lost.group);
            if let Some(group) = number.and_then(|number| reader.group(number).ok()) {
                lost = JournalPlace { group: group.number, position: group.first };
            }
        }
        let known = JournalPlace {
            group: all.iter().filter_map(|one| one.group).fold(head.group, u64::max),
            position: all.iter().map(|one| one.position.0).fold(head.position, u64::max),
        };
        Ok(GapEntry { term, lost, known, reason })
    }
}
