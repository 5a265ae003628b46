//! One settled claim with what opens it: what a line of a file is made of, and found again by.

use model::{
    BatchNumber, ChainScope, Claim, ClaimKind, DecodeError, DeviceId, OrganisationId,
    PractitionerId, Reader, Word,
};
use statement::batch::ClaimOpening;
use statement::scope;
use statement::{claim, eddsa, field};
use thiserror::Error;
use wire::SignedAccessRequest;

/// First byte of an entry: its format.
const VERSION: u8 = 1;

/// Names of those who act, where no signed request says them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// Name of the practitioner, or of the device of a collection.
    pub individual: Option<String>,
    /// Name of the organisation.
    pub organisation: Option<String>,
}

/// A settled claim about a patient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    batch: BatchNumber,
    transaction: Option<[u8; 32]>,
    opening: ClaimOpening,
    asked: Option<SignedAccessRequest>,
    known: Known,
}

/// What the chain and the public file of an entry's batch have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// Which deployment.
    pub scope: ChainScope,
    /// The word at the entry's chunk and leaf; none if there is no such place.
    pub committed: Option<Word>,
    /// The transaction that settled the batch, as far as it is known.
    pub transaction: Option<[u8; 32]>,
}

/// Why a claim is no entry, or not the one that is settled. No name stands in the text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EntryError {
    /// The bytes are none.
    #[error("expected the bytes of an entry, found others")]
    Malformed(#[from] DecodeError),
    /// The signed request is another, or says something else than the claim.
    #[error("expected the signed request of the claim, found one with another {part}")]
    Request {
        /// In what it differs.
        part: &'static str,
    },
    /// A name does not stand for the word in the claim.
    #[error("expected the name that the claim has the word of ({part}), found another")]
    Name {
        /// Whose.
        part: &'static str,
    },
    /// The place is empty or holds something else.
    #[error("expected the claim at chunk {chunk}, leaf {leaf} of batch {}, found another", batch.0)]
    Leaf {
        /// Batch.
        batch: BatchNumber,
        /// Chunk.
        chunk: u32,
        /// Leaf.
        leaf: u32,
    },
    /// Another transaction settled the batch.
    #[error("expected the transaction that settled batch {}, found another", batch.0)]
    Transaction {
        /// Batch.
        batch: BatchNumber,
    },
}

impl Entry {
    /// Of an opened claim. Whether it is settled, [`Entry::check`] says.
    ///
    /// # Errors
    /// [`EntryError::Request`] of a request that does not decode or is not the claim's, and
    /// [`EntryError::Name`] of a name that the claim does not have the word of.
    pub fn new(
        batch: BatchNumber,
        transaction: Option<[u8; 32]>,
        opening: ClaimOpening,
        known: Known,
    ) -> Result<Entry, EntryError> {
        let asked = read_request(&opening)?;
        // What was signed says who asked; a name from elsewhere would only stand in its way.
        let known = if asked.is_some() { Known::default() } else { known };
        check_names(&opening.claim, &known)?;
        Ok(Entry { batch, transaction, opening, asked, known })
    }

    /// Which batch.
    pub fn batch(&self) -> BatchNumber {
        self.batch
    }

    /// Chunk and leaf in the batch's public file.
    pub fn place(&self) -> (u32, u32) {
        (self.opening.chunk, self.opening.leaf)
    }

    /// The transaction that settled the batch, as far as it is known.
    pub fn transaction(&self) -> Option<[u8; 32]> {
        self.transaction
    }

    /// What was claimed.
    pub fn claim(&self) -> &Claim {
        &self.opening.claim
    }

    /// Whether it was proven that a rule covers it.
    pub fn covered(&self) -> bool {
        self.opening.covered
    }

    /// Whether somebody read: a collection stores what a device measured, and discloses nothing.
    pub fn is_access(&self) -> bool {
        self.claim().kind != ClaimKind::Collect
    }

    /// `batch.chunk.leaf`, by which lines name it.
    pub fn reference(&self) -> String {
        format!("{}.{}.{}", self.batch.0, self.opening.chunk, self.opening.leaf)
    }

    /// Name of the practitioner or device; none if nobody said one.
    pub fn individual(&self) -> Option<&str> {
        let signed = self.asked.as_ref().map(|asked| asked.request().practitioner.as_str());
        signed.or(self.known.individual.as_deref())
    }

    /// Name of the organisation; none if nobody said one.
    pub fn organisation(&self) -> Option<&str> {
        let signed = self.asked.as_ref().map(|asked| asked.request().organisation.as_str());
        signed.or(self.known.organisation.as_deref())
    }

    /// Why it was read, in the words that the reader signed.
    pub fn reason(&self) -> Option<&str> {
        self.asked.as_ref().map(|asked| asked.request().reason().as_str())
    }

