//! The deployment file: what node, auditor and wallet need to know about a deployment.

use std::path::Path;

use alloy::primitives::{Address, B256};
use files::Audience;
use model::{ChainScope, Millis, Word, WordError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How the verifying keys were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetupKind {
    /// From public constants: anybody can forge. Refused off development chains.
    DevInsecure,
    /// By a ceremony with a transcript.
    Ceremony,
}

/// One verifying key of the deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Name of its shape.
    pub shape: String,
    /// 1 for C1, 2 for C2.
    pub circuit: u8,
    /// keccak256 of the key's words.
    pub id: B256,
    /// Address of the data contract that holds them.
    pub code: Address,
}

/// A deployment, as `sequencer deploy` writes it (JSON, schema `vitals-deployment-1`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Always [`Deployment::SCHEMA`].
    pub schema: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the settlement contract.
    pub settlement: Address,
    /// keccak256 of its creation code, without constructor arguments.
    pub code_hash: B256,
    /// The head when it had been created: its creation is there or before, and every batch after.
    pub block: u64,
    /// Consent root before the first batch, hex.
    pub genesis_root: String,
    /// Begin of the first window, milliseconds since 1900.
    pub genesis_time: u64,
    /// Hash of the registrar's key, hex.
    pub registrar: String,
    /// Who may settle.
    pub sequencer: Address,
    /// Who signs receipts.
    pub receipt_signer: Address,
    /// How the keys were made.
    pub setup: SetupKind,
    /// The verifying keys.
    pub keys: Vec<KeyRecord>,
}

/// A file that is no deployment.
#[derive(Debug, Error)]
pub enum DeploymentError {
    /// The file cannot be read or written.
    #[error("the deployment file {path} is not accessible")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The content is no deployment.
    #[error("expected a deployment file (schema {})", Deployment::SCHEMA)]
    Format(#[from] serde_json::Error),
    /// Another schema.
    #[error("expected schema {}, found {found}", Deployment::SCHEMA)]
    Schema {
        /// Schema found.
        found: String,
    },
    /// A word in it is malformed.
    #[error("expected canonical field elements as registrar and genesis root")]
    Word(#[from] WordError),
    /// A time in it is malformed.
    #[error("expected a genesis time of 44 bits")]
    Time(#[from] model::TimeError),
}

impl Deployment {
    /// Name and version of the format.
    pub const SCHEMA: &str = "vitals-deployment-1";
    /// Largest file read, bytes.
    const BYTES_MAX: usize = 1 << 20;

    /// Chain and contract: what signatures and proofs are bound to.
    pub fn scope(&self) -> ChainScope {
        ChainScope { chain_id: self.chain_id, contract: self.settlement.into_array() }
    }

    /// The registrar's key hash.
    ///
    /// # Errors
    /// [`DeploymentError::Word`] if it is not canonical.
    pub fn registrar_key_hash(&self) -> Result<Word, DeploymentError> {
        Ok(Word::from_hex(&self.registrar)?)
    }

    /// The consent root before the first batch.
    ///
    /// # Errors
    /// [`DeploymentError::Word`] if it is not canonical.
    pub fn genesis_root(&self) -> Result<Word, DeploymentError> {
        Ok(Word::from_hex(&self.genesis_root)?)
    }

    /// Begin of the first window.
    ///
    /// # Errors
    /// [`DeploymentError::Time`] from 2^44 on.
    pub fn genesis_time(&self) -> Result<Millis, DeploymentError> {
        Ok(Millis::new(self.genesis_time)?)
    }

    /// Reads and checks a deployment file.
    ///
    /// # Errors
    /// [`DeploymentError`] that says what was expected.
    pub fn read(path: &Path) -> Result<Deployment, DeploymentError> {
        let file = |source| DeploymentError::File { path: path.display().to_string(), source };
        let bytes = std::fs::read(path).map_err(file)?;
        // The file may come from anywhere, and the parser would build whatever it describes.
        if bytes.len() > Deployment::BYTES_MAX {
            return Err(DeploymentError::Schema { found: format!("{} bytes", bytes.len()) });
        }
        let deployment: Deployment = serde_json::from_slice(&bytes)?;
        // The same fields are not yet the same version: what they mean may differ.
        if deployment.schema != Deployment::SCHEMA {
            return Err(DeploymentError::Schema { found: deployment.schema });
        }
        // They stay texts in the struct. Wrong ones are refused by the file's reader, and not by
        // whoever needs them first.
        deployment.registrar_key_hash()?;
        deployment.genesis_root()?;
        deployment.genesis_time()?;
        Ok(deployment)
    }

    /// Writes the file, whole or not at all; everybody may read it.
    ///
    /// # Errors
    /// [`DeploymentError`] if the file system refuses.
    pub fn write(&self, path: &Path) -> Result<(), DeploymentError> {
        let file = |source| DeploymentError::File { path: path.display().to_string(), source };
        let text = serde_json::to_string_pretty(self)? + "\n";
        // A reader never finds half a file. It holds no secret, and auditors are handed it.
        files::replace(path, &[text.as_bytes()], Audience::Public).map_err(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Deployment {
        Deployment {
            schema: Deployment::SCHEMA.into(),
            chain_id: 31337,
            settlement: Address::repeat_byte(1),
            code_hash: B256::repeat_byte(2),
            block: 3,
            genesis_root: Word::from_u64(4).to_hex(),
            genesis_time: 5,
            registrar: Word::from_u64(6).to_hex(),
            sequencer: Address::repeat_byte(7),
            receipt_signer: Address::repeat_byte(8),
            setup: SetupKind::DevInsecure,
            keys: vec![],
        }
    }

    #[test]
    fn the_file_round_trips_and_unknown_fields_are_refused() {
        let text = serde_json::to_string(&deployment()).unwrap();
        assert_eq!(serde_json::from_str::<Deployment>(&text).unwrap(), deployment());
        let more = text.replacen('{', "{\"more\":1,", 1);
        assert!(serde_json::from_str::<Deployment>(&more).is_err());
    }
}
