//! Operations, requests to read and questions that wait for their end on this connection.

use std::collections::BTreeMap;

use model::Digest;

use super::event::{ClientError, ClientEvent, Violation};
use crate::{
    AccessAnswer, AccessItem, NamesAnswer, OperationItem, ReleaseEnd, Released, RequestId,
};

pub(super) struct Requests {
    limit: usize,
    next: u64,
    pending: BTreeMap<RequestId, Pending>,
}

enum Pending {
    /// An operation with this digest.
    Operation(Digest),
    Access(Access),
    /// A question about so many names.
    Names(usize),
    /// A request for a certificate.
    Renewal,
}

/// How far a request to read has come. Its receipt and its answer come on lanes of their own, so
/// either may be first; each is compared with the other when it comes.
struct Access {
    digest: Digest,
    /// What the answer said.
    answered: Option<bool>,
    /// What the receipt said.
    receipted: Option<bool>,
    released: u64,
    ended: bool,
}

impl Requests {
    pub(super) fn new(limit: usize) -> Requests {
        Requests { limit, next: 1, pending: BTreeMap::new() }
    }

    /// Enters an operation.
    pub(super) fn add_operation(&mut self, digest: Digest) -> Result<RequestId, ClientError> {
        self.add(Pending::Operation(digest))
    }

    /// Enters a request to read, or a further page of one.
    pub(super) fn add_access(
        &mut self,
        digest: Digest,
        continues: bool,
    ) -> Result<RequestId, ClientError> {
        // Decided before: neither an answer nor a receipt comes of a further page.
        let decided = continues.then_some(true);
        let (answered, receipted) = (decided, decided);
        let access = Access { digest, answered, receipted, released: 0, ended: false };
        self.add(Pending::Access(access))
    }

    /// Enters a question about so many names.
    pub(super) fn add_names(&mut self, names: usize) -> Result<RequestId, ClientError> {
        self.add(Pending::Names(names))
    }

    /// Enters a request for a certificate.
    pub(super) fn add_renewal(&mut self) -> Result<RequestId, ClientError> {
        self.add(Pending::Renewal)
    }

    fn add(&mut self, pending: Pending) -> Result<RequestId, ClientError> {
        let limit = self.limit;
        if self.pending.len() >= limit {
            return Err(ClientError::Full { what: "requests without an answer", limit });
        }
        let request = RequestId(self.next);
        self.next += 1;
        self.pending.insert(request, pending);
        Ok(request)
    }

    /// The connection is gone: whether any of them took effect is not known.
    pub(super) fn lose(&mut self) -> impl Iterator<Item = ClientEvent> {
        let lost = std::mem::take(&mut self.pending).into_keys();
        lost.map(|request| ClientEvent::RequestLost { request })
    }

    /// The server rejected a request; `false` if none with this number waits.
    pub(super) fn reject(&mut self, request: RequestId) -> bool {
        self.pending.remove(&request).is_some()
    }

    /// Ends the operations that a receipt names. One that was not asked here is no concern: another
    /// connection of the same holder may have, and a receipt is for the holder.
    pub(super) fn apply(&mut self, items: &[OperationItem]) -> Vec<ClientEvent> {
        let mut applied = Vec::new();
        for item in items {
            // By digest: a receipt is made from the log, which knows no numbers of requests.
            let is_asked = |pending: &Pending| match pending {
                Pending::Operation(digest) => *digest == item.digest,
                Pending::Access(_) | Pending::Names(_) | Pending::Renewal => false,
            };
            let asked = self.pending.iter().find(|(_, pending)| is_asked(pending));
            if let Some(request) = asked.map(|(request, _)| *request) {
                self.pending.remove(&request);
                let (position, time) = (item.position, item.time);
                applied.push(ClientEvent::OperationApplied { request, position, time });
            }
        }
        applied
    }

    /// Compares the accesses that a receipt names with their answers.
    pub(super) fn decide(&mut self, items: &[AccessItem]) -> Result<(), Violation> {
        for item in items {
            let asked = |(request, pending)| accessed(request, pending, item.digest);
            let Some((request, access)) = self.pending.iter_mut().find_map(asked) else {
                continue;
            };
            access.receipted = Some(item.permitted);
            if access.answered.is_some_and(|permitted| permitted != item.permitted) {
                return Err(Violation::Answer);
            }
            self.forget_if_done(request);
        }
        Ok(())
    }

