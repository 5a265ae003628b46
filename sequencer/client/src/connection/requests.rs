//! Operations, requests to read and questions that wait for their answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{Digest, Millis, Position};
use wire::{AccessAnswer, ClientEvent, Released, RequestId, SignedReceipt};

use super::error::RequestError;
use super::outcome::{AccessOutcome, Applied, ReleasedPage};

/// One request that waits for its answer.
#[derive(Default)]
struct Request {
    /// What its receipt names it by; none of a question, which gets no receipt.
    digest: Option<Digest>,
    answer: Option<AccessAnswer>,
    effect: Option<Effect>,
    released: Vec<Released>,
    released_bytes: usize,
    /// Of each name that was asked about, whether the registry knows it.
    known: Option<Vec<bool>>,
    /// The certificate that was asked for, or that there is none yet.
    certificate: Option<Option<Bytes>>,
    /// Once all of the page has come.
    end: Option<PageEnd>,
    receipt: Option<SignedReceipt>,
    failure: Option<RequestError>,
}

/// When and where an operation took effect.
#[derive(Clone, Copy)]
struct Effect {
    position: Position,
    time: Millis,
}

/// What the end of a page says.
#[derive(Clone, Copy, Default)]
struct PageEnd {
    more: bool,
    partly: u64,
}

/// The requests of one connection.
pub(super) struct Requests {
    waiting: BTreeMap<RequestId, Request>,
    /// Most bytes of released data for one of them.
    released_bytes_max: usize,
}

impl Requests {
    pub(super) fn new(released_bytes_max: usize) -> Requests {
        Requests { waiting: BTreeMap::new(), released_bytes_max }
    }

    pub(super) fn add(&mut self, request: RequestId, digest: Digest) {
        self.waiting.insert(request, Request { digest: Some(digest), ..Request::default() });
    }

    pub(super) fn add_question(&mut self, request: RequestId) {
        self.waiting.insert(request, Request::default());
    }

    pub(super) fn forget(&mut self, request: RequestId) {
        self.waiting.remove(&request);
    }

    /// The operation's effect once it is receipted, or why it has none.
    pub(super) fn find_applied(&self, request: RequestId) -> Option<Result<Applied, RequestError>> {
        let one = self.waiting.get(&request)?;
        if let Some(error) = one.failure.clone() {
            return Some(Err(error));
        }
        let (Some(Effect { position, time }), Some(receipt)) = (one.effect, one.receipt.clone())
        else {
            return None;
        };
        Some(Ok(Applied { position, time, receipt }))
    }

    /// The decision, its receipt and all released frames, once everything is there; the frames are
    /// moved out.
    pub(super) fn take_outcome(
        &mut self,
        request: RequestId,
    ) -> Option<Result<AccessOutcome, RequestError>> {
        let one = self.waiting.get_mut(&request)?;
        if let Some(error) = one.failure.clone() {
            return Some(Err(error));
        }
        let (Some(answer), Some(receipt)) = (one.answer, &one.receipt) else { return None };
        let AccessAnswer { permitted, time, position, .. } = answer;
        // A refusal has no release, so nothing says its end.
        if permitted && one.end.is_none() {
            return None;
        }
        let PageEnd { more, partly } = one.end.unwrap_or_default();
        let (receipt, released) = (receipt.clone(), std::mem::take(&mut one.released));
        Some(Ok(AccessOutcome { permitted, time, position, receipt, released, more, partly }))
    }

    /// A further page, once all of it has come; its frames are moved out.
    pub(super) fn take_page(
        &mut self,
        request: RequestId,
    ) -> Option<Result<ReleasedPage, RequestError>> {
        let one = self.waiting.get_mut(&request)?;
        if let Some(error) = one.failure.clone() {
            return Some(Err(error));
        }
        let PageEnd { more, partly } = one.end?;
        Some(Ok(ReleasedPage { released: std::mem::take(&mut one.released), more, partly }))
    }

    /// The answer to a question about names, once it has come.
    pub(super) fn find_known(&self, request: RequestId) -> Option<Result<Vec<bool>, RequestError>> {
        let one = self.waiting.get(&request)?;
        match one.failure.clone() {
            Some(error) => Some(Err(error)),
            None => one.known.clone().map(Ok),
        }
    }

    /// What became of a request for a certificate, once it is answered.
    pub(super) fn find_certificate(
        &self,
        request: RequestId,
    ) -> Option<Result<Option<Bytes>, RequestError>> {
        let one = self.waiting.get(&request)?;
        match one.failure.clone() {
            Some(error) => Some(Err(error)),
            None => one.certificate.clone().map(Ok),
        }
    }

    /// Whether any of them waits for its answer still.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.values().any(|one| {
            let is_answered = one.known.is_some() || one.certificate.is_some();
            let is_over = one.end.is_some() || one.effect.is_some();
            let is_refused = one.answer.is_some_and(|answer| !answer.permitted);
            one.failure.is_none() && !is_answered && !is_over && !is_refused
        })
    }

    /// A verified receipt: it is that of every request to read whose digest it names.
    pub(super) fn on_receipt(&mut self, receipt: &SignedReceipt) {
        for item in &receipt.receipt.items().accesses {
            let asked = self.waiting.values_mut().filter(|one| one.digest == Some(item.digest));
            asked.for_each(|one| one.receipt = Some(receipt.clone()));
        }
    }

    /// An event about one request. `latest` is the last receipt.
    pub(super) fn on_event(&mut self, event: ClientEvent, latest: Option<&SignedReceipt>) {
        match event {
            ClientEvent::OperationApplied { request, position, time } => {
                self.change(request, |one| {
                    one.effect = Some(Effect { position, time });
                    // The session tells what a receipt acknowledges right after the receipt.
                    one.receipt = latest.cloned();
                });
            }
            ClientEvent::AccessAnswered(answer) => {
                self.change(answer.request, |one| one.answer = Some(answer));
            }
            ClientEvent::NamesAnswered(answer) => {
                self.change(answer.request, |one| one.known = Some(answer.known));
            }
            ClientEvent::RenewalAnswered(answer) => {
                self.change(answer.request, |one| one.certificate = Some(answer.certificate));
            }
            ClientEvent::Released(released) => self.add_released(*released),
            ClientEvent::ReleaseEnded { request, more, partly, .. } => {
                self.change(request, |one| one.end = Some(PageEnd { more, partly }));
            }
            ClientEvent::RequestRejected { request, code } => {
                let why = RequestError::Rejected { code };
                self.change(request, |one| one.failure = Some(why));
            }
            ClientEvent::RequestLost { request } => self.change(request, |one| {
                // A request that failed before its connection broke has failed for certain.
                one.failure.get_or_insert(RequestError::Unknown);
            }),
            _ => {}
        }
    }

    fn add_released(&mut self, released: Released) {
        let limit = self.released_bytes_max;
        self.change(released.request, |one| {
            one.released_bytes += released.frame.as_bytes().len();
            if one.released_bytes > limit {
                // Part of the data would look like all of it, so nothing is kept.
                one.released = Vec::new();
                one.failure = Some(RequestError::TooMuch { limit });
            } else {
                one.released.push(released);
            }
        });
    }

    /// What is told of a request that nobody waits for any more is passed over.
    fn change(&mut self, request: RequestId, change: impl FnOnce(&mut Request)) {
        if let Some(one) = self.waiting.get_mut(&request) {
            change(one);
        }
    }
}
