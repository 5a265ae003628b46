//! The storage below the log: files by name and a handful of calls, so that tests can break each of
//! them.

use std::fmt;
use std::io;

use crate::FileNumber;

/// A file of the log, or one that becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// Holds groups, or will.
    Log(FileNumber),
    /// Where the groups of a file stand that was left.
    Index(FileNumber),
    /// What stands for a file that is in an archive and no longer here.
    Archived(FileNumber),
    /// The next file while zeros are written into it; renamed once they are durable.
    Next,
    /// A file that is in an archive, whose blocks the next one takes over.
    Spare,
}

impl FileName {
    /// The file with this name, if it is one of the log's.
    ///
    /// ```
    /// use journal::FileName;
    ///
    /// assert_eq!(FileName::parse("00000012.log"), Some(FileName::Log(12)));
    /// assert_eq!(FileName::Log(12).to_string(), "00000012.log");
    /// assert_eq!(FileName::parse("00000012.log.cut-512-0badcafe"), None);
    /// ```
    pub fn parse(text: &str) -> Option<FileName> {
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let name = match text.split_once('.')? {
            ("next", "log") => FileName::Next,
            ("spare", "log") => FileName::Spare,
            (text, "log") => FileName::Log(number(text)?),
            (text, "index") => FileName::Index(number(text)?),
            (text, "archived") => FileName::Archived(number(text)?),
            _ => return None,
        };
        // The one way in which it is written: `7.log` beside `00000007.log` would be two of one.
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Log(number) => write!(f, "{number:08}.log"),
            FileName::Index(number) => write!(f, "{number:08}.index"),
            FileName::Archived(number) => write!(f, "{number:08}.archived"),
            FileName::Next => f.write_str("next.log"),
            FileName::Spare => f.write_str("spare.log"),
        }
    }
}

/// How long files are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLengths {
    /// Bytes of the first file, and of one that the writer has to make itself because none is
    /// ready: it waits while zeros are written.
    pub least: u64,
    /// Bytes of the longest. In between a file is as long as all before it together, so that a
    /// small log takes little room and a large one has few files.
    pub most: u64,
}

impl Default for FileLengths {
    /// 1 MiB and 256 MiB.
    fn default() -> Self {
        FileLengths { least: 1 << 20, most: 256 << 20 }
    }
}

/// Storage of the log's files. What is assumed of it stands in `docs/journal.md`.
///
/// Names are durable after [`Self::sync_names`], contents after [`Self::sync`]; neither makes the
/// other durable.
pub trait Medium: Send + Sync + 'static {
    /// The files that there are, in any order.
    fn names(&self) -> io::Result<Vec<FileName>>;

    /// Bytes that a file holds.
    fn len(&self, name: FileName) -> io::Result<u64>;

    /// Fills `bytes` from `offset`, or fails.
    fn read_at(&self, name: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Makes an empty file; what had the name is gone.
    fn make_empty(&self, name: FileName) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, growing the file.
    fn write_at(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes `bytes` at `offset`, where the last call of this ended or where nobody wrote yet.
    /// There are zeros behind them, to the end of a block of 4,096 bytes at least, or to the end of
    /// the file.
    fn append_at(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(name, offset, bytes)
    }

    /// Writes over bytes that [`Self::append_at`] wrote last. They may be written no earlier than
    /// with what is appended next, and are with the next [`Self::sync`].
    fn mark_at(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(name, offset, bytes)
    }

    /// Writes zeros, growing the file.
    fn write_zeros(&self, name: FileName, offset: u64, count: usize) -> io::Result<()> {
        self.write_at(name, offset, &vec![0; count])
    }

    /// Cuts what lies behind `length` off a file that is longer.
    fn cut(&self, name: FileName, length: u64) -> io::Result<()>;

    /// Whether somebody has the file under another name, too, as a copy of links has: then nothing
    /// may be written over it.
    fn is_linked(&self, name: FileName) -> io::Result<bool> {
        let _ = name;
        Ok(false)
    }

    /// Returns once everything written to the file before is durable.
    fn sync(&self, name: FileName) -> io::Result<()>;

    /// Gives a file another name; what had that name is gone. Of a file that becomes
    /// [`FileName::Spare`] no read that began before gives bytes that were written over it.
    fn rename(&self, from: FileName, to: FileName) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: FileName) -> io::Result<()>;

    /// Returns once every name made, changed or removed before is durable.
    fn sync_names(&self) -> io::Result<()>;

    /// Keeps bytes that are about to be cut from a file elsewhere, durably: they were never
    /// acknowledged, as far as the log can tell by itself.
    fn keep_cut(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let _ = (name, offset, bytes);
        Ok(())
    }

    /// How long files are made.
    fn file_lengths(&self) -> FileLengths {
        FileLengths::default()
    }
}
