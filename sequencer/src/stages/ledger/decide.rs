//! What an item becomes: an entry to append, and what to answer.
//!
//! Everything is decided on the writer thread against all entries before, the group's own included:
//! two items of one group cannot both win. Deciding changes nothing; absorbing the entry does.

use model::{
    Action, GatewayId, Millis, Operation, Position, PractitionerId, RejectCode, RuleNumber, limits,
};
use statement::operation::SignedOperation;
use statement::{c1, c2, field};
use wire::{
    Decision, DecodeError, Descriptor, Entry, ErasureEntry, HoldEntry, Holder, Page,
    RegistryChange, SignedAccessRequest, SignedErasure,
};

use super::absorb::{Ledger, access_claim, releases};
use super::answer::{Answer, Item, ToClose};
use super::collected::{Collected, FrameOf};
use super::counts::KEYS_MAX;
use super::erasures::{NotErased, Tombstone};
use super::frames::FramesAsked;
use super::refuse::{Ground, refuse};
use super::segment::FrameFacts;
use super::streams::Place;
use super::verdict::{At, Verdict};
use crate::stages::rows::{EvaluatedRow, OperationRow, Urgency};

/// Entries that an item and its close may add after the window was looked at: what was counted,
/// before the item and before the close, one that gives way, the item and the close themselves.
pub(super) const ENTRIES_SLACK: u64 = 2 * KEYS_MAX as u64 + 3;

