//! What was refused to readers and gateways of a patient: the operator's word, beside what is
//! proven.

use model::{DecodeError, Digest, GatewayId, Millis, Position, PractitionerId, Reader, Uncovered};

/// A request to read, or a frame to store, that no rule covered, as the journal has it.
///
/// Nothing commits to it but the sealed file as a whole: an operator can leave one out or make one
/// up. The receipt of what was refused, which its requester holds, is the evidence of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedAccess {
    /// Where it stands in the journal.
    pub position: Position,
    /// When it was decided.
    pub time: Millis,
    /// Digest of the request or frame.
    pub digest: Digest,
    /// Whose it was.
    pub requester: Requester,
    /// Why no rule covered it.
    pub uncovered: Uncovered,
    /// How many this stands for: 1 for one alone, more for a minute's count of them or
    /// for those beyond the most that are listed.
    pub count: u32,
}

/// Who was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Requester {
    /// A practitioner who asked to read.
    Practitioner(PractitionerId),
    /// A gateway that sent readings.
    Gateway(GatewayId),
}

impl Requester {
    const PRACTITIONER: u8 = 1;
    const GATEWAY: u8 = 2;

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Requester::Practitioner(id) => id.as_str(),
            Requester::Gateway(id) => id.as_str(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Requester::Practitioner(_) => Requester::PRACTITIONER,
            Requester::Gateway(_) => Requester::GATEWAY,
        });
        let name = self.name();
        // A name has at most 64 bytes.
        out.push(name.len() as u8);
        out.extend(name.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Requester, DecodeError> {
        let kind = reader.u8()?;
        let len = usize::from(reader.u8()?);
        let take = |reader: &mut Reader<'_>| Ok(reader.take(len)?.to_vec());
        let requester = |bytes: Vec<u8>| {
            let name = String::from_utf8(bytes).ok()?;
            match kind {
                Requester::PRACTITIONER => {
                    PractitionerId::new(&name).map(Requester::Practitioner).ok()
                }
                Requester::GATEWAY => GatewayId::new(&name).map(Requester::Gateway).ok(),
                _ => None,
            }
        };
        reader.map("1 and a practitioner's name, or 2 and a gateway's", take, requester)
    }
}

impl RefusedAccess {
    /// Fewest canonical bytes, those of a name of one character.
    pub const BYTES_MIN: usize = 8 + 8 + 31 + 1 + 1 + 1 + Uncovered::BYTES + 4;

    /// Appends canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.position.0.to_be_bytes());
        out.extend(self.time.get().to_be_bytes());
        out.extend(self.digest.0);
        self.requester.write(out);
        out.extend(self.uncovered.to_bytes());
        out.extend(self.count.to_be_bytes());
    }

    /// Reads one from a longer byte string.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<RefusedAccess, DecodeError> {
        let cover = "a missing cover with its own rule";
        Ok(RefusedAccess {
            // Fields are evaluated in the order in which they stand, which is that of the bytes.
            position: Position(reader.u64()?),
            time: reader.millis()?,
            digest: Digest(reader.array()?),
            requester: Requester::read(reader)?,
            uncovered: reader.map(cover, Reader::array, Uncovered::from_bytes)?,
            count: reader.map("at least one refusal", Reader::u32, |n| (n > 0).then_some(n))?,
        })
    }
}
