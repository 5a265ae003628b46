//! Every metric of the node, declared once: name, kind, unit, labels and help.
//!
//! Boards ([`boards`]) and alerts ([`alerts`]) are declared beside it, and name nothing else.
//! Each node has its own registry; nothing is global. A label takes only values of a closed list
//! (reject codes, rule numbers, kinds, outcomes, circuits), so the number of series is bounded.
//! `docs/metrics.md` is generated from the same declaration and compared by a test.

pub mod alerts;
pub mod boards;
mod feed;
pub mod quantile;
mod withdrawals;

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use self::withdrawals::Withdrawals;

/// How an access request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessOutcome {
    /// Readings were released.
    Granted,
    /// The request was refused.
    Refused,
}

/// A step of proving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProvingStep {
    /// A window is laid out as chunks, each checked natively.
    Plan,
    /// A chunk is assigned.
    Witness,
    /// The proof of a chunk is made.
    Prove,
    /// The proof is verified once more, as an answer.
    Verify,
}

/// One declared metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Declared {
    /// Name, with prefix.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

/// Seconds of proofs: 0.1 s to 10 min.
const PROOF_SECONDS: [f64; 10] = [0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 40.0, 90.0, 200.0, 600.0];
/// Seconds of a step of a proof: 1 ms to 10 min.
const STEP_SECONDS: [f64; 12] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 40.0, 200.0, 600.0];
/// Seconds of a receipt: 1 ms to 10 s.
const RECEIPT_SECONDS: [f64; 12] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0];
/// Seconds from the signature of a withdrawal until it takes effect: 10 ms to an hour.
const EFFECT_SECONDS: [f64; 10] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 600.0, 3600.0];
/// Seconds of an evaluated row: 1 ms to 10 s.
const EVALUATION_SECONDS: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0];
/// Seconds between the end of a window and the block that settles it: 1 s to a day.
const LATENESS_SECONDS: [f64; 10] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 1800.0, 7200.0, 86400.0];

macro_rules! kind {
    (IntCounter) => {
        "counter"
    };
    (IntCounterVec) => {
        "counter"
    };
    (IntGauge) => {
        "gauge"
    };
    (IntGaugeVec) => {
        "gauge"
    };
    (Gauge) => {
        "gauge"
    };
    (Histogram) => {
        "histogram"
    };
    (HistogramVec) => {
        "histogram"
    };
}

macro_rules! make {
    (IntCounter, $opts:expr, $labels:expr, $buckets:expr) => {
        IntCounter::with_opts($opts)
    };
    (IntCounterVec, $opts:expr, $labels:expr, $buckets:expr) => {
        IntCounterVec::new($opts, $labels)
    };
    (IntGauge, $opts:expr, $labels:expr, $buckets:expr) => {
        IntGauge::with_opts($opts)
    };
    (IntGaugeVec, $opts:expr, $labels:expr, $buckets:expr) => {
        IntGaugeVec::new($opts, $labels)
    };
    (Gauge, $opts:expr, $labels:expr, $buckets:expr) => {
        Gauge::with_opts($opts)
    };
    (Histogram, $opts:expr, $labels:expr, $buckets:expr) => {
        Histogram::with_opts(HistogramOpts::from($opts).buckets($buckets.to_vec()))
    };
    (HistogramVec, $opts:expr, $labels:expr, $buckets:expr) => {
        HistogramVec::new(HistogramOpts::from($opts).buckets($buckets.to_vec()), $labels)
    };
}

