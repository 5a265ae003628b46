//! Keeps the witness beside the journal: a thread of its own, off the way of every acknowledgement.
//!
//! It looks at the journal's head and writes it down, never more than a second or a thousand groups
//! behind. The writer does not know of it: nothing that is acknowledged waits for a second sync.

use std::convert::Infallible;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::{io, iter};

use journal::{Head, Medium, Reader};
use prometheus::IntGauge;

use crate::guard::{Guard, GuardedThread, Stage};

/// How often the head is looked at; costs nothing where it did not move. At this pace the threshold
/// below keeps to a thousand groups up to 10,000 groups a second, more than disks sync.
const LOOK: Duration = Duration::from_millis(50);
/// How old the witness may become while the journal moves: with the look and the write, a second.
const AGE_MAX: Duration = Duration::from_millis(800);
/// How many groups may be behind it before it is written whatever its age.
const GROUPS_MAX: u64 = 500;

/// What keeps the witness of a head.
pub(super) trait KeepWitness: Send + 'static {
    /// Writes it down, durably.
    fn keep(&mut self, head: &Head) -> Result<(), Box<dyn std::error::Error>>;
}

/// The running thread.
#[derive(Debug)]
pub(super) struct WitnessThread {
    thread: GuardedThread,
    stop: SyncSender<Infallible>,
}

impl WitnessThread {
    /// Starts it; the journal's present head is written at the first look.
    ///
    /// # Errors
    /// If the system starts no further thread.
    pub(super) fn start<M: Medium>(
        journal: Reader<M>,
        keep: impl KeepWitness,
        lag: IntGauge,
        guard: &Guard,
    ) -> io::Result<WitnessThread> {
        let (stop, stopped) = sync_channel(0);
        let mut ended = false;
        // Whether it is the last look, which is one after the stop: the head does not move then.
        let looks = iter::from_fn(move || {
            if ended {
                return None;
            }
            let stopped: Result<Infallible, _> = stopped.recv_timeout(LOOK);
            ended = !stopped.is_err_and(|why| why == RecvTimeoutError::Timeout);
            Some(ended)
        });
        let mut keeper = Keeper { keep, written: None, at: Instant::now(), failed: false };
        let look = move |ends| {
            let head = journal.head();
            keeper.look(&head, ends);
            lag.set(keeper.behind(&head) as i64);
            Ok::<_, Infallible>(())
        };
        let thread = guard.thread(Stage::Upkeep, "journal-witness", looks, look)?;
        Ok(WitnessThread { thread, stop })
    }

    /// Writes the last head, and ends it.
    pub(super) fn stop(self) {
        let WitnessThread { thread, stop } = self;
        thread.stop(|| drop(stop));
    }
}

/// What was written last, and when.
struct Keeper<K> {
    keep: K,
    written: Option<u64>,
    at: Instant,
    failed: bool,
}

impl<K: KeepWitness> Keeper<K> {
    fn behind(&self, head: &Head) -> u64 {
        head.group - self.written.unwrap_or(0)
    }

    fn look(&mut self, head: &Head, ends: bool) {
        let moved = self.written != Some(head.group);
        let due = ends || is_due(self.written, head.group, self.at.elapsed());
        if !moved || !due {
            return;
        }
        match self.keep.keep(head) {
            Ok(()) => {
                (self.written, self.at, self.failed) = (Some(head.group), Instant::now(), false);
            }
            // Tried again at the next look. The journal goes on: its own disk failing ends the
            // node by itself, and an older witness is a true one. Said once, not each time.
            Err(error) if !self.failed => {
                self.failed = true;
                tracing::error!(error, "the witness beside the journal cannot be written");
            }
            Err(_) => {}
        }
    }
}

