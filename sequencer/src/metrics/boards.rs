//! Boards for Grafana, declared once: rows of panels, each of expressions on declared metrics.
//!
//! `docs/grafana/*.json` is generated from here and compared by a test. A metric that no panel
//! names stands in a last row of the first board by itself, so that none is out of sight.

/// What the values of a panel are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Numbers of things.
    Count,
    /// Things in a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes in a second.
    BytesPerSecond,
    /// From 0 to 1.
    Ratio,
    /// Days.
    Days,
    /// 0 or 1.
    Truth,
}

impl Unit {
    /// As Grafana names it.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Count => "short",
            Unit::PerSecond => "ops",
            Unit::Seconds => "s",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "Bps",
            Unit::Ratio => "percentunit",
            Unit::Days => "d",
            Unit::Truth => "bool_on_off",
        }
    }
}

/// An expression and what its line is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Expression of Prometheus.
    pub expression: &'static str,
    /// Its name; `{{label}}` stands for a label's value.
    pub legend: &'static str,
}

/// One panel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Panel {
    /// What is seen.
    pub title: &'static str,
    /// What the values are.
    pub unit: Unit,
    /// Its lines.
    pub lines: &'static [Line],
    /// Alerts on what it shows: their limits and sections are named in its description.
    pub alerts: &'static [&'static str],
}

/// Panels that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// What about.
    pub title: &'static str,
    /// The panels, from the left.
    pub panels: &'static [Panel],
}

/// One board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Board {
    /// Name of its file, and its identity in Grafana behind `vitals-`.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its rows, from the top.
    pub rows: &'static [Row],
}

impl Board {
    /// Every board.
    pub const ALL: [Board; 2] = [OPERATORS, SETTLEMENT];
}

macro_rules! panel {
    ($title:literal, $unit:ident, [$($expression:literal => $legend:literal),* $(,)?]
        $(, alerts: [$($alert:literal),*])?) => {
        Panel {
            title: $title,
            unit: Unit::$unit,
            lines: &[$(Line { expression: $expression, legend: $legend }),*],
            alerts: &[$($($alert),*)?],
        }
    };
}

const OPERATORS: Board = Board {
    name: "operators",
    title: "Vitals: the node",
    rows: &[STANDING, PRESSURE, INGEST, CONSENT, MACHINE, KEEPING],
};

const SETTLEMENT: Board = Board {
    name: "settlement",
    title: "Vitals: proving and settlement",
    rows: &[BACKLOG, PROVING, ELSEWHERE, CHAIN, COST],
};

const STANDING: Row = Row {
    title: "How it stands",
    panels: &[
        panel!("Ready", Truth, ["vitals_ready" => "ready"], alerts: ["VitalsNotReady", "VitalsNodeDown"]),
        panel!("Stages that failed or do not get on", Truth, [
            "vitals_stage_failed > 0" => "{{stage}} failed",
            "vitals_stage_degraded > 0" => "{{stage}}: {{cause}}",
        ], alerts: ["VitalsStageFailed", "VitalsStageDegraded"]),
        panel!("Held, keys failing, files damaged", Truth, [
            "vitals_journal_contradicted" => "held: the journal lacks what it promised",
            "vitals_body_keys_failing" => "no new keys of readings",
            "vitals_batch_files_damaged > bool 0" => "batch files damaged",
            "vitals_frame_index_damaged > bool 0" => "index of frames damaged",
        ], alerts: ["VitalsHeld", "VitalsNoNewKeys", "VitalsFilesDamaged", "VitalsIndexDamaged"]),
        panel!("Ordered by an operator", Count, [
            "vitals_paused" => "settling paused",
            "vitals_draining" => "drained",
            "vitals_tuned_keys" => "keys set by hand",
            "increase(vitals_orders_total[1h]) > 0" => "{{order}} in an hour",
        ], alerts: ["VitalsPaused", "VitalsDraining"]),
        panel!("Wrong tokens at the desk, in an hour", Count, [
            "increase(vitals_desk_tokens_wrong_total[1h])" => "requests",
        ], alerts: ["VitalsDeskTokensWrong"]),
    ],
};

