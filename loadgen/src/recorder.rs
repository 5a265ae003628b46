//! Takes every acknowledgement: counts it, writes it down, and lets the next frame go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use wire::StreamKey;

use crate::flight::Acknowledged;
use crate::histogram::Histogram;
use crate::ledger::{LedgerEntry, LedgerError, LedgerReceipt, LedgerStream, LedgerWriter};
use crate::timeline::{Seen, Timeline};

/// Counts that may be read while a run goes on.
#[derive(Debug, Default)]
pub struct Live {
    frames: AtomicU64,
    readings: AtomicU64,
}

impl Live {
    /// Frames acknowledged so far.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Readings acknowledged so far.
    pub fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }
}

/// What the recorder is told.
pub(crate) enum Event {
    /// The frames of one receipt.
    Acknowledged(Vec<Acknowledged>),
    /// Something else was counted, at a time after the program's begin.
    Seen(Duration, Seen),
    /// Nothing follows.
    End,
}

/// Everything acknowledged.
#[derive(Default)]
pub(crate) struct Totals {
    /// Microseconds from the intended send time, rounded up.
    pub(crate) latency: Histogram,
    /// The same and more, by the time that receipts came.
    pub(crate) timeline: Timeline,
    pub(crate) frames: u64,
    pub(crate) readings: u64,
    /// When the last receipt came, after the program's begin.
    pub(crate) last: Duration,
}

/// A stream as the ledger names it.
pub(crate) struct StreamLabel {
    pub(crate) gateway: String,
    pub(crate) key: StreamKey,
    pub(crate) epoch: u16,
}

/// One thread, so that neither counting nor a slow disk holds up a connection. What waits for it is
/// bounded by the frames in flight: a frame's permit is given back only after it is written down.
pub(crate) struct Recorder {
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) ledger: Option<LedgerWriter>,
    pub(crate) labels: Vec<StreamLabel>,
    /// When sending began, after the program's begin.
    pub(crate) begin: Duration,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) live: Arc<Live>,
    /// Set when the ledger cannot be written: a run without its ledger proves nothing.
    pub(crate) failed: watch::Sender<bool>,
}

impl Recorder {
    /// Runs until [`Event::End`]. A ledger that failed is not written any further.
    pub(crate) fn record(mut self) -> (Totals, Option<LedgerError>) {
        let (mut totals, mut error) = (Totals::default(), None);
        while let Some(event) = self.next(&mut error) {
            let frames = match event {
                Event::Acknowledged(frames) => frames,
                Event::Seen(at, seen) => {
                    totals.timeline.see(at.saturating_sub(self.begin), seen);
                    continue;
                }
                Event::End => break,
            };
            for one in &frames {
                totals.count(one, self.begin);
                // Added and not stored: groups of one scenario count into one.
                self.live.frames.fetch_add(1, Ordering::Relaxed);
                self.live.readings.fetch_add(one.sent.readings.into(), Ordering::Relaxed);
                let written = self.write(one);
                self.keep_error(written, &mut error);
            }
            // Last: what is not written down counts as in flight, which bounds memory. All of a
            // receipt at once: one by one, each would wake a sender for one frame.
            self.permits.add_permits(frames.len());
        }
        (totals, error)
    }

    /// The next event. What was written goes to the file whenever none is there yet.
    fn next(&mut self, error: &mut Option<LedgerError>) -> Option<Event> {
        // Flushed when there is time for it: on each line it would be the slowest part of the run.
        let event = self.events.try_recv().or_else(|_| {
            let flushed = self.ledger.as_mut().map_or(Ok(()), LedgerWriter::flush);
            self.keep_error(flushed, error);
            self.events.recv()
        });
        match event {
            Ok(event @ (Event::Acknowledged(_) | Event::Seen(..))) => Some(event),
            Ok(Event::End) | Err(_) => {
                let flushed = self.ledger.as_mut().map_or(Ok(()), LedgerWriter::flush);
                self.keep_error(flushed, error);
                None
            }
        }
    }

