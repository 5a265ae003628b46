//! One open stream: what its owner calls.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use model::{EpochNumber, RejectCode, Sequence, StreamHandle};
use wire::{Frame, Lane, Reading, StopReason};

use super::error::StreamError;
use super::shared::Shared;
use super::state::{State, StreamState};
use crate::spool::Spool;
use crate::{Gap, InputMark};

/// An open stream of one device and signal. It ends with its connection.
pub struct Stream {
    pub(super) shared: Arc<Shared>,
    pub(super) lane: Lane,
    pub(super) handle: StreamHandle,
}

impl Stream {
    /// Waits until the node takes the stream's frames. A node that cannot open it now is asked
    /// again, for as long as `waits.open` says; [`crate::ConnectionConfig::on_delay`] is told each
    /// time. The future does not borrow the stream, so frames may be sent meanwhile.
    ///
    /// # Errors
    /// As [`crate::Connection::open_stream`].
    pub fn opened(&self) -> impl Future<Output = Result<(), StreamError>> + Send + use<> {
        let (shared, handle) = (self.shared.clone(), self.handle);
        async move {
            let find_ready = |state: &mut State| match state.check_stream(handle) {
                Ok(one) => one.ready.then_some(Ok(())),
                Err(error) => Some(Err(error)),
            };
            let waited = shared.config.waits.open;
            match tokio::time::timeout(waited, shared.wait_for(find_ready)).await {
                Ok(ready) => ready,
                Err(_) => Err(give_up_opening(&shared, handle, waited)),
            }
        }
    }

    /// Makes a frame of 1 to [`Frame::RAW_READINGS_MAX`] readings, keeps it, and queues it.
    /// Returns its sequence; [`Stream::wait_for_receipt`] waits for the receipt. Waits itself while
    /// as much as may be is without receipt, also while the connection is lost: without a state
    /// folder in memory, with one on disk.
    ///
    /// With a state folder the frame is written when this returns, and sent once it is synced. A
    /// crash of the program does not lose it; a power cut before the sync may, and then its
    /// sequence was not used.
    ///
    /// # Errors
    /// [`StreamError`], also [`StreamError::GivenUp`]; nothing was kept of the readings then,
    /// except after [`crate::ConnectionError::Spool`], when that is not known.
    pub async fn send(&self, readings: &[Reading]) -> Result<Sequence, StreamError> {
        self.send_marked(readings, None).await
    }

    /// As [`Stream::send`] of readings that end at a place of a file: with a state folder the place
    /// is kept in one write with the frame ([`crate::Backlog::marks`]).
    ///
    /// # Errors
    /// As [`Stream::send`].
    pub async fn send_marked(
        &self,
        readings: &[Reading],
        mark: Option<InputMark>,
    ) -> Result<Sequence, StreamError> {
        // Stored and queued under one lock, so that two senders cannot swap their sequences.
        let push = |state: &mut State| state.push(self.handle, readings, mark);
        let sequence = self.shared.wait_for(push).await?;
        self.shared.wake(self.lane);
        Ok(sequence)
    }

    /// As [`Stream::send`], but `None` at once if as much as may be is without receipt: whoever
    /// must not wait sheds what matters least.
    ///
    /// # Errors
    /// As [`Stream::send`].
    pub fn try_send(&self, readings: &[Reading]) -> Result<Option<Sequence>, StreamError> {
        let pushed = self.shared.lock().push(self.handle, readings, None).transpose()?;
        self.shared.wake(self.lane);
        Ok(pushed)
    }

    /// Waits until everything up to `sequence` is durable, by verified receipts.
    ///
    /// # Errors
    /// [`StreamError`] if the stream stops or the connection ends before, and
    /// [`StreamError::GivenUp`] if frames of the state folder were given up since the sequence was
    /// told, so that it may stand for another frame.
    pub async fn wait_for_receipt(&self, sequence: Sequence) -> Result<(), StreamError> {
        let find_receipt = |state: &mut State| {
            // Asked before the end is: what has a receipt stays durable, whatever came after it.
            let stream = state.streams.get(&self.handle);
            if stream.is_some_and(|one| one.moved.contains(sequence)) {
                return Some(Err(StreamError::GivenUp));
            }
            if stream.is_some_and(|one| one.last_receipted >= sequence) {
                return Some(Ok(()));
            }
            state.check_stream(self.handle).err().map(Err)
        };
        self.shared.wait_for(find_receipt).await
    }

    /// Waits for everything sent on this stream, but what is given up ([`Stream::gaps`]).
    ///
    /// # Errors
    /// [`StreamError`] if the stream stops or the connection ends before.
    pub async fn flush(&self) -> Result<(), StreamError> {
        let sent = self.shared.lock().streams.get(&self.handle).map(|one| one.last_sent);
        let sent = sent.unwrap_or_default();
        let find_receipts = |state: &mut State| {
            let stream = state.streams.get(&self.handle);
            // What is given up is waited for no longer: the last sequence is lower then.
            if stream.is_none_or(|one| one.last_receipted >= sent.min(one.last_sent)) {
                return Some(Ok(()));
            }
            state.check_stream(self.handle).err().map(Err)
        };
        self.shared.wait_for(find_receipts).await
    }

