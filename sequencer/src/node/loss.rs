//! Goes on after a loss that an operator accepts: beyond every number that anybody was told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::{EntryKind, FileMedium, Head, Log, Place, ReadError};
use l1_contracts::{Deployment, Edge, EdgeError};
use model::{BatchNumber, Clock, limits, with_causes};
use thiserror::Error;
use wire::{Entry, GapEntry, JournalPlace, Reason};

use super::error::NodeError;
use super::head::{
    HeadError, Memories, Memory, WitnessFile, contradictions, read_receipts, witness_is_missing,
};
use super::open::{open_shortened_journal, open_stopped_journal};
use super::settle_limits::SettleLimits;
use super::setup::{self, BaseChain};
use crate::folder::backup::Restored;
use crate::folder::checked::CheckedError;
use crate::folder::layout::Layout;
use crate::folder::store::{Store, StoreError};
use crate::folder::subscriptions::Subscriptions;
use crate::history::{
    Comparison, Contradiction, HistoryError, Keeper, Remembered, compare, term_of,
};
use crate::metrics::Metrics;
use crate::stages::settle::{Open, SettleConfig, SettleError, Settler, SettlerParts};
use crate::stages::standing::{Cause, Standing};

/// How far beyond the highest known number the journal goes on: room for what was acknowledged and
/// nobody here knows of. All jumps of a journal together stay below 2^28.
pub const BEYOND: u64 = 1 << 20;
/// The same behind a backup that was restored: it may be older than whatever anybody here knows of.
pub const BEYOND_BACKUP: u64 = 1 << 24;
/// Entries that come between the gap and the close of the window that holds it, and more.
const CLOSE_SLACK: u64 = 4_096;

/// What the operator gives up, and why.
pub struct LossTerms<'a> {
    /// In the operator's words; journaled.
    pub reason: Reason,
    /// A folder of receipts that others hold: their numbers are known then.
    pub receipts: Option<&'a Path>,
    /// Whether a restored folder goes on although nobody showed a receipt.
    pub shown: Shown,
}

