//! A study's data set, and beside it what proves that each reading was permitted.
//!
//! The *set* is for everybody: participants under pseudonyms, signals, times from each one's first
//! reading on, values. The *proofs* are for the study's auditor: who is who, which claim covers
//! which rows, and what opens each claim against the header of its batch. The set carries one root,
//! and the proofs name it: so a published set is traced to what was permitted without naming
//! anybody in it.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Categories, ClaimKind, Millis, Party, PatientIndex, Purpose, Signal, Word, signal_by_name,
};
use serde::{Deserialize, Serialize};
use statement::scope::{self, ActorKind};
use thiserror::Error;

use crate::check::Expected;
use crate::claims::{SoundClaims, StudyClaim};
use crate::line::category_names;
use crate::lines::check_length;
use crate::proof::{BatchProof, ClaimProof};
use crate::rows::{BLOCK_ROWS, ROWS_HEADER, RowsRoot};
use crate::text::Hex;

/// Name and version of the format of a data set.
pub const STUDY_SCHEMA: &str = "vitals-study-1";
/// Name and version of the format of its proofs.
pub const PROOFS_SCHEMA: &str = "vitals-study-proofs-1";
/// Most readings of a set: at some 60 bytes each it fits what is read.
pub const STUDY_READINGS_MAX: usize = 4_000_000;

/// How times stand in a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// Milliseconds from the participant's first reading in the set: no clock.
    Relative,
    /// Milliseconds since 1970. A calendar can identify; say so to whoever permits it.
    Absolute,
}

/// What a study is, and under which key its participants have pseudonyms.
#[derive(Clone, PartialEq, Eq)]
pub struct Study {
    /// Its name, which is in the pseudonyms: two studies share none.
    pub name: String,
    /// Who asked to read, as registered.
    pub practitioner: String,
    /// Why; a set has one purpose.
    pub purpose: Purpose,
    /// Which categories are exported.
    pub categories: Categories,
    /// How times stand in it.
    pub times: Times,
    /// Makes the pseudonyms; secret.
    pub key: [u8; 32],
}

/// Without the key.
impl std::fmt::Debug for Study {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Study").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One reading that was released to the study.
#[derive(Clone, PartialEq, Eq)]
pub struct StudyReading {
    /// Whose.
    pub patient: PatientIndex,
    /// Which device measured it.
    pub device: String,
    /// What.
    pub signal: &'static Signal,
    /// When.
    pub at: Millis,
    /// A decimal number in the signal's unit; empty where the sensor was off.
    pub value: String,
}

/// Two files, and what is in neither.
#[derive(Clone, PartialEq, Eq)]
pub struct StudyFiles {
    /// For everybody.
    pub data: String,
    /// For the study's auditor: it says who is who.
    pub proofs: String,
    /// Readings in the set.
    pub rows: u64,
    /// Participants in it.
    pub participants: u64,
    /// Readings that no proven claim of the study covers: left out.
    pub uncovered: u64,
    /// Readings of other categories: left out.
    pub others: u64,
    /// The root.
    pub root: [u8; 32],
}

/// What no set is made of.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StudyError {
    /// More readings than a set has.
    #[error("expected at most {STUDY_READINGS_MAX} readings, found {found}: make several sets")]
    Readings {
        /// Readings found.
        found: usize,
    },
    /// No reading is covered.
    #[error(
        "expected readings that a proven claim of the study covers, found none: ask with the \
         study's purpose, wait until the batches settle, and have the claims opened"
    )]
    Nothing,
    /// Two participants have one pseudonym.
    #[error("expected pseudonyms that differ, found two alike: take another study key")]
    Pseudonym,
    /// A line cannot be written.
    #[error("a line cannot be written: {0}")]
    Line(String),
}

/// First line of a set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DataHead {
    pub(crate) schema: String,
    pub(crate) study: String,
    pub(crate) purpose: String,
    pub(crate) categories: Vec<String>,
    pub(crate) times: Times,
    pub(crate) participants: u64,
    pub(crate) rows: u64,
    pub(crate) block_rows: u64,
    /// Over what the times of each participant count from, under the study's key: without that it
    /// says nothing, and with it nobody has another clock for the set than it was made with.
    pub(crate) clocks: Hex<[u8; 32]>,
    /// Over this line with zeros here, and every block of rows.
    pub(crate) root: Hex<[u8; 32]>,
}

