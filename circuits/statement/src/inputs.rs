//! The public inputs of both statements, each in one struct (SPEC.md section 7).
//!
//! The contract computes the same lists in the same order; `circuits/vectors/inputs.json` pins
//! them.

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
        // The order alone says which input is which: neither proof nor key carries a name.
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
    /// Access claims, covered or excluded.
    pub access: u32,
    /// Collect claims, covered or excluded.
    pub collect: u32,
    /// Break-glass claims, covered or excluded.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{cases, element, inputs, millis, number, text};
    use serde_json::Value;

    fn find<'a>(list: &'a [Value], name: &str) -> &'a Value {
        let found = list.iter().find(|case| text(&case["name"]) == name);
        &found.expect("an input of this name")["value"]
    }

    fn values(list: &[Value]) -> Vec<Fr> {
        list.iter().map(|case| element(&case["value"])).collect()
    }

    #[test]
    fn c1_lists_its_inputs_in_the_order_of_the_vectors() {
        let inputs = inputs();
        let list = cases(&inputs["c1"]);
        let word = |name| element(find(list, name));
        let time = |name| millis(find(list, name));
        let count = |name| number(find(list, name)) as u32;
        let found = C1Inputs {
            root_in: word("root_in"),
            root_out: word("root_out"),
            t0: time("t0"),
            t1: time("t1"),
            time_in: time("time_in"),
            time_out: time("time_out"),
            domain: word("domain"),
            sig_domain: word("sig_domain"),
            registrar: word("registrar"),
            operations: count("operations"),
            enrolments: count("enrolments"),
            operations_root: word("operations_root"),
        };
        assert_eq!(found.to_field_elements().to_vec(), values(list));
    }

    #[test]
    fn c2_lists_its_inputs_in_the_order_of_the_vectors() {
        let inputs = inputs();
        let list = cases(&inputs["c2"]);
        let word = |name| element(find(list, name));
        let time = |name| millis(find(list, name));
        let count = |name| number(find(list, name)) as u32;
        let position = |name| Position(number(find(list, name)));
        let found = C2Inputs {
            root: word("root"),
            t0: time("t0"),
            t1: time("t1"),
            claims_root: word("claims_root"),
            access: count("access"),
            collect: count("collect"),
            break_glass: count("break_glass"),
            excluded: count("excluded"),
            edge_in: word("edge_in"),
            edge_out: word("edge_out"),
            position_in: position("position_in"),
            position_out: position("position_out"),
            domain: word("domain"),
        };
        assert_eq!(found.to_field_elements().to_vec(), values(list));
    }
}
