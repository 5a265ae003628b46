//! Who read what, why and when: a patient's part of settled batches, opened with the view key and
//! checked word by word against headers that an auditor verified on the base chain.
//!
//! Nothing that the node serves is believed. Of every batch: the header is the auditor's; the
//! sealed file is the one that the header names; every list has the length of its key's shape and
//! agrees with the header ([`check_lists`]); the record is a leaf under the header's root; every
//! claim and operation is a leaf of its list, with the salt that the view key gives; the slot tags
//! found say how many claims there are, and all are opened; every claim is asked of the evaluator
//! again; and the operations turn the record before into the record after. That the roots are
//! *proven* is what the auditor checked.
//!
//! One list is the operator's word alone: the accesses and frames that were refused.

use std::collections::{BTreeMap, BTreeSet};

use ark_bn254::Fr;
use model::{
    BatchHeader, BatchNumber, ChainScope, Claim, Digest, Millis, Operation, PatientIndex, Position,
    Record, RuleSlot, Uncovered, Word,
};
use sha3::{Digest as _, Keccak256};
use statement::batch::{
    ClaimOpening, FileError, Layouts, Lists, ListsError, OpeningKey, OperationOpening,
    PatientOpening, PrivateFile, PublicFile, RefusedAccess, SealScope, TagOwner, UnsealError,
    check_lists,
};
use statement::c1::{self, Context};
use statement::operation::{self, SignedOperation};
use statement::scope::Circuit;
use statement::{c2, claim, eddsa, field, record, scope, tree};
use thiserror::Error;

use crate::batches::BatchFiles;

/// Whose log, in which deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Viewer {
    /// Chain and contract.
    pub scope: ChainScope,
    /// How long the lists of a batch are, by the deployment's keys.
    pub layouts: Layouts,
    /// Whose record.
    pub patient: PatientIndex,
    /// Opens the patient's part of each batch.
    pub view_key: Word,
}

/// What an auditor verified of a batch, and a header's file keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Audited<'a> {
    /// The header.
    pub header: &'a BatchHeader,
    /// The edges between its chunks of claims: the patient's tags are made with them, and no header
    /// commits to them, only the proofs that the auditor verified.
    pub edges: &'a [Word],
}

/// What is known of the record before a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Before {
    /// Nothing: the headers begin later than the first batch, or a batch was passed over.
    Unknown,
    /// The record, or that there was none.
    Known(Option<Box<Record>>),
}

/// A claim about the patient, as committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenClaim {
    /// The claim.
    pub claim: Claim,
    /// Whether it was proven covered; an excluded one was not.
    pub covered: bool,
    /// The rule that covers it, or why none does, by the evaluator here.
    pub verdict: Result<RuleSlot, Uncovered>,
    /// Why it was asked for, in the words that were signed: the digest of the request is that of
    /// the claim. None of a collection, or where the operator withholds the request.
    pub reason: Option<String>,
}

/// An operation on the record, as committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenOperation {
    /// The operation.
    pub operation: Operation,
    /// When it took effect.
    pub t_op: Millis,
    /// By which receipts name the signed operation.
    pub digest: Digest,
}

/// A patient's part of one batch, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Claims by position.
    pub claims: Vec<SeenClaim>,
    /// Operations by time.
    pub operations: Vec<SeenOperation>,
    /// Refused accesses and frames by position: what the operator says, and nothing proves.
    pub refused: Vec<RefusedAccess>,
    /// The record after the batch, as far as known.
    pub after: Before,
    /// What all of it was opened from; none if the batch does not concern the patient.
    pub opening: Option<Box<PatientOpening>>,
}

