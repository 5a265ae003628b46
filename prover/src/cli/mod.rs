//! Commands, their reports and their exit codes.

mod engines;
mod export;
mod help;
mod import;
mod inspect;
mod keys;
mod prove;
mod report;
mod setup;
mod shapes;
mod transcript;
mod verify;
mod worker;

use clap::{Parser, Subcommand};

use report::{Failure, Report};

/// Make and check Groth16 proofs of the vitals circuits.
#[derive(Parser)]
#[command(version, long_about = help::PROVER, after_help = help::EXIT_CODES)]
pub(crate) struct Prover {
    /// Print one JSON object with a `schema` field instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the circuits and sizes that can be proven.
    #[command(long_about = help::SHAPES, after_help = help::EXIT_CODES)]
    Shapes(shapes::Shapes),
    /// Say which engines this processor runs, and which one `auto` takes.
    #[command(long_about = help::ENGINES, after_help = help::EXIT_CODES)]
    Engines(engines::Engines),
    /// Make development keys. Anyone can forge proofs under them: for tests and demos only.
    #[command(long_about = help::SETUP, after_help = help::EXIT_CODES)]
    Setup(setup::Setup),
    /// Write a shape's circuit and key for snarkjs and rapidsnark.
    #[command(long_about = help::EXPORT, after_help = help::EXIT_CODES)]
    Export(export::Export),
    /// Prove what a witness file assigns to a shape, under the shape's key.
    #[command(long_about = help::PROVE, after_help = help::EXIT_CODES)]
    Prove(prove::Prove),
    /// Verify a proof: is there a witness for these public inputs under this key?
    #[command(long_about = help::VERIFY, after_help = help::EXIT_CODES)]
    Verify(verify::Verify),
    /// Show what a key file says it is, and check its hash.
    #[command(long_about = help::INSPECT, after_help = help::EXIT_CODES)]
    Inspect(inspect::Inspect),
    /// Take over the key that a ceremony made, after checking all of it.
    #[command(long_about = help::IMPORT, after_help = help::EXIT_CODES)]
    ImportZkey(import::Import),
    /// List keys, make a development key anew, check a ceremony.
    #[command(long_about = help::KEYS, after_help = help::EXIT_CODES)]
    Keys(keys::Keys),
    /// Make proofs for nodes on other machines, with jobs from a NATS JetStream queue.
    #[command(long_about = help::WORKER, after_help = help::EXIT_CODES)]
    Worker(worker::Worker),
}

pub(crate) fn run(prover: Prover) -> Result<Report, Failure> {
    match prover.command {
        Command::Shapes(shapes) => shapes.run(),
        Command::Engines(engines) => engines.run(),
        Command::Setup(setup) => setup.run(),
        Command::Export(export) => export.run(),
        Command::Prove(prove) => prove.run(),
        Command::Verify(verify) => verify.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::ImportZkey(import) => import.run(),
        Command::Keys(keys) => keys.run(),
        Command::Worker(worker) => worker.run(prover.json),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The commands under "Begin with:".
    fn first_commands(help: &str) -> Vec<&str> {
        let begin = help.lines().skip_while(|line| *line != "Begin with:").skip(1);
        begin.take_while(|line| line.starts_with("  prover ")).collect()
    }

    #[test]
    fn every_help_begins_with_its_purpose_its_readers_and_two_commands_that_parse() {
        let prover = Prover::command();
        let below = |command: &clap::Command| {
            let all = command.get_subcommands().cloned();
            all.filter(|command| command.get_name() != "help").collect::<Vec<_>>()
        };
        let subcommands = below(&prover);
        let nested: Vec<_> = subcommands.iter().flat_map(below).collect();
        let mut checked = 0;
        for command in std::iter::once(&prover).chain(&subcommands).chain(&nested) {
            let name = command.get_name();
            let help = command.clone().render_long_help().to_string();
            let mut lines = help.lines();
            assert!(lines.next().is_some_and(|line| !line.is_empty()), "{name}: what it is for");
            assert!(lines.next().is_some_and(|line| line.starts_with("For ")), "{name}: for whom");
            let commands = first_commands(&help);
            assert_eq!(commands.len(), 2, "{name}: {help}");
            for line in commands {
                let parsed = Prover::try_parse_from(line.split_whitespace());
                assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
            }
            assert!(help.contains("Exit codes:\n  0 "), "{name}");
            checked += 1;
        }
        assert_eq!(checked, 14);
    }
}
