//! Operations and requests to read, and the frames that a permitted one releases.

use model::{Digest, Millis, RejectCode};
use wire::{
    AccessAnswer, NamesQuestion, Page, ReleaseEnd, Released, RenewalRequest, RequestId,
    SignedAccessRequest, SignedOperation,
};

use super::state::{Asked, Outcome, Release, Reply, Session, code_of};
use crate::guard::caught;
use crate::stages::deliver::AgainError;
use crate::stages::ingest::observe::{Observed, RenewalStep};
use crate::stages::ingest::peer::PeerId;
use crate::stages::ingest::renewals;
use crate::stages::ingest::sources::Asking;
use crate::stages::ingest::stored::{StoredEntry, read_frames};
use crate::stages::ledger::{Answer, AuthenticRequest, Found, Item, Refusal};
use crate::stages::rows::Urgency;

/// Frames that are read back at once for a release.
const RELEASE_READ_FRAMES: usize = 16;

impl Session {
    pub(super) fn submit_operation(&mut self, request: RequestId, operation: SignedOperation) {
        let (requester, digest) = (self.peer.holder, operation.digest());
        // The signature decides what an operation may do; the role only keeps out who never sends
        // any. Answered rather than closed: who asks learns that nothing took effect, and why.
        if !matches!(self.peer.id, PeerId::Wallet(_) | PeerId::Operator(_)) {
            return self.reject_request(request, digest, RejectCode::Identity);
        }
        let (sources, clock) = (&self.shared.sources, self.services.clock.as_ref());
        // Here, on the connection's own task: junk takes no place before the writer.
        let Ok(signed) = statement::operation::SignedOperation::from_bytes(operation.as_bytes())
        else {
            return self.reject_request(request, digest, RejectCode::Malformed);
        };
        let asking = Asking { holder: requester, signed: &signed, vain: &mut self.vain_operations };
        let urgency = match sources.examine(asking, &self.services.view, clock) {
            Ok(urgency) => urgency,
            Err(code) => return self.reject_request(request, digest, code),
        };
        let protects = urgency == Urgency::Protecting;
        let withdrawn = protects.then_some(signed.operation.signed_at);
        let item = Item::Operation { requester, operation };
        // Before it is submitted: the receipt may come before the answer is read here.
        self.unreceipted.insert(digest);
        let reply = move |outcome| Reply::Operation { request, digest, withdrawn, outcome };
        if let Err(code) = self.submit_as(urgency, item, reply) {
            self.reject_request(request, digest, code);
        }
    }

    /// Tells that what takes something away took effect, and when it was signed.
    pub(super) fn note_withdrawal(&self, withdrawn: Option<Millis>, outcome: &Outcome) {
        if let (Some(signed_at), Ok(Answer::OperationApplied { t_op, .. })) = (withdrawn, outcome) {
            self.observe(Observed::Withdrawn { signed_at, time: *t_op });
        }
    }

    pub(super) fn handle_operation_reply(
        &mut self,
        request: RequestId,
        digest: Digest,
        outcome: Outcome,
    ) {
        if matches!(outcome, Ok(Answer::OperationApplied { .. })) {
            // The peer learns it from the receipt.
            return self.observe(Observed::OperationApplied);
        }
        self.log_refusal("operation", &outcome);
        self.reject_request(request, digest, code_of(&outcome));
    }

    fn reject_request(&mut self, request: RequestId, digest: Digest, code: RejectCode) {
        self.unreceipted.remove(&digest);
        self.observe_reject(code);
        self.wire.reject_request(request, code);
    }

