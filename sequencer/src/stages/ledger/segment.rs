//! Open segments: what one device sent of one patient in this window, until it is cut.

use bodies::{BodyEpoch, BodyError, TAG_BYTES};
use model::{
    Categories, Claim, ClaimKind, DecodeError, DeviceId, Digest, Interval, Label, Millis, Party,
    PatientIndex, Position, Purpose, Reader, Word,
};
use statement::batch::{SegmentEntry, SegmentFrames, SegmentKey};
use wire::Holder;

use super::bodies::{BodySeal, RestOf};
use super::content::ContentHash;

/// What is looked up of a frame: whose it is, and what it adds to a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameFacts {
    /// Who has a receipt for it.
    pub(super) holder: Holder,
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

/// The bytes of a frame, as its segment's digest takes them in.
#[derive(Clone, Copy)]
pub(super) struct FrameContent<'a> {
    pub(super) bytes: &'a [u8],
    /// Under which of its patient's keys it is sealed; none of one from before frames were.
    pub(super) epoch: Option<BodyEpoch>,
    /// Whether its readings are in them: not where their key is not here.
    pub(super) is_read: bool,
}

/// A segment that still grows. Memory: 18 KiB.
#[derive(Clone)]
pub(super) struct OpenSegment {
    claim: Claim,
    content: ContentHash,
    /// That of the first frame. The last bytes are written down under its key, the oldest of all
    /// that may have sealed them: whoever destroys a patient's keys destroys every one until then.
    epoch: Option<BodyEpoch>,
    /// Whether the hash is another than that of the readings: a frame was taken in as it is stored,
    /// or one came behind last readings that were not to be had.
    is_unread: bool,
}

/// Codes of how the last bytes are written down.
mod rest {
    pub(super) const PLAIN: u8 = 0;
    pub(super) const SEALED: u8 = 1;
    pub(super) const GONE: u8 = 2;
    /// Beside each of them, of a hash that is not that of the readings.
    pub(super) const UNREAD: u8 = 4;
}

