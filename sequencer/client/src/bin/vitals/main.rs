//! The `vitals` command line: keys, consent, access, a patient's log, receipts and streaming.
//!
//! Every command makes one [`report::Report`]: text for people, or with `--json` one object with a
//! `schema`. Exit codes are those of [`model::ExitCode`].

mod access;
mod bridge;
mod compared;
mod consent;
mod erasure;
mod exports;
mod fhir;
mod fhir_consent;
mod handed_in;
mod identity;
mod inspect;
mod key;
mod known;
#[cfg(test)]
mod limits;
mod log;
mod longitudinal;
mod mllp;
mod mqtt;
mod node;
mod of_patient;
mod receipt;
mod record;
mod recording;
mod report;
mod rule;
mod signing;
mod stream;
mod study;
mod tls;
mod wallet;

use std::process;

use clap::{Parser, Subcommand};
use model::ExitCode;

use report::{Outcome, fail, show};

/// Signs consent, asks to read, and streams readings to a node of the vitals rollup: for a
/// patient's wallet, a practitioner's system and a bedside gateway. Begin with:
///   vitals key new --out anna.key        a key; then `vitals consent enrol` makes the record
///   vitals stream --help                 lines of text become readings with signed receipts
///
/// A patient makes a key, is enrolled by the registrar, and signs rules: who may read or collect
/// what, why and when. A practitioner's system asks to read. A gateway streams readings until each
/// has a signed receipt. And the patient's log says who read what and why, checked against the
/// base chain. `sequencer run --dev` starts a node and prints commands for it to paste.
#[derive(Parser)]
#[command(name = "vitals", version, verbatim_doc_comment, after_help = after_help())]
struct Cli {
    /// Print one JSON object with a schema instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// The exit codes and what else holds for every command.
fn after_help() -> String {
    let codes = ExitCode::ALL.map(|code| format!("  {}  {}", code.number(), code.meaning()));
    format!("Exit codes:\n{}\n\n{AFTER}", codes.join("\n"))
}

const AFTER: &str = "\
Times are 2026-05-01T08:30:00Z, 2026-05-01, now, or milliseconds since 1970; lengths are 90s, 30m,
24h or 7d. An identity is a folder with ca.pem, cert.pem, key.pem and deployment.json, as the node's
operator hands it out; `vitals identity request` makes its key here.

Example:
  vitals key new --kind patient --out anna.key
  vitals consent enrol --registrar-key registrar.key --patient-key anna.key --index 7 \\
      --node 127.0.0.1:4433 --identity operator
  vitals consent permit --patient-key anna.key --actor practitioner:dr-001 --categories ecg,spo2 \\
      --purposes treatment --for 24h --node 127.0.0.1:4433 --identity wallet
  vitals access --key dr-001.key --organisation ward-3 --patient 7 --categories ecg \\
      --purpose treatment --data-from 2026-05-01 --data-until now \\
      --node 127.0.0.1:4433 --identity dr-001 --out ecg.csv
  vitals log --patient-key anna.key --data batches --headers headers.json --identity wallet";

#[derive(Subcommand)]
enum Command {
    // Text at a variant hides all text at the type within, so only the variants that hold further
    // commands have one: the text of a type with commands is never shown.
    /// Make and show keys of patients, practitioners and registrars
    ///
    /// For everybody who signs: a patient's wallet, a practitioner's system, the registrar.
    ///
    ///   vitals key new --kind patient --out anna.key
    ///   vitals key show anna.key
    #[command(subcommand, verbatim_doc_comment)]
    Key(key::Command),
    /// Make the key and the request of an identity, and show one
    ///
    /// For whoever connects: the private key never leaves its holder.
    ///
    ///   vitals identity request --out anna
    ///   vitals identity show anna
    #[command(subcommand, verbatim_doc_comment)]
    Identity(identity::Command),
    /// Sign what may be read and collected, and what not
    ///
    /// For a patient's wallet; the registrar signs the first one. Each command shows in words what
    /// would be signed, asks, and waits for the node's receipt.
    ///
    ///   vitals consent enrol --registrar-key registrar.key --patient-key anna.key --index 7 \
    ///       --node HOST:PORT --identity DIR
    ///   vitals consent permit --patient-key anna.key --actor practitioner:dr-001 \
    ///       --categories ecg --purposes treatment --for 24h --node HOST:PORT --identity DIR
    #[command(subcommand, verbatim_doc_comment)]
    Consent(Box<consent::Command>),
    Access(Box<access::Access>),
    Log(log::Log),
    Record(Box<longitudinal::WriteRecord>),
    /// Check receipts
    ///
    /// For whoever holds one: a gateway, a wallet or a practitioner's system that was promised
    /// something.
    ///
    ///   vitals receipt check FILE --identity DIR
    ///   vitals receipt check FILE --identity DIR --headers headers.json --data batches
    #[command(subcommand, verbatim_doc_comment)]
    Receipt(receipt::Command),
    Stream(Box<stream::Stream>),
    Mllp(Box<mllp::Mllp>),
    /// Make a study's data set of readings whose use for research was proven to be permitted
    ///
    /// For a study, its participants and its auditor: docs/study.md goes through all of it.
    ///
    ///   vitals study claims --patient-key anna.key --data batches --headers headers.json \
    ///       --identity DIR --practitioner dr-study --out anna.claims
    ///   vitals study export --study hrv.json --key hrv.key --claims anna.claims \
    ///       --headers headers.json --identity DIR --out hrv
    #[command(subcommand, verbatim_doc_comment)]
    Study(study::Command),
    Fhir(Box<fhir::Fhir>),
    Mqtt(Box<mqtt::Mqtt>),
    Inspect(inspect::Inspect),
    Wallet(Box<wallet::Serve>),
}

fn main() {
    files::close_to_others();
    let cli = Cli::parse();
    let outcome = run(cli.command, cli.json);
    let exit = match outcome {
        Ok(report) => show(report, cli.json),
        Err(error) => fail(&error, cli.json),
    };
    process::exit(i32::from(exit.number()));
}

fn run(command: Command, json: bool) -> Outcome {
    match command {
        Command::Key(command) => command.run(),
        Command::Consent(command) => command.run(),
        Command::Identity(command) => command.run(),
        Command::Access(access) => access.run(),
        Command::Log(log) => log.run(),
        Command::Record(record) => record.run(),
        Command::Receipt(command) => command.run(),
        Command::Stream(stream) => stream.run(json),
        Command::Mllp(mllp) => mllp.run(json),
        Command::Study(command) => command.run(),
        Command::Fhir(fhir) => fhir.run(json),
        Command::Mqtt(mqtt) => mqtt.run(json),
        Command::Inspect(inspect) => inspect.run(),
        Command::Wallet(wallet) => wallet.run(json),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    fn check_help(command: &Command, called: &str) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty(), "{called} does not say what it is for");
        assert!(long.starts_with(&about), "{called}: {long}");
        assert!(long.contains("For ") || long.contains(": for "), "{called}: for whom? {long}");
        assert!(long.contains(&format!("\n  {called}")), "{called} shows no command: {long}");
        assert!(!long.contains("xit code"), "{called}: exit codes stand in one place");
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let about = below.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.contains('\n'), "the list of {called} has a line for each: {about}");
            check_help(below, &format!("{called} {}", below.get_name()));
        }
    }

    #[test]
    fn every_command_says_what_it_is_for_for_whom_and_how_to_begin() {
        check_help(&super::Cli::command(), "vitals");
    }
}
