//! Frames without a receipt, kept over a restart: one file for each stream of a state folder.
//!
//! A frame is written and synced here before the first byte of it is sent, so a sequence is never
//! used twice for different bytes. The file is a list of records: `kind u8 | length u32 | body |
//! first 8 bytes of blake3 of all before`, big-endian. The first record is the state (version,
//! epoch, last sequence with a receipt), the others are whose readings follow, frames as sent, with
//! or without the place in a file that ends with them, a higher receipted sequence, or such a place
//! alone. Places are each patient's own, and stay when the device goes on to another. Reading stops
//! at the first record that is torn: it was never sent. The file holds readings in the clear and is
//! readable for its owner alone. Frames of epoch 0 were made before the node said which epochs it
//! has: they get theirs when the stream is opened, and nobody saw them before.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use files::{Audience, LockedFile};
use model::{EpochNumber, PatientIndex, Sequence};
use thiserror::Error;
use wire::{Frame, FramePlace, StreamKey};

use crate::InputMark;

/// The epoch of frames that have none yet.
pub(crate) const NO_EPOCH: EpochNumber = EpochNumber(0);

const VERSION: u8 = 1;
const STATE: u8 = 1;
const FRAME: u8 = 2;
const RECEIPTED: u8 = 3;
const MARK: u8 = 4;
const MARKED_FRAME: u8 = 5;
const PATIENT: u8 = 6;
const HEAD_BYTES: usize = 5;
const CHECK_BYTES: usize = 8;
/// Files of readings whose places are kept; of more, those that were not sent for longest are
/// forgotten.
const MARKS_MAX: usize = 1024;
/// A file is written anew when it is larger than this and nothing in it lacks a receipt, or when
/// it is as much larger than what lacks one.
const SLACK_BYTES: u64 = 1 << 20;

/// What was kept cannot be read or written.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The file system refuses.
    #[error("the spool file {path} is not accessible")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file begins with something else.
    #[error("expected a spool file of version 1 at {path}")]
    Format {
        /// Which file.
        path: PathBuf,
    },
    /// Another program sends the same stream.
    #[error(
        "expected to be the only program that sends this stream from its folder, found that \
         another holds {path}: let that one end, or give this one a state folder of its own"
    )]
    Held {
        /// The file that it holds.
        path: PathBuf,
    },
    /// Frames of another patient lack receipts.
    #[error(
        "expected readings of the patient whose readings of this device have no receipt yet in \
         {path}, found another patient: send those first, with their patient, or give this one a \
         state folder of its own"
    )]
    Patient {
        /// Which file.
        path: PathBuf,
    },
    /// Frames of another epoch lack receipts.
    #[error("expected to go on in epoch {expected}, found {found} asked for")]
    Epoch {
        /// Epoch of the frames kept.
        expected: u16,
        /// Epoch asked for.
        found: u16,
    },
}

/// The kept state of one stream.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    file: File,
    kept: Kept,
    /// Length of the file.
    bytes: u64,
    /// Two programs would give one sequence to two frames.
    _lock: LockedFile,
}

/// What a file says.
#[derive(Debug)]
struct Kept {
    epoch: EpochNumber,
    /// A frame does not name its patient: sent for another, it would be in that one's record.
    patient: Option<PatientIndex>,
    last_receipted: Sequence,
    /// Those above it, in order.
    frames: Vec<Frame>,
    /// Places in files, of every patient of the device, the last sent from last.
    marks: Vec<OwnedMark>,
}

/// Whose readings of a file stand in frames, and up to where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct OwnedMark {
    /// `None` only while a file is read that does not say it.
    patient: Option<PatientIndex>,
    mark: InputMark,
}

impl Spool {
    /// Where a stream is kept: device and signal name it.
    pub(crate) fn path(folder: &Path, key: &StreamKey) -> PathBuf {
        folder.join(format!("{}.{}.spool", key.device.as_str(), key.signal))
    }

