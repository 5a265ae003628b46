//! The ledger as the journal's admission: decides, appends, absorbs, and delivers when durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bodies::EntryPlace;
use journal::{Admission, Committed, EntryError, EntryKind, GroupBuilder};
use model::{Interval, Millis, Position};
use thiserror::Error;
use wire::{
    DecodeError, Entry, FrameEntry, GroupIdentity, Holder, PlacedEntry, RefusalCount, SealedFrame,
    Sealing, receipts_of_group,
};

use super::absorb::Ledger;
use super::answer::{Answer, Deliver, Item};
use super::bodies::{BodyWriter, NotSealed};
use super::counts::{Evidence, RefusalCounts};
use super::gate::{Gate, Open};
use super::keep::{KeepState, Kept};
use super::refuse::{Ground, repeated};
use super::verdict::{At, Verdict};
use super::view::LedgerView;
use crate::window::{ClosedWindow, WindowContents};

/// Runs a [`Ledger`] on the writer thread.
pub struct LedgerAdmission<D> {
    ledger: Ledger,
    deliver: D,
    gate: Arc<dyn Gate>,
    view: LedgerView,
    /// Entries of the group that is not durable yet.
    group: Vec<PlacedEntry>,
    /// Items of each holder in that group, an upper bound.
    items: BTreeMap<Holder, usize>,
    closed: Vec<WindowContents>,
    /// Refusals that repeat, of the running minute.
    counts: RefusalCounts,
    /// Group that holds the last close; 0 before the first.
    close_group: u64,
    keep: Option<Box<dyn KeepState>>,
    bodies: BodyWriter,
}

impl<D: Deliver> LedgerAdmission<D> {
    /// Continues from a ledger that absorbed everything durable; `close_group` holds the last
    /// close, 0 if there is none.
    pub fn new(ledger: Ledger, deliver: D, close_group: u64) -> LedgerAdmission<D> {
        LedgerAdmission {
            view: LedgerView::of_durable(&ledger),
            bodies: BodyWriter::new(ledger.config.bodies.clone()),
            ledger,
            deliver,
            gate: Arc::new(Open),
            group: Vec::new(),
            items: BTreeMap::new(),
            closed: Vec::new(),
            counts: RefusalCounts::default(),
            close_group,
            keep: None,
        }
    }

    /// Asks `gate` before each item; without one nothing is kept out.
    pub fn with_gate(self, gate: Arc<dyn Gate>) -> LedgerAdmission<D> {
        LedgerAdmission { gate, ..self }
    }

    /// Shows `keep` the state behind each group, if there is somebody.
    pub fn kept_by(mut self, keep: Option<impl KeepState>) -> LedgerAdmission<D> {
        self.keep = keep.map(|keep| Box::new(keep) as Box<dyn KeepState>);
        self
    }

    /// Group that holds the last close; 0 before the first.
    pub fn close_group(&self) -> u64 {
        self.close_group
    }

    /// What is durable, for readers beside the writer.
    pub fn view(&self) -> LedgerView {
        self.view.clone()
    }

    /// Whether the window must end before the next item.
    fn must_close(&self, now: Millis, out: &GroupBuilder) -> bool {
        // Groups count because a batch's public file names each one of its window.
        let groups = out.number().saturating_sub(self.close_group);
        self.ledger.must_close_before(now, Position(out.next_position()), groups)
    }

    /// The state.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Appends one entry that is no frame and takes it into the state.
    fn append(
        &mut self,
        entry: Entry,
        time: Millis,
        out: &mut GroupBuilder,
    ) -> Result<Position, Ground> {
        self.append_measured(entry, None, time, out)
    }

