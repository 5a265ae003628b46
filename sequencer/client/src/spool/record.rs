//! The records of a segment: `kind u8 | length u32 | body | first 8 bytes of blake3 of all before`,
//! big-endian.

use bytes::Bytes;
use model::{EpochNumber, Millis, PatientIndex, Sequence, Signal, StreamHandle};
use wire::{DeviceTime, Frame, FramePlace, Quality};

use super::gap::{Frames, Gap, GapCause};
use crate::InputMark;

/// Version of the segments.
pub(super) const VERSION: u8 = 2;

const HEAD: u8 = 1;
const FRAME: u8 = 2;
const RECEIPTED: u8 = 3;
const MARK: u8 = 4;
const OFFERED: u8 = 5;
const DROPPED: u8 = 6;
const HOLE: u8 = 7;
const GAP: u8 = 8;
const SYNCED: u8 = 9;
const EPOCH: u8 = 10;
const TOLD: u8 = 11;
const REWOUND: u8 = 12;

/// Bits of a frame's record.
const WAITS: u8 = 1;
const MARKED: u8 = 2;
const ALARM: u8 = 4;

const PREFIX_BYTES: usize = 5;
const CHECK_BYTES: usize = 8;

/// What stands in a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Record {
    /// What was known when the segment began, with the marks, holes and gaps behind it.
    Head(Head),
    /// A frame.
    Frame(KeptFrame),
    /// Everything up to this number has a receipt.
    Receipted(u64),
    /// How far a file was sent.
    Mark(OwnedMark),
    /// Everything up to this number may have been sent from here on.
    Offered(u64),
    /// Frames that are given up, and what stood in them.
    Dropped(Gap),
    /// Frames that were given up before the segment began.
    Hole(Frames),
    /// What was given up before the segment began and is not told yet.
    Gap(Gap),
    /// So many bytes of the segment were synced.
    Synced(u64),
    /// The epoch from here on; the frames behind the number count from 1 in it.
    Epoch(Epoch),
    /// Gaps up to this number were told.
    Told(u64),
    /// What is behind this number goes again, although it has receipts.
    Rewound(u64),
}

/// The first record of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Number of its first frame.
    pub(super) first: u64,
    pub(super) epoch: Epoch,
    /// A frame does not name its patient: sent for another, it would be in that one's record.
    pub(super) patient: PatientIndex,
    pub(super) receipted: u64,
    pub(super) offered: u64,
}

/// An epoch, and which frame is the first in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Epoch {
    pub(super) number: EpochNumber,
    /// The number before its first frame.
    pub(super) base: u64,
}

/// A frame as it is kept: its sequence is its number here, and it has neither epoch nor handle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KeptFrame {
    /// Whether it may be sent only once an [`Record::Offered`] covers it.
    pub(super) waits: bool,
    /// Whether a reading in it was under an alarm.
    pub(super) alarm: bool,
    /// When it was kept.
    pub(super) at: Millis,
    /// The place in a file that ends with it.
    pub(super) mark: Option<InputMark>,
    pub(super) frame: Frame,
}

impl KeptFrame {
    /// A frame under its number in the spool, that waits.
    pub(super) fn new(frame: &Frame, number: u64, at: Millis) -> KeptFrame {
        // It gets handle and epoch when it is sent.
        let place = FramePlace {
            handle: StreamHandle(0),
            epoch: EpochNumber(0),
            sequence: Sequence(number),
        };
        KeptFrame { waits: true, alarm: false, at, mark: None, frame: frame.at_place(place) }
    }

    /// With what its readings say of an alarm.
    pub(super) fn for_signal(self, signal: Option<&Signal>) -> KeptFrame {
        let readings = signal.and_then(|signal| self.frame.readings(signal).ok());
        let mut readings = readings.into_iter().flatten();
        let alarm = readings.any(|reading| reading.quality.contains(Quality::ALARM));
        KeptFrame { alarm, ..self }
    }

    /// Its number in the spool.
    pub(super) fn number(&self) -> u64 {
        self.frame.sequence().0
    }
}

/// Whose readings of a file stand in frames, and up to where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OwnedMark {
    pub(super) patient: PatientIndex,
    pub(super) mark: InputMark,
}

