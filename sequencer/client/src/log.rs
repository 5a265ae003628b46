//! Who read what, why and when: a patient's part of settled batches, opened with the view key and
//! checked word by word against headers that an auditor verified on the base chain.
//!
//! Nothing that the node serves is believed. Of every batch: the header is the auditor's; the
//! sealed file is the one that the header names; every leaf list hashes to the header's roots; the
//! record is a leaf under the header's root; every claim and operation is a leaf of its list, with
//! the salt that the view key gives; the slot tags found say how many claims there are, and all are
//! opened; every claim is asked of the evaluator again; and the operations turn the record before
//! into the record after. That the roots are *proven* is what the auditor checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ark_bn254::Fr;
use model::{
    BatchHeader, BatchNumber, ChainScope, Claim, Millis, Operation, PatientIndex, Position, Record,
    RuleSlot, Uncovered, Word,
};
use sha3::{Digest as _, Keccak256};
use statement::batch::{
    ClaimOpening, ClaimsChunk, FileError, OperationOpening, PatientOpening, PrivateFile,
    PublicFile, UnsealError,
};
use statement::c1::{self, Context};
use statement::domain::Domain;
use statement::operation::{self, SignedOperation};
use statement::scope::Circuit;
use statement::{c2, claim, field, record, scope, tree};
use thiserror::Error;

use crate::batches::BatchFiles;

/// Patient slots of a chunk have numbers of a byte.
const PATIENT_SLOTS_MAX: usize = 256;

/// Whose log, in which deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Viewer {
    /// Chain and contract.
    pub scope: ChainScope,
    /// Whose record.
    pub patient: PatientIndex,
    /// Opens the patient's part of each batch.
    pub view_key: Word,
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
}

/// An operation on the record, as committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenOperation {
    /// The operation.
    pub operation: Operation,
    /// When it took effect.
    pub t_op: Millis,
}

/// A patient's part of one batch, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Claims by position.
    pub claims: Vec<SeenClaim>,
    /// Operations by time.
    pub operations: Vec<SeenOperation>,
    /// The record after the batch, as far as known.
    pub after: Before,
}

