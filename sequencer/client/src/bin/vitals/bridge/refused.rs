//! What the node refused lately is refused without asking it again, for a moment: each refusal uses
//! an epoch of its stream up.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bridge::Cause;
use model::RejectCode;
use wire::StreamKey;

use super::message::Part;
use super::receipts::Slot;
use super::taken::MessageId;

/// How long the node's refusal is repeated without asking it again, and other messages of the
/// stream wait; and most that are remembered.
const REFUSED_FOR: Duration = Duration::from_secs(1);
const REFUSED_MAX: usize = 4096;

/// What was refused: a patient's stream, or one message's frames in it. Another patient of the
/// device may have consented, and another message be of a time that consent covers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Refused {
    slot: Slot,
    patient: u32,
    message: Option<MessageId>,
}

impl Refused {
    fn of(key: &StreamKey, message: Option<MessageId>) -> Refused {
        Refused { slot: Slot::of(key), patient: key.patient.get(), message }
    }
}

/// What was, when and why.
pub(super) struct Refusals {
    lately: Mutex<BTreeMap<Refused, (Instant, RejectCode)>>,
    pub(super) repeated_for: Duration,
}

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals { lately: Mutex::default(), repeated_for: REFUSED_FOR }
    }
}

impl Refusals {
    /// What is said of a part without asking the node: it refused the part's message, or another
    /// one of its stream, which waits then.
    pub(super) fn find(&self, part: &Part) -> Option<Cause> {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, (at, _)| at.elapsed() < self.repeated_for);
        let own = part.members.iter().map(|member| Some(member.id));
        let mut found = own.chain([None]).map(|id| lately.get(&Refused::of(&part.key, id)));
        if let Some((_, code)) = found.find_map(|one| one) {
            return Some(Cause::Node(*code));
        }
        let stream = Refused::of(&part.key, None);
        let is_same = |one: &Refused| one.slot == stream.slot && one.patient == stream.patient;
        let first = lately.range(&stream..).next();
        first.is_some_and(|(one, _)| is_same(one)).then_some(Cause::Busy)
    }

    /// The node refused a message's frames, or the stream itself.
    pub(super) fn note(&self, key: &StreamKey, message: Option<MessageId>, code: RejectCode) {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        // Beyond, the node is asked again.
        if lately.len() < REFUSED_MAX {
            lately.insert(Refused::of(key, message), (Instant::now(), code));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::super::message::Message;
    use super::super::message::tests::heart_rate;
    use super::*;

    fn part(patient: u32, name: u8) -> Part {
        let (id, content) = (MessageId([name; 16]), Content([name; 16]));
        let message = Message::single(id, content, vec![heart_rate(patient, 720)]);
        Part::of(&message).unwrap().remove(0)
    }

    #[test]
    fn the_refusal_of_one_patient_is_not_that_of_the_next_on_the_device() {
        let refusals = Refusals::default();
        let parts = [7, 8].map(|patient| part(patient, 1));
        refusals.note(&parts[0].key, None, RejectCode::NotPermitted);
        let found = parts.map(|part| refusals.find(&part));
        assert_eq!(found, [Some(Cause::Node(RejectCode::NotPermitted)), None]);
    }

    #[test]
    fn behind_the_refusal_of_one_message_the_next_is_not_refused_and_waits() {
        let refusals = Refusals::default();
        let parts = [1, 2].map(|name| part(7, name));
        let first = Some(MessageId([1; 16]));
        refusals.note(&parts[0].key, first, RejectCode::NotPermitted);
        let found = parts.map(|part| refusals.find(&part));
        assert_eq!(found, [Some(Cause::Node(RejectCode::NotPermitted)), Some(Cause::Busy)]);
    }
}
