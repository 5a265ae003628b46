//! The command line.

mod archive;
mod backup;
mod demo;
mod drill;
mod erase;
mod given;
mod identity;
mod inspect;
mod journal;
mod keys;
mod listed;
mod log;
mod node;
mod orders;
mod outcome;
mod plan;
mod registry;
mod reload;
mod renewals;
mod service;
mod status;
mod tune;

use std::path::PathBuf;
use std::process;

use clap::{Parser, Subcommand};
use model::ExitCode;

use outcome::Failure;

/// The node of the vitals rollup, for whoever operates one or develops against one: begin with
/// `sequencer demo` or `sequencer run --dev`.
///
/// It takes in readings, operations and requests, journals them, proves that consent covered every
/// collection and access, and settles that on a base chain.
///
///   sequencer demo            shows all of it on this machine, with real recordings
///   sequencer run --dev       a node to develop gateways against; prints commands to paste
///
/// A node of your own: `sequencer init`, `sequencer deploy`, `sequencer run`, then `sequencer org
/// add` and `sequencer identity issue`; docs/operate.md goes through all of it.
#[derive(Parser)]
#[command(name = "sequencer", version, verbatim_doc_comment, after_help = after_help())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The exit codes, and where `run` differs.
fn after_help() -> String {
    let codes = ExitCode::ALL.map(|code| format!("  {}  {}", code.number(), code.meaning()));
    let codes = codes.join("\n");
    format!(
        "Exit codes:\n{codes}\nA `run` that a signal stopped ends with 0; a demo cut short with 4."
    )
}

