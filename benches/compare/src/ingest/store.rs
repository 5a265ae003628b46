//! What every server of the table does: it is started on the disk, takes load for some time, and
//! acknowledges what is durable.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::payload::Payload;

/// A server of the table. All of them sync before they acknowledge: one that does not is never
/// compared with one that does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(crate) enum Name {
    /// This project's node, by `loadgen`.
    Node,
    /// The same, offered half of what it took in this round.
    NodeHalf,
    /// NATS JetStream with `sync_interval: always`.
    Nats,
    /// Redis streams with `appendfsync always`.
    Redis,
}

impl Name {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Name; 4] = [Name::Node, Name::NodeHalf, Name::Nats, Name::Redis];

    fn text(self) -> &'static str {
        match self {
            Name::Node => "node",
            Name::NodeHalf => "node_half",
            Name::Nats => "nats_always",
            Name::Redis => "redis_always",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Name::ALL.into_iter().find(|name| name.text() == text).ok_or_else(|| {
            let known = Name::ALL.map(Name::text);
            format!("expected one of {}", known.join(", "))
        })
    }
}

/// A server that runs.
pub(crate) trait Store {
    /// Loads it for some time with messages of one kind, at most so many unacknowledged, and waits
    /// for the last acknowledgement. At a rate (readings a second) if one is given, else as fast as
    /// acknowledgements come.
    ///
    /// # Errors
    /// Whatever kept it from that. A message that was not acknowledged is one.
    fn load(&mut self, order: &Order) -> anyhow::Result<Loaded>;

    /// Version of the program.
    fn version(&self) -> &str;
}

/// What a server is loaded with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) payload: Payload,
    pub(crate) time: Duration,
    pub(crate) in_flight: usize,
    pub(crate) rate: Option<u64>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// Readings acknowledged, over the seconds from the first message to the last acknowledgement.
    pub(crate) readings: u64,
    pub(crate) seconds: f64,
    /// CPU time of the server and of its client.
    pub(crate) server_cpu: Duration,
    pub(crate) client_cpu: Duration,
    /// From sending to acknowledgement.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Why a server is not measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unstarted {
    /// It is not here: left out, and said so.
    #[error("{0}")]
    Missing(String),
    /// It is here and broken.
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_another_is_refused() {
        for name in Name::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert!("redis".parse::<Name>().expect_err("no such").contains("redis_always"));
    }
}
