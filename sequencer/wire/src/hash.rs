//! Hashes with a domain, and the 20-byte address of a receipt signer.

use std::fmt;

use model::{Digest, GatewayId, PractitionerId, Word};
use sha3::{Digest as _, Keccak256};

/// keccak256 of the parts one after the other.
pub(crate) fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// blake3 in key-derivation mode under `domain`, cut to 31 bytes.
pub(crate) fn digest31(domain: &str, bytes: &[u8]) -> Digest {
    let full = blake3::derive_key(domain, bytes);
    // So that it is below the field's order, and a circuit can take it as one word.
    let mut cut = [0; 31];
    cut.copy_from_slice(&full[..31]);
    Digest(cut)
}

/// An account on the base chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a certificate entitles its owner to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Sends frames.
    Gateway = 1,
    /// Asks for access.
    Practitioner = 2,
    /// Submits a patient's signed operations.
    Wallet = 3,
    /// Submits enrolments and registry changes.
    Operator = 4,
}

impl Role {
    /// Every role, in number order.
    pub const ALL: [Role; 4] = [Role::Gateway, Role::Practitioner, Role::Wallet, Role::Operator];

    /// What it is called in a certificate's organizational unit.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Gateway => "gateway",
            Role::Practitioner => "practitioner",
            Role::Wallet => "wallet",
            Role::Operator => "operator",
        }
    }

    /// The role that is called so.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Whom a receipt is for: keccak256("vitals holder v1" || role || common name of the certificate).
///
/// It depends on the name and not on the certificate's bytes, so that a renewed certificate keeps
/// its receipts and a receipt stays a pure function of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(pub [u8; 32]);

impl Holder {
    /// The holder with this role and name.
    pub fn new(role: Role, common_name: &str) -> Holder {
        // All before the name has a fixed length, so no two pairs give the same bytes.
        Holder(keccak(&[b"vitals holder v1", &[role as u8], common_name.as_bytes()]))
    }

    /// Whoever has the key with this hash: keccak256("vitals signer v1" || key hash, big-endian).
    /// The holder of what was signed and came without a certificate.
    pub fn signer(key_hash: &Word) -> Holder {
        Holder(keccak(&[b"vitals signer v1", &key_hash.to_bytes()]))
    }

    /// A gateway.
    pub fn gateway(id: &GatewayId) -> Holder {
        Holder::new(Role::Gateway, id.as_str())
    }

    /// A practitioner.
    pub fn practitioner(id: &PractitionerId) -> Holder {
        Holder::new(Role::Practitioner, id.as_str())
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holder({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}
