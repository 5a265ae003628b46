//! What must hold of a journal, whatever happened to those who wrote it. The names I1, I2 and so on
//! are those of the architecture page.

mod consent;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use circuits::shapes::Shape;
use journal::{Log, Medium, ReadError, Reader};
use l1_contracts::SettledBatch;
use model::{Digest, EpochNumber, GatewayId, Operation, Position, Sequence, with_causes};
use sequencer::stages::batch::{PlanError, plan};
use sequencer::stages::ledger::{Ledger, LedgerConfig};
use sequencer::window::{Capacities, OperationScope, WindowContents};
use statement::field;
use statement::scope::{genesis_hash, header_hash};
use statement::tree::EMPTY_ROOT;
use thiserror::Error;
use wire::{
    Entry, FrameEntry, FramesItem, Items, OperationItem, ReceiptError, RegistryKey,
    StoredOperation, StreamName, signer_address,
};

use self::consent::Consents;
use crate::batches::binding;
use crate::cast::Cast;
use crate::fold::{FoldError, Folded, PlacedEntry, entries, fold};
use crate::keys::{chain_scope, genesis_time, receipt_key};
use crate::promises::{Holder, Promise, Promises};
use crate::source;

/// What does not hold.
#[derive(Debug, Error)]
pub enum Violation {
    /// A group that somebody has a receipt of.
    #[error(
        "I1: {holder} has a receipt of group {group}, and the journal {found}: what was \
         acknowledged is lost"
    )]
    Lost {
        /// Who has the receipt.
        holder: Holder,
        /// Of which group.
        group: u64,
        /// What the journal says.
        found: String,
    },
    /// A frame that a receipt names.
    #[error(
        "I1: a receipt of {holder} for group {group} acknowledges {what} {number}, which does not \
         stand there"
    )]
    NotStored {
        /// Who has the receipt.
        holder: Holder,
        /// The group.
        group: u64,
        /// What it acknowledges.
        what: &'static str,
        /// Its sequence or position.
        number: u64,
    },
    /// A receipt that nobody signed.
    #[error("a receipt of {holder} does not verify: {detail}")]
    Forged {
        /// Whose.
        holder: Holder,
        /// Why.
        detail: String,
    },
    /// A reading that stands there twice.
    #[error("I2: reading {number} of gateway {gateway} is stored twice, again at {position}")]
    Twice {
        /// Whose.
        gateway: usize,
        /// Which.
        number: u64,
        /// Where it stands again.
        position: u64,
    },
    /// A frame that does not follow the one before it.
    #[error(
        "I3: expected frame {expected} of gateway {gateway}, epoch {epoch}, at position \
         {position}, found {found}"
    )]
    Order {
        /// Whose.
        gateway: usize,
        /// In which epoch.
        epoch: u16,
        /// Where.
        position: u64,
        /// The sequence that follows.
        expected: u64,
        /// The one that stands there.
        found: u64,
    },
    /// A reading that nobody measured.
    #[error("a reading at position {position} is none that gateway {gateway} measured")]
    Falsified {
        /// Whose it is said to be.
        gateway: usize,
        /// Where.
        position: u64,
    },
    /// Somebody who is not in the cast.
    #[error("a frame at position {position} is of nobody")]
    Stranger {
        /// Where.
        position: u64,
    },
    /// A reading that was measured and is nowhere.
    #[error("I6: gateway {gateway} measured {measured} readings, and {stored} are stored")]
    Missing {
        /// Whose.
        gateway: usize,
        /// How many its device gave.
        measured: u64,
        /// How many the journal has.
        stored: u64,
    },
    /// Gateways that are not done.
    #[error("I6: {waiting} gateways and wallets are not done {after_s} s after the last fault")]
    Stuck {
        /// How many.
        waiting: usize,
        /// How long after.
        after_s: u64,
    },
    /// What is in no window that closed.
    #[error("I6: position {position} is acknowledged, and windows closed up to {closed} only")]
    Unclosed {
        /// The last frame.
        position: u64,
        /// The last close.
        closed: u64,
    },
    /// What is in no batch that settled.
    #[error(
        "I6: position {position} is acknowledged, and the chain settled up to {settled} only, \
         {after_s} s after the last fault"
    )]
    Unsettled {
        /// The last one that somebody has a receipt of.
        position: u64,
        /// The last one that is settled.
        settled: u64,
        /// How long after.
        after_s: u64,
    },
    /// A batch that the chain settled out of its turn, or twice.
    #[error("I2: expected batch {expected} to be settled next, found {found}")]
    SettledOrder {
        /// The number that follows.
        expected: u64,
        /// The one that was settled.
        found: u64,
    },
    /// A batch that is not the window of the journal.
    #[error("{invariant}: settled batch {number} is not the window of the journal, in {what}")]
    SettledOtherwise {
        /// Which is broken.
        invariant: &'static str,
        /// Which batch.
        number: u64,
        /// In what.
        what: &'static str,
    },
    /// Windows that do not abut.
    #[error("I2: window {number} does not begin where the one before ended, in {what}")]
    Apart {
        /// Which.
        number: u64,
        /// In what.
        what: &'static str,
    },
    /// An operation that does not decode.
    #[error("I8: the operation at position {position} does not decode")]
    Unread {
        /// Where.
        position: u64,
    },
    /// A frame that no consent covered when it was stored.
    #[error("I4: a frame of gateway {gateway} at position {position} is stored without consent")]
    Unpermitted {
        /// Whose.
        gateway: usize,
        /// Where.
        position: u64,
    },
    /// A gateway that goes on with a certificate that was to be renewed.
    #[error("I6: the certificate of gateway {gateway} was due, and the registry has no other one")]
    NotRenewed {
        /// Whose.
        gateway: usize,
    },
    /// A window that cannot be proven.
    #[error("I4: window {number} cannot be proven")]
    Unprovable {
        /// Which.
        number: u64,
        /// Why not.
        source: PlanError,
    },
    /// A bound that was exceeded.
    #[error("I7: expected at most {most} {what}, found {found}")]
    Unbounded {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: u64,
        /// What was seen.
        found: u64,
    },
    /// A start from a snapshot that came to another state than the journal makes.
    #[error("I8: the snapshot at position {from} leads to another state than the journal makes")]
    OtherState {
        /// Where the snapshot stands.
        from: u64,
    },
    /// A journal that is not served.
    #[error("I8: the journal is not whole")]
    Damaged(#[from] FoldError),
    /// A journal that is not opened.
    #[error("I8: the journal is not opened: {0}")]
    NotOpened(String),
}

