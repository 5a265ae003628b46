//! What an item becomes: entries to append, and what to answer.

use model::{
    GatewayId, Interval, Millis, Position, PractitionerId, RejectCode, Uncovered, Word, limits,
};
use statement::eddsa::{PublicKey, Signature};
use statement::operation::SignedOperation;
use statement::{c1, c2, field};
use wire::{
    Decision, Descriptor, Entry, Frame, FrameEntry, Holder, RefusalEntry, RefusalReason,
    RefusedItem, RegistryChange, SignedAccessRequest, Source, StreamKey, StreamName,
};

use super::Ledger;
use super::absorb::{access_claim, releases};
use super::answer::{Answer, Found, Query, Rejected, Status};
use super::streams::Place;

/// Entries that an item and its close may add after the window was looked at.
const ENTRIES_SLACK: u64 = 16;

/// What to append for an item, and what to answer once it is durable.
pub(super) enum Verdict {
    /// Nothing to append.
    Answer(Answer),
    /// Append this entry at the time stated, or later than every other if `strictly`.
    Append { entry: Box<Entry>, time: Millis, answer: Answer },
}

fn refused(rejected: Rejected) -> Verdict {
    Verdict::Answer(Answer::Refused(rejected))
}

impl Ledger {
    /// The time of an entry that must be later than every earlier one.
    pub(super) fn strictly_later(&self, now: Millis) -> Millis {
        now.max(self.last_time.plus(1)).max(self.window.t0().plus(1))
    }

    pub(super) fn decide_open(
        &self,
        gateway: GatewayId,
        descriptor: Descriptor,
        now: Millis,
    ) -> Verdict {
        let device = self.registry.device(&descriptor.key.device, now);
        let owner = self.registry.gateway(&gateway, now);
        let known = device.zip(owner).is_some_and(|(device, owner)| {
            device.patient == descriptor.key.patient
                && device.organisation == owner.organisation
                && device.signals.contains(&descriptor.key.signal)
        });
        if !known {
            let detail = "expected a device of this gateway's organisation with its patient";
            return refused(Rejected::new(RejectCode::Stream, detail));
        }
        let next = self.streams.next(&gateway, &descriptor.name());
        let entry = Box::new(Entry::StreamOpen { gateway, descriptor });
        Verdict::Append { entry, time: now, answer: Answer::StreamOpened { next } }
    }

    pub(super) fn decide_frame(
        &self,
        gateway: GatewayId,
        key: StreamKey,
        frame: &Frame,
        measured: Interval,
        (position, now): (Position, Millis),
    ) -> Verdict {
        let entry = FrameEntry::new(gateway, key, frame);
        let stream = entry.stream();
        match self.streams.place(&entry.gateway, &stream, entry.sequence()) {
            Place::Stored(position) => return Verdict::Answer(Answer::FrameDuplicate { position }),
            Place::Beyond { next } => {
                let detail = format!("expected sequence {}, found {}", next.0, entry.sequence().0);
                return refused(Rejected::new(RejectCode::Gap, detail));
            }
            Place::Next if self.streams.is_halted(&entry.gateway, &stream) => {
                let detail = "the stream was refused; open it again when consent allows";
                return refused(Rejected::new(RejectCode::NotPermitted, detail));
            }
            Place::Next => {}
        }
        let latest = now.plus(self.config.clock_skew_ms_max);
        if measured.until > latest.plus(1) {
            let detail = "expected readings no later than the node's clock and its allowed skew";
            return refused(Rejected::new(RejectCode::Clock, detail));
        }
        let Some(facts) = self.facts(&entry, measured, position, now) else {
            let detail = "expected a registered gateway, and a device of it with its patient";
            return self.refuse_frame(
                entry,
                stream,
                now,
                Rejected::new(RejectCode::Identity, detail),
            );
        };
        match c2::covers(self.consent.record(facts.patient), &facts.claim()) {
            Ok(_) => {
                let entry = Box::new(Entry::Frame(entry));
                Verdict::Append { entry, time: now, answer: Answer::FrameStored }
            }
            Err(refusal) => {
                let rejected = Rejected::new(RejectCode::NotPermitted, refusal.sentence());
                self.refuse_claim(entry, stream, now, rejected, refusal)
            }
        }
    }

    fn refuse_frame(
        &self,
        frame: FrameEntry,
        stream: StreamName,
        time: Millis,
        rejected: Rejected,
    ) -> Verdict {
        let entry = RefusalEntry {
            requester: Holder::gateway(&frame.gateway),
            what: RefusedItem::Frame { stream, sequence: frame.sequence() },
            code: rejected.code,
            reason: RefusalReason::Code,
            digest: frame.frame().digest(),
        };
        let entry = Box::new(Entry::Refusal(entry));
        Verdict::Append { entry, time, answer: Answer::Refused(rejected) }
    }

