//! Frames that are made before there is a node to send them to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use model::{EpochNumber, Millis};
use wire::{Layout, Reading, StreamKey};

use crate::InputMark;
use crate::connection::StreamError;
use crate::room::{Room, StateBounds, Wanted, WhenFull, make_room};
use crate::spool::{Amount, Gap, GapCause, NO_EPOCH, Spool, SpoolError};

/// Frames are synced at the latest when so many bytes of them are not.
const UNSYNCED_BYTES_MAX: usize = 256 << 10;

/// A stream of a state folder while no connection stands, to be taken over by
/// [`crate::Connection::begin_backlog`].
///
/// A stream that is new to its folder has no epoch yet, because only the node knows which it has;
/// its frames get one then. It holds the stream's lock: another program is refused.
pub struct Backlog {
    pub(crate) key: StreamKey,
    pub(crate) spool: Spool,
}

impl Backlog {
    /// Frames without a receipt.
    pub fn frames(&self) -> u64 {
        self.spool.waiting().frames
    }

    /// The epoch that it is in; none while it has none.
    pub fn epoch(&self) -> Option<EpochNumber> {
        Some(self.spool.epoch()).filter(|epoch| *epoch != NO_EPOCH)
    }

    /// Readings in them.
    pub fn readings(&self) -> u64 {
        self.spool.waiting().readings
    }

    /// How far files of readings were sent on the stream for its patient, the last sent from last.
    pub fn marks(&self) -> Vec<InputMark> {
        self.spool.marks()
    }

    /// Where the marks of what has no receipt go back to if it is given up: those of no others
    /// change.
    ///
    /// # Errors
    /// [`StreamError::Spool`].
    pub fn marks_without_receipt(&self) -> Result<Vec<InputMark>, StreamError> {
        self.spool.marks_without_receipt().map_err(wrong)
    }

    /// The mark of the first frame without a receipt that may have been sent, which is the one that
    /// a node refused if it refused any.
    ///
    /// # Errors
    /// [`StreamError::Spool`].
    pub fn first_sent_mark(&self) -> Result<Option<InputMark>, StreamError> {
        self.spool.first_sent_mark().map_err(wrong)
    }

    /// Gives up all that has no receipt, because the node refused it for good and whoever made it
    /// is told so: it is never sent again, its marks go back to what has a receipt, and another
    /// patient may follow on the device. Durable when it returns; says how many readings.
    ///
    /// What the node stored and whose receipt did not come yet is given up, too, and is stored
    /// twice if its source sends it again: [`crate::Connection::collect_receipts`] first.
    ///
    /// # Errors
    /// [`StreamError::Spool`]; what is given up is not known then.
    pub fn give_up_refused(&mut self) -> Result<u64, StreamError> {
        self.spool.abandon().map(|amount| amount.readings).map_err(wrong)
    }

    /// What was given up and not told yet.
    pub fn gaps(&self) -> &[Gap] {
        self.spool.gaps()
    }
}

/// What became of readings that were pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// They are kept.
    Kept,
    /// There is no room, and nothing became of them.
    NoRoom,
    /// There is no room, and they are given up.
    GivenUp,
}

/// The streams of a state folder that one program sends, while no connection stands: what is
/// pushed is kept here, within one bound for all of them.
pub struct Backlogs {
    streams: Vec<Backlog>,
    bounds: StateBounds,
    unsynced_bytes: usize,
    given_up: Amount,
}

impl Backlogs {
    /// What a folder keeps of these streams, or nothing yet.
    ///
    /// # Errors
    /// [`StreamError::Spool`], above all [`SpoolError::Held`] and [`SpoolError::Damaged`].
    pub fn open(
        folder: &Path,
        keys: &[StreamKey],
        bounds: StateBounds,
    ) -> Result<Backlogs, StreamError> {
        let open = |key: &StreamKey| {
            let mut spool = Spool::open_kept(folder, key).map_err(wrong)?;
            bounds.bound(&mut spool);
            Ok(Backlog { key: key.clone(), spool })
        };
        let streams = keys.iter().map(open).collect::<Result<_, StreamError>>()?;
        Ok(Backlogs { streams, bounds, unsynced_bytes: 0, given_up: Amount::default() })
    }

