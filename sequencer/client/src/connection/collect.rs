//! Receipts for what the node has of a stream, before what follows is given up.

use wire::Lane;

use super::{Connection, Stream, StreamError};
use crate::Backlog;
use crate::connection::state::State;
use crate::spool::NO_EPOCH;

impl Connection {
    /// Asks the node what it has of a backlog that it refused, and waits for the receipts of that,
    /// however long it takes: nothing behind it is sent. When this returns, the folder says what
    /// is durable, and is free: [`Backlog::give_up_refused`] gives up what is not.
    ///
    /// The node opens a stream whose frames it refuses, and acknowledges what it has of it again.
    ///
    /// # Errors
    /// [`StreamError`]: above all [`StreamError::Stopped`] if the node does not open the stream any
    /// more, so that nobody learns what it has.
    pub async fn collect_receipts(&self, lane: Lane, backlog: Backlog) -> Result<(), StreamError> {
        let Backlog { key, mut spool } = backlog;
        // Of what was never sent the node has nothing, and it need not be asked.
        if spool.epoch() == NO_EPOCH || spool.kept_frames().sent <= spool.last_receipted() {
            return Ok(());
        }
        spool.hold_back();
        let closing = Closing(self.begin_backlog(lane, None, Backlog { key, spool })?);
        let Closing(stream) = &closing;
        let find_all = |state: &mut State| match state.check_stream(stream.handle) {
            Ok(one) => one.has_all_known().then_some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        stream.shared.wait_for(find_all).await
    }
}

/// Ends a stream also where nobody waits any more: it would keep its folder for itself.
struct Closing(Stream);

impl Drop for Closing {
    fn drop(&mut self) {
        // One that is over already says so.
        drop(self.0.close());
    }
}
