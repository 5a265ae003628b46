//! Accountings, access logs and AuditEvents that a patient hands on, line by line against the
//! chain.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use accounting::{Entry, Export, ReadError};
use model::{BatchNumber, escape};
use serde::Serialize;

use crate::broken::Fault;
use crate::check;
use crate::followed::Followed;
use crate::place::Place;
use crate::report::{Colour, red};

/// A file and what it was read as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedExport {
    /// Name of the file, for the report.
    pub name: String,
    /// What stands in it; or that lines were changed, which is found without any chain.
    pub read: Result<Export, ReadError>,
}

/// A settled claim that a file names and the chain does not have so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NotFound {
    /// `batch.chunk.leaf`, as the file's lines name it.
    pub reference: String,
    /// What is not as it has to be.
    pub why: String,
}

/// What was found of one file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckedExport {
    /// Its name.
    pub file: String,
    /// `disclosures`, `access-log` or `audit-events`; none of a file whose lines were changed.
    pub kind: Option<&'static str>,
    /// Whose, as an index in the deployment.
    pub patient: Option<u32>,
    /// Lines that it has.
    pub lines: usize,
    /// Settled claims that were found again.
    pub found: usize,
    /// Those that were not.
    pub not_found: Vec<NotFound>,
    /// Why the file is not compared at all: lines say something else than their openings.
    pub changed: Option<String>,
    /// Whether everything in it was found again.
    pub holds: bool,
}

/// What was found of all files; JSON schema `vitals-accounting-check-1`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckedExports {
    /// Always `vitals-accounting-check-1`.
    pub schema: &'static str,
    /// What tells the deployment from every other.
    pub fingerprint: String,
    /// Whether the proofs are worth nothing, because anybody can make them.
    pub dev_insecure: bool,
    /// By the order in which they were given.
    pub files: Vec<CheckedExport>,
    /// Whether everything in all of them was found again.
    pub holds: bool,
}

/// Finds every settled claim of every file again: in the public file of its batch, which is checked
/// down to every proof, under the header that the chain has. Each batch is read once.
///
/// Not shown: that none is missing in a file. Whoever has the patient's opening compares that
/// (`auditor verify --openings`), or the patient (`vitals log`).
///
/// # Errors
/// [`Fault`] if something of chain or batch files is broken or missing. What a file says and the
/// chain does not is no error: it stands in the report.
pub async fn check_exports(
    place: Place<'_>,
    files: &[NamedExport],
) -> Result<CheckedExports, Fault> {
    let followed = Followed::read(place).await?;
    let mut checked: Vec<_> = files.iter().map(CheckedExport::begin).collect();
    for (batch, entries) in by_batch(files) {
        let Some(settled) = followed.batch(batch.0) else {
            let why = format!("batch {} is not settled", batch.0);
            for (file, entry) in entries {
                checked[file].not_found.push(NotFound::new(entry, why.clone()));
            }
            continue;
        };
        let public = followed.public_file(&settled.batch.header).await?;
        let of = check::ExportedBatch {
            scope: followed.context.scope,
            transaction: settled.batch.transaction.0,
            file: &public,
        };
        for (file, entry) in entries {
            match check::exported(of, entry) {
                Ok(()) => checked[file].found += 1,
                Err(error) => {
                    checked[file].not_found.push(NotFound::new(entry, error.to_string()));
                }
            }
        }
    }
    for one in &mut checked {
        one.holds = one.changed.is_none() && one.not_found.is_empty();
    }
    Ok(CheckedExports {
        schema: "vitals-accounting-check-1",
        fingerprint: followed.context.fingerprint.to_string(),
        dev_insecure: followed.context.dev_insecure,
        holds: checked.iter().all(|one| one.holds),
        files: checked,
    })
}

/// The settled claims of all files with the index of their file, by batch.
fn by_batch(files: &[NamedExport]) -> BTreeMap<BatchNumber, Vec<(usize, &Entry)>> {
    let mut by_batch: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (file, named) in files.iter().enumerate() {
        let entries = named.read.iter().flat_map(|export| export.document.entries());
        for entry in entries {
            by_batch.entry(entry.batch()).or_default().push((file, entry));
        }
    }
    by_batch
}

impl NotFound {
    fn new(entry: &Entry, why: String) -> NotFound {
        NotFound { reference: entry.reference(), why }
    }
}

impl CheckedExport {
    fn begin(named: &NamedExport) -> CheckedExport {
        let document = named.read.as_ref().ok().map(|export| &export.document);
        CheckedExport {
            file: named.name.clone(),
            kind: document.map(|document| document.about().kind.name()),
            patient: document.map(|document| document.about().patient.get()),
            lines: document.map_or(0, |document| document.lines().len()),
            found: 0,
            not_found: Vec::new(),
            changed: named.read.as_ref().err().map(ToString::to_string),
            holds: false,
        }
    }
}

impl CheckedExports {
    /// A line a file, and one for everything that was not found.
    pub fn text(&self, colour: Colour) -> String {
        let mut out = format!("deployment {}\n", self.fingerprint);
        // Writing to a string cannot fail.
        for one in &self.files {
            let name = escape(&one.file);
            let CheckedExport { kind, lines, found, not_found, changed, .. } = one;
            if let Some(why) = changed {
                let _ = writeln!(out, "{name}: {}", red(colour, &format!("CHANGED: {why}")));
                continue;
            }
            let kind = kind.unwrap_or_default();
            let _ = writeln!(out, "{name}: {kind}, {lines} lines, {found} claims found again");
            for NotFound { reference, why } in not_found {
                let line = red(colour, &format!("NOT FOUND: {reference}: {why}"));
                let _ = writeln!(out, "  {line}");
            }
        }
        let verdict = match self.holds {
            true => "every line was found again; that none is missing is not shown by these files",
            false => "some lines were changed or are not settled: see above",
        };
        let _ = writeln!(out, "{verdict}");
        if self.dev_insecure {
            let loud = "DEV-INSECURE KEYS: ANYBODY CAN FORGE THESE PROOFS";
            let _ = writeln!(out, "{}", red(colour, loud));
        }
        out
    }
}
