//! What opens one patient's part of a batch: record, path, claims and operations with salts.

use model::{BatchNumber, Claim, DecodeError, Millis, PatientIndex, Reader, Record, Word};
use thiserror::Error;

use super::refused::RefusedAccess;

/// The first byte of an opening: its format.
const VERSION: u8 = 2;

/// Most bytes of a signed operation in an opening.
const OPERATION_BYTES_MAX: usize = 4096;
/// Most bytes of a signed request to read in an opening.
const REQUEST_BYTES_MAX: usize = 1024;
/// Chunk, leaf, covered, claim, salt and length; the signed request comes on top.
const CLAIM_OPENING_BYTES_MIN: usize = 4 + 4 + 1 + Claim::BYTES + 32 + 4;
/// Chunk, row, time, length and salt; the signed operation comes on top.
const OPERATION_OPENING_BYTES_MIN: usize = 4 + 4 + 8 + 4 + 32;

/// One claim and where it is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimOpening {
    /// Index of the C2 chunk in the batch.
    pub chunk: u32,
    /// Index of the leaf in the chunk.
    pub leaf: u32,
    /// Whether it was proven covered (not excluded).
    pub covered: bool,
    /// The claim.
    pub claim: Claim,
    /// Its salt.
    pub salt: Word,
    /// The signed request to read, of which the claim's digest is the digest: with its reason.
    /// Empty for a collection.
    pub request: Vec<u8>,
}

/// One operation and where it is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationOpening {
    /// Index of the C1 chunk in the batch.
    pub chunk: u32,
    /// Row in the chunk.
    pub row: u32,
    /// When it took effect.
    pub t_op: Millis,
    /// The signed operation, canonical bytes.
    pub signed: Vec<u8>,
    /// Its salt.
    pub salt: Word,
}

/// Everything of one patient in one batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatientOpening {
    /// Which batch.
    pub batch: BatchNumber,
    /// Which patient.
    pub patient: PatientIndex,
    /// The record under the batch's final root.
    pub record: Record,
    /// Its path: eight levels of eight children, from the leaf's level up.
    pub path: [[Word; 8]; 8],
    /// Claims by position.
    pub claims: Vec<ClaimOpening>,
    /// Operations by time.
    pub operations: Vec<OperationOpening>,
    /// What was refused to readers and gateways, and what systems asked, by position. Not proven:
    /// the operator's word.
    pub refused: Vec<RefusedAccess>,
}

/// Bytes that are no opening.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpeningError {
    /// The format of the first version.
    #[error("found an opening of format version 1: {}", model::FIRST_VERSION)]
    FirstVersion,
    /// Not canonical.
    #[error("the opening is malformed")]
    Malformed(#[from] DecodeError),
}

impl PatientOpening {
    /// Canonical bytes, big-endian, version 2.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.batch.0.to_be_bytes());
        out.extend(self.patient.get().to_be_bytes());
        out.extend(self.record.to_bytes());
        self.path.iter().flatten().for_each(|word| out.extend(word.to_bytes()));
        out.extend((self.claims.len() as u32).to_be_bytes());
        for opening in &self.claims {
            out.extend(opening.chunk.to_be_bytes());
            out.extend(opening.leaf.to_be_bytes());
            out.push(u8::from(opening.covered));
            out.extend(opening.claim.to_bytes());
            out.extend(opening.salt.to_bytes());
            out.extend((opening.request.len() as u32).to_be_bytes());
            out.extend(&opening.request);
        }
        out.extend((self.operations.len() as u32).to_be_bytes());
        for opening in &self.operations {
            out.extend(opening.chunk.to_be_bytes());
            out.extend(opening.row.to_be_bytes());
            out.extend(opening.t_op.get().to_be_bytes());
            out.extend((opening.signed.len() as u32).to_be_bytes());
            out.extend(&opening.signed);
            out.extend(opening.salt.to_bytes());
        }
        out.extend((self.refused.len() as u32).to_be_bytes());
        self.refused.iter().for_each(|refused| refused.write(&mut out));
        out
    }

    /// Reads canonical bytes; what they say is not checked here.
    ///
    /// # Errors
    /// [`OpeningError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<PatientOpening, OpeningError> {
        if bytes.first() == Some(&1) {
            return Err(OpeningError::FirstVersion);
        }
        let reader = &mut Reader::new(bytes);
        let version = |version| (version == VERSION).then_some(());
        reader.map("opening version 2", Reader::u8, version)?;
        let index = "a patient index below 2^24";
        let opening = PatientOpening {
            // Fields are evaluated in the order in which they stand, which is that of the bytes.
            batch: BatchNumber(reader.u64()?),
            patient: reader.map(index, Reader::u32, |n| PatientIndex::new(n).ok())?,
            record: Record::read(reader)?,
            path: read_path(reader)?,
            claims: {
                let count = reader.count(CLAIM_OPENING_BYTES_MIN)?;
                (0..count).map(|_| read_claim(reader)).collect::<Result<_, _>>()?
            },
            operations: {
                let count = reader.count(OPERATION_OPENING_BYTES_MIN)?;
                (0..count).map(|_| read_operation(reader)).collect::<Result<_, _>>()?
            },
            refused: {
                let count = reader.count(RefusedAccess::BYTES_MIN)?;
                (0..count).map(|_| RefusedAccess::read(reader)).collect::<Result<_, _>>()?
            },
        };
        reader.finish()?;
        Ok(opening)
    }
}