    fn refuse_claim(
        &self,
        frame: FrameEntry,
        stream: StreamName,
        time: Millis,
        rejected: Rejected,
        refusal: Uncovered,
    ) -> Verdict {
        let verdict = self.refuse_frame(frame, stream, time, rejected.by_rule(refusal.rule()));
        with_reason(verdict, RefusalReason::Claim(refusal))
    }

    pub(super) fn decide_operation(
        &self,
        requester: Holder,
        operation: wire::SignedOperation,
        (position, now): (Position, Millis),
    ) -> Verdict {
        let t_op = self.strictly_later(now);
        let decoded = SignedOperation::from_bytes(operation.as_bytes());
        let outcome =
            decoded.map_err(|error| Rejected::new(RejectCode::Malformed, error.to_string()));
        let outcome = outcome.and_then(|signed| self.try_operation(&signed, t_op));
        match outcome {
            Ok(()) => {
                let entry = Box::new(Entry::Operation { operation, requester });
                let answer = Answer::OperationApplied { position, t_op };
                Verdict::Append { entry, time: t_op, answer }
            }
            Err(rejected) => {
                let reason = rejected.rule.map_or(RefusalReason::Code, RefusalReason::Operation);
                let entry = RefusalEntry {
                    requester,
                    what: RefusedItem::Operation,
                    code: rejected.code,
                    reason,
                    digest: operation.digest(),
                };
                let entry = Box::new(Entry::Refusal(entry));
                Verdict::Append { entry, time: now, answer: Answer::Refused(rejected) }
            }
        }
    }

    fn try_operation(&self, signed: &SignedOperation, t_op: Millis) -> Result<(), Rejected> {
        let context = c1::Context {
            sig_domain: self.operation_scope.sig_domain,
            registrar_key_hash: self.operation_scope.registrar_key_hash,
            t0: self.window.t0(),
            last_time: self.last_time.max(self.window.t0()),
            t_op,
            t1: None,
        };
        let record = self.consent.record(signed.operation.patient);
        c1::apply(record, signed, &context)
            .map(drop)
            .map_err(|error| Rejected::new(error.code(), error.to_string()).by_rule(error.rule))
    }

    pub(super) fn decide_access(
        &self,
        practitioner: PractitionerId,
        signed: Box<SignedAccessRequest>,
        (group, position, now): (u64, Position, Millis),
    ) -> Verdict {
        let requester = Holder::practitioner(&practitioner);
        if let Err(rejected) = self.try_request(&practitioner, &signed, now) {
            let entry = RefusalEntry {
                requester,
                what: RefusedItem::AccessRequest,
                code: rejected.code,
                reason: RefusalReason::Code,
                digest: signed.digest(),
            };
            let entry = Box::new(Entry::Refusal(entry));
            return Verdict::Append { entry, time: now, answer: Answer::Refused(rejected) };
        }
        let claim = access_claim(&signed, position, now);
        let decision = c2::covers(self.consent.record(claim.patient), &claim);
        let released = match decision {
            Ok(_) if releases(&claim) => self.released(&signed),
            _ => Vec::new(),
        };
        let answer = Answer::AccessDecided { group, position, time: now, decision, released };
        let decision = match decision {
            Ok(slot) => Decision::Permitted { slot },
            Err(uncovered) => Decision::Refused { uncovered },
        };
        let entry = Box::new(Entry::AccessRequest { request: *signed, requester, decision });
        Verdict::Append { entry, time: now, answer }
    }

    fn released(&self, signed: &SignedAccessRequest) -> Vec<Position> {
        let request = signed.request();
        let source = match &request.source {
            Source::Any => None,
            Source::Device(device) => Some(statement::scope::device(device)),
        };
        let most = self.config.released_frames_max;
        self.streams.released(request.patient, request.categories, request.data, source, most)
    }