const PRESSURE: Row = Row {
    title: "Pressure by stage: 1 is full",
    panels: &[
        panel!("Queues", Ratio, [
            "vitals_ingest_connections / vitals_ingest_connections_max" => "connections",
            "vitals_journal_queue_items / vitals_journal_queue_items_max" => "journal",
            "vitals_receipt_groups_waiting / vitals_receipt_groups_max" => "receipts",
            "vitals_prove_queue / vitals_prove_queue_max" => "windows before proving",
        ], alerts: ["VitalsQueueFull", "VitalsReceiptsBehind", "VitalsConnectionsFull"]),
        panel!("What waits", Count, [
            "vitals_journal_queue_items" => "items before the journal",
            "vitals_receipt_groups_waiting" => "groups before the signer",
            "vitals_evaluations_waiting" => "operations being evaluated",
            "vitals_batch_closed - vitals_batch_assembled" => "windows before proving",
            "vitals_settle_lag_batches" => "batches before settling",
        ], alerts: ["VitalsProvingBehind"]),
        panel!("Connections", Count, [
            "vitals_ingest_connections" => "open",
            "vitals_ingest_handshakes" => "handshakes",
            "rate(vitals_ingest_connections_refused_total[5m])" => "turned away a second",
            "rate(vitals_ingest_connections_gave_way_total[5m])" => "gave way a second",
        ], alerts: ["VitalsConnectionsFull", "VitalsConnectionPanics"]),
    ],
};

const INGEST: Row = Row {
    title: "Ingest and receipts",
    panels: &[
        panel!("Readings and frames", PerSecond, [
            "rate(vitals_ingest_readings_total[1m])" => "readings",
            "rate(vitals_ingest_frames_total[1m])" => "frames",
            "rate(vitals_ingest_duplicates_total[1m])" => "frames that came again",
        ]),
        panel!("Bytes of frames", BytesPerSecond, ["rate(vitals_ingest_bytes_total[1m])" => "taken in"]),
        panel!("Receipts", Seconds, [
            "histogram_quantile(0.5, rate(vitals_receipt_seconds_bucket[5m]))" => "p50",
            "histogram_quantile(0.99, rate(vitals_receipt_seconds_bucket[5m]))" => "p99",
        ], alerts: ["VitalsReceiptsSlow"]),
        panel!("Rejects by code", PerSecond, [
            "rate(vitals_ingest_rejects_total[5m]) > 0" => "code {{code}}",
        ], alerts: ["VitalsManyRejects"]),
        panel!("Journal", PerSecond, [
            "rate(vitals_journal_entries_total[1m])" => "entries",
            "rate(vitals_journal_groups_total[1m])" => "groups",
            "rate(vitals_receipts_total[1m])" => "receipts",
        ]),
    ],
};

const CONSENT: Row = Row {
    title: "Consent and access",
    panels: &[
        panel!("Withdrawals: from the signature to the effect", Seconds, [
            "histogram_quantile(0.5, rate(vitals_withdrawal_effective_seconds_bucket[1h]))" => "p50",
            "histogram_quantile(0.99, rate(vitals_withdrawal_effective_seconds_bucket[1h]))" => "p99",
        ]),
        panel!("Withdrawals: from the effect to the chain", Seconds, [
            "histogram_quantile(0.5, rate(vitals_withdrawal_settled_seconds_bucket[1h]))" => "p50",
            "histogram_quantile(0.9, rate(vitals_withdrawal_settled_seconds_bucket[1h]))" => "p90",
        ], alerts: ["VitalsWithdrawalsSlow"]),
        panel!("Operations and accesses", PerSecond, [
            "rate(vitals_operations_total[5m])" => "operations",
            "rate(vitals_accesses_total[5m]) > 0" => "{{kind}} {{outcome}}",
            "rate(vitals_released_frames_total[5m])" => "frames released",
            "rate(vitals_consent_questions_total[5m]) > 0" => "asked: {{answer}}",
        ]),
        panel!("Withdrawals in force and not on the chain", Count, [
            "vitals_withdrawals_unsettled" => "wait",
        ], alerts: ["VitalsPausedWithdrawals"]),
        panel!("Refusals by rule", PerSecond, ["rate(vitals_refusals_total[5m]) > 0" => "{{rule}}"]),
    ],
};

