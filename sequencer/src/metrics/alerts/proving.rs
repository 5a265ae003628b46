//! From a closed window to an assembled batch.

use super::alert::Limit::{Above, AtLeast};
use super::alert::Severity::Ticket;
use super::alert::{Alert, moving, still};

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "VitalsProvingBehind",
        severity: Ticket,
        measured: "vitals_batch_closed - vitals_batch_assembled",
        limit: AtLeast(10.0),
        for_minutes: 15,
        summary: "Ten closed windows and more wait to be proven.",
        fires: &[still("vitals_batch_closed", 30.0), still("vitals_batch_assembled", 20.0)],
        labels: &[],
        silent: &[still("vitals_batch_closed", 29.0), still("vitals_batch_assembled", 20.0)],
        brought_about_by: "src/node/tests/unprovable.rs#a_window_that_cannot_be_proven_stops_neither_collection_nor_receipts_and_is_tried_again",
    },
    Alert {
        name: "VitalsProofsFail",
        severity: Ticket,
        measured: "sum without (worker) (increase(vitals_prove_attempts_failed_total[1h]))",
        limit: Above(3.0),
        for_minutes: 0,
        summary: "Attempts at proofs came to nothing again and again.",
        fires: &[
            moving("vitals_prove_attempts_failed_total{worker=\"local\"}", 0.0, 0.1),
            moving("vitals_prove_attempts_failed_total{worker=\"remote\"}", 0.0, 0.1),
        ],
        labels: &[],
        silent: &[moving("vitals_prove_attempts_failed_total{worker=\"local\"}", 0.0, 0.04)],
        brought_about_by: "src/node/tests/proving.rs#a_job_that_panics_on_every_worker_degrades_the_stage_and_does_not_fail_it",
    },
    Alert {
        name: "VitalsWorkersSilent",
        severity: Ticket,
        measured: "increase(vitals_prove_leases_expired_total[1h])",
        limit: Above(5.0),
        for_minutes: 0,
        summary: "Workers elsewhere take jobs and are heard of no more.",
        fires: &[moving("vitals_prove_leases_expired_total", 0.0, 0.2)],
        labels: &[],
        silent: &[moving("vitals_prove_leases_expired_total", 0.0, 0.05)],
        brought_about_by: "src/node/tests/proving.rs#a_lease_that_is_over_moves_and_its_late_answer_is_refused_and_counted",
    },
    Alert {
        name: "VitalsOffersUntaken",
        severity: Ticket,
        measured: "increase(vitals_prove_offers_untaken_total[1h])",
        limit: Above(5.0),
        for_minutes: 0,
        summary: "No worker elsewhere takes what it is offered: the node proves alone.",
        fires: &[moving("vitals_prove_offers_untaken_total", 0.0, 0.2)],
        labels: &[],
        silent: &[moving("vitals_prove_offers_untaken_total", 0.0, 0.05)],
        brought_about_by: "tests/elsewhere.rs#a_node_whose_queue_is_away_proves_alone",
    },
    Alert {
        name: "VitalsClaimsExcluded",
        severity: Ticket,
        measured: "increase(vitals_claims_excluded_total[1h])",
        limit: Above(0.0),
        for_minutes: 0,
        summary: "Claims that were taken in were covered by no rule when their window was laid out.",
        fires: &[moving("vitals_claims_excluded_total", 0.0, 1.0)],
        labels: &[],
        silent: &[still("vitals_claims_excluded_total", 4.0)],
        brought_about_by: "../circuits/statement/src/c2/tests.rs#a_claim_that_the_check_of_a_chunk_refuses_is_excluded_and_its_neighbours_are_not",
    },
];
