//! What a client pins of a deployment, and the file that says it.

use model::{ChainScope, Millis, TimeError, Word, WordError, escape};
use serde::Deserialize;
use statement::fingerprint::{DeploymentFacts, Fingerprint, FingerprintError, KeyFact};
use thiserror::Error;
use wire::Address;

/// Name and version of the format.
pub(super) const SCHEMA: &str = "vitals-deployment-2";

/// That of the first version.
pub(super) const FIRST_SCHEMA: &str = "vitals-deployment-1";

/// What a client pins of a deployment: signatures, receipts and requests are bound to it.
///
/// Read from a deployment file (schema `vitals-deployment-2`), whose fingerprint is computed again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deployment {
    /// Chain and settlement contract.
    pub scope: ChainScope,
    /// Who signs receipts.
    pub receipt_signer: Address,
    /// Hash of the registrar's key.
    pub registrar: Word,
    /// What tells the deployment from every other: compare it with the one that you were told.
    pub fingerprint: Fingerprint,
}

/// What is wrong with the content of a deployment file.
#[derive(Debug, Error)]
pub enum DeploymentDamage {
    /// The content is no deployment.
    #[error("expected JSON of schema {SCHEMA}")]
    Json(#[from] serde_json::Error),
    /// Another schema.
    #[error("expected schema {SCHEMA}, found {}", escape(found))]
    Schema {
        /// Schema found.
        found: String,
    },
    /// An address or a hash in it is malformed.
    #[error("expected {bytes} bytes in hex as {what}")]
    Hex {
        /// Which field.
        what: &'static str,
        /// How many bytes it has.
        bytes: usize,
    },
    /// A key proves a shape of another release. The file is as it was written:
    /// [`OtherRelease`](crate::IdentityError::OtherRelease).
    #[error(
        "expected the shape of a key to be one that this release knows, found {}",
        escape(found)
    )]
    Shape {
        /// Shape found.
        found: String,
    },
    /// The registrar's key hash is malformed.
    #[error("expected a field element as registrar")]
    Registrar(#[from] WordError),
    /// The genesis time is malformed.
    #[error("expected a genesis time of 44 bits")]
    Time(#[from] TimeError),
    /// The fingerprint is malformed.
    #[error(transparent)]
    Text(#[from] FingerprintError),
    /// Its fields are not those that were fingerprinted.
    #[error("expected the fingerprint {computed} of its own fields, found {written}")]
    Fingerprint {
        /// That of the fields.
        computed: Fingerprint,
        /// The one in the file.
        written: Fingerprint,
    },
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: String,
}

#[derive(Deserialize)]
struct DeploymentFile {
    chain_id: u64,
    settlement: String,
    runtime_hash: String,
    genesis_time: u64,
    registrar: String,
    sequencer: String,
    receipt_signer: String,
    keys: Vec<KeyRecord>,
    fingerprint: String,
}

#[derive(Deserialize)]
struct KeyRecord {
    shape: String,
    circuit: u8,
    id: String,
}

impl Deployment {
    /// From a deployment file's content.
    ///
    /// # Errors
    /// [`DeploymentDamage`] that names the field.
    pub fn from_json(json: &[u8]) -> Result<Deployment, DeploymentDamage> {
        // The schema before the fields: those of another version may mean something else.
        let SchemaOnly { schema } = serde_json::from_slice(json)?;
        if schema != SCHEMA {
            return Err(DeploymentDamage::Schema { found: schema });
        }
        let file: DeploymentFile = serde_json::from_slice(json)?;
        let written = file.fingerprint.parse()?;
        let facts = file.facts()?;
        let fingerprint = facts.fingerprint();
        if fingerprint != written {
            return Err(DeploymentDamage::Fingerprint { computed: fingerprint, written });
        }
        let DeploymentFacts { scope, registrar, .. } = facts;
        let receipt_signer = Address(facts.receipt_signer);
        Ok(Deployment { scope, receipt_signer, registrar, fingerprint })
    }
}

impl DeploymentFile {
    fn facts(&self) -> Result<DeploymentFacts, DeploymentDamage> {
        let key = |key: &KeyRecord| {
            let id = bytes("the id of a key", &key.id)?;
            let fact = KeyFact::of_shape(&key.shape, key.circuit, id);
            fact.ok_or_else(|| DeploymentDamage::Shape { found: key.shape.clone() })
        };
        Ok(DeploymentFacts {
            scope: ChainScope {
                chain_id: self.chain_id,
                contract: bytes("settlement", &self.settlement)?,
            },
            runtime_hash: bytes("runtime_hash", &self.runtime_hash)?,
            keys: self.keys.iter().map(key).collect::<Result<_, _>>()?,
            receipt_signer: bytes("receipt_signer", &self.receipt_signer)?,
            registrar: Word::from_hex(&self.registrar)?,
            sequencer: bytes("sequencer", &self.sequencer)?,
            genesis_time: Millis::new(self.genesis_time)?,
        })
    }
}

/// Bytes in hex, with or without `0x`.
fn bytes<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], DeploymentDamage> {
    let mut bytes = [0; N];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let wrong = |_| DeploymentDamage::Hex { what, bytes: N };
    hex::decode_to_slice(digits, &mut bytes).map_err(wrong)?;
    Ok(bytes)
}

/// An address in hex, with or without `0x`.
pub(crate) fn parse_address(what: &'static str, text: &str) -> Result<Address, DeploymentDamage> {
    bytes(what, text).map(Address)
}
