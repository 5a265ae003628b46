//! Where in a file of readings to go on: the same file with the same state folder sends nothing
//! twice.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context;
use client::InputMark;
use recordings::text::{Line, Lines};

use crate::report::Usage;

/// The hash of a file's lines so far.
#[derive(Clone)]
pub(super) struct Place {
    name: [u8; 16],
    hasher: blake3::Hasher,
    lines: u64,
    digest: [u8; 32],
}

impl Place {
    pub(super) fn begin(path: &Path) -> anyhow::Result<Place> {
        let path = path.canonicalize().with_context(|| path.display().to_string())?;
        let hash = blake3::hash(path.as_os_str().as_encoded_bytes());
        let (name, _) = hash.as_bytes().split_at(16);
        let name = name.try_into().expect("half of 32 bytes");
        let hasher = blake3::Hasher::new();
        let digest = *hasher.finalize().as_bytes();
        Ok(Place { name, hasher, lines: 0, digest })
    }

    pub(super) fn pass(&mut self, line: &Line) {
        self.hasher.update(line.text.as_bytes());
        self.hasher.update(b"\n");
        self.lines = line.number;
        self.digest = *self.hasher.finalize().as_bytes();
    }

    /// Behind the lines passed, and `taken` readings of the next.
    pub(super) fn mark(&self, taken: u32) -> InputMark {
        let Place { name, lines, digest, .. } = *self;
        InputMark { name, lines, taken, digest }
    }
}

/// The mark from which a file goes on, if it was sent before: under its name, or under another.
///
/// # Errors
/// [`Usage`] where the lines that were sent are no longer what they were.
pub(super) fn find(path: &Path, marks: &[InputMark]) -> anyhow::Result<Option<InputMark>> {
    let mut place = Place::begin(path)?;
    if marks.is_empty() {
        return Ok(None);
    }
    let own = marks.iter().find(|mark| mark.name == place.name);
    let source = File::open(path).with_context(|| path.display().to_string())?;
    let (mut lines, mut found) = (Lines::new(BufReader::new(source)), None);
    loop {
        let here = |mark: &&InputMark| mark.lines == place.lines && mark.digest == place.digest;
        // The one that goes furthest: an empty begin is the begin of every file.
        if let Some(mark) = marks.iter().filter(|mark| mark.lines > 0).find(here) {
            found = Some(*mark);
        }
        match lines.read().with_context(|| path.display().to_string())? {
            Some(line) => place.pass(&line),
            None => break,
        }
    }
    match own.filter(|own| own.lines > 0 && Some(own.lines) > found.map(|found| found.lines)) {
        None => Ok(found.or(own.copied())),
        Some(own) => Err(Usage(format!(
            "expected the first {} lines of {} to be those that were sent with this --state \
             folder, found others: send what is new as a file of its own, or all of it once more \
             with --again",
            own.lines,
            path.display()
        ))
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark_behind(path: &Path, count: usize) -> InputMark {
        let mut place = Place::begin(path).unwrap();
        let mut lines = Lines::new(BufReader::new(File::open(path).unwrap()));
        (0..count).for_each(|_| place.pass(&lines.read().unwrap().unwrap()));
        place.mark(0)
    }

    #[test]
    fn a_file_goes_on_where_it_was_left_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
        std::fs::write(&path, "1\n2\n3\n").unwrap();
        let mark = mark_behind(&path, 2);
        assert_eq!(find(&path, &[]).unwrap(), None);
        assert_eq!(find(&path, &[mark]).unwrap(), Some(mark));
        // It grew, and was copied.
        std::fs::write(&path, "1\n2\n3\n4\n").unwrap();
        assert_eq!(find(&path, &[mark]).unwrap(), Some(mark));
        std::fs::copy(&path, &other).unwrap();
        assert_eq!(find(&other, &[mark]).unwrap(), Some(mark));
    }

    #[test]
    fn a_file_whose_sent_lines_changed_is_refused_and_another_begins() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
        std::fs::write(&path, "1\n2\n3\n").unwrap();
        let mark = mark_behind(&path, 2);
        std::fs::write(&other, "1\n5\n").unwrap();
        assert_eq!(find(&other, &[mark]).unwrap(), None);
        for changed in ["1\n5\n3\n", "1\n"] {
            std::fs::write(&path, changed).unwrap();
            let error = find(&path, &[mark]).unwrap_err().to_string();
            assert!(error.contains("the first 2 lines") && error.contains("--again"), "{error}");
        }
    }
}