impl OpenSegment {
    /// Begins with a first frame.
    pub(super) fn begin(facts: &FrameFacts, frame: FrameContent<'_>) -> OpenSegment {
        let (claim, mut content) = (facts.claim(), ContentHash::new());
        content.update(frame.bytes);
        OpenSegment { claim, content, epoch: frame.epoch, is_unread: !frame.is_read }
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
    pub(super) fn extend(&mut self, claim: Claim, frame: FrameContent<'_>) {
        self.claim = claim;
        self.is_unread |= !frame.is_read || self.is_shut();
        // Of one that began with an unsealed frame the first that is sealed; and what was shut
        // stands as a hash from now on.
        if self.epoch.is_none() || self.content.shut().is_some() {
            self.epoch = frame.epoch;
        }
        self.content.update(frame.bytes);
    }

    /// Whether its hash is another than that of its readings, which did not open.
    pub(super) fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Whether its last readings were not to be had when it was read.
    pub(super) fn is_shut(&self) -> bool {
        self.content.shut().is_some()
    }

    /// Its last readings are written in the clear, for a comparison.
    pub(super) fn forget_epoch(&mut self) {
        self.epoch = None;
    }

    /// Nothing of its content, for a comparison that leaves it out.
    pub(super) fn blank(&mut self) {
        (self.content, self.epoch, self.is_unread) = (ContentHash::new(), None, false);
        self.content.update(&[0]);
    }

    /// Cuts the segment: its claim, with the digest of its frames under the record's key, and its
    /// entry in the batch.
    pub(super) fn cut(self, key: &SegmentKey) -> (Claim, SegmentEntry) {
        let (content, bytes) = (self.content.finish(), self.content.bytes());
        let digest = key.digest(&SegmentFrames { content, bytes, position: self.claim.position });
        (Claim { digest, ..self.claim }, SegmentEntry::new(digest, bytes))
    }

    /// Canonical bytes: the claim of what is in it, its hash so far, and its last bytes, sealed.
    pub(super) fn write(&self, device: &DeviceId, seal: &BodySeal, out: &mut Vec<u8>) {
        out.extend(self.claim.to_bytes());
        self.content.write(out);
        out.extend(self.epoch.map_or(0, |epoch| epoch.0).to_be_bytes());
        let unread = if self.is_unread { rest::UNREAD } else { 0 };
        let sealed = match (self.content.rest(), self.epoch) {
            (Some(rest), None) => {
                out.push(rest::PLAIN | unread);
                return out.extend(rest);
            }
            (Some(rest), Some(epoch)) => seal.seal_rest(&self.rest_of(epoch, device), rest),
            (None, _) => self.content.shut().and_then(|shut| shut.sealed.clone()),
        };
        match sealed {
            Some(sealed) => {
                out.push(rest::SEALED | unread);
                out.extend(sealed);
            }
            // Its key was destroyed, or is not here.
            None => out.push(rest::GONE | unread),
        }
    }

    fn rest_of<'a>(&self, epoch: BodyEpoch, device: &'a DeviceId) -> RestOf<'a> {
        let Claim { patient, position, .. } = self.claim;
        RestOf { patient, epoch, position, device }
    }

    /// Reads the segment of a patient.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub(super) fn read(
        patient: PatientIndex,
        device: &DeviceId,
        seal: &BodySeal,
        from: &mut Reader<'_>,
    ) -> Result<OpenSegment, DecodeError> {
        let claim = read_claim(patient, from)?;
        let content = ContentHash::read(from)?;
        let epoch = from.u32()?;
        let epoch = (epoch > 0).then_some(BodyEpoch(epoch));
        let segment = OpenSegment { claim, content, epoch, is_unread: false };
        segment.read_rest(device, seal, from)
    }

    /// As version 1 wrote it, its last bytes in the clear. From now on they are under the newest
    /// key of the patient, and gone where keys of theirs were ever destroyed: they may be of those.
    /// Of a patient without a key every frame stands unsealed in the journal as well.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub(super) fn read_plain(
        patient: PatientIndex,
        seal: &BodySeal,
        from: &mut Reader<'_>,
    ) -> Result<OpenSegment, DecodeError> {
        let claim = read_claim(patient, from)?;
        let content = ContentHash::read_plain(from)?;
        let (content, epoch) = match seal.was_destroyed(patient) {
            true => (content.kept_shut(None), None),
            false => (content, seal.newest(patient)),
        };
        Ok(OpenSegment { claim, content, epoch, is_unread: false })
    }

    fn read_rest(
        self,
        device: &DeviceId,
        seal: &BodySeal,
        from: &mut Reader<'_>,
    ) -> Result<OpenSegment, DecodeError> {
        let offset = from.offset();
        let wrong = |expected| DecodeError::Field { offset, expected };
        let bytes = self.content.shut().map_or(0, |shut| shut.bytes as usize);
        let code = from.u8()?;
        let is_unread = code & rest::UNREAD != 0;
        let content = match (code & !rest::UNREAD, self.epoch) {
            (rest::PLAIN, None) => {
                let rest = from.take(bytes)?;
                let opened = self.content.opened(rest);
                opened.ok_or(wrong("the last bytes of a segment with their own value"))?
            }
            (rest::SEALED, Some(epoch)) => {
                let sealed = from.take(bytes + TAG_BYTES)?;
                match seal.open_rest(&self.rest_of(epoch, device), sealed) {
                    Ok(rest) => {
                        let opened = self.content.opened(&rest);
                        opened.ok_or(wrong("the last bytes of a segment with their own value"))?
                    }
                    Err(BodyError::Broken { .. }) => {
                        return Err(wrong(
                            "the last bytes of a segment, under their patient's key",
                        ));
                    }
                    // Erased, or to be had once the key is put back: what they add to the hash
                    // stands beside them.
                    Err(BodyError::KeyDestroyed { .. } | BodyError::KeyAbsent { .. }) => {
                        self.content.kept_shut(Some(sealed.to_vec()))
                    }
                }
            }
            (rest::GONE, _) => self.content,
            _ => return Err(wrong("last bytes that are sealed, gone, or of an unsealed frame")),
        };
        Ok(OpenSegment { content, is_unread, ..self })
    }
}

fn read_claim(patient: PatientIndex, from: &mut Reader<'_>) -> Result<Claim, DecodeError> {
    // Else its claim would be cut under the key of one record and name another.
    let own = |claim: Claim| (claim.patient == patient).then_some(claim);
    from.map("the claim of a segment's own patient", Claim::read, own)
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
            holder: Holder([2; 32]),
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
            let content = |bytes| FrameContent { bytes, epoch: None, is_read: true };
            let mut segment = OpenSegment::begin(&facts, content(&frames[0]));
            for frame in &frames[1..] {
                let claim = segment.claim_with(&facts).unwrap();
                segment.extend(claim, content(frame));
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
