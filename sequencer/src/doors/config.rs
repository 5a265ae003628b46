//! The node's configuration: one TOML file, every value with its unit, default and limit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use model::limits::WINDOW_MS_MAX;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::stages::deliver::DeliverConfig;
use crate::stages::ingest::{IngestConfig, LimitError};
use crate::window::WindowLimits;

/// The whole configuration. Unknown keys are refused; what is left out has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// QUIC for gateways, wallets and practitioners.
    pub ingest: IngestSection,
    /// The log.
    pub journal: JournalSection,
    /// What may wait between the writer and those it delivers to.
    pub deliver: DeliverConfig,
    /// Windows and shapes.
    pub batch: BatchSection,
    /// Proving keys.
    pub prover: ProverSection,
    /// The base chain.
    pub chain: ChainSection,
    /// Batch files, metrics and health over HTTP.
    pub http: HttpSection,
}

/// `[ingest]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestSection {
    /// Address and port of the QUIC endpoint; port 0 takes a free one. Default 127.0.0.1:4433.
    pub listen: SocketAddr,
    /// Names in the server's certificate. Default `["localhost", "127.0.0.1"]`.
    pub server_names: Vec<String>,
    /// How far ahead of the node's clock a reading or signature may be, milliseconds.
    /// Default 60,000; at most 3,600,000.
    pub clock_skew_ms_max: u64,
    /// Most frames that one access releases. Default 1,024; at most 65,536. Memory: 8 bytes each.
    pub released_frames_max: usize,
    /// Limits of the QUIC server and of each connection.
    pub limits: IngestConfig,
}

impl Default for IngestSection {
    fn default() -> IngestSection {
        IngestSection {
            listen: SocketAddr::from(([127, 0, 0, 1], 4433)),
            server_names: vec!["localhost".into(), "127.0.0.1".into()],
            clock_skew_ms_max: 60_000,
            released_frames_max: 1024,
            limits: IngestConfig::default(),
        }
    }
}

/// `[journal]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSection {
    /// Items that may wait for the writer; a further one is refused as busy. Default 4,096; at most
    /// 1,048,576. Memory: that many frames of up to 64 KiB, twice.
    pub queue_items_max: usize,
}

impl Default for JournalSection {
    fn default() -> JournalSection {
        JournalSection { queue_items_max: 4096 }
    }
}

/// `[batch]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchSection {
    /// A window is closed when it is this old, milliseconds. Default 60,000; 100 to 2^27. Shorter
    /// windows cost proving and gas, and make a withdrawal visible on chain sooner.
    pub close_after_ms: u64,
    /// A window is closed early when it holds this many operations. Default 512; lowered to what
    /// the shapes settle in one transaction (`limits::BATCH_PROOFS_MAX`).
    pub operations_max: usize,
    /// ... or this many claims, open segments included. Default 4,096; lowered likewise.
    pub claims_max: usize,
    /// Shape of C1 proofs (`prover shapes`). Default `c1-17`.
    pub operations_shape: String,
    /// Shape of C2 proofs. Default `c2-17`.
    pub claims_shape: String,
}

impl Default for BatchSection {
    fn default() -> BatchSection {
        let WindowLimits { operations_max, claims_max } = WindowLimits::default();
        BatchSection {
            close_after_ms: 60_000,
            operations_max,
            claims_max,
            operations_shape: "c1-17".into(),
            claims_shape: "c2-17".into(),
        }
    }
}

/// `[prover]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ProverSection {
    /// Folder of proving keys. Default: `proving-keys` in the node's folder.
    pub keys: Option<PathBuf>,
}

/// `[chain]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ChainSection {
    /// URL of an EVM node (`http://...`). Without it the embedded development chain is used.
    pub rpc: Option<String>,
    /// Port of the embedded chain's JSON-RPC on loopback; 0 takes a free one. Default 0.
    pub embedded_port: u16,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Address and port; port 0 takes a free one. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
}

impl Default for HttpSection {
    fn default() -> HttpSection {
        HttpSection { listen: SocketAddr::from(([127, 0, 0, 1], 8080)) }
    }
}

