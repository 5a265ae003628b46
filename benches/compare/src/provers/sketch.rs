//! The sketch that the accelerated engine began with, if the caller has built it. It makes its own
//! rows and witness, which are those of the chain, and its own tables, and proves with our key.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use ark_serialize::CanonicalSerialize;

use crate::peer::{Made, Opened, Peer, Unopened};
use crate::request::Request;
use crate::subject::{self, Subject};
use crate::usage::Spent;

struct Sketch {
    path: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
}

pub(super) fn open(request: &Request) -> Result<Opened, Unopened> {
    let path = request.programs.sketch.clone();
    let path = path.ok_or_else(|| Unopened::Missing("no --sketch PATH was given".into()))?;
    let path = path.canonicalize().map_err(|e| Unopened::Missing(format!("--sketch: {e}")))?;
    // Its best width of digits at each size, by its own measurements.
    let (log2, digit_bits) = match request.subject {
        Subject::Chain(16) => (16, 15),
        Subject::Chain(18) => (18, 17),
        _ => return Err(Unopened::Missing("the sketch proves chain-16 and chain-18 alone".into())),
    };
    let (r1cs, _) = request.subject.build()?;
    let (key, _) = request.cache.key(&r1cs)?;
    let mut bytes = Vec::new();
    key.to_ark().serialize_uncompressed(&mut bytes).context("a key in memory")?;
    let folder = request.cache.folder("sketch")?;
    request.cache.folder(&format!("sketch/data/{log2}"))?;
    subject::write(&folder.join(format!("data/{log2}/pk_circom.bin")), &bytes)?;
    // One proof to warm up, which it does not count, and one to measure.
    let arguments = [log2, request.threads.get(), 1, digit_bits, 8192];
    let arguments = arguments.map(|number: usize| number.to_string()).to_vec();
    Ok(Opened::program(Sketch { path, arguments, folder }, "sketch".to_owned()))
}

impl Peer for Sketch {
    fn prove(&mut self) -> anyhow::Result<Made> {
        let output = Command::new(&self.path)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .output()
            .with_context(|| self.path.display().to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let words = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "ended with {}: {words}", output.status);
        let spent = read(&said).with_context(|| format!("expected its table, found {said:?}"))?;
        Ok(Made { proof: None, spent: Some(spent) })
    }
}

/// What it says it spent from witness to proof; it has verified the proof with ark by then.
fn read(said: &str) -> Option<Spent> {
    let line = |begin: &str| said.lines().find(|line| line.trim_start().starts_with(begin));
    line("PROOFS VERIFY")?;
    let behind = |line: &str, word: &str| -> Option<f64> {
        line.split_once(word)?.1.split_whitespace().next()?.parse().ok()
    };
    // It makes the witness too, which the others are given.
    let witness = behind(line("witness")?, "witness")?;
    let total = line("TOTAL")?;
    let ms = |found: f64| Duration::from_secs_f64((found - witness).max(0.0) / 1000.0);
    let (cpu, wall) = (behind(total, "cpu med")?, behind(total, "wall med")?);
    Some(Spent { cpu: ms(cpu), wall: ms(wall) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_the_sketch_are_read_less_its_witness() {
        let said = "A inf 1\nPROOFS VERIFY. k=16 threads=1 c=15 block=8192\n  \
                    witness                 21.50 ms\n  matvec A,B              38.00 ms\n\
                    TOTAL cpu med 521.5 min 521.5 ms | wall med 531.5 min 531.5 | rss 1 MB\n";
        let spent = read(said).expect("its table");
        assert_eq!(spent.cpu.as_millis(), 500);
        assert_eq!(spent.wall.as_millis(), 510);
        assert!(read(&said.replace("PROOFS", "NO PROOFS")).is_none());
    }
}
