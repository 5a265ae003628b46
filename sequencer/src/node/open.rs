//! Opens what a node runs on, and checks that all of it belongs together, before any stage starts.

use std::sync::Arc;

use bodies::BodyKeys;
use journal::{FileLengths, FileMedium, Genesis, Log, Recovery, Salts};
use l1_contracts::{Deployment, Edge, KeyWords};
use model::{BatchNumber, Clock};
use statement::scope;

use super::archive::{OpenedArchive, reads_of};
use super::chain_gate;
use super::error::NodeError;
use super::head::{Memories, contradictions, witness_is_missing};
use super::setup::{self, BaseChain};
use crate::disk::FreeSpace;
use crate::doors::config::Config;
use crate::folder::body_keys;
use crate::folder::layout::Layout;
use crate::folder::old_journal;
use crate::folder::secrets::NodeSecret;
use crate::folder::store::Store;
use crate::history::Contradiction;
use crate::stages::ledger::{BodySeal, EnrolmentSeal, LedgerConfig};
use crate::stages::notices::Poster;
use crate::stages::prove::{LastBatch, ProverKeys};

/// What a node is given besides its folder and configuration.
pub struct Provided {
    /// The base chain.
    pub chain: BaseChain,
    /// The proving keys of the configured shapes.
    pub keys: Arc<ProverKeys>,
    /// What tells every stage the time.
    pub clock: Arc<dyn Clock>,
    /// What tells how much room there is; without it the file systems under the folder do.
    pub space: Option<Arc<dyn FreeSpace>>,
    /// What sends notices; without it what reaches public addresses alone ([`Poster::new`]).
    pub poster: Option<Poster>,
}

/// What the stages are started on.
pub(super) struct Opened {
    pub(super) layout: Layout,
    pub(super) config: Config,
    pub(super) chain: BaseChain,
    pub(super) edge: Edge,
    pub(super) store: Arc<Store>,
    pub(super) keys: Arc<ProverKeys>,
    /// Where sealed files of the journal go, and are read when they are not here any more.
    pub(super) archive: Option<OpenedArchive>,
    /// What readings are sealed under.
    pub(super) body_keys: BodyKeys,
    /// What seals and opens them in this journal.
    pub(super) bodies: BodySeal,
    /// The batch that the next one follows; its group is known once the journal is absorbed.
    pub(super) last: LastBatch,
    /// What the journal lacks of what anybody remembers: then nothing is taken in.
    pub(super) lacks: Option<Contradiction>,
    /// Whether chain and contract were asked who they are and what they remember. A node does not
    /// wait for them: else it would collect nothing while they are away.
    pub(super) asked_chain: bool,
}

/// Opens folder, keys, base chain, store and journal. What costs little and is most often wrong is
/// checked first; the journal, which is the truth, is touched last.
pub(super) async fn open(
    layout: Layout,
    config: &Config,
    chain: BaseChain,
    keys: Arc<ProverKeys>,
) -> Result<(Opened, Log<FileMedium>), NodeError> {
    config.check()?;
    layout.check_closed().map_err(NodeError::Folder)?;
    let deployment = Deployment::read(&layout.deployment())?;
    setup::check_signers(&layout, &deployment)?;
    check_keys(&keys, &deployment)?;
    let edge = Edge::unchecked(chain.provider.clone(), deployment);
    chain_gate::refuse_other_chain(&edge, &chain.reach).await?;
    let store = Store::open(&layout.store())?;
    // A store of another deployment holds batches that this contract never saw.
    store.bind(edge.scope())?;
    let archive = OpenedArchive::open(&layout, config)?;
    if let Some(archive) = &archive {
        store.read_from(archive.batches());
    }
    // Before the journal: one whose keys are lost is not to be gone on with by accident.
    let body_keys = body_keys::open(&layout, &config.keys.folder, config.keys.epoch_ms())?;
    let log = open_journal(&layout, &edge, config.journal.file_lengths(), archive.as_ref())?;
    let memories = Memories { layout: &layout, edge: &edge, store: &store };
    let Told { lacks, asked_chain } = check_head(memories, &log).await?;
    // After the store was asked what it remembers: what is forgotten here remembers as well. While
    // the node is held nothing of it changes.
    if lacks.is_none() {
        forget_damaged(&store)?;
    }
    let last = last_batch(&store, &edge)?;
    let (config, store) = (config.clone(), Arc::new(store));
    let bodies = BodySeal::new(body_keys.clone(), log.reader().log_id());
    let opened = Opened {
        layout,
        config,
        chain,
        edge,
        store,
        keys,
        archive,
        body_keys,
        bodies,
        last,
        lacks,
        asked_chain,
    };
    Ok((opened, log))
}

