//! Reads a stopped node's journal as it stands, and changes nothing.

use std::io;
use std::path::PathBuf;

use journal::{FileMedium, Genesis, Head, Log, MediumError, OpenError, ReadError, Salts};
use l1_contracts::{Damage, Deployment, DeploymentError};
use model::Position;
use thiserror::Error;
use wire::{Entry, FrameError, GapEntry};

use super::archive::reads_of;
use super::frame_index::IndexSays;
use super::head::{HeadError, behind_backup, witness, witness_is_missing};
use super::recover::{RecoverError, absorb_next};
use super::snapshots::{self, SnapshotSays};
use crate::doors::config::{Config, ConfigError};
use crate::folder::body_keys;
use crate::folder::layout::Layout;
use crate::folder::old_journal::{self, OldJournalError};
use crate::folder::secrets::{NodeSecret, SecretError};
use crate::history::{Comparison, Contradiction, HistoryError, compare, losses, term_of};
use crate::stages::ledger::{BodySeal, EnrolmentSeal, LedgerConfig};

/// What a journal holds.
#[derive(Debug)]
pub struct Survey {
    /// Groups.
    pub groups: u64,
    /// Entries.
    pub entries: u64,
    /// Where it ends.
    pub head: Head,
    /// Losses that were accepted.
    pub term: u32,
    /// Each of them, oldest first.
    pub losses: Vec<GapEntry>,
    /// Bytes of a write that was never acknowledged, which the next start cuts and keeps beside.
    pub torn_bytes: u64,
    /// What the witness beside it says.
    pub witness: WitnessSays,
}

/// What the witness beside a journal says of it. Contract, store and receipts are not asked here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WitnessSays {
    /// The journal reaches as far, with the same hash; so does one without a group.
    Holds,
    /// There is none, and the journal has groups: what it lost at its end nobody here can tell.
    Missing,
    /// The journal lacks what it remembers, or what the mark of a restored folder does.
    Contradicts(Contradiction),
}