    /// Answered here from what is durable: it changes nothing, and takes no place of the writer's.
    pub(super) fn answer_names(&mut self, request: RequestId, question: &NamesQuestion) {
        // The roles that hand in operations: nobody else has a rule to sign.
        if !matches!(self.peer.id, PeerId::Wallet(_) | PeerId::Operator(_)) {
            return self.reject_question(request, RejectCode::Identity);
        }
        let (sources, clock) = (&self.shared.sources, self.services.clock.as_ref());
        let names = question.names();
        if !sources.may_ask_names(self.peer.holder, names.len(), clock) {
            return self.reject_question(request, RejectCode::Busy);
        }
        let view = &self.services.view;
        // By the journal's time where the clock is behind it, as entitlement is judged: who was
        // revoked a moment ago is not known.
        let (registry, now) = (view.registry(), clock.now().max(view.last_time()));
        let known: Vec<bool> = names.iter().map(|name| registry.holds(name, now)).collect();
        known.iter().for_each(|known| self.observe(Observed::NameAsked { known: *known }));
        self.wire.answer_names(request, known);
    }

    /// Answered here from what is in memory, as a question about names is.
    pub(super) fn answer_renewal(&mut self, request: RequestId, asked: &RenewalRequest) {
        let (view, now) = (&self.services.view, self.services.clock.now());
        // Before the signature of the request is looked at.
        if !self.shared.sources.may_renew(self.peer.holder, self.services.clock.as_ref()) {
            return self.reject_renewal(request, RejectCode::Busy);
        }
        let certificate = match self.services.renewals.ask(&self.peer, asked, view, now) {
            Err(code) => return self.reject_renewal(request, code),
            Ok(renewals::Asked::Waits) => None,
            Ok(renewals::Asked::New) => {
                self.observe(Observed::Renewal(RenewalStep::Asked));
                None
            }
            Ok(renewals::Asked::Replaced) => {
                self.observe(Observed::Renewal(RenewalStep::Replaced));
                None
            }
            Ok(renewals::Asked::Issued(certificate)) => {
                self.observe(Observed::Renewal(RenewalStep::Issued));
                Some(certificate)
            }
        };
        self.wire.answer_renewal(request, certificate);
    }

    fn reject_renewal(&mut self, request: RequestId, code: RejectCode) {
        self.observe(Observed::Renewal(RenewalStep::Refused));
        self.reject_question(request, code);
    }

    fn reject_question(&mut self, request: RequestId, code: RejectCode) {
        self.observe_reject(code);
        self.wire.reject_request(request, code);
    }

    pub(super) fn submit_request(
        &mut self,
        request: RequestId,
        signed: Box<SignedAccessRequest>,
        page: Page,
    ) {
        let (digest, patient) = (signed.digest(), signed.request().patient);
        let (kind, continues) = (signed.request().claim_kind(), page.continues);
        let asked = Asked { request, digest, patient, kind, continues };
        let PeerId::Practitioner(practitioner) = self.peer.id.clone() else {
            return self.reject_asked(&asked, RejectCode::Identity);
        };
        if !self.shared.sources.may_request(self.peer.holder, self.services.clock.as_ref()) {
            return self.reject_asked(&asked, RejectCode::Busy);
        }
        // Here, on the connection's own task, and within its rate: junk takes no place before the
        // writer, and the writer verifies nothing.
        let Ok(signed) = AuthenticRequest::verify(signed) else {
            return self.reject_asked(&asked, RejectCode::Signature);
        };
        let item = Item::Access { practitioner, request: signed, page };
        // Of a further page no receipt comes.
        if !continues {
            self.unreceipted.insert(digest);
        }
        let reply = move |outcome| Reply::Access { asked, outcome };
        if let Err(code) = self.submit_as(Urgency::Ordinary, item, reply) {
            self.reject_asked(&asked, code);
        }
    }

    /// A page that does not come changes nothing of the request that it belongs to.
    fn reject_asked(&mut self, asked: &Asked, code: RejectCode) {
        if !asked.continues {
            self.unreceipted.remove(&asked.digest);
        }
        self.observe_reject(code);
        self.wire.reject_request(asked.request, code);
    }