/// What does not agree. Nothing of the patient stands in the text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LogError {
    /// The public file does not decode.
    #[error("the public file is malformed")]
    Public(#[source] FileError),
    /// The public file is of another batch or history, or its lists are not as the header says.
    #[error("the public file is not that of the header that the auditor verified")]
    Lists(#[source] ListsError),
    /// The edges between the chunks of claims were not saved.
    #[error(
        "expected {expected} edges between the chunks of claims in the file of headers, found \
             {found}: let the auditor save it anew (--save-headers) with the files of all batches"
    )]
    Edges {
        /// Chunks but the last.
        expected: usize,
        /// Edges found.
        found: usize,
    },
    /// An edge of the public file is another than the one that was proven.
    #[error("expected the edge behind chunk {chunk} that the auditor verified, found another")]
    Edge {
        /// Index of the chunk.
        chunk: usize,
    },
    /// The private file is not the one that the header names.
    #[error(
        "expected the private file that the header names ({expected} bytes), found another of \
             {found} bytes"
    )]
    Ciphertext {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The private file does not decode.
    #[error("the private file is malformed")]
    Private(#[source] FileError),
    /// The patient's part does not open.
    #[error("the patient's part of the private file does not open")]
    Unseal(#[source] UnsealError),
    /// The opening is of another patient or another view key.
    #[error("expected an opening of this patient and view key, found another")]
    Patient,
    /// The record is not in the tree.
    #[error("expected a record under the header's root, found one that is not")]
    Record,
    /// A claim's place does not exist or holds something else.
    #[error("expected the claim at position {} to be the leaf it is opened as, found another",
            position.0)]
    ClaimLeaf {
        /// Position of the claim.
        position: Position,
    },
    /// A claim's salt is not the one that the view key gives.
    #[error("expected the salt of the view key for the claim at position {}, found another",
            position.0)]
    ClaimSalt {
        /// Position of the claim.
        position: Position,
    },
    /// A tag commits to claims that are not opened, or claims are opened beside any tag.
    #[error(
        "expected {expected} claims in chunk {chunk} by its tags, found {found} opened there: \
             some are withheld or made up"
    )]
    Count {
        /// Which chunk.
        chunk: usize,
        /// Claims that tags commit to.
        expected: usize,
        /// Claims opened at those places.
        found: usize,
    },
    /// A claim counts as covered, but no rule of the record covers it.
    #[error("expected a rule that covers the claim at position {}, found that {}", position.0,
            uncovered.sentence())]
    NotCovered {
        /// Position of the claim.
        position: Position,
        /// What is missing.
        uncovered: Uncovered,
    },
    /// The request that comes with a claim is another one.
    #[error(
        "expected with the claim at position {} the signed request that it names, found other \
         bytes: keep the file, it is evidence against the operator",
        position.0
    )]
    Request {
        /// Position of the claim.
        position: Position,
    },
    /// A claim says something else than the request that it names, or nobody signed that.
    #[error(
        "expected the claim at position {} to be that of its signed request, found another {part}: \
         keep the file, it is evidence against the operator",
        position.0
    )]
    Asked {
        /// Position of the claim.
        position: Position,
        /// In what they differ.
        part: &'static str,
    },
    /// An operation's place does not exist or holds something else.
    #[error(
        "expected operation {index} of the opening to be the leaf it is opened as, found \
             another"
    )]
    OperationLeaf {
        /// Index in the opening, from 0.
        index: usize,
    },
    /// An operation does not decode, or not as one of this patient.
    #[error("expected a signed operation of this patient at index {index} of the opening")]
    Operation {
        /// Index in the opening, from 0.
        index: usize,
    },
    /// An operation that the record's key did not sign.
    #[error("expected operation {index} to be signed by the record's key, found that it is not")]
    Signature {
        /// Index in the opening, from 0.
        index: usize,
    },
    /// The operations do not lead from the record before to the record after.
    #[error(
        "expected operations that turn the record before the batch into the one after it: one \
             is withheld, made up or out of order"
    )]
    History,
}