impl Ledger {
    /// What `item` becomes at this place of the journal.
    pub(super) fn decide<'a>(&self, item: &'a Item, at: At) -> Verdict<'a> {
        let decided = match item {
            Item::OpenStream { gateway, descriptor } => self.decide_open(gateway, descriptor, at),
            Item::Frame { gateway, key, frame, measured } => {
                let collected = Collected { gateway, key, measured: *measured };
                let stream = key.name(frame.header().epoch);
                self.decide_frame(FrameOf { collected, stream, frame }, at)
            }
            Item::Operation { requester, operation } => {
                self.decide_operation(*requester, operation, None, at)
            }
            Item::Evaluated { requester, operation, row } => {
                self.decide_operation(*requester, operation, Some(&**row), at)
            }
            Item::Access { practitioner, request, page } => {
                let asking = Asking { practitioner, signed: request.signed(), page: *page };
                self.decide_access(&asking, at)
            }
            Item::Registry(change) => self.decide_registry(change, at),
            Item::Erase(signed) => self.decide_erase(signed, at),
            Item::Hold(hold) => self.decide_hold(hold, at),
            Item::Query(query) => self.decide_query(query, at),
            // Appended before anything is decided; nothing else is to be done.
            Item::CountDue | Item::CountRefusals => Ok(Verdict::Answer(Answer::Counted)),
            // Decided again behind each close, until the open window is not due.
            Item::CloseDue if at.now >= self.due() => Ok(Verdict::CloseFirst(at.now)),
            Item::CloseWindow(which) if self.is_meant(*which) => Ok(Verdict::CloseFirst(at.now)),
            Item::CloseDue | Item::CloseWindow(_) => Ok(Verdict::Answer(Answer::Closed)),
            Item::Close => Ok(self.decide_close(at)),
        };
        decided.unwrap_or_else(|ground| refuse(item, ground, at))
    }

    /// The time of an entry that must be later than every earlier one.
    pub(super) fn strictly_later(&self, now: Millis) -> Millis {
        // The window's begin counts too: no operation may take effect at the instant of a close.
        now.max(self.last_time.plus(1)).max(self.window.t0().plus(1))
    }

    /// Opening is an entry although it stores nothing, but only where it changes something: it
    /// describes a stream for the first time, or ends a halt, and recovery must know.
    fn decide_open(
        &self,
        gateway: &GatewayId,
        descriptor: &Descriptor,
        at: At,
    ) -> Result<Verdict<'static>, Ground> {
        // Answered only, it concerns no consent; a frame without an assignment is journaled.
        // Consent is not asked here: a rule may begin between the opening and the first frame.
        let assigned = |time| self.registry.assignment(gateway, &descriptor.key, time).is_some();
        if !assigned(at.now) {
            return Err(Ground::UnknownDevice);
        }
        if !assigned(at.latest) {
            // It has ended by a wall clock that nobody believes: a refusal for good would stop the
            // stream for an hour that may turn out to be wrong.
            let doubt = at.around.disagreement.map(Ground::ClockDoubt);
            return Err(doubt.unwrap_or(Ground::UnknownDevice));
        }
        let next = self.streams.next(gateway, &descriptor.name());
        if !self.streams.is_opening_new(gateway, &descriptor.name()) {
            return Ok(Verdict::Answer(Answer::StreamOpened { next }));
        }
        let (gateway, descriptor) = (gateway.clone(), descriptor.clone());
        let entry = Box::new(Entry::StreamOpen { gateway, descriptor });
        Ok(Verdict::Append { entry, time: at.now, answer: Answer::StreamOpened { next } })
    }

    fn decide_frame<'a>(&self, of: FrameOf<'a>, at: At) -> Result<Verdict<'a>, Ground> {
        let Collected { gateway, measured, .. } = of.collected;
        let sequence = of.frame.sequence();
        // The order of these checks is what a peer sees: first whether the frame is its stream's
        // next one, which costs a look-up, then what costs more.
        match self.streams.place(gateway, &of.stream, sequence) {
            Place::Stored(place) => {
                let frame = of.frame.clone();
                return Ok(Verdict::Answer(Answer::FrameDuplicate { frame, place }));
            }
            Place::Beyond { next } => {
                return Err(Ground::Gap { expected: next, found: sequence });
            }
            Place::Halted { why } => return Err(Ground::Halted(why)),
            Place::Next => {}
        }
        // `until` is after the last reading, which may be as late as the skew allows.
        let latest = at.now.plus(self.config.clock_skew_ms_max);
        if measured.until > latest.plus(1) {
            return Err(Ground::Clock);
        }
        let facts = self.check_covered(of.collected, at.position, at.now)?;
        // Whatever ends may have ended already. It is stamped with the earliest time all the same.
        if at.latest > at.now {
            self.check_covered(of.collected, at.position, at.latest)?;
        }
        Ok(Verdict::Store { frame: of, facts })
    }

    /// Judged as if it were a segment of its own. Whether it also fits into the open segment is
    /// asked when it is absorbed: that changes where a segment is cut, never what is stored. What
    /// was asked about is handed to whoever absorbs it, so that it is looked up once.
    fn check_covered(
        &self,
        collected: Collected<'_>,
        position: Position,
        time: Millis,
    ) -> Result<FrameFacts, Ground> {
        let facts = self.frame_facts(collected, position, time);
        let facts = facts.ok_or(Ground::Unassigned)?;
        let covered = c2::covers(self.consent.record(facts.patient), &facts.claim());
        covered.map(|_| facts).map_err(Ground::Uncovered)
    }

    fn decide_operation(
        &self,
        requester: Holder,
        operation: &wire::SignedOperation,
        evaluated: Option<&EvaluatedRow>,
        at: At,
    ) -> Result<Verdict<'static>, Ground> {
        let signed = SignedOperation::from_bytes(operation.as_bytes())
            .map_err(|error| Ground::MalformedOperation(error.to_string()))?;
        self.check_authentic(&signed)?;
        // Strictly later than every entry: of a claim and a change of its rule it is always plain
        // which came first, so that the rule in force can be proven.
        // A signature says that it is at least so late, which is believed as far as the clocks go.
        let signed_at = signed.operation.signed_at.min(at.around.stamp_max);
        let t_op = self.strictly_later(at.now.max(signed_at));
        // The close that ends this window must come after it and within the longest window, else
        // the operation would have a receipt and no batch (C1.3). The window was closed for `now`;
        // a signature may be later than that while the clocks are apart.
        if t_op.plus(1).since(self.window.t0()) >= limits::WINDOW_MS_MAX {
            return Ok(Verdict::CloseFirst(t_op));
        }
        self.check_times(&signed.operation, t_op, at)?;
        let record = self.consent.record(signed.operation.patient);
        // Tried on the record alone; the tree is moved when the entry is absorbed.
        let context = self.operation_context(t_op);
        if let Err(broken) = c1::apply(record, &signed, &context) {
            // What ended in an idle time ended in a window before this operation's (C1.17), had
            // windows been closed meanwhile.
            let next = c1::Context { t0: t_op, ..context };
            let is_idle =
                self.window.is_empty() && self.config.cadence.is_idle(self.window.t0(), t_op);
            if is_idle && c1::apply(record, &signed, &next).is_ok() {
                return Ok(Verdict::CloseFirst(t_op));
            }
            return Err(Ground::Operation(broken));
        }
        // The twin is not the circuit: what was not evaluated under this very record might never
        // be proven, and a receipt for it would be a promise that nobody can keep.
        let digest = operation.digest();
        if !evaluated.is_some_and(|row| row.is_of(digest, record)) {
            let row = OperationRow { signed, digest, old: record.cloned(), context };
            return Ok(Verdict::Answer(Answer::Unevaluated(Box::new(row))));
        }
        let operation = self.store_operation(&signed, operation, requester);
        let entry = Box::new(Entry::Operation { operation, requester });
        let answer = Answer::OperationApplied { position: at.position, t_op };
        Ok(Verdict::Append { entry, time: t_op, answer })
    }

    /// What the rules would say of a time that only the node's clocks are to blame for; and that an
    /// operation which gives rights has not ended at the latest that it may be.
    fn check_times(&self, operation: &Operation, t_op: Millis, at: At) -> Result<(), Ground> {
        let Operation { signed_at, valid_until, .. } = *operation;
        if signed_at > t_op {
            return Err(Ground::SignedAhead { until: signed_at });
        }
        let protecting = Urgency::of(&operation.action) == Urgency::Protecting;
        if !protecting && at.latest >= valid_until {
            let (expected, found) = (at.latest, valid_until);
            return Err(Ground::Operation(c1::C1Error {
                rule: RuleNumber::c1(5),
                row: None,
                expected: format!("an operation valid at {expected:?}"),
                found: format!("valid until {found:?}"),
            }));
        }
        // The clocks have it still valid. No entry goes before another, so it must be valid longer.
        let by_clocks = at.around.latest < valid_until;
        if t_op >= valid_until && by_clocks && at.around.is_ahead(self.last_time) {
            return Err(Ground::EndsBeforeJournal { last: self.last_time });
        }
        Ok(())
    }

    /// Whether the key that may change the record signed the operation. An index without a record
    /// and a wrong signature answer alike and cost alike: nobody learns by asking who is enrolled.
    fn check_authentic(&self, signed: &SignedOperation) -> Result<(), Ground> {
        let record = self.consent.record(signed.operation.patient);
        let owner = match &signed.operation.action {
            Action::Enrol { .. } => Some(self.operation_scope.registrar_key_hash),
            _ => record.map(|record| field::from_word(&record.key_hash)),
        };
        // Both, whatever the first says.
        let verifies = signed.verify(self.operation_scope.sig_domain);
        let owns = owner == Some(signed.signer.hash());
        if verifies && owns {
            return Ok(());
        }
        Err(Ground::Unauthentic(RuleNumber::c1(if verifies { 27 } else { 7 })))
    }

    /// A request that no rule covers is decided, not refused: its entry says so, and it binds the
    /// nonce like a permitted one.
    fn decide_access(&self, asking: &Asking<'_>, at: At) -> Result<Verdict<'static>, Ground> {
        let Asking { practitioner, signed, page } = *asking;
        self.check_request(practitioner, signed, at.now)?;
        if at.latest > at.now {
            self.check_request(practitioner, signed, at.latest)?;
        }
        if page.continues {
            return self.continue_access(asking, at);
        }
        if self.asked.contains_key(&(practitioner.clone(), signed.request().nonce)) {
            let (code, expected) = (RejectCode::Nonce, "expected a nonce that was not used");
            return Err(Ground::Request { code, expected });
        }
        let claim = access_claim(signed, at.position, at.now);
        let record = self.consent.record(claim.patient);
        // The rule that is named covers it at the earliest time, and some rule at the latest.
        let late = access_claim(signed, at.position, at.latest);
        let covered =
            c2::covers(record, &claim).and_then(|slot| c2::covers(record, &late).map(|_| slot));
        let frames = (covered.is_ok() && releases(&claim))
            .then(|| self.frames_asked_for(signed, page, at.position));
        let answer = Answer::AccessDecided {
            group: at.group,
            position: at.position,
            time: at.now,
            decision: covered,
            frames,
        };
        let decision = match covered {
            Ok(slot) => Decision::Permitted { slot },
            Err(uncovered) => Decision::Refused { uncovered },
        };
        let (request, requester) = (signed.clone(), Holder::practitioner(practitioner));
        let entry = Box::new(Entry::AccessRequest { request, requester, decision });
        Ok(Verdict::Append { entry, time: at.now, answer })
    }

    /// The next page of a request that was permitted in the open window. Its claim stands for all
    /// of its pages, because it names all that was asked for: nothing is appended, and nothing is
    /// counted again. Consent is asked again, of the record as it is now.
    fn continue_access(&self, asking: &Asking<'_>, at: At) -> Result<Verdict<'static>, Ground> {
        let Asking { practitioner, signed, page } = *asking;
        let before = self.asked.get(&(practitioner.clone(), signed.request().nonce));
        // Behind the close the claim is proven with what held until then: a later page would be
        // released under a consent that no proof has looked at.
        let Some(before) = before.filter(|before| {
            before.permitted
                && before.digest == signed.digest()
                && before.position > self.window.position_in()
        }) else {
            let expected = "expected a request that was permitted in the window that is open";
            return Err(Ground::Request { code: RejectCode::Validity, expected });
        };
        let record = self.consent.record(signed.request().patient);
        for time in [at.now, at.latest] {
            if let Err(uncovered) = c2::covers(record, &access_claim(signed, before.position, time))
            {
                // Answered only: it was decided once, and the journal has what changed consent.
                let refused = Answer::Refused(Ground::Uncovered(uncovered).into());
                return Ok(Verdict::Answer(refused));
            }
        }
        let frames = self.frames_asked_for(signed, page, before.position);
        Ok(Verdict::Answer(Answer::AccessContinued { frames }))
    }

    /// Of what was stored before the claim's position, so that its pages come to an end. They are
    /// looked for beside the writer: to go through all that a patient has would hold up everybody.
    fn frames_asked_for(
        &self,
        signed: &SignedAccessRequest,
        page: Page,
        before: Position,
    ) -> Box<FramesAsked> {
        let request = signed.request();
        let source = request.device().map(statement::scope::device);
        Box::new(FramesAsked {
            frames: self.streams.of_patient(request.patient),
            nodes: self.streams.nodes().clone(),
            categories: request.categories,
            data: request.data,
            source,
            order: page.order,
            after: page.after,
            before,
            frames_max: self.config.released_frames_max.min(page.frames_max as usize),
        })
    }

    /// Everything about an authentic request that is not consent: whose key signed it, for whom,
    /// when. Asked for each time that it may be; none of it costs a signature.
    fn check_request(
        &self,
        practitioner: &PractitionerId,
        signed: &SignedAccessRequest,
        now: Millis,
    ) -> Result<(), Ground> {
        let request = signed.request();
        let refused = |code, expected| Err(Ground::Request { code, expected });
        let known = self.registry.practitioner(practitioner, now);
        // The certificate names the sender; a request of somebody else is not passed on for them.
        let Some(known) = known else {
            return refused(RejectCode::Identity, "expected a registered practitioner");
        };
        if request.practitioner != *practitioner {
            return refused(RejectCode::Identity, "expected a request of the certificate's owner");
        }
        let registered = self.registry.organisation(&request.organisation, now).is_some();
        if request.organisation != known.organisation || !registered {
            return refused(RejectCode::Identity, "expected the practitioner's own organisation");
        }
        // No registry says who belongs to a care team, so nobody may act for one.
        if request.care_team.is_some() {
            return refused(RejectCode::Identity, "no care teams are registered; name none");
        }
        // The key in the request only says which key signed; the registry says whose it is.
        if request.scope != self.config.scope || signed.public_key != known.public_key {
            return refused(RejectCode::Signature, "expected this chain and the registered key");
        }
        let latest = now.plus(self.config.clock_skew_ms_max);
        if request.requested_at > latest || now >= request.valid_until {
            return refused(RejectCode::Validity, "expected a request that is valid now");
        }
        // Bounds how long its nonce must be remembered.
        if request.valid_until.since(request.requested_at) > limits::REQUEST_VALIDITY_MS_MAX {
            return refused(RejectCode::Validity, "expected a validity of at most an hour");
        }
        Ok(())
    }

    fn decide_registry(&self, change: &RegistryChange, at: At) -> Result<Verdict<'static>, Ground> {
        if let RegistryChange::End { key, .. } = change
            && !self.registry.holds(key, at.now)
        {
            return Err(Ground::NotRegistered(key.clone()));
        }
        if let RegistryChange::Add(record) = change {
            self.registry.check_names(record, at.now).map_err(Ground::UnknownName)?;
        }
        // Encoded here only to learn whether it can be: after this verdict the entry must go in.
        change.to_bytes().map_err(|error| Ground::MalformedChange(error.to_string()))?;
        let entry = Box::new(Entry::RegistryChange(change.clone()));
        let answer = Answer::RegistryChanged { position: at.position };
        Ok(Verdict::Append { entry, time: at.now, answer })
    }

    fn decide_erase(&self, signed: &SignedErasure, at: At) -> Result<Verdict<'static>, Ground> {
        let request = signed.request;
        let (from, until) = (request.requested_at, request.valid_until);
        // It takes away what nobody gives back: over by either clock it is over.
        let latest = at.now.plus(self.config.clock_skew_ms_max);
        if from > latest || at.now.max(at.latest) >= until {
            return Err(NotErased::NotValid { from, until }.into());
        }
        self.check_erasure(signed)?;
        let malformed = |error: DecodeError| Ground::MalformedOperation(error.to_string());
        let digest = signed.digest().map_err(malformed)?;
        // They signed, and came by no certificate: so does an operation that is handed in.
        let owner = self.consent.record(request.patient).ok_or(NotErased::NotEnrolled)?;
        let requester = Holder::signer(&owner.key_hash);
        let tombstone = Tombstone { position: at.position, time: at.now, digest, requester };
        let entry = Box::new(Entry::Erasure(ErasureEntry { request: *signed, requester }));
        Ok(Verdict::Append { entry, time: at.now, answer: Answer::Erased(tombstone) })
    }

    fn decide_hold(&self, hold: &HoldEntry, at: At) -> Result<Verdict<'static>, Ground> {
        self.check_hold(hold)?;
        let answer = Answer::HoldChanged { position: at.position };
        Ok(Verdict::Append { entry: Box::new(Entry::Hold(hold.clone())), time: at.now, answer })
    }

    /// When the open window ends by the clock.
    pub(super) fn due(&self) -> Millis {
        self.config.cadence.due(self.window.t0(), self.window.first())
    }

    /// Whether the open window is the one that shall end. Asked again behind its close, when the
    /// next one is open.
    fn is_meant(&self, which: ToClose) -> bool {
        match which {
            ToClose::Numbered(number) => self.window.number() == number,
            ToClose::NotEmpty => !self.window.is_empty(),
        }
    }

    fn decide_close(&self, at: At) -> Verdict<'static> {
        let (entry, time) = self.close_entry(at.now);
        Verdict::Append { entry: Box::new(entry), time, answer: Answer::Closed }
    }

    /// The close that ends the window at `now`, or at its longest if that is past.
    pub(super) fn close_entry(&self, now: Millis) -> (Entry, Millis) {
        let time = self.strictly_later(now);
        // After a clock that jumped, the entry keeps the true time and the window its longest span:
        // the windows after it abut, each closed in the same way, until the last one holds `now`.
        let t1 = time.min(self.window.t0().plus(limits::WINDOW_MS_MAX));
        (Entry::Close { batch: self.window.number(), t1 }, time)
    }

    /// Whether an entry at `now` and `next` would lie beyond the longest window: in time, in
    /// entries (C2.4), in groups of the journal, of which there have been `groups`, or in bytes of
    /// its private file, of which questions and refusals that nothing else bounds are a part.
    pub(super) fn must_close_before(&self, now: Millis, next: Position, groups: u64) -> bool {
        // An operation may be stamped a little later than the clock says.
        let age_ms = self.strictly_later(now).plus(1).since(self.window.t0());
        let entries = next.0.saturating_sub(self.window.position_in().0);
        // So many entries may come between this check and the close that it asks for.
        age_ms >= limits::WINDOW_MS_MAX
            || entries >= limits::BATCH_ENTRIES_MAX - ENTRIES_SLACK
            || groups >= limits::WINDOW_GROUPS_MAX
            || self.window.private_bytes() >= limits::WINDOW_PRIVATE_BYTES_MAX
    }
}

/// A request to read, as a session submits it.
#[derive(Clone, Copy)]
struct Asking<'a> {
    practitioner: &'a PractitionerId,
    signed: &'a SignedAccessRequest,
    page: Page,
}
