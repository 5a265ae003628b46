//! Frames without a receipt, kept over a restart: a folder for each stream of a state folder.
//!
//! The folder `DEVICE.SIGNAL.frames` holds segments: files of checked records that are only
//! appended to, each named by the number of its first frame. A frame is sent once the group that it
//! was written in is synced, so a sequence is never used twice for different bytes. A segment
//! begins with all that was known before it. When all of its frames have a receipt it is kept for
//! some time, within bounds: a node that loses what it gave receipts for gets it again.
//!
//! Frames are numbered here for as long as the folder lives. What is kept and was never sent may be
//! given up where there is no room ([`crate::StateBounds`]): a record says which frames and which
//! times, before they are removed. The sequence of a frame is its number less what came before its
//! epoch and less what was given up before it, so the sequences that are sent have no hole. For
//! that the folder says up to where frames may have been sent: nothing up to there is given up. But
//! what the node refused for good is, all of it at once, and what follows begins another epoch, as
//! another patient of the device does. An epoch is 16 bits: a folder has 65,535 of them.
//!
//! At the end of the last segment a record may be torn by a crash: it was never sent, and is cut. A
//! record that does not read elsewhere, or although a later one says that it was synced, is damage,
//! and nothing is sent. Such a record follows each sync; only where it is lost, as when the power
//! fails, is damage in what was synced last taken for torn. Where a sync fails, nothing more is
//! sent: what the disk has is not known then.
//!
//! The files hold readings in the clear and are readable for their owner alone. Frames of epoch 0
//! were made before the node said which epochs it has; they get theirs when the stream is opened.
//! What version 1 kept (`DEVICE.SIGNAL.spool`) is taken over at the first opening, and stays beside
//! it as `DEVICE.SIGNAL.spool.taken`.

mod amount;
mod disk;
mod error;
mod folder;
mod forget;
mod gap;
mod give_up;
mod held_back;
mod kept;
mod record;
mod segment;
mod segments;
mod stage;
mod staged;
#[cfg(test)]
mod tests;
mod version1;
mod worth;
mod write;

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use files::{Audience, LockedFile};
use model::{EpochNumber, Millis, Sequence, StreamHandle};
use wire::limits::FRAME_BYTES_MAX;
use wire::{
    ClientError, DecodeError, ENCRYPTION_BYTES, Frame, FrameError, FramePlace, KeptFrames, Layout,
    Reading, StreamKey,
};

pub(crate) use amount::Amount;
pub(crate) use disk::Unsynced;
use disk::{Disk, Sync};
pub use error::SpoolError;
use folder::{Found, begin_segment, find, frames, old_path, take_over};
pub use gap::{Gap, GapCause};
use kept::Kept;
pub(crate) use kept::NO_EPOCH;
use record::{Epoch, KeptFrame, Record};
use segment::Segment;
pub use segments::{SegmentRead, checked_record, read_segment};
use staged::Staged;
pub(crate) use worth::{Spare, Worth};

use crate::InputMark;
use crate::encryption::{BodyKey, Encrypting};

/// A segment is not written to any more from here on.
const SEGMENT_BYTES: u64 = 1 << 20;

/// However little may be kept, it has so many at least.
const SEGMENT_BYTES_MIN: u64 = 400;

/// The kept state of one stream.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    key: StreamKey,
    /// Of the frames that are made.
    layout: Layout,
    /// What encrypts them once they have their place; none: they go in the clear.
    encrypting: Option<Encrypting>,
    kept: Kept,
    /// Those that are there, the oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    segment_bytes: u64,
    receipted: Receipted,
    disk: Disk,
    file: Arc<File>,
    /// Bytes that the last segment began with.
    begun_bytes: u64,
    /// Up to where a record says that there are receipts.
    recorded: u64,
    /// Bytes that were never written to their end and were cut at the opening.
    cut_bytes: u64,
    /// The first sequence of what was given up since somebody asked.
    moved: Option<Sequence>,
    /// Writes that have to be synced before what they allow may be sent, and how many of them are.
    written: u64,
    synced: u64,
    /// Bytes of the last segment that are known to be synced, and those that a record says are.
    synced_bytes: u64,
    told_synced_bytes: u64,
    /// Frames that may go to the session once they are synced, in order, and their bytes.
    staged: VecDeque<Staged>,
    staged_bytes: usize,
    /// Frames that were read back and are not staged yet.
    loaded: VecDeque<KeptFrame>,
    /// Up to where frames go to the session, of a stream that is held back.
    goes_up_to: Option<Sequence>,
    /// The last number that was staged.
    reached: u64,
    /// What is kept behind it.
    waiting: Amount,
    /// Two programs would give one sequence to two frames.
    _lock: LockedFile,
}

