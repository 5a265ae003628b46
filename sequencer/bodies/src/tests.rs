//! The key folder as a whole: keys that are used, lost, destroyed, backed up and brought back, with
//! the power cut at every write.

use std::sync::Arc;

use model::{Millis, PatientIndex};

use crate::error::{BodyError, KeyBackupError, KeyFault, KeyStoreError};
use crate::fault::FaultyKeys;
use crate::generation::Places;
use crate::key::KeyId;
use crate::key_file::KeyFile;
use crate::keys::BodyKeys;
use crate::keys::SealedAt;
use crate::ledger::LEDGER_NAME;
use crate::make::TRIED_EVERY_MS;
use crate::recovery::RecoverySecret;
use crate::restore::{Restored, restore};
use crate::seal::EntryPlace;
use crate::{KeyBackup, KeyFolder, RecoveryKey, Remains};

mod growth;
mod life;
mod remains;

const LOG: [u8; 16] = [9; 16];
const PLACE: EntryPlace = EntryPlace { salt: [3; 32], index: 0, time: 5 };
const EPOCH_MS: u64 = 1_000;

fn at(ms: u64) -> Millis {
    Millis::new(4_000_000_000_000 + ms).unwrap()
}

fn patient(index: u32) -> PatientIndex {
    PatientIndex::new(index).unwrap()
}

/// Both folders, in memory.
#[derive(Clone, Default)]
struct Folders {
    keys: FaultyKeys,
    beside: FaultyKeys,
}

impl Folders {
    fn places(&self) -> Places {
        Places { keys: Arc::new(self.keys.clone()), beside: Arc::new(self.beside.clone()) }
    }

    fn open(&self) -> Result<BodyKeys, KeyStoreError> {
        BodyKeys::open(self.places(), EPOCH_MS)
    }

    /// What the power may leave of both, for each write of either.
    fn images(&self) -> Vec<Folders> {
        let keys = self.keys.images();
        let beside = self.beside.images();
        let with = |keys: &FaultyKeys, beside: &FaultyKeys| {
            let copy = |of: &FaultyKeys| {
                let image = FaultyKeys::default();
                image.set(of.all());
                image
            };
            Folders { keys: copy(keys), beside: copy(beside) }
        };
        let mut images = Vec::new();
        for keys in &keys {
            images.extend(beside.iter().map(|beside| with(keys, beside)));
        }
        images
    }
}

/// A sealed body and the name of its key.
#[derive(Clone, Debug)]
struct Body {
    id: KeyId,
    sealed: Vec<u8>,
}

fn seal(keys: &BodyKeys, patient: PatientIndex, now: Millis) -> Body {
    try_seal(keys, patient, now).unwrap()
}

fn try_seal(keys: &BodyKeys, patient: PatientIndex, now: Millis) -> Result<Body, KeyStoreError> {
    let key = keys.group_key(patient, now, (&LOG, &PLACE.salt))?;
    let mut sealed = b"readings".to_vec();
    let tag = key.seal(&PLACE, b"clear", &mut sealed);
    sealed.extend(tag);
    Ok(Body { id: KeyId { patient, epoch: key.epoch() }, sealed })
}

fn open(keys: &BodyKeys, body: &Body) -> Result<Vec<u8>, BodyError> {
    let mut opened = body.sealed.clone();
    let of = SealedAt { log_id: &LOG, at: &PLACE, clear: b"clear" };
    keys.open_body(body.id, &of, &mut opened).map(|()| opened)
}

fn assert_opens(keys: &BodyKeys, body: &Body) {
    assert_eq!(open(keys, body).as_deref(), Ok(&b"readings"[..]));
}

/// From now on all keys stand in the files of their epochs, of the next generation.
fn write_files(keys: &BodyKeys) {
    keys.destroy(&[], at(0)).unwrap();
}

fn secret() -> (tempfile::TempDir, RecoverySecret) {
    let folder = tempfile::tempdir().unwrap();
    let secret = RecoverySecret::create(&folder.path().join("recovery.key")).unwrap();
    (folder, secret)
}

