//! Certificates that are renewed over the connection of the one before (docs/wire.md, W.81 to
//! W.84).
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
//! moment at which the new one is shown gets nothing, and neither does a certificate that was taken
//! back: all are looked at in one turn of the desk. Whoever has the key of a certificate can ask as
//! its holder does; where two ask with different keys, the second is marked, and the operator's
//! command leaves it out until it is named.
//! Nothing of it is on disk: a restart forgets who waits, and they ask again.

mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Interval, Millis, Position, RejectCode};
use tokio::sync::oneshot;
use wire::{Holder, RegistryChange, RegistryKey, RenewalRequest, Role};

use super::config::IngestConfig;
use super::desk::{DeskError, RegistryDesk};
use super::peer::{Peer, PeerId, Registered};
use crate::folder::authority::fingerprint_of;
use crate::folder::request::{CertificateRequest, KeyKinds, RequestFault};
use crate::stages::ledger::{Certificate, LedgerView};

pub(super) use table::Asked;
pub use table::{IssueError, Issued, WaitingRenewal};
use table::{Succession, Table};

/// A certificate is renewed from this part of its life on: whoever asks earlier would fill the
/// journal with changes. Clients ask from the half on.
const EARLIEST_PART: u64 = 3;

/// Everything about renewals: shared by the sessions and the operator's door.
#[derive(Debug)]
pub struct Renewals {
    table: Mutex<Table>,
    drain: Duration,
    kinds: KeyKinds,
}

impl Renewals {
    /// None yet.
    pub fn new(config: &IngestConfig) -> Renewals {
        let table = Mutex::new(Table::new(config.renewals_max));
        let drain = Duration::from_millis(config.renewal_drain_ms);
        Renewals { table, drain, kinds: KeyKinds::default() }
    }

    /// Which takes requests for keys of these kinds.
    pub fn taking(self, kinds: KeyKinds) -> Renewals {
        Renewals { kinds, ..self }
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
        CertificateRequest::check_of(request.as_bytes(), self.kinds).map_err(
            |fault| match fault {
                RequestFault::Signature => RejectCode::Signature,
                RequestFault::Format | RequestFault::KeyType => RejectCode::Malformed,
            },
        )?;
        let asked = self.table().ask(peer, request, now).map_err(|_| RejectCode::Busy)?;
        let (role, certificate) = (peer.id.role_and_name().0.name(), short(peer.fingerprint));
        match asked {
            Asked::New => tracing::info!(role, certificate, "a certificate is asked for"),
            Asked::Replaced => tracing::warn!(
                role,
                certificate,
                "a certificate is asked for with another key than before: if its holder did not \
                 make the request anew, two have the key of the present one"
            ),
            Asked::Waits | Asked::Issued(_) => {}
        }
        Ok(asked)
    }

    /// Requests that wait for the operator, of names that the registry still holds as they were.
    pub fn waiting(&self, view: &LedgerView, now: Millis) -> Vec<WaitingRenewal> {
        self.table().waiting(now, is_current(view, now))
    }

    /// How many wait; those that are gone are forgotten.
    pub fn waiting_count(&self, view: &LedgerView, now: Millis) -> usize {
        let mut table = self.table();
        table.forget_gone(now, is_current(view, now));
        table.waiting_count()
    }

