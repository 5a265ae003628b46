//! A row that was chosen, written down, and held against what happens after.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::row::Row;

/// What happened in less says little about a day.
const OBSERVED_MS_MIN: u64 = 3_600_000;
const DAY_MS: f64 = 86_400_000.0;

/// What a row of a plan says of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Name and version of the format.
    schema: String,
    /// What was not as the node had it then.
    set: BTreeMap<String, String>,
    /// Batches a day.
    batches: f64,
    /// Proofs a day.
    proofs: f64,
    /// Gas a day.
    gas: f64,
}

/// A text that says nothing of a day.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected what `sequencer plan --save` wrote (schema {}), found {found}", Expected::SCHEMA)]
pub struct NoPlan {
    /// What is there.
    found: String,
}

/// What happened since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// For how long, milliseconds.
    pub ms: u64,
    /// Windows that were closed.
    pub batches: u64,
    /// Proofs that were made.
    pub proofs: u64,
    /// Gas of mined settling transactions.
    pub gas: u64,
}

/// Expected and happened, of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// As the plan says.
    pub expected_a_day: u64,
    /// As it was, by the time since the node started.
    pub happened_a_day: u64,
    /// How far the plan is above what happened, thousandths of that; none where nothing happened.
    pub error_permille: Option<i64>,
}

/// All that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanErrors {
    /// Batches.
    pub batches: Compared,
    /// Proofs.
    pub proofs: Compared,
    /// Gas.
    pub gas: Compared,
}

impl Expected {
    /// Name and version of the format.
    pub const SCHEMA: &str = "vitals-plan-expected-1";

    /// What a row says.
    pub fn of(row: &Row) -> Expected {
        Expected {
            schema: Expected::SCHEMA.to_owned(),
            set: row.set.clone(),
            batches: row.day.batches,
            proofs: row.day.proofs,
            gas: row.day.gas,
        }
    }

    /// Takes in what was written down.
    ///
    /// # Errors
    /// [`NoPlan`].
    pub fn parse(text: &[u8]) -> Result<Expected, NoPlan> {
        let none = |found: String| NoPlan { found };
        let read: Expected =
            serde_json::from_slice(text).map_err(|error| none(error.to_string()))?;
        if read.schema != Expected::SCHEMA {
            return Err(none(format!("schema {:?}", read.schema)));
        }
        let figures = [read.batches, read.proofs, read.gas];
        match figures.iter().all(|figure| (0.0..1e18).contains(figure)) {
            true => Ok(read),
            false => Err(none("a figure that no day has".to_owned())),
        }
    }

    /// The file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data") + "\n"
    }

    /// Holds it against what happened; nothing before there is an hour of that.
    pub fn compare(&self, happened: Happened) -> Option<PlanErrors> {
        if happened.ms < OBSERVED_MS_MIN {
            return None;
        }
        let one = |expected: f64, count: u64| {
            let a_day = count as f64 * DAY_MS / happened.ms as f64;
            let error = (expected / a_day - 1.0) * 1000.0;
            Compared {
                expected_a_day: expected.round() as u64,
                happened_a_day: a_day.round() as u64,
                error_permille: (count > 0).then(|| error.round() as i64),
            }
        };
        Some(PlanErrors {
            batches: one(self.batches, happened.batches),
            proofs: one(self.proofs, happened.proofs),
            gas: one(self.gas, happened.gas),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        let (schema, set) = (Expected::SCHEMA.to_owned(), BTreeMap::new());
        Expected { schema, set, batches: 1_440.0, proofs: 2_880.0, gas: 1e9 }
    }

    #[test]
    fn a_plan_is_held_against_what_happened_once_an_hour_says_something() {
        let hour = Happened { ms: OBSERVED_MS_MIN, batches: 60, proofs: 100, gas: 0 };
        assert_eq!(expected().compare(Happened { ms: OBSERVED_MS_MIN - 1, ..hour }), None);
        let PlanErrors { batches, proofs, gas } = expected().compare(hour).unwrap();
        assert_eq!(batches.error_permille, Some(0));
        // 2,400 a day, where 2,880 were expected.
        assert_eq!((proofs.happened_a_day, proofs.error_permille), (2_400, Some(200)));
        assert_eq!((gas.happened_a_day, gas.error_permille), (0, None), "nothing to divide by");
    }

    #[test]
    fn a_saved_row_is_read_back_and_anything_else_is_refused() {
        let text = expected().to_json();
        assert_eq!(Expected::parse(text.as_bytes()), Ok(expected()));
        for (text, words) in [
            (text.replace("-1\"", "-2\""), "found schema \"vitals-plan-expected-2\""),
            (text.replace("1440.0", "1e300"), "a figure that no day has"),
            (text.replace("1440.0", "-1.0"), "a figure that no day has"),
            (text.replace("proofs", "prooves"), "unknown field"),
            ("{}".to_owned(), "missing field"),
            (String::new(), "EOF"),
        ] {
            let error = Expected::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