/// What a journal held at the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Frames.
    pub frames: u64,
    /// Readings in them.
    pub readings: u64,
    /// Receipts that somebody has.
    pub receipts: u64,
    /// Windows that closed.
    pub windows: u64,
    /// Batches that settled.
    pub settled: u64,
    /// Starts of the node that began with a snapshot.
    pub starts_from_snapshot: u64,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Held { frames, readings, receipts, windows, settled, .. } = self;
        write!(
            f,
            "{frames} frames, {readings} readings, {receipts} receipts, {windows} windows, \
             {settled} settled"
        )
    }
}

/// Whether all that was promised so far is there.
///
/// # Errors
/// [`Violation`].
pub(crate) fn check_promises<M: Medium>(
    journal: &Reader<M>,
    promises: &[Promise],
) -> Result<(), Violation> {
    let signer = signer_address(&receipt_key());
    let mut read = BTreeMap::new();
    for promise in promises {
        let (holder, group) = (promise.holder, promise.receipt.receipt.group);
        let forged =
            |error: ReceiptError| Violation::Forged { holder, detail: with_causes(&error) };
        promise.verify(signer).map_err(forged)?;
        let number = group.group;
        if let std::collections::btree_map::Entry::Vacant(place) = read.entry(number) {
            let lost = |error: ReadError| Violation::Lost {
                holder,
                group: number,
                found: with_causes(&error),
            };
            place.insert(Stored::read(journal, number).map_err(lost)?);
        }
        let Some(stored) = read.get(&number) else { continue };
        if stored.journal_hash != group.journal_hash {
            let found = "has another one in its place".to_owned();
            return Err(Violation::Lost { holder, group: number, found });
        }
        let not_stored =
            |(what, of)| Violation::NotStored { holder, group: number, what, number: of };
        stored.check(promise.receipt.receipt.items()).map_err(not_stored)?;
    }
    Ok(())
}

/// A group as receipts are held against it.
struct Stored {
    journal_hash: [u8; 32],
    frames: BTreeSet<StoredFrame>,
    operations: BTreeMap<Position, Digest>,
}

/// A frame as receipts name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StoredFrame {
    stream: StreamName,
    sequence: Sequence,
    position: Position,
}

impl Stored {
    fn read<M: Medium>(journal: &Reader<M>, number: u64) -> Result<Stored, ReadError> {
        let group = journal.group(number)?;
        let (mut frames, mut operations) = (BTreeSet::new(), BTreeMap::new());
        for (position, entry) in (group.first..).map(Position).zip(&group.entries) {
            let (stream, sequence) = match Entry::from_bytes(entry.kind.code(), &entry.body) {
                Ok(Entry::Frame(frame)) => (frame.stream(), frame.sequence()),
                Ok(Entry::SealedFrame(frame)) => (frame.stream(), frame.sequence()),
                Ok(Entry::Operation { operation, .. }) => {
                    operations.insert(position, operation.digest());
                    continue;
                }
                // What does not decode is found by whoever folds the journal.
                Ok(_) | Err(_) => continue,
            };
            frames.insert(StoredFrame { stream, sequence, position });
        }
        Ok(Stored { journal_hash: group.journal_hash, frames, operations })
    }