    /// The peer learns the decision, never its reason: that stands in the journal.
    pub(super) fn handle_decision(&mut self, asked: Asked, outcome: Outcome) {
        let Asked { request, digest, kind, continues, .. } = asked;
        if let Ok(Answer::AccessContinued { frames }) = outcome {
            self.prove();
            return self.releases.push_back(Release::new(asked, Some(frames)));
        }
        let Ok(Answer::AccessDecided { group, position, time, decision, frames }) = outcome else {
            self.log_refusal("request to read", &outcome);
            // Refused by consent once more, and counted: it is a decision like the first one.
            let refused = |it: &Refusal| it.code == RejectCode::NotPermitted && !continues;
            if matches!(&outcome, Ok(Answer::Refused(it)) if refused(it)) {
                self.observe(Observed::AccessDecided { kind, permitted: false });
            }
            return self.reject_asked(&asked, code_of(&outcome));
        };
        let permitted = decision.is_ok();
        self.observe(Observed::AccessDecided { kind, permitted });
        if let Err(refusal) = decision {
            self.observe(Observed::RefusedBy(refusal.rule()));
        }
        self.wire.answer_access(AccessAnswer { request, digest, group, position, time, permitted });
        // The answer goes first and on the same lane: the client knows what the frames belong to.
        if permitted {
            self.prove();
            self.releases.push_back(Release::new(asked, frames));
        }
    }

    /// Sends released frames while there is room; looks for them first, and reads the next ones.
    pub(super) fn send_released(&mut self) {
        while let Some(release) = self.releases.front_mut() {
            while let Some(StoredEntry { position, entry }) = release.read.front() {
                let (request, index) = (release.request, release.sent);
                let (position, stream) = (*position, entry.stream());
                let frame = entry.frame().clone();
                // Too much waits to be sent: the frame stays, and the next message sent asks again.
                let released = Released { request, index, position, stream, frame };
                if self.wire.release_frame(released).is_err() {
                    return;
                }
                // A frame that this client cannot read ends the session (W.97), here and now.
                if self.wire.is_closed() {
                    return self.take_events();
                }
                release.sent += 1;
                release.read.pop_front();
                self.services.observe.observe(Observed::FrameReleased);
            }
            if release.reading {
                return;
            }
            if release.asked.is_some() || !release.positions.is_empty() {
                return self.read_next();
            }
            let Release { request, sent: frames, more, partly, .. } = *release;
            self.wire.end_release(ReleaseEnd { request, frames, more, partly });
            self.releases.pop_front();
        }
    }

    fn read_next(&mut self) {
        let (Some(place), Some(release)) = (self.reserve_place(), self.releases.front_mut()) else {
            return;
        };
        release.reading = true;
        if let Some(asked) = release.asked.take() {
            self.services.machine.run_blocking(Box::new(move || {
                // A panic is told as an error: the release waits for this reply.
                let found = caught(|| Ok(asked.find()?));
                place.send(Reply::Found(found.unwrap_or_else(|panic| Err(panic.into()))));
            }));
            return;
        }
        // A few at a time: released frames take memory only as fast as the client reads them.
        let some = release.positions.len().min(RELEASE_READ_FRAMES);
        let positions: Vec<_> = release.positions.drain(..some).collect();
        let (hub, patient) = (self.services.hub.clone(), release.patient);
        self.services.machine.run_blocking(Box::new(move || {
            // A panic is told as an error: the release waits for this reply.
            let read = caught(|| read_frames(&hub, patient, &positions));
            place.send(Reply::Read(read.unwrap_or_else(|panic| Err(panic.into()))));
        }));
    }

    pub(super) fn handle_found(&mut self, found: Result<Found, AgainError>) {
        match (found, self.releases.front_mut()) {
            (Ok(Found { positions, more, partly }), Some(release)) => {
                release.reading = false;
                release.positions = positions.into();
                (release.more, release.partly) = (more, partly);
            }
            // Cannot be: a release stays the first until what it asked for is found.
            (Ok(_), None) => {}
            (Err(error), _) => self.close_unreadable(&error),
        }
    }

    pub(super) fn handle_read(&mut self, read: Result<Vec<StoredEntry>, AgainError>) {
        match (read, self.releases.front_mut()) {
            (Ok(frames), Some(release)) => {
                release.reading = false;
                release.read.extend(frames);
            }
            // Cannot be: a release stays the first until what it reads has come.
            (Ok(_), None) => {}
            (Err(error), _) => self.close_unreadable(&error),
        }
    }
}
