//! The deployment file: what node, auditor and wallet need to know about a deployment.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256};
use files::Audience;
use model::{ChainScope, FIRST_VERSION, Millis, Word, WordError, escape};
use serde::{Deserialize, Serialize};
use statement::fingerprint::{DeploymentFacts, Fingerprint, KeyFact, OTHER_RELEASE};
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

/// A deployment, as `sequencer deploy` writes it (JSON, schema `vitals-deployment-2`).
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
    /// keccak256 of the code at its address, its constants included.
    pub runtime_hash: B256,
    /// The head when it had been created: its creation is there or before, and every batch after.
    pub block: u64,
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
    /// What tells this deployment from every other: follows from the fields above, and is computed
    /// again by every reader.
    #[serde(with = "as_text")]
    pub fingerprint: Fingerprint,
}

/// Why a deployment file cannot be used.
#[derive(Debug, Error)]
pub enum DeploymentError {
    /// There is none.
    #[error(
        "there is no deployment file {path}; take it from whoever deployed (`sequencer deploy`)"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the deployment file {path} is not accessible")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is of the first version.
    #[error("the deployment file {path} has schema vitals-deployment-1: {FIRST_VERSION}")]
    FirstVersion {
        /// Which file.
        path: PathBuf,
    },
    /// It is of another release: whole, and of no use here.
    #[error("the deployment file {path} is of another release: {OTHER_RELEASE}")]
    OtherRelease {
        /// Which file.
        path: PathBuf,
        /// What this release does not know.
        source: Damage,
    },
    /// It is there, and is not what was written.
    #[error(
        "the deployment file {path} is damaged; the contract is what it was: restore the file from \
         a backup, or take it again from whoever deployed, and do not deploy anew"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Damage,
    },
}

