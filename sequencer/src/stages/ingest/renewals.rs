//! Certificates that are renewed over the connection of the one before (docs/wire.md, W.81 to W.84).
//!
//! ```text
//!   peer --request--> [table] --list--> operator's command, which has the authority's key
//!   peer <--certificate-- [table] <--issued-- /
//!   peer --shows it--> [desk] -> journal: it takes the place of the one before
//! ```
//! Threat note: the running node holds no key of the authority, and signs nothing. What it takes is
//! a request of somebody who is entitled at this moment, for the name of the certificate that its
//! connection was opened with, and what it believes issued is what came by the operator's socket. A
//! name that was revoked, or given another certificate by the operator, between the request and the
//! moment at which the new one is shown gets nothing: both are looked at in one turn of the desk.
//! Nothing of it is on disk: a restart forgets who waits, and they ask again.

mod table;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{Millis, RejectCode};
use wire::{Holder, RegistryChange, RegistryKey, RenewalRequest, Role};

use super::config::IngestConfig;
use super::desk::{DeskError, RegistryDesk};
use super::peer::{Peer, PeerId, Registered};
use crate::folder::request::{CertificateRequest, RequestFault};
use crate::stages::ledger::{Certificate, LedgerView};

pub(super) use table::Asked;
pub use table::{IssueError, WaitingRenewal};
use table::{Succession, Table};

/// A certificate is renewed from this part of its life on: whoever asks earlier would fill the
/// journal with changes. Clients ask from the half on.
const EARLIEST_PART: u64 = 3;

/// Everything about renewals: shared by the sessions and the operator's door.
#[derive(Debug)]
pub struct Renewals {
    table: Mutex<Table>,
    drain: Duration,
}

impl Renewals {
    /// None yet.
    pub fn new(config: &IngestConfig) -> Renewals {
        let table = Mutex::new(Table::new(config.renewals_max));
        Renewals { table, drain: Duration::from_millis(config.renewal_drain_ms) }
    }

    /// Takes a request of a peer, or tells what became of it.
    ///
    /// # Errors
    /// The code that the peer is told: Identity if it is not entitled now, Validity if its
    /// certificate is young, Malformed or Signature of a request that proves no key, Busy without a
    /// place.
    pub(super) fn ask(
        &self,
        peer: &Peer,
        request: &RenewalRequest,
        view: &LedgerView,
        now: Millis,
    ) -> Result<Asked, RejectCode> {
        // Again, also between two checks of the connection: an ended name gets no further.
        let registered = peer.id.registered(view, now).filter(|_| peer.is_entitled(view, now));
        let valid = registered.ok_or(RejectCode::Identity)?.valid;
        if now.since(valid.from) < valid.until.since(valid.from) / EARLIEST_PART {
            return Err(RejectCode::Validity);
        }
        CertificateRequest::check(request.as_bytes()).map_err(|fault| match fault {
            RequestFault::Signature => RejectCode::Signature,
            RequestFault::Format | RequestFault::KeyType => RejectCode::Malformed,
        })?;
        self.table().ask(peer, request, now).map_err(|_| RejectCode::Busy)
    }

    /// Requests that wait for the operator, of names that the registry still holds as they were.
    pub fn waiting(&self, view: &LedgerView, now: Millis) -> Vec<WaitingRenewal> {
        self.table().waiting(now, |role, name, replaces| {
            let id = PeerId::new(role, name).ok();
            let registered = id.and_then(|id| id.registered(view, now));
            registered.is_some_and(|found| found.fingerprint == replaces)
        })
    }

    /// How many wait.
    pub fn waiting_count(&self) -> usize {
        self.table().waiting_count()
    }