const MACHINE: Row = Row {
    title: "Machine",
    panels: &[
        panel!("Disk", Bytes, [
            "vitals_journal_free_bytes" => "free",
            "vitals_journal_reserve_bytes" => "reserve",
        ], alerts: ["VitalsDiskLow", "VitalsDiskFillsSoon", "VitalsJournalFilesUnmade"]),
        panel!("Memory", Bytes, [
            "vitals_process_resident_bytes" => "in use",
            "vitals_memory_limits_bytes" => "sum of all limits",
            "vitals_memory_machine_bytes" => "of the machine",
        ], alerts: ["VitalsMemoryHigh"]),
        panel!("Clocks", Seconds, [
            "vitals_clock_disagreement_seconds" => "wall clock ahead of the boot-time clock",
            "vitals_journal_ahead_seconds" => "journal ahead of the clock",
        ], alerts: ["VitalsClockDisagrees", "VitalsJournalAhead"]),
        panel!("Snapshots and witness", Count, [
            "vitals_journal_witness_lag" => "groups behind the witness",
            "increase(vitals_snapshot_failures_total[1h])" => "snapshots failed in an hour",
        ], alerts: ["VitalsSnapshotsFail", "VitalsWitnessBehind"]),
    ],
};

const KEEPING: Row = Row {
    title: "Certificates and archive",
    panels: &[
        panel!("Certificates", Count, [
            "vitals_certificates_ending" => "end soon",
            "vitals_renewals_waiting" => "wait to be issued",
        ], alerts: ["VitalsCertificatesEnding", "VitalsRenewalsWaiting"]),
        panel!("The node's own certificates end in", Days, [
            "vitals_own_certificate_seconds / 86400" => "{{certificate}}",
        ], alerts: ["VitalsOwnCertificateEnds", "VitalsOwnCertificateEnded"]),
        panel!("Archive", Count, [
            "vitals_archive_waiting_files" => "files that wait",
            "vitals_archive_failing" => "failing",
            "vitals_archive_stopped" => "stopped",
            "increase(vitals_archive_fetch_failures_total[30m])" => "reads that failed",
        ], alerts: ["VitalsArchiveFails", "VitalsArchiveStopped", "VitalsArchiveReadsFail"]),
        panel!("Notices that somebody read", Count, [
            "vitals_notices_waiting" => "due",
            "increase(vitals_notices_failures_total[1h])" => "attempts in vain in an hour",
            "increase(vitals_notices_given_up_total[1h])" => "receivers given up in an hour",
            "increase(vitals_notices_unread_total[1h])" => "batches not read in an hour",
            "increase(vitals_notices_batches_lost_total[1h])" => "batches passed over in an hour",
            "vitals_notices_closed" => "closed",
        ], alerts: ["VitalsNoticesClosed", "VitalsNoticesUnread", "VitalsNoticesBatchLost"]),
        panel!("Journal and log of reads on the disk", Bytes, [
            "vitals_archive_local_bytes" => "sealed files here",
            "vitals_archive_kept_bytes" => "fetched files",
            "vitals_audit_reads_bytes" => "log of reads",
        ], alerts: ["VitalsReadsLogFills"]),
    ],
};

const BACKLOG: Row = Row {
    title: "Backlog",
    panels: &[
        panel!("Batches", Count, [
            "vitals_batch_closed" => "closed",
            "vitals_batch_assembled" => "assembled",
            "vitals_batch_sent" => "sent",
            "vitals_batch_settled" => "settled",
        ], alerts: ["VitalsProvingBehind", "VitalsSettlementLags"]),
        panel!("Oldest that waits for the chain", Seconds, [
            "vitals_settle_lag_seconds" => "assembled and not settled",
            "vitals_window_age_seconds" => "open window",
        ], alerts: ["VitalsSettlementLags"]),
        panel!("From the end of a window to the chain", Seconds, [
            "histogram_quantile(0.5, rate(vitals_settle_lateness_seconds_bucket[1h]))" => "p50",
            "histogram_quantile(0.99, rate(vitals_settle_lateness_seconds_bucket[1h]))" => "p99",
        ]),
    ],
};

