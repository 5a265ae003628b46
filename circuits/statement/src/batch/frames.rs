//! Frames that an access released, kept as they are stored, and held against the segments of
//! settled batches.
//!
//! A digest is keyed: only with the patient's opening can released bytes be compared. Whoever has
//! both (the patient, or an auditor whom both sides gave theirs) learns whether what was read is
//! what was collected.

use std::collections::BTreeMap;

use model::{
    Categories, ChainScope, Claim, ClaimKind, DecodeError, DeviceId, Interval, Millis, Party,
    PatientIndex, Position, Reader, Word, limits,
};

use super::error::{FileError, find_version, section};
use super::opening::PatientOpening;
use super::segment::{SegmentFrames, SegmentKey};
use crate::scope;

const MAGIC: &[u8; 8] = b"VTLFRMS\x02";
const WHAT: &str = "file of released frames";
/// Largest file that is read: what one access releases is bounded by the node, far below.
const FILE_BYTES_MAX: usize = 1 << 30;
/// Position, name of one character with its length, length of the bytes.
const FRAME_BYTES_MIN: usize = 8 + 2 + 4;

/// A frame as it was released.
#[derive(Clone, PartialEq, Eq)]
pub struct ReleasedFrame {
    /// Where it stands in the journal.
    pub position: Position,
    /// The device that measured it.
    pub device: DeviceId,
    /// The frame as it is stored.
    pub bytes: Vec<u8>,
}

/// Prints the length only.
impl std::fmt::Debug for ReleasedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReleasedFrame({} bytes)", self.bytes.len())
    }
}

/// What one access asked for and got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleasedFrames {
    /// Chain and contract.
    pub scope: ChainScope,
    /// Whose data.
    pub patient: PatientIndex,
    /// Categories asked for.
    pub categories: Categories,
    /// Measured in here.
    pub data: Interval,
    /// Of this device only, or of any.
    pub source: Party,
    /// By ascending position.
    pub frames: Vec<ReleasedFrame>,
}

/// What comparing released frames with one collection found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compared {
    /// The frames are those of the segment, every one of them.
    Equal,
    /// They are others, or some are missing although later ones were released.
    Differs,
    /// A part of the segment was released, and of a part nobody can compute a digest: the access
    /// asked for a part, came before its end, or released as many frames as it may.
    Partial,
    /// Nothing of it was released, although the access asked for all of it: it came before, or
    /// released as many frames as it may.
    Unreleased,
}

/// A collection of an opening, and what comparing it found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ComparedClaim {
    /// Number of the claim in the opening.
    pub claim: usize,
    /// Its position.
    pub position: Position,
    /// What was found.
    pub found: Compared,
}

/// The journal positions of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalSpan {
    /// Of the close of the batch before it, which is not within.
    pub after: Position,
    /// Of its own close, which is.
    pub until: Position,
}

impl JournalSpan {
    /// Whether a position is one of the batch.
    pub fn contains(&self, position: Position) -> bool {
        self.after < position && position <= self.until
    }
}

/// What comparing released frames with a batch found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ComparedFrames {
    /// Every collection of which something was released or all was asked for, by position.
    pub claims: Vec<ComparedClaim>,
    /// Positions of frames that were released and are in no collection of the batch.
    pub uncollected: Vec<Position>,
}

