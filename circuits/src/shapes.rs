//! How much one proof holds: the only place that knows capacities (SPEC.md section 11).
//!
//! A shape fixes a circuit, and with it a key: the prover learns its matrices once from
//! [`Shape::matrices`] and assigns a chunk with [`Shape::assign`] for each proof.

use crate::builder::{Assignment, Builder, R1cs, Room, matrices, witness_within};
use crate::{c1, c2};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::{Millis, Position, Window};
use statement::c1::Chunk as C1Chunk;
use statement::c2::{Capacity as ClaimCapacity, Chunk as C2Chunk};
use statement::inputs::{C1Inputs, C2Inputs};
use statement::scope::Circuit;
use statement::tree::CAP;

/// How much a chunk of a shape holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capacity {
    /// C1: operations.
    Operations(usize),
    /// C2: slots of claims.
    Claims(ClaimCapacity),
}

/// A circuit of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The name used in keys, files and metrics.
    pub name: &'static str,
    /// How much it holds; says also of which statement it is.
    pub capacity: Capacity,
    /// The evaluation domain is 2 to this; rows and public columns together fit in it.
    pub domain_log2: u32,
    /// Whether the shape is for tests: small, and of no use in production.
    pub test_only: bool,
}

/// A chunk of either statement with its public inputs.
#[derive(Clone, Copy, Debug)]
pub enum Statement<'a> {
    /// Operations.
    C1(&'a C1Inputs, &'a C1Chunk),
    /// Claims.
    C2(&'a C2Inputs, &'a C2Chunk),
}

/// A chunk that is not of the shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected a chunk of {expected:?}, found one of {found:?}")]
pub struct WrongShape {
    /// The shape's capacity.
    pub expected: Capacity,
    /// The chunk's.
    pub found: Capacity,
}

/// Every shape: for each statement some for tests, and the largest that fit 2^17.
///
/// Claims have three of these, because patients differ in how many devices they wear: a shape with
/// `-2` or `-1` behind its name has slots of two claims, or of one, and more of them.
pub const SHAPES: [Shape; 7] = [
    c1("c1-test", 14, 1),
    c1("c1-17", 17, 8),
    c2("c2-test", 14, ClaimCapacity { slots: 1, claims_per_slot: 4 }),
    c2("c2-test-1", 14, ClaimCapacity { slots: 1, claims_per_slot: 1 }),
    c2("c2-17", 17, ClaimCapacity { slots: 12, claims_per_slot: 4 }),
    c2("c2-17-2", 17, ClaimCapacity { slots: 15, claims_per_slot: 2 }),
    c2("c2-17-1", 17, ClaimCapacity { slots: 18, claims_per_slot: 1 }),
];

const fn c1(name: &'static str, domain_log2: u32, operations: usize) -> Shape {
    shape(name, domain_log2, Capacity::Operations(operations))
}

const fn c2(name: &'static str, domain_log2: u32, claims: ClaimCapacity) -> Shape {
    shape(name, domain_log2, Capacity::Claims(claims))
}

const fn shape(name: &'static str, domain_log2: u32, capacity: Capacity) -> Shape {
    Shape { name, capacity, domain_log2, test_only: domain_log2 < 17 }
}