/// Checks and opens a patient's part of one batch.
///
/// Cost: about a hash for each 16 leaves of the batch, and one for each claim that its slots have
/// room for.
///
/// # Errors
/// [`LogError`] names the first thing that does not agree.
pub fn check(
    viewer: &Viewer,
    audited: &Audited<'_>,
    files: &BatchFiles,
    before: Before,
) -> Result<Seen, LogError> {
    let header = audited.header;
    let public = PublicFile::from_bytes(&files.public).map_err(LogError::Public)?;
    // Before anything in the file is read: a list of another length may have the header's root, and
    // whoever serves the file would like to hide a claim.
    let lists = check_lists(header, &public, &viewer.layouts).map_err(LogError::Lists)?;
    check_edges(&lists, audited.edges)?;
    let batch = Batch { viewer, header, lists };
    let opening = batch.open(&files.private)?;
    let tagged = batch.find_tagged_claims();
    let Some(opening) = opening else {
        // Nothing for this patient may also mean that the operator left the part out; the tags are
        // in the proven leaves and tell the two apart.
        return match tagged.iter().next() {
            Some((chunk, claims)) => {
                Err(LogError::Count { chunk: *chunk, expected: claims.len(), found: 0 })
            }
            None => Ok(Seen::nothing(before)),
        };
    };
    // The record first: claims are held against it.
    batch.check_record(&opening)?;
    check_all_opened(&tagged, &opening.claims)?;
    let claims = opening.claims.iter().map(|one| batch.check_claim(one, &opening.record));
    let claims = claims.collect::<Result<_, _>>()?;
    let operations = opening.operations.iter().enumerate();
    let operations = operations.map(|(index, one)| batch.check_operation(index, one));
    let operations = operations.collect::<Result<Vec<_>, _>>()?;
    batch.check_history(&operations, before, &opening.record)?;
    let operations = operations.into_iter().map(|one| one.seen).collect();
    let after = Before::Known(Some(Box::new(opening.record.clone())));
    let refused = opening.refused.clone();
    Ok(Seen { claims, operations, refused, after, opening: Some(Box::new(opening)) })
}

impl Seen {
    /// Of a batch that does not concern the patient.
    fn nothing(after: Before) -> Seen {
        let (claims, operations, refused) = (Vec::new(), Vec::new(), Vec::new());
        Seen { claims, operations, refused, after, opening: None }
    }
}

/// A batch as one patient sees it.
struct Batch<'a> {
    viewer: &'a Viewer,
    header: &'a BatchHeader,
    lists: Lists<'a>,
}

/// A signed operation and when it took effect.
struct Effective {
    signed: SignedOperation,
    seen: SeenOperation,
}

