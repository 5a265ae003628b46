//! The snapshots of a node: which one to start from, and the index of stored frames beside them.
//!
//! A snapshot is believed if all of it is whole, of this deployment's journal, and the journal has
//! the group that it names, with the hash that it names. Each that is not is said and passed over;
//! at last the journal alone says everything.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use journal::{FileMedium, Medium, ReadError, Reader};
use model::{BatchNumber, DecodeError, with_causes};
use thiserror::Error;

use super::frame_index::{IndexSays, MadeAgain};
use crate::folder::layout::Layout;
use crate::folder::snapshots::{
    Binding, FolderMedium, INDEX, Snapshot, SnapshotError, SnapshotFiles, SnapshotHead,
    SnapshotMedium,
};
use crate::stages::ledger::{FrameNodes, IndexFile, Ledger, LedgerConfig, SealError};

/// The snapshots and the index of one node. Clones are of the same folder.
#[derive(Clone)]
pub struct Snapshots {
    files: SnapshotFiles,
    index: Arc<IndexOn>,
}

/// A snapshot that cannot be started from.
#[derive(Debug, Error)]
enum Unusable {
    #[error(transparent)]
    File(#[from] SnapshotError),
    #[error("the journal ends before group {group}, after which it stands")]
    JournalShorter { group: u64 },
    #[error("the journal is another one from group {group} or before on")]
    OtherHistory { group: u64 },
    #[error("expected it to open with keys/journal.key")]
    Seal(#[from] SealError),
    #[error("its state does not decode")]
    State(#[from] DecodeError),
    #[error("expected {expected} bytes of {INDEX} beside it, found {found}")]
    Index { expected: u64, found: u64 },
}

/// Why a snapshot is not taken: it is none to start from, or the journal itself cannot be read.
#[derive(Debug, Error)]
enum NotTaken {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error(transparent)]
    Journal(#[from] ReadError),
}

/// A ledger as a snapshot has it.
pub(super) struct Restored {
    pub(super) ledger: Ledger,
    pub(super) head: SnapshotHead,
}

/// Which snapshot is wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) config: &'a LedgerConfig,
    /// In which no later window is closed.
    pub(super) closed_max: BatchNumber,
    /// Whether the ledger says where frames are stored, too.
    pub(super) indexed: bool,
}

impl Snapshots {
    /// Those in a folder, which is made if there is none.
    ///
    /// # Errors
    /// If the folder or the index in it cannot be made.
    pub fn open(folder: &Path, binding: Binding) -> io::Result<Snapshots> {
        Snapshots::on(Arc::new(FolderMedium::open(folder)?), binding)
    }

    /// Those on a medium.
    ///
    /// # Errors
    /// As [`Snapshots::open`].
    pub fn on(medium: Arc<dyn SnapshotMedium>, binding: Binding) -> io::Result<Snapshots> {
        let files = SnapshotFiles::new(medium.clone(), binding);
        let (expected, mut found) = (files.index_header(), [0; Binding::INDEX_BYTES]);
        let whole = match medium.read_at(INDEX, 0, &mut found) {
            Ok(()) => found == expected,
            Err(error) if is_none(&error) => false,
            Err(error) => return Err(error),
        };
        if !whole {
            // No snapshot is usable without it, and none may find another index in its place: the
            // journal makes all of it again.
            if medium.names()?.iter().any(|name| name == INDEX) {
                tracing::warn!("{INDEX} is of another journal or damaged: it is made anew");
            }
            files.keep(&[])?;
            medium.remove(INDEX)?;
            medium.write_at(INDEX, 0, &expected)?;
            medium.sync(INDEX)?;
            medium.sync_names()?;
        }
        Ok(Snapshots { files, index: Arc::new(IndexOn(medium)) })
    }

    /// The files.
    pub(super) fn files(&self) -> &SnapshotFiles {
        &self.files
    }

    /// The index from its first node on, or, for a ledger without frames, none.
    pub(super) fn nodes(&self, indexed: bool, end: u64) -> FrameNodes {
        if indexed {
            FrameNodes::in_file(self.index.clone(), end)
        } else {
            FrameNodes::forgotten(end)
        }
    }

    /// The groups behind which a snapshot stands that the journal confirms, the first one first. Of
    /// each the head is read, not all of it.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub(super) fn groups_confirmed(&self, journal: &Reader<FileMedium>) -> io::Result<Vec<u64>> {
        let confirmed = |group: &u64| {
            let head = self.files.head(*group);
            head.is_ok_and(|head| check_journal(journal, *group, &head).is_ok())
        };
        let mut groups: Vec<u64> = self.files.groups()?.into_iter().filter(confirmed).collect();
        groups.reverse();
        Ok(groups)
    }

    /// A ledger before the first entry.
    pub(super) fn first(&self, config: &LedgerConfig, indexed: bool) -> Ledger {
        let nodes = self.nodes(indexed, Binding::INDEX_BYTES as u64);
        Ledger::indexed(config.clone(), nodes)
    }

    /// The ledger of the last snapshot that is wanted and can be believed.
    ///
    /// # Errors
    /// [`ReadError`] if the journal cannot be read where a snapshot stands: then nobody can tell.
    pub(super) fn newest<M: Medium>(
        &self,
        journal: &Reader<M>,
        wanted: Wanted<'_>,
    ) -> Result<Option<Restored>, ReadError> {
        self.last_that(|group| {
            let taken = self.take(group, journal, wanted)?;
            if let Some(restored) = taken.as_ref().filter(|_| wanted.indexed) {
                self.check_index(&restored.ledger)?;
            }
            Ok(taken)
        })
    }

    /// The ledger of the last snapshot that can be believed, whatever became of the index since:
    /// for whoever looks through that.
    ///
    /// # Errors
    /// As [`Snapshots::newest`].
    pub(super) fn newest_to_mend<M: Medium>(
        &self,
        journal: &Reader<M>,
        config: &LedgerConfig,
    ) -> Result<Option<Restored>, ReadError> {
        let wanted = Wanted { config, closed_max: BatchNumber(u64::MAX), indexed: true };
        self.last_that(|group| self.take(group, journal, wanted))
    }

    fn last_that(
        &self,
        take: impl Fn(u64) -> Result<Option<Restored>, NotTaken>,
    ) -> Result<Option<Restored>, ReadError> {
        let groups = self.files.groups().unwrap_or_else(|error| {
            tracing::warn!(%error, "the folder of snapshots cannot be listed");
            Vec::new()
        });
        for group in groups {
            match take(group) {
                Ok(Some(restored)) => return Ok(Some(restored)),
                Ok(None) => {}
                Err(NotTaken::Journal(error)) => return Err(error),
                Err(NotTaken::Unusable(error)) => {
                    let error = with_causes(&error);
                    tracing::warn!(group, error, "a snapshot is passed over");
                }
            }
        }
        Ok(None)
    }

    /// The ledger of one snapshot; `None` if it is not wanted.
    fn take<M: Medium>(
        &self,
        group: u64,
        journal: &Reader<M>,
        wanted: Wanted<'_>,
    ) -> Result<Option<Restored>, NotTaken> {
        // The head alone first: a snapshot is large.
        let head = self.files.head(group).map_err(Unusable::from)?;
        if head.closed > wanted.closed_max.0 {
            return Ok(None);
        }
        let (_, state) = state_of(&self.files, journal, wanted.config, group)?;
        let nodes = |end: u64| self.nodes(wanted.indexed, end);
        let ledger = Ledger::restore(wanted.config.clone(), &state, nodes);
        let ledger = ledger.map_err(Unusable::from)?;
        if ledger.closed().0 != head.closed {
            return Err(Unusable::from(SnapshotError::Damaged).into());
        }
        let segments = ledger.shut_segments();
        if segments > 0 {
            tracing::warn!(
                group,
                segments,
                "the last readings of open segments do not open any more: their digests stay, and \
                 are of those and what comes behind them if more does"
            );
        }
        Ok(Some(Restored { ledger, head }))
    }

    /// The index reaches as far as the ledger refers to it.
    fn check_index(&self, ledger: &Ledger) -> Result<(), Unusable> {
        let found = self.files.medium().len(INDEX).map_err(SnapshotError::from)?;
        match ledger.frame_nodes().end() {
            expected if found < expected => Err(Unusable::Index { expected, found }),
            _ => Ok(()),
        }
    }
}

/// What a snapshot says, held against the journal from its first entry on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotSays {
    /// The state that the journal makes.
    Same,
    /// The state that the journal makes, but for digests of so many segments: frames of theirs do
    /// not open, or did not when they were taken in, so that nobody can make those again.
    SameButUnread {
        /// How many.
        segments: usize,
    },
    /// Another one, although it could be started from.
    Differs,
    /// Nothing: a start passes it over, for this reason.
    PassedOver(String),
}

