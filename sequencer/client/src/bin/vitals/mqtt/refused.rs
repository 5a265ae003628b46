//! What is refused, kept in a file where somebody says one: each message as a line of JSON, on the
//! disk before the broker hears that it may forget it.
//!
//! A file and no topic: whoever may read a topic of the broker is another one's decision, a filter
//! with `#` would feed what is refused back in here, and what the broker keeps of it has no bound.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bridge::{Fate, Refusal};
use model::Millis;
use model::calendar::Utc;
use rumqttc::Publish;
use serde_json::json;
use thiserror::Error;

/// How the file is kept.
pub(super) struct Keeping {
    pub(super) path: PathBuf,
    /// Longest file.
    pub(super) bytes_max: u64,
    /// Whether it gets the payload of what consent refuses, too.
    pub(super) with_consent: bool,
}

/// The file.
pub(super) struct RefusedFile {
    keeping: Keeping,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    /// Those of whole lines.
    bytes: u64,
    /// Whether there may be more behind them.
    is_torn: bool,
}

/// One message, and why it is refused.
pub(super) struct Refused {
    pub(super) topic: String,
    /// The begin of one that is longer than messages may be.
    pub(super) payload: Vec<u8>,
    /// Of the whole payload.
    pub(super) length: usize,
    pub(super) refusal: Refusal,
    pub(super) at: Millis,
}

/// Why it is not kept.
#[derive(Debug, Error)]
pub(super) enum NotKept {
    #[error(
        "expected room for {line} bytes in {path} within --refused-max ({bytes_max} bytes), found \
         {bytes} bytes there: move it away"
    )]
    Full { path: String, line: u64, bytes: u64, bytes_max: u64 },
    #[error("expected {path} to take a line")]
    Disk { path: String, source: io::Error },
    #[error("expected {path} for this program alone, found another one that writes it")]
    Shared { path: String },
}

impl Refused {
    /// Of a message; of one that is too long no more than so many bytes are held from here on.
    pub(super) fn of(publish: Publish, refusal: Refusal, bytes_max: usize, at: Millis) -> Refused {
        let length = publish.payload.len();
        let payload = publish.payload[..length.min(bytes_max)].to_vec();
        Refused { topic: publish.topic, payload, length, refusal, at }
    }

    fn line(&self, with_consent: bool) -> Vec<u8> {
        let cause = &self.refusal.cause;
        let mut line = json!({
            "at": Utc(self.at).to_string(), "topic": self.topic, "why": cause.code(),
            "said": self.refusal.to_string(), "bytes": self.length,
        });
        // What a patient does not let be collected is not to be collected here either.
        if cause.fate() != Fate::Consent || with_consent {
            let text = std::str::from_utf8(&self.payload).ok().filter(|text| is_plain(text));
            match text {
                Some(text) => line["payload"] = text.into(),
                None => line["payload_hex"] = hex::encode(&self.payload).into(),
            }
        }
        let mut bytes = line.to_string().into_bytes();
        bytes.push(b'\n');
        bytes
    }
}

/// Whether a text takes no more than twice its bytes in JSON.
fn is_plain(text: &str) -> bool {
    text.chars().all(|sign| !sign.is_control() || matches!(sign, '\n' | '\r' | '\t'))
}

impl RefusedFile {
    /// Opens it, and makes it if need be.
    pub(super) fn open(keeping: Keeping) -> Result<RefusedFile, NotKept> {
        let open = Mutex::new(Open::at(&keeping.path)?);
        Ok(RefusedFile { keeping, open })
    }

    /// Keeps a message: once this is done, it is on the disk.
    pub(super) fn keep(&self, refused: &Refused) -> Result<(), NotKept> {
        let Keeping { path, bytes_max, with_consent } = &self.keeping;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |source| NotKept::Disk { path: path.display().to_string(), source };
        // Whoever moved it away made room.
        if !files::is_named(&open.file, path).map_err(failed)? {
            *open = Open::at(path)?;
        }
        // Made here, under the lock: there is one at a time.
        let line = refused.line(*with_consent);
        let length = line.len() as u64;
        if open.bytes + length > *bytes_max {
            return Err(NotKept::Full {
                path: path.display().to_string(),
                line: length,
                bytes: open.bytes,
                bytes_max: *bytes_max,
            });
        }
        open.write(&line).map_err(failed)
    }
}

impl Open {
    fn at(path: &Path) -> Result<Open, NotKept> {
        let failed = |source| NotKept::Disk { path: path.display().to_string(), source };
        let file = files::append(path).map_err(failed)?;
        if file.try_lock().is_err() {
            return Err(NotKept::Shared { path: path.display().to_string() });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Its name, too, is there after a power cut.
        files::sync_folder(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut open = Open { file, bytes, is_torn: false };
        // What a crash tore was not acknowledged, and comes again: it stays as a line of its own.
        if bytes > 0 && last_byte(path, bytes).map_err(failed)? != b'\n' {
            open.write(b"\n").map_err(failed)?;
        }
        Ok(open)
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.bytes)?;
        }
        // Until it is known to be whole; a sync that fails leaves nobody knowing.
        self.is_torn = true;
        self.file.write_all(line)?;
        self.file.sync_data()?;
        self.bytes += line.len() as u64;
        self.is_torn = false;
        Ok(())
    }
}