/// Declares fields, registration and table together.
macro_rules! metrics {
    ($($vis:vis $name:ident: $kind:ident [$($label:literal),*] $([$buckets:expr])?, $unit:literal,
        $help:literal;)*) => {
        /// The node's metrics. Fields without labels are fed directly, the others through methods
        /// whose arguments are the closed lists.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            /// Withdrawals that took effect and are not settled yet.
            withdrawals: Withdrawals,
            $(#[doc = concat!($help, " Unit: ", $unit, ".")] $vis $name: $kind,)*
        }

        impl Metrics {
            /// Every metric, in the order of declaration.
            pub const DECLARED: &'static [Declared] = &[$(Declared {
                name: concat!("vitals_", stringify!($name)),
                kind: kind!($kind),
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
            },)*];

            fn declare() -> prometheus::Result<Metrics> {
                let registry = Registry::new();
                $(
                    let opts = Opts::new(concat!("vitals_", stringify!($name)), $help);
                    let $name: $kind =
                        make!($kind, opts, &[$($label),*], buckets!($($buckets)?))?;
                    registry.register(Box::new($name.clone()))?;
                )*
                Ok(Metrics { registry, withdrawals: Withdrawals::default(), $($name,)* })
            }
        }
    };
}

macro_rules! buckets {
    () => {
        [0.0; 0]
    };
    ($buckets:expr) => {
        $buckets
    };
}

