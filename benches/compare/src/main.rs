//! Tables of this project beside its peers, measured in rounds that take turns: Groth16 provers
//! over BN254 with the same rows, witness and key, and servers that store readings with the same
//! rows.
//! See README.md.

mod chain;
mod child;
mod ingest;
mod name;
mod output;
mod peer;
mod provers;
mod report;
mod request;
mod rounds;
mod stats;
mod subject;
mod usage;
mod versions;
mod worker;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use name::Name;
use request::{Programs, Request};
use rounds::Plan;
use subject::{Cache, Subject};

/// Measures this project beside its peers.
#[derive(Parser)]
#[command(version)]
struct Compare {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The table: CPU time, wall time and peak memory of each prover on each circuit.
    Prover(Table),
    /// The table: durable readings a second, CPU time a reading and latency of each server.
    Ingest(ingest::Ingest),
    /// One prover in a process of its own: proves once for each line of its input.
    #[command(hide = true)]
    Worker(Worker),
}

/// What every process of a run is told.
#[derive(Args)]
struct Common {
    /// Threads of the provers that run in this program. Other programs take what they take.
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroUsize,
    /// Most bytes of the accelerated engine's tables of one key, as `[prover] table_bytes_max` of a
    /// node; queries for which there is no room are summed without.
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 30)]
    table_bytes_max: usize,
    /// Folder in which keys, exported keys, tables and snarkjs are kept; by default one in the
    /// system's temporary folder.
    #[arg(long, value_name = "FOLDER", default_value_os_t = Cache::default_folder())]
    cache: PathBuf,
    /// The built binary `fast` of the sketch, which proves chain-16 and chain-18 and is given its
    /// key here; without it, skipped.
    #[arg(long, value_name = "PATH")]
    sketch: Option<PathBuf>,
    /// A built `prover` of rapidsnark; without it, skipped.
    #[arg(long, value_name = "PATH")]
    rapidsnark: Option<PathBuf>,
}

#[derive(Args)]
struct Table {
    /// JSON; the table then goes to standard error, behind what is said meanwhile.
    #[arg(long)]
    json: bool,
    /// Rounds; in each, every prover makes one proof.
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroUsize,
    /// Circuits: a number N for the chain of 2^N rows, or the name of a shape.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "16,18,20,c2-17")]
    sizes: Vec<Subject>,
    /// Provers to measure.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = Name::ALL)]
    provers: Vec<Name>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Worker {
    #[arg(long)]
    subject: Subject,
    #[arg(long)]
    prover: Name,
    #[command(flatten)]
    common: Common,
}

impl Common {
    fn programs(&self) -> Programs {
        Programs { sketch: self.sketch.clone(), rapidsnark: self.rapidsnark.clone() }
    }
}

fn main() -> ExitCode {
    files::close_to_others();
    let done = match Compare::parse().command {
        Command::Prover(table) => table.run(),
        Command::Ingest(ingest) => ingest.run(),
        Command::Worker(worker) => worker.run().map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // The table is printed, and says of which prover it has no figure.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Table {
    /// Whether every prover that is here could be measured.
    fn run(self) -> anyhow::Result<bool> {
        let mut provers = self.provers;
        // The own engines' figures are nothing without them.
        if provers.iter().any(|name| name.is_own()) {
            provers.push(Name::Products);
        }
        provers.sort();
        provers.dedup();
        let plan = Plan {
            rounds: self.rounds.get(),
            threads: self.common.threads,
            table_bytes_max: self.common.table_bytes_max,
            provers,
            programs: self.common.programs(),
            cache: Cache::open(self.common.cache)?,
        };
        let report = rounds::run(&plan, &self.sizes)?;
        output::print(&report, self.json)?;
        Ok(report.is_whole())
    }
}

impl Worker {
    fn run(self) -> anyhow::Result<()> {
        worker::run(&Request {
            subject: self.subject,
            prover: self.prover,
            threads: self.common.threads,
            table_bytes_max: self.common.table_bytes_max,
            programs: self.common.programs(),
            cache: Cache::open(self.common.cache)?,
        })
    }
}