impl Batch<'_> {
    fn open(&self, bytes: &[u8]) -> Result<Option<PatientOpening>, LogError> {
        let Batch { viewer, header, .. } = self;
        let (expected, found) = (header.ciphertext_length, bytes.len() as u64);
        let hash: [u8; 32] = Keccak256::digest(bytes).into();
        if expected != found || hash != header.ciphertext_hash {
            return Err(LogError::Ciphertext { expected, found });
        }
        let private = PrivateFile::from_bytes(bytes).map_err(LogError::Private)?;
        let scope = SealScope::of_header(viewer.scope, header);
        let key = OpeningKey { view_key: viewer.view_key, patient: viewer.patient };
        private.open(&scope, key).map_err(LogError::Unseal)
    }

    fn check_record(&self, opening: &PatientOpening) -> Result<(), LogError> {
        let Batch { viewer, header, .. } = self;
        let own = opening.record.view_key == viewer.view_key && opening.patient == viewer.patient;
        if !own || opening.batch != header.number {
            return Err(LogError::Patient);
        }
        // Under the root after the batch: rules that ended within it still stand in the record.
        let path = opening.path.map(|children| children.map(|word| field::from_word(&word)));
        let (root, leaf) = (field::from_word(&header.root_out), record::leaf(&opening.record));
        let there = tree::verify_path(root, leaf, viewer.patient.get(), &path);
        if there { Ok(()) } else { Err(LogError::Record) }
    }

    /// Leaves that the patient's tags commit to claims at, by chunk.
    fn find_tagged_claims(&self) -> BTreeMap<usize, BTreeSet<u32>> {
        let Viewer { scope, patient, view_key, .. } = *self.viewer;
        let mut tagged: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for slot in self.lists.find_slots(scope, TagOwner { view_key, patient }) {
            let claims = slot.first..slot.first + slot.claims;
            tagged.entry(slot.chunk).or_default().extend(claims.map(|leaf| leaf as u32));
        }
        tagged
    }

    /// What the proofs of this batch are bound to.
    fn domain(&self, circuit: Circuit) -> Fr {
        let BatchHeader { key_version, number, .. } = self.header;
        scope::domain(self.viewer.scope, circuit, *key_version, *number)
    }

    fn check_claim(&self, opening: &ClaimOpening, record: &Record) -> Result<SeenClaim, LogError> {
        let ClaimOpening { chunk, leaf, covered, claim, salt, request } = opening;
        let position = claim.position;
        let place = self.lists.claim(*chunk, *leaf).ok_or(LogError::ClaimLeaf { position })?;
        // The leaf below is made with the expected salt. Asked first, so that the error says which
        // of the two is wrong.
        let (domain, root_out) =
            (self.domain(Circuit::C2), field::from_word(&self.header.root_out));
        let expected = claim::salt(&self.viewer.view_key, domain, root_out, place.number);
        if field::from_word(salt) != expected {
            return Err(LogError::ClaimSalt { position });
        }
        let found = claim::leaf(claim, *covered, expected);
        if claim.patient != self.viewer.patient || field::to_word(&found) != place.committed {
            return Err(LogError::ClaimLeaf { position });
        }
        // The proof says so too: asked here, the answer needs no trust in the proving keys.
        let verdict = c2::covers(Some(record), claim);
        if let (true, Err(uncovered)) = (*covered, verdict) {
            return Err(LogError::NotCovered { position, uncovered });
        }
        let reason = read_reason(self.viewer.scope, claim, request)?;
        Ok(SeenClaim { claim: claim.clone(), covered: *covered, verdict, reason })
    }

    fn check_operation(
        &self,
        index: usize,
        opening: &OperationOpening,
    ) -> Result<Effective, LogError> {
        let Batch { viewer, header, lists } = self;
        let OperationOpening { chunk, row, t_op, signed: bytes, salt } = opening;
        let wrong = || LogError::Operation { index };
        let signed = SignedOperation::from_bytes(bytes).map_err(|_| wrong())?;
        let digest = wire::SignedOperation::new(bytes.clone()).map_err(|_| wrong())?.digest();
        if signed.operation.patient != viewer.patient {
            return Err(LogError::Operation { index });
        }
        let place = lists.operation(*chunk, *row).ok_or(LogError::OperationLeaf { index })?;
        let row = u32::try_from(place.number).map_err(|_| LogError::OperationLeaf { index })?;
        let (domain, root_out) = (self.domain(Circuit::C1), field::from_word(&header.root_out));
        let expected = operation::salt(&viewer.view_key, domain, root_out, row);
        let message = operation::message(scope::sig_domain(viewer.scope), &signed.operation);
        let found = field::to_word(&operation::leaf(message, *t_op, expected));
        if field::from_word(salt) != expected || found != place.committed {
            return Err(LogError::OperationLeaf { index });
        }
        let seen = SeenOperation { operation: signed.operation.clone(), t_op: *t_op, digest };
        Ok(Effective { signed, seen })
    }

    /// The operations in order turn the record before into the record after, each under every
    /// rule. Operations have no tags that count them; a withheld one shows here.
    fn check_history(
        &self,
        operations: &[Effective],
        before: Before,
        after: &Record,
    ) -> Result<(), LogError> {
        let Before::Known(before) = before else {
            return Ok(());
        };
        let sig_domain = scope::sig_domain(self.viewer.scope);
        let (t0, t1) = (self.header.window.t0(), Some(self.header.window.t1()));
        let (mut record, mut last_time) = (before.map(|record| *record), t0);
        for (index, Effective { signed, seen }) in operations.iter().enumerate() {
            let t_op = seen.t_op;
            let key_hash = record.as_ref().map(|record| field::from_word(&record.key_hash));
            // An enrolment is the registrar's to sign, whom the proof knows; all else the key's.
            let by_key = key_hash.is_none_or(|hash| signed.signer.hash() == hash);
            if !by_key || !signed.verify(sig_domain) {
                return Err(LogError::Signature { index });
            }
            let registrar_key_hash = signed.signer.hash();
            let context = Context { sig_domain, registrar_key_hash, t0, last_time, t_op, t1 };
            let next = c1::effect(record.as_ref(), &signed.operation, &context);
            record = Some(next.map_err(|_| LogError::History)?);
            last_time = t_op;
        }
        if record.as_ref() == Some(after) { Ok(()) } else { Err(LogError::History) }
    }
}