/// What the journal lacks, and whether the chain was among those who were asked.
struct Told {
    lacks: Option<Contradiction>,
    asked_chain: bool,
}

/// The journal against everybody who remembers one. The first that it lacks is what is said: the
/// contract's, if it lacks that.
async fn check_head(memories: Memories<'_>, log: &Log<FileMedium>) -> Result<Told, NodeError> {
    let (remembered, asked_chain) = match chain_gate::ask_contract(&memories).await? {
        Some(memory) => (memory.all, true),
        None => (memories.here(memories.store.last_settled()?)?, false),
    };
    let layout = memories.layout;
    let lacked = contradictions(&log.reader(), &remembered)?;
    for lacked in &lacked {
        tracing::error!("{lacked}");
    }
    let head = log.head();
    if lacked.is_empty() && witness_is_missing(layout, &head)? {
        let path = layout.witness();
        let (group, path) = (head.group, path.display());
        tracing::warn!(
            group,
            "expected the witness {path} beside the journal, found none: the journal holds \
             whatever contract, store and kept receipts remember, and whether it lost what came \
             after that nobody here can tell; a new witness is written. If there is a copy of the \
             old one, stop the node, put it in its place and start again"
        );
    }
    Ok(Told { lacks: lacked.into_iter().next(), asked_chain })
}

/// The node's keys are the deployment's, all of them. A proof under another key would be refused by
/// the contract, after minutes of proving; and with fewer shapes to choose from a window is laid
/// out otherwise than it was settled, so that no damaged file of it could be made anew.
fn check_keys(keys: &ProverKeys, deployment: &Deployment) -> Result<(), NodeError> {
    let id = |words: &KeyWords| alloy::primitives::keccak256(words.words.concat());
    let ours: Vec<_> = keys.key_words().iter().map(|one| (one.circuit, id(one))).collect();
    let theirs: Vec<_> = deployment.keys.iter().map(|key| (key.circuit, key.id)).collect();
    let shapes = keys.key_words().into_iter().map(|one| one.shape);
    let unknown = shapes.zip(&ours).find(|(_, key)| !theirs.contains(key));
    if let Some((shape, _)) = unknown {
        return Err(NodeError::Keys { shape });
    }
    let missing = deployment.keys.iter().zip(&theirs).find(|(_, key)| !ours.contains(key));
    match missing {
        Some((key, _)) => Err(NodeError::KeyNotOpened { shape: key.shape.clone() }),
        None => Ok(()),
    }
}

/// The last batch of the store; before the first, the genesis of the deployment.
fn last_batch(store: &Store, edge: &Edge) -> Result<LastBatch, NodeError> {
    if let Some((number, row)) = store.last_assembled()? {
        return Ok(LastBatch { number, header_hash: row.header_hash, group: 0 });
    }
    Ok(LastBatch { number: BatchNumber(0), header_hash: genesis_hash(edge)?, group: 0 })
}

/// What the first header names as its predecessor.
pub(super) fn genesis_hash(edge: &Edge) -> Result<[u8; 32], NodeError> {
    let deployment = edge.deployment();
    let time = deployment.genesis_time()?;
    Ok(scope::genesis_hash(edge.scope(), time))
}

