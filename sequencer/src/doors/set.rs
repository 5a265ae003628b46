//! One value of a configuration set to another, read and checked as the file is.

use serde::Deserialize as _;
use serde_json::Value as Shown;
use thiserror::Error;
use toml::{Table, Value};

use super::config::{Config, ConfigError};
use crate::setting::Setting;

/// Sections with addresses of others, whose passwords are never written out again.
const ADDRESSES: [&str; 2] = ["chain", "archive"];

/// A value that a key cannot have.
#[derive(Debug, Error)]
pub enum SetValueError {
    /// No key of the configuration.
    #[error("expected a key of the configuration (docs/configuration.md), found {found}")]
    Key {
        /// What was found.
        found: String,
    },
    /// A value of another kind.
    #[error("expected a value that {key} can have: {reason}")]
    Kind {
        /// Which key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The configuration refuses it.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Config {
    /// The row of a key.
    ///
    /// # Errors
    /// [`SetValueError::Key`].
    pub fn setting(key: &str) -> Result<Setting, SetValueError> {
        let found = Config::settings().into_iter().find(|row| row.path == key);
        found.ok_or_else(|| SetValueError::Key { found: key.to_owned() })
    }

    /// The same with another value under this key.
    ///
    /// # Errors
    /// [`SetValueError`].
    pub fn with(&self, key: &str, value: &Value) -> Result<Config, SetValueError> {
        self.with_all([(key, value)])
    }

    /// The same with other values under these keys, checked once all of them are there.
    ///
    /// # Errors
    /// [`SetValueError`].
    pub fn with_all<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<Config, SetValueError> {
        let kind = |key: &str, reason: String| SetValueError::Kind { key: key.to_owned(), reason };
        let plain = |error: toml::ser::Error| kind("a key", error.to_string());
        let mut table = Table::try_from(self).map_err(plain)?;
        // Addresses of others are written shortened: as they are read back they would be none.
        for section in ADDRESSES {
            table.remove(section);
        }
        let mut last = "";
        for (key, value) in values {
            Config::setting(key)?;
            if key.split_once('.').is_some_and(|(section, _)| ADDRESSES.contains(&section)) {
                let why = "what stands beside addresses is set in the file alone";
                return Err(kind(key, why.to_owned()));
            }
            put(&mut table, key, value.clone())
                .ok_or_else(|| SetValueError::Key { found: key.to_owned() })?;
            last = key;
        }
        let config = Config::deserialize(table).map_err(|error| {
            kind(last, error.to_string().split('\n').next().unwrap_or_default().to_owned())
        })?;
        let (chain, archive) = (self.chain.clone(), self.archive.clone());
        let config = Config { chain, archive, ..config };
        config.check()?;
        Ok(config)
    }

    /// The value of a key as it may be shown; of an address no secret is in it.
    pub fn shown(&self, key: &str) -> Shown {
        let all = serde_json::to_value(self).expect("a configuration is plain data");
        let pointer = format!("/{}", key.replace('.', "/"));
        all.pointer(&pointer).cloned().unwrap_or_default()
    }
}

/// A value as it stands in the file; quotes around a word may be left out.
pub fn read_value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    // One line and one key: what brings more along is a word, which nothing accepts.
    let parsed = parsed.filter(|table| table.len() == 1);
    let value = parsed.and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Puts a value under a key with dots; none if a section on the way is none.
fn put(table: &mut Table, key: &str, value: Value) -> Option<()> {
    let Some((section, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return Some(());
    };
    put(table.get_mut(section)?.as_table_mut()?, rest, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_checked_as_in_the_file_and_changes_nothing_else() {
        let config = Config::default();
        for (key, text) in [
            ("ingest.rates.opens_burst", "7"),
            ("settle.fee_wei_max", "2_000_000_000"),
            ("batch.fixed_cadence", "true"),
            ("log.level", "warn"),
            ("log.level", "\"info,sequencer::stages=debug\""),
        ] {
            let set = config.with(key, &read_value(text)).unwrap();
            let file = format!("[{}]\n{} = ", key.rsplit_once('.').unwrap().0, last(key));
            let quoted = match text.starts_with('"') || !text.contains(char::is_alphabetic) {
                true => text.to_owned(),
                false if text == "true" => text.to_owned(),
                false => format!("{text:?}"),
            };
            let read = Config::parse("node.toml".as_ref(), &(file + &quoted)).unwrap();
            assert_eq!(set, read, "{key}");
            assert_eq!(set.shown(key), read.shown(key));
        }
    }

    fn last(key: &str) -> &str {
        key.rsplit_once('.').unwrap().1
    }

    #[test]
    fn what_a_key_cannot_have_is_refused_in_the_words_of_the_file() {
        for (key, text, words) in [
            ("settle.nothing", "1", "expected a key of the configuration"),
            ("settle", "1", "expected a key of the configuration"),
            ("", "1", "expected a key of the configuration"),
            ("chain.embedded_port", "1", "set in the file alone"),
            ("settle.batches_max", "0", "expected settle.batches_max to be 1 to 64, found 0"),
            ("settle.batches_max", "-1", "expected a value that settle.batches_max can have"),
            ("settle.batches_max", "many", "expected a value that settle.batches_max can have"),
            ("settle.batches_max", "1\nx = 2", "expected a value that settle.batches_max"),
            ("log.level", "loud", "expected log.level to be a level"),
            ("log.level", "info\u{1b}[2J", "expected log.level to be a level"),
        ] {
            let found = Config::default().with(key, &read_value(text)).unwrap_err().to_string();
            assert!(found.contains(words), "{key} = {text}: {found}");
        }
    }

    #[test]
    fn the_address_of_a_chain_stays_what_it_is_and_is_not_shown_whole() {
        let mut config = Config::default();
        config.chain.rpc = Some("https://user:geheim@node.example/key".parse().unwrap());
        let set = config.with("batch.claims_max", &read_value("10")).unwrap();
        assert_eq!(set.chain, config.chain);
        let shown = set.shown("chain.rpc").to_string();
        assert!(shown.contains("node.example") && !shown.contains("geheim"), "{shown}");
    }
}
