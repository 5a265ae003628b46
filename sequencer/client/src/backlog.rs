//! Frames that are made before there is a node to send them to.

use std::path::Path;
use std::sync::Arc;

use model::{Sequence, StreamHandle};
use wire::{ClientError, Frame, FramePlace, Reading, StreamKey};

use crate::InputMark;
use crate::connection::StreamError;
use crate::spool::{Spool, SpoolError};

/// A stream's state folder while no connection stands: what is pushed is durable here, and is sent
/// once [`crate::Connection::begin_backlog`] takes it over.
///
/// A stream that is new to its folder has no epoch yet, because only the node knows which it has;
/// its frames get one then. It holds the stream's lock: another program is refused.
pub struct Backlog {
    pub(crate) key: StreamKey,
    pub(crate) spool: Spool,
    last: Sequence,
    bytes: usize,
}

impl Backlog {
    /// What a folder keeps of a stream, or nothing yet.
    ///
    /// # Errors
    /// [`StreamError::Spool`], above all [`SpoolError::Held`].
    pub fn open(folder: &Path, key: StreamKey) -> Result<Backlog, StreamError> {
        let spool = Spool::open_kept(folder, &key).map_err(wrong)?;
        let last = spool.frames().last().map_or(spool.last_receipted(), Frame::sequence);
        let bytes = spool.frames().iter().map(|frame| frame.as_bytes().len()).sum();
        Ok(Backlog { key, spool, last, bytes })
    }

    /// How far files of readings were sent on the stream for its patient, the last sent from last.
    pub fn marks(&self) -> Vec<InputMark> {
        self.spool.marks()
    }

    /// Bytes of frames without a receipt. A connection takes over at most its
    /// `limits.held_bytes_max` of all its streams together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames without a receipt.
    pub fn frames(&self) -> usize {
        self.spool.frames().len()
    }

    /// Readings in them.
    pub fn readings(&self) -> u64 {
        self.spool.frames().iter().map(|frame| u64::from(frame.header().count)).sum()
    }

    /// Makes a frame of readings and keeps it, with the place in a file that ends with it. It is
    /// durable here afterwards.
    ///
    /// # Errors
    /// As [`crate::Stream::send`].
    pub fn push(
        &mut self,
        readings: &[Reading],
        mark: Option<InputMark>,
    ) -> Result<(), StreamError> {
        let signal = self.key.signal().ok_or(ClientError::NoStream)?;
        let sequence = Sequence(self.last.0 + 1);
        // The session that sends it gives it its handle.
        let (handle, epoch) = (StreamHandle(0), self.spool.epoch());
        let place = FramePlace { handle, epoch, sequence };
        let frame = Frame::encode_raw(place, signal, readings).map_err(ClientError::from)?;
        self.spool.store(&frame, mark).map_err(wrong)?;
        (self.last, self.bytes) = (sequence, self.bytes + frame.as_bytes().len());
        Ok(())
    }
}

fn wrong(error: SpoolError) -> StreamError {
    StreamError::Spool(Arc::new(error))
}
