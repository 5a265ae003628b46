//! What a full chunk costs before it is proven: its native check and its assignment, in CPU time of
//! the whole process, so that work on several cores is counted and a busy machine does not matter.
//!
//! `cargo run --release -p circuits --example assign -- c2-17 20`

use std::fs;
use std::hint::black_box;

use circuits::shapes::Shape;

#[path = "../../benches/src/chunks.rs"]
#[expect(unreachable_pub, reason = "public where the benches share it")]
mod chunks;

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "c2-17".into());
    let rounds: usize = args.next().map_or(20, |text| text.parse().expect("a number of rounds"));
    let shape = Shape::named(&name).expect("a shape of the table");
    let honest = chunks::Honest::filling(shape);
    // Twice: the tables of hashes are made, and the allocator has what it will keep.
    for _ in 0..2 {
        honest.check();
        black_box(shape.assign(honest.statement())).expect("a chunk of the shape");
    }
    let check = measure(rounds, || honest.check());
    let assign = measure(rounds, || {
        black_box(shape.assign(honest.statement())).expect("a chunk of the shape");
    });
    // As a node does where each proof has a core.
    let core = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let alone = core.install(|| {
        measure(rounds, || {
            black_box(shape.assign(honest.statement())).expect("a chunk of the shape");
        })
    });
    println!("{name}: ms of CPU, mean of {rounds}");
    println!("  check {check:.2}, assign {alone:.2} on one core, {assign:.2} on all");
}

fn measure(rounds: usize, mut work: impl FnMut()) -> f64 {
    let before = cpu_seconds();
    (0..rounds).for_each(|_| work());
    1000.0 * (cpu_seconds() - before) / rounds as f64
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // User and system time are the 14th and 15th fields, in hundredths of a second.
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