    /// The streams of a folder whose frames wait for receipts, whichever program kept them. One
    /// that cannot be read stands there as its error: the others are as good as they were.
    ///
    /// # Errors
    /// [`StreamError::Spool`] if the folder itself cannot be read; one that is not there is empty.
    pub fn waiting_in(folder: &Path) -> Result<Vec<Result<StreamKey, StreamError>>, StreamError> {
        let unread = |source| wrong(SpoolError::File { path: folder.to_owned(), source });
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unread)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(unread)?.path());
        }
        // In an order that does not depend on the disk.
        paths.sort();
        let waiting = paths.iter().map(|path| Spool::waiting_in(path));
        Ok(waiting.filter_map(|found| found.map_err(wrong).transpose()).collect())
    }

    /// Each of them, in the order of the keys.
    pub fn streams(&self) -> &[Backlog] {
        &self.streams
    }

    /// Lays the frames of a stream out like this from now on.
    pub fn lay_out(&mut self, stream: usize, layout: Layout) {
        self.streams[stream].spool.lay_out(layout);
    }

    /// Each of them, for a connection.
    pub fn into_streams(self) -> Vec<Backlog> {
        self.streams
    }

    /// Frames without a receipt, of all of them.
    pub fn frames(&self) -> u64 {
        self.streams.iter().map(Backlog::frames).sum()
    }

    /// Readings in them.
    pub fn readings(&self) -> u64 {
        self.streams.iter().map(Backlog::readings).sum()
    }

    /// Bytes at the ends of files that were cut at the opening, because a crash or a power cut came
    /// while they were written. None of it was sent.
    pub fn cut_bytes(&self) -> u64 {
        self.streams.iter().map(|one| one.spool.cut_bytes()).sum()
    }

    /// Somebody was told of these gaps of a stream: the folder need not keep them.
    ///
    /// # Errors
    /// [`StreamError::Spool`].
    pub fn forget_gaps(&mut self, stream: usize, told: &[Gap]) -> Result<(), StreamError> {
        let spool = &mut self.streams[stream].spool;
        spool.forget_gaps(told).and_then(|()| spool.sync()).map_err(wrong)
    }

    /// Readings that were given up since the opening.
    pub fn readings_given_up(&self) -> u64 {
        self.given_up.readings
    }

    /// Whether so many bytes of frames are taken without waiting.
    pub fn has_room(&self, bytes: usize) -> bool {
        let held: u64 = self.streams.iter().map(|one| one.spool.needed_bytes()).sum();
        let is_full = held.saturating_add(bytes as u64) > self.bounds.bytes_max;
        self.bounds.when_full == WhenFull::GiveUp || !is_full
    }

    /// Makes a frame of readings and keeps it, with the place in a file that ends with it. A crash
    /// of the program does not lose it; a power cut may until [`Backlogs::sync`].
    ///
    /// # Errors
    /// As [`crate::Stream::send`].
    pub fn push(&mut self, stream: usize, frame: NewFrame<'_>) -> Result<Pushed, StreamError> {
        let NewFrame { readings, mark, at } = frame;
        let spool = &self.streams[stream].spool;
        let (frame, worth) = (spool.encode(readings)?, spool.worth_of(readings));
        let bytes = frame.as_bytes().len();
        let mut spools: Vec<_> = self.streams.iter_mut().map(|one| &mut one.spool).collect();
        let wanted = Wanted { bytes, worth, at };
        let made = make_room(&mut spools, &wanted, &self.bounds).map_err(wrong)?;
        self.given_up += made.given_up;
        let spool = &mut self.streams[stream].spool;
        match made.room {
            Room::There => spool.store(&frame, mark, at, false).map_err(wrong)?,
            Room::Later => return Ok(Pushed::NoRoom),
            Room::None => {
                spool.refuse(&frame, GapCause::Full).map_err(wrong)?;
                self.given_up += Amount::of(&frame);
                return Ok(Pushed::GivenUp);
            }
        }
        self.unsynced_bytes += bytes;
        if self.unsynced_bytes > UNSYNCED_BYTES_MAX {
            self.sync()?;
        }
        Ok(Pushed::Kept)
    }

    /// Waits until the disk has everything.
    ///
    /// # Errors
    /// [`StreamError::Spool`].
    pub fn sync(&mut self) -> Result<(), StreamError> {
        self.unsynced_bytes = 0;
        self.streams.iter_mut().try_for_each(|one| one.spool.sync()).map_err(wrong)
    }
}

/// Readings for a frame.
#[derive(Clone, Copy, Debug)]
pub struct NewFrame<'a> {
    /// 1 to [`wire::Frame::RAW_READINGS_MAX`] of them.
    pub readings: &'a [Reading],
    /// The place in a file that ends with them.
    pub mark: Option<InputMark>,
    /// Now.
    pub at: Millis,
}

fn wrong(error: SpoolError) -> StreamError {
    StreamError::Spool(Arc::new(error))
}