/// The snapshots of a stopped node, compared while its journal is absorbed from the first entry on.
pub(super) struct Behind {
    config: LedgerConfig,
    /// Those that could be started from: position, and the state as it stands there.
    states: BTreeMap<u64, (u64, Vec<u8>)>,
    said: BTreeMap<u64, SnapshotSays>,
    /// None where nothing refers to one.
    index: Option<Arc<MadeAgain>>,
    index_says: IndexSays,
}

impl Behind {
    /// Reads all of them, and changes nothing.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub(super) fn of(
        layout: &Layout,
        journal: &Reader<FileMedium>,
        config: &LedgerConfig,
    ) -> io::Result<Behind> {
        let mut behind = Behind {
            config: config.clone(),
            states: BTreeMap::new(),
            said: BTreeMap::new(),
            index: None,
            index_says: IndexSays::Unused,
        };
        if !layout.snapshots().try_exists()? {
            return Ok(behind);
        }
        let genesis = statement::journal::genesis(config.scope);
        let binding = Binding { genesis, log_id: journal.log_id() };
        let medium = Arc::new(FolderMedium::open(&layout.snapshots())?);
        let files = SnapshotFiles::new(medium, binding);
        for group in files.groups()? {
            match state_of(&files, journal, config, group) {
                Ok((position, state)) => drop(behind.states.insert(position, (group, state))),
                Err(error) => {
                    let why = SnapshotSays::PassedOver(with_causes(&error));
                    behind.said.insert(group, why);
                }
            }
        }
        behind.index = (!behind.states.is_empty()).then(|| MadeAgain::beside(&files));
        Ok(behind)
    }

    /// The ledger before the first entry.
    pub(super) fn first(&self) -> Ledger {
        let forgotten = || FrameNodes::forgotten(Binding::INDEX_BYTES as u64);
        let nodes = self.index.as_ref().map_or_else(forgotten, MadeAgain::nodes);
        Ledger::indexed(self.config.clone(), nodes)
    }

    /// Compares the snapshot that stands behind this position, if one does, and the index up to
    /// where it refers to it.
    pub(super) fn compare(&mut self, ledger: &Ledger, position: u64) {
        let Some(index) = &self.index else { return };
        let Some((group, state)) = self.states.remove(&position) else {
            return index.look(ledger.frame_nodes());
        };
        self.index_says = index.says(ledger.frame_nodes());
        let says = self.says(ledger, &state);
        self.said.insert(group, says);
    }

    fn says(&self, ledger: &Ledger, state: &[u8]) -> SnapshotSays {
        let made = ledger.freeze();
        if made.to_bytes() == state {
            return SnapshotSays::Same;
        }
        // What is sealed in it is another thing where a key was destroyed since: it is compared as
        // it is read, and digests that nobody can make again are left out.
        let found = Ledger::restore(self.config.clone(), state, FrameNodes::forgotten);
        let Ok(found) = found else { return SnapshotSays::Differs };
        // Also what the node that wrote it could not open, whose keys were put back since.
        let unread = ledger.unread().or(found.unread());
        match (made.is_same_but(&found.freeze(), &unread), unread.segments()) {
            (true, 0) => SnapshotSays::Same,
            (true, segments) => SnapshotSays::SameButUnread { segments },
            (false, _) => SnapshotSays::Differs,
        }
    }

    /// What the index says up to where the last snapshot refers to it.
    pub(super) fn index_says(&self) -> IndexSays {
        self.index_says
    }

    /// Each snapshot by its group, the last first.
    pub(super) fn said(self) -> Vec<(u64, SnapshotSays)> {
        self.said.into_iter().rev().collect()
    }
}

