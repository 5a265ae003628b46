//! What became of the readings of each collection that was opened: given, erased at their patient's
//! signed request, or withheld.
//!
//! *Erased* is the patient's word and nobody else's: who keeps readings back cannot say it, nor who
//! destroyed keys that nobody asked to be destroyed. Whether keys were destroyed nobody can prove;
//! the receipt of the tombstone is the operator's promise that they were, and one like others.

use std::collections::BTreeSet;

use model::ClaimKind;
use statement::batch::{Compared, JournalSpan};
use statement::eddsa;
use wire::{ErasureOf, KeyChecks, SignedErasure};

use super::frames::NamedFrames;
use super::openings::{NamedOpening, SoundBatch};
use crate::broken::{Broken, Item};

/// A signed request to erase with the name of its file, by which errors call it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedErasure {
    /// The file's name.
    pub name: String,
    /// The request.
    pub signed: SignedErasure,
}

/// What became of the readings of an opening's collections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadingsCounts {
    /// Frames were given, and are those of the digest.
    pub given: u64,
    /// None, or not all, were given, and the patient asked for their erasure.
    pub erased: u64,
    /// None, or not all, were given, and nobody asked.
    pub withheld: u64,
}

/// What is held against the collections of an opening.
#[derive(Clone, Copy, Debug)]
pub struct Readings<'a> {
    /// Frames that were released.
    pub released: &'a [NamedFrames],
    /// Requests to erase, of whichever patients.
    pub erasures: &'a [NamedErasure],
}

/// Accounts for the readings of every collection of an opening that was found sound.
///
/// # Errors
/// [`Broken`] names a request that is said to be this patient's, and is not.
pub fn readings(
    batch: SoundBatch<'_>,
    span: JournalSpan,
    named: &NamedOpening,
    given: Readings<'_>,
) -> Result<ReadingsCounts, Broken> {
    let opening = &named.opening;
    let mut is_erased = false;
    for NamedErasure { name, signed } in given.erasures {
        if signed.request.patient == opening.patient {
            check_request(batch, named, (name, signed))?;
            is_erased = true;
        }
    }
    let of_patient = given.released.iter().filter(|one| one.released.patient == opening.patient);
    let compared = of_patient.flat_map(|one| one.released.compare(Some(opening), span).claims);
    let equal = compared.filter(|one| one.found == Compared::Equal).map(|one| one.claim);
    let equal: BTreeSet<usize> = equal.collect();
    let mut counts = ReadingsCounts::default();
    for (number, opened) in opening.claims.iter().enumerate() {
        if opened.claim.kind != ClaimKind::Collect {
            continue;
        }
        match (equal.contains(&number), is_erased) {
            (true, _) => counts.given += 1,
            (false, true) => counts.erased += 1,
            (false, false) => counts.withheld += 1,
        }
    }
    Ok(counts)
}

/// The patient of the opening signed it, for this deployment; and behind their stop, where the
/// opening is of a batch that has it.
fn check_request(
    batch: SoundBatch<'_>,
    named: &NamedOpening,
    (file, signed): (&str, &SignedErasure),
) -> Result<(), Broken> {
    let record = &named.opening.record;
    // An open record has seen fewer operations than the stopped one that the request is about: one
    // that was signed at this number, or before, was signed of an open record.
    let least = record.nonce.saturating_add(1);
    let nonce = if record.is_open() { least.max(signed.request.nonce) } else { record.nonce };
    let of = ErasureOf {
        scope: batch.context.scope,
        patient: named.opening.patient,
        key_hash: record.key_hash,
        nonce,
    };
    let checks = KeyChecks { verifies: eddsa::verify_bytes, hash: eddsa::hash_bytes };
    match signed.first_difference(&of, checks) {
        None => Ok(()),
        Some(part) => {
            let item = Item::Erasure { file: file.to_owned(), part };
            let expected = "a request that the patient of the opening signed";
            let found = format!("another {part}, by {}", named.name);
            Err(Broken::inside(batch.header.number, item, expected, found))
        }
    }
}
