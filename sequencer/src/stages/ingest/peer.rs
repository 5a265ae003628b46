//! Who a peer is: role and id of its certificate, and whether the registry still knows it.

use model::{GatewayId, IdError, Interval, Millis, OperatorId, PractitionerId, WalletId};
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use wire::{Holder, RegistryRecord, Role};
use x509_parser::x509::X509Name;

use super::observe::RejectedPeer;
use crate::folder::authority::fingerprint;
use crate::stages::ledger::LedgerView;

/// A peer as its certificate names it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) holder: Holder,
    pub(super) fingerprint: [u8; 32],
    not_after: Millis,
}

/// Role and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PeerId {
    Gateway(GatewayId),
    Practitioner(PractitionerId),
    Wallet(WalletId),
    Operator(OperatorId),
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum PeerError {
    #[error("expected a certificate, found none")]
    NoCertificate,
    #[error("expected a certificate in DER, found something else")]
    Malformed,
    #[error("expected one organizational unit that is a role, and one common name")]
    Subject,
    #[error("the common name is no id")]
    Name(#[from] IdError),
}

impl Peer {
    /// Reads the certificate that TLS verified.
    pub(super) fn of_connection(connection: &quinn::Connection) -> Result<Peer, PeerError> {
        let identity = connection.peer_identity().ok_or(PeerError::NoCertificate)?;
        let shown = identity.downcast::<Vec<CertificateDer<'static>>>();
        let shown = shown.map_err(|_| PeerError::NoCertificate)?;
        // The first is the peer's own; TLS verified those behind it.
        Peer::of_certificate(shown.first().ok_or(PeerError::NoCertificate)?)
    }

    pub(super) fn of_certificate(der: &CertificateDer<'_>) -> Result<Peer, PeerError> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(der).map_err(|_| PeerError::Malformed)?;
        let (role, name) = role_and_name(parsed.subject()).ok_or(PeerError::Subject)?;
        let id = PeerId::new(role, name)?;
        // A time before 1970 reads as ended.
        let not_after = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        let not_after = Millis::from_unix_ms(not_after.saturating_mul(1000));
        let holder = Holder::new(role, name);
        Ok(Peer { id, holder, fingerprint: fingerprint(der), not_after })
    }

    /// Whether the peer may have a session: its certificate has not ended, and the registry holds
    /// this very certificate now.
    pub(super) fn is_entitled(&self, view: &LedgerView, now: Millis) -> bool {
        if now > self.not_after {
            return false;
        }
        // The name alone would let an older certificate of the same name in.
        self.id.registered(view, now).is_some_and(|found| found.fingerprint == self.fingerprint)
    }
}

/// The certificate that the registry holds of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) fingerprint: [u8; 32],
    /// When it may be used.
    pub(super) valid: Interval,
}

impl PeerId {
    /// Somebody with this role.
    pub(super) fn new(role: Role, name: &str) -> Result<PeerId, IdError> {
        Ok(match role {
            Role::Gateway => PeerId::Gateway(GatewayId::new(name)?),
            Role::Practitioner => PeerId::Practitioner(PractitionerId::new(name)?),
            Role::Wallet => PeerId::Wallet(WalletId::new(name)?),
            Role::Operator => PeerId::Operator(OperatorId::new(name)?),
        })
    }

    /// As a certificate says it.
    pub(super) fn role_and_name(&self) -> (Role, &str) {
        match self {
            PeerId::Gateway(id) => (Role::Gateway, id.as_str()),
            PeerId::Practitioner(id) => (Role::Practitioner, id.as_str()),
            PeerId::Wallet(id) => (Role::Wallet, id.as_str()),
            PeerId::Operator(id) => (Role::Operator, id.as_str()),
        }
    }

    /// As it is counted when it is told a code.
    pub(super) fn rejected(&self) -> RejectedPeer {
        match self {
            PeerId::Gateway(id) => RejectedPeer::Gateway(id.clone()),
            other => RejectedPeer::Person(other.role_and_name().0),
        }
    }

