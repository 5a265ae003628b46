//! Small frames that wait together go together: in one message, to a server that takes blocks.

use bytes::Bytes;

use super::ClientSession;
use crate::block::{joins, pack};
use crate::{Features, Lane};

impl ClientSession {
    /// The next frame of a lane, or several small ones that wait behind it (W.91). Nothing waits to
    /// be joined: what comes a moment later goes a moment later.
    pub(super) fn next_frames(&mut self, lane: Lane) -> Option<Bytes> {
        let first = self.held.next_frame(lane)?;
        // First what costs least to ask: large frames gain nothing.
        let may_join =
            joins(&first) && self.block_frames_max > 1 && self.features.contains(Features::BLOCKS);
        // A second one first, before memory is taken for several.
        let second = may_join.then(|| self.held.next_frame_if(lane, joins)).flatten();
        let Some(second) = second else { return Some(first) };
        let mut frames = vec![first, second];
        while frames.len() < self.block_frames_max
            && let Some(next) = self.held.next_frame_if(lane, joins)
        {
            frames.push(next);
        }
        // They are of one session, so they pack; one behind the other they say the same.
        Some(pack(&frames).unwrap_or_else(|| frames.concat().into()))
    }
}
