//! What was refused in the open window, for the patients whose data was asked for or measured, and
//! what systems asked about them.

use std::collections::BTreeMap;

use model::{DecodeError, PatientIndex, Reader, limits};
use statement::batch::RefusedAccess;

use super::codec::{read_list, read_map, write_count};
use super::consent::read_patient;

/// Most that are listed of a patient, some 130 KB of its opening.
const OF_PATIENT_MAX: usize = 1000;
/// Most questions that are listed of a patient besides, some 350 KB of its opening: whoever may ask
/// must not be able to hide what is refused.
const QUESTIONS_OF_PATIENT_MAX: usize = 1000;
/// Most refusals that are listed of all patients together besides the first of each, and most
/// questions: two numbers, for the same reason. The window closes before its private file is too
/// long (`must_close_before`), so that these bound one patient's share and memory.
const OF_ALL_MAX: usize = 100_000;
/// Most bytes of a refusal in an opening, and of a question: names have at most 64.
const REFUSAL_BYTES: usize = 200;
const QUESTION_BYTES: usize = 400;

/// Lists by patient. Beyond its limits a refusal is counted with the last one listed.
#[derive(Clone, Debug, Default)]
pub(super) struct RefusedAccesses {
    by_patient: BTreeMap<PatientIndex, Vec<RefusedAccess>>,
    refusals: usize,
    questions: usize,
}

impl RefusedAccesses {
    /// Takes one, in the order of the journal.
    pub(super) fn push(&mut self, patient: PatientIndex, refused: RefusedAccess) {
        let list = self.by_patient.entry(patient).or_default();
        let is_question = refused.requester.is_question();
        let is_alike = |one: &RefusedAccess| one.requester.is_question() == is_question;
        let most = if is_question { QUESTIONS_OF_PATIENT_MAX } else { OF_PATIENT_MAX };
        // The total is looked at first: below both limits, which is nearly always, nothing is
        // counted.
        let listed = if is_question { &mut self.questions } else { &mut self.refusals };
        let full = *listed >= OF_ALL_MAX
            || list.len() >= most && list.iter().filter(|one| is_alike(one)).count() >= most;
        match list.iter_mut().rev().find(|one| full && is_alike(one)) {
            // Nobody can hide a refusal behind a flood of others: every patient's first is listed,
            // and of all the number is right.
            Some(last) => last.count = last.count.saturating_add(refused.count),
            None => {
                list.push(refused);
                *listed += 1;
            }
        }
    }

    /// Most bytes that all of it adds to a private file: each patient may have its opening for
    /// nothing else.
    pub(super) fn private_bytes(&self) -> usize {
        self.by_patient.len() * limits::OPENING_BYTES
            + self.refusals * REFUSAL_BYTES
            + self.questions * QUESTION_BYTES
    }

    /// Canonical bytes: each patient with its list.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_count(self.by_patient.len(), out);
        for (patient, list) in &self.by_patient {
            out.extend(patient.get().to_be_bytes());
            write_count(list.len(), out);
            list.iter().for_each(|refused| refused.write(out));
        }
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(super) fn read(from: &mut Reader<'_>) -> Result<RefusedAccesses, DecodeError> {
        let by_patient = read_map(8 + RefusedAccess::BYTES_MIN, from, |from| {
            let (patient, offset) = (read_patient(from)?, from.offset());
            let list = read_list(RefusedAccess::BYTES_MIN, from, RefusedAccess::read)?;
            if list.is_empty() {
                return Err(DecodeError::Field { offset, expected: "at least one refusal" });
            }
            Ok((patient, list))
        })?;
        let all = by_patient.values().flatten();
        let questions = all.clone().filter(|one| one.requester.is_question()).count();
        let refusals = all.count() - questions;
        Ok(RefusedAccesses { by_patient, refusals, questions })
    }

    /// What was taken, by patient.
    pub(super) fn into_lists(self) -> BTreeMap<PatientIndex, Vec<RefusedAccess>> {
        self.by_patient
    }
}

#[cfg(test)]
mod tests {
    use model::{
        BatchNumber, Categories, Claim, ClaimKind, Digest, Interval, Label, Millis, OrganisationId,
        Party, Position, PractitionerId, Purpose, Record, Uncovered, Word,
    };
    use statement::batch::{PatientOpening, PrivateFile, Requester, SealScope};

    use super::*;