/// Why a journal does not hold, or cannot be looked at.
#[derive(Debug, Error)]
pub enum SurveyError {
    /// There is none.
    #[error("expected a journal in {path}, found none")]
    Absent {
        /// The folder.
        path: PathBuf,
    },
    /// It is of the version before.
    #[error(transparent)]
    OldJournal(#[from] OldJournalError),
    /// A node runs on it.
    #[error("expected a stopped node, found {path} open: stop it first")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be opened.
    #[error("the journal's folder does not open")]
    Medium(#[source] MediumError),
    /// Which deployment it is of cannot be told.
    #[error("the deployment of the journal cannot be told")]
    Deployment(#[from] DeploymentError),
    /// It does not open.
    #[error("the journal {path} does not open")]
    Open {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: Box<OpenError>,
    },
    /// It cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// An entry does not decode.
    #[error("the journal entry at position {position} does not decode")]
    Decode {
        /// Where.
        position: u64,
        /// Why not.
        source: FrameError,
    },
    /// An entry does not follow from those before it.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// What the ledger is bound to cannot be told.
    #[error("the deployment of the journal is malformed")]
    Damage(#[from] Damage),
    /// What opens the journal's enrolments is missing.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The snapshots cannot be listed.
    #[error("the folder of snapshots cannot be listed")]
    Snapshots(#[source] io::Error),
    /// Its losses cannot be told.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The witness cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// Reads and verifies all of it: checksums, digests, journal hashes, order, and that every entry
/// decodes.
///
/// # Errors
/// [`SurveyError`] for the first thing that does not hold.
pub fn survey(layout: &Layout) -> Result<Survey, SurveyError> {
    let opened = Opened::of(layout)?;
    for found in opened.log.iter_from(1) {
        let (position, entry) = found?;
        let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
        decoded.map_err(|source| SurveyError::Decode { position, source })?;
    }
    opened.told(layout)
}

/// As [`survey`]; and makes the state behind each snapshot again, from the first entry on, and the
/// index of stored frames that it refers to, and compares both. Takes as long as a start without a
/// snapshot.
///
/// # Errors
/// [`SurveyError`] for the first thing that does not hold; of snapshots only that they cannot be
/// listed.
pub fn survey_full(layout: &Layout) -> Result<FullSurvey, SurveyError> {
    let opened = Opened::of(layout)?;
    let log_id = opened.log.reader().log_id();
    // The states were made with the keys; without them the digests of open segments differ.
    let folder = key_folder(layout).ok();
    let keys = folder.and_then(|folder| body_keys::of_stopped(layout, &folder));
    let bodies = keys.map(|keys| BodySeal::new(keys, log_id));
    let bodies = bodies.unwrap_or_else(|| BodySeal::keyless(log_id));
    let config = ledger_config(layout, &opened.deployment, bodies)?;
    let behind = snapshots::Behind::of(layout, &opened.log.reader(), &config);
    let mut behind = behind.map_err(SurveyError::Snapshots)?;
    let mut ledger = behind.first();
    let mut entries = opened.log.iter_from(1);
    let (mut erased, mut absent) = (UnreadFrames::default(), UnreadFrames::default());
    while let Some(found) = entries.next() {
        let (position, entry) = found?;
        absorb_next(&mut ledger, Position(position), &entry, entries.in_group())?;
        erased.note(ledger.erased(), position);
        absent.note(ledger.unopened(), position);
        behind.compare(&ledger, position);
    }
    let (index, snapshots) = (behind.index_says(), behind.said());
    Ok(FullSurvey { survey: opened.told(layout)?, snapshots, index, erased, absent })
}

impl FullSurvey {
    /// Of a journal whose snapshots were not asked.
    pub fn of(survey: Survey) -> FullSurvey {
        let (erased, absent) = (UnreadFrames::default(), UnreadFrames::default());
        FullSurvey { survey, snapshots: Vec::new(), index: IndexSays::Unused, erased, absent }
    }
}

/// Frames that do not open, most of them by their number alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadFrames {
    /// How many.
    pub frames: u64,
    /// Where the first of them stand, at most [`UnreadFrames::NAMED_MAX`].
    pub first: Vec<u64>,
    /// Where the last one stands; 0 without any.
    pub last: u64,
}

impl UnreadFrames {
    /// Positions that are named.
    pub const NAMED_MAX: usize = 16;

    /// So many were found up to this position.
    fn note(&mut self, frames: u64, position: u64) {
        if frames == self.frames {
            return;
        }
        (self.frames, self.last) = (frames, position);
        if self.first.len() < UnreadFrames::NAMED_MAX {
            self.first.push(position);
        }
    }
}

/// What a journal holds, and what its snapshots say of it.
#[derive(Debug)]
pub struct FullSurvey {
    /// The journal.
    pub survey: Survey,
    /// Each snapshot by its group, the last first.
    pub snapshots: Vec<(u64, SnapshotSays)>,
    /// The index of stored frames beside them.
    pub index: IndexSays,
    /// Frames that nobody opens any more, because their patients were erased.
    pub erased: UnreadFrames,
    /// Frames whose key is not in the key folder, or all of them where that does not open.
    pub absent: UnreadFrames,
}

/// The key folder that the configuration names; the usual one where there is no configuration.
///
/// # Errors
/// [`ConfigError`] for one that cannot be read: keys that are put elsewhere are copies that nobody
/// erases.
pub fn key_folder(layout: &Layout) -> Result<PathBuf, ConfigError> {
    if !layout.config().exists() {
        return Ok(Config::default().keys.folder);
    }
    Ok(Config::read(&layout.config())?.keys.folder)
}

/// What a ledger is bound to. When windows close is nothing of a fold.
pub(super) fn ledger_config(
    layout: &Layout,
    deployment: &Deployment,
    bodies: BodySeal,
) -> Result<LedgerConfig, SurveyError> {
    let config = Config::default();
    Ok(LedgerConfig {
        scope: deployment.scope(),
        registrar_key_hash: deployment.registrar_key_hash()?,
        genesis_time: deployment.genesis_time()?,
        limits: config.window_limits(),
        cadence: config.cadence(),
        released_frames_max: config.ingest.released_frames_max,
        clock_skew_ms_max: config.ingest.clock_skew_ms_max,
        seal: EnrolmentSeal::new(&*layout.secret(NodeSecret::Journal)?),
        bodies,
    })
}

/// An opened journal.
struct Opened {
    deployment: Deployment,
    log: Log<FileMedium>,
    recovery: journal::Recovery,
}

impl Opened {
    fn of(layout: &Layout) -> Result<Opened, SurveyError> {
        check_version(layout)?;
        let deployment = Deployment::read(&layout.deployment())?;
        let journal_hash = statement::journal::genesis(deployment.scope());
        let (log, recovery) = open(layout, journal_hash)?;
        Ok(Opened { deployment, log, recovery })
    }

    /// What is told of a journal all of whose entries hold.
    fn told(&self, layout: &Layout) -> Result<Survey, SurveyError> {
        let Opened { deployment, log, recovery } = self;
        told(layout, deployment, log, recovery)
    }
}

fn told(
    layout: &Layout,
    deployment: &Deployment,
    log: &Log<FileMedium>,
    recovery: &journal::Recovery,
) -> Result<Survey, SurveyError> {
    let (reader, head) = (log.reader(), log.head());
    let witness = match witness(layout, deployment.scope())? {
        Some(remembered) => match compare(&reader, &remembered)? {
            Comparison::Contradicted(contradiction) => WitnessSays::Contradicts(contradiction),
            Comparison::Holds | Comparison::LossAccepted => WitnessSays::Holds,
        },
        None if witness_is_missing(layout, &head)? => WitnessSays::Missing,
        None => WitnessSays::Holds,
    };
    // A folder that was restored: a start is held by the mark, whatever the witness says.
    let witness = match behind_backup(layout, deployment.scope())? {
        None => witness,
        Some(remembered) => match compare(&reader, &remembered)? {
            Comparison::Contradicted(contradiction) => WitnessSays::Contradicts(contradiction),
            Comparison::Holds | Comparison::LossAccepted => witness,
        },
    };
    Ok(Survey {
        groups: recovery.groups,
        entries: recovery.entries,
        head,
        term: term_of(&reader, head.group)?,
        losses: losses(&reader)?,
        torn_bytes: recovery.cut_bytes,
        witness,
    })
}

/// Whether the journal is of this version, whatever else it holds.
///
/// # Errors
/// [`SurveyError`], with [`OpenError::FirstVersion`] for one of the first version.
pub fn check_version(layout: &Layout) -> Result<(), SurveyError> {
    // The version is read before the deployment is compared, so any will do.
    match open(layout, [0; 32]) {
        Err(SurveyError::Open { source, .. }) if matches!(*source, OpenError::Genesis { .. }) => {
            Ok(())
        }
        opened => opened.map(drop),
    }
}

/// What becomes of reads of files that are in the archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Archived {
    /// They are fetched.
    Fetched,
    /// They fail: nothing is asked of anybody else, and nothing written.
    NotRead,
}

/// Opens the journal as it stands and locks it; nothing of it is changed.
pub(super) fn open(
    layout: &Layout,
    journal_hash: [u8; 32],
) -> Result<(Log<FileMedium>, journal::Recovery), SurveyError> {
    open_with(layout, journal_hash, Archived::Fetched)
}

/// As [`open`], with or without the archive.
pub(super) fn open_with(
    layout: &Layout,
    journal_hash: [u8; 32],
    archived: Archived,
) -> Result<(Log<FileMedium>, journal::Recovery), SurveyError> {
    old_journal::refuse(layout)?;
    let path = layout.journal();
    // Opening makes a folder that is not there, and a log in it.
    if !old_journal::has_files(&path).unwrap_or(true) {
        return Err(SurveyError::Absent { path });
    }
    let medium = FileMedium::open(&path).map_err(|error| match error {
        MediumError::Locked { path } => SurveyError::Locked { path },
        error => SurveyError::Medium(error),
    })?;
    let medium = match archived {
        Archived::Fetched => medium.with_archive(reads_of(layout)),
        Archived::NotRead => medium,
    };
    // The identity is the file's own: what is given here counts for a new one only.
    let genesis = Genesis { log_id: [0; 16], journal_hash };
    let none = Salts::new(|| Err(io::ErrorKind::Unsupported.into()));
    // What recovery would change is left as it is, and what the log then serves lies before it.
    let opened = Log::open(medium.untouched(), genesis, none);
    opened.map_err(|source| SurveyError::Open { path, source: source.into() })
}
