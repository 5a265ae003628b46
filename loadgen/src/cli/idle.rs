//! `loadgen idle`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use loadgen::{IdleConfig, idle, parse_duration};
use model::ExitCode;

use super::{Failure, Node, print_json};

/// Connects gateways that do nothing, and says what each takes of the node's memory
///
/// For whoever sizes a machine: the node must let this many connect, also of one certificate.
///
///   loadgen idle --identity DIR --connections 10000 --process PID
///   loadgen idle --identity DIR OTHER-DIR --connections 500 --node ADDR --hold 5m
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct IdleArgs {
    /// Identity folders of gateways, which the connections are dealt to in turn.
    #[arg(long, value_name = "DIR", num_args = 1.., required = true)]
    identity: Vec<PathBuf>,
    #[command(flatten)]
    node: Node,
    /// How many connections, 1 to 100000.
    #[arg(long, value_name = "N")]
    connections: usize,
    /// How long they stay, with a unit.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    hold: Duration,
    /// The node's process on this machine: its resident memory is read before and after.
    #[arg(long, value_name = "PID")]
    process: Option<u32>,
}

/// Connects, stays and reports.
pub(crate) async fn connect(args: IdleArgs) -> Result<ExitCode, Failure> {
    let deployment = args.node.deployment(args.identity.iter())?;
    let config = IdleConfig {
        node: args.node.node,
        server_name: args.node.server_name.clone(),
        identities: args.identity,
        connections: args.connections,
        hold: args.hold,
        process: args.process,
    };
    let report = idle(&config).await.map_err(|error| (error.exit_code(), error.into()))?;
    match args.node.json {
        true => print_json(&report, deployment)?,
        false => print!("deployment {deployment}\n{}", report.text()),
    }
    Ok(report.exit_code())
}
