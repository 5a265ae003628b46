//! The table, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use wire::Codec;

use crate::stats::Spread;

use super::payload::Payload;
use super::rounds::Plan;
use super::store::{Loaded, Name};

/// A whole run.
#[derive(Serialize)]
pub(super) struct Report {
    schema: &'static str,
    /// Processor, cores and load when it began and when it ended.
    machine: [String; 2],
    rounds: usize,
    seconds: f64,
    /// Threads that proved all the while.
    proving: usize,
    /// Proofs that they made; none where none proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    proofs: Option<usize>,
    tables: Vec<Table>,
}

/// One kind of message.
#[derive(Serialize)]
pub(super) struct Table {
    payload: Payload,
    /// Messages that waited for their acknowledgement.
    in_flight: usize,
    entries: Vec<Entry>,
}

/// A server of the table.
#[derive(Serialize)]
pub(super) struct Entry {
    #[serde(serialize_with = "by_name")]
    pub(super) server: Name,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// What is known of a server.
#[derive(Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Took load in every round, and acknowledged every message.
    Measured(Box<Measured>),
    /// Not on this machine.
    Skipped {
        /// What is missing.
        why: String,
    },
    /// Ended, or did not acknowledge.
    Failed {
        /// What happened.
        why: String,
    },
}

/// Figures of a server.
#[derive(Clone, Serialize)]
pub(super) struct Measured {
    version: String,
    readings_per_s: Spread,
    /// CPU time of the server's process, nanoseconds a reading.
    server_cpu_ns: Spread,
    /// The same of whoever sends.
    client_cpu_ns: Spread,
    p50_ms: Spread,
    p99_ms: Spread,
    /// Each round's rate, in the order in which they were taken.
    rounds_readings_per_s: Vec<f64>,
    /// Of the node: its rate as a multiple of the server's, medians.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_vs: Option<BTreeMap<String, f64>>,
}

fn by_name<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

impl Outcome {
    /// Figures of at least one round; a server that had none has failed.
    pub(super) fn measured(version: &str, rounds: &[Loaded]) -> Outcome {
        let nanos = |cpu: std::time::Duration, one: &Loaded| {
            cpu.as_nanos() as f64 / (one.readings as f64).max(1.0)
        };
        let rates: Vec<f64> = rounds.iter().map(|one| one.readings as f64 / one.seconds).collect();
        let measured = || {
            Some(Measured {
                version: version.to_owned(),
                readings_per_s: Spread::of(rates.iter().copied())?,
                server_cpu_ns: Spread::of(rounds.iter().map(|one| nanos(one.server_cpu, one)))?,
                client_cpu_ns: Spread::of(rounds.iter().map(|one| nanos(one.client_cpu, one)))?,
                p50_ms: Spread::of(rounds.iter().map(|one| one.p50_ms))?,
                p99_ms: Spread::of(rounds.iter().map(|one| one.p99_ms))?,
                rounds_readings_per_s: rates.clone(),
                ratio_vs: None,
            })
        };
        match measured() {
            Some(measured) => Outcome::Measured(Box::new(measured)),
            None => Outcome::Failed { why: "it took no load".to_owned() },
        }
    }

    fn figures(&self) -> Option<&Measured> {
        match self {
            Outcome::Measured(measured) => Some(measured),
            _ => None,
        }
    }
}

impl Table {
    /// Compares the node with the others.
    pub(super) fn new(payload: Payload, in_flight: usize, mut entries: Vec<Entry>) -> Table {
        let peers = entries.iter().filter(|one| matches!(one.server, Name::Nats | Name::Redis));
        let medians: Vec<(String, f64)> = peers
            .filter_map(|one| {
                Some((one.server.to_string(), one.outcome.figures()?.readings_per_s.median))
            })
            .collect();
        for entry in entries.iter_mut().filter(|one| one.server == Name::Node) {
            if let Outcome::Measured(own) = &mut entry.outcome {
                let rate = own.readings_per_s.median;
                let ratios = medians.iter().map(|(name, median)| (name.clone(), rate / median));
                own.ratio_vs = Some(ratios.collect());
            }
        }
        Table { payload, in_flight, entries }
    }

