//! What must hold of a journal, whatever happened to those who wrote it. The names I1, I2 and so on
//! are those of the architecture page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use circuits::shapes::Shape;
use journal::{Log, Medium, ReadError, Reader};
use model::{BatchHeader, EpochNumber, GatewayId, Position, Sequence, with_causes};
use sequencer::stages::batch::{BatchBinding, PlanError, plan};
use sequencer::window::{Capacities, OperationScope, WindowContents};
use thiserror::Error;
use wire::{Entry, FrameEntry, FramesItem, ReceiptError, StreamName, signer_address};

use crate::cast::{Cast, chain_scope, receipt_key};
use crate::fold::{FoldError, Folded, PlacedEntry, entries, fold};
use crate::promises::{Promise, Promises};
use crate::source;

/// What does not hold.
#[derive(Debug, Error)]
pub enum Violation {
    /// A group that somebody has a receipt of.
    #[error(
        "I1: gateway {gateway} has a receipt of group {group}, and the journal {found}: what was \
         acknowledged is lost"
    )]
    Lost {
        /// Who has the receipt.
        gateway: usize,
        /// Of which group.
        group: u64,
        /// What the journal says.
        found: String,
    },
    /// A frame that a receipt names.
    #[error(
        "I1: a receipt of group {group} acknowledges frame {sequence} of gateway {gateway}, which \
         does not stand there"
    )]
    NotStored {
        /// Whose.
        gateway: usize,
        /// The group.
        group: u64,
        /// The frame.
        sequence: u64,
    },
    /// A receipt that nobody signed.
    #[error("a receipt of gateway {gateway} does not verify: {detail}")]
    Forged {
        /// Whose.
        gateway: usize,
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
    #[error(
        "I6: {waiting} gateways have frames without a receipt {after_s} s after the last fault"
    )]
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
    /// Windows that do not abut.
    #[error("I2: window {number} does not begin where the one before ended, in {what}")]
    Apart {
        /// Which.
        number: u64,
        /// In what.
        what: &'static str,
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
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Held { frames, readings, receipts, windows } = self;
        write!(f, "{frames} frames, {readings} readings, {receipts} receipts, {windows} windows")
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
        let (gateway, group) = (promise.gateway, promise.receipt.receipt.group);
        let forged =
            |error: ReceiptError| Violation::Forged { gateway, detail: with_causes(&error) };
        promise.verify(signer).map_err(forged)?;
        let number = group.group;
        if let std::collections::btree_map::Entry::Vacant(place) = read.entry(number) {
            let lost = |error: ReadError| Violation::Lost {
                gateway,
                group: number,
                found: with_causes(&error),
            };
            place.insert(Stored::read(journal, number).map_err(lost)?);
        }
        let Some(stored) = read.get(&number) else { continue };
        if stored.journal_hash != group.journal_hash {
            let found = "has another one in its place".to_owned();
            return Err(Violation::Lost { gateway, group: number, found });
        }
        for item in &promise.receipt.receipt.items().frames {
            stored.check_item(item, gateway, number)?;
        }
    }
    Ok(())
}

/// A group as receipts are held against it.
struct Stored {
    journal_hash: [u8; 32],
    frames: BTreeSet<StoredFrame>,
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
        let frame = |(position, entry): (u64, &journal::Entry)| {
            match Entry::from_bytes(entry.kind.code(), &entry.body) {
                Ok(Entry::Frame(frame)) => Some(StoredFrame {
                    stream: frame.stream(),
                    sequence: frame.sequence(),
                    position: Position(position),
                }),
                Ok(Entry::SealedFrame(frame)) => Some(StoredFrame {
                    stream: frame.stream(),
                    sequence: frame.sequence(),
                    position: Position(position),
                }),
                // What does not decode is found by whoever folds the journal.
                Ok(_) | Err(_) => None,
            }
        };
        let frames = (group.first..).zip(&group.entries).filter_map(frame).collect();
        Ok(Stored { journal_hash: group.journal_hash, frames })
    }

    fn check_item(&self, item: &FramesItem, gateway: usize, group: u64) -> Result<(), Violation> {
        let (first, last) = item.positions;
        for sequence in item.sequences.0.0..=item.sequences.1.0 {
            let stream = item.stream.clone();
            let at =
                |stream, position| StoredFrame { stream, sequence: Sequence(sequence), position };
            let mut there = self.frames.range(at(stream.clone(), first)..=at(stream, last));
            if there.next().is_none() {
                return Err(Violation::NotStored { gateway, group, sequence });
            }
        }
        Ok(())
    }
}

/// Checks all that must hold when a run is over.
pub(crate) struct Ending<'a> {
    pub(crate) cast: &'a Cast,
    pub(crate) promises: &'a Promises,
}

impl Ending<'_> {
    /// Checks the journal as a restart finds it.
    ///
    /// # Errors
    /// [`Violation`].
    pub(crate) fn check<M: Medium>(&self, log: &Log<M>) -> Result<Held, Violation> {
        let journal = log.reader();
        let promises = self.promises.all();
        check_promises(&journal, &promises)?;
        let Folded { ledger, windows, .. } = fold(log)?;
        let frames = self.check_frames(&journal)?;
        check_windows(&windows, frames.last, ledger.operation_scope())?;
        Ok(Held {
            frames: frames.frames,
            readings: frames.readings.values().map(|numbers| numbers.len() as u64).sum(),
            receipts: promises.len() as u64,
            windows: windows.len() as u64,
        })
    }

    fn check_frames<M: Medium>(&self, journal: &Reader<M>) -> Result<Frames, Violation> {
        let numbers = self.cast.gateways.iter().enumerate();
        let mut found = Frames {
            gateways: numbers.map(|(number, one)| (one.id.clone(), number)).collect(),
            ..Frames::default()
        };
        for placed in entries(journal) {
            let PlacedEntry { at, entry } = placed?.opened()?;
            if let Entry::Frame(frame) = entry {
                found.take(&frame, at.position)?;
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
    let binding = BatchBinding {
        scope: chain_scope(),
        operations: *operations,
        key_version: BatchHeader::KEY_VERSION,
        edge_secret: [0; 32],
    };
    let Some(capacities) = capacities() else { return Ok(()) };
    for window in windows {
        let number = window.number.0;
        let unprovable = |source| Violation::Unprovable { number, source };
        plan(window, &binding, &capacities).map_err(unprovable)?;
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
