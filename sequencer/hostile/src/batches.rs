//! What is published, kept or signed of a batch: files of batches, openings, operations, records.

use model::{BatchHeader, ChainScope, Claim, Operation, Record};
use statement::batch::{
    JournalSpan, Layouts, PatientOpening, PrivateFile, PublicFile, ReleasedFrames, check_lists,
};
use statement::operation::SignedOperation;

/// A [`PublicFile`], which whoever serves it may have made up.
///
/// # Panics
/// If one that is read has another encoding than its bytes.
pub fn public_file(bytes: &[u8]) {
    let Ok(file) = PublicFile::from_bytes(bytes) else { return };
    assert_eq!(file.to_bytes(), bytes, "one file, one encoding");
    // Without the layouts of a deployment a file with proofs is refused, and one without is read.
    if let Ok(lists) = check_lists(&file.header, &file, &Layouts::default()) {
        assert_eq!((lists.operation(0, 0), lists.claim(0, 0)), (None, None));
    }
    statement::batch::data_root(&file.segments);
}

/// A [`PrivateFile`].
///
/// # Panics
/// As [`public_file`].
pub fn private_file(bytes: &[u8]) {
    if let Ok(file) = PrivateFile::from_bytes(bytes) {
        assert_eq!(file.to_bytes(), bytes, "one file, one encoding");
    }
}

/// A [`PatientOpening`], and the header, record, claim or operation that the bytes may be instead.
///
/// # Panics
/// As [`public_file`].
pub fn opening(bytes: &[u8]) {
    if let Ok(opening) = PatientOpening::from_bytes(bytes) {
        assert_eq!(opening.to_bytes(), bytes, "one opening, one encoding");
    }
    if let Ok(header) = BatchHeader::from_bytes(bytes) {
        assert_eq!(header.to_bytes(), bytes, "one header, one encoding");
    }
    if let Ok(record) = Record::from_bytes(bytes) {
        assert_eq!(record.to_bytes(), bytes, "one record, one encoding");
        let [_, _] = statement::record::halves(&record);
    }
    if let Ok(claim) = Claim::from_bytes(bytes) {
        assert_eq!(claim.to_bytes(), bytes, "one claim, one encoding");
    }
}

/// An [`Operation`], and a [`SignedOperation`] whose key and signature may be any points.
///
/// # Panics
/// As [`public_file`].
pub fn operation(bytes: &[u8]) {
    if let Ok(operation) = Operation::from_bytes(bytes) {
        assert_eq!(operation.to_bytes(), bytes, "one operation, one encoding");
    }
    if let Ok(signed) = SignedOperation::from_bytes(bytes) {
        assert_eq!(signed.to_bytes(), bytes, "one operation, one encoding");
        // The vectors are signed for another contract.
        let scope = ChainScope { chain_id: 1, contract: [1; 20] };
        assert!(!signed.verify(statement::scope::sig_domain(scope)), "signed for another");
    }
}

/// A file of [`ReleasedFrames`].
///
/// # Panics
/// As [`public_file`].
pub fn released_frames(bytes: &[u8]) {
    let Ok(frames) = ReleasedFrames::from_bytes(bytes) else { return };
    assert_eq!(frames.to_bytes(), bytes, "one file, one encoding");
    let span = JournalSpan { after: model::Position(0), until: model::Position(u64::MAX) };
    assert!(frames.compare(None, span).claims.is_empty(), "nothing was collected");
}