    fn patient(index: u32) -> PatientIndex {
        PatientIndex::new(index).unwrap()
    }

    /// A question or a refusal of the longest name.
    fn longest(position: u64, is_question: bool) -> RefusedAccess {
        let (position, time, digest) =
            (Position(position), Millis::new(position).unwrap(), Digest([1; 31]));
        let name = "n".repeat(64);
        let requester = match is_question {
            false => Requester::Practitioner(PractitionerId::new(&name).unwrap()),
            true => {
                let claim = Box::new(Claim {
                    patient: patient(1),
                    kind: ClaimKind::Access,
                    individual: Word::ZERO,
                    organisation: Word::ZERO,
                    care_team: Word::ZERO,
                    source: Party::Any,
                    categories: Categories::ALL,
                    purpose: Purpose::Treatment,
                    labels: Label::Normal.only(),
                    receipt: Interval::instant(time),
                    measured: Interval::instant(time),
                    position,
                    digest,
                });
                Requester::System { organisation: OrganisationId::new(&name).unwrap(), claim }
            }
        };
        let uncovered = Some(Uncovered::Closed);
        RefusedAccess { position, time, digest, requester, uncovered, count: 1 }
    }

    /// The private file of these alone, as it is sealed.
    fn private_file(all: RefusedAccesses) -> usize {
        let scope = model::ChainScope { chain_id: 1, contract: [7; 20] };
        let scope = SealScope { scope, batch: BatchNumber(1), root_out: Word::ZERO };
        let opening = |(patient, refused)| PatientOpening {
            batch: BatchNumber(1),
            patient,
            record: Record::enrolled(Word::ZERO, Word::from_u64(1), Word::ZERO),
            path: [[Word::ZERO; 8]; 8],
            claims: Vec::new(),
            operations: Vec::new(),
            refused,
        };
        let openings: Vec<_> = all.into_lists().into_iter().map(opening).collect();
        PrivateFile::seal(&scope, &openings).to_bytes().len()
    }

    #[test]
    fn a_private_file_is_no_longer_than_is_counted_of_it() {
        // One patient asked about so often that lists matter, and many once, as a ward's list is.
        for (patients, each) in [(1, 1), (1, 2), (1, 700), (40, 1), (40, 2), (7, 90)] {
            for is_question in [false, true] {
                let mut all = RefusedAccesses::default();
                for index in 0..patients {
                    (0..each).for_each(|at| all.push(patient(index), longest(at, is_question)));
                }
                let counted = all.private_bytes();
                let found = private_file(all);
                assert!(found <= counted + 12, "{patients} {each}: {found} above {counted}");
            }
        }
    }

    #[test]
    fn questions_that_fill_their_number_leave_that_of_refusals_alone() {
        let mut all = RefusedAccesses::default();
        for index in 0..101 {
            (0..1000).for_each(|at| all.push(patient(index), longest(at, true)));
        }
        (1000..1003).for_each(|at| all.push(patient(1), longest(at, false)));
        let mut bytes = Vec::new();
        all.write(&mut bytes);
        let read = RefusedAccesses::read(&mut Reader::new(&bytes)).unwrap();
        for mut all in [all, read] {
            // The last patient's first one is listed although the number is full.
            assert_eq!((all.questions, all.refusals), (OF_ALL_MAX + 1, 3));
            all.push(patient(1), longest(1003, false));
            let listed = &all.into_lists()[&patient(1)];
            assert_eq!(listed.iter().filter(|one| !one.requester.is_question()).count(), 4);
        }
    }

    #[test]
    fn a_flood_is_counted_and_leaves_room_for_every_other_patient() {
        let refused = |position| RefusedAccess {
            position: Position(position),
            time: Millis::new(position).unwrap(),
            digest: Digest([1; 31]),
            requester: Requester::Practitioner(PractitionerId::new("dr").unwrap()),
            uncovered: Some(Uncovered::Closed),
            count: 1,
        };
        let mut all = RefusedAccesses::default();
        (1..=5000).for_each(|position| all.push(patient(1), refused(position)));
        all.push(patient(2), refused(6000));
        let lists = all.into_lists();
        assert_eq!(lists[&patient(1)].len(), OF_PATIENT_MAX);
        let counted: u32 = lists[&patient(1)].iter().map(|one| one.count).sum();
        assert_eq!((counted, lists[&patient(2)].len()), (5000, 1));
    }
}
