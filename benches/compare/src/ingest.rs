//! A table of servers that store readings and acknowledge them once they are durable, measured side
//! by side: the same rows for all, in rounds that take turns. See README.md.

mod bystander;
mod load;
mod nats;
mod node;
mod payload;
mod program;
mod redis;
mod report;
mod rounds;
mod store;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use wire::Codec;

use crate::output::print;

pub(crate) use payload::Payload;
pub(crate) use store::Name;

/// The table of servers that store readings.
#[derive(Args)]
pub(crate) struct Ingest {
    /// JSON; the table then goes to standard error, behind what is said meanwhile.
    #[arg(long)]
    json: bool,
    /// Rounds; in each, every server takes every kind of message for `--seconds`.
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroUsize,
    /// How long a server is loaded in each round, for each kind of message.
    #[arg(long, value_name = "SECONDS", default_value = "3")]
    seconds: NonZeroUsize,
    /// Readings of a message.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "256,1024")]
    readings: Vec<NonZeroUsize>,
    /// How readings lie in a message: raw (rows of 16 bytes, of which peers get as many), grid or
    /// columnar (packed; peers get the same frames, which they do not look into).
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "raw,grid",
          value_parser = parse_codec)]
    codecs: Vec<Codec>,
    /// Servers to measure.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = Name::ALL)]
    servers: Vec<Name>,
    /// Most messages that wait for their acknowledgement, over all streams.
    #[arg(long, value_name = "N", default_value = "1024")]
    in_flight: NonZeroUsize,
    /// Most bytes of such messages: what a latency is made of is a queue of bytes.
    #[arg(long, value_name = "BYTES", default_value = "786432")]
    in_flight_bytes: NonZeroUsize,
    /// Threads that prove all the while, in a process of their own: what ingest keeps beside them.
    #[arg(long, value_name = "THREADS", default_value = "0")]
    proving: usize,
    /// Folder of the built programs of this project: `sequencer` and `loadgen`.
    #[arg(long, value_name = "FOLDER", default_value = "target/dist")]
    programs: PathBuf,
    /// A nats-server of 2.10 or later with JetStream; skipped where there is none.
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    nats_server: PathBuf,
    /// A redis-server; skipped where there is none.
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    redis_server: PathBuf,
    /// Folder below which every server has its files, on the disk to be measured.
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    disk: PathBuf,
}

fn parse_codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(name).ok_or_else(|| "expected raw, grid or columnar".to_owned())
}

impl Ingest {
    /// Whether every server that is here could be measured.
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        let plan = rounds::Plan {
            rounds: self.rounds.get(),
            time: Duration::from_secs(self.seconds.get() as u64),
            payloads: Payload::all(&self.codecs, &self.readings)?,
            servers: self.servers,
            in_flight: self.in_flight.get(),
            in_flight_bytes: self.in_flight_bytes.get(),
            proving: self.proving,
            programs: self.programs,
            nats_server: self.nats_server,
            redis_server: self.redis_server,
            disk: self.disk,
        };
        let report = rounds::run(&plan)?;
        print(&report, self.json)?;
        Ok(report.is_whole())
    }
}
