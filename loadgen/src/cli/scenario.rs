//! `loadgen scenario`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use loadgen::scenario::{Part, PlayConfig, SHIPPED, Scenario, Shipped, play};
use loadgen::{Live, assignments};
use model::ExitCode;
use tokio::sync::watch;

use super::outputs::Outputs;
use super::{Failure, Node, interrupt, print_json, show};

/// Plays a scenario: groups of gateways beside each other, hostile ones among them
///
/// For judging a node by what it meets in life: each scenario says what is expected of it.
///
///   loadgen scenario --list
///   loadgen scenario ward --assignments FILE --node ADDR
///   loadgen scenario my-ward.toml --assignments FILE --html report.html --hdr latency.hgrm
///   loadgen scenario hospital --part 1/2 --assignments FILE   (and 2/2 beside it)
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ScenarioArgs {
    /// A scenario that ships, or a file.
    #[arg(value_name = "NAME|FILE", required_unless_present = "list")]
    scenario: Option<PathBuf>,
    /// JSON lines as for `loadgen run`; gateways are dealt to groups in this order.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["list", "print"])]
    assignments: Option<PathBuf>,
    /// Play a part of each group's gateways: other programs play the others at the same time, for
    /// more gateways than one process has sockets for or one machine has time for.
    #[arg(long, value_name = "NUMBER/COUNT", default_value = "1/1")]
    part: Part,
    #[command(flatten)]
    node: Node,
    /// List the scenarios that ship.
    #[arg(long, conflicts_with_all = ["scenario", "print"])]
    list: bool,
    /// Print the file of a scenario that ships, to make one of your own of it.
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    outputs: Outputs,
}

/// Plays, or lists or prints.
pub(crate) async fn scenario(args: ScenarioArgs) -> Result<ExitCode, Failure> {
    if args.list {
        for one in &SHIPPED {
            println!("{:<16} {}", one.name, one.about());
        }
        return Ok(ExitCode::Ok);
    }
    let wanted = args.scenario.unwrap_or_default();
    if args.print {
        return print(&wanted.to_string_lossy());
    }
    let scenario = Scenario::read(&wanted).map_err(usage)?;
    let file = args.assignments.unwrap_or_default();
    let assignments = assignments::read(&file, &[]).map_err(usage)?;
    let deployment = args.node.deployment(assignments.iter().map(|one| &one.identity))?;
    let names: Vec<_> = scenario.gateways.iter().map(|group| group.name.clone()).collect();
    args.outputs.check(&names)?;
    let (live, stop) = (Arc::new(Live::default()), watch::Sender::new(false));
    tokio::spawn(interrupt(stop.clone()));
    let shown = tokio::spawn(show(live.clone(), scenario.duration));
    let (node, server_name) = (args.node.node, args.node.server_name.clone());
    let part = args.part;
    let config = PlayConfig { scenario, node, server_name, assignments, part };
    let outcome = play(&config, live, stop).await;
    shown.abort();
    // The aborted task clears its line as it is dropped.
    let _ = shown.await;
    let outcome = outcome.map_err(|error| (error.exit_code(), error.into()))?;
    match args.node.json {
        true => print_json(&outcome, deployment)?,
        false => print!("deployment {deployment}\n{}", outcome.text()),
    }
    args.outputs.write_scenario(&outcome, deployment.to_string())?;
    Ok(outcome.exit_code())
}

fn print(name: &str) -> Result<ExitCode, Failure> {
    let Some(shipped) = Shipped::named(name) else {
        let known = Shipped::names();
        let what = format!("expected a scenario that ships ({known}), found {name}");
        return Err((ExitCode::Usage, anyhow::Error::msg(what)));
    };
    print!("{}", shipped.text);
    Ok(ExitCode::Ok)
}

fn usage(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    (ExitCode::Usage, error.into())
}
