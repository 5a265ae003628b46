//! What a connection tells its owner: counts, and the ends of operations and requests to read.

use model::{EpochNumber, Millis, Position, RejectCode, Sequence};
use wire::{Released, SignedReceipt, StreamName};

/// What a connection did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Frames queued, those restored from a state folder included.
    pub frames_sent: u64,
    /// Readings in frames queued since the start.
    pub readings_sent: u64,
    /// Readings in frames restored from a state folder or a backlog.
    pub readings_restored: u64,
    /// Of those restored, readings that had a receipt before: the node lost them.
    pub readings_sent_again: u64,
    /// Bytes at the ends of a state folder's files that were cut when streams were opened, because
    /// a crash or a power cut came while they were written. None of it was sent.
    pub bytes_cut: u64,
    /// Frames with a receipt.
    pub frames_receipted: u64,
    /// Readings in them.
    pub readings_receipted: u64,
    /// Bytes of those of them that were sent on this connection, as they were made.
    pub bytes_receipted: u64,
    /// Frames that were queued and given up, because the state folder is full or they were old.
    pub frames_given_up: u64,
    /// Readings in them.
    pub queued_given_up: u64,
    /// Readings that were given up, those included that were never queued.
    pub readings_given_up: u64,
    /// Times that frames were rejected and are sent again.
    pub frames_delayed: u64,
    /// Times that the node did not open a stream yet and is asked again.
    pub streams_delayed: u64,
    /// Verified receipts.
    pub receipts: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Times that the streams went over to a connection with another certificate, while the one
    /// before stood.
    pub renewals: u64,
    /// Losses that the node's operator ever accepted.
    pub term: u32,
    /// Those of them that this client heard of here: what was acknowledged before may be gone, and
    /// its receipts are the evidence.
    pub losses_accepted: u32,
}

/// What the node does not take now, for a reason that passes. Nothing is lost and nothing is to be
/// done: it is tried again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delay {
    /// Of which stream.
    pub stream: StreamName,
    /// Of what.
    pub what: Delayed,
    /// Why.
    pub code: RejectCode,
    /// When it is tried again, by this side's clock.
    pub again_at: Millis,
}

/// What of a stream is delayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delayed {
    /// The stream is not open yet, or not again after a reconnect.
    Opening,
    /// Frames of the open stream.
    Frames,
}

/// A node that lost what it gave receipts for. What of it is kept in the state folder goes again;
/// the receipts are evidence, unless the node's operator accepted a loss
/// ([`Counts::losses_accepted`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Of which stream, in the epoch that it had.
    pub stream: StreamName,
    /// The last sequence that the node has of it.
    pub durable: Sequence,
    /// The last one that had a receipt.
    pub receipted: Sequence,
    /// The epoch in which the frames go: another one if what is kept does not follow what the node
    /// has, so that the frames between are in no place but their source.
    pub epoch: EpochNumber,
    /// What goes again.
    pub again: Again,
}

/// Frames that had a receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Again {
    /// How many.
    pub frames: u64,
    /// Readings in them.
    pub readings: u64,
}

/// An operation that took effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Journal position.
    pub position: Position,
    /// The operation's time, t_op: the record changes as of it.
    pub time: Millis,
    /// The verified receipt that says so.
    pub receipt: SignedReceipt,
}

/// The decision on a request to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessOutcome {
    /// Whether it was permitted.
    pub permitted: bool,
    /// When it was decided.
    pub time: Millis,
    /// Journal position of the decision.
    pub position: Position,
    /// The verified receipt that says the same.
    pub receipt: SignedReceipt,
    /// The released frames in the order sent, with their streams; empty if refused.
    pub released: Vec<Released>,
    /// Whether more were asked for: [`crate::Connection::read_on`] behind the last of these.
    pub more: bool,
    /// Frames up to here that lie only partly in the period, and so were not released.
    pub partly: u64,
}

/// A further page of what a request to read asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleasedPage {
    /// The released frames in the order sent, with their streams.
    pub released: Vec<Released>,
    /// Whether there are more behind the last of these.
    pub more: bool,
    /// Frames of this page that lie only partly in the period, and so were not released.
    pub partly: u64,
}