#[test]
fn a_key_opens_what_it_sealed_after_any_number_of_opens_and_no_other_patients() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let bodies = [seal(&keys, patient(1), at(0)), seal(&keys, patient(2), at(0))];
    for _ in 0..3 {
        let again = folders.open().unwrap();
        bodies.iter().for_each(|body| assert_opens(&again, body));
        let swapped = Body { id: bodies[1].id, ..bodies[0].clone() };
        assert_eq!(open(&again, &swapped), Err(BodyError::Broken { epoch: 1 }));
        let nobodys =
            Body { id: KeyId { patient: patient(3), ..bodies[0].id }, ..bodies[0].clone() };
        assert_eq!(open(&again, &nobodys), Err(BodyError::KeyAbsent { epoch: 1 }));
    }
}

#[test]
fn an_epoch_ends_and_its_keys_go_on_opening() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let first = seal(&keys, patient(1), at(0));
    let same = seal(&keys, patient(1), at(EPOCH_MS - 1));
    let next = seal(&keys, patient(1), at(EPOCH_MS));
    assert_eq!((first.id, same.id.epoch.0, next.id.epoch.0), (same.id, 1, 2));
    // How long one lasts may be changed: nothing is computed from it.
    let longer = BodyKeys::open(folders.places(), 50 * EPOCH_MS).unwrap();
    [&first, &same, &next].into_iter().for_each(|body| assert_opens(&longer, body));
    assert_eq!(seal(&longer, patient(1), at(2 * EPOCH_MS)).id.epoch.0, 3);
    assert_eq!(seal(&longer, patient(1), at(40 * EPOCH_MS)).id.epoch.0, 3);
}

#[test]
fn keys_of_the_next_epoch_are_made_before_it_begins_and_used_then() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    seal(&keys, patient(1), at(0));
    seal(&keys, patient(2), at(0));
    keys.make_ahead(at(EPOCH_MS / 2)).unwrap();
    assert_eq!(keys.status(at(0)).keys, 2, "far from its end");
    keys.make_ahead(at(EPOCH_MS - 50)).unwrap();
    keys.make_ahead(at(EPOCH_MS - 40)).unwrap();
    assert_eq!((keys.status(at(0)).keys, keys.status(at(0)).epochs), (4, 2));
    let before = folders.keys.all();
    assert_eq!(seal(&keys, patient(1), at(EPOCH_MS - 1)).id.epoch.0, 1);
    let next = seal(&keys, patient(1), at(EPOCH_MS));
    assert_eq!(next.id.epoch.0, 2);
    assert_eq!(before, folders.keys.all(), "nothing had to be made");
    assert_opens(&folders.open().unwrap(), &next);
}

#[test]
fn a_destroyed_key_opens_nothing_and_others_all_they_did() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let bodies = [seal(&keys, patient(1), at(0)), seal(&keys, patient(2), at(0))];
    let before = folders.keys.all();
    let old_wrapping = keys.wrapping_file();
    let destroyed = keys.destroy(&[patient(1)], at(1)).unwrap();
    assert_eq!((destroyed.keys, destroyed.copies_until), (1, None));
    for keys in [keys.clone(), folders.open().unwrap()] {
        assert_eq!(open(&keys, &bodies[0]), Err(BodyError::KeyDestroyed { epoch: 1 }));
        assert_opens(&keys, &bodies[1]);
    }
    // No file of before is there, and the wrapping key that older copies of them need is gone.
    let after = folders.keys.all();
    assert!(!after.contains_key(&old_wrapping));
    for (name, bytes) in before.iter().filter(|(name, _)| *name != LEDGER_NAME) {
        assert!(!after.values().any(|left| left == bytes), "{name}");
    }
    // Who comes back has a key of a new epoch, and the old one stays destroyed.
    let again = seal(&keys, patient(1), at(2));
    assert_eq!(again.id.epoch.0, 2);
    assert_opens(&folders.open().unwrap(), &again);
    assert_eq!(open(&keys, &bodies[0]), Err(BodyError::KeyDestroyed { epoch: 1 }));
}

