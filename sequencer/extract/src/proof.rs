//! What opens one line against the header of its batch, without the patient's view key.
//!
//! A claim's or operation's leaf is opened by its own salt, which opens nothing else. So whoever is
//! given such a line learns what it says and not how to open the next one.

use model::{
    Action, BatchHeader, Claim, Millis, Operation, PatientIndex, Record, Rule, RuleSlot, Word,
};
use serde::{Deserialize, Serialize};
use statement::batch::{ClaimOpening, OperationOpening, PatientOpening, PublicFile};
use statement::domain::Domain;
use statement::eddsa::{self, PublicKey};
use statement::field::{from_u64, from_word, to_word};
use statement::operation::SignedOperation;
use statement::{claim, operation, poseidon, record, scope, tree};
use wire::SignedAccessRequest;

use crate::fault::ExtractError;
use crate::list::ListPath;
use crate::text::Hex;

/// The header of a batch, and the roots of its chunks, which the header's two roots are over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BatchProof {
    /// Exactly what Solidity's `abi.encode(header)` gives.
    pub header: Hex<Vec<u8>>,
    /// Root of each chunk of operations.
    pub operations_roots: Vec<Hex<Word>>,
    /// Root of each chunk of claims.
    pub claims_roots: Vec<Hex<Word>>,
}

/// A batch whose roots are those of its header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoundHeader {
    /// The header.
    pub header: BatchHeader,
    operations_roots: Vec<Word>,
    claims_roots: Vec<Word>,
}

/// What opens a claim.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClaimProof {
    /// Which chunk of claims.
    pub chunk: u32,
    /// From the leaf to the chunk's root.
    pub path: ListPath,
    /// The claim, canonical bytes.
    pub claim: Hex<Vec<u8>>,
    /// Whether it was proven covered.
    pub covered: bool,
    /// Blinds the leaf.
    pub salt: Hex<Word>,
    /// The signed request that the claim names; empty of a collection, or where it is withheld.
    pub request: Hex<Vec<u8>>,
}

/// What opens an operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OperationProof {
    /// Which chunk of operations.
    pub chunk: u32,
    /// From the row to the chunk's root.
    pub path: ListPath,
    /// When it took effect, milliseconds since 1900.
    pub t_op: u64,
    /// The operation, canonical bytes; of an enrolment without its argument: that has the view key.
    pub operation: Hex<Vec<u8>>,
    /// Of an enrolment, the hash of its argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<Hex<Word>>,
    /// Whose key signed it.
    pub signer: Hex<[u8; 32]>,
    /// The signature.
    pub signature: Hex<[u8; 64]>,
    /// Blinds the leaf.
    pub salt: Hex<Word>,
}

/// What opens a record's key, nonce and denies, and neither its permits nor its view key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordProof {
    /// Hash of the key that signs.
    pub key_hash: Hex<Word>,
    /// How many operations the record has seen since its enrolment.
    pub nonce: u32,
    /// Blinds the record.
    pub salt: Hex<Word>,
    /// The hashes of both halves, unopened.
    pub halves: [Hex<Word>; 2],
    /// The words of the four denies.
    pub denies: Vec<[Hex<Word>; 3]>,
    /// From the record to the consent root, eight levels of eight children.
    pub path: Vec<Vec<Hex<Word>>>,
}

/// An opened claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SoundClaim {
    pub(crate) claim: Claim,
    pub(crate) reason: Option<String>,
}

/// An opened operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SoundOperation {
    pub(crate) operation: Operation,
    pub(crate) t_op: Millis,
    pub(crate) signer: Word,
}

/// The part of a proof that does not hold.
pub(crate) type Part = &'static str;

impl BatchProof {
    /// Of a public file that was found to be its header's.
    pub fn of(public: &PublicFile) -> BatchProof {
        let operations = public.operations.iter().map(|chunk| Hex(chunk.operations_root));
        BatchProof {
            header: Hex(public.header.to_bytes().to_vec()),
            operations_roots: operations.collect(),
            claims_roots: public.claims.iter().map(|chunk| Hex(chunk.claims_root)).collect(),
        }
    }