    /// As [`Self::append`]; of a frame with what the check of its readings found, which is not made
    /// twice.
    fn append_measured(
        &mut self,
        entry: Entry,
        measured: Option<Interval>,
        time: Millis,
        out: &mut GroupBuilder,
    ) -> Result<Position, Ground> {
        if let Some(holder) = self.holder(&entry) {
            let items = self.items.entry(holder).or_default();
            // A receipt must hold all that a group has for its holder, and it is bounded.
            if *items >= wire::limits::RECEIPT_ITEMS_MAX {
                return Err(Ground::GroupFull);
            }
            *items += 1;
        }
        let written = self.write(&entry, measured, time, out);
        let Written { position, sealing } = written.map_err(Ground::from)?;
        let closed = match (&entry, sealing) {
            (Entry::Frame(frame), Some(sealing)) => {
                self.ledger.absorb_measured(frame, sealing, position, time).map(|()| None)
            }
            _ => self.ledger.absorb(&entry, position, time),
        };
        // Decided against this very state a moment ago: if it does not follow, the writer must
        // stop before anything is acknowledged (a panic here poisons it).
        let closed =
            closed.unwrap_or_else(|broken| panic!("admission contradicts itself: {broken}"));
        if closed.is_some() {
            self.close_group = out.number();
        }
        self.closed.extend(closed);
        if let Entry::StreamOpen { descriptor, .. } = &entry {
            self.bodies.expect(descriptor.key.patient);
        }
        self.group.push(PlacedEntry { position, time, entry });
        Ok(position)
    }

    /// Writes the entry into the group, the readings of a frame sealed.
    fn write(
        &mut self,
        entry: &Entry,
        measured: Option<Interval>,
        time: Millis,
        out: &mut GroupBuilder,
    ) -> Result<Written, NotWritten> {
        let kind = EntryKind::from_code(entry.kind_code()).expect("no entry has kind 0");
        let index = out.len() as u32;
        // Without a salt the group is not written, whatever is in it.
        let salt = *out.salt().ok_or(NotWritten::NoSalt)?;
        let place = EntryPlace { salt, index, time: time.get() };
        let mut sealing = None;
        let position = out.append_with(kind, time.get(), |record| {
            let before = record.len();
            match (entry, measured) {
                (Entry::Frame(frame), Some(measured)) => {
                    sealing = Some(self.bodies.write((frame, measured), &place, record)?);
                }
                _ => entry.write(record).map_err(NotWritten::Body)?,
            }
            self.gate.written(record.len() - before);
            Ok::<_, NotWritten>(())
        });
        Ok(Written { position: Position(position?), sealing })
    }

    /// Who has a receipt for it.
    fn holder(&self, entry: &Entry) -> Option<Holder> {
        match entry {
            Entry::Frame(FrameEntry { gateway, .. })
            | Entry::SealedFrame(SealedFrame { gateway, .. }) => {
                Some(self.ledger.registry().holder_of(gateway))
            }
            Entry::Operation { requester, .. } | Entry::AccessRequest { requester, .. } => {
                Some(*requester)
            }
            Entry::Refusal(refusal) => Some(refusal.requester),
            Entry::RegistryChange(_)
            | Entry::Close { .. }
            | Entry::StreamOpen { .. }
            | Entry::Gap(_)
            | Entry::RefusalCount(_) => None,
        }
    }

    fn close(&mut self, now: Millis, out: &mut GroupBuilder) -> Result<(), Ground> {
        // Before the close, so that the counts are of the window in which they were counted.
        let counts = self.counts.take_all(now);
        self.append_counts(counts, now, out)?;
        let (entry, time) = self.ledger.close_entry(now);
        self.append(entry, time, out).map(drop)
    }
}

impl<D: Deliver> LedgerAdmission<D> {
    fn append_counts(
        &mut self,
        counts: impl IntoIterator<Item = RefusalCount>,
        now: Millis,
        out: &mut GroupBuilder,
    ) -> Result<(), Ground> {
        let mut counts = counts.into_iter().map(Entry::RefusalCount);
        counts.try_for_each(|entry| self.append(entry, now, out).map(drop))
    }

    /// Appends what an item became. A refusal that repeats one in the journal is counted instead.
    fn append_verdict(&mut self, verdict: Appending<'_>, out: &mut GroupBuilder) -> Answer {
        let Appending { item, entry, time, answer } = verdict;
        let evidence = Evidence::of_entry(&entry, item.patient());
        if let Some(evidence) = &evidence
            && self.counts.count(evidence, time)
        {
            return repeated(answer);
        }
        let position = match self.append_measured(entry, item.measured(), time, out) {
            Ok(position) => position,
            Err(ground) => return Answer::Refused(ground.into()),
        };
        // Begun only now: what is counted has a first one that stands in the journal.
        let evicted = evidence.and_then(|evidence| self.counts.begin(evidence, time));
        if let Err(ground) = self.append_counts(evicted, time, out) {
            return Answer::Refused(ground.into());
        }
        with_position(answer, position)
    }
}

