//! Where a backup ends, said by the node at one moment, or found in the folder of one that is
//! stopped.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};

use journal::{FileMedium, Head, Log, Medium, Reader};
use l1_contracts::Deployment;
use model::{ChainScope, Clock, Millis, with_causes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::copies::digest_of;
use super::error::BackupError;
use crate::doors::admin::PinBackup;
use crate::folder::layout::Layout;
use crate::folder::store::{FileDigest, Store};
use crate::history::{Comparison, compare, term_of};
use crate::node::{head, survey};

/// Where a backup ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pin {
    /// Name and version of the format.
    schema: String,
    /// The journal hash before the first group: which deployment's journal it is.
    #[serde(with = "hash")]
    pub genesis: [u8; 32],
    /// Losses that were accepted.
    pub term: u32,
    /// The last group.
    pub group: u64,
    /// Its last position.
    pub position: u64,
    /// Journal hash after it.
    #[serde(with = "hash")]
    pub journal_hash: [u8; 32],
    /// The file that it stands in.
    pub file: u64,
    /// Bytes of that file in use.
    pub end: u64,
    /// Bytes of the embedded chain's journal, if there is one.
    pub chain_bytes: Option<u64>,
    /// Bytes of the copy of the store's rows.
    pub rows_bytes: u64,
    /// blake3 of that copy.
    #[serde(with = "hash")]
    pub rows_blake3: [u8; 32],
    /// When, milliseconds since 1970.
    pub taken_at_ms: u64,
}

/// 32 bytes as hex digits.
mod hash {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        hex::encode(hash).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let mut hash = [0; 32];
        let text = String::deserialize(from)?;
        hex::decode_to_slice(text, &mut hash).map_err(D::Error::custom)?;
        Ok(hash)
    }
}

const SCHEMA: &str = "vitals-pin-1";

impl Pin {
    /// What the running node answers to `pin`.
    ///
    /// # Errors
    /// [`BackupError::Answer`].
    pub fn of_answer(answer: &Value) -> Result<Pin, BackupError> {
        let pin = Pin::deserialize(answer).map_err(BackupError::Answer)?;
        check_schema(SCHEMA, &pin.schema).map(|()| pin)
    }

    /// What the copy of the store's rows holds.
    pub(super) fn rows(&self) -> FileDigest {
        FileDigest { blake3: self.rows_blake3, bytes: self.rows_bytes }
    }
}

/// Where the journal of a running node ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEnd {
    /// Name and version of the format.
    schema: String,
    /// The last group.
    pub group: u64,
    /// Its last position.
    pub position: u64,
    /// The file that the next group goes into, if it fits.
    pub file: u64,
    /// Bytes of that file in use.
    pub end: u64,
}

impl JournalEnd {
    /// Name and version of the format.
    const SCHEMA: &str = "vitals-end-1";

    /// What the running node answers to `end`.
    ///
    /// # Errors
    /// [`BackupError::Answer`].
    pub fn of_answer(answer: &Value) -> Result<JournalEnd, BackupError> {
        let end = JournalEnd::deserialize(answer).map_err(BackupError::Answer)?;
        check_schema(JournalEnd::SCHEMA, &end.schema).map(|()| end)
    }
}

fn check_schema(expected: &str, found: &str) -> Result<(), BackupError> {
    match expected == found {
        true => Ok(()),
        false => {
            let why = format!("expected schema {expected}, found {found}");
            Err(BackupError::Answer(serde::de::Error::custom(why)))
        }
    }
}

/// Where the running node leaves the copy of its rows, which whoever asked for it takes.
pub(super) fn rows_path(layout: &Layout) -> PathBuf {
    layout.store().join("pinned.redb")
}

/// What a pin is taken of.
struct Pinned<'a, M> {
    layout: &'a Layout,
    store: &'a Store,
    journal: &'a Reader<M>,
    scope: ChainScope,
}

