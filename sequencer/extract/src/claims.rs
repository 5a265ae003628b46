//! The claims of one reader, opened to that reader: whoever has the openings (the operator, or a
//! patient) writes them, and no line has a view key or says anything of another reader.

use std::collections::BTreeMap;

use model::{Claim, Purpose};
use serde::{Deserialize, Serialize};
use statement::batch::{PatientOpening, PublicFile};
use statement::scope::{self, ActorKind};

use crate::check::{Expected, RECORD_BYTES_MAX, UsedHeader};
use crate::fault::{ExtractError, Fault};
use crate::lines;
use crate::proof::{BatchProof, ClaimProof, SoundHeader};
use crate::text::Hex;

/// Name and version of the format.
pub const CLAIMS_SCHEMA: &str = "vitals-claims-1";

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
enum ClaimsLine {
    Head { schema: String, chain_id: u64, settlement: Hex<[u8; 20]>, fingerprint: String },
    Batch { batch: u64, proof: BatchProof },
    Claim { batch: u64, proof: Box<ClaimProof> },
}

/// Whose claims are opened, and for which purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reader {
    /// The practitioner, as registered.
    pub practitioner: String,
    /// Why it was read.
    pub purpose: Purpose,
}

/// Claims that are being written.
pub struct ClaimsWriter {
    reader: Reader,
    text: String,
    claims: u64,
}

/// A claim that was found to be the one its batch committed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StudyClaim {
    /// Which batch.
    pub batch: u64,
    /// The claim.
    pub claim: Claim,
    /// What opens it.
    pub proof: ClaimProof,
}

/// Claims with the headers that they were held against.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SoundClaims {
    /// In the order of the file.
    pub claims: Vec<StudyClaim>,
    /// The headers with their roots.
    pub batches: BTreeMap<u64, BatchProof>,
    /// Whoever knows the chain compares them.
    pub headers: Vec<UsedHeader>,
}

impl ClaimsWriter {
    /// No claims yet.
    ///
    /// # Errors
    /// [`ExtractError::Line`].
    pub fn new(of: &Expected, reader: Reader) -> Result<ClaimsWriter, ExtractError> {
        let mut writer = ClaimsWriter { reader, text: String::new(), claims: 0 };
        writer.put(&ClaimsLine::Head {
            schema: CLAIMS_SCHEMA.to_owned(),
            chain_id: of.scope.chain_id,
            settlement: Hex(of.scope.contract),
            fingerprint: of.fingerprint.clone(),
        })?;
        Ok(writer)
    }

    /// Adds the reader's claims of one batch, of every patient whose opening is given; batches by
    /// ascending number. What is given was checked.
    ///
    /// # Errors
    /// [`ExtractError`] if file and openings are not of each other.
    pub fn add(
        &mut self,
        public: &PublicFile,
        openings: &[PatientOpening],
    ) -> Result<(), ExtractError> {
        let batch = public.header.number.0;
        let word = scope::actor(ActorKind::Practitioner, &self.reader.practitioner);
        let purpose = self.reader.purpose;
        let own = |claim: &Claim| claim.individual == word && claim.purpose == purpose;
        let claims = openings.iter().flat_map(|opening| &opening.claims);
        let mut claims: Vec<_> = claims.filter(|one| own(&one.claim)).collect();
        claims.sort_by_key(|one| one.claim.position);
        if claims.is_empty() {
            return Ok(());
        }
        self.put(&ClaimsLine::Batch { batch, proof: BatchProof::of(public) })?;
        for one in claims {
            let proof = Box::new(ClaimProof::of(public, one)?);
            self.put(&ClaimsLine::Claim { batch, proof })?;
            self.claims += 1;
        }
        Ok(())
    }

    /// How many claims there are.
    pub fn len(&self) -> u64 {
        self.claims
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.claims == 0
    }

    /// The file.
    pub fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, line: &ClaimsLine) -> Result<(), ExtractError> {
        let text = serde_json::to_string(line);
        self.text += &text.map_err(|error| ExtractError::Line(error.to_string()))?;
        self.text.push('\n');
        Ok(())
    }
}

/// Reads claims that were opened to a reader, each held against the header of its batch.
///
/// # Errors
/// [`Fault`] that names the line.
pub fn read_claims(text: &str, expected: &Expected) -> Result<SoundClaims, Fault> {
    if text.len() > RECORD_BYTES_MAX {
        let most = format!("at most {RECORD_BYTES_MAX} bytes");
        return Err(Fault::new(0, "length", most, text.len().to_string()));
    }
    let mut found = SoundClaims::default();
    let mut batch: Option<SoundHeader> = None;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        match lines::read_exact(line, number, "a line of opened claims")? {
            ClaimsLine::Head { schema, chain_id, settlement, fingerprint } => {
                let of =
                    [expected.scope.chain_id == chain_id, expected.scope.contract == settlement.0];
                let is_ours = of == [true; 2] && fingerprint == expected.fingerprint;
                if number != 1 || schema != CLAIMS_SCHEMA || !is_ours {
                    let wanted = "claims of this deployment, named once";
                    return Err(Fault::new(number, "head", wanted, "others"));
                }
            }
            _ if number == 1 => return Err(Fault::new(1, "head", "a head", "another line")),
            ClaimsLine::Batch { batch: says, proof } => {
                batch = Some(found.add_batch(number, says, proof)?);
            }
            ClaimsLine::Claim { batch: says, proof } => {
                let header = batch.as_ref().filter(|sound| sound.header.number.0 == says);
                found.add_claim((number, says), header, *proof, expected)?;
            }
        }
    }
    Ok(found)
}

impl SoundClaims {
    /// Adds what another participant opened. Batches of one number have to be of one header, which
    /// whoever knows the chain compares: [`SoundClaims::headers`] keeps both.
    pub fn merge(&mut self, other: SoundClaims) {
        self.claims.extend(other.claims);
        self.batches.extend(other.batches);
        self.headers.extend(other.headers);
        self.claims.sort_by_key(|one| (one.batch, one.claim.position, one.claim.patient));
    }

    pub(crate) fn add_batch(
        &mut self,
        line: usize,
        batch: u64,
        proof: BatchProof,
    ) -> Result<SoundHeader, Fault> {
        let sound = proof.check();
        let sound =
            sound.map_err(|part| Fault::new(line, part, "what its header is over", "others"))?;
        if sound.header.number.0 != batch || self.batches.insert(batch, proof).is_some() {
            return Err(Fault::new(line, "batch", "each batch once, by its number", "another"));
        }
        let hash = scope::header_hash(&sound.header);
        self.headers.push(UsedHeader { line, batch, hash, transaction: None });
        Ok(sound)
    }

    pub(crate) fn add_claim(
        &mut self,
        (line, batch): (usize, u64),
        header: Option<&SoundHeader>,
        proof: ClaimProof,
        of: &Expected,
    ) -> Result<(), Fault> {
        let header =
            header.ok_or_else(|| Fault::new(line, "batch", "its batch before it", "none"))?;
        let sound = proof.check(header, of.scope);
        let sound = sound.map_err(|part| {
            Fault::new(line, part, "what the batch committed to", "another: the line was changed")
        })?;
        self.claims.push(StudyClaim { batch, claim: sound.claim, proof });
        Ok(())
    }
}
