//! What a stranger finds out from the public file of a small ward, or from a receipt, by trying.
//!
//! The stranger knows everything that is not a secret and more: the format of a frame, its gateway,
//! its times to the millisecond, how many readings there are and between which values they lie.

use std::collections::BTreeSet;

use bytes::Bytes;
use statement::batch::{GroupSummary, PublicFile, SegmentFrames, SegmentKey};
use wire::FrameEntry;

use super::*;
use crate::stages::batch::{BatchGroups, ProvenBatch, ProvenChunk, assemble};

/// The values that [`Ward::frame_item`] sends.
const SENT: [i32; 2] = [5, -7];

/// A ward of one patient with one frame, as everybody can read it.
struct Published {
    file: PublicFile,
    /// When the frame was measured and when its group was written.
    measured: Millis,
    appended: u64,
    /// What the operator alone has: where the claim is and the salt of the frame's group.
    position: Position,
    salt: [u8; 32],
    /// The body of the frame's entry as it is stored.
    body: Bytes,
}

fn publish() -> Published {
    let mut ward = Ward::open();
    let measured = at(ward.now);
    assert!(matches!(ward.next_frame(), Answer::FrameStored));
    let group = ward.log.group(ward.log.head().group).unwrap();
    let (appended, salt, body) = (group.entries[0].time, group.salt, group.entries[0].body.clone());
    let window = ward.close();
    let plan = check_provable(&ward, &window);
    let proven = |count| vec![ProvenChunk { key_id: [1; 32], proof: [0; 256] }; count];
    let groups = (1..=window.group).map(|number| {
        let group = ward.log.group(number).unwrap();
        let (first, last) = (Position(group.first), Position(group.last));
        GroupSummary { number, first, last, content: group.digest }
    });
    let journal = BatchGroups { journal_hash: window.journal_hash, groups: groups.collect() };
    let (operation_proofs, claim_proofs) =
        (proven(plan.operations.len()), proven(plan.claims.len()));
    let contents = window.contents.as_ref().clone();
    let batch = ProvenBatch { contents, plan, operation_proofs, claim_proofs };
    let (scope, operations) = (ledger_config().scope, *ward.ledger().operation_scope());
    let binding = BatchBinding {
        scope,
        operations,
        key_version: model::BatchHeader::KEY_VERSION,
        edge_secret: [0; 32],
    };
    let bytes = assemble(&batch, [0; 32], &binding, journal).public.to_bytes();
    let file = PublicFile::from_bytes(&bytes).unwrap();
    let position = batch.contents.claims[0].position;
    Published { file, measured, appended, position, salt, body }
}

/// The frame that would have been stored of this patient with these readings.
fn stored(patient: PatientIndex, measured: Millis, values: [i32; 2]) -> FrameEntry {
    let start = DeviceTime::from_millis(measured);
    let readings = values.map(|value| Reading::new(start, value));
    let (handle, epoch, sequence) = (StreamHandle(1), EpochNumber(0), Sequence(1));
    let place = FramePlace { handle, epoch, sequence };
    let key = StreamKey { patient, ..stream_key() };
    let frame = Frame::encode_raw(place, key.signal().unwrap(), &readings).unwrap();
    FrameEntry::new(gateway(), key, &frame)
}

/// Every pair of readings that it may have been.
fn all_values() -> impl Iterator<Item = [i32; 2]> {
    (-40..=40).flat_map(|first| (-40..=40).map(move |second| [first, second]))
}

fn cut(hash: blake3::Hash) -> [u8; 31] {
    hash.as_bytes()[..31].try_into().unwrap()
}

/// The readings behind one of the digests, if a digest is what `hash` makes of frames.
fn guess_readings(
    published: &Published,
    digests: &BTreeSet<[u8; 31]>,
    hash: impl Fn(&[u8]) -> [u8; 31],
) -> Option<[i32; 2]> {
    let frame = |values| stored(patient(), published.measured, values);
    all_values().find(|values| digests.contains(&hash(frame(*values).frame().as_bytes())))
}

