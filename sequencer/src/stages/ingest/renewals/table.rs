//! Which names asked for a certificate, and what became of it: a bounded table, and no clock.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{Interval, Millis};
use thiserror::Error;
use wire::limits::CERTIFICATE_BYTES_MAX;
use wire::{Holder, RenewalRequest, Role};
use x509_parser::certificate::X509Certificate;

use crate::folder::authority::fingerprint_of;
use crate::folder::request::{CertificateRequest, KeyKinds};
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
    /// Whether another key was asked for before, of the same certificate: its holder may have made
    /// it anew, or there are two who have its key.
    is_disputed: bool,
    issued: Option<Certificate>,
    /// While connections of the certificate before go on; none until the new one is shown.
    drains: Option<Interval>,
}

/// A certificate that the operator issued.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    der: Bytes,
    pub(super) fingerprint: [u8; 32],
    pub(super) valid: Interval,
    issued_at: Millis,
}

/// A certificate as the operator hands it in.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub der: Bytes,
    /// When the node was given it.
    pub at: Millis,
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
    /// Whether it took the place of a request for another key, of the same certificate.
    pub is_disputed: bool,
}

/// What somebody who asks is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::stages::ingest) enum Asked {
    /// It was not known before, and waits from now on.
    New,
    /// The same, in place of a request for another key: two may have the key of one certificate.
    Replaced,
    /// It waits.
    Waits,
    /// It is issued.
    Issued(Bytes),
}

/// Why a request is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotTaken {
    /// There is no room for a further name.
    Full,
    /// One that its name asked for is issued, and was not shown yet.
    Issued,
}

