//! Numbers in a circuit: a value and, while matrices are made, the linear combination behind it.

use super::Row;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use std::ops::{Add, Mul, Neg, Sub};

/// Marks a witness column until the number of public inputs is known.
const WITNESS: u32 = 1 << 31;

/// A linear combination of columns with its value. Adding and scaling cost no row.
#[derive(Clone)]
pub struct Num {
    value: Fr,
    form: Form,
}

#[derive(Clone)]
enum Form {
    /// The same in every run; the value is the form.
    Constant,
    /// A combination in a witness run.
    Untracked,
    /// Sorted by column, without zero coefficients.
    Terms(Row),
}

/// A number that rows confine to 0 and 1.
#[derive(Clone)]
pub struct Bit(Num);

impl Num {
    /// The constant `value`, which must not depend on the assignment.
    pub fn constant(value: Fr) -> Self {
        Self { value, form: Form::Constant }
    }

    /// The constant 0.
    pub fn zero() -> Self {
        Self::constant(Fr::ZERO)
    }

    /// The constant 1.
    pub fn one() -> Self {
        Self::constant(Fr::ONE)
    }

    /// The value in this run.
    pub fn value(&self) -> Fr {
        self.value
    }

    /// Whether this is a constant of the circuit: the one thing besides sizes to branch on.
    pub fn is_constant(&self) -> bool {
        matches!(self.form, Form::Constant)
    }

    /// The sum of `coefficient * num`. For many terms, faster than adding one by one.
    pub fn combination<'a>(terms: impl IntoIterator<Item = (Fr, &'a Self)>) -> Self {
        let mut sum = Self::zero();
        let mut row = Row::new();
        for (coefficient, num) in terms {
            sum.value += times(coefficient, num.value);
            match (&num.form, &sum.form) {
                // A constant is a term of column 0; of constants alone the row is dropped.
                (Form::Constant, _) => row.push((coefficient * num.value, 0)),
                (Form::Untracked, _) => sum.form = Form::Untracked,
                (Form::Terms(terms), form) => {
                    if matches!(form, Form::Constant) {
                        sum.form = Form::Terms(Row::new());
                    }
                    row.extend(
                        terms.iter().map(|(factor, column)| (coefficient * factor, *column)),
                    );
                }
            }
        }
        if let Form::Terms(terms) = &mut sum.form {
            // Once for all terms: merging them one by one would copy the row each time.
            *terms = normalize(row);
        }
        sum
    }

    /// The sum of `nums`.
    pub fn sum<'a>(nums: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::combination(nums.into_iter().map(|num| (Fr::ONE, num)))
    }

    /// `bits` as a number, the lowest first.
    pub fn pack<'a>(bits: impl IntoIterator<Item = &'a Bit>) -> Self {
        let powers = std::iter::successors(Some(Fr::ONE), |power| Some(power.double()));
        Self::combination(powers.zip(bits.into_iter().map(Bit::num)))
    }

    pub(super) fn variable(value: Fr, column: u32) -> Self {
        Self { value, form: Form::Terms(vec![(Fr::ONE, column)]) }
    }

    /// A number of a witness run: its value is all there is.
    pub(crate) fn untracked(value: Fr) -> Self {
        Self { value, form: Form::Untracked }
    }

    /// The combination as a row of a matrix.
    pub(super) fn row(&self) -> Row {
        match &self.form {
            Form::Constant if self.value == Fr::ZERO => Row::new(),
            Form::Constant => vec![(self.value, 0)],
            Form::Terms(terms) => terms.clone(),
            Form::Untracked => unreachable!("a number of a witness run in a matrix run"),
        }
    }

    fn plus(&self, other: &Self) -> Self {
        Self { value: self.value + other.value, form: self.form_plus_scaled(Fr::ONE, other) }
    }

    fn minus(&self, other: &Self) -> Self {
        Self { value: self.value - other.value, form: self.form_plus_scaled(-Fr::ONE, other) }
    }

    /// Of the form alone: sums are most of what a witness run does besides hashing, and need no
    /// product for their values.
    fn form_plus_scaled(&self, factor: Fr, other: &Self) -> Form {
        match (&self.form, &other.form) {
            (Form::Constant, Form::Constant) => Form::Constant,
            (Form::Untracked, Form::Untracked | Form::Constant)
            | (Form::Constant, Form::Untracked) => Form::Untracked,
            // Numbers of two different runs end here too, and `row` refuses them.
            _ => Form::Terms(merge(&self.row(), factor, &other.row())),
        }
    }

    fn scaled(&self, factor: Fr) -> Self {
        let form = match &self.form {
            // Kept as a term it would stand in the matrices with the factor 0.
            _ if factor == Fr::ZERO => Form::Constant,
            Form::Constant => Form::Constant,
            Form::Untracked => Form::Untracked,
            Form::Terms(terms) => {
                Form::Terms(terms.iter().map(|(own, column)| (factor * own, *column)).collect())
            }
        };
        Self { value: factor * self.value, form }
    }
}

