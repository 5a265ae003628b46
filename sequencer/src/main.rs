//! `sequencer`: the node, its setup, its registry, and the demo. See `sequencer --help`.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    files::close_to_others();
    cli::main()
}
