//! All arrivals once more, in windows that end as a candidate says.

use std::iter::Peekable;

use model::{Millis, PatientIndex};
use wire::Entry;

use super::arrivals::{Arrival, Arrivals};
use super::error::ForecastError;
use super::layout::{Layout, Shapes};
use super::past::Past;
use super::spread::Copy;
use crate::stages::ledger::{Held, LedgerConfig, Placed, Rehearsal, Taken};
use crate::window::{Cadence, WindowContents, WindowLimits};

/// Most windows: a year of ten-second ones.
const WINDOWS_MAX: usize = 4_000_000;

/// When a candidate's windows end, and what they are laid out in.
pub(super) struct Rules<'a> {
    pub(super) cadence: Cadence,
    pub(super) limits: WindowLimits,
    pub(super) shapes: &'a Shapes,
    pub(super) past: &'a Past,
    /// A window is closed so long after it is due, where no look of the timer is on record.
    pub(super) lag_ms: u64,
}

/// One window of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) t1: Millis,
    /// When each of its operations took effect.
    pub(super) operations: Vec<Millis>,
    pub(super) claims: usize,
    pub(super) layout: Layout,
}

/// All windows of a candidate, and what came to none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    pub(super) windows: Vec<Window>,
    /// What is in the window that is open at the end.
    pub(super) left: Held,
    /// Operations that would have had to come again in the next window.
    pub(super) put_off: u64,
    /// Entries that would not have been taken at all.
    pub(super) refused: u64,
}

/// Goes through all arrivals.
///
/// # Errors
/// [`ForecastError`] for the first that cannot be read or does not follow.
pub(super) fn replay<A: Arrivals>(
    arrivals: &A,
    config: &LedgerConfig,
    copies: &[Copy],
    rules: &Rules<'_>,
) -> Result<Replayed, ForecastError<A::Error>> {
    let config = LedgerConfig { cadence: rules.cadence, limits: rules.limits, ..config.clone() };
    let lane = |copy: &Copy| Lane {
        copy: *copy,
        rehearsal: Rehearsal::new(copy.config(&config), copy.patients_max),
        close_groups: 0,
        groups: 0,
        waiting: Vec::new(),
    };
    let lanes = copies.iter().map(lane).collect();
    let mut player = Player { lanes, rules, done: Replayed::default() };
    let mut queues: Vec<_> = copies.iter().map(|_| arrivals.all().peekable()).collect();
    let mut last = config.genesis_time;
    while let Some(lane) = player.earliest(&mut queues) {
        let Some(arrival) = queues[lane].next() else { break };
        let arrival = arrival.map_err(ForecastError::Read)?;
        last = player.at(lane, &arrival);
        player.arrive(lane, &arrival)?;
    }
    // What was due while the last entry came is closed a look later.
    player.close_due((last.plus(2 * rules.lag_ms), u64::MAX))?;
    let Player { lanes, mut done, .. } = player;
    done.left = held(&lanes);
    done.refused += lanes.iter().map(|lane| lane.waiting.len() as u64).sum::<u64>();
    Ok(done)
}

/// One copy of what arrived, and its own ledger.
struct Lane {
    copy: Copy,
    rehearsal: Rehearsal,
    /// Groups before the last close, and before the last arrival.
    close_groups: u64,
    groups: u64,
    /// Operations that need the next window, and those of their patients behind them.
    waiting: Vec<(PatientIndex, Arrival)>,
}

/// Feeds the lanes and closes their windows together.
struct Player<'a> {
    lanes: Vec<Lane>,
    rules: &'a Rules<'a>,
    done: Replayed,
}

fn held(lanes: &[Lane]) -> Held {
    lanes.iter().map(|lane| lane.rehearsal.held()).fold(Held::default(), Held::plus)
}

