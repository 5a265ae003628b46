//! `.wtns`, written for others and read from anywhere.

use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};
use zeroize::Zeroizing;

use super::binary::{push_count, push_field, sections};
use circuits::builder::Assignment;

const MAGIC: &[u8; 4] = b"wtns";
const VERSION: u32 = 2;
/// Bytes of a column's value.
const VALUE: usize = 32;

/// The assignment as `.wtns`. The bytes are zeroised when dropped; a file that they are written to
/// is the caller's to protect.
pub fn wtns(assignment: &Assignment) -> Zeroizing<Vec<u8>> {
    let columns = assignment.instance.len() + assignment.witness.len();
    let mut header = Vec::new();
    push_field::<Fr>(&mut header);
    push_count(&mut header, columns);
    // Room for all values from the start: a vector that grows leaves its old buffer as it is.
    let mut body = Zeroizing::new(Vec::with_capacity(VALUE * columns));
    for value in assignment.instance.iter().chain(&assignment.witness) {
        body.extend_from_slice(&Zeroizing::new(value.into_bigint().to_bytes_le()));
    }
    Zeroizing::new(sections(MAGIC, VERSION, &[&header, &body]))
}

/// Reads the values of `columns` columns, the constant one first, from a file of any origin. The
/// only form accepted is the one that [`wtns`], snarkjs and circom's witness programs write: the
/// header, then the values, and nothing else. What the values say is not looked at.
///
/// # Errors
/// [`WtnsError`] for every other byte string; the values themselves stand in none.
pub fn read_wtns(file: &[u8], columns: usize) -> Result<Zeroizing<Vec<Fr>>, WtnsError> {
    let mut rest = file;
    // All of the frame first: until the number of columns is the circuit's, no value is worth
    // reading.
    let body = read_frame(&mut rest, columns)?;
    expect("bytes after the last section", 0, rest.len() as u64)?;
    let mut values = Zeroizing::new(Vec::with_capacity(columns));
    for (column, bytes) in body.as_chunks::<VALUE>().0.iter().enumerate() {
        values.push(value(bytes).ok_or(WtnsError::NotCanonical { column })?);
    }
    Ok(values)
}

/// Checks all that stands before the values, and takes their bytes.
fn read_frame<'a>(rest: &mut &'a [u8], columns: usize) -> Result<&'a [u8], WtnsError> {
    if take(rest, "magic", MAGIC.len())? != MAGIC {
        return Err(WtnsError::Magic);
    }
    expect("version", VERSION.into(), number(rest, "version", 4)?)?;
    // One order and no further sections, so that one assignment has one file.
    expect("number of sections", 2, number(rest, "number of sections", 4)?)?;
    expect("number of the first section", 1, number(rest, "first section", 4)?)?;
    expect("bytes of the header", 4 + 32 + 4, number(rest, "first section", 8)?)?;
    expect("bytes of a value", VALUE as u64, number(rest, "header", 4)?)?;
    if take(rest, "header", VALUE)? != Fr::MODULUS.to_bytes_le() {
        return Err(WtnsError::Field);
    }
    // Compared before the values are taken, so that a stranger's count allocates nothing.
    expect("columns", columns as u64, number(rest, "header", 4)?)?;
    expect("number of the second section", 2, number(rest, "second section", 4)?)?;
    let bytes = VALUE * columns;
    expect("bytes of the values", bytes as u64, number(rest, "second section", 8)?)?;
    take(rest, "values", bytes)
}