    /// Everything about a request that is not consent: who signed it, for whom, when, once.
    fn try_request(
        &self,
        practitioner: &PractitionerId,
        signed: &SignedAccessRequest,
        now: Millis,
    ) -> Result<(), Rejected> {
        let request = signed.request();
        let reject = |code, detail: &str| Err(Rejected::new(code, detail));
        let known = self.registry.practitioner(practitioner, now);
        let Some(known) = known.filter(|_| request.practitioner == *practitioner) else {
            return reject(RejectCode::Identity, "expected a request of the certificate's owner");
        };
        let registered = self.registry.organisation(&request.organisation, now).is_some();
        if request.organisation != known.organisation || !registered {
            return reject(RejectCode::Identity, "expected the practitioner's own organisation");
        }
        if request.care_team.is_some() {
            return reject(RejectCode::Identity, "no groups are registered; name none");
        }
        if request.scope != self.config.scope || signed.public_key != known.public_key {
            return reject(RejectCode::Signature, "expected this chain and the registered key");
        }
        if !signature_verifies(signed) {
            return reject(RejectCode::Signature, "the request's signature does not verify");
        }
        let latest = now.plus(self.config.clock_skew_ms_max);
        if request.requested_at > latest || now >= request.valid_until {
            return reject(RejectCode::Validity, "expected a request that is valid now");
        }
        if request.valid_until.since(request.requested_at) > limits::REQUEST_VALIDITY_MS_MAX {
            return reject(RejectCode::Validity, "expected a validity of at most an hour");
        }
        if self.nonces.contains_key(&(practitioner.clone(), request.nonce)) {
            return reject(RejectCode::Nonce, "expected a nonce that was not used");
        }
        Ok(())
    }

    pub(super) fn decide_registry(
        &self,
        change: RegistryChange,
        now: Millis,
        at: Position,
    ) -> Verdict {
        if let RegistryChange::End { key, .. } = &change
            && !self.registry.holds(key, now)
        {
            let detail = format!("expected a registered {key:?} that has not ended");
            return refused(Rejected::new(RejectCode::Identity, detail));
        }
        if let Err(error) = change.to_bytes() {
            return refused(Rejected::new(RejectCode::Malformed, error.to_string()));
        }
        let entry = Box::new(Entry::RegistryChange(change));
        Verdict::Append { entry, time: now, answer: Answer::RegistryChanged { position: at } }
    }

    /// The close that ends the window at `now`, or at its longest if that is past.
    pub(super) fn close_entry(&self, now: Millis) -> (Entry, Millis) {
        let time = self.strictly_later(now);
        let t1 = time.min(self.window.t0().plus(limits::WINDOW_MS_MAX));
        (Entry::Close { batch: self.window.number(), t1 }, time)
    }

    /// Whether an entry at `now` and `next` would lie beyond the longest window: in time, in
    /// entries (C2.4), or in groups of the journal, of which there have been `groups`.
    pub(super) fn must_close_before(&self, now: Millis, next: Position, groups: u64) -> bool {
        // An operation may be stamped a little later than the clock says.
        let span_ms = self.strictly_later(now).plus(1).since(self.window.t0());
        let entries = next.0.saturating_sub(self.window.position_in().0);
        // Few entries come between this check and the close that it asks for.
        span_ms >= limits::WINDOW_MS_MAX
            || entries >= limits::BATCH_ENTRIES_MAX - ENTRIES_SLACK
            || groups >= limits::WINDOW_GROUPS_MAX
    }

    pub(super) fn answer(&self, query: Query, now: Millis) -> Found {
        match query {
            Query::Marks(gateway) => Found::Marks(self.streams.marks(&gateway)),
            Query::GatewayCertificate { gateway, fingerprint } => {
                let known = self.registry.gateway(&gateway, now);
                Found::GatewayCertificate(known.is_some_and(|g| g.fingerprint == fingerprint))
            }
            Query::Registry => Found::Registry(Box::new(self.registry.clone())),
            Query::Record(patient) => {
                Found::Record(self.consent.record(patient).cloned().map(Box::new))
            }
            Query::Status => Found::Status(Status {
                records: self.consent.len(),
                window: self.window.number(),
                t0: self.window.t0(),
                window_is_empty: self.window.is_empty(),
            }),
        }
    }
}

fn with_reason(verdict: Verdict, reason: RefusalReason) -> Verdict {
    match verdict {
        Verdict::Append { mut entry, time, answer } => {
            if let Entry::Refusal(refusal) = entry.as_mut() {
                refusal.reason = reason;
            }
            Verdict::Append { entry, time, answer }
        }
        other => other,
    }
}

fn signature_verifies(signed: &SignedAccessRequest) -> bool {
    let parts = || {
        let key = PublicKey::decode(&signed.public_key).ok()?;
        let signature = Signature::decode(&signed.signature).ok()?;
        let message: Word = signed.request().signing_hash().ok()?.word();
        let message = field::from_bytes(&message.to_bytes()).ok()?;
        Some(statement::eddsa::verify(&key, message, &signature))
    };
    parts().unwrap_or(false)
}
