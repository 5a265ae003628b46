//! What waits to be sent to a client.

use std::collections::VecDeque;

use bytes::Bytes;

use super::event::OutgoingFull;
use crate::Lane;
use crate::limits::MESSAGE_BYTES_MAX;

pub(super) struct Outgoing {
    lanes: [VecDeque<Bytes>; 3],
    bytes: usize,
    bytes_max: usize,
}

impl Outgoing {
    pub(super) fn new(bytes_max: usize) -> Outgoing {
        Outgoing { lanes: Default::default(), bytes: 0, bytes_max }
    }

    /// From now on so many bytes may wait.
    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Whether one more message may wait. If not, the peer does not read what it caused.
    pub(super) fn fits(&self, bytes: &Bytes) -> bool {
        // One largest message always fits, so that a small limit cannot close an idle peer.
        self.bytes + bytes.len() <= self.bytes_max.max(2 * MESSAGE_BYTES_MAX)
    }

    /// Whether released data may be queued: half of the room is kept for everything else, so that a
    /// large answer closes no connection by itself.
    pub(super) fn check_release(&self) -> Result<(), OutgoingFull> {
        // Without the frame that is offered, so that with nothing waiting one always goes.
        let (found, limit) = (self.bytes, self.bytes_max / 2);
        if found > limit { Err(OutgoingFull { limit, found }) } else { Ok(()) }
    }

    /// Queues a whole message.
    pub(super) fn push(&mut self, lane: Lane, bytes: Bytes) {
        self.bytes += bytes.len();
        self.lanes[lane as usize].push_back(bytes);
    }

    /// The next message of a lane.
    pub(super) fn pop(&mut self, lane: Lane) -> Option<Bytes> {
        let bytes = self.lanes[lane as usize].pop_front()?;
        self.bytes -= bytes.len();
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    #[test]
    fn what_waits_is_bounded_over_all_lanes_and_room_comes_back() {
        let bytes_max = 4 * MESSAGE_BYTES_MAX;
        let mut outgoing = Outgoing::new(bytes_max);
        outgoing.push(Lane::Control, message(bytes_max - 8));
        outgoing.push(Lane::Backfill, message(8));
        assert!(!outgoing.fits(&message(1)));
        assert_eq!(outgoing.pop(Lane::Backfill), Some(message(8)));
        assert_eq!(outgoing.pop(Lane::Backfill), None);
        assert!(outgoing.fits(&message(8)));
    }

    #[test]
    fn released_data_leaves_half_of_the_room() {
        let mut outgoing = Outgoing::new(100);
        outgoing.push(Lane::Backfill, message(50));
        assert_eq!(outgoing.check_release(), Ok(()));
        outgoing.push(Lane::Backfill, message(1));
        assert_eq!(outgoing.check_release(), Err(OutgoingFull { limit: 50, found: 51 }));
    }

    #[test]
    fn the_smallest_limit_takes_one_largest_message() {
        assert!(Outgoing::new(0).fits(&message(MESSAGE_BYTES_MAX)));
    }
}
