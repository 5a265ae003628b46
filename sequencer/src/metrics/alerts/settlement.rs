//! From an assembled batch to the base chain.

use super::alert::Limit::{Above, AtLeast, Below};
use super::alert::Severity::{Page, Ticket};
use super::alert::{Alert, moving, still};

/// A tenth of an ether, and a fee of 20 gwei for a unit of gas.
const BALANCE_WEI: f64 = 1e17;
const FEE_WEI: f64 = 2e10;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "VitalsChainSilent",
        severity: Page,
        measured: "vitals_chain_reachable",
        limit: Below(1.0),
        for_minutes: 5,
        summary: "The base chain has not answered for five minutes: nothing settles.",
        fires: &[still("vitals_chain_reachable", 0.0)],
        labels: &[],
        silent: &[still("vitals_chain_reachable", 1.0)],
        brought_about_by: "src/node/tests/alarms.rs#a_chain_that_is_silent_and_a_disk_below_its_reserve_pass_the_limits_of_their_alerts",
    },
    Alert {
        name: "VitalsSettlementLags",
        severity: Page,
        measured: "vitals_settle_lagging",
        limit: AtLeast(1.0),
        for_minutes: 5,
        summary: "What is assembled has waited for the chain longer than it may.",
        fires: &[still("vitals_settle_lagging", 1.0)],
        labels: &[],
        silent: &[still("vitals_settle_lagging", 0.0)],
        brought_about_by: "tests/chain_trouble.rs#what_waits_too_long_is_an_alarm_until_it_is_settled",
    },
    Alert {
        name: "VitalsWithdrawalsSlow",
        severity: Page,
        measured: "histogram_quantile(0.9, rate(vitals_withdrawal_settled_seconds_bucket[1h]))",
        limit: Above(1800.0),
        for_minutes: 0,
        summary: "One withdrawal of consent in ten takes longer than half an hour to the chain.",
        fires: &[
            moving("vitals_withdrawal_settled_seconds_bucket{le=\"1800\"}", 0.0, 8.0),
            moving("vitals_withdrawal_settled_seconds_bucket{le=\"7200\"}", 0.0, 10.0),
            moving("vitals_withdrawal_settled_seconds_bucket{le=\"+Inf\"}", 0.0, 10.0),
        ],
        labels: &[],
        silent: &[
            moving("vitals_withdrawal_settled_seconds_bucket{le=\"1800\"}", 0.0, 10.0),
            moving("vitals_withdrawal_settled_seconds_bucket{le=\"7200\"}", 0.0, 10.0),
            moving("vitals_withdrawal_settled_seconds_bucket{le=\"+Inf\"}", 0.0, 10.0),
        ],
        brought_about_by: "src/node/tests/alarms.rs#a_revocation_is_timed_until_it_takes_effect_and_until_it_is_settled",
    },
    Alert {
        name: "VitalsSettlementFails",
        severity: Ticket,
        measured: "increase(vitals_settle_failed_total[1h])",
        limit: Above(0.0),
        for_minutes: 0,
        summary: "A settling transaction was mined and settled nothing: its gas is spent.",
        fires: &[moving("vitals_settle_failed_total", 0.0, 1.0)],
        labels: &[],
        silent: &[still("vitals_settle_failed_total", 1.0)],
        brought_about_by: "src/stages/settle/tests.rs#a_mined_and_failed_transaction_is_named_with_the_reason_of_the_contract",
    },
    Alert {
        name: "VitalsFeeLimited",
        severity: Ticket,
        measured: "vitals_settle_fee_limited",
        limit: AtLeast(1.0),
        for_minutes: 15,
        summary: "The chain asks more for gas than is configured: settling waits.",
        fires: &[still("vitals_settle_fee_limited", 1.0)],
        labels: &[],
        silent: &[still("vitals_settle_fee_limited", 0.0)],
        brought_about_by: "tests/chain_program.rs#a_limit_of_fees_that_is_raised_by_a_hangup_ends_the_stall",
    },
    Alert {
        name: "VitalsBalanceLow",
        severity: Ticket,
        measured: "vitals_settle_balance_wei / (rate(vitals_settle_gas_total[6h]) * 86400 * vitals_settle_base_fee_wei)",
        limit: Below(7.0),
        for_minutes: 60,
        summary: "At the pace of the last six hours the settling account is empty within a week.",
        fires: &[
            still("vitals_settle_balance_wei", BALANCE_WEI),
            still("vitals_settle_base_fee_wei", FEE_WEI),
            moving("vitals_settle_gas_total", 0.0, 600.0),
        ],
        labels: &[],
        silent: &[
            still("vitals_settle_balance_wei", BALANCE_WEI),
            still("vitals_settle_base_fee_wei", FEE_WEI),
            moving("vitals_settle_gas_total", 0.0, 400.0),
        ],
        brought_about_by: "src/stages/settle/weather.rs#a_node_that_takes_nothing_is_named_until_it_takes_something",
    },
    Alert {
        name: "VitalsBalanceEmpty",
        severity: Page,
        measured: "vitals_settle_balance_wei / (rate(vitals_settle_gas_total[6h]) * 86400 * vitals_settle_base_fee_wei)",
        limit: Below(1.0),
        for_minutes: 10,
        summary: "At the pace of the last six hours the settling account is empty within a day.",
        fires: &[
            still("vitals_settle_balance_wei", BALANCE_WEI),
            still("vitals_settle_base_fee_wei", FEE_WEI),
            moving("vitals_settle_gas_total", 0.0, 6_000.0),
        ],
        labels: &[],
        silent: &[
            still("vitals_settle_balance_wei", BALANCE_WEI),
            still("vitals_settle_base_fee_wei", FEE_WEI),
            moving("vitals_settle_gas_total", 0.0, 600.0),
        ],
        brought_about_by: "src/stages/settle/weather.rs#a_node_that_takes_nothing_is_named_until_it_takes_something",
    },
    Alert {
        name: "VitalsChainReorganised",
        severity: Ticket,
        measured: "increase(vitals_settle_removed_total[1h])",
        limit: Above(0.0),
        for_minutes: 0,
        summary: "The chain took settled batches back; they are settled again.",
        fires: &[moving("vitals_settle_removed_total", 0.0, 1.0)],
        labels: &[],
        silent: &[still("vitals_settle_removed_total", 2.0)],
        brought_about_by: "src/stages/settle/tests.rs#a_removed_block_puts_its_batches_back",
    },
];