metrics! {
    pub ingest_connections: IntGauge [], "connections",
        "Open connections of gateways, wallets and practitioners.";
    pub ingest_connections_max: IntGauge [], "connections",
        "Most connections that may be open (`ingest.limits.connections_max`).";
    pub ingest_connections_total: IntCounter [], "connections", "Connections accepted.";
    pub ingest_connections_refused_total: IntCounter [], "connections",
        "Connections turned away because too many were open.";
    pub ingest_connections_gave_way_total: IntCounter [], "connections",
        "Connections closed for a newer one, of a certificate that has fewer or of their own.";
    pub ingest_handshakes: IntGauge [], "handshakes",
        "Handshakes under way: peers that have shown no certificate yet.";
    pub ingest_handshakes_gave_way_total: IntCounter [], "handshakes",
        "Handshakes given up for a newer one while too many were under way.";
    pub ingest_retries_total: IntCounter [], "handshakes",
        "Peers asked to prove their address first, because many handshakes were under way.";
    pub ingest_panics_total: IntCounter [], "connections",
        "Connections ended by a panic of their task.";
    ingest_udp_buffer_bytes: IntGaugeVec ["direction"], "bytes",
        "What the system grants the socket to hold datagrams, to receive and to send; asked for \
         with `udp_buffer_bytes`.";
    pub ingest_frames_total: IntCounter [], "frames", "Frames admitted.";
    pub ingest_readings_total: IntCounter [], "readings", "Readings in admitted frames.";
    pub ingest_bytes_total: IntCounter [], "bytes", "Bytes of admitted frames.";
    pub ingest_duplicates_total: IntCounter [], "frames",
        "Frames that were stored already and were acknowledged again.";
    ingest_rejects_total: IntCounterVec ["code"], "messages",
        "Frames, operations, requests and connections rejected, by reject code.";
    refusals_total: IntCounterVec ["rule"], "items",
        "Claims that no live rule covered and operations that a rule refused, by that rule.";
    pub journal_queue_items: IntGauge [], "items",
        "Items that wait for the journal's writer, as counted every tenth of a second.";
    pub journal_queue_items_max: IntGauge [], "items",
        "Most that may (`journal.queue_items_max`); a further one is refused as busy.";
    pub journal_groups_total: IntCounter [], "groups", "Groups made durable.";
    pub journal_entries_total: IntCounter [], "entries", "Entries made durable.";
    pub journal_files: IntGauge [], "files", "Files of the journal.";
    pub journal_files_late_total: IntCounter [], "files",
        "Files that the writer had to make itself because none was ready.";
    pub journal_files_unmade_total: IntCounter [], "files",
        "Files that could not be made ahead of need: the disk failed or has no room.";
    pub journal_files_reused_total: IntCounter [], "files",
        "Files made of the blocks of one that left for the archive.";
    pub journal_witness_lag: IntGauge [], "groups",
        "Groups that are durable and not in the witness beside the journal yet.";
    pub snapshot_position: IntGauge [], "entries",
        "Position behind which the last snapshot of this run stands; 0 before the first.";
    pub snapshot_bytes: IntGauge [], "bytes", "Length of that snapshot.";
    pub snapshot_failures_total: IntCounter [], "snapshots", "Snapshots that could not be written.";
    pub journal_contradicted: IntGauge [], "boolean",
        "1 once somebody showed what the journal lacks: the node takes nothing in.";
    pub body_keys_failing: IntGauge [], "boolean",
        "1 while the last key of readings that was needed could not be made: frames that need a new \
         one are refused.";
    pub journal_free_bytes: IntGauge [], "bytes",
        "Free space under the node's folder, as measured within the last tenth of a second.";
    pub journal_reserve_bytes: IntGauge [], "bytes",
        "Free space that frames leave to everything else (`journal.reserve_bytes`).";
    pub journal_ahead_seconds: Gauge [], "seconds",
        "How far the journal's last time is ahead of the clock; zero while it is not.";
    pub clock_disagreement_seconds: Gauge [], "seconds",
        "How far the wall clock is ahead of what the boot-time clock says; negative if behind.";
    pub receipts_total: IntCounter [], "receipts", "Receipts sent, repetitions included.";
    pub receipt_seconds: Histogram [] [RECEIPT_SECONDS], "seconds",
        "Time from the arrival of a frame to its receipt's leaving; of one frame under way at a \
         time on each connection.";
    pub receipt_groups_waiting: IntGauge [], "groups",
        "Groups whose receipts wait to be signed, as counted every tenth of a second.";
    pub receipt_groups_max: IntGauge [], "groups",
        "Most that may (`deliver.groups_max`); whoever waits for a further one is closed as busy.";
    pub operations_total: IntCounter [], "operations", "Consent operations applied.";
    pub operations_unprovable_total: IntCounter [], "operations",
        "Operations refused because twin and circuit differ: each is a bug to be reported.";
    pub withdrawal_effective_seconds: Histogram [] [EFFECT_SECONDS], "seconds",
        "Time from the signature of a stop, revocation or denial to its taking effect; with the \
         distance of the signer's clock in it.";
    pub withdrawal_settled_seconds: Histogram [] [LATENESS_SECONDS], "seconds",
        "Time from a stop's, revocation's or denial's taking effect to the block that settled it.";
    pub evaluations_waiting: IntGauge [], "operations",
        "Operations whose row waits to be evaluated or is.";
    pub evaluation_seconds: Histogram [] [EVALUATION_SECONDS], "seconds",
        "Time that the evaluation of one operation's row took.";
    accesses_total: IntCounterVec ["kind", "outcome"], "requests",
        "Access requests decided, by kind and outcome.";
    names_asked_total: IntCounterVec ["known"], "names",
        "Names that wallets asked about, by whether the registry knows them: many that it does not \
         are somebody who guesses.";
    renewals_total: IntCounterVec ["step"], "certificates",
        "Certificates that their holders renew: asked for, asked for with another key than before \
         (replaced), issued (counted at each time that one is handed out), taken, or refused.";
    pub renewals_waiting: IntGauge [], "certificates",
        "Certificates that were asked for and wait for `sequencer identity renew --all`.";
    pub certificates_ending: IntGauge [], "certificates",
        "Registered certificates beyond two thirds of their life: their holders should have renewed \
         them.";
    own_certificate_seconds: IntGaugeVec ["certificate"], "seconds",
        "Until the certificates of the node's own server and authority end; below zero once they \
         have.";
    consent_questions_total: IntCounterVec ["answer"], "questions",
        "Questions of systems whether consent would allow something: answered with permit or deny, \
         or refused with that code.";
    pub released_frames_total: IntCounter [], "frames", "Frames released to readers.";
    pub window_age_seconds: Gauge [], "seconds",
        "Age of the open window: up to `batch.idle_settle_after_ms` while nothing happens.";
    pub batches_closed_total: IntCounter [], "batches", "Windows closed.";
    pub batches_assembled_total: IntCounter [], "batches", "Batches proven, assembled and stored.";
    pub batches_settled_total: IntCounter [], "batches",
        "Batches seen settled in a block; counted again after a reorganisation.";
    pub batch_closed: IntGauge [], "number", "Number of the last window that is closed.";
    pub batch_assembled: IntGauge [], "number", "Number of the last batch assembled.";
    pub batch_sent: IntGauge [], "number",
        "Number of the last batch whose transaction was given to the chain's node.";
    pub batch_settled: IntGauge [], "number", "Number of the last batch that the chain settled.";
    proofs_total: IntCounterVec ["circuit"], "proofs", "Proofs made and verified, by circuit.";
    proof_seconds: HistogramVec ["circuit"] [PROOF_SECONDS], "seconds",
        "Time that one proof took, by circuit.";
    pub prove_padding_ratio: Gauge [], "ratio",
        "Share of the places for claims that the last batch with claims left empty.";
    pub prove_queue: IntGauge [], "batches", "Closed windows that wait to be proven.";
    pub prove_queue_max: IntGauge [], "batches",
        "Most that wait in memory (`deliver.windows_max`); further ones are read back later.";
    prove_jobs: IntGaugeVec ["state"], "jobs",
        "Chunks of the batches under way by where they stand: queued, leased to a worker, proven, \
         failed until they are tried again, or aborted while a worker has them.";
    prove_leases_total: IntCounterVec ["worker"], "leases",
        "Leases given, each one attempt at a proof: to threads of this node or to workers elsewhere.";
    pub prove_leases_expired_total: IntCounter [], "leases",
        "Leases that ended without a sign of life; the job moved to another worker.";
    prove_attempts_failed_total: IntCounterVec ["worker"], "attempts",
        "Attempts that came to nothing: by a panic, a violated constraint or a false answer.";
    prove_answers_total: IntCounterVec ["answer"], "answers",
        "Answers of workers: taken, or refused as late, aborted, of other-input, malformed or \
         unverified.";
    prove_cores_total: IntCounterVec ["cores"], "proofs",
        "Proofs begun on threads of this node, by whether they got one core or all.";
    prove_step_seconds: HistogramVec ["step"] [STEP_SECONDS], "seconds",
        "Time of the steps of proving: to plan a whole window, and of a chunk to make the witness, \
         to prove it and to verify the proof once more.";
    pub prove_constraints_total: IntCounter [], "constraints",
        "Constraints of the circuits that were proven; its rate is constraints a second.";
    pub prove_constraints_per_second: Gauge [], "constraints per second",
        "Constraints of the last proof by the time from its lease to the verified proof.";
    pub prove_table_bytes: IntGauge [], "bytes",
        "Memory of the tables that make proofs faster; 0 until they are read or built.";
    prove_engine: IntGaugeVec ["engine"], "boolean", "1 for the engine that proves on this node.";
    pub prove_queue_reachable: IntGauge [], "boolean",
        "1 while the server of `[prover] jobs` answers, so that workers elsewhere can be given \
         jobs.";
    pub prove_workers_waiting: IntGauge [], "workers",
        "Workers elsewhere that waited for a job when they were last counted.";
    pub prove_jobs_elsewhere: IntGauge [], "jobs",
        "Jobs that are offered to workers elsewhere or with them.";
    pub prove_offers_untaken_total: IntCounter [], "jobs",
        "Offers to workers elsewhere that none took within a third of a lease; the job came back.";
    pub prove_requests_malformed_total: IntCounter [], "messages",
        "Messages of workers elsewhere that were neither a beat nor an answer.";
    pub claims_excluded_total: IntCounter [], "claims",
        "Claims that no rule covered when their window was laid out: counted in its batch, proven \
         to be of the record, and released to nobody.";
    pub windows_read_back_total: IntCounter [], "windows",
        "Closed windows that found no room to wait and were read back from the journal.";
    pub archive_files_total: IntCounter [], "files", "Sealed files of the journal archived.";
    pub archive_batches_total: IntCounter [], "files", "Public batch files archived.";
    pub archive_bytes_total: IntCounter [], "bytes", "Bytes of both.";
    pub archive_waiting_files: IntGauge [], "files",
        "Sealed files of the journal that are not archived yet.";
    pub archive_oldest_waiting_seconds: Gauge [], "seconds",
        "Since the last entry of the first of these; zero if none waits.";
    pub archive_put_away_total: IntCounter [], "files",
        "Sealed files removed here, because they are in the archive.";
    pub archive_batches_put_away_total: IntCounter [], "files",
        "Public batch files removed here, because they are in the archive.";
    pub archive_local_bytes: IntGauge [], "bytes",
        "Bytes of sealed files of the journal in the node's folder.";
    pub archive_failures_total: IntCounter [], "rounds",
        "Rounds of the archive that failed; the log says why.";
    pub archive_failing: IntGauge [], "boolean", "1 while the last round failed.";
    pub archive_stopped: IntGauge [], "boolean",
        "1 once the archive was found to be another node's, or damaged: nothing is archived until \
         the next start.";
    pub archive_fetched_total: IntCounter [], "files",
        "Archived files that were fetched because somebody reads them.";
    pub archive_fetch_failures_total: IntCounter [], "files",
        "Archived files that somebody reads and that could not be fetched.";
    pub archive_kept_bytes: IntGauge [], "bytes",
        "Bytes on the disk of archived files that were fetched.";
    pub audit_reads_bytes: IntGauge [], "bytes",
        "Length of `audit-reads.log`, as of its last line; at 64 MiB nobody is shown AuditEvents.";
    pub notices_subscriptions: IntGauge [], "subscriptions",
        "Subscriptions by which somebody is told that data was read.";
    pub notices_waiting: IntGauge [], "notices", "Notices that are due and not delivered.";
    pub notices_batches_total: IntCounter [], "batches",
        "Settled batches looked at for accesses that somebody is to be told of.";
    pub notices_unread_total: IntCounter [], "looks",
        "Looks at a batch that failed: it is looked at again, and whoever waits for it is told of no \
         later one before.";
    pub notices_batches_lost_total: IntCounter [], "batches",
        "Batches that could not be read for `notices.give_up_after_ms` and were passed over: whether \
         somebody read in them, nobody is told.";
    pub notices_told_total: IntCounter [], "notices", "Notices delivered.";
    pub notices_failures_total: IntCounter [], "attempts",
        "Attempts to deliver a notice that came to nothing.";
    pub notices_given_up_total: IntCounter [], "subscriptions",
        "Subscriptions given up: their receiver is told nothing any more.";
    pub notices_closed: IntGauge [], "boolean",
        "1 while `subscriptions.json` is damaged or cannot be read: nobody subscribes or is told.";
    pub batch_files_damaged: IntGauge [], "files",
        "Stored batch files that the scrub found damaged and could not make anew.";
    pub batch_files_mended_total: IntCounter [], "files",
        "Damaged batch files that the scrub made anew.";
    pub frame_index_damaged: IntGauge [], "nodes",
        "Nodes of the index of stored frames that the scrub found damaged and could not make anew.";
    pub frame_index_mended_total: IntCounter [], "nodes",
        "Damaged nodes of the index of stored frames that the scrub made anew from the journal.";
    pub settle_lateness_seconds: Histogram [] [LATENESS_SECONDS], "seconds",
        "Time from the end of a window to the block that settled it.";
    pub settle_gas_total: IntCounter [], "gas", "Gas of mined settling transactions.";
    pub settle_sends_total: IntCounter [], "transactions",
        "Transactions given to the chain's node, repetitions included.";
    pub settle_replacements_total: IntCounter [], "transactions",
        "Transactions signed again with higher fees.";
    pub settle_retries_total: IntCounter [], "attempts",
        "Attempts of the settler that failed and were repeated.";
    pub settle_removed_total: IntCounter [], "transactions",
        "Mined transactions that a reorganisation removed.";
    pub plan_error_batches: Gauge [], "ratio",
        "How far `[plan] expected` is above the batches of a day as it was since the start, as a \
         share of them: 0.1 is a tenth too many. NaN without a plan and in the first hour, as for \
         the two below.";
    pub plan_error_proofs: Gauge [], "ratio", "The same of proofs.";
    pub plan_error_gas: Gauge [], "ratio", "The same of the gas of mined settling transactions.";
    pub chain_reachable: IntGauge [], "boolean", "1 while the base chain answers the settler.";
    pub settle_not_taken_total: IntCounter [], "transactions",
        "Transactions that the chain's node did not take.";
    pub settle_fee_limited: IntGauge [], "boolean",
        "1 while the open transaction needs a higher fee than `settle.fee_wei_max`.";
    pub settle_fee_max_wei: Gauge [], "wei", "Highest fee for a unit of gas, as configured.";
    pub settle_base_fee_wei: Gauge [], "wei", "Base fee for a unit of gas of the last block seen.";
    pub settle_balance_wei: Gauge [], "wei",
        "Balance of the settling account; NaN until it was looked at.";
    pub settle_failed_total: IntCounter [], "transactions",
        "Settling transactions that were mined and settled nothing.";
    pub settle_doubts_total: IntCounter [], "doubts",
        "Times that the chain contradicted what was sent or recorded and was looked at again.";
    pub settle_lag_batches: IntGauge [], "batches", "Batches assembled and not settled.";
    pub settle_lag_seconds: Gauge [], "seconds",
        "How long the oldest assembled batch that is not settled has waited for it.";
    pub settle_lagging: IntGauge [], "boolean",
        "1 while the lag is at `settle.alarm_after_ms` or `settle.alarm_batches`.";
    pub desk_tokens_wrong_total: IntCounter [], "requests",
        "Requests for the desk with another token than that of `web.token_file`: an old one, or \
         somebody who guesses.";
    pub ready: IntGauge [], "boolean",
        "1 while `/readyz` answers 200: everything is taken in and gets on. As of the scrape.";
    stage_failed: IntGaugeVec ["stage"], "boolean",
        "1 once a stage failed: the node stops. As of the scrape.";
    pub process_resident_bytes: IntGauge [], "bytes", "Memory of the process that is in use.";
    pub memory_machine_bytes: IntGauge [], "bytes",
        "Memory that the machine, or the process's control group, has; 0 where it does not say.";
    pub memory_limits_bytes: IntGauge [], "bytes",
        "Memory that all limits of the configuration together may take.";
    stage_degraded: IntGaugeVec ["stage", "cause"], "boolean",
        "1 while a stage runs and does not get on, by cause; collection goes on.";
    pub config_reloads_total: IntCounter [], "reloads",
        "Times that configuration, certificate and keys were read again and taken over (SIGHUP).";
    pub config_reload_failed: IntGauge [], "boolean",
        "1 if what was read again last was not accepted: the values before hold.";
    pub paused: IntGauge [], "boolean",
        "1 while an operator paused settling (`sequencer pause`): nothing is sent to the chain.";
    pub draining: IntGauge [], "boolean",
        "1 while an operator drains the node (`sequencer drain`): nothing new is taken in but what \
         takes rights away.";
    pub tuned_keys: IntGauge [], "keys",
        "Keys of the configuration that an operator set otherwise (`sequencer tune set`).";
    orders_total: IntCounterVec ["order"], "orders",
        "Orders of operators that were carried out: set and reset of a key, pause, resume, seal, \
         drain, erase, destroy-keys, hold.";
    pub withdrawals_unsettled: IntGauge [], "withdrawals",
        "Stops, revocations and denials that are in force and not on the chain yet; of a batch that \
         was assembled before the start every operation is counted.";
    pub outbox_pending: IntGauge [], "transactions",
        "Settling transactions that are not final yet.";
}

#[cfg(test)]
mod tests;
