//! The time of the simulation.

use model::{Clock, Millis};

/// When every run begins: the 1st of January 2026.
pub(crate) const BEGIN_UNIX_MS: u64 = 1_767_225_600_000;

/// The time of the simulation, by one host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SimulatedClock {
    /// How far it is ahead.
    pub(crate) ahead_ms: u64,
}

impl Clock for SimulatedClock {
    fn now(&self) -> Millis {
        Millis::from_unix_ms(BEGIN_UNIX_MS + elapsed_ms() + self.ahead_ms)
    }
}

/// Milliseconds since the run began, as the host that runs now sees it; 0 outside of one.
pub(crate) fn elapsed_ms() -> u64 {
    turmoil::sim_elapsed().map_or(0, |since| since.as_millis() as u64)
}