#[test]
fn a_key_made_ahead_is_destroyed_as_well() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    seal(&keys, patient(1), at(0));
    keys.make_ahead(at(EPOCH_MS - 10)).unwrap();
    assert_eq!(keys.destroy(&[patient(1)], at(EPOCH_MS - 9)).unwrap().keys, 2);
    assert_eq!(seal(&keys, patient(1), at(EPOCH_MS + 1)).id.epoch.0, 3);
    assert_eq!(keys.status(at(0)).destroyed, 1);
}

#[test]
fn of_a_patient_who_is_erased_the_backups_of_before_count_as_copies_and_no_later_one() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    seal(&keys, patient(1), at(0));
    seal(&keys, patient(2), at(0));
    keys.backup(&secret.public(), at(1), at(100)).unwrap();
    assert_eq!(keys.remains(patient(1), at(2)), None, "it is here");
    keys.destroy(&[patient(1)], at(2)).unwrap();
    keys.backup(&secret.public(), at(3), at(900)).unwrap();
    let destroyed_at = at(2);
    let before = Remains { destroyed_at, copies_until: Some(at(100)) };
    assert_eq!(keys.remains(patient(1), at(99)), Some(before));
    let complete = Remains { copies_until: None, ..before };
    assert_eq!(keys.remains(patient(1), at(100)), Some(complete));
    assert_eq!(keys.status(at(100)).copies_until, Some(at(900)), "of others");
    drop(keys);
    let again = folders.open().unwrap();
    assert_eq!(again.remains(patient(1), at(99)), Some(before));
}

#[test]
fn a_backup_brings_back_what_was_lost_and_nothing_that_was_destroyed() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    let bodies: Vec<_> = (0..3).map(|one| seal(&keys, patient(one), at(0))).collect();
    let backup = keys.backup(&secret.public(), at(1), at(100)).unwrap();
    let destroyed = keys.destroy(&[patient(0)], at(2)).unwrap();
    assert_eq!(destroyed.copies_until, Some(at(100)), "complete when the last copy expires");
    assert_eq!(keys.destroy(&[patient(0)], at(101)).unwrap().copies_until, None);
    let left = |patient, ms| keys.remains(patient, at(ms)).map(|left| left.copies_until);
    assert_eq!(left(patient(0), 3), Some(Some(at(100))));
    assert_eq!(left(patient(1), 3), None, "the key is here");
    let late = seal(&keys, patient(9), at(3));
    drop(keys);
    // The disk with the key folder is gone; what stands beside the journal is not.
    let lost = Folders { beside: folders.beside.clone(), ..Folders::default() };
    let found = lost.open().unwrap_err();
    assert!(matches!(found, KeyStoreError::Lost { .. }), "{found}");
    assert!(found.to_string().contains("sequencer keys restore"), "{found}");
    assert!(lost.keys.all().is_empty(), "nothing is drawn over them");
    let opened = KeyBackup::open(&backup, &secret, at(5)).unwrap();
    let restored = restore(&lost.places(), Some(opened), at(5)).unwrap();
    let expected = Restored { kept: 0, brought_back: 2, destroyed: 1, given_up: 0 };
    assert_eq!(restored, expected);
    let keys = lost.open().unwrap();
    assert_eq!(open(&keys, &bodies[0]), Err(BodyError::KeyDestroyed { epoch: 1 }));
    bodies[1..].iter().for_each(|body| assert_opens(&keys, body));
    assert_eq!(open(&keys, &late), Err(BodyError::KeyAbsent { epoch: late.id.epoch.0 }));
    // A new epoch, or another key would stand for the one that is lost.
    assert!(seal(&keys, patient(9), at(6)).id.epoch > late.id.epoch);
}