    /// The epoch that is kept, if there is a file and it has one.
    pub(crate) fn kept_epoch(
        folder: &Path,
        key: &StreamKey,
    ) -> Result<Option<EpochNumber>, SpoolError> {
        let path = Spool::path(folder, key);
        if !path.exists() {
            return Ok(None);
        }
        read(&path).map(|kept| Some(kept.epoch).filter(|epoch| *epoch != NO_EPOCH))
    }

    /// Opens what is kept, or begins anew in `epoch`.
    ///
    /// # Errors
    /// As [`Spool::open_kept`], and [`SpoolError::Epoch`] if frames of another epoch lack receipts.
    pub(crate) fn open(
        folder: &Path,
        key: &StreamKey,
        epoch: EpochNumber,
    ) -> Result<Spool, SpoolError> {
        let mut spool = Spool::open_kept(folder, key)?;
        spool.begin(key, epoch)?;
        Ok(spool)
    }

    /// Opens what is kept, in its epoch, or begins anew in none.
    ///
    /// # Errors
    /// [`SpoolError::Held`] while another program has it open, and [`SpoolError::Patient`] if
    /// frames of another patient lack receipts.
    pub(crate) fn open_kept(folder: &Path, key: &StreamKey) -> Result<Spool, SpoolError> {
        let path = Spool::path(folder, key);
        let wrong = |source| SpoolError::File { path: path.clone(), source };
        files::make_folder(folder, Audience::Owner).map_err(wrong)?;
        files::check_folder(folder).map_err(wrong)?;
        // A file of its own: the spool itself is replaced now and then, and a lock with it.
        let lock = path.with_extension("lock");
        let locked = files::open_locked(&lock, Audience::Owner).map_err(wrong)?;
        let locked = locked.ok_or(SpoolError::Held { path: lock })?;
        let mut kept = if path.exists() { read(&path)? } else { Kept::new(NO_EPOCH) };
        if kept.patient.is_some_and(|patient| patient != key.patient) {
            if !kept.frames.is_empty() {
                return Err(SpoolError::Patient { path });
            }
            // The device went on to somebody else. It may come back, and the files that were sent
            // for the one before are not to be sent twice.
            kept = Kept { marks: std::mem::take(&mut kept.marks), ..Kept::new(NO_EPOCH) };
        }
        kept.patient = Some(key.patient);
        for mark in &mut kept.marks {
            mark.patient.get_or_insert(key.patient);
        }
        // Written anew before anything is appended: behind a torn record nothing would be read.
        let bytes = kept.rewrite(&path).map_err(wrong)?;
        let file = files::append(&path).map_err(wrong)?;
        Ok(Spool { path, file, kept, bytes, _lock: locked })
    }

    /// Goes on in an epoch; frames that have none yet get it.
    ///
    /// # Errors
    /// [`SpoolError::Epoch`] if frames of another epoch lack receipts.
    pub(crate) fn begin(&mut self, key: &StreamKey, epoch: EpochNumber) -> Result<(), SpoolError> {
        let kept = &mut self.kept;
        if kept.epoch == epoch {
            return Ok(());
        }
        if kept.epoch != NO_EPOCH && !kept.frames.is_empty() {
            // A new epoch counts from 1 again: frames of the old one would lose their place in it.
            let (expected, found) = (kept.epoch.0, epoch.0);
            return Err(SpoolError::Epoch { expected, found });
        }
        let frames = kept.frames.iter().map(|frame| in_epoch(frame, key, epoch));
        let frames: Option<Vec<_>> = frames.collect();
        let frames = frames.ok_or_else(|| SpoolError::Format { path: self.path.clone() })?;
        let marks = std::mem::take(&mut kept.marks);
        *kept = Kept { frames, marks, patient: kept.patient, ..Kept::new(epoch) };
        // In one step: after a crash all of them have the epoch, or none has and none was sent.
        self.shrink().map_err(|source| self.wrong(source))
    }

    /// The epoch of what is kept; [`NO_EPOCH`] while it has none.
    pub(crate) fn epoch(&self) -> EpochNumber {
        self.kept.epoch
    }

