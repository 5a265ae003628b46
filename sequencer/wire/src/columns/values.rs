//! The values of a frame: the first one, then blocks of differences.

use crate::DecodeError;
use crate::columns::bits::{BLOCK, Block, pack, unpack};

/// Bits of the widest difference.
const WIDTH_MAX: u32 = u32::BITS;

/// Small numbers for small differences of either sign.
fn fold(difference: i32) -> u64 {
    u64::from(((difference << 1) ^ (difference >> 31)) as u32)
}

fn unfold(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

/// Appends a block of at most 64 values that follow `before`.
pub(crate) fn put_values(before: i32, values: &[i32], to: &mut Vec<u8>) {
    let mut differences = [0; BLOCK];
    let mut last = before;
    for (difference, value) in differences.iter_mut().zip(values) {
        // Modulo 2^32, so that every two values have one difference.
        *difference = fold(value.wrapping_sub(last));
        last = *value;
    }
    pack(&differences[..values.len()], to);
}

/// Takes a block of so many values that follow `before` off the front.
///
/// # Errors
/// [`DecodeError`] unless they are as [`put_values`] writes them.
pub(crate) fn take_values(
    from: &mut &[u8],
    count: usize,
    before: i32,
    into: &mut [i32; BLOCK],
) -> Result<(), DecodeError> {
    let mut differences: Block = [0; BLOCK];
    unpack(from, count, WIDTH_MAX, &mut differences)?;
    let mut last = before;
    for (value, difference) in into.iter_mut().zip(differences) {
        last = last.wrapping_add(unfold(difference));
        *value = last;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_of_32_bits_come_back() {
        let values = [0, 1, -1, i32::MAX, i32::MIN, i32::MIN, -20_000, 20_000, i32::MAX];
        for before in [0, 7, i32::MIN, i32::MAX] {
            let mut bytes = Vec::new();
            put_values(before, &values, &mut bytes);
            let mut block = [0; BLOCK];
            let (mut rest, count) = (&bytes[..], values.len());
            assert_eq!(take_values(&mut rest, count, before, &mut block), Ok(()));
            assert_eq!((&block[..count], rest.len()), (&values[..], 0));
        }
    }

    #[test]
    fn small_differences_take_few_bits() {
        for (difference, number) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (i32::MIN, u32::MAX)] {
            assert_eq!(fold(difference), u64::from(number));
            assert_eq!(unfold(u64::from(number)), difference);
        }
        let mut bytes = Vec::new();
        put_values(600, &[600; 64], &mut bytes);
        assert_eq!(bytes, [0], "64 readings of one value");
    }
}
