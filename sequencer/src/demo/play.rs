//! The story: onboarding, a day of streams and accesses, a day later, revocations.

use std::sync::Arc;
use std::time::Instant;

use client::{AccessOutcome, Applied, Key, Stream, StreamError};
use model::{
    Action, Categories, Category, ClaimKind, Clock, DeviceId, Interval, Label, ManualClock, Millis,
    OrganisationId, Party, PatientIndex, Purpose, Rule, RuleNumber, RuleSlot, Word,
};
use statement::operation::SignedOperation;
use statement::{eddsa, field, scope};
use wire::{
    AccessKind, AccessRequest, Decision, Descriptor, DeviceTime, Entry, Lane, Period, Reading,
    Reason, RefusalReason, SignedAccessRequest, Source, StreamKey,
};

use super::bars::{bar, spinner};
use super::cast::{Cast, registrar_key};
use super::expect::{DemoError, Step};
use super::report::Report;
use crate::node::Node;
use crate::stages::ledger::Item;

const HOUR_MS: u64 = 60 * 60 * 1000;
/// Seconds of recording that each device sends in the first round, one frame a second.
const SECONDS_STREAMED: u64 = 60;
/// Signatures are valid this long.
const VALID_MS: u64 = 10 * 60 * 1000;

/// Everything the story needs.
struct Ward<'a> {
    node: &'a Node,
    cast: &'a Cast,
    report: &'a mut Report,
    nonce: u64,
}

/// What somebody asks for.
struct Ask {
    practitioner: usize,
    patient: usize,
    categories: Categories,
    purpose: Purpose,
    emergency: bool,
}

/// Plays the story and closes its windows.
pub(super) async fn play(
    node: &Node,
    cast: &Cast,
    clock: &Arc<ManualClock>,
    report: &mut Report,
) -> Result<(), DemoError> {
    let mut ward = Ward { node, cast, report, nonce: 0 };
    ward.onboard().await?;
    // Closed before anybody streams: the first window proves operations only, the next one claims.
    ward.close_window().await?;
    let streams = ward.stream_all().await?;
    ward.day_one().await?;
    ward.close_window().await?;
    // Beyond the grant of 24 hours; the embedded chain follows the same clock.
    clock.advance(25 * HOUR_MS);
    ward.report.line("clock", "moved ahead by 25 h");
    ward.day_two().await?;
    ward.withdraw(streams).await?;
    ward.close_window().await?;
    ward.await_settlement().await
}

/// Enrols everybody with the permits of the demo.
pub(super) async fn onboard(
    node: &Node,
    cast: &Cast,
    report: &mut Report,
) -> Result<(), DemoError> {
    Ward { node, cast, report, nonce: 0 }.onboard().await
}

