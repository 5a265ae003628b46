//! `loadgen`: see `loadgen --help`.

mod cli;

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use loadgen::verify::Verification;
use loadgen::{
    Habits, Laying, Live, LoadConfig, LoadError, Rate, Report, VerifyConfig, VerifyError,
    assignments, parse_duration, run, verify,
};
use model::ExitCode;
use tokio::sync::watch;

use cli::idle::{IdleArgs, connect};
use cli::outputs::Outputs;
use cli::scenario::{ScenarioArgs, scenario};
use cli::{Failure, Node, interrupt, print_json, show};

/// Streams real recordings to a node as gateways do, and says how fast and how surely they are
/// acknowledged: for whoever runs a node, or changes one. Begin with:
///   loadgen run --assignments FILE --rate 200k --duration 30s --ledger acks.jsonl
///   loadgen verify --ledger acks.jsonl --identity DIR
///   loadgen scenario --list
///
/// It uses the public client alone: mutual TLS over QUIC, and no frame counts before its signed
/// receipt is verified. Only the hostile gateways of a scenario speak byte by byte. `sequencer run
/// --dev` writes the identities and the assignments. The node may be killed and started again
/// between the two commands: nothing acknowledged may be lost.
///
/// Exit codes: 0 everything sent was acknowledged (run), every expectation holds (scenario), every
/// connection stayed (idle), everything acknowledged is there (verify); 1 it is not so, or the run
/// failed; 2 the command line or a file given on it is wrong; 3 the node cannot be reached; 4
/// interrupted.
#[derive(Parser)]
#[command(name = "loadgen", version, max_term_width = 100, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    // Text here would hide that of the types.
    Run(Run),
    Scenario(ScenarioArgs),
    Idle(IdleArgs),
    Verify(Verify),
}

/// Sends readings and reports rates, latencies and refusals
///
/// For measuring a node. At a set rate the node is measured, at the highest the queue before it.
///
///   loadgen run --assignments FILE --rate 200k --duration 30s
///   loadgen run --assignments FILE --ledger acks.jsonl --json
///   loadgen run --assignments FILE --rate 200k --html report.html --hdr latency.hgrm
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct Run {
    /// JSON lines {"identity": DIR, "device": NAME, "patient": N, "signal": "ecg" | "ppg"}, one for
    /// each stream; folders are relative to the file.
    #[arg(long, value_name = "FILE")]
    assignments: PathBuf,
    /// Send for these gateways only: folders with ca.pem, cert.pem, key.pem and deployment.json.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    identity: Vec<PathBuf>,
    #[command(flatten)]
    node: Node,
    /// Readings a second over all streams, such as 50000, 250k or 4M, sent whether or not the node
    /// keeps up (open loop); or `natural`: what the devices measure; or `max`: as fast as receipts
    /// come.
    #[arg(long, value_name = "max|natural|N", default_value = "max")]
    rate: Rate,
    /// How long to send, with a unit: 500ms, 10s, 5m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Readings in each frame, 1 to 4094.
    #[arg(long, value_name = "N", default_value_t = 256)]
    frame_readings: usize,
    /// How readings lie in frames: raw, columnar or grid; or block: columnar, and small frames
    /// that wait together go in one message.
    #[arg(long, value_name = "CODEC", default_value = "raw", value_parser = parse_codec)]
    codec: Laying,
    /// Most frames without a receipt, over all streams, 1 to 65536. At the highest rate this is
    /// what latency depends on: it is the queue.
    #[arg(long, value_name = "FRAMES", default_value_t = 1024)]
    in_flight: usize,
    /// How long to wait for the last receipts.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    drain: Duration,
    /// How long to try to connect again when the node goes away.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = parse_duration)]
    retry: Duration,
    /// Write one JSON line for each acknowledged frame to this new file; `loadgen verify` reads it.
    /// It names devices and patients.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Keep every signed receipt as a file below this folder. Costs a file for each.
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
}

fn parse_codec(name: &str) -> Result<Laying, String> {
    Laying::from_name(name).ok_or_else(|| format!("expected {}", Laying::EXPECTED))
}

