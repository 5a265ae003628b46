//! Several proofs of one circuit, in the three ways in which cores can be given to them: one after
//! the other on all cores, one on each core in a pool of its own, and as many at once as there are
//! cores in the one pool. Rounds alternate, because a machine is never the same twice.
//!
//! `cargo run --release -p prover --example cores -- --rows 16000 --proofs 4 --rounds 5`

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use prover::{Blinding, Choice, ProvingKey};
use rand::rngs::OsRng;
use rayon::{ThreadPool, ThreadPoolBuilder};

#[path = "../tests/sample.rs"]
mod sample;

/// Compare ways to give cores to proofs.
#[derive(Parser)]
struct Cores {
    /// Constraints; the domain is the next power of two above this number plus 3.
    #[arg(long, default_value_t = 16_000)]
    rows: usize,
    /// Proofs of a round, by each way.
    #[arg(long, default_value_t = 4)]
    proofs: usize,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What proves: auto, accelerated or portable.
    #[arg(long, default_value_t = Choice::Auto)]
    engine: Choice,
}

fn main() -> anyhow::Result<()> {
    let args = Cores::parse();
    anyhow::ensure!(args.rows >= 3 && args.proofs > 0, "expected 3 rows and 1 proof or more");
    let (r1cs, assignment) = sample::ladder(args.rows, 5);
    let key = Arc::new(ProvingKey::dev_insecure(&r1cs)?);
    let engine = args.engine.open(key)?;
    let cores = rayon::current_num_threads();
    let pools: Vec<ThreadPool> = (0..cores)
        .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
        .collect::<Result<_, _>>()?;
    println!("engine {}, {cores} cores, {} proofs a round", engine.name(), args.proofs);
    let prove = || {
        engine.prove(&assignment, &Blinding::draw(&mut OsRng)).expect("an honest assignment");
    };
    for round in 0..args.rounds {
        let ways: [(&str, &(dyn Fn() + Sync)); 3] = [
            ("one after the other, all cores", &|| (0..args.proofs).for_each(|_| prove())),
            ("one a core, pools of their own", &|| {
                side_by_side(cores, args.proofs, &|worker| pools[worker].install(prove));
            }),
            ("as many at once, one pool", &|| {
                side_by_side(cores, args.proofs, &|_| prove());
            }),
        ];
        for (name, way) in ways {
            let (started, before) = (Instant::now(), cpu_seconds());
            way();
            let each = |seconds: f64| seconds / args.proofs as f64;
            let (wall, cpu) = (each(started.elapsed().as_secs_f64()), each(cpu_seconds() - before));
            println!("{round} {name}: {wall:.3} s wall, {cpu:.3} s CPU a proof");
        }
    }
    Ok(())
}

/// Has `proofs` made by as many threads as there are cores.
fn side_by_side(cores: usize, proofs: usize, prove: &(dyn Fn(usize) + Sync)) {
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..cores {
            let begun = &begun;
            scope.spawn(move || {
                while begun.fetch_add(1, Ordering::SeqCst) < proofs {
                    prove(worker);
                }
            });
        }
    });
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // User and system time are the 14th and 15th fields, in hundredths of a second.
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
