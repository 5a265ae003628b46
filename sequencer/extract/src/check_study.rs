//! Checks a data set against its proofs, row by row.

use std::collections::BTreeMap;

use model::{Millis, PatientIndex, Purpose, signal_by_name};
use statement::scope::{self, ActorKind};

use crate::check::{Expected, RECORD_BYTES_MAX, UsedHeader};
use crate::claims::{SoundClaims, StudyClaim};
use crate::fault::Fault;
use crate::proof::SoundHeader;
use crate::rows::{BLOCK_ROWS, ROWS_HEADER, RowsRoot};
use crate::study::{
    Cover, DataHead, PROOFS_SCHEMA, Participant, ProofHead, ProofLine, STUDY_SCHEMA, covers_device,
    covers_reading, is_of_study, pseudonym,
};
use crate::text::Hex;

/// A data set whose every reading is covered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckedStudy {
    /// Readings.
    pub rows: u64,
    /// Participants.
    pub participants: u64,
    /// Claims that cover them.
    pub claims: u64,
    /// The root, which a publication names.
    pub root: [u8; 32],
    /// The headers that claims were held against; lines are those of the proofs.
    pub headers: Vec<UsedHeader>,
}

/// Checks the root of a data set, and with it every byte of it.
///
/// # Errors
/// [`Fault`] that names the line.
fn read_data(text: &str) -> Result<(DataHead, Vec<&str>), Fault> {
    if text.len() > RECORD_BYTES_MAX {
        let most = format!("at most {RECORD_BYTES_MAX} bytes");
        return Err(Fault::new(0, "length", most, text.len().to_string()));
    }
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let head: DataHead = serde_json::from_str(first)
        .map_err(|_| Fault::new(1, "form", "the head of a data set", "something else"))?;
    let bare = DataHead { root: Hex([0; 32]), ..head.clone() };
    let [exact, bare] = [&head, &bare].map(|head| serde_json::to_string(head).unwrap_or_default());
    let known = head.schema == STUDY_SCHEMA && head.block_rows == BLOCK_ROWS && exact == first;
    if !known || lines.next() != Some(ROWS_HEADER) {
        let expected = format!("schema {STUDY_SCHEMA} with its columns");
        return Err(Fault::new(1, "form", expected, "another"));
    }
    let rows: Vec<_> = lines.collect();
    Fault::count(1, "rows", [head.rows, rows.len() as u64])?;
    let mut root = RowsRoot::new(&bare);
    rows.iter().for_each(|row| root.take(row));
    let ends = text.ends_with('\n') && !text.contains('\r');
    if root.conclude() != head.root.0 || !ends {
        let found = "another: a row was changed, removed, added or moved";
        return Err(Fault::new(1, "root", "the root over the rows", found));
    }
    Ok((head, rows))
}

/// Checks that each reading of a set is covered by a claim that was proven covered, of the study's
/// practitioner, purpose, category and time, and of the patient whose pseudonym it is under.
///
/// # Errors
/// [`Fault`] that names the line of the set, or of the proofs.
pub fn check_study(data: &str, proofs: &str, of: &Expected) -> Result<CheckedStudy, Fault> {
    let (head, rows) = read_data(data)?;
    let proofs = Proofs::read(proofs, of)?;
    if proofs.head.root != head.root {
        return Err(Fault::new(1, "root", "proofs of this data set", "those of another"));
    }
    let purpose = Purpose::from_name(&head.purpose)
        .map_err(|_| Fault::new(1, "purpose", "a known purpose", "another"))?;
    proofs.check_pseudonyms(&head, of)?;
    let word = scope::actor(ActorKind::Practitioner, &proofs.head.practitioner);
    let mut next = 0_u64;
    for (line, cover) in &proofs.covers {
        let claim = proofs.sound.claims.get(cover.claim);
        let device = scope::actor(ActorKind::Device, &cover.device);
        let permits =
            |claim: &&StudyClaim| is_of_study(claim, word, purpose) && covers_device(claim, device);
        let claim = claim.filter(permits).ok_or_else(|| {
            let expected = "a covered access of the study's practitioner, purpose and device";
            Fault::new(*line, "claim", expected, "another")
        })?;
        let end = cover.first.checked_add(cover.rows).filter(|end| *end <= head.rows);
        let (true, Some(end)) = (cover.first == next && cover.rows > 0, end) else {
            return Err(Fault::new(*line, "rows", "the rows behind those before", "others"));
        };
        for number in cover.first..end {
            let row = rows[number as usize];
            let holds = proofs.row(row, &head).is_some_and(|found| {
                claim.claim.patient.get() == found.patient
                    && covers_reading(claim, found.signal, found.at)
            });
            if !holds {
                // The head and the columns stand before the first row.
                let expected = "a reading that its claim covers, of its patient, category and time";
                return Err(Fault::new(number as usize + 3, "reading", expected, "another"));
            }
        }
        next = end;
    }
    Fault::count(0, "rows that a claim covers", [head.rows, next])?;
    Ok(CheckedStudy {
        rows: head.rows,
        participants: head.participants,
        claims: proofs.sound.claims.len() as u64,
        root: head.root.0,
        headers: proofs.sound.headers,
    })
}