impl Shape {
    /// The shape with this name.
    pub fn named(name: &str) -> Option<&'static Shape> {
        SHAPES.iter().find(|shape| shape.name == name)
    }

    /// Which statement the shape is of.
    pub fn circuit(&self) -> Circuit {
        match self.capacity {
            Capacity::Operations(_) => Circuit::C1,
            Capacity::Claims(_) => Circuit::C2,
        }
    }

    /// What a proof costs, to be compared with that of another shape: the size of its domain.
    ///
    /// All sums and transforms of a proof are about as long, whatever the rows say. The shapes of
    /// one domain cost the same but for some hundredths.
    pub const fn cost(&self) -> u64 {
        1 << self.domain_log2
    }

    /// Number of public inputs, without the constant one.
    pub fn input_count(&self) -> usize {
        match self.circuit() {
            Circuit::C1 => C1Inputs::LEN,
            Circuit::C2 => C2Inputs::LEN,
        }
    }

    /// The rows, learnt from a chunk of padding: values do not enter them.
    pub fn matrices(&self) -> R1cs {
        self.of_padding(|statement| matrices(|b| statement.circuit(b)).0)
    }

    fn of_padding<T>(&self, make: impl FnOnce(Statement<'_>) -> T) -> T {
        match self.capacity {
            Capacity::Operations(capacity) => {
                let (inputs, chunk) = c1_padding(capacity);
                make(Statement::C1(&inputs, &chunk))
            }
            Capacity::Claims(capacity) => {
                let chunk = c2_padding(capacity);
                make(Statement::C2(&chunk.inputs(), &chunk))
            }
        }
    }

    /// The assignment of a chunk, also of one that does not fulfil the statement: check it before.
    ///
    /// # Errors
    /// [`WrongShape`] if the chunk's capacity is not the shape's.
    pub fn assign(&self, statement: Statement<'_>) -> Result<Assignment, WrongShape> {
        // Before any row: a circuit ignores what lies beyond its capacity, and the proof would be
        // of less than the chunk.
        let found = statement.capacity();
        if found != self.capacity {
            return Err(WrongShape { expected: self.capacity, found });
        }
        Ok(witness_within(self.room(), |b| statement.circuit(b)))
    }

    /// What every assignment fits in: the rows fit in the domain, and there are about as many
    /// private values. Memory that is never written costs nothing.
    fn room(&self) -> Room {
        let rows = 1 << self.domain_log2;
        Room { rows, witnesses: rows + rows / 16 }
    }
}

impl Statement<'_> {
    /// What the chunk is made for.
    pub fn capacity(&self) -> Capacity {
        match self {
            Statement::C1(_, chunk) => Capacity::Operations(chunk.capacity),
            Statement::C2(_, chunk) => Capacity::Claims(chunk.capacity),
        }
    }

    /// The public inputs in the contract's order.
    pub fn inputs(&self) -> Vec<Fr> {
        match self {
            Statement::C1(inputs, _) => inputs.to_field_elements().to_vec(),
            Statement::C2(inputs, _) => inputs.to_field_elements().to_vec(),
        }
    }

    /// Makes the rows and assigns the chunk.
    pub fn circuit(&self, b: &mut Builder) {
        match self {
            Statement::C1(inputs, chunk) => c1::circuit(b, inputs, chunk),
            Statement::C2(inputs, chunk) => c2::circuit(b, inputs, chunk),
        }
    }
}

fn window() -> Window {
    let first = Millis::UNBOUNDED_PAST;
    Window::new(first, first.plus(1)).expect("1 ms is a window")
}

fn c1_padding(capacity: usize) -> (C1Inputs, C1Chunk) {
    let zero = Fr::ZERO;
    let window = window();
    let chunk = C1Chunk {
        root_in: zero,
        time_in: window.t0(),
        window,
        domain: zero,
        sig_domain: zero,
        registrar_key_hash: zero,
        capacity,
        rows: vec![],
    };
    let inputs = C1Inputs {
        root_in: zero,
        root_out: zero,
        t0: window.t0(),
        t1: window.t1(),
        time_in: window.t0(),
        time_out: window.t0(),
        domain: zero,
        sig_domain: zero,
        registrar: zero,
        operations: 0,
        enrolments: 0,
        // Not the root of padding: only sizes matter where rows are learnt, and no row needs to
        // hold.
        operations_root: zero,
    };
    (inputs, chunk)
}

fn c2_padding(capacity: ClaimCapacity) -> C2Chunk {
    C2Chunk {
        capacity,
        root: Fr::ZERO,
        cap: Box::new([Fr::ZERO; CAP]),
        window: window(),
        first_leaf: 0,
        position_in: Position(0),
        position_out: Position(0),
        domain: Fr::ZERO,
        edge_in: None,
        edge_salt: Fr::ZERO,
        // The circuit makes as many as the capacity says, and of these every one is padding.
        slots: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_assignment_outgrows_the_memory_that_was_reserved_for_it() {
        for shape in &SHAPES {
            let Assignment { witness, az, .. } = &shape.of_padding(|statement| {
                let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                one_core.expect("a thread").install(|| shape.assign(statement)).expect("its shape")
            });
            let Room { rows, witnesses } = shape.room();
            assert_eq!([az.capacity(), witness.capacity()], [rows, witnesses], "{}", shape.name);
        }
    }

    #[test]
    fn names_are_distinct_and_found() {
        for shape in &SHAPES {
            assert_eq!(Shape::named(shape.name), Some(shape));
        }
        assert_eq!(Shape::named("c3"), None);
    }
}