/// What does not agree. Nothing of the patient stands in the text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LogError {
    /// The public file does not decode.
    #[error("the public file is malformed")]
    Public(#[source] FileError),
    /// The public file is of another batch or another history.
    #[error("expected the header that the auditor verified, found another in the public file")]
    Header,
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
    /// Leaves of claims do not hash to their root.
    #[error("expected leaves of claims that hash to the header's root (chunk {chunk:?})")]
    ClaimsRoot {
        /// Which chunk; none if all chunks' roots together do not.
        chunk: Option<usize>,
    },
    /// Leaves of operations do not hash to their root.
    #[error("expected leaves of operations that hash to the header's root (chunk {chunk:?})")]
    OperationsRoot {
        /// Which chunk; none if all chunks' roots together do not.
        chunk: Option<usize>,
    },
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
    /// Tags that contradict each other.
    #[error("expected tags at the ends of equal slots in chunk {chunk}, found others")]
    Tags {
        /// Which chunk.
        chunk: usize,
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
/// Cost: a hash for each leaf of the batch, and for each chunk of n leaves about n ln n hashes to
/// find the patient's tags (6,000 for 832 claims: some tenths of a second).
///
/// # Errors
/// [`LogError`] names the first thing that does not agree.
pub fn check(
    viewer: &Viewer,
    header: &BatchHeader,
    files: &BatchFiles,
    before: Before,
) -> Result<Seen, LogError> {
    let batch = Batch { viewer, header, public: read_public(header, &files.public)? };
    let opening = batch.open(&files.private)?;
    let tagged = batch.find_tagged_claims()?;
    let Some(opening) = opening else {
        // Nothing for this patient may also mean that the operator left the part out; the tags are
        // in the proven leaves and tell the two apart.
        return match tagged.iter().find(|(_, claims)| !claims.is_empty()) {
            Some((chunk, claims)) => {
                Err(LogError::Count { chunk: *chunk, expected: claims.len(), found: 0 })
            }
            None => Ok(Seen { claims: Vec::new(), operations: Vec::new(), after: before }),
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
    let seen = |one: Effective| SeenOperation { operation: one.signed.operation, t_op: one.t_op };
    let operations = operations.into_iter().map(seen).collect();
    Ok(Seen { claims, operations, after: Before::Known(Some(Box::new(opening.record))) })
}

/// A batch as one patient sees it.
struct Batch<'a> {
    viewer: &'a Viewer,
    header: &'a BatchHeader,
    public: PublicFile,
}

/// A signed operation and when it took effect.
struct Effective {
    signed: SignedOperation,
    t_op: Millis,
}

/// A leaf of a chunk, with its number through all chunks of the batch.
struct Leaf {
    committed: Word,
    number: u64,
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
        private.open(viewer.view_key, header.number, viewer.patient).map_err(LogError::Unseal)
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

    /// Leaves of each chunk that the patient's tags commit to claims at.
    fn find_tagged_claims(&self) -> Result<BTreeMap<usize, BTreeSet<u32>>, LogError> {
        let domain = self.domain(Circuit::C2);
        // The edge before the first chunk is 0.
        let edges = self.public.claims.iter().map(|chunk| chunk.edge_out);
        let edges: Vec<Word> = [Word::ZERO].into_iter().chain(edges).collect();
        let claims = |(index, chunk): (usize, &ClaimsChunk)| {
            let place = ChunkPlace { domain, edge_in: field::from_word(&edges[index]) };
            let tagged = find_tagged(self.viewer, place, &chunk.leaves);
            tagged.map(|claims| (index, claims)).ok_or(LogError::Tags { chunk: index })
        };
        self.public.claims.iter().enumerate().map(claims).collect()
    }

    /// What the proofs of this batch are bound to.
    fn domain(&self, circuit: Circuit) -> Fr {
        let BatchHeader { key_version, number, .. } = self.header;
        scope::domain(self.viewer.scope, circuit, *key_version, *number)
    }

    fn check_claim(&self, opening: &ClaimOpening, record: &Record) -> Result<SeenClaim, LogError> {
        let ClaimOpening { chunk, leaf, covered, claim, salt } = opening;
        let position = claim.position;
        let lists = self.public.claims.iter().map(|chunk| chunk.leaves.as_slice());
        let Leaf { committed, number } =
            find_leaf(lists, *chunk, *leaf).ok_or(LogError::ClaimLeaf { position })?;
        // The leaf below is made with the expected salt. Asked first, so that the error says which
        // of the two is wrong.
        let (domain, root_out) =
            (self.domain(Circuit::C2), field::from_word(&self.header.root_out));
        let expected = claim::salt(&self.viewer.view_key, domain, root_out, number);
        if field::from_word(salt) != expected {
            return Err(LogError::ClaimSalt { position });
        }
        let found = claim::leaf(claim, *covered, expected);
        if claim.patient != self.viewer.patient || field::to_word(&found) != committed {
            return Err(LogError::ClaimLeaf { position });
        }
        // The proof says so too: asked here, the answer needs no trust in the proving keys.
        let verdict = c2::covers(Some(record), claim);
        if let (true, Err(uncovered)) = (*covered, verdict) {
            return Err(LogError::NotCovered { position, uncovered });
        }
        Ok(SeenClaim { claim: claim.clone(), covered: *covered, verdict })
    }

    fn check_operation(
        &self,
        index: usize,
        opening: &OperationOpening,
    ) -> Result<Effective, LogError> {
        let Batch { viewer, header, public } = self;
        let OperationOpening { chunk, row, t_op, signed, salt } = opening;
        let signed = SignedOperation::from_bytes(signed);
        let signed = signed.map_err(|_| LogError::Operation { index })?;
        if signed.operation.patient != viewer.patient {
            return Err(LogError::Operation { index });
        }
        let lists = public.operations.iter().map(|chunk| chunk.leaves.as_slice());
        let Leaf { committed, number } =
            find_leaf(lists, *chunk, *row).ok_or(LogError::OperationLeaf { index })?;
        let row = u32::try_from(number).map_err(|_| LogError::OperationLeaf { index })?;
        let (domain, root_out) = (self.domain(Circuit::C1), field::from_word(&header.root_out));
        let expected = operation::salt(&viewer.view_key, domain, root_out, row);
        let message = operation::message(scope::sig_domain(viewer.scope), &signed.operation);
        let found = field::to_word(&operation::leaf(message, *t_op, expected));
        if field::from_word(salt) != expected || found != committed {
            return Err(LogError::OperationLeaf { index });
        }
        Ok(Effective { signed, t_op: *t_op })
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
        for (index, Effective { signed, t_op }) in operations.iter().enumerate() {
            let key_hash = record.as_ref().map(|record| field::from_word(&record.key_hash));
            // An enrolment is the registrar's to sign, whom the proof knows; all else the key's.
            let by_key = key_hash.is_none_or(|hash| signed.signer.hash() == hash);
            if !by_key || !signed.verify(sig_domain) {
                return Err(LogError::Signature { index });
            }
            let registrar_key_hash = signed.signer.hash();
            let context =
                Context { sig_domain, registrar_key_hash, t0, last_time, t_op: *t_op, t1 };
            let next = c1::effect(record.as_ref(), &signed.operation, &context);
            record = Some(next.map_err(|_| LogError::History)?);
            last_time = *t_op;
        }
        if record.as_ref() == Some(after) { Ok(()) } else { Err(LogError::History) }
    }
}

/// The public file, if its leaves hash to the header's roots.
fn read_public(header: &BatchHeader, bytes: &[u8]) -> Result<PublicFile, LogError> {
    let public = PublicFile::from_bytes(bytes).map_err(LogError::Public)?;
    // From here on only the auditor's header is used; the file's own is never believed.
    if public.header.to_bytes() != header.to_bytes() {
        return Err(LogError::Header);
    }
    let claims = public.claims.iter().map(|chunk| (chunk.leaves.as_slice(), chunk.claims_root));
    let roots = check_chunk_roots(Domain::ClaimsNode, claims);
    let roots = roots.map_err(|chunk| LogError::ClaimsRoot { chunk: Some(chunk) })?;
    if scope::chunk_roots(&roots) != header.claims_root {
        return Err(LogError::ClaimsRoot { chunk: None });
    }
    let operations = public.operations.iter();
    let operations = operations.map(|chunk| (chunk.leaves.as_slice(), chunk.operations_root));
    let roots = check_chunk_roots(Domain::OperationsNode, operations);
    let roots = roots.map_err(|chunk| LogError::OperationsRoot { chunk: Some(chunk) })?;
    if scope::chunk_roots(&roots) != header.operations_root {
        return Err(LogError::OperationsRoot { chunk: None });
    }
    Ok(public)
}

/// The chunks' roots; the index of the first chunk whose leaves have another.
fn check_chunk_roots<'a>(
    node: Domain,
    chunks: impl Iterator<Item = (&'a [Word], Word)>,
) -> Result<Vec<Fr>, usize> {
    let root = |(index, (leaves, root)): (usize, (&[Word], Word))| {
        let expected = field::from_word(&root);
        let leaves: Vec<_> = leaves.iter().map(field::from_word).collect();
        // The hash of no leaves is a panic, and a file from outside must never reach one.
        let same = !leaves.is_empty() && claim::root16(node, &leaves) == expected;
        if same { Ok(expected) } else { Err(index) }
    };
    chunks.enumerate().map(root).collect()
}

/// What the tags of a chunk are bound to.
#[derive(Clone, Copy)]
struct ChunkPlace {
    domain: Fr,
    edge_in: Fr,
}

/// Patient slot `s` ends with its tag, so with slots of `d` leaves it stands at `s d + d - 1`. The
/// shape's `d` is not needed: every tag found says it, and all must say the same.
fn find_tagged(viewer: &Viewer, chunk: ChunkPlace, leaves: &[Word]) -> Option<BTreeSet<u32>> {
    let places: HashMap<Word, usize> = leaves
        .iter()
        .enumerate()
        .filter(|(_, leaf)| !leaf.is_zero())
        .map(|(i, l)| (*l, i))
        .collect();
    let (mut claims, mut width) = (BTreeSet::new(), None);
    for slot in 0..PATIENT_SLOTS_MAX.min(leaves.len()) {
        // A slot with `count` claims has at least `count + 1` leaves, and so have those before it.
        for count in (1..).take_while(|count| (slot + 1) * (count + 1) <= leaves.len()) {
            let place =
                claim::SlotPlace { patient: viewer.patient, slot: slot as u8, count: count as u32 };
            let tag = claim::tag(&viewer.view_key, chunk.domain, chunk.edge_in, place);
            let Some(place) = places.get(&field::to_word(&tag)) else { continue };
            let found = (place + 1) / (slot + 1);
            let fits = (place + 1) % (slot + 1) == 0
                && found > count
                && leaves.len().is_multiple_of(found)
                && *width.get_or_insert(found) == found;
            if !fits {
                return None;
            }
            claims.extend((0..count).map(|at| (slot * found + at) as u32));
        }
    }
    Some(claims)
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

/// The leaf at a place of a chunk.
fn find_leaf<'a>(lists: impl Iterator<Item = &'a [Word]>, chunk: u32, leaf: u32) -> Option<Leaf> {
    let mut before = 0;
    for (index, leaves) in lists.enumerate() {
        if index == chunk as usize {
            let committed = *leaves.get(leaf as usize)?;
            return Some(Leaf { committed, number: before + u64::from(leaf) });
        }
        before += leaves.len() as u64;
    }
    None
}

/// What is known before the first of some headers: nothing stands before the first batch.
pub fn before_first(headers: &[BatchHeader]) -> Before {
    match headers.first() {
        Some(first) if first.number == BatchNumber(1) => Before::Known(None),
        _ => Before::Unknown,
    }
}
