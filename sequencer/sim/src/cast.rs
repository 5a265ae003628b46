//! Who there is: an authority, a node, gateways with a device and a patient each. All of it is a
//! function of names, to the last byte of a certificate, so that a run can be made again.

use std::path::Path;

use client::{Deployment, Identity, IdentityError};
use files::Audience;
use model::{
    Action, Categories, ChainScope, ClaimKind, DeviceId, GatewayId, IdError, Interval, Labels,
    Millis, Operation, OrganisationId, Party, PatientIndex, Purposes, Rule, RuleSlot, Word,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use sequencer::folder::authority::fingerprint;
use statement::eddsa::SecretKey;
use statement::fingerprint::Fingerprint;
use statement::{field, operation, scope};
use thiserror::Error;
use wire::{
    DecodeError, RegistryChange, RegistryRecord, Role, SignedOperation, SigningKey, StreamKey,
    signer_address,
};

use crate::dice;

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
    /// A name, or the index of a patient.
    #[error("a name cannot be made")]
    Name(#[from] IdError),
    /// An operation.
    #[error("an operation cannot be made")]
    Operation(#[from] DecodeError),
    /// A file.
    #[error("a file of the node cannot be written")]
    File(#[from] std::io::Error),
}

/// Certificate and key in PEM.
struct Pem {
    certificate: String,
    key: String,
    fingerprint: [u8; 32],
}

/// A gateway with the one device that it reads.
pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    pub(crate) device: DeviceId,
    pub(crate) patient: PatientIndex,
    pem: Pem,
}

/// Everybody.
pub(crate) struct Cast {
    issuer: Issuer<'static, KeyPair>,
    authority: String,
    hospital: OrganisationId,
    pub(crate) gateways: Vec<Gateway>,
}

impl Cast {
    /// So many gateways, each with a device and a patient of its own.
    pub(crate) fn new(gateways: usize) -> Result<Cast, CastError> {
        let mut params = params("authority", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = key("authority")?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let hospital = OrganisationId::new("hospital")?;
        let mut cast = Cast { issuer, authority, hospital, gateways: Vec::new() };
        for number in 0..gateways {
            let gateway = cast.gateway(number)?;
            cast.gateways.push(gateway);
        }
        Ok(cast)
    }

    fn gateway(&self, number: usize) -> Result<Gateway, CastError> {
        let name = format!("gateway-{number:05}");
        let mut params = params(&name, Some(Role::Gateway));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(Gateway {
            id: GatewayId::new(&name)?,
            device: DeviceId::new(&format!("monitor-{number:05}"))?,
            patient: PatientIndex::new(1_000 + number as u32)?,
            pem: self.issue(&name, params)?,
        })
    }

    fn issue(&self, name: &str, mut params: CertificateParams) -> Result<Pem, CastError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = key(name)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let fingerprint = fingerprint(certificate.der());
        Ok(Pem { certificate: certificate.pem(), key: key.serialize_pem(), fingerprint })
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
                valid: Interval::ALWAYS,
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
        let records = self.gateways.iter().flat_map(of_gateway);
        std::iter::once(hospital).chain(records).map(RegistryChange::Add).collect()
    }

    /// The consent of a patient: enrolled, with a permit to collect what its device measures.
    pub(crate) fn consent(
        &self,
        gateway: &Gateway,
        now: Millis,
    ) -> Result<[SignedOperation; 2], CastError> {
        let key = patient_key(gateway.patient);
        let enrol = Action::Enrol {
            key_hash: key_hash(&key),
            view_key: Word::from_u64(11),
            salt: Word::from_u64(12),
        };
        let rule = Rule {
            actor: Party::Named(scope::device(&gateway.device)),
            source: Party::Any,
            categories: Categories::ALL,
            purposes: Purposes::ALL,
            kinds: ClaimKind::Collect.only(),
            labels: Labels::ALL,
            access: Interval::ALWAYS,
            data: Interval::ALWAYS,
        };
        let permit = Action::Write { slot: RuleSlot::Permit(0), rule };
        let signed = |nonce, action, key: &SecretKey| {
            let (patient, valid_until) = (gateway.patient, now.plus(600_000));
            let operation = Operation { patient, nonce, signed_at: now, valid_until, action };
            let domain = scope::sig_domain(chain_scope());
            let signed = operation::SignedOperation::sign(operation, domain, key);
            SignedOperation::new(signed.to_bytes().to_vec())
        };
        Ok([signed(0, enrol, &registrar())?, signed(0, permit, &key)?])
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

pub(crate) fn chain_scope() -> ChainScope {
    ChainScope { chain_id: 31_337, contract: [7; 20] }
}

/// The key of receipts.
pub(crate) fn receipt_key() -> SigningKey {
    SigningKey::from_slice(&[9; 32]).expect("a number below the order of the curve, not zero")
}

pub(crate) fn registrar() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

/// The hash by which a record and a deployment name a key.
pub(crate) fn key_hash(key: &SecretKey) -> Word {
    let bytes = field::to_bytes(&key.public().hash());
    Word::from_bytes(bytes).expect("the bytes of a field element are canonical")
}

fn patient_key(patient: PatientIndex) -> SecretKey {
    SecretKey::from_bytes(&dice::bytes(u64::from(patient.get()), "patient"))
}

fn key(name: &str) -> Result<KeyPair, CastError> {
    // Ed25519 draws nothing when it signs, and its signatures are all of one length.
    let pkcs8 = [&PKCS8_HEAD[..], &dice::bytes(0, name)[..]].concat();
    let der = PrivatePkcs8KeyDer::from(pkcs8);
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)?)
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
