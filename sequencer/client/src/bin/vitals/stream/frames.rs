//! Readings become frames: full, or old enough, or cut where time goes back.

use std::sync::Arc;
use std::time::Duration;

use client::{Backlogs, Connection, Gap, InputMark, NewFrame, Pushed, StreamError};
use model::Signal;
use model::limits::FRAME_BYTES_MAX;
use recordings::text;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::{Instant, timeout_at};
use wire::{Descriptor, DeviceTime, Lane, Period, Reading};

use super::progress::Progress;
use super::step::{Bad, End, Step};
use crate::node::now;

/// Said where nothing more can be kept.
const FULL: &str = "the state folder holds as much as it may (--state-max): nothing more is read \
                    until the node is there";

/// Where frames go.
enum Sink {
    /// No connection stood yet, and no state folder keeps them: they wait to be read.
    Nowhere,
    /// No connection stood yet: among the backlogs, at the same place as among the signals.
    Folder,
    Node(client::Stream),
}

/// The frame that one signal's readings are collected in.
pub(super) struct Building {
    sink: Sink,
    signal: &'static Signal,
    readings: Vec<Reading>,
    /// Where in its file the last of them stands.
    mark: Option<InputMark>,
    /// Most readings of a frame.
    most: usize,
    longest: Duration,
    /// When the frame is sent even if it is not full.
    deadline: Option<Instant>,
}

impl Building {
    /// For a state folder's stream, if there is a folder.
    pub(super) fn new(
        signal: &'static Signal,
        is_kept: bool,
        frame_readings: u16,
        frame_ms: u64,
    ) -> Building {
        let (most, longest) = (usize::from(frame_readings), Duration::from_millis(frame_ms));
        let sink = if is_kept { Sink::Folder } else { Sink::Nowhere };
        Building { sink, signal, readings: Vec::new(), mark: None, most, longest, deadline: None }
    }

    fn is_full(&self) -> bool {
        self.readings.len() >= self.most
    }

    /// Whether a reading has to begin a frame: times within one never go back.
    fn is_behind(&self, reading: &Reading) -> bool {
        self.readings.last().is_some_and(|last| reading.at < last.at)
    }

    fn add(&mut self, reading: Reading, mark: Option<InputMark>) {
        // From the first reading on, so that none waits longer, however slowly others follow.
        self.deadline.get_or_insert_with(|| Instant::now() + self.longest);
        self.readings.push(reading);
        self.mark = mark;
    }

    /// What is collected goes; it was sent or kept.
    fn clear(&mut self) {
        self.readings.clear();
        self.deadline = None;
    }
}

/// What a signal lacks, since it found no room.
#[derive(Clone, Copy)]
pub(super) struct SignalGap {
    pub(super) signal: &'static Signal,
    pub(super) gap: Gap,
}

/// Why reading ended.
pub(super) enum Ended {
    /// All was read.
    Whole(End),
    /// At a line or sample that is no reading; what stands before it is sent.
    Bad(Bad, Box<End>),
    /// The node takes no more.
    Refused(StreamError),
}

/// Readings on their way from where they are read to where they go.
pub(super) struct Sending {
    pub(super) building: Vec<Building>,
    /// What the state folder keeps, until a connection takes it over.
    backlogs: Option<Backlogs>,
    steps: mpsc::Receiver<Step>,
    /// What was read and is not done yet.
    next: Option<Step>,
    ended: Option<Ended>,
    progress: Arc<Progress>,
}

impl Sending {
    pub(super) fn new(
        building: Vec<Building>,
        backlogs: Option<Backlogs>,
        steps: mpsc::Receiver<Step>,
        progress: Arc<Progress>,
    ) -> Sending {
        Sending { building, backlogs, steps, next: None, ended: None, progress }
    }