    /// Takes the answer to a request to read.
    pub(super) fn answer(&mut self, answer: &AccessAnswer) -> Result<(), Violation> {
        let Some(Pending::Access(access)) = self.pending.get_mut(&answer.request) else {
            return Err(Violation::Protocol);
        };
        // A second answer contradicts even if it says the same: one decision is told once.
        let contradicts = access.receipted.is_some_and(|other| other != answer.permitted);
        if contradicts || access.answered.is_some() || access.digest != answer.digest {
            return Err(Violation::Answer);
        }
        access.answered = Some(answer.permitted);
        // Nothing is released after a refusal, so no end comes either.
        access.ended = !answer.permitted;
        self.forget_if_done(answer.request);
        Ok(())
    }

    /// Takes the answer to a question about names: one word for each of them.
    pub(super) fn answer_names(&mut self, answer: &NamesAnswer) -> Result<(), Violation> {
        match self.pending.remove(&answer.request) {
            Some(Pending::Names(asked)) if asked == answer.known.len() => Ok(()),
            Some(Pending::Names(_)) => Err(Violation::Answer),
            _ => Err(Violation::Protocol),
        }
    }

    /// Takes the answer to a request for a certificate.
    pub(super) fn answer_renewal(&mut self, request: RequestId) -> Result<(), Violation> {
        match self.pending.remove(&request) {
            Some(Pending::Renewal) => Ok(()),
            _ => Err(Violation::Protocol),
        }
    }

    /// Takes a released frame: the next one of an answer that permits.
    pub(super) fn release(&mut self, released: &Released) -> Result<(), Violation> {
        let access = self.permitted(released.request)?;
        // With every index in turn and their number at the end, no frame can be left out unnoticed.
        if released.index != access.released {
            return Err(Violation::Answer);
        }
        access.released += 1;
        Ok(())
    }

    /// Takes the end of an answer: as many frames were released as it says.
    pub(super) fn end_release(&mut self, end: &ReleaseEnd) -> Result<(), Violation> {
        let access = self.permitted(end.request)?;
        // Behind no frame there is no place to go on from.
        if end.frames != access.released || (end.more && end.frames == 0) {
            return Err(Violation::Answer);
        }
        access.ended = true;
        self.forget_if_done(end.request);
        Ok(())
    }

    /// The request that frames may be released for.
    fn permitted(&mut self, request: RequestId) -> Result<&mut Access, Violation> {
        let pending = self.pending.get_mut(&request).ok_or(Violation::Protocol)?;
        match pending {
            Pending::Access(access) if access.answered == Some(true) && !access.ended => Ok(access),
            _ => Err(Violation::Answer),
        }
    }

    /// A request is over after both its end and its receipt: until then the other is compared.
    fn forget_if_done(&mut self, request: RequestId) {
        let is_done = |pending: &Pending| match pending {
            // Ended by its receipt, answer or reject, which remove it themselves.
            Pending::Operation(_) | Pending::Names(_) | Pending::Renewal => false,
            Pending::Access(access) => access.ended && access.receipted.is_some(),
        };
        if self.pending.get(&request).is_some_and(is_done) {
            self.pending.remove(&request);
        }
    }
}

