//! Limits and waits of the settler.

use std::time::Duration;

use crate::setting::{self, LimitError, range, settings};

settings! {
    /// `[settle]`: how batches are brought to the base chain.
    pub struct SettleConfig in "settle" {
        batches_max: usize = 8; "batches", range(1, 64) => {
            sets: "Most batches in one transaction.",
            memory: "Their public files at once: up to 64 MiB each, usually some KiB.",
            at_limit: "Further ones go into the next transaction.",
            applies: Live,
        }
        resend_after_ms: u64 = 48_000; "milliseconds", range(100, 3_600_000) => {
            sets: "How long a sent transaction is waited for: four blocks.",
            at_limit: "It is sent again if the chain's node lost it, otherwise replaced by one \
                       that pays more.",
            applies: Live,
        }
        poll_ms: u64 = 2_000; "milliseconds", range(10, 600_000) => {
            sets: "How often the chain is asked. The embedded chain is asked every 50 ms.",
            applies: Live,
        }
        confirmations: u64 = 0; "blocks", range(0, 10_000) => {
            sets: "How many blocks upon a transaction make it final; with 0 it is final when the \
                   chain says so by its `finalized` tag. For chains without that tag.",
            applies: Live,
        }
        doubt_ms: u64 = 24_000; "milliseconds", range(0, 3_600_000) => {
            sets: "How long every look must say so before something is believed that contradicts \
                   what was sent and recorded: a block that went away, a nonce used otherwise, a \
                   failed transaction. Three looks must say so besides. Two blocks; with 0, as \
                   for the embedded chain, one look is believed.",
            applies: Live,
        }
        pending_max: usize = 64; "transactions", range(1, 1024) => {
            sets: "Most transactions that are mined and not final.",
            memory: "Some KiB each, signed bytes included.",
            at_limit: "No further one is made until one is final.",
            applies: Live,
        }
        replacements_max: usize = 20; "transactions", range(0, 64) => {
            sets: "How often the offer of one transaction rises because it is not mined, each time \
                   by at least 12.5 %: 20 make it ten times as dear.",
            memory: "32 bytes each; with further ones some 350 at most.",
            at_limit: "The offer only rises further where the chain itself asks more than it, up \
                       to `fee_wei_max`: the part that is the tip is paid in full, whatever the \
                       chain asks. Else the last one is sent again, every `resend_after_ms`. The \
                       stage is degraded by `fee-limit` until it is mined.",
            applies: Live,
        }
        fee_wei_max: u64 = 1_000_000_000_000; "wei", range(1, 1_000_000_000_000_000_000) => {
            sets: "Highest fee offered for a unit of gas: 1,000 gwei.",
            at_limit: "A first offer is cut to it. A replacement that would need more is not made: \
                       the last bytes are sent again instead, every `resend_after_ms`, and \
                       settling goes on once fees fall or this is raised. The stage is degraded \
                       by `fee-limit` meanwhile.",
            applies: Live,
        }
        gas_max: u64 = 16_000_000; "gas", range(100_000, 1_000_000_000) => {
            sets: "Most gas of one transaction, below the limit of EIP-7825.",
            at_limit: "Fewer batches go into it; a single one above it is refused.",
            applies: Live,
        }
        round_max_ms: u64 = 60_000; "milliseconds", range(100, 3_600_000) => {
            sets: "Longest round: everything that is asked of the chain before one action.",
            at_limit: "The round counts as failed and is repeated.",
            applies: Live,
        }
        retry_first_ms: u64 = 1_000; "milliseconds", range(1, 3_600_000) => {
            sets: "First pause after a failed round; it doubles with each further one.",
            applies: Live,
        }
        retry_max_ms: u64 = 60_000; "milliseconds", range(1, 3_600_000) => {
            sets: "Longest pause after failed rounds.",
            at_limit: "The pause grows no more.",
            applies: Live,
        }
        refused_retry_ms: u64 = 300_000; "milliseconds", range(10, 86_400_000) => {
            sets: "Longest pause after what only somebody's doing is likely to mend: the contract \
                   refuses, a transaction was mined and failed, the store fails. The first is \
                   `retry_first_ms`, and it doubles with each further one.",
            at_limit: "The pause grows no more.",
            applies: Live,
        }
        alarm_after_ms: u64 = 1_800_000; "milliseconds", range(1_000, 604_800_000) => {
            sets: "How long an assembled batch may wait to be settled: half an hour.",
            at_limit: "`/readyz` answers 503 `settlement-lags`, `vitals_settle_lagging` is 1, and \
                       the log has the last reason.",
            applies: Live,
        }
        alarm_batches: u64 = 120; "batches", range(1, 1_000_000) => {
            sets: "How many assembled batches may wait to be settled.",
            at_limit: "As for `alarm_after_ms`.",
            applies: Live,
        }
    }
}

impl SettleConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`LimitError`] for the first that does not hold.
    pub fn check(&self) -> Result<(), LimitError> {
        setting::check(self, SettleConfig::SETTINGS)
    }

    /// Highest fee offered for a unit of gas, as the chain counts it.
    pub(super) fn fee_max(&self) -> u128 {
        self.fee_wei_max.into()
    }

    pub(super) fn round_max(&self) -> Duration {
        Duration::from_millis(self.round_max_ms)
    }

    /// How long to wait after so many failures in a row, of which there is at least one, if
    /// repetition may help.
    pub(super) fn pause_after(&self, failures: u32) -> Duration {
        Duration::from_millis(self.doubled_ms(failures).min(self.retry_max_ms))
    }

    /// The same after what repetition alone will hardly mend. Short at first all the same: what is
    /// mended at once must not wait for minutes.
    pub(super) fn refused_pause(&self, failures: u32) -> Duration {
        Duration::from_millis(self.doubled_ms(failures).min(self.refused_retry_ms))
    }

    fn doubled_ms(&self, failures: u32) -> u64 {
        // Beyond 30 doublings any first pause is above any longest one.
        let doubled = 2u64.saturating_pow(failures.saturating_sub(1).min(30));
        self.retry_first_ms.saturating_mul(doubled)
    }
}
