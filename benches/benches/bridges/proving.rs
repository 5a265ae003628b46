//! A prover that proves all the while, in a process of its own, with a thread a core and in the
//! background as a node's: what ingest has beside it in a node that closes its windows.

use std::process::Command;
use std::sync::Arc;

use benches::chunks::Honest;
use circuits::shapes::Shape;
use prover::{Blinding, Choice, Priority, ProvingKey};
use rand::rngs::OsRng;

use crate::programs::Program;

/// What this program is asked to be that prover with.
pub(crate) const ARGUMENT: &str = "--prove";
/// What is proven: a chunk of claims as a node in production proves it.
const SHAPE: &str = "c2-17";
const PROVEN: &str = "proven";

/// The prover that runs.
pub(crate) struct Proving(Program);

impl Proving {
    /// Returns after its first proof.
    pub(crate) fn begin() -> Proving {
        let own = std::env::current_exe().expect("this program has a path");
        let program = Program::start(Command::new(own).arg(ARGUMENT));
        program.wait_for(PROVEN);
        Proving(program)
    }

    /// Ends it; says how many proofs it made beside the measurements.
    pub(crate) fn end(self) -> usize {
        self.0.said().iter().filter(|line| *line == PROVEN).count()
    }
}

/// Proves until it is ended.
pub(crate) fn run() {
    let shape = Shape::named(SHAPE).expect("a shape of the table");
    let honest = Honest::filling(shape);
    let key = ProvingKey::dev_insecure(&shape.matrices()).expect("a key for a shape of the table");
    let key = Arc::new(key);
    let engine = Choice::Accelerated.open(key.clone()).or_else(|_| Choice::Portable.open(key));
    let engine = engine.expect("an engine for every processor");
    let assignment = shape.assign(honest.statement()).expect("a chunk of the shape");
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    Priority::Background.give(&pool).expect("a system that lets it");
    loop {
        let proof = pool.install(|| engine.prove(&assignment, &Blinding::draw(&mut OsRng)));
        proof.expect("the honest chunk is proven");
        println!("{PROVEN}");
    }
}
