//! The `prover` program.

use std::process::ExitCode;

use clap::Parser;

mod cli;

fn main() -> ExitCode {
    files::close_to_others();
    let command = cli::Prover::parse();
    let json = command.json;
    match cli::run(command) {
        Ok(report) => {
            println!("{}", if json { report.json.to_string() } else { report.text });
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // In both forms: a program reads stdout, and a person who watches it reads stderr.
            if json {
                println!("{}", failure.json());
            }
            eprintln!("prover: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