#[derive(Subcommand)]
enum Command {
    /// Plays a day on a ward and audits it, for whoever wants to see the whole: `sequencer demo`,
    /// then `sequencer demo --keep`.
    ///
    /// Real recordings are streamed, accesses asked for, granted and refused, consent withdrawn;
    /// batches are proven and settled on an embedded chain, and an auditor checks them, once more
    /// after one byte was flipped.
    Demo(demo::DemoArgs),
    /// Rehearses the loss of a node's disk, for operators: `sequencer drill`, then `sequencer
    /// backup DIR` of a node of one's own.
    ///
    /// A ward streams real recordings to a node, which is backed up meanwhile; then the node is
    /// killed and its folder removed. It is restored, its gateways send again what they kept, and
    /// everything settles. Prints what was lost and how long each step took; ends with 0 only if
    /// nothing that had a receipt is missing and nothing is there twice.
    Drill(drill::DrillArgs),
    /// Makes a node's folder, for operators: `sequencer init --dir node`, then `sequencer deploy`.
    ///
    /// Configuration, certificate authority, server certificate and secrets; what is there already
    /// stays as it is.
    Init(node::InitArgs),
    /// Puts keys and contract on the base chain, for operators: `sequencer deploy --registrar
    /// 0x..`, then `sequencer run`.
    ///
    /// Deploys to the configured chain, from the settlement account that `sequencer init` named,
    /// and writes the deployment file.
    Deploy(node::DeployArgs),
    /// Runs a node until a signal, for operators: `sequencer run`; for developers of gateways:
    /// `sequencer run --dev`.
    ///
    /// SIGTERM and SIGINT stop it in order: what is admitted is made durable, what is closed is
    /// proven; a second one ends it at once. SIGHUP reads the configuration, the server's
    /// certificate and the keys of the token issuer again and never ends it: docs/configuration.md
    /// says which values are live.
    Run(node::RunArgs),
    /// Asks a running node how it stands, for operators: `sequencer status`, then `sequencer
    /// identity list`.
    ///
    /// Where it is reached, its stages, how far batches are closed, proven and settled, the
    /// balance, the disk, the clock, and certificates that end soon. Ends with 3 if none answers.
    Status(status::StatusArgs),
    /// What holds of a running node's configuration, and what is set by hand, for operators:
    /// `sequencer tune list`, then `sequencer tune set KEY VALUE`.
    ///
    /// Three columns: what the configuration says, what holds, and when a change does: now, at the
    /// next window, or after a restart. docs/operate.md says what becomes of a value that is set.
    #[command(subcommand)]
    Tune(tune::TuneCommand),
    /// Pauses settling, for operators: `sequencer pause --as NAME --reason TEXT`, then `sequencer
    /// resume`.
    ///
    /// Nothing is sent to the chain, over starts too. Readings, accesses and operations are taken
    /// in and proven as ever; a withdrawal is in force at once, and late on the chain: metrics,
    /// alerts and `sequencer status` say how many wait.
    Pause(orders::OrderArgs),
    /// Ends a pause or a drain, for operators: `sequencer resume`, and to see how it stands
    /// `sequencer status`.
    ///
    /// What waited is settled in order, several batches in one transaction.
    Resume(orders::OrderArgs),
    /// Ends the open window now, for operators: `sequencer seal now`, and to see it settled
    /// `sequencer status --watch`.
    #[command(subcommand)]
    Seal(orders::SealCommand),
    /// Empties a node before it is stopped for good, for operators: `sequencer drain`, and to take
    /// that back `sequencer resume`.
    ///
    /// Nothing new is taken in but what takes rights away and requests to read in an emergency:
    /// frames, streams, other requests to read and operations that give rights are told to come
    /// again. The open window is closed, all of it is proven and settled, and the command ends with
    /// 0 once the last transaction is final and nothing is left. A stop without it loses nothing
    /// either: what is not settled then is so after the next start.
    Drain(orders::DrainArgs),
    /// Organisations that own gateways and devices and employ practitioners, for operators:
    /// `sequencer org add ID`, `sequencer org list`.
    #[command(subcommand)]
    Org(registry::Records<registry::Organisation>),
    /// Certificates of gateways, practitioners, wallets and operators, for operators: `sequencer
    /// identity issue ID --role ..`, `sequencer identity list`.
    ///
    /// Everybody who connects has one: a role and an id, which the running node's registry knows by
    /// fingerprint. They are issued, renewed before they end, and revoked; each takes effect at
    /// once.
    #[command(subcommand)]
    Identity(identity::Command),
    /// Devices, which measure one patient, for operators: `sequencer device add ID ..`, `sequencer
    /// device list`.
    #[command(subcommand)]
    Device(registry::Records<registry::Device>),
    /// Copies the node's folder, running or stopped, for operators: `sequencer backup DIR`, and to
    /// try it `sequencer restore DIR --dir ELSEWHERE`.
    ///
    /// The copy ends at one group of the journal, whatever the node goes on to write; an end
    /// record, written last, tells a whole one from one that was cut off. Keys and certificates are
    /// left out, or copied apart (--secrets-to).
    Backup(backup::BackupArgs),
    /// Makes a node's folder of a backup, for operators: `sequencer restore DIR --secrets DIR`,
    /// then `sequencer run`.
    ///
    /// Every copy is held against the manifest. What came after the backup is lost: the node is
    /// held until that is accepted (`journal recover --accept-loss`), and goes on in a new term, in
    /// which gateways send again what they keep.
    Restore(backup::RestoreArgs),
    /// The object store that sealed files of the journal go to, for operators: `sequencer archive
    /// status`, `sequencer archive verify`.
    #[command(subcommand)]
    Archive(archive::ArchiveCommand),
    /// Looks at the journal of a stopped node, for operators: `sequencer journal check`, and where
    /// its end is lost `sequencer journal recover`.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Keys that readings are sealed under at rest, for operators: `sequencer keys status`, then
    /// `sequencer keys backup FILE --to KEY --expires 90d`.
    ///
    /// They stand apart from the journal and have backups of their own, which expire: erasing a
    /// patient is destroying keys, and complete when the last copy has expired.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Erases a patient's readings at their signed request, for operators: `sequencer erase
    /// --patient INDEX --request FILE`, and where it has to wait `sequencer hold set`.
    ///
    /// The patient has stopped their record, and the stop and all that was collected before it are
    /// on the chain; no legal hold is set. A tombstone is journaled, with a receipt; then every key
    /// of their readings is destroyed, and the command says when the last backup of keys that may
    /// hold one expires. Who read what, and why, stays. docs/erasure.md says what the law asks.
    Erase(erase::EraseArgs),
    /// Legal holds, which keep a patient's readings from being erased, for operators: `sequencer
    /// hold set --patient INDEX --reason TEXT`, `sequencer hold list`.
    ///
    /// Each change is journaled, with who and why. A hold changes nothing else: it permits nobody
    /// to read.
    #[command(subcommand)]
    Hold(erase::HoldCommand),
    /// Says what other settings would have made of what a stopped node recorded, for operators:
    /// `sequencer plan --journal node`, then `sequencer plan --journal node --set KEY=VALUE`.
    ///
    /// Goes through the journal once more with the node's own rules for windows and proofs, and
    /// prints for each candidate batches, proofs, padding, proving time, waits, gas and cost; the
    /// node's own settings come first. docs/plan.md says what is counted and what is a model.
    Plan(plan::PlanArgs),
    /// Works on the configuration, for operators: `sequencer config check`, then `sequencer run`.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Reads the configuration, checks every limit and prints what holds, with the memory that all
    /// limits together may take.
    Check {
        /// The configuration file.
        #[arg(long, default_value = "node/node.toml")]
        config: PathBuf,
        /// Print one JSON object instead of the file with comments.
        #[arg(long)]
        json: bool,
    },
}

