//! New keys: what each costs, what a cut leaves of it, and who waits for whom.

use std::thread;

use super::*;
use crate::keys::TAIL_LONG;
use crate::tail::RECORD_BYTES;

const TAIL: &str = "g00000001.tail";

/// What was written to both folders.
fn wrote(folders: &Folders) -> [crate::fault::Wrote; 2] {
    [folders.keys.wrote(), folders.beside.wrote()]
}

#[test]
fn the_first_frame_of_the_last_patient_writes_as_much_as_that_of_the_first() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let cost = |index: u32| {
        let before = wrote(&folders);
        seal(&keys, patient(index), at(0));
        let after = wrote(&folders);
        let bytes: usize = after.iter().map(|wrote| wrote.bytes).sum();
        let syncs: usize = after.iter().map(|wrote| wrote.syncs).sum();
        let sum = |of: fn(&crate::fault::Wrote) -> usize| before.iter().map(of).sum::<usize>();
        (bytes - sum(|wrote| wrote.bytes), syncs - sum(|wrote| wrote.syncs))
    };
    cost(0);
    let second = cost(1);
    let costs: Vec<_> = (2..3_000).map(cost).collect();
    for (index, (bytes, syncs)) in costs.into_iter().enumerate() {
        // Two numbers of the ledger grow by a digit at 10, 100 and 1,000, in both places.
        assert!(bytes <= second.0 + 2 * 2 * 3, "{bytes} bytes for patient {}", index + 2);
        assert_eq!(syncs, 5, "one of the tail, two of the ledger in each place");
    }
    assert!(second.0 < RECORD_BYTES + 1_000, "{} bytes", second.0);
    // A further frame writes nothing.
    let before = wrote(&folders);
    seal(&keys, patient(7), at(1));
    assert_eq!(wrote(&folders), before);
}

#[test]
fn many_new_patients_at_once_cost_the_syncs_of_one() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let syncs = || wrote(&folders).iter().map(|wrote| wrote.syncs).sum::<usize>();
    let (before, all) = (syncs(), (0..500).map(patient).collect::<Vec<_>>());
    keys.make(&all, at(0)).unwrap();
    assert_eq!(syncs() - before, 6, "and one for the name of the tail");
    let bodies: Vec<_> = all.iter().map(|patient| seal(&keys, *patient, at(1))).collect();
    assert_eq!(syncs() - before, 6);
    let again = folders.open().unwrap();
    bodies.iter().for_each(|body| assert_opens(&again, body));
}

#[test]
fn a_tail_that_lost_what_was_committed_is_told_and_never_passes_for_fewer_keys() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let bodies: Vec<_> = (0..4).map(|one| seal(&keys, patient(one), at(0))).collect();
    drop(keys);
    let whole = folders.keys.all();
    let length = whole[TAIL].len();
    let with = |change: &dyn Fn(&FaultyKeys)| {
        folders.keys.set(whole.clone());
        change(&folders.keys);
        let before = folders.keys.all();
        let found = folders.open();
        if found.is_err() {
            assert_eq!(folders.keys.all(), before, "nothing is changed");
        }
        found.map(drop)
    };
    let named = |found: Result<(), KeyStoreError>, what: &str| {
        let error = found.unwrap_err();
        assert!(error.to_string().contains(TAIL), "{what}: {error}");
    };
    named(with(&|keys| keys.lose(TAIL)), "no file");
    for at in 0..length {
        named(with(&|keys| keys.change(TAIL, |tail| tail.truncate(at))), "cut");
        named(with(&|keys| keys.change(TAIL, |tail| tail[at] ^= 1)), "changed");
    }
    // An older copy of the whole folder has fewer, which the ledger beside the journal tells.
    let older = &folders.keys.images()[12];
    assert!(older.all().contains_key(TAIL));
    with(&|keys| keys.set(older.all())).unwrap_err();
    // What is behind the last that counts was never used: a write that was cut.
    with(&|keys| keys.change(TAIL, |tail| tail.extend([7; 150]))).unwrap();
    folders.keys.set(whole);
    let keys = folders.open().unwrap();
    bodies.iter().for_each(|body| assert_opens(&keys, body));
    // A restore keeps what is whole of a damaged tail, and says that it is.
    drop(keys);
    folders.keys.change(TAIL, |tail| tail[length - RECORD_BYTES - 1] ^= 1);
    let restored = restore(&folders.places(), None, at(5)).unwrap();
    assert_eq!((restored.kept, restored.given_up), (3, 1));
    let keys = folders.open().unwrap();
    assert_eq!(open(&keys, &bodies[2]), Err(BodyError::KeyAbsent { epoch: 1 }));
    [0, 1, 3].into_iter().for_each(|one| assert_opens(&keys, &bodies[one]));
}

