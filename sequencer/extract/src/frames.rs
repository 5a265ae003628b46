//! The frames of a collection whose readings somebody was released, held against its digest.
//!
//! A frame does not name its signal, and no digest does. So readings stand in a file only where
//! the claim leaves one signal open: of a collection of blood pressures nobody can show which
//! number was the upper one.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{
    Categories, ChainScope, Claim, Digest, Interval, PatientIndex, Position, Signal, Word, limits,
    signals,
};
use statement::batch::{ReleasedFrame, ReleasedFrames, SegmentFrames, SegmentKey};
use statement::scope;
use wire::{Frame, Reading};

use crate::fault::ExtractError;
use crate::text::HexText;

/// A frame as it is stored: longer than any other hexadecimal text of a line.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct FrameBytes(pub(crate) Vec<u8>);

impl HexText for FrameBytes {
    fn to_text(&self) -> String {
        hex::encode(&self.0)
    }

    fn from_text(text: &str) -> Option<FrameBytes> {
        let fits = text.len() <= 2 * limits::FRAME_BYTES_MAX;
        let is_ours = fits && !text.bytes().any(|b| b.is_ascii_uppercase());
        hex::decode(is_ours.then_some(text)?).ok().map(FrameBytes)
    }
}

/// A frame whose readings are those of its signal.
pub(crate) struct SoundFrame {
    pub(crate) signal: &'static Signal,
    pub(crate) measured: Interval,
    pub(crate) readings: Vec<Reading>,
    pub(crate) bytes: FrameBytes,
}

impl SoundFrame {
    /// Nothing of bytes that are no frame, or of one that only its gateway's key opens.
    pub(crate) fn read(signal: &'static Signal, bytes: FrameBytes) -> Option<SoundFrame> {
        let frame = Frame::from_bytes(Bytes::copy_from_slice(&bytes.0)).ok()?;
        let measured = frame.check(signal).ok()?;
        let readings = frame.readings(signal).ok()?;
        Some(SoundFrame { signal, measured, readings, bytes })
    }
}

/// The one signal that a collection of these categories can be of.
pub(crate) fn only_signal(categories: Categories) -> Option<&'static Signal> {
    let mut found = signals().iter().filter(|signal| categories.contains(signal.category.only()));
    let only = found.next().filter(|signal| signal.category.only() == categories);
    only.filter(|_| found.next().is_none())
}

/// A collection whose frames are being read.
pub(crate) struct OpenSegment {
    /// Which line has its claim.
    pub(crate) line: usize,
    pub(crate) signal: Option<&'static Signal>,
    digest: Digest,
    position: Position,
    content: blake3::Hasher,
    bytes: u64,
}

impl OpenSegment {
    pub(crate) fn begin(line: usize, claim: &Claim) -> OpenSegment {
        OpenSegment {
            line,
            signal: only_signal(claim.categories),
            digest: claim.digest,
            position: claim.position,
            content: blake3::Hasher::new(),
            bytes: 0,
        }
    }

    pub(crate) fn take(&mut self, frame: &FrameBytes) {
        self.content.update(&frame.0);
        self.bytes += frame.0.len() as u64;
    }

    /// Whether any frame came.
    pub(crate) fn is_opened(&self) -> bool {
        self.bytes > 0
    }

    /// Whether the frames are those of the digest.
    pub(crate) fn holds(&self, key: &SegmentKey) -> bool {
        let content = *self.content.finalize().as_bytes();
        let frames = SegmentFrames { content, bytes: self.bytes, position: self.position };
        key.digest(&frames) == self.digest
    }
}

/// Frames that accesses released, on their way through the collections of a record.
pub(crate) struct Given {
    key: SegmentKey,
    by_device: BTreeMap<Word, BTreeMap<Position, ReleasedFrame>>,
    /// Where the last collection of each device ended.
    ends: BTreeMap<Word, Position>,
    /// Collections that were opened whole.
    pub(crate) opened: u64,
    /// Collections of which frames were given and no reading is shown.
    pub(crate) closed: u64,
}

impl Given {
    /// Of one patient's record.
    pub(crate) fn new(
        files: Vec<ReleasedFrames>,
        (scope, patient): (ChainScope, PatientIndex),
        view_key: &Word,
    ) -> Result<Given, ExtractError> {
        let key = SegmentKey::derive(view_key, scope);
        let (by_device, ends) = (BTreeMap::new(), BTreeMap::new());
        let mut given = Given { key, by_device, ends, opened: 0, closed: 0 };
        for file in files {
            if file.scope != scope || file.patient != patient {
                return Err(ExtractError::Frames);
            }
            for frame in file.frames {
                let of_device = given.by_device.entry(scope::device(&frame.device)).or_default();
                of_device.insert(frame.position, frame);
            }
        }
        Ok(given)
    }

    /// What whoever checks the frames needs.
    pub(crate) fn key(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// The frames of a collection, if every one of them was given; collections by position.
    pub(crate) fn open(&mut self, claim: &Claim) -> Vec<SoundFrame> {
        let end = self.ends.insert(claim.individual, claim.position).unwrap_or(Position(0));
        let Some(of_device) = self.by_device.get(&claim.individual) else { return Vec::new() };
        if end >= claim.position {
            return Vec::new();
        }
        let behind = Position(end.0 + 1)..=claim.position;
        let frames = of_device.range(behind).map(|(_, frame)| FrameBytes(frame.bytes.clone()));
        let frames: Vec<_> = frames.collect();
        if frames.is_empty() {
            return Vec::new();
        }
        let mut segment = OpenSegment::begin(0, claim);
        frames.iter().for_each(|frame| segment.take(frame));
        let sound = segment.signal.filter(|_| segment.holds(&self.key)).and_then(|signal| {
            frames.into_iter().map(|frame| SoundFrame::read(signal, frame)).collect()
        });
        match sound {
            Some(sound) => {
                self.opened += 1;
                sound
            }
            None => {
                self.closed += 1;
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Category;

    use super::*;

    #[test]
    fn a_signal_follows_from_categories_that_leave_one_open() {
        let of = |categories: Categories| only_signal(categories).map(|signal| signal.name);
        assert_eq!(of(Category::Ecg.only()), Some("ecg"));
        assert_eq!(of(Category::Weight.only()), Some("weight"));
        for two in [Category::BloodPressure, Category::HeartRate] {
            assert_eq!(of(two.only()), None);
        }
        assert_eq!(of(Category::Ecg.only().with(Category::Spo2.only())), None);
        assert_eq!(of(Categories::NONE), None);
    }

    #[test]
    fn a_frame_has_one_text_and_no_more_bytes_than_a_frame() {
        let text = hex::encode([7; 10]);
        assert!(FrameBytes::from_text(&text) == Some(FrameBytes(vec![7; 10])));
        assert!(FrameBytes::from_text("AB").is_none());
        assert!(FrameBytes::from_text(&"00".repeat(limits::FRAME_BYTES_MAX + 1)).is_none());
        assert!(SoundFrame::read(&signals()[0], FrameBytes(vec![0; 40])).is_none());
    }
}