#[test]
fn a_backup_is_refused_once_it_expired_for_another_secret_node_or_byte() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    seal(&keys, patient(1), at(0));
    let backup = keys.backup(&secret.public(), at(1), at(100)).unwrap();
    let refused = KeyBackup::open(&backup, &secret, at(100)).unwrap_err();
    assert!(matches!(refused, KeyBackupError::Expired { .. }), "{refused}");
    let (_other, stranger) = self::secret();
    let is_broken = |bytes: &[u8], secret| {
        matches!(KeyBackup::open(bytes, secret, at(2)), Err(KeyBackupError::Broken))
    };
    assert!(is_broken(&backup, &stranger));
    for at in 0..backup.len() {
        let mut changed = backup.to_vec();
        changed[at] ^= 1;
        assert!(is_broken(&changed, &secret) && is_broken(&backup[..at], &secret), "byte {at}");
    }
    // Its end is bound: nobody makes it last.
    let opened = KeyBackup::open(&backup, &secret, at(2)).unwrap();
    assert_eq!((opened.made, opened.expires, opened.keys()), (at(1), at(100), 1));
    let elsewhere = Folders::default();
    drop(elsewhere.open().unwrap());
    let refused = restore(&elsewhere.places(), Some(opened), at(2)).unwrap_err();
    assert!(matches!(refused, KeyBackupError::Other), "{refused}");
    let past = keys.backup(&secret.public(), at(5), at(5)).unwrap_err();
    assert!(matches!(past, KeyBackupError::Past), "{past}");
}

#[test]
fn a_missing_wrapping_key_a_damaged_file_and_a_missing_ledger_are_told_and_never_replaced() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let body = seal(&keys, patient(1), at(0));
    write_files(&keys);
    let (wrapping, file) = (keys.wrapping_file(), "g00000002-e00000001.keys");
    let damaged = |name: &str, change: &dyn Fn(&FaultyKeys)| {
        let copy = Folders::default();
        copy.keys.set(folders.keys.all());
        copy.beside.set(folders.beside.all());
        change(&copy.keys);
        let before = copy.keys.all();
        let error = copy.open().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(copy.keys.all(), before, "{name}: nothing is changed");
        error
    };
    damaged(&wrapping, &|keys| keys.lose(&wrapping));
    damaged(LEDGER_NAME, &|keys| keys.lose(LEDGER_NAME));
    damaged(file, &|keys| keys.change(file, |bytes| bytes[70] ^= 1));
    let other = damaged(file, &|keys| {
        keys.change(&wrapping, |text| {
            text.copy_from_slice(&[b"1".repeat(64), b"\n".to_vec()].concat())
        });
    });
    assert!(matches!(other, KeyStoreError::File { fault: KeyFault::Wrapping, .. }), "{other}");
    // Files of keys without any ledger.
    let half = Folders::default();
    half.keys.set(folders.keys.all());
    half.keys.lose(LEDGER_NAME);
    assert!(matches!(half.open(), Err(KeyStoreError::Lost { .. })));
    assert_opens(&folders.open().unwrap(), &body);
}

#[test]
fn a_restore_keeps_what_is_whole_and_gives_up_only_what_is_not() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    let first = seal(&keys, patient(1), at(0));
    let backup = keys.backup(&secret.public(), at(1), at(9_000)).unwrap();
    write_files(&keys);
    let second = seal(&keys, patient(2), at(EPOCH_MS));
    drop(keys);
    folders.keys.change("g00000002-e00000001.keys", |bytes| bytes[80] ^= 1);
    assert!(folders.open().is_err());
    let opened = KeyBackup::open(&backup, &secret, at(5)).unwrap();
    let restored = restore(&folders.places(), Some(opened), at(5)).unwrap();
    let expected = Restored { kept: 1, brought_back: 1, destroyed: 0, given_up: 1 };
    assert_eq!(restored, expected);
    let keys = folders.open().unwrap();
    [&first, &second].into_iter().for_each(|body| assert_opens(&keys, body));
}

#[test]
fn who_has_no_backup_goes_on_with_what_is_left() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let body = seal(&keys, patient(1), at(0));
    drop(keys);
    let lost = Folders { beside: folders.beside.clone(), ..Folders::default() };
    restore(&lost.places(), None, at(7)).unwrap();
    let keys = lost.open().unwrap();
    assert_eq!(open(&keys, &body), Err(BodyError::KeyAbsent { epoch: 1 }));
    let new = seal(&keys, patient(1), at(8));
    assert_eq!(new.id.epoch.0, 2, "no number is used again");
    let nothing = restore(&Folders::default().places(), None, at(7));
    assert!(matches!(nothing, Err(KeyBackupError::NoLedger)), "{nothing:?}");
}

