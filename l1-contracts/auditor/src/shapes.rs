//! How many leaves a chunk of each shape commits to.
//!
//! A list's root does not bind the list's length: the inner nodes of a list have its root, too. So
//! an auditor must know how long the list of each shape is. The circuits own these numbers; a test
//! compares the two tables, because the circuits are not linked here.

use statement::c2::Capacity;

/// The leaves of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// C1: one leaf a row.
    Operations(usize),
    /// C2: in each slot the leaves of its claims, then its tag.
    Claims(Capacity),
}

impl Layout {
    /// Number of leaves.
    pub const fn leaves(self) -> usize {
        match self {
            Layout::Operations(rows) => rows,
            Layout::Claims(capacity) => capacity.leaves(),
        }
    }

    /// 1 for C1, 2 for C2.
    pub const fn circuit(self) -> u8 {
        match self {
            Layout::Operations(_) => 1,
            Layout::Claims(_) => 2,
        }
    }
}

/// Every shape that this auditor knows.
pub(crate) const SHAPES: [(&str, Layout); 4] = [
    ("c1-test", Layout::Operations(1)),
    ("c1-17", Layout::Operations(8)),
    ("c2-test", Layout::Claims(Capacity { slots: 1, claims_per_slot: 4 })),
    ("c2-17", Layout::Claims(Capacity { slots: 12, claims_per_slot: 4 })),
];

/// The leaves of the shape with this name.
pub fn layout(shape: &str) -> Option<Layout> {
    SHAPES.iter().find(|(name, _)| *name == shape).map(|(_, layout)| *layout)
}