    /// Readings go to the node from now on, those that were kept first.
    pub(super) fn connect(
        &mut self,
        connection: &Connection,
        lane: Lane,
        begin: impl Fn(&'static Signal) -> anyhow::Result<Descriptor>,
    ) -> anyhow::Result<()> {
        let mut backlogs = self.backlogs.take().map(Backlogs::into_streams).unwrap_or_default();
        backlogs.reverse();
        for one in &mut self.building {
            one.sink = Sink::Node(match backlogs.pop() {
                Some(backlog) => {
                    let period = begin(one.signal)?.period;
                    connection.begin_backlog(lane, period, backlog)?
                }
                None => connection.begin_stream(lane, begin(one.signal)?)?,
            });
        }
        Ok(())
    }

    /// The streams that stand.
    pub(super) fn streams(&self) -> impl Iterator<Item = &client::Stream> {
        self.building.iter().filter_map(|one| match &one.sink {
            Sink::Node(stream) => Some(stream),
            Sink::Nowhere | Sink::Folder => None,
        })
    }

    /// What was given up of each signal and not told yet.
    pub(super) fn gaps(&self) -> Vec<SignalGap> {
        let of_node = self.building.iter().flat_map(|one| {
            let gaps = match &one.sink {
                Sink::Node(stream) => stream.gaps(),
                Sink::Nowhere | Sink::Folder => Vec::new(),
            };
            gaps.into_iter().map(|gap| SignalGap { signal: one.signal, gap })
        });
        of_node.collect()
    }

    /// Sends every reading until reading ended, each frame as soon as it may go. It may be dropped
    /// and called again: nothing is lost between.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        while self.ended.is_none() {
            for index in 0..self.building.len() {
                if self.building[index].is_full() {
                    self.flush(index).await?;
                }
            }
            self.wait_for_room().await;
            if self.next.is_none() && !self.receive().await? {
                continue;
            }
            self.take().await?;
        }
        self.flush_all().await
    }

    async fn flush_all(&mut self) -> anyhow::Result<()> {
        for index in 0..self.building.len() {
            self.flush(index).await?;
        }
        self.sync()
    }

    /// Sends what is collected of a signal. Dropped before it is done, it has sent nothing and
    /// keeps it.
    async fn flush(&mut self, index: usize) -> anyhow::Result<()> {
        let one = &mut self.building[index];
        if one.readings.is_empty() {
            one.clear();
            return Ok(());
        }
        match (&one.sink, &mut self.backlogs) {
            (Sink::Node(stream), _) => match stream.send_marked(&one.readings, one.mark).await {
                // It is counted, and stands in the folder until it is told.
                Ok(_) | Err(StreamError::GivenUp) => {}
                Err(error) => return Err(error.into()),
            },
            (Sink::Folder, Some(backlogs)) => {
                let frame = NewFrame { readings: &one.readings, mark: one.mark, at: now() };
                match backlogs.push(index, frame)? {
                    Pushed::Kept => self.progress.keep(one.readings.len()),
                    Pushed::GivenUp => {}
                    Pushed::NoRoom => {
                        self.progress.say(FULL);
                        std::future::pending().await
                    }
                }
                self.progress.hold(backlogs);
            }
            (Sink::Nowhere | Sink::Folder, _) => return Ok(()),
        }
        self.building[index].clear();
        Ok(())
    }

    /// Makes durable what the folder keeps.
    fn sync(&mut self) -> anyhow::Result<()> {
        self.backlogs.iter_mut().try_for_each(Backlogs::sync)?;
        Ok(())
    }

    /// What [`Sending::run`] came to.
    pub(super) fn ended(self) -> Option<Ended> {
        self.ended
    }

    /// Keeps what was read so far, of a pipe that cannot be read again, as far as there is room.
    /// Dropped before it is done or not, [`Sending::leave`] says what is not kept.
    pub(super) async fn keep(&mut self) -> anyhow::Result<()> {
        loop {
            for index in 0..self.building.len() {
                if self.building[index].is_full() {
                    self.flush(index).await?;
                }
            }
            if self.ended.is_some() || self.is_without_room() {
                break;
            }
            if self.next.is_none() {
                match self.steps.try_recv() {
                    Ok(step) => self.next = Some(step),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            self.take().await?;
        }
        self.flush_all().await
    }

    /// Takes no more readings, and counts those that were read and are in no frame.
    pub(super) fn leave(&mut self) -> u64 {
        self.steps.close();
        let collected = self.building.iter().map(|one| one.readings.len()).sum::<usize>();
        let queued = std::iter::from_fn(|| self.steps.try_recv().ok());
        let rest = self.next.take().into_iter().chain(queued);
        let rest = rest.filter(|step| matches!(step, Step::Reading(..))).count();
        (collected + rest) as u64
    }

    /// Does what was read.
    async fn take(&mut self) -> anyhow::Result<()> {
        if let Some(Step::Reading(measured, mark)) = &self.next {
            let (reading, mark) = (to_reading(measured)?, *mark);
            let own = self.building.iter().position(|one| one.signal.code == measured.signal.code);
            // Every signal that is read is one that was asked for and has its stream.
            if let Some(own) = own {
                if self.building[own].is_behind(&reading) {
                    self.flush(own).await?;
                }
                self.building[own].add(reading, mark);
            }
        }
        match self.next.take() {
            Some(Step::Reading(..)) | None => {}
            Some(Step::Bad(error, before)) => self.ended = Some(Ended::Bad(error, before)),
            Some(Step::End(end)) => self.ended = Some(Ended::Whole(end?)),
        }
        Ok(())
    }

    /// Waits for the next step, or sends what is due: then it is `false`.
    async fn receive(&mut self) -> anyhow::Result<bool> {
        if let Ok(step) = self.steps.try_recv() {
            self.next = Some(step);
            return Ok(true);
        }
        // Nothing more is there yet: what was kept until now shares one sync.
        self.sync()?;
        let deadline = self.building.iter().filter_map(|one| one.deadline).min();
        let step = match deadline {
            Some(deadline) => match timeout_at(deadline, self.steps.recv()).await {
                Ok(step) => step,
                Err(_) => {
                    self.flush_due().await?;
                    return Ok(false);
                }
            },
            None => self.steps.recv().await,
        };
        // The thread sends an end before it goes, unless it panicked.
        self.next = Some(step.ok_or_else(|| anyhow::anyhow!("reading ended without a word"))?);
        Ok(true)
    }

    async fn flush_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for index in 0..self.building.len() {
            if self.building[index].deadline.is_some_and(|due| due <= now) {
                self.flush(index).await?;
            }
        }
        Ok(())
    }

    /// Whether the folder takes nothing more before something has a receipt.
    fn is_without_room(&self) -> bool {
        // What is collected becomes a frame of each signal yet, also when the rest waits.
        let collected = FRAME_BYTES_MAX * self.building.len();
        self.backlogs.as_ref().is_some_and(|backlogs| !backlogs.has_room(collected))
    }

    /// Without a connection, waits for one where nothing more can be kept.
    async fn wait_for_room(&mut self) {
        if self.building.iter().any(|one| matches!(one.sink, Sink::Nowhere)) {
            std::future::pending().await
        }
        if self.is_without_room() {
            self.progress.say(FULL);
            std::future::pending().await
        }
    }
}