/// How much is kept of what has a receipt, for a node that loses it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Receipted {
    pub(crate) bytes_max: u64,
    pub(crate) age_ms_max: u64,
}

/// Whose spool it is, and the lock that says so.
struct Place {
    key: StreamKey,
    lock: LockedFile,
}

impl Spool {
    /// Where a stream is kept: device and signal name it.
    pub(crate) fn path(folder: &Path, key: &StreamKey) -> PathBuf {
        folder.join(format!("{}.{}.frames", key.device.as_str(), key.signal))
    }

    /// The epoch that is kept, if there is one; where it is another patient's, the next one.
    pub(crate) fn kept_epoch(
        folder: &Path,
        key: &StreamKey,
    ) -> Result<Option<EpochNumber>, SpoolError> {
        let path = Spool::path(folder, key);
        let Some(last) = segment::list(&path)?.pop() else {
            let old = old_path(&path);
            return if old.exists() { version1::epoch(&old) } else { Ok(None) };
        };
        let kept = segment::kept(&segment::read(&path, last, true)?);
        let epoch = kept.map(|kept| match kept.patient == key.patient {
            true => Ok(kept.epoch.number),
            false => kept.next_epoch(&path),
        });
        Ok(epoch.transpose()?.filter(|epoch| *epoch != NO_EPOCH))
    }

    /// Opens what is kept, or begins anew in `epoch`.
    ///
    /// # Errors
    /// As [`Spool::open_kept`], and [`SpoolError::Epoch`] if frames of another epoch lack receipts.
    pub(crate) fn open(
        folder: &Path,
        key: &StreamKey,
        epoch: EpochNumber,
    ) -> Result<Spool, SpoolError> {
        let mut spool = Spool::open_kept(folder, key)?;
        spool.begin(epoch)?;
        Ok(spool)
    }

    /// Opens what is kept, in its epoch, or begins anew in none.
    ///
    /// # Errors
    /// [`SpoolError::Held`] while another program has it open, [`SpoolError::Patient`] if frames of
    /// another patient lack receipts, and [`SpoolError::Damaged`].
    pub(crate) fn open_kept(folder: &Path, key: &StreamKey) -> Result<Spool, SpoolError> {
        let path = Spool::path(folder, key);
        let wrong = |source| SpoolError::File { path: path.clone(), source };
        files::make_folder(folder, Audience::Owner).map_err(wrong)?;
        files::check_folder(folder).map_err(wrong)?;
        files::make_folder(&path, Audience::Owner).map_err(wrong)?;
        files::check_folder(&path).map_err(wrong)?;
        let lock = path.with_extension("lock");
        let locked = files::open_locked(&lock, Audience::Owner).map_err(wrong)?;
        let locked = locked.ok_or(SpoolError::Held { path: lock })?;
        take_over(&path, key)?;
        let mut found = find(&path, key)?;
        found.hand_on(key, &path)?;
        // Before anything is appended: behind a torn record nothing would be read.
        Spool::of_found(found, path, Place { key: key.clone(), lock: locked })
    }

