//! What hostile connections met, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::RejectCode;
use quinn::ConnectionError;
use serde::Serialize;

use super::behaviour::Behaviour;

/// What a hostile group met.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct HostileReport {
    /// What they did.
    pub behaviour: String,
    /// Connections that were held or made again, at once.
    pub connections: usize,
    /// Handshakes begun.
    pub dialled: u64,
    /// Handshakes that came to nothing.
    pub failed: u64,
    /// Connections that the node closed, by its code.
    pub closed: BTreeMap<String, u64>,
    /// Connections that ended in silence or by the transport.
    pub lost: u64,
    /// Connections that were open at the end.
    pub open: u64,
    /// Messages that the node rejected, by its code.
    pub rejected: BTreeMap<String, u64>,
    /// Receipts that came; they are not verified.
    pub receipts: u64,
    /// Bytes that were written to lanes.
    pub bytes_sent: u64,
}

impl HostileReport {
    /// Connections that the node closed.
    pub fn closed_in_all(&self) -> u64 {
        self.closed.values().sum()
    }

    /// Messages that the node rejected.
    pub fn rejected_in_all(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Shared by all connections of a group.
#[derive(Default)]
pub(super) struct Tally(Mutex<HostileReport>);

/// A connection that is counted as open until it is dropped. One that is dropped while it is open
/// was so at the end.
pub(super) struct Open<'a> {
    tally: &'a Tally,
    connection: quinn::Connection,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.connection.close_reason().is_none() {
            self.tally.lock().open += 1;
            self.connection.close(0u32.into(), b"");
        }
    }
}

impl Open<'_> {
    /// The node, or the network, ended it.
    pub(super) fn ended(self, why: &ConnectionError) {
        let mut counts = self.tally.lock();
        match why {
            ConnectionError::ApplicationClosed(close) => {
                let number = u16::try_from(close.error_code.into_inner()).ok();
                let code = number.and_then(RejectCode::from_number);
                let code = code.map_or("unknown".to_owned(), |code| format!("{code:?}"));
                *counts.closed.entry(code).or_default() += 1;
            }
            _ => counts.lost += 1,
        }
    }
}

impl Tally {
    pub(super) fn dialled(&self) {
        self.lock().dialled += 1;
    }

    pub(super) fn failed(&self) {
        self.lock().failed += 1;
    }

    pub(super) fn opened(&self, connection: quinn::Connection) -> Open<'_> {
        Open { tally: self, connection }
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.lock().bytes_sent += bytes as u64;
    }

    pub(super) fn rejected(&self, code: RejectCode) {
        *self.lock().rejected.entry(format!("{code:?}")).or_default() += 1;
    }

    pub(super) fn receipt(&self) {
        self.lock().receipts += 1;
    }

    pub(super) fn report(&self, behaviour: Behaviour, connections: usize) -> HostileReport {
        HostileReport { behaviour: behaviour.name().into(), connections, ..self.lock().clone() }
    }

    /// Counts: a panic elsewhere leaves none of them half changed.
    fn lock(&self) -> MutexGuard<'_, HostileReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