impl Record {
    /// The whole record.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, body) = self.parts();
        checked(kind, &body)
    }

    fn parts(&self) -> (u8, Vec<u8>) {
        let number = |number: &u64| number.to_be_bytes().to_vec();
        match self {
            Record::Head(head) => (HEAD, head.body()),
            Record::Frame(kept) => (FRAME, kept.body()),
            Record::Receipted(up_to) => (RECEIPTED, number(up_to)),
            Record::Mark(OwnedMark { patient, mark }) => {
                let patient = patient.get().to_be_bytes();
                (MARK, [&patient[..], &mark.to_bytes()].concat())
            }
            Record::Offered(up_to) => (OFFERED, number(up_to)),
            Record::Dropped(gap) => (DROPPED, gap_body(gap)),
            Record::Hole(frames) => (HOLE, frames_body(*frames).to_vec()),
            Record::Gap(gap) => (GAP, gap_body(gap)),
            Record::Synced(bytes) => (SYNCED, number(bytes)),
            Record::Epoch(epoch) => (EPOCH, epoch.body()),
            Record::Told(up_to) => (TOLD, number(up_to)),
            Record::Rewound(to) => (REWOUND, number(to)),
        }
    }

    fn of_parts(kind: u8, body: Bytes) -> Option<Record> {
        if kind == FRAME {
            return KeptFrame::from_body(body).map(Record::Frame);
        }
        let mut fields = Fields(&body);
        let record = match kind {
            HEAD => Record::Head(Head::from_fields(&mut fields)?),
            RECEIPTED => Record::Receipted(fields.number()?),
            MARK => {
                let patient = PatientIndex::new(u32::from_be_bytes(fields.take()?)).ok()?;
                let mark = InputMark::from_bytes(&fields.take::<{ InputMark::BYTES }>()?)?;
                Record::Mark(OwnedMark { patient, mark })
            }
            OFFERED => Record::Offered(fields.number()?),
            DROPPED => Record::Dropped(gap_from(&mut fields)?),
            HOLE => Record::Hole(frames_from(&mut fields)?),
            GAP => Record::Gap(gap_from(&mut fields)?),
            SYNCED => Record::Synced(fields.number()?),
            EPOCH => Record::Epoch(Epoch::from_fields(&mut fields)?),
            TOLD => Record::Told(fields.number()?),
            REWOUND => Record::Rewound(fields.number()?),
            _ => return None,
        };
        fields.0.is_empty().then_some(record)
    }
}

/// A record with its check.
pub(super) fn checked(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend((body.len() as u32).to_be_bytes());
    record.extend(body);
    let check = blake3::hash(&record);
    record.extend(&check.as_bytes()[..CHECK_BYTES]);
    record
}

/// The first record of some bytes.
pub(super) enum Taken {
    /// A record.
    Whole(Record),
    /// Its check holds, and it says nothing that this version knows.
    Unknown,
    /// It ends too early, or its check does not hold.
    Torn,
}

/// Takes the first record off, unless it is torn.
pub(super) fn take(bytes: &mut Bytes) -> Taken {
    let Some(checked) = checked_bytes(bytes) else { return Taken::Torn };
    let (kind, body) = (bytes[0], bytes.slice(PREFIX_BYTES..checked));
    *bytes = bytes.slice(checked + CHECK_BYTES..);
    Record::of_parts(kind, body).map_or(Taken::Unknown, Taken::Whole)
}

/// How many bytes a record among these says were synced, wherever it begins. Behind a torn record
/// it tells damage from a write that never came to its end.
pub(super) fn synced(bytes: &Bytes) -> Option<u64> {
    let whole = PREFIX_BYTES + size_of::<u64>() + CHECK_BYTES;
    // Whatever does not look like one is passed over without a hash.
    let looks = |part: &&[u8]| part[0] == SYNCED && part[1..5] == [0, 0, 0, 8];
    let found = bytes.windows(whole).filter(looks).filter_map(|part| {
        let mut part = Bytes::copy_from_slice(part);
        match take(&mut part) {
            Taken::Whole(Record::Synced(bytes)) => Some(bytes),
            _ => None,
        }
    });
    found.max()
}

