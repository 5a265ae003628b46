//! One prover in a process of its own, so that its peak memory is its own and its caches stay warm
//! between rounds. It says what it has to say in lines of JSON, and proves at each line that it is
//! given.

use std::io::{self, BufRead, Write};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::peer::{Opened, Unopened};
use crate::provers;
use crate::request::Request;
use crate::usage;

/// A line of a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The prover is not on this machine. The worker ends.
    Missing {
        /// What is not there.
        why: String,
    },
    /// The prover is open.
    Ready {
        /// Of the prover.
        version: String,
        /// What else a reader should know.
        note: Option<String>,
    },
    /// A proof was made.
    Proved(Box<Proved>),
    /// The prover is here and does not prove. The worker ends.
    Failed {
        /// What happened.
        why: String,
    },
}

/// A proof and what it took. Nobody has verified it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Proved {
    pub(crate) cpu_s: f64,
    pub(crate) wall_s: f64,
    /// Most memory since the prover is ready.
    pub(crate) peak_bytes: Option<u64>,
    /// As snarkjs writes it.
    pub(crate) proof: Option<Value>,
}

/// Opens the prover and serves until the input ends or the prover fails, which it says.
///
/// # Errors
/// If nobody listens any more.
pub(crate) fn run(request: &Request) -> anyhow::Result<()> {
    match serve(request) {
        Ok(()) => Ok(()),
        Err(Unopened::Missing(why)) => say(&Said::Missing { why }),
        Err(Unopened::Broken(error)) => say(&Said::Failed { why: format!("{error:#}") }),
    }
}

fn serve(request: &Request) -> Result<(), Unopened> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(request.threads.get());
    pool.build_global().context("the pool of threads")?;
    let mut opened = provers::open(request)?;
    usage::forget_peak();
    say(&Said::Ready { version: opened.version.clone(), note: opened.note.clone() })?;
    for line in io::stdin().lock().lines() {
        line.context("the input")?;
        say(&Said::Proved(Box::new(prove(&mut opened)?)))?;
    }
    Ok(())
}

fn prove(opened: &mut Opened) -> anyhow::Result<Proved> {
    // The others had their turns for minutes, in which a machine may have taken away memory that
    // lay idle: the next proof then takes up to twice its time, the more memory the worse, which is
    // no figure of a service that goes on. A program always begins anew, and always pays it.
    if !opened.is_program {
        opened.peer.prove().context("the proof that does not count")?;
    }
    let (made, spent) = usage::measured(|| opened.peer.prove());
    let made = made?;
    let spent = made.spent.unwrap_or(spent);
    Ok(Proved {
        cpu_s: spent.cpu.as_secs_f64(),
        wall_s: spent.wall.as_secs_f64(),
        peak_bytes: match opened.is_program {
            true => usage::children_peak_bytes(),
            false => usage::peak_bytes(),
        },
        proof: made.proof,
    })
}

fn say(said: &Said) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).context("the output")
}
