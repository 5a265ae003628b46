//! The ledger as the journal's admission: decides, appends, absorbs, and delivers when durable.

use std::sync::Arc;

use bodies::EntryPlace;
use journal::{Admission, Committed, EntryError, EntryKind, GroupBuilder};
use model::{Millis, Position};
use thiserror::Error;
use wire::{
    DecodeError, Entry, FrameEntry, GroupIdentity, GroupReceipts, Holder, PlacedEntry, PlacedFrame,
    RefusalCount, SealedFrame, Sealing, StoringFrame,
};

use super::absorb::Ledger;
use super::answer::{Answer, Deliver, Item};
use super::bodies::{BodyWriter, NotSealed};
use super::collected::FrameOf;
use super::counts::{Evidence, RefusalCounts};
use super::gate::{Gate, Open};
use super::keep::{KeepState, Kept};
use super::refuse::{Ground, repeated};
use super::segment::FrameFacts;
use super::surroundings::Surroundings;
use super::verdict::{At, Verdict};
use super::view::LedgerView;
use crate::window::{ClosedWindow, NextTerms, WindowContents, WindowTerms};

/// Runs a [`Ledger`] on the writer thread.
pub struct LedgerAdmission<D> {
    ledger: Ledger,
    deliver: D,
    gate: Arc<dyn Gate>,
    view: LedgerView,
    /// How it stands around what was submitted together and is being admitted.
    around: Option<Surroundings>,
    /// Entries of the group that is not durable yet, but frames.
    group: Vec<PlacedEntry>,
    /// Of that group, frames included.
    receipts: GroupReceipts,
    closed: Vec<WindowContents>,
    /// Refusals that repeat, of the running minute.
    counts: RefusalCounts,
    /// Group that holds the last close; 0 before the first.
    close_group: u64,
    keep: Option<Box<dyn KeepState>>,
    bodies: BodyWriter,
    /// What the next window is made by, if it is other than this one.
    next: NextTerms,
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
            around: None,
            group: Vec::new(),
            receipts: GroupReceipts::default(),
            closed: Vec::new(),
            counts: RefusalCounts::default(),
            close_group,
            keep: None,
            next: NextTerms::default(),
        }
    }

    /// Asks `gate` before what is submitted together; without one nothing is kept out.
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

    /// Where terms are set for the windows to come.
    pub fn next_terms(&self) -> NextTerms {
        self.next.clone()
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
        self.holder(&entry).map_or(Ok(()), |holder| self.check_receipt(&holder))?;
        // Without one the group is not written, whatever is in it.
        out.salt().ok_or(NotWritten::NoSalt)?;
        let kind = EntryKind::from_code(entry.kind_code()).expect("no entry has kind 0");
        let position = out.append_with(kind, time.get(), |record| {
            let before = record.len();
            entry.write(record).map_err(NotWritten::Body)?;
            self.gate.written(record.len() - before);
            Ok::<_, NotWritten>(())
        });
        let position = Position(position.map_err(Ground::from)?);
        let closed = self.ledger.absorb(&entry, position, time);
        // Decided against this very state a moment ago: if it does not follow, the writer must
        // stop before anything is acknowledged (a panic here poisons it).
        let closed =
            closed.unwrap_or_else(|broken| panic!("admission contradicts itself: {broken}"));
        if closed.is_some() {
            self.close_group = out.number();
            // The fold does not depend on them: a restart may have others, and finds the same
            // windows in the journal.
            if let Some(WindowTerms { cadence, limits }) = self.next.take() {
                (self.ledger.config.cadence, self.ledger.config.limits) = (cadence, limits);
            }
        }
        self.closed.extend(closed);
        if let Entry::StreamOpen { descriptor, .. } = &entry
            && self.ledger.erasures().tombstone(descriptor.key.patient).is_none()
        {
            self.bodies.expect(descriptor.key.patient);
        }
        let placed = PlacedEntry { position, time, entry };
        self.receipts.add(&placed);
        self.group.push(placed);
        Ok(position)
    }

    /// Appends a frame, its readings sealed, and takes it into the state.
    fn store(
        &mut self,
        frame: &FrameOf<'_>,
        facts: &FrameFacts,
        out: &mut GroupBuilder,
    ) -> Result<(), Ground> {
        self.check_receipt(&facts.holder)?;
        let sealing = self.write(frame, facts, out)?;
        self.ledger.absorb_decided(frame, facts, sealing);
        let (sequence, position) = (frame.frame.sequence(), facts.position);
        let placed = PlacedFrame { stream: &frame.stream, sequence, position, time: facts.at };
        self.receipts.add_frame(facts.holder, placed);
        Ok(())
    }

    /// Writes a frame into the group, and says how it is sealed.
    fn write(
        &mut self,
        frame: &FrameOf<'_>,
        facts: &FrameFacts,
        out: &mut GroupBuilder,
    ) -> Result<Sealing, Ground> {
        let (time, index) = (facts.at.get(), out.len() as u32);
        let salt = *out.salt().ok_or(NotWritten::NoSalt)?;
        let place = EntryPlace { salt, index, time };
        let (of, stored) = (frame.collected, frame.frame.as_stored());
        let storing = StoringFrame { gateway: of.gateway, key: of.key, frame: &stored };
        let mut sealing = None;
        let position = out.append_with(EntryKind::FRAME, time, |record| {
            let before = record.len();
            sealing = Some(self.bodies.write((storing, of.measured), &place, record)?);
            self.gate.written(record.len() - before);
            Ok::<_, NotWritten>(())
        })?;
        // What was decided names this place: claims and receipts do, too.
        assert_eq!(position, facts.position.0, "nothing is appended behind a decision");
        Ok(sealing.expect("it is in the group, so it was sealed"))
    }

    /// Whether one more entry of a holder fits its receipt, which must hold all that a group has
    /// for it, and is bounded.
    fn check_receipt(&self, holder: &Holder) -> Result<(), Ground> {
        match self.receipts.entries_of(holder) < wire::limits::RECEIPT_ITEMS_MAX {
            true => Ok(()),
            false => Err(Ground::GroupFull),
        }
    }

    /// How it stands around the ledger now.
    fn look(&self) -> Surroundings {
        let mut around = self.gate.look();
        around.has_room &= self.ledger.frame_nodes().has_room();
        around
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
            Entry::Erasure(erasure) => Some(erasure.requester),
            Entry::RegistryChange(_)
            | Entry::Close { .. }
            | Entry::StreamOpen { .. }
            | Entry::Gap(_)
            | Entry::RefusalCount(_)
            | Entry::Hold(_)
            | Entry::Query(_) => None,
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
        let position = match self.append(entry, time, out) {
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

    fn begin(&mut self) {
        // Two clocks: for each of many frames that came together it would be a part of what they
        // cost, and they have one time.
        self.around = Some(self.look());
    }

    fn admit(&mut self, now: journal::Millis, item: Item, out: &mut GroupBuilder) -> Answer {
        let now = Millis::new(now).unwrap_or(Millis::UNBOUNDED_FUTURE);
        let around = self.around.unwrap_or_else(|| self.look());
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
                Verdict::Store { frame, facts } => {
                    break match self.store(&frame, &facts, out) {
                        Ok(()) => Answer::FrameStored,
                        Err(ground) => Answer::Refused(ground.into()),
                    };
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
        let receipts = std::mem::take(&mut self.receipts);
        self.bodies.end_group();
        // Before anything is delivered: whoever gets a receipt or an answer may look at once.
        self.view.publish(&self.ledger, &receipts, &self.group);
        self.group.clear();
        let receipts = receipts.finish(identity);
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