/// Where an entry stands, and how its readings are sealed if it is a frame.
struct Written {
    position: Position,
    sealing: Option<Sealing>,
}

impl From<NotWritten> for Ground {
    fn from(why: NotWritten) -> Ground {
        match why {
            // Why not is the operator's to know: it names files.
            NotWritten::Sealed(NotSealed::Key(_)) => Ground::NoKey,
            why => Ground::NotAppended(why.to_string()),
        }
    }
}

/// Why an entry is not in the group.
#[derive(Debug, Error)]
enum NotWritten {
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(transparent)]
    Body(DecodeError),
    #[error(transparent)]
    Sealed(#[from] NotSealed),
    #[error("the system gives no salt for the group")]
    NoSalt,
}

/// An item, what it becomes and what is answered.
struct Appending<'a> {
    item: &'a Item,
    entry: Entry,
    time: Millis,
    answer: Answer,
}

/// Tells a refusal where it stands.
fn with_position(mut answer: Answer, position: Position) -> Answer {
    if let Answer::Refused(refusal) = &mut answer {
        refusal.position = Some(position);
    }
    answer
}

impl<D: Deliver> Admission for LedgerAdmission<D> {
    type Item = Item;
    type Answer = Answer;

    fn admit(&mut self, now: journal::Millis, item: Item, out: &mut GroupBuilder) -> Answer {
        let now = Millis::new(now).unwrap_or(Millis::UNBOUNDED_FUTURE);
        let mut around = self.gate.look();
        around.has_room &= self.ledger.frame_nodes().has_room();
        // Before anything is closed or stamped: it may be for the time that it is kept out.
        if let Some(ground) = around.keep_out(&item, &self.ledger) {
            return Answer::Refused(ground.into());
        }
        while self.must_close(now, out) {
            if let Err(ground) = self.close(now, out) {
                return Answer::Refused(ground.into());
            }
        }
        // A close may be stamped a little later than the clock says, and nothing precedes it.
        let now = Millis::new(out.now()).unwrap_or(now);
        let due = match &item {
            Item::Close | Item::CountRefusals => self.counts.take_all(now),
            _ => self.counts.take_due(now),
        };
        if let Err(ground) = self.append_counts(due, now, out) {
            return Answer::Refused(ground.into());
        }
        let answer = loop {
            let now = Millis::new(out.now()).unwrap_or(now);
            let at = At {
                group: out.number(),
                position: Position(out.next_position()),
                now,
                latest: around.latest.max(now),
                around,
            };
            match self.ledger.decide(&item, at) {
                Verdict::Answer(answer) => return answer,
                Verdict::CloseFirst(time) => {
                    // Once for each window of the longest span that lies between.
                    if let Err(ground) = self.close(time, out) {
                        return Answer::Refused(ground.into());
                    }
                }
                Verdict::Append { entry, time, answer } => {
                    let verdict = Appending { item: &item, entry: *entry, time, answer };
                    break self.append_verdict(verdict, out);
                }
            }
        };
        if !matches!(item, Item::Close) && self.ledger.window.is_full(&self.ledger.config.limits) {
            // After the item rather than before the next one: however long nothing comes, a full
            // window goes to the prover at once. One that finds no room in this group is closed
            // with the next item.
            drop(self.close(now, out));
        }
        answer
    }

    fn committed(&mut self, committed: &Committed) {
        let identity = GroupIdentity {
            scope: self.ledger.config.scope,
            group: committed.group,
            term: self.ledger.term,
            journal_hash: committed.journal_hash,
        };
        let group = std::mem::take(&mut self.group);
        self.items.clear();
        self.bodies.end_group();
        // Before anything is delivered: whoever gets a receipt or an answer may look at once.
        self.view.publish(&self.ledger, &group);
        let receipts = receipts_of_group(identity, &group);
        let receipts = receipts.expect("admission bounds and orders a group's items");
        if !receipts.is_empty() {
            self.deliver.deliver_receipts(receipts.into_values().collect());
        }
        // Several only after a clock that jumped, all closed by the one group.
        for contents in self.closed.drain(..) {
            self.deliver.deliver_window(ClosedWindow {
                contents: contents.into(),
                group: committed.group,
                journal_hash: committed.journal_hash,
            });
        }
        if let Some(keep) = &mut self.keep {
            keep.look(Kept { ledger: &self.ledger, committed, close_group: self.close_group });
        }
    }
}
