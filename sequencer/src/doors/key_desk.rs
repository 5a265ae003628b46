//! What an operator asks of the keys of frame bodies: how they stand, and a backup of them. A
//! running node answers through its socket; of a stopped one the command opens the key folder
//! itself and asks the same. That a patient's are destroyed is an order to a running node alone,
//! which knows whom a legal hold is on: no request of this desk reaches [`KeyDesk::destroy`].
//!
//! One request a line: `keys`, `backup-keys KEY UNIX_MS PATH`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bodies::{BodyKeys, Destroyed, KeyFolder, KeyMedium as _, RecoveryKey};
use files::Audience;
use model::{Clock as _, Millis, PatientIndex, SystemClock, whole_number, with_causes};
use serde_json::{Value, json};

use crate::folder::snapshots::SnapshotHead;

/// Answers from the keys.
#[derive(Clone, Debug)]
pub struct KeyDesk {
    keys: BodyKeys,
    snapshots: PathBuf,
}

impl KeyDesk {
    /// Of these keys, of a node with this folder of snapshots.
    pub fn new(keys: BodyKeys, snapshots: PathBuf) -> KeyDesk {
        KeyDesk { keys, snapshots }
    }

    /// Answers a request; none to what is no request about keys. Blocks for as long as the disk
    /// takes.
    pub fn answer(&self, request: &str) -> Option<Result<Value, String>> {
        let (word, rest) = request.split_once(' ').unwrap_or((request, ""));
        let now = SystemClock.now();
        match word {
            "keys" => Some(Ok(self.status(now))),
            "backup-keys" => Some(self.backup(rest, now)),
            _ => None,
        }
    }

    fn status(&self, now: Millis) -> Value {
        let status = self.keys.status(now);
        json!({
            "schema": "vitals-keys-1",
            "patients": status.patients,
            "epochs": status.epochs,
            "keys": status.keys,
            "keys_in_no_backup": status.in_no_backup,
            "patients_destroyed": status.destroyed,
            "last_backup_ms": status.last_backup.map(|row| row.made_unix_ms),
            "last_backup_expires_ms": status.last_backup.map(|row| row.expires_unix_ms),
            "last_copy_expires_ms": status.copies_until.map(Millis::unix_ms),
        })
    }

    fn backup(&self, rest: &str, now: Millis) -> Result<Value, String> {
        let malformed = || "expected a recovery key, a time and a path".to_owned();
        let (key, rest) = rest.split_once(' ').ok_or_else(malformed)?;
        let (expires, path) = rest.split_once(' ').ok_or_else(malformed)?;
        let key = key.parse::<RecoveryKey>().map_err(|error| error.to_string())?;
        let expires = Millis::from_unix_ms(whole_number(expires).ok_or_else(malformed)?);
        // Before anything is said of a copy: one that is there is never written over.
        if Path::new(path).exists() {
            return Err(format!("expected no file {path}, found one"));
        }
        let sealed = self.keys.backup(&key, now, expires).map_err(|error| with_causes(&error))?;
        files::create(Path::new(path), &sealed, Audience::Owner)
            .map_err(|error| format!("{path} cannot be written: {error}"))?;
        // Only now: of one that could not be written no key counts as backed up.
        self.keys.note_kept(&sealed).map_err(|error| {
            let error = with_causes(&error);
            format!("{path} is whole, and the ledger of keys cannot say so: {error}; make another")
        })?;
        Ok(json!({
            "schema": "vitals-keys-backup-1",
            "keys": self.keys.status(now).keys,
            "bytes": sealed.len(),
            "expires_ms": expires.unix_ms(),
        }))
    }

    /// Whether a key of this patient is here.
    pub fn has_keys_of(&self, patient: PatientIndex) -> bool {
        self.keys.newest(patient).is_some()
    }

    /// Erases what a release of before wrote of readings under a key that is not the patient's:
    /// where keys went and this did not, it is done without anybody asking again.
    ///
    /// # Errors
    /// What the file system says.
    pub fn erase_states(&self) -> io::Result<()> {
        erase_states(&self.snapshots)
    }

    /// Destroys every key of these patients, and what a release of before wrote of their readings
    /// under another. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// Why not, for whoever asked.
    pub fn destroy(&self, patients: &[PatientIndex], now: Millis) -> Result<Destroyed, String> {
        let destroyed = self.keys.destroy(patients, now);
        // Also where that failed half-way: it is finished without anybody asking again.
        let erased = self.erase_states();
        let destroyed = destroyed.map_err(|error| with_causes(&error))?;
        erased.map_err(|error| {
            format!("the keys are destroyed, and a snapshot cannot be erased: {error}; ask again")
        })?;
        Ok(destroyed)
    }
}

/// Erases the states that a release of before wrote down: each holds the last readings of the
/// segments that were open, under a key that is not the patient's. The journal makes them again. In
/// those of this release they are under the patient's own, which is destroyed.
fn erase_states(snapshots: &Path) -> io::Result<()> {
    let folder = KeyFolder::beside(snapshots);
    let names = match folder.names() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    for name in names.iter().filter(|name| name.ends_with(".snapshot")) {
        if !seals_readings(&snapshots.join(name))? {
            folder.erase(name)?;
        }
    }
    Ok(())
}

/// Whether the file is a snapshot of this release, or was removed for a later one meanwhile; one
/// that is too short for any is none.
fn seals_readings(path: &Path) -> io::Result<bool> {
    let mut begin = [0; 12];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    match read.map_err(|error| (error.kind(), error)) {
        Ok(()) => Ok(SnapshotHead::seals_readings(&begin)),
        Err((io::ErrorKind::NotFound, _)) => Ok(true),
        Err((io::ErrorKind::UnexpectedEof, _)) => Ok(false),
        Err((_, error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_about_keys_are_answered_and_wrong_ones_say_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("0000000000000001.snapshot");
        files::create(&state, b"VITLSNAP\0\0\0\x01 readings", Audience::Owner).unwrap();
        let sealed = folder.path().join("0000000000000002.snapshot");
        files::create(&sealed, b"VITLSNAP\0\0\0\x02 sealed", Audience::Owner).unwrap();
        let desk = KeyDesk::new(bodies::fault::keys(), folder.path().to_owned());
        assert!(desk.answer("list").is_none());
        let status = desk.answer("keys").unwrap().unwrap();
        assert_eq!((&status["keys"], &status["last_backup_ms"]), (&json!(0), &Value::Null));
        let path = folder.path().join("keys.backup");
        let secret = bodies::RecoverySecret::create(&folder.path().join("secret")).unwrap();
        let expires = SystemClock.now().unix_ms() + 60_000;
        let request = format!("backup-keys {} {expires} {}", secret.public(), path.display());
        assert_eq!(desk.answer(&request).unwrap().unwrap()["expires_ms"], json!(expires));
        let again = desk.answer(&request).unwrap().unwrap_err();
        assert!(again.contains("found one"), "{again}");
        assert!(desk.answer("destroy-keys 5,6").is_none(), "it does not know whom a hold is on");
        let patients = [5, 6].map(|index| PatientIndex::new(index).unwrap());
        let destroyed = desk.destroy(&patients, SystemClock.now()).unwrap();
        let until = destroyed.copies_until.map(Millis::unix_ms);
        assert_eq!(until, Some(expires), "the backup is a copy");
        assert!(!state.exists(), "a state with readings goes");
        assert!(sealed.exists() && path.exists(), "and nothing else");
        let said = desk.answer("backup-keys 1 2").unwrap().unwrap_err();
        assert!(said.contains("expected"), "{said}");
    }
}