impl ReleasedFrames {
    /// Canonical bytes, big-endian: magic and version, chain id, contract, patient, categories,
    /// data period, source, count; then position, device with its length (u8), and bytes with
    /// theirs (u32) of each frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.scope.chain_id.to_be_bytes());
        out.extend(self.scope.contract);
        out.extend(self.patient.get().to_be_bytes());
        out.extend(self.categories.bits().to_be_bytes());
        for time in [self.data.from, self.data.until] {
            out.extend(time.get().to_be_bytes());
        }
        out.extend(self.source.word().to_bytes());
        out.extend((self.frames.len() as u32).to_be_bytes());
        for frame in &self.frames {
            out.extend(frame.position.0.to_be_bytes());
            let device = frame.device.as_str();
            // A name has at most 64 bytes, and a frame 64 KiB.
            out.push(device.len() as u8);
            out.extend(device.as_bytes());
            out.extend((frame.bytes.len() as u32).to_be_bytes());
            out.extend(&frame.bytes);
        }
        out
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`FileError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<ReleasedFrames, FileError> {
        let (expected, found) = (FILE_BYTES_MAX, bytes.len());
        if found > expected {
            return Err(FileError::TooLarge { what: WHAT, expected, found });
        }
        let reader = &mut Reader::new(find_version(WHAT, MAGIC, bytes)?);
        read(reader).map_err(section("frames"))
    }

    /// Holds the frames against the collections of a batch: those of the patient's opening, which
    /// was found sound, or none if the batch has nothing of the patient.
    ///
    /// A segment is every frame of its device since the one before it, up to the one at the claim's
    /// position: so what belongs to it follows from the opening, and what is missing is noticed.
    pub fn compare(&self, opening: Option<&PatientOpening>, span: JournalSpan) -> ComparedFrames {
        let mut claims: Vec<_> = opening
            .map_or(&[][..], |one| &one.claims)
            .iter()
            .map(|one| &one.claim)
            .enumerate()
            .collect();
        claims.retain(|(_, claim)| claim.kind == ClaimKind::Collect);
        claims.sort_by_key(|(_, claim)| claim.position);
        let of_device = self.by_device();
        let key = opening.map(|one| SegmentKey::derive(&one.record.view_key, self.scope));
        let mut found = ComparedFrames::default();
        // Where the last collection of each device ended.
        let mut ends: BTreeMap<Word, Position> = BTreeMap::new();
        for (number, claim) in claims {
            let begin = ends.insert(claim.individual, claim.position).unwrap_or(span.after);
            let frames = of_device.get(&claim.individual).map_or(&[][..], Vec::as_slice);
            let inside = JournalSpan { after: begin, until: claim.position };
            let frames = frames.iter().filter(|frame| inside.contains(frame.position));
            let frames: Vec<_> = frames.copied().collect();
            let compared = key.as_ref().and_then(|key| self.compare_segment(key, claim, &frames));
            let position = claim.position;
            let of_claim = |found| ComparedClaim { claim: number, position, found };
            found.claims.extend(compared.map(of_claim));
        }
        for (device, frames) in of_device {
            let end = ends.get(&device).copied().unwrap_or(span.after);
            let behind = frames.iter().map(|frame| frame.position);
            found.uncollected.extend(behind.filter(|at| *at > end && span.contains(*at)));
        }
        found.uncollected.sort();
        found
    }

    /// Nothing of a segment that was neither asked for as a whole nor released.
    fn compare_segment(
        &self,
        key: &SegmentKey,
        claim: &Claim,
        frames: &[&ReleasedFrame],
    ) -> Option<Compared> {
        let of_source = self.source == Party::Any || self.source == Party::Named(claim.individual);
        let whole = of_source
            && self.categories.contains(claim.categories)
            && self.data.contains(&claim.measured);
        if !whole {
            return (!frames.is_empty()).then_some(Compared::Partial);
        }
        if frames.last().map(|frame| frame.position) != Some(claim.position) {
            // Released oldest first, and no more than a limit: behind a later frame the last one of
            // this segment is withheld. Else nobody can say by whose will it is missing.
            let later = self.frames.last().is_some_and(|frame| frame.position > claim.position);
            return Some(match (later, frames.is_empty()) {
                (true, _) => Compared::Differs,
                (false, true) => Compared::Unreleased,
                (false, false) => Compared::Partial,
            });
        }
        let mut hasher = blake3::Hasher::new();
        for frame in frames {
            hasher.update(&frame.bytes);
        }
        let content = *hasher.finalize().as_bytes();
        let bytes = frames.iter().map(|frame| frame.bytes.len() as u64).sum();
        let position = claim.position;
        let equal = key.digest(&SegmentFrames { content, bytes, position }) == claim.digest;
        Some(if equal { Compared::Equal } else { Compared::Differs })
    }

    fn by_device(&self) -> BTreeMap<Word, Vec<&ReleasedFrame>> {
        let mut by_device: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for frame in &self.frames {
            by_device.entry(scope::device(&frame.device)).or_default().push(frame);
        }
        by_device
    }
}

fn read(reader: &mut Reader<'_>) -> Result<ReleasedFrames, DecodeError> {
    let released = ReleasedFrames {
        // Fields are evaluated in the order in which they stand, which is that of the file.
        scope: ChainScope { chain_id: reader.u64()?, contract: reader.array()? },
        patient: {
            let index = "a patient index below 2^24";
            reader.map(index, Reader::u32, |n| PatientIndex::new(n).ok())?
        },
        categories: {
            let known = |bits| Categories::from_bits(bits).ok();
            reader.map("known categories", Reader::u64, known)?
        },
        data: {
            let times = |reader: &mut Reader<'_>| Ok([reader.millis()?, reader.millis()?]);
            let interval = |[from, until]: [Millis; 2]| Interval::new(from, until).ok();
            reader.map("an interval", times, interval)?
        },
        source: {
            let party = |word| Party::from_word(word).ok();
            reader.map("a source", |reader| reader.word(), party)?
        },
        frames: {
            let list = |reader: &mut Reader<'_>| {
                let count = reader.count(FRAME_BYTES_MIN)?;
                (0..count).map(|_| read_frame(reader)).collect::<Result<Vec<_>, _>>()
            };
            let ascending = |frames: Vec<ReleasedFrame>| {
                let sorted = frames.is_sorted_by(|one, next| one.position < next.position);
                sorted.then_some(frames)
            };
            reader.map("frames by ascending position", list, ascending)?
        },
    };
    reader.finish()?;
    Ok(released)
}

fn read_frame(reader: &mut Reader<'_>) -> Result<ReleasedFrame, DecodeError> {
    let position = Position(reader.u64()?);
    let len = usize::from(reader.u8()?);
    let name = |reader: &mut Reader<'_>| Ok(reader.take(len)?.to_vec());
    let device = |bytes: Vec<u8>| DeviceId::new(&String::from_utf8(bytes).ok()?).ok();
    let device = reader.map("a device's name", name, device)?;
    let fits = |len: u32| Some(len as usize).filter(|len| *len <= limits::FRAME_BYTES_MAX);
    let len = reader.map("at most the bytes of a frame", Reader::u32, fits)?;
    Ok(ReleasedFrame { position, device, bytes: reader.take(len)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use model::{Category, Purpose};

    use super::*;
    use crate::batch::ClaimOpening;
    use crate::batch::opening::tests::opening;

    const SCOPE: ChainScope = ChainScope { chain_id: 5, contract: [6; 20] };

    fn at(ms: u64) -> Millis {
        Millis::new(ms).unwrap()
    }

    fn device(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    fn frame(position: u64) -> ReleasedFrame {
        let device = device(if position == 7 { "other" } else { "monitor" });
        ReleasedFrame { position: Position(position), device, bytes: vec![position as u8; 5] }
    }

    fn released(positions: &[u64]) -> ReleasedFrames {
        ReleasedFrames {
            scope: SCOPE,
            patient: opening().patient,
            categories: Category::Ecg.only(),
            data: Interval { from: at(100), until: at(200) },
            source: Party::Any,
            frames: positions.iter().map(|position| frame(*position)).collect(),
        }
    }

    /// Two segments of one device behind position 4: frames 5, 6 and 8; then 9 and 11.
    fn collected() -> PatientOpening {
        let mut opening = opening();
        let key = SegmentKey::derive(&opening.record.view_key, SCOPE);
        let claim = |positions: &[u64]| {
            let bytes: Vec<u8> = positions.iter().flat_map(|at| frame(*at).bytes).collect();
            let position = Position(*positions.last().unwrap());
            let content = *blake3::hash(&bytes).as_bytes();
            let frames = SegmentFrames { content, bytes: bytes.len() as u64, position };
            let claim = Claim {
                individual: scope::device(&device("monitor")),
                purpose: Purpose::Treatment,
                measured: Interval { from: at(110), until: at(120) },
                position,
                digest: key.digest(&frames),
                ..opening.claims[0].claim.clone()
            };
            ClaimOpening { claim, ..opening.claims[0].clone() }
        };
        // Their order in the opening is not that of positions.
        opening.claims = vec![claim(&[9, 11]), claim(&[5, 6, 8])];
        opening
    }

    const SPAN: JournalSpan = JournalSpan { after: Position(4), until: Position(13) };

    fn found(released: &ReleasedFrames) -> Vec<(usize, Compared)> {
        let compared = released.compare(Some(&collected()), SPAN).claims;
        compared.iter().map(|one| (one.claim, one.found)).collect()
    }

    #[test]
    fn whole_segments_are_equal_and_a_changed_or_missing_frame_is_noticed() {
        let all = released(&[3, 5, 6, 8, 9, 11]);
        assert_eq!(found(&all), [(1, Compared::Equal), (0, Compared::Equal)]);
        let missing = released(&[5, 8, 9, 11]);
        assert_eq!(found(&missing), [(1, Compared::Differs), (0, Compared::Equal)]);
        let mut changed = all.clone();
        changed.frames[4].bytes[0] ^= 1;
        assert_eq!(found(&changed), [(1, Compared::Equal), (0, Compared::Differs)]);
        let mut split = all.clone();
        // The same bytes, cut otherwise into frames, are not told apart; moved to another device
        // they are missing.
        split.frames[2].device = device("other");
        assert_eq!(found(&split)[0], (1, Compared::Differs));
    }

    #[test]
    fn a_last_frame_that_is_withheld_or_moved_is_noticed_behind_a_later_one() {
        for positions in [&[5, 6, 9, 11][..], &[9, 11], &[5, 6, 12]] {
            assert_eq!(found(&released(positions))[0], (1, Compared::Differs), "{positions:?}");
        }
        let mut moved = released(&[5, 6, 8, 9, 11]);
        moved.frames[2].position = Position(7);
        assert_eq!(found(&moved), [(1, Compared::Differs), (0, Compared::Equal)]);
        // Nothing is behind it: the access may have come before it.
        assert_eq!(found(&released(&[5, 6])), [(1, Compared::Partial), (0, Compared::Unreleased)]);
    }

    #[test]
    fn frames_that_no_collection_of_their_batch_has_are_listed() {
        let uncollected = |released: &ReleasedFrames, opening: Option<&PatientOpening>| {
            let found = released.compare(opening, SPAN).uncollected;
            found.iter().map(|at| at.0).collect::<Vec<_>>()
        };
        // 7 is of a device that nothing was collected of, 12 is behind the last collection, 3 and
        // 14 are of other batches.
        let all = released(&[3, 5, 6, 7, 8, 9, 11, 12, 14]);
        assert_eq!(uncollected(&all, Some(&collected())), [7, 12]);
        assert_eq!(uncollected(&all, None), [5, 6, 7, 8, 9, 11, 12]);
        assert!(uncollected(&released(&[5, 6, 8]), Some(&collected())).is_empty());
    }

    #[test]
    fn what_was_released_in_part_is_told_and_what_was_not_asked_for_is_passed_over() {
        let early = released(&[5, 6, 8, 9]);
        assert_eq!(found(&early), [(1, Compared::Equal), (0, Compared::Partial)]);
        let all = released(&[5, 6, 8, 9, 11]);
        for part in [
            ReleasedFrames { categories: Category::Spo2.only(), ..all.clone() },
            ReleasedFrames { data: Interval { from: at(111), until: at(200) }, ..all.clone() },
            ReleasedFrames { source: Party::Named(Word::from_u64(8)), ..all.clone() },
        ] {
            assert_eq!(found(&part), [(1, Compared::Partial), (0, Compared::Partial)]);
            assert_eq!(found(&ReleasedFrames { frames: Vec::new(), ..part }), []);
        }
        let named = Party::Named(scope::device(&device("monitor")));
        assert_eq!(found(&ReleasedFrames { source: named, ..all.clone() })[0].1, Compared::Equal);
    }

    #[test]
    fn bytes_round_trip_and_every_other_string_is_refused() {
        let file = released(&[5, 6, 7]);
        let bytes = file.to_bytes();
        assert_eq!(ReleasedFrames::from_bytes(&bytes), Ok(file));
        let refused = |bytes: &[u8]| ReleasedFrames::from_bytes(bytes).is_err();
        assert!((0..bytes.len()).all(|len| refused(&bytes[..len])));
        assert!(refused(&[&bytes[..], &[0]].concat()));
        assert!(refused(&released(&[6, 5]).to_bytes()) && refused(&released(&[5, 5]).to_bytes()));
    }
}