/// Whose reading a row is, of what and of when.
struct FoundReading {
    patient: u32,
    signal: &'static model::Signal,
    at: Millis,
}

/// The lines of the proofs.
struct Proofs {
    head: ProofHead,
    participants: BTreeMap<String, (usize, Participant)>,
    sound: SoundClaims,
    covers: Vec<(usize, Cover)>,
}

impl Proofs {
    fn read(text: &str, of: &Expected) -> Result<Proofs, Fault> {
        if text.len() > RECORD_BYTES_MAX {
            let most = format!("at most {RECORD_BYTES_MAX} bytes");
            return Err(Fault::new(0, "length", most, text.len().to_string()));
        }
        let mut lines = text.lines().zip(1_usize..);
        let parse = |line: &str, number| {
            serde_json::from_str::<ProofLine>(line)
                .map_err(|_| Fault::new(number, "form", "a line of proofs", "something else"))
        };
        let head = lines.next().map(|(line, number)| parse(line, number)).transpose()?;
        let Some(ProofLine::Head(head)) = head else {
            return Err(Fault::new(1, "form", "the head of proofs", "another line"));
        };
        let is_ours = head.chain_id == of.scope.chain_id
            && head.settlement.0 == of.scope.contract
            && head.fingerprint == of.fingerprint;
        if head.schema != PROOFS_SCHEMA || !is_ours {
            return Err(Fault::new(1, "deployment", "proofs of this deployment", "others"));
        }
        let mut proofs = Proofs {
            head,
            participants: BTreeMap::new(),
            sound: SoundClaims::default(),
            covers: Vec::new(),
        };
        let mut batch = None;
        for (line, number) in lines {
            proofs.take(number, parse(line, number)?, &mut batch, of)?;
        }
        Ok(proofs)
    }

    fn take(
        &mut self,
        number: usize,
        line: ProofLine,
        batch: &mut Option<SoundHeader>,
        of: &Expected,
    ) -> Result<(), Fault> {
        match line {
            ProofLine::Head(_) => Err(Fault::new(number, "kind", "one head", "a second one")),
            ProofLine::Participant(one) => {
                let name = one.participant.clone();
                match self.participants.insert(name, (number, one)) {
                    None => Ok(()),
                    Some(_) => Err(Fault::new(number, "participant", "each once", "one twice")),
                }
            }
            ProofLine::Batch { batch: says, proof } => {
                *batch = Some(self.sound.add_batch(number, says, proof)?);
                Ok(())
            }
            ProofLine::Claim { batch: says, proof } => {
                let header = batch.as_ref().filter(|sound| sound.header.number.0 == says);
                self.sound.add_claim((number, says), header, *proof, of)
            }
            ProofLine::Cover(cover) => {
                self.covers.push((number, cover));
                Ok(())
            }
        }
    }

    fn check_pseudonyms(&self, head: &DataHead, of: &Expected) -> Result<(), Fault> {
        Fault::count(1, "participants", [head.participants, self.participants.len() as u64])?;
        for (name, (line, one)) in &self.participants {
            let own = PatientIndex::new(one.patient)
                .map(|patient| pseudonym(&self.head.key.0, &head.study, of.scope, patient));
            if own.as_ref() != Ok(name) {
                let expected = "the pseudonym that the study's key gives its patient";
                return Err(Fault::new(*line, "participant", expected, "another"));
            }
        }
        Ok(())
    }

    /// The reading of a row; none of a row of another form, or of a category
    /// that the set does not name.
    fn row(&self, row: &str, head: &DataHead) -> Option<FoundReading> {
        let fields: Vec<_> = row.split(',').collect();
        let [participant, signal, time, _, unit] = fields[..] else { return None };
        let signal = signal_by_name(signal).ok().filter(|one| one.unit == unit)?;
        let named = head.categories.iter().any(|name| name == signal.category.name());
        let (_, participant) = self.participants.get(participant).filter(|_| named)?;
        let at = participant.zero.checked_add(time.parse().ok()?)?;
        Some(FoundReading { patient: participant.patient, signal, at: Millis::new(at).ok()? })
    }
}