/// The position and the state of a snapshot that could be started from.
fn state_of<M: Medium>(
    files: &SnapshotFiles,
    journal: &Reader<M>,
    config: &LedgerConfig,
    group: u64,
) -> Result<(u64, Vec<u8>), NotTaken> {
    let Snapshot { head, body } = files.read(group).map_err(Unusable::from)?;
    check_journal(journal, group, &head)?;
    let state = config.seal.open_state(&body, &files.sealed_with(&head));
    Ok((head.position, state.map_err(Unusable::from)?))
}

/// Whether a file is not there, or shorter than its first bytes.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

/// Holds what a snapshot says of its place against the journal.
fn check_journal<M: Medium>(
    journal: &Reader<M>,
    group: u64,
    head: &SnapshotHead,
) -> Result<(), NotTaken> {
    match journal.group(head.group) {
        Ok(found)
            if head.group == group
                && found.journal_hash == head.journal_hash
                && found.last == head.position =>
        {
            Ok(())
        }
        Ok(_) | Err(ReadError::GivenUp { .. }) => Err(Unusable::OtherHistory { group }.into()),
        Err(ReadError::Absent { .. }) => Err(Unusable::JournalShorter { group }.into()),
        Err(error) => Err(error.into()),
    }
}

/// The index, in its file.
struct IndexOn(Arc<dyn SnapshotMedium>);

impl IndexFile for IndexOn {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_at(INDEX, offset, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(INDEX, offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync(INDEX)
    }
}
