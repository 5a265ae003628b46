//! Commands, their reports and their exit codes.

mod export;
mod inspect;
mod prove;
mod report;
mod setup;
mod shapes;
mod verify;

use clap::{Parser, Subcommand};

use report::{Failure, Report};

/// Prove with Groth16 over BN254, and check what others proved.
///
/// Files are those of snarkjs where it has one, so that either program can take over from the
/// other.
///
/// Exit codes: 0 done; 1 checked and refused; 2 wrong usage; 3 a file could not be read.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Prover {
    /// Print one JSON object with a `schema` field instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  prover setup --shape c2-test --dir keys
  prover export --shape c2-test --r1cs c2-test.r1cs --vkey verification_key.json
  prover prove --shape c2-test --wtns c2-test.wtns --keys keys --out proof
  prover verify --vkey verification_key.json --proof proof.json --public public.json
  prover inspect keys/0c5e...dev-insecure.key --json";

#[derive(Subcommand)]
enum Command {
    /// List the circuits and sizes that can be proven.
    Shapes(shapes::Shapes),
    /// Make development keys. Anyone can forge proofs under them: for tests and demos only.
    Setup(setup::Setup),
    /// Write a shape's circuit and development key for snarkjs and rapidsnark.
    Export(export::Export),
    /// Prove what a witness file assigns to a shape, under the shape's development key.
    Prove(prove::Prove),
    /// Verify a proof: is there a witness for these public inputs under this key?
    Verify(verify::Verify),
    /// Show what a key file says it is, and check its hash.
    Inspect(inspect::Inspect),
}

pub(crate) fn run(prover: Prover) -> Result<Report, Failure> {
    match prover.command {
        Command::Shapes(shapes) => shapes.run(),
        Command::Setup(setup) => setup.run(),
        Command::Export(export) => export.run(),
        Command::Prove(prove) => prove.run(),
        Command::Verify(verify) => verify.run(),
        Command::Inspect(inspect) => inspect.run(),
    }
}
