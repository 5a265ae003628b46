//! What `tools/ceremony-check` begins with: a first phase whose secrets are public, so that it and
//! the keys that a second phase begins with are made in seconds, and the witness of a chunk.
//! **Whoever reads this file can forge proofs under keys made from it.**
//!
//! `cargo run --release -p prover --example ceremony -- FOLDER`

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use ark_bn254::Fr;
use ark_ff::Field;
use circuits::shapes::SHAPES;
use clap::Parser;
use prover::export;

#[path = "../tests/enrolment.rs"]
mod enrolment;
#[path = "../tests/phase1.rs"]
mod phase1;
#[path = "../tests/sample.rs"]
mod sample;

/// Rows of the small circuit, whose first key snarkjs makes in seconds, and the power it needs.
const SMALL: (usize, u32) = (1000, 10);

/// Write phase1.ptau, the first .zkey of each shape for tests and c1-test.wtns; small.ptau,
/// small.r1cs and small-0.zkey.
#[derive(Parser)]
struct Ceremony {
    /// Where to.
    folder: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Ceremony { folder } = Ceremony::parse();
    let secrets = phase1::Secrets { alpha: Fr::from(2), beta: Fr::from(3), tau_seed: 5 };
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).with_context(|| name.to_owned())
    };
    write("phase1.ptau", &secrets.ptau(enrolment::shape().domain_log2))?;
    for shape in SHAPES.iter().filter(|shape| shape.test_only) {
        let name = format!("{}-0.zkey", shape.name);
        write(&name, &secrets.zkey(&shape.matrices(), Fr::ONE))?;
    }
    write("c1-test.wtns", &export::wtns(&enrolment::assignment()))?;
    let (rows, power) = SMALL;
    let (r1cs, _) = sample::ladder(rows, 5);
    write("small.ptau", &secrets.ptau(power))?;
    write("small.r1cs", &export::r1cs(&r1cs))?;
    write("small-0.zkey", &secrets.zkey(&r1cs, Fr::ONE))
}