    /// Places in files that were sent for its patient, the last sent from last.
    pub(crate) fn marks(&self) -> Vec<InputMark> {
        let own = self.kept.marks.iter().filter(|one| one.patient == self.kept.patient);
        own.map(|one| one.mark).collect()
    }

    /// Last sequence with a receipt.
    pub(crate) fn last_receipted(&self) -> Sequence {
        self.kept.last_receipted
    }

    /// Frames without a receipt.
    pub(crate) fn frames(&self) -> &[Frame] {
        &self.kept.frames
    }

    /// Writes and syncs a frame, with the place in a file that ends with it: only then may it be
    /// sent.
    pub(crate) fn store(
        &mut self,
        frame: &Frame,
        mark: Option<InputMark>,
    ) -> Result<(), SpoolError> {
        let record = match mark {
            None => encode_record(FRAME, frame.as_bytes()),
            Some(mark) => {
                self.kept.set_mark(mark);
                let body = [&mark.to_bytes()[..], frame.as_bytes()].concat();
                encode_record(MARKED_FRAME, &body)
            }
        };
        self.kept.frames.push(frame.clone());
        self.bytes += record.len() as u64;
        // One write, so that a crash tears at most this record.
        let written = self.file.write_all(&record).and_then(|()| self.file.sync_data());
        written.map_err(|source| self.wrong(source))
    }

    /// Forgets frames up to `last`. Not synced: forgetting late costs one frame sent again.
    pub(crate) fn forget_up_to(&mut self, last: Sequence) -> Result<(), SpoolError> {
        self.kept.last_receipted = last;
        self.kept.frames.retain(|frame| frame.sequence() > last);
        let record = encode_record(RECEIPTED, &last.0.to_be_bytes());
        self.bytes += record.len() as u64;
        let frames: usize = self.kept.frames.iter().map(|frame| frame.as_bytes().len()).sum();
        let needed = frames + self.kept.marks.len() * InputMark::BYTES;
        // Twice what is needed, so that rewriting costs at most as much as appending did.
        let outcome = if self.bytes > SLACK_BYTES + 2 * needed as u64 {
            self.shrink()
        } else {
            self.file.write_all(&record)
        };
        outcome.map_err(|source| self.wrong(source))
    }

    fn shrink(&mut self) -> io::Result<()> {
        self.bytes = self.kept.rewrite(&self.path)?;
        // The old handle still points to the file that was replaced.
        self.file = files::append(&self.path)?;
        Ok(())
    }

    fn wrong(&self, source: io::Error) -> SpoolError {
        SpoolError::File { path: self.path.clone(), source }
    }
}

/// The same readings under the same sequence in an epoch; `None` if they are not of this signal.
fn in_epoch(frame: &Frame, key: &StreamKey, epoch: EpochNumber) -> Option<Frame> {
    let (signal, header) = (key.signal()?, frame.header());
    let place = FramePlace { handle: header.handle, epoch, sequence: header.sequence };
    Frame::encode_raw(place, signal, &frame.readings(signal).ok()?).ok()
}

/// Largest file read: what may be held, twice, and the slack.
const FILE_BYTES_MAX: u64 = 256 << 20;

fn read(path: &Path) -> Result<Kept, SpoolError> {
    let file = |source| SpoolError::File { path: path.to_owned(), source };
    let bytes = files::read(path, FILE_BYTES_MAX, files::Audience::Owner).map_err(file)?;
    Kept::from_bytes(bytes.into()).ok_or_else(|| SpoolError::Format { path: path.to_owned() })
}

impl Kept {
    /// Nothing of an epoch.
    fn new(epoch: EpochNumber) -> Kept {
        let (frames, marks) = (Vec::new(), Vec::new());
        Kept { epoch, patient: None, last_receipted: Sequence(0), frames, marks }
    }

    fn set_mark(&mut self, mark: InputMark) {
        let patient = self.patient;
        self.marks.retain(|one| one.patient != patient || one.mark.name != mark.name);
        if self.marks.len() >= MARKS_MAX {
            self.marks.remove(0);
        }
        self.marks.push(OwnedMark { patient, mark });
    }

