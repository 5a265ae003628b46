//! Which names asked for a certificate, and what became of it: a bounded table, and no clock.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{Interval, Millis};
use thiserror::Error;
use wire::limits::CERTIFICATE_BYTES_MAX;
use wire::{Holder, RenewalRequest, Role};
use x509_parser::certificate::X509Certificate;

use crate::folder::authority::fingerprint_of;
use crate::folder::request::CertificateRequest;
use crate::stages::ingest::peer::Peer;

/// Names that asked. Memory: 4 KiB each, of `entries_max` at most.
#[derive(Debug)]
pub(super) struct Table {
    entries_max: usize,
    entries: BTreeMap<Holder, Entry>,
}

/// One name's request, from the first time that it asks to the end of its old connections.
#[derive(Debug)]
struct Entry {
    role: Role,
    name: String,
    /// Fingerprint of the certificate that asked: what the new one takes the place of.
    replaces: [u8; 32],
    request: RenewalRequest,
    asked_at: Millis,
    issued: Option<Certificate>,
    /// When connections of the certificate before are closed; none until the new one is shown.
    drained_at: Option<Millis>,
}

/// A certificate that the operator issued.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    der: Bytes,
    pub(super) fingerprint: [u8; 32],
    pub(super) valid: Interval,
}

/// What a certificate that is shown for the first time takes the place of.
#[derive(Clone, Debug)]
pub(super) struct Succession {
    pub(super) replaces: [u8; 32],
    pub(super) certificate: Certificate,
}

/// A request, as the operator's command is shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRenewal {
    /// What asks.
    pub role: Role,
    /// And what it is called.
    pub name: String,
    /// Fingerprint of the certificate that asked.
    pub replaces: [u8; 32],
    /// The request, PKCS #10 in DER.
    pub request: Bytes,
    /// When it was asked first.
    pub asked_at: Millis,
}

/// What somebody who asks is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::stages::ingest) enum Asked {
    /// It was not known before, and waits from now on.
    New,
    /// It waits.
    Waits,
    /// It is issued.
    Issued(Bytes),
}

/// No room for a further name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// Why a certificate is not handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum IssueError {
    /// Nobody waits for it.
    #[error(
        "expected a request that waits under this role and name, found none: it was ended \
         meanwhile, or the node began anew; the holder asks again by itself"
    )]
    NotAsked,
    /// It is no certificate, or another one's.
    #[error(
        "expected a certificate in DER of this role and name and of the key of the request, found \
         another one: the request was made anew meanwhile; sign again"
    )]
    Other,
    /// It finds no room in an answer.
    #[error("expected a certificate of at most {CERTIFICATE_BYTES_MAX} bytes, found {found}")]
    TooLong {
        /// How long it is.
        found: usize,
    },
}

impl Table {
    pub(super) fn new(entries_max: usize) -> Table {
        Table { entries_max, entries: BTreeMap::new() }
    }

    /// Takes a request of a peer, or tells what became of it. The operator is to see one request
    /// for each name: a later one with another key takes the place of an earlier one.
    ///
    /// # Errors
    /// [`Full`] for a new name while all places are taken.
    pub(super) fn ask(
        &mut self,
        peer: &Peer,
        request: &RenewalRequest,
        now: Millis,
    ) -> Result<Asked, Full> {
        let known = self.entries.get(&peer.holder);
        if let Some(entry) = known
            && entry.replaces == peer.fingerprint
            && entry.request == *request
        {
            return Ok(match &entry.issued {
                Some(issued) => Asked::Issued(issued.der.clone()),
                None => Asked::Waits,
            });
        }
        if known.is_none() && self.entries.len() >= self.entries_max {
            // Those that are done with; whoever still waits keeps its place.
            self.entries.retain(|_, entry| entry.drained_at.is_none_or(|at| now < at));
            if self.entries.len() >= self.entries_max {
                return Err(Full);
            }
        }
        let (role, name) = peer.id.role_and_name();
        let entry = Entry {
            role,
            name: name.to_owned(),
            replaces: peer.fingerprint,
            request: request.clone(),
            asked_at: now,
            issued: None,
            drained_at: None,
        };
        self.entries.insert(peer.holder, entry);
        Ok(Asked::New)
    }

    /// Requests that nobody has answered yet, by role and name. Forgotten are those whose old
    /// connections are over, and those of whom `is_current` says that the registry does not hold the
    /// certificate that asked any more.
    pub(super) fn waiting(
        &mut self,
        now: Millis,
        is_current: impl Fn(Role, &str, [u8; 32]) -> bool,
    ) -> Vec<WaitingRenewal> {
        self.entries.retain(|_, entry| match entry.drained_at {
            Some(at) => now < at,
            None => is_current(entry.role, &entry.name, entry.replaces),
        });
        let waiting = self.entries.values().filter(|entry| entry.issued.is_none());
        let mut waiting: Vec<_> = waiting
            .map(|entry| WaitingRenewal {
                role: entry.role,
                name: entry.name.clone(),
                replaces: entry.replaces,
                request: Bytes::copy_from_slice(entry.request.as_bytes()),
                asked_at: entry.asked_at,
            })
            .collect();
        waiting.sort_by(|one, other| (one.role, &one.name).cmp(&(other.role, &other.name)));
        waiting
    }