    /// Takes the certificate that the operator issued for a name: it is handed out when its holder
    /// asks again.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(&self, role: Role, name: &str, issued: Issued) -> Result<(), IssueError> {
        let certificate = short(fingerprint_of(&issued.der));
        self.table().issue(Holder::new(role, name), issued)?;
        let role = role.name();
        tracing::info!(role, certificate, "a certificate is issued, and waits for its holder");
        Ok(())
    }

    /// Registers a certificate that was issued here and is shown for the first time; of any other
    /// nothing comes, and the registry says what it entitles to.
    ///
    /// # Errors
    /// The code that the peer is told: Identity if its name was ended or renewed otherwise
    /// meanwhile, or the certificate taken back, another one if the journal does not take the
    /// change; then it may be shown again.
    pub(super) async fn adopt(
        self: &Arc<Self>,
        peer: &Peer,
        desk: &RegistryDesk,
        now: Millis,
    ) -> Result<bool, RejectCode> {
        if self.table().succession(peer).is_none() {
            return Ok(false);
        }
        let (renewals, shown) = (Arc::clone(self), peer.clone());
        let decide = move |view: &LedgerView| renewals.begin_succession(&shown, view, now);
        let (renewals, shown) = (Arc::clone(self), peer.clone());
        let undo = move || renewals.table().drain(&shown, None);
        match desk.succeed(decide, undo).await {
            Ok(_) => {
                let role = peer.id.role_and_name().0.name();
                let certificate = short(peer.fingerprint);
                tracing::info!(role, certificate, "a renewed certificate is registered");
                Ok(true)
            }
            // Shown twice at once: the other one was first, and the registry says so.
            Err(DeskError::Not(_)) if peer.is_entitled(desk.view(), now) => Ok(false),
            Err(DeskError::Not(why) | DeskError::Refused(why)) => {
                tracing::info!(why, "a renewed certificate is refused");
                Err(RejectCode::Identity)
            }
            Err(DeskError::Admit(error)) => Err(error.code()),
            Err(DeskError::Ended) => Err(RejectCode::Unavailable),
        }
    }

    /// The change by which a certificate takes the place of the one before, if it still may, in a
    /// turn of the desk.
    fn begin_succession(
        &self,
        peer: &Peer,
        view: &LedgerView,
        now: Millis,
    ) -> Result<RegistryChange, String> {
        let mut table = self.table();
        let succession = table.succession(peer);
        let succession = succession.ok_or("expected a certificate that was not taken back")?;
        let change = succeed(peer, &succession, view, now)?;
        // Before the change: a check of the one before may come with it.
        let drain_ms = u64::try_from(self.drain.as_millis()).unwrap_or(u64::MAX);
        table.drain(peer, Some(Interval { from: now, until: now.plus(drain_ms) }));
        Ok(change)
    }

    /// How long, in milliseconds, a peer may go on although another certificate is registered: the
    /// one that it asked for, and that was shown. None: not at all.
    pub(super) fn drains(&self, peer: &Peer, view: &LedgerView, now: Millis) -> Option<u64> {
        let registered = peer.id.registered(view, now)?;
        self.table().drains(peer, registered.fingerprint, now)
    }

    /// Ends the certificate with this fingerprint, in one turn of the desk.
    ///
    /// # Errors
    /// [`DeskError`]; [`DeskError::Not`] if it is none that holds, drains or waits to be shown.
    pub async fn revoke(
        self: &Arc<Self>,
        fingerprint: [u8; 32],
        desk: &RegistryDesk,
        now: Millis,
    ) -> Result<Revoked, DeskError> {
        let (renewals, (tell, told)) = (Arc::clone(self), oneshot::channel());
        let decide = move |view: &LedgerView| {
            let revocation = renewals.revocation(fingerprint, view, now)?;
            let change = match &revocation {
                Revocation::End(key) => Some(RegistryChange::End { key: key.clone(), at: now }),
                Revocation::Unused | Revocation::Draining => None,
            };
            // Its only reader waits below.
            drop(tell.send(revocation));
            Ok(change)
        };
        let position = desk.change(decide).await?;
        match told.await.map_err(|_| DeskError::Ended)? {
            Revocation::End(key) => Ok(Revoked::Registered { key, position }),
            Revocation::Unused => Ok(Revoked::Unused),
            Revocation::Draining => {
                desk.wake_connections();
                Ok(Revoked::Draining)
            }
        }
    }

    fn revocation(
        &self,
        fingerprint: [u8; 32],
        view: &LedgerView,
        now: Millis,
    ) -> Result<Revocation, String> {
        let mut table = self.table();
        // Never shown, so never registered: there is nothing to change, and it is gone.
        if let Some(holder) = table.unused(fingerprint) {
            table.forget(holder);
            return Ok(Revocation::Unused);
        }
        if let Some(key) = registered_as(fingerprint, view, now.max(view.last_time())) {
            // Whoever has the key of this certificate may be who asked for the next one.
            if let Some((role, name)) = role_and_name(&key) {
                table.forget(Holder::new(role, name));
            }
            return Ok(Revocation::End(key));
        }
        if table.end_drain(fingerprint) {
            return Ok(Revocation::Draining);
        }
        Err("expected the fingerprint of a certificate that is registered, or was issued and not \
             shown yet, found none: it was ended or replaced already (`sequencer identity list \
             --json` shows those that hold)"
            .into())
    }

    /// Plain values: a panic elsewhere leaves none of them half changed.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was ended by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// A registered certificate.
    Registered {
        /// Whose.
        key: RegistryKey,
        /// Where that is journaled.
        position: Option<Position>,
    },
    /// One that was issued and never shown: it is taken back.
    Unused,
    /// One that was replaced a moment ago, whose connections would have gone on.
    Draining,
}

/// The same, decided and not made yet.
enum Revocation {
    End(RegistryKey),
    Unused,
    Draining,
}

/// Whether the registry still holds a name with the certificate that asked.
fn is_current(view: &LedgerView, now: Millis) -> impl Fn(Role, &str, [u8; 32]) -> bool {
    move |role, name, replaces| {
        let registered = PeerId::new(role, name).ok().and_then(|id| id.registered(view, now));
        registered.is_some_and(|found| found.fingerprint == replaces)
    }
}

/// The first digits of a fingerprint, for the log.
fn short(fingerprint: [u8; 32]) -> String {
    hex::encode(&fingerprint[..SHORT_BYTES])
}

const SHORT_BYTES: usize = 4;

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
