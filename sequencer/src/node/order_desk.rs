//! Carries out what an operator orders on the socket: tuning, pause and resume, seal, drain.
//!
//! One at a time, and each with a durable line in the log of orders before it takes effect: what is
//! done without one would be nobody's.
//!
//! | order | collection, withdrawals | windows, proofs | the chain | over a start |
//! | --- | --- | --- | --- | --- |
//! | pause | go on | go on | nothing is sent | stays |
//! | drain | withdrawals go on, the rest is refused as unavailable | go on | goes on | ends |
//!
//! So neither holds up what takes rights away: it is in force once it is durable, whatever waits.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use model::{Clock as _, Millis, escape_lines, with_causes};
use serde_json::{Value, json};
use thiserror::Error;

use super::orders::{InForce, Orders, Since};
use super::tuning::{Change, Prepared, TuneError, Tuning, applies};
use crate::clock::NodeClock;
use crate::doors::codes::ORDER_PANICKED;
use crate::doors::orders::{Answering, CarryOut, Order, Ordered};
use crate::folder::checked::CheckedError;
use crate::folder::layout::Layout;
use crate::folder::operator_log::{Line, OperatorLog, OperatorLogError};
use crate::folder::paused::Paused;
use crate::folder::who::Who;
use crate::metrics::Metrics;
use crate::stages::ingest::{Admit, AdmitError};
use crate::stages::ledger::{Item, LedgerView};

/// Why an order is not carried out.
#[derive(Debug, Error)]
enum NotDone {
    #[error(transparent)]
    Tune(#[from] TuneError),
    #[error(transparent)]
    Log(#[from] OperatorLogError),
    #[error(transparent)]
    Note(#[from] CheckedError),
    #[error("the note of the pause cannot be removed, so that the node stays paused")]
    NoteStays(#[source] io::Error),
    #[error(
        "expected a node that settles, found one that is paused {since}: `sequencer resume` first, \
         or stop it as it is, which loses nothing"
    )]
    Paused { since: String },
    #[error(
        "expected a node that is not drained, found one that is {since}: `sequencer resume` first"
    )]
    Draining { since: String },
    #[error("the window cannot be closed now")]
    Close(#[from] AdmitError),
}

/// What orders reach.
pub(super) struct Parts {
    pub(super) layout: Layout,
    pub(super) tuning: Arc<Tuning>,
    pub(super) orders: Orders,
    pub(super) admit: Admit,
    pub(super) view: LedgerView,
    pub(super) clock: Arc<NodeClock>,
    pub(super) metrics: Arc<Metrics>,
}

struct Desk {
    parts: Parts,
    log: OperatorLog,
}

/// Where orders are carried out. Cheap to clone.
#[derive(Clone)]
pub(super) struct OrderDesk(Arc<Desk>);

impl CarryOut for OrderDesk {
    fn carry_out(&self, ordered: Ordered) -> Answering<'_> {
        Box::pin(async move {
            let answer = self.answer(ordered).await;
            answer.map_err(|error| with_causes(&error))?
        })
    }
}

impl OrderDesk {
    /// Of a node that takes in from now on.
    pub(super) fn new(parts: Parts) -> OrderDesk {
        let log = OperatorLog::new(&parts.layout.operator_log());
        let desk = Desk { parts, log };
        desk.tell_lapsed();
        OrderDesk(Arc::new(desk))
    }

    /// What is written is written beside the runtime's threads; a close waits for the writer.
    async fn answer(&self, ordered: Ordered) -> Result<Result<Value, String>, NotDone> {
        let desk = Arc::clone(&self.0);
        let order = ordered.order.clone();
        let done = tokio::task::spawn_blocking(move || desk.carry_out(&ordered)).await;
        let Ok(done) = done else { return Ok(Err(ORDER_PANICKED.code.into())) };
        let answer = done?;
        Ok(Ok(match order {
            Order::Seal => self.0.seal().await?,
            Order::Drain => self.0.drain().await?,
            _ => answer,
        }))
    }
}

