//! The node's configuration: one TOML file, every value with its unit, default and limit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use accounting::notices::Hosts;
use circuits::shapes::Shape;
use prover::{Choice, Priority, Setup};
use serde::{Deserialize, Serialize};
use statement::scope::Circuit;
use thiserror::Error;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::clock::ClockConfig;
use crate::folder::validity::AuthorityConfig;
use crate::setting::{self, LimitError, Setting};
use crate::stages::deliver::DeliverConfig;
use crate::stages::ingest::{IngestConfig, RateConfig};
use crate::stages::rows::AdmissionConfig;
use crate::stages::settle::SettleConfig;
use crate::window::{Cadence, Capacities, WindowLimits};

pub use self::elsewhere::{Elsewhere, ElsewhereError};
use self::moved::Moved;
use self::sections::SECTION;
pub use self::sections::{
    ArchiveSection, BatchSection, ChainSection, DecisionsSection, FhirSection, HttpSection,
    IngestSection, JournalSection, KeysSection, LogSection, MemorySection, NoticesSection,
    PlanSection, ProverSection, StoreSection, TokensSection, WebSection,
};

mod archive;
mod elsewhere;
mod moved;
mod names;
mod sections;

/// The whole configuration. Unknown keys are refused; what is left out has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// QUIC for gateways, wallets and practitioners.
    pub ingest: IngestSection,
    /// When the machine's time is believed.
    pub clock: ClockConfig,
    /// What an operation passes before it is journaled.
    pub admission: AdmissionConfig,
    /// The log.
    pub journal: JournalSection,
    /// Keys that readings are sealed under.
    pub keys: KeysSection,
    /// What may wait behind the writer.
    pub deliver: DeliverConfig,
    /// Windows and shapes.
    pub batch: BatchSection,
    /// Proving keys.
    pub prover: ProverSection,
    /// The base chain.
    pub chain: ChainSection,
    /// Batch files.
    pub store: StoreSection,
    /// Settling transactions.
    pub settle: SettleConfig,
    /// Certificates.
    pub authority: AuthorityConfig,
    /// What leaves the folder one day.
    pub archive: ArchiveSection,
    /// What a plan expects.
    pub plan: PlanSection,
    /// Batch files, metrics and health over HTTP.
    pub http: HttpSection,
    /// What an operator watches.
    pub web: WebSection,
    /// Whose tokens are taken below `/fhir`.
    pub tokens: TokensSection,
    /// What is answered below `/fhir`.
    pub fhir: FhirSection,
    /// Who may ask whether consent would allow something.
    pub decisions: DecisionsSection,
    /// Who may be told that somebody read.
    pub notices: NoticesSection,
    /// The sum of all limits.
    pub memory: MemorySection,
    /// What is logged.
    pub log: LogSection,
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
    #[error("the configuration {path} is malformed at line {line}: {reason}")]
    Format {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Why. The line itself is not quoted: it may hold the key of a chain's provider.
        reason: String,
    },
    /// A key stands elsewhere now.
    #[error("the configuration {path} is of a version before: expected {instead}, found {key}")]
    Moved {
        /// Which file.
        path: PathBuf,
        /// Section and key.
        key: &'static str,
        /// What is written in its place.
        instead: &'static str,
    },
    /// A number is out of its bounds.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The queue of workers elsewhere is none.
    #[error(transparent)]
    Elsewhere(#[from] ElsewhereError),
    /// A value is none of those that are accepted.
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
        Config::parse(path, &text)
    }

    /// Takes in and checks the text of a file, which errors name.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let format = |error: toml::de::Error| {
            let begin = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = 1 + text.as_bytes()[..begin].iter().filter(|byte| **byte == b'\n').count();
            ConfigError::Format { path: path.into(), line, reason: error.message().to_owned() }
        };
        let config: Config = toml::from_str(text).map_err(|error| match moved::find(text) {
            Some(Moved { key, instead }) => ConfigError::Moved { path: path.into(), key, instead },
            None => format(error),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first that does not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        // In the order of the file, so that the first error is the first one on the page.
        setting::check(&self.ingest, IngestSection::SETTINGS)?;
        self.ingest.limits.check()?;
        self.ingest.rates.check()?;
        setting::check(&self.clock, ClockConfig::SETTINGS)?;
        self.admission.check()?;
        setting::check(&self.journal, JournalSection::SETTINGS)?;
        setting::check(&self.keys, KeysSection::SETTINGS)?;
        self.deliver.check()?;
        setting::check(&self.batch, BatchSection::SETTINGS)?;
        setting::check(&self.prover, ProverSection::SETTINGS)?;
        setting::check(&self.chain, ChainSection::SETTINGS)?;
        setting::check(&self.store, StoreSection::SETTINGS)?;
        self.settle.check()?;
        self.authority.check()?;
        setting::check(&self.archive, ArchiveSection::SETTINGS)?;
        setting::check(&self.tokens, TokensSection::SETTINGS)?;
        setting::check(&self.fhir, FhirSection::SETTINGS)?;
        setting::check(&self.decisions, DecisionsSection::SETTINGS)?;
        setting::check(&self.notices, NoticesSection::SETTINGS)?;
        self.check_reserved()?;
        self.check_issuer()?;
        self.check_notices()?;
        self.check_words()
    }

    /// Checks that the reserved places leave the lanes theirs: an eighth of few is a single one.
    fn check_reserved(&self) -> Result<(), ConfigError> {
        let (places, found) = (self.journal.queue_items_max, self.ingest.limits.reserved_items);
        if found > places / 2 {
            let key = "ingest.limits.reserved_items";
            let expected = format!("at most {}, a half of journal.queue_items_max", places / 2);
            return Err(ConfigError::Value { key, expected, found: found.to_string() });
        }
        Ok(())
    }

    /// Checks that an issuer of tokens has a name, and this node one for it; and that there is one
    /// where something is answered to its tokens.
    fn check_issuer(&self) -> Result<(), ConfigError> {
        let TokensSection { jwks_file, issuer, audience, .. } = &self.tokens;
        // An empty issuer or audience would be that of a token which names none.
        if jwks_file.is_some() && (issuer.is_empty() || audience.is_empty()) {
            let key = "tokens.jwks_file";
            let expected = "set together with tokens.issuer and tokens.audience".into();
            return Err(ConfigError::Value { key, expected, found: "it alone".into() });
        }
        let (shown, asked) = (self.fhir.audit_events, !self.decisions.systems.is_empty());
        let answered = [("fhir.audit_events", shown), ("decisions.systems", asked)].into_iter();
        for (key, is_set) in answered {
            if is_set && jwks_file.is_none() {
                let expected = "set together with tokens.jwks_file".into();
                return Err(ConfigError::Value { key, expected, found: "it alone".into() });
            }
        }
        Ok(())
    }

    /// Checks that hosts are some, and that who is told may see what there is.
    fn check_notices(&self) -> Result<(), ConfigError> {
        let wrong = |expected: String, found: &str| {
            let (key, found) = ("notices.hosts", found.to_owned());
            Err(ConfigError::Value { key, expected, found })
        };
        match Hosts::parse(&self.notices.hosts) {
            Err(error) => wrong(error.to_string(), "another"),
            Ok(hosts) if !hosts.is_empty() && !self.fhir.audit_events => {
                wrong("set together with fhir.audit_events".into(), "it alone")
            }
            Ok(_) => Ok(()),
        }
    }

    /// Checks the words that say how and where it is proven.
    fn check_proving(&self) -> Result<(), ConfigError> {
        if let Err(error) = self.prover.engine.parse::<Choice>() {
            let (expected, found) = (Choice::NAMES.join(", "), error.found);
            return Err(ConfigError::Value { key: "prover.engine", expected, found });
        }
        if let Err(error) = self.prover.setup.parse::<Setup>() {
            let (expected, found) = (Setup::NAMES.join(" or "), error.found);
            return Err(ConfigError::Value { key: "prover.setup", expected, found });
        }
        if let Err(error) = self.prover.priority.parse::<Priority>() {
            let (expected, found) = (Priority::NAMES.join(" or "), error.found);
            return Err(ConfigError::Value { key: "prover.priority", expected, found });
        }
        self.prover.elsewhere()?;
        Ok(())
    }

    /// Checks what no range can say.
    fn check_words(&self) -> Result<(), ConfigError> {
        let batch = &self.batch;
        // Found here rather than when keys are made, which takes minutes.
        let is_of = |circuit, name: &str| {
            Shape::named(name).is_some_and(|shape| shape.circuit() == circuit)
        };
        if !is_of(Circuit::C1, &batch.operations_shape) {
            let (key, found) = ("batch.operations_shape", batch.operations_shape.clone());
            let expected = "the name of a shape of C1 (see `prover shapes`)".into();
            return Err(ConfigError::Value { key, expected, found });
        }
        let claims = &batch.claims_shapes;
        let distinct: BTreeSet<_> = claims.iter().collect();
        if claims.is_empty()
            || distinct.len() != claims.len()
            || !claims.iter().all(|name| is_of(Circuit::C2, name))
        {
            let key = "batch.claims_shapes";
            let expected = "distinct names of shapes of C2, at least one (see `prover shapes`)";
            let (expected, found) = (expected.into(), format!("{claims:?}"));
            return Err(ConfigError::Value { key, expected, found });
        }
        self.check_proving()?;
        self.archive.check(self.journal.file_bytes_max)?;
        // A certificate without a name is one that no client accepts.
        if self.ingest.server_names.is_empty() {
            let expected = "at least one name".into();
            let found = "none".into();
            return Err(ConfigError::Value { key: "ingest.server_names", expected, found });
        }
        if !["refuse", "warn"].contains(&self.memory.over.as_str()) {
            let (expected, found) = ("`refuse` or `warn`".into(), self.memory.over.clone());
            return Err(ConfigError::Value { key: "memory.over", expected, found });
        }
        if !is_filter(&self.log.level) {
            let expected = "a level (error, warn, info, debug, trace, off), or levels by module \
                            as `info,sequencer::stages=debug`"
                .into();
            let found = self.log.level.clone();
            return Err(ConfigError::Value { key: "log.level", expected, found });
        }
        if !["text", "json"].contains(&self.log.format.as_str()) {
            let (expected, found) = ("`text` or `json`".into(), self.log.format.clone());
            return Err(ConfigError::Value { key: "log.format", expected, found });
        }
        if let Some(found) = self.web.listen.filter(|listen| !listen.ip().is_loopback()) {
            let expected = "a loopback address (put a proxy before it)".into();
            return Err(ConfigError::Value {
                key: "web.listen",
                expected,
                found: found.to_string(),
            });
        }
        // Private files and metrics are served as they are: who may see them is a proxy's business.
        if !self.http.listen.ip().is_loopback() {
            let expected = "a loopback address (put a proxy before it)".into();
            let found = self.http.listen.to_string();
            return Err(ConfigError::Value { key: "http.listen", expected, found });
        }
        Ok(())
    }

    /// The file as `sequencer init` writes it: every value, at its default. Of an address no more
    /// is written than may be shown ([`l1_contracts::HttpUrl`]).
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a configuration is plain data")
    }

    /// Every key, in the order of the file.
    pub fn settings() -> Vec<Setting> {
        let sections = [
            IngestSection::SETTINGS,
            IngestConfig::SETTINGS,
            RateConfig::SETTINGS,
            ClockConfig::SETTINGS,
            AdmissionConfig::SETTINGS,
            JournalSection::SETTINGS,
            KeysSection::SETTINGS,
            DeliverConfig::SETTINGS,
            BatchSection::SETTINGS,
            ProverSection::SETTINGS,
            ChainSection::SETTINGS,
            StoreSection::SETTINGS,
            SettleConfig::SETTINGS,
            AuthorityConfig::SETTINGS,
            ArchiveSection::SETTINGS,
            PlanSection::SETTINGS,
            HttpSection::SETTINGS,
            WebSection::SETTINGS,
            TokensSection::SETTINGS,
            FhirSection::SETTINGS,
            DecisionsSection::SETTINGS,
            NoticesSection::SETTINGS,
            MemorySection::SETTINGS,
            LogSection::SETTINGS,
        ];
        let rows = sections.into_iter().flatten().copied();
        // A row of a section within `ingest` stands for it: its keys have rows of their own.
        rows.filter(|row| row.allowed != SECTION).collect()
    }

    /// When a window is closed by the clock.
    pub fn cadence(&self) -> Cadence {
        let BatchSection { close_after_ms, idle_settle_after_ms, fixed_cadence, .. } = self.batch;
        if fixed_cadence {
            Cadence::fixed(close_after_ms)
        } else {
            Cadence::new(close_after_ms, idle_settle_after_ms)
        }
    }

    /// When a window is closed early.
    pub fn window_limits(&self) -> WindowLimits {
        WindowLimits {
            operations_max: self.batch.operations_max,
            claims_max: self.batch.claims_max,
        }
    }

    /// The same as it holds: lowered to what the configured shapes settle in one transaction.
    /// Shapes that there are not lower nothing; the check names them.
    pub fn effective_window_limits(&self) -> WindowLimits {
        let batch = &self.batch;
        let capacities = || {
            let claims = batch.claims_shapes.iter().map(|name| Shape::named(name));
            let claims: Vec<_> = claims.collect::<Option<_>>()?;
            Capacities::of_shapes(Shape::named(&batch.operations_shape)?, &claims)
        };
        let asked = self.window_limits();
        capacities().map_or(asked, |capacities| asked.fitted(&capacities))
    }

    /// Values that hold otherwise than they stand in the file.
    pub fn effective(&self) -> Vec<Effective> {
        let (asked, held) = (self.window_limits(), self.effective_window_limits());
        let lowered = |key, configured: usize, effective: usize| Effective {
            key,
            configured: configured as u64,
            effective: effective as u64,
            why: "what the shapes settle in one transaction",
        };
        let windows = [
            lowered("batch.operations_max", asked.operations_max, held.operations_max),
            lowered("batch.claims_max", asked.claims_max, held.claims_max),
        ];
        let embedded = self.chain.rpc.is_none().then_some(Effective {
            key: "settle.poll_ms",
            configured: self.settle.poll_ms,
            effective: EMBEDDED_POLL_MS,
            why: "the embedded chain mines at once and costs nothing to ask",
        });
        let idle = Effective {
            key: "batch.idle_settle_after_ms",
            configured: self.batch.idle_settle_after_ms,
            effective: self.cadence().idle_ms(),
            why: if self.batch.fixed_cadence {
                "`fixed_cadence` closes every window after `close_after_ms`"
            } else {
                "a window stays open for `close_after_ms` at least"
            },
        };
        let believed = self.chain.rpc.is_none().then_some(Effective {
            key: "settle.doubt_ms",
            configured: self.settle.doubt_ms,
            effective: 0,
            why: "the embedded chain is one node and never behind itself",
        });
        let all = windows.into_iter().chain([idle]).chain(embedded).chain(believed);
        all.filter(|one| one.configured != one.effective).collect()
    }
}

/// Whether every part is a level, or a module with one. Stricter than the filter's own language, in
/// which `loud` is a module whose every line is logged.
fn is_filter(text: &str) -> bool {
    let is_level = |level: &str| !level.is_empty() && level.parse::<LevelFilter>().is_ok();
    let parts = text.split(',').map(str::trim);
    let mut parts = parts.map(|part| part.split_once('=').map_or(part, |(_, level)| level));
    parts.all(is_level) && text.parse::<Targets>().is_ok()
}

/// Pause of the settler between two looks at the embedded chain.
pub const EMBEDDED_POLL_MS: u64 = 50;

/// A value that holds otherwise than it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Sections and key.
    pub key: &'static str,
    /// What stands there.
    pub configured: u64,
    /// What holds.
    pub effective: u64,
    /// Why.
    pub why: &'static str,
}

#[cfg(test)]
mod tests;