/// A damaged batch that is in no transaction yet is made anew, from the journal, with those after
/// it: its proofs stand nowhere else, and the settler would fail on it at every start.
fn forget_damaged(store: &Store) -> Result<(), NodeError> {
    if let Some(number) = store.forget_damaged()? {
        tracing::warn!(number = number.0, "a damaged batch and those after it are proven again");
    }
    Ok(())
}

/// Opens the journal of a deployment.
fn open_journal(
    layout: &Layout,
    edge: &Edge,
    lengths: FileLengths,
    archive: Option<&OpenedArchive>,
) -> Result<Log<FileMedium>, NodeError> {
    let (medium, genesis) = find_journal(layout, edge)?;
    let medium = match archive {
        Some(archive) => medium.with_archive(archive.reads()),
        None => medium,
    };
    Ok(warn_of_cut(Log::open(medium.with_lengths(lengths), genesis, salts())?))
}

/// Opens the journal of a folder that no node runs on.
pub(super) fn open_stopped_journal(
    layout: &Layout,
    edge: &Edge,
) -> Result<Log<FileMedium>, NodeError> {
    let (medium, genesis) = find_stopped_journal(layout, edge)?;
    Ok(warn_of_cut(Log::open(medium, genesis, salts())?))
}

/// Opens a journal whose end an operator gives up.
pub(super) fn open_shortened_journal(
    layout: &Layout,
    edge: &Edge,
) -> Result<Log<FileMedium>, NodeError> {
    let (medium, genesis) = find_stopped_journal(layout, edge)?;
    Ok(warn_of_cut(Log::open_shortened(medium, genesis, salts())?))
}

/// With the archive that the folder's own configuration names.
fn find_stopped_journal(layout: &Layout, edge: &Edge) -> Result<(FileMedium, Genesis), NodeError> {
    let (medium, genesis) = find_journal(layout, edge)?;
    Ok((medium.with_archive(reads_of(layout)), genesis))
}

fn find_journal(layout: &Layout, edge: &Edge) -> Result<(FileMedium, Genesis), NodeError> {
    old_journal::refuse(layout)?;
    let id = layout.secret(NodeSecret::JournalId)?;
    let mut log_id = [0; 16];
    log_id.copy_from_slice(&id[..16]);
    // The first hash names the deployment: a journal copied to another one does not open there.
    let journal_hash = statement::journal::genesis(edge.scope());
    Ok((FileMedium::open(&layout.journal())?, Genesis { log_id, journal_hash }))
}

fn warn_of_cut((log, recovery): (Log<FileMedium>, Recovery)) -> Log<FileMedium> {
    if recovery.cut_bytes > 0 {
        // A crash between write and sync leaves one. Nothing in it was acknowledged.
        let bytes = recovery.cut_bytes;
        tracing::warn!(bytes, "a torn tail of the journal was cut, and is kept in journal/*.cut-*");
    }
    log
}

/// Salts of the operating system, for each group anew.
fn salts() -> Salts {
    Salts::new(|| {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(std::io::Error::other)?;
        Ok(salt)
    })
}

impl Opened {
    /// What the ledger is bound to and bounded by.
    pub(super) fn ledger_config(&self) -> Result<LedgerConfig, NodeError> {
        let deployment = self.edge.deployment();
        Ok(LedgerConfig {
            scope: self.edge.scope(),
            registrar_key_hash: deployment.registrar_key_hash()?,
            genesis_time: deployment.genesis_time()?,
            // Whatever is configured, a window must fit into one batch of these keys.
            limits: self.config.window_limits().fitted(self.keys.capacities()),
            cadence: self.config.cadence(),
            released_frames_max: self.config.ingest.released_frames_max,
            clock_skew_ms_max: self.config.ingest.clock_skew_ms_max,
            seal: EnrolmentSeal::new(&*self.layout.secret(NodeSecret::Journal)?),
            bodies: self.bodies.clone(),
        })
    }
}
