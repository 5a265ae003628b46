//! What the journal tells of how the node ran: under its own settings some closes need no
//! explanation, and those that have none were asked for.

use std::collections::{BTreeMap, BTreeSet};

use model::Millis;
use wire::Entry;

use super::arrivals::{Arrival, Arrivals};
use super::error::ForecastError;
use crate::doors::config::Config;
use crate::stages::ledger::{LedgerConfig, Placed, Rehearsal};

/// A running node closes a window within this of when it is due; one that took longer did not run,
/// or its clock jumped.
const LATE_MS: u64 = 10_000;

/// How the node ran, besides what arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Positions of the closes that no rule explains.
    asked_at: BTreeSet<u64>,
    /// Closes by the clock: when, at which position, by when they were due.
    by_clock: BTreeMap<Millis, (u64, Millis)>,
    /// Windows that were closed.
    pub batches: u64,
    /// Of these, closed for no reason that the settings have: by hand, or the settings were others
    /// then. They are closed in every candidate, because somebody asked for them.
    pub asked: u64,
    /// Enrolled patients.
    pub patients: u64,
    /// Entries.
    pub entries: u64,
    /// Time of the last entry; the begin of the first window before the first.
    pub last: Millis,
    /// Begin of the first window.
    pub first: Millis,
}

impl Past {
    /// Goes through all arrivals under the settings that the node has; `config` is what its ledger
    /// is bound to.
    ///
    /// # Errors
    /// [`ForecastError`] for the first entry that cannot be read or does not follow.
    pub fn of<A: Arrivals>(
        arrivals: &A,
        config: &LedgerConfig,
        settings: &Config,
    ) -> Result<Past, ForecastError<A::Error>> {
        let (cadence, limits) = (settings.cadence(), settings.effective_window_limits());
        let config = &LedgerConfig { cadence, limits, ..config.clone() };
        let first = config.genesis_time;
        let mut past = Past { first, last: first, ..Past::default() };
        let mut rehearsal = Rehearsal::new(config.clone(), usize::MAX);
        let mut close_groups = 0;
        let mut arrivals = arrivals.all().peekable();
        while let Some(arrival) = arrivals.next() {
            let Arrival { entry, placed, groups } = arrival.map_err(ForecastError::Read)?;
            past.entries += 1;
            past.last = past.last.max(placed.time);
            if !matches!(entry, Entry::Close { .. }) {
                rehearsal.take(&entry, placed)?;
                continue;
            }
            let looked = Looked { rehearsal: &rehearsal, config, placed };
            let next = arrivals.peek().and_then(|next| next.as_ref().ok());
            let is_rule = looked.is_by_rule(groups - close_groups, next)?;
            if !is_rule {
                past.asked += 1;
                past.asked_at.insert(placed.position.0);
            }
            past.note(&looked);
            rehearsal.close(placed.time)?;
            close_groups = groups;
        }
        past.patients = rehearsal.patients() as u64;
        Ok(past)
    }

    fn note(&mut self, looked: &Looked<'_>) {
        let Placed { position, time, .. } = looked.placed;
        self.batches += 1;
        let due = looked.due();
        if time >= due {
            self.by_clock.entry(time).or_insert((position.0, due));
        }
    }

    /// Whether the close at this position was asked for.
    pub(super) fn is_asked(&self, position: u64) -> bool {
        self.asked_at.contains(&position)
    }

    /// When a window that is due at this time is closed, and before which position if an entry has
    /// the same time: where the node's timer looked if that is on record, else `lag_ms` later. A
    /// node that did not run closes it once it does.
    pub(super) fn looked_at(&self, due: Millis, lag_ms: u64) -> (Millis, u64) {
        let next = self.by_clock.range(due..).next();
        if let Some((closed, (position, was_due))) = next {
            let is_look = *was_due == due || closed.since(due) <= 2 * lag_ms;
            let did_not_run = closed.since(*was_due) > LATE_MS && due >= *was_due;
            if is_look || did_not_run {
                return (*closed, *position);
            }
        }
        (due.plus(lag_ms), 0)
    }
}

/// A close that is looked at, before it is taken.
struct Looked<'a> {
    rehearsal: &'a Rehearsal,
    config: &'a LedgerConfig,
    placed: Placed,
}

impl Looked<'_> {
    fn due(&self) -> Millis {
        self.config.cadence.due(self.rehearsal.t0(), self.rehearsal.first())
    }

    /// Whether the settings explain it.
    fn is_by_rule<E>(&self, groups: u64, next: Option<&Arrival>) -> Result<bool, ForecastError<E>> {
        let Looked { rehearsal, config, placed } = self;
        let held = rehearsal.held();
        let is_by_limit = config.limits.are_reached(held.operations, held.claims)
            || rehearsal.must_close_before(placed.time, groups);
        if placed.time >= self.due() || is_by_limit {
            return Ok(true);
        }
        let Some(next) = next.filter(|_| rehearsal.is_idle(placed.time)) else { return Ok(false) };
        Ok(rehearsal.needs_next_window(&next.entry, next.placed)?)
    }
}
