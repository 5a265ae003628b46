//! Settings that are compared: those of the node first, then every combination that was asked for.

use std::collections::BTreeMap;

use prover::{Choice, Setup};
use thiserror::Error;
use toml::Value;

use super::layout::Shapes;
use crate::doors::config::{Config, ConfigError};
use crate::doors::set::{SetValueError, read_value};
use crate::stages::prove::Wanted;
use crate::window::Capacities;

/// Keys of the configuration that a forecast depends on.
pub const MODELLED: [&str; 11] = [
    "batch.close_after_ms",
    "batch.idle_settle_after_ms",
    "batch.fixed_cadence",
    "batch.operations_max",
    "batch.claims_max",
    "batch.operations_shape",
    "batch.claims_shapes",
    "prover.workers",
    "settle.poll_ms",
    "settle.batches_max",
    "settle.gas_max",
];

/// Settings that are compared with those of the node.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What is not as the node has it, as it stands in the configuration.
    pub set: BTreeMap<String, String>,
    /// All settings.
    pub config: Config,
}

/// Candidates: the node's own settings first.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidates(Vec<Candidate>);

/// A setting that cannot be tried.
#[derive(Debug, Error)]
pub enum SetError {
    /// No key and value.
    #[error("expected KEY=VALUE, as in batch.close_after_ms=30000, found {found}")]
    Form {
        /// What was found.
        found: String,
    },
    /// A key that changes nothing here.
    #[error(
        "expected a key that a plan depends on, one of {}, found {found}",
        MODELLED.join(", ")
    )]
    NotModelled {
        /// What was found.
        found: String,
    },
    /// No key, or no value of it.
    #[error(transparent)]
    Value(#[from] SetValueError),
    /// So many combinations.
    #[error("expected at most {} combinations of values, found {found}", Candidates::MAX)]
    TooMany {
        /// How many.
        found: usize,
    },
}

impl Candidates {
    /// Most candidates: each goes through the whole journal.
    pub const MAX: usize = 64;

    /// Takes in what is to be tried, `KEY=VALUE` or `KEY=VALUE,VALUE`: values of one key are
    /// alternatives, also where the key is named again, and of several keys every combination is a
    /// candidate. A value stands as in the file; quotes around a word may be left out.
    ///
    /// # Errors
    /// [`SetError`].
    pub fn new(configured: &Config, sets: &[String]) -> Result<Candidates, SetError> {
        let mut keys: Vec<(String, Vec<Value>)> = Vec::new();
        for set in sets {
            let (key, values) = read(set)?;
            match keys.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => known.extend(values),
                None => keys.push((key, values)),
            }
        }
        let combinations = keys.iter().map(|(_, values)| values.len()).product::<usize>();
        if combinations >= Candidates::MAX {
            return Err(SetError::TooMany { found: combinations + 1 });
        }
        let mut all = vec![Candidate { set: BTreeMap::new(), config: configured.clone() }];
        let mut combined = vec![all[0].clone()];
        for (key, values) in &keys {
            let mut next = Vec::new();
            for candidate in &combined {
                for value in values {
                    next.push(candidate.with(key, value)?);
                }
            }
            combined = next;
        }
        for candidate in combined {
            // As the node has it, or twice the same.
            if !all.iter().any(|known| known.config == candidate.config) {
                all.push(candidate);
            }
        }
        Ok(Candidates(all))
    }

    /// All of them; the node's own settings are the first.
    pub fn all(&self) -> &[Candidate] {
        &self.0
    }
}

impl Candidate {
    fn with(&self, key: &str, value: &Value) -> Result<Candidate, SetError> {
        let config = self.config.with(key, value)?;
        let mut set = self.set.clone();
        set.insert(key.to_owned(), value.to_string());
        Ok(Candidate { set, config })
    }

    /// The shapes that it proves with, in the order of the prover's table: of mixes that are equal
    /// the same one is taken.
    ///
    /// # Errors
    /// [`ConfigError`] if there is no such shape, which a checked configuration excludes.
    pub(super) fn shapes(&self) -> Result<Shapes, ConfigError> {
        let batch = &self.config.batch;
        let claims: Vec<&str> = batch.claims_shapes.iter().map(String::as_str).collect();
        let (setup, engine) = (Setup::DevInsecure, Choice::Auto);
        let operations = batch.operations_shape.as_str();
        let wanted = Wanted { operations, claims: &claims, setup, engine };
        let shapes = wanted.shapes().ok().and_then(|(operations, claims)| {
            let capacities = Capacities::of_shapes(operations, &claims)?;
            Some(Shapes { operations, claims, capacities })
        });
        let (key, found) = ("batch.claims_shapes", format!("{claims:?}"));
        let expected = "names of shapes (see `prover shapes`)".to_owned();
        shapes.ok_or(ConfigError::Value { key, expected, found })
    }
}