/// A line of the proofs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(crate) enum ProofLine {
    Head(ProofHead),
    Participant(Participant),
    Batch { batch: u64, proof: BatchProof },
    Claim { batch: u64, proof: Box<ClaimProof> },
    Cover(Cover),
}

/// Of which set, and what makes its pseudonyms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ProofHead {
    pub(crate) schema: String,
    pub(crate) chain_id: u64,
    pub(crate) settlement: Hex<[u8; 20]>,
    pub(crate) fingerprint: String,
    pub(crate) practitioner: String,
    pub(crate) root: Hex<[u8; 32]>,
    pub(crate) key: Hex<[u8; 32]>,
}

/// Who is who.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Participant {
    pub(crate) participant: String,
    pub(crate) patient: u32,
    /// What the times of its rows count from, milliseconds since 1900.
    pub(crate) zero: u64,
}

/// Rows that one claim covers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Cover {
    /// Number of the first row, from 0.
    pub(crate) first: u64,
    pub(crate) rows: u64,
    /// Number of the claim among those of the file, from 0.
    pub(crate) claim: usize,
    /// Which device measured them: the word of whoever made the set.
    pub(crate) device: String,
}

/// A reading with the claim that covers it.
struct Row<'a> {
    pseudonym: &'a str,
    reading: &'a StudyReading,
    claim: usize,
}

impl Study {
    /// The pseudonym of a patient: nobody makes it or undoes it without the key.
    pub fn pseudonym(&self, of: model::ChainScope, patient: PatientIndex) -> String {
        pseudonym(&self.key, &self.name, of, patient)
    }