impl Desk {
    /// All of an order that is done at once.
    fn carry_out(&self, Ordered { order, who }: &Ordered) -> Result<Value, NotDone> {
        let Parts { tuning, orders, .. } = &self.parts;
        let _alone = tuning.alone();
        let in_force = orders.in_force();
        match order {
            Order::List => return Ok(tuning.list()),
            Order::Set { key, value } => {
                let prepared = tuning.prepare_set(key, value, self.since(who))?;
                return self.tune(prepared, ("set", who));
            }
            Order::Reset { key } => {
                let prepared = tuning.prepare_reset(key.as_deref())?;
                return self.tune(prepared, ("reset", who));
            }
            Order::Pause => self.pause(&in_force, who)?,
            Order::Resume => return self.resume(&in_force, who),
            Order::Seal => self.note("seal", who)?,
            Order::Drain => self.begin_drain(&in_force, who)?,
        }
        Ok(self.standing())
    }

    fn since(&self, who: &Who) -> Since {
        Since::new(self.parts.clock.now(), who)
    }

    /// Writes down an order without a key, and counts it.
    fn note(&self, order: &'static str, who: &Who) -> Result<(), NotDone> {
        self.log.write(&Line::new(self.parts.clock.now(), order, Some(who)))?;
        self.parts.orders.count(order);
        // In their own words, which must not turn a line round or begin one.
        let who = escape_lines(&who.to_string());
        tracing::warn!(order, who, "an operator's order is carried out");
        Ok(())
    }

