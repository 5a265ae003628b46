//! The node's configuration: one TOML file, every value with its unit, default and limit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use circuits::shapes::{Capacity, Shape};
use l1_contracts::HttpUrl;
use model::limits::WINDOW_MS_MAX;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::clock::ClockConfig;
use crate::folder::validity::AuthorityConfig;
use crate::setting::{self, Allowed, LimitError, Setting, range, settings};
use crate::stages::deliver::DeliverConfig;
use crate::stages::ingest::{IngestConfig, RateConfig};
use crate::stages::rows::AdmissionConfig;
use crate::stages::settle::SettleConfig;
use crate::window::{Capacities, WindowLimits};

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
    /// Batch files, metrics and health over HTTP.
    pub http: HttpSection,
    /// The sum of all limits.
    pub memory: MemorySection,
    /// What is logged.
    pub log: LogSection,
}

settings! {
    /// `[ingest]`
    pub struct IngestSection in "ingest" {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 4433));
        "address", Allowed::Words("address and port; port 0 takes a free one") => {
            sets: "Where the QUIC endpoint listens.",
        }
        server_names: Vec<String> = vec!["localhost".into(), "127.0.0.1".into()];
        "names", Allowed::Words("at least one name or address") => {
            sets: "Names in the server's certificate.",
            applies: Init,
        }
        clock_skew_ms_max: u64 = 60_000; "milliseconds", range(0, 3_600_000) => {
            sets: "How far ahead of the node's clock a reading or signature may be.",
            at_limit: "What is further ahead is refused.",
        }
        released_frames_max: usize = 1024; "frames", range(1, 65_536) => {
            sets: "Most frames that one access releases.",
            memory: "8 bytes each.",
            at_limit: "The oldest ones are released; asking for a later data period gets the rest.",
        }
        limits: IngestConfig = IngestConfig::default(); "section", SECTION => {
            sets: "Limits of the QUIC server and of each connection.",
        }
        rates: RateConfig = RateConfig::default(); "section", SECTION => {
            sets: "How often each source may ask.",
        }
    }
}

settings! {
    /// `[journal]`
    pub struct JournalSection in "journal" {
        queue_items_max: usize = 4096; "items", range(1, 1 << 20) => {
            sets: "Items that may wait for the writer.",
            memory: "That many frames of up to 64 KiB, twice.",
            at_limit: "A further one is refused as busy.",
        }
        reserve_bytes: u64 = 1 << 30; "bytes", range(0, 1 << 40) => {
            sets: "Free space, under the node's folder and its store, that frames leave to \
                   operations, accesses, closes and batches; 0 keeps none. The greater of what an \
                   hour of batches takes and a quarter of a gigabyte, which is what may be under \
                   way between two measurements.",
            at_limit: "Frames and new streams are refused as unavailable until an eighth more is \
                       free.",
        }
    }
}

settings! {
    /// `[batch]`
    pub struct BatchSection in "batch" {
        close_after_ms: u64 = 60_000; "milliseconds", range(100, WINDOW_MS_MAX - 1000) => {
            sets: "Age at which a window is closed. Shorter windows cost proving and gas, and make \
                   a withdrawal visible on chain sooner.",
        }
        operations_max: usize = WindowLimits::default().operations_max;
        "operations", range(1, 65_536) => {
            sets: "Most operations of a window; lowered to what the shapes settle in one \
                   transaction (`limits::BATCH_PROOFS_MAX`).",
            at_limit: "The window is closed early.",
        }
        claims_max: usize = WindowLimits::default().claims_max; "claims", range(1, 65_536) => {
            sets: "Most claims of a window, open segments included; lowered likewise.",
            at_limit: "The window is closed early.",
        }
        operations_shape: String = "c1-17".into();
        "name", Allowed::Words("a shape of C1 (`prover shapes`)") => {
            sets: "Shape of the proofs of operations.",
            applies: Deploy,
        }
        claims_shape: String = "c2-17".into();
        "name", Allowed::Words("a shape of C2 (`prover shapes`)") => {
            sets: "Shape of the proofs of claims.",
            applies: Deploy,
        }
    }
}

