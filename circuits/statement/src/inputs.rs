//! The public inputs of both statements, each in one struct (SPEC.md section 7).
//!
//! The contract computes the same lists in the same order; `circuits/vectors/inputs.json` pins them.

use ark_bn254::Fr;
use model::{Millis, Position};

use crate::field::from_u64;

/// Public inputs of C1: the operations of a chunk move the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct C1Inputs {
    /// Consent root before the chunk.
    pub root_in: Fr,
    /// Consent root after it.
    pub root_out: Fr,
    /// Start of the window.
    pub t0: Millis,
    /// End of the window, not included.
    pub t1: Millis,
    /// Time of the last operation before the chunk; `t0` for the first chunk.
    pub time_in: Millis,
    /// Time of the chunk's last operation.
    pub time_out: Millis,
    /// Binds the proof to chain, contract, circuit, key version and batch.
    pub domain: Fr,
    /// Binds signatures to chain and contract.
    pub sig_domain: Fr,
    /// Hash of the registrar's key.
    pub registrar: Fr,
    /// Operations in the chunk.
    pub operations: u32,
    /// Enrolments among them.
    pub enrolments: u32,
    /// Commitment to the chunk's rows.
    pub operations_root: Fr,
}

impl C1Inputs {
    /// Number of public inputs.
    pub const LEN: usize = 12;

    /// The inputs in the contract's order.
    pub fn to_field_elements(&self) -> [Fr; Self::LEN] {
        [
            self.root_in,
            self.root_out,
            time(self.t0),
            time(self.t1),
            time(self.time_in),
            time(self.time_out),
            self.domain,
            self.sig_domain,
            self.registrar,
            count(self.operations),
            count(self.enrolments),
            self.operations_root,
        ]
    }
}

/// Public inputs of C2: the claims of a chunk are covered under the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct C2Inputs {
    /// Consent root after the batch's operations.
    pub root: Fr,
    /// Start of the window.
    pub t0: Millis,
    /// End of the window, not included.
    pub t1: Millis,
    /// Commitment to the chunk's claims and slot tags.
    pub claims_root: Fr,
    /// Access claims.
    pub access: u32,
    /// Collect claims.
    pub collect: u32,
    /// Break-glass claims.
    pub break_glass: u32,
    /// Claims of any kind that are counted as not covered.
    pub excluded: u32,
    /// The previous chunk's `edge_out`; 0 for the first.
    pub edge_in: Fr,
    /// Salted commitment to the chunk's last patient and position.
    pub edge_out: Fr,
    /// Journal position of the previous batch.
    pub position_in: Position,
    /// Journal position of this batch.
    pub position_out: Position,
    /// Binds the proof to chain, contract, circuit, key version and batch.
    pub domain: Fr,
}

impl C2Inputs {
    /// Number of public inputs.
    pub const LEN: usize = 13;

    /// The inputs in the contract's order.
    pub fn to_field_elements(&self) -> [Fr; Self::LEN] {
        [
            self.root,
            time(self.t0),
            time(self.t1),
            self.claims_root,
            count(self.access),
            count(self.collect),
            count(self.break_glass),
            count(self.excluded),
            self.edge_in,
            self.edge_out,
            from_u64(self.position_in.0),
            from_u64(self.position_out.0),
            self.domain,
        ]
    }
}

fn time(time: Millis) -> Fr {
    from_u64(time.get())
}

fn count(count: u32) -> Fr {
    from_u64(u64::from(count))
}
