//! What is known of keys without holding one: whose were destroyed, which copies exist and until
//! when. It stands in the key folder and beside the journal, so that a copy of either that is put
//! back brings nothing back to life.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use model::{Millis, PatientIndex};
use serde::{Deserialize, Serialize};

use crate::error::KeyFault;
use crate::key::{BodyEpoch, KeyId};

/// Name of the file, in both places.
pub const LEDGER_NAME: &str = "body-keys.json";

/// Backups that are remembered. Reached: no further one is made before one of them has expired.
pub(crate) const BACKUPS_MAX: usize = 1_024;

/// The highest generation that is read: behind each there is another, for as long as anybody lives.
pub(crate) const GENERATION_MAX: u32 = 1 << 31;

/// Most records of a tail: as many as there may be keys.
const TAIL_MAX: u32 = 1 << 22;

const SCHEMA: &str = "vitals-body-keys-2";
/// Of the version before, which had no tail: every key stood in the file of its epoch.
const SCHEMA_BEFORE: &str = "vitals-body-keys-1";

/// A backup of keys that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRow {
    /// When, milliseconds since 1970.
    pub made_unix_ms: u64,
    /// When its holder deletes it, milliseconds since 1970.
    pub expires_unix_ms: u64,
    /// Whether it is durable, and what is in it counts as backed up. A copy may exist of one that
    /// is not: it was begun.
    #[serde(default = "is_kept", skip_serializing_if = "goes_unsaid")]
    pub kept: bool,
}

/// What is left of the keys of a patient that were destroyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remains {
    /// When they were destroyed the last time; not before any backup that was begun until then,
    /// also where a clock was set back.
    pub destroyed_at: Millis,
    /// When the last copy that may hold one expires; nothing if no such backup of keys exists that
    /// has not.
    pub copies_until: Option<Millis>,
}

/// What is not said of rows of before, nor of most that are written.
fn is_kept() -> bool {
    true
}

fn goes_unsaid(kept: &bool) -> bool {
    *kept
}

impl BackupRow {
    /// Of a backup that is kept.
    pub(crate) fn new(made: Millis, expires: Millis) -> BackupRow {
        let (made_unix_ms, expires_unix_ms) = (made.unix_ms(), expires.unix_ms());
        BackupRow { made_unix_ms, expires_unix_ms, kept: true }
    }

    /// Whether both are of one backup.
    fn is_of(&self, other: &BackupRow) -> bool {
        (self.made_unix_ms, self.expires_unix_ms) == (other.made_unix_ms, other.expires_unix_ms)
    }

    /// When it was made.
    pub fn made(&self) -> Millis {
        Millis::from_unix_ms(self.made_unix_ms)
    }

    /// From when on it is refused.
    pub fn expires(&self) -> Millis {
        Millis::from_unix_ms(self.expires_unix_ms)
    }
}

/// Up to where a patient's keys were destroyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DestroyedRow {
    patient: u32,
    through_epoch: u32,
    at_unix_ms: u64,
}

/// How many keys an epoch has.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochRow {
    epoch: u32,
    keys: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schema: String,
    folder: String,
    generation: u32,
    epochs_begun: u32,
    epochs: Vec<EpochRow>,
    #[serde(default)]
    tail: u32,
    destroyed: Vec<DestroyedRow>,
    backups: Vec<BackupRow>,
}

/// The ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ledger {
    /// Which key folder.
    pub(crate) store: [u8; 16],
    /// Which wrapping key; it counts the times that keys were destroyed or restored.
    pub(crate) generation: u32,
    /// The highest epoch that ever had a key.
    pub(crate) epochs_begun: BodyEpoch,
    /// How many durable keys each epoch has, in its file and in the tail together.
    counts: BTreeMap<BodyEpoch, u32>,
    /// How many records of the generation's tail are durable. What stands behind them was never
    /// used.
    pub(crate) tail: u32,
    /// The generation whose files have so many.
    counted: u32,
    destroyed: BTreeMap<PatientIndex, (BodyEpoch, Millis)>,
    pub(crate) backups: Vec<BackupRow>,
}

impl Ledger {
    pub(crate) fn new(store: [u8; 16]) -> Ledger {
        let (generation, epochs_begun) = (1, BodyEpoch(0));
        let (counts, destroyed) = (BTreeMap::new(), BTreeMap::new());
        let (counted, backups, tail) = (generation, Vec::new(), 0);
        Ledger { store, generation, epochs_begun, counts, tail, counted, destroyed, backups }
    }