/// How long an issued certificate keeps its place from a request for another key: its holder looks
/// once a minute.
const ISSUED_KEPT_MS: u64 = 24 * 3_600_000;

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
    /// for each name: a later one with another key takes the place of an earlier one, and says that
    /// it did. One that is issued keeps its place: who has a copy of the key could else keep the
    /// holder's own certificate from it.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(super) fn ask(
        &mut self,
        peer: &Peer,
        request: &RenewalRequest,
        now: Millis,
    ) -> Result<Asked, NotTaken> {
        let known = self.entries.get(&peer.holder);
        let mut is_disputed = false;
        if let Some(entry) = known
            && entry.replaces == peer.fingerprint
        {
            if entry.request == *request {
                return Ok(match &entry.issued {
                    Some(issued) => Asked::Issued(issued.der.clone()),
                    None => Asked::Waits,
                });
            }
            let is_kept = |one: &Certificate| now < one.issued_at.plus(ISSUED_KEPT_MS);
            if entry.issued.as_ref().is_some_and(is_kept) {
                return Err(NotTaken::Issued);
            }
            is_disputed = true;
        }
        if known.is_none() && self.entries.len() >= self.entries_max {
            // Those that are done with; whoever still waits keeps its place.
            self.entries.retain(|_, entry| entry.drains.is_none_or(|drains| now < drains.until));
            if self.entries.len() >= self.entries_max {
                return Err(NotTaken::Full);
            }
        }
        let (role, name) = peer.id.role_and_name();
        let entry = Entry {
            role,
            name: name.to_owned(),
            replaces: peer.fingerprint,
            request: request.clone(),
            asked_at: now,
            is_disputed,
            issued: None,
            drains: None,
        };
        self.entries.insert(peer.holder, entry);
        Ok(if is_disputed { Asked::Replaced } else { Asked::New })
    }

    /// Forgets those whose old connections are over, and those of whom `is_current` says that the
    /// registry does not hold the certificate that asked any more.
    pub(super) fn forget_gone(
        &mut self,
        now: Millis,
        is_current: impl Fn(Role, &str, [u8; 32]) -> bool,
    ) {
        // Where it is current still, the new one was shown and is not registered yet.
        self.entries.retain(|_, entry| {
            entry.drains.is_some_and(|drains| now < drains.until)
                || is_current(entry.role, &entry.name, entry.replaces)
        });
    }

    /// Requests that nobody has answered yet, by role and name; those that are gone are forgotten.
    pub(super) fn waiting(
        &mut self,
        now: Millis,
        is_current: impl Fn(Role, &str, [u8; 32]) -> bool,
    ) -> Vec<WaitingRenewal> {
        self.forget_gone(now, is_current);
        let waiting = self.entries.values().filter(|entry| entry.issued.is_none());
        let mut waiting: Vec<_> = waiting
            .map(|entry| WaitingRenewal {
                role: entry.role,
                name: entry.name.clone(),
                replaces: entry.replaces,
                request: Bytes::copy_from_slice(entry.request.as_bytes()),
                asked_at: entry.asked_at,
                is_disputed: entry.is_disputed,
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
    pub(super) fn issue(&mut self, holder: Holder, issued: Issued) -> Result<(), IssueError> {
        let Issued { der, at } = issued;
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(IssueError::TooLong { found: der.len() });
        }
        let entry = self.entries.get_mut(&holder).ok_or(IssueError::NotAsked)?;
        if entry.drains.is_some() {
            return Err(IssueError::NotAsked);
        }
        let valid = entry.check_issued(&der).ok_or(IssueError::Other)?;
        let fingerprint = fingerprint_of(&der);
        entry.issued = Some(Certificate { fingerprint, der, valid, issued_at: at });
        Ok(())
    }

    /// What a peer takes the place of, if its certificate is one that was issued here.
    pub(super) fn succession(&self, peer: &Peer) -> Option<Succession> {
        let entry = self.entries.get(&peer.holder)?;
        let certificate = entry.issued.clone()?;
        let is_shown = certificate.fingerprint == peer.fingerprint;
        is_shown.then_some(Succession { replaces: entry.replaces, certificate })
    }

    /// The certificate of a name was shown: those of the one before go on for so long. None: it
    /// was shown, and could not be registered; it may be shown again.
    pub(super) fn drain(&mut self, peer: &Peer, drains: Option<Interval>) {
        // A name may have asked anew since.
        if let Some(entry) = self.entries.get_mut(&peer.holder)
            && entry.is_issued(peer.fingerprint)
        {
            entry.drains = drains;
        }
    }

    /// How long a peer still may go on whose certificate was replaced a moment ago by the one that
    /// is registered now; none: not at all. A clock that was set back ends it too: it would else go
    /// on for as long as that was.
    pub(super) fn drains(&self, peer: &Peer, registered: [u8; 32], now: Millis) -> Option<u64> {
        let entry = self.entries.get(&peer.holder)?;
        let drains = entry.drains.filter(|drains| drains.from <= now && now < drains.until)?;
        let is_it = entry.replaces == peer.fingerprint && entry.is_issued(registered);
        is_it.then(|| drains.until.since(now))
    }

    /// Whether connections of this certificate drain, which they do no more from now on.
    pub(super) fn end_drain(&mut self, fingerprint: [u8; 32]) -> bool {
        let draining = |entry: &Entry| entry.replaces == fingerprint && entry.drains.is_some();
        let known = self.entries.len();
        self.entries.retain(|_, entry| !draining(entry));
        self.entries.len() < known
    }

    /// Forgets a name's request, and what was issued for it.
    pub(super) fn forget(&mut self, holder: Holder) {
        self.entries.remove(&holder);
    }

    /// The name that this certificate was issued for and that did not show it yet.
    pub(super) fn unused(&self, fingerprint: [u8; 32]) -> Option<Holder> {
        let is_it = |entry: &Entry| entry.is_issued(fingerprint) && entry.drains.is_none();
        self.entries.iter().find(|(_, entry)| is_it(entry)).map(|(holder, _)| *holder)
    }
}

impl Entry {
    /// Whether this is what was issued.
    fn is_issued(&self, fingerprint: [u8; 32]) -> bool {
        let issued = self.issued.as_ref();
        issued.is_some_and(|issued| issued.fingerprint == fingerprint)
    }

    /// When a certificate is good, if it is of this name and of the key of this request.
    fn check_issued(&self, der: &[u8]) -> Option<Interval> {
        let peer = Peer::of_certificate(&der.into()).ok()?;
        // Of which kind it may be was asked when it was taken.
        let request =
            CertificateRequest::check_of(self.request.as_bytes(), KeyKinds::Ed25519Too).ok()?;
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

    fn issue(table: &mut Table, name: &str, der: Bytes) -> Result<(), IssueError> {
        table.issue(Holder::new(Role::Gateway, name), Issued { der, at: at(0) })
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
        let replaced = table.ask(&peer, &second, at(3));
        assert_eq!(replaced, Ok(Asked::Replaced), "in place of the first");
        let waiting = table.waiting(at(3), |_, _, _| true);
        assert_eq!((waiting.len(), table.waiting_count()), (1, 1));
        assert_eq!((&waiting[0].request[..], waiting[0].asked_at), (second.as_bytes(), at(3)));

        assert!(waiting[0].is_disputed, "two may have its key");
        let issue = |table: &mut Table, name: &str, der| issue(table, name, der);
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
    fn an_issued_certificate_keeps_its_place_for_a_day_from_another_key() {
        let (world, mut table) = (World::new(), Table::new(10));
        let (peer, own, other) = (world.peer("gw-1"), request(), request());
        assert_eq!(table.ask(&peer, &own, at(1)), Ok(Asked::New));
        assert!(!table.waiting(at(1), |_, _, _| true)[0].is_disputed);
        let der = world.sign(&own, "gw-1");
        issue(&mut table, "gw-1", der.clone()).unwrap();
        assert_eq!(table.ask(&peer, &other, at(2)), Err(NotTaken::Issued));
        assert_eq!(table.ask(&peer, &own, at(3)), Ok(Asked::Issued(der)), "its holder's");
        let day = ISSUED_KEPT_MS / 1000;
        assert_eq!(table.ask(&peer, &other, at(day - 1)), Err(NotTaken::Issued));
        assert_eq!(table.ask(&peer, &other, at(day)), Ok(Asked::Replaced));
        assert!(table.waiting(at(day), |_, _, _| true)[0].is_disputed);
        // Whoever has another certificate of that name asks for something else.
        let renewed = world.peer("gw-1");
        assert_eq!(table.ask(&renewed, &own, at(day + 1)), Ok(Asked::New));
        assert!(!table.waiting(at(day + 1), |_, _, _| true)[0].is_disputed);
    }

    #[test]
    fn who_shows_it_succeeds_the_one_before_which_drains_for_a_while() {
        let (world, mut table) = (World::new(), Table::new(10));
        let (old, request) = (world.peer("gw-1"), request());
        table.ask(&old, &request, at(1)).unwrap();
        let der = world.sign(&request, "gw-1");
        issue(&mut table, "gw-1", der.clone()).unwrap();
        let new = Peer::of_certificate(&der.as_ref().into()).unwrap();
        assert!(
            table.succession(&old).is_none() && table.succession(&world.peer("gw-1")).is_none()
        );
        let succession = table.succession(&new).unwrap();
        assert_eq!(succession.replaces, old.fingerprint);
        assert_eq!(succession.certificate.valid.until, valid().until.plus(1000));
        assert_eq!(table.unused(new.fingerprint), Some(new.holder));

        let drains = |table: &Table, peer: &Peer, now| table.drains(peer, new.fingerprint, now);
        assert_eq!(drains(&table, &old, at(2)), None, "nobody has shown it");
        table.drain(&new, Some(Interval { from: at(2), until: at(32) }));
        assert_eq!(drains(&table, &old, at(31)), Some(1000));
        assert_eq!(drains(&table, &old, at(32)), None);
        assert_eq!(drains(&table, &old, at(1)), None, "the clock was set back");
        assert_eq!(drains(&table, &world.peer("gw-1"), at(3)), None, "one from before that");
        assert_eq!(table.drains(&old, [7; 32], at(3)), None, "another one is registered since");
        assert_eq!(table.unused(new.fingerprint), None);
        let again = issue(&mut table, "gw-1", der);
        assert_eq!(again, Err(IssueError::NotAsked), "one request, one certificate");

        // As if it could not be registered.
        table.drain(&old, None);
        assert!(drains(&table, &old, at(3)).is_some(), "that is another one's");
        table.drain(&new, None);
        assert_eq!(table.unused(new.fingerprint), Some(new.holder));
        table.forget_gone(at(100), |_, _, _| true);
        assert!(table.succession(&new).is_some(), "it may be shown again");
        table.drain(&new, Some(Interval { from: at(100), until: at(130) }));
        assert!(table.end_drain(old.fingerprint) && !table.end_drain(old.fingerprint));
        assert_eq!(drains(&table, &old, at(101)), None);
    }

    #[test]
    fn places_are_bounded_and_those_who_wait_keep_theirs() {
        let (world, mut table) = (World::new(), Table::new(2));
        let request = request();
        table.ask(&world.peer("gw-1"), &request, at(1)).unwrap();
        table.ask(&world.peer("gw-2"), &request, at(1)).unwrap();
        assert_eq!(table.ask(&world.peer("gw-3"), &request, at(1)), Err(NotTaken::Full));
        let der = world.sign(&request, "gw-1");
        issue(&mut table, "gw-1", der.clone()).unwrap();
        let new = Peer::of_certificate(&der.as_ref().into()).unwrap();
        table.drain(&new, Some(Interval { from: at(1), until: at(30) }));
        assert_eq!(table.ask(&world.peer("gw-3"), &request, at(29)), Err(NotTaken::Full));
        assert_eq!(table.ask(&world.peer("gw-3"), &request, at(30)), Ok(Asked::New));
        let left = table.waiting(at(31), |_, name, _| name != "gw-2");
        let names: Vec<_> = left.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["gw-3"], "who is registered no more is forgotten");
    }
}