    /// The certificate that is registered of this name now.
    pub(super) fn registered(&self, view: &LedgerView, now: Millis) -> Option<Registered> {
        // By the journal's time where the clock is behind it: the end of a registration was
        // stamped with that, and would else lie in the future.
        let (registry, now) = (view.registry(), now.max(view.last_time()));
        let of = |fingerprint, valid| Registered { fingerprint, valid };
        match self {
            PeerId::Gateway(id) => {
                registry.gateway(id, now).map(|found| of(found.fingerprint, found.valid))
            }
            PeerId::Practitioner(id) => {
                registry.practitioner(id, now).map(|found| of(found.fingerprint, found.valid))
            }
            PeerId::Wallet(id) => {
                registry.wallet(id, now).map(|found| of(found.fingerprint, found.valid))
            }
            PeerId::Operator(id) => {
                registry.operator(id, now).map(|found| of(found.fingerprint, found.valid))
            }
        }
    }

    /// What is registered of this name now, with another certificate.
    pub(super) fn record_with(
        &self,
        certificate: Registered,
        view: &LedgerView,
        now: Millis,
    ) -> Option<RegistryRecord> {
        let (registry, now) = (view.registry(), now.max(view.last_time()));
        let Registered { fingerprint, valid } = certificate;
        Some(match self.clone() {
            PeerId::Gateway(id) => {
                let organisation = registry.gateway(&id, now)?.organisation.clone();
                RegistryRecord::Gateway { id, organisation, fingerprint, valid }
            }
            PeerId::Practitioner(id) => {
                let found = registry.practitioner(&id, now)?;
                let (organisation, public_key) = (found.organisation.clone(), found.public_key);
                RegistryRecord::Practitioner { id, organisation, public_key, fingerprint, valid }
            }
            PeerId::Wallet(id) => {
                registry.wallet(&id, now)?;
                RegistryRecord::Wallet { id, fingerprint, valid }
            }
            PeerId::Operator(id) => {
                registry.operator(&id, now)?;
                RegistryRecord::Operator { id, fingerprint, valid }
            }
        })
    }
}

/// The one role and the one common name of a subject.
fn role_and_name<'a>(subject: &'a X509Name<'_>) -> Option<(Role, &'a str)> {
    let mut units = subject.iter_organizational_unit();
    let mut names = subject.iter_common_name();
    let (unit, name) = (units.next()?.as_str().ok()?, names.next()?.as_str().ok()?);
    // With two of either, another reader of the certificate might take the other one.
    if units.next().is_some() || names.next().is_some() {
        return None;
    }
    Some((Role::from_name(unit)?, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn peer(entries: &[(DnType, &str)]) -> Result<PeerId, PeerError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in entries {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        Peer::of_certificate(params.self_signed(&key).unwrap().der()).map(|peer| peer.id)
    }

    #[test]
    fn a_certificate_says_role_and_id() {
        let unit = |name| (DnType::OrganizationalUnitName, name);
        let named = |name| (DnType::CommonName, name);
        let gateway = PeerId::Gateway(GatewayId::new("gw-01").unwrap());
        assert_eq!(peer(&[unit("gateway"), named("gw-01")]), Ok(gateway));
        let operator = PeerId::Operator(OperatorId::new("ops").unwrap());
        assert_eq!(peer(&[unit("operator"), named("ops")]), Ok(operator));
        assert_eq!(peer(&[unit("root"), named("gw-01")]), Err(PeerError::Subject));
        assert_eq!(peer(&[named("gw-01")]), Err(PeerError::Subject));
        let wrong = peer(&[unit("gateway"), named("Gateway One")]);
        assert!(matches!(wrong, Err(PeerError::Name(_))));
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        let found = Peer::of_certificate(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]));
        assert_eq!(found.map(|peer| peer.id), Err(PeerError::Malformed));
    }
}