/// A key is drawn, and the power is cut at any write of it in either folder; or it is drawn again
/// after its ledger could be kept in one place alone.
#[test]
fn a_cut_in_any_write_of_a_new_key_leaves_every_key_that_was_given_out() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let begun = folders.keys.images().len();
    let mut given: Vec<(usize, Body)> = Vec::new();
    for one in 0..5 {
        let body = seal(&keys, patient(one), at(0));
        given.push((folders.keys.images().len(), body));
    }
    folders.beside.fail_at(Some(1));
    try_seal(&keys, patient(8), at(1)).unwrap_err();
    folders.beside.fail_at(None);
    let later = at(1 + TRIED_EVERY_MS);
    let bodies = [seal(&keys, patient(9), later), seal(&keys, patient(8), later)];
    let end = folders.keys.images().len();
    given.extend(bodies.map(|body| (end, body)));
    let beside = folders.beside.images();
    for (cut, image) in folders.keys.images().into_iter().enumerate().skip(begun) {
        // The ledger beside the journal comes behind that of the key folder: as it was made, or as
        // the last key that was given out left it.
        let of_folder = image.all()[LEDGER_NAME].clone();
        let written =
            beside.iter().rev().find(|one| one.all().get(LEDGER_NAME) == Some(&of_folder));
        let besides = [Some(&beside[4]), written];
        for beside in besides.into_iter().flatten() {
            let folders = Folders { keys: FaultyKeys::default(), beside: FaultyKeys::default() };
            folders.keys.set(image.all());
            folders.beside.set(beside.all());
            let keys = folders.open().unwrap_or_else(|error| panic!("cut {cut}: {error}"));
            let until = given.iter().filter(|(until, _)| *until <= cut);
            until.for_each(|(_, body)| assert_opens(&keys, body));
            // It goes on behind what counts, over what does not.
            let new: Vec<_> = (20..23).map(|one| seal(&keys, patient(one), later)).collect();
            let again = folders.open().unwrap();
            new.iter().for_each(|body| assert_opens(&again, body));
        }
    }
}

#[test]
fn a_folder_of_the_version_before_is_read_and_goes_on() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let body = seal(&keys, patient(1), at(0));
    // As it was written: every key in the file of its epoch, and a ledger that knows no tail.
    write_files(&keys);
    drop(keys);
    for place in [&folders.keys, &folders.beside] {
        place.change(LEDGER_NAME, |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let before = text.replace("body-keys-2", "body-keys-1").replace("\"tail\":0,", "");
            assert_eq!(text.len(), before.len() + 9);
            *bytes = before.into_bytes();
        });
    }
    assert!(!folders.keys.all().keys().any(|name| name.ends_with(".tail")));
    let keys = folders.open().unwrap();
    assert_opens(&keys, &body);
    let new = seal(&keys, patient(2), at(1));
    let keys = folders.open().unwrap();
    [&body, &new].into_iter().for_each(|body| assert_opens(&keys, body));
    // One of a version that is not known yet is refused.
    folders.keys.change(LEDGER_NAME, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replace("body-keys-2", "body-keys-3").into_bytes();
    });
    let found = folders.open().unwrap_err();
    assert!(matches!(found, KeyStoreError::File { fault: KeyFault::Ledger, .. }), "{found}");
}

#[test]
fn a_long_tail_becomes_files_of_epochs_beside_a_writer_and_a_start_does_without() {
    let long = (0..TAIL_LONG).map(patient).collect::<Vec<_>>();
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    long.chunks(1_024).for_each(|some| keys.make(some, at(0)).unwrap());
    let body = seal(&keys, patient(TAIL_LONG - 1), at(1));
    drop(keys);
    let keys = folders.open().unwrap();
    assert_eq!(folders.keys.all()[TAIL].len(), 28 + long.len() * RECORD_BYTES);
    let tail = folders.keys.all().remove(TAIL);
    keys.make_due(at(2)).unwrap();
    assert_eq!(folders.keys.all().remove(TAIL), tail, "a start waits for no such thing");
    keys.make_ahead(at(2)).unwrap();
    assert!(!folders.keys.all().keys().any(|name| name.ends_with(".tail")));
    for keys in [keys, folders.open().unwrap()] {
        assert_opens(&keys, &body);
        assert_eq!(keys.status(at(1)).keys, long.len());
    }
}