    fn node(&self) -> Option<&Measured> {
        self.entries.iter().find(|one| one.server == Name::Node)?.outcome.figures()
    }
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        proofs: Option<usize>,
        machine: [String; 2],
        tables: Vec<Table>,
    ) -> Report {
        Report {
            schema: "compare.ingest.v1",
            machine,
            rounds: plan.rounds,
            seconds: plan.time.as_secs_f64(),
            proving: plan.proving,
            proofs,
            tables,
        }
    }

    /// Whether every server that is on this machine was measured.
    pub(super) fn is_whole(&self) -> bool {
        let mut entries = self.tables.iter().flat_map(|table| &table.entries);
        !entries.any(|entry| matches!(entry.outcome, Outcome::Failed { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = &self.machine;
        writeln!(f, "before: {before}\nafter:  {after}")?;
        if let Some(proofs) = self.proofs {
            writeln!(f, "beside: {} threads that prove, {proofs} proofs counted", self.proving)?;
        }
        self.tables.iter().try_for_each(|table| write!(f, "\n{table}"))?;
        writeln!(
            f,
            "\nMedian (lowest to highest) of {} rounds of {} s, the client on the same machine. Every \
             server syncs\nbefore it acknowledges. The node also checks each reading, the \
             patient's consent and the gateway's\ncertificate, and signs receipts; the others do \
             not look into a message and are spoken to without TLS.",
            self.rounds, self.seconds
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = match self.payload.codec {
            Codec::RAW => "the same rows of 16 bytes to all",
            _ => "the same frames to all",
        };
        let Table { payload, in_flight, .. } = self;
        writeln!(f, "{payload} readings a message, {in_flight} messages in flight, {same}")?;
        writeln!(
            f,
            "{:<13} {:>26} {:>13} {:>10} {:>10} {:>16} {:>16}",
            "server", "M readings/s", "node is times", "server ns", "client ns", "p50 ms", "p99 ms"
        )?;
        self.entries.iter().try_for_each(|entry| self.write_entry(f, entry))
    }
}

impl Table {
    fn write_entry(&self, f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
        let one = match &entry.outcome {
            Outcome::Measured(measured) => measured,
            Outcome::Skipped { why } => return writeln!(f, "{:<13} skipped: {why}", entry.server),
            Outcome::Failed { why } => return writeln!(f, "{:<13} FAILED: {why}", entry.server),
        };
        let Spread { median, lowest, highest } = one.readings_per_s;
        let rate = format!("{:.2} ({:.2} to {:.2})", median / 1e6, lowest / 1e6, highest / 1e6);
        let is_peer = !matches!(entry.server, Name::Node | Name::NodeHalf);
        let times = self.node().filter(|_| is_peer).map(|node| node.readings_per_s.median / median);
        let times = times.map_or("-".to_owned(), |times| format!("{times:.2}"));
        let (server, client) = (one.server_cpu_ns.median, one.client_cpu_ns.median);
        let wait = |spread: &Spread| format!("{:.2} (to {:.2})", spread.median, spread.highest);
        let (p50, p99) = (wait(&one.p50_ms), wait(&one.p99_ms));
        write!(f, "{:<13} {rate:>26} {times:>13} {server:>10.1} {client:>10.1}", entry.server)?;
        writeln!(f, " {p50:>16} {p99:>16}  {}", one.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn loaded(readings: u64) -> Loaded {
        Loaded {
            readings,
            seconds: 2.0,
            server_cpu: Duration::from_micros(readings),
            client_cpu: Duration::from_micros(readings / 2),
            p50_ms: 1.0,
            p99_ms: 4.0,
        }
    }

    #[test]
    fn the_node_is_compared_with_each_peer_and_who_is_not_here_is_said() {
        let measured = |readings: &[u64]| {
            Outcome::measured("v1", &readings.iter().copied().map(loaded).collect::<Vec<_>>())
        };
        let entries = vec![
            Entry { server: Name::Node, outcome: measured(&[8000, 6000, 9000]) },
            Entry { server: Name::Nats, outcome: measured(&[2000, 1000, 4000]) },
            Entry { server: Name::Redis, outcome: Outcome::Skipped { why: "none".to_owned() } },
        ];
        let table = Table::new(Payload { codec: Codec::RAW, readings: 256 }, 192, entries);
        let json = serde_json::to_value(&table).expect("JSON");
        assert_eq!(json["entries"][0]["ratio_vs"]["nats_always"], 4.0);
        assert_eq!(json["entries"][0]["readings_per_s"]["median"], 4000.0);
        assert_eq!(json["entries"][0]["server_cpu_ns"]["median"], 1000.0);
        let text = table.to_string();
        let nats = text.lines().find(|line| line.starts_with("nats_always")).expect("a row");
        assert!(nats.contains(" 4.00 "), "{nats}");
        assert!(text.contains("skipped: none"), "{text}");
    }

    #[test]
    fn a_server_that_took_no_load_has_failed() {
        assert!(matches!(Outcome::measured("v1", &[]), Outcome::Failed { .. }));
    }
}