/// Length of the first record before its check, if that holds.
fn checked_bytes(bytes: &Bytes) -> Option<usize> {
    let prefix: &[u8; PREFIX_BYTES] = bytes.first_chunk()?;
    let body = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    let checked = PREFIX_BYTES.checked_add(body)?;
    let check = bytes.get(checked..checked.checked_add(CHECK_BYTES)?)?;
    let holds = check == &blake3::hash(&bytes[..checked]).as_bytes()[..CHECK_BYTES];
    holds.then_some(checked)
}

impl Head {
    fn body(&self) -> Vec<u8> {
        let mut body = vec![VERSION];
        body.extend(self.first.to_be_bytes());
        body.extend(self.epoch.body());
        body.extend(self.patient.get().to_be_bytes());
        body.extend(self.receipted.to_be_bytes());
        body.extend(self.offered.to_be_bytes());
        body
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Head> {
        let [VERSION] = fields.take()? else { return None };
        Some(Head {
            first: fields.number()?,
            epoch: Epoch::from_fields(fields)?,
            patient: PatientIndex::new(u32::from_be_bytes(fields.take()?)).ok()?,
            receipted: fields.number()?,
            offered: fields.number()?,
        })
    }
}

impl Epoch {
    fn body(self) -> Vec<u8> {
        [&self.number.0.to_be_bytes()[..], &self.base.to_be_bytes()].concat()
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Epoch> {
        let number = EpochNumber(u16::from_be_bytes(fields.take()?));
        Some(Epoch { number, base: fields.number()? })
    }
}

impl KeptFrame {
    fn body(&self) -> Vec<u8> {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        let mut body = vec![
            bit(self.waits, WAITS) | bit(self.mark.is_some(), MARKED) | bit(self.alarm, ALARM),
        ];
        body.extend(self.at.get().to_be_bytes());
        self.mark.iter().for_each(|mark| body.extend(mark.to_bytes()));
        body.extend(self.frame.as_bytes());
        body
    }

    fn from_body(body: Bytes) -> Option<KeptFrame> {
        let mut fields = Fields(&body);
        let [bits] = fields.take()?;
        if bits & !(WAITS | MARKED | ALARM) != 0 {
            return None;
        }
        let at = Millis::new(fields.number()?).ok()?;
        let mark = match bits & MARKED {
            0 => None,
            _ => Some(InputMark::from_bytes(&fields.take::<{ InputMark::BYTES }>()?)?),
        };
        let frame = body.slice(body.len() - fields.0.len()..);
        Some(KeptFrame {
            waits: bits & WAITS != 0,
            alarm: bits & ALARM != 0,
            at,
            mark,
            frame: Frame::from_bytes(frame).ok()?,
        })
    }
}

fn frames_body(frames: Frames) -> [u8; 16] {
    let mut body = [0; 16];
    body[..8].copy_from_slice(&frames.first.to_be_bytes());
    body[8..].copy_from_slice(&frames.last.to_be_bytes());
    body
}

fn frames_from(fields: &mut Fields<'_>) -> Option<Frames> {
    let (first, last) = (fields.number()?, fields.number()?);
    // Never beyond what a sequence can be, so that one more can be counted.
    let holds = first <= last.checked_add(1)? && last < Sequence(i64::MAX as u64).0;
    holds.then_some(Frames { first, last })
}

fn gap_body(gap: &Gap) -> Vec<u8> {
    let mut body = frames_body(gap.frames).to_vec();
    body.extend(gap.readings.to_be_bytes());
    body.extend(gap.from.micros().to_be_bytes());
    body.extend(gap.until.micros().to_be_bytes());
    body.push(gap.cause.number());
    body
}

fn gap_from(fields: &mut Fields<'_>) -> Option<Gap> {
    Some(Gap {
        frames: frames_from(fields)?,
        readings: fields.number()?,
        from: DeviceTime::from_micros(fields.number()?).ok()?,
        until: DeviceTime::from_micros(fields.number()?).ok()?,
        cause: GapCause::from_number(fields.take::<1>()?[0])?,
    })
}

/// What of a body is not read yet.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take()?))
    }
}
