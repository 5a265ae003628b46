//! Readings become frames: full, or old enough, or cut where time goes back.

use std::time::Duration;

use client::InputMark;
use model::Signal;
use recordings::text;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use wire::{DeviceTime, Period, Reading};

use super::step::{Bad, End, Step};

/// The frame that one signal's readings are collected in.
pub(super) struct Building {
    pub(super) stream: client::Stream,
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
    pub(super) fn new(
        stream: client::Stream,
        signal: &'static Signal,
        frame_readings: u16,
        frame_ms: u64,
    ) -> Building {
        let (most, longest) = (usize::from(frame_readings), Duration::from_millis(frame_ms));
        Building { stream, signal, readings: Vec::new(), mark: None, most, longest, deadline: None }
    }

    async fn push(&mut self, reading: Reading, mark: Option<InputMark>) -> anyhow::Result<()> {
        // Times within a frame never go back; a later reading with an earlier time begins one.
        if self.readings.last().is_some_and(|last| reading.at < last.at) {
            self.flush().await?;
        }
        // From the first reading on, so that none waits longer, however slowly others follow.
        self.deadline.get_or_insert_with(|| Instant::now() + self.longest);
        self.readings.push(reading);
        self.mark = mark;
        if self.readings.len() >= self.most { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.deadline = None;
        let readings = std::mem::take(&mut self.readings);
        if !readings.is_empty() {
            self.stream.send_marked(&readings, self.mark).await?;
        }
        Ok(())
    }
}

/// Why reading ended.
pub(super) enum Ended {
    /// All was read.
    Whole(End),
    /// At a line or sample that is no reading; what stands before it is sent.
    Bad(Bad),
}

/// Sends every reading until lines end, each frame as soon as it may go.
pub(super) async fn send_all(
    building: &mut [Building],
    steps: &mut mpsc::Receiver<Step>,
) -> anyhow::Result<Ended> {
    let ended = loop {
        let deadline = building.iter().filter_map(|one| one.deadline).min();
        let step = match deadline {
            Some(deadline) => match timeout_at(deadline, steps.recv()).await {
                Ok(step) => step,
                Err(_) => {
                    flush_due(building).await?;
                    continue;
                }
            },
            None => steps.recv().await,
        };
        match step {
            Some(Step::Reading(measured, mark)) => {
                let reading = to_reading(&measured)?;
                let mut own = building.iter_mut();
                // Every signal that is read is one that was asked for and has its stream.
                if let Some(own) = own.find(|one| one.signal.code == measured.signal.code) {
                    own.push(reading, mark).await?;
                }
            }
            Some(Step::Bad(error)) => break Ended::Bad(error),
            Some(Step::End(end)) => break Ended::Whole(end?),
            // The thread sends an end before it goes, unless it panicked.
            None => anyhow::bail!("reading lines ended without a word"),
        }
    };
    for one in building {
        one.flush().await?;
    }
    Ok(ended)
}

async fn flush_due(building: &mut [Building]) -> anyhow::Result<()> {
    let now = Instant::now();
    for one in building.iter_mut().filter(|one| one.deadline.is_some_and(|due| due <= now)) {
        one.flush().await?;
    }
    Ok(())
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