    /// Takes the certificate that the operator issued for a name: it is handed out when its holder
    /// asks again.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(&self, role: Role, name: &str, certificate: Bytes) -> Result<(), IssueError> {
        self.table().issue(role, name, certificate)
    }

    /// Registers a certificate that was issued here and is shown for the first time; of any other
    /// nothing comes, and the registry says what it entitles to.
    ///
    /// # Errors
    /// The code that the peer is told: Identity if its name was ended or renewed otherwise
    /// meanwhile, another one if the journal does not take the change.
    pub(super) async fn adopt(
        &self,
        peer: &Peer,
        desk: &RegistryDesk,
        now: Millis,
    ) -> Result<bool, RejectCode> {
        let Some(succession) = self.table().succession(peer) else { return Ok(false) };
        // Before the change, which has every connection look at itself. Without it nothing drains.
        let drain_ms = u64::try_from(self.drain.as_millis()).unwrap_or(u64::MAX);
        let drained_at = now.plus(drain_ms);
        let made = desk.change(|view| {
            let change = succeed(peer, &succession, view, now)?;
            self.table().drain_until(peer.holder, drained_at);
            Ok(change)
        });
        match made.await {
            Ok(_) => Ok(true),
            // Shown twice at once: the other one was first, and the registry says so.
            Err(DeskError::Not(_)) if peer.is_entitled(desk.view(), now) => Ok(false),
            Err(DeskError::Not(why) | DeskError::Refused(why)) => {
                tracing::info!(why, "a renewed certificate is refused");
                Err(RejectCode::Identity)
            }
            Err(DeskError::Admit(error)) => Err(error.code()),
        }
    }

    /// Whether a peer may go on for a while although another certificate is registered: the one
    /// that it asked for, and that was shown.
    pub(super) fn drains(&self, peer: &Peer, view: &LedgerView, now: Millis) -> bool {
        let registered = peer.id.registered(view, now);
        registered.is_some_and(|found| self.table().drains(peer, found.fingerprint, now))
    }

    /// Takes back a certificate that was issued and never shown; `false` if this is none.
    pub fn forget_unused(&self, fingerprint: [u8; 32]) -> bool {
        let mut table = self.table();
        let unused = table.unused(fingerprint);
        unused.into_iter().for_each(|holder| table.forget(holder));
        unused.is_some()
    }

    /// Whose registered certificate this is: it is about to be ended, and what its name asked for
    /// with it is forgotten.
    ///
    /// # Errors
    /// A sentence if none with this fingerprint is registered.
    pub fn revoke(
        &self,
        fingerprint: [u8; 32],
        view: &LedgerView,
        now: Millis,
    ) -> Result<RegistryKey, String> {
        let key = registered_as(fingerprint, view, now.max(view.last_time())).ok_or(
            "expected the fingerprint of a certificate that is registered, or was issued and not \
             shown yet, found none: it was ended or replaced already (`sequencer identity list \
             --json` shows those that hold)",
        )?;
        // Whoever has the key of this certificate may be who asked for the next one.
        if let Some((role, name)) = role_and_name(&key) {
            self.table().forget(Holder::new(role, name));
        }
        Ok(key)
    }

    /// Plain values: a panic elsewhere leaves none of them half changed.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The change by which a certificate takes the place of the one before, if that still holds.
fn succeed(
    peer: &Peer,
    succession: &Succession,
    view: &LedgerView,
    now: Millis,
) -> Result<RegistryChange, String> {
    let registered = peer.id.registered(view, now);
    if registered.is_none_or(|found| found.fingerprint != succession.replaces) {
        return Err("expected the certificate that was renewed to be registered still".into());
    }
    let certificate = &succession.certificate;
    let renewed = Registered { fingerprint: certificate.fingerprint, valid: certificate.valid };
    let record = peer.id.record_with(renewed, view, now);
    record.map(RegistryChange::Add).ok_or_else(|| "expected a registered name".into())
}

/// Whose registered certificate this is.
fn registered_as(fingerprint: [u8; 32], view: &LedgerView, now: Millis) -> Option<RegistryKey> {
    let registry = view.registry();
    let is_it = |key: &RegistryKey, found: &Certificate| {
        found.fingerprint == fingerprint && registry.holds(key, now)
    };
    registry.certificates().find(|(key, found)| is_it(key, found)).map(|(key, _)| key)
}

/// Of whom a record is that has a certificate.
fn role_and_name(key: &RegistryKey) -> Option<(Role, &str)> {
    match key {
        RegistryKey::Gateway(id) => Some((Role::Gateway, id.as_str())),
        RegistryKey::Practitioner(id) => Some((Role::Practitioner, id.as_str())),
        RegistryKey::Wallet(id) => Some((Role::Wallet, id.as_str())),
        RegistryKey::Operator(id) => Some((Role::Operator, id.as_str())),
        RegistryKey::Organisation(_) | RegistryKey::Device(_) => None,
    }
}
