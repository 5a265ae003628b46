//! Carries out what an operator orders on the socket: tuning, pause and resume, seal, drain,
//! erasures and legal holds.
//!
//! One at a time, and each with a durable line in the log of orders before it takes effect: what is
//! done without one would be nobody's. But for what ends a delay, and for a pause: a disk that is
//! full keeps nobody from these, and the answer says that no line was written.
//!
//! | order | collection, accesses | withdrawals, emergencies | the chain | over a start |
//! | --- | --- | --- | --- | --- |
//! | pause | go on | go on | nothing is sent | stays |
//! | drain | refused as unavailable | go on | goes on | ends |
//!
//! So neither holds up what takes rights away: it is in force once it is durable, whatever waits.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use model::{Clock as _, Millis, escape_lines, with_causes};
use serde_json::{Value, json};
use thiserror::Error;
use wire::HoldChange;

use super::erasing::{Erasing, ErasingError};
use super::orders::{InForce, Orders, Since};
use super::tuning::{Change, Prepared, TuneError, Tuning, applies};
use crate::clock::NodeClock;
use crate::doors::codes::ORDER_PANICKED;
use crate::doors::orders::{Answering, CarryOut, HoldOrder, Order, Ordered};
use crate::folder::layout::Layout;
use crate::folder::operator_log::{Line, OperatorLog, OperatorLogError};
use crate::folder::paused::Paused;
use crate::folder::store::{Store, StoreError};
use crate::folder::who::Who;
use crate::metrics::Metrics;
use crate::stages::ingest::{Admit, AdmitError};
use crate::stages::ledger::{Item, LedgerView, ToClose};