#[test]
fn an_old_copy_of_the_key_folder_brings_no_destroyed_key_back() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let body = seal(&keys, patient(1), at(0));
    let other = seal(&keys, patient(2), at(0));
    let copy = folders.keys.all();
    keys.destroy(&[patient(1)], at(1)).unwrap();
    drop(keys);
    folders.keys.set(copy);
    let keys = folders.open().unwrap();
    assert_eq!(open(&keys, &body), Err(BodyError::KeyDestroyed { epoch: 1 }));
    assert_opens(&keys, &other);
    assert_eq!(keys.status(at(2)).keys, 1);
}

/// Every write of a folder's life is cut. Whatever is left opens, or is told as lost where a part
/// of the first write alone is there; what was committed opens, and what was destroyed does not.
#[test]
fn a_power_cut_at_any_write_loses_no_committed_key_and_revives_no_destroyed_one() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let made = folders.keys.images().len();
    let body = seal(&keys, patient(1), at(0));
    let erased = seal(&keys, patient(2), at(0));
    let committed = folders.keys.images().len();
    keys.destroy(&[patient(2)], at(1)).unwrap();
    let destroyed = folders.keys.images().len();
    let later = seal(&keys, patient(1), at(EPOCH_MS));
    assert!(made > 4 && committed > made && destroyed > committed);
    let beside = folders.beside.images().last().unwrap().all();
    for (cut, keys_image) in folders.keys.images().into_iter().enumerate() {
        let image = Folders { keys: keys_image, ..Folders::default() };
        if cut >= made {
            // Behind the first writes: what stands beside the journal has been written by then.
            image.beside.set(first_ledger(&folders));
        }
        let keys = image.open().unwrap_or_else(|error| panic!("cut {cut}: {error}"));
        if cut >= committed {
            assert_opens(&keys, &body);
        }
        if cut >= destroyed {
            let found = open(&keys, &erased);
            assert_eq!(found, Err(BodyError::KeyDestroyed { epoch: 1 }), "cut {cut}");
        }
        // It can be used, and opened once more, with nothing of another generation in it.
        let new = seal(&keys, patient(5), at(2 * EPOCH_MS));
        let again = image.open().unwrap();
        assert_opens(&again, &new);
        let wrapping = again.wrapping_file();
        let others = image.keys.all().into_keys().filter(|name| name.starts_with("wrapping-"));
        assert_eq!(others.collect::<Vec<_>>(), [wrapping], "cut {cut}");
    }
    let last = Folders { keys: folders.keys.clone(), ..Folders::default() };
    last.beside.set(beside);
    assert_opens(&last.open().unwrap(), &later);
}

/// The ledger beside the journal as it was written first.
fn first_ledger(folders: &Folders) -> std::collections::BTreeMap<String, Vec<u8>> {
    let images = folders.beside.images();
    images.iter().map(FaultyKeys::all).find(|all| all.contains_key(LEDGER_NAME)).unwrap()
}

/// The n-th change and all behind it fail, for each n: what is answered as done is done, and the
/// next open of the same folder holds every key that was given out.
#[test]
fn a_change_that_fails_at_any_call_leaves_a_folder_that_opens() {
    for call in 1..40 {
        let folders = Folders::default();
        let keys = folders.open().unwrap();
        let body = seal(&keys, patient(1), at(0));
        let erased = seal(&keys, patient(2), at(0));
        folders.keys.fail_at(Some(call));
        let destroyed = keys.destroy(&[patient(2)], at(1));
        let new = try_seal(&keys, patient(3), at(2));
        folders.keys.fail_at(None);
        drop(keys);
        let keys = folders.open().unwrap();
        assert_opens(&keys, &body);
        if destroyed.is_ok() {
            assert_eq!(open(&keys, &erased), Err(BodyError::KeyDestroyed { epoch: 1 }));
        }
        match new {
            Ok(new) => assert_opens(&keys, &new),
            Err(_) => assert!(call < 20, "call {call} is never reached"),
        }
        assert_opens(&keys, &seal(&keys, patient(4), at(3)));
    }
}

