//! `loadgen`: see `loadgen --help`.

mod cli;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use client::Fingerprint;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::verify::Verification;
use loadgen::{
    Live, LoadConfig, LoadError, Rate, Report, VerifyConfig, VerifyError, assignments,
    find_deployment, parse_duration, run, verify,
};
use model::ExitCode;
use tokio::sync::watch;
use wire::Codec;

use cli::Failure;
use cli::outputs::Outputs;

/// Streams real recordings to a node as gateways do, and says how fast and how surely they are
/// acknowledged: for whoever runs a node, or changes one. Begin with:
///   loadgen run --assignments FILE --rate 200k --duration 30s --ledger acks.jsonl
///   loadgen verify --ledger acks.jsonl --identity DIR
///
/// It uses the public client alone: mutual TLS over QUIC, and no frame counts before its signed
/// receipt is verified. `sequencer run --dev` writes the identities and the assignments. The node
/// may be killed and started again between the two commands: nothing acknowledged may be lost.
///
/// Exit codes: 0 everything sent was acknowledged (run), everything acknowledged is there (verify);
/// 1 it is not, or the run failed; 2 the command line or a file given on it is wrong; 3 the node
/// cannot be reached; 4 interrupted.
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
    Verify(Verify),
}

#[derive(Args)]
struct Node {
    /// Address and UDP port of the node.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4433")]
    node: SocketAddr,
    /// Name in the node's certificate.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
    /// The deployment's fingerprint, as the hospital told you and not as a file says: identities of
    /// another deployment are refused.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<Fingerprint>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Node {
    /// The one deployment of these identities, for the report. Asked before anything else:
    /// identities of another one are refused, and no measurement is lost by a file that went away
    /// meanwhile.
    fn deployment<'a>(
        &self,
        folders: impl Iterator<Item = &'a PathBuf>,
    ) -> Result<Fingerprint, Failure> {
        let found = find_deployment(folders.map(PathBuf::as_path), self.fingerprint);
        found.map_err(|error| (error.exit_code(), error.into()))
    }
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
    /// keeps up (open loop); or `max`: as fast as receipts come.
    #[arg(long, value_name = "max|N", default_value = "max")]
    rate: Rate,
    /// How long to send, with a unit: 500ms, 10s, 5m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Readings in each frame, 1 to 4094.
    #[arg(long, value_name = "N", default_value_t = 256)]
    frame_readings: usize,
    /// How readings lie in frames: raw, columnar or grid.
    #[arg(long, value_name = "CODEC", default_value = "raw", value_parser = parse_codec)]
    codec: Codec,
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

fn parse_codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(name).ok_or_else(|| "expected raw, columnar or grid".to_owned())
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
    args.outputs.check()?;
    let config = LoadConfig {
        node: args.node.node,
        server_name: args.node.server_name.clone(),
        assignments,
        rate: args.rate,
        duration: args.duration,
        frame_readings: args.frame_readings,
        codec: args.codec,
        in_flight_max: args.in_flight,
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

/// The first signal ends sending, the second the program.
async fn interrupt(stop: watch::Sender<bool>) {
    for last in [false, true] {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        if last {
            // Not a return: the receipts that are waited for may never come.
            process::exit(ExitCode::Interrupted.number().into());
        }
        eprintln!("loadgen: waiting for the last receipts; once more to leave at once");
        stop.send_replace(true);
    }
}

/// A line on a terminal's stderr; nothing elsewhere.
async fn show(live: Arc<Live>, duration: Duration) {
    let bar = Bar(ProgressBar::with_draw_target(
        Some(duration.as_millis() as u64),
        ProgressDrawTarget::stderr(),
    ));
    let style = ProgressStyle::with_template("{elapsed} [{bar:30}] {msg}");
    bar.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut before = live.readings();
    loop {
        ticks.tick().await;
        let readings = live.readings();
        let rate = (readings - before) * 5;
        before = readings;
        let elapsed = bar.0.elapsed().as_millis() as u64;
        bar.0.set_position(elapsed.min(duration.as_millis() as u64));
        let frames = live.frames();
        bar.0.set_message(format!("{readings} readings in {frames} frames durable, {rate}/s"));
    }
}

struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
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

/// The report, with the deployment that it is of.
fn print_json(report: &impl serde::Serialize, deployment: Fingerprint) -> Result<(), Failure> {
    let failed = |error: serde_json::Error| (ExitCode::Failed, error.into());
    let mut report = serde_json::to_value(report).map_err(failed)?;
    report["fingerprint"] = deployment.to_string().into();
    println!("{}", serde_json::to_string_pretty(&report).map_err(failed)?);
    Ok(())
}