    /// Writes down what becomes of each key, and has it hold.
    fn tune(
        &self,
        prepared: Prepared,
        (order, who): (&'static str, &Who),
    ) -> Result<Value, NotDone> {
        let Parts { tuning, orders, clock, .. } = &self.parts;
        let changes = prepared.changes.clone();
        for Change { key, from, to, .. } in &changes {
            let line = Line::new(clock.now(), order, Some(who));
            self.log.write(&line.of_key(key, from.clone(), to.clone()))?;
            let who = escape_lines(&who.to_string());
            // Before the level changes: a quieter one would swallow it.
            tracing::warn!(order, key, %from, %to, who, "an operator tunes the node");
        }
        tuning.make(prepared);
        changes.iter().for_each(|_| orders.count(order));
        let told = changes.iter().map(|Change { key, from, to, applies: when }| {
            json!({ "key": key, "from": from, "to": to, "applies": applies(*when) })
        });
        Ok(json!({ "schema": "vitals-tuned-1", "changes": told.collect::<Vec<_>>() }))
    }

    fn pause(&self, in_force: &InForce, who: &Who) -> Result<(), NotDone> {
        if let Some(since) = &in_force.draining {
            return Err(NotDone::Draining { since: since.words() });
        }
        // Twice is once: who paused first is who is asked why.
        if in_force.paused.is_some() {
            return Ok(());
        }
        self.note("pause", who)?;
        let paused = Paused { at: self.parts.clock.now(), who: who.clone() };
        paused.write(&self.parts.layout.paused())?;
        self.parts.orders.set_paused(Some(Since::from(&paused)));
        Ok(())
    }

    fn resume(&self, in_force: &InForce, who: &Who) -> Result<Value, NotDone> {
        let InForce { paused, draining, .. } = in_force;
        let orders = &self.parts.orders;
        if paused.is_some() || draining.is_some() {
            self.note("resume", who)?;
        }
        if paused.is_some() {
            // First: a node that goes on and is paused again by the next start would be worse.
            Paused::remove(&self.parts.layout.paused()).map_err(NotDone::NoteStays)?;
            orders.set_paused(None);
        }
        orders.set_draining(None);
        let mut answer = self.standing();
        answer["ended"] = json!({ "pause": paused, "drain": draining });
        Ok(answer)
    }

    fn begin_drain(&self, in_force: &InForce, who: &Who) -> Result<(), NotDone> {
        if let Some(since) = &in_force.paused {
            return Err(NotDone::Paused { since: since.words() });
        }
        if in_force.draining.is_none() {
            self.note("drain", who)?;
            self.parts.orders.set_draining(Some(self.since(who)));
        }
        Ok(())
    }

    /// Ends the open window, whatever is in it.
    async fn seal(&self) -> Result<Value, NotDone> {
        let Parts { admit, view, .. } = &self.parts;
        let was_empty = view.status().window_is_empty;
        admit.submit(Item::Close).await?;
        let mut answer = self.standing();
        answer["was_empty"] = json!(was_empty);
        Ok(answer)
    }

    /// Ends the open window if a batch would prove something of it; how far the rest is. What takes
    /// rights away may come at any time, and then there is one more window.
    async fn drain(&self) -> Result<Value, NotDone> {
        let Parts { admit, view, .. } = &self.parts;
        if !view.status().window_is_empty {
            match admit.submit(Item::Close).await {
                // Whoever asks again has it closed then.
                Ok(_) | Err(AdmitError::Full { .. } | AdmitError::Busy { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.standing())
    }

    /// How far windows and batches are, and what waits of what was withdrawn.
    fn standing(&self) -> Value {
        let Parts { orders, view, metrics, .. } = &self.parts;
        let (open, in_force) = (view.status(), orders.in_force());
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        let closed = open.window.0.saturating_sub(1);
        let assembled = number(metrics.batch_assembled.get());
        let settled = number(metrics.batch_settled.get());
        json!({
            "schema": "vitals-orders-1",
            "paused": in_force.paused, "draining": in_force.draining,
            "open_window_is_empty": open.window_is_empty,
            "closed": closed, "assembled": assembled, "settled": settled,
            "windows_to_prove": closed.saturating_sub(assembled),
            "batches_to_settle": closed.min(assembled).saturating_sub(settled),
            "transactions_not_final": number(metrics.outbox_pending.get()),
            "withdrawals_unsettled": number(metrics.withdrawals_unsettled.get()),
            "nothing_left": open.window_is_empty && settled >= closed,
        })
    }

    /// Says which keys were set when the node stopped and are as configured again, and writes that
    /// down: whoever reads the log of orders finds no key that is still set there and is not.
    fn tell_lapsed(&self) {
        let lines = match self.log.last() {
            Ok(lines) => lines,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                return tracing::warn!(error, "what was set by hand before is not known");
            }
        };
        for (key, value) in in_force_at_the_end(&lines) {
            tracing::warn!(
                key,
                %value,
                "a value that was set by hand ended with the run before: what is configured holds"
            );
            let lapsed = Line::new(self.parts.clock.now(), "lapsed", None);
            let lapsed = lapsed.of_key(&key, value, Value::Null);
            if let Err(error) = self.log.write(&lapsed) {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "that a value ended is not written down");
            }
        }
    }
}

/// Keys that are set behind the last of these lines, with their values.
fn in_force_at_the_end(lines: &[Line]) -> BTreeMap<String, Value> {
    let mut set = BTreeMap::new();
    for Line { order, key, to, .. } in lines {
        match (order.as_str(), key, to) {
            ("set", Some(key), Some(to)) => drop(set.insert(key.clone(), to.clone())),
            ("reset" | "lapsed", Some(key), _) => drop(set.remove(key)),
            _ => {}
        }
    }
    set
}

/// Takes over a pause of the run before. One that cannot be read is one: whoever paused the node
/// meant that nothing is sent, and somebody who looks ends it with one command.
pub(super) fn recall_pause(layout: &Layout, orders: &Orders) {
    let paused = Paused::read(&layout.paused()).unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "taken for a pause");
        let name = Some("nobody who is known any more".to_owned());
        Some(Paused { at: Millis::from_unix_ms(0), who: Who { name, ..Who::default() } })
    });
    if let Some(paused) = paused {
        let since = Since::from(&paused);
        let words = escape_lines(&since.words());
        tracing::warn!(
            paused = words,
            "settling is paused: nothing is sent to the chain until `sequencer resume`"
        );
        orders.set_paused(Some(since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_at_the_end_is_what_was_set_and_neither_reset_nor_lapsed() {
        let line = |order: &str, key: &str, to: u64| {
            Line::new(Millis::from_unix_ms(0), order, None).of_key(key, json!(0), json!(to))
        };
        let lines = [
            line("set", "a", 1),
            line("set", "b", 2),
            line("set", "a", 3),
            Line::new(Millis::from_unix_ms(0), "pause", None),
            line("set", "c", 4),
            line("lapsed", "c", 0),
            line("reset", "b", 0),
        ];
        let found = in_force_at_the_end(&lines);
        assert_eq!(found, [("a".to_owned(), json!(3))].into());
        assert_eq!(in_force_at_the_end(&lines[..2]).len(), 2);
    }
}
