//! Reads what version 1 kept: one file a stream, `DEVICE.SIGNAL.spool`.
//!
//! Its first record is the state (version, epoch, last sequence with a receipt), the others are
//! frames as sent, with or without the place in a file that ends with them, a higher receipted
//! sequence, such a place alone, or whose readings follow. Reading stops at the first record that
//! is torn: it was never sent, unless a whole one follows it.

use std::path::Path;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use model::limits::FRAME_BYTES_MAX;
use model::{EpochNumber, Millis, PatientIndex, Sequence};
use wire::{Frame, StreamKey};

use super::error::SpoolError;
use super::kept::NO_EPOCH;
use super::record::{Epoch, Head, KeptFrame, OwnedMark, Record};
use crate::InputMark;

const VERSION: u8 = 1;
const STATE: u8 = 1;
const FRAME: u8 = 2;
const RECEIPTED: u8 = 3;
const MARK: u8 = 4;
const MARKED_FRAME: u8 = 5;
const PATIENT: u8 = 6;
const HEAD_BYTES: usize = 5;
const CHECK_BYTES: usize = 8;
/// Longest record: a frame with its place in a file.
const RECORD_BYTES_MAX: usize = HEAD_BYTES + InputMark::BYTES + FRAME_BYTES_MAX + CHECK_BYTES;
/// Largest file that it wrote: what could be held, twice, and the slack.
const BYTES_MAX: u64 = 256 << 20;

/// What a file says.
struct Spool {
    epoch: EpochNumber,
    /// `None` if the file does not say it.
    patient: Option<PatientIndex>,
    receipted: Sequence,
    frames: Vec<Frame>,
    marks: Vec<(Option<PatientIndex>, InputMark)>,
}

/// The epoch of a file, if it has one.
pub(super) fn epoch(path: &Path) -> Result<Option<EpochNumber>, SpoolError> {
    Ok(Some(read(path)?.epoch).filter(|epoch| *epoch != NO_EPOCH))
}

/// The records of the one segment that a file becomes; places that name nobody are those of the
/// stream's patient.
pub(super) fn records(path: &Path, key: &StreamKey) -> Result<Vec<Record>, SpoolError> {
    let Spool { epoch, patient: own, receipted, mut frames, marks } = read(path)?;
    let at = written_at(path)?;
    frames.retain(|frame| frame.sequence() > receipted);
    // The state folder may have been written by a program that died between two frames.
    let last = frames.last().map_or(receipted.0, |frame| frame.sequence().0);
    let head = Head {
        first: receipted.0 + 1,
        epoch: Epoch { number: epoch, base: 0 },
        patient: own.unwrap_or(key.patient),
        receipted: receipted.0,
        // Nobody saw frames that have no epoch; of others any may have been sent.
        offered: if epoch == NO_EPOCH { receipted.0 } else { last },
    };
    let marks = marks.into_iter().map(|(owner, mark)| {
        Record::Mark(OwnedMark { patient: owner.unwrap_or(head.patient), mark })
    });
    let frames = frames.into_iter().map(|frame| {
        let kept = KeptFrame::new(&frame, frame.sequence().0, at);
        Record::Frame(kept.for_signal(key.signal()))
    });
    Ok(std::iter::once(Record::Head(head)).chain(marks).chain(frames).collect())
}

/// When a file was written last: when each of its frames was kept nobody wrote down.
fn written_at(path: &Path) -> Result<Millis, SpoolError> {
    let wrong = |source| SpoolError::File { path: path.to_owned(), source };
    let written = std::fs::metadata(path).and_then(|found| found.modified()).map_err(wrong)?;
    let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Millis::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// All bytes of a file.
pub(super) fn whole(path: &Path) -> Result<Vec<u8>, SpoolError> {
    let wrong = |source| SpoolError::File { path: path.to_owned(), source };
    files::read(path, BYTES_MAX, files::Audience::Owner).map_err(wrong)
}

fn read(path: &Path) -> Result<Spool, SpoolError> {
    let mut rest = Bytes::from(whole(path)?);
    let length = rest.len();
    let spool =
        from_bytes(&mut rest).ok_or_else(|| SpoolError::Format { path: path.to_owned() })?;
    if has_record(&rest) {
        // A crash tears what was written last, and this was not.
        let at = (length - rest.len()) as u64;
        return Err(SpoolError::Damaged { path: path.to_owned(), at });
    }
    Ok(spool)
}

/// What the records say, which are taken off up to a torn one; `None` unless the first is a state.
fn from_bytes(bytes: &mut Bytes) -> Option<Spool> {
    let first = take(bytes).filter(|record| record.kind == STATE)?;
    let state: &[u8; 11] = first.body[..].try_into().ok()?;
    let [VERSION, epoch_high, epoch_low, receipted @ ..] = *state else {
        return None;
    };
    let mut spool = Spool {
        epoch: EpochNumber(u16::from_be_bytes([epoch_high, epoch_low])),
        patient: None,
        receipted: Sequence(u64::from_be_bytes(receipted)),
        frames: Vec::new(),
        marks: Vec::new(),
    };
    while let Some(Record1 { kind, body }) = take(bytes) {
        match kind {
            FRAME => spool.frames.push(Frame::from_bytes(body).ok()?),
            MARK => spool.set_mark(InputMark::from_bytes(&body)?),
            MARKED_FRAME => {
                spool.set_mark(InputMark::from_bytes(body.get(..InputMark::BYTES)?)?);
                let frame = body.slice(InputMark::BYTES..);
                spool.frames.push(Frame::from_bytes(frame).ok()?);
            }
            PATIENT => {
                let index = u32::from_be_bytes(body[..].try_into().ok()?);
                spool.patient = Some(PatientIndex::new(index).ok()?);
            }
            RECEIPTED => {
                spool.receipted = Sequence(u64::from_be_bytes(body[..].try_into().ok()?));
            }
            // Whole by its check, so it is not torn but another version's.
            _ => return None,
        }
    }
    Some(spool)
}

impl Spool {
    fn set_mark(&mut self, mark: InputMark) {
        let patient = self.patient;
        self.marks.retain(|(owner, one)| *owner != patient || one.name != mark.name);
        self.marks.push((patient, mark));
    }
}

struct Record1 {
    kind: u8,
    body: Bytes,
}

/// Whether a whole record begins anywhere in these bytes.
fn has_record(bytes: &Bytes) -> bool {
    let is_kind = |at: &usize| (STATE..=PATIENT).contains(&bytes[*at]);
    (0..bytes.len()).filter(is_kind).any(|at| {
        let end = bytes.len().min(at + RECORD_BYTES_MAX);
        take(&mut bytes.slice(at..end)).is_some()
    })
}

/// Takes the first record off; `None` at the end and where a record is torn.
fn take(bytes: &mut Bytes) -> Option<Record1> {
    let head: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let body_end = HEAD_BYTES.checked_add(length)?;
    let check = bytes.get(body_end..body_end.checked_add(CHECK_BYTES)?)?;
    if check != &blake3::hash(&bytes[..body_end]).as_bytes()[..CHECK_BYTES] {
        return None;
    }
    let record = Record1 { kind: head[0], body: bytes.slice(HEAD_BYTES..body_end) };
    *bytes = bytes.slice(body_end + CHECK_BYTES..);
    Some(record)
}
