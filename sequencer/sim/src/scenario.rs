//! A scenario as it is written down: how many gateways there are, what happens to them, and what is
//! expected.

use serde::Deserialize;
use thiserror::Error;

/// The scenario that ships: a hospital of ten thousand gateways.
pub const HOSPITAL: &str = include_str!("../scenarios/hospital.toml");

/// Most gateways: each costs the program that plays them some 200 KiB.
const GATEWAYS_MAX: usize = 100_000;

/// Most of the networks that they are behind: each is a host with a clock of its own.
const NETWORKS_MAX: usize = 1_000;

/// Longest play, seconds of its own time.
const RUN_S_MAX: u64 = 3_600;

/// A text that is no scenario.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// It does not read.
    #[error("expected a scenario in TOML")]
    Text(#[from] toml::de::Error),
    /// A number is out of range.
    #[error("expected {what} from {least} to {most}, found {found}")]
    Range {
        /// Of what.
        what: &'static str,
        /// The least that is played.
        least: u64,
        /// The most.
        most: u64,
        /// What it says.
        found: u64,
    },
}

/// A scenario.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// How it is called.
    pub name: String,
    /// Everything is drawn from it.
    pub seed: u64,
    /// Gateways.
    pub gateways: usize,
    /// Hosts that they are spread over, each with an address of its own.
    pub networks: usize,
    /// Within how many seconds they come on.
    pub connect_over_s: u64,
    /// How often each sends a frame, seconds.
    pub frame_every_s: u64,
    /// How long they send, seconds.
    pub run_s: u64,
    /// The way to the node.
    pub network: Ways,
    /// What the node is given.
    pub node: Given,
    /// What happens.
    #[serde(default, rename = "event")]
    pub events: Vec<Event>,
    /// What is expected.
    pub expect: Expected,
}

/// The ways between networks and node.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Ways {
    /// Shortest and longest, milliseconds.
    pub latency_ms: [u64; 2],
    /// Lost of a hundred datagrams.
    pub loss_percent: u32,
}

/// What of the node is not its default.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// `ingest.limits.connections_max`.
    pub connections_max: usize,
    /// `ingest.limits.handshakes_max`.
    pub handshakes_max: usize,
    /// How long a sync takes, milliseconds.
    pub disk_ms: u64,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The node's program is killed and started again.
    RestartNode {
        /// When.
        at_s: u64,
        /// Started after.
        down_ms: u64,
    },
    /// A network does not reach the node.
    CutNetwork {
        /// When.
        at_s: u64,
        /// Which, from 0.
        network: usize,
        /// How long.
        for_s: u64,
    },
    /// The node's disk is slow.
    SlowDisk {
        /// When.
        at_s: u64,
        /// How long each sync takes.
        ms: u64,
        /// How long it is so.
        for_s: u64,
    },
}

/// What must come of it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Seconds after the last event within which everything sent has a receipt.
    pub well_after_s: u64,
    /// Most entitled peers that are turned away.
    pub turned_away_max: u64,
    /// Most items that wait for the writer.
    pub waiting_items_max: u64,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// [`ScenarioError`] that names what is wrong.
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        let scenario: Scenario = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let [shortest, longest] = self.network.latency_ms;
        let last = self.events.iter().map(Event::network).max().unwrap_or(0) as u64;
        let networks = self.networks as u64;
        let ranges = [
            ("gateways", self.gateways as u64, 1, GATEWAYS_MAX as u64),
            ("networks", networks, 1, NETWORKS_MAX as u64),
            ("connect_over_s", self.connect_over_s, 1, RUN_S_MAX),
            ("frame_every_s", self.frame_every_s, 1, RUN_S_MAX),
            ("run_s", self.run_s, 1, RUN_S_MAX),
            ("latency_ms", shortest, 1, longest),
            ("latency_ms", longest, shortest, 10_000),
            ("loss_percent", u64::from(self.network.loss_percent), 0, 50),
            ("an event's network", last, 0, networks.saturating_sub(1)),
        ];
        for (what, found, least, most) in ranges {
            if !(least..=most).contains(&found) {
                return Err(ScenarioError::Range { what, least, most, found });
            }
        }
        Ok(())
    }

    /// When the last event is over, seconds.
    pub(crate) fn over_s(&self) -> u64 {
        self.events.iter().map(Event::over_s).max().unwrap_or(0).max(self.run_s)
    }
}

impl Event {
    fn network(&self) -> usize {
        match self {
            Event::CutNetwork { network, .. } => *network,
            Event::RestartNode { .. } | Event::SlowDisk { .. } => 0,
        }
    }

    fn over_s(&self) -> u64 {
        match self {
            Event::RestartNode { at_s, down_ms } => at_s + down_ms.div_ceil(1_000),
            Event::CutNetwork { at_s, for_s, .. } | Event::SlowDisk { at_s, for_s, .. } => {
                at_s + for_s
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hospital_that_ships_has_ten_thousand_gateways() {
        let hospital = Scenario::parse(HOSPITAL).unwrap();
        assert_eq!((hospital.gateways, hospital.events.len()), (10_000, 3));
        assert_eq!(hospital.over_s(), 90);
    }

    #[test]
    fn what_is_out_of_range_or_unknown_is_named() {
        for (from, to, said) in [
            ("gateways = 10_000", "gateways = 0", "expected gateways from 1 to 100000, found 0"),
            ("latency_ms = [1, 20]", "latency_ms = [9, 8]", "expected latency_ms from 1 to 8"),
            ("network = 7", "network = 40", "expected an event's network from 0 to 39, found 40"),
            ("run_s = 90", "run_s = 90\nruns = 1", "expected a scenario in TOML"),
            ("kind = \"slow-disk\"", "kind = \"slow\"", "expected a scenario in TOML"),
        ] {
            assert!(HOSPITAL.contains(from), "{from}");
            let error = Scenario::parse(&HOSPITAL.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