/// Reconnects and checks that the node has everything that a ledger says was acknowledged
///
/// For holding a node to its receipts, above all after it was killed.
///
///   loadgen verify --ledger acks.jsonl --identity DIR
///   loadgen verify --ledger acks.jsonl --identity DIR OTHER-DIR --node ADDR
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct Verify {
    /// The file that `loadgen run --ledger` wrote.
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// Identity folders of all gateways in the ledger.
    #[arg(long, value_name = "DIR", num_args = 1.., required = true)]
    identity: Vec<PathBuf>,
    #[command(flatten)]
    node: Node,
}

#[tokio::main]
async fn main() -> process::ExitCode {
    files::close_to_others();
    let done = match Cli::parse().command {
        Command::Run(args) => load(args).await,
        Command::Scenario(args) => scenario(args).await,
        Command::Idle(args) => connect(args).await,
        Command::Verify(args) => check(args).await,
    };
    let code = done.unwrap_or_else(|(code, error)| {
        eprintln!("loadgen: {}", model::escape_lines(&format!("{error:#}")));
        code
    });
    process::ExitCode::from(code.number())
}

async fn load(args: Run) -> Result<ExitCode, Failure> {
    let assignments = assignments::read(&args.assignments, &args.identity);
    let assignments = assignments.map_err(|error| (ExitCode::Usage, error.into()))?;
    let deployment = args.node.deployment(assignments.iter().map(|one| &one.identity))?;
    args.outputs.check(&[])?;
    let config = LoadConfig {
        node: args.node.node,
        server_name: args.node.server_name.clone(),
        assignments,
        rate: args.rate,
        duration: args.duration,
        frame_readings: args.frame_readings,
        laying: args.codec,
        in_flight_max: args.in_flight,
        habits: Habits::default(),
        drain: args.drain,
        retry_for: args.retry,
        ledger: args.ledger,
        receipts: args.receipts,
    };
    let (live, stop) = (Arc::new(Live::default()), watch::Sender::new(false));
    tokio::spawn(interrupt(stop.clone()));
    let shown = tokio::spawn(show(live.clone(), config.duration));
    let report = run(&config, live, stop).await;
    shown.abort();
    // The aborted task clears its line as it is dropped.
    let _ = shown.await;
    let report: Report = report.map_err(|error: LoadError| (error.exit_code(), error.into()))?;
    match args.node.json {
        true => print_json(&report, deployment)?,
        false => print!("deployment {deployment}\n{}", report.text()),
    }
    args.outputs.write(&report, deployment.to_string())?;
    Ok(report.exit_code())
}

/// How long `verify` asks for a stream that the node does not open yet.
const OPEN_FOR: Duration = Duration::from_secs(10);

async fn check(args: Verify) -> Result<ExitCode, Failure> {
    let deployment = args.node.deployment(args.identity.iter())?;
    let config = VerifyConfig {
        node: args.node.node,
        server_name: args.node.server_name.clone(),
        identities: args.identity,
        ledger: args.ledger,
        open_for: OPEN_FOR,
    };
    let found = verify(&config).await;
    let found = found.map_err(|error: VerifyError| (error.exit_code(), error.into()))?;
    match args.node.json {
        true => print_json(&found, deployment)?,
        false => print!("deployment {deployment}\n{}", verdict(&found)),
    }
    Ok(found.exit_code())
}

fn verdict(found: &Verification) -> String {
    let Verification { acknowledged, streams, lost, first_lost } = found;
    let Some(first) = first_lost else {
        return format!("{acknowledged} acknowledged frames of {streams} streams are durable\n");
    };
    format!(
        "expected {acknowledged} acknowledged frames to be durable, found {lost} missing\nfirst: \
         sequence {} of epoch {} of device {}, signal {}, gateway {}: the node ends at {}; its \
         receipt is that of group {}\n",
        first.seq,
        first.epoch,
        first.device,
        first.signal,
        first.gateway,
        first.durable,
        first.group,
    )
}
