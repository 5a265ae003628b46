//! What version 1 kept is taken over, or refused by name.

use super::*;

/// A record as version 1 wrote it.
fn old_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend((body.len() as u32).to_be_bytes());
    record.extend(body);
    let check = blake3::hash(&record);
    record.extend(&check.as_bytes()[..8]);
    record
}

/// A file of version 1: its epoch, the last sequence with a receipt, and frames behind it.
fn old_file(folder: &tempfile::TempDir, epoch: u16, receipted: u64, patient: Option<u32>) {
    let mut text = vec![1];
    text.extend(epoch.to_be_bytes());
    text.extend(receipted.to_be_bytes());
    let mut text = old_record(1, &text);
    text.extend(patient.map(|index| old_record(6, &index.to_be_bytes())).unwrap_or_default());
    text.extend(old_record(4, &mark(1, 10).to_bytes()));
    for sequence in receipted..=receipted + 2 {
        let place = FramePlace {
            handle: StreamHandle(9),
            epoch: EpochNumber(epoch),
            sequence: Sequence(sequence.max(1)),
        };
        let readings = [reading(sequence)];
        let frame = Frame::encode_raw(place, key().signal().unwrap(), &readings).unwrap();
        let marked = [&mark(2, sequence).to_bytes()[..], frame.as_bytes()].concat();
        text.extend(old_record(5, &marked));
    }
    text.extend(old_record(3, &receipted.to_be_bytes()));
    files::make_folder(&state(folder), Audience::Owner).unwrap();
    let path = state(folder).join("m.1.147842.spool");
    files::replace(&path, &[&text, b"torn"], Audience::Owner).unwrap();
}

#[test]
fn what_version_1_kept_is_taken_over_with_its_sequences_and_places() {
    for patient in [Some(1), None] {
        let folder = tempfile::tempdir().unwrap();
        old_file(&folder, 3, 7, patient);
        let kept = Spool::kept_epoch(&state(&folder), &key()).unwrap();
        assert_eq!(kept, Some(EpochNumber(3)));
        for _ in 0..2 {
            let mut spool = open(&folder, 3);
            assert_eq!((spool.epoch(), spool.last_receipted()), (EpochNumber(3), Sequence(7)));
            assert_eq!(spool.marks(), [mark(1, 10), mark(2, 9)]);
            // It may have sent all of them.
            assert_eq!(spool.spares().count(), 0);
            assert_eq!(sent(&mut spool), [(8, 8), (9, 9)]);
        }
        assert!(!state(&folder).join("m.1.147842.spool").exists());
    }
}

#[test]
fn the_file_that_was_taken_over_stays_and_another_one_beside_the_segments_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let old = state(&folder).join("m.1.147842.spool");
    old_file(&folder, 3, 7, None);
    let bytes = std::fs::read(&old).unwrap();
    drop(open(&folder, 3));
    let taken = state(&folder).join("m.1.147842.spool.taken");
    assert_eq!(std::fs::read(&taken).unwrap(), bytes);
    // A crash came before it was removed.
    old_file(&folder, 3, 7, None);
    drop(open(&folder, 3));
    assert!(!old.exists());
    // A release before ran again, and sent more.
    old_file(&folder, 3, 8, None);
    let refused = Spool::open_kept(&state(&folder), &key()).unwrap_err();
    assert!(matches!(&refused, SpoolError::Old { old: found, .. } if *found == old), "{refused}");
    assert!(old.exists());
}

#[test]
fn a_file_of_version_1_with_a_whole_record_behind_a_torn_one_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    old_file(&folder, 3, 7, None);
    let path = state(&folder).join("m.1.147842.spool");
    let mut bytes = std::fs::read(&path).unwrap();
    // In the place in a file, which is not the last record.
    let at = old_record(1, &[0; 11]).len();
    bytes[at + 20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let refused = Spool::open_kept(&state(&folder), &key()).unwrap_err();
    let SpoolError::Damaged { at: found, .. } = refused else { panic!("{refused}") };
    assert_eq!(found, at as u64);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "it stays as it is");
}

#[test]
fn frames_of_version_1_are_as_old_as_their_file() {
    let folder = tempfile::tempdir().unwrap();
    old_file(&folder, 0, 1, None);
    let path = state(&folder).join("m.1.147842.spool");
    let written = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_777_624_200_000);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(written).unwrap();
    let spool = Spool::open_kept(&state(&folder), &key()).unwrap();
    let at: Vec<_> = spool.spares().map(|spare| spare.at).collect();
    assert_eq!(at, [Millis::from_unix_ms(1_777_624_200_000)]);
}

#[test]
fn frames_of_another_patient_in_a_file_of_version_1_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    old_file(&folder, 3, 7, Some(2));
    let refused = Spool::open_kept(&state(&folder), &key()).unwrap_err();
    assert!(matches!(refused, SpoolError::Patient { .. }), "{refused}");
}

#[test]
fn a_file_of_no_known_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    files::make_folder(&state(&folder), Audience::Owner).unwrap();
    let path = state(&folder).join("m.1.147842.spool");
    files::replace(&path, &[b"else"], Audience::Owner).unwrap();
    let refused = Spool::open_kept(&state(&folder), &key()).unwrap_err();
    assert!(matches!(refused, SpoolError::Format { .. }), "{refused}");
    std::fs::remove_file(path).unwrap();
    drop(open(&folder, 1));
    // A record that is whole and of a later version.
    let unknown = old_record(99, b"later");
    let path = Spool::path(&state(&folder), &key()).join(format!("{:020}.segment", 1));
    let whole = std::fs::read(&path).unwrap();
    files::replace(&path, &[&whole, &unknown], Audience::Owner).unwrap();
    let refused = Spool::open_kept(&state(&folder), &key()).unwrap_err();
    assert!(matches!(refused, SpoolError::Format { .. }), "{refused}");
}