/// One change fails while P is destroyed, and the disk is whole again: Q is enrolled at once,
/// unless which generation holds is unknown, and P's destruction is finished where it was begun.
#[test]
fn a_destruction_that_failed_keeps_new_patients_out_only_where_the_ledger_is_unsure() {
    let mut unsure = 0;
    for call in 1..14 {
        let folders = Folders::default();
        let keys = folders.open().unwrap();
        let (body, erased) = (seal(&keys, patient(1), at(0)), seal(&keys, patient(2), at(0)));
        folders.keys.fail_at(Some(call));
        let destroyed = keys.destroy(&[patient(2)], at(1));
        folders.keys.fail_at(None);
        let new = try_seal(&keys, patient(3), at(2));
        if let Err(error) = &new {
            assert!(matches!(error, KeyStoreError::Failed), "call {call}: {error}");
            unsure += 1;
        }
        assert_opens(&keys, &body);
        if destroyed.is_err() && new.is_ok() {
            // Without anybody asking again, and only where it was said to be destroyed.
            keys.make_ahead(at(3)).unwrap();
        }
        let keys = folders.open().unwrap();
        if call > 1 {
            assert_eq!(open(&keys, &erased), Err(BodyError::KeyDestroyed { epoch: 1 }), "{call}");
        }
        if let Ok(new) = new {
            assert_opens(&keys, &new);
            let names = folders.keys.all().into_keys();
            let wrapping: Vec<_> = names.filter(|name| name.starts_with("wrapping-")).collect();
            assert_eq!(wrapping, [keys.wrapping_file()], "call {call}");
        }
    }
    assert!(unsure <= 1, "{unsure}");
}

/// Q's first key is drawn and cannot be kept, and P is destroyed before it is tried again.
#[test]
fn a_key_that_is_not_durable_yet_stays_so_while_another_patients_are_destroyed() {
    for call in 1..3 {
        let folders = Folders::default();
        let keys = folders.open().unwrap();
        seal(&keys, patient(1), at(0));
        folders.keys.fail_at(Some(call));
        try_seal(&keys, patient(2), at(0)).unwrap_err();
        folders.keys.fail_at(None);
        assert!(keys.trouble().is_some());
        keys.destroy(&[patient(1)], at(1)).unwrap();
        let waits = try_seal(&keys, patient(2), at(2)).unwrap_err();
        assert!(matches!(waits, KeyStoreError::Waits), "{waits}");
        let body = seal(&keys, patient(2), at(TRIED_EVERY_MS));
        assert_eq!(keys.trouble(), None);
        assert_opens(&folders.open().unwrap(), &body);
    }
}

#[test]
fn destroying_one_patients_keys_gives_no_other_a_new_one() {
    let folders = Folders::default();
    let keys = folders.open().unwrap();
    let (one, other) = (seal(&keys, patient(1), at(0)), seal(&keys, patient(2), at(0)));
    keys.destroy(&[patient(1)], at(1)).unwrap();
    assert_eq!(seal(&keys, patient(1), at(2)).id.epoch.0, one.id.epoch.0 + 1);
    assert_eq!(seal(&keys, patient(2), at(3)).id, other.id, "its own key still holds");
    assert_eq!(keys.status(at(3)).keys, 2);
    // At its end it goes over to the epoch that runs, made ahead as any.
    keys.make_ahead(at(EPOCH_MS - 10)).unwrap();
    assert_eq!(seal(&keys, patient(2), at(EPOCH_MS)).id.epoch.0, one.id.epoch.0 + 1);
}

#[test]
fn a_missing_file_of_an_epoch_and_one_with_fewer_keys_are_told_and_no_key_is_drawn_over_theirs() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    let first = seal(&keys, patient(1), at(0));
    let second = seal(&keys, patient(2), at(0));
    write_files(&keys);
    let name = "g00000002-e00000001.keys";
    let backup = keys.backup(&secret.public(), at(1), at(100)).unwrap();
    drop(keys);
    let whole = folders.keys.all();
    let lose = |keys: &FaultyKeys| keys.lose(name);
    // Whole, and of another past of the folder.
    let take_one = |keys: &FaultyKeys| {
        keys.change(name, |bytes| {
            let mut file = KeyFile::of_bytes(bytes).unwrap();
            file.keys.pop();
            *bytes = file.to_bytes();
        });
    };
    for change in [&lose as &dyn Fn(&FaultyKeys), &take_one] {
        folders.keys.set(whole.clone());
        change(&folders.keys);
        let before = folders.keys.all();
        let error = folders.open().unwrap_err();
        assert!(matches!(&error, KeyStoreError::Lost { name: found } if found == name), "{error}");
        assert_eq!(folders.keys.all(), before, "nothing is changed");
    }
    let opened = KeyBackup::open(&backup, &secret, at(5)).unwrap();
    restore(&folders.places(), Some(opened), at(5)).unwrap();
    let keys = folders.open().unwrap();
    [&first, &second].into_iter().for_each(|body| assert_opens(&keys, body));
}

