//! What a scenario says: its groups, what they do, and what is expected of each.

use std::time::Duration;

use crate::hostile::Behaviour;
use crate::laying::Laying;
use crate::pace::Rate;
use crate::run::Habits;

/// Largest scenario file, bytes.
pub const SCENARIO_BYTES_MAX: u64 = 64 << 10;
/// Most groups of a scenario, honest and hostile ones together.
pub const GROUPS_MAX: usize = 32;
/// Most gateways of a group: each honest one has a socket of its own.
pub const GATEWAYS_MAX: usize = 10_000;

/// What is played. Memory: of each group what [`crate::LoadConfig`] says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// The file's name, or that of one that ships.
    pub name: String,
    /// How long honest gateways send, and hostile ones go on.
    pub duration: Duration,
    /// How long the last receipts are waited for.
    pub drain: Duration,
    /// Honest groups, at least one.
    pub gateways: Vec<Group>,
    /// Hostile groups.
    pub hostile: Vec<HostileGroup>,
}

/// Gateways that send what they should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its name in reports, one in a scenario.
    pub name: String,
    /// How many gateways, each with a certificate and a connection.
    pub count: usize,
    /// Streams of each that are sent; none: all that are assigned to it.
    pub streams: Option<usize>,
    /// How readings lie in frames.
    pub laying: Laying,
    /// Readings of a frame.
    pub readings: usize,
    /// How fast, over the whole group.
    pub rate: Rate,
    /// Most frames without a receipt, over the whole group.
    pub in_flight: usize,
    /// How they come and go.
    pub habits: Habits,
    /// What is expected of it.
    pub expect: Expect,
}

/// Gateways that send what they should not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostileGroup {
    /// Its name in reports, one in a scenario.
    pub name: String,
    /// What they do.
    pub behaviour: Behaviour,
    /// How many certificates.
    pub count: usize,
    /// Connections of each, at once.
    pub connections: usize,
    /// What is expected of the node.
    pub expect: ExpectHostile,
}

/// What is expected of an honest group; none: nothing. By default everything sent is acknowledged
/// and no stream is refused or fails, as `loadgen run` expects it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expect {
    /// 99 % of the latencies are not above this, milliseconds.
    pub p99_ms_max: Option<u64>,
    /// 99.9 % of them.
    pub p999_ms_max: Option<u64>,
    /// Most frames that were sent and have no receipt.
    pub without_receipt_max: Option<u64>,
    /// Most frames that were due and never sent.
    pub behind_max: Option<u64>,
    /// Most streams that the node refuses.
    pub refused_max: Option<u64>,
    /// Most streams that fail for another reason.
    pub failed_max: Option<u64>,
    /// Least connections after the first of each gateway: that links failed shows in these.
    pub reconnects_min: Option<u64>,
    /// Least frames that are acknowledged.
    pub acknowledged_min: Option<u64>,
}

impl Default for Expect {
    fn default() -> Expect {
        Expect {
            p99_ms_max: None,
            p999_ms_max: None,
            without_receipt_max: Some(0),
            behind_max: None,
            refused_max: Some(0),
            failed_max: Some(0),
            reconnects_min: None,
            acknowledged_min: Some(1),
        }
    }
}

/// What is expected of what a hostile group meets; none: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExpectHostile {
    /// Least connections that the node closes.
    pub closed_min: Option<u64>,
    /// Least messages that it rejects.
    pub rejected_min: Option<u64>,
    /// Most connections that are open at the end.
    pub open_max: Option<u64>,
    /// Most receipts that it gives.
    pub receipts_max: Option<u64>,
}
