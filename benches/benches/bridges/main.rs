//! What `vitals mllp` and `vitals fhir` carry, as programs, before a development node that is one,
//! too, and beside a prover in the background: messages a second by connections, beside what a
//! client of the node's own protocol needs for one receipt in the same round.
//!
//! Named by arguments: `mllp`, `fhir`, `memory`; the first two if none is. Needs the programs of
//! `cargo build --release -p sequencer -p client`.

mod fhir;
mod load;
mod memory;
mod mllp;
mod plain;
mod plan;
mod programs;
mod proving;
mod ward;

use benches::machine;
use plan::Plan;
use proving::Proving;
use ward::Ward;

fn main() {
    let named: Vec<_> =
        std::env::args().skip(1).filter(|one| !one.starts_with("--bench")).collect();
    if named.iter().any(|one| one == proving::ARGUMENT) {
        return proving::run();
    }
    let plan = Plan::read();
    let is_asked = |name: &str, by_default| match named.is_empty() {
        true => by_default,
        false => named.iter().any(|one| one == name),
    };
    eprintln!("{}", machine());
    let ward = Ward::open();
    if is_asked("memory", false) {
        memory::measure(&ward);
    }
    if is_asked("mllp", true) || is_asked("fhir", true) {
        let proving = Proving::begin();
        if is_asked("mllp", true) {
            mllp::measure(&ward, plan);
        }
        if is_asked("fhir", true) {
            fhir::measure(&ward, plan);
        }
        eprintln!("{} proofs beside it", proving.end());
    }
    eprintln!("{}", machine());
}