/// All keys cannot be written anew, wherever that fails: nothing of it is left, and keys are made.
#[test]
fn what_was_written_of_a_generation_that_failed_takes_no_room() {
    // The wrapping key, the file of the epoch, the ledger.
    for call in 1..=3 {
        let folders = Folders::default();
        let keys = folders.open().unwrap();
        let body = seal(&keys, patient(1), at(0));
        write_files(&keys);
        let before = folders.keys.all();
        let changing = keys.changing();
        folders.keys.fail_once_at(call);
        keys.rewrite(&changing).unwrap_err();
        assert_eq!(folders.keys.all(), before, "call {call}");
        drop(changing);
        let new = seal(&keys, patient(2), at(1));
        let keys = folders.open().unwrap();
        [&body, &new].into_iter().for_each(|body| assert_opens(&keys, body));
    }
}

/// The disk of the node's folder fails for a moment, and that of the keys does not.
#[test]
fn a_ledger_that_stood_in_one_place_alone_is_kept_in_both_once_it_can_be() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let (body, erased) = (seal(&keys, patient(1), at(0)), seal(&keys, patient(2), at(0)));
    folders.beside.fail_at(Some(1));
    keys.destroy(&[patient(2)], at(1)).unwrap_err();
    let refused = try_seal(&keys, patient(3), at(2)).unwrap_err();
    assert!(matches!(refused, KeyStoreError::Failed), "{refused}");
    assert_opens(&keys, &seal(&keys, patient(1), at(2)));
    folders.beside.fail_at(None);
    let new = seal(&keys, patient(3), at(2 + TRIED_EVERY_MS));
    let old_wrapping = keys.wrapping_file();
    keys.make_ahead(at(3 + TRIED_EVERY_MS)).unwrap();
    assert!(!folders.keys.all().contains_key(&old_wrapping), "finished by itself");
    for keys in [keys, folders.open().unwrap()] {
        assert_eq!(open(&keys, &erased), Err(BodyError::KeyDestroyed { epoch: 1 }));
        [&body, &new].into_iter().for_each(|body| assert_opens(&keys, body));
    }
}

/// After a restore, or a stop over the end of an epoch, no epoch runs.
#[test]
fn an_epoch_that_ended_while_nobody_looked_costs_few_writes_before_the_first_frame() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let all: Vec<_> = (0..3_000).map(patient).collect();
    all.chunks(1_024).for_each(|some| keys.make(some, at(0)).unwrap());
    let later = at(5 * EPOCH_MS);
    let syncs = || wrote(&folders).iter().map(|wrote| wrote.syncs).sum::<usize>();
    let before = syncs();
    keys.make_ahead(later).unwrap();
    let made = syncs();
    assert!(made - before <= 3 * 5, "{} syncs", made - before);
    assert!(all.iter().all(|patient| keys.has_key(*patient, later)));
    seal(&keys, patient(7), later);
    assert_eq!(syncs(), made);
}

/// Whoever goes through all keys hangs in a write of the next generation, or of the backup's row;
/// meanwhile a body is opened and sealed, and a new patient comes.
#[test]
fn nobody_waits_for_whoever_goes_through_all_keys() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let (body, erased) = (seal(&keys, patient(1), at(0)), seal(&keys, patient(2), at(0)));
    let names = ["wrapping-00000002", "g00000002-e00000001"];
    for (round, held) in names.into_iter().enumerate() {
        // The second round finds what the first one left of generation 2, and writes a third.
        let held = held.replace('2', &(round + 2).to_string());
        folders.keys.hold(Some(&held));
        let new = thread::scope(|scope| {
            let destroying = scope.spawn(|| keys.destroy(&[patient(2)], at(1)).unwrap());
            folders.keys.until_waiting(1);
            assert_opens(&keys, &body);
            assert_eq!(open(&keys, &erased), Err(BodyError::KeyDestroyed { epoch: 1 }));
            let again = seal(&keys, patient(1), at(2));
            let new = seal(&keys, patient(10 + round as u32), at(3));
            [&again, &new].into_iter().for_each(|body| assert_opens(&keys, body));
            assert!(!destroying.is_finished());
            folders.keys.hold(None);
            destroying.join().unwrap();
            new
        });
        // What came meanwhile stands in the generation that holds now, under its wrapping key.
        let again = folders.open().unwrap();
        for keys in [&keys, &again] {
            [&body, &new].into_iter().for_each(|body| assert_opens(keys, body));
            assert_eq!(open(keys, &erased), Err(BodyError::KeyDestroyed { epoch: 1 }));
        }
        assert_eq!(again.wrapping_file(), format!("wrapping-{:08}.key", round + 2));
    }
}