#[test]
fn a_restore_that_is_cut_anywhere_is_finished_by_the_next_one() {
    let ((_folder, secret), folders) = (secret(), Folders::default());
    let keys = folders.open().unwrap();
    let body = seal(&keys, patient(1), at(0));
    let backup = keys.backup(&secret.public(), at(1), at(100)).unwrap();
    drop(keys);
    let lost = Folders { beside: folders.beside.clone(), ..Folders::default() };
    let restored = |folders: &Folders| {
        let opened = KeyBackup::open(&backup, &secret, at(5)).unwrap();
        restore(&folders.places(), Some(opened), at(5)).unwrap()
    };
    restored(&lost);
    let images = lost.images();
    assert!(images.len() > 20, "{}", images.len());
    for image in images {
        restored(&image);
        assert_opens(&image.open().unwrap(), &body);
    }
}

#[test]
fn a_folder_of_the_file_system_is_locked_closed_and_holds_no_key_in_the_clear() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("body-keys");
    let open_folder = || {
        let keys = KeyFolder::lock(&folder).unwrap()?;
        let beside = Arc::new(KeyFolder::beside(root.path()));
        Some(BodyKeys::open(Places { keys: Arc::new(keys), beside }, EPOCH_MS).unwrap())
    };
    let keys = open_folder().unwrap();
    assert!(open_folder().is_none(), "one process at a time");
    let body = seal(&keys, patient(1), at(0));
    let plain = keys.held().keys.get(body.id).unwrap().key.clone();
    keys.destroy(&[patient(7)], at(1)).unwrap();
    drop(keys);
    assert_opens(&open_folder().unwrap(), &body);
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    let found: Vec<_> = names.iter().map(|it| it.file_name().into_string().unwrap()).collect();
    let expected = [LEDGER_NAME, "g00000002-e00000001.keys", "lock", "wrapping-00000002.key"];
    assert_eq!(found, expected);
    for entry in names {
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(32).any(|window| window == plain.0.as_slice()));
    }
}

#[test]
fn a_recovery_key_is_read_as_it_is_shown_and_debug_shows_no_secret() {
    let (folder, secret) = secret();
    let path = folder.path().join("recovery.key");
    assert_eq!(RecoverySecret::read(&path).unwrap().public(), secret.public());
    let shown = secret.public().to_string();
    assert_eq!(shown.parse::<RecoveryKey>().unwrap(), secret.public());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!format!("{secret:?}").contains(text.trim()));
    assert!(RecoverySecret::create(&path).is_err(), "never over another one");
    for wrong in ["", "00", &"0".repeat(64), &"g".repeat(64)] {
        assert!(wrong.parse::<RecoveryKey>().is_err(), "{wrong}");
    }
}

#[test]
fn keys_of_a_seed_seal_the_same_bytes_again_and_those_of_another_seed_others() {
    let sealed = |seed| {
        let keys = crate::fault::keys_of_seed([seed; 32]);
        let mut sealed = Vec::new();
        for index in 1..4 {
            let key = keys.group_key(patient(index), at(0), (&LOG, &PLACE.salt)).unwrap();
            let mut body = vec![7; 40];
            key.seal(&PLACE, b"clear", &mut body);
            sealed.push(body);
        }
        sealed
    };
    assert_eq!(sealed(1), sealed(1));
    assert!(sealed(1).iter().zip(sealed(2)).all(|(one, other)| *one != other));
    // Drawn one after the other, and each only once.
    let [first, second, third] = &sealed(1)[..] else { panic!("three") };
    assert!(first != second && second != third && first != third);
}
