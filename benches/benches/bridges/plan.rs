//! How a table is made, as the environment says.

use std::time::Duration;

/// Of all tables.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// How often everything is measured; the median counts.
    pub(crate) rounds: usize,
    /// How long each load lasts.
    pub(crate) each: Duration,
}

impl Plan {
    /// Three rounds of three seconds, unless `VITALS_BENCH_ROUNDS` and `VITALS_BENCH_SECONDS` say
    /// otherwise.
    pub(crate) fn read() -> Plan {
        let seconds = number("VITALS_BENCH_SECONDS", 3) as u64;
        Plan { rounds: number("VITALS_BENCH_ROUNDS", 3), each: Duration::from_secs(seconds) }
    }
}

/// A number that a variable may say.
pub(crate) fn number(variable: &str, otherwise: usize) -> usize {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{variable}: expected a number, found {text:?}"))
}