settings! {
    /// `[prover]`
    pub struct ProverSection in "prover" {
        keys: Option<PathBuf> = None; "path", Allowed::Words("a folder") => {
            sets: "Folder of proving keys; without it `proving-keys` in the node's folder.",
        }
        retry_first_ms: u64 = 5_000; "milliseconds", range(1, 3_600_000) => {
            sets: "First pause before a window that could not be proven or stored is tried again; \
                   it doubles with each further failure.",
        }
        retry_max_ms: u64 = 600_000; "milliseconds", range(1, 86_400_000) => {
            sets: "Longest such pause.",
            at_limit: "The pause grows no more.",
        }
    }
}

settings! {
    /// `[chain]`
    pub struct ChainSection in "chain" {
        rpc: Option<HttpUrl> = None; "URL", Allowed::Words("`http://...`") => {
            sets: "JSON-RPC of an EVM node; without it the embedded development chain is used. \
                   Its user, password, path and query are never shown.",
        }
        embedded_port: u16 = 0; "port", range(0, 65_535) => {
            sets: "Port of the embedded chain's JSON-RPC on loopback; 0 takes a free one.",
        }
    }
}

settings! {
    /// `[store]`
    pub struct StoreSection in "store" {
        scrub_every_ms: u64 = 21_600_000; "milliseconds", range(1_000, 2_592_000_000) => {
            sets: "Pause between two passes of the scrub, which reads every stored batch file again \
                   and makes damaged ones anew. The first pass is at the start.",
        }
    }
}

settings! {
    /// `[http]`
    pub struct HttpSection in "http" {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080));
        "address", Allowed::Words("a loopback address; port 0 takes a free one") => {
            sets: "Where batch files, metrics and health are served; a proxy before it adds TLS.",
        }
    }
}

settings! {
    /// `[memory]`
    pub struct MemorySection in "memory" {
        over: String = "refuse".into();
        "word", Allowed::Words("`refuse` or `warn`") => {
            sets: "What `sequencer run` does where all limits together may take more memory than \
                   the machine has, or its control group allows.",
        }
    }
}

settings! {
    /// `[log]`
    pub struct LogSection in "log" {
        level: String = "info".into();
        "filter", Allowed::Words("a level, or levels by module: `info,sequencer::stages=debug`") => {
            sets: "What is logged to stderr. The environment's `RUST_LOG` is read before it.",
        }
    }
}

