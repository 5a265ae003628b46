//! The index of stored frames: lists that grow for years in a memory that does not.
//!
//! ```text
//!   level 2                          [x]                    in memory: fewer than 64 a level
//!   level 1            [x x x] <- 64 |                      (the spine)
//!   items    [f f f f f] <- 64 |
//!                 a full row is a node:  ~~~~ appended to the file `frames.index` ~~~~
//! ```
//! A list is appended to only. Sixty-four items make a node, which is written once and never
//! changed; sixty-four nodes make one of the next level. What is above a node names its place and
//! the hash of its bytes, so that damage is found by whoever reads, and served by nobody. Memory
//! holds the last row of each level alone, and a snapshot of the ledger holds the same.
//!
//! Where a node stands and what its bytes are follows from the journal before it: a node of the
//! program that absorbs the same entries again writes the same bytes to the same places. So what
//! lies behind the end that a snapshot names needs no cutting off.

mod nodes;
mod spine;
mod varint;

pub use nodes::{DamagedNode, FrameNodes, IndexError, IndexFile};
pub use spine::Look;
pub(super) use spine::{FANOUT, Item, Located, Spine, Subtree};
pub(super) use varint::{read_varint, write_varint};