fn read_path(reader: &mut Reader<'_>) -> Result<[[Word; 8]; 8], DecodeError> {
    let mut path = [[Word::ZERO; 8]; 8];
    // No counts stand before them: the tree has one depth and one arity for ever.
    for word in path.iter_mut().flatten() {
        *word = reader.word()?;
    }
    Ok(path)
}

fn read_claim(reader: &mut Reader<'_>) -> Result<ClaimOpening, DecodeError> {
    Ok(ClaimOpening {
        chunk: reader.u32()?,
        leaf: reader.u32()?,
        // Any other byte would be a second encoding of the same opening.
        covered: reader.map("0 or 1", Reader::u8, |byte| (byte < 2).then_some(byte == 1))?,
        claim: Claim::read(reader)?,
        salt: reader.word()?,
        request: {
            let short = |n: u32| Some(n as usize).filter(|n| *n <= REQUEST_BYTES_MAX);
            let len = reader.map("a short request to read", Reader::u32, short)?;
            reader.take(len)?.to_vec()
        },
    })
}

fn read_operation(reader: &mut Reader<'_>) -> Result<OperationOpening, DecodeError> {
    let (chunk, row, t_op) = (reader.u32()?, reader.u32()?, reader.millis()?);
    // The count of operations bounded how many there are and not how long each is.
    let short = |n: u32| Some(n as usize).filter(|n| *n <= OPERATION_BYTES_MAX);
    let len = reader.map("a short operation", Reader::u32, short)?;
    let signed = reader.take(len)?.to_vec();
    Ok(OperationOpening { chunk, row, t_op, signed, salt: reader.word()? })
}

#[cfg(test)]
pub(super) mod tests {
    use model::{
        Category, ClaimKind, Digest, GatewayId, Interval, Label, OrganisationId, Party, Position,
        PractitionerId, Purpose, RuleSlot, Uncovered,
    };

    use super::*;
    use crate::batch::Requester;

    pub(in crate::batch) fn opening() -> PatientOpening {
        let one = Word::from_u64(1);
        let claim = Claim {
            patient: PatientIndex::new(3).unwrap(),
            kind: ClaimKind::Collect,
            individual: one,
            organisation: one,
            care_team: Word::ZERO,
            source: Party::Any,
            categories: Category::Ecg.only(),
            purpose: Purpose::Treatment,
            labels: Label::Normal.only(),
            receipt: Interval::instant(Millis::new(10).unwrap()),
            measured: Interval::ALWAYS,
            position: Position(5),
            digest: Digest([7; 31]),
        };
        let t_op = Millis::new(9).unwrap();
        let asked = RefusedAccess {
            position: Position(8),
            time: t_op,
            digest: Digest([7; 31]),
            requester: Requester::System {
                organisation: OrganisationId::new("st-anne").unwrap(),
                claim: Box::new(claim.clone()),
            },
            uncovered: None,
            count: 1,
        };
        PatientOpening {
            batch: BatchNumber(4),
            patient: claim.patient,
            record: Record::enrolled(one, one, one),
            path: [[one; 8]; 8],
            claims: vec![ClaimOpening {
                chunk: 0,
                leaf: 2,
                covered: true,
                claim: claim.clone(),
                salt: one,
                request: vec![4, 5],
            }],
            operations: vec![OperationOpening {
                chunk: 0,
                row: 1,
                t_op,
                signed: vec![1, 2, 3],
                salt: one,
            }],
            refused: vec![
                RefusedAccess {
                    position: Position(6),
                    time: t_op,
                    digest: Digest([8; 31]),
                    requester: Requester::Practitioner(PractitionerId::new("dr-007").unwrap()),
                    uncovered: Some(Uncovered::Denied(RuleSlot::Deny(2))),
                    count: 3,
                },
                RefusedAccess {
                    position: Position(7),
                    time: t_op,
                    digest: Digest([9; 31]),
                    requester: Requester::Gateway(GatewayId::new("gateway-1").unwrap()),
                    uncovered: Some(Uncovered::Closed),
                    count: 1,
                },
                asked,
            ],
        }
    }

    #[test]
    fn only_a_question_was_not_refused() {
        let mut refused = opening();
        refused.refused[2].uncovered = Some(Uncovered::PurposeNotCovered);
        assert_eq!(PatientOpening::from_bytes(&refused.to_bytes()), Ok(refused.clone()));
        refused.refused[0].uncovered = None;
        let read = PatientOpening::from_bytes(&refused.to_bytes());
        assert!(matches!(read, Err(OpeningError::Malformed(_))));
    }

    #[test]
    fn bytes_round_trip_and_every_truncation_is_refused() {
        let bytes = opening().to_bytes();
        assert_eq!(PatientOpening::from_bytes(&bytes), Ok(opening()));
        assert!((0..bytes.len()).all(|len| PatientOpening::from_bytes(&bytes[..len]).is_err()));
    }

    #[test]
    fn an_opening_of_the_first_version_is_refused_by_name() {
        let mut bytes = opening().to_bytes();
        bytes[0] = 1;
        assert_eq!(PatientOpening::from_bytes(&bytes), Err(OpeningError::FirstVersion));
        bytes[0] = 3;
        assert!(matches!(PatientOpening::from_bytes(&bytes), Err(OpeningError::Malformed(_))));
    }
}