/// A row for a section within a section: its keys have rows of their own.
const SECTION: Allowed = Allowed::Words("the keys below");

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
    /// A number is out of its bounds.
    #[error(transparent)]
    Limit(#[from] LimitError),
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
        let format = |error: toml::de::Error| {
            let begin = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = 1 + text.as_bytes()[..begin].iter().filter(|byte| **byte == b'\n').count();
            ConfigError::Format { path: path.into(), line, reason: error.message().to_owned() }
        };
        let config: Config = toml::from_str(&text).map_err(format)?;
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
        self.deliver.check()?;
        setting::check(&self.batch, BatchSection::SETTINGS)?;
        setting::check(&self.prover, ProverSection::SETTINGS)?;
        setting::check(&self.chain, ChainSection::SETTINGS)?;
        setting::check(&self.store, StoreSection::SETTINGS)?;
        self.settle.check()?;
        self.authority.check()?;
        self.check_words()
    }

    /// Checks what no range can say.
    fn check_words(&self) -> Result<(), ConfigError> {
        let batch = &self.batch;
        for (key, found) in [
            ("batch.operations_shape", &batch.operations_shape),
            ("batch.claims_shape", &batch.claims_shape),
        ] {
            // Found here rather than when keys are made, which takes minutes.
            if Shape::named(found).is_none() {
                let expected = "the name of a shape (see `prover shapes`)".into();
                return Err(ConfigError::Value { key, expected, found: found.clone() });
            }
        }
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
        // Private files and metrics are served as they are: who may see them is a proxy's business.
        if !self.http.listen.ip().is_loopback() {
            let expected = "a loopback address (put a proxy before it)".into();
            let found = self.http.listen.to_string();
            return Err(ConfigError::Value { key: "http.listen", expected, found });
        }
        Ok(())
    }

    /// The file as `sequencer init` writes it: every value, at its default. Of an address no more
    /// is written than may be shown ([`HttpUrl`]).
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
            DeliverConfig::SETTINGS,
            BatchSection::SETTINGS,
            ProverSection::SETTINGS,
            ChainSection::SETTINGS,
            StoreSection::SETTINGS,
            SettleConfig::SETTINGS,
            AuthorityConfig::SETTINGS,
            HttpSection::SETTINGS,
            MemorySection::SETTINGS,
            LogSection::SETTINGS,
        ];
        let rows = sections.into_iter().flatten().copied();
        // A row of a section within `ingest` stands for it: its keys have rows of their own.
        rows.filter(|row| row.allowed != SECTION).collect()
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
        let capacity = |name: &str| Shape::named(name).map(|shape| shape.capacity);
        let batch = &self.batch;
        match (capacity(&batch.operations_shape), capacity(&batch.claims_shape)) {
            (Some(Capacity::Operations(operations)), Some(Capacity::Claims(claims))) => {
                self.window_limits().fitted(&Capacities { operations, claims })
            }
            _ => self.window_limits(),
        }
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
        let all = windows.into_iter().chain(embedded);
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
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use serde_json::Value;

    use super::*;
    use crate::setting::Applies;

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
            ("[ingest.limits]\nkeep_alive_ms = 30000", "ingest.limits.keep_alive_ms"),
            ("[admission]\nevaluations_max = 64", "admission.evaluations_reserved"),
            ("[settle]\nbatches_max = 0", "settle.batches_max"),
            ("[deliver]\nwindows_max = 0", "deliver.windows_max"),
            ("[deliver]\ngroups_max = 65537", "deliver.groups_max"),
            ("[memory]\nover = \"perhaps\"", "memory.over"),
            ("[log]\nlevel = \"loud\"", "log.level"),
            ("[log]\nlevel = \"info,sequencer=\"", "log.level"),
            ("[nonsense]", "nonsense"),
        ];
        for (text, named) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.contains(named), "{error} does not name {named}");
        }
    }

    #[test]
    fn values_that_hold_otherwise_than_they_stand_in_the_file_are_named() {
        let found = Config::default().effective();
        let found: Vec<_> =
            found.iter().map(|one| (one.key, one.configured, one.effective)).collect();
        let expected = [
            ("batch.operations_max", 512, 383),
            ("batch.claims_max", 4096, 1343),
            ("settle.poll_ms", 2000, 50),
        ];
        assert_eq!(found, expected);
        let mut config = Config::default();
        (config.batch.operations_max, config.batch.claims_max) = (10, 10);
        config.chain.rpc = Some("http://127.0.0.1:8545".parse().unwrap());
        assert_eq!(config.effective(), []);
    }

    #[test]
    fn levels_are_accepted_as_the_log_reads_them() {
        for level in ["off", "warn", "DEBUG", "info,sequencer::stages::settle=trace,quinn=error"] {
            assert!(parse(&format!("[log]\nlevel = \"{level}\"")).is_ok(), "{level}");
        }
    }

    /// Every number with a range is refused one beside it: no section is left unchecked.
    #[test]
    fn every_range_holds_on_both_sides() {
        let default = serde_json::to_value(Config::default()).unwrap();
        let is_refused = |path: &str, found: u64| {
            let mut config = default.clone();
            let pointer = format!("/{}", path.replace('.', "/"));
            *config.pointer_mut(&pointer).expect(path) = found.into();
            let config = serde_json::from_value::<Config>(config);
            // What does not fit the field's type is refused when it is read.
            config.map_or(true, |config| config.check().is_err())
        };
        for row in Config::settings() {
            let Allowed::Range { least, most } = row.allowed else { continue };
            let outside = [least.checked_sub(1), most.checked_add(1)];
            for found in outside.into_iter().flatten() {
                assert!(is_refused(row.path, found), "{} = {found}", row.path);
            }
            // A keep-alive is further bounded by the idle timeout, reserved places by all places.
            let bounded = ["ingest.limits.keep_alive_ms", "admission.evaluations_reserved"];
            if !bounded.contains(&row.path) {
                assert!(!is_refused(row.path, most), "{} = {most}", row.path);
            }
        }
    }

    /// Paths and values of everything below `value` that is no section.
    fn keys(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
        let Value::Object(section) = value else {
            return found.push((path.to_owned(), value.clone()));
        };
        for (key, value) in section {
            let dot = if path.is_empty() { "" } else { "." };
            keys(&format!("{path}{dot}{key}"), value, found);
        }
    }

    fn defaults() -> Vec<(String, Value)> {
        let mut found = Vec::new();
        keys("", &serde_json::to_value(Config::default()).unwrap(), &mut found);
        found
    }

    #[test]
    fn every_key_of_the_file_has_a_row_and_every_row_a_key() {
        let file: BTreeSet<String> = defaults().into_iter().map(|(key, _)| key).collect();
        let rows = Config::settings();
        let named: BTreeSet<String> = rows.iter().map(|row| row.path.to_owned()).collect();
        assert_eq!(file, named);
        assert_eq!(named.len(), rows.len(), "a key has two rows");
    }

    fn allowed(row: &Setting) -> String {
        match row.allowed {
            Allowed::Words(words) => words.into(),
            Allowed::Range { least, most: u64::MAX } => format!("{least} or more"),
            Allowed::Range { least, most } => format!("{least} to {most}"),
        }
    }

    fn page() -> String {
        let mut page = String::from(
            "# Configuration\n\n\
             Generated from the `settings!` of `sequencer/src`; rewritten by\n\
             `UPDATE=1 cargo test --release -p sequencer --lib config`.\n\n\
             The file is `node.toml` in the node's folder; `sequencer init` writes it with every\n\
             default, and with as many connections as the machine has memory for.\n\
             `sequencer config check` prints what holds, also where it differs from the file, and\n\
             adds up what all limits together may take of memory (the sums of *Memory* below);\n\
             `--json` gives one object. Unknown keys are refused.\n\n\
             No value is live: a node reads the file once, when it starts. What is called\n\
             *restart* holds from the next `sequencer run` on. *init* goes into what\n\
             `sequencer init` makes: to change it, that part of the folder is removed and made\n\
             again. *deploy* goes into the contract: a deployed node refuses another value.\n",
        );
        let defaults = defaults();
        let mut section = "";
        for row in Config::settings() {
            let own = row.path.rsplit_once('.').map_or("", |(section, _)| section);
            if own != section {
                section = own;
                let head = "| key | default | unit | accepted | takes effect |\n\
                            | --- | --- | --- | --- | --- |";
                let _ = write!(page, "\n## `[{section}]`\n");
                let _ = write!(page, "\n{head}\n");
                for row in Config::settings() {
                    if row.path.rsplit_once('.').is_some_and(|(own, _)| own == section) {
                        page += &line(&row, &defaults);
                    }
                }
                page.push('\n');
            }
            page += &words(&row);
        }
        page
    }

    fn line(row: &Setting, defaults: &[(String, Value)]) -> String {
        let default = defaults.iter().find(|(key, _)| key == row.path).map(|(_, value)| value);
        let default = match default.expect("every row has a key") {
            Value::Null => "none".into(),
            value => format!("`{value}`"),
        };
        let applies = match row.applies {
            Applies::Restart => "restart",
            Applies::Init => "init",
            Applies::Deploy => "deploy",
        };
        let (key, unit, allowed) = (row.key(), row.unit, allowed(row));
        format!("| `{key}` | {default} | {unit} | {allowed} | {applies} |\n")
    }

    /// What the table has no room for.
    fn words(row: &Setting) -> String {
        let mut words = format!("* `{}`: {}", row.key(), row.meaning);
        for (what, text) in [("Memory", row.memory), ("At the limit", row.at_limit)] {
            if !text.is_empty() {
                let _ = write!(words, " *{what}*: {text}");
            }
        }
        wrapped(&words)
    }

    /// Wrapped at 100 columns, further lines indented as part of the bullet.
    fn wrapped(text: &str) -> String {
        let (mut out, mut column) = (String::new(), 0);
        for word in text.split(' ') {
            if column > 0 && column + 1 + word.len() > 100 {
                out += "\n ";
                column = 1;
            }
            if column > 0 {
                out.push(' ');
                column += 1;
            }
            out += word;
            column += word.len();
        }
        out + "\n"
    }

    #[test]
    fn the_page_lists_every_key() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let found = std::fs::read_to_string(&path).expect("the page is committed");
        assert!(found == page(), "{} differs; run with UPDATE=1", path.display());
    }
}