    /// Whether the roots are those that the header is over.
    pub(crate) fn check(&self) -> Result<SoundHeader, Part> {
        let header = BatchHeader::from_bytes(&self.header.0).map_err(|_| "header")?;
        let words = |list: &[Hex<Word>]| list.iter().map(|word| word.0).collect::<Vec<_>>();
        let over = |list: &[Word]| {
            let roots: Vec<_> = list.iter().map(from_word).collect();
            scope::chunk_roots(&roots)
        };
        let (operations_roots, claims_roots) =
            (words(&self.operations_roots), words(&self.claims_roots));
        match () {
            () if over(&operations_roots) != header.operations_root => Err("operations roots"),
            () if over(&claims_roots) != header.claims_root => Err("claims roots"),
            () => Ok(SoundHeader { header, operations_roots, claims_roots }),
        }
    }
}

impl ClaimProof {
    /// Of an opening that was found sound.
    ///
    /// # Errors
    /// [`ExtractError::Place`] if the public file has no such leaf.
    pub fn of(public: &PublicFile, opening: &ClaimOpening) -> Result<ClaimProof, ExtractError> {
        let (batch, what) = (public.header.number.0, "a claim");
        let missing = || ExtractError::Place { batch, what };
        let chunk = public.claims.get(opening.chunk as usize).ok_or_else(missing)?;
        let path = ListPath::of(Domain::ClaimsNode, &chunk.leaves, opening.leaf);
        Ok(ClaimProof {
            chunk: opening.chunk,
            path: path.ok_or_else(missing)?,
            claim: Hex(opening.claim.to_bytes()),
            covered: opening.covered,
            salt: Hex(opening.salt),
            request: Hex(opening.request.clone()),
        })
    }

    /// The claim, if it is the one that the batch committed to and its request the one it names.
    pub(crate) fn check(
        &self,
        batch: &SoundHeader,
        of: model::ChainScope,
    ) -> Result<SoundClaim, Part> {
        let claim = Claim::from_bytes(&self.claim.0).map_err(|_| "claim")?;
        let leaf = to_word(&claim::leaf(&claim, self.covered, from_word(&self.salt.0)));
        let root = self.path.root(Domain::ClaimsNode, leaf).ok_or("leaf")?;
        if batch.claims_roots.get(self.chunk as usize) != Some(&root) {
            return Err("path");
        }
        let reason = self.check_request(&claim, of)?;
        Ok(SoundClaim { claim, reason })
    }

    fn check_request(&self, claim: &Claim, of: model::ChainScope) -> Result<Option<String>, Part> {
        if self.request.0.is_empty() {
            return Ok(None);
        }
        let signed = SignedAccessRequest::from_bytes(&self.request.0).map_err(|_| "request")?;
        let asked = signed.request();
        let words = scope::request_words(&asked.practitioner, &asked.organisation, asked.device());
        match signed.first_difference(claim, of, words, eddsa::verify_bytes) {
            None => Ok(Some(asked.reason().as_str().to_owned())),
            Some(part) => Err(part),
        }
    }
}

impl OperationProof {
    /// Of an opening that was found sound.
    ///
    /// # Errors
    /// [`ExtractError`] if the public file has no such row, or the operation does not decode.
    pub fn of(
        public: &PublicFile,
        opening: &OperationOpening,
    ) -> Result<OperationProof, ExtractError> {
        let (batch, what) = (public.header.number.0, "an operation");
        let missing = || ExtractError::Place { batch, what };
        let signed = SignedOperation::from_bytes(&opening.signed);
        let signed = signed.map_err(|_| ExtractError::Operation { batch })?;
        let chunk = public.operations.get(opening.chunk as usize).ok_or_else(missing)?;
        let path = ListPath::of(Domain::OperationsNode, &chunk.leaves, opening.row);
        let argument = to_word(&operation::argument(&signed.operation.argument_words()));
        let mut shown = signed.operation.clone();
        // An enrolment is signed over the view key, which opens everything there will ever be of
        // the patient: its hash proves the same.
        let is_enrolment = matches!(shown.action, Action::Enrol { .. });
        if is_enrolment {
            let [key_hash, view_key, salt] = [Word::ZERO; 3];
            shown.action = Action::Enrol { key_hash, view_key, salt };
        }
        Ok(OperationProof {
            chunk: opening.chunk,
            path: path.ok_or_else(missing)?,
            t_op: opening.t_op.get(),
            operation: Hex(shown.to_bytes().to_vec()),
            argument: is_enrolment.then_some(Hex(argument)),
            signer: Hex(signed.signer.encode()),
            signature: Hex(signed.signature.encode()),
            salt: Hex(opening.salt),
        })
    }