impl Player<'_> {
    /// Which lane has the next arrival; of several at one time the first.
    fn earliest<E>(
        &self,
        queues: &mut [Peekable<impl Iterator<Item = Result<Arrival, E>>>],
    ) -> Option<usize> {
        let next = |(lane, queue): (usize, &mut Peekable<_>)| {
            let at = match queue.peek()? {
                Ok(arrival) => self.at(lane, arrival),
                // Told at once.
                Err(_) => Millis::UNBOUNDED_PAST,
            };
            Some((at, lane))
        };
        queues.iter_mut().enumerate().filter_map(next).min().map(|(_, lane)| lane)
    }

    /// When an arrival of a lane comes, as all of them count.
    fn at(&self, lane: usize, arrival: &Arrival) -> Millis {
        arrival.placed.time.plus(self.lanes[lane].copy.later_ms)
    }

    fn arrive<E>(&mut self, lane: usize, arrival: &Arrival) -> Result<(), ForecastError<E>> {
        let at = self.at(lane, arrival);
        let position = arrival.placed.position.0;
        self.lanes[lane].groups = arrival.groups;
        // The first copy is what was recorded; the others have its times and none of its looks.
        let place = if lane == 0 { position } else { u64::MAX };
        self.close_due((at, place))?;
        if matches!(arrival.entry, Entry::Close { .. }) {
            // Somebody asked for it, whatever the settings are; by the clock it came already, and
            // what was full is not full here.
            return match lane == 0 && self.rules.past.is_asked(position) {
                true => self.close(at),
                false => Ok(()),
            };
        }
        while self.must_close_before(at) {
            self.close(at)?;
        }
        self.take(lane, arrival, at)?;
        let Held { operations, claims, .. } = held(&self.lanes);
        if self.rules.limits.are_reached(operations, claims) {
            self.close(at)?;
        }
        Ok(())
    }

    /// Closes what is due before this time, and at it before this position.
    fn close_due<E>(&mut self, before: (Millis, u64)) -> Result<(), ForecastError<E>> {
        loop {
            let (t0, first) = (self.t0(), self.first());
            let due = self.rules.cadence.due(t0, first);
            let closed = self.rules.past.looked_at(due, self.rules.lag_ms);
            if closed > before {
                return Ok(());
            }
            self.close(closed.0)?;
        }
    }

    /// Begin of the open window: the copies' own are within some milliseconds of it.
    fn t0(&self) -> Millis {
        self.lanes.first().map_or(Millis::UNBOUNDED_PAST, |lane| lane.rehearsal.t0())
    }

    fn first(&self) -> Option<Millis> {
        let first = |lane: &Lane| Some(lane.rehearsal.first()?.plus(lane.copy.later_ms));
        self.lanes.iter().filter_map(first).min()
    }

    fn must_close_before(&self, at: Millis) -> bool {
        let too_long = |lane: &Lane| {
            let groups = lane.groups.saturating_sub(lane.close_groups);
            lane.rehearsal.must_close_before(lane.copy.recorded(at), groups)
        };
        held(&self.lanes).is_at_entries_max() || self.lanes.iter().any(too_long)
    }

    fn take<E>(
        &mut self,
        lane: usize,
        arrival: &Arrival,
        at: Millis,
    ) -> Result<(), ForecastError<E>> {
        let Arrival { entry, placed, .. } = arrival;
        let one = &mut self.lanes[lane];
        let is_operation = matches!(entry, Entry::Operation { .. });
        if is_operation && !one.waiting.is_empty() {
            let patient = one.rehearsal.patient_of(entry, placed.position)?;
            // In the order in which they were signed.
            if let Some(patient) = patient.filter(|one_of| one.waits(*one_of)) {
                one.waiting.push((patient, arrival.clone()));
                return Ok(());
            }
        }
        let mut taken = one.rehearsal.take(entry, *placed)?;
        if taken == Taken::NeedsNextWindow && self.is_idle(at) {
            self.close(at)?;
            taken = self.lanes[lane].rehearsal.take(entry, *placed)?;
        }
        let one = &mut self.lanes[lane];
        match taken {
            Taken::Stored | Taken::LeftOut => {}
            Taken::Refused => self.done.refused += 1,
            Taken::NeedsNextWindow => {
                self.done.put_off += 1;
                if let Some(patient) = one.rehearsal.patient_of(entry, placed.position)? {
                    one.waiting.push((patient, arrival.clone()));
                }
            }
        }
        Ok(())
    }

    fn is_idle(&self, at: Millis) -> bool {
        self.lanes.iter().all(|lane| lane.rehearsal.is_idle(lane.copy.recorded(at)))
    }

    /// Ends the windows of all lanes at this time, lays them out together, and lets those come
    /// that waited for it.
    fn close<E>(&mut self, at: Millis) -> Result<(), ForecastError<E>> {
        if self.done.windows.len() >= WINDOWS_MAX {
            return Err(ForecastError::TooManyWindows { max: WINDOWS_MAX });
        }
        let mut closed: Vec<WindowContents> = Vec::with_capacity(self.lanes.len());
        for lane in &mut self.lanes {
            closed.push(lane.rehearsal.close(lane.copy.recorded(at))?);
            lane.close_groups = lane.groups;
        }
        let t1 = closed.first().map_or(at, |window| window.window.t1());
        let layout = Layout::of(&closed, self.rules.shapes);
        let layout = layout.map_err(|source| ForecastError::Pack { t1, source })?;
        let claims = closed.iter().map(|window| window.claims.len()).sum();
        let operations = self.lanes.iter().zip(&closed).flat_map(|(lane, window)| {
            window.operations.iter().map(|applied| applied.t_op.plus(lane.copy.later_ms))
        });
        let operations = operations.collect();
        self.done.windows.push(Window { t1, operations, claims, layout });
        self.let_come(t1)
    }

    fn let_come<E>(&mut self, t1: Millis) -> Result<(), ForecastError<E>> {
        for lane in &mut self.lanes {
            let time = lane.copy.recorded(t1);
            for (_, Arrival { entry, placed, .. }) in std::mem::take(&mut lane.waiting) {
                let time = placed.time.max(time);
                // Once more and no further time: whoever waited for a window waits for one.
                match lane.rehearsal.take(&entry, Placed { time, ..placed })? {
                    Taken::Stored | Taken::LeftOut => {}
                    Taken::NeedsNextWindow | Taken::Refused => self.done.refused += 1,
                }
            }
        }
        Ok(())
    }
}

impl Lane {
    fn waits(&self, patient: PatientIndex) -> bool {
        self.waiting.iter().any(|(waits, _)| *waits == patient)
    }
}