    /// Makes the set and its proofs of those readings that a proven claim of the study covers.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn export(
        &self,
        of: &Expected,
        readings: &[StudyReading],
        claims: &SoundClaims,
    ) -> Result<StudyFiles, StudyError> {
        if readings.len() > STUDY_READINGS_MAX {
            return Err(StudyError::Readings { found: readings.len() });
        }
        let pseudonyms = self.pseudonyms(of, readings)?;
        let permits = self.permits(claims);
        let mut devices: BTreeMap<&str, Word> = BTreeMap::new();
        let (mut rows, mut uncovered, mut others) = (Vec::new(), 0, 0);
        for reading in readings {
            if !self.categories.contains(reading.signal.category.only()) {
                others += 1;
                continue;
            }
            // A hash for each device and not for each of its readings, of which there are millions.
            let hash = || scope::actor(ActorKind::Device, &reading.device);
            let device = *devices.entry(&reading.device).or_insert_with(hash);
            let covers = |(_, claim): &&(usize, &StudyClaim)| {
                covers_device(claim, device) && covers_reading(claim, reading.signal, reading.at)
            };
            let own = permits.get(&reading.patient).map_or(&[][..], Vec::as_slice);
            match own.iter().find(covers) {
                None => uncovered += 1,
                Some((claim, _)) => {
                    let pseudonym = pseudonyms[&reading.patient].as_str();
                    rows.push(Row { pseudonym, reading, claim: *claim });
                }
            }
        }
        if rows.is_empty() {
            return Err(StudyError::Nothing);
        }
        // By pseudonym: the order of indices would say who enrolled before whom.
        rows.sort_by_key(|row| {
            let StudyReading { signal, at, device, .. } = row.reading;
            (row.pseudonym, *at, signal.code, device)
        });
        let zeros = self.zeros(&rows);
        let (data, root) = self.write_data(&rows, &zeros)?;
        let proofs = self.write_proofs(of, (&rows, &zeros), claims, root)?;
        let (rows, participants) = (rows.len() as u64, zeros.len() as u64);
        Ok(StudyFiles { data, proofs, rows, participants, uncovered, others, root })
    }

    fn pseudonyms(
        &self,
        of: &Expected,
        readings: &[StudyReading],
    ) -> Result<BTreeMap<PatientIndex, String>, StudyError> {
        let patients: BTreeSet<_> = readings.iter().map(|reading| reading.patient).collect();
        let named = |patient| (patient, self.pseudonym(of.scope, patient));
        let all: BTreeMap<_, _> = patients.into_iter().map(named).collect();
        let differ = all.values().collect::<BTreeSet<_>>().len() == all.len();
        if differ { Ok(all) } else { Err(StudyError::Pseudonym) }
    }

    /// The claims of this study by patient, with their number in the file.
    fn permits<'a>(
        &self,
        claims: &'a SoundClaims,
    ) -> BTreeMap<PatientIndex, Vec<(usize, &'a StudyClaim)>> {
        let word = scope::actor(ActorKind::Practitioner, &self.practitioner);
        let mut permits: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, claim) in claims.claims.iter().enumerate() {
            if is_of_study(claim, word, self.purpose) {
                permits.entry(claim.claim.patient).or_default().push((number, claim));
            }
        }
        permits
    }

    /// What the times of each participant count from.
    fn zeros<'a>(&self, rows: &[Row<'a>]) -> BTreeMap<&'a str, (PatientIndex, Millis)> {
        let mut zeros = BTreeMap::new();
        for Row { pseudonym, reading, .. } in rows {
            let zero = match self.times {
                Times::Relative => reading.at,
                Times::Absolute => Millis::from_unix_ms(0),
            };
            // Rows stand by time: the first one of each is its earliest.
            zeros.entry(*pseudonym).or_insert((reading.patient, zero));
        }
        zeros
    }

    fn write_data(
        &self,
        rows: &[Row<'_>],
        zeros: &BTreeMap<&str, (PatientIndex, Millis)>,
    ) -> Result<(String, [u8; 32]), StudyError> {
        let mut head = DataHead {
            schema: STUDY_SCHEMA.to_owned(),
            study: self.name.clone(),
            purpose: self.purpose.name().to_owned(),
            categories: category_names(self.categories),
            times: self.times,
            participants: zeros.len() as u64,
            rows: rows.len() as u64,
            block_rows: BLOCK_ROWS,
            clocks: Hex(clocks(
                &self.key,
                zeros.iter().map(|(name, (_, zero))| (*name, zero.get())),
            )),
            root: Hex([0; 32]),
        };
        let mut root = RowsRoot::new(&json(&head)?);
        let mut text = String::new();
        for Row { pseudonym, reading, .. } in rows {
            let (_, zero) = zeros[pseudonym];
            let StudyReading { signal, at, value, .. } = reading;
            let time = at.since(zero);
            let row = format!("{pseudonym},{},{time},{value},{}", signal.name, signal.unit);
            root.take(&row);
            text += &row;
            text.push('\n');
        }
        let root = root.conclude();
        head.root = Hex(root);
        Ok((format!("{}\n{ROWS_HEADER}\n{text}", json(&head)?), root))
    }

    fn write_proofs(
        &self,
        of: &Expected,
        (rows, zeros): (&[Row<'_>], &BTreeMap<&str, (PatientIndex, Millis)>),
        claims: &SoundClaims,
        root: [u8; 32],
    ) -> Result<String, StudyError> {
        let mut lines = vec![ProofLine::Head(ProofHead {
            schema: PROOFS_SCHEMA.to_owned(),
            chain_id: of.scope.chain_id,
            settlement: Hex(of.scope.contract),
            fingerprint: of.fingerprint.clone(),
            practitioner: self.practitioner.clone(),
            root: Hex(root),
            key: Hex(self.key),
        })];
        lines.extend(zeros.iter().map(|(participant, (patient, zero))| {
            let (participant, patient) = ((*participant).to_owned(), patient.get());
            ProofLine::Participant(Participant { participant, patient, zero: zero.get() })
        }));
        // Only claims that cover a row: the others are nobody's business.
        let used: BTreeSet<_> = rows.iter().map(|row| row.claim).collect();
        let used: Vec<_> = used.into_iter().collect();
        let mut batch = None;
        for claim in used.iter().map(|claim| &claims.claims[*claim]) {
            if batch != Some(claim.batch) {
                let proof = claims.batches[&claim.batch].clone();
                lines.push(ProofLine::Batch { batch: claim.batch, proof });
                batch = Some(claim.batch);
            }
            let proof = Box::new(claim.proof.clone());
            lines.push(ProofLine::Claim { batch: claim.batch, proof });
        }
        lines.extend(covers_of(rows, &used).into_iter().map(ProofLine::Cover));
        let mut text = String::new();
        for line in &lines {
            text += &json(line)?;
            text.push('\n');
        }
        Ok(text)
    }
}

/// Neighbouring rows of one claim and device stand in one line.
fn covers_of(rows: &[Row<'_>], used: &[usize]) -> Vec<Cover> {
    let mut covers: Vec<Cover> = Vec::new();
    for (row, number) in rows.iter().zip(0..) {
        let claim = used.binary_search(&row.claim).unwrap_or_default();
        let device = &row.reading.device;
        match covers.last_mut().filter(|last| last.claim == claim && last.device == *device) {
            Some(last) => last.rows += 1,
            None => {
                let device = device.clone();
                covers.push(Cover { first: number, rows: 1, claim, device });
            }
        }
    }
    covers
}

/// Whether a claim was proven covered, and is an access by this practitioner for this purpose.
/// Broken glass is for an emergency and never for a study.
pub(crate) fn is_of_study(claim: &StudyClaim, practitioner: Word, purpose: Purpose) -> bool {
    claim.proof.covered
        && claim.claim.kind == ClaimKind::Access
        && claim.claim.individual == practitioner
        && claim.claim.purpose == purpose
}

/// Whether a claim is of this device's data, or of any.
pub(crate) fn covers_device(claim: &StudyClaim, device: Word) -> bool {
    claim.claim.source == Party::Any || claim.claim.source == Party::Named(device)
}

/// Whether category and time of a reading are within a claim.
pub(crate) fn covers_reading(claim: &StudyClaim, signal: &Signal, at: Millis) -> bool {
    let measured = claim.claim.measured;
    claim.claim.categories.contains(signal.category.only())
        && measured.from <= at
        && at < measured.until
}

/// Whether a value is a decimal number as a released reading has it.
pub(crate) fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    digits.len() <= 16
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.bytes().filter(|byte| *byte == b'.').count() <= 1
}

pub(crate) fn pseudonym(
    key: &[u8; 32],
    study: &str,
    of: model::ChainScope,
    patient: PatientIndex,
) -> String {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"vitals rollup 2026 study pseudonym v1");
    hasher.update(&(study.len() as u64).to_be_bytes());
    hasher.update(study.as_bytes());
    hasher.update(&of.chain_id.to_be_bytes());
    hasher.update(&of.contract);
    hasher.update(&patient.get().to_be_bytes());
    // 80 bits: of a million participants two alike are one chance in 2^41, and it is checked.
    format!("p-{}", hex::encode(&hasher.finalize().as_bytes()[..10]))
}

/// Over what the times of each participant count from, by pseudonym.
pub(crate) fn clocks<'a>(
    key: &[u8; 32],
    zeros: impl ExactSizeIterator<Item = (&'a str, u64)>,
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"vitals rollup 2026 study clocks v1");
    hasher.update(&(zeros.len() as u64).to_be_bytes());
    for (pseudonym, zero) in zeros {
        hasher.update(&(pseudonym.len() as u64).to_be_bytes());
        hasher.update(pseudonym.as_bytes());
        hasher.update(&zero.to_be_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn json<T: Serialize>(line: &T) -> Result<String, StudyError> {
    let text = serde_json::to_string(line);
    let text = text.map_err(|error| StudyError::Line(error.to_string()))?;
    // By the study's name, which has the length that its plan gives it: nobody would read it.
    check_length(1, &text).map_err(|fault| StudyError::Line(fault.to_string()))?;
    Ok(text)
}

/// Why a text is no row of `vitals access --out`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ReadingError {
    /// Another number of fields.
    #[error("expected device,signal,time,value,unit")]
    Fields,
    /// A signal that is not known, or its unit is another.
    #[error("expected a known signal in its own unit")]
    Signal,
    /// No time in UTC.
    #[error("expected a time in UTC, as 2026-05-01T08:30:00.000Z")]
    Time,
    /// No decimal number.
    #[error("expected a decimal number, or off")]
    Value,
}

impl StudyReading {
    /// Reads a row of the file that `vitals access --out` writes.
    ///
    /// # Errors
    /// [`ReadingError`]; the row is not quoted.
    pub fn from_row(patient: PatientIndex, row: &str) -> Result<StudyReading, ReadingError> {
        let fields: Vec<_> = row.split(',').collect();
        let [device, signal, time, value, unit] = fields[..] else {
            return Err(ReadingError::Fields);
        };
        let signal = signal_by_name(signal).map_err(|_| ReadingError::Signal)?;
        if signal.unit != unit {
            return Err(ReadingError::Signal);
        }
        let at = model::calendar::parse_instant(time).map_err(|_| ReadingError::Time)?;
        let value = match value {
            "off" => "",
            value if is_number(value) => value,
            _ => return Err(ReadingError::Value),
        };
        let (device, value) = (device.to_owned(), value.to_owned());
        Ok(StudyReading { patient, device, signal, at: at.millis(), value })
    }
}
