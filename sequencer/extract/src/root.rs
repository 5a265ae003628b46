//! One root over the lines of a file, which its patient signs.

use ark_bn254::Fr;
use statement::field::from_digest;

/// Says what is hashed: no other signature of a patient is over such a hash.
const CONTEXT: &str = "vitals rollup 2026 record lines v1";

/// Hashes line after line, each with its length: two lines are never read as one.
pub(crate) struct LineRoot {
    hasher: blake3::Hasher,
    lines: u64,
}

impl LineRoot {
    pub(crate) fn new() -> LineRoot {
        LineRoot { hasher: blake3::Hasher::new_derive_key(CONTEXT), lines: 0 }
    }

    pub(crate) fn take(&mut self, line: &str) {
        self.hasher.update(&(line.len() as u64).to_be_bytes());
        self.hasher.update(line.as_bytes());
        self.lines += 1;
    }

    /// How many lines, and the root over them.
    pub(crate) fn conclude(&self) -> (u64, [u8; 32]) {
        (self.lines, *self.hasher.finalize().as_bytes())
    }

    /// What is signed.
    pub(crate) fn message(root: &[u8; 32]) -> Fr {
        from_digest(root)
    }
}
