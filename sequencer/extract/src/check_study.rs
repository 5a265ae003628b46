//! Checks a data set against its proofs, row by row.

use std::collections::{BTreeMap, BTreeSet};

use model::{Millis, PatientIndex, Purpose, signal_by_name, whole_number};
use statement::scope::{self, ActorKind};

use crate::check::{Expected, RECORD_BYTES_MAX, UsedHeader};
use crate::claims::{SoundClaims, StudyClaim};
use crate::fault::Fault;
use crate::lines;
use crate::proof::SoundHeader;
use crate::rows::{BLOCK_ROWS, ROWS_HEADER, RowsRoot};
use crate::study::{
    Cover, DataHead, PROOFS_SCHEMA, Participant, ProofHead, ProofLine, STUDY_READINGS_MAX,
    STUDY_SCHEMA, Times, clocks, covers_device, covers_reading, is_number, is_of_study, pseudonym,
};
use crate::text::Hex;

/// A data set whose every reading is covered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckedStudy {
    /// Its name, as the set says.
    pub study: String,
    /// Whose accesses the claims are, as the proofs say: each claim has that name's word.
    pub practitioner: String,
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
    lines::check_length(1, first)?;
    let head: DataHead = serde_json::from_str(first)
        .map_err(|_| Fault::new(1, "form", "the head of a data set", "something else"))?;
    let bare = DataHead { root: Hex([0; 32]), ..head.clone() };
    let [exact, bare] = [&head, &bare].map(|head| serde_json::to_string(head).unwrap_or_default());
    let known = head.schema == STUDY_SCHEMA && head.block_rows == BLOCK_ROWS && exact == first;
    if !known || lines.next() != Some(ROWS_HEADER) {
        let expected = format!("schema {STUDY_SCHEMA} with its columns");
        return Err(Fault::new(1, "form", expected, "another"));
    }
    let counted = lines.clone().count() as u64;
    Fault::count(1, "rows", [head.rows, counted])?;
    // A row may be as short as its end, and what points to it is not.
    if counted > STUDY_READINGS_MAX as u64 {
        let most = format!("at most {STUDY_READINGS_MAX} rows");
        return Err(Fault::new(1, "rows", most, counted.to_string()));
    }
    let rows: Vec<_> = lines.collect();
    let mut root = RowsRoot::new(&bare);
    rows.iter().for_each(|row| root.take(row));
    let ends = text.ends_with('\n') && !text.contains('\r');
    if root.conclude() != head.root.0 || !ends {
        let found = "another: a row was changed, removed, added or moved";
        return Err(Fault::new(1, "root", "the root over the rows", found));
    }
    Ok((head, rows))
}

/// Checks that each reading of a set is covered by a claim that was proven covered, an access of
/// the study's practitioner for research, of its category and time, and of the patient whose
/// pseudonym it is under; and that its times count from what the set says that they count from.
///
/// # Errors
/// [`Fault`] that names the line of the set, or of the proofs.
pub fn check_study(data: &str, proofs: &str, of: &Expected) -> Result<CheckedStudy, Fault> {
    let (head, rows) = read_data(data)?;
    let proofs = Proofs::read(proofs, of)?;
    if proofs.head.root != head.root {
        return Err(Fault::new(1, "root", "proofs of this data set", "those of another"));
    }
    // Whoever permits treatment permits no study.
    let purpose = Purpose::Research;
    if head.purpose != purpose.name() {
        return Err(Fault::new(1, "purpose", purpose.name(), "another"));
    }
    proofs.check_pseudonyms(&head, of)?;
    let word = scope::actor(ActorKind::Practitioner, &proofs.head.practitioner);
    let mut next = 0_u64;
    let mut first_times = BTreeMap::new();
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
            let covered = |found: &FoundReading<'_>| {
                claim.claim.patient.get() == found.patient
                    && covers_reading(claim, found.signal, found.at)
            };
            let found = proofs.row(row, &head).filter(covered).ok_or_else(|| {
                // The head and the columns stand before the first row.
                let expected = "a reading that its claim covers, of its patient, category and time";
                Fault::new(number as usize + 3, "reading", expected, "another")
            })?;
            let first = first_times.entry(found.participant).or_insert(found.time);
            *first = found.time.min(*first);
        }
        next = end;
    }
    Fault::count(0, "rows that a claim covers", [head.rows, next])?;
    proofs.check_all_are_used()?;
    check_times(head.times, &proofs.participants, &first_times)?;
    proofs.check_clocks(&head)?;
    Ok(CheckedStudy {
        study: head.study,
        practitioner: proofs.head.practitioner,
        rows: head.rows,
        participants: head.participants,
        claims: proofs.sound.claims.len() as u64,
        root: head.root.0,
        headers: proofs.sound.headers,
    })
}

