//! The `vitals` command line: keys, consent, access, a patient's log, receipts and streaming.
//!
//! Every command makes one [`report::Report`]: text for people, or with `--json` one object with a
//! `schema`. Exit codes are those of [`model::ExitCode`].

mod access;
mod consent;
mod key;
mod log;
mod node;
mod receipt;
mod report;
mod rule;
mod stream;

use std::process;

use clap::{Parser, Subcommand};

use report::{Outcome, fail, show};

/// Wallet, access client and gateway of a consent-proving rollup for vitals.
///
/// A patient makes a key, is enrolled by the registrar, and signs rules: who may read or collect
/// what, why and when. A practitioner's system asks to read. A gateway streams readings until each
/// has a signed receipt. And the patient's log says who read what and why, checked against the
/// base chain.
#[derive(Parser)]
#[command(name = "vitals", version, after_help = AFTER)]
struct Cli {
    /// Print one JSON object with a schema instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Exit codes: 0 done, or the check holds; 1 failed, refused, or the check does not hold; 2 the command
line or a file given on it is wrong; 3 something needed is not reachable; 4 interrupted.

Times are 2026-05-01T08:30:00Z, 2026-05-01, now, or milliseconds since 1970; lengths are 90s, 30m,
24h or 7d. An identity is a folder with ca.pem, cert.pem, key.pem and deployment.json, as the node's
operator hands it out.

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
    /// Make and show keys of patients, practitioners and registrars
    #[command(subcommand)]
    Key(key::Command),
    /// Sign what may be read and collected, and what not
    #[command(subcommand)]
    Consent(Box<consent::Command>),
    /// Ask to read a patient's data
    Access(Box<access::Access>),
    /// Who read what of a patient, why and when, checked against the base chain
    Log(log::Log),
    /// Check receipts
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Stream readings from lines of text until each has a receipt
    Stream(stream::Stream),
}

fn main() {
    let cli = Cli::parse();
    let outcome = run(cli.command);
    let exit = match outcome {
        Ok(report) => show(&report, cli.json),
        Err(error) => fail(&error, cli.json),
    };
    process::exit(i32::from(exit.number()));
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Key(command) => command.run(),
        Command::Consent(command) => command.run(),
        Command::Access(access) => access.run(),
        Command::Log(log) => log.run(),
        Command::Receipt(command) => command.run(),
        Command::Stream(stream) => stream.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
