//! The manifest: a line of text for each copy, so that any tool can read it.

use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::contents::{Content, Fate};
use super::end::Part;
use crate::folder::store::FileDigest;

/// Longest name of a copy, bytes.
const NAME_BYTES_MAX: usize = 200;
/// Longest line, bytes: digits of a hash, of a length, a name, two blanks and the end.
const LINE_BYTES_MAX: u64 = 64 + 20 + NAME_BYTES_MAX as u64 + 3;

/// Where a copy stands below the node's folder, with `/` between folders. Holds nothing that leads
/// out of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name(String);

impl Name {
    /// The name, if it is one of something that a backup holds; `None` for any other text.
    pub fn new(text: &str) -> Option<Name> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        // Neither `.` nor `..`, and nothing that a shell or a terminal would act on.
        let is_part = |part: &str| !part.trim_matches('.').is_empty() && part.chars().all(is_plain);
        let fits = text.len() <= NAME_BYTES_MAX && text.split('/').all(is_part);
        let content = Content::of(text.split('/').next()?)?;
        (fits && content.fate != Fate::LeftOut).then(|| Name(text.to_owned()))
    }

    /// In which part of a backup it belongs.
    pub fn part(&self) -> Part {
        let first = self.0.split('/').next().unwrap_or_default();
        match Content::of(first).map(|content| content.fate) {
            Some(Fate::Apart) => Part::Secrets,
            _ => Part::Node,
        }
    }

    /// As a path below `folder`.
    pub fn below(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// What it holds.
    pub digest: FileDigest,
    /// Where it stands.
    pub name: Name,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { digest: FileDigest { blake3, bytes }, name } = self;
        writeln!(f, "{} {bytes} {name}", hex::encode(blake3))
    }
}

impl Line {
    /// A line as it is written, its end included; `None` for any other text.
    pub fn parse(text: &str) -> Option<Line> {
        let mut parts = text.strip_suffix('\n')?.splitn(3, ' ');
        let mut blake3 = [0; 32];
        hex::decode_to_slice(parts.next()?, &mut blake3).ok()?;
        let bytes = parts.next()?.parse().ok()?;
        let name = Name::new(parts.next()?)?;
        let line = Line { digest: FileDigest { blake3, bytes }, name };
        // One way to write each: no sign, no leading zero, no large digit.
        (line.to_string() == text).then_some(line)
    }
}

/// Why a manifest is not read on.
#[derive(Debug, Error)]
pub enum LineError {
    /// The system refuses.
    #[error("the manifest cannot be read")]
    Read(#[from] io::Error),
    /// What stands there is no line.
    #[error("line {line} of the manifest: expected hash, length and name of a copy, found others")]
    Malformed {
        /// Which, from 1.
        line: u64,
    },
}

/// The lines of a manifest in order. Holds one in memory.
pub struct Lines<R> {
    from: R,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of this text.
    pub fn new(from: R) -> Lines<R> {
        Lines { from, line: 0 }
    }

    fn read(&mut self) -> Result<Option<Line>, LineError> {
        let mut text = Vec::new();
        (&mut self.from).take(LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let line = std::str::from_utf8(&text).ok().and_then(Line::parse);
        line.ok_or(LineError::Malformed { line: self.line }).map(Some)
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str) -> Line {
        Line { digest: FileDigest::of(name.as_bytes()), name: Name::new(name).unwrap() }
    }

    fn read(text: &[u8]) -> Result<Vec<Line>, LineError> {
        Lines::new(text).collect()
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let lines = vec![line("store/batches/000001/public.bin"), line("journal/00000001.log")];
        let text: String = lines.iter().map(ToString::to_string).collect();
        assert_eq!(read(text.as_bytes()).unwrap(), lines);
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn a_changed_or_cut_line_is_another_line_or_none() {
        let whole = line("journal/00000001.log").to_string().into_bytes();
        for at in 0..whole.len() {
            let cut = read(&whole[..at]);
            assert!(cut.is_err() || (at == 0 && cut.unwrap().is_empty()), "cut at {at}");
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                let found = read(&changed).unwrap_or_default();
                let again: String = found.iter().map(ToString::to_string).collect();
                // Which of the two the hash of the manifest in the end record tells.
                assert!(found.is_empty() || again.as_bytes() == changed, "bit {bit} of {at}");
            }
        }
        let long = format!("{} 1 journal/{}\n", "0".repeat(64), "a".repeat(NAME_BYTES_MAX));
        assert!(matches!(read(long.as_bytes()), Err(LineError::Malformed { line: 1 })));
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["journal/00000001.log", "keys/edge.key", "node.toml"] {
            assert_eq!(Name::new(name).unwrap().as_str(), name);
        }
        let others = [
            "",
            "/etc/passwd",
            "journal/../../x",
            "journal/./x",
            "journal//x",
            "journal/",
            "other/x",
            "admin.sock",
            "snapshots/1",
            "journal/a b",
            "journal/\u{1b}[2J",
        ];
        for other in others {
            assert_eq!(Name::new(other), None, "{other:?}");
        }
        assert_eq!(Name::new("keys/edge.key").unwrap().part(), Part::Secrets);
        assert_eq!(Name::new("journal/00000001.log").unwrap().part(), Part::Node);
    }
}
