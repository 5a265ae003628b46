//! The ledger as the journal's admission: decides, appends, absorbs, and delivers when durable.

use std::collections::BTreeMap;

use journal::{Admission, Committed, EntryKind, GroupBuilder};
use model::{Millis, Position, RejectCode};
use wire::{Entry, GroupIdentity, Holder, PlacedEntry, receipts_of_group};

use super::Ledger;
use super::answer::{Answer, Deliver, Item, Rejected};
use super::decide::Verdict;
use crate::window::{ClosedWindow, WindowContents};

/// Runs a [`Ledger`] on the writer thread.
pub struct LedgerAdmission<D> {
    ledger: Ledger,
    deliver: D,
    /// Entries of the group that is not durable yet.
    group: Vec<PlacedEntry>,
    /// Items of each holder in that group, an upper bound.
    items: BTreeMap<Holder, usize>,
    closed: Vec<WindowContents>,
    /// Group that holds the last close; 0 before the first.
    close_group: u64,
}

impl<D: Deliver> LedgerAdmission<D> {
    /// Continues from a ledger that absorbed everything durable; `close_group` holds the last
    /// close, 0 if there is none.
    pub fn new(ledger: Ledger, deliver: D, close_group: u64) -> LedgerAdmission<D> {
        let (group, items, closed) = (Vec::new(), BTreeMap::new(), Vec::new());
        LedgerAdmission { ledger, deliver, group, items, closed, close_group }
    }

    /// Whether the window must end before the next item.
    fn must_close(&self, now: Millis, out: &GroupBuilder) -> bool {
        let groups = out.number().saturating_sub(self.close_group);
        self.ledger.must_close_before(now, Position(out.next_position()), groups)
    }

    /// The state.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The state, and where it delivers.
    pub fn into_parts(self) -> (Ledger, D) {
        (self.ledger, self.deliver)
    }

    fn decide(&mut self, now: Millis, item: Item, out: &GroupBuilder) -> Verdict {
        let position = Position(out.next_position());
        let ledger = &self.ledger;
        match item {
            Item::OpenStream { gateway, descriptor } => {
                ledger.decide_open(gateway, descriptor, now)
            }
            Item::Frame { gateway, key, frame, measured } => {
                ledger.decide_frame(gateway, key, &frame, measured, (position, now))
            }
            Item::Operation { requester, operation } => {
                ledger.decide_operation(requester, operation, (position, now))
            }
            Item::Access { practitioner, request } => {
                let place = (out.number(), position, now);
                ledger.decide_access(practitioner, request, place)
            }
            Item::Registry(change) => ledger.decide_registry(change, now, position),
            Item::Close => {
                let (entry, time) = ledger.close_entry(now);
                Verdict::Append { entry: Box::new(entry), time, answer: Answer::Closed }
            }
            Item::Query(query) => Verdict::Answer(Answer::Found(ledger.answer(query, now))),
        }
    }

    /// Appends one entry and takes it into the state.
    fn append(
        &mut self,
        entry: Entry,
        time: Millis,
        out: &mut GroupBuilder,
    ) -> Result<Position, Rejected> {
        if let Some(holder) = holder(&entry) {
            let items = self.items.entry(holder).or_default();
            if *items >= wire::limits::RECEIPT_ITEMS_MAX {
                let detail = "expected fewer items of one holder in a group";
                return Err(Rejected::new(RejectCode::Busy, detail));
            }
            *items += 1;
        }
        let unavailable = |error: String| Rejected::new(RejectCode::Unavailable, error);
        let body = entry.to_bytes().map_err(|error| unavailable(error.to_string()))?;
        let kind = EntryKind::from_code(entry.kind_code()).expect("no entry has kind 0");
        let position = out.append_at(kind, time.get(), &body);
        let position = Position(position.map_err(|error| unavailable(error.to_string()))?);
        let closed = self.ledger.absorb(&entry, position, time);
        // Decided against this very state a moment ago: if it does not follow, the writer must
        // stop before anything is acknowledged (a panic here poisons it).
        let closed =
            closed.unwrap_or_else(|broken| panic!("admission contradicts itself: {broken}"));
        if closed.is_some() {
            self.close_group = out.number();
        }
        self.closed.extend(closed);
        self.group.push(PlacedEntry { position, time, entry });
        Ok(position)
    }

    fn close(&mut self, now: Millis, out: &mut GroupBuilder) -> Result<(), Rejected> {
        let (entry, time) = self.ledger.close_entry(now);
        self.append(entry, time, out).map(drop)
    }
}

/// A refusal says where it stands.
fn journaled(mut answer: Answer, position: Position) -> Answer {
    if let Answer::Refused(rejected) = &mut answer {
        rejected.position = Some(position);
    }
    answer
}

fn holder(entry: &Entry) -> Option<Holder> {
    match entry {
        Entry::Frame(frame) => Some(Holder::gateway(&frame.gateway)),
        Entry::Operation { requester, .. } | Entry::AccessRequest { requester, .. } => {
            Some(*requester)
        }
        Entry::Refusal(refusal) => Some(refusal.requester),
        Entry::RegistryChange(_) | Entry::Close { .. } | Entry::StreamOpen { .. } => None,
    }
}

impl<D: Deliver> Admission for LedgerAdmission<D> {
    type Item = Item;
    type Answer = Answer;

    fn admit(&mut self, now: journal::Millis, item: Item, out: &mut GroupBuilder) -> Answer {
        let now = Millis::new(now).unwrap_or(Millis::UNBOUNDED_FUTURE);
        while self.must_close(now, out) {
            if let Err(rejected) = self.close(now, out) {
                return Answer::Refused(rejected);
            }
        }
        // A close may be stamped a little later than the clock says, and nothing precedes it.
        let now = Millis::new(out.now()).unwrap_or(now);
        let was_close = matches!(item, Item::Close);
        let answer = match self.decide(now, item, out) {
            Verdict::Answer(answer) => return answer,
            Verdict::Append { entry, time, answer } => match self.append(*entry, time, out) {
                Ok(position) => journaled(answer, position),
                Err(rejected) => return Answer::Refused(rejected),
            },
        };
        if !was_close && self.ledger.window.is_full(&self.ledger.config.limits) {
            // A full window that cannot be closed in this group is closed with the next item.
            drop(self.close(now, out));
        }
        answer
    }

    fn committed(&mut self, committed: &Committed) {
        let identity = GroupIdentity {
            scope: self.ledger.config.scope,
            group: committed.group,
            journal_hash: committed.journal_hash,
        };
        let group = std::mem::take(&mut self.group);
        self.items.clear();
        let receipts = receipts_of_group(identity, &group);
        let receipts = receipts.expect("admission bounds and orders a group's items");
        if !receipts.is_empty() {
            self.deliver.receipts(receipts.into_values().collect());
        }
        for contents in self.closed.drain(..) {
            self.deliver.closed(ClosedWindow {
                contents: contents.into(),
                group: committed.group,
                journal_hash: committed.journal_hash,
            });
        }
    }
}