fn to_reading(measured: &text::Measured) -> anyhow::Result<Reading> {
    let at = DeviceTime::from_micros(measured.at.micros())?;
    Ok(match measured.value {
        Some(value) => Reading::new(at, value),
        None => Reading::sensor_off(at),
    })
}

/// As streams say it: as exactly as 64 and 32 bits hold. It describes; times stand in the readings.
pub(super) fn wire_period(period: text::Period) -> anyhow::Result<Period> {
    let (mut numerator, mut denominator) = (period.numerator_ns(), period.denominator());
    while numerator > u128::from(u64::MAX) || denominator > u128::from(u32::MAX) {
        (numerator, denominator) = (numerator / 2, denominator / 2);
    }
    // A period that rounds to nothing on the way has no rhythm that a stream could say.
    Ok(Period::new(u64::try_from(numerator)?.max(1), u32::try_from(denominator)?.max(1))?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use client::StateBounds;
    use model::calendar::Instant as Calendar;
    use wire::{Frame, FramePlace, StreamKey};

    use super::super::progress::View;
    use super::*;

    /// A folder's stream that sends frames of two readings, of so many that were read.
    fn sending(state: &Path, bytes_max: u64, count: usize) -> Sending {
        let signal = model::signal_by_name("heart-rate").unwrap();
        let device = model::DeviceId::new("m-1").unwrap();
        let patient = model::PatientIndex::new(7).unwrap();
        let key = StreamKey { device, patient, signal: signal.code };
        let bounds = StateBounds { bytes_max, ..StateBounds::default() };
        let backlogs = Backlogs::open(state, &[key], bounds).unwrap();
        let building = vec![Building::new(signal, true, 2, 250)];
        let (sender, steps) = mpsc::channel(16);
        let at = Calendar::from_micros(4_000_000_000_000_000).unwrap();
        for _ in 0..count {
            let measured = text::Measured { at, value: Some(600), signal };
            sender.try_send(Step::Reading(measured, None)).unwrap();
        }
        let progress = Progress::new(View::Nobody, Some(state.to_owned()), None);
        Sending::new(building, Some(backlogs), steps, Arc::new(progress))
    }

    #[tokio::test]
    async fn what_was_read_is_kept_and_what_finds_no_room_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut roomy = sending(&state, 8 << 20, 7);
        roomy.keep().await.unwrap();
        assert_eq!((roomy.progress.kept_readings(), roomy.leave()), (7, 0));
        drop(roomy);
        // Room for one more frame.
        let held: u64 = std::fs::read_dir(state.join("m-1.147842.frames"))
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        let mut narrow = sending(&state, held + FRAME_BYTES_MAX as u64 + 100, 7);
        narrow.keep().await.unwrap();
        assert_eq!((narrow.progress.kept_readings(), narrow.leave()), (2, 5));
    }

    #[test]
    fn a_reading_of_the_last_time_that_is_read_can_be_framed() {
        let signal = model::signal_by_name("heart-rate").unwrap();
        for at in [Calendar::LAST, Calendar::from_micros(0).unwrap()] {
            let reading = to_reading(&text::Measured { at, value: None, signal }).unwrap();
            let place = FramePlace {
                handle: model::StreamHandle(1),
                epoch: model::EpochNumber(1),
                sequence: model::Sequence(1),
            };
            Frame::encode_raw(place, signal, &[reading]).unwrap();
        }
    }
}