    /// How many wait.
    pub(super) fn waiting_count(&self) -> usize {
        self.entries.values().filter(|entry| entry.issued.is_none()).count()
    }

    /// Takes the certificate that the operator issued for a name.
    ///
    /// # Errors
    /// [`IssueError`].
    pub(super) fn issue(&mut self, role: Role, name: &str, der: Bytes) -> Result<(), IssueError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(IssueError::TooLong { found: der.len() });
        }
        let entry = self.entries.get_mut(&Holder::new(role, name)).ok_or(IssueError::NotAsked)?;
        if entry.drained_at.is_some() {
            return Err(IssueError::NotAsked);
        }
        let valid = entry.check_issued(&der).ok_or(IssueError::Other)?;
        entry.issued = Some(Certificate { fingerprint: fingerprint_of(&der), der, valid });
        Ok(())
    }

    /// What a peer takes the place of, if its certificate is one that was issued here.
    pub(super) fn succession(&self, peer: &Peer) -> Option<Succession> {
        let entry = self.entries.get(&peer.holder)?;
        let certificate = entry.issued.clone()?;
        let is_shown = certificate.fingerprint == peer.fingerprint;
        is_shown.then_some(Succession { replaces: entry.replaces, certificate })
    }

    /// The certificate of a name was shown: those of the one before go on until `at`.
    pub(super) fn drain_until(&mut self, holder: Holder, at: Millis) {
        if let Some(entry) = self.entries.get_mut(&holder) {
            entry.drained_at = Some(at);
        }
    }

    /// Whether a peer's certificate was replaced a moment ago by the one that is registered now,
    /// and its connections are left to end by themselves.
    pub(super) fn drains(&self, peer: &Peer, registered: [u8; 32], now: Millis) -> bool {
        self.entries.get(&peer.holder).is_some_and(|entry| {
            entry.replaces == peer.fingerprint
                && entry.issued.as_ref().is_some_and(|issued| issued.fingerprint == registered)
                && entry.drained_at.is_some_and(|at| now < at)
        })
    }

    /// Forgets a name's request, and what was issued for it.
    pub(super) fn forget(&mut self, holder: Holder) {
        self.entries.remove(&holder);
    }

    /// The name that this certificate was issued for and that did not show it yet.
    pub(super) fn unused(&self, fingerprint: [u8; 32]) -> Option<Holder> {
        let is_it = |entry: &Entry| {
            let issued = entry.issued.as_ref().is_some_and(|one| one.fingerprint == fingerprint);
            issued && entry.drained_at.is_none()
        };
        self.entries.iter().find(|(_, entry)| is_it(entry)).map(|(holder, _)| *holder)
    }
}

impl Entry {
    /// When a certificate is good, if it is of this name and of the key of this request.
    fn check_issued(&self, der: &[u8]) -> Option<Interval> {
        let peer = Peer::of_certificate(&der.into()).ok()?;
        let request = CertificateRequest::check(self.request.as_bytes()).ok()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let is_it = peer.id.role_and_name() == (self.role, self.name.as_str())
            && request.is_of(&certificate);
        is_it.then(|| validity(&certificate))
    }
}