#[test]
fn a_reading_cannot_be_guessed_from_the_list_of_segments() {
    let published = publish();
    let segments = &published.file.segments;
    let digests: BTreeSet<_> = segments.iter().map(|segment| segment.digest.0).collect();
    assert_eq!(digests.len(), 1);
    let unkeyed = |bytes: &[u8]| cut(blake3::hash(bytes));
    assert_eq!(guess_readings(&published, &digests, unkeyed), None);
    // With every key that a stranger can make, whatever position the claim has.
    let strangers = [Word::ZERO, Word::from_u64(1)];
    for key in strangers.map(|word| SegmentKey::derive(&word, ledger_config().scope)) {
        for position in 1..20 {
            let keyed = |bytes: &[u8]| {
                let content = *blake3::hash(bytes).as_bytes();
                let (bytes, position) = (bytes.len() as u64, Position(position));
                key.digest(&SegmentFrames { content, bytes, position }).0
            };
            let frame = stored(patient(), published.measured, SENT);
            assert!(!digests.contains(&keyed(frame.frame().as_bytes())));
        }
    }
    // The patient's own key finds them, and so did the plain hash that was once published.
    let own = SegmentKey::derive(&Word::from_u64(11), ledger_config().scope);
    let keyed = |bytes: &[u8]| {
        let content = *blake3::hash(bytes).as_bytes();
        own.digest(&SegmentFrames {
            content,
            bytes: bytes.len() as u64,
            position: published.position,
        })
        .0
    };
    assert_eq!(guess_readings(&published, &digests, keyed), Some(SENT));
    let frame = stored(patient(), published.measured, SENT);
    let once = BTreeSet::from([unkeyed(frame.frame().as_bytes())]);
    assert_eq!(guess_readings(&published, &once, unkeyed), Some(SENT));
}

/// The bytes of a group that holds this frame alone, as in journal.md.
fn group_bytes(entry: FrameEntry, appended: u64) -> Vec<u8> {
    let entry = Entry::Frame(entry);
    group_of_body(entry.kind_code(), &entry.to_bytes().unwrap(), appended)
}

fn group_of_body(kind: u8, body: &[u8], appended: u64) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(appended.to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The patient whose frame is in one of the groups, if a content is the plain hash of entries.
fn link_patient(published: &Published, contents: &BTreeSet<[u8; 32]>) -> Option<PatientIndex> {
    let group =
        |patient| group_bytes(stored(patient, published.measured, SENT), published.appended);
    let mut all = (12_000..13_000).map(|index| PatientIndex::new(index).unwrap());
    all.find(|one| contents.contains(blake3::hash(&group(*one)).as_bytes()))
}

#[test]
fn a_patient_cannot_be_linked_to_a_group_of_the_journal() {
    let published = publish();
    let groups = &published.file.groups;
    let contents: BTreeSet<_> = groups.iter().map(|group| group.content).collect();
    assert!(contents.len() > 5);
    assert_eq!(link_patient(&published, &contents), None);
    // With the salt these are the bytes of a group, and of the plain hash that was once published
    // the search finds the patient.
    let bytes = group_of_body(1, &published.body, published.appended);
    assert!(contents.contains(blake3::keyed_hash(&published.salt, &bytes).as_bytes()));
    let bytes = group_bytes(stored(patient(), published.measured, SENT), published.appended);
    let once = BTreeSet::from([*blake3::hash(&bytes).as_bytes()]);
    assert_eq!(link_patient(&published, &once), Some(patient()));
}

#[test]
fn a_segment_is_no_longer_told_by_its_length() {
    let published = publish();
    let bytes = stored(patient(), published.measured, SENT).frame().as_bytes().len() as u64;
    assert!(bytes < 1000);
    assert_eq!(published.file.segments[0].bytes_max, 65_536);
}

/// The digest of a frame that receipts and journal once had.
fn once_named(bytes: &[u8]) -> [u8; 31] {
    blake3::derive_key("vitals frame v1", bytes)[..31].try_into().unwrap()
}

/// Whatever stands in these bytes and may be a digest.
fn digests_in(bytes: &[u8]) -> BTreeSet<[u8; 31]> {
    bytes.windows(31).map(|window| window.try_into().unwrap()).collect()
}

#[test]
fn a_refused_reading_cannot_be_guessed_from_its_receipt_nor_from_the_journal() {
    let mut ward = Ward::open();
    ward.operate(Action::Stop, &patient_key());
    let measured = at(ward.now);
    let Answer::Refused(Refusal { position: Some(position), .. }) = ward.next_frame() else {
        panic!("expected a refusal with evidence")
    };
    let receipts = std::mem::take(&mut ward.delivered.0.lock().unwrap().0);
    let receipt = receipts.last().unwrap();
    let refused = receipt.items().refusals.iter().map(|item| item.position);
    assert_eq!(refused.collect::<Vec<_>>(), [position]);
    let entry = ward.entry(position).to_bytes().unwrap();
    let frame = |values| stored(patient(), measured, values);
    let is_behind = |digests: &BTreeSet<[u8; 31]>, values| {
        let frame = frame(values);
        let bytes = frame.frame().as_bytes();
        [once_named(bytes), cut(blake3::hash(bytes))].iter().any(|hash| digests.contains(hash))
    };
    let guess = |bytes: &[u8]| {
        let digests = digests_in(bytes);
        all_values().find(|values| is_behind(&digests, *values))
    };
    assert_eq!((guess(&receipt.to_bytes()), guess(&entry)), (None, None));
    // Behind the digest that a receipt once had the search finds it.
    let mut once = receipt.to_bytes();
    once.extend(once_named(frame(SENT).frame().as_bytes()));
    assert_eq!(guess(&once), Some(SENT));
}