/// A new patient's key hangs in its own write: whoever has a key goes on, and so does whoever asks
/// what is wrong.
#[test]
fn a_disk_that_hangs_under_a_new_key_keeps_nobody_who_has_one() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let body = seal(&keys, patient(1), at(0));
    folders.keys.hold(Some(TAIL));
    thread::scope(|scope| {
        let new = scope.spawn(|| seal(&keys, patient(2), at(1)));
        folders.keys.until_waiting(1);
        assert_opens(&keys, &body);
        assert_opens(&keys, &seal(&keys, patient(1), at(2)));
        assert_eq!((keys.status(at(2)).keys, keys.trouble()), (1, None));
        assert!(!keys.has_key(patient(2), at(2)), "given out once it is durable");
        folders.keys.hold(None);
        assert_opens(&keys, &new.join().unwrap());
    });
}

#[test]
fn a_backup_has_the_keys_that_came_while_it_was_made() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    let first = seal(&keys, patient(1), at(0));
    let changing = keys.changing();
    let mut copied = keys.copy(&changing).unwrap();
    let second = seal(&keys, patient(2), at(EPOCH_MS));
    keys.take_meanwhile(&mut copied).unwrap();
    assert!([first.id, second.id].into_iter().all(|id| copied.get(id).is_some()));
    assert!(copied.spans.contains_key(&second.id.epoch));
    drop(changing);
    let backup = keys.backup(&secret.public(), at(1), at(100)).unwrap();
    assert_eq!(KeyBackup::open(&backup, &secret, at(2)).unwrap().keys(), 2);
}

/// The journal's time of a group lies behind the clock that a backup goes by, or that is set back.
#[test]
fn a_key_that_came_behind_a_backup_never_counts_as_in_it() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    let in_none = |keys: &BodyKeys| keys.status(at(60)).in_no_backup;
    seal(&keys, patient(1), at(0));
    folders.beside.fail_at(Some(1));
    try_seal(&keys, patient(2), at(1)).unwrap_err();
    folders.beside.fail_at(None);
    let backup = keys.backup(&secret.public(), at(50), at(100)).unwrap();
    let opened = KeyBackup::open(&backup, &secret, at(60)).unwrap();
    assert_eq!(opened.keys(), 2, "what was drawn before is kept first");
    assert_eq!((in_none(&keys), keys.status(at(60)).last_backup), (2, None), "written nowhere");
    assert_eq!(keys.status(at(60)).copies_until, Some(at(100)), "and yet there may be a copy");
    // In a group that was begun before it.
    seal(&keys, patient(3), at(40));
    keys.note_kept(&backup).unwrap();
    assert_eq!(in_none(&keys), 1);
    let second = keys.backup(&secret.public(), at(20), at(100)).unwrap();
    assert_eq!(in_none(&keys), 1);
    keys.note_kept(&second).unwrap();
    assert_eq!(in_none(&keys), 0);
    seal(&keys, patient(4), at(21));
    // One that is begun and never written changes nothing of it.
    keys.backup(&secret.public(), at(70), at(100)).unwrap();
    for keys in [keys, folders.open().unwrap()] {
        assert_eq!(in_none(&keys), 1);
        let made = keys.status(at(60)).last_backup.map(|row| row.made());
        assert_eq!(made, Some(at(51)), "later than the first, whatever the clock says");
    }
}

/// Somebody puts a file with the last of all numbers into the folder, or such a number into the
/// ledger, which nobody signs.
#[test]
fn no_number_that_is_read_ends_a_row_of_them() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let body = seal(&keys, patient(1), at(0));
    let planted = ["wrapping-4294967295.key", "g4294967295.tail", "g4294967295-e00000001.keys"];
    let mut files = folders.keys.all();
    files.extend(planted.map(|name| (name.to_owned(), vec![7; 100])));
    folders.keys.set(files);
    keys.destroy(&[patient(2)], at(1)).unwrap();
    assert_eq!(keys.wrapping_file(), "wrapping-00000002.key");
    let again = folders.open().unwrap();
    [keys, again].iter().for_each(|keys| assert_opens(keys, &body));
    let whole = folders.keys.all();
    for field in ["generation", "epochs_begun", "tail", "epoch", "through_epoch"] {
        folders.keys.set(whole.clone());
        folders.keys.change(LEDGER_NAME, |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let (before, rest) = text.split_once(&format!("\"{field}\":")).unwrap();
            let behind = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            *bytes = format!("{before}\"{field}\":4294967295{behind}").into_bytes();
        });
        let found = folders.open().unwrap_err();
        let is_ledger = matches!(found, KeyStoreError::File { fault: KeyFault::Ledger, .. });
        assert!(is_ledger, "{field}: {found}");
    }
}