const PROVING: Row = Row {
    title: "Proving",
    panels: &[
        panel!("A proof, by circuit", Seconds, [
            "histogram_quantile(0.5, rate(vitals_proof_seconds_bucket[1h]))" => "{{circuit}} p50",
            "histogram_quantile(0.99, rate(vitals_proof_seconds_bucket[1h]))" => "{{circuit}} p99",
        ]),
        panel!("Steps, on average", Seconds, [
            "rate(vitals_prove_step_seconds_sum[1h]) / rate(vitals_prove_step_seconds_count[1h])" => "{{step}}",
        ]),
        panel!("Places for claims left empty", Ratio, ["vitals_prove_padding_ratio" => "of the last batch"]),
        panel!("Jobs", Count, ["vitals_prove_jobs" => "{{state}}"]),
        panel!("Constraints", PerSecond, ["rate(vitals_prove_constraints_total[5m])" => "constraints"]),
        panel!("Claims that no rule covered", Count, [
            "increase(vitals_claims_excluded_total[1h])" => "excluded in an hour",
        ], alerts: ["VitalsClaimsExcluded"]),
    ],
};

const ELSEWHERE: Row = Row {
    title: "Workers",
    panels: &[
        panel!("Leases", PerSecond, ["rate(vitals_prove_leases_total[5m])" => "{{worker}}"]),
        panel!("What came to nothing, in an hour", Count, [
            "increase(vitals_prove_attempts_failed_total[1h])" => "attempts, {{worker}}",
            "increase(vitals_prove_leases_expired_total[1h])" => "leases without a sign of life",
            "increase(vitals_prove_offers_untaken_total[1h])" => "offers untaken",
            "increase(vitals_prove_requests_malformed_total[1h])" => "malformed messages",
        ], alerts: ["VitalsProofsFail", "VitalsWorkersSilent", "VitalsOffersUntaken"]),
        panel!("Elsewhere", Count, [
            "vitals_prove_queue_reachable" => "queue reachable",
            "vitals_prove_workers_waiting" => "workers that wait",
            "vitals_prove_jobs_elsewhere" => "jobs there",
        ]),
    ],
};

const CHAIN: Row = Row {
    title: "Base chain",
    panels: &[
        panel!("Reachable", Truth, [
            "vitals_chain_reachable" => "answers",
            "vitals_settle_fee_limited" => "fee limited",
            "vitals_settle_lagging" => "lagging",
        ], alerts: ["VitalsChainSilent", "VitalsFeeLimited", "VitalsSettlementLags"]),
        panel!("Transactions", PerSecond, [
            "rate(vitals_settle_sends_total[5m])" => "sent",
            "rate(vitals_settle_replacements_total[5m])" => "replaced",
            "rate(vitals_settle_retries_total[5m])" => "retries",
            "rate(vitals_settle_not_taken_total[5m])" => "not taken",
        ]),
        panel!("Against what was recorded, in an hour", Count, [
            "increase(vitals_settle_removed_total[1h])" => "taken back",
            "increase(vitals_settle_failed_total[1h])" => "settled nothing",
            "increase(vitals_settle_doubts_total[1h])" => "doubts",
        ], alerts: ["VitalsChainReorganised", "VitalsSettlementFails"]),
        panel!("Transactions that are not final", Count, ["vitals_outbox_pending" => "pending"]),
    ],
};

const COST: Row = Row {
    title: "Gas and balance",
    panels: &[
        panel!("Gas", PerSecond, ["rate(vitals_settle_gas_total[1h])" => "gas"]),
        panel!("Gas a batch", Count, [
            "rate(vitals_settle_gas_total[1h]) / rate(vitals_batches_settled_total[1h])" => "gas",
        ]),
        panel!("Balance lasts", Days, [
            "vitals_settle_balance_wei / (rate(vitals_settle_gas_total[6h]) * 86400 * vitals_settle_base_fee_wei)" => "at the pace of six hours",
        ], alerts: ["VitalsBalanceLow", "VitalsBalanceEmpty"]),
        panel!("Fee for a unit of gas, wei", Count, [
            "vitals_settle_base_fee_wei" => "base fee",
            "vitals_settle_fee_max_wei" => "highest that is paid",
        ], alerts: ["VitalsFeeLimited"]),
        panel!("Balance, wei", Count, ["vitals_settle_balance_wei" => "balance"]),
    ],
};
