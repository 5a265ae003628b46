//! One public file against its header and what came before.

use alloy::primitives::keccak256;
use model::{BatchHeader, Word, limits};
use statement::batch::{FileError, PublicFile};

use super::parts::{BatchContext, Tail, within};
use super::{claims, journal, lists, operations};
use crate::broken::{Broken, Item, equal};

/// What a checked batch holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The file.
    pub file: PublicFile,
    /// Its last journal group; the predecessor's if it has none.
    pub tail: Option<Tail>,
    /// How often numbers of journal groups were given up: losses that the operator accepted.
    pub gaps: u64,
    /// Proofs verified.
    pub proofs: u64,
}

/// Checks one batch: the file decodes, is that of the header, and everything that the header
/// commits to follows from it, every proof included. What stands in the header alone (its place in
/// the row of headers) is not looked at again.
///
/// # Errors
/// [`Broken`] names the first item that does not hold.
pub fn batch(of: BatchContext<'_>, bytes: &[u8]) -> Result<Summary, Broken> {
    let header = of.header;
    let file = PublicFile::from_bytes(bytes).map_err(|error| name_section(header, &error))?;
    // From here on the chain's header is the measure, and the file's is not used again.
    compare_headers(header, &file.header)?;
    lists::check(of.context, header, &file)?;
    let mut proofs = operations::fold(of, &file.operations)?;
    proofs.extend(claims::fold(of, &file.claims)?);
    let journal::Groups { tail, gaps } = journal::check(of, &file.groups)?;
    // A pairing costs more than all that stands above together, and a file that fails there needs
    // none.
    let verified = proofs.len() as u64;
    proofs.into_iter().try_for_each(|proof| proof.verify(header))?;
    Ok(Summary { file, tail, gaps, proofs: verified })
}

/// The edges between the chunks of claims of a file whose proofs were verified; the last edge is
/// nobody's begin.
pub fn edges(file: &PublicFile) -> Vec<Word> {
    let between = file.claims.len().saturating_sub(1);
    file.claims.iter().take(between).map(|chunk| chunk.edge_out).collect()
}

/// The outside of the private file: what is inside is for the patients.
///
/// # Errors
/// [`Broken`] if it is not the file that the header commits to.
pub fn private_file(header: &BatchHeader, bytes: &[u8]) -> Result<(), Broken> {
    let item = Item::PrivateFile;
    // Both are committed to; the length says at once that a file was cut.
    equal(within(header), item("length"), &header.ciphertext_length, &(bytes.len() as u64))?;
    equal(within(header), item("hash"), &header.ciphertext_hash, &keccak256(bytes).0)
}

/// The part of the file that does not decode.
fn name_section(header: &BatchHeader, error: &FileError) -> Broken {
    let (part, found) = match error {
        FileError::Magic { .. } | FileError::FirstVersion { .. } => ("format", error.to_string()),
        FileError::TooLarge { found, .. } => ("size", format!("{found} bytes")),
        FileError::Header(source) => ("header", source.to_string()),
        FileError::Section { section, source } => (*section, source.to_string()),
    };
    // Its size is the one thing about a file that can be wrong without a wrong byte.
    let expected = match part {
        "size" => format!("at most {} bytes", limits::BATCH_FILE_BYTES_MAX),
        _ => "canonical bytes of a public batch file".to_owned(),
    };
    Broken::inside(header.number, Item::File(part), expected, found)
}

/// Names of the header's words in order.
const WORDS: [&str; BatchHeader::WORDS] = [
    "version",
    "number",
    "previous hash",
    "begin of the window",
    "end of the window",
    "root in",
    "root out",
    "first forced stop",
    "count of forced stops",
    "outcomes of forced stops",
    "operations root",
    "claims root",
    "operations",
    "enrolments",
    "access claims",
    "collect claims",
    "break-glass claims",
    "excluded claims",
    "data root",
    "journal position",
    "journal hash",
    "registry root",
    "data source",
    "ciphertext hash",
    "ciphertext length",
    "key version",
];

/// Word by word, so that a report names the word and not two hashes.
fn compare_headers(chain: &BatchHeader, file: &BatchHeader) -> Result<(), Broken> {
    let words = chain.to_words().into_iter().zip(file.to_words()).zip(WORDS);
    for ((expected, found), name) in words {
        equal(within(chain), Item::Header(name), &expected, &found)?;
    }
    Ok(())
}