    /// The operation, if it is the one that the batch committed to, and signed by its signer.
    pub(crate) fn check(
        &self,
        batch: &SoundHeader,
        of: model::ChainScope,
    ) -> Result<SoundOperation, Part> {
        let operation = Operation::from_bytes(&self.operation.0).map_err(|_| "operation")?;
        let t_op = Millis::new(self.t_op).map_err(|_| "time")?;
        let is_enrolment = matches!(operation.action, Action::Enrol { .. });
        let shown = operation.argument_words();
        let argument = match (&self.argument, is_enrolment) {
            // No hash is over what stands there: anything else would pass for what was signed.
            (Some(argument), true) if shown == [Word::ZERO; 3] => from_word(&argument.0),
            (None, false) => operation::argument(&shown),
            _ => return Err("argument"),
        };
        // As `operation::message`, which takes an enrolment with its argument only.
        let words = [
            scope::sig_domain(of),
            from_u64(u64::from(operation.patient.get())),
            from_u64(u64::from(operation.nonce)),
            operation::head(&operation),
            argument,
        ];
        let message = poseidon::hash(Domain::Operation.tag(), &words);
        let leaf = to_word(&operation::leaf(message, t_op, from_word(&self.salt.0)));
        let root = self.path.root(Domain::OperationsNode, leaf).ok_or("leaf")?;
        if batch.operations_roots.get(self.chunk as usize) != Some(&root) {
            return Err("path");
        }
        if !eddsa::verify_bytes(&self.signer.0, to_word(&message), &self.signature.0) {
            return Err("signature");
        }
        let signer = PublicKey::decode(&self.signer.0).map_err(|_| "signer")?;
        Ok(SoundOperation { operation, t_op, signer: to_word(&signer.hash()) })
    }
}

impl RecordProof {
    /// Of an opening that was found sound.
    pub fn of(opening: &PatientOpening) -> RecordProof {
        let PatientOpening { record, path, .. } = opening;
        let denies = (0..4).map(|number| record.rule(RuleSlot::Deny(number)));
        let words = |rule: Option<&Rule>| rule.map_or([Word::ZERO; 3], Rule::words);
        RecordProof {
            key_hash: Hex(record.key_hash),
            nonce: record.nonce,
            salt: Hex(record.salt),
            halves: record::halves(record).map(|half| Hex(to_word(&half))),
            denies: denies.map(|rule| words(rule).map(Hex)).collect(),
            path: path.iter().map(|children| children.iter().copied().map(Hex).collect()).collect(),
        }
    }

    /// Whether the record stands at this index under the header's root.
    pub(crate) fn check(&self, batch: &SoundHeader, patient: PatientIndex) -> Result<(), Part> {
        if self.denies.len() != 4 || self.path.len() != tree::DEPTH {
            return Err("form");
        }
        // The words that no statement reads yet are zero in every record (C1.23), as in this one.
        let known = Record::enrolled(self.key_hash.0, Word::ZERO, self.salt.0);
        let known = Record { nonce: self.nonce, ..known };
        let mut words = vec![record::identity(&known)];
        words.extend(self.halves.iter().map(|half| from_word(&half.0)));
        words.extend(self.denies.iter().flatten().map(|word| from_word(&word.0)));
        let leaf = poseidon::hash(Domain::RecordLeaf.tag(), &words);
        let mut path = [[from_u64(0); tree::ARITY]; tree::DEPTH];
        for (children, found) in path.iter_mut().zip(&self.path) {
            if found.len() != tree::ARITY {
                return Err("form");
            }
            for (child, word) in children.iter_mut().zip(found) {
                *child = from_word(&word.0);
            }
        }
        let root = from_word(&batch.header.root_out);
        let holds = tree::verify_path(root, leaf, patient.get(), &path);
        if holds { Ok(()) } else { Err("path") }
    }
}