#[test]
fn where_no_key_can_be_kept_whoever_has_one_goes_on_and_it_is_tried_again() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let body = seal(&keys, patient(1), at(0));
    for medium in [&folders.keys, &folders.beside] {
        medium.fail_at(Some(1));
        let refused = try_seal(&keys, patient(2), at(10)).unwrap_err();
        assert!(matches!(refused, KeyStoreError::Medium { .. }), "{refused}");
        let calls = folders.keys.wrote();
        let refused = try_seal(&keys, patient(3), at(11)).unwrap_err();
        assert!(matches!(refused, KeyStoreError::Waits), "not with every frame: {refused}");
        assert_eq!(folders.keys.wrote(), calls);
        assert_opens(&keys, &seal(&keys, patient(1), at(12)));
        assert!(keys.trouble().unwrap().contains("cannot be written"));
        medium.fail_at(None);
        // Whoever makes keys ahead of need finds out that it goes again.
        keys.make_ahead(at(10 + TRIED_EVERY_MS)).unwrap();
        assert_eq!(keys.trouble(), None);
        keys.destroy(&[patient(2)], at(20)).unwrap();
    }
    assert_opens(&keys, &body);
    let again = seal(&keys, patient(2), at(21));
    assert_opens(&folders.open().unwrap(), &again);
}

#[test]
fn whoever_only_looks_opens_bodies_and_changes_nothing() {
    let folders = Folders::default();
    assert!(matches!(BodyKeys::look(folders.places()), Err(KeyStoreError::Lost { .. })));
    let keys = folders.open().unwrap();
    let (body, erased) = (seal(&keys, patient(1), at(0)), seal(&keys, patient(2), at(0)));
    // Destroying was cut: the ledger says so, and the files have the key still.
    folders.keys.fail_at(Some(2));
    keys.destroy(&[patient(2)], at(1)).unwrap_err();
    folders.keys.fail_at(None);
    drop(keys);
    let before = [folders.keys.all(), folders.beside.all()];
    let looked = BodyKeys::look(folders.places()).unwrap();
    assert_opens(&looked, &body);
    assert_opens(&looked, &seal(&looked, patient(1), at(1)));
    assert_eq!(open(&looked, &erased), Err(BodyError::KeyDestroyed { epoch: 1 }));
    for refused in [
        try_seal(&looked, patient(5), at(1)).unwrap_err(),
        looked.destroy(&[patient(1)], at(2)).unwrap_err(),
        looked.make_ahead(at(2)).unwrap_err(),
    ] {
        assert!(matches!(refused, KeyStoreError::LookedAt), "{refused}");
    }
    assert_eq!([folders.keys.all(), folders.beside.all()], before);
}

#[test]
fn a_look_at_a_folder_of_the_file_system_makes_nothing_there() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("body-keys");
    let places = |keys: KeyFolder| {
        let beside = Arc::new(KeyFolder::beside(root.path()));
        Places { keys: Arc::new(keys), beside }
    };
    let looked = KeyFolder::look(&folder).ok().flatten().map(|keys| BodyKeys::look(places(keys)));
    assert!(looked.is_none_or(|looked| looked.is_err()) && !folder.exists());
    let keys = BodyKeys::open(places(KeyFolder::lock(&folder).unwrap().unwrap()), EPOCH_MS);
    let keys = keys.unwrap();
    let body = seal(&keys, patient(1), at(0));
    assert!(KeyFolder::look(&folder).unwrap().is_none(), "a node runs there");
    drop(keys);
    // As in a copy, which no process ever had open.
    std::fs::remove_file(folder.join("lock")).unwrap();
    let listed = || {
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files.map(|path| (std::fs::read(&path).unwrap(), path)).collect();
        files.sort();
        files
    };
    let before = listed();
    let keys = BodyKeys::look(places(KeyFolder::look(&folder).unwrap().unwrap())).unwrap();
    assert_opens(&keys, &body);
    assert_eq!(listed(), before);
}