/// Why an order is not carried out.
#[derive(Debug, Error)]
enum NotDone {
    #[error(transparent)]
    Tune(#[from] TuneError),
    #[error(transparent)]
    Log(#[from] OperatorLogError),
    #[error("the note of the pause cannot be removed, so that the node stays paused")]
    NoteStays(#[source] io::Error),
    #[error(
        "expected a node that settles, found one that is paused {since}: `sequencer resume` first, \
         or stop it as it is, which loses nothing"
    )]
    Paused { since: String },
    #[error(transparent)]
    Erasing(#[from] ErasingError),
    #[error("the window cannot be closed now")]
    Close(#[from] AdmitError),
    #[error("what was ordered holds, and how far batches are settled cannot be read")]
    Store(#[from] StoreError),
}

/// What orders reach.
pub(super) struct Parts {
    pub(super) layout: Layout,
    pub(super) tuning: Arc<Tuning>,
    pub(super) orders: Orders,
    pub(super) admit: Admit,
    pub(super) view: LedgerView,
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<NodeClock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) erasing: Erasing,
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
        let Ordered { order, who } = ordered.clone();
        let done = tokio::task::spawn_blocking(move || desk.carry_out(&ordered)).await;
        let Ok(done) = done else { return Ok(Err(ORDER_PANICKED.code.into())) };
        let more = match (done?, &order) {
            (Some(answer), _) => return Ok(Ok(answer)),
            (None, Order::Erase { patient, request }) => {
                let answer = self.0.parts.erasing.erase(*patient, request.as_deref()).await?;
                self.0.parts.orders.count(order.word());
                return Ok(Ok(answer));
            }
            (None, Order::DestroyKeys { patients }) => {
                let answer = self.0.parts.erasing.destroy_named(patients).await?;
                self.0.parts.orders.count(order.word());
                return Ok(Ok(answer));
            }
            (None, Order::Hold { patient, change }) => {
                let change = match change {
                    HoldOrder::Set => HoldChange::Set,
                    HoldOrder::Clear => HoldChange::Clear,
                };
                let answer = self.0.parts.erasing.hold(*patient, change, &who).await?;
                self.0.parts.orders.count(order.word());
                return Ok(Ok(answer));
            }
            (None, Order::Seal) => self.0.seal().await?,
            (None, Order::Drain) => {
                self.0.close_what_is_open().await?;
                Value::Null
            }
            (None, _) => Value::Null,
        };
        if !matches!(order, Order::Seal) {
            self.0.pass_the_writer().await?;
        }
        let desk = Arc::clone(&self.0);
        // The store is asked, which reads.
        let standing = tokio::task::spawn_blocking(move || desk.standing()).await;
        let Ok(standing) = standing else { return Ok(Err(ORDER_PANICKED.code.into())) };
        let mut answer = standing?;
        for (name, value) in more.as_object().into_iter().flatten() {
            answer[name] = value.clone();
        }
        Ok(Ok(answer))
    }
}

impl Desk {
    /// All of an order that is done at once; none where the writer has to be asked before it can be
    /// answered.
    fn carry_out(&self, Ordered { order, who }: &Ordered) -> Result<Option<Value>, NotDone> {
        let Parts { tuning, orders, .. } = &self.parts;
        let _alone = tuning.alone();
        let in_force = orders.in_force();
        match order {
            Order::List => return Ok(Some(tuning.list())),
            Order::Look => {}
            Order::Set { key, value } => {
                let prepared = tuning.prepare_set(key, value, self.since(who))?;
                self.write("set", who, &prepared)?;
                return Ok(Some(self.tune("set", prepared)));
            }
            Order::Reset { key } => {
                let prepared = tuning.prepare_reset(key.as_deref())?;
                let unwritten = self.write("reset", who, &prepared).err();
                let mut answer = self.tune("reset", prepared);
                answer["not_written"] = self.not_written(unwritten);
                return Ok(Some(answer));
            }
            Order::Pause => return self.pause(&in_force, who).map(Some),
            Order::Resume => return self.resume(&in_force, who).map(Some),
            Order::Holds => return Ok(Some(self.parts.erasing.holds())),
            // Whose it is stands in the journal, if it is carried out.
            Order::Erase { .. } | Order::Hold { .. } => self.note_asked(order.word(), who)?,
            // Whose they are stands in the ledger of keys.
            Order::DestroyKeys { .. } => self.note_asked(order.word(), who)?,
            Order::Seal => self.note("seal", who)?,
            Order::Drain => self.begin_drain(&in_force, who)?,
        }
        Ok(None)
    }

    fn since(&self, who: &Who) -> Since {
        Since::new(self.parts.clock.now(), who)
    }

    /// Writes down an order without a key, says it in the node's log and counts it.
    fn note(&self, order: &'static str, who: &Who) -> Result<(), OperatorLogError> {
        self.parts.orders.count(order);
        self.note_asked(order, who)
    }

    /// The same of one that may be refused, which is counted once it is carried out. It is said in
    /// the node's log also where no line can be written: then nothing else tells who it was.
    fn note_asked(&self, order: &'static str, who: &Who) -> Result<(), OperatorLogError> {
        let written = self.log.write(&[Line::new(self.parts.clock.now(), order, Some(who))]);
        // In their own words, which must not turn a line round or begin one.
        let who = escape_lines(&who.to_string());
        tracing::warn!(order, who, "an operator's order");
        written
    }

    /// That something is done although no line says so: a full disk, or a full log of orders, must
    /// not keep anybody from ending a delay or from stopping what goes to the chain.
    fn not_written(&self, unwritten: Option<OperatorLogError>) -> Value {
        let why = unwritten.map(|error| with_causes(&error));
        if let Some(error) = &why {
            tracing::error!(error, "an order is carried out and not written down");
        }
        json!(why)
    }

    /// Writes down what becomes of each key, all of it or nothing.
    fn write(
        &self,
        order: &'static str,
        who: &Who,
        prepared: &Prepared,
    ) -> Result<(), OperatorLogError> {
        let now = self.parts.clock.now();
        let line = |Change { key, from, to, .. }: &Change| {
            Line::new(now, order, Some(who)).of_key(key, from.clone(), to.clone())
        };
        let lines: Vec<Line> = prepared.changes.iter().map(line).collect();
        let written = (!lines.is_empty()).then(|| self.log.write(&lines)).transpose();
        // A set that is not written down does not hold, a reset does: it ends something.
        if order == "set" && written.is_err() {
            return written.map(drop);
        }
        let who = escape_lines(&who.to_string());
        for Change { key, from, to, .. } in &prepared.changes {
            // Before the level changes: a quieter one would swallow it.
            tracing::warn!(order, key, %from, %to, who, "an operator tunes the node");
        }
        written.map(drop)
    }

    /// Has what was prepared hold; what became of each key.
    fn tune(&self, order: &'static str, prepared: Prepared) -> Value {
        let Parts { tuning, orders, .. } = &self.parts;
        let changes = prepared.changes.clone();
        tuning.make(prepared);
        changes.iter().for_each(|_| orders.count(order));
        let told = changes.iter().map(|Change { key, from, to, applies: when }| {
            json!({ "key": key, "from": from, "to": to, "applies": applies(*when) })
        });
        json!({ "schema": "vitals-tuned-1", "changes": told.collect::<Vec<_>>() })
    }

    /// Also while the node is drained: whoever stops what goes to the chain may be in a hurry.
    fn pause(&self, in_force: &InForce, who: &Who) -> Result<Value, NotDone> {
        let unwritten = self.note("pause", who).err();
        let mut kept = None;
        // Twice is once: who paused first is who is asked why.
        if in_force.paused.is_none() {
            let paused = Paused { at: self.parts.clock.now(), who: who.clone() };
            kept = paused.write(&self.parts.layout.paused()).err();
            self.parts.orders.set_paused(Some(Since::from(&paused)));
        }
        let mut answer = self.standing()?;
        answer["not_written"] = self.not_written(unwritten);
        let kept = kept.map(|error| with_causes(&error));
        if let Some(error) = &kept {
            tracing::error!(error, "a pause that the next start will not know");
        }
        answer["not_kept"] = json!(kept);
        Ok(answer)
    }

    fn resume(&self, in_force: &InForce, who: &Who) -> Result<Value, NotDone> {
        let InForce { paused, draining, .. } = in_force;
        let orders = &self.parts.orders;
        let mut unwritten = None;
        if paused.is_some() || draining.is_some() {
            unwritten = self.note("resume", who).err();
        }
        if paused.is_some() {
            // First: a node that goes on and is paused again by the next start would be worse.
            Paused::remove(&self.parts.layout.paused()).map_err(NotDone::NoteStays)?;
            orders.set_paused(None);
        }
        orders.set_draining(None);
        let mut answer = self.standing()?;
        answer["ended"] = json!({ "pause": paused, "drain": draining });
        answer["not_written"] = self.not_written(unwritten);
        Ok(answer)
    }

    fn begin_drain(&self, in_force: &InForce, who: &Who) -> Result<(), NotDone> {
        if let Some(since) = &in_force.paused {
            return Err(NotDone::Paused { since: since.words() });
        }
        self.note("drain", who)?;
        if in_force.draining.is_none() {
            self.parts.orders.set_draining(Some(self.since(who)));
        }
        Ok(())
    }

    /// Ends the open window, whatever is in it; which it was.
    async fn seal(&self) -> Result<Value, NotDone> {
        let Parts { admit, view, .. } = &self.parts;
        let open = view.status();
        // By its number: were it closed by the clock meanwhile, the next one would last no time.
        admit.submit(Item::CloseWindow(ToClose::Numbered(open.window))).await?;
        Ok(json!({ "was_empty": open.window_is_empty, "sealed": open.window.0 }))
    }

    /// Ends the open window if a batch would prove something of it. What is withdrawn later is in
    /// windows that end by the clock.
    async fn close_what_is_open(&self) -> Result<(), NotDone> {
        // Behind what was taken in before the drain began and waits for the disk.
        self.pass_the_writer().await?;
        match self.parts.admit.submit(Item::CloseWindow(ToClose::NotEmpty)).await {
            // The clock closes it then.
            Ok(_) | Err(AdmitError::Full { .. } | AdmitError::Busy { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until all that was admitted before is durable and seen: what is acknowledged a moment
    /// later must not be missing from what is left. A queue that is full is not empty.
    async fn pass_the_writer(&self) -> Result<(), NotDone> {
        Ok(self.parts.admit.count_refusals().await?)
    }

    /// How far windows and batches are, and what waits of what was withdrawn.
    fn standing(&self) -> Result<Value, NotDone> {
        let Parts { orders, view, store, metrics, .. } = &self.parts;
        let (open, in_force) = (view.status(), orders.in_force());
        let closed = open.window.0.saturating_sub(1);
        let assembled = u64::try_from(metrics.batch_assembled.get()).unwrap_or(0);
        // The store's words: what the chain's newest block says may be taken back.
        let (settled, under_way) = (store.last_settled()?, store.outbox_pending()?.len());
        let all_settled = settled.0 >= closed && under_way == 0;
        Ok(json!({
            "schema": "vitals-orders-1",
            "paused": in_force.paused, "draining": in_force.draining,
            "open_window_is_empty": open.window_is_empty,
            "closed": closed, "assembled": assembled, "settled": settled.0,
            "windows_to_prove": closed.saturating_sub(assembled),
            "batches_to_settle": closed.min(assembled).saturating_sub(settled.0),
            "transactions_not_final": under_way,
            "withdrawals_unsettled": view.withdrawals_after(settled),
            "nothing_left": open.window_is_empty && all_settled,
        }))
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
        let now = self.parts.clock.now();
        let set = in_force_at_the_end(&lines);
        for (key, value) in &set {
            tracing::warn!(
                key,
                %value,
                "a value that was set by hand ended with the run before: what is configured holds"
            );
        }
        let lapsed = set
            .into_iter()
            .map(|(key, value)| Line::new(now, "lapsed", None).of_key(&key, value, Value::Null));
        let lapsed: Vec<Line> = lapsed.collect();
        if let Err(error) = (!lapsed.is_empty()).then(|| self.log.write(&lapsed)).transpose() {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "that values ended is not written down");
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
        // No user has this number: root is not blamed.
        let who = Who { name, uid: u32::MAX, ..Who::default() };
        Some(Paused { at: Millis::from_unix_ms(0), who })
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