    /// How many keys each epoch has at least.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (BodyEpoch, u32)> {
        self.counts.iter().map(|(epoch, count)| (*epoch, *count))
    }

    /// Whether the counts are of the generation that holds: its files have destroyed keys as well,
    /// until they are written anew.
    pub(crate) fn counts_all(&self) -> bool {
        self.counted == self.generation
    }

    /// Of these epochs there are so many keys now.
    pub(crate) fn count(&mut self, counts: &BTreeMap<BodyEpoch, u32>) {
        self.counts.extend(counts);
        self.counted = self.generation;
    }

    /// A key of this epoch stands in the tail.
    pub(crate) fn count_one(&mut self, epoch: BodyEpoch) {
        *self.counts.entry(epoch).or_default() += 1;
        self.tail += 1;
        self.epochs_begun = self.epochs_begun.max(epoch);
    }

    /// The ledger of the next generation, whose files have so many keys, of which so many stand in
    /// its tail.
    pub(crate) fn next(
        &self,
        generation: u32,
        counts: BTreeMap<BodyEpoch, u32>,
        tail: u32,
    ) -> Ledger {
        Ledger { generation, counted: generation, counts, tail, ..self.clone() }
    }

    pub(crate) fn is_destroyed(&self, id: KeyId) -> bool {
        self.destroyed.get(&id.patient).is_some_and(|(through, _)| id.epoch <= *through)
    }

    /// How many patients' keys were destroyed.
    pub(crate) fn destroyed(&self) -> usize {
        self.destroyed.len()
    }

    /// Every key of the patient that there was until now is destroyed. Every backup that was begun
    /// until now may hold one: with a clock that was set back since, `at` lies before such a one,
    /// and it would count as none of theirs.
    pub(crate) fn destroy(&mut self, patient: PatientIndex, at: Millis) {
        let at = self.last_begun().map_or(at, |begun| at.max(begun));
        self.destroyed.insert(patient, (self.epochs_begun, at));
    }

    /// When every key of the patient was destroyed, and until when a copy of one may exist: backups
    /// that were begun later have none of theirs.
    pub(crate) fn remains(&self, patient: PatientIndex, now: Millis) -> Option<Remains> {
        let (_, destroyed_at) = self.destroyed.get(&patient).copied()?;
        let of_theirs = self.backups.iter().filter(|row| row.made() <= destroyed_at);
        let copies_until = of_theirs.map(BackupRow::expires).filter(|end| *end > now).max();
        Some(Remains { destroyed_at, copies_until })
    }

    /// When the last copy that was made until now has expired; nothing if there is none.
    pub(crate) fn copies_until(&self, now: Millis) -> Option<Millis> {
        self.backups.iter().map(BackupRow::expires).filter(|end| *end > now).max()
    }

    /// Remembers a backup, if it does not yet; one that is kept stays so.
    pub(crate) fn note_backup(&mut self, row: BackupRow) {
        match self.backups.iter_mut().find(|known| known.is_of(&row)) {
            Some(known) => known.kept |= row.kept,
            None => self.backups.push(row),
        }
    }

    /// When the last backup was begun; nothing without any that has not expired.
    pub(crate) fn last_begun(&self) -> Option<Millis> {
        self.backups.iter().map(BackupRow::made).max()
    }

    /// The last backup that is kept.
    pub(crate) fn last_kept(&self) -> Option<BackupRow> {
        let kept = self.backups.iter().filter(|row| row.kept);
        kept.max_by_key(|row| row.made_unix_ms).copied()
    }

    /// What either of two copies knows; `None` of two key folders.
    pub(crate) fn merged(mut self, other: &Ledger) -> Option<Ledger> {
        if self.store != other.store {
            return None;
        }
        self.epochs_begun = self.epochs_begun.max(other.epochs_begun);
        // Those of the later generation: keys that were destroyed are counted no more. Within one
        // there are never fewer than there were.
        match self.generation.cmp(&other.generation) {
            Ordering::Less => {
                self.counts.clone_from(&other.counts);
                self.counted = other.counted;
            }
            Ordering::Greater => {}
            Ordering::Equal => {
                for (epoch, count) in &other.counts {
                    let here = self.counts.entry(*epoch).or_default();
                    *here = (*here).max(*count);
                }
                self.tail = self.tail.max(other.tail);
            }
        }
        for (patient, there) in &other.destroyed {
            let here = self.destroyed.entry(*patient).or_insert(*there);
            *here = (*here).max(*there);
        }
        other.backups.iter().for_each(|row| self.note_backup(*row));
        Some(self)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let destroyed = self.destroyed.iter().map(|(patient, (through, at))| DestroyedRow {
            patient: patient.get(),
            through_epoch: through.0,
            at_unix_ms: at.unix_ms(),
        });
        let written = Written {
            schema: SCHEMA.to_owned(),
            folder: hex::encode(self.store),
            generation: self.generation,
            epochs_begun: self.epochs_begun.0,
            epochs: self.counts().map(|(epoch, keys)| EpochRow { epoch: epoch.0, keys }).collect(),
            tail: self.tail,
            destroyed: destroyed.collect(),
            backups: self.backups.clone(),
        };
        // In one line: it is written with every new key.
        let mut bytes = serde_json::to_vec(&written).expect("strings and numbers alone");
        bytes.push(b'\n');
        bytes
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Result<Ledger, KeyFault> {
        // The cause is left out: it quotes the file, which names patients.
        let written: Written = serde_json::from_slice(bytes).map_err(|_| KeyFault::Ledger)?;
        let mut store = [0; 16];
        hex::decode_to_slice(&written.folder, &mut store).map_err(|_| KeyFault::Ledger)?;
        let mut destroyed = BTreeMap::new();
        for row in written.destroyed {
            let patient = PatientIndex::new(row.patient).map_err(|_| KeyFault::Ledger)?;
            let at = Millis::from_unix_ms(row.at_unix_ms);
            let through = BodyEpoch::read(row.through_epoch).ok_or(KeyFault::Ledger)?;
            destroyed.insert(patient, (through, at));
        }
        let mut counts = BTreeMap::new();
        for row in written.epochs {
            counts.insert(BodyEpoch::read(row.epoch).ok_or(KeyFault::Ledger)?, row.keys);
        }
        let is_known = match written.schema.as_str() {
            SCHEMA => true,
            SCHEMA_BEFORE => written.tail == 0,
            _ => false,
        };
        // Whoever changed it shall not have keys counted that there cannot be, nor numbers end.
        let is_sane =
            (1..=GENERATION_MAX).contains(&written.generation) && written.tail <= TAIL_MAX;
        if !is_known || !is_sane {
            return Err(KeyFault::Ledger);
        }
        let epochs_begun = BodyEpoch::read(written.epochs_begun).ok_or(KeyFault::Ledger)?;
        Ok(Ledger {
            store,
            generation: written.generation,
            epochs_begun,
            counts,
            tail: written.tail,
            counted: written.generation,
            destroyed,
            backups: written.backups,
        })
    }
}
