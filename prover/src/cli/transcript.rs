//! Contributions, for people and for programs.

use prover::ceremony::{Contribution, Contributor};
use serde_json::{Value, json};

/// A line for each contribution: its number, its hash as snarkjs showed it to its maker, and who it
/// says it is from.
pub(crate) fn lines_of(contributions: &[Contribution]) -> String {
    let line = |(at, one): (usize, &Contribution)| {
        format!("{at:>4}  {}  {}", hex::encode(one.hash), by(&one.contributor))
    };
    (1..).zip(contributions).map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn json_of(contributions: &[Contribution]) -> Value {
    contributions
        .iter()
        .map(|one| {
            let (name, beacon) = match &one.contributor {
                Contributor::Named(name) => (Some(name), None),
                Contributor::Beacon { value, hashes_log2 } => {
                    let value = hex::encode(value);
                    (None, Some(json!({ "value": value, "hashes_log2": hashes_log2 })))
                }
            };
            json!({ "hash": hex::encode(one.hash), "name": name, "beacon": beacon })
        })
        .collect()
}

fn by(contributor: &Contributor) -> String {
    match contributor {
        // A stranger's text: escaped, so that it cannot write over the lines around it.
        Contributor::Named(name) => name.escape_default().to_string(),
        Contributor::Beacon { value, hashes_log2 } => {
            format!("beacon {}, hashed 2^{hashes_log2} times", hex::encode(value))
        }
    }
}