    fn of_found(found: Found, folder: PathBuf, place: Place) -> Result<Spool, SpoolError> {
        let Found { mut kept, mut segments, waiting, cut_bytes } = found;
        let Place { key, lock } = place;
        let oldest = segments.front().map_or(0, |one| one.first);
        let (mut segment, file) = begin_segment(&folder, &mut kept, oldest)?;
        segment.at = segments.back().map_or(segment.at, |one| one.at);
        // One without frames has the name of the next, which replaced it.
        segments.retain(|one| one.first != segment.first);
        let bytes = segment.bytes;
        segments.push_back(segment);
        Ok(Spool {
            reached: kept.receipted,
            recorded: kept.receipted,
            folder,
            key,
            // Until somebody says.
            layout: Layout::RAW,
            encrypting: None,
            kept,
            segments,
            segment_bytes: SEGMENT_BYTES,
            receipted: Receipted::default(),
            disk: Disk::default(),
            file: Arc::new(file),
            begun_bytes: bytes,
            cut_bytes,
            moved: None,
            written: 0,
            synced: 0,
            synced_bytes: bytes,
            told_synced_bytes: bytes,
            staged: VecDeque::new(),
            staged_bytes: 0,
            loaded: VecDeque::new(),
            goes_up_to: None,
            waiting,
            _lock: lock,
        })
    }

    /// Goes on in an epoch; frames that have none yet get it.
    ///
    /// # Errors
    /// [`SpoolError::Epoch`] if frames of another epoch lack receipts.
    pub(crate) fn begin(&mut self, epoch: EpochNumber) -> Result<(), SpoolError> {
        let Epoch { number, .. } = self.kept.epoch;
        if number == epoch {
            return Ok(());
        }
        if number != NO_EPOCH && self.waiting.frames > 0 {
            // A new epoch counts from 1 again: frames of the old one would lose their place in it.
            let (expected, found) = (number.0, epoch.0);
            return Err(SpoolError::Epoch { expected, found });
        }
        let epoch = Epoch { number: epoch, base: self.kept.receipted };
        // Synced with the first group: after a crash all of them have the epoch, or none has and
        // none was sent.
        self.append(&[Record::Epoch(epoch)], Sync::Before)
    }