fn accessed<'a>(
    request: &RequestId,
    pending: &'a mut Pending,
    digest: Digest,
) -> Option<(RequestId, &'a mut Access)> {
    match pending {
        Pending::Access(access) if access.digest == digest => Some((*request, access)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use model::Position;

    use super::*;
    use crate::StreamName;
    use crate::client::samples::{at, frame, open};

    const DIGEST: Digest = Digest([1; 31]);

    fn item(permitted: bool) -> AccessItem {
        AccessItem { position: Position(1), time: at(0), digest: DIGEST, permitted }
    }

    fn answer(request: RequestId, permitted: bool) -> AccessAnswer {
        let (digest, group, position) = (DIGEST, 1, Position(1));
        AccessAnswer { request, digest, group, position, time: at(0), permitted }
    }

    fn released(request: RequestId, index: u64) -> Released {
        let stream: StreamName = open(1, crate::Lane::Live).descriptor.name();
        Released { request, index, position: Position(index + 1), stream, frame: frame(1, 1) }
    }

    #[test]
    fn an_operation_ends_with_the_receipt_that_names_it() {
        let mut requests = Requests::new(1);
        let request = requests.add_operation(DIGEST).expect("room");
        assert!(requests.add_operation(DIGEST).is_err(), "one at most");
        let named = |digest| OperationItem { position: Position(1), time: at(0), digest };
        assert_eq!(requests.apply(&[named(Digest([2; 31]))]), []);
        let (position, time) = (Position(1), at(0));
        let applied = ClientEvent::OperationApplied { request, position, time };
        assert_eq!(requests.apply(&[named(DIGEST)]), [applied]);
        assert!(requests.add_operation(DIGEST).is_ok());
    }

    #[test]
    fn an_access_is_over_after_its_end_and_its_receipt_in_either_order() {
        for receipt_first in [true, false] {
            let mut requests = Requests::new(1);
            let request = requests.add_access(DIGEST, false).expect("room");
            if receipt_first {
                assert_eq!(requests.decide(&[item(true)]), Ok(()));
            }
            assert_eq!(requests.answer(&answer(request, true)), Ok(()));
            assert_eq!(requests.release(&released(request, 0)), Ok(()));
            assert_eq!(
                requests.end_release(&ReleaseEnd { request, frames: 1, more: false, partly: 0 }),
                Ok(())
            );
            assert_eq!(requests.pending.len(), usize::from(!receipt_first));
            if !receipt_first {
                assert_eq!(requests.decide(&[item(true)]), Ok(()));
            }
            assert!(requests.pending.is_empty());
        }
    }

    #[test]
    fn an_answer_that_contradicts_its_receipt_is_a_violation_whichever_comes_first() {
        let mut requests = Requests::new(2);
        let request = requests.add_access(DIGEST, false).expect("room");
        requests.decide(&[item(false)]).expect("nothing to compare");
        assert_eq!(requests.answer(&answer(request, true)), Err(Violation::Answer));
        let mut requests = Requests::new(2);
        let request = requests.add_access(DIGEST, false).expect("room");
        requests.answer(&answer(request, true)).expect("nothing to compare");
        assert_eq!(requests.decide(&[item(false)]), Err(Violation::Answer));
    }

    #[test]
    fn frames_are_released_in_order_under_a_permit_only() {
        let mut requests = Requests::new(2);
        let request = requests.add_access(DIGEST, false).expect("room");
        assert_eq!(requests.release(&released(request, 0)), Err(Violation::Answer), "no answer");
        requests.answer(&answer(request, true)).expect("the first answer");
        assert_eq!(requests.release(&released(request, 1)), Err(Violation::Answer), "a hole");
        let end = ReleaseEnd { request, frames: 1, more: false, partly: 0 };
        assert_eq!(requests.end_release(&end), Err(Violation::Answer), "one is missing");
        let unknown = RequestId(9);
        assert_eq!(requests.release(&released(unknown, 0)), Err(Violation::Protocol));
        let operation = requests.add_operation(DIGEST).expect("room");
        assert_eq!(requests.answer(&answer(operation, true)), Err(Violation::Protocol));
    }

    #[test]
    fn an_answer_about_names_has_one_word_for_each_of_them() {
        let mut requests = Requests::new(3);
        let answer = |request, words| NamesAnswer { request, known: vec![true; words] };
        let request = requests.add_names(2).expect("room");
        assert_eq!(requests.answer_names(&answer(request, 2)), Ok(()));
        assert_eq!(requests.answer_names(&answer(request, 2)), Err(Violation::Protocol), "once");
        let request = requests.add_names(2).expect("room");
        assert_eq!(requests.answer_names(&answer(request, 1)), Err(Violation::Answer));
        let operation = requests.add_operation(DIGEST).expect("room");
        assert_eq!(requests.answer_names(&answer(operation, 1)), Err(Violation::Protocol));
    }

    #[test]
    fn a_further_page_needs_no_answer_and_more_needs_a_frame_to_go_on_from() {
        let mut requests = Requests::new(1);
        let request = requests.add_access(DIGEST, true).expect("room");
        let empty = ReleaseEnd { request, frames: 0, more: true, partly: 0 };
        assert_eq!(requests.end_release(&empty), Err(Violation::Answer));
        assert_eq!(requests.release(&released(request, 0)), Ok(()));
        let end = ReleaseEnd { request, frames: 1, more: true, partly: 0 };
        assert_eq!(requests.end_release(&end), Ok(()));
        assert!(requests.pending.is_empty(), "over without a receipt");
        let request = requests.add_access(DIGEST, true).expect("room");
        assert_eq!(requests.answer(&answer(request, true)), Err(Violation::Answer));
    }
}
