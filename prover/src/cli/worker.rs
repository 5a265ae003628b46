//! `prover worker`: another program beside this one, because it links a runtime and a client of
//! NATS, which no other command needs.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::anyhow;
use clap::Args;

use super::report::{Failure, Report};

/// The program's name.
const PROGRAM: &str = "prover-worker";

#[derive(Args)]
pub(crate) struct Worker {
    /// What the worker is told: `prover worker -- --help` lists it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

impl Worker {
    /// Becomes the other program, with its exit codes; returns only if that fails.
    pub(crate) fn run(self, json: bool) -> Result<Report, Failure> {
        let missing = |error| Failure::Unavailable(anyhow!("{error}"));
        let own = std::env::current_exe().map_err(missing)?;
        // Beside this one and not on the path: the two speak of the same shapes and keys only if
        // they were built together.
        let program = own.with_file_name(PROGRAM);
        let mut command = Command::new(&program);
        command.args(self.arguments);
        if json {
            command.arg("--json");
        }
        let error = command.exec();
        Err(Failure::Unavailable(anyhow!(
            "expected the program {} (`cargo build --release -p workers` makes it): {error}",
            program.display()
        )))
    }
}
