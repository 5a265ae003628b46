//! A weak but cheap hunt for missing rows.

use super::{Assignment, R1cs, Row};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

impl R1cs {
    /// The columns that can change alone, by a few amounts, without violating a row.
    ///
    /// An empty result proves little: most missing rows free several columns at once. A column in
    /// the result is free for certain, as is the hint of an inverse whose operand is 0.
    ///
    /// # Panics
    /// If `assignment` does not satisfy the rows.
    pub fn movable_columns(&self, assignment: &Assignment) -> Vec<u32> {
        assert_eq!(
            self.is_satisfied(assignment),
            Ok(()),
            "the hunt starts from a valid assignment"
        );
        let columns = self.instances + self.witnesses;
        let [a, b, c] = [&self.a, &self.b, &self.c].map(|rows| by_column(rows, columns));
        // A bit may move by one only up or only down; no row of a circuit knows the third amount.
        let amounts = [Fr::ONE, -Fr::ONE, Fr::from(0x9e37_79b9_7f4a_7c15u64)];
        let can_move = |column: &usize| {
            let mut rows: Vec<u32> =
                [&a, &b, &c].iter().flat_map(|m| m[*column].iter().map(|term| term.1)).collect();
            // A row may have the column in more than one of its matrices and is asked once.
            rows.sort_unstable();
            rows.dedup();
            amounts.iter().any(|amount| {
                rows.iter().all(|row| {
                    let [left, right, product] =
                        [(&a, &assignment.az), (&b, &assignment.bz), (&c, &assignment.cz)].map(
                            |(m, old)| old[*row as usize] + *amount * factor(&m[*column], *row),
                        );
                    left * right == product
                })
            })
        };
        // Without column 0, the constant one, which nobody assigns.
        (1..columns).filter(can_move).map(|column| column as u32).collect()
    }
}

/// For each column, the factors and rows in which it stands, by row.
fn by_column(rows: &[Row], columns: usize) -> Vec<Row> {
    let mut turned = vec![Row::new(); columns];
    for (index, row) in rows.iter().enumerate() {
        for (factor, column) in row {
            turned[*column as usize].push((*factor, index as u32));
        }
    }
    turned
}

fn factor(column: &Row, row: u32) -> Fr {
    column.binary_search_by_key(&row, |term| term.1).map_or(Fr::ZERO, |found| column[found].0)
}
