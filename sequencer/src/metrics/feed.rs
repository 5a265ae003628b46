//! How metrics are fed and read: those with labels by methods whose arguments are the closed lists.

use std::sync::Arc;
use std::time::Duration;

use model::{ClaimKind, Millis, RejectCode, RuleNumber};
use prometheus::{Encoder as _, TextEncoder};
use statement::scope::Circuit;

use super::quantile::Observations;
use super::{AccessOutcome, Metrics, ProvingStep};
use crate::doors::orders::Order;
use crate::stages::ingest::RenewalStep;
use crate::stages::standing::Cause;

impl Metrics {
    /// New metrics with a registry of their own: all at zero, but for the balance.
    pub fn new() -> Arc<Metrics> {
        // Fails for a bad or repeated name only: the table is constant and tested.
        let metrics = Metrics::declare().expect("the declared names are valid and distinct");
        // Zero would say that the account is empty.
        metrics.settle_balance_wei.set(f64::NAN);
        for error in
            [&metrics.plan_error_batches, &metrics.plan_error_proofs, &metrics.plan_error_gas]
        {
            error.set(f64::NAN);
        }
        metrics.begin_counters();
        Arc::new(metrics)
    }

    /// Every series that an alert looks at is there from the start: what begins at 1 has grown by
    /// nothing, to Prometheus.
    fn begin_counters(&self) {
        for code in RejectCode::ALL {
            self.ingest_rejects_total.with_label_values(&[code.number().to_string()]);
        }
        for known in ["yes", "no"] {
            self.names_asked_total.with_label_values(&[known]);
        }
        for answer in ["permit", "deny"] {
            self.consent_questions_total.with_label_values(&[answer]);
        }
        for order in Order::WORDS {
            self.orders_total.with_label_values(&[order]);
        }
        for is_local in [true, false] {
            self.prove_attempts_failed_total.with_label_values(&[worker(is_local)]);
        }
    }

    /// Counts a code that a peer was told.
    pub fn count_reject(&self, code: RejectCode) {
        self.ingest_rejects_total.with_label_values(&[code.number().to_string()]).inc();
    }

    /// Counts a claim refused by `rule`.
    pub fn count_refusal(&self, rule: RuleNumber) {
        self.refusals_total.with_label_values(&[rule.to_string()]).inc();
    }

    /// Counts a decided access request.
    pub fn count_access(&self, kind: ClaimKind, outcome: AccessOutcome) {
        let kind = match kind {
            ClaimKind::Access => "access",
            ClaimKind::Collect => "collect",
            ClaimKind::BreakGlass => "break-glass",
        };
        let outcome = match outcome {
            AccessOutcome::Granted => "granted",
            AccessOutcome::Refused => "refused",
        };
        self.accesses_total.with_label_values(&[kind, outcome]).inc();
    }

    /// Counts a name that a wallet asked about.
    pub fn count_name(&self, known: bool) {
        self.names_asked_total.with_label_values(&[if known { "yes" } else { "no" }]).inc();
    }

    /// Counts a question about consent by its answer: `permit`, `deny` or a code.
    pub fn count_question(&self, answer: &'static str) {
        self.consent_questions_total.with_label_values(&[answer]).inc();
    }

    /// Counts a step of somebody's renewal.
    pub fn count_renewal(&self, step: RenewalStep) {
        let step = match step {
            RenewalStep::Asked => "asked",
            RenewalStep::Replaced => "replaced",
            RenewalStep::Issued => "issued",
            RenewalStep::Taken => "taken",
            RenewalStep::Refused => "refused",
        };
        self.renewals_total.with_label_values(&[step]).inc();
    }

    /// Counts a proof that took `seconds`.
    pub fn count_proof(&self, circuit: Circuit, seconds: f64) {
        let circuit = match circuit {
            Circuit::C1 => "C1",
            Circuit::C2 => "C2",
        };
        self.proofs_total.with_label_values(&[circuit]).inc();
        self.proof_seconds.with_label_values(&[circuit]).observe(seconds);
    }

    /// Says what buffers the socket of ingest was granted.
    pub fn set_udp_buffers(&self, buffers: &udp::Buffers) {
        for (direction, bytes) in [("receive", buffers.receive), ("send", buffers.send)] {
            self.ingest_udp_buffer_bytes.with_label_values(&[direction]).set(bytes as i64);
        }
    }

    /// Says how many jobs of the proving service stand so.
    pub fn set_jobs(&self, state: &'static str, count: usize) {
        self.prove_jobs.with_label_values(&[state]).set(count as i64);
    }

