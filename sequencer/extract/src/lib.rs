//! What leaves the rollup with its proofs: a patient's record as lines that can be checked offline,
//! and a study's data set with the claims that cover each of its readings.
//!
//! Every line holds what opens it against the header of its batch: a salt, a path, the roots of the
//! chunks. No line holds a view key, which would open everything of the patient, also what is yet
//! to come. What a line says in words follows from its proof by one function, so that whoever
//! checks makes the words again and compares.
//!
//! Pure: nothing here opens a file, reads a clock or draws randomness. Consent is decided nowhere
//! here: a line says what was *proven*, and the proofs are the auditor's to verify.
//!
//! Begin with [`RecordWriter`] and [`check_record`], then [`Study`] and [`check_study`].

mod check;
mod check_study;
mod claims;
mod fault;
mod fhir;
mod frames;
mod gaps;
mod line;
mod lines;
mod list;
mod names;
mod proof;
mod root;
mod rows;
mod study;
mod text;
mod write;

pub use check::{CheckedRecord, Expected, RECORD_BYTES_MAX, UsedHeader, check_record};
pub use check_study::{CheckedStudy, check_study};
pub use claims::{CLAIMS_SCHEMA, ClaimsWriter, Reader, SoundClaims, StudyClaim, read_claims};
pub use fault::{ExtractError, Fault};
pub use fhir::{bundle_text, check_bundle};
pub use list::ListPath;
pub use names::Names;
pub use proof::{BatchProof, ClaimProof, OperationProof, RecordProof, SoundHeader};
pub use study::{
    PROOFS_SCHEMA, ReadingError, STUDY_READINGS_MAX, STUDY_SCHEMA, Study, StudyError, StudyFiles,
    StudyReading, Times,
};
pub use text::{Hex, HexText};
pub use write::{Opened, RECORD_SCHEMA, RecordWriter, Subject};