/// The file itself is open to be written alone.
fn last_byte(path: &Path, bytes: u64) -> io::Result<u8> {
    let mut last = [0];
    File::open(path)?.read_exact_at(&mut last, bytes - 1)?;
    Ok(last[0])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bridge::Cause;
    use model::RejectCode;
    use model::calendar::parse_instant;
    use serde_json::Value;

    use super::*;

    fn refused(payload: &[u8], cause: Cause) -> Refused {
        Refused {
            topic: "ward/4711".to_owned(),
            payload: payload.to_vec(),
            length: 1000,
            refusal: Refusal::at("topic", cause),
            at: parse_instant("2026-05-01T08:30:00Z").unwrap().millis(),
        }
    }

    fn malformed(payload: &[u8]) -> Refused {
        refused(payload, Cause::Malformed { expected: "JSON" })
    }

    fn open(path: &Path, bytes_max: u64) -> Result<RefusedFile, NotKept> {
        RefusedFile::open(Keeping { path: path.to_owned(), bytes_max, with_consent: false })
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
    }

    #[test]
    fn a_message_is_one_line_of_its_owner_alone_whatever_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused");
        let file = open(&path, 10_000).unwrap();
        let payloads = [&b"no JSON \"of\" anna\n"[..], b"\0\0", b"\xff"];
        payloads.iter().for_each(|payload| file.keep(&malformed(payload)).unwrap());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let lines = lines(&path);
        let first = json!({
            "at": "2026-05-01T08:30:00.000Z", "topic": "ward/4711", "why": "malformed",
            "said": "topic: expected JSON, found another form", "bytes": 1000,
            "payload": "no JSON \"of\" anna\n",
        });
        assert_eq!(lines[0], first);
        assert_eq!([&lines[1]["payload_hex"], &lines[2]["payload_hex"]], ["0000", "ff"]);
        assert_eq!(lines.len(), 3);
        let other = open(&path, 10_000).err().expect("it is in use");
        assert!(matches!(other, NotKept::Shared { .. }), "{other}");
        // One that others may read is not written to.
        drop(file);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(&path, 10_000), Err(NotKept::Disk { .. })));
    }

    #[test]
    fn of_what_consent_refuses_the_payload_is_kept_only_where_that_is_asked_for() {
        let refused = refused(b"72", Cause::Node(RejectCode::NotPermitted));
        let line = |with_consent| {
            serde_json::from_slice::<Value>(&refused.line(with_consent)).expect("JSON")
        };
        assert_eq!((&line(false)["why"], line(false).get("payload")), (&"node-9".into(), None));
        assert_eq!(line(true)["payload"], "72");
    }

    #[test]
    fn a_line_is_at_most_some_more_than_twice_its_payload() {
        for byte in 0..=255 {
            let line = malformed(&[byte; 1000]).line(false);
            assert!(line.len() < 2300, "{byte}: {}", line.len());
        }
    }

    #[test]
    fn a_full_file_takes_nothing_until_it_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused");
        let line = malformed(b"{").line(false).len() as u64;
        let file = open(&path, 2 * line).unwrap();
        for _ in 0..2 {
            file.keep(&malformed(b"{")).unwrap();
        }
        let full = file.keep(&malformed(b"{")).unwrap_err();
        assert!(full.to_string().ends_with("move it away"), "{full}");
        assert_eq!(lines(&path).len(), 2);
        files::rename(&path, &folder.path().join("before")).unwrap();
        file.keep(&malformed(b"{")).unwrap();
        assert_eq!((lines(&path).len(), lines(&folder.path().join("before")).len()), (1, 2));
    }

    #[test]
    fn what_was_torn_by_a_crash_or_a_full_disk_takes_no_line_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused");
        files::append(&path).unwrap().write_all(b"{\"torn\":").unwrap();
        let file = open(&path, 10_000).unwrap();
        file.keep(&malformed(b"1")).unwrap();
        // A disk that is full, and then there is room again.
        let full = File::options().append(true).open("/dev/full").unwrap();
        let own = std::mem::replace(&mut file.open.lock().unwrap().file, full);
        let mut open = file.open.lock().unwrap();
        assert!(open.write(b"two\n").is_err());
        open.file = own;
        open.file.write_all(b"tw").unwrap();
        drop(open);
        file.keep(&malformed(b"3")).unwrap();
        let payloads: Vec<_> = lines(&path).iter().map(|line| line["payload"].clone()).collect();
        assert_eq!(payloads, [Value::Null, "1".into(), "3".into()]);
    }
}
