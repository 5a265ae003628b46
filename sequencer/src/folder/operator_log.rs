//! What operators told the running node to do: one JSON object a line, durable before it is done,
//! but for what ends a delay or stops everything: that is done even where no line can be written.
//!
//! Beside the journal and not in it. What is journaled is what patients, gateways and readers are
//! judged by: its entries are hashed into receipts and batches, every reader of the format knows
//! them, and the state is their fold. A fee limit that somebody raised is none of that; as an entry
//! it would be a new kind in every one of these places, and one that an auditor can do nothing
//! with. A line here is for whoever asks next week who did that: it is written by the node, with
//! what the system says of the process that asked, and nothing takes one away.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use files::Audience;
use model::{Millis, calendar};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::who::Who;

/// Longest file: some two hundred thousand lines. Reached: nothing is set, sealed or drained
/// any more until somebody moves it away; what ends a delay goes on, and says that no line tells.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;

/// How much of its end a start reads, to know what was in force when the node stopped: some three
/// thousand lines. What was set before them, or before the file was moved away, ends unsaid.
const TAIL_BYTES: u64 = 1 << 20;

const SCHEMA: &str = "vitals-operator-1";

/// What is written of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Name and version of the format.
    pub schema: String,
    /// When, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The same for people, UTC.
    pub at: String,
    /// What was ordered: its word.
    pub order: String,
    /// Which key of the configuration, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its value before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// Its value from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// By whom; none of what the node notes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
}

impl Line {
    /// An order without a key.
    pub fn new(at: Millis, order: &str, who: Option<&Who>) -> Line {
        Line {
            schema: SCHEMA.to_owned(),
            at_unix_ms: at.unix_ms(),
            at: calendar::Utc(at).to_string(),
            order: order.to_owned(),
            key: None,
            from: None,
            to: None,
            who: who.cloned(),
        }
    }

    /// The same, about a key that goes from one value to another.
    pub fn of_key(self, key: &str, from: Value, to: Value) -> Line {
        Line { key: Some(key.to_owned()), from: Some(from), to: Some(to), ..self }
    }
}

/// A line that cannot be written: then nothing is done.
#[derive(Debug, Error)]
pub enum OperatorLogError {
    /// The file cannot be read or written.
    #[error("{path} cannot be written, where a line has to stand before an order is carried out")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is too long.
    #[error(
        "expected at most {FILE_BYTES_MAX} bytes in {path}, found {found}: move it away and keep \
         it, a new one is begun"
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
}

/// The file.
#[derive(Debug)]
pub struct OperatorLog {
    path: PathBuf,
    /// One line at a time.
    writing: Mutex<()>,
}

impl OperatorLog {
    /// The one of this path, which is made with its first line.
    pub fn new(path: &Path) -> OperatorLog {
        OperatorLog { path: path.into(), writing: Mutex::default() }
    }

    /// Writes the lines of one order, durably, with one write. Blocks for as long as the disk
    /// takes.
    ///
    /// # Errors
    /// [`OperatorLogError`].
    pub fn write(&self, lines: &[Line]) -> Result<(), OperatorLogError> {
        let _one = self.lock();
        let file = |source| OperatorLogError::File { path: self.path.clone(), source };
        let mut log = files::open(&self.path, Audience::Owner).map_err(file)?;
        let length = log.seek(SeekFrom::End(0)).map_err(file)?;
        if length >= FILE_BYTES_MAX {
            return Err(OperatorLogError::Full { path: self.path.clone(), found: length });
        }
        let mut text = match ends_a_line(&mut log, length).map_err(file)? {
            true => String::new(),
            // A crash cut the last one off: it stays as it is, and takes no other along.
            false => "\n".to_owned(),
        };
        for line in lines {
            text += &serde_json::to_string(line).expect("a line is words and numbers");
            text.push('\n');
        }
        log.write_all(text.as_bytes()).and_then(|()| log.sync_all()).map_err(file)?;
        // Each time: it may have been moved away and begun anew.
        self.path.parent().map_or(Ok(()), files::sync_folder).map_err(file)
    }

    /// How long the file is; zero where there is none, or it cannot be seen.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |found| found.len())
    }

    /// The last lines, the oldest first; what is no line of this format is passed over.
    ///
    /// # Errors
    /// [`OperatorLogError::File`].
    pub fn last(&self) -> Result<Vec<Line>, OperatorLogError> {
        let _one = self.lock();
        let file = |source| OperatorLogError::File { path: self.path.clone(), source };
        let mut log = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            log => log.map_err(file)?,
        };
        let length = log.seek(SeekFrom::End(0)).map_err(file)?;
        log.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).map_err(file)?;
        let mut tail = Vec::new();
        log.take(TAIL_BYTES).read_to_end(&mut tail).map_err(file)?;
        let lines = tail.split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the file is empty or its last byte ends a line; leaves it at its end.
fn ends_a_line(log: &mut File, length: u64) -> io::Result<bool> {
    if length == 0 {
        return Ok(true);
    }
    log.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    log.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(ms: u64) -> Millis {
        Millis::from_unix_ms(1_800_000_000_000 + ms)
    }

    #[test]
    fn lines_stay_in_their_order_and_a_torn_one_takes_no_other_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.log");
        let log = OperatorLog::new(&path);
        assert_eq!(log.last().unwrap(), []);
        let who = Who { uid: 7, name: Some("anna".into()), ..Who::default() };
        let set = Line::new(at(0), "set", Some(&who));
        let set = set.of_key("settle.fee_wei_max", json!(1), json!(2));
        log.write(std::slice::from_ref(&set)).unwrap();
        // A crash in the middle of one.
        let torn = [&std::fs::read(&path).unwrap()[..], b"{\"schema\":\"vit"].concat();
        std::fs::write(&path, torn).unwrap();
        let pause = Line::new(at(1), "pause", Some(&who));
        log.write(std::slice::from_ref(&pause)).unwrap();
        assert_eq!(log.last().unwrap(), [set, pause]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with(
            "{\"schema\":\"vitals-operator-1\",\"at_unix_ms\":1800000000000,\"at\":\"2027-01-15T08:\
             00:00.000Z\",\"order\":\"set\",\"key\":\"settle.fee_wei_max\",\"from\":1,\"to\":2,\"who\":\
             {\"uid\":7,\"pid\":null,\"as\":\"anna\",\"reason\":null}}\n"
        ), "{text}");
    }

    #[test]
    fn a_file_that_is_full_or_a_folder_that_is_gone_refuses_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.log");
        let file = files::open(&path, Audience::Owner).unwrap();
        // Without blocks behind it: nothing is written for the test.
        file.set_len(FILE_BYTES_MAX).unwrap();
        let line = [Line::new(at(0), "pause", None)];
        let full = OperatorLog::new(&path).write(&line);
        assert!(matches!(full, Err(OperatorLogError::Full { found: FILE_BYTES_MAX, .. })));
        let gone = OperatorLog::new(&folder.path().join("nowhere/operator.log")).write(&line);
        assert!(matches!(gone, Err(OperatorLogError::File { .. })), "{gone:?}");
    }
}