/// Tags are made with the edge before their chunk: behind another one nobody would find any.
fn check_edges(lists: &Lists<'_>, verified: &[Word]) -> Result<(), LogError> {
    let edges: Vec<_> = lists.edges().collect();
    let expected = edges.len().saturating_sub(1);
    if expected != verified.len() {
        return Err(LogError::Edges { expected, found: verified.len() });
    }
    match edges.iter().zip(verified).position(|(found, expected)| found != expected) {
        None => Ok(()),
        Some(chunk) => Err(LogError::Edge { chunk }),
    }
}

/// Exactly the claims that the tags commit to are opened, each once.
fn check_all_opened(
    tagged: &BTreeMap<usize, BTreeSet<u32>>,
    opened: &[ClaimOpening],
) -> Result<(), LogError> {
    let mut found: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for one in opened {
        found.entry(one.chunk as usize).or_default().push(one.leaf);
    }
    let chunks: BTreeSet<_> = tagged.keys().chain(found.keys()).copied().collect();
    for chunk in chunks {
        let expected = tagged.get(&chunk).cloned().unwrap_or_default();
        let leaves = found.remove(&chunk).unwrap_or_default();
        let set: BTreeSet<_> = leaves.iter().copied().collect();
        // A claim opened twice would hide that another one is withheld.
        if set != expected || set.len() != leaves.len() {
            let found = set.intersection(&expected).count();
            return Err(LogError::Count { chunk, expected: expected.len(), found });
        }
    }
    Ok(())
}

/// What is known before the first of some headers: nothing stands before the first batch.
pub fn before_first(headers: &[BatchHeader]) -> Before {
    match headers.first() {
        Some(first) if first.number == BatchNumber(1) => Before::Known(None),
        _ => Before::Unknown,
    }
}

/// The reason that was signed. The claim commits to the digest of the request, so that the operator
/// can withhold it and cannot change it; nor claim something else than was signed.
fn read_reason(of: ChainScope, claim: &Claim, request: &[u8]) -> Result<Option<String>, LogError> {
    if request.is_empty() {
        return Ok(None);
    }
    let position = claim.position;
    let signed = match wire::SignedAccessRequest::from_bytes(request) {
        Ok(signed) if signed.digest() == claim.digest => signed,
        _ => return Err(LogError::Request { position }),
    };
    let asked = signed.request();
    let words = scope::request_words(&asked.practitioner, &asked.organisation, asked.device());
    match signed.first_difference(claim, of, words, eddsa::verify_bytes) {
        None => Ok(Some(signed.request().reason().as_str().to_owned())),
        Some(part) => Err(LogError::Asked { position, part }),
    }
}
