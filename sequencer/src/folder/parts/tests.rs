use std::path::Path;
use std::sync::Arc;

use model::{
    Category, Claim, ClaimKind, Digest, Interval, Label, Millis, Party, PatientIndex, Position,
    Purpose, Record, Window, Word,
};
use statement::batch::ClaimOpening;
use statement::scope::{self, ActorKind, header_hash};

use super::*;
use crate::folder::store::Settled;
use crate::folder::store::tests::empty_batch;
use crate::window::Assembled;

/// What stands before the length of a part.
const LABEL_AND_NONCE_BYTES: usize = 16 + 24;
/// Of every patient here.
pub(crate) const VIEW_KEY: Word = Word::from_u64(77);

pub(crate) fn deployment() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [0x5e; 20] }
}

pub(crate) fn at(ms: u64) -> Millis {
    Millis::new(ms).unwrap()
}

pub(crate) fn patient(index: u32) -> PatientIndex {
    PatientIndex::new(index).unwrap()
}

pub(crate) fn anna() -> PatientIndex {
    patient(7)
}

/// What a practitioner read of Anna, as an opening has it.
pub(crate) fn access(leaf: u32, who: &str) -> ClaimOpening {
    claimed(anna(), leaf, ClaimKind::Access, who)
}

/// What was read or collected of a patient.
pub(crate) fn claimed(of: PatientIndex, leaf: u32, kind: ClaimKind, who: &str) -> ClaimOpening {
    let claim = Claim {
        patient: of,
        kind,
        individual: scope::actor(ActorKind::Practitioner, who),
        organisation: Word::from_u64(5),
        care_team: Word::ZERO,
        source: Party::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: Interval::instant(at(1500)),
        measured: Interval::instant(at(1400)),
        position: Position(u64::from(leaf)),
        digest: Digest([leaf as u8; 31]),
    };
    let salt = Word::from_u64(9);
    ClaimOpening { chunk: 0, leaf, covered: true, claim, salt, request: Vec::new() }
}

/// A batch with these claims.
fn batch(number: u64, previous: [u8; 32], claims: &[ClaimOpening]) -> Assembled {
    let window = Window::new(at(1000 * number), at(1000 * number + 1000)).unwrap();
    let mut batch = empty_batch(number, previous, Word::from_u64(7), window);
    let one = Word::from_u64(1);
    let mut patients: Vec<_> = claims.iter().map(|opening| opening.claim.patient).collect();
    patients.sort_unstable();
    patients.dedup();
    // Received in the batch's window, as a proof of any other could not be.
    let receipt = Interval::instant(at(1000 * number + 500));
    let received = |opening: &ClaimOpening| {
        let claim = Claim { receipt, ..opening.claim.clone() };
        ClaimOpening { claim, ..opening.clone() }
    };
    let opening = |patient| PatientOpening {
        batch: BatchNumber(number),
        patient,
        record: Record::enrolled(one, VIEW_KEY, one),
        path: [[Word::ZERO; 8]; 8],
        claims: claims
            .iter()
            .filter(|opening| opening.claim.patient == patient)
            .map(received)
            .collect(),
        operations: Vec::new(),
        refused: Vec::new(),
    };
    let openings: Vec<_> = patients.into_iter().map(opening).collect();
    let scope = SealScope::of_header(deployment(), &batch.public.header);
    batch.private = PrivateFile::seal(&scope, &openings);
    batch.public.header.ciphertext_length = batch.private.to_bytes().len() as u64;
    batch
}

/// A store of batches with these claims, the first of which are settled.
pub(crate) fn settled_store(
    folder: &Path,
    claims: impl IntoIterator<Item = Vec<ClaimOpening>>,
    settled: u64,
) -> Arc<Store> {
    settled_store_of(folder, claims, settled, |_| {})
}

/// The same of batches that are changed before they are saved.
pub(crate) fn settled_store_of(
    folder: &Path,
    claims: impl IntoIterator<Item = Vec<ClaimOpening>>,
    settled: u64,
    change: impl Fn(&mut Assembled),
) -> Arc<Store> {
    let store = Arc::new(Store::open(folder).unwrap());
    let mut previous = [0; 32];
    for (number, claims) in (1..).zip(claims) {
        let mut batch = batch(number, previous, &claims);
        change(&mut batch);
        previous = header_hash(&batch.public.header);
        store.save_batch(&batch, at(5000)).unwrap();
    }
    settle(&store, 1..=settled);
    store
}

/// Adds a part of so many bytes that opens for nobody.
pub(crate) fn swell(batch: &mut Assembled, part_bytes: usize) {
    let mut bytes = batch.private.to_bytes();
    let parts = batch.private.len() as u32;
    // The count stands behind what a file without parts begins with.
    let count = PrivateFile::default().to_bytes().len();
    bytes[count - 4..count].copy_from_slice(&(parts + 1).to_be_bytes());
    // Parts stand in the order of their labels: this one is the last.
    let head = bytes.len() + LABEL_AND_NONCE_BYTES;
    bytes.resize(head, 0xff);
    bytes.extend((part_bytes as u32).to_be_bytes());
    bytes.resize(bytes.len() + part_bytes, 0);
    batch.private = PrivateFile::from_bytes(&bytes).unwrap();
    batch.public.header.ciphertext_length = bytes.len() as u64;
}

/// Changes a byte of a patient's part, which has its label still.
pub(crate) fn break_part(batch: &mut Assembled, patient: PatientIndex) {
    let scope = SealScope::of_header(deployment(), &batch.public.header);
    let whole = batch.private.to_bytes();
    // Where it stands the order of labels decides, which nobody foretells.
    let broken = (0..whole.len()).rev().find_map(|index| {
        let mut bytes = whole.clone();
        bytes[index] ^= 1;
        let key = OpeningKey { view_key: VIEW_KEY, patient };
        let file = PrivateFile::from_bytes(&bytes).ok();
        file.filter(|file| file.open(&scope, key).is_err())
    });
    batch.private = broken.expect("the patient has a part");
}

/// Marks batches as settled.
pub(crate) fn settle(store: &Store, numbers: std::ops::RangeInclusive<u64>) {
    let settled = Settled { transaction: [1; 32], block: 1, lateness_ms: 1, gas: 1 };
    let settled: Vec<_> = numbers.map(|number| (BatchNumber(number), Some(settled))).collect();
    store.mark_settled(&settled).unwrap();
}

#[test]
fn a_part_opens_for_its_patient_and_for_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = settled_store(folder.path(), [vec![access(0, "dr-001")]], 1);
    let read = |number| {
        BatchParts::read(&store, BatchNumber(number), deployment(), Duration::ZERO).unwrap()
    };
    let parts = read(1).unwrap();
    let open = |patient, view_key| parts.open(OpeningKey { view_key, patient }).unwrap();
    assert_eq!(open(anna(), VIEW_KEY).unwrap().claims, [access(0, "dr-001")]);
    assert!(open(patient(8), VIEW_KEY).is_none());
    assert!(open(anna(), Word::from_u64(78)).is_none());
    assert!(read(2).is_none());
}