impl Ward<'_> {
    fn now(&self) -> Millis {
        self.cast.clock.now()
    }

    /// Every patient is enrolled by the registrar and permits its device to collect and its
    /// doctor to read the device's category for treatment.
    async fn onboard(&mut self) -> Result<(), DemoError> {
        let bar = bar(self.cast.patients.len() as u64, "onboarding");
        for patient in 0..self.cast.patients.len() {
            self.enrol(patient).await?;
            let device = self.device_id(patient);
            let collect = rule(scope::device(&device), ClaimKind::Collect);
            self.write_rule(patient, RuleSlot::Permit, collect).await?;
            let doctor = self.doctor();
            let categories = self.category(patient).only();
            let purposes = Purpose::Treatment.only();
            let read = Rule { categories, purposes, ..rule(doctor, ClaimKind::Access) };
            self.write_rule(patient, RuleSlot::Permit, read).await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.report.patients = self.cast.patients.len() as u64;
        self.report.gateways = self.cast.world.gateways.len() as u64;
        let text = format!("{} patients enrolled, each with two permits", self.report.patients);
        self.report.line("consent", &text);
        Ok(())
    }

    async fn enrol(&mut self, patient: usize) -> Result<(), DemoError> {
        let step = Step("enrol");
        let one = &self.cast.patients[patient];
        let mut wallet = one.wallet.lock().await;
        let operation = wallet.enrolment(&one.key, self.now(), VALID_MS);
        let scope = self.node.deployment().scope();
        let registrar = registrar_key();
        let signed =
            SignedOperation::sign(operation, scope::sig_domain(scope), &registrar.signer());
        let applied = submit(step, &self.cast.operator, &signed).await?;
        // Only after the receipt: a wallet that runs ahead would sign on a record that does not
        // stand.
        step.ok(wallet.apply(&signed, applied.time, registrar.key_hash()))
    }

    /// Signs an operation with the patient's key, sends it, and lets the wallet take it over.
    async fn operate(&mut self, patient: usize, action: Action) -> Result<Applied, DemoError> {
        let step = Step("consent");
        let one = &self.cast.patients[patient];
        let mut wallet = one.wallet.lock().await;
        let operation = step.ok(wallet.change(action, self.now(), VALID_MS))?;
        let scope = self.node.deployment().scope();
        let signed = SignedOperation::sign(operation, scope::sig_domain(scope), &one.key.signer());
        let applied = submit(step, &self.cast.wallet, &signed).await?;
        step.ok(wallet.apply(&signed, applied.time, registrar_key().key_hash()))?;
        Ok(applied)
    }

    async fn write_rule(
        &mut self,
        patient: usize,
        slot: fn(u8) -> RuleSlot,
        rule: Rule,
    ) -> Result<RuleSlot, DemoError> {
        let slot = {
            let wallet = self.cast.patients[patient].wallet.lock().await;
            Step("consent").ok(wallet.free_slot(slot, self.now()))?
        };
        self.operate(patient, Action::Write { slot, rule }).await?;
        Ok(slot)
    }

    fn device_id(&self, patient: usize) -> DeviceId {
        self.cast.world.devices[self.cast.patients[patient].device].id.clone()
    }

    fn category(&self, patient: usize) -> Category {
        self.cast.world.devices[self.cast.patients[patient].device].signals[0].category
    }

    fn index(&self, patient: usize) -> PatientIndex {
        self.cast.world.patients[patient].index
    }

    /// Word of the doctor who treats everybody: the first of the hospital.
    fn doctor(&self) -> Word {
        scope::practitioner(&self.cast.world.practitioners[0].id)
    }

    /// Every device streams a minute of its recording; everything gets a receipt.
    async fn stream_all(&mut self) -> Result<Vec<Stream>, DemoError> {
        let begun = Instant::now();
        let total = self.cast.patients.len() as u64 * SECONDS_STREAMED;
        let bar = bar(total, "streaming recordings");
        let mut streams = Vec::new();
        for patient in 0..self.cast.patients.len() {
            streams.push(self.open_stream(patient).await?);
        }
        // In the past, so that no reading is ahead of the node's clock.
        let start = self.now().get() - SECONDS_STREAMED * 1000;
        for second in 0..SECONDS_STREAMED {
            for (patient, stream) in streams.iter().enumerate() {
                let readings = self.second_of(patient, second, start + second * 1000)?;
                Step("stream").ok(stream.send(&readings).await)?;
                bar.inc(1);
            }
        }
        // Sending does not wait for receipts; only what has one is counted.
        for gateway in &self.cast.gateways {
            Step("stream").ok(gateway.flush().await)?;
        }
        bar.finish_and_clear();
        self.report.seconds.ingest = begun.elapsed().as_secs_f64();
        self.count_streams();
        let Report { readings_acked, frames_acked, receipts_verified, .. } = &*self.report;
        let text = format!(
            "{} gateways over QUIC: {readings_acked} real readings in {frames_acked} frames \
             acknowledged, {receipts_verified} receipts verified",
            self.report.gateways
        );
        self.report.line("ingest", &text);
        Step("stream").equal("frames acknowledged", total, self.report.frames_acked)?;
        Ok(streams)
    }

    fn count_streams(&mut self) {
        let all = self.cast.gateways.iter().map(|gateway| gateway.counts());
        let others = self.cast.practitioners.iter().map(|(_, connection)| connection.counts());
        let rest = [self.cast.wallet.counts(), self.cast.operator.counts()];
        let (mut frames, mut readings) = (0, 0);
        let mut receipts: u64 = others.chain(rest).map(|counts| counts.receipts).sum();
        for counts in all {
            frames += counts.frames_receipted;
            readings += counts.readings_sent;
            receipts += counts.receipts;
        }
        // Counted by the clients from receipts that they verified, not by the node.
        self.report.frames_acked = frames;
        self.report.readings_acked = readings;
        self.report.receipts_verified = receipts;
    }

    async fn open_stream(&self, patient: usize) -> Result<Stream, DemoError> {
        let device = &self.cast.world.devices[self.cast.patients[patient].device];
        let gateway = &self.cast.gateways[device.gateway];
        let signal = device.signals[0].code;
        let key = StreamKey { device: device.id.clone(), patient: self.index(patient), signal };
        let step = Step("stream");
        let epoch = step.ok(gateway.epoch(&key))?;
        let period = step.ok(Period::new(self.recording(patient).period_ns, 1))?;
        let descriptor = Descriptor { key, period: Some(period), epoch };
        step.ok(gateway.open_stream(Lane::Live, descriptor).await)
    }

    /// What the patient's device plays.
    fn recording(&self, patient: usize) -> &'static world::Recording {
        let device = &self.cast.world.devices[self.cast.patients[patient].device];
        let name = device.signals[0].name;
        let all = world::recordings().iter().filter(|recording| recording.signal.name == name);
        let all: Vec<_> = all.collect();
        // Patients on the same signal get different recordings, as long as there are any.
        all[patient % all.len()]
    }

    /// One second of the device's recording, as if measured from `start_ms` on.
    fn second_of(
        &self,
        patient: usize,
        second: u64,
        start_ms: u64,
    ) -> Result<Vec<Reading>, DemoError> {
        let step = Step("stream");
        let recording = self.recording(patient);
        let rate = (1_000_000_000 / recording.period_ns) as usize;
        let first = second as usize * rate % (recording.samples.len() - rate);
        let samples = recording.samples[first..first + rate].iter().enumerate();
        let start = step.ok(Millis::new(start_ms))?;
        let start = DeviceTime::from_millis(start).micros();
        let reading = |(n, value): (usize, &i32)| {
            let micros = start + n as u64 * recording.period_ns / 1000;
            Ok(Reading::new(step.ok(DeviceTime::from_micros(micros))?, *value))
        };
        samples.map(reading).collect()
    }

    /// Accesses that are covered and accesses that are not, a deny, a broken glass.
    async fn day_one(&mut self) -> Result<(), DemoError> {
        for patient in 0..4 {
            self.expect_permitted(self.ask(0, patient)).await?;
        }
        // Nobody permitted dr-002, and nobody permitted anything for research.
        self.expect_refused(self.ask(1, 0), RuleNumber::c2(12)).await?;
        let research = Ask { purpose: Purpose::Research, ..self.ask(0, 0) };
        self.expect_refused(research, RuleNumber::c2(9)).await?;
        let glucose = Ask { categories: Category::Glucose.only(), ..self.ask(0, 1) };
        self.expect_refused(glucose, RuleNumber::c2(8)).await?;
        self.deny_one().await?;
        self.emergency_grant().await?;
        self.break_glass().await
    }

    /// A deny overrides a permit that still stands.
    async fn deny_one(&mut self) -> Result<(), DemoError> {
        let patient = 5;
        self.expect_permitted(self.ask(0, patient)).await?;
        let deny = rule(self.doctor(), ClaimKind::Access);
        self.write_rule(patient, RuleSlot::Deny, deny).await?;
        self.expect_refused(self.ask(0, patient), RuleNumber::c2(15)).await?;
        self.report.line("deny", "one patient denied a permitted doctor: refused (C2.15)");
        Ok(())
    }

    /// A second hospital doctor may read for 24 hours.
    async fn emergency_grant(&mut self) -> Result<(), DemoError> {
        let (patient, doctor) = (6, 3);
        let word = scope::practitioner(&self.cast.world.practitioners[doctor].id);
        let now = self.now();
        let access = Step("grant").ok(Interval::new(now, now.plus(24 * HOUR_MS)))?;
        let grant = Rule { access, ..rule(word, ClaimKind::Access) };
        self.write_rule(patient, RuleSlot::Permit, grant).await?;
        self.expect_permitted(self.ask(doctor, patient)).await?;
        self.report.line("grant", "a 24 h emergency grant: permitted now");
        Ok(())
    }

    /// A policy lets the hospital read in an emergency, with a reason, counted publicly.
    async fn break_glass(&mut self) -> Result<(), DemoError> {
        let (patient, doctor) = (7, 3);
        let hospital = scope::organisation(&self.hospital());
        self.write_rule(patient, RuleSlot::Policy, rule(hospital, ClaimKind::BreakGlass)).await?;
        self.expect_refused(self.ask(doctor, patient), RuleNumber::c2(12)).await?;
        let emergency = Ask {
            purpose: Purpose::EmergencyTreatment,
            emergency: true,
            ..self.ask(doctor, patient)
        };
        let outcome = self.expect_permitted(emergency).await?;
        let frames = outcome.released.len();
        let text = format!("glass broken once, with a reason: {frames} frames released");
        self.report.line("emergency", &text);
        Ok(())
    }

    fn hospital(&self) -> OrganisationId {
        self.cast.world.organisations[0].clone()
    }

    /// A day later the grant has expired by itself; permits without end still hold.
    async fn day_two(&mut self) -> Result<(), DemoError> {
        self.expect_refused(self.ask(3, 6), RuleNumber::c2(6)).await?;
        self.report.line("grant", "25 h later: refused, expired by itself (C2.6)");
        self.expect_permitted(self.ask(0, 2)).await.map(drop)
    }

    /// A revocation halts one stream, a stop another and every access.
    async fn withdraw(&mut self, streams: Vec<Stream>) -> Result<(), DemoError> {
        let (revokes, stops) = (2, 3);
        for patient in [revokes, stops] {
            self.send_one(patient, &streams[patient]).await?;
        }
        self.revoke(revokes, 0).await?;
        self.expect_halted(revokes, &streams[revokes], RuleNumber::c2(6)).await?;
        self.revoke(revokes, 1).await?;
        self.expect_refused(self.ask(0, revokes), RuleNumber::c2(6)).await?;
        self.report.line("revoke", "the running stream stopped at the next frame, access refused");
        self.operate(stops, Action::Stop).await?;
        self.expect_halted(stops, &streams[stops], RuleNumber::c2(16)).await?;
        self.expect_refused(self.ask(0, stops), RuleNumber::c2(16)).await?;
        self.report.line("stop", "one signature ended every rule of a patient: stream and access");
        Ok(())
    }

    async fn revoke(&mut self, patient: usize, permit: u8) -> Result<(), DemoError> {
        let action = {
            let wallet = self.cast.patients[patient].wallet.lock().await;
            Step("revoke").ok(wallet.revocation(RuleSlot::Permit(permit)))?
        };
        self.operate(patient, action).await.map(drop)
    }

    async fn send_one(&self, patient: usize, stream: &Stream) -> Result<(), DemoError> {
        let readings = self.second_of(patient, 0, self.now().get() - 1000)?;
        let sequence = Step("stream").ok(stream.send(&readings).await)?;
        Step("stream").ok(stream.wait_for_receipt(sequence).await)
    }

    /// The next frame of the stream is refused, by this rule.
    async fn expect_halted(
        &mut self,
        patient: usize,
        stream: &Stream,
        expected: RuleNumber,
    ) -> Result<(), DemoError> {
        let step = Step("halt");
        let readings = self.second_of(patient, 1, self.now().get() - 1000)?;
        let sent = match stream.send(&readings).await {
            Ok(sequence) => stream.wait_for_receipt(sequence).await,
            Err(error) => Err(error),
        };
        match sent {
            Err(StreamError::Stopped { .. }) => {}
            Err(error) => return Err(step.failed("a stopped stream", error)),
            Ok(()) => return Err(step.failed("a stopped stream", "an acknowledged frame")),
        }
        // The peer is told a code; which rule it was stands in the operator's journal only.
        let found = step.ok(self.node.last_refusal())?;
        let rule = found.and_then(|refusal| match refusal.reason {
            RefusalReason::Claim(refusal) => Some(refusal.rule()),
            _ => None,
        });
        step.equal("the journaled rule", Some(expected), rule)?;
        self.report.refuse(expected);
        Ok(())
    }

    fn ask(&self, practitioner: usize, patient: usize) -> Ask {
        let categories = self.category(patient).only();
        Ask { practitioner, patient, categories, purpose: Purpose::Treatment, emergency: false }
    }

    async fn expect_permitted(&mut self, ask: Ask) -> Result<AccessOutcome, DemoError> {
        let outcome = self.request(&ask).await?;
        if !outcome.permitted {
            let rule = self.rule_of(&outcome)?;
            return Err(Step("access").failed("a permitted access", format!("refused, {rule:?}")));
        }
        if outcome.released.is_empty() {
            return Err(Step("access").failed("released frames", "none"));
        }
        Ok(outcome)
    }

    async fn expect_refused(&mut self, ask: Ask, expected: RuleNumber) -> Result<(), DemoError> {
        let outcome = self.request(&ask).await?;
        let step = Step("access");
        step.equal("permitted", false, outcome.permitted)?;
        step.equal("the journaled rule", Some(expected), self.rule_of(&outcome)?)?;
        self.report.refuse(expected);
        Ok(())
    }

    /// The rule behind a decision, from the operator's journal: the requester is not told.
    fn rule_of(&self, outcome: &AccessOutcome) -> Result<Option<RuleNumber>, DemoError> {
        let entry = Step("access").ok(self.node.entry(outcome.position))?;
        let Entry::AccessRequest { decision: Decision::Refused { uncovered }, .. } = entry else {
            return Ok(None);
        };
        Ok(Some(uncovered.rule()))
    }

    async fn request(&mut self, ask: &Ask) -> Result<AccessOutcome, DemoError> {
        let step = Step("access");
        // A request is taken once: the same one again would be refused as a repetition.
        self.nonce += 1;
        let (key, connection) = &self.cast.practitioners[ask.practitioner];
        let practitioner = &self.cast.world.practitioners[ask.practitioner];
        let reason = if ask.emergency { "found unresponsive" } else { "" };
        let reason = step.ok(Reason::new(reason))?;
        let now = self.now();
        let request = AccessRequest {
            scope: self.node.deployment().scope(),
            patient: self.index(ask.patient),
            practitioner: practitioner.id.clone(),
            organisation: practitioner.organisation.clone(),
            care_team: None,
            source: Source::Any,
            categories: ask.categories,
            purpose: ask.purpose,
            labels: Label::Normal.only(),
            data: Interval::ALWAYS,
            requested_at: now,
            valid_until: now.plus(VALID_MS),
            nonce: self.nonce,
            kind: match ask.emergency {
                true => AccessKind::BreakGlass { reason },
                false => AccessKind::Access { reason },
            },
        };
        step.ok(connection.access(sign(step, request, key)?, wire::Page::FIRST).await)
    }

    async fn close_window(&mut self) -> Result<(), DemoError> {
        let step = Step("close");
        let status = self.node.status();
        // As the timer would: the demo's own windows are longer than the demo.
        step.ok(self.node.submit(Item::Close).await)?;
        self.report.batches_settled = status.window.0;
        let text =
            format!("window {} closed; it is proven while the next one fills", status.window.0);
        self.report.line("window", &text);
        Ok(())
    }

    /// Waits until the chain has every batch.
    async fn await_settlement(&mut self) -> Result<(), DemoError> {
        let step = Step("settle");
        let begun = Instant::now();
        let last = self.report.batches_settled;
        let bar = spinner("proving and settling");
        step.ok(self.node.wait_until_settled(last).await)?;
        bar.finish_and_clear();
        self.count_streams();
        self.report.seconds.settle = begun.elapsed().as_secs_f64();
        let totals = self.node.watched().totals();
        self.report.seconds.prove = totals.prove_ms as f64 / 1000.0;
        for number in 1..=last {
            let row = step.ok(self.node.store().batch(model::BatchNumber(number)))?;
            let settled = row.and_then(|row| row.settled);
            let Some(settled) = settled else {
                return Err(step.failed(format!("batch {number} to be settled"), "it is not"));
            };
            self.report.gas_total += settled.gas;
        }
        let text =
            format!("{last} batches, {} proofs, {} gas", totals.proofs, self.report.gas_total);
        self.report.line("settled", &text);
        Ok(())
    }
}

async fn submit(
    step: Step,
    connection: &client::Connection,
    signed: &SignedOperation,
) -> Result<Applied, DemoError> {
    let bytes = step.ok(wire::SignedOperation::new(signed.to_bytes().to_vec()))?;
    step.ok(connection.submit(bytes).await)
}

fn sign(step: Step, request: AccessRequest, key: &Key) -> Result<SignedAccessRequest, DemoError> {
    let message = step.ok(request.signing_hash())?.word();
    let signature = eddsa::sign(&key.signer(), field::from_word(&message));
    step.ok(SignedAccessRequest::new(request, key.public().encode(), signature.encode()))
}

/// Everything, for ever, for this actor and kind.
fn rule(actor: Word, kind: ClaimKind) -> Rule {
    Rule::widest(Party::Named(actor), kind.only())
}
