//! Frames on their way: from the time they were meant to be sent to their receipt.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Millis, Sequence};
use wire::{Receipt, StreamName};

/// One frame that has no receipt yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    pub(crate) sequence: Sequence,
    /// When it was meant to be sent, after the program's begin.
    pub(crate) intended: Duration,
    /// When it was handed to the client.
    pub(crate) at: Millis,
    pub(crate) readings: u32,
}

/// When a receipt came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arrival {
    /// After the program's begin.
    pub(crate) arrived: Duration,
    /// The same by the wall clock.
    pub(crate) at: Millis,
}

/// One frame with its receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Acknowledged {
    /// Number of its stream in this run.
    pub(crate) stream: usize,
    pub(crate) sent: Sent,
    pub(crate) arrival: Arrival,
    pub(crate) group: u64,
    pub(crate) journal_hash: [u8; 32],
}

struct Waiting {
    stream: usize,
    /// By ascending sequence.
    sent: VecDeque<Sent>,
}

/// The frames of one gateway that wait for receipts. As many as the run lets be in flight.
#[derive(Default)]
pub(crate) struct InFlight(BTreeMap<StreamName, Waiting>);

impl InFlight {
    /// A stream that is about to send.
    pub(crate) fn open(&mut self, name: StreamName, stream: usize) {
        self.0.insert(name, Waiting { stream, sent: VecDeque::new() });
    }

    /// A frame that is about to be sent: said before, so that no receipt can come first.
    pub(crate) fn expect(&mut self, name: &StreamName, sent: Sent) {
        let waiting = self.0.get_mut(name).expect("only open streams send");
        waiting.sent.push_back(sent);
    }

    /// The frame expected last was not sent after all.
    pub(crate) fn retract(&mut self, name: &StreamName) {
        self.0.get_mut(name).and_then(|waiting| waiting.sent.pop_back());
    }

    /// Gives up what a stream still waits for; says how many frames.
    pub(crate) fn abandon(&mut self, name: &StreamName) -> u64 {
        let waiting = self.0.get_mut(name);
        waiting.map_or(0, |waiting| std::mem::take(&mut waiting.sent).len() as u64)
    }

    /// The frames that a receipt acknowledges, in order. One acknowledged before is not again.
    pub(crate) fn acknowledge(&mut self, receipt: &Receipt, arrival: Arrival) -> Vec<Acknowledged> {
        let mut found = Vec::new();
        for item in &receipt.items().frames {
            // A receipt names all that its group has of this gateway, also what another run sent.
            let Some(waiting) = self.0.get_mut(&item.stream) else { continue };
            let (first, last) = item.sequences;
            // Sequences ascend, so the range is found without looking at every frame in flight.
            let begin = waiting.sent.partition_point(|sent| sent.sequence < first);
            let end = waiting.sent.partition_point(|sent| sent.sequence <= last);
            let stream = waiting.stream;
            let (group, journal_hash) = (receipt.group.group, receipt.group.journal_hash);
            let acknowledged = |sent| Acknowledged { stream, sent, arrival, group, journal_hash };
            // Taken out, so that a receipt that comes again acknowledges nothing again.
            found.extend(waiting.sent.drain(begin..end).map(acknowledged));
        }
        found
    }
}

pub(crate) fn lock(flight: &Mutex<InFlight>) -> MutexGuard<'_, InFlight> {
    // Consistent after every call, so a panic elsewhere does not spoil it.
    flight.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ChainScope, DeviceId, EpochNumber, Position};
    use wire::{FramesItem, GroupIdentity, Holder, Items};

    fn name(device: &str) -> StreamName {
        let device = DeviceId::new(device).unwrap();
        StreamName { device, signal: 131_328, epoch: EpochNumber(1) }
    }

    fn at() -> Millis {
        Millis::new(4_000_000_000_000).unwrap()
    }

    fn sent(sequence: u64) -> Sent {
        let intended = Duration::from_millis(10 * sequence);
        Sent { sequence: Sequence(sequence), intended, at: at(), readings: 256 }
    }

    fn receipt(items: &[(&str, u64, u64)]) -> Receipt {
        let scope = ChainScope { chain_id: 1, contract: [1; 20] };
        let group = GroupIdentity { scope, group: 8, term: 0, journal_hash: [2; 32] };
        let mut position = 0;
        let item = |(device, first, last): &(&str, u64, u64)| {
            let begin = position + 1;
            position = begin + last - first;
            FramesItem {
                stream: name(device),
                sequences: (Sequence(*first), Sequence(*last)),
                positions: (Position(begin), Position(position)),
                appended: at(),
            }
        };
        let frames = items.iter().map(item).collect();
        Receipt::new(group, Holder([1; 32]), Items { frames, ..Items::default() }).unwrap()
    }

    fn acknowledged(flight: &mut InFlight, items: &[(&str, u64, u64)]) -> Vec<(usize, u64)> {
        let arrival = Arrival { arrived: Duration::from_secs(1), at: at() };
        let found = flight.acknowledge(&receipt(items), arrival);
        found.iter().map(|one| (one.stream, one.sent.sequence.0)).collect()
    }

    #[test]
    fn a_receipt_acknowledges_each_frame_of_its_ranges_once() {
        let mut flight = InFlight::default();
        flight.open(name("a"), 0);
        flight.open(name("b"), 1);
        (1..=5).for_each(|sequence| flight.expect(&name("a"), sent(sequence)));
        flight.expect(&name("b"), sent(1));
        let other_gateways = ("c", 1, 9);
        assert_eq!(
            acknowledged(&mut flight, &[("a", 1, 3), ("b", 1, 1), other_gateways]),
            [(0, 1), (0, 2), (0, 3), (1, 1)]
        );
        assert_eq!(acknowledged(&mut flight, &[("a", 1, 4)]), [(0, 4)]);
        assert_eq!(flight.abandon(&name("a")), 1);
        assert_eq!(acknowledged(&mut flight, &[("a", 1, 9)]), []);
    }

    #[test]
    fn what_was_not_sent_is_not_waited_for() {
        let mut flight = InFlight::default();
        flight.open(name("a"), 0);
        flight.expect(&name("a"), sent(1));
        flight.expect(&name("a"), sent(2));
        flight.retract(&name("a"));
        assert_eq!(acknowledged(&mut flight, &[("a", 1, 2)]), [(0, 1)]);
    }
}
