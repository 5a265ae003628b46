//! What is proven: a circuit with a witness, its key, and both as files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use benches::chunks::Honest;
use circuits::builder::{Assignment, R1cs, matrices};
use circuits::shapes::{SHAPES, Shape};
use files::Audience;
use prover::{KeyStore, ProvingKey, Setup, export};

use crate::chain;

/// A circuit to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// As many links as fit 2 to this.
    Chain(u32),
    /// The honest chunk that fills a shape.
    Shape(&'static Shape),
}

/// Sizes of the chain: below the first no link fits, above the last no machine's memory.
const CHAIN_LOG2: std::ops::RangeInclusive<u32> = 13..=23;

impl Subject {
    /// The rows, and an assignment that satisfies them.
    pub(crate) fn build(self) -> anyhow::Result<(R1cs, Assignment)> {
        Ok(match self {
            Subject::Chain(log2) => matrices(|b| chain::build(b, chain::links(log2))),
            Subject::Shape(shape) => {
                let honest = Honest::filling(shape);
                (shape.matrices(), shape.assign(honest.statement())?)
            }
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Chain(log2) => write!(f, "chain-{log2}"),
            Subject::Shape(shape) => f.write_str(shape.name),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(shape) = Shape::named(text) {
            return Ok(Subject::Shape(shape));
        }
        let log2 = text.strip_prefix("chain-").unwrap_or(text).parse().ok();
        let known: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
        log2.filter(|log2| CHAIN_LOG2.contains(log2)).map(Subject::Chain).ok_or_else(|| {
            let (least, most) = (CHAIN_LOG2.start(), CHAIN_LOG2.end());
            format!("expected a number from {least} to {most} or one of {}", known.join(", "))
        })
    }
}

/// The folder in which keys and what is made of them are kept between runs.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// A key and a witness as the programs of iden3 read them.
pub(crate) struct Exported {
    pub(crate) zkey: PathBuf,
    pub(crate) wtns: PathBuf,
}

impl Cache {
    pub(crate) fn default_folder() -> PathBuf {
        std::env::temp_dir().join("vitals-compare")
    }

    /// # Errors
    /// If others may write what is kept there: a key of theirs would be measured for ours.
    pub(crate) fn open(folder: PathBuf) -> anyhow::Result<Self> {
        let name = || format!("the cache {}", folder.display());
        files::make_folder(&folder, Audience::Owner).with_context(name)?;
        files::check_folder(&folder).with_context(name)?;
        // Programs that run in a folder of their own are told paths below it.
        let folder = folder.canonicalize().with_context(name)?;
        Ok(Self { folder })
    }

    /// A folder in the cache, made if it is not there.
    pub(crate) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        files::make_folder(&folder, Audience::Owner)
            .with_context(|| folder.display().to_string())?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// The key of a circuit and its file: made once.
    pub(crate) fn key(&self, r1cs: &R1cs) -> anyhow::Result<(ProvingKey, PathBuf)> {
        let store = KeyStore::new(self.folder("keys")?);
        let setup = Setup::DevInsecure;
        let key = store.open(setup, r1cs)?;
        Ok((key, store.path(setup, &r1cs.hash())))
    }

    /// Where [`Cache::export`] writes.
    pub(crate) fn exported(&self, subject: Subject) -> anyhow::Result<Exported> {
        let folder = self.folder(&format!("files/{subject}"))?;
        Ok(Exported { zkey: folder.join("circuit.zkey"), wtns: folder.join("witness.wtns") })
    }

    /// Writes key and witness for other programs, over those of an earlier run.
    pub(crate) fn export(
        &self,
        subject: Subject,
        key: &ProvingKey,
        r1cs: &R1cs,
        assignment: &Assignment,
    ) -> anyhow::Result<()> {
        let files = self.exported(subject)?;
        write(&files.zkey, &export::zkey(key, r1cs))?;
        write(&files.wtns, &export::wtns(assignment))
    }
}

/// Writes a file whole, or leaves the one that is there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    files::replace(path, &[bytes], Audience::Owner).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_its_own_name_and_a_bare_number() {
        for text in ["chain-13", "chain-20", "c2-17"] {
            let subject: Subject = text.parse().expect("a name");
            assert_eq!(subject.to_string(), text);
        }
        assert_eq!("16".parse(), Ok(Subject::Chain(16)));
        for wrong in ["", "12", "24", "chain", "c3-17", "-16"] {
            let refused = wrong.parse::<Subject>().expect_err("no circuit");
            assert!(refused.contains("c2-17"), "{wrong}: {refused}");
        }
    }
}
