//! Open segments: what one device sent of one patient in this window, until it is cut.

use model::{
    Categories, Claim, ClaimKind, DecodeError, Digest, Interval, Label, Millis, Party,
    PatientIndex, Position, Purpose, Reader, Word,
};
use statement::batch::{SegmentEntry, SegmentFrames, SegmentKey};

use super::content::ContentHash;

/// What a frame adds to a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameFacts {
    /// Whose data.
    pub(super) patient: PatientIndex,
    /// The device's word.
    pub(super) device: Word,
    /// The word of the gateway's organisation.
    pub(super) organisation: Word,
    /// Category of the signal.
    pub(super) categories: Categories,
    /// When the readings were measured.
    pub(super) measured: Interval,
    /// When the frame is appended.
    pub(super) at: Millis,
    /// Where.
    pub(super) position: Position,
}

impl FrameFacts {
    /// The claim of a segment that holds this frame only. Its digest stands for bytes not yet
    /// known: consent does not depend on it.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            patient: self.patient,
            kind: ClaimKind::Collect,
            individual: self.device,
            organisation: self.organisation,
            care_team: Word::ZERO,
            source: Party::Named(self.device),
            categories: self.categories,
            purpose: Purpose::Treatment,
            labels: Label::Normal.only(),
            receipt: Interval::instant(self.at),
            measured: self.measured,
            position: self.position,
            digest: Digest([0xff; 31]),
        }
    }
}

/// A segment that still grows. Memory: 18 KiB.
#[derive(Clone)]
pub(super) struct OpenSegment {
    claim: Claim,
    content: ContentHash,
}

impl OpenSegment {
    /// Begins with a first frame.
    pub(super) fn begin(facts: &FrameFacts, frame: &[u8]) -> OpenSegment {
        let mut segment = OpenSegment { claim: facts.claim(), content: ContentHash::new() };
        segment.content.update(frame);
        segment
    }

    /// The claim this segment would have with one more frame; `None` if the frame is of another
    /// organisation's gateway and so needs a segment of its own.
    pub(super) fn claim_with(&self, facts: &FrameFacts) -> Option<Claim> {
        // A claim names one organisation; device and patient are the segment's key already.
        if facts.organisation != self.claim.organisation {
            return None;
        }
        let hull = |a: Interval, b: Interval| Interval {
            from: a.from.min(b.from),
            until: a.until.max(b.until),
        };
        Some(Claim {
            categories: self.claim.categories.with(facts.categories),
            receipt: hull(self.claim.receipt, Interval::instant(facts.at)),
            measured: hull(self.claim.measured, facts.measured),
            // The last frame's: C2 asks that a claim lies within the window's positions, and
            // claims of a patient are sorted by it.
            position: facts.position,
            ..self.claim.clone()
        })
    }

    /// Takes one more frame; `claim` is what [`OpenSegment::claim_with`] gave for it.
    pub(super) fn extend(&mut self, claim: Claim, frame: &[u8]) {
        self.claim = claim;
        self.content.update(frame);
    }

    /// Cuts the segment: its claim, with the digest of its frames under the record's key, and its
    /// entry in the batch.
    pub(super) fn cut(self, key: &SegmentKey) -> (Claim, SegmentEntry) {
        let (content, bytes) = (self.content.finish(), self.content.bytes());
        let digest = key.digest(&SegmentFrames { content, bytes, position: self.claim.position });
        (Claim { digest, ..self.claim }, SegmentEntry::new(digest, bytes))
    }

    /// Canonical bytes: the claim of what is in it, and its hash so far.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.claim.to_bytes());
        self.content.write(out);
    }

    /// Reads the segment of a patient.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub(super) fn read(
        patient: PatientIndex,
        from: &mut Reader<'_>,
    ) -> Result<OpenSegment, DecodeError> {
        // Else its claim would be cut under the key of one record and name another.
        let own = |claim: Claim| (claim.patient == patient).then_some(claim);
        let claim = from.map("the claim of a segment's own patient", Claim::read, own)?;
        Ok(OpenSegment { claim, content: ContentHash::read(from)? })
    }
}

/// Prints lengths only.
impl std::fmt::Debug for OpenSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenSegment {{ bytes: {} }}", self.content.bytes())
    }
}

#[cfg(test)]
mod tests {
    use model::{Category, ChainScope};

    use super::super::content::HASHED_AT_ONCE;
    use super::*;

    #[test]
    fn a_segments_digest_is_of_its_frames_one_after_the_other_whatever_their_sizes() {
        let at = Millis::new(5).unwrap();
        let facts = FrameFacts {
            patient: PatientIndex::new(3).unwrap(),
            device: Word::from_u64(4),
            organisation: Word::from_u64(5),
            categories: Category::Ecg.only(),
            measured: Interval::instant(at),
            at,
            position: Position(9),
        };
        let scope = ChainScope { chain_id: 1, contract: [2; 20] };
        let key = SegmentKey::derive(&Word::from_u64(7), scope);
        let whole = HASHED_AT_ONCE;
        let sizes: [&[usize]; 6] = [
            &[48],
            &[4128; 9],
            &[whole - 1, 1, 1],
            &[whole, whole],
            &[48, 3 * whole + 5, 7],
            &[65_536, 48, 65_488],
        ];
        for sizes in sizes {
            let frames: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(n, size)| vec![n as u8; *size]).collect();
            let mut segment = OpenSegment::begin(&facts, &frames[0]);
            for frame in &frames[1..] {
                let claim = segment.claim_with(&facts).unwrap();
                segment.extend(claim, frame);
            }
            let content = *blake3::hash(&frames.concat()).as_bytes();
            let bytes = frames.concat().len() as u64;
            let expected = key.digest(&SegmentFrames { content, bytes, position: Position(9) });
            let (claim, entry) = segment.cut(&key);
            assert_eq!(claim.digest, expected, "{sizes:?}");
            assert_eq!(entry, SegmentEntry::new(expected, bytes));
        }
    }
}
