//! A prover who changes a few private values and makes good whatever follows from them.
//!
//! Rows come after what they read. So a row that no longer holds is made good, if it can be, by the
//! column that appears in it for the first time: the product of two older ones, the hint of an
//! inverse, a sum's new name. Where a number is taken to bits, the bits were made just before and
//! nothing has read them: they are taken from the new number, if it fits. What is left violated are
//! the rows that keep this prover out.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use circuits::builder::{Assignment, R1cs, Row};
use std::collections::BTreeSet;

/// What a prover changes.
#[derive(Clone, Default)]
pub(crate) struct Change {
    /// Private values, by number.
    pub(crate) cells: Vec<(usize, Fr)>,
    /// Public inputs, by number, that the prover claims as the rows make them.
    pub(crate) claimed: Vec<usize>,
}

/// `assignment` after `change` and all that can be made good.
pub(crate) fn repaired(r1cs: &R1cs, mut assignment: Assignment, change: &Change) -> Assignment {
    for (cell, value) in &change.cells {
        assignment.witness[*cell] = *value;
    }
    let mut repair = Repair {
        r1cs,
        kept: change.cells.iter().map(|(cell, _)| column_of(r1cs, *cell)).collect(),
        // Column 0 is the constant one.
        claimed: change.claimed.iter().map(|input| *input as u32 + 1).collect(),
        seen: vec![0; r1cs.instances + r1cs.witnesses],
        bits: BTreeSet::new(),
        assignment,
    };
    (0..r1cs.a.len()).for_each(|row| repair.row(row));
    repair.assignment
}

fn column_of(r1cs: &R1cs, cell: usize) -> u32 {
    (cell + r1cs.instances) as u32
}

struct Repair<'a> {
    r1cs: &'a R1cs,
    kept: BTreeSet<u32>,
    claimed: BTreeSet<u32>,
    /// In how many rows each column stood so far.
    seen: Vec<u32>,
    /// Columns of rows `(1 - bit) bit = 0`.
    bits: BTreeSet<u32>,
    assignment: Assignment,
}

impl Repair<'_> {
    fn row(&mut self, row: usize) {
        let (a, b, c) = (&self.r1cs.a[row], &self.r1cs.b[row], &self.r1cs.c[row]);
        let [left, right, product] = [a, b, c].map(|part| self.dot(part));
        if left * right != product {
            // `C z` has to move by this much, or `A z` by as much over `B z`.
            let missing = left * right - product;
            let _ = self.take(c, [a, b], missing)
                || right.inverse().is_some_and(|inverse| self.take(a, [b, c], -missing * inverse))
                || left.inverse().is_some_and(|inverse| self.take(b, [a, c], -missing * inverse))
                || right == Fr::ONE && self.split(a, -missing);
        }
        if let (true, [(_, bit)]) = (c.is_empty(), b.as_slice())
            && a.iter().any(|(_, column)| column == bit)
        {
            self.bits.insert(*bit);
        }
        let columns: BTreeSet<u32> = [a, b, c].into_iter().flatten().map(|term| term.1).collect();
        columns.into_iter().for_each(|column| self.seen[column as usize] += 1);
    }

    /// Moves the sum of `part` by `distance` with a column that appears for the first time, and in
    /// none of the row's `others`.
    fn take(&mut self, part: &Row, others: [&Row; 2], distance: Fr) -> bool {
        let is_elsewhere = |column: u32| others.iter().any(|row| row.iter().any(|t| t.1 == column));
        let is_new = |column: u32| match (column as usize) < self.r1cs.instances {
            true => self.claimed.contains(&column),
            false => self.seen[column as usize] == 0 && !self.kept.contains(&column),
        };
        let free = part.iter().find(|(_, column)| is_new(*column) && !is_elsewhere(*column));
        let Some((factor, column)) = free else {
            return false;
        };
        let inverse = factor.inverse().expect("rows hold no zero factor");
        *self.value_mut(*column) += distance * inverse;
        true
    }

    /// Moves the sum of `part` by `distance` with bits that nothing has read but their own rows.
    fn split(&mut self, part: &Row, distance: Fr) -> bool {
        let is_free = |column: &u32| {
            self.bits.contains(column)
                && self.seen[*column as usize] == 1
                && !self.kept.contains(column)
        };
        let bits: Vec<(Fr, u32)> =
            part.iter().filter(|(_, column)| is_free(column)).copied().collect();
        let Some(inverse) = bits.first().and_then(|(factor, _)| factor.inverse()) else {
            return false;
        };
        let mut powers = std::iter::successors(Some(Fr::ONE), |power| Some(power.double()));
        if !bits.iter().all(|(factor, _)| powers.next() == Some(*factor * inverse)) {
            return false;
        }
        let number = (self.dot(&bits) + distance) * inverse;
        let number = number.into_bigint();
        if number.num_bits() as usize > bits.len() {
            return false;
        }
        for (place, (_, column)) in bits.iter().enumerate() {
            *self.value_mut(*column) = Fr::from(number.get_bit(place));
        }
        true
    }

    fn dot(&self, row: &Row) -> Fr {
        row.iter().map(|(factor, column)| *factor * self.value(*column)).sum()
    }

    fn value(&self, column: u32) -> Fr {
        let column = column as usize;
        let witness = || self.assignment.witness[column - self.r1cs.instances];
        self.assignment.instance.get(column).copied().unwrap_or_else(witness)
    }

    fn value_mut(&mut self, column: u32) -> &mut Fr {
        let (column, instances) = (column as usize, self.r1cs.instances);
        match column < instances {
            true => &mut self.assignment.instance[column],
            false => &mut self.assignment.witness[column - instances],
        }
    }
}
