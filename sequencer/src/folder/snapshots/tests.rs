use journal::fault::Cut;

use super::fault::FaultySnapshots;
use super::*;

const BINDING: Binding = Binding { genesis: [7; 32], log_id: [8; 16] };

fn head(group: u64) -> SnapshotHead {
    SnapshotHead {
        version: SnapshotHead::VERSION,
        group,
        position: 10 * group,
        journal_hash: [group as u8; 32],
        closed: group / 2,
        close_group: group - 1,
        body_bytes: 0,
    }
}

fn files(medium: &FaultySnapshots) -> SnapshotFiles {
    SnapshotFiles::new(Arc::new(medium.clone()), BINDING)
}

#[test]
fn a_snapshot_is_read_as_it_was_written_and_the_last_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let medium = FolderMedium::open(&folder.path().join("snapshots")).unwrap();
    let files = SnapshotFiles::new(Arc::new(medium), BINDING);
    for group in [3, 20, 4] {
        files.write(head(group), format!("state of {group}").as_bytes()).unwrap();
    }
    assert_eq!(files.groups().unwrap(), [20, 4, 3]);
    let found = files.read(20).unwrap();
    assert_eq!(found.body, b"state of 20");
    assert_eq!(found.head, SnapshotHead { body_bytes: 11, ..head(20) });
    assert_eq!(files.head(20).unwrap(), found.head);
    files.keep(&[4]).unwrap();
    assert_eq!(files.groups().unwrap(), [4]);
    assert_eq!(std::fs::read_dir(folder.path().join("snapshots")).unwrap().count(), 1);
    assert!(matches!(files.read(20), Err(SnapshotError::File(_))));
}

#[test]
fn every_changed_byte_every_cut_and_another_journals_snapshot_is_refused_by_name() {
    let medium = FaultySnapshots::default();
    let own = files(&medium);
    let length = own.write(head(5), b"state").unwrap() as usize;
    let name = name_of(5);
    for at in 0..length {
        medium.flip(&name, at).unwrap();
        let found = own.read(5).unwrap_err();
        let expected = match at {
            0..8 => matches!(found, SnapshotError::Magic),
            8..12 => matches!(found, SnapshotError::Version { expected: 2, .. }),
            12..60 => matches!(found, SnapshotError::Foreign),
            _ => matches!(found, SnapshotError::Damaged | SnapshotError::Length { .. }),
        };
        assert!(expected, "byte {at}: {found:?}");
        medium.flip(&name, at).unwrap();
    }
    let whole = medium.read(&name, u64::MAX).unwrap();
    for cut in 0..length {
        medium.write_new(&name, &whole[..cut]).unwrap();
        assert!(matches!(own.read(5), Err(SnapshotError::Length { .. })), "cut at {cut}");
    }
    medium.write_new(&name, &[&whole[..], &[0]].concat()).unwrap();
    assert!(matches!(own.read(5), Err(SnapshotError::Length { .. })));
    medium.write_new(&name, &whole).unwrap();
    assert!(own.read(5).is_ok());
    for other in [Binding { genesis: [0; 32], ..BINDING }, Binding { log_id: [0; 16], ..BINDING }] {
        let other = SnapshotFiles::new(Arc::new(medium.clone()), other);
        assert!(matches!(other.read(5), Err(SnapshotError::Foreign)));
    }
}

#[test]
fn wherever_the_power_is_cut_a_snapshot_is_whole_or_not_there_and_the_one_before_stands() {
    let prepared = || {
        let medium = FaultySnapshots::default();
        files(&medium).write(head(1), b"before").unwrap();
        medium
    };
    let counted = prepared();
    let before = counted.power().calls();
    files(&counted).write(head(2), b"after").unwrap();
    let calls = counted.power().calls() - before;
    for at in 1..=calls + 1 {
        for (seed, cut) in (0..8).flat_map(|seed| Cut::ALL.map(|cut| (seed, cut))) {
            let medium = prepared();
            medium.power().off_at(at);
            let written = files(&medium).write(head(2), b"after");
            assert_eq!(written.is_ok(), at > calls, "call {at}");
            let again = files(&medium.after_power_cut(cut, seed));
            assert_eq!(again.read(1).unwrap().body, b"before");
            let found = again.groups().unwrap().contains(&2).then(|| again.read(2));
            match found {
                None => assert!(written.is_err(), "call {at}, {cut:?}: it was durable"),
                // Whole, also where it was not said to be written.
                Some(found) => assert_eq!(found.unwrap().body, b"after", "call {at}, {cut:?}"),
            }
        }
    }
}

#[test]
fn other_files_are_no_snapshots() {
    let names = ["next", "frames.index", "+000000000000001.snapshot", "1.snapshot", ".snapshot"];
    assert!(names.iter().all(|name| group_of(name).is_none()));
    assert_eq!(group_of(&name_of(0x4a11)), Some(0x4a11));
}
