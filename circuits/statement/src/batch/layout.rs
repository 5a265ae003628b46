//! What the leaves of a chunk are, by the shape that its key proves.
//!
//! The circuits own these numbers and are not linked here; their test of shapes compares the two
//! tables.

use std::collections::BTreeMap;

use crate::c2::Capacity;
use crate::scope::Circuit;

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

    /// Which statement a chunk of this layout is proven by.
    pub const fn circuit(self) -> Circuit {
        match self {
            Layout::Operations(_) => Circuit::C1,
            Layout::Claims(_) => Circuit::C2,
        }
    }

    /// The layout of the shape with this name; `None` for a shape that this release does not know.
    pub fn of_shape(name: &str) -> Option<Layout> {
        SHAPES.iter().find(|(shape, _)| *shape == name).map(|(_, layout)| *layout)
    }
}

/// Every shape that there is, by name.
pub const SHAPES: [(&str, Layout); 7] = [
    ("c1-test", Layout::Operations(1)),
    ("c1-17", Layout::Operations(8)),
    ("c2-test", Layout::Claims(Capacity { slots: 1, claims_per_slot: 4 })),
    ("c2-test-1", Layout::Claims(Capacity { slots: 1, claims_per_slot: 1 })),
    ("c2-17", Layout::Claims(Capacity { slots: 12, claims_per_slot: 4 })),
    ("c2-17-2", Layout::Claims(Capacity { slots: 15, claims_per_slot: 2 })),
    ("c2-17-1", Layout::Claims(Capacity { slots: 18, claims_per_slot: 1 })),
];

/// The layouts of a deployment's chunks, by the id of the key that proves them.
///
/// A file names keys only; which shape a key is of stands in the deployment file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layouts(BTreeMap<[u8; 32], Layout>);

impl Layouts {
    /// The layout of the chunks under a key, if it is one of this circuit.
    pub fn of_key(&self, id: &[u8; 32], circuit: Circuit) -> Option<Layout> {
        // A key of the other circuit is none: its proofs say another thing.
        self.0.get(id).copied().filter(|layout| layout.circuit() == circuit)
    }

    /// Whether some key is known for each circuit.
    pub fn are_complete(&self) -> bool {
        let some = |circuit| self.0.values().any(|layout| layout.circuit() == circuit);
        some(Circuit::C1) && some(Circuit::C2)
    }
}

impl FromIterator<([u8; 32], Layout)> for Layouts {
    fn from_iter<I: IntoIterator<Item = ([u8; 32], Layout)>>(keys: I) -> Layouts {
        Layouts(keys.into_iter().collect())
    }
}
