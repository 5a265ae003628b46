//! Who sends what: a file of JSON lines that names, for each stream, the gateway's identity folder,
//! the device, the patient and the signal.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use model::{DeviceId, PatientIndex};
use serde::Deserialize;
use thiserror::Error;
use wire::StreamKey;

/// Most streams of one run.
pub const ASSIGNMENTS_MAX: usize = 65_536;

/// One stream to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// Folder with the gateway's certificate, key, authority and deployment.
    pub identity: PathBuf,
    /// What is measured of whom.
    pub key: StreamKey,
}

/// Assignments that cannot be used. Says no patient and no device.
#[derive(Debug, Error)]
pub enum AssignmentError {
    /// The file cannot be read.
    #[error("expected the readable file {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is something else.
    #[error(
        "line {line}: expected {{\"identity\": DIR, \"device\": NAME, \"patient\": N, \"signal\": \
         NAME}}, found something else"
    )]
    Line {
        /// From 1.
        line: usize,
    },
    /// A device or patient that cannot be.
    #[error("line {line}: expected a device name of a-z 0-9 . _ - and a patient below 2^24")]
    Name {
        /// From 1.
        line: usize,
    },
    /// There is no recording to send.
    #[error("line {line}: expected a signal with a shipped recording ({known}), found another")]
    Signal {
        /// From 1.
        line: usize,
        /// The signals that can be sent.
        known: String,
    },
    /// No or too many streams.
    #[error("expected 1 to {ASSIGNMENTS_MAX} assignments, found {found}")]
    Count {
        /// How many.
        found: usize,
    },
    /// One stream twice: both would send the same sequences.
    #[error("line {line}: expected each device and signal once, found one again")]
    Twice {
        /// From 1.
        line: usize,
    },
    /// An identity was asked for that sends nothing.
    #[error("expected assignments for {identity}, found none")]
    Idle {
        /// Which.
        identity: PathBuf,
    },
}

#[derive(Deserialize)]
struct Line {
    identity: PathBuf,
    device: String,
    patient: u32,
    signal: String,
}

/// Reads the file and keeps what the given identities send; all of it if none is given. Folders
/// are relative to the file's own folder, else to the current one.
///
/// # Errors
/// [`AssignmentError`] that says which line.
pub fn read(path: &Path, identities: &[PathBuf]) -> Result<Vec<Assignment>, AssignmentError> {
    let file = |source| AssignmentError::File { path: path.to_owned(), source };
    let all = parse(&std::fs::read_to_string(path).map_err(file)?)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let mut all: Vec<_> = all.into_iter().map(|one| find_folder(one, beside)).collect();
    if identities.is_empty() {
        return Ok(all);
    }
    // Compared by their one spelling: `gw` and `./gw/` are the same folder.
    let wanted: Vec<_> = identities.iter().map(|folder| canonicalise(folder)).collect();
    all.retain(|one| wanted.contains(&one.identity));
    for (folder, identity) in identities.iter().zip(&wanted) {
        if !all.iter().any(|one| one.identity == *identity) {
            return Err(AssignmentError::Idle { identity: folder.clone() });
        }
    }
    Ok(all)
}

/// The assignments of a file's content, folders as they stand there. Empty lines are skipped,
/// fields besides the four are ignored.
///
/// # Errors
/// [`AssignmentError`] that says which line.
pub fn parse(text: &str) -> Result<Vec<Assignment>, AssignmentError> {
    let mut found = Vec::new();
    let mut streams = BTreeMap::new();
    for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let line = index + 1;
        let one = parse_line(text, line)?;
        // Whoever the patient is: device and signal name a stream, and its sequences.
        if streams.insert((one.key.device.clone(), one.key.signal), line).is_some() {
            return Err(AssignmentError::Twice { line });
        }
        found.push(one);
    }
    match found.len() {
        1..=ASSIGNMENTS_MAX => Ok(found),
        found => Err(AssignmentError::Count { found }),
    }
}

fn parse_line(text: &str, line: usize) -> Result<Assignment, AssignmentError> {
    // The cause is dropped on purpose: it may quote a patient.
    let read: Line = serde_json::from_str(text).map_err(|_| AssignmentError::Line { line })?;
    let wrong = |_| AssignmentError::Name { line };
    let device = DeviceId::new(&read.device).map_err(wrong)?;
    let patient = PatientIndex::new(read.patient).map_err(wrong)?;
    let Some(recording) = world::recording(&read.signal) else {
        let known: BTreeSet<_> = world::recordings().iter().map(|one| one.signal.name).collect();
        let known: Vec<_> = known.into_iter().collect();
        return Err(AssignmentError::Signal { line, known: known.join(", ") });
    };
    let key = StreamKey { device, patient, signal: recording.signal.code };
    Ok(Assignment { identity: read.identity, key })
}

fn find_folder(one: Assignment, beside: &Path) -> Assignment {
    let joined = beside.join(&one.identity);
    let identity = if joined.exists() { joined } else { one.identity };
    Assignment { identity: canonicalise(&identity), key: one.key }
}

/// One spelling for each folder; one that does not exist keeps its own and fails when it is read.
fn canonicalise(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"identity":"gw","device":"monitor-1","patient":7,"signal":"ecg"}"#;

    fn changed(from: &str, to: &str) -> AssignmentError {
        parse(&format!("\n{}", ONE.replace(from, to))).expect_err("a wrong line")
    }

    #[test]
    fn a_line_names_identity_device_patient_and_signal() {
        let found = parse(ONE).unwrap();
        let device = DeviceId::new("monitor-1").unwrap();
        let key = StreamKey { device, patient: PatientIndex::new(7).unwrap(), signal: 131_328 };
        assert_eq!(found, [Assignment { identity: "gw".into(), key }]);
    }

    #[test]
    fn wrong_lines_are_named_without_what_they_hold() {
        assert!(matches!(changed("{", ""), AssignmentError::Line { line: 2 }));
        assert!(matches!(changed("7", "16777216"), AssignmentError::Name { line: 2 }));
        assert!(matches!(changed("monitor-1", "Bed 1"), AssignmentError::Name { line: 2 }));
        let signal = changed("ecg", "weight");
        assert!(signal.to_string().contains("(ecg, ppg)"), "{signal}");
        let quoted = changed("7", "\"patient-secret\"");
        assert!(!quoted.to_string().contains("secret"), "{quoted}");
        let twice = parse(&format!("{ONE}\n{ONE}")).unwrap_err();
        assert!(matches!(twice, AssignmentError::Twice { line: 2 }));
        assert!(matches!(parse(" \n"), Err(AssignmentError::Count { found: 0 })));
    }

    #[test]
    fn folders_are_found_beside_the_file_and_filtered() {
        let folder = tempfile::tempdir().unwrap();
        let (gw, other) = (folder.path().join("gw"), folder.path().join("other"));
        std::fs::create_dir(&gw).unwrap();
        std::fs::create_dir(&other).unwrap();
        let file = folder.path().join("assignments.json");
        let second = ONE.replace("gw", "other").replace("monitor-1", "monitor-2");
        std::fs::write(&file, format!("{ONE}\n{second}\n")).unwrap();
        assert_eq!(read(&file, &[]).unwrap().len(), 2);
        let one = read(&file, std::slice::from_ref(&gw)).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].identity, gw.canonicalize().unwrap());
        let idle = read(&file, &[folder.path().to_owned()]).unwrap_err();
        assert!(matches!(idle, AssignmentError::Idle { .. }));
        let missing = read(&folder.path().join("none"), &[]).unwrap_err();
        assert!(matches!(missing, AssignmentError::File { .. }));
    }
}