/// Why a file is not the `.wtns` of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WtnsError {
    /// Another kind of file.
    #[error("expected a .wtns file, found another magic")]
    Magic,
    /// Another curve.
    #[error("expected values of the scalar field of bn128, found another modulus")]
    Field,
    /// The file ends early.
    #[error("{what}: expected {expected} bytes, found the last {found} of the file")]
    Truncated {
        /// Where it ends.
        what: &'static str,
        /// Bytes that were to come.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// A number of the format or of the circuit is another.
    #[error("{what}: expected {expected}, found {found}")]
    Number {
        /// Which number.
        what: &'static str,
        /// The circuit's or format's.
        expected: u64,
        /// The file's.
        found: u64,
    },
    /// A value that is not reduced, so that it would be a second name of another.
    #[error("column {column}: expected a value below the field's modulus")]
    NotCanonical {
        /// Its column.
        column: usize,
    },
}

fn expect(what: &'static str, expected: u64, found: u64) -> Result<(), WtnsError> {
    if expected == found { Ok(()) } else { Err(WtnsError::Number { what, expected, found }) }
}

fn take<'a>(rest: &mut &'a [u8], what: &'static str, len: usize) -> Result<&'a [u8], WtnsError> {
    let (taken, after) = rest.split_at_checked(len).ok_or(WtnsError::Truncated {
        what,
        expected: len,
        found: rest.len(),
    })?;
    *rest = after;
    Ok(taken)
}

/// A little-endian number of at most 8 bytes.
fn number(rest: &mut &[u8], what: &'static str, len: usize) -> Result<u64, WtnsError> {
    let bytes = take(rest, what, len)?;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn value(bytes: &[u8; VALUE]) -> Option<Fr> {
    let (limbs, _) = bytes.as_chunks::<8>();
    Fr::from_bigint(BigInt::new(std::array::from_fn(|i| u64::from_le_bytes(limbs[i]))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::ladder;

    /// Where the parts of the file begin.
    const MODULUS_AT: usize = 28;
    const COLUMNS_AT: usize = 60;
    const VALUES_AT: usize = 76;

    fn sample() -> (Vec<u8>, Vec<Fr>) {
        let (_, assignment) = ladder(10, 5);
        let values = [assignment.instance.as_slice(), &assignment.witness].concat();
        (wtns(&assignment).to_vec(), values)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (file, values) = sample();
        assert_eq!(*read_wtns(&file, values.len()).expect("our own file"), values);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let (file, values) = sample();
        for len in 0..file.len() {
            let cut = read_wtns(&file[..len], values.len());
            assert!(matches!(cut, Err(WtnsError::Truncated { .. })), "{len} bytes");
        }
    }

    #[test]
    fn every_byte_before_the_values_is_looked_at() {
        let (file, values) = sample();
        for at in 0..VALUES_AT {
            let mut edited = file.clone();
            edited[at] ^= 1;
            let found = read_wtns(&edited, values.len()).expect_err("one bit differs");
            match at {
                0..4 => assert_eq!(found, WtnsError::Magic),
                MODULUS_AT..COLUMNS_AT => assert_eq!(found, WtnsError::Field),
                _ => assert!(matches!(found, WtnsError::Number { .. }), "byte {at}: {found}"),
            }
        }
    }

    #[test]
    fn another_number_of_columns_and_bytes_at_the_end_are_refused() {
        let (mut file, values) = sample();
        let what = "columns";
        let refused = read_wtns(&file, 13).err();
        assert_eq!(refused, Some(WtnsError::Number { what, expected: 13, found: 12 }));
        file.push(0);
        let what = "bytes after the last section";
        let refused = read_wtns(&file, values.len()).err();
        assert_eq!(refused, Some(WtnsError::Number { what, expected: 0, found: 1 }));
    }

    #[test]
    fn a_value_that_is_not_reduced_is_refused() {
        let (mut file, values) = sample();
        let at = VALUES_AT + 3 * VALUE;
        file[at..at + VALUE].copy_from_slice(&Fr::MODULUS.to_bytes_le());
        let refused = read_wtns(&file, values.len()).err();
        assert_eq!(refused, Some(WtnsError::NotCanonical { column: 3 }));
        file[at] -= 1;
        assert_eq!(read_wtns(&file, values.len()).expect("reduced")[3], -Fr::from(1));
    }
}