/// What is wrong with the content of a deployment file.
#[derive(Debug, Error)]
pub enum Damage {
    /// Longer than any is.
    #[error("expected at most {} bytes, found more", Deployment::BYTES_MAX)]
    TooLong,
    /// The content is no deployment.
    #[error("expected JSON of schema {}", Deployment::SCHEMA)]
    Json(#[from] serde_json::Error),
    /// Another schema.
    #[error("expected schema {}, found {}", Deployment::SCHEMA, escape(found))]
    Schema {
        /// Schema found.
        found: String,
    },
    /// A key proves a shape of another release. The file is as it was written:
    /// [`DeploymentError::OtherRelease`].
    #[error(
        "expected the shape of a key to be one that this release knows, found {}",
        escape(found)
    )]
    Shape {
        /// Shape found.
        found: String,
    },
    /// A word in it is malformed.
    #[error("expected a canonical field element as registrar")]
    Word(#[from] WordError),
    /// A time in it is malformed.
    #[error("expected a genesis time of 44 bits")]
    Time(#[from] model::TimeError),
    /// Its fields are not those that were fingerprinted.
    #[error("expected the fingerprint {computed} of its own fields, found {written}")]
    Fingerprint {
        /// That of the fields.
        computed: Fingerprint,
        /// The one in the file.
        written: Fingerprint,
    },
}

impl Deployment {
    /// Name and version of the format.
    pub const SCHEMA: &str = "vitals-deployment-2";
    /// That of the first version, which began with any consent root.
    const FIRST_SCHEMA: &str = "vitals-deployment-1";
    /// Largest file read, bytes.
    const BYTES_MAX: u64 = 1 << 20;

    /// Chain and contract: what signatures and proofs are bound to.
    pub fn scope(&self) -> ChainScope {
        ChainScope { chain_id: self.chain_id, contract: self.settlement.into_array() }
    }

    /// The registrar's key hash.
    ///
    /// # Errors
    /// [`Damage::Word`] if it is not canonical; never of a deployment that was [read](Self::read).
    pub fn registrar_key_hash(&self) -> Result<Word, Damage> {
        Ok(Word::from_hex(&self.registrar)?)
    }

    /// Begin of the first window.
    ///
    /// # Errors
    /// [`Damage::Time`] from 2^44 on; never of a deployment that was [read](Self::read).
    pub fn genesis_time(&self) -> Result<Millis, Damage> {
        Ok(Millis::new(self.genesis_time)?)
    }

    /// What the fingerprint is of.
    ///
    /// # Errors
    /// [`Damage`] if a field is malformed; never of a deployment that was [read](Self::read).
    pub fn facts(&self) -> Result<DeploymentFacts, Damage> {
        let key = |key: &KeyRecord| {
            let fact = KeyFact::of_shape(&key.shape, key.circuit, key.id.0);
            fact.ok_or_else(|| Damage::Shape { found: key.shape.clone() })
        };
        Ok(DeploymentFacts {
            scope: self.scope(),
            runtime_hash: self.runtime_hash.0,
            keys: self.keys.iter().map(key).collect::<Result<_, _>>()?,
            receipt_signer: self.receipt_signer.into_array(),
            registrar: self.registrar_key_hash()?,
            sequencer: self.sequencer.into_array(),
            genesis_time: self.genesis_time()?,
        })
    }

    /// With the fingerprint of its fields.
    ///
    /// # Errors
    /// [`Damage`] if a field is malformed.
    pub fn fingerprinted(mut self) -> Result<Deployment, Damage> {
        self.fingerprint = self.facts()?.fingerprint();
        Ok(self)
    }

    /// Reads and checks a deployment file.
    ///
    /// # Errors
    /// [`DeploymentError`] that says what was expected and what to do.
    pub fn read(path: &Path) -> Result<Deployment, DeploymentError> {
        let path_of = || path.to_owned();
        // The file may come from anywhere, and the parser would build whatever it describes.
        let bytes = files::read(path, Deployment::BYTES_MAX, Audience::Public);
        let bytes = bytes.map_err(|source| match source.kind() {
            ErrorKind::NotFound => DeploymentError::Missing { path: path_of() },
            ErrorKind::FileTooLarge => {
                DeploymentError::Damaged { path: path_of(), source: Damage::TooLong }
            }
            _ => DeploymentError::File { path: path_of(), source },
        })?;
        match Deployment::from_json(&bytes) {
            Ok(deployment) => Ok(deployment),
            Err(Damage::Schema { found }) if found == Deployment::FIRST_SCHEMA => {
                Err(DeploymentError::FirstVersion { path: path_of() })
            }
            Err(source @ Damage::Shape { .. }) => {
                Err(DeploymentError::OtherRelease { path: path_of(), source })
            }
            Err(source) => Err(DeploymentError::Damaged { path: path_of(), source }),
        }
    }

    fn from_json(bytes: &[u8]) -> Result<Deployment, Damage> {
        // The schema before the fields: of another version they are others, and the same fields may
        // mean something else.
        let SchemaOnly { schema } = serde_json::from_slice(bytes)?;
        if schema != Deployment::SCHEMA {
            return Err(Damage::Schema { found: schema });
        }
        let deployment: Deployment = serde_json::from_slice(bytes)?;
        // Here and not by whoever needs a field first.
        let (computed, written) = (deployment.facts()?.fingerprint(), deployment.fingerprint);
        if computed != written {
            return Err(Damage::Fingerprint { computed, written });
        }
        Ok(deployment)
    }

    /// Writes the file, whole or not at all; everybody may read it.
    ///
    /// # Errors
    /// [`DeploymentError`] if the file system refuses.
    pub fn write(&self, path: &Path) -> Result<(), DeploymentError> {
        let text = serde_json::to_string_pretty(self).expect("a deployment is plain data") + "\n";
        // A reader never finds half a file. It holds no secret, and auditors are handed it.
        files::replace(path, &[text.as_bytes()], Audience::Public)
            .map_err(|source| DeploymentError::File { path: path.to_owned(), source })
    }
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: String,
}

/// A fingerprint in JSON, as people read it.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use statement::fingerprint::Fingerprint;

    pub(super) fn serialize<S: Serializer>(of: &Fingerprint, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(of)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fingerprint, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Deployment {
        let deployment = Deployment {
            schema: Deployment::SCHEMA.into(),
            chain_id: 31337,
            settlement: Address::repeat_byte(1),
            code_hash: B256::repeat_byte(2),
            runtime_hash: B256::repeat_byte(9),
            block: 3,
            genesis_time: 5,
            registrar: Word::from_u64(6).to_hex(),
            sequencer: Address::repeat_byte(7),
            receipt_signer: Address::repeat_byte(8),
            setup: SetupKind::DevInsecure,
            keys: vec![],
            fingerprint: Fingerprint::default(),
        };
        deployment.fingerprinted().unwrap()
    }

    fn read(text: &str) -> Result<Deployment, DeploymentError> {
        let folder = std::env::temp_dir().join(format!("deployment-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{:?}", std::thread::current().id()));
        std::fs::write(&path, text).unwrap();
        let found = Deployment::read(&path);
        std::fs::remove_file(&path).unwrap();
        found
    }

    #[test]
    fn the_file_round_trips_and_unknown_fields_are_refused() {
        let text = serde_json::to_string(&deployment()).unwrap();
        assert_eq!(read(&text).unwrap(), deployment());
        let more = text.replacen('{', "{\"more\":1,", 1);
        assert!(matches!(read(&more), Err(DeploymentError::Damaged { .. })));
    }

    #[test]
    fn a_damaged_file_is_called_damaged_with_what_is_wrong_and_what_to_do() {
        let text = serde_json::to_string_pretty(&deployment()).unwrap();
        let zero = Word::from_u64(6).to_hex();
        for (damaged, wrong) in [
            (text[..text.len() / 2].to_owned(), "expected JSON"),
            (String::new(), "expected JSON"),
            ("\0".repeat(400), "expected JSON"),
            (" ".repeat(1 << 21), "found more"),
            (text.replace(&zero, &"f".repeat(64)), "canonical field element"),
            (text.replace("\"genesis_time\": 5", "\"genesis_time\": 17592186044416"), "44 bits"),
            (text.replace("31337", "1"), "fingerprint"),
            (text.replace("-2\"", "-\\u001b[2J9\""), "found vitals-deployment-\\u{1b}[2J9"),
        ] {
            let error = read(&damaged).unwrap_err();
            assert!(matches!(error, DeploymentError::Damaged { .. }), "{error}");
            let said = model::with_causes(&error);
            assert!(said.contains("is damaged") && said.contains("restore"), "{said}");
            assert!(said.contains(wrong), "expected {wrong} in: {said}");
        }
        let missing = Deployment::read(Path::new("/nowhere/deployment.json")).unwrap_err();
        assert!(matches!(missing, DeploymentError::Missing { .. }), "{missing}");
    }

    #[test]
    fn a_shape_of_another_release_is_no_damage() {
        let key = KeyRecord {
            shape: "c2-17".into(),
            circuit: 2,
            id: B256::repeat_byte(3),
            code: Address::repeat_byte(4),
        };
        let deployment = Deployment { keys: vec![key], ..deployment() }.fingerprinted().unwrap();
        let text = serde_json::to_string(&deployment).unwrap();
        assert_eq!(read(&text).unwrap(), deployment);
        let error = read(&text.replace("c2-17", "c2-huge")).unwrap_err();
        assert!(matches!(error, DeploymentError::OtherRelease { .. }), "{error}");
        let said = model::with_causes(&error);
        assert!(said.contains(OTHER_RELEASE) && said.contains("found c2-huge"), "{said}");
        assert!(!said.contains("damaged"), "{said}");
    }

    #[test]
    fn a_file_of_the_first_version_is_refused_by_name() {
        // As `sequencer deploy` of the first version wrote it.
        let first = r#"{
            "schema": "vitals-deployment-1", "chain_id": 31337, "block": 3,
            "settlement": "0xe25ea61327871ab4951b6bad42c8e997dfa6923a",
            "code_hash": "0xec6a66815b22de3842229e2fc122ae878a687f0cfef317732a6a42acebfcde7b",
            "genesis_root": "0x14ab1c98aa2c26c256fec2608c5af37a119811c92b4632f2270de7bdce375e62",
            "genesis_time": 4004886094388,
            "registrar": "0x0761dbb070cc08a8a9a03b19d0857d1ab74b6a1a23ad729a983eb2acde773746",
            "sequencer": "0x7a2690b93a2c5f717bf684c526c4c87d9753adc8",
            "receipt_signer": "0x456c469b15ba76d25bea0e8747e32a6dd19a6d33",
            "setup": "dev-insecure", "keys": []
        }"#;
        let error = read(first).unwrap_err();
        assert!(matches!(error, DeploymentError::FirstVersion { .. }), "{error}");
        assert!(error.to_string().contains(FIRST_VERSION), "{error}");
    }
}
