//! Keys of versions before, which stand elsewhere now: whoever has a file with one is told where.

use toml::{Table, Value};

/// One that moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moved {
    /// Section and key, as a file has it.
    pub(super) key: &'static str,
    /// What is written in its place.
    pub(super) instead: &'static str,
}

/// Every one. None is taken over by itself: a file with two issuers would lose one unseen.
const MOVED: &[Moved] = &[
    Moved { key: "fhir.jwks_file", instead: "tokens.jwks_file, beside fhir.audit_events = true" },
    Moved { key: "fhir.issuer", instead: "tokens.issuer" },
    Moved { key: "fhir.base", instead: "tokens.audience" },
    Moved { key: "fhir.token_ms_max", instead: "tokens.token_ms_max" },
    Moved { key: "decisions.jwks_file", instead: "tokens.jwks_file" },
    Moved { key: "decisions.issuer", instead: "tokens.issuer" },
    Moved { key: "decisions.audience", instead: "tokens.audience" },
];

/// The first of them that a text has.
pub(super) fn find(text: &str) -> Option<Moved> {
    let table = text.parse::<Table>().ok()?;
    let has = |one: &&Moved| {
        let (section, key) = one.key.split_once('.').unwrap_or((one.key, ""));
        table.get(section).and_then(Value::as_table).is_some_and(|found| found.contains_key(key))
    };
    MOVED.iter().find(has).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::config::Config;

    #[test]
    fn each_key_that_moved_is_gone_and_stands_where_it_is_said_to() {
        let rows = Config::settings();
        let is_there = |key: &str| rows.iter().any(|row| row.path == key);
        for Moved { key, instead } in MOVED {
            assert!(!is_there(key), "{key} is a key");
            let now = instead.split([',', ' ']).next().unwrap_or_default();
            assert!(is_there(now), "{key} stands in {now}, which is no key");
        }
    }
}
