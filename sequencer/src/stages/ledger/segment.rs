//! Open segments: what one device sent of one patient in this window, until it is cut.

use model::{
    Categories, Claim, ClaimKind, Digest, Interval, Label, Millis, Party, PatientIndex, Position,
    Purpose, Word,
};
use statement::batch::{SegmentEntry, SegmentFrames, SegmentKey};

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

/// A segment that still grows.
#[derive(Clone)]
pub(super) struct OpenSegment {
    claim: Claim,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl OpenSegment {
    /// Begins with a first frame.
    pub(super) fn begin(facts: &FrameFacts, frame: &[u8]) -> OpenSegment {
        let mut segment =
            OpenSegment { claim: facts.claim(), hasher: blake3::Hasher::new(), bytes: 0 };
        segment.absorb(frame);
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
        self.absorb(frame);
    }

    fn absorb(&mut self, frame: &[u8]) {
        self.hasher.update(frame);
        self.bytes += frame.len() as u64;
    }

    /// Cuts the segment: its claim, with the digest of its frames under the record's key, and its
    /// entry in the batch.
    pub(super) fn cut(self, key: &SegmentKey) -> (Claim, SegmentEntry) {
        let content = *self.hasher.finalize().as_bytes();
        let (bytes, position) = (self.bytes, self.claim.position);
        let digest = key.digest(&SegmentFrames { content, bytes, position });
        (Claim { digest, ..self.claim }, SegmentEntry::new(digest, bytes))
    }
}

/// Prints lengths only.
impl std::fmt::Debug for OpenSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenSegment {{ bytes: {} }}", self.bytes)
    }
}