/// What is asked of a restored folder before it goes on. The same backup may have been restored
/// before, and then it went on with the same numbers in the same term: only receipts tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// That somebody showed a receipt that the backup lacks.
    Required,
    /// Nothing: the operator says that nobody has one.
    Waived,
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
         rebuilt from chain and batch files. Put a whole copy of journal/ in its place, or keep \
         the folder as it is and deploy anew"
    )]
    Settled(#[source] Box<Contradiction>),
    /// Nobody showed a receipt to a restored folder.
    #[error(
        "expected receipts that gateways or wallets showed since the restore, found none: how far \
         the node went after the backup, and whether the backup was restored before, they alone \
         tell. Start the node, leave it running until they have come, and run this again; or name \
         a folder of receipts (--receipts); or say that nobody has one (--no-receipts)"
    )]
    NoneShown,
    /// A transaction may still settle what would be given up.
    #[error(
        "batch {batch} is assembled from groups that are missing, and transaction {hash} with \
         nonce {nonce} of the settling account may still settle it. {then}",
        batch = .0.batch, hash = .0.hash, nonce = .0.nonce, then = use_nonce(.0.nonce)
    )]
    UnderWay(Box<UnderWay>),
    /// A transaction waits of which the outbox knows nothing.
    #[error(
        "a transaction with nonce {nonce} of the settling account waits to be mined, and the \
         outbox knows nothing of it: it may settle groups that are missing. {then}",
        then = use_nonce(*.nonce)
    )]
    Foreign {
        /// The first such nonce.
        nonce: u64,
    },
    /// What became of the outbox cannot be told.
    #[error("the chain cannot be asked what became of the transactions that were signed")]
    Outbox(#[from] SettleError),
    /// The numbers that the journal may give up do not reach so far.
    #[error(
        "expected to go on beyond group {group}, position {position}, the highest that anybody \
         names, and the journal cannot jump so far. If a receipt names them that this node cannot \
         have given, its receipt key is stolen; a journal that cannot go on needs a new deployment"
    )]
    Jump {
        /// The highest group that anybody names.
        group: u64,
        /// The highest position.
        position: u64,
        /// How far it could.
        source: journal::JumpError,
    },
    /// The window that is open would hold more positions than a batch may.
    #[error(
        "expected less than 2^28 positions from the last close at {begin} to the next one behind \
         position {position}, where the journal would go on: no batch could hold them. Put a whole \
         copy of journal/ in its place, or keep the folder as it is and deploy anew"
    )]
    Window {
        /// Position of the last close.
        begin: u64,
        /// Where the journal would go on.
        position: u64,
    },
    /// There is no term left.
    #[error(
        "expected a term above {term}, the highest that anybody names, and there is none: no node \
         accepts so many losses, so if a receipt names it the receipt key is stolen"
    )]
    Term {
        /// The highest.
        term: u32,
    },
    /// A folder of receipts that was named holds none.
    #[error(
        "expected receipts of this node (*.receipt) in {path}, found none and {others} of others: \
         name the folder in which gateways, wallets or practitioners keep theirs"
    )]
    NoReceipts {
        /// The folder.
        path: PathBuf,
        /// How many receipts of others it holds.
        others: usize,
    },
    /// A folder of receipts that was named cannot be read.
    #[error(transparent)]
    Receipts(HeadError),
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
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// The journal cannot be compared.
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
    Witness(#[from] CheckedError),
    /// How far subscriptions were told cannot be changed.
    #[error(
        "expected to change how far whoever subscribed to notices was told, and the file refuses: \
         of new batches with the numbers of those that are given up nobody would be told. Nothing \
         is given up yet: put right what the disk says, and run this again"
    )]
    Subscriptions(#[source] CheckedError),
    /// The chain does not fit.
    #[error("the base chain does not fit the deployment")]
    Edge(#[from] EdgeError),
    /// The folder cannot be opened.
    #[error(transparent)]
    Folder(#[from] Box<NodeError>),
}

/// What an operator does about a transaction that is not mined yet.
fn use_nonce(nonce: u64) -> String {
    format!(
        "Wait until it is mined and run this again; or use the nonce otherwise, by a transfer of \
         nothing from the settling account to itself with nonce {nonce} and fees at least an \
         eighth higher, wait until that is mined, and run this again"
    )
}

/// A transaction that may still settle what would be given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnderWay {
    /// The first such batch.
    pub batch: u64,
    /// Nonce of the settling account.
    pub nonce: u64,
    /// The latest transaction of that nonce.
    pub hash: alloy::primitives::B256,
}

/// A stopped node's folder, opened for a look at its journal.
pub struct Offline {
    layout: Layout,
    edge: Edge,
    store: Arc<Store>,
    log: Log<FileMedium>,
    settle: SettleConfig,
}

/// Nobody is told how the stage stands: there is none.
struct Silent;

impl Standing for Silent {
    fn degrade(&self, _: Cause, _: &dyn std::error::Error) {}
    fn recover(&self) {}
}

impl Offline {
    /// Opens the folder of a stopped node, whose settler goes by `settle`.
    ///
    /// # Errors
    /// [`LossError`]; a running node keeps its folder locked.
    pub async fn open(
        layout: Layout,
        chain: BaseChain,
        settle: &SettleConfig,
    ) -> Result<Offline, LossError> {
        Offline::open_by(layout, chain, settle, open_stopped_journal).await
    }

    /// As [`Self::open`], for whoever gives up what is lost: a last file that is missing or was cut
    /// short is made whole, so that the journal ends with what is left. A node that is started on
    /// it is held all the same by whoever remembers more.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_shortened(
        layout: Layout,
        chain: BaseChain,
        settle: &SettleConfig,
    ) -> Result<Offline, LossError> {
        Offline::open_by(layout, chain, settle, open_shortened_journal).await
    }

    async fn open_by(
        layout: Layout,
        chain: BaseChain,
        settle: &SettleConfig,
        open: fn(&Layout, &Edge) -> Result<Log<FileMedium>, NodeError>,
    ) -> Result<Offline, LossError> {
        let settle = SettleLimits::new(&chain.reach, settle).follow().borrow().clone();
        let folder = |error: NodeError| LossError::Folder(Box::new(error));
        let deployment = Deployment::read(&layout.deployment());
        let deployment = deployment.map_err(|error| folder(NodeError::Deployment(error)))?;
        let edge = Edge::connect(chain.provider, deployment).await?;
        let store = Arc::new(Store::open(&layout.store())?);
        store.bind(edge.scope())?;
        let log = open(&layout, &edge).map_err(folder)?;
        Ok(Offline { layout, edge, store, log, settle })
    }

    /// What the journal lacks of what anybody remembers, a folder of receipts included.
    ///
    /// # Errors
    /// [`LossError`].
    pub async fn lacks(&self, receipts: Option<&Path>) -> Result<Vec<Contradiction>, LossError> {
        let memory = self.remembered(receipts).await?;
        Ok(contradictions(&self.log.reader(), &memory.all)?)
    }

    /// Where the journal ends.
    pub fn head(&self) -> Head {
        self.log.head()
    }

    /// Whether the witness that belongs beside the journal is gone: then one who remembers is not
    /// asked.
    ///
    /// # Errors
    /// [`LossError::Head`].
    pub fn lacks_witness(&self) -> Result<bool, LossError> {
        Ok(witness_is_missing(&self.layout, &self.log.head())?)
    }

    fn memories(&self) -> Memories<'_> {
        let (layout, edge, store) = (&self.layout, &self.edge, &self.store);
        Memories { layout, edge, store }
    }

    async fn remembered(&self, receipts: Option<&Path>) -> Result<Memory, LossError> {
        let memories = self.memories();
        let mut memory = memories.all().await?;
        if let Some(folder) = receipts {
            let given = read_receipts(folder, &self.edge);
            let given = given.map_err(LossError::Receipts)?;
            // Named by a person, who believes that there are some.
            if given.own.is_empty() {
                let (path, others) = (folder.into(), given.others);
                return Err(LossError::NoReceipts { path, others });
            }
            memory.all.extend(given.own.iter().map(Remembered::by_receipt));
        }
        Ok(memory)
    }

    fn settler(&self, clock: Arc<dyn Clock>) -> Result<Settler, LossError> {
        let signer = setup::settlement_signer(&self.layout);
        let signer = signer.map_err(|error| Box::new(NodeError::Setup(error)))?;
        Ok(Settler::new(SettlerParts {
            edge: self.edge.clone(),
            store: self.store.clone(),
            signer,
            config: self.settle.clone(),
            metrics: Metrics::new(),
            clock,
            standing: Arc::new(Silent),
        }))
    }

    /// Gives up what is missing and not settled, and journals that.
    ///
    /// # Errors
    /// [`LossError`]; before the entry is journaled nothing is changed but the outbox, which
    /// learns what the chain says of its transactions, and who is told of which batch again.
    pub async fn accept_loss(
        mut self,
        terms: LossTerms<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<AcceptedLoss, LossError> {
        // The outbox before the contract: what is not under way by then does not settle later.
        let mut settler = self.settler(clock.clone())?;
        let open = settler.take_stock().await?;
        let foreign = settler.foreign_nonce(&open).await?;
        let memory = self.remembered(terms.receipts).await?;
        let lacked = contradictions(&self.log.reader(), &memory.all)?;
        if lacked.is_empty() {
            return Err(LossError::NothingMissing);
        }
        if let Some(settled) = lacked.iter().find(|one| one.remembered.by == Keeper::Contract) {
            return Err(LossError::Settled(Box::new(*settled)));
        }
        if let Some(nonce) = foreign {
            return Err(LossError::Foreign { nonce });
        }
        let has_receipt = memory.all.iter().any(|one| one.by == Keeper::Receipt);
        if is_restored(&memory) && !has_receipt && terms.shown == Shown::Required {
            return Err(LossError::NoneShown);
        }
        let lost = self.first_lost_batch(memory.settled)?;
        let of_lost: Vec<&Open> =
            open.iter().filter(|row| lost.is_some_and(|lost| row.last >= lost.0)).collect();
        check_none_under_way(&of_lost, lost)?;
        let gap = self.gap(&memory.all, &lacked, terms.reason)?;
        let beyond = if is_restored(&memory) { BEYOND_BACKUP } else { BEYOND };
        let place = self.place(&gap, beyond);
        // Time never goes back in a journal, whatever the clock says.
        let group = self.log.builder_beyond(clock.now().get(), place);
        let (group_known, position_known) = (gap.known.group, gap.known.position);
        let mut group = group.map_err(|source| LossError::Jump {
            group: group_known,
            position: position_known,
            source,
        })?;
        self.check_window(memory.settled, place)?;
        if let Some(lost) = lost {
            self.tell_again_from(lost)?;
        }
        group.append(EntryKind::GAP, &Entry::Gap(gap.clone()).to_bytes()?)?;
        // The journal first: once it stands beyond every number, a crash before the rest leaves a
        // node that is held and can be recovered again, and never one that gives a number twice.
        self.log.append_built(group)?;
        self.log.rest()?;
        let batches = match lost {
            None => None,
            Some(lost) => {
                settler.void_rows(of_lost)?;
                self.store.give_up_after(BatchNumber(lost.0 - 1))?
            }
        };
        WitnessFile::of(&self.layout, &self.edge, gap.term).write(&self.log.head())?;
        // Last: from here on the journal itself says that something was lost.
        Restored::remove(&self.layout.restored())?;
        Ok(AcceptedLoss { lacked, gap, place, batches })
    }

    /// Has everybody told of this batch and all behind it, whatever they were told of: one that
    /// settled and was taken back with its blocks may have been, and the next of its number is
    /// another. Before the journal says anything: told twice is no loss, and once the batches are
    /// given up nobody would ask again.
    fn tell_again_from(&self, lost: BatchNumber) -> Result<(), LossError> {
        let last = BatchNumber(lost.0 - 1);
        match Subscriptions::tell_again_behind(&self.layout.subscriptions(), last) {
            // The next start tells, and whoever subscribed does so anew: it keeps no node from
            // going on.
            Err(error @ CheckedError::Damaged { .. }) => {
                tracing::warn!("subscriptions cannot be changed: {}", with_causes(&error));
                Ok(())
            }
            told => told.map_err(LossError::Subscriptions),
        }
    }

    /// The first unsettled batch that was assembled from what the journal lacks. One whose file is
    /// damaged, and which no transaction carries, cannot say: it is made anew in any case.
    fn first_lost_batch(&self, settled: BatchNumber) -> Result<Option<BatchNumber>, LossError> {
        let (memories, reader) = (self.memories(), self.log.reader());
        for (number, _) in self.store.assembled_from(BatchNumber(settled.0 + 1), usize::MAX)? {
            let holds = match memories.assembled(number)? {
                Some(assembled) => compare(&reader, &assembled)? == Comparison::Holds,
                None => false,
            };
            if !holds {
                return Ok(Some(number));
            }
        }
        Ok(None)
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
        let highest = all.iter().filter_map(|one| one.term).fold(own, u32::max);
        let term = highest.checked_add(1).ok_or(LossError::Term { term: highest })?;
        let known = JournalPlace {
            group: all.iter().filter_map(|one| one.group).fold(head.group, u64::max),
            position: all.iter().map(|one| one.position.0).fold(head.position, u64::max),
        };
        Ok(GapEntry { term, lost: self.shared_end(all, lacked)?, known, reason })
    }

    /// Right behind the last group that all histories share, as far as anybody can tell: behind
    /// the last settled one, or from the beginning where somebody's receipt differs before that.
    /// Whatever was acknowledged from there on and is not in the journal is given up, also what
    /// is shown later: where another history left this one, its last receipt does not tell.
    fn shared_end(
        &self,
        all: &[Remembered],
        lacked: &[Contradiction],
    ) -> Result<JournalPlace, LossError> {
        let reader = self.log.reader();
        if let Some(settled) = all.iter().find(|one| one.by == Keeper::Contract) {
            let settled = reader.group(reader.group_of(settled.position.0)?)?;
            let before =
                |one: &Contradiction| one.remembered.group.is_some_and(|g| g <= settled.number);
            if !lacked.iter().any(before) {
                return Ok(JournalPlace { group: settled.number + 1, position: settled.last + 1 });
            }
        }
        Ok(JournalPlace { group: 1, position: 1 })
    }

    fn place(&self, gap: &GapEntry, beyond: u64) -> Place {
        let head = self.log.head();
        // A number near 2^64 is beyond every jump, which the journal says.
        Place {
            group: gap.known.group.max(head.group).saturating_add(beyond),
            position: gap.known.position.max(head.position).saturating_add(beyond),
        }
    }

    /// The window that is open spans the gap, and its batch takes less than 2^28 positions.
    fn check_window(&self, settled: BatchNumber, place: Place) -> Result<(), LossError> {
        let settled = self.memories().assembled(settled)?;
        let mut begin = settled.map_or(0, |settled| settled.position.0);
        for found in self.log.iter_from(begin.max(1)) {
            let (position, entry) = found?;
            if entry.kind == EntryKind::CLOSE {
                begin = position;
            }
        }
        let position = place.position;
        if position.saturating_sub(begin) >= limits::BATCH_ENTRIES_MAX - CLOSE_SLACK {
            return Err(LossError::Window { begin, position });
        }
        Ok(())
    }
}

/// Whether the folder was restored from a backup.
fn is_restored(memory: &Memory) -> bool {
    memory.all.iter().any(|one| one.by == Keeper::Backup)
}

/// A transaction that left the node may be mined, whoever sends it.
fn check_none_under_way(rows: &[&Open], lost: Option<BatchNumber>) -> Result<(), LossError> {
    let (Some(row), Some(lost)) = (rows.iter().find(|row| !row.never_left), lost) else {
        return Ok(());
    };
    let Open { first, nonce, hash, .. } = **row;
    Err(LossError::UnderWay(Box::new(UnderWay { batch: first.max(lost.0), nonce, hash })))
}