    fn write(&mut self, one: &Acknowledged) -> Result<(), LedgerError> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let StreamLabel { gateway, key, epoch } = &self.labels[one.stream];
        ledger.write(&LedgerEntry {
            gateway: gateway.clone(),
            stream: LedgerStream {
                device: key.device.as_str().to_owned(),
                patient: key.patient.get(),
                signal: key.signal,
            },
            epoch: *epoch,
            seq: one.sent.sequence.0,
            sent_ms: one.sent.at.get(),
            acked_ms: one.arrival.at.get(),
            receipt: LedgerReceipt {
                group: one.group,
                journal_hash: hex::encode(one.journal_hash),
            },
        })
    }

    fn keep_error(&mut self, outcome: Result<(), LedgerError>, error: &mut Option<LedgerError>) {
        if let Err(found) = outcome {
            error.get_or_insert(found);
            self.ledger = None;
            self.failed.send_replace(true);
        }
    }
}

impl Totals {
    fn count(&mut self, one: &Acknowledged, begin: Duration) {
        let latency = one.arrival.arrived.saturating_sub(one.sent.intended);
        let micros = u64::try_from(latency.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let readings = u64::from(one.sent.readings);
        self.latency.record(micros);
        self.timeline.acknowledge(one.arrival.arrived.saturating_sub(begin), readings, micros);
        self.frames += 1;
        self.readings += readings;
        self.last = self.last.max(one.arrival.arrived);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::{Arrival, Sent};
    use crate::ledger::LedgerReader;
    use model::{DeviceId, Millis, PatientIndex, Sequence};

    fn acknowledged(sequence: u64, arrived_ms: u64) -> Acknowledged {
        let at = Millis::new(4_000_000_000_000).unwrap();
        let intended = Duration::from_millis(10);
        let sent = Sent { sequence: Sequence(sequence), intended, at, readings: 256 };
        let arrival = Arrival { arrived: Duration::from_millis(arrived_ms), at };
        Acknowledged { stream: 0, sent, arrival, group: 1, journal_hash: [0; 32] }
    }

    fn recorded(ledger: Option<LedgerWriter>, events: Vec<Event>) -> (Totals, Arc<Semaphore>) {
        let (sender, receiver) = mpsc::channel();
        events.into_iter().for_each(|event| sender.send(event).unwrap());
        drop(sender);
        let key = StreamKey {
            device: DeviceId::new("monitor-1").unwrap(),
            patient: PatientIndex::new(7).unwrap(),
            signal: 131_328,
        };
        let permits = Arc::new(Semaphore::new(0));
        let recorder = Recorder {
            events: receiver,
            ledger,
            labels: vec![StreamLabel { gateway: "gateway-001".into(), key, epoch: 1 }],
            begin: Duration::from_millis(10),
            permits: permits.clone(),
            live: Arc::default(),
            failed: watch::Sender::new(false),
        };
        let (totals, error) = recorder.record();
        assert!(error.is_none());
        (totals, permits)
    }

    #[test]
    fn every_acknowledgement_is_timed_counted_and_written_before_its_permit_returns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = LedgerWriter::create(&path).unwrap();
        let events = vec![
            Event::Acknowledged(vec![acknowledged(1, 12)]),
            Event::Acknowledged(vec![acknowledged(2, 15)]),
            Event::End,
        ];
        let (totals, permits) = recorded(Some(ledger), events);
        assert_eq!((totals.frames, totals.readings), (2, 512));
        assert_eq!((totals.latency.max(), totals.last), (5000, Duration::from_millis(15)));
        assert_eq!(permits.available_permits(), 2);
        let written: Vec<_> = LedgerReader::open(&path).unwrap().map(|e| e.unwrap().seq).collect();
        assert_eq!(written, [1, 2]);
    }

    #[test]
    fn the_series_is_of_the_time_that_receipts_came_after_the_begin_of_sending() {
        let seen = Seen { delays: 1, ..Seen::default() };
        let events = vec![
            Event::Acknowledged(vec![acknowledged(1, 1009)]),
            Event::Seen(Duration::from_millis(1010), seen),
            Event::Acknowledged(vec![acknowledged(2, 1010)]),
        ];
        let bins = recorded(None, events).0.timeline.series().bins;
        let found: Vec<_> = bins.iter().map(|bin| (bin.frames, bin.delays)).collect();
        assert_eq!(found, [(1, 0), (1, 1)]);
    }

    #[test]
    fn a_receipt_before_the_intended_time_counts_as_no_latency() {
        let (totals, _) = recorded(None, vec![Event::Acknowledged(vec![acknowledged(1, 3)])]);
        assert_eq!((totals.frames, totals.latency.max()), (1, 0));
    }
}
