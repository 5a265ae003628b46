//! Who there is: an authority, a node, gateways with a device and a patient each. All of it is a
//! function of names, to the last byte of a certificate, so that a run can be made again.

use std::path::Path;
use std::time::Duration;

use client::{Deployment, Identity, IdentityError};
use files::Audience;
use model::{
    Action, Categories, ClaimKind, DeviceId, GatewayId, IdError, Interval, Labels, Millis,
    Operation, OrganisationId, Party, PatientIndex, Purposes, Rule, RuleSlot, WalletId, Word,
};
use rand::Rng;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequest,
    CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData,
};
use rustls_pki_types::{CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use sequencer::folder::authority::fingerprint;
use statement::eddsa::SecretKey;
use statement::fingerprint::Fingerprint;
use statement::operation::SignedOperation;
use statement::scope;
use thiserror::Error;
use wire::{RegistryChange, RegistryRecord, Role, StreamKey, signer_address};

use crate::clock::BEGIN_UNIX_MS;
use crate::dice::{self, one_of_hundred};
use crate::faults::{FIRST_MS, HEALED_MS};
use crate::keys::{chain_scope, key_hash, receipt_key, registrar};

/// The name in the node's certificate.
pub(crate) const SERVER_NAME: &str = "node";

/// The signal that everybody sends, code of ISO/IEEE 11073-10101: an electrocardiogram.
pub(crate) const SIGNAL: u32 = 131_328;

/// What an Ed25519 key has before its 32 bytes in PKCS #8 (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Somebody who cannot be made.
#[derive(Debug, Error)]
pub enum CastError {
    /// A certificate.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// An identity.
    #[error("an identity cannot be made")]
    Identity(#[from] IdentityError),
    /// A certificate for a request that is none.
    #[error("expected the request of a certificate")]
    Request,
    /// A name, or the index of a patient.
    #[error("a name cannot be made")]
    Name(#[from] IdError),
    /// A file.
    #[error("a file of the node cannot be written")]
    File(#[from] std::io::Error),
}

/// Certificate and key in PEM.
struct Pem {
    certificate: String,
    key: String,
    fingerprint: [u8; 32],
    /// When it may be used, as the registry says it.
    valid: Interval,
}

/// A gateway with the one device that it reads.
pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    pub(crate) device: DeviceId,
    pub(crate) patient: PatientIndex,
    /// When its certificate is to be renewed, milliseconds; none: not in a run.
    pub(crate) renew_at_ms: Option<u64>,
    pem: Pem,
}

/// A patient's wallet.
struct Wallet {
    id: WalletId,
    pem: Pem,
}

/// Everybody.
pub(crate) struct Cast {
    issuer: Issuer<'static, KeyPair>,
    authority: String,
    hospital: OrganisationId,
    pub(crate) gateways: Vec<Gateway>,
    /// Of the gateways' patients; none where nobody changes their consent.
    wallets: Vec<Wallet>,
}

impl Cast {
    /// So many gateways, each with a device and a patient of its own, with certificates that
    /// outlive every run.
    pub(crate) fn new(gateways: usize) -> Result<Cast, CastError> {
        Cast::with(gateways, |_| None)
    }

    /// The same, with a wallet for each patient, and certificates some of which are to be renewed
    /// while the run of a seed goes on.
    pub(crate) fn of_seed(seed: u64, gateways: usize) -> Result<Cast, CastError> {
        let mut dice = dice::dice(seed, "certificates");
        let mut cast = Cast::with(gateways, |_| {
            let (is_due, at_ms) =
                (one_of_hundred(&mut dice, 60), dice.gen_range(FIRST_MS..HEALED_MS));
            is_due.then_some(at_ms)
        })?;
        for number in 0..gateways {
            let name = format!("wallet-{number:05}");
            let mut params = params(&name, Some(Role::Wallet));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let pem = cast.issue(&name, params)?;
            cast.wallets.push(Wallet { id: WalletId::new(&name)?, pem });
        }
        Ok(cast)
    }

    fn with(
        gateways: usize,
        mut renew_at_ms: impl FnMut(usize) -> Option<u64>,
    ) -> Result<Cast, CastError> {
        let mut params = params("authority", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = key("authority")?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let hospital = OrganisationId::new("hospital")?;
        let (of_gateways, wallets) = (Vec::new(), Vec::new());
        let mut cast = Cast { issuer, authority, hospital, gateways: of_gateways, wallets };
        for number in 0..gateways {
            let gateway = cast.gateway(number, renew_at_ms(number))?;
            cast.gateways.push(gateway);
        }
        Ok(cast)
    }

    fn gateway(&self, number: usize, renew_at_ms: Option<u64>) -> Result<Gateway, CastError> {
        let name = format!("gateway-{number:05}");
        let mut params = params(&name, Some(Role::Gateway));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let mut valid = Interval::ALWAYS;
        if let Some(at_ms) = renew_at_ms {
            // A client renews from the half of a certificate's life on, and TLS asks the clock of
            // the machine: a long life, whose half comes in the run.
            let half_ms = BEGIN_UNIX_MS + at_ms / 1_000 * 1_000;
            let begin = rcgen::date_time_ymd(1970, 1, 1);
            params.not_before = begin;
            params.not_after = begin + Duration::from_millis(2 * half_ms);
            valid = Interval {
                from: Millis::from_unix_ms(0),
                until: Millis::from_unix_ms(2 * half_ms),
            };
        }
        Ok(Gateway {
            renew_at_ms,
            id: GatewayId::new(&name)?,
            device: DeviceId::new(&format!("monitor-{number:05}"))?,
            patient: PatientIndex::new(1_000 + number as u32)?,
            pem: Pem { valid, ..self.issue(&name, params)? },
        })
    }

    fn issue(&self, name: &str, params: CertificateParams) -> Result<Pem, CastError> {
        let key = key(name)?;
        let certificate = self.sign(params, &key)?;
        let (fingerprint, valid) = (fingerprint(certificate.der()), Interval::ALWAYS);
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        Ok(Pem { certificate, key, fingerprint, valid })
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<Certificate, CastError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok(params.signed_by(key, &self.issuer)?)
    }

    /// The certificate that an operator issues to a gateway for its request, in DER.
    ///
    /// # Errors
    /// [`CastError::Request`] if it is none.
    pub(crate) fn renew(&self, gateway: &str, request: &[u8]) -> Result<Vec<u8>, CastError> {
        let request = CertificateSigningRequestDer::from(request);
        let request = CertificateSigningRequestParams::from_der(&request);
        let key = request.map_err(|_| CastError::Request)?.public_key;
        let mut params = params(gateway, Some(Role::Gateway));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(self.sign(params, &key)?.der().to_vec())
    }

    /// Fingerprint of the certificate with which a gateway ends a run, if it renews one.
    pub(crate) fn renewed(&self, gateway: &Gateway) -> Option<[u8; 32]> {
        gateway.renew_at_ms?;
        let (_, request) = next_key(gateway.id.as_str()).ok()?;
        let certificate = self.renew(gateway.id.as_str(), request.der()).ok()?;
        Some(fingerprint(&certificate.into()))
    }

    /// Writes the folder of a gateway's identity, with the key and the request that it has ready
    /// where its certificate is to be renewed.
    pub(crate) fn write_identity(&self, gateway: &Gateway, to: &Path) -> Result<(), CastError> {
        let Pem { certificate, key, fingerprint, .. } = &gateway.pem;
        files::make_folder(to, Audience::Owner)?;
        let (next, request) = next_key(gateway.id.as_str())?;
        let (next, request) = (next.serialize_pem(), request.pem()?);
        let next = format!("Renews: {}\n{next}{request}", hex::encode(fingerprint));
        let next = gateway.renew_at_ms.map(|_| ("renewal.pem", &next));
        let written = [("ca.pem", &self.authority), ("cert.pem", certificate), ("key.pem", key)];
        for (name, text) in written.into_iter().chain(next) {
            files::create(&to.join(name), text.as_bytes(), Audience::Owner)?;
        }
        Ok(())
    }

    /// The identity of a patient's wallet.
    pub(crate) fn wallet_identity(&self, number: usize) -> Result<Identity, CastError> {
        let Pem { certificate, key, .. } = &self.wallets[number].pem;
        Ok(Identity::from_pem(self.authority.as_bytes(), certificate.as_bytes(), key.as_bytes())?)
    }

    /// Writes what a node shows and whom it trusts, as its operator's folder holds it.
    pub(crate) fn write_server(&self, folder: &Path) -> Result<(), CastError> {
        let mut params = params(SERVER_NAME, None);
        params.subject_alt_names =
            CertificateParams::new([SERVER_NAME.to_owned()])?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let pem = self.issue(SERVER_NAME, params)?;
        files::make_folder(folder, Audience::Owner)?;
        let files =
            [("ca.pem", &self.authority), ("cert.pem", &pem.certificate), ("key.pem", &pem.key)];
        for (name, text) in files {
            files::create(&folder.join(name), text.as_bytes(), Audience::Owner)?;
        }
        Ok(())
    }

    /// The identity of a gateway.
    pub(crate) fn identity(&self, gateway: &Gateway) -> Result<Identity, CastError> {
        let Pem { certificate, key, .. } = &gateway.pem;
        Ok(Identity::from_pem(self.authority.as_bytes(), certificate.as_bytes(), key.as_bytes())?)
    }

    /// The registry, in the order in which it is filled.
    pub(crate) fn registry(&self) -> Vec<RegistryChange> {
        let hospital = RegistryRecord::Organisation { id: self.hospital.clone() };
        let of_gateway = |one: &Gateway| {
            let gateway = RegistryRecord::Gateway {
                id: one.id.clone(),
                organisation: self.hospital.clone(),
                fingerprint: one.pem.fingerprint,
                valid: one.pem.valid,
            };
            let device = RegistryRecord::Device {
                id: one.device.clone(),
                organisation: self.hospital.clone(),
                patient: one.patient,
                signals: vec![SIGNAL],
                gateways: vec![one.id.clone()],
            };
            [gateway, device]
        };
        let of_wallet = |one: &Wallet| RegistryRecord::Wallet {
            id: one.id.clone(),
            fingerprint: one.pem.fingerprint,
            valid: one.pem.valid,
        };
        let records = self.gateways.iter().flat_map(of_gateway);
        let records = records.chain(self.wallets.iter().map(of_wallet));
        std::iter::once(hospital).chain(records).map(RegistryChange::Add).collect()
    }

    /// The consent of a patient: enrolled, with a permit to collect what its device measures.
    pub(crate) fn consent(&self, gateway: &Gateway, now: Millis) -> [SignedOperation; 2] {
        let key = patient_key(gateway.patient);
        let enrol = Action::Enrol {
            key_hash: key_hash(&key),
            view_key: Word::from_u64(11),
            salt: Word::from_u64(12),
        };
        let rule = collect_rule(&gateway.device);
        let permit = Action::Write { slot: RuleSlot::Permit(0), rule };
        let signed = |nonce, action, key: &SecretKey| {
            let (patient, valid_until) = (gateway.patient, now.plus(600_000));
            let operation = Operation { patient, nonce, signed_at: now, valid_until, action };
            let domain = scope::sig_domain(chain_scope());
            SignedOperation::sign(operation, domain, key)
        };
        [signed(0, enrol, &registrar()), signed(0, permit, &key)]
    }
}

impl Gateway {
    /// What it sends.
    pub(crate) fn stream(&self) -> StreamKey {
        StreamKey { device: self.device.clone(), patient: self.patient, signal: SIGNAL }
    }
}

/// What every client pins.
pub(crate) fn deployment() -> Deployment {
    let digits = "05".repeat(Fingerprint::BYTES);
    let fingerprint = digits.parse::<Fingerprint>().expect("so many digits as it has");
    let (scope, receipt_signer) = (chain_scope(), signer_address(&receipt_key()));
    Deployment { scope, receipt_signer, registrar: key_hash(&registrar()), fingerprint }
}

/// A rule about everything that a device measures.
pub(crate) fn collect_rule(device: &DeviceId) -> Rule {
    Rule {
        actor: Party::Named(scope::device(device)),
        source: Party::Any,
        categories: Categories::ALL,
        purposes: Purposes::ALL,
        kinds: ClaimKind::Collect.only(),
        labels: Labels::ALL,
        access: Interval::ALWAYS,
        data: Interval::ALWAYS,
    }
}

/// The key that signs operations of a patient.
pub(crate) fn patient_key(patient: PatientIndex) -> SecretKey {
    SecretKey::from_bytes(&dice::bytes(u64::from(patient.get()), "patient"))
}

fn key(name: &str) -> Result<KeyPair, CastError> {
    // Ed25519 draws nothing when it signs, and its signatures are all of one length.
    let pkcs8 = [&PKCS8_HEAD[..], &dice::bytes(0, name)[..]].concat();
    let der = PrivatePkcs8KeyDer::from(pkcs8);
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)?)
}

/// The key with which a gateway renews its certificate, and the request for it, as its client would
/// have made and kept them: one that is made in a run is drawn by chance.
fn next_key(gateway: &str) -> Result<(KeyPair, CertificateSigningRequest), CastError> {
    let key = key(&format!("next key of {gateway}"))?;
    let request = CertificateParams::default().serialize_request(&key)?;
    Ok((key, request))
}

fn params(common_name: &str, role: Option<Role>) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    if let Some(role) = role {
        name.push(DnType::OrganizationalUnitName, role.name());
    }
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    // TLS asks the clock of the machine, not that of the simulation.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2200, 1, 1);
    params
}
