//! Where in the journal something is decided, and what the decision is.

use model::{Millis, Position};
use wire::Entry;

use super::answer::Answer;
use super::collected::FrameOf;
use super::segment::FrameFacts;
use super::surroundings::Surroundings;

/// The place that the next entry would have.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// Number of the journal's group.
    pub(super) group: u64,
    /// Position of the next entry.
    pub(super) position: Position,
    /// The writer's time, which never decreases: the earliest that it may be.
    pub(super) now: Millis,
    /// The latest that it may be: what ends is judged by it.
    pub(super) latest: Millis,
    /// How it stands around the ledger.
    pub(super) around: Surroundings,
}

/// What to append for an item, and what to answer once it is durable.
pub(super) enum Verdict<'a> {
    /// Nothing to append.
    Answer(Answer),
    /// Close the open window at this time, and decide again.
    CloseFirst(Millis),
    /// Append this frame at the time of these facts, by which consent covers it.
    Store {
        /// The frame.
        frame: FrameOf<'a>,
        /// What it adds to streams and window.
        facts: FrameFacts,
    },
    /// Append this entry, which is no frame, at the time stated.
    Append {
        /// The entry.
        entry: Box<Entry>,
        /// Its time: the writer's, or a little later if it must be later than every other.
        time: Millis,
        /// What its submitter learns.
        answer: Answer,
    },
}
