//! Whether the node is silent: nothing comes from it although it was sent what it must answer.
//!
//! Not all that is sent is answered. An acknowledgement is not (RFC 9000, section 13.2.1), and it
//! often leaves after the answer that it is for was seen: a gateway that then has nothing to send
//! for some seconds waits for nothing. Nor is a packet that tries how long a datagram may be, where
//! the path takes no longer ones: QUIC does not send it again (section 14.4).

use std::time::Duration;

use quinn::ConnectionStats;
use tokio::time::Instant;

/// What a connection counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Counted {
    /// Datagrams that came.
    received: u64,
    /// Frames of what is sent until it is answered.
    asked: u64,
}

impl Counted {
    pub(super) fn of(stats: &ConnectionStats) -> Counted {
        // Whatever is not answered is asked after: by a ping, or by an immediate acknowledgement
        // that is asked for, where the node knows these, as one of ours does (quinn-proto,
        // `spaces.rs`). A packet that tries a length carries both.
        let tries = stats.path.sent_plpmtud_probes;
        let probes = [stats.frame_tx.ping, stats.frame_tx.immediate_ack];
        let probes: u64 = probes.iter().map(|count| count.saturating_sub(tries)).sum();
        Counted { received: stats.udp_rx.datagrams, asked: stats.frame_tx.stream + probes }
    }
}

/// Since when nothing came back.
#[derive(Debug)]
pub(super) struct Silence {
    /// When something came last, as far as it was looked.
    heard: Counted,
    /// When something was first sent that nothing came back for.
    since: Option<Instant>,
}

impl Silence {
    pub(super) fn begin(heard: Counted) -> Silence {
        Silence { heard, since: None }
    }

    /// For how long the node has been silent by now.
    pub(super) fn look(&mut self, counted: Counted, now: Instant) -> Duration {
        if counted.received != self.heard.received {
            *self = Silence::begin(counted);
        } else if counted.asked != self.heard.asked {
            return now - *self.since.get_or_insert(now);
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn counted(received: u64, asked: u64) -> Counted {
        Counted { received, asked }
    }

    fn stats(change: impl Fn(&mut ConnectionStats)) -> Counted {
        let mut stats = ConnectionStats::default();
        change(&mut stats);
        Counted::of(&stats)
    }

    #[test]
    fn what_needs_no_answer_is_not_waited_for() {
        let nothing = stats(|_| ());
        assert_eq!(stats(|of| (of.udp_tx.datagrams, of.frame_tx.acks) = (1, 1)), nothing);
        assert_eq!(stats(|of| (of.frame_tx.ping, of.path.sent_plpmtud_probes) = (1, 1)), nothing);
        let tried = |of: &mut ConnectionStats| {
            (of.frame_tx.ping, of.frame_tx.immediate_ack) = (1, 1);
            of.path.sent_plpmtud_probes = 1;
        };
        assert_eq!(stats(tried), nothing);
        assert_ne!(stats(|of| of.frame_tx.immediate_ack = 1), nothing);
        assert_ne!(stats(|of| of.frame_tx.ping = 1), nothing);
        assert_ne!(stats(|of| of.frame_tx.stream = 1), nothing);
    }

    #[test]
    fn silence_begins_with_what_is_not_answered_and_ends_with_whatever_comes() {
        let begin = Instant::now();
        let mut silence = Silence::begin(counted(5, 4));
        let mut look = |second: u32, counted| silence.look(counted, begin + second * SECOND);
        assert_eq!(look(9, counted(5, 4)), Duration::ZERO, "nothing was asked");
        assert_eq!(look(10, counted(5, 5)), Duration::ZERO, "it may answer yet");
        assert_eq!(look(11, counted(5, 5)), SECOND);
        assert_eq!(look(12, counted(5, 8)), 2 * SECOND, "it was asked first two seconds ago");
        assert_eq!(look(13, counted(6, 8)), Duration::ZERO, "something came");
        assert_eq!(look(99, counted(6, 8)), Duration::ZERO, "and nothing was asked since");
        assert_eq!(look(100, counted(6, 9)), Duration::ZERO);
        assert_eq!(look(101, counted(6, 9)), SECOND);
    }
}
