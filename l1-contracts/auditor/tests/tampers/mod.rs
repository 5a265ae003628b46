//! Everything that is tried to be wrong with files, deployments and headers, in one table, and what
//! the auditor says of each.
//!
//! The page that verifies in a browser (`sequencer/page`) reads the table from
//! `tests/data/tampers.json` and must say the same of each row. `UPDATE=1 cargo test` rewrites it.

mod bytes;
mod deployments;
mod files;
mod headers;

use std::fs;
use std::path::PathBuf;

use auditor::Broken;
use serde_json::{Value, json};

#[test]
fn the_table_that_the_page_reads_is_what_the_auditor_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tampers.json");
    let made = table();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).expect("the table is writable");
    }
    let found = fs::read_to_string(&path).expect("the table is committed");
    assert!(found == made, "{} differs; run with UPDATE=1", path.display());
}

fn table() -> String {
    let mut pool = Pool::default();
    let (deployments, files) = (deployments::rows(&mut pool), files::rows(&mut pool));
    let table = json!({
        "schema": "vitals-tampers-1",
        "deployments": deployments,
        "files": files,
        "bytes": bytes::rows(&mut pool),
        "headers": headers::rows(),
        "heads": headers::head_rows(),
        "worlds": pool.worlds,
        "keys": pool.keys,
    });
    serde_json::to_string_pretty(&table).expect("JSON of strings and numbers") + "\n"
}

/// What many rows share, by its place.
#[derive(Default)]
struct Pool {
    /// The public files of a story, in order.
    worlds: Vec<Vec<String>>,
    /// The words of verifying keys.
    keys: Vec<String>,
}

impl Pool {
    fn world(&mut self, files: Vec<String>) -> usize {
        place(&mut self.worlds, files)
    }

    fn key(&mut self, words: String) -> usize {
        place(&mut self.keys, words)
    }
}

fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

/// The whole sentence, or nothing of what holds.
fn sentence<T>(found: &Result<T, Broken>) -> Option<String> {
    found.as_ref().err().map(Broken::to_string)
}

/// How to make the one byte string from the other.
fn splice(from: &[u8], to: &[u8]) -> Value {
    let alike = |(a, b): &(&u8, &u8)| a == b;
    let before = from.iter().zip(to).take_while(alike).count();
    let (from_rest, to_rest) = (&from[before..], &to[before..]);
    let after = from_rest.iter().rev().zip(to_rest.iter().rev()).take_while(alike).count();
    json!({
        "at": before,
        "removed": from_rest.len() - after,
        "inserted": hex::encode(&to_rest[..to_rest.len() - after]),
    })
}