/// What times count from is what the set says: the head alone says whether they are a calendar's,
/// and a participant's clock is their first reading. One of whom there is no reading is nobody.
fn check_times(
    times: Times,
    participants: &BTreeMap<String, (usize, Participant)>,
    first_times: &BTreeMap<&str, u64>,
) -> Result<(), Fault> {
    for (name, (line, one)) in participants {
        let Some(first) = first_times.get(name.as_str()) else {
            return Err(Fault::new(*line, "participant", "a reading of each", "none of one"));
        };
        let (holds, expected) = match times {
            Times::Absolute => (one.zero == Millis::from_unix_ms(0).get(), "times since 1970"),
            Times::Relative => (*first == 0, "times since the participant's first reading"),
        };
        if !holds {
            return Err(Fault::new(*line, "times", expected, "others"));
        }
    }
    Ok(())
}

/// Whose reading a row is, of what and of when.
struct FoundReading<'a> {
    participant: &'a str,
    /// As it stands in the row.
    time: u64,
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
        let mut lines = text.split_inclusive('\n').zip(1_usize..);
        let parse =
            |line: &str, number| lines::read_exact::<ProofLine>(line, number, "a line of proofs");
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

    /// What covers no row is nobody's business, and it would be counted among what does: a claim
    /// of another study, or one that was excluded.
    fn check_all_are_used(&self) -> Result<(), Fault> {
        let used: BTreeSet<_> = self.covers.iter().map(|(_, cover)| cover.claim).collect();
        let SoundClaims { claims, batches, .. } = &self.sound;
        Fault::count(0, "claims that cover a row", [claims.len() as u64, used.len() as u64])?;
        let of: BTreeSet<_> = claims.iter().map(|claim| claim.batch).collect();
        Fault::count(0, "batches that have a claim", [batches.len() as u64, of.len() as u64])
    }

    /// Times could be moved within what claims cover, and every row would be covered still.
    fn check_clocks(&self, head: &DataHead) -> Result<(), Fault> {
        // By pseudonym, as the set was made.
        let zeros = self.participants.iter().map(|(name, (_, one))| (name.as_str(), one.zero));
        if clocks(&self.head.key.0, zeros) == head.clocks.0 {
            return Ok(());
        }
        let expected = "the first times of participants that the set was made with";
        Err(Fault::new(1, "clocks", expected, "others"))
    }

    /// The reading of a row; none of a row of another form, or of a category
    /// that the set does not name.
    fn row<'a>(&self, row: &'a str, head: &DataHead) -> Option<FoundReading<'a>> {
        let fields: Vec<_> = row.split(',').collect();
        let [name, signal, time, value, unit] = fields[..] else { return None };
        // Text would tell what no column is for.
        if !(value.is_empty() || is_number(value)) {
            return None;
        }
        let signal = signal_by_name(signal).ok().filter(|one| one.unit == unit)?;
        let named = head.categories.iter().any(|name| name == signal.category.name());
        let (_, participant) = self.participants.get(name).filter(|_| named)?;
        // One text each: a sign or a zero before it would make another row of the same reading.
        let time = whole_number(time)?;
        let at = Millis::new(participant.zero.checked_add(time)?).ok()?;
        let patient = participant.patient;
        Some(FoundReading { participant: name, time, patient, signal, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "p-00";
    const AT: u64 = 4_000_000_000_000;

    fn participants(zero: u64) -> BTreeMap<String, (usize, Participant)> {
        let one = Participant { participant: NAME.to_owned(), patient: 12, zero };
        [(NAME.to_owned(), (2, one))].into()
    }

    fn part(times: Times, zero: u64, first: Option<u64>) -> Option<&'static str> {
        let firsts = first.map(|first| (NAME, first)).into_iter().collect();
        check_times(times, &participants(zero), &firsts).err().map(|fault| fault.part)
    }

    #[test]
    fn times_count_from_what_the_set_says_they_count_from() {
        let epoch = Millis::from_unix_ms(0).get();
        assert_eq!(part(Times::Absolute, epoch, Some(AT - epoch)), None);
        assert_eq!(part(Times::Relative, AT, Some(0)), None);
        // A clock under the word relative, and days of whoever made the set under absolute.
        assert_eq!(part(Times::Relative, epoch, Some(AT - epoch)), Some("times"));
        assert_eq!(part(Times::Absolute, AT, Some(0)), Some("times"));
        assert_eq!(part(Times::Absolute, epoch + 1, Some(AT - epoch)), Some("times"));
    }

    #[test]
    fn a_participant_without_a_reading_is_named() {
        assert_eq!(part(Times::Relative, AT, None), Some("participant"));
        assert_eq!(part(Times::Absolute, Millis::from_unix_ms(0).get(), None), Some("participant"));
    }

    fn head(rows: usize) -> DataHead {
        DataHead {
            schema: STUDY_SCHEMA.to_owned(),
            study: "hrv".to_owned(),
            purpose: "research".to_owned(),
            categories: vec!["ecg".to_owned()],
            times: Times::Relative,
            participants: 1,
            rows: rows as u64,
            block_rows: BLOCK_ROWS,
            clocks: Hex([0; 32]),
            root: Hex([0; 32]),
        }
    }

    #[test]
    fn a_set_of_more_rows_than_any_has_is_refused_before_they_are_hashed() {
        let expected = |rows: usize| {
            let first = serde_json::to_string(&head(rows)).unwrap();
            let text = format!("{first}\n{ROWS_HEADER}\n{}", "\n".repeat(rows));
            read_data(&text).unwrap_err().expected
        };
        assert!(expected(1).contains("root"));
        for beyond in [1, 9] {
            let found = expected(STUDY_READINGS_MAX + beyond);
            assert_eq!(found, format!("at most {STUDY_READINGS_MAX} rows"));
        }
    }

    #[test]
    fn a_value_is_a_number_or_nothing_and_a_time_has_one_text() {
        let head = head(1);
        let proofs = Proofs {
            head: ProofHead {
                schema: PROOFS_SCHEMA.to_owned(),
                chain_id: 5,
                settlement: Hex([6; 20]),
                fingerprint: String::new(),
                practitioner: "dr-study".to_owned(),
                root: Hex([0; 32]),
                key: Hex([5; 32]),
            },
            participants: participants(AT),
            sound: SoundClaims::default(),
            covers: Vec::new(),
        };
        let reads = |value: &str| {
            let row = format!("{NAME},ecg,0,{value},uV");
            proofs.row(&row, &head).is_some()
        };
        assert!(["", "0", "-12", "97.00"].into_iter().all(reads));
        for other in ["Anna", ".", "-", "1.2.3", "1e5", " 1", "off", "12345678901234567"] {
            assert!(!reads(other), "{other}");
        }
        for other in ["+0", "00", " 0", "-0", ""] {
            assert!(proofs.row(&format!("{NAME},ecg,{other},1,uV"), &head).is_none(), "{other}");
        }
    }
}
