//! What was refused to readers and gateways of a patient, and what systems asked about: the
//! operator's word, beside what is proven.

use model::{
    Claim, DecodeError, Digest, GatewayId, Millis, OrganisationId, Position, PractitionerId,
    Reader, Uncovered,
};

/// A request to read, or a frame to store, that no rule covered, as the journal has it; or a
/// question of a system whether one would be, which reads nothing.
///
/// Nothing commits to it but the sealed file as a whole: an operator can leave one out or make one
/// up. The receipt of what was refused, which its requester holds, is the evidence of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedAccess {
    /// Where it stands in the journal.
    pub position: Position,
    /// When it was decided.
    pub time: Millis,
    /// Digest of the request, frame or question.
    pub digest: Digest,
    /// Whose it was.
    pub requester: Requester,
    /// Why no rule covered it; of a question alone there may be none, and a rule did.
    pub uncovered: Option<Uncovered>,
    /// How many this stands for: 1 for one alone, more for a minute's count of them or
    /// for those beyond the most that are listed.
    pub count: u32,
}

/// Who was refused, or asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Requester {
    /// A practitioner who asked to read.
    Practitioner(PractitionerId),
    /// A gateway that sent readings.
    Gateway(GatewayId),
    /// A system that asked whether consent would allow something.
    System {
        /// Of which organisation.
        organisation: OrganisationId,
        /// The claim that it would have been: whom about, what, why.
        claim: Box<Claim>,
    },
}

impl Requester {
    const PRACTITIONER: u8 = 1;
    const GATEWAY: u8 = 2;
    const SYSTEM: u8 = 3;

    /// Whether it asked and was refused nothing.
    pub fn is_question(&self) -> bool {
        matches!(self, Requester::System { .. })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Requester::Practitioner(id) => id.as_str(),
            Requester::Gateway(id) => id.as_str(),
            Requester::System { organisation, .. } => organisation.as_str(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Requester::Practitioner(_) => Requester::PRACTITIONER,
            Requester::Gateway(_) => Requester::GATEWAY,
            Requester::System { .. } => Requester::SYSTEM,
        });
        let name = self.name();
        // A name has at most 64 bytes.
        out.push(name.len() as u8);
        out.extend(name.as_bytes());
        if let Requester::System { claim, .. } = self {
            out.extend(claim.to_bytes());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Requester, DecodeError> {
        let kind = reader.u8()?;
        let len = usize::from(reader.u8()?);
        let take = |reader: &mut Reader<'_>| Ok(reader.take(len)?.to_vec());
        if kind == Requester::SYSTEM {
            let organisation = reader.map("an organisation's name", take, |bytes| {
                OrganisationId::new(&String::from_utf8(bytes).ok()?).ok()
            })?;
            return Ok(Requester::System { organisation, claim: Box::new(Claim::read(reader)?) });
        }
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
        reader.map("1 and a practitioner's name, 2 and a gateway's, or 3", take, requester)
    }
}

/// What stands for no missing cover. No cover has the number 0.
const COVERED: [u8; Uncovered::BYTES] = [0; Uncovered::BYTES];

impl RefusedAccess {
    /// Fewest canonical bytes, those of a name of one character.
    pub const BYTES_MIN: usize = 8 + 8 + 31 + 1 + 1 + 1 + Uncovered::BYTES + 4;

    /// Appends canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.position.0.to_be_bytes());
        out.extend(self.time.get().to_be_bytes());
        out.extend(self.digest.0);
        self.requester.write(out);
        out.extend(self.uncovered.map_or(COVERED, Uncovered::to_bytes));
        out.extend(self.count.to_be_bytes());
    }

    /// Reads one from a longer byte string.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<RefusedAccess, DecodeError> {
        let cover = "a missing cover with its own rule";
        let position = Position(reader.u64()?);
        let (time, digest) = (reader.millis()?, Digest(reader.array()?));
        let requester = Requester::read(reader)?;
        let is_question = requester.is_question();
        // Only a question was not refused.
        let uncovered = |bytes| match bytes {
            COVERED => is_question.then_some(None),
            bytes => Uncovered::from_bytes(bytes).map(Some),
        };
        Ok(RefusedAccess {
            position,
            time,
            digest,
            requester,
            uncovered: reader.map(cover, Reader::array, uncovered)?,
            count: reader.map("at least one refusal", Reader::u32, |n| (n > 0).then_some(n))?,
        })
    }
}