/// Parses and runs; errors go to stderr with their causes.
pub(crate) fn main() -> process::ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Demo(args) => demo::demo(args),
        Command::Drill(args) => drill::drill(args),
        Command::Init(args) => node::init(&args),
        Command::Deploy(args) => node::deploy(args),
        Command::Run(args) => node::run(args),
        Command::Status(args) => status::status(&args),
        Command::Tune(command) => tune::run(command),
        Command::Pause(args) => orders::pause(args),
        Command::Resume(args) => orders::resume(args),
        Command::Seal(command) => orders::seal(command),
        Command::Drain(args) => orders::drain(args),
        Command::Org(command) => registry::run(command),
        Command::Identity(command) => identity::run(command),
        Command::Device(command) => registry::run(command),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::run_restore(&args),
        Command::Archive(command) => archive::run(command),
        Command::Journal(command) => journal::run(command),
        Command::Keys(command) => keys::run(command),
        Command::Erase(args) => erase::erase(args),
        Command::Hold(command) => erase::hold(command),
        Command::Plan(args) => plan::plan(&args),
        Command::Config(ConfigCommand::Check { config, json }) => node::config_check(&config, json),
    };
    match outcome {
        Ok(()) => ExitCode::Ok.number().into(),
        Err(Failure { code, error }) => {
            // A cause may quote a file, or a node of the chain in its own words.
            log::say(&format!("error: {error:#}"));
            code.number().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// What `-h` and `--help` say first.
    fn check_first_lines(command: &clap::Command) {
        let (name, about) = (command.get_name(), command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let commands = about.matches("`sequencer ").count();
        assert_eq!(commands, 2, "`{name}` names the two commands to begin with: {about:?}");
        assert!(about.contains("for "), "`{name}` says for whom it is: {about:?}");
    }

    #[test]
    fn help_says_first_what_for_for_whom_and_how_to_begin() {
        let command = Cli::command();
        check_first_lines(&command);
        command.get_subcommands().for_each(check_first_lines);
    }

    /// Whoever is on call has no time for a command that there is not.
    #[test]
    fn commands_of_the_runbook_are_there() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runbook.md");
        // Backticks may go on in the next line.
        let page = std::fs::read_to_string(page).unwrap().replace("\n  ", " ");
        let spans = page.split('`').skip(1).step_by(2);
        let mut found = 0;
        for words in spans.filter_map(|span| span.strip_prefix("sequencer ")) {
            let mut command = Cli::command();
            for word in words.split(' ') {
                let next = match word.strip_prefix("--") {
                    Some(flag) => {
                        let mut flags = command.get_arguments().filter_map(|one| one.get_long());
                        assert!(flags.any(|one| one == flag), "`sequencer {words}`: no --{flag}");
                        continue;
                    }
                    None => command.find_subcommand(word).cloned(),
                };
                command = next.unwrap_or_else(|| panic!("`sequencer {words}`: no {word}"));
            }
            assert!(!command.has_subcommands(), "`sequencer {words}` is a whole command");
            found += 1;
        }
        assert!(found > 10, "the page is read: {found}");
    }

    #[test]
    fn every_argument_and_command_has_its_words() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for argument in command.get_arguments().filter(|one| !one.is_global_set()) {
                assert!(argument.get_help().is_some(), "{name} {}", argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        Cli::command().debug_assert();
        check(&Cli::command());
    }
}
