//! What is answered of keys that were destroyed: never more than disk and backups bear out.

use super::*;

/// The n-th change of either folder and all behind it fail, for each n: as long as a file may hold
/// a key that was destroyed, nobody is told that it is gone.
#[test]
fn keys_that_may_still_stand_in_a_file_are_not_told_to_be_destroyed() {
    let (mut still_there, mut gone) = (0, 0);
    for (call, is_beside) in (1..14).flat_map(|call| [(call, false), (call, true)]) {
        let folders = Folders::default();
        let keys = folders.open().unwrap();
        seal(&keys, patient(1), at(0));
        let (erased, earlier) = (seal(&keys, patient(2), at(0)), seal(&keys, patient(3), at(0)));
        keys.destroy(&[patient(3)], at(1)).unwrap();
        assert_eq!(open(&keys, &earlier), Err(BodyError::KeyDestroyed { epoch: 1 }));
        let held_by = keys.wrapping_file();
        let medium = if is_beside { &folders.beside } else { &folders.keys };
        medium.fail_at(Some(call));
        let destroyed = keys.destroy(&[patient(2)], at(2));
        medium.fail_at(None);
        let is_forgotten = open(&keys, &erased).is_err();
        let is_told = keys.remains(patient(2), at(3)).is_some();
        if folders.keys.all().contains_key(&held_by) {
            assert!(!is_told && destroyed.is_err(), "call {call}: it stands there still");
            still_there += usize::from(is_forgotten);
            let looked = BodyKeys::look(folders.places());
            assert_eq!(looked.unwrap().remains(patient(2), at(3)), None, "call {call}");
        }
        assert!(keys.remains(patient(3), at(3)).is_some(), "of this one nothing is left");
        if destroyed.is_ok() {
            assert!(is_told, "call {call}");
            gone += 1;
        }
        if is_forgotten {
            // The disk is whole again, and the node finishes it without being asked.
            keys.make_ahead(at(4)).unwrap();
            assert!(!folders.keys.all().contains_key(&held_by), "call {call}");
            assert!(keys.remains(patient(2), at(5)).is_some(), "call {call}");
        }
    }
    assert!(still_there > 2 && gone > 2, "{still_there} and {gone}");
}

#[test]
fn a_backup_of_before_counts_as_a_copy_also_where_the_clock_was_set_back_behind_it() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    seal(&keys, patient(1), at(0));
    keys.backup(&secret.public(), at(50), at(1_000)).unwrap();
    keys.destroy(&[patient(1)], at(10)).unwrap();
    // Begun later, and so without a key of theirs.
    keys.backup(&secret.public(), at(20), at(2_000)).unwrap();
    let of_before = Some(at(1_000));
    for keys in [keys, folders.open().unwrap()] {
        let left = keys.remains(patient(1), at(60)).expect("they were destroyed");
        assert_eq!(left.copies_until, of_before);
        let left = keys.remains(patient(1), at(1_000)).expect("they were destroyed");
        assert_eq!(left.copies_until, None);
    }
}
