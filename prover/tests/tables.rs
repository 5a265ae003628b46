//! Tables: the same proofs, from files that are trusted only as far as proofs verify.

use std::path::Path;
use std::sync::Arc;

use ark_bn254::Fr;
use prover::{Blinding, Choice, Engine, ProvingKey, TableReport, TableTerms};
use statement::proof::Proof;
use tempfile::TempDir;

use circuits::builder::Assignment;

use crate::sample::ladder;

/// A circuit, its accelerated engine and a folder for tables.
struct Site {
    assignment: Assignment,
    key: Arc<ProvingKey>,
    folder: TempDir,
}

impl Site {
    /// `None`, with a line that says why, on a processor without that engine.
    fn new() -> Option<Site> {
        let (r1cs, assignment) = ladder(300, 5);
        let key = Arc::new(ProvingKey::dev_insecure(&r1cs).expect("small"));
        let site = Site { assignment, key, folder: TempDir::new().expect("a folder") };
        let engine = Choice::Accelerated.open(site.key.clone());
        engine.inspect_err(|missing| eprintln!("not tested: {missing}")).ok().map(|_| site)
    }

    fn engine(&self) -> Box<dyn Engine> {
        Choice::Accelerated.open(self.key.clone()).expect("it was opened before")
    }

    fn add(&self, engine: &dyn Engine, bytes_max: usize) -> TableReport {
        let terms = TableTerms { folder: self.folder.path(), bytes_max, go_on: &|| true };
        engine.add_tables(&terms).expect("the folder can be written to")
    }

    fn prove(&self, engine: &dyn Engine) -> Proof {
        let blinding = Blinding::chosen(Fr::from(3), Fr::from(4));
        engine.prove(&self.assignment, &blinding).expect("satisfied")
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files
    }
}

const ALL: usize = usize::MAX;

#[test]
fn proofs_with_tables_are_those_without_and_files_are_read_again() {
    let Some(site) = Site::new() else { return };
    let plain = site.engine();
    let expected = site.prove(plain.as_ref());
    let built = site.engine();
    let report = site.add(built.as_ref(), ALL);
    assert!(report.replaced.is_empty());
    assert!(report.bytes > 0 && report.bytes == report.bytes_wanted);
    assert_eq!(built.table_bytes(), report.bytes);
    assert_eq!(site.prove(built.as_ref()), expected);

    let files = site.files();
    assert_eq!(files.len(), 3);
    let written = |path: &Path| std::fs::metadata(path).expect("a file").modified().expect("time");
    let before: Vec<_> = files.iter().map(|path| written(path)).collect();
    let read = site.engine();
    assert_eq!(site.add(read.as_ref(), ALL).bytes, report.bytes);
    assert_eq!(files.iter().map(|path| written(path)).collect::<Vec<_>>(), before);
    assert_eq!(site.prove(read.as_ref()), expected);
}

#[test]
fn tables_for_which_there_is_no_room_are_left_out() {
    let Some(site) = Site::new() else { return };
    let expected = site.prove(site.engine().as_ref());
    let wanted = site.add(site.engine().as_ref(), 0).bytes_wanted;
    assert!(site.files().is_empty());
    let mut counts = Vec::new();
    for bytes_max in [0, wanted / 4, wanted / 2, wanted - 1, wanted] {
        let engine = site.engine();
        let report = site.add(engine.as_ref(), bytes_max);
        assert!(report.bytes <= bytes_max && report.bytes_wanted == wanted);
        assert_eq!(site.prove(engine.as_ref()), expected, "{bytes_max} of {wanted} bytes");
        counts.push(report.bytes);
    }
    assert!(counts.is_sorted() && counts[0] == 0 && counts[4] == wanted, "{counts:?}");
    assert!(counts[2] > 0 && counts[2] < wanted, "{counts:?}");
}

#[test]
fn tables_that_are_no_longer_wanted_are_not_built() {
    let Some(site) = Site::new() else { return };
    let engine = site.engine();
    let terms = TableTerms { folder: site.folder.path(), bytes_max: ALL, go_on: &|| false };
    assert_eq!(engine.add_tables(&terms).expect("nothing to write").bytes, 0);
    assert!(site.files().is_empty());
}

#[test]
fn a_damaged_file_is_told_and_made_anew() {
    let Some(site) = Site::new() else { return };
    let first = site.engine();
    site.add(first.as_ref(), ALL);
    let expected = site.prove(first.as_ref());
    let path = &site.files()[0];
    let whole = std::fs::read(path).expect("a table");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let ends = [flipped(0), flipped(9), flipped(13), flipped(20), flipped(40), flipped(64)];
    let last = flipped(whole.len() - 1);
    let cut = whole[..whole.len() - 1].to_vec();
    for damaged in ends.into_iter().chain([last, cut, Vec::new()]) {
        std::fs::write(path, damaged).expect("a file");
        let engine = site.engine();
        let report = site.add(engine.as_ref(), ALL);
        let [told] = &report.replaced[..] else { panic!("{report:?}") };
        assert!(told.to_string().contains(&path.display().to_string()), "{told}");
        assert_eq!(report.bytes, report.bytes_wanted);
        assert_eq!(std::fs::read(path).expect("a table"), whole);
        assert_eq!(site.prove(engine.as_ref()), expected);
    }
}

#[test]
fn a_false_table_costs_its_time_and_no_proof() {
    let Some(site) = Site::new() else { return };
    let expected = site.prove(site.engine().as_ref());
    site.add(site.engine().as_ref(), ALL);
    for path in site.files() {
        let whole = std::fs::read(&path).expect("a table");
        let mut bytes = whole.clone();
        // Everything but the points themselves, by which a table is known, is exchanged, and the
        // hash made to fit.
        let window = 64 * 300;
        let end = bytes.len();
        bytes[end - window..].rotate_left(64);
        bytes[64 + 2 * window..][..window].rotate_left(64);
        let hash = blake3::hash(&bytes[64..]);
        bytes[32..64].copy_from_slice(hash.as_bytes());
        std::fs::write(&path, bytes).expect("a file");
        let engine = site.engine();
        assert!(site.add(engine.as_ref(), ALL).replaced.is_empty(), "the file looks right");
        assert_eq!(site.prove(engine.as_ref()), expected);
        assert_eq!(engine.table_bytes(), 0, "no table is believed any more");
        assert!(site.files().is_empty(), "nor at the next start");
        site.add(site.engine().as_ref(), ALL);
        assert_eq!(std::fs::read(&path).expect("a table"), whole);
    }
}