impl<M: Medium> Pinned<'_, M> {
    /// Copies the rows to `rows`, then looks where the chain ends and then where the journal does:
    /// in the order of who refers to whom.
    fn pin(&self, rows: &Path, now: Millis) -> Result<Pin, BackupError> {
        let Pinned { layout, store, journal, scope } = self;
        self.check_whole()?;
        store.copy_to(rows)?;
        let unread = |source| BackupError::File { action: "read", path: rows.into(), source };
        let FileDigest { blake3, bytes } = digest_of(rows).map_err(unread)?;
        let chain_bytes = length(&layout.chain_journal())?;
        let head = journal.head();
        Ok(Pin {
            schema: SCHEMA.to_owned(),
            genesis: statement::journal::genesis(*scope),
            term: term_of(journal, head.group)?,
            group: head.group,
            position: head.position,
            journal_hash: head.journal_hash,
            file: head.file,
            end: head.end,
            chain_bytes,
            rows_bytes: bytes,
            rows_blake3: blake3,
            taken_at_ms: now.unix_ms(),
        })
    }
}

impl<M: Medium> Pinned<'_, M> {
    /// Refuses a journal that lacks what witness or mark remember: in the backup the one is made
    /// anew and the other left out, and then nobody would remember.
    fn check_whole(&self) -> Result<(), BackupError> {
        let witness = head::witness(self.layout, self.scope)?;
        let mark = head::behind_backup(self.layout, self.scope)?;
        for remembered in [witness, mark].into_iter().flatten() {
            if let Comparison::Contradicted(lacks) = compare(self.journal, &remembered)? {
                return Err(BackupError::Lacks(Box::new(lacks)));
            }
        }
        Ok(())
    }
}

/// Bytes of a file; `None` if there is none.
fn length(path: &Path) -> Result<Option<u64>, BackupError> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BackupError::File { action: "inspected", path: path.into(), source }),
    }
}

/// Pins the running node, for its operator's socket.
pub(in crate::node) struct Pinner {
    pub(in crate::node) layout: Layout,
    pub(in crate::node) store: Arc<Store>,
    pub(in crate::node) journal: Reader<FileMedium>,
    pub(in crate::node) scope: ChainScope,
    pub(in crate::node) clock: Arc<dyn Clock>,
    /// The rows are copied to one name.
    pub(in crate::node) one: Mutex<()>,
}

impl PinBackup for Pinner {
    fn end(&self) -> Value {
        let Head { group, position, file, end, .. } = self.journal.head();
        let schema = JournalEnd::SCHEMA.to_owned();
        let end = JournalEnd { schema, group, position, file, end };
        serde_json::to_value(end).expect("an end is plain data")
    }

    fn pin(&self) -> Result<Value, String> {
        let _one = match self.one.try_lock() {
            Ok(one) => one,
            // Nothing is half done if another one panicked: its copy of the rows is replaced.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err("the rows of the store are being copied for another backup".into());
            }
        };
        let Pinner { layout, store, journal, scope, .. } = self;
        let pinned = Pinned { layout, store, journal, scope: *scope };
        let pin = pinned.pin(&rows_path(layout), self.clock.now());
        let pin = pin.map_err(|error| with_causes(&error))?;
        Ok(serde_json::to_value(pin).expect("a pin is plain data"))
    }
}

/// A stopped node's folder, locked until it is copied.
pub struct Stopped {
    layout: Layout,
    log: Log<FileMedium>,
    store: Store,
    scope: ChainScope,
}

impl Stopped {
    /// Locks journal and store of a stopped node.
    ///
    /// # Errors
    /// [`BackupError`]; a node that runs, or starts, has them open.
    pub fn open(layout: &Layout) -> Result<Stopped, BackupError> {
        survey::check_version(layout)?;
        let deployment = Deployment::read(&layout.deployment())?;
        let scope = deployment.scope();
        let (log, _) = survey::open(layout, statement::journal::genesis(scope))?;
        let store = Store::open(&layout.store())?;
        store.bind(scope)?;
        Ok(Stopped { layout: layout.clone(), log, store, scope })
    }

    /// Where it ends: before what a start would cut, which nobody was ever told of.
    pub(super) fn pin(&self, rows: &Path, now: Millis) -> Result<Pin, BackupError> {
        let Stopped { layout, log, store, scope } = self;
        Pinned { layout, store, journal: &log.reader(), scope: *scope }.pin(rows, now)
    }
}