/// When a certificate is good; the second in which it ends is good still.
fn validity(certificate: &X509Certificate<'_>) -> Interval {
    let validity = certificate.validity();
    let at = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        Millis::from_unix_ms(seconds.saturating_mul(1000))
    };
    let until = at(validity.not_after.timestamp().saturating_add(1));
    Interval { from: at(validity.not_before.timestamp()), until }
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;
    use crate::folder::authority::Authority;

    const LIFE_S: u64 = 1000;

    fn at(seconds: u64) -> Millis {
        Millis::from_unix_ms((1_800_000_000 + seconds) * 1000)
    }

    fn valid() -> Interval {
        Interval { from: at(0), until: at(LIFE_S) }
    }

    struct World {
        _folder: tempfile::TempDir,
        authority: Authority,
    }

    impl World {
        fn new() -> World {
            let folder = tempfile::tempdir().unwrap();
            let authority = Authority::create(&folder.path().join("ca"), valid()).unwrap();
            World { _folder: folder, authority }
        }

        fn peer(&self, name: &str) -> Peer {
            let issued = self.authority.issue_client(Role::Gateway, name, valid()).unwrap();
            Peer::of_certificate(&issued.der().into()).unwrap()
        }

        fn sign(&self, request: &RenewalRequest, name: &str) -> Bytes {
            let request = CertificateRequest::check(request.as_bytes()).unwrap();
            let issued = self.authority.sign_request(&request, Role::Gateway, name, valid());
            issued.unwrap().der().to_vec().into()
        }
    }

    fn request() -> RenewalRequest {
        let key = KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        RenewalRequest::new(params.serialize_request(&key).unwrap().der().to_vec()).unwrap()
    }

    #[test]
    fn one_request_a_name_waits_until_its_own_certificate_is_issued() {
        let (world, mut table) = (World::new(), Table::new(10));
        let (peer, first, second) = (world.peer("gw-1"), request(), request());
        assert_eq!(table.ask(&peer, &first, at(1)), Ok(Asked::New));
        assert_eq!(table.ask(&peer, &first, at(2)), Ok(Asked::Waits));
        assert_eq!(table.ask(&peer, &second, at(3)), Ok(Asked::New), "in place of the first");
        let waiting = table.waiting(at(3), |_, _, _| true);
        assert_eq!((waiting.len(), table.waiting_count()), (1, 1));
        assert_eq!((&waiting[0].request[..], waiting[0].asked_at), (second.as_bytes(), at(3)));

        let issue = |table: &mut Table, name: &str, der| table.issue(Role::Gateway, name, der);
        let own = world.sign(&second, "gw-1");
        let of_first = world.sign(&first, "gw-1");
        assert_eq!(issue(&mut table, "gw-1", of_first), Err(IssueError::Other), "another key");
        let other_name = world.sign(&second, "gw-2");
        assert_eq!(issue(&mut table, "gw-1", other_name), Err(IssueError::Other));
        assert_eq!(issue(&mut table, "gw-2", own.clone()), Err(IssueError::NotAsked));
        assert_eq!(issue(&mut table, "gw-1", vec![1, 2].into()), Err(IssueError::Other));
        let long = vec![0; CERTIFICATE_BYTES_MAX + 1];
        assert!(matches!(issue(&mut table, "gw-1", long.into()), Err(IssueError::TooLong { .. })));
        assert_eq!(issue(&mut table, "gw-1", own.clone()), Ok(()));
        assert_eq!(table.ask(&peer, &second, at(4)), Ok(Asked::Issued(own)));
        assert_eq!(table.waiting_count(), 0);
    }

    #[test]
    fn who_shows_it_succeeds_the_one_before_which_drains_for_a_while() {
        let (world, mut table) = (World::new(), Table::new(10));
        let (old, request) = (world.peer("gw-1"), request());
        table.ask(&old, &request, at(1)).unwrap();
        let der = world.sign(&request, "gw-1");
        table.issue(Role::Gateway, "gw-1", der.clone()).unwrap();
        let new = Peer::of_certificate(&der.as_ref().into()).unwrap();
        assert!(
            table.succession(&old).is_none() && table.succession(&world.peer("gw-1")).is_none()
        );
        let succession = table.succession(&new).unwrap();
        assert_eq!(succession.replaces, old.fingerprint);
        assert_eq!(succession.certificate.valid.until, valid().until.plus(1000));
        assert_eq!(table.unused(new.fingerprint), Some(new.holder));

        let drains = |table: &Table, peer: &Peer, now| table.drains(peer, new.fingerprint, now);
        assert!(!drains(&table, &old, at(2)), "nobody has shown it");
        table.drain_until(new.holder, at(32));
        assert!(drains(&table, &old, at(31)) && !drains(&table, &old, at(32)));
        assert!(!drains(&table, &world.peer("gw-1"), at(3)), "a certificate from before that");
        assert!(!table.drains(&old, [7; 32], at(3)), "another one was registered meanwhile");
        assert_eq!(table.unused(new.fingerprint), None);
        let again = table.issue(Role::Gateway, "gw-1", der);
        assert_eq!(again, Err(IssueError::NotAsked), "one request, one certificate");
    }

    #[test]
    fn places_are_bounded_and_those_who_wait_keep_theirs() {
        let (world, mut table) = (World::new(), Table::new(2));
        let (first, request) = (world.peer("gw-1"), request());
        table.ask(&first, &request, at(1)).unwrap();
        table.ask(&world.peer("gw-2"), &request, at(1)).unwrap();
        assert_eq!(table.ask(&world.peer("gw-3"), &request, at(1)), Err(Full));
        table.drain_until(first.holder, at(30));
        assert_eq!(table.ask(&world.peer("gw-3"), &request, at(29)), Err(Full));
        assert_eq!(table.ask(&world.peer("gw-3"), &request, at(30)), Ok(Asked::New));
        let left = table.waiting(at(31), |_, name, _| name != "gw-2");
        let names: Vec<_> = left.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["gw-3"], "who is registered no more is forgotten");
    }
}
