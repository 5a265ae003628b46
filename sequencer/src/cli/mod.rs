//! The command line.

mod demo;
mod node;
mod outcome;
mod registry;

use std::path::PathBuf;
use std::process;

use clap::{Parser, Subcommand};
use model::ExitCode;

/// The node of the vitals rollup: takes in readings, operations and requests, journals them,
/// proves that consent covered every collection and access, and settles that on a base chain.
///
/// `sequencer demo` shows all of it on this machine. `sequencer run --dev` is a node to develop
/// gateways against. A node of your own: `init`, `deploy`, `run`.
///
/// Exit codes: 0 done, 1 failed, 2 the command line or a file given on it is wrong,
/// 3 something needed is not there, 4 stopped by a signal.
#[derive(Parser)]
#[command(name = "sequencer", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays a day on a ward with real recordings, settles it, audits it, tampers with it.
    Demo(demo::DemoArgs),
    /// Makes a node's folder: configuration, certificate authority, secrets.
    Init(node::InitArgs),
    /// Deploys keys and contract to the configured chain and writes the deployment file.
    Deploy(node::DeployArgs),
    /// Runs a node.
    Run(node::RunArgs),
    /// Says where a running node is and how far it is.
    Status(node::FolderArgs),
    /// Organisations of the running node's registry.
    #[command(subcommand)]
    Org(registry::Organisation),
    /// Practitioners of the running node's registry.
    #[command(subcommand)]
    Practitioner(registry::Practitioner),
    /// Gateways of the running node's registry.
    #[command(subcommand)]
    Gateway(registry::Gateway),
    /// Devices of the running node's registry.
    #[command(subcommand)]
    Device(registry::Device),
    /// Works on the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Reads the configuration, checks every limit and prints what holds.
    Check {
        /// The configuration file.
        #[arg(long, default_value = "node/node.toml")]
        config: PathBuf,
    },
}

/// Parses and runs; errors go to stderr with their causes.
pub(crate) fn main() -> process::ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Demo(args) => demo::demo(args),
        Command::Init(args) => node::init(&args),
        Command::Deploy(args) => node::deploy(args),
        Command::Run(args) => node::run(args),
        Command::Status(args) => node::status(&args),
        Command::Org(command) => registry::organisation(command),
        Command::Practitioner(command) => registry::practitioner(command),
        Command::Gateway(command) => registry::gateway(command),
        Command::Device(command) => registry::device(command),
        Command::Config(ConfigCommand::Check { config }) => node::config_check(&config),
    };
    match outcome {
        Ok(()) => ExitCode::Ok.number().into(),
        Err((code, error)) => {
            eprintln!("error: {error:#}");
            code.number().into()
        }
    }
}