/// Key and values of one `--set`.
fn read(set: &str) -> Result<(String, Vec<Value>), SetError> {
    let form = || SetError::Form { found: set.to_owned() };
    let (key, values) = set.split_once('=').ok_or_else(form)?;
    let key = key.trim();
    Config::setting(key)?;
    if !MODELLED.contains(&key) {
        return Err(SetError::NotModelled { found: key.to_owned() });
    }
    let values: Vec<Value> = split(values).into_iter().map(read_value).collect();
    if values.iter().any(|value| value.as_str() == Some("")) {
        return Err(form());
    }
    Ok((key.to_owned(), values))
}

/// Alternatives: what stands between commas that are in no brackets and in no quotes.
fn split(values: &str) -> Vec<&str> {
    let (mut all, mut begin, mut depth, mut quoted) = (Vec::new(), 0, 0u32, false);
    for (at, letter) in values.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                all.push(&values[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    all.push(&values[begin..]);
    all.into_iter().map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn candidates(sets: &[&str]) -> Result<Candidates, SetError> {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        Candidates::new(&Config::default(), &sets)
    }

    fn said(sets: &[&str]) -> Vec<String> {
        let said = |one: &Candidate| {
            let set = one.set.iter().map(|(key, value)| format!("{key}={value}"));
            set.collect::<Vec<_>>().join(" ")
        };
        candidates(sets).unwrap().all().iter().map(said).collect()
    }

    #[test]
    fn the_nodes_own_settings_come_first_and_each_other_combination_once() {
        let (close, claims) = ("batch.close_after_ms", "batch.claims_max");
        assert_eq!(said(&[]), [""]);
        assert_eq!(
            said(&["batch.close_after_ms=30000, 120000"]),
            ["".to_owned(), format!("{close}=30000"), format!("{close}=120000")]
        );
        let both = said(&[
            "batch.close_after_ms=30000",
            "batch.close_after_ms=90000",
            "batch.claims_max=10",
        ]);
        let expected = ["30000", "90000"].map(|ms| format!("{claims}=10 {close}={ms}"));
        assert_eq!(both[1..], expected);
        // As the node has it: no candidate of its own.
        assert_eq!(said(&["batch.close_after_ms=60000"]), [""]);
    }

    #[test]
    fn a_value_stands_as_in_the_file_and_a_word_needs_no_quotes() {
        let sets = ["batch.claims_shapes=c2-17,[\"c2-17\",\"c2-17-1\"]"];
        let all = candidates(&sets).unwrap();
        let shapes: Vec<_> = all.all().iter().map(|one| &one.config.batch.claims_shapes).collect();
        assert_eq!(
            shapes[1..],
            [&vec!["c2-17".to_owned()], &vec!["c2-17".into(), "c2-17-1".into()]]
        );
        assert!(
            candidates(&["batch.fixed_cadence=true"]).unwrap().all()[1].config.batch.fixed_cadence
        );
    }

    #[test]
    fn the_address_of_a_chain_stays_what_it_is_with_its_secrets() {
        let mut config = Config::default();
        config.chain.rpc = Some("https://user:secret@node.example/key?token=1".parse().unwrap());
        let all = Candidates::new(&config, &["batch.claims_max=10".to_owned()]).unwrap();
        assert_eq!(all.all()[1].config.chain, config.chain);
        // And the node's own settings are known for what they are.
        let same = format!("batch.claims_max={}", config.batch.claims_max);
        assert_eq!(Candidates::new(&config, &[same]).unwrap().all().len(), 1);
    }

    #[test]
    fn what_is_no_setting_is_refused_in_the_words_of_the_configuration() {
        for (set, words) in [
            ("batch.close_after_ms", "expected KEY=VALUE"),
            ("batch.close_after_ms=", "expected KEY=VALUE"),
            ("close_after_ms=1", "expected a key of the configuration"),
            ("http.listen=1", "expected a key that a plan depends on, one of batch."),
            ("batch.close_after_ms=1", "expected batch.close_after_ms to be 100 to"),
            ("batch.close_after_ms=-1", "expected a value that batch.close_after_ms can have"),
            ("batch.close_after_ms=1\nhttp.listen=2", "expected a value that"),
            ("batch.claims_shapes=[]", "expected batch.claims_shapes to be distinct names"),
        ] {
            let error = candidates(&[set]).unwrap_err().to_string();
            assert!(error.contains(words), "{set}: {error}");
        }
        let many = (1..=64).map(|n| format!("{}", n * 1000)).collect::<Vec<_>>().join(",");
        let error = candidates(&[&format!("batch.close_after_ms={many}")]).unwrap_err();
        assert!(matches!(error, SetError::TooMany { found: 65 }), "{error}");
    }

    #[test]
    fn every_key_that_a_plan_depends_on_is_one_of_the_configuration() {
        let known: BTreeSet<&str> = Config::settings().iter().map(|one| one.path).collect();
        assert!(MODELLED.iter().all(|key| known.contains(key)));
    }
}
