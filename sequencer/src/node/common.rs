//! What every stage is given: time, room, who stops and who watches.

use std::path::PathBuf;
use std::sync::Arc;

use accounting::notices::Hosts;
use model::Clock;
use tokio::sync::{Notify, watch};

use super::error::NodeError;
use super::open::Opened;
use super::order_desk::recall_pause;
use super::upkeep::{self, Around};
use super::watched::Watched;
use crate::clock::NodeClock;
use crate::disk::{FileSystems, FreeSpace, Reserve};
use crate::doors::config::Config;
use crate::doors::consult::ConsultPlace;
use crate::doors::http::DoorPlace;
use crate::doors::memory::Memory;
use crate::doors::token_issuer::TokenIssuer;
use crate::folder::erasure_requests::ErasureRequests;
use crate::folder::layout::Layout;
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::stages::notices::{NoticeDesk, Poster};
use crate::stages::settle::last_sent;

/// What every stage is given.
pub(super) struct Common {
    pub(super) clock: Arc<NodeClock>,
    /// What the writer asks before each item.
    pub(super) around: Around,
    /// Wakes the settler when a batch is stored.
    pub(super) wake: Arc<Notify>,
    /// Ends the tasks.
    pub(super) stop: watch::Sender<bool>,
    /// Sees that what is started runs.
    pub(super) guard: Guard,
    pub(super) watched: Watched,
    /// Where operations over HTTP are taken, once they are.
    pub(super) operations: DoorPlace,
    /// Where questions about consent are, likewise.
    pub(super) consult: ConsultPlace,
    /// Who is told that somebody read, if anybody may be.
    pub(super) notices: Option<NoticeDesk>,
    /// What sends to them, if it is another than production's.
    pub(super) poster: Option<Poster>,
    /// Whose tokens are taken, if anybody's.
    pub(super) issuer: Option<Arc<TokenIssuer>>,
}

/// Begins with the clock: what is written from here on has a time. A node whose journal lacks
/// something is held from the start.
pub(super) fn common(
    opened: &Opened,
    clock: Arc<dyn Clock>,
    space: Option<Arc<dyn FreeSpace>>,
) -> Result<Common, NodeError> {
    let remembered = upkeep::remembered(&opened.layout, clock.as_ref());
    let clock = NodeClock::start(clock, opened.config.clock.clone()).remembering(remembered);
    let clock = Arc::new(clock);
    let reserve = reserve(opened, space)?;
    let watched = watched(opened, clock.clone());
    let orders = watched.orders().clone();
    recall_pause(&opened.layout, &orders);
    let requests =
        ErasureRequests::open(&opened.layout.erasure_requests()).map_err(NodeError::Requests)?;
    let common = Common {
        around: Around { clock: clock.clone(), reserve: Arc::new(reserve), orders, requests },
        clock,
        wake: Arc::new(Notify::new()),
        stop: watch::Sender::new(false),
        guard: Guard::new(watched.failures().clone()),
        watched,
        operations: DoorPlace::default(),
        consult: ConsultPlace::default(),
        notices: notice_desk(opened),
        poster: None,
        issuer: TokenIssuer::open(&opened.config.tokens)?.map(Arc::new),
    };
    if let Some(contradiction) = opened.lacks {
        common.watched.hold().set(contradiction);
    }
    Ok(common)
}

/// Who is told that somebody read, if a host is configured.
fn notice_desk(opened: &Opened) -> Option<NoticeDesk> {
    let (section, path) = (&opened.config.notices, opened.layout.subscriptions());
    // Hosts that are none were refused with the configuration.
    let hosts = Hosts::parse(&section.hosts).ok().filter(|hosts| !hosts.is_empty())?;
    Some(NoticeDesk::open(&path, hosts, section.limits(), section.pace()))
}

/// What everybody reports to. Batches are counted on from where the store is: `sequencer status`
/// and monitors would be told of none until the next one is made.
pub(super) fn watched(opened: &Opened, clock: Arc<dyn Clock>) -> Watched {
    let (metrics, store) = (Metrics::new(), &opened.store);
    tell_limits(&metrics, &opened.config);
    metrics.batch_assembled.set(opened.last.number.0 as i64);
    let pending = store.outbox_pending();
    match store.last_settled().and_then(|settled| Ok((settled, pending?))) {
        Ok((settled, pending)) => {
            metrics.batch_settled.set(settled.0 as i64);
            metrics.outbox_pending.set(pending.len() as i64);
            metrics.batch_sent.set(last_sent(settled.0, &pending) as i64);
        }
        // Whoever needs the rows says so in its own words; the numbers alone keep no node down.
        Err(error) => tracing::warn!(%error, "how far batches are settled is not known yet"),
    }
    Watched::new(metrics, clock)
}

/// The limits that what is counted is to be seen beside.
fn tell_limits(metrics: &Metrics, config: &Config) {
    let memory = Memory::of(config);
    let limits = [
        (&metrics.ingest_connections_max, config.ingest.limits.connections_max as u64),
        (&metrics.journal_queue_items_max, config.journal.queue_items_max as u64),
        (&metrics.receipt_groups_max, config.deliver.groups_max as u64),
        (&metrics.prove_queue_max, config.deliver.windows_max as u64),
        (&metrics.memory_limits_bytes, memory.sum_bytes),
        (&metrics.memory_machine_bytes, memory.machine_bytes.unwrap_or(0)),
    ];
    for (gauge, limit) in limits {
        gauge.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }
}

/// What frames leave free under the folder, the journal and the store, each of which may be mounted
/// from elsewhere.
pub(super) fn reserve(
    opened: &Opened,
    space: Option<Arc<dyn FreeSpace>>,
) -> Result<Reserve, NodeError> {
    let folders = written_to(&opened.layout);
    let space = space.unwrap_or_else(|| Arc::new(FileSystems::of(folders)));
    Ok(Reserve::new(space, opened.config.journal.reserve_bytes)?)
}

/// The folders whose file systems the node fills.
fn written_to(layout: &Layout) -> [PathBuf; 3] {
    [layout.folder().to_path_buf(), layout.journal(), layout.store()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_reserve_is_kept_where_the_journal_grows_too() {
        let layout = Layout::new(Path::new("node"));
        let measured = written_to(&layout);
        for folder in [layout.journal(), layout.store()] {
            assert!(measured.contains(&folder), "expected {folder:?} among {measured:?}");
        }
    }
}