    /// What the records say; `None` unless the first is a state.
    fn from_bytes(mut bytes: Bytes) -> Option<Kept> {
        let first = take_record(&mut bytes).filter(|record| record.kind == STATE)?;
        let state: &[u8; 11] = first.body[..].try_into().ok()?;
        let [VERSION, epoch_high, epoch_low, last_receipted @ ..] = *state else {
            return None;
        };
        let mut kept = Kept::new(EpochNumber(u16::from_be_bytes([epoch_high, epoch_low])));
        kept.last_receipted = Sequence(u64::from_be_bytes(last_receipted));
        while let Some(Record { kind, body }) = take_record(&mut bytes) {
            match kind {
                FRAME => kept.frames.push(Frame::from_bytes(body).ok()?),
                MARK => kept.set_mark(InputMark::from_bytes(&body)?),
                MARKED_FRAME => {
                    let mark = body.get(..InputMark::BYTES)?;
                    kept.set_mark(InputMark::from_bytes(mark)?);
                    let frame = body.slice(InputMark::BYTES..);
                    kept.frames.push(Frame::from_bytes(frame).ok()?);
                }
                PATIENT => {
                    let index = u32::from_be_bytes(body[..].try_into().ok()?);
                    kept.patient = Some(PatientIndex::new(index).ok()?);
                }
                RECEIPTED => {
                    let last = u64::from_be_bytes(body[..].try_into().ok()?);
                    kept.last_receipted = Sequence(last);
                }
                // Whole by its check, so it is not torn but another version's.
                _ => return None,
            }
        }
        let last = kept.last_receipted;
        kept.frames.retain(|frame| frame.sequence() > last);
        Some(kept)
    }

    /// Replaces the file; says its length.
    fn rewrite(&self, path: &Path) -> io::Result<u64> {
        let mut state = vec![VERSION];
        state.extend(self.epoch.0.to_be_bytes());
        state.extend(self.last_receipted.0.to_be_bytes());
        let mut bytes = encode_record(STATE, &state);
        let mut said = None;
        let mut say = |patient: Option<PatientIndex>, bytes: &mut Vec<u8>| {
            if let Some(patient) = patient.filter(|one| said.replace(*one) != Some(*one)) {
                bytes.extend(encode_record(PATIENT, &patient.get().to_be_bytes()));
            }
        };
        for OwnedMark { patient, mark } in &self.marks {
            say(*patient, &mut bytes);
            bytes.extend(encode_record(MARK, &mark.to_bytes()));
        }
        // The last one said is whose the frames are.
        say(self.patient, &mut bytes);
        let frames = self.frames.iter();
        frames.for_each(|frame| bytes.extend(encode_record(FRAME, frame.as_bytes())));
        files::replace(path, &[&bytes], Audience::Owner)?;
        Ok(bytes.len() as u64)
    }
}

struct Record {
    kind: u8,
    body: Bytes,
}

/// Takes the first record off; `None` at the end and where a record is torn.
fn take_record(bytes: &mut Bytes) -> Option<Record> {
    let head: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let body_end = HEAD_BYTES.checked_add(length)?;
    let check = bytes.get(body_end..body_end.checked_add(CHECK_BYTES)?)?;
    if check != &blake3::hash(&bytes[..body_end]).as_bytes()[..CHECK_BYTES] {
        return None;
    }
    let record = Record { kind: head[0], body: bytes.slice(HEAD_BYTES..body_end) };
    *bytes = bytes.slice(body_end + CHECK_BYTES..);
    Some(record)
}