    /// Takes in how much may be kept at most: segments are a small part of it, so that little more
    /// than needed is given up at once.
    pub(crate) fn bound(&mut self, bytes_max: u64, receipted: Receipted) {
        self.segment_bytes = (bytes_max / 16).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES);
        self.receipted = receipted;
    }

    /// How frames are laid out from now on; those that are kept stay as they are.
    pub(crate) fn lay_out(&mut self, layout: Layout) {
        self.layout = layout;
    }

    /// How frames are encrypted from now on, also those that are kept: what was sent in other bytes
    /// and has no receipt is then refused as a conflict.
    pub(crate) fn encrypt(&mut self, key: Option<Arc<BodyKey>>) {
        self.encrypting = key.map(|key| Encrypting::new(key, self.key.clone()));
    }

    /// Bytes that a frame of so many takes when it is sent.
    pub(crate) fn sent_bytes(&self, bytes: usize) -> usize {
        bytes + self.encrypting.as_ref().map_or(0, |_| ENCRYPTION_BYTES)
    }

    /// The epoch of what is kept; [`NO_EPOCH`] while it has none.
    pub(crate) fn epoch(&self) -> EpochNumber {
        self.kept.epoch.number
    }

    /// Whether no frame was given a place in its epoch yet.
    pub(crate) fn is_epoch_empty(&self) -> bool {
        self.kept.last == self.kept.epoch.base
    }

    /// Places in files that were sent for its patient, the last sent from last.
    pub(crate) fn marks(&self) -> Vec<InputMark> {
        self.kept.marks()
    }

    /// Last sequence with a receipt.
    pub(crate) fn last_receipted(&self) -> Sequence {
        self.kept.sequence(self.kept.receipted)
    }

    /// Last sequence that there is.
    pub(crate) fn last(&self) -> Sequence {
        self.kept.sequence(self.kept.last)
    }

    /// What the session is told of the frames that it does not hold.
    pub(crate) fn kept_frames(&self) -> KeptFrames {
        let first = self.kept.sequence(self.first());
        KeptFrames { first, sent: self.kept.sequence(self.kept.offered), last: self.last() }
    }

    /// The number of the first frame of the epoch that is there, or would be.
    fn first(&self) -> u64 {
        let first = self.segments.front().map_or(0, |one| one.first);
        let mut first = first.max(self.kept.epoch.base + 1);
        while self.kept.is_dropped(first) {
            first += 1;
        }
        first
    }

    /// Goes back behind the last frame that the node has, although what follows has receipts; says
    /// how much goes again.
    pub(crate) fn rewind(&mut self, durable: Sequence) -> Result<Amount, SpoolError> {
        let to = self.kept.number(durable);
        self.rewind_to(&[Record::Rewound(to)], to)
    }

    /// Begins an epoch with all that is kept of the one before: the node lacks what came before.
    pub(crate) fn renew(&mut self, epoch: EpochNumber) -> Result<Amount, SpoolError> {
        let base = self.first() - 1;
        let epoch = Record::Epoch(Epoch { number: epoch, base });
        self.rewind_to(&[epoch, Record::Rewound(base)], base)
    }

    fn rewind_to(&mut self, records: &[Record], to: u64) -> Result<Amount, SpoolError> {
        let before = self.kept.receipted;
        self.append(records, Sync::Before)?;
        self.staged.clear();
        self.staged_bytes = 0;
        self.loaded.clear();
        (self.reached, self.waiting) = (to, Amount::default());
        let mut again = Amount::default();
        let last = self.last_segment().first;
        for segment in self.segments.iter().filter(|one| one.last > to) {
            let read = segment::read(&self.folder, segment.first, segment.first == last)?;
            for kept in frames(read.records).filter(|kept| kept.number() > to) {
                self.waiting.add(&kept.frame);
                if kept.number() <= before {
                    again.add(&kept.frame);
                }
            }
        }
        Ok(again)
    }

    /// What is kept and was not staged yet.
    pub(crate) fn waiting(&self) -> Amount {
        self.waiting
    }

    /// Bytes of frames that are staged.
    pub(crate) fn staged_bytes(&self) -> usize {
        self.staged_bytes
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Bytes that were never written to their end, and so were cut at the opening.
    pub(crate) fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// What was given up and is not told yet.
    pub(crate) fn gaps(&self) -> &[Gap] {
        &self.kept.gaps
    }

    /// Somebody was told of these gaps.
    pub(crate) fn forget_gaps(&mut self, told: &[Gap]) -> Result<(), SpoolError> {
        match told.iter().map(|gap| gap.frames.last).max() {
            Some(last) => self.append(&[Record::Told(last)], Sync::Before),
            None => Ok(()),
        }
    }

    /// The next frame, of readings; it is not kept yet.
    pub(crate) fn encode(&self, readings: &[Reading]) -> Result<Frame, ClientError> {
        let signal = self.key.signal().ok_or(ClientError::NoStream)?;
        let place = FramePlace {
            handle: StreamHandle(0),
            epoch: NO_EPOCH,
            sequence: Sequence(self.kept.last + 1),
        };
        let frame = Frame::encode(place, signal, readings, self.layout)?;
        let (found, limit) = (self.sent_bytes(frame.as_bytes().len()), FRAME_BYTES_MAX);
        // Before it is kept: one that could not be sent would block what follows it.
        if found > limit {
            let what = "encrypted frame";
            return Err(FrameError::from(DecodeError::TooLarge { what, limit, found }).into());
        }
        Ok(frame)
    }

    /// Writes a frame that was made last. If it `goes` and nothing waits before it, it may be sent
    /// once it is synced; else it waits until [`Spool::stage`] comes to it.
    pub(crate) fn store(
        &mut self,
        frame: &Frame,
        mark: Option<InputMark>,
        at: Millis,
        goes: bool,
    ) -> Result<(), SpoolError> {
        let goes = goes && self.waiting.frames == 0;
        let kept = KeptFrame::new(frame, self.kept.last + 1, at).for_signal(self.key.signal());
        let kept = KeptFrame { mark, waits: !goes, ..kept };
        if self.last_segment().has_frames() && self.last_segment().bytes >= self.segment_bytes {
            self.rotate()?;
        }
        self.append(&[Record::Frame(kept.clone())], Sync::Before)?;
        match goes {
            true => self.stage_one(&kept, false)?,
            false => self.waiting.add(&kept.frame),
        }
        if let Some(last) = self.segments.back_mut() {
            last.note(&kept);
        }
        Ok(())
    }
}
