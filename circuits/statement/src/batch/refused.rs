//! Accesses that were refused to readers of a patient: the operator's word, beside what is proven.

use model::{DecodeError, Digest, Millis, Position, PractitionerId, Reader, Uncovered};

/// A request to read that no rule covered, as the journal has it.
///
/// Nothing commits to it but the sealed file as a whole: an operator can leave one out or make one
/// up. The request's receipt, which its practitioner holds, is the evidence of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedAccess {
    /// Where it stands in the journal.
    pub position: Position,
    /// When it was decided.
    pub time: Millis,
    /// Digest of the request.
    pub digest: Digest,
    /// Who asked.
    pub practitioner: PractitionerId,
    /// Why no rule covered it.
    pub uncovered: Uncovered,
    /// How many requests this stands for: 1 for one alone, more for a minute's count of them or
    /// for those beyond the most that are listed.
    pub count: u32,
}

impl RefusedAccess {
    /// Fewest canonical bytes, those of a name of one character.
    pub(super) const BYTES_MIN: usize = 8 + 8 + 31 + 1 + 1 + Uncovered::BYTES + 4;

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.position.0.to_be_bytes());
        out.extend(self.time.get().to_be_bytes());
        out.extend(self.digest.0);
        let name = self.practitioner.as_str();
        // A name has at most 64 bytes.
        out.push(name.len() as u8);
        out.extend(name.as_bytes());
        out.extend(self.uncovered.to_bytes());
        out.extend(self.count.to_be_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<RefusedAccess, DecodeError> {
        let cover = "a missing cover with its own rule";
        Ok(RefusedAccess {
            // Fields are evaluated in the order in which they stand, which is that of the bytes.
            position: Position(reader.u64()?),
            time: reader.millis()?,
            digest: Digest(reader.array()?),
            practitioner: read_name(reader)?,
            uncovered: reader.map(cover, Reader::array, Uncovered::from_bytes)?,
            count: reader.map("at least one request", Reader::u32, |n| (n > 0).then_some(n))?,
        })
    }
}

fn read_name(reader: &mut Reader<'_>) -> Result<PractitionerId, DecodeError> {
    let len = usize::from(reader.u8()?);
    let take = |reader: &mut Reader<'_>| Ok(reader.take(len)?.to_vec());
    let name = |bytes: Vec<u8>| PractitionerId::new(&String::from_utf8(bytes).ok()?).ok();
    reader.map("a practitioner's name", take, name)
}