impl From<u64> for Num {
    fn from(value: u64) -> Self {
        Self::constant(Fr::from(value))
    }
}

impl From<&Bit> for Num {
    fn from(bit: &Bit) -> Self {
        bit.0.clone()
    }
}

macro_rules! operators {
    ($($left:ty, $right:ty);*) => {$(
        impl Add<$right> for $left {
            type Output = Num;
            fn add(self, other: $right) -> Num {
                self.plus(&other)
            }
        }
        impl Sub<$right> for $left {
            type Output = Num;
            fn sub(self, other: $right) -> Num {
                self.minus(&other)
            }
        }
    )*};
}
operators!(Num, Num; Num, &Num; &Num, Num; &Num, &Num);

impl Mul<Fr> for &Num {
    type Output = Num;
    fn mul(self, factor: Fr) -> Num {
        self.scaled(factor)
    }
}

impl Mul<Fr> for Num {
    type Output = Num;
    fn mul(self, factor: Fr) -> Num {
        self.scaled(factor)
    }
}

impl Neg for &Num {
    type Output = Num;
    fn neg(self) -> Num {
        self.scaled(-Fr::ONE)
    }
}

impl Neg for Num {
    type Output = Num;
    fn neg(self) -> Num {
        self.scaled(-Fr::ONE)
    }
}

impl Bit {
    /// The constant bit.
    pub fn constant(value: bool) -> Self {
        Self(Num::constant(Fr::from(value)))
    }

    /// The bit as a number.
    pub fn num(&self) -> &Num {
        &self.0
    }

    /// The value in this run; anything but 0 reads as true.
    pub fn value(&self) -> bool {
        self.0.value != Fr::ZERO
    }

    /// One less the bit: no row.
    pub fn not(&self) -> Self {
        Self(Num::one() - &self.0)
    }

    /// Takes a number that the caller's rows confine to 0 and 1.
    pub(crate) fn confined(num: Num) -> Self {
        Self(num)
    }
}

pub(super) fn witness_column(index: usize) -> u32 {
    let index = u32::try_from(index).ok().filter(|index| *index < WITNESS);
    WITNESS | index.expect("fewer than 2^31 private values")
}

/// Puts the witness columns behind the constant one and the public inputs.
pub(super) fn place_witness_columns(mut rows: Vec<Row>, instances: usize) -> Vec<Row> {
    let instances = instances as u32;
    for (_, column) in rows.iter_mut().flatten().filter(|(_, column)| *column >= WITNESS) {
        // Rows stay sorted: private columns keep their order and lie above all public ones, as
        // before.
        *column = *column - WITNESS + instances;
    }
    rows
}

/// A product whose second factor is a bit more often than not.
fn times(coefficient: Fr, value: Fr) -> Fr {
    if value == Fr::ZERO {
        Fr::ZERO
    } else if value == Fr::ONE {
        coefficient
    } else {
        coefficient * value
    }
}

fn merge(left: &Row, factor: Fr, right: &Row) -> Row {
    let mut sum = Row::with_capacity(left.len() + right.len());
    let mut rest = right.iter().map(|(own, column)| (factor * own, *column)).peekable();
    for term in left {
        while let Some(before) = rest.next_if(|other| other.1 < term.1) {
            sum.push(before);
        }
        let same = rest.next_if(|other| other.1 == term.1).map_or(Fr::ZERO, |other| other.0);
        sum.push((term.0 + same, term.1));
    }
    sum.extend(rest);
    // What cancels is dropped: rows are compared and hashed term by term.
    sum.retain(|(factor, _)| *factor != Fr::ZERO);
    sum
}

fn normalize(mut row: Row) -> Row {
    row.sort_by_key(|(_, column)| *column);
    row.dedup_by(|next, kept| {
        let same = next.1 == kept.1;
        if same {
            kept.0 += next.0;
        }
        same
    });
    row.retain(|(factor, _)| *factor != Fr::ZERO);
    row
}