fn encode_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend((body.len() as u32).to_be_bytes());
    record.extend(body);
    let check = blake3::hash(&record);
    record.extend(&check.as_bytes()[..CHECK_BYTES]);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DeviceId, Millis, PatientIndex, StreamHandle};
    use wire::{DeviceTime, FramePlace, Reading};

    fn key() -> StreamKey {
        let (device, patient) = (DeviceId::new("m.1").unwrap(), PatientIndex::new(1).unwrap());
        StreamKey { device, patient, signal: 147842 }
    }

    fn frame(sequence: u64) -> Frame {
        let (handle, epoch) = (StreamHandle(1), EpochNumber(3));
        let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
        let at = DeviceTime::from_millis(Millis::new(4_000_000_000_000).unwrap());
        Frame::encode_raw(place, key().signal().unwrap(), &[Reading::new(at, 60)]).unwrap()
    }

    fn state(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("state")
    }

    fn with_two_of_three_open() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap();
        (1..=3).for_each(|sequence| spool.store(&frame(sequence), None).unwrap());
        spool.forget_up_to(Sequence(1)).unwrap();
        let path = Spool::path(&state(&folder), &key());
        (folder, path)
    }

    #[test]
    fn frames_without_a_receipt_come_back_after_a_restart() {
        let (folder, _) = with_two_of_three_open();
        let spool = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap();
        assert_eq!(spool.last_receipted(), Sequence(1));
        assert_eq!(spool.frames(), [frame(2), frame(3)]);
        let kept = Spool::kept_epoch(&state(&folder), &key()).unwrap();
        assert_eq!(kept, Some(EpochNumber(3)));
    }

    #[test]
    fn a_torn_tail_loses_only_what_was_never_sent() {
        let (folder, path) = with_two_of_three_open();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            match Spool::open(&state(&folder), &key(), EpochNumber(3)) {
                Err(SpoolError::Format { .. }) => assert!(cut < 24, "{cut} bytes"),
                spool => {
                    let found: Vec<_> =
                        spool.unwrap().frames().iter().map(|frame| frame.sequence().0).collect();
                    assert!([&[][..], &[1], &[1, 2], &[1, 2, 3], &[2, 3]].contains(&&found[..]));
                }
            }
        }
    }

    fn mark(name: u8, lines: u64) -> InputMark {
        InputMark { name: [name; 16], lines, taken: 1, digest: [lines as u8; 32] }
    }

    #[test]
    fn the_place_in_a_file_stands_if_and_only_if_its_frame_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap();
        spool.store(&frame(1), Some(mark(1, 10))).unwrap();
        let path = Spool::path(&state(&folder), &key());
        let before = std::fs::read(&path).unwrap().len();
        spool.store(&frame(2), Some(mark(1, 20))).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in before..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let kept = read(&path).unwrap();
            let (frames, expected) = if cut < whole.len() { (1, 10) } else { (2, 20) };
            let marks: Vec<_> = kept.marks.iter().map(|one| one.mark).collect();
            assert_eq!((kept.frames.len(), marks), (frames, vec![mark(1, expected)]));
        }
        // It outlives its frames, other files and a new epoch.
        drop(spool);
        let mut spool = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap();
        spool.store(&frame(3), Some(mark(2, 5))).unwrap();
        spool.forget_up_to(Sequence(3)).unwrap();
        drop(spool);
        let spool = Spool::open(&state(&folder), &key(), EpochNumber(4)).unwrap();
        assert_eq!(spool.marks(), [mark(1, 20), mark(2, 5)]);
    }

    #[test]
    fn frames_of_no_epoch_get_one_and_then_keep_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open_kept(&state(&folder), &key()).unwrap();
        assert_eq!(spool.epoch(), NO_EPOCH);
        let place = |epoch| FramePlace {
            handle: StreamHandle(0),
            epoch: EpochNumber(epoch),
            sequence: Sequence(1),
        };
        let at = DeviceTime::from_millis(Millis::new(4_000_000_000_000).unwrap());
        let made = |epoch| {
            let reading = Reading::new(at, 60);
            Frame::encode_raw(place(epoch), key().signal().unwrap(), &[reading]).unwrap()
        };
        spool.store(&made(0), Some(mark(1, 10))).unwrap();
        drop(spool);
        assert_eq!(Spool::kept_epoch(&state(&folder), &key()).unwrap(), None);
        let spool = Spool::open(&state(&folder), &key(), EpochNumber(4)).unwrap();
        assert_eq!((spool.frames(), spool.marks()), (&[made(4)][..], vec![mark(1, 10)]));
        drop(spool);
        let kept = Spool::kept_epoch(&state(&folder), &key()).unwrap();
        assert_eq!(kept, Some(EpochNumber(4)));
        let refused = Spool::open(&state(&folder), &key(), EpochNumber(5)).unwrap_err();
        assert!(matches!(refused, SpoolError::Epoch { expected: 4, found: 5 }));
    }

    #[test]
    fn frames_of_one_patient_are_never_sent_for_another() {
        let (folder, _) = with_two_of_three_open();
        let next = StreamKey { patient: PatientIndex::new(2).unwrap(), ..key() };
        let refused = Spool::open_kept(&state(&folder), &next).unwrap_err();
        assert!(matches!(refused, SpoolError::Patient { .. }), "{refused}");
        let mut spool = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap();
        spool.store(&frame(4), Some(mark(1, 10))).unwrap();
        spool.forget_up_to(Sequence(4)).unwrap();
        drop(spool);
        // Nothing lacks a receipt: the device goes on to the next, in an epoch of its own.
        let spool = Spool::open_kept(&state(&folder), &next).unwrap();
        assert_eq!((spool.epoch(), spool.marks().len()), (NO_EPOCH, 0));
    }

    #[test]
    fn places_in_files_are_each_patients_own_and_stay_when_the_device_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let next = StreamKey { patient: PatientIndex::new(2).unwrap(), ..key() };
        let send = |key: &StreamKey, epoch, mark: InputMark| {
            let mut spool = Spool::open(&state(&folder), key, EpochNumber(epoch)).unwrap();
            let before = spool.marks();
            spool.store(&frame(1), Some(mark)).unwrap();
            spool.forget_up_to(Sequence(1)).unwrap();
            before
        };
        let marks = |key| Spool::open_kept(&state(&folder), key).unwrap().marks();
        assert_eq!(send(&key(), 3, mark(1, 10)), []);
        // The same file is another's reading too.
        assert_eq!(send(&next, 4, mark(1, 5)), []);
        assert_eq!(send(&key(), 5, mark(2, 7)), [mark(1, 10)]);
        assert_eq!(marks(&next), [mark(1, 5)]);
        assert_eq!(marks(&key()), [mark(1, 10), mark(2, 7)]);
    }

    #[test]
    fn places_of_a_file_that_names_its_patient_once_or_never_count_for_the_one_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open_kept(&state(&folder), &key()).unwrap();
        // As it was written while a spool forgot the places of the patient before.
        let body = [&[VERSION][..], &[0; 10]].concat();
        let place = encode_record(MARK, &mark(1, 10).to_bytes());
        let once = encode_record(PATIENT, &key().patient.get().to_be_bytes());
        for patient in [once, Vec::new()] {
            let path = spool.path.clone();
            drop(spool);
            let text = [encode_record(STATE, &body), patient, place.clone()].concat();
            std::fs::write(&path, text).unwrap();
            spool = Spool::open_kept(&state(&folder), &key()).unwrap();
            assert_eq!(spool.marks(), [mark(1, 10)]);
        }
    }

    #[test]
    fn one_program_at_a_time_sends_a_stream() {
        let folder = tempfile::tempdir().unwrap();
        let first = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap();
        let refused = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap_err();
        assert!(refused.to_string().contains("m.1.147842.lock"), "{refused}");
        drop(first);
        Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap();
    }

    #[test]
    fn another_epoch_begins_only_when_nothing_lacks_a_receipt() {
        let (folder, _) = with_two_of_three_open();
        let refused = Spool::open(&state(&folder), &key(), EpochNumber(4)).unwrap_err();
        assert!(matches!(refused, SpoolError::Epoch { expected: 3, found: 4 }));
        let mut spool = Spool::open(&state(&folder), &key(), EpochNumber(3)).unwrap();
        spool.forget_up_to(Sequence(3)).unwrap();
        drop(spool);
        let fresh = Spool::open(&state(&folder), &key(), EpochNumber(4)).unwrap();
        assert_eq!((fresh.last_receipted(), fresh.frames().len()), (Sequence(0), 0));
    }
}