    /// What of a receipt does not stand there, if anything: its kind and number.
    fn check(&self, items: &Items) -> Result<(), (&'static str, u64)> {
        for FramesItem { stream, sequences, positions: (first, last), .. } in &items.frames {
            for sequence in sequences.0.0..=sequences.1.0 {
                let at = |position| {
                    let (stream, sequence) = (stream.clone(), Sequence(sequence));
                    StoredFrame { stream, sequence, position }
                };
                if self.frames.range(at(*first)..=at(*last)).next().is_none() {
                    return Err(("frame", sequence));
                }
            }
        }
        let absent =
            |item: &&OperationItem| self.operations.get(&item.position) != Some(&item.digest);
        match items.operations.iter().find(absent) {
            Some(item) => Err(("the operation at position", item.position.0)),
            None => Ok(()),
        }
    }
}

/// What a journal holds.
#[derive(Debug)]
pub(crate) struct Journaled {
    pub(crate) counted: Held,
    pub(crate) windows: Vec<WindowContents>,
}

/// Checks all that must hold when a run is over.
pub(crate) struct Ending<'a> {
    pub(crate) cast: &'a Cast,
    pub(crate) promises: &'a Promises,
    pub(crate) config: &'a LedgerConfig,
}

impl Ending<'_> {
    /// Checks the journal as a restart finds it.
    ///
    /// # Errors
    /// [`Violation`].
    pub(crate) fn check<M: Medium>(&self, log: &Log<M>) -> Result<Journaled, Violation> {
        let journal = log.reader();
        let promises = self.promises.all();
        check_promises(&journal, &promises)?;
        let Folded { ledger, windows } = fold(log, self.config)?;
        let frames = self.check_frames(&journal)?;
        self.check_renewals(&ledger)?;
        check_windows(&windows, frames.last, ledger.operation_scope())?;
        let counted = Held {
            frames: frames.frames,
            readings: frames.readings.values().map(|numbers| numbers.len() as u64).sum(),
            receipts: promises.len() as u64,
            windows: windows.len() as u64,
            ..Held::default()
        };
        Ok(Journaled { counted, windows })
    }

    /// Every certificate that was due is replaced by the one that was asked for.
    fn check_renewals(&self, ledger: &Ledger) -> Result<(), Violation> {
        let registry = ledger.registry();
        for (gateway, one) in self.cast.gateways.iter().enumerate() {
            let Some(expected) = self.cast.renewed(one) else { continue };
            let key = RegistryKey::Gateway(one.id.clone());
            let mut certificates = registry.certificates();
            let found = certificates.find(|(of, _)| *of == key).map(|(_, found)| found.fingerprint);
            if found != Some(expected) {
                return Err(Violation::NotRenewed { gateway });
            }
        }
        Ok(())
    }

    fn check_frames<M: Medium>(&self, journal: &Reader<M>) -> Result<Frames, Violation> {
        let numbers = self.cast.gateways.iter().enumerate();
        let mut found = Frames {
            gateways: numbers.map(|(number, one)| (one.id.clone(), number)).collect(),
            ..Frames::default()
        };
        for placed in entries(journal) {
            let PlacedEntry { at, entry } = placed?.opened(&self.config.bodies)?;
            match entry {
                Entry::Frame(frame) => found.take(&frame, at.position)?,
                // Enrolments are sealed, and permit nothing.
                Entry::Operation { operation: StoredOperation::Plain(signed), .. } => {
                    let own = signed.as_bytes().get(..Operation::BYTES);
                    let operation = own.and_then(|own| Operation::from_bytes(own).ok());
                    let position = at.position.0;
                    found.consents.take(&operation.ok_or(Violation::Unread { position })?);
                }
                _ => {}
            }
        }
        for gateway in 0..self.cast.gateways.len() {
            let measured = self.promises.measured(gateway);
            let stored = found.readings.get(&gateway).map_or(0, BTreeSet::len) as u64;
            if stored != measured {
                return Err(Violation::Missing { gateway, measured, stored });
            }
        }
        Ok(found)
    }
}

/// The frames of a journal, in its order.
#[derive(Default)]
struct Frames {
    gateways: BTreeMap<GatewayId, usize>,
    consents: Consents,
    /// The last sequence of each epoch.
    sequences: BTreeMap<(usize, EpochNumber), u64>,
    readings: BTreeMap<usize, BTreeSet<u64>>,
    frames: u64,
    last: Position,
}