/// Whether a head must be written down now.
fn is_due(written: Option<u64>, group: u64, age: Duration) -> bool {
    match written {
        None => true,
        Some(written) => group > written && (age >= AGE_MAX || group - written >= GROUPS_MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use journal::fault::{FaultMedium, salts};
    use journal::{Entry, EntryKind, Genesis, Log};

    use super::*;
    use crate::guard::Failures;

    const NOW: u64 = 3_976_214_400_000;

    /// Tells each head and returns only when it is let.
    struct Gate {
        heads: Sender<u64>,
        go: Receiver<()>,
    }

    impl KeepWitness for Gate {
        fn keep(&mut self, head: &Head) -> Result<(), Box<dyn std::error::Error>> {
            self.heads.send(head.group)?;
            Ok(self.go.recv()?)
        }
    }

    fn gauge() -> IntGauge {
        IntGauge::new("lag", "groups").unwrap()
    }

    fn append(log: &mut Log<FaultMedium>) {
        log.append(&[Entry::new(EntryKind::FRAME, NOW, "entry")]).unwrap();
    }

    #[test]
    fn a_witness_is_due_after_a_second_or_a_thousand_groups_and_never_without_a_group() {
        let young = Duration::from_millis(1);
        assert!(is_due(None, 0, young), "the first says where the journal began");
        assert!(!is_due(Some(7), 7, Duration::from_secs(3_600)));
        assert!(!is_due(Some(7), 8, young));
        assert!(is_due(Some(7), 8, AGE_MAX));
        assert!(is_due(Some(7), 7 + GROUPS_MAX, young));
        assert!(AGE_MAX + 2 * LOOK < Duration::from_secs(1));
    }

    #[test]
    fn acknowledgements_wait_for_one_sync_and_never_for_the_witness() {
        // One file holds them all: a rotation has calls of its own.
        let medium = FaultMedium::default().with_lengths(1 << 24, 1 << 24);
        let genesis = Genesis { log_id: [1; 16], journal_hash: [2; 32] };
        let (mut log, _) = Log::open(medium.clone(), genesis, salts()).unwrap();
        let ((heads, told), (go, gate)) = (channel(), channel());
        let lag = gauge();
        let keep = Gate { heads, go: gate };
        let guard = Guard::new(Failures::new());
        let thread = WitnessThread::start(log.reader(), keep, lag.clone(), &guard).unwrap();
        assert_eq!(told.recv().unwrap(), 0, "the head at the start");
        // The witness hangs from here on, and the journal acknowledges two thousand groups.
        let before = medium.calls();
        (0..2_000).for_each(|_| append(&mut log));
        // Each is one write, one sync and one durable mark.
        assert_eq!(medium.calls() - before, 3 * 2_000, "no second sync");
        go.send(()).unwrap();
        assert_eq!(told.recv().unwrap(), 2_000, "then the newest head, in one step");
        go.send(()).unwrap();
        append(&mut log);
        // The end writes what is left, at once.
        go.send(()).unwrap();
        thread.stop();
        assert_eq!(told.iter().last(), Some(2_001));
        assert_eq!(lag.get(), 0);
    }

    #[test]
    fn a_witness_that_cannot_be_written_is_tried_again() {
        struct Fails(u32, Sender<u64>);
        impl KeepWitness for Fails {
            fn keep(&mut self, head: &Head) -> Result<(), Box<dyn std::error::Error>> {
                self.0 += 1;
                if self.0 < 3 { Err("no room".into()) } else { Ok(self.1.send(head.group)?) }
            }
        }
        let genesis = Genesis { log_id: [1; 16], journal_hash: [2; 32] };
        let (mut log, _) = Log::open(FaultMedium::default(), genesis, salts()).unwrap();
        append(&mut log);
        let (heads, told) = channel();
        let guard = Guard::new(Failures::new());
        let keep = Fails(0, heads);
        let thread = WitnessThread::start(log.reader(), keep, gauge(), &guard).unwrap();
        assert_eq!(told.recv().unwrap(), 1);
        thread.stop();
    }
}