/// A configuration that is not accepted.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no configuration.
    #[error("the configuration {path} is malformed: {source}")]
    Format {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A limit of ingest is out of its own limits.
    #[error("ingest.limits: {0}")]
    Ingest(#[from] LimitError),
    /// A value is out of its limits.
    #[error("expected {key} to be {expected}, found {found}")]
    Value {
        /// Section and key.
        key: &'static str,
        /// What is allowed.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let file = |source| ConfigError::File { path: path.into(), source };
        let text = std::fs::read_to_string(path).map_err(file)?;
        let format = |source| ConfigError::Format { path: path.into(), source: Box::new(source) };
        let config: Config = toml::from_str(&text).map_err(format)?;
        config.check()?;
        Ok(config)
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first that does not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        let batch = &self.batch;
        within("batch.close_after_ms", batch.close_after_ms, 100, WINDOW_MS_MAX - 1000)?;
        within("batch.operations_max", batch.operations_max as u64, 1, 65_536)?;
        within("batch.claims_max", batch.claims_max as u64, 1, 65_536)?;
        within("ingest.clock_skew_ms_max", self.ingest.clock_skew_ms_max, 0, 3_600_000)?;
        let released = self.ingest.released_frames_max as u64;
        within("ingest.released_frames_max", released, 1, 65_536)?;
        within("journal.queue_items_max", self.journal.queue_items_max as u64, 1, 1 << 20)?;
        let deliver = &self.deliver;
        for (key, found) in [
            ("deliver.groups_max", deliver.groups_max),
            ("deliver.session_receipts_max", deliver.session_receipts_max),
            ("deliver.windows_max", deliver.windows_max),
        ] {
            within(key, found as u64, 1, 65_536)?;
        }
        for (key, found) in [
            ("batch.operations_shape", &batch.operations_shape),
            ("batch.claims_shape", &batch.claims_shape),
        ] {
            if circuits::shapes::Shape::named(found).is_none() {
                let expected = "the name of a shape (see `prover shapes`)".into();
                return Err(ConfigError::Value { key, expected, found: found.clone() });
            }
        }
        self.ingest.limits.check()?;
        if self.ingest.server_names.is_empty() {
            let expected = "at least one name".into();
            let found = "none".into();
            return Err(ConfigError::Value { key: "ingest.server_names", expected, found });
        }
        if !self.http.listen.ip().is_loopback() {
            let expected = "a loopback address (put a proxy before it)".into();
            let found = self.http.listen.to_string();
            return Err(ConfigError::Value { key: "http.listen", expected, found });
        }
        Ok(())
    }

    /// The file as `sequencer init` writes it: every value, at its default.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a configuration is plain data")
    }

    /// When a window is closed early.
    pub fn window_limits(&self) -> WindowLimits {
        WindowLimits {
            operations_max: self.batch.operations_max,
            claims_max: self.batch.claims_max,
        }
    }
}

fn within(key: &'static str, found: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let expected = format!("{least} to {most}");
    Err(ConfigError::Value { key, expected, found: found.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map(|()| config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_is_valid_and_round_trips() {
        let text = Config::default().to_toml();
        assert_eq!(parse(&text), Ok(Config::default()));
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn unknown_keys_and_values_out_of_limits_are_named() {
        let cases = [
            ("[batch]\nclose_after = 5", "close_after"),
            ("[batch]\nclose_after_ms = 5", "batch.close_after_ms"),
            ("[batch]\nclaims_shape = \"c9\"", "batch.claims_shape"),
            ("[http]\nlisten = \"0.0.0.0:80\"", "http.listen"),
            ("[ingest]\nserver_names = []", "ingest.server_names"),
            ("[deliver]\nwindows_max = 0", "deliver.windows_max"),
            ("[deliver]\ngroups_max = 65537", "deliver.groups_max"),
            ("[nonsense]", "nonsense"),
        ];
        for (text, named) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.contains(named), "{error} does not name {named}");
        }
    }
}
