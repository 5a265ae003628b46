//! What was refused in the open window, for the patients whose data was asked for or measured, and
//! what systems asked about them.

use std::collections::BTreeMap;

use model::{DecodeError, PatientIndex, Reader};
use statement::batch::RefusedAccess;

use super::codec::{read_list, read_map, write_count};
use super::consent::read_patient;

/// Most that are listed of a patient, some 130 KB of its opening.
const OF_PATIENT_MAX: usize = 1000;
/// Most questions that are listed of a patient besides, some 350 KB of its opening: whoever may ask
/// must not be able to hide what is refused.
const QUESTIONS_OF_PATIENT_MAX: usize = 1000;
/// Most that are listed of all patients together, some 13 MB of a private file, or 34 MB if all of
/// them are questions, besides the first of each.
const OF_ALL_MAX: usize = 100_000;

/// Lists by patient. Beyond its limits a refusal is counted with the last one listed.
#[derive(Clone, Debug, Default)]
pub(super) struct RefusedAccesses {
    by_patient: BTreeMap<PatientIndex, Vec<RefusedAccess>>,
    listed: usize,
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
        let full = self.listed >= OF_ALL_MAX
            || list.len() >= most && list.iter().filter(|one| is_alike(one)).count() >= most;
        match list.iter_mut().rev().find(|one| full && is_alike(one)) {
            // Nobody can hide a refusal behind a flood of others: every patient's first is listed,
            // and of all the number is right.
            Some(last) => last.count = last.count.saturating_add(refused.count),
            None => {
                list.push(refused);
                self.listed += 1;
            }
        }
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
        let listed = by_patient.values().map(Vec::len).sum();
        Ok(RefusedAccesses { by_patient, listed })
    }

    /// What was taken, by patient.
    pub(super) fn into_lists(self) -> BTreeMap<PatientIndex, Vec<RefusedAccess>> {
        self.by_patient
    }
}

#[cfg(test)]
mod tests {
    use model::{Digest, Millis, Position, PractitionerId, Uncovered};
    use statement::batch::Requester;

    use super::*;

    #[test]
    fn a_flood_is_counted_and_leaves_room_for_every_other_patient() {
        let patient = |index| PatientIndex::new(index).unwrap();
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
