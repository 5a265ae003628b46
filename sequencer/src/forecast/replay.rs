//! All arrivals once more, in windows that end as a candidate says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
    /// From the begin of the first window to the last arrival of all copies, milliseconds.
    pub(super) ms: u64,
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
    let (held, done) = (Held::default(), Replayed::default());
    let mut player = Player { lanes, rules, held, first: None, done };
    let mut queues: Vec<_> = copies.iter().map(|_| arrivals.all().peekable()).collect();
    let next = |lane: usize, queue: &mut _| Some(Reverse((next_of(queue, copies[lane])?, lane)));
    let mut heads: BinaryHeap<_> =
        queues.iter_mut().enumerate().filter_map(|(lane, queue)| next(lane, queue)).collect();
    let mut last = config.genesis_time;
    // The earliest of all; of several at one time the first copy's.
    while let Some(Reverse((at, lane))) = heads.pop() {
        let Some(arrival) = queues[lane].next() else { continue };
        player.arrive(lane, &arrival.map_err(ForecastError::Read)?)?;
        last = at;
        heads.extend(next(lane, &mut queues[lane]));
    }
    // What was due while the last entry came is closed a look later.
    player.close_due((last.plus(2 * rules.lag_ms), u64::MAX))?;
    let Player { lanes, held, mut done, .. } = player;
    done.left = held;
    done.ms = last.since(config.genesis_time);
    done.refused += lanes.iter().map(|lane| lane.waiting.len() as u64).sum::<u64>();
    Ok(done)
}

/// When the next arrival of a copy comes; what cannot be read is told at once.
fn next_of<E>(
    queue: &mut Peekable<impl Iterator<Item = Result<Arrival, E>>>,
    copy: Copy,
) -> Option<Millis> {
    let next = queue.peek()?.as_ref();
    Some(next.map_or(Millis::UNBOUNDED_PAST, |next| next.placed.time.plus(copy.later_ms)))
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
    /// What the open windows of all lanes hold, and when the first thing happened in one: counted
    /// with each arrival, because there may be a thousand lanes.
    held: Held,
    first: Option<Millis>,
    done: Replayed,
}

impl Player<'_> {
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
        while self.must_close_before(lane, at) {
            self.close(at)?;
        }
        self.take(lane, arrival, at)?;
        let Held { operations, claims, .. } = self.held;
        if self.rules.limits.are_reached(operations, claims) {
            self.close(at)?;
        }
        Ok(())
    }

    /// Closes what is due before this time, and at it before this position.
    fn close_due<E>(&mut self, before: (Millis, u64)) -> Result<(), ForecastError<E>> {
        loop {
            let due = self.rules.cadence.due(self.t0(), self.first);
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

    /// Whether this lane's next entry needs another window: the others have what they had.
    fn must_close_before(&self, lane: usize, at: Millis) -> bool {
        let Lane { copy, rehearsal, groups, close_groups, .. } = &self.lanes[lane];
        let groups = groups.saturating_sub(*close_groups);
        self.held.is_at_a_maximum() || rehearsal.must_close_before(copy.recorded(at), groups)
    }

    /// Has a lane take an entry, and counts what that changed.
    fn rehearse<E>(
        &mut self,
        lane: usize,
        entry: &Entry,
        placed: Placed,
    ) -> Result<Taken, ForecastError<E>> {
        let Lane { copy, rehearsal, .. } = &mut self.lanes[lane];
        let before = rehearsal.held();
        let taken = rehearsal.take(entry, placed)?;
        self.held = self.held.minus(before).plus(rehearsal.held());
        let first = rehearsal.first().map(|first| first.plus(copy.later_ms));
        self.first = [self.first, first].into_iter().flatten().min();
        Ok(taken)
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
        let mut taken = self.rehearse(lane, entry, *placed)?;
        if taken == Taken::NeedsNextWindow && self.is_idle(at) {
            self.close(at)?;
            taken = self.rehearse(lane, entry, *placed)?;
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
        let held = self.lanes.iter().map(|lane| lane.rehearsal.held());
        (self.held, self.first) = (held.fold(Held::default(), Held::plus), None);
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
        for lane in 0..self.lanes.len() {
            let time = self.lanes[lane].copy.recorded(t1);
            for (_, arrival) in std::mem::take(&mut self.lanes[lane].waiting) {
                let Arrival { entry, placed, .. } = arrival;
                let time = placed.time.max(time);
                // Once more and no further time: whoever waited for a window waits for one.
                match self.rehearse(lane, &entry, Placed { time, ..placed })? {
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