    /// Counts a lease of a job.
    pub fn count_lease(&self, is_local: bool) {
        self.prove_leases_total.with_label_values(&[worker(is_local)]).inc();
    }

    /// Counts an attempt at a proof that came to nothing.
    pub fn count_failed_attempt(&self, is_local: bool) {
        self.prove_attempts_failed_total.with_label_values(&[worker(is_local)]).inc();
    }

    /// Counts the answer of a worker by what became of it.
    pub fn count_answer(&self, answer: &'static str) {
        self.prove_answers_total.with_label_values(&[answer]).inc();
    }

    /// Counts a proof that is begun on all cores, or on one.
    pub fn count_cores(&self, all: bool) {
        let cores = if all { "all" } else { "one" };
        self.prove_cores_total.with_label_values(&[cores]).inc();
    }

    /// Notes how long a step of proving took.
    pub fn observe_step(&self, step: ProvingStep, took: Duration) {
        let step = match step {
            ProvingStep::Plan => "plan",
            ProvingStep::Witness => "witness",
            ProvingStep::Prove => "prove",
            ProvingStep::Verify => "verify",
        };
        self.prove_step_seconds.with_label_values(&[step]).observe(took.as_secs_f64());
    }

    /// Counts the constraints of a proof that took so long.
    pub fn count_constraints(&self, constraints: usize, took: Duration) {
        self.prove_constraints_total.inc_by(constraints as u64);
        self.prove_constraints_per_second.set(constraints as f64 / took.as_secs_f64().max(1e-6));
    }

    /// Says which engine proves.
    pub fn set_engine(&self, engine: &'static str) {
        self.prove_engine.with_label_values(&[engine]).set(1);
    }

    /// Notes a stop, revocation or denial that took effect at `time`.
    pub fn note_withdrawal(&self, signed_at: Millis, time: Millis) {
        self.withdrawal_effective_seconds.observe(seconds(time.since(signed_at)));
        self.withdrawals.note(time);
    }

    /// Takes notice of a settled window that ended at `end`, by a block of the time `settled`.
    pub fn settle_withdrawals(&self, end: Millis, settled: Millis) {
        for time in self.withdrawals.take_before(end) {
            self.withdrawal_settled_seconds.observe(seconds(settled.since(time)));
        }
    }

    /// Counts an order of an operator that was carried out.
    pub fn count_order(&self, order: &'static str) {
        self.orders_total.with_label_values(&[order]).inc();
    }

    /// Says in how many seconds a certificate of the node's own ends, or ended.
    pub fn set_own_certificate(&self, certificate: &'static str, seconds: i64) {
        self.own_certificate_seconds.with_label_values(&[certificate]).set(seconds);
    }

    /// Until the first of these ends; none before they were looked at.
    pub fn own_certificates_seconds(&self) -> Option<f64> {
        use prometheus::core::Collector as _;
        let families = self.own_certificate_seconds.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        series.map(|one| one.get_gauge().get_value()).reduce(f64::min)
    }

    /// Says whether a stage failed.
    pub fn set_failed(&self, stage: &str, failed: bool) {
        self.stage_failed.with_label_values(&[stage]).set(i64::from(failed));
    }

    /// Frames, operations, requests and connections rejected so far, by code, in its order.
    pub fn rejects(&self) -> impl Iterator<Item = (RejectCode, u64)> + '_ {
        RejectCode::ALL.iter().map(|code| {
            let number = code.number().to_string();
            (*code, self.ingest_rejects_total.with_label_values(&[number]).get())
        })
    }

    /// Times of all proofs, of whichever circuit.
    pub fn proofs(&self) -> Observations {
        let of = |circuit| Observations::of(&self.proof_seconds.with_label_values(&[circuit]));
        of("C1").and(&of("C2"))
    }

    /// Says whether a stage is kept from getting on by `cause`.
    pub fn set_degraded(&self, stage: &str, cause: Cause, holds: bool) {
        self.stage_degraded.with_label_values(&[stage, cause.name()]).set(i64::from(holds));
    }

    /// What the settling account holds, once it was looked at.
    pub fn balance_wei(&self) -> Option<u128> {
        let wei = self.settle_balance_wei.get();
        wei.is_finite().then_some(wei as u128)
    }

    /// What a scrape gathers.
    #[cfg(test)]
    pub(crate) fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }

    /// All values in the text format of Prometheus.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        // Writing to memory does not fail, and the encoder writes UTF-8.
        encoded.expect("metrics encode to memory");
        String::from_utf8(text).expect("the encoder writes UTF-8")
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn worker(is_local: bool) -> &'static str {
    if is_local { "local" } else { "remote" }
}
