//! What the server, its connections and their sessions share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use machine::Machine;
use model::Clock;

use super::admit::Admit;
use super::config::IngestConfig;
use super::desk::RegistryDesk;
use super::observe::Observe;
use super::places::Places;
use super::renewals::Renewals;
use super::sources::Sources;
use crate::guard::Guard;
use crate::stages::deliver::ReceiptHub;
use crate::stages::ledger::LedgerView;

/// What the server's sessions use of the node.
pub struct Services {
    /// Where items go.
    pub admit: Admit,
    /// What is durable of the ledger.
    pub view: LedgerView,
    /// Where a renewed certificate is registered.
    pub desk: RegistryDesk,
    /// Who asked for one.
    pub renewals: Arc<Renewals>,
    /// Where receipts come from.
    pub hub: ReceiptHub,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// Whose socket and threads it uses.
    pub machine: Arc<dyn Machine>,
    /// What sees that the acceptor runs.
    pub guard: Guard,
    /// What is counted.
    pub observe: Arc<dyn Observe>,
    /// How far ahead of the clock a reading may be, milliseconds; as the ledger's.
    pub ahead_ms_max: u64,
}

/// What every connection shares.
pub(super) struct Shared {
    pub(super) config: IngestConfig,
    pub(super) services: Arc<Services>,
    /// Who has a place.
    pub(super) places: Arc<Places>,
    /// What each source may still ask for.
    pub(super) sources: Sources,
    /// Sessions that share the credit.
    pub(super) sessions: AtomicUsize,
}