    /// Whether this is what is settled: the claim is the leaf, its request and names are the
    /// claim's, and the transaction is the batch's.
    ///
    /// # Errors
    /// [`EntryError`] names the first thing that is not.
    pub fn check(&self, settled: &Settled) -> Result<(), EntryError> {
        let ClaimOpening { chunk, leaf, covered, claim, salt, .. } = &self.opening;
        let found = claim::leaf(claim, *covered, field::from_word(salt));
        if settled.committed != Some(field::to_word(&found)) {
            return Err(EntryError::Leaf { batch: self.batch, chunk: *chunk, leaf: *leaf });
        }
        let both = self.transaction.zip(settled.transaction);
        if both.is_some_and(|(own, settled)| own != settled) {
            return Err(EntryError::Transaction { batch: self.batch });
        }
        let Some(signed) = &self.asked else { return Ok(()) };
        let asked = signed.request();
        let words = scope::request_words(&asked.practitioner, &asked.organisation, asked.device());
        match signed.first_difference(claim, settled.scope, words, eddsa::verify_bytes) {
            None => Ok(()),
            Some(part) => Err(EntryError::Request { part }),
        }
    }

    /// Canonical bytes, big-endian: version 1, batch u64, transaction (32 bytes, zero where it is
    /// not known), chunk u32, leaf u32, covered u8, salt, claim, request (u16 length), name of the
    /// individual and of the organisation (u8 length each, 0 for none).
    pub fn to_bytes(&self) -> Vec<u8> {
        let ClaimOpening { chunk, leaf, covered, claim, salt, request } = &self.opening;
        let mut bytes = vec![VERSION];
        bytes.extend(self.batch.0.to_be_bytes());
        bytes.extend(self.transaction.unwrap_or_default());
        bytes.extend(chunk.to_be_bytes());
        bytes.extend(leaf.to_be_bytes());
        bytes.push(u8::from(*covered));
        bytes.extend(salt.to_bytes());
        bytes.extend(claim.to_bytes());
        // A request that was read has at most 1,024 bytes.
        bytes.extend((request.len() as u16).to_be_bytes());
        bytes.extend(request);
        for name in [&self.known.individual, &self.known.organisation] {
            // A name that was checked has at most 64 bytes.
            let name = name.as_deref().unwrap_or_default();
            bytes.push(name.len() as u8);
            bytes.extend(name.as_bytes());
        }
        bytes
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`EntryError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<Entry, EntryError> {
        let mut reader = Reader::new(bytes);
        let from = &mut reader;
        from.map("entry version 1", Reader::u8, |version| (version == VERSION).then_some(()))?;
        let batch = BatchNumber(from.u64()?);
        let transaction = from.array::<32>()?;
        let (chunk, leaf) = (from.u32()?, from.u32()?);
        let covered = from.map("0 or 1", Reader::u8, |byte| (byte < 2).then_some(byte == 1))?;
        let (salt, claim) = (from.word()?, Claim::read(from)?);
        let length = from.u16()?;
        let request = from.take(usize::from(length))?.to_vec();
        let known = Known { individual: read_name(from)?, organisation: read_name(from)? };
        from.finish()?;
        let transaction = (transaction != [0; 32]).then_some(transaction);
        let opening = ClaimOpening { chunk, leaf, covered, claim, salt, request };
        let is_named = known != Known::default();
        let entry = Entry::new(batch, transaction, opening, known)?;
        // A name beside a signed request would be a second byte string for one entry.
        match is_named && entry.known == Known::default() {
            true => Err(EntryError::Name { part: "beside a request" }),
            false => Ok(entry),
        }
    }
}

fn read_name(from: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
    let length = from.u8()?;
    let offset = from.offset();
    let bytes = from.take(usize::from(length))?;
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| DecodeError::Field { offset, expected: "a name in ASCII" })?;
    Ok((length > 0).then(|| text.to_owned()))
}

/// The request that comes with a claim: nothing says who asked but the one that the claim names.
fn read_request(opening: &ClaimOpening) -> Result<Option<SignedAccessRequest>, EntryError> {
    if opening.request.is_empty() {
        return Ok(None);
    }
    let wrong = EntryError::Request { part: "digest" };
    match SignedAccessRequest::from_bytes(&opening.request) {
        Ok(signed) if signed.digest() == opening.claim.digest => Ok(Some(signed)),
        _ => Err(wrong),
    }
}

fn check_names(claim: &Claim, known: &Known) -> Result<(), EntryError> {
    let (individual, organisation) = ("individual", "organisation");
    if let Some(name) = &known.individual {
        let word = match claim.kind {
            ClaimKind::Collect => DeviceId::new(name).map(|id| scope::device(&id)),
            _ => PractitionerId::new(name).map(|id| scope::practitioner(&id)),
        };
        if word != Ok(claim.individual) {
            return Err(EntryError::Name { part: individual });
        }
    }
    if let Some(name) = &known.organisation {
        let word = OrganisationId::new(name).map(|id| scope::organisation(&id));
        if word != Ok(claim.organisation) {
            return Err(EntryError::Name { part: organisation });
        }
    }
    Ok(())
}