    /// What of it was given up because the state folder was full or it was old, and was not told
    /// yet ([`Stream::forget_gaps`]), from before a restart too.
    pub fn gaps(&self) -> Vec<Gap> {
        let state = self.shared.lock();
        let spool = state.streams.get(&self.handle).and_then(|one| one.spool.as_ref());
        spool.map(|spool| spool.gaps().to_vec()).unwrap_or_default()
    }

    /// Somebody was told of these gaps: the folder need not keep them. Until then no other patient
    /// follows on the device.
    ///
    /// # Errors
    /// [`StreamError::Spool`].
    pub fn forget_gaps(&self, told: &[Gap]) -> Result<(), StreamError> {
        let mut state = self.shared.lock();
        let stream = state.streams.get_mut(&self.handle);
        let Some(spool) = stream.and_then(|one| one.spool.as_mut()) else { return Ok(()) };
        spool.forget_gaps(told).map_err(|error| StreamError::Spool(Arc::new(error)))
    }

    /// The last sequence with a receipt.
    pub fn last_receipted(&self) -> Sequence {
        let state = self.shared.lock();
        state.streams.get(&self.handle).map(|one| one.last_receipted).unwrap_or_default()
    }

    /// The sequence of the next frame.
    pub fn next_sequence(&self) -> Sequence {
        let state = self.shared.lock();
        Sequence(state.streams.get(&self.handle).map_or(0, |one| one.last_sent.0) + 1)
    }

    /// The epoch that its frames are in.
    pub fn epoch(&self) -> EpochNumber {
        let state = self.shared.lock();
        state.streams.get(&self.handle).map(|one| one.name.epoch).unwrap_or_default()
    }

    /// Whether a state folder has all that was sent, also after a power cut; not known of a stream
    /// that has none, or that is over.
    pub fn is_synced(&self) -> bool {
        let state = self.shared.lock();
        let spool = state.streams.get(&self.handle).and_then(|one| one.spool.as_ref());
        spool.is_some_and(Spool::is_synced)
    }

    /// Of a stopped stream, the frames without a receipt, in order; once.
    pub fn take_unacknowledged(&self) -> Vec<Frame> {
        let mut state = self.shared.lock();
        let stream = state.streams.get_mut(&self.handle);
        let stop = stream.and_then(|one| one.stop.as_mut());
        stop.map(|stop| std::mem::take(&mut stop.frames)).unwrap_or_default()
    }

    /// Takes no more frames, and waits for the last receipt.
    ///
    /// # Errors
    /// As [`Stream::wait_for_receipt`].
    pub async fn end(self) -> Result<(), StreamError> {
        // The session would wait for the last receipt by itself; waiting here tells of a stop.
        self.flush().await?;
        self.close()
    }

    /// Stops it here as if the node had refused it with a code, and so ends every wait of it: for
    /// whoever does not wait any longer for what would pass.
    ///
    /// # Errors
    /// [`StreamError::Session`] if it is over already.
    pub fn stop(&self, code: RejectCode) -> Result<(), StreamError> {
        let mut state = self.shared.lock();
        state.session.stop_stream(self.handle, StopReason::Refused(code))?;
        state.take_events();
        drop(state);
        self.shared.notify();
        self.shared.wake(Lane::Control);
        Ok(())
    }

    /// Takes no more frames, and waits for nothing.
    ///
    /// # Errors
    /// [`StreamError::Session`] if it was ended before.
    pub fn close(&self) -> Result<(), StreamError> {
        let mut state = self.shared.lock();
        state.session.end_stream(self.handle)?;
        // The session tells the end at once; taken here, later calls on the stream find it ended.
        state.take_events();
        drop(state);
        self.shared.wake(Lane::Control);
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // One that goes on does so without its owner; of one that is over nobody asks any more, and
        // a program that opens streams for years would keep all of them.
        let is_over = |one: &StreamState| one.ended || one.stop.is_some();
        if state.streams.get(&self.handle).is_some_and(is_over) {
            state.streams.remove(&self.handle);
        }
    }
}

/// Takes no more frames for a stream that the node did not open.
fn give_up_opening(shared: &Shared, handle: StreamHandle, waited: Duration) -> StreamError {
    let mut state = shared.lock();
    // Nothing of it can be sent, so nobody misses it; one that ended meanwhile is gone already.
    drop(state.session.end_stream(handle));
    state.take_events();
    let code = state.streams.get(&handle).and_then(|one| one.postponed);
    drop(state);
    shared.wake(Lane::Control);
    // Without a word of the node the connection is lost at present, which is as unavailable.
    StreamError::Postponed { code: code.unwrap_or(RejectCode::Unavailable), waited }
}