impl Frames {
    fn take(&mut self, frame: &FrameEntry, at: Position) -> Result<(), Violation> {
        let position = at.0;
        let gateway = *self.gateways.get(&frame.gateway).ok_or(Violation::Stranger { position })?;
        if !self.consents.permit(frame.key.patient) {
            return Err(Violation::Unpermitted { gateway, position });
        }
        let last = self.sequences.entry((gateway, frame.epoch())).or_default();
        let (expected, found) = (*last + 1, frame.sequence().0);
        if found != expected {
            let epoch = frame.epoch().0;
            return Err(Violation::Order { gateway, epoch, position, expected, found });
        }
        *last = found;
        let falsified = || Violation::Falsified { gateway, position };
        let signal = frame.key.signal().ok_or_else(falsified)?;
        for reading in frame.frame().readings(signal).map_err(|_| falsified())? {
            let number = source::number_of(gateway, &reading).ok_or_else(falsified)?;
            if !self.readings.entry(gateway).or_default().insert(number) {
                return Err(Violation::Twice { gateway, number, position });
            }
        }
        (self.frames, self.last) = (self.frames + 1, at);
        Ok(())
    }
}

/// Windows abut, hold every frame once, and can be proven.
fn check_windows(
    windows: &[WindowContents],
    last_frame: Position,
    operations: &OperationScope,
) -> Result<(), Violation> {
    let closed = windows.last().map_or(0, |window| window.position_out.0);
    if last_frame.0 > closed {
        return Err(Violation::Unclosed { position: last_frame.0, closed });
    }
    for (before, after) in windows.iter().zip(windows.iter().skip(1)) {
        let ends = [
            ("number", before.number.0 + 1 == after.number.0),
            ("time", before.window.t1() == after.window.t0()),
            ("position", before.position_out == after.position_in),
            ("consent root", before.root_out == after.root_in),
        ];
        if let Some((what, _)) = ends.into_iter().find(|(_, same)| !same) {
            return Err(Violation::Apart { number: after.number.0, what });
        }
    }
    let binding = binding(*operations);
    let Some(capacities) = capacities() else { return Ok(()) };
    for window in windows {
        let number = window.number.0;
        let unprovable = |source| Violation::Unprovable { number, source };
        plan(window, &binding, &capacities).map_err(unprovable)?;
    }
    Ok(())
}

/// What the chain settled is what the journal says, each window once and in its turn, and nothing
/// that somebody has a receipt of is left.
///
/// # Errors
/// [`Violation`].
pub(crate) fn check_settled(
    settled: &[SettledBatch],
    windows: &[WindowContents],
    acknowledged: Position,
) -> Result<(), Violation> {
    let (mut previous, mut root) =
        (genesis_hash(chain_scope(), genesis_time()), field::to_word(&EMPTY_ROOT));
    for (expected, batch) in (1..).zip(settled) {
        let (header, found) = (&batch.header, batch.header.number.0);
        if found != expected {
            return Err(Violation::SettledOrder { expected, found });
        }
        let window = windows.iter().find(|window| window.number == header.number);
        let otherwise =
            |invariant, what| Violation::SettledOtherwise { invariant, number: found, what };
        let window = window.ok_or_else(|| otherwise("I1", "that there is one"))?;
        let claims = header.access + header.collect + header.break_glass;
        let held = [
            ("I5", "the batch before it", header.previous == previous),
            ("I5", "its consent root before", header.root_in == root),
            ("I5", "its consent root", header.root_out == field::to_word(&window.root_out)),
            ("I5", "the hash of its header", batch.header_hash == header_hash(header)),
            ("I2", "its time", header.window == window.window),
            ("I2", "its last position", header.journal_position == window.position_out),
            ("I6", "its operations", header.operations as usize == window.operations.len()),
            ("I6", "its claims", claims as usize == window.claims.len()),
            ("I4", "claims that no rule covers", header.excluded == 0),
        ];
        if let Some((invariant, what, _)) = held.into_iter().find(|(.., holds)| !holds) {
            return Err(otherwise(invariant, what));
        }
        (previous, root) = (batch.header_hash, header.root_out);
    }
    let last = settled.last().map_or(Position(0), |batch| batch.header.journal_position);
    if acknowledged > last {
        let (position, settled) = (acknowledged.0, last.0);
        return Err(Violation::Unsettled { position, settled, after_s: 0 });
    }
    Ok(())
}

/// Those of a node with the default shapes.
fn capacities() -> Option<Capacities> {
    let claims = ["c2-17", "c2-17-2", "c2-17-1"].map(Shape::named);
    let claims: Vec<_> = claims.into_iter().flatten().collect();
    Capacities::of_shapes(Shape::named("c1-17")?, &claims)
}

#[cfg(test)]
mod tests;
